import type { RoomRecord } from '../rooms/room-record.ts'
import type { UserRecord } from '../users/user-record.ts'

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
  text: string
  clientMessageId: string | null
  replyTo: MessageQuote | null
  /** ISO 8601, in UTC, to the millisecond. */
  createdAt: string
}

/** The message that another one replies to, as it is shown above the reply. */
export interface MessageQuote {
  id: string
  seq: number
  author: UserRecord
  text: string
}

/** What happens to messages, as events of their room's log. */
export type MessageEvent = { type: 'MessageSent'; message: MessageRecord }
