import type { Publisher } from '../events/publisher.ts'
import type { Membership, Room, RoomKind } from '../generated/prisma/client.ts'
import { Batcher } from '../platform/batcher.ts'
import { type Clock, systemClock } from '../platform/clock.ts'
import { type Db, isUniqueViolation, type Tx } from '../platform/db.ts'
import { RefusedError } from '../platform/errors.ts'
import type { PageRange } from '../platform/page-range.ts'
import type { Viewer } from '../platform/viewer.ts'
import { findBan } from './ban-store.ts'
import { createRoomChanges } from './change-service.ts'
import { createRoom, type NewRoom } from './creation-service.ts'
import type { MembershipRecord, ReadRoom } from './membership-record.ts'
import { createModeration } from './moderation-service.ts'
import { refuseAbsent, refuseArchived, refuseBanned, refuseDirect, refuseUnlessModerator } from './policy.ts'
import type { RoomEventDraft } from './room-event-bodies.ts'
import type { RoomRecord } from './room-record.ts'
import { foldForSearch } from './search-text.ts'
import {
  deleteMembership,
  escapeLike,
  findHeir,
  findMembership,
  findReadableRoom,
  insertMembership,
  type RoomHead,
  type RoomOrder,
  type RoomPlace,
  readMembers,
  readRoomHeads,
  readRooms,
} from './store.ts'
import { memberOf, readableBy } from './visibility.ts'

export interface RoomChange {
  name?: string
  slug?: string
  topic?: string | null
}

/** Which rooms to list, and how. */
export interface RoomFilter {
  search: string | null
  joined: boolean
  order: RoomOrder
}

/** A room of a list of what somebody may read. */
export type ListedRoom = Room & Pick<ReadRoom, 'reader'>

export type Rooms = ReturnType<typeof createRooms>

