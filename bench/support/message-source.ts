// Where the product's events come from: a node that nobody subscribes at takes sendMessage mutations, stores and publishes
// them, on a Redis of its own. From there they are taken, and put on the Redis of the measured node when the bench wants
// them there. So the measured node gets real events through Redis from another process, as many at once as the comparators
// get, and not as many as a commit happened to hold.

import { createClient } from 'graphql-ws'
import { Redis } from 'ioredis'
import { WebSocket } from 'ws'
import { encodeGlobalId } from '../../src/graphql/global-id.ts'
import { startPostgres } from './postgres.ts'
import { startRedis } from './redis.ts'
import { seedId, seedRooms, subjectOf } from './seed.ts'
import { startSohbet, tokenOf } from './sohbet.ts'

const CHANNEL_PREFIX = 'sohbet:room:'
const SEND = `mutation ($input: SendMessageInput!) { sendMessage(input: $input) {
  ... on SendMessageSuccess { sentMessage { id } } ... on Error { message } } }`
const EVENT_TIMEOUT_MS = 30_000

export interface SourceEvent {
  channel: string
  message: string
}

export interface SendRequest {
  room: number
  text: string
  replyToId?: string
}

export interface MessageSource {
  databaseUrl: string
  /** Sends these at once; their events, in the order of each room. */
  send(requests: readonly SendRequest[]): Promise<SourceEvent[]>
  /** Sends one and returns its global id. */
  sendOne(request: SendRequest): Promise<string>
  stop(): Promise<void>
}

/** The global id of a seeded room. */
export const roomIdOf = (room: number) => encodeGlobalId('Room', seedId(room))

/** Seeds people and rooms; the first person sends everything. */
export async function startMessageSource({ people, rooms }: { people: number; rooms: number }): Promise<MessageSource> {
  const postgres = await startPostgres({ migrated: true })
  const redis = await startRedis()
  await seedRooms(postgres.url, { people, rooms, members: 1 })
  const node = await startSohbet({ settings: { DATABASE_URL: postgres.url, REDIS_URL: redis.url } })
  const listener = new Redis(redis.url)
  const waiting: { events: SourceEvent[]; wanted: number; resolve: (events: SourceEvent[]) => void }[] = []
  listener.on('pmessage', (_pattern: string, channel: string, message: string) => {
    const [first] = waiting
    if (!first) return
    first.events.push({ channel, message })
    if (first.events.length === first.wanted) waiting.shift()?.resolve(first.events)
  })
  await listener.psubscribe(`${CHANNEL_PREFIX}*`)
  const token = await tokenOf(subjectOf(1))
  const sender = createClient({
    url: `ws://${node.host}:${node.port}/graphql`,
    webSocketImpl: WebSocket,
    lazy: false,
    connectionParams: { authorization: `Bearer ${token}` },
  })

  const sendOne = ({ room, ...input }: SendRequest) =>
    new Promise<string>((resolve, reject) => {
      const variables = { input: { roomId: roomIdOf(room), ...input } }
      let id: string | undefined
      sender.subscribe<{ sendMessage: { sentMessage?: { id: string } } }>(
        { query: SEND, variables },
        {
          next: (result) => {
            id = result.data?.sendMessage.sentMessage?.id
            if (id === undefined) reject(new Error(`a message was refused: ${JSON.stringify(result)}`))
          },
          error: (error) => reject(new Error(`a message could not be sent: ${JSON.stringify(error)}`)),
          complete: () => resolve(id ?? ''),
        },
      )
    })

  return {
    databaseUrl: postgres.url,
    sendOne,
    async send(requests) {
      const events = new Promise<SourceEvent[]>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error('the events did not come')), EVENT_TIMEOUT_MS)
        waiting.push({
          events: [],
          wanted: requests.length,
          resolve: (found) => {
            clearTimeout(timer)
            resolve(found)
          },
        })
      })
      await Promise.all(requests.map(sendOne))
      return events
    },
    async stop() {
      listener.disconnect()
      await sender.dispose()
      await node.stop()
      await redis.stop()
      await postgres.stop()
    },
  }
}
