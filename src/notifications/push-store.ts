import { type DeliveryState, Prisma, type PushDelivery, type PushSubscription } from '../generated/prisma/client.ts'
import type { Db, Tx } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import type { PageRange } from '../platform/page-range.ts'
import { isMessageDeleted } from './deleted-message.ts'
import { inChunks } from './insert-chunks.ts'
import type { PushPayload } from './push-payload.ts'

/** What a browser gives when it subscribes (Push API). */
export type BrowserSubscription = Pick<PushSubscription, 'endpoint' | 'p256dh' | 'auth' | 'userAgent'>

/** A delivery that is to be sent now, with where to. */
export interface ClaimedPush {
  id: string
  attempts: number
  notificationId: string
  roomId: string | null
  isUrgent: boolean
  payload: PushPayload
  retryUntil: Date
  subscriptionId: string
  userId: string
  endpoint: string
  p256dh: string
  auth: string
  /** Whether a later version of the notification is on its way to the same browser, or there. */
  isOutdated: boolean
  /** Whether the user has read the notification meanwhile, on another device. */
  isRead: boolean
  /** Whether the message that it tells of, if it is one, was deleted meanwhile. */
  isDeleted: boolean
}

/**
 * The subscription with this endpoint is this user's from now on. Another user's makes way, with all that was still to be
 * sent to it.
 */
export async function upsertSubscription(
  tx: Tx,
  userId: string,
  { endpoint, ...rest }: BrowserSubscription,
): Promise<PushSubscription> {
  // Until commit nobody else writes this endpoint: a browser may ask twice at once, or for two users.
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${endpoint}, 0))`
  const existing = await tx.pushSubscription.findUnique({ where: { endpoint } })
  if (existing?.userId === userId) return tx.pushSubscription.update({ where: { id: existing.id }, data: rest })
  if (existing) await tx.pushSubscription.delete({ where: { id: existing.id } })
  return tx.pushSubscription.create({ data: { id: newId(), userId, endpoint, ...rest } })
}

/** Removes the user's oldest subscriptions beyond the first `keep`. */
export async function deleteOldestSubscriptions(tx: Tx, userId: string, keep: number): Promise<void> {
  await tx.$executeRaw`
    DELETE FROM "push_subscriptions" WHERE "id" IN (
      SELECT "id" FROM "push_subscriptions" WHERE "user_id" = ${userId}::uuid ORDER BY "id" DESC OFFSET ${keep})`
}

export async function deleteSubscriptionOf(db: Db, userId: string, endpoint: string): Promise<void> {
  await db.pushSubscription.deleteMany({ where: { userId, endpoint } })
}

/** With what was still to be sent to it. */
export async function deleteSubscription(db: Db, id: string): Promise<void> {
  await db.pushSubscription.deleteMany({ where: { id } })
}

/** In the order in which they were made. */
export async function readSubscriptions(
  db: Db,
  userId: string,
  { after, before, limit, from }: PageRange<string>,
): Promise<PushSubscription[]> {
  const rows = await db.pushSubscription.findMany({
    where: { userId, id: { gt: after ?? undefined, lt: before ?? undefined } },
    orderBy: { id: from === 'start' ? 'asc' : 'desc' },
    take: limit,
  })
  return from === 'start' ? rows : rows.reverse()
}

/** The subscriptions of these users, which stay there until the transaction ends. */
export function lockSubscriptions(
  tx: Tx,
  userIds: readonly string[],
): Promise<Pick<PushSubscription, 'id' | 'userId'>[]> {
  return tx.$queryRaw<Pick<PushSubscription, 'id' | 'userId'>[]>`
    SELECT "id", "user_id" AS "userId" FROM "push_subscriptions"
    WHERE "user_id" = ANY(${[...userIds]}::uuid[]) ORDER BY "id" FOR KEY SHARE`
}

export interface NewPush {
  subscriptionId: string
  notificationId: string
  version: number
  kind: string
  roomId: string | null
  isUrgent: boolean
  payload: PushPayload
  retryUntil: Date
}

/** One delivery for each subscription that has none of this version yet; returns those that are new. */
export function insertPushDeliveries(
  tx: Tx,
  deliveries: readonly NewPush[],
): Promise<Pick<PushDelivery, 'id' | 'subscriptionId'>[]> {
  return inChunks(deliveries, (chunk) =>
    tx.pushDelivery.createManyAndReturn({
      // An interface has no index signature, by which Prisma knows JSON.
      data: chunk.map(({ payload, ...rest }) => ({ id: newId(), payload: { ...payload }, ...rest })),
      skipDuplicates: true,
      select: { id: true, subscriptionId: true },
    }),
  )
}

/** Takes a delivery to send it; null where there is nothing to send (any more). */
export async function claimPush(db: Db, id: string, now: Date): Promise<ClaimedPush | null> {
  const [claimed] = await db.$queryRaw<ClaimedPush[]>`
    UPDATE "push_deliveries" d SET "state" = 'SENDING', "attempts" = d."attempts" + 1, "updated_at" = ${now}
    FROM "push_subscriptions" s
    WHERE d."id" = ${id}::uuid AND s."id" = d."subscription_id" AND d."state" IN ('PENDING', 'FAILED', 'SENDING')
    RETURNING d."id", d."attempts", d."notification_id" AS "notificationId", d."room_id" AS "roomId",
      d."is_urgent" AS "isUrgent", d."payload", d."retry_until" AS "retryUntil",
      s."id" AS "subscriptionId", s."user_id" AS "userId", s."endpoint", s."p256dh", s."auth",
      EXISTS (
        SELECT FROM "push_deliveries" later WHERE later."subscription_id" = d."subscription_id"
          AND later."notification_id" = d."notification_id" AND later."version" > d."version"
      ) AS "isOutdated",
      EXISTS (
        SELECT FROM "notifications" n WHERE n."id" = d."notification_id" AND n."read_at" IS NOT NULL
      ) AS "isRead",
      ${isMessageDeleted} AS "isDeleted"`
  return claimed ?? null
}

/** Notes what came of an attempt, unless a later one has begun; returns whether it was noted. The text goes when it is over. */
export async function notePush(
  db: Db | Tx,
  { id, attempts }: Pick<ClaimedPush, 'id' | 'attempts'>,
  { state, error, at }: { state: Exclude<DeliveryState, 'PENDING' | 'SENDING'>; error: string | null; at: Date },
): Promise<boolean> {
  const { count } = await db.pushDelivery.updateMany({
    where: { id, attempts, state: 'SENDING' },
    data: { state, error, updatedAt: at, ...(state === 'FAILED' ? {} : { payload: Prisma.DbNull }) },
  })
  return count > 0
}

/** At most `limit`; returns how many. */
export function deleteOldPushDeliveries(db: Db, before: Date, limit: number): Promise<number> {
  return db.$executeRaw`
    DELETE FROM "push_deliveries" WHERE "id" IN (
      SELECT "id" FROM "push_deliveries" WHERE "created_at" < ${before} LIMIT ${limit})`
}
