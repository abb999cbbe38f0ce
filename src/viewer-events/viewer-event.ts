import type { AttachmentRecord } from '../messages/attachment-record.ts'
import type { RoomLoss } from '../rooms/room-event-bodies.ts'
import type { UserRecord } from '../users/user-record.ts'
import type {
  NotificationRecord,
  NotificationSettingsRecord,
  RoomNotificationSettingsRecord,
} from './notification-record.ts'

/** What happens to a user themself, as events of their own log. */
export type UserLogEvent =
  | { type: 'RoomGained'; roomId: string }
  /** Events from before there were reasons have none, and mean LEFT. */
  | ({ type: 'RoomLost'; roomId: string } & Partial<RoomLoss>)
  /** ISO 8601. Tokens issued before count no more. */
  | { type: 'TokensRevoked'; validFrom: string }
  /** The user as changed. */
  | { type: 'ProfileUpdated'; user: UserRecord }
  /** The notification is new; how many are not read then. */
  | { type: 'NotificationAdded'; notification: NotificationRecord; unreadCount: number }
  /** It stands for more than before. */
  | { type: 'NotificationUpdated'; notification: NotificationRecord; unreadCount: number }
  /** One of the two ids: that one was read, or all up to and with it. `readAt` is ISO 8601. */
  | {
      type: 'NotificationsRead'
      notificationId: string | null
      upToId: string | null
      readAt: string
      unreadCount: number
    }
  | { type: 'NotificationSettingsUpdated'; settings: NotificationSettingsRecord }
  | { type: 'RoomNotificationsUpdated'; roomId: string; settings: RoomNotificationSettingsRecord }
  /** A file that the user has uploaded can be sent now, or was refused. */
  | { type: 'AttachmentProcessed'; attachment: AttachmentRecord }
