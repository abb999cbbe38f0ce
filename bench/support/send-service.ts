// The whole service's half of the bench `send`: sendMessage over WebSocket (sign-in, validation, commit, publish) at the
// product as it ships beside an ordinary Yoga and Prisma server, each with a database of its own on one Postgres, one Redis
// for both. The measured server has a processor for itself; everything else shares the other.

import { SignJWT } from 'jose'
import { encodeGlobalId } from '../../src/graphql/global-id.ts'
import { CLIENT_CPU, leaveServerCpu, SERVER_CPU } from './machine.ts'
import { type BenchPostgres, runSql, startPostgres } from './postgres.ts'
import { BenchProcess, cpuMicroseconds } from './processes.ts'
import { startRedis } from './redis.ts'
import { seedId, seedRooms, subjectOf } from './seed.ts'
import type { SendersOptions, SendersResult, SendersRun } from './senders.ts'
import { startSohbet, tokenOf } from './sohbet.ts'
import { medianOf, roundRatio } from './statistics.ts'

const SOCKETS = 16
const SENDERS = [32, 256]
const SECRET = 'a secret of the comparator, long enough for HS256'
const MUTATION = `mutation ($input: SendMessageInput!) { sendMessage(input: $input) {
  ... on SendMessageSuccess { sentMessage { id seq createdAt } } } }`
const SUBSCRIPTION = `subscription ($roomId: ID!) { messageAdded(roomId: $roomId) {
  id seq text createdAt clientMessageId roomId author { id name } } }`

interface Contender {
  name: string
  serverPid: number
  senders: BenchProcess
  stop(): Promise<void>
}

interface Sample {
  messagesPerSecond: number
  /** Of the server's process, per message. */
  cpuMicroseconds: number
  answerP50Ms: number
  answerP99Ms: number
  deliveryP50Ms: number
  deliveryP99Ms: number
}

export interface ServiceResult {
  ratios: Record<string, number>
  /** Medians by contender and number of senders. */
  service: Record<string, Sample>
}

export async function compareServices({ quick }: { quick: boolean }): Promise<ServiceResult> {
  leaveServerCpu()
  const postgres = await startPostgres()
  const contenders: Contender[] = []
  try {
    const { url: redisUrl } = await startRedis()
    contenders.push(await startProduct(postgres, redisUrl), await startYoga(postgres, redisUrl))
    const service: Record<string, Sample> = {}
    for (const senders of SENDERS) {
      const run = { senders, ms: quick ? 1_500 : 4_000 }
      Object.assign(service, await rounds(contenders, run, { url: postgres.url, rounds: quick ? 2 : 5 }))
    }
    return { ratios: ratiosOf(service), service }
  } finally {
    for (const contender of contenders) await contender.stop()
    await postgres.stop()
  }
}

/** Medians of interleaved rounds, by contender and number of senders; the first round, which warms up, apart. */
async function rounds(
  contenders: readonly Contender[],
  run: SendersRun,
  { url, rounds }: { url: string; rounds: number },
): Promise<Record<string, Sample>> {
  const samples = new Map<string, Sample[]>(contenders.map(({ name }) => [name, []]))
  for (let round = 0; round <= rounds; round++) {
    for (const contender of contenders) {
      // What one contender has left for the database to write must not slow the next.
      await runSql(url, 'CHECKPOINT')
      const sample = await measure(contender, run)
      if (round > 0) samples.get(contender.name)?.push(sample)
    }
  }
  return Object.fromEntries([...samples].map(([name, all]) => [`${name} ${run.senders}`, mediansOf(all)]))
}

async function startProduct(postgres: BenchPostgres, redisUrl: string): Promise<Contender> {
  const url = await postgres.createMigrated('sohbet')
  await seedRooms(url, { people: SOCKETS, rooms: 1 })
  const server = await startSohbet({
    cpu: SERVER_CPU,
    settings: { DATABASE_URL: url, REDIS_URL: redisUrl, NODE_ENV: 'production' },
  })
  const tokens = await Promise.all(people((person) => tokenOf(subjectOf(person))))
  const roomId = encodeGlobalId('Room', seedId(1))
  const { host, port, pid } = server
  const senders = await startSenders({ host, port, tokens, roomId })
  return contender('sohbet', { senders, serverPid: pid, server })
}

