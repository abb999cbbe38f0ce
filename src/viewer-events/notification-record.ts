import type { NotificationLevel, PushPrivacy } from '../generated/prisma/enums.ts'
import type { UserRecord } from '../users/user-record.ts'

/**
 * A notification as its user may know of it at any later time: no text of a message, no name of a room, because those may
 * be gone for them by then. Its times are ISO 8601 once it has been in the log.
 */
export interface NotificationRecord {
  id: string
  /** By the registry of kinds; one that this version does not know is not shown. */
  kind: string
  roomId: string
  messageId: string | null
  actor: UserRecord
  count: number
  createdAt: Date | string
  updatedAt: Date | string
  readAt: Date | string | null
}

export const DAYS = ['MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY', 'SUNDAY'] as const

export type Day = (typeof DAYS)[number]

/** Hours in which no device is to make a noise, by the clock on the wall. */
export interface DoNotDisturb {
  /** HH:MM, from 00:00 to 23:59. Where the end is before the start, it is on the next day. */
  start: string
  end: string
  /** An IANA name. */
  timeZone: string
  /** On which days it starts. */
  days: readonly Day[]
}

export interface NotificationSettingsRecord {
  level: NotificationLevel
  pushPrivacy: PushPrivacy
  doNotDisturb: DoNotDisturb | null
}

export interface RoomNotificationSettingsRecord {
  /** Null: the default. */
  level: NotificationLevel | null
  effectiveLevel: NotificationLevel
  mutedUntil: Date | string | null
}
