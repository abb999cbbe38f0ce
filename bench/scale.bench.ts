// One, two and three nodes on the same Postgres and Redis. On a machine of two processors they cannot be faster together
// than one is alone, so what counts is work: what a delivery and a send cost all nodes together, how evenly it is spread,
// and that a node whose clients are in other rooms has nothing to do with it.

import { encodeGlobalId } from '../src/graphql/global-id.ts'
import type { BenchOptions } from './support/bench-options.ts'
import { describeEnvironment, printTable } from './support/machine.ts'
import { type BenchPostgres, startPostgres } from './support/postgres.ts'
import { BenchProcess, cpuMicroseconds, LightClient } from './support/processes.ts'
import { startRedis } from './support/redis.ts'
import { seedId, seedRooms, subjectOf } from './support/seed.ts'
import type { SendersOptions, SendersResult } from './support/senders.ts'
import { type Sohbet, startSohbet, tokenOf } from './support/sohbet.ts'
import { medianOf, roundRatio } from './support/statistics.ts'

const NODES = [1, 2, 3]
const SUBSCRIBERS = 900
const SENDERS = 48
const SOCKETS_PER_SENDER = 8
const BUSY_ROOM = 1
/** Rooms of the senders, one for each node. */
const FIRST_SENDING_ROOM = 2
const FIRST_QUIET_ROOM = 10
const QUIET_ROOMS = 100
const PEOPLE = 100

const SUBSCRIPTION = `subscription ($roomId: ID!) { messageAdded(roomId: $roomId) {
  id seq text createdAt clientMessageId roomId author { id name } } }`
const MUTATION = `mutation ($input: SendMessageInput!) { sendMessage(input: $input) {
  ... on SendMessageSuccess { sentMessage { id seq createdAt } } } }`

interface Plan {
  rounds: number
  messages: number
  sendingMs: number
}

interface Figures {
  /** CPU of all nodes together. */
  deliveryUs: number[]
  sendUs: number[]
  sendsPerSecond: number[]
  /** The busiest node's share of the CPU time, times the number of nodes: 1 is even. */
  unevenness: number[]
  /** CPU of the node without subscribers of the room, to that of a node with them. */
  bystander: number[]
}

export async function run({ quick }: BenchOptions): Promise<void> {
  const plan: Plan = quick
    ? { rounds: 1, messages: 60, sendingMs: 1_000 }
    : { rounds: 5, messages: 300, sendingMs: 3_000 }
  const postgres = await startPostgres({ migrated: true })
  try {
    const { url: redisUrl } = await startRedis()
    await seedRooms(postgres.url, { people: PEOPLE, rooms: FIRST_QUIET_ROOM + QUIET_ROOMS })
    const figures = new Map<number, Figures>()
    for (const nodes of NODES) figures.set(nodes, await measure(nodes, { postgres, redisUrl, plan }))
    report(figures, plan)
  } finally {
    await postgres.stop()
  }
}

async function measure(
  count: number,
  { postgres, redisUrl, plan }: { postgres: BenchPostgres; redisUrl: string; plan: Plan },
): Promise<Figures> {
  const start = () => startSohbet({ settings: { DATABASE_URL: postgres.url, REDIS_URL: redisUrl } })
  const nodes = await Promise.all(Array.from({ length: count }, start))
  const bystander = await start()
  const readers = await Promise.all(nodes.map((node) => openReaders(node, SUBSCRIBERS / count, [BUSY_ROOM])))
  const others = await openReaders(bystander, QUIET_ROOMS, quietRooms())
  const senders = await Promise.all(nodes.map((node, i) => openSenders(node, FIRST_SENDING_ROOM + i)))
  const figures: Figures = { deliveryUs: [], sendUs: [], sendsPerSecond: [], unevenness: [], bystander: [] }
  try {
    // The first round warms up.
    for (let round = 0; round <= plan.rounds; round++) {
      const delivered = await deliver(nodes, { readers, bystander, messages: plan.messages })
      const sent = await send(nodes, senders, plan.sendingMs)
      if (round === 0) continue
      figures.deliveryUs.push(delivered.deliveryUs)
      figures.unevenness.push(delivered.unevenness)
      figures.bystander.push(delivered.bystander)
      figures.sendUs.push(sent.sendUs)
      figures.sendsPerSecond.push(sent.perSecond)
    }
    return figures
  } finally {
    await Promise.all([...readers, others, ...senders].map((each) => each.stop()))
    await Promise.all([...nodes, bystander].map((node) => node.stop()))
  }
}

const quietRooms = () => Array.from({ length: QUIET_ROOMS }, (_, i) => FIRST_QUIET_ROOM + i)
const roomIdOf = (room: number) => encodeGlobalId('Room', seedId(room))
const tokens = (count: number) => Promise.all(Array.from({ length: count }, (_, i) => tokenOf(subjectOf(i + 1))))

