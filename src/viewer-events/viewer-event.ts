import type { MemberLeftReason } from '../rooms/room-event-bodies.ts'
import type { UserRecord } from '../users/user-record.ts'

/** How a user lost a room. Events from before there were reasons have none of it, and mean LEFT. */
export interface RoomLoss {
  reason: MemberLeftReason
  /** Of a ban: why, and until when (ISO 8601, null: for good). */
  banReason: string | null
  banEndsAt: string | null
}

/** What happens to a user themself, as events of their own log. */
export type UserLogEvent =
  | { type: 'RoomGained'; roomId: string }
  | ({ type: 'RoomLost'; roomId: string } & Partial<RoomLoss>)
  /** ISO 8601. Tokens issued before count no more. */
  | { type: 'TokensRevoked'; validFrom: string }
  /** The user as changed. */
  | { type: 'ProfileUpdated'; user: UserRecord }
