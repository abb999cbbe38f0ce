// What a page of history costs, near the end of a long room and deep in it: time from request to answer over HTTP, and how
// many statements the database runs for it, as pg_stat_statements counts them. A page has 50 messages with their authors,
// and the members of the room with their marks. The product as it ships, in production.

import { encodeGlobalId } from '../src/graphql/global-id.ts'
import type { BenchOptions } from './support/bench-options.ts'
import { describeEnvironment, leaveServerCpu, printTable, SERVER_CPU } from './support/machine.ts'
import { type BenchPostgres, runSql, type StatementCount, startPostgres } from './support/postgres.ts'
import { startRedis } from './support/redis.ts'
import { seedId, seedIdSql, seedRooms, subjectOf } from './support/seed.ts'
import { type Sohbet, startSohbet, tokenOf } from './support/sohbet.ts'
import { medianOf, quantileOf, roundRatio } from './support/statistics.ts'

const MESSAGES = 1_000_000
const QUICK_MESSAGES = 100_000
const PEOPLE = 50
const PAGE_SIZE = 50
const DEEP_PAGE = 1_000
/** Neighbouring pages of each, in turns: one page alone could be a lucky one. */
const NEIGHBOURS = 20
const ROOM_ID = encodeGlobalId('Room', seedId(1))

interface Page {
  room: {
    members: { edges: { node: { user: { id: string } } }[] }
    messages: { edges: { node: { seq: number } }[]; pageInfo: { startCursor: string; hasPreviousPage: boolean } }
  }
}

type ReadPage = (before: string | null) => Promise<Page['room']>

export async function run({ quick }: BenchOptions): Promise<void> {
  leaveServerCpu()
  const messages = quick ? QUICK_MESSAGES : MESSAGES
  const postgres = await startPostgres({ countStatements: true })
  try {
    const url = await postgres.createMigrated('sohbet')
    await seedRooms(url, { people: PEOPLE, rooms: 1 })
    await seedMessages(url, messages)
    const { url: redisUrl } = await startRedis()
    const server = await startSohbet({
      cpu: SERVER_CPU,
      settings: { DATABASE_URL: url, REDIS_URL: redisUrl, NODE_ENV: 'production' },
    })
    const { readPage, hasMarks } = await openReader(server)
    const cursors = await walk(readPage, DEEP_PAGE + NEIGHBOURS)
    const near = cursors.slice(0, NEIGHBOURS)
    const deep = cursors.slice(DEEP_PAGE - 1)
    const times = await compare(readPage, { near, deep, rounds: quick ? 5 : 20 })
    const statements = {
      'page 1': await countStatements(postgres, url, () => readPage(null)),
      [`page ${DEEP_PAGE}`]: await countStatements(postgres, url, () => readPage(deep[0] ?? null)),
    }
    report({ times, statements, messages, hasMarks, quick })
  } finally {
    await postgres.stop()
  }
}

/** Messages with ids in the order of their times, every tenth a reply. */
async function seedMessages(url: string, count: number): Promise<void> {
  const at = `now() - (${count} - n) * interval '1 second'`
  const id = `('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid`
  const replied = id.replace('(n)', '(n - 5)')
  await runSql(
    url,
    `INSERT INTO messages (id, room_id, seq, author_id, text, reply_to_id, client_message_id, created_at)
     SELECT ${id}, ${seedIdSql('1')}, n, ${seedIdSql(`(1 + n % ${PEOPLE})`)}, 'Message ' || n || repeat(' and more', 10),
       CASE WHEN n % 10 = 0 THEN ${replied} END, 'client-' || n, ${at}
     FROM generate_series(1, ${count}) n ORDER BY n`,
    `UPDATE rooms SET last_seq = ${count}, last_activity_at = now()`,
    'VACUUM ANALYZE',
  )
}

