// Consumers on several nodes at once, whose transactions are cut again and again: every event is told once to everybody
// whom it is for, in few notifications, and to the channels as often as to the users.

import type pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { CONSUME_ROOM } from '../../src/notifications/consumer-service.ts'
import { MAX_KEPT_PER_USER, removeOldNotifications } from '../../src/notifications/retention-service.ts'
import type { Viewer } from '../../src/platform/viewer.ts'
import { DAYS } from '../../src/viewer-events/notification-record.ts'
import { Random } from '../faults/random.ts'
import { eventually } from '../support/eventually.ts'
import {
  CREATE_DELIVERIES,
  cutTransactions,
  type NotificationNode,
  openClient,
  startNotificationNode,
} from '../support/notification-nodes.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres-server.ts'

/** Short, so that much is told at once. */
const WINDOW_MS = 100

/** A room, and by `user kind` of how many events each of its people is to be told. */
async function openTown(node: NotificationNode) {
  const [ada, bob, cem] = [await node.signUp('Ada'), await node.signUp('Bob'), await node.signUp('Cem')]
  const [dila, eda] = [await node.signUp('Dila'), await node.signUp('Eda')]
  const { id: room } = await node.rooms.createRoom(ada, {
    ...{ kind: 'PUBLIC', name: 'Garden', slug: null, topic: null },
    memberIds: [bob.userId, cem.userId],
  })
  for (const one of [dila, eda]) await node.rooms.joinRoom(one, room)
  await node.notificationSettings.setRoomNotifications(bob, room, { level: 'ALL' })
  await node.notificationSettings.updateSettings(cem, { level: 'ALL' })
  await node.notificationSettings.setRoomNotifications(dila, room, { level: 'NONE' })
  const expected = new Map<string, number>()
  const expectTold = (users: readonly Viewer[], kind: string) => {
    for (const { userId } of users) expected.set(`${userId} ${kind}`, (expected.get(`${userId} ${kind}`) ?? 0) + 1)
  }
  expectTold([bob, cem], 'ROOM_ADDED')
  let last: { id: string; author: Viewer } | null = null
  const texts = {
    'nothing for anybody': [],
    '@Eda look': [eda],
    '@Bob and @Dila, look': [bob],
    '@room look': [ada, bob, cem, eda],
  }

  /** Sends any message, by anybody, perhaps a reply to the one before. */
  async function send(by: NotificationNode, random: Random): Promise<void> {
    const author = random.pick([ada, bob, eda])
    const [text, meant] = random.pick(Object.entries(texts))
    const quoted: { id: string; author: Viewer } | null = random.chance(0.3) ? last : null
    const { id } = await by.send(author, room, text, quoted?.id ?? null)
    last = { id, author }
    const told = new Set([author])
    const tell = (users: readonly Viewer[], kind: string) => {
      const others = users.filter((user) => !told.has(user))
      for (const user of others) told.add(user)
      expectTold(others, kind)
    }
    tell(meant, 'MENTION')
    tell(quoted ? [quoted.author] : [], 'REPLY')
    tell([bob, cem], 'MESSAGE')
  }

  return { room, expected, send }
}

