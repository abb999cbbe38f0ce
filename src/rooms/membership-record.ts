import type { Membership } from '../generated/prisma/client.ts'
import type { UserRecord } from '../users/user-record.ts'
import type { RoomRecord } from './room-record.ts'

/** A user's lasting membership in a room, with the user and the room where they were read beside it. */
export interface MembershipRecord extends Membership {
  user?: UserRecord
  room?: RoomRecord
}

/** A room as a user has read it, and the membership that was read with it, which says whether they may. */
export interface ReadRoom extends RoomRecord {
  reader: {
    userId: string
    /** Undefined where it was not read: that they may read the room is known all the same. */
    membership?: MembershipRecord | null
  }
}
