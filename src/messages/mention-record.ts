import type { UserRecord } from '../users/user-record.ts'

/** A part of a message's text that means somebody, or everybody in the room. */
export interface MentionRecord {
  /** Where it begins and how long it is, the @ included, in UTF-16 code units, as in JavaScript. */
  start: number
  length: number
  /** Null: @room. */
  user: UserRecord | null
}
