import { Prisma } from '../generated/prisma/client.ts'
import type { NotificationLevel, PushPrivacy } from '../generated/prisma/enums.ts'
import type { Db, Tx } from '../platform/db.ts'
import type {
  DoNotDisturb,
  NotificationSettingsRecord,
  RoomNotificationSettingsRecord,
} from '../viewer-events/notification-record.ts'

const DEFAULTS: NotificationSettingsRecord = { level: 'MENTIONS', pushPrivacy: 'FULL', doNotDisturb: null }

export interface NotificationSettingsChange {
  level?: NotificationLevel
  pushPrivacy?: PushPrivacy
  doNotDisturb?: DoNotDisturb | null
}

export interface RoomNotificationsChange {
  level?: NotificationLevel | null
  mutedUntil?: Date | null
}

export async function findSettings(db: Db | Tx, userId: string): Promise<NotificationSettingsRecord> {
  const row = await db.notificationSettings.findUnique({ where: { userId } })
  if (!row) return DEFAULTS
  const { level, pushPrivacy } = row
  // The column's only writer is putSettings.
  return { level, pushPrivacy, doNotDisturb: row.doNotDisturb as DoNotDisturb | null }
}

export async function putSettings(
  tx: Tx,
  userId: string,
  { doNotDisturb, ...rest }: NotificationSettingsChange,
): Promise<NotificationSettingsRecord> {
  // To Prisma, null is a value of JSON unless it is told otherwise.
  const hours = doNotDisturb && { ...doNotDisturb, days: [...doNotDisturb.days] }
  const change = { ...rest, ...(hours === undefined ? {} : { doNotDisturb: hours ?? Prisma.DbNull }) }
  await tx.notificationSettings.upsert({ where: { userId }, create: { userId, ...change }, update: change })
  return findSettings(tx, userId)
}

interface RoomSettingsRow extends Omit<RoomNotificationSettingsRecord, 'effectiveLevel'> {
  userLevel: NotificationLevel | null
  isDirect: boolean
}

/** Null where the user is no member of the room. */
export async function findRoomSettings(
  db: Db | Tx,
  roomId: string,
  userId: string,
): Promise<RoomNotificationSettingsRecord | null> {
  const [row] = await db.$queryRaw<RoomSettingsRow[]>`
    SELECT rs."level", rs."muted_until" AS "mutedUntil", s."level" AS "userLevel", r."kind" = 'DIRECT' AS "isDirect"
    FROM "memberships" m
    JOIN "rooms" r ON r."id" = m."room_id"
    LEFT JOIN "room_notification_settings" rs ON rs."room_id" = m."room_id" AND rs."user_id" = m."user_id"
    LEFT JOIN "notification_settings" s ON s."user_id" = m."user_id"
    WHERE m."room_id" = ${roomId}::uuid AND m."user_id" = ${userId}::uuid`
  if (!row) return null
  const { level, mutedUntil, userLevel, isDirect } = row
  // The condition is that of effectiveLevel in telling-store.ts.
  return { level, mutedUntil, effectiveLevel: level ?? (isDirect ? 'ALL' : (userLevel ?? DEFAULTS.level)) }
}

export async function putRoomSettings(
  tx: Tx,
  roomId: string,
  userId: string,
  change: RoomNotificationsChange,
): Promise<void> {
  await tx.roomNotificationSettings.upsert({
    where: { roomId_userId: { roomId, userId } },
    create: { roomId, userId, ...change },
    update: change,
  })
}
