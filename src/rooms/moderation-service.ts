import type { Ban, MemberRole, Membership } from '../generated/prisma/client.ts'
import type { Clock } from '../platform/clock.ts'
import type { Db, Tx } from '../platform/db.ts'
import { RefusedError, ValidationError } from '../platform/errors.ts'
import type { PageRange } from '../platform/page-range.ts'
import type { Viewer } from '../platform/viewer.ts'
import { type BanTerms, deleteBan, findBan, readBans, replaceBan } from './ban-store.ts'
import type { ChangeRoom } from './change-service.ts'
import type { ReadRoom } from './membership-record.ts'
import { refuseDirect, refuseUnlessAbove, refuseUnlessModerator, refuseUnlessOwner } from './policy.ts'
import type { RoomEventDraft } from './room-event-bodies.ts'
import type { RoomRecord } from './room-record.ts'
import { deleteMembership, findMembership, hasOtherOwner } from './store.ts'

/**
 * What members may do to members. A part of the Rooms: whatever touches a membership or a ban does so under the room's
 * lock, so that whoever is banned is no member, and a room that has members has an owner.
 */
export function createModeration({ db, clock, changeRoom }: { db: Db; clock: Clock; changeRoom: ChangeRoom }) {
  return {
    /** Owners only. A role that the member has already changes nothing; the last owner stays one. */
    setMemberRole: (viewer: Viewer, roomId: string, userId: string, role: MemberRole): Promise<Membership> =>
      changeRoom(viewer, roomId, async ({ tx, room, membership }) => {
        refuseDirect(room)
        refuseUnlessOwner(membership)
        const target = await findMembership(tx, roomId, userId)
        if (!target) throw new RefusedError('NOT_FOUND', 'The room has no such member.')
        if (target.role === role) return { result: target }
        if (target.role === 'OWNER' && !(await hasOtherOwner(tx, target))) {
          throw new RefusedError('LAST_OWNER', 'This is the last owner: make another member an owner first.')
        }
        const result = await tx.membership.update({ where: { id: target.id }, data: { role } })
        const events = [{ type: 'MemberRoleChanged', actorId: viewer.userId, userId, payload: { role } } as const]
        return { result, events }
      }),

    /** Ends another's membership; see refuseUnlessAbove. Where there is none, nothing changes. */
    removeMember: (viewer: Viewer, roomId: string, userId: string): Promise<void> =>
      changeRoom(viewer, roomId, async ({ tx, room, membership }) => {
        refuseDirect(room)
        refuseUnlessModerator(membership)
        const target = await findTarget(tx, roomId, userId)
        refuseUnlessAbove(membership, target)
        if (!target) return { result: undefined }
        await deleteMembership(tx, target)
        const events = [leftEvent(viewer, userId, 'REMOVED')]
        return { result: undefined, events, lost: { userId, reason: 'REMOVED' as const } }
      }),

    /**
     * Keeps a user out until the end, and ends their membership if there is one; see refuseUnlessAbove. Replaces an earlier
     * ban; the same one again changes nothing.
     */
    banMember: (viewer: Viewer, roomId: string, userId: string, terms: BanTerms): Promise<Ban> =>
      changeRoom(viewer, roomId, async ({ tx, room, membership, now }) => {
        const { reason, endsAt } = terms
        refuseDirect(room)
        refuseUnlessModerator(membership)
        const target = await findTarget(tx, roomId, userId)
        refuseUnlessAbove(membership, target)
        if (endsAt && endsAt <= now) {
          throw new ValidationError([{ path: 'input.endsAt', message: 'is not in the future', limit: null }])
        }
        const known = await findBan(tx, roomId, userId, now)
        if (known && isSame(known, terms)) return { result: known }
        const result = await replaceBan(tx, { roomId, userId, bannedById: viewer.userId, reason, endsAt })
        const ends = endsAt?.toISOString() ?? null
        const banned: RoomEventDraft = {
          type: 'MemberBanned',
          actorId: viewer.userId,
          userId,
          payload: { endsAt: ends },
        }
        if (!target) return { result, events: [banned] }
        await deleteMembership(tx, target)
        const lost = { userId, reason: 'BANNED' as const, banReason: reason, banEndsAt: ends }
        return { result, events: [leftEvent(viewer, userId, 'BANNED'), banned], lost }
      }),

    /** Owners and moderators only. Where there is no ban, or it has ended, nothing changes. */
    unbanMember: (viewer: Viewer, roomId: string, userId: string): Promise<void> =>
      changeRoom(viewer, roomId, async ({ tx, room, membership, now }) => {
        refuseDirect(room)
        refuseUnlessModerator(membership)
        const known = await findBan(tx, roomId, userId, now)
        if (!known) return { result: undefined }
        await deleteBan(tx, roomId, userId)
        const events: RoomEventDraft[] = [{ type: 'MemberUnbanned', actorId: viewer.userId, userId, payload: {} }]
        return { result: undefined, events }
      }),

    /** The room's bans; one more than the limit where there is one. Null to who is neither owner nor moderator. */
    async listBans(
      { userId }: Viewer,
      { id, reader }: RoomRecord & Partial<ReadRoom>,
      range: PageRange<string>,
    ): Promise<Ban[] | null> {
      const known = reader?.userId === userId ? reader.membership : undefined
      const membership = known === undefined ? await findMembership(db, id, userId) : known
      if (!membership || membership.role === 'MEMBER') return null
      return readBans(db, id, new Date(clock.now()), { ...range, limit: range.limit + 1 })
    },
  }
}

/** The membership of somebody who exists; null where they have none. */
async function findTarget(tx: Tx, roomId: string, userId: string): Promise<Membership | null> {
  const target = await findMembership(tx, roomId, userId)
  if (!target && !(await tx.user.findUnique({ where: { id: userId }, select: { id: true } }))) {
    throw new RefusedError('NOT_FOUND', 'There is no such user.')
  }
  return target
}

function leftEvent({ userId: actorId }: Viewer, userId: string, reason: 'REMOVED' | 'BANNED'): RoomEventDraft {
  return { type: 'MemberLeft', actorId, userId, payload: { reason } }
}

function isSame(known: BanTerms, { reason, endsAt }: BanTerms): boolean {
  return known.reason === reason && known.endsAt?.getTime() === endsAt?.getTime()
}
