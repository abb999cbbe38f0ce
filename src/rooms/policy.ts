import type { Membership, Room } from '../generated/prisma/client.ts'
import { RefusedError } from '../platform/errors.ts'

/** What a room looks like to one user: absent and forbidden are the same. */
export function canRead(room: Pick<Room, 'kind'>, membership: Membership | null): boolean {
  return room.kind === 'PUBLIC' || membership !== null
}

export function refuseAbsent(): never {
  throw new RefusedError('NOT_FOUND', 'There is no such room.')
}

export function refuseUnlessReadable(room: Room | null, membership: Membership | null): asserts room is Room {
  if (!room || !canRead(room, membership)) refuseAbsent()
}

export function refuseArchived(room: Room): void {
  if (room.archivedAt) throw new RefusedError('ROOM_ARCHIVED', 'The room is archived.')
}

export function refuseDirect(room: Room): void {
  if (room.kind === 'DIRECT') {
    throw new RefusedError('DIRECT_ROOM', 'A direct room stays as it was opened.')
  }
}

/** Only owners and moderators may change a room or add members to it. */
export function refuseUnlessModerator(membership: Membership | null): asserts membership is Membership {
  if (!membership) throw new RefusedError('NOT_A_MEMBER', 'Only members of the room may do this.')
  if (membership.role === 'MEMBER') {
    throw new RefusedError('FORBIDDEN', 'Only owners and moderators of the room may do this.')
  }
}
