// Notifications on their way to browsers (Web Push: RFC 8030, encrypted by RFC 8291, with the server's identity by RFC 8292).
// Invariant: a delivery's row says how far it has come, and every row that is not settled has a job that will settle it.

import webPush from 'web-push'
import type { Clock } from '../platform/clock.ts'
import type { Db } from '../platform/db.ts'
import type { JobKind, Jobs, RunningJob } from '../platform/jobs.ts'
import type { Logger } from '../platform/logger.ts'
import type { NotificationChannel } from './channel.ts'
import { type OutboundAnswer, OutboundError, type Post } from './outbound-requests.ts'
import { toPushPayload } from './push-payload.ts'
import {
  type ClaimedPush,
  claimPush,
  deleteSubscription,
  insertPushDeliveries,
  lockSubscriptions,
  notePush,
} from './push-store.ts'
import { parseRetryAfter, retryDelayMs } from './retry-delays.ts'

export interface VapidKeys {
  publicKey: string
  privateKey: string
  /** Whom a push service can turn to: a mailto: or https: URL. */
  subject: string
}

export const DELIVER_PUSH: JobKind<{ deliveryId: string }> = {
  name: 'deliver-push',
  timeoutSeconds: 120,
  // Of what is no answer of the push service: the database is away, the node was killed.
  retries: 20,
  retryDelaySeconds: 5,
  maxRetryDelaySeconds: 300,
  concurrency: 6,
  // By user: browsers of one user that answer slowly do not hold up the others.
  concurrencyPerGroup: 2,
}

/** After this a push is old news: push services drop it, and it is not tried any more. */
const MAX_AGE_SECONDS = 24 * 60 * 60

export interface PushChannelOptions {
  jobs: Jobs
  clock: Clock
  /** Names objects as the API does. */
  globalId: (typename: string, id: string) => string
  retryForMs: number
}

export function createPushChannel({ jobs, clock, globalId, retryForMs }: PushChannelOptions): NotificationChannel {
  return {
    async plan(tx, due) {
      if (due.length === 0) return
      const subscriptions = await lockSubscriptions(
        tx,
        due.map(({ userId }) => userId),
      )
      const retryUntil = new Date(clock.now() + Math.min(retryForMs, MAX_AGE_SECONDS * 1_000))
      const idsByUser = Map.groupBy(subscriptions, ({ userId }) => userId)
      const pushes = due.flatMap((one) => {
        const { id: notificationId, version, kind, roomId, isUrgent, userId } = one
        const own = idsByUser.get(userId) ?? []
        if (own.length === 0) return []
        const payload = toPushPayload(one, globalId)
        const push = { notificationId, version, kind, roomId, isUrgent, payload, retryUntil }
        return own.map(({ id: subscriptionId }) => ({ subscriptionId, ...push }))
      })
      const deliveries = await insertPushDeliveries(tx, pushes)
      const userOf = new Map(subscriptions.map(({ id, userId }) => [id, userId]))
      await jobs.sendAll(
        DELIVER_PUSH,
        deliveries.map(({ id, subscriptionId }) => ({
          data: { deliveryId: id },
          group: userOf.get(subscriptionId) ?? '',
        })),
        { tx },
      )
    },
  }
}

export interface PushDeliveryOptions {
  db: Db
  jobs: Jobs
  clock: Clock
  logger: Logger
  post: Post
  vapid: VapidKeys
  retryFirstMs: number
  /** Whether a user may still read a room. */
  mayRead: (userId: string, roomId: string) => Promise<boolean>
}

/** What came of an attempt. */
type Outcome =
  | { state: 'DELIVERED' | 'DEAD'; error: string | null }
  | { state: 'FAILED'; error: string; retryAfterMs: number | null }
  | { state: 'GONE' }

export function createPushDelivery(options: PushDeliveryOptions) {
  const { db, clock } = options
  return async ({ deliveryId }: { deliveryId: string }, { signal }: RunningJob): Promise<void> => {
    const claimed = await claimPush(db, deliveryId, new Date(clock.now()))
    // It was delivered, given up or removed with its subscription.
    if (!claimed) return
    const outcome = (await findObstacle(options, claimed)) ?? (await attempt(options, claimed, signal))
    await settle(options, claimed, outcome)
  }
}

