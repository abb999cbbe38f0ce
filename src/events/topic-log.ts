// The logs in Postgres as the feeds see them: topics in, entries out.

import type { Db } from '../platform/db.ts'
import type { TopicLog } from '../realtime/topic-log.ts'
import { changesOf, EVENT_BASE_BYTES } from './log-source.ts'
import type { LogEvent } from './room-event.ts'
import type { RoomLogReader } from './room-log-reader.ts'
import { parseLogTopic, roomTopic, userTopic } from './topics.ts'
import { readUserEvents } from './user-log.ts'

export function createTopicLog(db: Db, roomLog: RoomLogReader): TopicLog<LogEvent> {
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
      return roomLog.read(id, { after, upTo, limit })
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
