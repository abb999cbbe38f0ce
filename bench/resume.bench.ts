// Everybody back at once: a node that has just started and knows nothing, and clients that have all missed the last events
// of their rooms. What that costs the database in statements, and how long it takes until everybody has everything, beside
// a server that asks the database once for each client.

import { createClient } from 'graphql-ws'
import { WebSocket } from 'ws'
import { encodeGlobalId } from '../src/graphql/global-id.ts'
import type { LightClientOptions } from './support/light-client.ts'
import { CLIENT_CPU, describeEnvironment, leaveServerCpu, printTable, SERVER_CPU } from './support/machine.ts'
import { type BenchPostgres, type StatementCount, startPostgres, withClient } from './support/postgres.ts'
import { familyCpuMicroseconds } from './support/process-figures.ts'
import { BenchProcess, cpuMicroseconds, LightClient } from './support/processes.ts'
import { startRedis } from './support/redis.ts'
import { seedId, seedIdSql, seedRooms, subjectOf } from './support/seed.ts'
import { type Sohbet, startSohbet, tokenOf } from './support/sohbet.ts'
import { countByKind, forRooms, groupByBeginning } from './support/statement-kinds.ts'
import { medianOf, roundRatio } from './support/statistics.ts'

const BEHIND = 200
/** More than the missed ones, so that a room is not read from its very beginning. */
const MESSAGES = 350
const AUTHORS = 20
/** What one client gets: the acknowledgement, what it missed, and CaughtUp. */
const FRAMES_PER_CLIENT = 1 + BEHIND + 1
/** Handshakes under way at a time. */
const OPENING = 500
const STORM_TIMEOUT_MS = 600_000
const SUBSCRIPTION = `subscription ($roomId: ID!, $after: Int) { roomEvents(roomId: $roomId, after: $after) {
  __typename seq ... on MessageSent { message { id text createdAt author { id name } } } } }`

/** So many clients, each of another room, look at what they get; the others count it. */
const CHECKED = 20

interface Plan {
  clients: number
  rooms: number
  users: number
  rounds: number
}

interface Storm {
  seconds: number
  cpuSeconds: number
  databaseCpuSeconds: number
  statements: StatementCount[]
}

export async function run({ quick }: { quick: boolean }): Promise<void> {
  const environment = describeEnvironment()
  leaveServerCpu()
  const plan: Plan = quick
    ? { clients: 2_000, rooms: 20, users: 1_000, rounds: 1 }
    : { clients: 10_000, rooms: 100, users: 1_000, rounds: 3 }
  const postgres = await startPostgres({ migrated: true, countStatements: true })
  const redis = await startRedis()
  const storms: Record<'sohbet' | 'one query per client', Storm[]> = { sohbet: [], 'one query per client': [] }
  try {
    await seed(postgres.url, plan)
    for (let round = 0; round < plan.rounds; round++) {
      storms.sohbet.push(await resumeAtSohbet(plan, postgres, redis.url))
      storms['one query per client'].push(await resumeAtComparator(plan, postgres))
    }
  } finally {
    await redis.stop()
    await postgres.stop()
  }
  report(plan, storms, environment)
}

/** Rooms full of messages of some authors, and users that have been here before. */
async function seed(url: string, { rooms, users }: Plan): Promise<void> {
  await seedRooms(url, { people: users, rooms, members: AUTHORS })
  await withClient(url, async (client) => {
    await client.query(`UPDATE users SET claimed_name = name, claimed_at = now()`)
    await client.query(`INSERT INTO messages (id, room_id, seq, author_id, text)
      SELECT gen_random_uuid(), ${seedIdSql('r')}, s, ${seedIdSql(`1 + s % ${AUTHORS}`)}, rpad(s || ' ', 100, 'x')
      FROM generate_series(1, ${rooms}) r, generate_series(1, ${MESSAGES}) s ORDER BY r, s`)
    await client.query(`UPDATE rooms SET last_seq = ${MESSAGES}`)
    await client.query('VACUUM ANALYZE')
  })
}

async function resumeAtSohbet(plan: Plan, postgres: BenchPostgres, redisUrl: string): Promise<Storm> {
  const node = await startSohbet({ cpu: SERVER_CPU, settings: { DATABASE_URL: postgres.url, REDIS_URL: redisUrl } })
  const variables = `{"roomId":"{{room}}","after":${MESSAGES - BEHIND}}`
  const target: Target = {
    pid: node.pid,
    port: node.port,
    path: '/graphql',
    subprotocol: 'graphql-transport-ws',
    hello: [
      '{"type":"connection_init","payload":{"authorization":"Bearer {{token}}"}}',
      `{"id":"{{uuid}}","type":"subscribe","payload":{"query":${JSON.stringify(SUBSCRIPTION)},"variables":${variables}}}`,
    ],
    values: { room: roomNumbers(plan).map(roomIdOf), token: await tokensOf(plan) },
  }
  const rooms = roomNumbers(plan).slice(0, CHECKED)
  try {
    return await measure(plan, postgres, target, () => Promise.all(rooms.map((room) => checkOrder(node, room))))
  } finally {
    await node.stop()
  }
}

/** Each client's. A user has several, each in another room: nobody asks twice for the same user and room. */
async function tokensOf({ clients, users }: Plan): Promise<string[]> {
  const tokens = await Promise.all(Array.from({ length: users }, (_, index) => tokenOf(subjectOf(index + 1))))
  return Array.from({ length: clients }, (_, i) => tokens[(i + Math.floor(i / users)) % users] ?? '')
}

const roomIdOf = (room: number) => encodeGlobalId('Room', seedId(room))

