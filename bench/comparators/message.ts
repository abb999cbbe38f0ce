// What every comparator gets through Redis and delivers: a message with all that the product's Message offers.

import type { AddressInfo, Server } from 'node:net'

export interface User {
  id: string
  name: string
  avatarUrl: string | null
  statusText: string | null
}

export interface Message {
  id: string
  seq: number
  text: string
  createdAt: string
  clientMessageId: string | null
  author: User
  replyTo: { id: string; seq: number; text: string; author: User } | null
  roomId: string
  room: { id: string; name: string }
}

export const REDIS_URL = process.env.REDIS_URL ?? ''

/** Each comparator has channels of its own: nobody pays for what another one gets. */
export const channelOf = (roomId: string) => `${process.env.CHANNEL_PREFIX ?? ''}${roomId}`

/** Tells the bench the port. */
export function announce(server: Server): void {
  // A TCP server has an address object.
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`)
}