/** `clock`: by what it says bans end; default the system's. */
export function createRooms({ db, publisher, clock = systemClock }: { db: Db; publisher: Publisher; clock?: Clock }) {
  const now = () => new Date(clock.now())
  const changeRoom = createRoomChanges({ db, publisher, clock })
  const heads = new Batcher<{ roomId: string; userId: string }, RoomHead | null>({
    run: (pairs) => readRoomHeads(db, pairs, now()),
  })

  async function requireReadableRoom(viewer: Viewer, roomId: string): Promise<ReadRoom> {
    return (await findReadableRoom(db, viewer.userId, { id: roomId }, now())) ?? refuseAbsent()
  }

  return {
    ...createModeration({ db, clock, changeRoom }),

    /** With the viewer's membership; null where the room is absent or not the viewer's. */
    findRoom: (viewer: Pick<Viewer, 'userId'>, where: { id: string } | { slug: string }): Promise<ReadRoom | null> =>
      findReadableRoom(db, viewer.userId, where, now()),

    /** The room with the viewer's membership, or NOT_FOUND where it is absent or not the viewer's. */
    requireReadableRoom,

    /**
     * The head of a room's log, as it is at some time after the call, for a stream that begins there; or NOT_FOUND. When
     * many streams open at once they share queries.
     */
    async requireReadableHead({ userId }: Viewer, roomId: string): Promise<RoomHead> {
      return (await heads.call({ roomId, userId })) ?? refuseAbsent()
    },

    /** Rooms that the viewer can read; one more than the limit where there is one. */
    async listRooms(
      { userId }: Viewer,
      { search, joined, order }: RoomFilter,
      range: PageRange<RoomPlace>,
    ): Promise<ListedRoom[]> {
      const visible = joined ? memberOf(userId) : readableBy(userId, now())
      const found = search ? { searchText: { contains: escapeLike(foldForSearch(search)) } } : {}
      const rooms = await readRooms(db, { AND: [visible, found] }, order, { ...range, limit: range.limit + 1 })
      return rooms.map((room) => ({ ...room, reader: { userId } }))
    },

    /**
     * Members, with their users, of a room that the caller has shown the viewer may read; one more than the limit where
     * there is one.
     */
    listMembers: (roomId: string, range: PageRange<string>): Promise<MembershipRecord[]> =>
      readMembers(db, roomId, { ...range, limit: range.limit + 1 }),

    /** Those of the given rooms that the viewer can read, in no order. At most 1,000. */
    async listRoomsByIds({ userId }: Viewer, ids: readonly string[]): Promise<ListedRoom[]> {
      const rooms = await db.room.findMany({ where: { AND: [{ id: { in: [...ids] } }, readableBy(userId, now())] } })
      return rooms.map((room) => ({ ...room, reader: { userId } }))
    },

    /**
     * Throws NOT_FOUND unless the viewer may read the room now: one that came with an event or an old message may be theirs
     * no longer. Calls of one tick share one query.
     */
    async requireReader({ userId }: Viewer, room: RoomRecord & Partial<ReadRoom>): Promise<void> {
      if (room.reader?.userId === userId) return
      const mayRead =
        room.kind === 'PUBLIC'
          ? !(await findBan(db, room.id, userId, now()))
          : await findMembership(db, room.id, userId)
      if (!mayRead) refuseAbsent()
    },

    /** For who was kept from a public room: throws BANNED where that is why. */
    async refuseBanned({ userId }: Viewer, roomId: string): Promise<void> {
      refuseBanned(await findBan(db, roomId, userId, now()))
    },

    /** Calls of one tick share one query. */
    findMembership: (roomId: string, userId: string): Promise<Membership | null> => findMembership(db, roomId, userId),

    /** Creates a room with the viewer as its owner; a direct room that exists already is returned as it is. */
    createRoom: (viewer: Viewer, room: NewRoom & { kind: RoomKind }): Promise<Room> =>
      createRoom({ db, publisher }, viewer, room),

    updateRoom: async (viewer: Viewer, roomId: string, change: RoomChange): Promise<RoomRecord> => {
      await changeRoom(viewer, roomId, async ({ tx, room, membership }) => {
        refuseDirect(room)
        refuseUnlessModerator(membership)
        refuseArchived(room)
        if (change.slug !== undefined && room.kind !== 'PUBLIC') {
          throw new RefusedError('FORBIDDEN', 'Only public rooms have a slug.')
        }
        const name = change.name ?? room.name
        const topic = change.topic === undefined ? room.topic : change.topic
        const slug = change.slug ?? room.slug
        if (name === room.name && topic === room.topic && slug === room.slug) return { result: undefined }
        const searchText = foldForSearch(`${name} ${topic ?? ''}`)
        await tx.room.update({ where: { id: roomId }, data: { name, topic, slug, searchText } })
        const events = [{ type: 'RoomUpdated', actorId: viewer.userId, payload: { name, slug, topic } } as const]
        return { result: undefined, events }
      }).catch((error) => {
        throw isUniqueViolation(error)
          ? new RefusedError('SLUG_TAKEN', `Another room has the slug ${change.slug}.`)
          : error
      })
      // Read anew: the event has moved the log's head and the last activity too.
      return requireReadableRoom(viewer, roomId)
    },

    /** Ends writing in a room, for ever; reading goes on. Archiving an archived room changes nothing. */
    archiveRoom: async (viewer: Viewer, roomId: string): Promise<RoomRecord> => {
      await changeRoom(viewer, roomId, async ({ tx, room, membership }) => {
        refuseDirect(room)
        refuseUnlessModerator(membership)
        if (room.archivedAt) return { result: undefined }
        await tx.room.update({ where: { id: roomId }, data: { archivedAt: new Date() } })
        return { result: undefined, events: [{ type: 'RoomArchived', actorId: viewer.userId, payload: {} }] }
      })
      return requireReadableRoom(viewer, roomId)
    },

    /** Makes the viewer a member of a public room, unless they are banned from it. Joining again changes nothing. */
    joinRoom: (viewer: Viewer, roomId: string): Promise<Membership> =>
      changeRoom(
        viewer,
        roomId,
        async ({ tx, room, membership }) => {
          if (membership) return { result: membership }
          refuseArchived(room)
          return addMember(tx, { room, userId: viewer.userId, actorId: viewer.userId })
        },
        { tellsBan: true },
      ),

    /** Adds another user to a room; owners and moderators only. Not who is banned. Adding a member again changes nothing. */
    addMember: (viewer: Viewer, roomId: string, userId: string): Promise<Membership> =>
      changeRoom(viewer, roomId, async ({ tx, room, membership, now }) => {
        refuseDirect(room)
        refuseUnlessModerator(membership)
        refuseArchived(room)
        const existing = await findMembership(tx, roomId, userId)
        if (existing) return { result: existing }
        if (!(await tx.user.findUnique({ where: { id: userId }, select: { id: true } }))) {
          throw new RefusedError('NOT_FOUND', 'There is no such user.')
        }
        const ban = await findBan(tx, roomId, userId, now)
        refuseBanned(ban, 'The user is banned from the room: lift the ban first.')
        return addMember(tx, { room, userId, actorId: viewer.userId })
      }),

    /** Ends the viewer's membership. The last owner hands the room to its longest-standing moderator, else member. */
    leaveRoom: (viewer: Viewer, roomId: string): Promise<void> =>
      changeRoom(viewer, roomId, async ({ tx, room, membership }) => {
        refuseDirect(room)
        if (!membership) throw new RefusedError('NOT_A_MEMBER', 'You are not a member of the room.')
        const { userId } = viewer
        await deleteMembership(tx, membership)
        const events: RoomEventDraft[] = [{ type: 'MemberLeft', actorId: userId, userId, payload: { reason: 'LEFT' } }]
        const heir = membership.role === 'OWNER' ? await findHeir(tx, roomId) : null
        if (heir) {
          await tx.membership.update({ where: { id: heir.id }, data: { role: 'OWNER' } })
          const payload = { role: 'OWNER' } as const
          events.push({ type: 'MemberRoleChanged', actorId: userId, userId: heir.userId, payload })
        }
        return { result: undefined, events, lost: { userId, reason: 'LEFT' as const } }
      }),
  }
}

async function addMember(tx: Tx, { room, userId, actorId }: { room: Room; userId: string; actorId: string }) {
  // A room that everybody left belongs to who comes next.
  const role = room.memberCount === 0 ? 'OWNER' : 'MEMBER'
  const result = await insertMembership(tx, { roomId: room.id, userId, role })
  const events: RoomEventDraft[] = [{ type: 'MemberJoined', actorId, userId, payload: { role } }]
  return { result, events, gained: userId }
}