/** A client that comes back with the others must get the missed events in order, and then be caught up. */
async function checkOrder({ host, port }: Sohbet, room: number): Promise<void> {
  const client = createClient({
    url: `ws://${host}:${port}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${await tokenOf(subjectOf(room))}` },
  })
  try {
    const request = { query: SUBSCRIPTION, variables: { roomId: roomIdOf(room), after: MESSAGES - BEHIND } }
    let seq = MESSAGES - BEHIND
    for await (const { data } of client.iterate<{ roomEvents: { __typename: string; seq: number } }>(request)) {
      const item = data?.roomEvents
      const isEnd = seq === MESSAGES
      const expected = isEnd ? { __typename: 'CaughtUp', seq } : { __typename: 'MessageSent', seq: ++seq }
      if (item?.__typename !== expected.__typename || item.seq !== expected.seq) {
        throw new Error(`${JSON.stringify(item)} came instead of ${JSON.stringify(expected)}`)
      }
      if (isEnd) return
    }
  } finally {
    await client.dispose()
  }
}

async function resumeAtComparator(plan: Plan, postgres: BenchPostgres): Promise<Storm> {
  const env = { NODE_ENV: 'production', DATABASE_URL: postgres.url }
  const server = new BenchProcess('servers/one-query-per-client.ts', [], { cpu: SERVER_CPU, env })
  try {
    return await measure(plan, postgres, {
      pid: server.pid,
      port: Number(await server.line()),
      path: '/',
      subprotocol: null,
      // The first is sent at once; the subscription follows the acknowledgement, as with the product.
      hello: [null, `{"id":"{{uuid}}","roomId":"{{room}}","after":${MESSAGES - BEHIND}}`],
      values: { room: roomNumbers(plan).map(seedId) },
    })
  } finally {
    await server.stop()
  }
}

const roomNumbers = ({ rooms }: Plan) => Array.from({ length: rooms }, (_, index) => index + 1)

type Target = Pick<LightClientOptions, 'port' | 'path' | 'subprotocol' | 'hello' | 'values'> & { pid: number }

/** From the first client's first packet until the last client has its last event. */
async function measure(
  { clients }: Plan,
  postgres: BenchPostgres,
  { pid, ...target }: Target,
  check: () => Promise<unknown> = async () => {},
): Promise<Storm> {
  await postgres.resetStatements()
  const cpuBefore = await cpuMicroseconds(pid)
  const databaseCpuBefore = await familyCpuMicroseconds(postgres.pid)
  const start = performance.now()
  const opening = LightClient.open(
    { host: '127.0.0.1', connections: clients, readyFrames: 1, opening: OPENING, ...target },
    CLIENT_CPU,
  )
  const [client] = await Promise.all([opening, check()])
  try {
    const { frames } = await client.untilFrames(clients * FRAMES_PER_CLIENT, STORM_TIMEOUT_MS)
    const seconds = (performance.now() - start) / 1_000
    if (frames !== clients * FRAMES_PER_CLIENT) throw new Error(`${frames} frames came: some more than once`)
    return {
      seconds,
      cpuSeconds: ((await cpuMicroseconds(pid)) - cpuBefore) / 1e6,
      databaseCpuSeconds: ((await familyCpuMicroseconds(postgres.pid)) - databaseCpuBefore) / 1e6,
      statements: await postgres.readStatements(postgres.url),
    }
  } finally {
    await client.stop()
  }
}

const total = (counts: Record<string, number>) => Object.values(counts).reduce((sum, count) => sum + count, 0)

function report(plan: Plan, storms: Record<'sohbet' | 'one query per client', Storm[]>, environment: object): void {
  const figures = Object.entries(storms).map(([name, rounds]) => {
    const counts = rounds.map(({ statements }) => countByKind(statements))
    return {
      name,
      seconds: medianOf(rounds.map(({ seconds }) => seconds)),
      cpuSeconds: medianOf(rounds.map(({ cpuSeconds }) => cpuSeconds)),
      databaseCpuSeconds: medianOf(rounds.map(({ databaseCpuSeconds }) => databaseCpuSeconds)),
      // The most of any round: it is a bound, not an average.
      allStatementsPerRoom: Math.max(...counts.map(total)) / plan.rooms,
      statementsPerRoom: Math.max(...counts.map(forRooms)) / plan.rooms,
      statements: counts.at(-1),
    }
  })
  const [sohbet, other] = figures
  if (!sohbet || !other) throw new Error('a contender is missing')
  const heads = ['', 'seconds', 'server CPU s', 'database CPU s', 'statements per room']
  printTable(
    heads,
    figures.map(({ name, seconds, cpuSeconds, databaseCpuSeconds, statementsPerRoom }) => [
      name,
      ...[seconds, cpuSeconds, databaseCpuSeconds, statementsPerRoom].map((figure) => figure.toFixed(2)),
    ]),
  )
  process.stdout.write('\nStatements of the product, by what they are for:\n')
  for (const [beginning, calls] of groupByBeginning(storms.sohbet.at(-1)?.statements ?? [])) {
    process.stdout.write(`${String(calls).padStart(7)}  ${beginning}\n`)
  }
  const ratios = {
    'statements per room': roundRatio(sohbet.statementsPerRoom),
    'statements per room, signing in included': roundRatio(sohbet.allStatementsPerRoom),
    'one-query-per-client/sohbet time': roundRatio(other.seconds / sohbet.seconds),
    'one-query-per-client/sohbet cpu': roundRatio(other.cpuSeconds / sohbet.cpuSeconds),
    'one-query-per-client/sohbet database cpu': roundRatio(other.databaseCpuSeconds / sohbet.databaseCpuSeconds),
  }
  const result = { bench: 'resume', ratios, ...plan, behind: BEHIND, figures, ...environment }
  process.stdout.write(`RESULT ${JSON.stringify(result)}\n`)
}
