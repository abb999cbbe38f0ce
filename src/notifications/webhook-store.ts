import type { DeliveryState, Prisma, Webhook, WebhookAttempt, WebhookDelivery } from '../generated/prisma/client.ts'
import type { Db, Tx } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import type { PageRange } from '../platform/page-range.ts'
import { isMessageDeleted } from './deleted-message.ts'
import { inChunks } from './insert-chunks.ts'

/** A delivery with what came of its attempts, the latest first. */
export type LoggedDelivery = WebhookDelivery & { log: WebhookAttempt[] }

export type WebhookChange = Partial<
  Pick<Webhook, 'url' | 'description' | 'kinds' | 'disabledAt' | 'disabledReason' | 'failingSince'>
>

/** More is no news about one delivery. */
export const MAX_SHOWN_ATTEMPTS = 50

const withLog = { log: { orderBy: { id: 'desc' }, take: MAX_SHOWN_ATTEMPTS } } satisfies Prisma.WebhookDeliveryInclude

export function countWebhooks(tx: Tx): Promise<number> {
  return tx.webhook.count()
}

/** Until the transaction ends nobody else adds a webhook. */
export async function lockWebhookList(tx: Tx): Promise<void> {
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended('webhooks', 0))`
}

export function insertWebhook(
  tx: Tx,
  webhook: Pick<Webhook, 'url' | 'description' | 'kinds' | 'secret' | 'createdById'>,
): Promise<Webhook> {
  return tx.webhook.create({ data: { id: newId(), ...webhook } })
}

export function findWebhook(db: Db | Tx, id: string): Promise<Webhook | null> {
  return db.webhook.findUnique({ where: { id } })
}

/** Null where there is none. */
export async function updateWebhook(db: Db | Tx, id: string, data: WebhookChange): Promise<Webhook | null> {
  const [changed] = await db.webhook.updateManyAndReturn({ where: { id }, data })
  return changed ?? null
}

/** The secret becomes the previous one, and counts until `previousEndsAt`. Null where there is no such webhook. */
export async function replaceSecret(
  db: Db,
  id: string,
  { secret, previousEndsAt }: { secret: string; previousEndsAt: Date },
): Promise<Webhook | null> {
  const count = await db.$executeRaw`
    UPDATE "webhooks" SET "previous_secret" = "secret", "previous_secret_ends_at" = ${previousEndsAt}, "secret" = ${secret}
    WHERE "id" = ${id}::uuid`
  return count === 0 ? null : findWebhook(db, id)
}

/** With its deliveries. Returns whether there was one. */
export async function deleteWebhook(db: Db, id: string): Promise<boolean> {
  const { count } = await db.webhook.deleteMany({ where: { id } })
  return count > 0
}

/** In the order in which they were made. */
export async function readWebhooks(db: Db, { after, before, limit, from }: PageRange<string>): Promise<Webhook[]> {
  const rows = await db.webhook.findMany({
    where: { id: { gt: after ?? undefined, lt: before ?? undefined } },
    orderBy: { id: from === 'start' ? 'asc' : 'desc' },
    take: limit,
  })
  return from === 'start' ? rows : rows.reverse()
}

export function findWebhooks(db: Db, ids: readonly string[]): Promise<Webhook[]> {
  return db.webhook.findMany({ where: { id: { in: [...ids] } } })
}

/** The deliveries of a webhook in these states, the latest first; in all states where none is given. */
export async function readDeliveries(
  db: Db,
  webhookId: string,
  states: readonly DeliveryState[],
  { after, before, limit, from }: PageRange<string>,
): Promise<LoggedDelivery[]> {
  const rows = await db.webhookDelivery.findMany({
    where: {
      webhookId,
      id: { lt: after ?? undefined, gt: before ?? undefined },
      ...(states.length === 0 ? {} : { state: { in: [...states] } }),
    },
    orderBy: { id: from === 'start' ? 'desc' : 'asc' },
    take: limit,
    include: withLog,
  })
  return from === 'start' ? rows : rows.reverse()
}

export function findDelivery(db: Db | Tx, id: string): Promise<LoggedDelivery | null> {
  return db.webhookDelivery.findUnique({ where: { id }, include: withLog })
}

/** Webhooks that are told of notifications; they stay there until the transaction ends. */
export function lockEnabledWebhooks(tx: Tx): Promise<Pick<Webhook, 'id' | 'kinds'>[]> {
  return tx.$queryRaw<Pick<Webhook, 'id' | 'kinds'>[]>`
    SELECT "id", coalesce("kinds", '{}') AS "kinds" FROM "webhooks"
    WHERE "disabled_at" IS NULL ORDER BY "id" FOR KEY SHARE`
}

export type NewDelivery = Pick<
  WebhookDelivery,
  'webhookId' | 'notificationId' | 'version' | 'kind' | 'roomId' | 'userId' | 'body' | 'retryUntil'
>

/** Returns those that are new: of each version of a notification a webhook has one. */
export function insertDeliveries(
  tx: Tx,
  deliveries: readonly NewDelivery[],
): Promise<Pick<WebhookDelivery, 'id' | 'webhookId'>[]> {
  return inChunks(deliveries, (chunk) =>
    tx.webhookDelivery.createManyAndReturn({
      data: chunk.map((delivery) => ({ id: newId(), ...delivery })),
      skipDuplicates: true,
      select: { id: true, webhookId: true },
    }),
  )
}

/** A delivery that is to be sent now, with where to and how it is signed. */
export interface ClaimedDelivery
  extends Pick<WebhookDelivery, 'id' | 'attempts' | 'failures' | 'roomId' | 'userId' | 'body' | 'retryUntil'>,
    Pick<Webhook, 'url' | 'secret' | 'previousSecret' | 'previousSecretEndsAt' | 'disabledAt' | 'failingSince'> {
  webhookId: string
  /** Whether the message that it tells of, if it is one, was deleted meanwhile. */
  isDeleted: boolean
}

/** Takes a delivery to send it; null where there is nothing to send (any more). */
export async function claimDelivery(db: Db, id: string, now: Date): Promise<ClaimedDelivery | null> {
  const [claimed] = await db.$queryRaw<ClaimedDelivery[]>`
    UPDATE "webhook_deliveries" d
    SET "state" = 'SENDING', "attempts" = d."attempts" + 1, "next_attempt_at" = NULL, "updated_at" = ${now}
    FROM "webhooks" w
    WHERE d."id" = ${id}::uuid AND w."id" = d."webhook_id" AND d."state" IN ('PENDING', 'FAILED', 'SENDING')
    RETURNING d."id", d."attempts", d."failures", d."room_id" AS "roomId", d."user_id" AS "userId", d."body",
      d."retry_until" AS "retryUntil", w."id" AS "webhookId", w."url", w."secret", w."previous_secret" AS "previousSecret",
      w."previous_secret_ends_at" AS "previousSecretEndsAt", w."disabled_at" AS "disabledAt",
      w."failing_since" AS "failingSince", ${isMessageDeleted} AS "isDeleted"`
  return claimed ?? null
}

/** Notes what came of an attempt, unless a later one has begun; returns whether it was noted. */
export async function noteDelivery(
  db: Db | Tx,
  { id, attempts }: Pick<ClaimedDelivery, 'id' | 'attempts'>,
  data: Pick<WebhookDelivery, 'state' | 'error'> &
    Partial<Pick<WebhookDelivery, 'failures' | 'nextAttemptAt' | 'deliveredAt'>> & { updatedAt: Date },
): Promise<boolean> {
  const { count } = await db.webhookDelivery.updateMany({ where: { id, attempts, state: 'SENDING' }, data })
  return count > 0
}

export async function insertAttempt(tx: Tx, attempt: Omit<WebhookAttempt, 'id'>): Promise<void> {
  await tx.webhookAttempt.create({ data: { id: newId(), ...attempt } })
}

export async function noteWebhookWorks(tx: Tx, id: string): Promise<void> {
  await tx.webhook.updateMany({ where: { id, failingSince: { not: null } }, data: { failingSince: null } })
}

export async function noteWebhookFails(tx: Tx, id: string, at: Date): Promise<void> {
  await tx.webhook.updateMany({ where: { id, failingSince: null }, data: { failingSince: at } })
}

/** Where it is not disabled yet, and has failed since `failingSince` or before; returns whether it was. */
export async function disableWebhook(
  tx: Tx,
  id: string,
  { at, reason, failingSince }: { at: Date; reason: string; failingSince: Date },
): Promise<boolean> {
  const { count } = await tx.webhook.updateMany({
    where: { id, disabledAt: null, failingSince: { lte: failingSince } },
    data: { disabledAt: at, disabledReason: reason },
  })
  return count > 0
}

/** Makes a delivery one that is still to be sent, unless it is under way since `busySince`; returns whether it did. */
export async function resetDelivery(
  tx: Tx,
  id: string,
  { at, busySince, retryUntil }: { at: Date; busySince: Date; retryUntil: Date },
): Promise<boolean> {
  const { count } = await tx.webhookDelivery.updateMany({
    where: { id, OR: [{ state: { in: ['DELIVERED', 'FAILED', 'DEAD'] } }, { updatedAt: { lt: busySince } }] },
    data: {
      state: 'PENDING',
      error: null,
      failures: 0,
      nextAttemptAt: null,
      deliveredAt: null,
      retryUntil,
      updatedAt: at,
    },
  })
  return count > 0
}

/** At most `limit`, with their logs; returns how many. */
export function deleteOldDeliveries(db: Db, before: Date, limit: number): Promise<number> {
  return db.$executeRaw`
    DELETE FROM "webhook_deliveries" WHERE "id" IN (
      SELECT "id" FROM "webhook_deliveries" WHERE "created_at" < ${before} LIMIT ${limit})`
}
