import type { UserRecord } from '../users/user-record.ts'

/** What happens to a user themself, as events of their own log. */
export type UserLogEvent =
  | { type: 'RoomGained'; roomId: string }
  | { type: 'RoomLost'; roomId: string }
  /** The user as changed. */
  | { type: 'ProfileUpdated'; user: UserRecord }
