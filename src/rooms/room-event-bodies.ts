import type { MemberRole } from '../generated/prisma/enums.ts'
import type { UserRecord } from '../users/user-record.ts'
import type { RoomRecord } from './room-record.ts'

/** What happens to a room and its members, as events of the room's log, with the room as of the event or later. */
export type RoomOwnEvent = { room: RoomRecord } & RoomChange

type RoomChange =
  | { type: 'MemberJoined'; actor: UserRecord; user: UserRecord; role: MemberRole }
  | { type: 'MemberLeft'; actor: UserRecord; user: UserRecord }
  | { type: 'MemberRoleChanged'; actor: UserRecord; user: UserRecord; role: MemberRole }
  | { type: 'RoomUpdated'; actor: UserRecord; name: string; slug: string | null; topic: string | null }
  | { type: 'RoomArchived'; actor: UserRecord }

/** What a room event stores beside its actor and user. */
export type RoomEventDraft =
  | { type: 'MemberJoined' | 'MemberRoleChanged'; actorId: string; userId: string; payload: { role: MemberRole } }
  | { type: 'MemberLeft'; actorId: string; userId: string; payload: Record<string, never> }
  | {
      type: 'RoomUpdated'
      actorId: string
      payload: { name: string; slug: string | null; topic: string | null }
    }
  | { type: 'RoomArchived'; actorId: string; payload: Record<string, never> }
