import type { LogEvent, RoomEvent, UserEvent } from '../events/room-event.ts'
import type { StreamMark } from '../events/stream-mark.ts'
import { roomTopic, userTopic } from '../events/topics.ts'
import type { Room } from '../generated/prisma/client.ts'
import type { MessageRecord } from '../messages/message-record.ts'
import { GateError } from '../platform/errors.ts'
import type { Viewer } from '../platform/viewer.ts'
import type { RosterItem } from '../presence/roster-cursor.ts'
import type { Presence } from '../presence/service.ts'
import type { Device } from '../presence/tracker.ts'
import type { FeedItem } from '../realtime/feed-cursor.ts'
import type { Hub } from '../realtime/hub.ts'
import { mapIterator } from '../realtime/map-iterator.ts'
import type { Rooms } from '../rooms/service.ts'
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
  async function openRoom(
    viewer: Viewer,
    connectionId: string,
    roomId: string,
    after: number | null,
    check: (room: Room) => void = () => {},
  ) {
    // The head is read with the authorisation, before the feed opens: whatever commits afterwards is delivered.
    const room = await rooms.requireReadableRoom(viewer, roomId)
    check(room)
    const cursor = await hub.open(roomTopic(roomId), { head: room.lastSeq, ...(after === null ? {} : { after }) })
    const leave = presence.enterRoom(roomId, { id: connectionId, userId: viewer.userId })
    return { cursor, leave }
  }

  return {
    /** The room's log from `after` on; without it, from the head as it is now. */
    async openRoomEvents(viewer: Viewer, connectionId: string, roomId: string, after: number | null) {
      const { cursor, leave } = await openRoom(viewer, connectionId, roomId, after)
      return mapIterator<FeedItem<LogEvent>, RoomEvent | StreamMark>(
        cursor,
        // A room's topic carries room events only.
        (item) => ({ value: item.kind === 'entry' ? (item.entry.event as RoomEvent) : toMark(item) }),
        leave,
      )
    },

    /** The same, messages only. A resume point that the log no longer reaches is refused with RESYNC_REQUIRED. */
    async openMessages(viewer: Viewer, connectionId: string, roomId: string, after: number | null) {
      const { cursor, leave } = await openRoom(viewer, connectionId, roomId, after, ({ logFloor, lastSeq }) => {
        if (after === null || (after >= logFloor && after <= lastSeq)) return
        const fromSeq = after > lastSeq ? lastSeq + 1 : logFloor + 1
        const message = 'The log does not reach back to `after`: read the history anew.'
        throw new GateError('RESYNC_REQUIRED', message, { fromSeq })
      })
      return mapIterator<FeedItem<LogEvent>, MessageItem>(
        cursor,
        (item) => {
          if (item.kind === 'resync') return { value: { type: 'ResyncRequired', fromSeq: item.fromSeq }, last: true }
          if (item.kind === 'caught-up' || item.entry.event.type !== 'MessageSent') return null
          return { value: item.entry.event.message }
        },
        leave,
      )
    },

    /** Who is in the room: the snapshot, then changes. Watching a room is being in it. */
    async openRoomPresence(viewer: Viewer, connectionId: string, roomId: string) {
      await rooms.requireReadableRoom(viewer, roomId)
      const leave = presence.enterRoom(roomId, { id: connectionId, userId: viewer.userId })
      try {
        // So that the snapshot shows the viewer themself.
        await presence.settled()
        return mapIterator<RosterItem, RosterItem>(await presence.watch(roomId), (value) => ({ value }), leave)
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
      return mapIterator<FeedItem<LogEvent>, UserEvent | StreamMark>(
        cursor,
        // A user's topic carries user events only.
        (item) => ({ value: item.kind === 'entry' ? (item.entry.event as UserEvent) : toMark(item) }),
        leave,
      )
    },
  }
}

const deviceOf = ({ userId }: Viewer, connectionId: string): Device => ({ id: connectionId, userId })

function toMark(item: Exclude<FeedItem<LogEvent>, { kind: 'entry' }>): StreamMark {
  return item.kind === 'caught-up'
    ? { type: 'CaughtUp', seq: item.seq }
    : { type: 'ResyncRequired', seq: item.fromSeq - 1, fromSeq: item.fromSeq }
}
