import { EVENT_BASE_BYTES, type LogSource } from '../events/log-source.ts'
import type { RoomEvent } from '../events/room-event.ts'
import { type Message, Prisma } from '../generated/prisma/client.ts'
import type { Db, Tx } from '../platform/db.ts'
import type { RoomRecord } from '../rooms/room-record.ts'
import type { UserRecord } from '../users/user-record.ts'
import type { AttachmentRecord } from './attachment-record.ts'
import type { MentionRecord } from './mention-record.ts'
import { type MessageQuote, type MessageRecord, weightOf } from './message-record.ts'

/** The columns that append_messages and the selects below share. */
export interface MessageColumns {
  id: string
  seq: number
  text: string
  clientMessageId: string | null
  createdAt: Date
  deletedAt: Date | null
  /** Null: none. */
  mentions: readonly MentionRecord[] | null
  attachments: readonly AttachmentRecord[] | null
  authorName: string
  authorAvatarUrl: string | null
  authorStatusText: string | null
  authorLastSeenAt: Date
  replyId: string | null
  replySeq: number | null
  /** Null where it was deleted. */
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
      m."created_at" AS "createdAt", m."deleted_at" AS "deletedAt",
      ${MENTIONS} AS "mentions", ${ATTACHMENTS} AS "attachments",
      m."author_id" AS "authorId", a."name" AS "authorName", a."avatar_url" AS "authorAvatarUrl",
      a."status_text" AS "authorStatusText", a."last_seen_at" AS "authorLastSeenAt",
      q."id" AS "replyId", q."seq" AS "replySeq",
      CASE WHEN q."deleted_at" IS NULL THEN q."text" END AS "replyText",
      b."id" AS "replyAuthorId", b."name" AS "replyAuthorName", b."avatar_url" AS "replyAuthorAvatarUrl",
      b."status_text" AS "replyAuthorStatusText", b."last_seen_at" AS "replyAuthorLastSeenAt",
      ${room} AS "room"
    FROM page m
    JOIN "users" a ON a."id" = m."author_id"
    LEFT JOIN "messages" q ON q."id" = m."reply_to_id"
    LEFT JOIN "users" b ON b."id" = q."author_id"`
}

// Most messages have neither, and then nothing is looked up. Who mentions a user has a row that is not deleted.
const MENTIONS = Prisma.sql`CASE WHEN m."mentions" IS NOT NULL THEN (
  SELECT json_agg(json_build_object(
    'start', g."start", 'length', g."length",
    'user', CASE WHEN u."id" IS NOT NULL THEN user_record(u) END
  ) ORDER BY g."start", g."length", g."userId")
  FROM jsonb_to_recordset(m."mentions") AS g("start" int, "length" int, "userId" uuid)
  LEFT JOIN "users" u ON u."id" = g."userId"
) END`
const ATTACHMENTS = Prisma.sql`CASE WHEN m."attachment_count" > 0 THEN (
  SELECT json_agg(attachment_record(a) ORDER BY a."position")
  FROM "attachments" a WHERE a."message_id" = m."id" AND a."deleted_at" IS NULL
) END`

const ROOM = Prisma.sql`(SELECT room_record(r) FROM "rooms" r WHERE r."id" = m."room_id")`
/** For messages of one room. */
const ROOM_IN_FIRST_ROW = Prisma.sql`CASE WHEN m."seq" = (SELECT min("seq") FROM page) THEN ${ROOM} END`

const ADDRESSED = Prisma.sql`AND (m."mentions" IS NOT NULL OR m."reply_to_id" IS NOT NULL)`

/** The messages with `after < seq < before`: the first or the last `limit` of them. */
export interface MessageRange {
  after: number
  before: number
  limit: number
  from: 'start' | 'end'
  /** Only those that mention somebody or reply. */
  addressedOnly?: boolean
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
  const scans = ranges.map(({ after, before, limit, from, addressedOnly }) => {
    const order = from === 'start' ? Prisma.sql`ASC` : Prisma.sql`DESC`
    const filter = addressedOnly ? ADDRESSED : Prisma.empty
    return Prisma.sql`(SELECT m.* FROM "messages" m
      WHERE m."room_id" = ${roomId}::uuid AND m."seq" > ${after} AND m."seq" < ${before} ${filter}
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

/** What the author has sent to the room under this clientMessageId; null where there is nothing. */
export async function findOriginal(
  db: Db,
  authorId: string,
  { roomId, clientMessageId }: { roomId: string; clientMessageId: string | null },
): Promise<MessageRecord | null> {
  if (clientMessageId === null) return null
  const found = await db.message.findUnique({
    where: { authorId_clientMessageId_roomId: { authorId, clientMessageId, roomId } },
    select: { id: true },
  })
  const [message] = found ? await findMessages(db, [found.id]) : []
  return message ?? null
}

/** Of one name at most so many people are found. */
const MAX_NAMESAKES = 10

/** The room's members by these names, whatever their case; by name as it was asked for. */
export async function findMembersByName(
  db: Db,
  roomId: string,
  names: readonly string[],
): Promise<ReadonlyMap<string, readonly UserRecord[]>> {
  const rows = await db.$queryRaw<{ ordinal: number; user: UserRecord }[]>`
    SELECT n."ordinal"::int AS "ordinal", user_record(u) AS "user"
    FROM unnest(${[...names]}::text[]) WITH ORDINALITY AS n("name", "ordinal")
    CROSS JOIN LATERAL (
      SELECT u.* FROM "users" u
      WHERE lower(u."name") = lower(n."name")
        AND EXISTS (SELECT 1 FROM "memberships" m WHERE m."user_id" = u."id" AND m."room_id" = ${roomId}::uuid)
      ORDER BY u."id" LIMIT ${MAX_NAMESAKES}
    ) u`
  const byOrdinal = Map.groupBy(rows, ({ ordinal }) => ordinal)
  return new Map(names.map((name, i) => [name, (byOrdinal.get(i + 1) ?? []).map(({ user }) => user)]))
}

/** The message with its row locked, to the end of the transaction; null where the room has none such. */
export async function lockMessage(
  tx: Tx,
  roomId: string,
  id: string,
): Promise<Pick<Message, 'authorId' | 'seq' | 'deletedAt'> | null> {
  const [row] = await tx.$queryRaw<Pick<Message, 'authorId' | 'seq' | 'deletedAt'>[]>`
    SELECT "author_id" AS "authorId", "seq", "deleted_at" AS "deletedAt" FROM "messages"
    WHERE "id" = ${id}::uuid AND "room_id" = ${roomId}::uuid FOR NO KEY UPDATE`
  return row ?? null
}

/** Leaves of the message what the room's log needs: its place, its author and its times. */
export async function emptyMessage(tx: Tx, id: string, deletedAt: Date): Promise<void> {
  await tx.message.update({
    where: { id },
    data: { text: '', mentions: Prisma.DbNull, attachmentCount: 0, deletedAt },
  })
}

/** The room of a message; null where there is no such message. */
export async function findRoomOfMessage(db: Db, id: string): Promise<string | null> {
  const message = await db.message.findUnique({ where: { id }, select: { roomId: true } })
  return message?.roomId ?? null
}

/** Messages as events of their rooms' logs: each row is its own MessageSent. */
export function createMessageSource(db: Db): LogSource {
  return {
    async readRoomEvents(roomId, { upTo, ...range }) {
      const messages = await readMessages(db, roomId, [{ ...range, before: upTo + 1, from: 'start' }])
      return messages.map((message) => {
        return { seq: message.seq, event: messageSent(message), bytes: EVENT_BASE_BYTES + weightOf(message) }
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
  const [mentions, attachments] = [row.mentions ?? [], row.attachments ?? []]
  const [createdAt, deletedAt] = [row.createdAt.toISOString(), row.deletedAt?.toISOString() ?? null]
  const content = { text, replyTo: toQuote(row), mentions, attachments }
  return { id, roomId: room.id, room, seq, author, clientMessageId, ...content, createdAt, deletedAt }
}

function toQuote(row: MessageColumns): MessageQuote | null {
  const { replyId, replySeq, replyText, replyAuthorId, replyAuthorName, replyAuthorLastSeenAt } = row
  if (!replyId || replySeq === null) return null
  if (!replyAuthorId || replyAuthorName === null || replyAuthorLastSeenAt === null) return null
  const author: UserRecord = {
    id: replyAuthorId,
    name: replyAuthorName,
    avatarUrl: row.replyAuthorAvatarUrl,
    statusText: row.replyAuthorStatusText,
    lastSeenAt: replyAuthorLastSeenAt,
  }
  return { id: replyId, seq: replySeq, author, text: replyText ?? '', isDeleted: replyText === null }
}