async function openReaders(
  { host, port }: Sohbet,
  connections: number,
  rooms: readonly number[],
): Promise<LightClient> {
  return LightClient.open({
    host,
    port,
    path: '/graphql',
    subprotocol: 'graphql-transport-ws',
    connections,
    hello: [
      '{"type":"connection_init","payload":{"authorization":"Bearer {{token}}"}}',
      `{"id":"{{uuid}}","type":"subscribe","payload":{"query":${JSON.stringify(SUBSCRIPTION)},"variables":{"roomId":"{{room}}"}}}`,
    ],
    values: { room: rooms.map(roomIdOf), token: await tokens(PEOPLE) },
    readyFrames: 1,
  })
}

async function openSenders({ host, port }: Sohbet, room: number): Promise<BenchProcess> {
  const senders = new BenchProcess('support/senders.ts', [], {})
  const options: SendersOptions = {
    host,
    port,
    tokens: await tokens(SOCKETS_PER_SENDER),
    roomId: roomIdOf(room),
    mutation: MUTATION,
    subscription: SUBSCRIPTION,
  }
  await senders.ask(JSON.stringify(options))
  return senders
}

/** Messages of one room, sent at the nodes in turns, until all subscribers at all nodes have them. */
async function deliver(
  nodes: readonly Sohbet[],
  { readers, bystander, messages }: { readers: readonly LightClient[]; bystander: Sohbet; messages: number },
) {
  const token = await tokenOf(subjectOf(1))
  const pids = [...nodes, bystander].map(({ pid }) => pid)
  const before = await Promise.all(pids.map(cpuMicroseconds))
  const seen = await Promise.all(readers.map((each) => each.counts()))
  for (let i = 0; i < messages; i++) {
    const input = { roomId: roomIdOf(BUSY_ROOM), text: `${i} `.padEnd(100, 'x') }
    await nodes[i % nodes.length]?.request(token, MUTATION, { input })
  }
  await Promise.all(readers.map((each, i) => each.untilFrames((seen[i]?.frames ?? 0) + messages * each.connections)))
  const after = await Promise.all(pids.map(cpuMicroseconds))
  const used = after.map((us, i) => us - (before[i] ?? 0))
  const bystanderUs = used.pop() ?? 0
  const total = used.reduce((sum, us) => sum + us, 0)
  return {
    deliveryUs: total / (messages * SUBSCRIBERS),
    unevenness: (Math.max(...used) * used.length) / total,
    bystander: bystanderUs / (total / used.length),
  }
}

/** Everybody sends at their node, to its room, as fast as they get answers. */
async function send(nodes: readonly Sohbet[], senders: readonly BenchProcess[], ms: number) {
  const before = await Promise.all(nodes.map(({ pid }) => cpuMicroseconds(pid)))
  const run = JSON.stringify({ senders: SENDERS / senders.length, ms })
  const answers = await Promise.all(senders.map((each) => each.ask(run)))
  const results = answers.map((answer): SendersResult => JSON.parse(answer))
  const after = await Promise.all(nodes.map(({ pid }) => cpuMicroseconds(pid)))
  const messages = results.reduce((sum, result) => sum + result.messages, 0)
  const used = after.reduce((sum, us, i) => sum + us - (before[i] ?? 0), 0)
  return {
    sendUs: used / messages,
    perSecond: results.reduce((sum, result) => sum + result.messages / result.seconds, 0),
  }
}

function report(figures: ReadonlyMap<number, Figures>, { rounds }: Plan): void {
  const median = (nodes: number, key: keyof Figures) => medianOf(figures.get(nodes)?.[key] ?? [])
  process.stdout.write(`\n${SUBSCRIBERS} subscribers of one room, ${SENDERS} senders, spread over the nodes\n`)
  printTable(
    ['nodes', 'CPU µs of all nodes per delivery', 'busiest node, 1 is even', 'bystander', 'CPU µs per send', 'sends/s'],
    NODES.map((nodes) => [
      String(nodes),
      median(nodes, 'deliveryUs').toFixed(2),
      median(nodes, 'unevenness').toFixed(2),
      median(nodes, 'bystander').toFixed(3),
      median(nodes, 'sendUs').toFixed(0),
      median(nodes, 'sendsPerSecond').toFixed(0),
    ]),
  )
  const ratio = (key: keyof Figures, nodes: number) => roundRatio(median(nodes, key) / median(1, key))
  const ratios = {
    'cpu per delivery 2 nodes/1': ratio('deliveryUs', 2),
    'cpu per delivery 3 nodes/1': ratio('deliveryUs', 3),
    'cpu per send 2 nodes/1': ratio('sendUs', 2),
    'cpu per send 3 nodes/1': ratio('sendUs', 3),
    'busiest node of 3/even': roundRatio(median(3, 'unevenness')),
    'bystander/node with subscribers': roundRatio(median(3, 'bystander')),
    'sends per second 3 nodes/1': ratio('sendsPerSecond', 3),
  }
  process.stdout.write(`RESULT ${JSON.stringify({ bench: 'scale', ...describeEnvironment(), rounds, ratios })}\n`)
}
