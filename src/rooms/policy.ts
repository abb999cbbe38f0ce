import type { Membership, Room } from '../generated/prisma/client.ts'
import { BannedError, RefusedError } from '../platform/errors.ts'
import type { BanTerms } from './ban-store.ts'

export function refuseAbsent(): never {
  throw new RefusedError('NOT_FOUND', 'There is no such room.')
}

/** What a room looks like to one user: absent and forbidden are the same. Members are not banned. */
export function refuseUnlessReadable(
  room: Room | null,
  { membership, ban }: { membership: Membership | null; ban: BanTerms | null },
): asserts room is Room {
  if (!room || (!membership && (room.kind !== 'PUBLIC' || ban))) refuseAbsent()
}

/** For who comes to a public room's door, or is brought there: everybody may know of the room, and they of their ban. */
export function refuseBanned(ban: BanTerms | null, message = 'You are banned from the room.'): void {
  if (ban) throw new BannedError(message, ban)
}

export function refuseArchived(room: Room): void {
  if (room.archivedAt) throw new RefusedError('ROOM_ARCHIVED', 'The room is archived.')
}

export function refuseDirect(room: Room): void {
  if (room.kind === 'DIRECT') {
    throw new RefusedError('DIRECT_ROOM', 'A direct room stays as it was opened.')
  }
}

/** For who moderates, in this order: owners, moderators, members and those who are none. Everybody only those below. */
export function refuseUnlessAbove(membership: Membership, target: Membership | null): void {
  if (target?.userId === membership.userId) {
    throw new RefusedError('FORBIDDEN', 'This is for others: to leave the room is leaveRoom.')
  }
  const isBelow = target === null || target.role === 'MEMBER'
  if (isBelow || (target.role === 'MODERATOR' && membership.role === 'OWNER')) return
  throw new RefusedError('FORBIDDEN', 'Owners may do this to moderators and members, moderators to members only.')
}

export function refuseUnlessOwner(membership: Membership | null): asserts membership is Membership {
  if (!membership) throw new RefusedError('NOT_A_MEMBER', 'Only members of the room may do this.')
  if (membership.role !== 'OWNER') throw new RefusedError('FORBIDDEN', 'Only owners of the room may do this.')
}

/** Only owners and moderators may change a room or add members to it. */
export function refuseUnlessModerator(membership: Membership | null): asserts membership is Membership {
  if (!membership) throw new RefusedError('NOT_A_MEMBER', 'Only members of the room may do this.')
  if (membership.role === 'MEMBER') {
    throw new RefusedError('FORBIDDEN', 'Only owners and moderators of the room may do this.')
  }
}
