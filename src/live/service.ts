import type { LogEvent, RoomEvent, UserEvent } from '../events/room-event.ts'
import type { StreamMark } from '../events/stream-mark.ts'
import { roomTopic, userTopic } from '../events/topics.ts'
import type { MessageRecord } from '../messages/message-record.ts'
import { GateError } from '../platform/errors.ts'
import type { OpenSession, Session } from '../platform/session.ts'
import type { Viewer } from '../platform/viewer.ts'
import type { Presence } from '../presence/service.ts'
import type { Device } from '../presence/tracker.ts'
import type { FeedItem } from '../realtime/feed-cursor.ts'
import type { Hub } from '../realtime/hub.ts'
import { mapReader, type Reader } from '../realtime/reader.ts'
import type { Rooms } from '../rooms/service.ts'
import type { RoomHead } from '../rooms/store.ts'
import type { Users } from '../users/service.ts'
import { type EndingOptions, EndingReader } from './ending-reader.ts'
import { endFor, type RightHolder, type RoomRights } from './room-rights.ts'
import { StreamEnd } from './stream-end.ts'

/** What messageAdded delivers: messages, and at the very end perhaps that the log was cut behind the reader. */
export type MessageItem = MessageRecord | { type: 'ResyncRequired'; fromSeq: number }

export type Live = ReturnType<typeof createLive>

export interface LiveOptions {
  hub: Hub<LogEvent>
  /** Is told of every event that the hub's feeds accept. */
  rights: RoomRights
  rooms: Rooms
  users: Users
  presence: Presence
  openSession: OpenSession
}

/** Who asks for a stream, and on what it stands. */
export interface Access {
  viewer: Viewer
  /** See Context. */
  session: Session | null
  connectionId: string
}

