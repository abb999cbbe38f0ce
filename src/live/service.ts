import type { LogEvent, RoomEvent, UserEvent } from '../events/room-event.ts'
import type { StreamMark } from '../events/stream-mark.ts'
import { roomTopic, userTopic } from '../events/topics.ts'
import type { MessageRecord } from '../messages/message-record.ts'
import { GateError } from '../platform/errors.ts'
import type { Viewer } from '../platform/viewer.ts'
import type { RosterItem } from '../presence/roster-items.ts'
import type { Presence } from '../presence/service.ts'
import type { Device } from '../presence/tracker.ts'
import type { FeedItem } from '../realtime/feed-cursor.ts'
import type { Hub } from '../realtime/hub.ts'
import { mapReader } from '../realtime/reader.ts'
import type { Rooms } from '../rooms/service.ts'
import type { RoomHead } from '../rooms/store.ts'
import type { Users } from '../users/service.ts'

/** What messageAdded delivers: messages, and at the very end perhaps that the log was cut behind the reader. */
export type MessageItem = MessageRecord | { type: 'ResyncRequired'; fromSeq: number }

export type Live = ReturnType<typeof createLive>

export interface LiveOptions {
  hub: Hub<LogEvent>
  rooms: Rooms
  users: Users
  presence: Presence
}

/** Opens streams: who may not have one is refused before it opens, with the same errors as elsewhere. */
export function createLive({ hub, rooms, users, presence }: LiveOptions) {
  const toMark = createMarks()

  async function openRoom(
    viewer: Viewer,
    connectionId: string,
    roomId: string,
    after: number | null,
    check: (room: RoomHead) => void = () => {},
  ) {
    // The head is read with the authorisation, before the feed opens: whatever commits afterwards is delivered.
    const room = await rooms.requireReadableHead(viewer, roomId)
    check(room)
    const cursor = await hub.open(roomTopic(roomId), { head: room.lastSeq, ...(after === null ? {} : { after }) })
    const leave = presence.enterRoom(roomId, deviceOf(viewer, connectionId))
    return { cursor, leave, losesRoom: createLossCheck(viewer, room) }
  }

  /** Ends a stream that is not of the log when the viewer loses the room. Returns what ends this watch. */
  async function endWithMembership(viewer: Viewer, room: RoomHead, end: () => void): Promise<() => void> {
    const losesRoom = createLossCheck(viewer, room)
    if (!losesRoom) return () => {}
    const cursor = await hub.open(roomTopic(room.id), { head: room.lastSeq })
    const watch = async () => {
      for await (const item of cursor) if (losesRoom(item)) return end()
    }
    // Only what ends the process makes a cursor fail.
    watch().catch(end)
    return () => cursor.end()
  }

  return {
    /** The room's log from `after` on; without it, from the head as it is now. */
    async openRoomEvents(viewer: Viewer, connectionId: string, roomId: string, after: number | null) {
      const { cursor, leave, losesRoom } = await openRoom(viewer, connectionId, roomId, after)
      return mapReader<FeedItem<LogEvent>, RoomEvent | StreamMark>(cursor, {
        // A room's topic carries room events only.
        map: (item) => (item.kind === 'entry' ? (item.entry.event as RoomEvent) : toMark(item)),
        ...(losesRoom && { isLast: losesRoom }),
        onEnd: leave,
      })
    },

    /** The same, messages only. A resume point that the log no longer reaches is refused with RESYNC_REQUIRED. */
    async openMessages(viewer: Viewer, connectionId: string, roomId: string, after: number | null) {
      const check = ({ logFloor, lastSeq }: RoomHead) => {
        if (after === null || (after >= logFloor && after <= lastSeq)) return
        const fromSeq = after > lastSeq ? lastSeq + 1 : logFloor + 1
        const message = 'The log does not reach back to `after`: read the history anew.'
        throw new GateError('RESYNC_REQUIRED', message, { fromSeq })
      }
      const { cursor, leave, losesRoom } = await openRoom(viewer, connectionId, roomId, after, check)
      return mapReader<FeedItem<LogEvent>, MessageItem>(cursor, {
        map: (item) => {
          if (item.kind === 'resync') return { type: 'ResyncRequired', fromSeq: item.fromSeq }
          if (item.kind === 'caught-up' || item.entry.event.type !== 'MessageSent') return null
          return item.entry.event.message
        },
        isLast: (item) => item.kind === 'resync' || (losesRoom?.(item) ?? false),
        onEnd: leave,
      })
    },

    /** Who is in the room: the snapshot, then changes. Watching a room is being in it. */
    async openRoomPresence(viewer: Viewer, connectionId: string, roomId: string) {
      const room = await rooms.requireReadableHead(viewer, roomId)
      const leave = presence.enterRoom(roomId, deviceOf(viewer, connectionId))
      try {
        // So that the snapshot shows the viewer themself.
        await presence.settled()
        const roster = await presence.watch(roomId)
        const unwatch = await endWithMembership(viewer, room, () => roster.end()).catch((error) => {
          roster.end()
          throw error
        })
        return mapReader<RosterItem, RosterItem>(roster, {
          map: (item) => item,
          onEnd: () => {
            unwatch()
            leave()
          },
        })
      } catch (error) {
        leave()
        throw error
      }
    },

    /** The viewer's own log from `after` on; without it, from its head as it is now. */
    async openViewerEvents(viewer: Viewer, connectionId: string, after: number | null) {
      const head = await users.requireLogHead(viewer)
      const cursor = await hub.open(userTopic(viewer.userId), { head, ...(after === null ? {} : { after }) })
      const leave = presence.connect(deviceOf(viewer, connectionId))
      return mapReader<FeedItem<LogEvent>, UserEvent | StreamMark>(cursor, {
        // A user's topic carries user events only.
        map: (item) => (item.kind === 'entry' ? (item.entry.event as UserEvent) : toMark(item)),
        onEnd: leave,
      })
    },
  }
}

/**
 * Whether an item takes the room from the viewer: they left a room that only its members may read. Only after the stream
 * was accepted; what a replay tells is past. Null for a room that nobody loses.
 */
function createLossCheck(
  { userId }: Viewer,
  { kind, lastSeq }: RoomHead,
): ((item: FeedItem<LogEvent>) => boolean) | null {
  if (kind === 'PUBLIC') return null
  return (item) => {
    if (item.kind !== 'entry' || item.entry.seq <= lastSeq) return false
    const { event } = item.entry
    return event.type === 'MemberLeft' && event.user.id === userId
  }
}

const deviceOf = ({ userId }: Viewer, connectionId: string): Device => ({ id: connectionId, userId })

const MAX_MARKS = 1_000

/** Marks of streams. Those who have caught up at the same seq get the same object, so that what is made of it is shared. */
function createMarks() {
  const known = new Map<number, StreamMark>()
  return (item: Exclude<FeedItem<LogEvent>, { kind: 'entry' }>): StreamMark => {
    if (item.kind === 'resync') return { type: 'ResyncRequired', seq: item.fromSeq - 1, fromSeq: item.fromSeq }
    const mark = known.get(item.seq) ?? { type: 'CaughtUp', seq: item.seq }
    if (known.size >= MAX_MARKS) known.clear()
    known.set(item.seq, mark)
    return mark
  }
}
