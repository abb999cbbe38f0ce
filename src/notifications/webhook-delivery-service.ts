// Notifications on their way to webhooks. Invariant: a delivery's row says how far it has come, and every row that is not
// settled has a job that will settle it. The body and the id of a delivery never change, so that a receiver can tell a
// repetition.

import type { Clock } from '../platform/clock.ts'
import type { Db, Tx } from '../platform/db.ts'
import type { JobKind, Jobs, RunningJob } from '../platform/jobs.ts'
import type { Logger } from '../platform/logger.ts'
import type { DueNotification, NotificationChannel } from './channel.ts'
import { type OutboundAnswer, OutboundError, type Post } from './outbound-requests.ts'
import { parseRetryAfter, retryDelayMs } from './retry-delays.ts'
import { signWebhook } from './webhook-signature.ts'
import {
  type ClaimedDelivery,
  claimDelivery,
  disableWebhook,
  insertAttempt,
  insertDeliveries,
  lockEnabledWebhooks,
  noteDelivery,
  noteWebhookFails,
  noteWebhookWorks,
} from './webhook-store.ts'

export const DELIVER_WEBHOOK: JobKind<{ deliveryId: string }> = {
  name: 'deliver-webhook',
  timeoutSeconds: 120,
  // Of what is no answer of the receiver: the database is away, the node was killed.
  retries: 20,
  retryDelaySeconds: 5,
  maxRetryDelaySeconds: 300,
  concurrency: 8,
  // By webhook: one that answers slowly does not hold up the others.
  concurrencyPerGroup: 4,
}

const MAX_LOGGED_CHARACTERS = 2_000

type GlobalId = (typename: string, id: string) => string

export interface WebhookChannelOptions {
  jobs: Jobs
  clock: Clock
  /** Names objects as the API does. */
  globalId: GlobalId
  retryForMs: number
}

export function createWebhookChannel({
  jobs,
  clock,
  globalId,
  retryForMs,
}: WebhookChannelOptions): NotificationChannel {
  return {
    async plan(tx, due) {
      if (due.length === 0) return
      const webhooks = await lockEnabledWebhooks(tx)
      const retryUntil = new Date(clock.now() + retryForMs)
      const planned = due.flatMap((one) => {
        const { id: notificationId, version, kind, roomId, userId } = one
        const wanting = webhooks.filter(({ kinds }) => kinds.length === 0 || kinds.includes(kind))
        if (wanting.length === 0) return []
        const body = JSON.stringify(toWebhookMessage(one, globalId))
        const delivery = { notificationId, version, kind, roomId, userId, body, retryUntil }
        return wanting.map(({ id: webhookId }) => ({ webhookId, ...delivery }))
      })
      await sendDeliveries(jobs, tx, await insertDeliveries(tx, planned))
    },
  }
}

/** The jobs of deliveries that are to be sent now. */
export async function sendDeliveries(
  jobs: Jobs,
  tx: Tx,
  deliveries: readonly { id: string; webhookId: string }[],
): Promise<void> {
  const due = deliveries.map(({ id, webhookId }) => ({ data: { deliveryId: id }, group: webhookId }))
  await jobs.sendAll(DELIVER_WEBHOOK, due, { tx })
}

function toWebhookMessage(due: DueNotification, globalId: GlobalId) {
  const { roomId, url = null } = due
  return {
    type: due.version === 1 ? 'notification.created' : 'notification.updated',
    timestamp: due.createdAt.toISOString(),
    data: {
      id: globalId('Notification', due.id),
      version: due.version,
      kind: due.kind,
      user: { id: globalId('User', due.userId), subject: due.userSubject },
      room: roomId === null ? null : { id: globalId('Room', roomId), name: due.roomName },
      actorName: due.actorName,
      count: due.count,
      title: due.title,
      body: due.body,
      url,
    },
  }
}

export interface WebhookDeliveryOptions {
  db: Db
  jobs: Jobs
  clock: Clock
  logger: Logger
  post: Post
  /** Names objects as the API does. */
  globalId: GlobalId
  retryFirstMs: number
  /** A webhook that has failed for so long is disabled. */
  disableAfterMs: number
  /** Whether a user may still read a room. */
  mayRead: (userId: string, roomId: string) => Promise<boolean>
}

/** What came of an attempt. */
interface Attempt {
  startedAt: Date
  durationMs: number
  answer: OutboundAnswer | null
  /** Null where it succeeded. */
  error: string | null
  /** Whether another attempt is pointless. */
  isFinal: boolean
}

export function createWebhookDelivery(options: WebhookDeliveryOptions) {
  const { db, clock } = options
  return async ({ deliveryId }: { deliveryId: string }, { signal }: RunningJob): Promise<void> => {
    const claimed = await claimDelivery(db, deliveryId, new Date(clock.now()))
    // It was delivered, given up or removed with its webhook.
    if (!claimed) return
    const obstacle = await findObstacle(options, claimed)
    if (obstacle !== null) {
      await noteDelivery(db, claimed, { state: 'DEAD', error: obstacle, updatedAt: new Date(clock.now()) })
      return
    }
    await settle(options, claimed, await attemptDelivery(options, claimed, signal))
  }
}

