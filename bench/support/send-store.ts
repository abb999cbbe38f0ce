// The store's half of the bench `send`: messages a second through the product's writer beside pgbench's and Prisma's
// transaction for each message, in the same tables of one cluster, and what a lone send waits.

import { pgbench } from './pgbench.ts'
import { runSql, startPostgres } from './postgres.ts'
import { seedRooms } from './seed.ts'
import { medianOf, roundRatio } from './statistics.ts'
import { openPlain, openPrismaCreate, openProduct, plainScript, type StoreWriter } from './store-writers.ts'

const PEOPLE = 256
const ROOMS = 1_000
/** One hot room for each contender, so that nobody has to pass the dead rows of another; behind them the many. */
const HOT = { product: 1, pgbench: 2, prisma: 3, plain: 4 }
const FIRST_OF_MANY = 11
const MEMBERS = 64

interface Contender {
  name: string
  /** Messages a second. */
  measure(): Promise<number>
}

export interface StoreResult {
  ratios: Record<string, number>
  messagesPerSecond: Record<string, number>
  loneMicroseconds: Record<string, number>
}

export async function compareStores({ quick }: { quick: boolean }): Promise<StoreResult> {
  const postgres = await startPostgres({ migrated: true })
  const opened: StoreWriter[] = []
  const open = async (writer: StoreWriter | Promise<StoreWriter>) => {
    opened.push(await writer)
    return writer
  }
  try {
    const { url } = postgres
    await seedRooms(url, { people: PEOPLE, rooms: FIRST_OF_MANY - 1 + ROOMS, members: MEMBERS })
    const [product, plain, prisma] = [
      await open(openProduct(url)),
      await open(openPlain(url)),
      await open(openPrismaCreate(url)),
    ]
    const messagesPerSecond = await rates(contenders({ url, product, prisma, seconds: quick ? 1 : 2 }), {
      rounds: quick ? 3 : 5,
      // What one contender has left for the database to write must not slow the next.
      before: () => runSql(url, 'CHECKPOINT'),
    })
    const loneMicroseconds = await loneSends({ product, plain }, quick ? 5 : 15)
    return { ratios: ratiosOf(messagesPerSecond, loneMicroseconds), messagesPerSecond, loneMicroseconds }
  } finally {
    await Promise.all(opened.map((writer) => writer.close()))
    await postgres.stop()
  }
}

function contenders({
  url,
  product,
  prisma,
  seconds,
}: {
  url: string
  product: StoreWriter
  prisma: StoreWriter
  seconds: number
}): Contender[] {
  const hot = plainScript({ firstRoom: HOT.pgbench, rooms: 1, people: MEMBERS })
  const many = plainScript({ firstRoom: FIRST_OF_MANY, rooms: ROOMS, people: MEMBERS })
  const someRoom = () => FIRST_OF_MANY + Math.floor(Math.random() * ROOMS)
  const ms = seconds * 1_000
  return [
    { name: 'sohbet hot 32', measure: () => rateOf(product, { senders: 32, ms, room: () => HOT.product }) },
    { name: 'pgbench hot 32', measure: () => pgbench({ url, script: hot, clients: 32, seconds }) },
    { name: 'prisma-create hot 32', measure: () => rateOf(prisma, { senders: 32, ms, room: () => HOT.prisma }) },
    { name: 'sohbet hot 256', measure: () => rateOf(product, { senders: 256, ms, room: () => HOT.product }) },
    // So many take a while before the first of them gets anything done.
    { name: 'pgbench hot 256', measure: () => pgbench({ url, script: hot, clients: 256, seconds: 3 * seconds }) },
    { name: 'sohbet 1000 rooms 32', measure: () => rateOf(product, { senders: 32, ms, room: someRoom }) },
    { name: 'pgbench 1000 rooms 32', measure: () => pgbench({ url, script: many, clients: 32, seconds }) },
  ]
}

/** The median of interleaved rounds; the first, which warms up, apart. */
async function rates(
  contenders: readonly Contender[],
  { rounds, before }: { rounds: number; before: () => Promise<void> },
): Promise<Record<string, number>> {
  const samples = new Map<string, number[]>(contenders.map(({ name }) => [name, []]))
  for (let round = 0; round <= rounds; round++) {
    for (const { name, measure } of contenders) {
      await before()
      const rate = await measure()
      if (round > 0) samples.get(name)?.push(rate)
    }
  }
  return Object.fromEntries([...samples].map(([name, values]) => [name, Math.round(medianOf(values))]))
}

/** Messages a second of so many senders, each of whom waits for the answer before sending again. */
async function rateOf(
  writer: StoreWriter,
  { senders, ms, room }: { senders: number; ms: number; room: () => number },
): Promise<number> {
  const start = performance.now()
  const send = async (person: number): Promise<number> => {
    let sent = 0
    for (; performance.now() - start < ms; sent++) await writer.write(room(), person)
    return sent
  }
  const counts = await Promise.all(Array.from({ length: senders }, (_, i) => send((i % MEMBERS) + 1)))
  const seconds = (performance.now() - start) / 1_000
  return counts.reduce((sum, count) => sum + count, 0) / seconds
}

/** Median time of one send after the other, in microseconds: short turns, so that both meet the same machine. */
async function loneSends(
  { product, plain }: { product: StoreWriter; plain: StoreWriter },
  turns: number,
): Promise<Record<string, number>> {
  const samples = { sohbet: [] as number[], plain: [] as number[] }
  for (let turn = 0; turn <= turns; turn++) {
    const [one, other] = [await timesOf(plain, HOT.plain), await timesOf(product, HOT.product)]
    if (turn === 0) continue
    samples.plain.push(...one)
    samples.sohbet.push(...other)
  }
  return { sohbet: Math.round(medianOf(samples.sohbet)), plain: Math.round(medianOf(samples.plain)) }
}

async function timesOf(writer: StoreWriter, room: number): Promise<number[]> {
  const times: number[] = []
  for (let i = 0; i < 100; i++) {
    const start = performance.now()
    await writer.write(room, 1)
    times.push((performance.now() - start) * 1_000)
  }
  return times
}

function ratiosOf(rates: Record<string, number>, lone: Record<string, number>): Record<string, number> {
  const ratio = (a: number | undefined, b: number | undefined) => roundRatio((a ?? Number.NaN) / (b ?? Number.NaN))
  return {
    'sohbet/pgbench hot 32': ratio(rates['sohbet hot 32'], rates['pgbench hot 32']),
    'sohbet/pgbench hot 256': ratio(rates['sohbet hot 256'], rates['pgbench hot 256']),
    'sohbet/pgbench 1000 rooms 32': ratio(rates['sohbet 1000 rooms 32'], rates['pgbench 1000 rooms 32']),
    'sohbet/prisma-create hot 32': ratio(rates['sohbet hot 32'], rates['prisma-create hot 32']),
    'lone send/plain': ratio(lone.sohbet, lone.plain),
  }
}