async function startYoga(postgres: BenchPostgres, redisUrl: string): Promise<Contender> {
  const url = await postgres.createMigrated('yoga')
  await seedRooms(url, { people: SOCKETS, rooms: 1 })
  const server = new BenchProcess('servers/yoga-prisma.ts', [], {
    cpu: SERVER_CPU,
    env: { DATABASE_URL: url, REDIS_URL: redisUrl, JWT_SECRET: SECRET, NODE_ENV: 'production' },
  })
  const port = Number(await server.line())
  const sign = (person: number) =>
    new SignJWT({}).setProtectedHeader({ alg: 'HS256' }).setSubject(subjectOf(person)).setExpirationTime('12h')
  const tokens = await Promise.all(people((person) => sign(person).sign(Buffer.from(SECRET))))
  const senders = await startSenders({ host: '127.0.0.1', port, tokens, roomId: seedId(1) })
  return contender('yoga-prisma', { senders, serverPid: server.pid, server })
}

function contender(
  name: string,
  { senders, serverPid, server }: { senders: BenchProcess; serverPid: number; server: { stop(): Promise<void> } },
): Contender {
  return {
    name,
    serverPid,
    senders,
    async stop() {
      // They would mind losing their server.
      await senders.stop()
      await server.stop()
    },
  }
}

function people<T>(each: (person: number) => T): T[] {
  return Array.from({ length: SOCKETS }, (_, i) => each(i + 1))
}

async function startSenders(options: Omit<SendersOptions, 'mutation' | 'subscription'>): Promise<BenchProcess> {
  const senders = new BenchProcess('support/senders.ts', [], { cpu: CLIENT_CPU })
  await senders.ask(JSON.stringify({ ...options, mutation: MUTATION, subscription: SUBSCRIPTION }))
  return senders
}

async function measure({ serverPid, senders }: Contender, run: SendersRun): Promise<Sample> {
  const before = await cpuMicroseconds(serverPid)
  const result: SendersResult = JSON.parse(await senders.ask(JSON.stringify(run)))
  const used = (await cpuMicroseconds(serverPid)) - before
  return {
    messagesPerSecond: result.messages / result.seconds,
    cpuMicroseconds: used / result.messages,
    answerP50Ms: result.answerMs.p50,
    answerP99Ms: result.answerMs.p99,
    deliveryP50Ms: result.deliveryMs.p50,
    deliveryP99Ms: result.deliveryMs.p99,
  }
}

function mediansOf(samples: readonly Sample[]): Sample {
  const median = (key: keyof Sample) => Number(medianOf(samples.map((sample) => sample[key])).toPrecision(3))
  return {
    messagesPerSecond: median('messagesPerSecond'),
    cpuMicroseconds: median('cpuMicroseconds'),
    answerP50Ms: median('answerP50Ms'),
    answerP99Ms: median('answerP99Ms'),
    deliveryP50Ms: median('deliveryP50Ms'),
    deliveryP99Ms: median('deliveryP99Ms'),
  }
}

function ratiosOf(service: Record<string, Sample>): Record<string, number> {
  const ratio = (key: keyof Sample, senders: number) => {
    const [product, other] = [service[`sohbet ${senders}`], service[`yoga-prisma ${senders}`]]
    return (product?.[key] ?? Number.NaN) / (other?.[key] ?? Number.NaN)
  }
  return {
    'sohbet/yoga-prisma service': roundRatio(ratio('messagesPerSecond', 256)),
    'sohbet/yoga-prisma service 32': roundRatio(ratio('messagesPerSecond', 32)),
    'yoga-prisma/sohbet service cpu': roundRatio(1 / ratio('cpuMicroseconds', 256)),
    'sohbet/yoga-prisma delivery p99': roundRatio(ratio('deliveryP99Ms', 256)),
  }
}
