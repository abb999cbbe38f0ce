// What a stream refuses before it opens, and the simplest stream, messageAdded.

import { afterEach, describe, expect, it } from 'vitest'
import { cutRoomLogs } from '../../src/events/retention.ts'
import { createDb } from '../../src/platform/db.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { brief, itemOf, openRoomEvents, openRoomEventsSse, ROOM_EVENTS } from '../support/room-events.ts'
import { person, stopAll } from '../support/seed.ts'
import { describeTopologies, type TestNodes } from '../support/start-nodes.ts'
import { withDatabase } from '../support/stored-rows.ts'
import { type Result, type Stream, subscribe, subscribeSse } from '../support/stream.ts'

const MESSAGE_ADDED = `subscription ($roomId: ID!, $after: Int) {
  messageAdded(roomId: $roomId, after: $after) { seq text }
}`
const ROOM_PRESENCE = 'subscription ($roomId: ID!) { roomPresence(roomId: $roomId) { __typename } }'

type Messages = { messageAdded: { seq: number; text: string } }

/** The extensions of the one error that a refused stream gives, after which it ends. */
async function refusalOf<T>(stream: Stream<Result<T>>): Promise<Record<string, unknown> | undefined> {
  const { data, errors } = await stream.next()
  expect(data ?? null).toBeNull()
  expect(errors).toHaveLength(1)
  expect(await stream.ended()).toBeNull()
  expect(stream.items).toHaveLength(1)
  return errors?.[0]?.extensions
}

/** Cuts all logs up to then. Gives how many rooms it cut. */
async function cut(nodes: TestNodes, before: Date): Promise<number> {
  const db = createDb({ url: nodes.databaseUrl, poolSize: 1 })
  try {
    return await cutRoomLogs({ db, logger: createLogger('fatal') }, before)
  } finally {
    await db.$disconnect()
  }
}

