import type { MemberRole } from '../generated/prisma/enums.ts'
import type { UserRecord } from '../users/user-record.ts'
import type { RoomRecord } from './room-record.ts'

/** How a membership came to its end. */
export type MemberLeftReason = 'LEFT' | 'REMOVED' | 'BANNED'

/** How a user lost a room, as their own log has it. */
export interface RoomLoss {
  reason: MemberLeftReason
  /** Of a ban: why, and until when (ISO 8601). Null or not there: no reason, no end, or no ban. */
  banReason?: string | null
  banEndsAt?: string | null
}

/** What happens to a room and its members, as events of the room's log, with the room as of the event or later. */
export type RoomOwnEvent = { room: RoomRecord } & RoomChange

type RoomChange =
  | { type: 'MemberJoined'; actor: UserRecord; user: UserRecord; role: MemberRole }
  | {
      type: 'MemberLeft'
      actor: UserRecord
      user: UserRecord
      /** Not there: LEFT. Events from before there were reasons have none. */
      reason?: MemberLeftReason
    }
  | { type: 'MemberBanned'; actor: UserRecord; user: UserRecord /** ISO 8601. */; endsAt: string | null }
  | { type: 'MemberUnbanned'; actor: UserRecord; user: UserRecord }
  | { type: 'MemberRoleChanged'; actor: UserRecord; user: UserRecord; role: MemberRole }
  | { type: 'RoomUpdated'; actor: UserRecord; name: string; slug: string | null; topic: string | null }
  | { type: 'RoomArchived'; actor: UserRecord }
  | { type: 'MessageDeleted'; actor: UserRecord; messageId: string; messageSeq: number }

/** What a room event stores beside its actor and user. */
export type RoomEventDraft =
  | { type: 'MemberJoined' | 'MemberRoleChanged'; actorId: string; userId: string; payload: { role: MemberRole } }
  | { type: 'MemberLeft'; actorId: string; userId: string; payload: { reason: MemberLeftReason } }
  | { type: 'MemberBanned'; actorId: string; userId: string; payload: { endsAt: string | null } }
  | { type: 'MemberUnbanned'; actorId: string; userId: string; payload: Record<string, never> }
  | {
      type: 'RoomUpdated'
      actorId: string
      payload: { name: string; slug: string | null; topic: string | null }
    }
  | { type: 'RoomArchived'; actorId: string; payload: Record<string, never> }
  | { type: 'MessageDeleted'; actorId: string; payload: { messageId: string; messageSeq: number } }
