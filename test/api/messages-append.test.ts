// Appending at the store, where a test can say what stands together in one group: what the API cannot show for certain.

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { type AppendOutcome, appendMessages, type NewMessage } from '../../src/messages/append-messages.ts'
import { createMessages } from '../../src/messages/service.ts'
import { findMessages } from '../../src/messages/store.ts'
import { systemClock } from '../../src/platform/clock.ts'
import { createDb, type Db, isDataError, isUnavailable } from '../../src/platform/db.ts'
import { newId } from '../../src/platform/ids.ts'
import { createRooms } from '../../src/rooms/service.ts'
import { NO_ATTACHMENTS } from '../support/no-attachments.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres-server.ts'
import { withDatabase } from '../support/stored-rows.ts'

const NO_PUBLISHER = { publishEvents: () => {}, publishRoomRange: () => {} }

describe('appending messages', () => {
  let database: TestDatabase
  let db: Db
  let otherNode: Db
  let ada: string
  let bob: string

  beforeAll(async () => {
    database = await createTestDatabase(inject('postgresUrl'))
    db = createDb({ url: database.url, poolSize: 2 })
    otherNode = createDb({ url: database.url, poolSize: 2 })
    ada = await user('Ada')
    bob = await user('Bob')
  })
  afterAll(async () => {
    await Promise.all([db?.$disconnect(), otherNode?.$disconnect()])
    await database?.drop()
  })

  async function user(name: string): Promise<string> {
    const { id } = await db.user.create({ data: { id: newId(), subject: newId(), name, statusText: `I am ${name}` } })
    return id
  }

  /** A room with Ada in it. */
  async function room(more: { kind?: 'PRIVATE'; archivedAt?: Date; members?: string[] } = {}): Promise<string> {
    const { members = [ada], ...rest } = more
    const id = newId()
    const data = { id, kind: 'PUBLIC' as const, name: 'Room', searchText: 'room', createdById: ada, ...rest }
    await db.room.create({ data: { ...data, memberCount: members.length } })
    const memberships = members.map((userId) => ({ id: newId(), roomId: id, userId, role: 'MEMBER' as const }))
    await db.membership.createMany({ data: memberships })
    return id
  }

  function message(roomId: string, more: Partial<NewMessage> = {}): NewMessage {
    const content = { text: 'hello', replyToId: null, clientMessageId: null, mentions: [], attachments: [] }
    return { id: newId(), roomId, authorId: ada, ...content, ...more }
  }

  async function appendOne(one: NewMessage): Promise<AppendOutcome> {
    const [outcome] = await appendMessages(db, [one])
    if (!outcome) throw new Error('no outcome')
    return outcome
  }

  function sentOf(outcome: AppendOutcome) {
    if (!('message' in outcome)) throw new Error(outcome.outcome)
    return outcome.message
  }

  const seqOf = (outcome: AppendOutcome) => ('message' in outcome ? outcome.message.seq : outcome.outcome)
  const asSent = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

  it('still goes by the functions that nodes of the version before call, until the last of them is gone', async () => {
    const roomId = await room()
    const [first, second] = [message(roomId), message(roomId)]
    const one = db.runPrepared({ name: '', text: 'SELECT * FROM append_message($1, $2, $3, $4, $5, $6)' }, [
      ...[first.id, roomId, ada, 'by itself', null, null],
    ])
    expect(await one).toMatchObject([{ outcome: 'SENT', seq: 1 }])
    const group = db.runPrepared({ name: '', text: 'SELECT * FROM append_messages($1, $2, $3, $4, $5, $6, $7)' }, [
      ...[[roomId], [second.id], [roomId], [ada], ['in a group'], [null], [null]],
    ])
    expect(await group).toContainEqual(expect.objectContaining({ outcome: 'SENT', seq: 2 }))
    const found = await findMessages(db, [first.id, second.id])
    expect(found.map(({ seq, mentions, attachments }) => [seq, mentions, attachments]).toSorted()).toEqual([
      [1, [], []],
      [2, [], []],
    ])
  })

  /** One message of every kind, in rooms of their own, with what should become of each. */
  async function everyKind(): Promise<[AppendOutcome['outcome'], NewMessage][]> {
    const [open, other, hidden] = [await room({ members: [ada, bob] }), await room(), await room({ kind: 'PRIVATE' })]
    const archived = await room()
    const question = sentOf(await appendOne(message(open, { authorId: bob, text: 'Tea?' })))
    const original = message(open, { text: 'the first', replyToId: question.id, clientMessageId: 'again' })
    await appendOne(original)
    const inArchive = message(archived, { clientMessageId: 'kept' })
    await appendOne(inArchive)
    await db.room.update({ where: { id: archived }, data: { archivedAt: new Date() } })
    const stranger = { authorId: bob }
    return [
      ['SENT', message(open)],
      [
        'SENT',
        message(open, {
          replyToId: question.id,
          text: '\\ " \' {} , NULL 👩‍👩‍👧‍👦 \u0001\u2028',
          clientMessageId: 'é "{,}\\',
        }),
      ],
      ['SENT', message(other, { text: 'NULL', clientMessageId: 'NULL' })],
      ['DUPLICATE', { ...original, id: newId(), text: 'changed my mind', replyToId: null }],
      ['DUPLICATE', { ...inArchive, id: newId() }],
      ['NOT_FOUND', message(newId())],
      ['NOT_FOUND', message(hidden, stranger)],
      ['NOT_A_MEMBER', message(other, stranger)],
      ['NOT_A_MEMBER', message(other, { authorId: newId() })],
      ['ROOM_ARCHIVED', message(archived)],
      ['REPLY_NOT_FOUND', message(other, { replyToId: question.id })],
      ['REPLY_NOT_FOUND', message(other, { replyToId: newId() })],
      ['SENT', message(other)],
    ]
  }

  it('judges and returns a message in a group as it does one alone, and as history shows it', async () => {
    const [together, alone] = [await everyKind(), await everyKind()]
    const inGroup = await appendMessages(
      db,
      together.map(([, one]) => one),
    )
    const one: AppendOutcome[] = []
    for (const [, each] of alone) one.push(await appendOne(each))
    const expected = together.map(([outcome]) => outcome)
    expect(inGroup.map(({ outcome }) => outcome)).toEqual(expected)
    expect(one.map(({ outcome }) => outcome)).toEqual(expected)
    for (const outcomes of [inGroup, one]) {
      const messages = outcomes.flatMap((outcome) => ('message' in outcome ? [outcome.message] : []))
      const stored = new Map(
        (
          await findMessages(
            db,
            messages.map(({ id }) => id),
          )
        ).map((each) => [each.id, each]),
      )
      for (const { room: roomThen, ...rest } of messages) {
        const { room: roomNow, ...found } = stored.get(rest.id) ?? { room: null }
        expect(asSent(rest)).toEqual(asSent(found))
        expect(asSent({ ...roomNow, lastSeq: 0, lastActivityAt: 0 })).toEqual(
          asSent({ ...roomThen, lastSeq: 0, lastActivityAt: 0 }),
        )
        expect(roomThen.lastSeq).toBeGreaterThanOrEqual(rest.seq)
      }
    }
    expect(sentOf(one[1] ?? { outcome: 'NOT_FOUND' })).toMatchObject({ seq: 4, replyTo: { text: 'Tea?' } })
    expect(sentOf(one[3] ?? { outcome: 'NOT_FOUND' })).toMatchObject({ text: 'the first', replyTo: { text: 'Tea?' } })
  })

  it('numbers each room of a group on its own, refused messages and retries left out', async () => {
    const [one, other] = [await room(), await room()]
    const retried = { clientMessageId: 'same' }
    const outcomes = await appendMessages(db, [
      message(one),
      message(other, { text: 'first', ...retried }),
      message(one, { authorId: bob }),
      message(other, { text: 'second', ...retried }),
      message(one, retried),
      message(other),
      message(one, { authorId: bob, ...retried }),
      message(one, { authorId: bob, ...retried }),
    ])
    expect(outcomes.map(seqOf)).toEqual([1, 1, 'NOT_A_MEMBER', 1, 2, 2, 'NOT_A_MEMBER', 'NOT_A_MEMBER'])
    expect(outcomes[3]).toMatchObject({ outcome: 'DUPLICATE', message: { text: 'first' } })
    expect(await db.message.count({ where: { roomId: { in: [one, other] } } })).toBe(4)
    expect((await db.room.findMany({ where: { id: { in: [one, other] } } })).map(({ lastSeq }) => lastSeq)).toEqual([
      2, 2,
    ])
  })

  it('lets two nodes append to the same rooms in any order: no deadlock, no gap', async () => {
    const rooms = [await room(), await room(), await room(), await room()]
    const group = (order: readonly string[]) => [...order, ...order].map((id) => message(id))
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        appendMessages(i % 2 ? db : otherNode, group(i % 4 < 2 ? rooms : rooms.toReversed())),
      ),
    )
    const messages = outcomes.flat().map(sentOf)
    for (const id of rooms) {
      const seqs = messages.filter(({ roomId }) => roomId === id).map(({ seq }) => seq)
      expect(seqs.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 80 }, (_, i) => i + 1))
    }
  })

  it('lets a message that the database cannot store, and a room whose lock is held, fail alone', async () => {
    const messages = createMessages({
      db,
      publisher: NO_PUBLISHER,
      rooms: createRooms({ db, publisher: NO_PUBLISHER }),
      attachments: NO_ATTACHMENTS,
      clock: systemClock,
    })
    const viewer = { userId: ada, issuedAt: null, expiresAt: new Date(Number.MAX_SAFE_INTEGER), isOperator: false }
    const [open, held] = [await room(), await room()]
    const send = (roomId: string, text: string) =>
      messages.sendMessage(viewer, { roomId, text, replyToId: null, clientMessageId: null, attachmentIds: [] }).then(
        ({ seq }) => seq,
        (error: unknown) => error,
      )
    const bad = await Promise.all(['a', 'b', '\u0000', 'c'].map((text) => send(open, text)))
    expect(bad.map((result) => typeof result)).toEqual(['number', 'number', 'object', 'number'])
    expect(isDataError(bad[2])).toBe(true)
    await withDatabase(database.url, async (client) => {
      await client.query('BEGIN')
      await client.query('SELECT 1 FROM rooms WHERE id = $1 FOR UPDATE', [held])
      const [first, stuck, second] = await Promise.all([send(open, 'd'), send(held, 'x'), send(open, 'e')])
      expect([first, second]).toEqual([4, 5])
      expect(isUnavailable(stuck)).toBe(true)
      await client.query('ROLLBACK')
    })
    expect(await send(held, 'free')).toBe(1)
  })

  it('keeps to its indexes where the plan was made while the tables were empty', async () => {
    // Guards: plans made in an empty database went through all messages once there were some.
    const fresh = await createTestDatabase(inject('postgresUrl'))
    const node = createDb({ url: fresh.url, poolSize: 1 })
    try {
      for (const count of [1, 2])
        await appendMessages(
          node,
          Array.from({ length: count }, () => message(newId())),
        )
      const roomId = newId()
      await node.$executeRaw`INSERT INTO users (id, subject, name) SELECT gen_random_uuid(), u, u FROM generate_series(1, 3000) n, cast(n AS text) u`
      await node.$executeRaw`INSERT INTO users (id, subject, name) VALUES (${ada}::uuid, 'ada', 'Ada')`
      await node.$executeRaw`INSERT INTO rooms (id, kind, name, search_text, created_by_id, last_seq) VALUES (${roomId}::uuid, 'PUBLIC', 'r', 'r', ${ada}::uuid, 5000)`
      await node.$executeRaw`INSERT INTO memberships (id, room_id, user_id, role) SELECT gen_random_uuid(), ${roomId}::uuid, id, 'MEMBER' FROM users`
      await node.$executeRaw`INSERT INTO messages (id, room_id, seq, author_id, text, client_message_id) SELECT gen_random_uuid(), ${roomId}::uuid, n, ${ada}::uuid, 'x', n FROM generate_series(1, 5000) n`
      const readsBefore = await rowsRead(node)
      for (const count of [1, 2, 20]) {
        const group = Array.from({ length: count }, () => message(roomId, { clientMessageId: newId() }))
        expect((await appendMessages(node, group)).map(({ outcome }) => outcome)).toEqual(Array(count).fill('SENT'))
      }
      // 23 messages: some rows for each, and not all there are.
      expect((await rowsRead(node)) - readsBefore).toBeLessThan(23 * 20)
    } finally {
      await node.$disconnect()
      await fresh.drop()
    }
  })

  /** Rows that scans of any kind have fetched, or index entries that they have passed. */
  async function rowsRead(node: Db): Promise<number> {
    await node.$queryRaw`SELECT pg_stat_force_next_flush()::text`
    const [read] = await node.$queryRaw<{ rows: number }[]>`
      SELECT (sum(seq_tup_read) + sum((SELECT sum(idx_tup_read) FROM pg_stat_user_indexes i WHERE i.relid = t.relid)))::int
        AS "rows"
      FROM pg_stat_user_tables t WHERE relname IN ('messages', 'memberships', 'users')`
    return read?.rows ?? 0
  }
})