/** Why it is not to be sent (any more). */
async function findObstacle({ mayRead }: PushDeliveryOptions, claimed: ClaimedPush): Promise<Outcome | null> {
  const { userId, roomId, isOutdated, isRead, isDeleted } = claimed
  if (isRead) return { state: 'DEAD', error: 'the user has read the notification' }
  if (isOutdated) return { state: 'DEAD', error: 'a later version of the notification took its place' }
  if (isDeleted) return { state: 'DEAD', error: 'the message was deleted' }
  if (roomId !== null && !(await mayRead(userId, roomId))) {
    return { state: 'DEAD', error: 'the user may not read the room any more' }
  }
  return null
}

async function attempt(options: PushDeliveryOptions, claimed: ClaimedPush, signal: AbortSignal): Promise<Outcome> {
  const { post, vapid, clock } = options
  const { endpoint, p256dh, auth, notificationId, isUrgent, payload, retryUntil } = claimed
  const subscription = { endpoint, keys: { p256dh, auth } }
  const secondsLeft = Math.ceil((retryUntil.getTime() - clock.now()) / 1_000)
  const { headers, body } = webPush.generateRequestDetails(subscription, JSON.stringify(payload), {
    vapidDetails: vapid,
    contentEncoding: 'aes128gcm',
    TTL: Math.max(0, secondsLeft),
    urgency: isUrgent ? 'high' : 'normal',
    // Of a browser that is off the push service keeps one message by topic: the latest version, and a repetition once.
    topic: topicOf(notificationId),
  })
  try {
    const answer = await post({ url: new URL(endpoint), headers: headersOf(headers), body, signal })
    return judge(answer, clock.now())
  } catch (error) {
    // A node that stops says nothing of the target: its job is done again, by another.
    if (signal.aborted || !(error instanceof OutboundError)) throw error
    if (error.code === 'ADDRESS_NOT_ALLOWED') return { state: 'DEAD', error: error.message }
    return { state: 'FAILED', error: error.message, retryAfterMs: null }
  }
}

/** By the answers that push services give (RFC 8030, section 5 to 7, and what they do beyond it). */
function judge({ status, retryAfter, body }: OutboundAnswer, nowMs: number): Outcome {
  if (status >= 200 && status < 300) return { state: 'DELIVERED', error: null }
  if (status === 404 || status === 410) return { state: 'GONE' }
  const error = `the push service answered ${status}: ${body.slice(0, 200)}`.replaceAll('\0', '')
  if (status === 408 || status === 429 || status >= 500) {
    return { state: 'FAILED', error, retryAfterMs: parseRetryAfter(retryAfter, nowMs) }
  }
  return { state: 'DEAD', error }
}

async function settle(options: PushDeliveryOptions, claimed: ClaimedPush, outcome: Outcome): Promise<void> {
  const { db, jobs, clock, logger, retryFirstMs } = options
  // The browser has unsubscribed. What is left for it goes with it.
  if (outcome.state === 'GONE') return deleteSubscription(db, claimed.subscriptionId)
  const at = new Date(clock.now())
  if (outcome.state !== 'FAILED') {
    await notePush(db, claimed, { ...outcome, at })
    if (outcome.state === 'DEAD') logger.info({ deliveryId: claimed.id, reason: outcome.error }, 'a push was given up')
    return
  }
  const { error, retryAfterMs } = outcome
  const delayMs = retryDelayMs({
    firstMs: retryFirstMs,
    failures: claimed.attempts,
    retryAfterMs,
    random: Math.random(),
  })
  if (at.getTime() + delayMs > claimed.retryUntil.getTime()) {
    await notePush(db, claimed, { state: 'DEAD', error, at })
    return
  }
  // The note and the next job together, or neither: then this job is done again.
  await db.$transaction(async (tx) => {
    if (!(await notePush(tx, claimed, { state: 'FAILED', error, at }))) return
    // By the database's clock: this node's may be ahead, and the job may be another's.
    await jobs.send(DELIVER_PUSH, { deliveryId: claimed.id }, { tx, delayMs, group: claimed.userId })
  })
}

/** A topic has at most 32 characters (RFC 8030): a UUID without its hyphens. */
function topicOf(notificationId: string): string {
  return notificationId.replaceAll('-', '')
}

/** The package's types leave open what header values are; it makes texts and numbers. */
function headersOf(headers: object): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]))
}
