/** Characters (grapheme clusters) that a user's name may have, however it comes in. */
export const MAX_NAME_CHARACTERS = 100

/** What everybody may know of a user, as it travels in events and stands beside messages. */
export interface UserRecord {
  id: string
  name: string
  avatarUrl: string | null
  statusText: string | null
  /** As of when the record was read. ISO 8601 once it has been on the bus. */
  lastSeenAt: Date | string
}

/** The columns of a user record, for Prisma's `select`. */
export const userRecordSelect = { id: true, name: true, avatarUrl: true, statusText: true, lastSeenAt: true } as const
