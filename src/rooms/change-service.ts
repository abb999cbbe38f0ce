import type { Publisher } from '../events/publisher.ts'
import type { UserEvent } from '../events/room-event.ts'
import { appendRoomEvents } from '../events/room-log.ts'
import { appendUserEvent } from '../events/user-log.ts'
import type { Membership, Room } from '../generated/prisma/client.ts'
import type { Clock } from '../platform/clock.ts'
import type { Db, Tx } from '../platform/db.ts'
import type { Viewer } from '../platform/viewer.ts'
import { findBan } from './ban-store.ts'
import { refuseBanned, refuseUnlessReadable } from './policy.ts'
import type { RoomEventDraft, RoomLoss } from './room-event-bodies.ts'
import { findMembership, lockRoom } from './store.ts'

/** What a change finds: the room under its lock, and the viewer's membership. */
export interface RoomAtChange {
  tx: Tx
  room: Room
  membership: Membership | null
  /** The time of the change, by the service's clock. */
  now: Date
}

export interface RoomChanged<T> {
  result: T
  events?: RoomEventDraft[]
  /** Who became a member. */
  gained?: string
  /** Who is a member no longer, and how that came. */
  lost?: { userId: string } & RoomLoss
}

export type ChangeRoom = <T>(
  viewer: Viewer,
  roomId: string,
  change: (at: RoomAtChange) => Promise<RoomChanged<T>>,
  /** Whether who is banned is told so; to them, too, the room is absent else. */
  options?: { tellsBan?: boolean },
) => Promise<T>

/**
 * Runs a change of a room under its lock and publishes, after commit, the events that it appended to the room's log and to
 * the log of the user who gained or lost the room. Refuses whoever may not read the room; the rest is for the change to refuse.
 */
export function createRoomChanges({
  db,
  publisher,
  clock,
}: {
  db: Db
  publisher: Publisher
  clock: Clock
}): ChangeRoom {
  return async (viewer, roomId, change, { tellsBan = false } = {}) => {
    const done = await db.$transaction(async (tx) => {
      const room = await lockRoom(tx, roomId)
      const now = new Date(clock.now())
      const membership = await findMembership(tx, roomId, viewer.userId)
      const ban = membership ? null : await findBan(tx, roomId, viewer.userId, now)
      if (tellsBan && room?.kind === 'PUBLIC') refuseBanned(ban)
      refuseUnlessReadable(room, { membership, ban })
      const { result, events = [], gained, lost } = await change({ tx, room, membership, now })
      const lastSeq = events.length > 0 ? await appendRoomEvents(tx, roomId, events) : room.lastSeq
      const userEvents = await appendToOwnLogs(tx, roomId, { gained, lost })
      return { result, fromSeq: room.lastSeq + 1, lastSeq, userEvents }
    })
    if (done.lastSeq >= done.fromSeq) publisher.publishRoomRange(roomId, done.fromSeq, done.lastSeq)
    publisher.publishEvents(done.userEvents)
    return done.result
  }
}

async function appendToOwnLogs(
  tx: Tx,
  roomId: string,
  { gained, lost }: { gained: string | undefined; lost: RoomChanged<unknown>['lost'] | undefined },
): Promise<UserEvent[]> {
  const events = gained === undefined ? [] : await appendUserEvent(tx, [gained], { type: 'RoomGained', roomId })
  if (!lost) return events
  const { userId, ...loss } = lost
  return [...events, ...(await appendUserEvent(tx, [userId], { type: 'RoomLost', roomId, ...loss }))]
}
