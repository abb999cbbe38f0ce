import type { Publisher } from '../events/publisher.ts'
import type { Clock } from '../platform/clock.ts'
import { type Db, isDataError, isLockTimeout, type Tx } from '../platform/db.ts'
import { RefusedError, ValidationError } from '../platform/errors.ts'
import { newId } from '../platform/ids.ts'
import type { PageRange } from '../platform/page-range.ts'
import type { Viewer } from '../platform/viewer.ts'
import type { Rooms } from '../rooms/service.ts'
import { type AppendOutcome, appendMessages, type NewMessage } from './append-messages.ts'
import type { AttachmentRecord } from './attachment-record.ts'
import { createMessageDeletion } from './deletion-service.ts'
import type { MentionRecord } from './mention-record.ts'
import { chooseMentions, findCandidates } from './mentions.ts'
import { LAST_SEQ, type MessageRecord } from './message-record.ts'
import { type ErrorScope, MessageWriter } from './message-writer.ts'
import { findMembersByName, findMessages, findOriginal, type MessageRange, messageSent, readMessages } from './store.ts'

/** A part of a room's history, oldest first. */
export interface MessagePage {
  messages: MessageRecord[]
  hasPreviousPage: boolean
  hasNextPage: boolean
}

/** A message as its author asks for it to be sent. */
export interface MessageDraft {
  roomId: string
  text: string
  replyToId: string | null
  clientMessageId: string | null
  attachmentIds: readonly string[]
}

/** What messages need of files. */
export interface MessageAttachments {
  /**
   * The attachments, in this order, that the viewer may send: their own, in no message yet, and ready. Waits some seconds
   * for what is still being processed. Throws a RefusedError where one may not be sent.
   */
  prepare(viewer: Viewer, ids: readonly string[]): Promise<AttachmentRecord[]>
  /** In the transaction that deletes the message: from its commit on its attachments are gone for everybody. */
  release(tx: Tx, messageId: string): Promise<void>
}

export type Messages = ReturnType<typeof createMessages>

export interface MessagesOptions {
  db: Db
  publisher: Publisher
  rooms: Rooms
  attachments: MessageAttachments
  clock: Clock
}

export function createMessages({ db, publisher, rooms, attachments, clock }: MessagesOptions) {
  const writer = new MessageWriter((messages) => appendMessages(db, messages), scopeOf)

  async function append(message: NewMessage): Promise<AppendOutcome> {
    // Who sends files waits for nobody, and the group for them neither.
    const [outcome] = message.attachments.length === 0 ? [] : await appendMessages(db, [message])
    return outcome ?? writer.write(message)
  }

  /** The attachments; or, for a retry of what was sent with them already, the message. */
  async function prepareAttachments(viewer: Viewer, draft: MessageDraft): Promise<AttachmentRecord[] | MessageRecord> {
    if (draft.attachmentIds.length === 0) return []
    try {
      return await attachments.prepare(viewer, draft.attachmentIds)
    } catch (error) {
      const original = error instanceof RefusedError && (await findOriginal(db, viewer.userId, draft))
      if (original) return original
      throw error
    }
  }

  async function resolveMentions({ roomId, text }: MessageDraft): Promise<MentionRecord[]> {
    const candidates = findCandidates(text)
    if (candidates.length === 0) return []
    const names = [...new Set(candidates.map(({ name }) => name))]
    return chooseMentions(candidates, await findMembersByName(db, roomId, names))
  }

  return {
    ...createMessageDeletion({ db, publisher, clock, release: attachments.release }),

    /**
     * Stores a message and answers after commit. The same clientMessageId again, by the same author in the same room,
     * returns the first message, however often and however concurrently: one row, one event. Whom its text mentions is
     * decided here, by the members' names as they are now.
     */
    async sendMessage(viewer: Viewer, draft: MessageDraft): Promise<MessageRecord> {
      const { attachmentIds, ...rest } = draft
      const prepared = await prepareAttachments(viewer, draft)
      if (!Array.isArray(prepared)) return prepared
      const message = { ...rest, attachments: prepared, mentions: await resolveMentions(draft) }
      const result = await append({ ...message, id: newId(), authorId: viewer.userId })
      switch (result.outcome) {
        case 'SENT':
          publisher.publishEvents([messageSent(result.message)])
          return result.message
        case 'DUPLICATE': {
          const [original] = await findMessages(db, [result.message.id])
          return original ?? result.message
        }
        case 'NOT_FOUND':
          throw new RefusedError('NOT_FOUND', 'There is no such room.')
        case 'NOT_A_MEMBER':
          await rooms.refuseBanned(viewer, message.roomId)
          throw new RefusedError('NOT_A_MEMBER', 'Join the room before you write in it.')
        case 'ROOM_ARCHIVED':
          throw new RefusedError('ROOM_ARCHIVED', 'The room is archived.')
        case 'REPLY_NOT_FOUND':
          throw new ValidationError([
            { path: 'input.replyToId', message: 'is not a message of this room', limit: null },
          ])
        case 'ATTACHMENT_NOT_FOUND':
          throw new ValidationError([
            { path: 'input.attachmentIds', message: 'has one that was just sent or removed', limit: null },
          ])
      }
    },

    /** A page of the history of a room that the caller has shown the viewer may read. */
    async listMessages(roomId: string, { after, before, limit, from }: PageRange<number>): Promise<MessagePage> {
      const range = { after: after ?? 0, before: before ?? LAST_SEQ }
      const found = await readMessages(db, roomId, [
        // One more than asked tells whether the page has a neighbour on its open side, one beyond a cursor on the other.
        { ...range, limit: limit + 1, from },
        ...(after === null ? [] : [upToSeq(after)]),
        ...(before === null ? [] : [fromSeq(before)]),
      ])
      const within = found.filter(({ seq }) => seq > range.after && seq < range.before)
      const more = within.length > limit
      return {
        messages: from === 'start' ? within.slice(0, limit) : within.slice(Math.max(0, within.length - limit)),
        hasPreviousPage: (from === 'end' && more) || found.some(({ seq }) => seq <= range.after),
        hasNextPage: (from === 'start' && more) || found.some(({ seq }) => seq >= range.before),
      }
    },

    /** A window of history around a seq: as many messages before it as from it on, where there are. */
    async listMessagesAround(roomId: string, seq: number, limit: number): Promise<MessagePage> {
      const half = Math.ceil(limit / 2)
      const found = await readMessages(db, roomId, [
        { ...upToSeq(seq - 1), limit: limit + 1 },
        { ...fromSeq(seq), limit: limit + 1 },
      ])
      const older = found.filter((message) => message.seq < seq)
      const newer = found.slice(older.length)
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
      const [message] = await readMessages(db, roomId, [upToSeq(LAST_SEQ - 1)])
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

/** The newest message that is not after this seq. */
const upToSeq = (seq: number): MessageRange => ({
  after: 0,
  // Seqs and what they are compared with are 32-bit integers.
  before: Math.min(seq + 1, LAST_SEQ),
  limit: 1,
  from: 'end',
})

/** The oldest message that is not before this seq. */
const fromSeq = (seq: number): MessageRange => ({ after: seq - 1, before: LAST_SEQ, limit: 1, from: 'start' })

function scopeOf(error: unknown): ErrorScope {
  if (isDataError(error)) return 'message'
  return isLockTimeout(error) ? 'room' : 'database'
}
