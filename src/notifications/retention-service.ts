// Old notifications go: beyond their age, and beyond a number for each user.

import type { Clock } from '../platform/clock.ts'
import type { Db } from '../platform/db.ts'
import type { JobKind, Jobs, RunningJob } from '../platform/jobs.ts'
import { deleteBelow, deleteSurplus } from './inbox-store.ts'

export const MAX_KEPT_PER_USER = 1_000
const DAY_MS = 24 * 60 * 60 * 1_000
const ROWS_PER_STATEMENT = 5_000
const USERS_PER_STATEMENT = 200
/** In UTC, every hour. */
const CRON = '41 * * * *'

const TIDY: JobKind<Record<string, never>> = {
  name: 'notification-retention',
  timeoutSeconds: 10 * 60,
  retries: 2,
  retryDelaySeconds: 60,
  maxRetryDelaySeconds: 600,
  oneWaitingPerKey: true,
}

export interface RetentionOptions {
  db: Db
  clock: Clock
  /** 0: for ever. */
  days: number
}

/** Has it done every hour, by one node. Before the jobs are started. */
export function handleNotificationRetention(jobs: Jobs, options: RetentionOptions): void {
  jobs.every(CRON, TIDY, (job) => removeOldNotifications(options, job))
}

export async function removeOldNotifications(
  { db, clock, days }: RetentionOptions,
  { signal }: Pick<RunningJob, 'signal'>,
): Promise<void> {
  if (days > 0) {
    // Ids begin with the time at which they were made.
    const oldest = firstIdAt(clock.now() - days * DAY_MS)
    while (!signal.aborted && (await deleteBelow(db, oldest, ROWS_PER_STATEMENT)) === ROWS_PER_STATEMENT) {}
  }
  while (
    !signal.aborted &&
    (await deleteSurplus(db, MAX_KEPT_PER_USER, USERS_PER_STATEMENT)) === USERS_PER_STATEMENT
  ) {}
}

/** The lowest UUIDv7 of that time. */
function firstIdAt(timeMs: number): string {
  const time = timeMs.toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-000000000000`
}