async function openReader(server: Sohbet): Promise<{ readPage: ReadPage; hasMarks: boolean }> {
  const token = await tokenOf(subjectOf(1))
  const { __type } = await server.request<{ __type: { fields: { name: string }[] } }>(
    token,
    '{ __type(name: "Membership") { fields { name } } }',
  )
  const hasMarks = __type.fields.some(({ name }) => name === 'lastReadSeq')
  const mark = hasMarks ? 'role lastReadSeq' : 'role'
  const query = `query ($roomId: ID!, $before: String) { room(id: $roomId) {
    id name viewerMembership { ${mark} }
    members(first: ${PEOPLE}) { edges { node { ${mark} user { id name avatarUrl } } } }
    messages(last: ${PAGE_SIZE}, before: $before) {
      edges { node { id seq text createdAt author { id name avatarUrl } replyTo { id seq text author { id name } } } }
      pageInfo { startCursor hasPreviousPage hasNextPage } } } }`
  const readPage: ReadPage = async (before) => {
    const { room } = await server.request<Page>(token, query, { roomId: ROOM_ID, before })
    const [messages, members] = [room.messages.edges.length, room.members.edges.length]
    if (messages !== PAGE_SIZE || members !== PEOPLE)
      throw new Error(`a page of ${messages} messages and ${members} members`)
    return room
  }
  return { readPage, hasMarks }
}

/** As a reader who scrolls up: the `before` of each page, that of the first being null. */
async function walk(readPage: ReadPage, pages: number): Promise<(string | null)[]> {
  const cursors: (string | null)[] = [null]
  while (cursors.length < pages) {
    const { messages } = await readPage(cursors.at(-1) ?? null)
    cursors.push(messages.pageInfo.startCursor)
  }
  return cursors
}

interface Times {
  near: number[]
  deep: number[]
}

async function compare(
  readPage: ReadPage,
  { near, deep, rounds }: { near: (string | null)[]; deep: (string | null)[]; rounds: number },
): Promise<Times> {
  const times: Times = { near: [], deep: [] }
  for (let round = 0; round <= rounds; round++) {
    for (let i = 0; i < NEIGHBOURS; i++) {
      const [one, other] = [await timeOf(readPage, near[i] ?? null), await timeOf(readPage, deep[i] ?? null)]
      // The first round warms up.
      if (round === 0) continue
      times.near.push(one)
      times.deep.push(other)
    }
  }
  return times
}

async function timeOf(readPage: ReadPage, before: string | null): Promise<number> {
  const start = performance.now()
  await readPage(before)
  return performance.now() - start
}

/** What one page makes the database run; of several pages, so that nothing that happens beside them counts. */
async function countStatements(
  postgres: BenchPostgres,
  url: string,
  readPage: () => Promise<unknown>,
): Promise<StatementCount[]> {
  const pages = 20
  await postgres.resetStatements()
  for (let i = 0; i < pages; i++) await readPage()
  const counts = await postgres.readStatements(url)
  return counts
    .map(({ query, calls }) => ({ query: query.replace(/\s+/g, ' ').trim(), calls: Math.floor(calls / pages) }))
    .filter(({ calls }) => calls > 0)
}

interface Report {
  times: Times
  statements: Record<string, StatementCount[]>
  messages: number
  hasMarks: boolean
  quick: boolean
}

function report({ times, statements, messages, hasMarks, quick }: Report): void {
  const row = (all: number[]) => [medianOf(all), quantileOf(all, 0.99)].map((ms) => Number(ms.toFixed(2)))
  printTable(
    ['page', 'p50 ms', 'p99 ms'],
    [
      ['page 1', ...row(times.near)],
      [`page ${DEEP_PAGE}`, ...row(times.deep)],
    ],
  )
  for (const [page, counts] of Object.entries(statements)) {
    process.stdout.write(`\nStatements of ${page}:\n`)
    for (const { query, calls } of counts) process.stdout.write(`  ${calls} × ${query.slice(0, 160)}\n`)
  }
  if (!hasMarks) process.stdout.write('\nThe schema has no lastReadSeq: the marks of the members are their roles.\n')
  const totals = Object.values(statements).map((counts) => counts.reduce((sum, { calls }) => sum + calls, 0))
  const ratios = {
    'page 1000/page 1': roundRatio(medianOf(times.deep) / medianOf(times.near)),
    'statements per page': Math.max(...totals),
  }
  const milliseconds = { 'page 1': row(times.near)[0], 'page 1000': row(times.deep)[0] }
  const result = { bench: 'history', ratios, milliseconds, messages, environment: describeEnvironment(), quick }
  process.stdout.write(`RESULT ${JSON.stringify(result)}\n`)
}
