// What it costs the server to deliver one message to one subscriber: CPU time of its process per frame delivered, one room,
// many subscribers with the same operation, beside a raw ws broadcast of the same bytes in the same run.

import { createClient } from 'graphql-ws'
import { WebSocket } from 'ws'
import { BenchProcess, cpuMicroseconds, LightClient } from './support/processes.ts'
import { type Sohbet, startSohbet } from './support/sohbet.ts'

const SERVER_CPU = 0
const CLIENT_CPU = 1
const TEXT = 'x'.repeat(100)
const SUBSCRIPTION = `subscription ($roomId: ID!) { messageAdded(roomId: $roomId) {
  id seq text createdAt author { id name } roomId } }`
const SEND = `mutation ($input: SendMessageInput!) { sendMessage(input: $input) { __typename } }`

interface Contender {
  name: string
  pid: number
  client: LightClient
  /** Makes the server deliver this many messages to every subscriber, so many of them at once. */
  publish(messages: number, atOnce: number): Promise<void>
  stop(): Promise<void>
}

export async function run({ quick }: { quick: boolean }): Promise<void> {
  const subscribers = quick ? 200 : 1_000
  const sohbet = await startSohbetContender(subscribers)
  const contenders: Contender[] = [await startRawContender(subscribers, sohbet.sampleFrame), sohbet]
  const ratios: Record<string, number> = {}
  try {
    for (const atOnce of [1, 16]) {
      const costs = await compare(contenders, {
        subscribers,
        messages: quick ? 64 : 128,
        atOnce,
        rounds: quick ? 3 : 5,
      })
      for (const [name, cost] of costs) {
        process.stdout.write(`${atOnce} at once, ${name}: ${cost.toFixed(1)} µs CPU per delivery\n`)
        if (name !== 'raw') ratios[`${name}/raw at ${atOnce}`] = Number((cost / (costs.get('raw') ?? 0)).toFixed(2))
      }
    }
  } finally {
    for (const contender of contenders) await contender.stop()
  }
  process.stdout.write(`RESULT ${JSON.stringify({ bench: 'fanout', subscribers, ratios })}\n`)
}

interface Plan {
  subscribers: number
  messages: number
  atOnce: number
  rounds: number
}

/** Median CPU time per delivery of each contender, over interleaved rounds. */
async function compare(contenders: readonly Contender[], plan: Plan): Promise<Map<string, number>> {
  const samples = new Map<string, number[]>(contenders.map(({ name }) => [name, []]))
  for (let round = 0; round <= plan.rounds; round++) {
    for (const contender of contenders) {
      const cost = await measure(contender, plan)
      // The first round warms up.
      if (round > 0) samples.get(contender.name)?.push(cost)
    }
  }
  return new Map([...samples].map(([name, costs]) => [name, medianOf(costs)]))
}

async function measure(contender: Contender, { subscribers, messages, atOnce }: Plan): Promise<number> {
  const before = await contender.client.counts()
  const cpuBefore = await cpuMicroseconds(contender.pid)
  await contender.publish(messages, atOnce)
  const expected = before.frames + messages * subscribers
  await contender.client.until(({ frames }) => frames >= expected)
  return ((await cpuMicroseconds(contender.pid)) - cpuBefore) / (messages * subscribers)
}

async function startSohbetContender(subscribers: number): Promise<Contender & { sampleFrame: string }> {
  const server = await startSohbet(SERVER_CPU)
  const token = await server.tokenOf('Ada')
  const { createRoom } = await server.request<{ createRoom: { room: { id: string } } }>(
    token,
    'mutation { createRoom(input: { name: "Bench" }) { ... on CreateRoomSuccess { room { id } } } }',
  )
  const roomId = createRoom.room.id
  const sender = createClient({
    url: `ws://${server.host}:${server.port}/graphql`,
    webSocketImpl: WebSocket,
    lazy: false,
    connectionParams: { authorization: `Bearer ${token}` },
  })
  const send = () =>
    new Promise<void>((resolve, reject) => {
      const variables = { input: { roomId, text: TEXT } }
      sender.subscribe({ query: SEND, variables }, { next: () => {}, error: reject, complete: resolve })
    })
  const sampleFrame = await takeSample(server, token, roomId, send)
  const client = await LightClient.open(
    {
      host: server.host,
      port: server.port,
      path: '/graphql',
      subprotocol: 'graphql-transport-ws',
      connections: subscribers,
      hello: [
        JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } }),
        JSON.stringify({ id: '1', type: 'subscribe', payload: { query: SUBSCRIPTION, variables: { roomId } } }),
      ],
      readyFrames: 1,
    },
    CLIENT_CPU,
  )
  // An acknowledged connection has not subscribed yet: send until a message reaches everybody.
  for (;;) {
    const { frames } = await client.counts()
    await send()
    await new Promise((resolve) => setTimeout(resolve, 200))
    if ((await client.counts()).frames - frames >= subscribers) break
  }
  return {
    name: 'sohbet',
    pid: server.pid,
    client,
    sampleFrame,
    async publish(messages, atOnce) {
      for (let sent = 0; sent < messages; sent += atOnce) {
        await Promise.all(Array.from({ length: atOnce }, send))
      }
    },
    async stop() {
      await client.stop()
      await sender.dispose()
      await server.stop()
    },
  }
}

/** A frame as a subscriber gets it, for the raw server to send. */
async function takeSample(server: Sohbet, token: string, roomId: string, send: () => Promise<void>): Promise<string> {
  const socket = new WebSocket(`ws://${server.host}:${server.port}/graphql`, 'graphql-transport-ws')
  const frame = new Promise<string>((resolve) => {
    socket.on('message', (message) => {
      const { type } = JSON.parse(String(message))
      if (type === 'next') resolve(String(message))
      if (type !== 'connection_ack') return
      const payload = { query: SUBSCRIPTION, variables: { roomId } }
      socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload }))
    })
  })
  await new Promise((resolve) => socket.once('open', resolve))
  socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } }))
  const sending = setInterval(() => void send(), 100)
  const sample = await frame
  clearInterval(sending)
  socket.close()
  return sample
}

async function startRawContender(subscribers: number, frame: string): Promise<Contender> {
  const server = new BenchProcess('servers/raw-ws.ts', [], { cpu: SERVER_CPU })
  const port = Number(await server.line())
  const client = await LightClient.open(
    { host: '127.0.0.1', port, path: '/', subprotocol: null, connections: subscribers, hello: [], readyFrames: 0 },
    CLIENT_CPU,
  )
  return {
    name: 'raw',
    pid: server.pid,
    client,
    async publish(messages, atOnce) {
      for (let sent = 0; sent < messages; sent += atOnce) {
        await Promise.all(Array.from({ length: atOnce }, () => server.ask(frame)))
      }
    },
    async stop() {
      await client.stop()
      await server.stop()
    },
  }
}

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
