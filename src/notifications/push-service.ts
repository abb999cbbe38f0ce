import type { PushSubscription } from '../generated/prisma/client.ts'
import type { Db } from '../platform/db.ts'
import { RefusedError, ValidationError } from '../platform/errors.ts'
import type { PageRange } from '../platform/page-range.ts'
import type { Viewer } from '../platform/viewer.ts'
import { findTargetProblem, type TargetPolicy } from './policy.ts'
import {
  type BrowserSubscription,
  deleteOldestSubscriptions,
  deleteSubscriptionOf,
  readSubscriptions,
  upsertSubscription,
} from './push-store.ts'

/** More browsers than anybody uses; the oldest makes room for the next. */
export const MAX_PUSH_SUBSCRIPTIONS = 20

export type Push = ReturnType<typeof createPush>

export interface PushOptions {
  db: Db
  targets: TargetPolicy
  /** What browsers subscribe with; null where push is off. */
  vapidPublicKey: string | null
}

/** The browsers that get a user's notifications. */
export function createPush({ db, targets, vapidPublicKey }: PushOptions) {
  return {
    vapidPublicKey,

    /** The browser is the viewer's from now on, also where it was another user's. */
    async subscribe({ userId }: Viewer, subscription: BrowserSubscription): Promise<PushSubscription> {
      if (vapidPublicKey === null) {
        throw new RefusedError('PUSH_OFF', 'This server sends no Web Push: it has no VAPID keys.')
      }
      const problem = findTargetProblem(new URL(subscription.endpoint), targets)
      if (problem) throw new ValidationError([{ path: 'input.endpoint', message: problem, limit: null }])
      return db.$transaction(async (tx) => {
        const subscribed = await upsertSubscription(tx, userId, subscription)
        await deleteOldestSubscriptions(tx, userId, MAX_PUSH_SUBSCRIPTIONS)
        return subscribed
      })
    },

    /** Whether there was one or not. Of other users' nothing is removed. */
    unsubscribe: ({ userId }: Viewer, endpoint: string): Promise<void> => deleteSubscriptionOf(db, userId, endpoint),

    listSubscriptions: ({ userId }: Viewer, range: PageRange<string>): Promise<PushSubscription[]> =>
      readSubscriptions(db, userId, { ...range, limit: range.limit + 1 }),
  }
}
