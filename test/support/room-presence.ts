// A room's presence as a watcher of the stream sees it: the snapshot, and every change since put on top of it.

import { type Client, createClient } from 'graphql-ws'
import { WebSocket } from 'ws'
import { eventually } from './eventually.ts'
import { openRoomEvents } from './room-events.ts'
import type { Person } from './seed.ts'
import { type Result, type Stream, subscribe } from './stream.ts'

const ROOM_PRESENCE = `subscription ($roomId: ID!) {
  roomPresence(roomId: $roomId) {
    __typename
    ... on PresenceSnapshot { presentCount named present { user { name } state } typing { name } }
    ... on PresenceChanged { presentCount changes { user { name } state } }
    ... on TypingChanged { typing { name } }
    ... on PresenceUnknown { since }
  }
}`

type Named = { user: { name: string }; state: 'ONLINE' | 'AWAY' | 'OFFLINE' }

export interface PresenceItem {
  __typename: 'PresenceSnapshot' | 'PresenceChanged' | 'TypingChanged' | 'PresenceUnknown'
  presentCount?: number
  named?: boolean
  present?: Named[]
  changes?: Named[]
  typing?: { name: string }[]
  since?: string
}

type Item = { roomPresence: PresenceItem }

export class PresenceWatch {
  readonly stream: Stream<Result<Item>>

  constructor(client: Client, roomId: string) {
    this.stream = subscribe<Item>(client, ROOM_PRESENCE, { roomId })
  }

  /** Everything that came so far. */
  get items(): PresenceItem[] {
    return this.stream.items.map(({ data, errors }) => {
      if (errors || !data) throw new Error(`instead of presence: ${JSON.stringify(errors)}`)
      return data.roomPresence
    })
  }

  /** Whether the last item says that presence is unknown. */
  get isUnknown(): boolean {
    return this.items.at(-1)?.__typename === 'PresenceUnknown'
  }

  /** Who is there and how, by name; throws while it is unknown, and where the items contradict each other. */
  get present(): Record<string, 'ONLINE' | 'AWAY'> {
    const { items } = this
    const present = new Map<string, 'ONLINE' | 'AWAY'>()
    for (const [i, item] of items.entries()) {
      const begins = i === 0 || items[i - 1]?.__typename === 'PresenceUnknown'
      if (item.__typename === 'PresenceUnknown') continue
      if (begins !== (item.__typename === 'PresenceSnapshot')) throw new Error(`item ${i} is a ${item.__typename}`)
      if (begins) present.clear()
      for (const { user, state } of item.present ?? item.changes ?? []) {
        if (state === 'OFFLINE' ? !present.has(user.name) : present.get(user.name) === state) {
          throw new Error(`${user.name} is ${state} without a change`)
        }
        if (state === 'OFFLINE') present.delete(user.name)
        else present.set(user.name, state)
      }
      if (item.presentCount !== undefined && item.presentCount !== present.size) {
        throw new Error(`${item.presentCount} are there, and ${present.size} by name`)
      }
    }
    if (this.isUnknown) throw new Error('it is unknown')
    return Object.fromEntries([...present].toSorted(([a], [b]) => (a < b ? -1 : 1)))
  }

  /** Who types, as the last item that says so has it. */
  get typing(): string[] {
    return this.items.findLast((item) => item.typing)?.typing?.map(({ name }) => name) ?? []
  }

  /** Waits until exactly these are there. */
  async sees(expected: Record<string, 'ONLINE' | 'AWAY'>): Promise<void> {
    const wanted = JSON.stringify(expected)
    await eventually(() => {
      const seen = JSON.stringify(this.present)
      if (seen !== wanted) throw new Error(`sees ${seen} instead of ${wanted}`)
    })
  }
}

/** A device of the person that is in the room, and its connection id. Its client is the caller's to end. */
export async function openDevice(url: string, { token }: Person, roomId: string) {
  const acknowledged = Promise.withResolvers<string>()
  const client = createClient({
    url: url.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    connectionParams: { authorization: `Bearer ${token}` },
    on: {
      connected: (_socket, payload) => {
        // The acknowledgement's payload is the server's own.
        acknowledged.resolve((payload as { connectionId: string }).connectionId)
      },
    },
  })
  const stream = openRoomEvents(client, roomId)
  await stream.next()
  return { client, connectionId: await acknowledged.promise }
}
