import type { Publisher } from '../events/publisher.ts'
import { type Db, isDataError, isLockTimeout } from '../platform/db.ts'
import { RefusedError, ValidationError } from '../platform/errors.ts'
import { newId } from '../platform/ids.ts'
import type { PageRange } from '../platform/page-range.ts'
import type { Viewer } from '../platform/viewer.ts'
import type { Rooms } from '../rooms/service.ts'
import { LAST_SEQ, type MessageRecord } from './message-record.ts'
import { type ErrorScope, MessageWriter } from './message-writer.ts'
import { appendMessages, findMessages, hasMessage, messageSent, type NewMessage, readMessages } from './store.ts'

/** A part of a room's history, oldest first. */
export interface MessagePage {
  messages: MessageRecord[]
  hasPreviousPage: boolean
  hasNextPage: boolean
}

export type Messages = ReturnType<typeof createMessages>

export function createMessages({ db, publisher, rooms }: { db: Db; publisher: Publisher; rooms: Rooms }) {
  const writer = new MessageWriter((messages) => appendMessages(db, messages), scopeOf)

  return {
    /**
     * Stores a message and answers after commit. The same clientMessageId again, by the same author in the same room,
     * returns the first message, however often and however concurrently: one row, one event.
     */
    async sendMessage(viewer: Viewer, message: Omit<NewMessage, 'id' | 'authorId'>): Promise<MessageRecord> {
      const result = await writer.write({ ...message, id: newId(), authorId: viewer.userId })
      switch (result.outcome) {
        case 'SENT':
          publisher.publishEvents([messageSent(result.message)])
          return result.message
        case 'DUPLICATE':
          return result.message
        case 'NOT_FOUND':
          throw new RefusedError('NOT_FOUND', 'There is no such room.')
        case 'NOT_A_MEMBER':
          throw new RefusedError('NOT_A_MEMBER', 'Join the room before you write in it.')
        case 'ROOM_ARCHIVED':
          throw new RefusedError('ROOM_ARCHIVED', 'The room is archived.')
        case 'REPLY_NOT_FOUND':
          throw new ValidationError([
            { path: 'input.replyToId', message: 'is not a message of this room', limit: null },
          ])
      }
    },

    /** A page of the history of a room that the caller has shown the viewer may read. */
    async listMessages(roomId: string, { after, before, limit, from }: PageRange<number>): Promise<MessagePage> {
      const range = { after: after ?? 0, before: before ?? LAST_SEQ }
      // One more than asked tells whether the page has a neighbour on its open side.
      const found = await readMessages(db, roomId, { ...range, limit: limit + 1, from })
      const more = found.length > limit
      const messages = from === 'start' ? found.slice(0, limit) : found.slice(Math.max(0, found.length - limit))
      const [first, last] = [messages[0]?.seq ?? range.before, messages.at(-1)?.seq ?? range.after]
      return {
        messages,
        hasPreviousPage: (from === 'end' && more) || (after !== null && (await hasMessage(db, roomId, 0, first))),
        hasNextPage: (from === 'start' && more) || (before !== null && (await hasMessage(db, roomId, last, LAST_SEQ))),
      }
    },

    /** A window of history around a seq: as many messages before it as from it on, where there are. */
    async listMessagesAround(roomId: string, seq: number, limit: number): Promise<MessagePage> {
      const half = Math.ceil(limit / 2)
      const [older, newer] = await Promise.all([
        readMessages(db, roomId, { after: 0, before: seq, limit: limit + 1, from: 'end' }),
        readMessages(db, roomId, { after: seq - 1, before: LAST_SEQ, limit: limit + 1, from: 'start' }),
      ])
      // Near an end of the history the other side fills the window.
      const takeNewer = Math.min(newer.length, Math.max(half, limit - older.length))
      const takeOlder = Math.min(older.length, limit - takeNewer)
      return {
        messages: [...older.slice(older.length - takeOlder), ...newer.slice(0, takeNewer)],
        hasPreviousPage: older.length > takeOlder,
        hasNextPage: newer.length > takeNewer,
      }
    },

    /** The newest message of a room that the viewer may read; null where there is none. */
    async findLastMessage(roomId: string): Promise<MessageRecord | null> {
      const [message] = await readMessages(db, roomId, { after: 0, before: LAST_SEQ, limit: 1, from: 'end' })
      return message ?? null
    },

    /** Messages by id, in the order asked; null where absent or in a room that is not the viewer's. */
    async listMessagesByIds(viewer: Viewer, ids: readonly string[]): Promise<(MessageRecord | null)[]> {
      const messages = await findMessages(db, ids)
      const readable = new Set(
        (await rooms.listRoomsByIds(viewer, [...new Set(messages.map(({ roomId }) => roomId))])).map(({ id }) => id),
      )
      const byId = new Map(
        messages.filter(({ roomId }) => readable.has(roomId)).map((message) => [message.id, message]),
      )
      return ids.map((id) => byId.get(id) ?? null)
    },
  }
}

function scopeOf(error: unknown): ErrorScope {
  if (isDataError(error)) return 'message'
  return isLockTimeout(error) ? 'room' : 'database'
}
