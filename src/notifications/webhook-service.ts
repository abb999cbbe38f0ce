import type { DeliveryState, Webhook } from '../generated/prisma/client.ts'
import type { Clock } from '../platform/clock.ts'
import type { Db, Tx } from '../platform/db.ts'
import { RefusedError, ValidationError } from '../platform/errors.ts'
import { newId } from '../platform/ids.ts'
import type { Jobs } from '../platform/jobs.ts'
import type { PageRange } from '../platform/page-range.ts'
import type { Viewer } from '../platform/viewer.ts'
import { findTargetProblem, refuseUnlessOperator, type TargetPolicy } from './policy.ts'
import { sendDeliveries } from './webhook-delivery-service.ts'
import { newWebhookSecret } from './webhook-signature.ts'
import {
  countWebhooks,
  deleteWebhook,
  findDelivery,
  findWebhook,
  findWebhooks,
  insertDeliveries,
  insertWebhook,
  type LoggedDelivery,
  lockWebhookList,
  readDeliveries,
  readWebhooks,
  replaceSecret,
  resetDelivery,
  updateWebhook,
  type WebhookChange,
} from './webhook-store.ts'

/** Each is asked for every notification, so they are few. */
export const MAX_WEBHOOKS = 50
export const PREVIOUS_SECRET_HOURS = 24
export const PING_KIND = 'PING'

/** Longer than an attempt lasts: what is under way for longer has lost its job. */
const BUSY_MS = 10 * 60 * 1_000

export interface NewWebhook {
  url: string
  description: string | null
  kinds: string[]
}

/** What is left out stays as it is. */
export interface WebhookEdit {
  url?: string
  description?: string | null
  kinds?: string[]
  isEnabled?: boolean
}

/** The secret is shown this once. */
export interface WebhookWithSecret {
  webhook: Webhook
  secret: string
}

export interface WebhooksOptions {
  db: Db
  jobs: Jobs
  clock: Clock
  targets: TargetPolicy
  retryForMs: number
}

export type Webhooks = ReturnType<typeof createWebhooks>

/** Of operators only: everything refuses others, or is null to them. */
export function createWebhooks({ db, jobs, clock, targets, retryForMs }: WebhooksOptions) {
  const now = () => new Date(clock.now())

  function checkUrl(url: string): void {
    const problem = findTargetProblem(new URL(url), targets)
    if (problem) throw new ValidationError([{ path: 'input.url', message: problem, limit: null }])
  }

  return {
    async createWebhook(viewer: Viewer, { url, description, kinds }: NewWebhook): Promise<WebhookWithSecret> {
      refuseUnlessOperator(viewer)
      checkUrl(url)
      const secret = newWebhookSecret()
      const webhook = await db.$transaction(async (tx) => {
        await lockWebhookList(tx)
        if ((await countWebhooks(tx)) >= MAX_WEBHOOKS) {
          const message = `cannot be added: there are ${MAX_WEBHOOKS} webhooks already`
          throw new ValidationError([{ path: 'input', message, limit: MAX_WEBHOOKS }])
        }
        return insertWebhook(tx, { url, description, kinds, secret, createdById: viewer.userId })
      })
      return { webhook, secret }
    },

    /** A webhook that is enabled again begins with a clean record. */
    async updateWebhook(viewer: Viewer, id: string, { isEnabled, ...edit }: WebhookEdit): Promise<Webhook> {
      refuseUnlessOperator(viewer)
      if (edit.url !== undefined) checkUrl(edit.url)
      return (await updateWebhook(db, id, { ...edit, ...enabling(isEnabled, now()) })) ?? refuseAbsent()
    },

    /** The secret before counts for a day beside the new one; the one before that no more. */
    async rotateSecret(viewer: Viewer, id: string): Promise<WebhookWithSecret> {
      refuseUnlessOperator(viewer)
      const secret = newWebhookSecret()
      const previousEndsAt = new Date(clock.now() + PREVIOUS_SECRET_HOURS * 60 * 60 * 1_000)
      const webhook = (await replaceSecret(db, id, { secret, previousEndsAt })) ?? refuseAbsent()
      return { webhook, secret }
    },

    async deleteWebhook(viewer: Viewer, id: string): Promise<void> {
      refuseUnlessOperator(viewer)
      if (!(await deleteWebhook(db, id))) refuseAbsent()
    },

    /** Sends a message that is about nothing, once: it is not tried again. */
    async ping(viewer: Viewer, webhookId: string): Promise<LoggedDelivery> {
      refuseUnlessOperator(viewer)
      return db.$transaction(async (tx) => {
        await requireEnabled(tx, webhookId)
        const at = now()
        const body = JSON.stringify({ type: 'webhook.ping', timestamp: at.toISOString(), data: {} })
        const about = { notificationId: newId(), version: 1, kind: PING_KIND, roomId: null, userId: null }
        const inserted = await insertDeliveries(tx, [{ webhookId, ...about, body, retryUntil: at }])
        await sendDeliveries(jobs, tx, inserted)
        return (await findDelivery(tx, inserted[0]?.id ?? '')) ?? refuseAbsent()
      })
    },

    /** Sends a delivery again, under the same id and tried as a new one; one that is under way is left to it. */
    async redeliver(viewer: Viewer, deliveryId: string): Promise<LoggedDelivery> {
      refuseUnlessOperator(viewer)
      return db.$transaction(async (tx) => {
        const delivery = (await findDelivery(tx, deliveryId)) ?? refuseAbsent()
        await requireEnabled(tx, delivery.webhookId)
        const at = now()
        const retryUntil = new Date(at.getTime() + retryForMs)
        const busySince = new Date(at.getTime() - BUSY_MS)
        if (await resetDelivery(tx, deliveryId, { at, busySince, retryUntil })) {
          await sendDeliveries(jobs, tx, [delivery])
        }
        return (await findDelivery(tx, deliveryId)) ?? refuseAbsent()
      })
    },

    /** One more than the limit where there is one. Null to who is no operator. */
    async listWebhooks({ isOperator }: Viewer, range: PageRange<string>): Promise<Webhook[] | null> {
      return isOperator ? readWebhooks(db, { ...range, limit: range.limit + 1 }) : null
    },

    /** In no order; those that are not there, or not for the viewer, are left out. */
    async findWebhooks({ isOperator }: Viewer, ids: readonly string[]): Promise<Webhook[]> {
      return isOperator ? findWebhooks(db, ids) : []
    },

    /** Of a webhook that the viewer was shown, the latest first; one more than the limit where there is one. */
    listDeliveries: (webhook: Webhook, states: readonly DeliveryState[], range: PageRange<string>) =>
      readDeliveries(db, webhook.id, states, { ...range, limit: range.limit + 1 }),
  }
}

function enabling(isEnabled: boolean | undefined, at: Date): WebhookChange {
  if (isEnabled === undefined) return {}
  if (isEnabled) return { disabledAt: null, disabledReason: null, failingSince: null }
  return { disabledAt: at, disabledReason: 'An operator has disabled it.' }
}

async function requireEnabled(tx: Tx, id: string): Promise<void> {
  const webhook = (await findWebhook(tx, id)) ?? refuseAbsent()
  if (webhook.disabledAt) throw new RefusedError('WEBHOOK_DISABLED', 'The webhook is disabled: enable it first.')
}

function refuseAbsent(): never {
  throw new RefusedError('NOT_FOUND', 'There is no such webhook, or no such delivery.')
}
