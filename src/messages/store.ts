import { EVENT_BASE_BYTES, type LogSource } from '../events/log-source.ts'
import type { RoomEvent } from '../events/room-event.ts'
import { Prisma } from '../generated/prisma/client.ts'
import type { Db } from '../platform/db.ts'
import type { UserRecord } from '../users/user-record.ts'
import type { MessageQuote, MessageRecord } from './message-record.ts'

/** A message to append; its id and times are the service's own. */
export interface NewMessage {
  id: string
  roomId: string
  authorId: string
  text: string
  replyToId: string | null
  clientMessageId: string | null
}

export type AppendOutcome =
  | { outcome: 'SENT' | 'DUPLICATE'; message: MessageRecord }
  | { outcome: 'NOT_FOUND' | 'NOT_A_MEMBER' | 'ROOM_ARCHIVED' | 'REPLY_NOT_FOUND' }

/** The columns that append_messages and the selects below share. */
interface MessageColumns {
  id: string
  seq: number
  text: string
  clientMessageId: string | null
  createdAt: Date
  authorName: string
  authorAvatarUrl: string | null
  authorStatusText: string | null
  replyId: string | null
  replySeq: number | null
  replyText: string | null
  replyAuthorId: string | null
  replyAuthorName: string | null
  replyAuthorAvatarUrl: string | null
  replyAuthorStatusText: string | null
}

interface MessageRow extends MessageColumns {
  roomId: string
  authorId: string
}

/**
 * Appends messages to their rooms' logs in one statement and one commit; the SQL function append_messages holds the
 * rules. Outcomes come in the order of the messages.
 */
export async function appendMessages(db: Db, messages: readonly NewMessage[]): Promise<AppendOutcome[]> {
  const rows = await db.$queryRaw<(MessageColumns & { ordinal: number; outcome: AppendOutcome['outcome'] })[]>`
    SELECT * FROM append_messages(${JSON.stringify(messages)}::json)`
  const byOrdinal = new Map(rows.map((row) => [row.ordinal, row]))
  return messages.map(({ roomId, authorId }, i) => {
    const row = byOrdinal.get(i + 1)
    if (!row) throw new Error('append_messages left out an outcome')
    const { outcome } = row
    if (outcome !== 'SENT' && outcome !== 'DUPLICATE') return { outcome }
    return { outcome, message: toMessageRecord({ ...row, roomId, authorId }) }
  })
}

/** One statement for messages, their authors, what they reply to, and its authors. */
function selectMessages(rest: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`
    SELECT m."id", m."room_id" AS "roomId", m."seq", m."text", m."client_message_id" AS "clientMessageId",
      m."created_at" AS "createdAt",
      m."author_id" AS "authorId", a."name" AS "authorName", a."avatar_url" AS "authorAvatarUrl",
      a."status_text" AS "authorStatusText",
      q."id" AS "replyId", q."seq" AS "replySeq", q."text" AS "replyText",
      b."id" AS "replyAuthorId", b."name" AS "replyAuthorName", b."avatar_url" AS "replyAuthorAvatarUrl",
      b."status_text" AS "replyAuthorStatusText"
    FROM "messages" m
    JOIN "users" a ON a."id" = m."author_id"
    LEFT JOIN "messages" q ON q."id" = m."reply_to_id"
    LEFT JOIN "users" b ON b."id" = q."author_id"
    ${rest}`
}

/** Messages of a room with `after < seq < before`, oldest first: the first or the last `limit` of them. */
export async function readMessages(
  db: Db,
  roomId: string,
  { after, before, limit, from }: { after: number; before: number; limit: number; from: 'start' | 'end' },
): Promise<MessageRecord[]> {
  const order = from === 'start' ? Prisma.sql`ASC` : Prisma.sql`DESC`
  const rows = await db.$queryRaw<MessageRow[]>(
    selectMessages(Prisma.sql`
      WHERE m."room_id" = ${roomId}::uuid AND m."seq" > ${after} AND m."seq" < ${before}
      ORDER BY m."seq" ${order} LIMIT ${limit}`),
  )
  const messages = rows.map(toMessageRecord)
  return from === 'start' ? messages : messages.reverse()
}

/** Whether the room has a message with `after < seq < before`. */
export async function hasMessage(db: Db, roomId: string, after: number, before: number): Promise<boolean> {
  const found = await db.message.findFirst({ where: { roomId, seq: { gt: after, lt: before } }, select: { id: true } })
  return found !== null
}

/** Messages by id; unknown ids are left out. */
export async function findMessages(db: Db, ids: readonly string[]): Promise<MessageRecord[]> {
  if (ids.length === 0) return []
  const rows = await db.$queryRaw<MessageRow[]>(selectMessages(Prisma.sql`WHERE m."id" = ANY(${[...ids]}::uuid[])`))
  return rows.map(toMessageRecord)
}

/** Messages as events of their rooms' logs: each row is its own MessageSent. */
export function createMessageSource(db: Db): LogSource {
  return {
    async readRoomEvents(roomId, after, upTo, limit) {
      const messages = await readMessages(db, roomId, { after, before: upTo + 1, limit, from: 'start' })
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

function toMessageRecord(row: MessageRow): MessageRecord {
  const { id, roomId, seq, text, clientMessageId } = row
  const author: UserRecord = {
    id: row.authorId,
    name: row.authorName,
    avatarUrl: row.authorAvatarUrl,
    statusText: row.authorStatusText,
  }
  const createdAt = row.createdAt.toISOString()
  return { id, roomId, seq, author, text, clientMessageId, replyTo: toQuote(row), createdAt }
}

function toQuote(row: MessageRow): MessageQuote | null {
  const { replyId, replySeq, replyText, replyAuthorId, replyAuthorName } = row
  if (!replyId || replySeq === null || replyText === null || !replyAuthorId || replyAuthorName === null) return null
  const author: UserRecord = {
    id: replyAuthorId,
    name: replyAuthorName,
    avatarUrl: row.replyAuthorAvatarUrl,
    statusText: row.replyAuthorStatusText,
  }
  return { id: replyId, roomId: row.roomId, seq: replySeq, author, text: replyText }
}