describe('consumers of notifications', () => {
  let database: TestDatabase
  let client: pg.Client
  const nodes: NotificationNode[] = []
  beforeAll(async () => {
    database = await createTestDatabase(inject('postgresUrl'))
    client = await openClient(database.url)
    await client.query(CREATE_DELIVERIES)
  })
  afterEach(async () => {
    await Promise.all(nodes.splice(0).map((node) => node.stop()))
    await client.query('TRUNCATE deliveries')
  })
  afterAll(async () => {
    await client?.end()
    await database?.drop()
  })

  const start = async (count: number, windowMs = WINDOW_MS) => {
    for (let i = 0; i < count; i++) {
      nodes.push(await startNotificationNode(database.url, { windowMs, sweepIntervalMs: 500 }))
    }
    const [first] = nodes
    if (!first) throw new Error('there are no nodes')
    return first
  }

  /** Everything was looked at, and nothing is left to be told. */
  const expectDone = () =>
    eventually(
      async () => {
        const { rows } = await client.query(`SELECT
          (SELECT count(*)::int FROM rooms r LEFT JOIN notification_positions p ON p.room_id = r.id
            WHERE p.seq IS DISTINCT FROM r.last_seq) AS behind,
          (SELECT count(*)::int FROM notification_entries) AS entries,
          (SELECT count(*)::int FROM notification_passes) AS passes`)
        expect(rows).toEqual([{ behind: 0, entries: 0, passes: 0 }])
      },
      { timeoutMs: 60_000 },
    )

  /** By `user kind`: of how many events they were told, in how many notifications, how often. */
  async function toldOf(room: string) {
    const { rows } = await client.query<{
      who: string
      events: number
      versions: number
      told: number
      planned: number
    }>(
      `SELECT n.user_id || ' ' || n.kind AS who, sum(n.count)::int AS events, sum(n.version)::int AS versions,
        sum((SELECT count(*) FROM user_events e WHERE e.user_id = n.user_id AND e.type IN
          ('NotificationAdded', 'NotificationUpdated') AND e.payload->'notification'->>'id' = n.id::text))::int AS told,
        sum((SELECT count(DISTINCT version) FROM deliveries d WHERE d.notification_id = n.id))::int AS planned
      FROM notifications n WHERE n.room_id = $1 GROUP BY 1`,
      [room],
    )
    return new Map(rows.map((row) => [row.who, row]))
  }

  it('tell every event once, whatever is cut', async () => {
    const random = new Random(5)
    const first = await start(3)
    const model = await openTown(first)
    const startedAtMs = performance.now()
    let cut = 0
    let isSending = true
    const cutting = (async () => {
      while (isSending) {
        cut += await cutTransactions(client)
        await new Promise((resolve) => setTimeout(resolve, random.waitMs(60)))
      }
    })()
    // Far more jobs than are needed, so that several nodes are at the same events.
    const crowding = nodes.map(async ({ jobs }) => {
      while (isSending) {
        await jobs.send(CONSUME_ROOM, { roomId: model.room }, { key: model.room })
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    })
    try {
      for (let i = 0; i < 300; i++) await model.send(random.pick(nodes), random)
      // On a fast machine the sends may be over before much was cut.
      await eventually(async () => {
        await model.send(random.pick(nodes), random)
        expect(cut).toBeGreaterThan(20)
      })
    } finally {
      isSending = false
      await Promise.all([cutting, ...crowding])
    }
    await expectDone()

    const told = await toldOf(model.room)
    expect(new Map([...told].map(([who, { events }]) => [who, events]))).toEqual(model.expected)
    const windows = Math.ceil((performance.now() - startedAtMs) / WINDOW_MS) + 1
    for (const { versions, told: events, planned } of told.values()) {
      expect([events, planned]).toEqual([versions, versions])
      expect(versions).toBeLessThanOrEqual(windows)
    }
    const { rows } = await client.query(
      'SELECT 1 FROM deliveries GROUP BY notification_id, version HAVING count(*) > 1',
    )
    expect(rows).toEqual([])
  }, 120_000)

  it('tell everybody in a large room once, some at a time, and a storm there without a row for each', async () => {
    const first = await start(2, 3_000)
    const ada = await first.signUp('Ada')
    const { id: room } = await first.rooms.createRoom(ada, {
      ...{ kind: 'PUBLIC', name: 'Square', slug: null, topic: null, memberIds: [] },
    })
    // More than three steps of two hundred.
    const members = 650
    await client.query(
      `WITH made AS (
        INSERT INTO users (id, subject, name) SELECT gen_random_uuid(), 'member ' || i, 'Member ' || i
        FROM generate_series(1, $2::int) i RETURNING id
      ) INSERT INTO memberships (id, room_id, user_id, role) SELECT gen_random_uuid(), $1, id, 'MEMBER' FROM made`,
      [room, members],
    )
    await first.send(ada, room, '@room one')
    const count = async (sql: string) => (await client.query<{ n: number }>(`SELECT (${sql})::int AS n`)).rows[0]?.n
    const inRoom = `FROM notifications WHERE room_id = '${room}'`
    await eventually(async () => expect(await count(`SELECT count(*) ${inRoom}`)).toBe(members))
    for (let i = 0; i < 30; i++) await nodes[i % 2]?.send(ada, room, `@room ${i}`)
    await expectDone()
    // Another one for those whose window was over between two of the sends: by how fast they were.
    expect(await count(`SELECT count(*) ${inRoom}`)).toBeLessThan(members * 5)
    expect(await count(`SELECT sum(count) ${inRoom}`)).toBe(members * 31)
    // Told at once, and when the window was over; once more each where the sends took longer than it.
    const versions = (await count(`SELECT max(version) ${inRoom}`)) ?? 0
    expect(versions).toBeGreaterThan(1)
    expect(await count(`SELECT count(*) FROM deliveries`)).toBe(await count(`SELECT sum(version) ${inRoom}`))
    expect(await count(`SELECT sum(version) ${inRoom}`)).toBeLessThan(members * 10)
  }, 60_000)

  it('wake no device in hours in which that is not wanted, and keep what happens then in the inbox', async () => {
    const first = await start(1, 600_000)
    const [ada, bob, cem] = [await first.signUp('Ada'), await first.signUp('Bob'), await first.signUp('Cem')]
    // From midnight to midnight.
    const doNotDisturb = { start: '00:00', end: '00:00', timeZone: 'UTC', days: DAYS }
    await first.notificationSettings.updateSettings(bob, { doNotDisturb })
    await first.notificationSettings.updateSettings(cem, { pushPrivacy: 'SENDER_ONLY' })
    const { id: room } = await first.rooms.createRoom(ada, {
      ...{ kind: 'PUBLIC', name: 'Nightclub', slug: null, topic: null },
      memberIds: [bob.userId, cem.userId],
    })
    await first.send(ada, room, '@Bob @Cem are you awake')
    await expectDone()
    expect(await first.inbox.countUnread(bob)).toBe(2)
    const { rows } = await client.query('SELECT user_id, title, body FROM deliveries ORDER BY title')
    expect(rows).toEqual([
      { user_id: cem.userId, title: 'Ada added you to Nightclub', body: '' },
      { user_id: cem.userId, title: 'Ada mentioned you in Nightclub', body: '' },
    ])
  })

  it('tell nobody of what they have lost, or have read, by the time that it would be told', async () => {
    const first = await start(1, 2_000)
    const [ada, bob, cem] = [await first.signUp('Ada'), await first.signUp('Bob'), await first.signUp('Cem')]
    const { id: room } = await first.rooms.createRoom(ada, {
      ...{ kind: 'PRIVATE', name: 'Cellar', slug: null, topic: null },
      memberIds: [bob.userId, cem.userId],
    })
    await first.send(ada, room, '@room one')
    await eventually(async () => expect(await first.inbox.countUnread(cem)).toBe(2))
    const { id } = await first.send(ada, room, '@room two')
    await eventually(async () => {
      const { rows } = await client.query('SELECT seq FROM notification_entries WHERE message_id = $1', [id])
      expect(rows).toHaveLength(1)
    })
    // Bob has lost the room, and Cem a message of which he was to be told, before the window is over.
    await first.rooms.removeMember(ada, room, bob.userId)
    await first.messages.deleteMessage(ada, id)
    await expectDone()
    const { rows } = await client.query(
      "SELECT user_id, count, version FROM notifications WHERE room_id = $1 AND kind = 'MENTION' ORDER BY user_id",
      [room],
    )
    const untold = { count: 1, version: 1 }
    expect(rows).toEqual([bob.userId, cem.userId].sort().map((userId) => ({ user_id: userId, ...untold })))
  })

  it('keep notifications for as long as they are set to, and a number of them for each user', async () => {
    const first = await start(1)
    const [ada, bob] = [await first.signUp('Ada'), await first.signUp('Bob')]
    const now = Date.parse('2026-06-30T12:00:00Z')
    const idAt = (daysAgo: number, i: number) => {
      const time = (now - daysAgo * 86_400_000).toString(16).padStart(12, '0')
      return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${String(i).padStart(12, '0')}`
    }
    const fill = async (user: Viewer, ids: string[]) => {
      await first.db.notification.createMany({
        data: ids.map((id) => ({
          ...{ id, userId: user.userId, roomId: ada.userId, kind: 'MENTION', actorId: ada.userId, count: 1 },
          ...{ createdAt: new Date(), updatedAt: new Date() },
        })),
      })
    }
    await fill(ada, [91, 90.01, 89.99, 1].map(idAt))
    const many = Array.from({ length: MAX_KEPT_PER_USER + 7 }, (_, i) => idAt(2, i))
    await fill(bob, many)
    const { signal } = new AbortController()
    await removeOldNotifications({ db: first.db, clock: { now: () => now }, days: 90 }, { signal })
    const kept = async ({ userId }: Viewer) =>
      (await first.db.notification.findMany({ where: { userId }, orderBy: { id: 'asc' } })).map(({ id }) => id)
    expect(await kept(ada)).toEqual([idAt(89.99, 2), idAt(1, 3)])
    expect(await kept(bob)).toEqual(many.slice(7))
    expect(await first.inbox.countUnread(bob)).toBe(100)
  })

  it('do not tell what is old when they come to it, nor read all of it', async () => {
    const first = await start(1)
    const [ada, bob] = [await first.signUp('Ada'), await first.signUp('Bob')]
    const { id: room } = await first.rooms.createRoom(ada, {
      ...{ kind: 'DIRECT', name: null, slug: null, topic: null },
      memberIds: [bob.userId],
    })
    // An import: years of messages, the last three of them of today.
    await client.query(
      `WITH moved AS (UPDATE rooms SET last_seq = last_seq + 5003 WHERE id = $1 RETURNING last_seq - 5003 AS head)
      INSERT INTO messages (id, room_id, seq, author_id, text, created_at)
      SELECT gen_random_uuid(), $1, head + i, $2, 'message ' || i,
        CASE WHEN i > 5000 THEN now() ELSE now() - (5003 - i) * interval '1 day' END
      FROM moved, generate_series(1, 5003) i`,
      [room, ada.userId],
    )
    await expectDone()
    const { rows } = await client.query('SELECT sum(count)::int AS told FROM notifications WHERE user_id = $1', [
      bob.userId,
    ])
    expect(rows).toEqual([{ told: 3 }])
    expect(first.entriesRead()).toBeLessThan(1_000)
  })

  it('find what is meant for somebody among thousands of messages that nobody wants to be told of', async () => {
    const first = await start(1)
    const [ada, bob] = [await first.signUp('Ada'), await first.signUp('Bob')]
    const { id: room } = await first.rooms.createRoom(ada, {
      ...{ kind: 'PUBLIC', name: 'Market', slug: null, topic: null, memberIds: [] },
    })
    await first.rooms.joinRoom(bob, room)
    const { id: quoted } = await first.send(bob, room, 'who has seen my hat')
    // More mentions than are read at once, with few and with many others between them, and the replies at the very end.
    await client.query(
      `WITH moved AS (UPDATE rooms SET last_seq = last_seq + 20000 WHERE id = $1 RETURNING last_seq - 20000 AS head)
      INSERT INTO messages (id, room_id, seq, author_id, text, created_at, mentions, reply_to_id)
      SELECT gen_random_uuid(), $1, head + i, $2, 'message ' || i, now(),
        CASE WHEN i % 4999 = 0 OR i BETWEEN 9000 AND 9299 THEN $3::jsonb END, CASE WHEN i > 19997 THEN $4::uuid END
      FROM moved, generate_series(1, 20000) i`,
      [room, ada.userId, JSON.stringify([{ start: 0, length: 7, userId: bob.userId }]), quoted],
    )
    await expectDone()
    const { rows } = await client.query(
      'SELECT kind, sum(count)::int AS told FROM notifications WHERE user_id = $1 GROUP BY kind ORDER BY kind',
      [bob.userId],
    )
    expect(rows).toEqual([
      { kind: 'MENTION', told: 304 },
      { kind: 'REPLY', told: 3 },
    ])
    // Most of it was passed over.
    expect(first.entriesRead()).toBeLessThan(2_000)
  })
})
