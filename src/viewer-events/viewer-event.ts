import type { RoomLoss } from '../rooms/room-event-bodies.ts'
import type { UserRecord } from '../users/user-record.ts'

/** What happens to a user themself, as events of their own log. */
export type UserLogEvent =
  | { type: 'RoomGained'; roomId: string }
  /** Events from before there were reasons have none, and mean LEFT. */
  | ({ type: 'RoomLost'; roomId: string } & Partial<RoomLoss>)
  /** ISO 8601. Tokens issued before count no more. */
  | { type: 'TokensRevoked'; validFrom: string }
  /** The user as changed. */
  | { type: 'ProfileUpdated'; user: UserRecord }
