// Guards: what a page of history costs the database, near the end of a room and deep in it. Every statement that the node
// sends is counted; those that read messages are explained.

import type pg from 'pg'
import { beforeAll, describe, expect, it } from 'vitest'
import { decodeGlobalId } from '../../src/graphql/global-id.ts'
import { countStatements, type Statement } from '../support/count-statements.ts'
import { type Person, person } from '../support/seed.ts'
import { useNodes } from '../support/start-nodes.ts'
import { withDatabase } from '../support/stored-rows.ts'

const MESSAGES = 10_000
const MEMBERS = 30
const PAGE_SIZE = 50

const PAGE = `query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String, $aroundSeq: Int) { room(id: $id) {
  name viewerMembership { role room { viewerMembership { role } } }
  members(first: 100) { edges { node { role joinedAt user { name avatarUrl lastSeenAt } room { name } } } }
  messages(first: $first, after: $after, last: $last, before: $before, aroundSeq: $aroundSeq) {
    edges { node { seq text author { name } room { name } replyTo { text author { name } } } }
    pageInfo { startCursor endCursor hasPreviousPage hasNextPage } } } }`

interface Page {
  room: {
    viewerMembership: { role: string; room: { viewerMembership: { role: string } } } | null
    members: { edges: { node: { role: string; user: { name: string } } }[] }
    messages: {
      edges: { node: { seq: number } }[]
      pageInfo: { startCursor: string; endCursor: string; hasPreviousPage: boolean; hasNextPage: boolean }
    }
  }
}

interface PlanNode {
  'Node Type': string
  'Relation Name'?: string
  'Index Name'?: string
  'Actual Rows': number
  'Actual Loops': number
  'Rows Removed by Filter'?: number
  Plans?: PlanNode[]
}

describe('a page of history', () => {
  // Nothing of the hub's own in between.
  const nodes = useNodes({ nodes: 1, settings: { SWEEP_INTERVAL_MS: '300000' } })
  let ada: Person
  let bo: Person
  let roomId: string
  /** By its name, the arguments of a page and the statements that it took. */
  const pages = new Map<string, { args: object; page: Page['room']; statements: Statement[] }>()

  /** What somebody reads, and the statements that the node sent for it. */
  const readAs = async <T>(reader: Person, query: string, variables: object) => {
    const counter = countStatements(nodes().databaseUrl)
    try {
      const data = await reader.do<T>(query, variables)
      return { data, statements: counter.takeStatements() }
    } finally {
      counter.stop()
    }
  }
  const read = async (name: string, args: object, reader = ada) => {
    const { data, statements } = await readAs<Page>(reader, PAGE, { id: roomId, ...args })
    pages.set(name, { args, page: data.room, statements })
    return data.room.messages.pageInfo
  }

  beforeAll(async () => {
    const [url = ''] = nodes().urls
    ada = await person(url, 'Ada')
    bo = await person(url, 'Bo')
    roomId = await ada.createRoom()
    // A second room between the lines of the first: the whole table is not the room.
    const rooms = [roomId, await ada.createRoom()].map((id) => decodeGlobalId(id).id)
    await withDatabase(nodes().databaseUrl, (client) => seed(client, rooms))

    const { startCursor } = await read('the newest page', { last: PAGE_SIZE })
    await read('the page before it', { last: PAGE_SIZE, before: startCursor })
    const middle = await read('a window in the middle', { first: PAGE_SIZE, aroundSeq: MESSAGES / 2 })
    await read('a deep page', { last: PAGE_SIZE, before: middle.startCursor })
    await read('a deep page forward', { first: PAGE_SIZE, after: middle.endCursor })
    const oldest = await read('the oldest page', { first: PAGE_SIZE })
    await read('the second oldest page', { first: PAGE_SIZE, after: oldest.endCursor })
    const end = await read('a page of a reader who is no member', { last: PAGE_SIZE }, bo)
    await read('nothing after the newest', { first: PAGE_SIZE, after: end.endCursor })
    await read('a page between two cursors', { after: oldest.endCursor, before: startCursor })
  })

  it('takes three statements: the room with the viewer’s membership, the members, the messages', () => {
    expect(pages.size).toBe(10)
    for (const [name, { statements }] of pages) {
      const tables = statements.map(({ text }) =>
        ['messages', 'memberships', 'rooms'].filter((table) => text.includes(`"${table}" `)),
      )
      expect([name, tables.map((of) => of.join(' '))]).toEqual([
        name,
        ['memberships rooms', 'memberships', 'messages rooms'],
      ])
    }
  })

  it('is complete nevertheless', () => {
    for (const [name, { page, args }] of pages) {
      const { viewerMembership, members, messages } = page
      const role = name.includes('no member') ? null : 'OWNER'
      expect(viewerMembership).toEqual(role && { role, room: { viewerMembership: { role } } })
      expect(members.edges.map(({ node }) => [node.role, node.user.name])).toEqual([
        ['OWNER', 'Ada'],
        ...Array.from({ length: MEMBERS }, (_, i) => ['MEMBER', `Member ${i + 1}`]),
      ])
      expect([name, args, messages.edges.length]).toEqual([name, args, name.startsWith('nothing') ? 0 : PAGE_SIZE])
      const { hasPreviousPage, hasNextPage } = messages.pageInfo
      expect([name, hasPreviousPage]).toEqual([name, name !== 'the oldest page'])
      const isNewest = ['newest', 'no member'].some((word) => name.includes(word))
      expect([name, hasNextPage]).toEqual([name, !isNewest])
    }
  })

  it.each([
    ['before the database has counted its rows', 'SELECT'],
    ['after that', 'VACUUM ANALYZE'],
  ])('is a range of the index, read as far as the page goes, %s', async (_when, first) => {
    await withDatabase(nodes().databaseUrl, async (client) => {
      await client.query(first)
      for (const [name, { statements }] of pages) {
        const plan = await explain(client, readOfMessages(statements))
        // Those within what a message has that mentions somebody, or that has files, are run for such messages only.
        const isSort = (node: PlanNode) => node['Node Type'].includes('Sort') && node['Actual Loops'] > 0
        const scans = plan.filter((node) => node['Relation Name'] === 'messages')
        const ranges = scans.filter((node) => node['Index Name'] === 'messages_room_id_seq_key')
        expect({
          name,
          // Mentions and attachments have an order of their own; of these messages none has any, so nobody sorts.
          sorts: plan.filter((node) => isSort(node) && node['Actual Loops'] > 0),
          kinds: [...new Set(scans.map((node) => node['Node Type']))],
          left: sum(scans.map((node) => node['Rows Removed by Filter'] ?? 0)),
        }).toEqual({ name, sorts: [], kinds: ['Index Scan'], left: 0 })
        // A window has two sides. A page has one more where it is open, and one beyond each cursor.
        const most = name.includes('window') ? 2 * (PAGE_SIZE + 1) : PAGE_SIZE + 3
        const rows = sum(ranges.map((node) => node['Actual Rows'] * node['Actual Loops']))
        expect([name, rows > 0 && rows <= most]).toEqual([name, true])
      }
    })
  })
})

