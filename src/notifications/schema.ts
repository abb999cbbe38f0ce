import { REFUSALS } from '../graphql/base-types.ts'
import { builder, pageComplexity } from '../graphql/builder.ts'
import { requireViewer } from '../graphql/context.ts'
import { createIdEncoder } from '../graphql/global-id.ts'
import { parseInput } from '../graphql/input.ts'
import { decodeCursor, encodeCursor, readPage, toPage } from '../graphql/page.ts'
import { MessageType } from '../messages/schema.ts'
import { isId } from '../platform/ids.ts'
import { RoomType } from '../rooms/schema.ts'
import { UserType } from '../users/schema.ts'
import type { NotificationRecord } from '../viewer-events/notification-record.ts'
import type { Inbox } from './inbox-service.ts'
import { findKind, NOTIFICATION_KINDS } from './kind-registry.ts'
import { notificationRule, upToRule } from './notification-rules.ts'

declare module '../graphql/context.ts' {
  interface Services {
    readonly inbox: Inbox
  }
}

/** In place of a kind that this version does not know. */
export const OTHER_KIND = 'OTHER'

const kindValues: Record<string, { description: string }> = {
  ...Object.fromEntries(NOTIFICATION_KINDS.map(({ name, description }) => [name, { description }])),
  [OTHER_KIND]: { description: 'A kind of another version of the server.' },
}

export const NotificationKindEnum = builder.enumType('NotificationKind', {
  description: 'What a notification is about. More may come: show those that you do not know by their `text`.',
  values: kindValues,
})

const unreadHelp = 'How many of the viewer’s notifications are not read, counted up to 100: show 100 as 99+.'

export const NotificationType = builder.objectRef<NotificationRecord>('Notification')

const encodeRoomId = createIdEncoder('Room')

builder.node(NotificationType, {
  description:
    'Something that the viewer was told of. Events of one kind in one room that follow within a minute are one notification: it is told when the first happens, and again, with its `count`, when the minute is over.',
  id: { resolve: ({ id }) => id },
  loadMany: (ids: string[], context) => context.inbox.listNotificationsByIds(requireViewer(context), ids),
  fields: (t) => ({
    kind: t.field({
      type: NotificationKindEnum,
      description: 'What it is about.',
      resolve: ({ kind }) => (findKind(kind) ? kind : OTHER_KIND),
    }),
    count: t.exposeInt('count', {
      description: 'How many events it stands for; the rest is about the newest of them.',
    }),
    actor: t.expose('actor', { type: UserType, description: 'Who did it.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was told first.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When it was told last.' }),
    readAt: t.expose('readAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was read, on whichever device; null while it is not.',
    }),
    roomId: t.id({ description: 'The room.', resolve: ({ roomId }) => encodeRoomId(roomId) }),
    room: t.field({
      type: RoomType,
      nullable: true,
      description: 'The room; null where the viewer may not read it any more.',
      extensions: { viewerDependent: true },
      resolve: (notification, _args, context) => context.inbox.findRoom(requireViewer(context), notification),
    }),
    message: t.field({
      type: MessageType,
      nullable: true,
      description:
        'The message; null where it is not about one, or the viewer may not read the room any more. Empty where it was deleted.',
      extensions: { viewerDependent: true },
      resolve: (notification, _args, context) => context.inbox.findMessage(requireViewer(context), notification),
    }),
    text: t.string({
      nullable: true,
      description:
        'A line to show, in English, with the beginning of the message where it is about a single one that was not deleted; null where the viewer may not read the room any more.',
      extensions: { viewerDependent: true },
      resolve: (notification, _args, context) => context.inbox.findText(requireViewer(context), notification),
    }),
  }),
})

