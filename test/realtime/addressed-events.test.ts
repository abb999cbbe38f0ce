// Guards the price of notifications in a busy room: where nobody wants everything, only what is addressed to somebody is
// read of its log. So no kind of notification for those who want what is meant for them may look at anything else.

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { createRoomLogReader, type RoomLogReader } from '../../src/events/room-log-reader.ts'
import { buildSchema } from '../../src/graphql/schema.ts'
import { createMessageSource } from '../../src/messages/store.ts'
import { NOTIFICATION_KINDS } from '../../src/notifications/kind-registry.ts'
import { createDb, type Db } from '../../src/platform/db.ts'
import { createRoomEventSource } from '../../src/rooms/event-source.ts'
import { playStory } from '../support/live-samples.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres-server.ts'

describe('what is addressed to somebody in a room', () => {
  let database: TestDatabase
  let db: Db
  let log: RoomLogReader
  let room: { id: string; lastSeq: number }
  beforeAll(async () => {
    database = await createTestDatabase(inject('postgresUrl'))
    await (await playStory(database.url, buildSchema)).close()
    db = createDb({ url: database.url, poolSize: 2 })
    log = createRoomLogReader(db, [createMessageSource(db), createRoomEventSource(db)])
    room = await db.room.findFirstOrThrow({ select: { id: true, lastSeq: true } })
  })
  afterAll(async () => {
    await db?.$disconnect()
    await database?.drop()
  })

  const seqsOf = (entries: readonly { seq: number }[]) => entries.map(({ seq }) => seq)
  const whole = () => ({ after: 0, upTo: room.lastSeq, limit: 1_000 })

  it('is all but plain messages, and all that is told to who wants what is meant for them', async () => {
    const entries = await log.read(room.id, whole())
    expect(seqsOf(entries)).toEqual(Array.from({ length: room.lastSeq }, (_, i) => i + 1))
    const addressed = new Set(seqsOf(await log.readAddressed(room.id, whole())))
    const plain = entries.filter(({ seq }) => !addressed.has(seq)).map(({ event }) => event)
    expect(plain.map((event) => event.type === 'MessageSent' && event.message.text)).toEqual([''])
    const meant = NOTIFICATION_KINDS.filter(({ level }) => level === 'MENTIONS')
    // Whatever else is in it, a picture, say.
    const asPlain = entries.flatMap(({ event }) =>
      event.type === 'MessageSent' ? [{ ...event, message: { ...event.message, mentions: [], replyTo: null } }] : [],
    )
    expect(asPlain.some(({ message }) => message.attachments.length > 0)).toBe(true)
    expect(asPlain.flatMap((event) => meant.filter((kind) => kind.audienceOf(event) !== null))).toEqual([])
    // The story has something for each of those that look at messages.
    const shown = meant.filter((kind) => entries.some(({ event }) => kind.audienceOf(event) !== null))
    const ofMessages = meant.filter(({ name }) => name !== 'ROOM_ADDED')
    expect(shown).toEqual(ofMessages)
  })

  it('comes page by page, in order', async () => {
    const expected = seqsOf(await log.readAddressed(room.id, whole()))
    const seen: number[] = []
    for (let after = 0; ; after = seen.at(-1) ?? 0) {
      const page = await log.readAddressed(room.id, { after, upTo: room.lastSeq, limit: 2 })
      expect(page.length).toBeLessThanOrEqual(2)
      if (page.length === 0) break
      seen.push(...seqsOf(page))
    }
    expect(seen).toEqual(expected)
    const last = expected.at(-1) ?? 0
    expect(seqsOf(await log.readAddressed(room.id, { after: 0, upTo: last - 1, limit: 1_000 }))).toEqual(
      expected.slice(0, -1),
    )
  })
})
