// Appending to the rooms' logs, in one statement and one commit. The SQL functions append_messages and append_message (the
// same for one) hold the rules; here messages become their arguments, and their rows outcomes.
// Invariant: every message has its own outcome, and what stands in a call several times is appended once.

import type { RoomKind } from '../generated/prisma/enums.ts'
import type { Db } from '../platform/db.ts'
import type { RoomRecord } from '../rooms/room-record.ts'
import type { AttachmentRecord } from './attachment-record.ts'
import type { MentionRecord } from './mention-record.ts'
import type { MessageRecord } from './message-record.ts'
import { type MessageColumns, toMessageRecord } from './store.ts'

/** A message to append; its id and times are the service's own. */
export interface NewMessage {
  id: string
  roomId: string
  authorId: string
  text: string
  replyToId: string | null
  clientMessageId: string | null
  mentions: readonly MentionRecord[]
  /** Those of a message that is appended by itself; in a group there may be none. */
  attachments: readonly AttachmentRecord[]
}

export type AppendOutcome =
  /** Of a duplicate only what the function gives: not its mentions, its attachments, or whether it was deleted. */
  | { outcome: 'SENT' | 'DUPLICATE'; message: MessageRecord }
  | { outcome: 'NOT_FOUND' | 'NOT_A_MEMBER' | 'ROOM_ARCHIVED' | 'REPLY_NOT_FOUND' | 'ATTACHMENT_NOT_FOUND' }

// A connection keeps what it has prepared: another shape of the arguments or the rows takes another name.
const APPEND_MESSAGES = {
  name: 'append_messages/2',
  text: 'SELECT * FROM append_messages($1, $2, $3, $4, $5, $6, $7, $8)',
}
const APPEND_MESSAGE = {
  name: 'append_message/2',
  text: 'SELECT * FROM append_message($1, $2, $3, $4, $5, $6, $7, $8)',
}

/** A row of the SQL type appended_message: about a message, about a room as it was before, or about both. */
type AppendedRow = (AboutMessage | { ordinal: null }) & (AboutRoom | { roomId: null })

interface AboutMessage
  extends Omit<MessageColumns, 'id' | 'text' | 'clientMessageId' | 'mentions' | 'attachments' | 'deletedAt'> {
  /** From 1. */
  ordinal: number
  outcome: AppendOutcome['outcome']
  /** The original's, of a DUPLICATE. */
  earlierId: string | null
  earlierText: string | null
}

interface AboutRoom {
  roomId: string
  roomKind: RoomKind
  roomName: string
  roomSlug: string | null
  roomTopic: string | null
  roomCreatedAt: Date
  roomArchivedAt: Date | null
  roomLastSeq: number
  roomLastActivityAt: Date
  roomMemberCount: number
}

/**
 * Appends messages to their rooms' logs. Outcomes come in the order of the messages. Of several with one author, room and
 * clientMessageId the first is appended; the others are answered like it, whatever else is in them.
 */
export async function appendMessages(db: Db, messages: readonly NewMessage[]): Promise<AppendOutcome[]> {
  const firsts = new Map<string, NewMessage>()
  for (const message of messages) {
    const key = keyOf(message)
    if (!firsts.has(key)) firsts.set(key, message)
  }
  const outcomes = readOutcomes(await runAppend(db, [...firsts.values()]), [...firsts.values()])
  return messages.map((message) => {
    const first = firsts.get(keyOf(message))
    const outcome = first && outcomes.get(first)
    if (!outcome) throw new Error('append_messages left out an outcome')
    return first === message || outcome.outcome !== 'SENT' ? outcome : { ...outcome, outcome: 'DUPLICATE' }
  })
}

function keyOf({ id, roomId, authorId, clientMessageId }: NewMessage): string {
  // The client's part comes last, because it may hold anything.
  return clientMessageId === null ? id : `${roomId} ${authorId} ${clientMessageId}`
}

function runAppend(db: Db, messages: readonly NewMessage[]): Promise<AppendedRow[]> {
  const [first, second] = messages
  if (!first || second) return db.runPrepared<AppendedRow>(APPEND_MESSAGES, argumentsOf(messages))
  const { id, roomId, authorId, text, replyToId, clientMessageId, attachments } = first
  const attachmentIds = attachments.length === 0 ? null : attachments.map((attachment) => attachment.id)
  return db.runPrepared<AppendedRow>(APPEND_MESSAGE, [
    ...[id, roomId, authorId, text, replyToId, clientMessageId],
    ...[storedMentions(first), attachmentIds],
  ])
}

/** As the column has them: JSON, or null for none. */
function storedMentions({ mentions }: NewMessage): string | null {
  if (mentions.length === 0) return null
  return JSON.stringify(mentions.map(({ start, length, user }) => ({ start, length, userId: user?.id ?? null })))
}

function argumentsOf(messages: readonly NewMessage[]): unknown[] {
  return [
    [...new Set(messages.map(({ roomId }) => roomId))],
    messages.map(({ id }) => id),
    messages.map(({ roomId }) => roomId),
    messages.map(({ authorId }) => authorId),
    messages.map(({ text }) => text),
    messages.map(({ replyToId }) => replyToId),
    messages.map(({ clientMessageId }) => clientMessageId),
    messages.map(storedMentions),
  ]
}

function readOutcomes(rows: readonly AppendedRow[], messages: readonly NewMessage[]): Map<NewMessage, AppendOutcome> {
  const rooms = new Map<string, RoomRecord>()
  for (const row of rows) if (row.roomId !== null) rooms.set(row.roomId, toRoom(row))
  const outcomes = new Map<NewMessage, AppendOutcome>()
  for (const row of rows) {
    const message = row.ordinal === null ? undefined : messages[row.ordinal - 1]
    if (row.ordinal !== null && message) outcomes.set(message, toOutcome(row, message, rooms))
  }
  return outcomes
}

function toOutcome(row: AboutMessage, message: NewMessage, rooms: ReadonlyMap<string, RoomRecord>): AppendOutcome {
  const { outcome } = row
  if (outcome !== 'SENT' && outcome !== 'DUPLICATE') return { outcome }
  const room = rooms.get(message.roomId)
  if (!room) throw new Error('append_messages left out a room')
  const { authorId, clientMessageId } = message
  const [id, text] = [row.earlierId ?? message.id, row.earlierText ?? message.text]
  const { mentions, attachments } = outcome === 'SENT' ? message : NOTHING_ELSE
  const columns = { ...row, id, text, authorId, clientMessageId, mentions, attachments, deletedAt: null }
  return { outcome, message: toMessageRecord(columns, roomAfter(room, row)) }
}

/** The room as it is when this message is its newest event; a room that is further already stays as it is. */
function roomAfter(room: RoomRecord, { seq, createdAt }: AboutMessage): RoomRecord {
  return seq > room.lastSeq ? { ...room, lastSeq: seq, lastActivityAt: createdAt } : room
}

const NOTHING_ELSE = { mentions: null, attachments: null }

function toRoom(row: AboutRoom): RoomRecord {
  return {
    id: row.roomId,
    kind: row.roomKind,
    name: row.roomName,
    slug: row.roomSlug,
    topic: row.roomTopic,
    createdAt: row.roomCreatedAt,
    archivedAt: row.roomArchivedAt,
    lastSeq: row.roomLastSeq,
    lastActivityAt: row.roomLastActivityAt,
    memberCount: row.roomMemberCount,
  }
}