builder.objectFields(UserType, (t) => ({
  notifications: t.connection(
    {
      type: NotificationType,
      nullable: true,
      complexity: pageComplexity,
      description:
        'What the viewer was told of, newest first by `createdAt`; null on other users. Default page 50, at most 100. The newest 1,000 are kept, for as long as the server is set to.',
      args: {
        unreadOnly: t.arg.boolean({ defaultValue: false, description: 'Only those that are not read.' }),
      },
      extensions: { viewerDependent: true },
      resolve: async ({ id }, { unreadOnly, ...args }, context) => {
        const viewer = requireViewer(context)
        if (id !== viewer.userId) return null
        const range = readPage(args, decodeId)
        const found = await context.inbox.listNotifications(viewer, { unreadOnly: unreadOnly ?? false, range })
        return toPage(range, found, (notification) => encodeCursor(notification.id))
      },
    },
    { name: 'NotificationConnection' },
    { name: 'NotificationEdge' },
  ),
  unreadNotificationCount: t.int({
    nullable: true,
    description: `${unreadHelp} Null on other users.`,
    extensions: { viewerDependent: true },
    resolve: ({ id }, _args, context) => {
      const viewer = requireViewer(context)
      return id === viewer.userId ? context.inbox.countUnread(viewer) : null
    },
  }),
}))

function decodeId(cursor: string): string | null {
  const [id, ...rest] = decodeCursor(cursor) ?? []
  return typeof id === 'string' && isId(id) && rest.length === 0 ? id : null
}

const MarkNotificationReadInput = builder.inputType('MarkNotificationReadInput', {
  description: 'What was read.',
  fields: (t) => ({ notificationId: t.id({ required: true, description: 'The notification.' }) }),
})

const MarkNotificationsReadInput = builder.inputType('MarkNotificationsReadInput', {
  description: 'What was read.',
  fields: (t) => ({
    upTo: t.id({ required: true, description: 'The newest notification that was read: all older ones are, too.' }),
  }),
})

interface Marked {
  unreadCount: number
}

const MarkNotificationReadSuccess = builder
  .objectRef<Marked & { notification: NotificationRecord }>('MarkNotificationReadSuccess')
  .implement({
    description: 'The notification is read.',
    fields: (t) => ({
      notification: t.expose('notification', {
        type: NotificationType,
        description: 'The notification, as it is now.',
      }),
      unreadCount: t.exposeInt('unreadCount', { description: unreadHelp }),
    }),
  })

const successOfMarking = (name: string, description: string) =>
  builder.objectRef<Marked>(name).implement({
    description,
    fields: (t) => ({ unreadCount: t.exposeInt('unreadCount', { description: unreadHelp }) }),
  })

const MarkNotificationsReadSuccess = successOfMarking('MarkNotificationsReadSuccess', 'The notifications are read.')
const MarkAllNotificationsReadSuccess = successOfMarking(
  'MarkAllNotificationsReadSuccess',
  'All notifications are read.',
)

const shared = 'All the viewer’s devices get NotificationsRead. What is read already stays as it is.'

builder.mutationFields((t) => ({
  markNotificationRead: t.field({
    type: MarkNotificationReadSuccess,
    description: `Marks a notification as read. ${shared} It is not told again: what follows becomes another one.`,
    errors: { types: REFUSALS, union: { description: 'The notification, or why it was refused.' } },
    args: { input: t.arg({ type: MarkNotificationReadInput, required: true, description: 'Which one.' }) },
    resolve: (_root, { input }, context) => {
      const viewer = requireViewer(context)
      return context.inbox.markRead(viewer, parseInput(notificationRule, input).notificationId)
    },
  }),
  markNotificationsRead: t.field({
    type: MarkNotificationsReadSuccess,
    description: `Marks a notification and all older ones as read. ${shared}`,
    errors: { types: REFUSALS, union: { description: 'What is not read, or why it was refused.' } },
    args: { input: t.arg({ type: MarkNotificationsReadInput, required: true, description: 'Up to which one.' }) },
    resolve: (_root, { input }, context) => {
      const viewer = requireViewer(context)
      return context.inbox.markReadUpTo(viewer, parseInput(upToRule, input).upTo)
    },
  }),
  markAllNotificationsRead: t.field({
    type: MarkAllNotificationsReadSuccess,
    description: `Marks all notifications as read that are there when it happens. ${shared}`,
    errors: { types: REFUSALS, union: { description: 'What is not read, or why it was refused.' } },
    resolve: (_root, _args, context) => context.inbox.markAllRead(requireViewer(context)),
  }),
}))