/** Why it is not to be sent (any more). */
async function findObstacle({ mayRead }: WebhookDeliveryOptions, claimed: ClaimedDelivery): Promise<string | null> {
  const { disabledAt, isDeleted, userId, roomId } = claimed
  if (disabledAt !== null) return 'the webhook is disabled'
  if (isDeleted) return 'the message was deleted'
  if (userId === null || roomId === null || (await mayRead(userId, roomId))) return null
  return 'the user may not read the room any more'
}

async function attemptDelivery(
  { post, clock, globalId }: WebhookDeliveryOptions,
  { id: deliveryId, url, body, secret, previousSecret, previousSecretEndsAt }: ClaimedDelivery,
  signal: AbortSignal,
): Promise<Attempt> {
  const startedAt = new Date(clock.now())
  const start = performance.now()
  const previousCounts = previousSecret !== null && previousSecretEndsAt !== null && previousSecretEndsAt > startedAt
  const id = globalId('WebhookDelivery', deliveryId)
  const timestampSeconds = Math.floor(startedAt.getTime() / 1_000)
  const signature = signWebhook({ id, timestampSeconds, body }, previousCounts ? [secret, previousSecret] : [secret])
  const headers = { 'content-type': 'application/json; charset=utf-8', ...signature }
  const ended = (rest: Omit<Attempt, 'startedAt' | 'durationMs'>): Attempt => ({
    startedAt,
    durationMs: Math.round(performance.now() - start),
    ...rest,
  })
  try {
    const answer = await post({ url: new URL(url), headers, body, signal })
    const { status } = answer
    const isRedirect = status >= 300 && status < 400
    const error =
      status >= 200 && status < 300 ? null : `answered ${status}${isRedirect ? ', which is not followed' : ''}`
    return ended({ answer, error, isFinal: status === 410 })
  } catch (error) {
    // A node that stops says nothing of the target: its job is done again, by another.
    if (signal.aborted || !(error instanceof OutboundError)) throw error
    return ended({ answer: null, error: error.message, isFinal: error.code === 'ADDRESS_NOT_ALLOWED' })
  }
}

/** The note, the log, what it says of the webhook, and the next job: together, or none of it; then this job is done again. */
async function settle(options: WebhookDeliveryOptions, claimed: ClaimedDelivery, attempt: Attempt): Promise<void> {
  const { db, jobs, clock } = options
  const at = new Date(clock.now())
  const next = planNext(options, claimed, attempt, at)
  await db.$transaction(async (tx) => {
    if (!(await noteDelivery(tx, claimed, { ...next, updatedAt: at }))) return
    await logAttempt(tx, claimed.id, attempt)
    await noteHealth(options, tx, claimed, attempt, at)
    if (!next.nextAttemptAt) return
    // By the database's clock: this node's may be ahead, and the job may be another's.
    const delayMs = next.nextAttemptAt.getTime() - at.getTime()
    await jobs.send(DELIVER_WEBHOOK, { deliveryId: claimed.id }, { tx, delayMs, group: claimed.webhookId })
  })
}

function planNext(
  { retryFirstMs }: WebhookDeliveryOptions,
  { failures: failedBefore, retryUntil }: ClaimedDelivery,
  { error, answer, isFinal }: Attempt,
  at: Date,
) {
  if (error === null) return { state: 'DELIVERED', error: null, deliveredAt: at, nextAttemptAt: null } as const
  const failures = failedBefore + 1
  const retryAfterMs = parseRetryAfter(answer?.retryAfter ?? null, at.getTime())
  const delayMs = retryDelayMs({ firstMs: retryFirstMs, failures, retryAfterMs, random: Math.random() })
  const nextAttemptAt = new Date(at.getTime() + delayMs)
  if (isFinal || nextAttemptAt > retryUntil) return { state: 'DEAD', error, failures, nextAttemptAt: null } as const
  return { state: 'FAILED', error, failures, nextAttemptAt } as const
}

async function logAttempt(
  tx: Tx,
  deliveryId: string,
  { startedAt, durationMs, answer, error }: Attempt,
): Promise<void> {
  // What Postgres cannot store, and a half of a character at the cut, are no use to a reader either.
  const responseBody = answer?.body.slice(0, MAX_LOGGED_CHARACTERS).replaceAll('\0', '').toWellFormed() || null
  await insertAttempt(tx, {
    deliveryId,
    startedAt,
    durationMs,
    statusCode: answer?.status ?? null,
    error,
    responseBody,
  })
}

/** A receiver that has failed for days is not asked any more; nor is one that says it is gone for good. */
async function noteHealth(
  { disableAfterMs, logger }: WebhookDeliveryOptions,
  tx: Tx,
  { webhookId, failingSince }: ClaimedDelivery,
  { error, answer }: Attempt,
  at: Date,
): Promise<void> {
  if (error === null) return noteWebhookWorks(tx, webhookId)
  await noteWebhookFails(tx, webhookId, at)
  const isGone = answer?.status === 410
  const reason = isGone
    ? 'It answered 410: it is gone for good.'
    : `No attempt has succeeded since ${failingSince?.toISOString()}; the last one: ${error}`
  const failing = isGone ? at : new Date(at.getTime() - disableAfterMs)
  if (await disableWebhook(tx, webhookId, { at, reason, failingSince: failing })) {
    logger.warn({ webhookId, reason }, 'a webhook was disabled')
  }
}
