import type { Publisher } from '../events/publisher.ts'
import type { UserEvent } from '../events/room-event.ts'
import { appendUserEvent, lockUserLogs } from '../events/user-log.ts'
import type { MessageRecord } from '../messages/message-record.ts'
import type { Messages } from '../messages/service.ts'
import { Batcher } from '../platform/batcher.ts'
import type { Clock } from '../platform/clock.ts'
import type { Db, Tx } from '../platform/db.ts'
import { RefusedError } from '../platform/errors.ts'
import type { PageRange } from '../platform/page-range.ts'
import type { Viewer } from '../platform/viewer.ts'
import type { ListedRoom, Rooms } from '../rooms/service.ts'
import type { NotificationRecord } from '../viewer-events/notification-record.ts'
import { countUnread, findNewestId, findNotifications, markRead, readInbox } from './inbox-store.ts'
import { findKind } from './kind-registry.ts'
import { lineWithText } from './notification-text.ts'

export interface InboxOptions {
  db: Db
  publisher: Publisher
  rooms: Rooms
  messages: Messages
  clock: Clock
}

export type Inbox = ReturnType<typeof createInbox>

/** What users were told. What a notification is about is read when it is shown: it may be gone for them by then. */
export function createInbox({ db, publisher, rooms, messages, clock }: InboxOptions) {
  const roomsOf = loaderFor<ListedRoom>(async (viewer, ids) => {
    const found = new Map((await rooms.listRoomsByIds(viewer, ids)).map((room) => [room.id, room]))
    return ids.map((id) => found.get(id) ?? null)
  })
  const messagesOf = loaderFor<MessageRecord>((viewer, ids) => messages.listMessagesByIds(viewer, ids))

  const findRoom = (viewer: Viewer, { roomId }: NotificationRecord): Promise<ListedRoom | null> =>
    roomsOf.call({ viewer, id: roomId })
  const findMessage = async (viewer: Viewer, { messageId }: NotificationRecord): Promise<MessageRecord | null> =>
    messageId === null ? null : messagesOf.call({ viewer, id: messageId })

  /** Marks some as read and tells all devices. Changes nothing, and tells nobody, where all of them were. */
  async function mark(tx: Tx, userId: string, which: { id: string } | { upToId: string }) {
    // Whoever counts, or tells of more, does so before or after this.
    await lockUserLogs(tx, [userId])
    const at = new Date(clock.now())
    const marked = await markRead(tx, userId, at, which)
    const unreadCount = (await countUnread(tx, [userId])).get(userId) ?? 0
    if (marked === 0) return { unreadCount, events: [] as UserEvent[] }
    const ids = 'id' in which ? { notificationId: which.id, upToId: null } : { notificationId: null, ...which }
    const event = { type: 'NotificationsRead', ...ids, readAt: at.toISOString(), unreadCount } as const
    return { unreadCount, events: await appendUserEvent(tx, [userId], event) }
  }

  async function requireNotification(tx: Tx, userId: string, id: string): Promise<NotificationRecord> {
    const [notification] = await findNotifications(tx, userId, [id])
    if (!notification) throw new RefusedError('NOT_FOUND', 'There is no such notification.')
    return notification
  }

  return {
    /** The viewer's notifications, newest first; one more than the limit where there is one. */
    listNotifications: (
      { userId }: Viewer,
      { unreadOnly, range }: { unreadOnly: boolean; range: PageRange<string> },
    ): Promise<NotificationRecord[]> =>
      readInbox(db, userId, { unreadOnly, range: { ...range, limit: range.limit + 1 } }),

    /** The viewer's own, in the order asked; null for others. */
    async listNotificationsByIds({ userId }: Viewer, ids: readonly string[]): Promise<(NotificationRecord | null)[]> {
      const found = new Map((await findNotifications(db, userId, ids)).map((one) => [one.id, one]))
      return ids.map((id) => found.get(id) ?? null)
    },

    /** Up to MAX_UNREAD_COUNT. */
    countUnread: async ({ userId }: Viewer): Promise<number> => (await countUnread(db, [userId])).get(userId) ?? 0,

    async markRead({ userId }: Viewer, id: string): Promise<{ notification: NotificationRecord; unreadCount: number }> {
      const done = await db.$transaction(async (tx) => {
        await requireNotification(tx, userId, id)
        const marked = await mark(tx, userId, { id })
        return { ...marked, notification: await requireNotification(tx, userId, id) }
      })
      publisher.publishEvents(done.events)
      return done
    },

    /** That one and all that are older. */
    async markReadUpTo({ userId }: Viewer, upToId: string): Promise<{ unreadCount: number }> {
      const done = await db.$transaction(async (tx) => {
        await requireNotification(tx, userId, upToId)
        return mark(tx, userId, { upToId })
      })
      publisher.publishEvents(done.events)
      return done
    },

    async markAllRead({ userId }: Viewer): Promise<{ unreadCount: number }> {
      const done = await db.$transaction(async (tx) => {
        await lockUserLogs(tx, [userId])
        const upToId = await findNewestId(tx, userId)
        return upToId === null ? { unreadCount: 0, events: [] } : mark(tx, userId, { upToId })
      })
      publisher.publishEvents(done.events)
      return done
    },

    /** The room that it is about; null where the viewer may not read it any more. Calls of one tick share queries. */
    findRoom,

    /** Its message; null where there is none, or the viewer may not read it any more. Calls of one tick share queries. */
    findMessage,

    /** A line to show; null where the viewer may not read the room any more. */
    async findText(viewer: Viewer, notification: NotificationRecord): Promise<string | null> {
      const kind = findKind(notification.kind)
      const [room, message] = await Promise.all([findRoom(viewer, notification), findMessage(viewer, notification)])
      if (!kind || !room) return null
      return lineWithText({
        ...{ kind, count: notification.count, actorName: notification.actor.name, roomName: room.name },
        isOneToOne: room.kind === 'DIRECT' && room.memberCount === 2,
        excerpt: message && message.deletedAt === null ? message.text : null,
      })
    },
  }
}

/** Answers calls of one tick for many viewers with one call of `load` for each viewer. */
function loaderFor<T>(load: (viewer: Viewer, ids: readonly string[]) => Promise<readonly (T | null)[]>) {
  return new Batcher<{ viewer: Viewer; id: string }, T | null>({
    pauseMs: () => 0,
    async run(keys) {
      const viewers = new Map(keys.map(({ viewer }) => [viewer.userId, viewer]))
      const loaded = new Map<string, T | null>()
      for (const [userId, viewer] of viewers) {
        const ids = [...new Set(keys.filter((key) => key.viewer.userId === userId).map(({ id }) => id))]
        const found = await load(viewer, ids)
        for (const [i, id] of ids.entries()) loaded.set(`${userId} ${id}`, found[i] ?? null)
      }
      return keys.map(({ viewer, id }) => loaded.get(`${viewer.userId} ${id}`) ?? null)
    },
  })
}
