// The logs in Postgres as the feeds see them: topics in, entries out.

import type { Db } from '../platform/db.ts'
import type { Entry, TopicLog } from '../realtime/topic-log.ts'
import { changesOf, EVENT_BASE_BYTES, type LogSource } from './log-source.ts'
import type { LogEvent, RoomEvent } from './room-event.ts'
import { parseLogTopic, roomTopic, userTopic } from './topics.ts'
import { readUserEvents } from './user-log.ts'

export function createTopicLog(db: Db, sources: readonly LogSource[]): TopicLog<LogEvent> {
  return {
    async heads(topics) {
      const parsed = topics.map(parseLogTopic)
      const idsOf = (log: 'room' | 'user') => parsed.filter((topic) => topic.log === log).map(({ id }) => id)
      const [roomIds, userIds] = [idsOf('room'), idsOf('user')]
      const [rooms, users] = await Promise.all([
        roomIds.length === 0
          ? []
          : db.room.findMany({ where: { id: { in: roomIds } }, select: { id: true, lastSeq: true } }),
        userIds.length === 0
          ? []
          : db.user.findMany({ where: { id: { in: userIds } }, select: { id: true, lastEventSeq: true } }),
      ])
      return new Map([
        ...rooms.map((room) => [roomTopic(room.id), room.lastSeq] as const),
        ...users.map((user) => [userTopic(user.id), user.lastEventSeq] as const),
      ])
    },

    async read(topic, after, upTo, limit) {
      const { log, id } = parseLogTopic(topic)
      if (log === 'user') {
        const events = await readUserEvents(db, id, after, upTo, limit)
        return events.map((event) => ({ seq: event.seq, event, bytes: EVENT_BASE_BYTES }))
      }
      const entries = await readSources(sources, id, { after, upTo, limit })
      if (isWhole(entries, after, upTo)) return entries
      const floor = await findFloor(db, id)
      const kept = await readSources(sources, id, { after: Math.max(after, floor), upTo, limit })
      if (!isWhole(kept, Math.max(after, floor), upTo))
        throw new Error(`the log of room ${id} has a gap after ${after}`)
      return kept
    },

    encode: encodeEvent,

    decode(message) {
      // Only this service's nodes publish on its topics, and only what encodeEvent made.
      const event = JSON.parse(message) as LogEvent
      if (!Number.isInteger(event.seq)) throw new Error('a bus message without a seq')
      return { seq: event.seq, event, bytes: EVENT_BASE_BYTES + message.length, ...changesOf(event) }
    },
  }
}

/** An event as a bus message. */
export function encodeEvent(event: LogEvent): string {
  return JSON.stringify(event)
}

/** Asks the sources in their order until the range is whole: in most ranges every event is a message. */
async function readSources(
  sources: readonly LogSource[],
  roomId: string,
  { after, upTo, limit }: { after: number; upTo: number; limit: number },
): Promise<Entry<RoomEvent>[]> {
  let entries: Entry<RoomEvent>[] = []
  // What lies behind as many entries as are wanted need not be asked for.
  let last = upTo
  for (const source of sources) {
    const more = await source.readRoomEvents(roomId, after, last, limit)
    entries = [...entries, ...more].sort((a, b) => a.seq - b.seq).slice(0, limit)
    last = entries[limit - 1]?.seq ?? upTo
    if (entries.at(-1)?.seq === last && isWhole(entries, after, last)) break
  }
  return entries
}

/** Whether the entries follow `after` without a gap. */
function isWhole(entries: readonly Entry<RoomEvent>[], after: number, upTo: number): boolean {
  const last = entries.at(-1)
  return last ? last.seq - after === entries.length : upTo <= after
}

/** Up to where retention has cut the room's log; asked only when a read shows a gap. */
async function findFloor(db: Db, roomId: string): Promise<number> {
  const room = await db.room.findUnique({ where: { id: roomId }, select: { logFloor: true } })
  return room?.logFloor ?? 0
}
