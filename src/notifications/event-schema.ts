// What a user's own log tells of notifications.

import { builder } from '../graphql/builder.ts'
import { encodeGlobalId } from '../graphql/global-id.ts'
import { type UserEventOf, ViewerEvent } from '../viewer-events/schema.ts'
import { NotificationType } from './schema.ts'
import { NotificationSettingsType, RoomNotificationSettingsType } from './settings-schema.ts'

const unreadHelp = 'How many of the viewer’s notifications are not read then, counted up to 100.'

const eventOfNotification = (type: 'NotificationAdded' | 'NotificationUpdated', description: string) =>
  builder.objectRef<UserEventOf<'NotificationAdded'> | UserEventOf<'NotificationUpdated'>>(type).implement({
    description,
    interfaces: [ViewerEvent],
    fields: (t) => ({
      notification: t.expose('notification', {
        type: NotificationType,
        description: 'The notification, as it was then.',
      }),
      unreadCount: t.exposeInt('unreadCount', { description: unreadHelp }),
    }),
  })

eventOfNotification('NotificationAdded', 'The viewer is told of something new.')
eventOfNotification(
  'NotificationUpdated',
  'More of the same has happened: the notification, which was not read, stands for all of it now.',
)

builder.objectRef<UserEventOf<'NotificationsRead'>>('NotificationsRead').implement({
  description: 'The viewer has read notifications, on this device or another: a single one, or all up to one.',
  interfaces: [ViewerEvent],
  fields: (t) => ({
    notificationId: t.id({
      nullable: true,
      description: 'The one that was read; null where it is told by `upTo`.',
      resolve: ({ notificationId: id }) => id && encodeGlobalId('Notification', id),
    }),
    upTo: t.id({
      nullable: true,
      description: 'The newest of those that were read: all older ones are, too. Null where it is a single one.',
      resolve: ({ upToId: id }) => id && encodeGlobalId('Notification', id),
    }),
    readAt: t.expose('readAt', { type: 'DateTime', description: 'When they were read.' }),
    unreadCount: t.exposeInt('unreadCount', { description: unreadHelp }),
  }),
})

builder.objectRef<UserEventOf<'NotificationSettingsUpdated'>>('NotificationSettingsUpdated').implement({
  description: 'The viewer has changed what they want to be told of, and how, on this device or another.',
  interfaces: [ViewerEvent],
  fields: (t) => ({
    settings: t.expose('settings', { type: NotificationSettingsType, description: 'The settings, as changed.' }),
  }),
})

builder.objectRef<UserEventOf<'RoomNotificationsUpdated'>>('RoomNotificationsUpdated').implement({
  description: 'The viewer has changed what they want to be told of in a room, on this device or another.',
  interfaces: [ViewerEvent],
  fields: (t) => ({
    roomId: t.id({ description: 'The room.', resolve: ({ roomId }) => encodeGlobalId('Room', roomId) }),
    roomSettings: t.expose('settings', {
      type: RoomNotificationSettingsType,
      description: 'The settings of the room, as changed.',
    }),
  }),
})