describe('the viewer’s membership', () => {
  const nodes = useNodes({ nodes: 1, settings: { SWEEP_INTERVAL_MS: '300000' } })

  it('is read in one statement for all rooms of a list, and for all messages of a page', async () => {
    const [url = ''] = nodes().urls
    const [ada, bo] = [await person(url, 'Ada'), await person(url, 'Bo')]
    const [first = ''] = [await ada.createRoom(), await ada.createRoom(), await bo.createRoom()]
    for (const text of ['one', 'two', 'three']) await ada.send(first, text)
    const count = async (query: string) => {
      const counter = countStatements(nodes().databaseUrl)
      try {
        return { data: await ada.do(query, {}), statements: counter.take().length }
      } finally {
        counter.stop()
      }
    }
    const list = await count('{ rooms(orderBy: ACTIVITY) { edges { node { viewerMembership { role } } } } }')
    const own = { node: { viewerMembership: { role: 'OWNER' } } }
    expect(list.data).toEqual({ rooms: { edges: [own, { node: { viewerMembership: null } }, own] } })
    expect(list.statements).toBe(2)

    const page = await count(`{ room(id: "${first}") {
      viewerMembership { user { name } }
      messages { edges { node { room { viewerMembership { role user { name } room { name } } } } } } } }`)
    expect(page.data).toMatchObject({ room: { viewerMembership: { user: { name: 'Ada' } } } })
    // The room, its messages, and once each: the memberships of the messages' rooms, and the users, for both depths.
    expect(page.statements).toBeLessThanOrEqual(5)
  })
})

async function seed(client: pg.Client, rooms: string[]): Promise<void> {
  await client.query(
    `INSERT INTO users (id, subject, name) SELECT gen_random_uuid(), 'member-' || n, 'Member ' || n
     FROM generate_series(1, ${MEMBERS}) n`,
  )
  // Ids in the order of the names, and after Ada's.
  await client.query(
    `INSERT INTO memberships (id, room_id, user_id, role)
     SELECT ('ffffffff-0000-7000-8000-' || lpad(substr(u.name, 8), 12, '0'))::uuid, $1, u.id, 'MEMBER'
     FROM users u WHERE u.name LIKE 'Member %'`,
    [rooms[0]],
  )
  // Every tenth is a reply.
  const id = (seq: string) => `('01900000-0000-7000-8000-' || lpad(to_hex(${seq} * 2 + room.number), 12, '0'))::uuid`
  await client.query(
    `INSERT INTO messages (id, room_id, seq, author_id, text, reply_to_id)
     SELECT ${id('seq')}, room.id, seq, author.id, 'Message ' || seq, CASE WHEN seq % 10 = 0 THEN ${id('(seq - 5)')} END
     FROM generate_series(2, ${MESSAGES}) seq
     JOIN users author ON author.name = 'Member ' || (1 + seq % ${MEMBERS})
     CROSS JOIN unnest($1::uuid[]) WITH ORDINALITY AS room (id, number)
     ORDER BY seq`,
    [rooms],
  )
  await client.query(`UPDATE rooms SET last_seq = ${MESSAGES}`)
}

function readOfMessages(statements: readonly Statement[]): Statement {
  const statement = statements.find(({ text }) => text.includes('"messages"'))
  if (!statement) throw new Error('no statement has read messages')
  return statement
}

/** Runs the statement; gives all steps of its plan, with what they did. */
async function explain(client: pg.Client, statement: Statement): Promise<PlanNode[]> {
  const { rows } = await client.query<{ 'QUERY PLAN': { Plan: PlanNode }[] }>({
    text: `EXPLAIN (ANALYZE, FORMAT JSON) ${statement.text}`,
    values: statement.values,
  })
  const [root] = rows[0]?.['QUERY PLAN'] ?? []
  if (!root) throw new Error('there is no plan')
  return flatten(root.Plan)
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

function flatten(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(flatten)]
}