/** Opens streams: who may not have one is refused before it opens, with the same errors as elsewhere. */
export function createLive({ hub, rights, rooms, users, presence, openSession }: LiveOptions) {
  const toMark = createMarks()

  /** The stream for as long as its reader is signed in. Where the session is the connection's, that ends with it. */
  function holdSession<T>(source: Reader<T>, { viewer, session }: Access, options: EndingOptions<T>): EndingReader<T> {
    let own: Session | null = null
    const onEnd = () => {
      own?.close()
      options.onEnd?.()
    }
    const reader = new EndingReader(source, { ...options, onEnd })
    if (!session) own = openSession(viewer, (why) => reader.cut(new StreamEnd(why)))
    return reader
  }

  /** The same, and for as long as they may read the room. */
  function holdRoom<T>(
    source: Reader<T>,
    access: Access,
    { room, eventOf, onEnd }: { room: RoomHead; eventOf: (item: T) => LogEvent | null; onEnd: () => void },
  ): EndingReader<T> {
    const { viewer } = access
    const place = { acceptedAtSeq: room.lastSeq }
    let giveUp = () => {}
    const reader = holdSession(source, access, {
      endAfter: (item) => {
        const event = eventOf(item)
        // What a replay tells is past.
        return event && event.seq > place.acceptedAtSeq ? endFor(event, room.kind, viewer.userId) : null
      },
      onEnd: () => {
        giveUp()
        onEnd()
      },
    })
    const holder: RightHolder = {
      userId: viewer.userId,
      get acceptedAtSeq() {
        return place.acceptedAtSeq
      },
      cutSoon: (end) => reader.cutSoon(end),
      async recheck() {
        const head = await rooms.requireReadableHead(viewer, room.id).catch(() => null)
        if (head) place.acceptedAtSeq = head.lastSeq
        else reader.cut(new StreamEnd('LEFT'))
      },
    }
    giveUp = rights.hold(room, holder)
    return reader
  }

  async function openRoom(
    access: Access,
    roomId: string,
    after: number | null,
    check: (room: RoomHead) => void = () => {},
  ) {
    // The head is read with the authorisation, before the feed opens: whatever commits afterwards is delivered.
    const room = await rooms.requireReadableHead(access.viewer, roomId)
    check(room)
    const cursor = await hub.open(roomTopic(roomId), { head: room.lastSeq, ...(after === null ? {} : { after }) })
    const reader = holdRoom(cursor, access, {
      room,
      eventOf: (item) => (item.kind === 'entry' ? item.entry.event : null),
      onEnd: presence.enterRoom(roomId, deviceOf(access)),
    })
    // What the feed had accepted before the right was held, nobody has told to a reader that is behind.
    if (cursor.feedHead > room.lastSeq) await requireStill(access.viewer, roomId, reader)
    return reader
  }

  /** Throws, and ends the stream, where the viewer may no longer read the room. */
  async function requireStill(viewer: Viewer, roomId: string, reader: { end(): void }): Promise<void> {
    try {
      await rooms.requireReadableHead(viewer, roomId)
    } catch (error) {
      reader.end()
      throw error
    }
  }

  return {
    /** The room's log from `after` on; without it, from the head as it is now. */
    async openRoomEvents(access: Access, roomId: string, after: number | null) {
      const reader = await openRoom(access, roomId, after)
      return mapReader<FeedItem<LogEvent> | StreamEnd, RoomEvent | StreamMark | StreamEnd>(reader, {
        map: (item) => {
          if (item instanceof StreamEnd) return item
          // A room's topic carries room events only.
          return item.kind === 'entry' ? (item.entry.event as RoomEvent) : toMark(item)
        },
      })
    },

    /** The same, messages only. A resume point that the log no longer reaches is refused with RESYNC_REQUIRED. */
    async openMessages(access: Access, roomId: string, after: number | null) {
      const check = ({ logFloor, lastSeq }: RoomHead) => {
        if (after === null || (after >= logFloor && after <= lastSeq)) return
        const fromSeq = after > lastSeq ? lastSeq + 1 : logFloor + 1
        const message = 'The log does not reach back to `after`: read the history anew.'
        throw new GateError('RESYNC_REQUIRED', message, { fromSeq })
      }
      const reader = await openRoom(access, roomId, after, check)
      return mapReader<FeedItem<LogEvent> | StreamEnd, MessageItem | StreamEnd>(reader, {
        map: (item) => {
          if (item instanceof StreamEnd) return item
          if (item.kind === 'resync') return { type: 'ResyncRequired', fromSeq: item.fromSeq }
          if (item.kind === 'caught-up' || item.entry.event.type !== 'MessageSent') return null
          return item.entry.event.message
        },
        isLast: (item) => !(item instanceof StreamEnd) && item.kind === 'resync',
      })
    },

    /** Who is in the room: the snapshot, then changes. Watching a room is being in it. */
    async openRoomPresence(access: Access, roomId: string) {
      const { viewer } = access
      const head = await rooms.requireReadableHead(viewer, roomId)
      // Presence is not of the log: this only keeps the room's feed open, which tells who loses the room.
      const feed = await hub.open(roomTopic(roomId), { head: head.lastSeq })
      const leave = presence.enterRoom(roomId, deviceOf(access))
      const close = () => {
        feed.end()
        leave()
      }
      try {
        // So that the snapshot shows the viewer themself.
        await presence.settled()
        const roster = await presence.watch(roomId)
        const reader = holdRoom(roster, access, { room: head, eventOf: () => null, onEnd: close })
        // What was lost before the right was held, nobody has told.
        await requireStill(viewer, roomId, reader)
        return reader
      } catch (error) {
        close()
        throw error
      }
    },

    /** The viewer's own log from `after` on; without it, from its head as it is now. */
    async openViewerEvents(access: Access, after: number | null) {
      const { viewer } = access
      const head = await users.requireLogHead(viewer)
      const cursor = await hub.open(userTopic(viewer.userId), { head, ...(after === null ? {} : { after }) })
      const reader = holdSession(cursor, access, { onEnd: presence.connect(deviceOf(access)) })
      return mapReader<FeedItem<LogEvent> | StreamEnd, UserEvent | StreamMark | StreamEnd>(reader, {
        map: (item) => {
          if (item instanceof StreamEnd) return item
          // A user's topic carries user events only.
          return item.kind === 'entry' ? (item.entry.event as UserEvent) : toMark(item)
        },
      })
    },
  }
}

const deviceOf = ({ viewer, connectionId }: Access): Device => ({ id: connectionId, userId: viewer.userId })

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
