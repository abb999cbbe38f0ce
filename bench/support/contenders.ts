// The servers that are compared. All get their events in the same way, through Redis from another process, and deliver the
// same content to the same light client; each has channels of its own.

import type { Redis } from 'ioredis'
import { type ComparatorName, startComparator } from './comparators.ts'
import type { LightClientOptions } from './light-client.ts'
import { SERVER_CPU } from './machine.ts'
import { type MessageSource, roomIdOf, type SourceEvent } from './message-source.ts'
import { BenchProcess } from './processes.ts'
import { type Message, SAMPLE_TEXT, type Samples } from './samples.ts'
import { type Scenario, subscriptionOf } from './scenarios.ts'
import { seedId, subjectOf } from './seed.ts'
import { startSohbet, tokenOf } from './sohbet.ts'

export type ContenderName = 'raw' | 'sohbet' | ComparatorName

export interface Contender {
  name: ContenderName
  pid: number
  connect(scenario: Scenario): Promise<LightClientOptions>
  /** The Redis channel of a room's messages. */
  channelOf(room: number): string
  /** Makes messages for these rooms, which `publish` puts on Redis: all at once. */
  prepare(scenario: Scenario, texts: readonly Outgoing[]): Promise<SourceEvent[]>
  /** What the product delivers in the scenario, for the others to deliver as well. */
  setSamples(samples: Samples): void
  stop(): Promise<void>
}

export interface Outgoing {
  room: number
  text: string
}

/** One round trip to Redis, however many events. */
export async function publish(redis: Redis, events: readonly SourceEvent[]): Promise<void> {
  const pipeline = redis.pipeline()
  for (const { channel, message } of events) pipeline.publish(channel, message)
  await pipeline.exec()
}

export interface ContenderOptions {
  redisUrl: string
  source: MessageSource
}

export function startContender(name: ContenderName, options: ContenderOptions): Promise<Contender> {
  if (name === 'raw') return startRaw(options)
  if (name === 'sohbet') return startSohbetContender(options)
  return startComparatorContender(name, options)
}

const GRAPHQL_INIT = '{"type":"connection_init"}'

function graphqlClient(scenario: Scenario, host: string, port: number): LightClientOptions {
  const operations = scenario.selections.map((selection) => JSON.stringify(subscriptionOf(selection)))
  return {
    host,
    port,
    path: '/graphql',
    subprotocol: 'graphql-transport-ws',
    connections: scenario.subscribers,
    hello: [
      GRAPHQL_INIT,
      '{"id":"{{uuid}}","type":"subscribe","payload":{"query":{{operation}},"variables":{"roomId":"{{room}}"}}}',
    ],
    values: { room: scenario.rooms.map(roomIdOf), operation: operations },
    readyFrames: 1,
  }
}

/** A node of production that nobody sends at, with a thousand users: one for each subscriber. */
async function startSohbetContender({ redisUrl, source }: ContenderOptions): Promise<Contender> {
  const node = await startSohbet({
    cpu: SERVER_CPU,
    settings: { DATABASE_URL: source.databaseUrl, REDIS_URL: redisUrl },
    nodeArgs: (process.env.SOHBET_ARGS ?? '').split(' ').filter(Boolean),
  })
  const quotes = new Map<number, Promise<string>>()
  const quoteIn = (room: number) => {
    const quote = quotes.get(room) ?? source.sendOne({ room, text: QUOTED_TEXT })
    quotes.set(room, quote)
    return quote
  }
  return {
    name: 'sohbet',
    pid: node.pid,
    async connect(scenario) {
      if (scenario.replies) await Promise.all(scenario.rooms.map(quoteIn))
      const people = Array.from({ length: scenario.subscribers }, (_, index) => subjectOf(index + 2))
      const client = graphqlClient(scenario, node.host, node.port)
      return {
        ...client,
        hello: ['{"type":"connection_init","payload":{"authorization":"Bearer {{token}}"}}', ...client.hello.slice(1)],
        values: { ...client.values, token: await Promise.all(people.map(tokenOf)) },
      }
    },
    channelOf: (room) => `sohbet:room:${seedId(room)}`,
    async prepare(scenario, outgoing) {
      const requests = outgoing.map(async ({ room, text }) => ({
        room,
        text,
        ...(scenario.replies ? { replyToId: await quoteIn(room) } : {}),
      }))
      return source.send(await Promise.all(requests))
    },
    setSamples() {},
    stop: () => node.stop(),
  }
}

const QUOTED_TEXT = 'What do you think of it, then?'

async function startRaw({ redisUrl }: ContenderOptions): Promise<Contender> {
  const prefix = 'raw:'
  const channelOf = (room: number) => prefix + roomIdOf(room)
  const server = new BenchProcess('servers/raw-ws.ts', [], {
    cpu: SERVER_CPU,
    env: { NODE_ENV: 'production', REDIS_URL: redisUrl, CHANNEL_PREFIX: prefix },
  })
  const port = Number(await server.line())
  let frame = ''
  return {
    name: 'raw',
    pid: server.pid,
    connect: async ({ subscribers, rooms }) => ({
      host: '127.0.0.1',
      port,
      path: '/{{room}}',
      subprotocol: null,
      connections: subscribers,
      hello: [],
      values: { room: rooms.map(roomIdOf) },
      readyFrames: 0,
    }),
    channelOf,
    // The text stands where the product has it; all are of one length.
    prepare: async (_scenario, outgoing) =>
      outgoing.map(({ room, text }) => ({
        channel: channelOf(room),
        message: frame.replace(SAMPLE_TEXT, text),
      })),
    setSamples(samples) {
      frame = samples.frame
    },
    stop: () => server.stop(),
  }
}

async function startComparatorContender(name: ComparatorName, { redisUrl }: ContenderOptions): Promise<Contender> {
  const prefix = `${name}:`
  const channelOf = (room: number) => prefix + roomIdOf(room)
  const server = await startComparator(name, { redisUrl, channelPrefix: prefix, cpu: SERVER_CPU })
  let message: Message | null = null
  let seq = 0
  return {
    name,
    pid: server.pid,
    connect: async (scenario) =>
      name === 'socketio' ? socketioClient(scenario, server.port) : graphqlClient(scenario, '127.0.0.1', server.port),
    channelOf,
    prepare: async (_scenario, outgoing) =>
      outgoing.map(({ room, text }) => ({
        channel: channelOf(room),
        message: JSON.stringify({ ...message, seq: ++seq, text, roomId: roomIdOf(room) }),
      })),
    setSamples(samples) {
      // A server without selections sends what the clients want to have.
      message = name === 'socketio' ? samples.delivered : samples.message
      seq = samples.message.seq
    },
    stop: () => server.stop(),
  }
}

function socketioClient({ subscribers, rooms }: Scenario, port: number): LightClientOptions {
  return {
    host: '127.0.0.1',
    port,
    path: '/socket.io/?EIO=4&transport=websocket&room={{room}}',
    subprotocol: null,
    connections: subscribers,
    // The server opens; the client connects to the main namespace, and is answered.
    hello: [null, '40'],
    values: { room: rooms.map(roomIdOf) },
    readyFrames: 2,
  }
}
