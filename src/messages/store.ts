import { EVENT_BASE_BYTES, type LogSource } from '../events/log-source.ts'
import type { RoomEvent } from '../events/room-event.ts'
import { Prisma } from '../generated/prisma/client.ts'
import type { Db } from '../platform/db.ts'
import type { RoomRecord } from '../rooms/room-record.ts'
import type { UserRecord } from '../users/user-record.ts'
import type { MessageQuote, MessageRecord } from './message-record.ts'

/** The columns that append_messages and the selects below share. */
export interface MessageColumns {
  id: string
  seq: number
  text: string
  clientMessageId: string | null
  createdAt: Date
  authorName: string
  authorAvatarUrl: string | null
  authorStatusText: string | null
  authorLastSeenAt: Date
  replyId: string | null
  replySeq: number | null
  replyText: string | null
  replyAuthorId: string | null
  replyAuthorName: string | null
  replyAuthorAvatarUrl: string | null
  replyAuthorStatusText: string | null
  replyAuthorLastSeenAt: Date | null
}

interface MessageRow extends MessageColumns {
  authorId: string
  /** Null where another row has it: see ROOM_IN_FIRST_ROW. */
  room: RoomRecord | null
}

/** One statement for some messages, their authors, what they reply to, and its authors, in no order. */
function selectMessages(page: Prisma.Sql, room: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`
    WITH page AS (${page})
    SELECT m."id", m."seq", m."text", m."client_message_id" AS "clientMessageId",
      m."created_at" AS "createdAt",
      m."author_id" AS "authorId", a."name" AS "authorName", a."avatar_url" AS "authorAvatarUrl",
      a."status_text" AS "authorStatusText", a."last_seen_at" AS "authorLastSeenAt",
      q."id" AS "replyId", q."seq" AS "replySeq", q."text" AS "replyText",
      b."id" AS "replyAuthorId", b."name" AS "replyAuthorName", b."avatar_url" AS "replyAuthorAvatarUrl",
      b."status_text" AS "replyAuthorStatusText", b."last_seen_at" AS "replyAuthorLastSeenAt",
      ${room} AS "room"
    FROM page m
    JOIN "users" a ON a."id" = m."author_id"
    LEFT JOIN "messages" q ON q."id" = m."reply_to_id"
    LEFT JOIN "users" b ON b."id" = q."author_id"`
}

const ROOM = Prisma.sql`(SELECT room_record(r) FROM "rooms" r WHERE r."id" = m."room_id")`
/** For messages of one room. */
const ROOM_IN_FIRST_ROW = Prisma.sql`CASE WHEN m."seq" = (SELECT min("seq") FROM page) THEN ${ROOM} END`

/** The messages with `after < seq < before`: the first or the last `limit` of them. */
export interface MessageRange {
  after: number
  before: number
  limit: number
  from: 'start' | 'end'
}

/**
 * Messages of a room, oldest first; one that stands in several of the ranges may come as often. One statement, one index
 * range scan for each range.
 */
export async function readMessages(
  db: Db,
  roomId: string,
  ranges: readonly [MessageRange, ...MessageRange[]],
): Promise<MessageRecord[]> {
  const scans = ranges.map(({ after, before, limit, from }) => {
    const order = from === 'start' ? Prisma.sql`ASC` : Prisma.sql`DESC`
    return Prisma.sql`(SELECT m.* FROM "messages" m
      WHERE m."room_id" = ${roomId}::uuid AND m."seq" > ${after} AND m."seq" < ${before}
      ORDER BY m."seq" ${order} LIMIT ${limit})`
  })
  const rows = await db.$queryRaw<MessageRow[]>(selectMessages(Prisma.join(scans, ' UNION ALL '), ROOM_IN_FIRST_ROW))
  // Here rather than there: the database would sort joined rows that have all their texts.
  rows.sort((one, other) => one.seq - other.seq)
  const room = rows[0]?.room
  return room ? rows.map((row) => toMessageRecord(row, room)) : []
}

/** Messages by id; unknown ids are left out. */
export async function findMessages(db: Db, ids: readonly string[]): Promise<MessageRecord[]> {
  if (ids.length === 0) return []
  const page = Prisma.sql`SELECT m.* FROM "messages" m WHERE m."id" = ANY(${[...ids]}::uuid[])`
  const rows = await db.$queryRaw<MessageRow[]>(selectMessages(page, ROOM))
  return rows.flatMap((row) => (row.room ? [toMessageRecord(row, row.room)] : []))
}

/** Messages as events of their rooms' logs: each row is its own MessageSent. */
export function createMessageSource(db: Db): LogSource {
  return {
    async readRoomEvents(roomId, after, upTo, limit) {
      const messages = await readMessages(db, roomId, [{ after, before: upTo + 1, limit, from: 'start' }])
      return messages.map((message) => {
        const textLength = message.text.length + (message.replyTo?.text.length ?? 0)
        return { seq: message.seq, event: messageSent(message), bytes: EVENT_BASE_BYTES + textLength * 2 }
      })
    },
  }
}

export function messageSent(message: MessageRecord): RoomEvent {
  return { type: 'MessageSent', roomId: message.roomId, seq: message.seq, at: message.createdAt, message }
}

export function toMessageRecord(row: MessageColumns & { authorId: string }, room: RoomRecord): MessageRecord {
  const { id, seq, text, clientMessageId } = row
  const author: UserRecord = {
    id: row.authorId,
    name: row.authorName,
    avatarUrl: row.authorAvatarUrl,
    statusText: row.authorStatusText,
    lastSeenAt: row.authorLastSeenAt,
  }
  const createdAt = row.createdAt.toISOString()
  return { id, roomId: room.id, room, seq, author, text, clientMessageId, replyTo: toQuote(row), createdAt }
}

function toQuote(row: MessageColumns): MessageQuote | null {
  const { replyId, replySeq, replyText, replyAuthorId, replyAuthorName, replyAuthorLastSeenAt } = row
  if (!replyId || replySeq === null || replyText === null) return null
  if (!replyAuthorId || replyAuthorName === null || replyAuthorLastSeenAt === null) return null
  const author: UserRecord = {
    id: replyAuthorId,
    name: replyAuthorName,
    avatarUrl: row.replyAuthorAvatarUrl,
    statusText: row.replyAuthorStatusText,
    lastSeenAt: replyAuthorLastSeenAt,
  }
  return { id: replyId, seq: replySeq, author, text: replyText }
}
