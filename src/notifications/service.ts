import type { Publisher } from '../events/publisher.ts'
import type { RoomLogReader } from '../events/room-log-reader.ts'
import type { Messages } from '../messages/service.ts'
import type { Clock } from '../platform/clock.ts'
import type { Db } from '../platform/db.ts'
import type { Jobs } from '../platform/jobs.ts'
import type { Logger } from '../platform/logger.ts'
import type { Presence } from '../presence/service.ts'
import type { Rooms } from '../rooms/service.ts'
import type { NotificationChannel } from './channel.ts'
import { NotificationConsumer } from './consumer-service.ts'
import { createDoNotDisturb } from './do-not-disturb.ts'
import { createInbox } from './inbox-service.ts'
import { handleNotificationRetention } from './retention-service.ts'
import { createNotificationSettings } from './settings-service.ts'
import { createTeller } from './telling-service.ts'

export interface NotificationOptions {
  db: Db
  /** The same database, and its log by it, for what is done in jobs. */
  background: Db
  roomLog: RoomLogReader
  publisher: Publisher
  /** Not started yet. */
  jobs: Jobs
  rooms: Rooms
  messages: Messages
  presence: Presence
  channel: NotificationChannel
  clock: Clock
  logger: Logger
  /** How long what happens in a room is gathered after a user was told of it. */
  windowMs: number
  /** About how often rooms are looked for that no job is under way for. */
  sweepIntervalMs: number
  /** For how long notifications are kept; 0 for ever. */
  retentionDays: number
}

/** Notifications, from the rooms' logs to their users. What leaves the house goes by the channel. */
export function createNotifications(options: NotificationOptions) {
  const { jobs, channel, windowMs, background, clock, retentionDays } = options
  const teller = createTeller({ jobs, channel, isDoNotDisturb: createDoNotDisturb(), windowMs })
  const consumer = new NotificationConsumer({ ...options, db: background, teller })
  handleNotificationRetention(jobs, { db: background, clock, days: retentionDays })
  return {
    inbox: createInbox(options),
    notificationSettings: createNotificationSettings({
      ...options,
      onChanged: (roomId) => consumer.forgetQuiet(roomId),
    }),
    consumer,
  }
}
