import type { RoomRecord } from '../rooms/room-record.ts'
import type { UserRecord } from '../users/user-record.ts'
import type { AttachmentRecord } from './attachment-record.ts'
import type { MentionRecord } from './mention-record.ts'

/** No seq is higher: seqs are Postgres' and GraphQL's 32-bit integers. */
export const LAST_SEQ = 2_147_483_647

/** A message with everything that is the same for every reader: one shape in the log, on the bus and in history. */
export interface MessageRecord {
  id: string
  roomId: string
  /** As of the message, or later. */
  room: RoomRecord
  seq: number
  author: UserRecord
  /** Empty where it was deleted, or where its attachments are all it has. */
  text: string
  clientMessageId: string | null
  replyTo: MessageQuote | null
  /** In the order in which they stand in the text; several at one place where several people have the name. */
  mentions: readonly MentionRecord[]
  /** In the order in which they were sent; none where it was deleted. */
  attachments: readonly AttachmentRecord[]
  /** ISO 8601, in UTC, to the millisecond. */
  createdAt: string
  /** The same; null where it was not. */
  deletedAt: string | null
}

/** The message that another one replies to, as it is shown above the reply. */
export interface MessageQuote {
  id: string
  seq: number
  author: UserRecord
  /** Empty where it was deleted, or where its attachments are all it has. */
  text: string
  isDeleted: boolean
}

/** What happens to messages, as events of their room's log. */
export type MessageEvent = { type: 'MessageSent'; message: MessageRecord }

/** What a message weighs in memory beside a plain one, in bytes, roughly. */
export function weightOf({ text, replyTo, mentions, attachments }: MessageRecord): number {
  const texts = 2 * (text.length + (replyTo?.text.length ?? 0))
  return texts + BYTES_OF_MENTION * mentions.length + BYTES_OF_ATTACHMENT * attachments.length
}

const BYTES_OF_MENTION = 300
const BYTES_OF_ATTACHMENT = 1_200
