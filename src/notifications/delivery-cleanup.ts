import type { Clock } from '../platform/clock.ts'
import type { Db } from '../platform/db.ts'
import type { JobKind, RunningJob } from '../platform/jobs.ts'
import { deleteOldPushDeliveries } from './push-store.ts'
import { deleteOldDeliveries } from './webhook-store.ts'

export const CLEAN_DELIVERIES: JobKind<Record<string, never>> = {
  name: 'clean-deliveries',
  timeoutSeconds: 600,
  retries: 2,
  retryDelaySeconds: 60,
  maxRetryDelaySeconds: 300,
}

const DAY_MS = 24 * 60 * 60 * 1_000
/** So many a statement: none takes long. */
const BATCH = 1_000

/** Removes deliveries, with their logs, that are older than so many days. */
export function createDeliveryCleanup({ db, clock, days }: { db: Db; clock: Clock; days: number }) {
  return async ({ signal }: RunningJob): Promise<void> => {
    const before = new Date(clock.now() - days * DAY_MS)
    for (const remove of [deleteOldPushDeliveries, deleteOldDeliveries]) {
      while (!signal.aborted && (await remove(db, before, BATCH)) === BATCH);
    }
  }
}
