import type { RoomKind } from '../generated/prisma/enums.ts'

/**
 * What everybody who may read a room may know of it, as it travels with the room's events and stands beside its messages.
 * A row of the table is one, too. Made elsewhere than by Prisma (by the SQL function room_record), its times are ISO 8601
 * texts.
 */
export interface RoomRecord {
  id: string
  kind: RoomKind
  name: string
  slug: string | null
  topic: string | null
  createdAt: Date | string
  archivedAt: Date | string | null
  lastSeq: number
  lastActivityAt: Date | string
  memberCount: number
}
