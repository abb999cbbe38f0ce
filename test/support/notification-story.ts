// For live samples: Bob is told of a message, and changes what he wants to be told of. Without the consumer, which needs a
// job queue: what it would append is appended here.

import type { Publisher } from '../../src/events/publisher.ts'
import { appendUserEvent } from '../../src/events/user-log.ts'
import type { MessageRecord } from '../../src/messages/message-record.ts'
import type { Inbox } from '../../src/notifications/inbox-service.ts'
import type { NotificationSettings } from '../../src/notifications/settings-service.ts'
import type { Db } from '../../src/platform/db.ts'
import { newId } from '../../src/platform/ids.ts'
import type { Viewer } from '../../src/platform/viewer.ts'
import { DAYS } from '../../src/viewer-events/notification-record.ts'

export interface Told {
  db: Db
  publisher: Publisher
  inbox: Inbox
  notificationSettings: NotificationSettings
}

/** The types of the viewer's events that it brings. */
export const NOTIFICATION_EVENTS = [
  'NotificationAdded',
  'NotificationUpdated',
  'NotificationsRead',
  'NotificationSettingsUpdated',
  'RoomNotificationsUpdated',
] as const

export async function tellOf(message: MessageRecord, bob: Viewer, told: Told): Promise<void> {
  const { db, publisher, inbox, notificationSettings } = told
  const { roomId, id: messageId, author: actor } = message
  const at = new Date()
  const stored = {
    id: newId(),
    roomId,
    messageId,
    kind: 'MENTION',
    count: 1,
    createdAt: at,
    updatedAt: at,
    readAt: null,
  }
  await db.notification.create({ data: { ...stored, userId: bob.userId, actorId: actor.id } })
  for (const type of ['NotificationAdded', 'NotificationUpdated'] as const) {
    const event = { type, notification: { ...stored, actor }, unreadCount: 1 }
    publisher.publishEvents(await db.$transaction((tx) => appendUserEvent(tx, [bob.userId], event)))
  }
  await inbox.markRead(bob, stored.id)
  const doNotDisturb = { start: '22:00', end: '07:00', timeZone: 'Europe/Berlin', days: DAYS }
  await notificationSettings.updateSettings(bob, { doNotDisturb })
  await notificationSettings.setRoomNotifications(bob, roomId, { level: 'ALL', mutedUntil: at })
}