describeTopologies('a stream', (nodes) => {
  afterEach(stopAll)

  it('refuses a room that is not there or not the viewer’s, alike, before it opens', async () => {
    const [first = '', second = first] = nodes().urls
    const [ada, bob] = await Promise.all([person(first, 'Ada'), person(second, 'Bob')])
    const hidden = await ada.createRoom({ kind: 'PRIVATE' })
    const direct = await ada.createRoom({ kind: 'DIRECT', memberIds: [(await person(first, 'Cem')).id] })
    const absent = Buffer.from('Room:01890a5d-ac96-774b-bcce-b302099a8057').toString('base64url')
    const client = bob.connect()
    for (const roomId of [hidden, direct, absent]) {
      for (const query of [ROOM_EVENTS, MESSAGE_ADDED, ROOM_PRESENCE]) {
        const streams = [subscribe(client, query, { roomId }), subscribeSse(first, bob.token, query, { roomId })]
        for (const stream of streams) {
          expect(await refusalOf(stream)).toMatchObject({ code: 'NOT_FOUND', retryable: false })
        }
      }
    }
    expect(brief(await openRoomEvents(ada.connect(second), hidden, 0).next())).toEqual(['MemberJoined', 1, 'Ada'])
  })

  it('refuses malformed arguments and whoever is not signed in', async () => {
    const [first = ''] = nodes().urls
    const ada = await person(first, 'Ada')
    const room = await ada.createRoom()
    const client = ada.connect()
    const negative = { code: 'BAD_USER_INPUT', field: 'after', limit: 0 }
    expect(await refusalOf(openRoomEvents(client, room, -1))).toMatchObject(negative)
    expect(await refusalOf(openRoomEventsSse(first, ada, room, -1))).toMatchObject(negative)
    expect(await refusalOf(subscribe(client, MESSAGE_ADDED, { roomId: room, after: -7 }))).toMatchObject(negative)
    expect(await refusalOf(openRoomEvents(client, 'no id'))).toMatchObject({ code: 'BAD_USER_INPUT', field: 'roomId' })
    expect(await refusalOf(openRoomEvents(client, ada.id))).toMatchObject({ code: 'BAD_USER_INPUT', field: 'roomId' })
    const tooLarge = subscribe(client, MESSAGE_ADDED, { roomId: room, after: 2 ** 40 })
    expect(await refusalOf(tooLarge)).toMatchObject({ code: 'BAD_USER_INPUT' })
    const nobody = subscribeSse(first, '', MESSAGE_ADDED, { roomId: room })
    expect(await refusalOf(nobody)).toMatchObject({ code: 'UNAUTHENTICATED' })
  })

  it('is a private room’s for its members, from the moment they are added', async () => {
    const [first = '', second = first] = nodes().urls
    const [ada, bob] = await Promise.all([person(first, 'Ada'), person(second, 'Bob')])
    const room = await ada.createRoom({ kind: 'PRIVATE', memberIds: [bob.id] })
    const stream = openRoomEvents(bob.connect(), room, 0)
    expect((await stream.take(3)).map((result) => itemOf(result).__typename)).toEqual([
      'MemberJoined',
      'MemberJoined',
      'CaughtUp',
    ])
    await ada.send(room, 'between us')
    expect(brief(await stream.next())).toEqual(['MessageSent', 3, 'between us'])
  })

  describe('of messages only', () => {
    it('delivers each message once and in order, from `after` and live, over both transports', async () => {
      const [first = '', second = first] = nodes().urls
      const [ada, bob] = await Promise.all([person(first, 'Ada'), person(second, 'Bob')])
      const room = await ada.createRoom()
      await ada.send(room, 'two')
      await bob.join(room)
      await ada.send(room, 'four')
      const streams: Stream<Result<Messages>>[] = [
        subscribe(bob.connect(), MESSAGE_ADDED, { roomId: room, after: 0 }),
        subscribeSse(first, bob.token, MESSAGE_ADDED, { roomId: room, after: 1 }),
      ]
      for (const stream of streams) await stream.take(2)
      await bob.leave(room)
      await ada.send(room, 'six')
      for (const stream of streams) {
        await stream.next()
        expect(stream.items.map(({ data }) => data?.messageAdded)).toEqual([
          { seq: 2, text: 'two' },
          { seq: 4, text: 'four' },
          { seq: 6, text: 'six' },
        ])
        stream.stop()
      }
    })

    it('refuses a place that the log does not have', async () => {
      const [first = '', second = first] = nodes().urls
      const ada = await person(first, 'Ada')
      const room = await ada.createRoom()
      await ada.send(room, 'two')
      const client = ada.connect(second)
      const ahead = subscribe(client, MESSAGE_ADDED, { roomId: room, after: 3 })
      expect(await refusalOf(ahead)).toMatchObject({ code: 'RESYNC_REQUIRED', fromSeq: 3, retryable: false })
      await cut(nodes(), new Date(Date.now() + 60_000))
      await ada.send(room, 'three')
      const below = subscribeSse(second, ada.token, MESSAGE_ADDED, { roomId: room, after: 1 })
      expect(await refusalOf(below)).toMatchObject({ code: 'RESYNC_REQUIRED', fromSeq: 3 })
      const rightThere = subscribe<Messages>(client, MESSAGE_ADDED, { roomId: room, after: 2 })
      expect((await rightThere.next()).data?.messageAdded).toEqual({ seq: 3, text: 'three' })
    })
  })

  describe('whose log was cut', () => {
    it('says from where it goes on, and goes on', async () => {
      const [first = '', second = first] = nodes().urls
      const ada = await person(first, 'Ada')
      const room = await ada.createRoom()
      for (const text of ['two', 'three']) await ada.send(room, text)
      const live = openRoomEvents(ada.connect(first), room, 0)
      await live.take(4)
      await cut(nodes(), new Date(Date.now() + 60_000))
      await ada.send(room, 'four')
      // Another node, or another reader of a feed that was never behind the cut.
      const readers = [openRoomEvents(ada.connect(second), room, 3), openRoomEventsSse(second, ada, room, 3)]
      for (const reader of readers) {
        expect((await reader.take(2)).map(brief)).toEqual([
          ['MessageSent', 4, 'four'],
          ['CaughtUp', 4],
        ])
      }
      expect(brief(await live.next())).toEqual(['MessageSent', 4, 'four'])
      for (const reader of readers) reader.stop()
    })

    it('keeps what is young enough, event by event, and is cut by one node at a time', async () => {
      const [first = ''] = nodes().urls
      const ada = await person(first, 'Ada')
      const room = await ada.createRoom()
      for (let seq = 2; seq <= 12; seq++) await ada.send(room, `message ${seq}`)
      const id = Buffer.from(room, 'base64url').toString().split(':')[1]
      await withDatabase(nodes().databaseUrl, async (client) => {
        for (const table of ['messages', 'room_events']) {
          const aged = `UPDATE ${table} SET created_at = timestamptz '2001-01-01' + seq * interval '1 day' WHERE room_id = $1`
          await client.query(aged, [id])
        }
        const floor = async () => {
          const { rows } = await client.query('SELECT log_floor FROM rooms WHERE id = $1', [id])
          return rows[0]?.log_floor
        }
        for (const upTo of [0, 1, 2, 7, 11, 12]) {
          const before = new Date(Date.UTC(2001, 0, 1 + upTo, 12))
          await client.query('BEGIN')
          await client.query(`SELECT pg_advisory_xact_lock(7604211)`)
          expect(await cut(nodes(), before)).toBe(0)
          await client.query('COMMIT')
          expect(await cut(nodes(), before)).toBe(upTo === 0 ? 0 : 1)
          expect(await floor()).toBe(upTo)
          expect(await cut(nodes(), before)).toBe(0)
        }
        const { rowCount } = await client.query('SELECT FROM room_events WHERE room_id = $1', [id])
        expect(rowCount).toBe(0)
      })
    })

    it('says so where everything is gone, and to whoever is ahead of it', async () => {
      const [first = '', second = first] = nodes().urls
      const [ada, bob] = await Promise.all([person(first, 'Ada'), person(first, 'Bob')])
      const room = await ada.createRoom()
      await ada.send(room, 'two')
      await bob.join(room)
      await cut(nodes(), new Date(Date.now() + 60_000))
      const readers = [
        openRoomEvents(ada.connect(second), room, 0),
        openRoomEventsSse(first, ada, room, 2),
        openRoomEvents(ada.connect(first), room, 70),
      ]
      const marks = [
        { __typename: 'ResyncRequired', seq: 3, fromSeq: 4 },
        { __typename: 'CaughtUp', seq: 3 },
      ]
      for (const reader of readers) expect((await reader.take(2)).map(itemOf)).toEqual(marks)
      await ada.send(room, 'four')
      for (const reader of readers) {
        expect(brief(await reader.next())).toEqual(['MessageSent', 4, 'four'])
        reader.stop()
      }
    })
  })
})
