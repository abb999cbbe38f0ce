import type { JobKind } from '../platform/jobs.ts'

/** How often processing is begun, also by nodes that did not live to its end, before the file is refused. */
export const MAX_PROCESSING_ATTEMPTS = 8

export const PROCESS_ATTACHMENT: JobKind<{ attachmentId: string; claimedType: string }> = {
  name: 'process-attachment',
  timeoutSeconds: 15 * 60,
  // The last one is there to refuse.
  retries: MAX_PROCESSING_ATTEMPTS,
  retryDelaySeconds: 2,
  maxRetryDelaySeconds: 5 * 60,
  concurrency: 2,
}

export const REMOVE_ATTACHMENTS: JobKind<{ attachmentIds: readonly string[] }> = {
  name: 'remove-attachments',
  timeoutSeconds: 5 * 60,
  // What is left after these, the clean-up finds.
  retries: 5,
  retryDelaySeconds: 5,
  maxRetryDelaySeconds: 5 * 60,
}

/** Shorter than the time between two of them: one is done before the next begins. */
export const CLEAN_UP_FILES: JobKind<Record<string, never>> = {
  name: 'clean-up-files',
  timeoutSeconds: 9 * 60,
  retries: 1,
  retryDelaySeconds: 30,
  maxRetryDelaySeconds: 30,
  oneWaitingPerKey: true,
}
export const CLEAN_UP_FILES_CRON = '*/10 * * * *'

export const FIND_ORPHANS: JobKind<Record<string, never>> = {
  name: 'find-orphan-files',
  timeoutSeconds: 25 * 60,
  retries: 1,
  retryDelaySeconds: 30,
  maxRetryDelaySeconds: 30,
  oneWaitingPerKey: true,
}
export const FIND_ORPHANS_CRON = '7,37 * * * *'
