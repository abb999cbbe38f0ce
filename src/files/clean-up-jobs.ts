// What nobody will ask for any more is removed. In batches, each of which stands by itself: a run may be cut short anywhere.

import type { Clock } from '../platform/clock.ts'
import type { Db } from '../platform/db.ts'
import type { Jobs } from '../platform/jobs.ts'
import {
  type AttachmentObjects,
  deleteAttachmentRows,
  deleteUsageBefore,
  findDeleted,
  findObjects,
  findUnprocessed,
  markUnsentDeleted,
  takeStaleUploads,
} from './clean-up-store.ts'
import type { FileStorage } from './file-storage.ts'
import { CLEAN_UP_FILES, CLEAN_UP_FILES_CRON, REMOVE_ATTACHMENTS } from './job-kinds.ts'
import { cleanedKey, uploadKey } from './object-keys.ts'
import { sweepTempFolders } from './process-upload.ts'
import type { Processing } from './processing-service.ts'

const BATCH = 100
const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
/** Deleted for so long, an attachment's own job has failed. */
const REMOVAL_LATE_MS = 10 * MINUTE_MS
/** All attempts together take less; then the job itself is lost. */
const PROCESSING_LATE_MS = 6 * HOUR_MS
const TEMP_AGE_MS = HOUR_MS

export interface CleanUpOptions {
  db: Db
  storage: FileStorage
  processing: Pick<Processing, 'refuse'>
  clock: Clock
  unsentMs: number
  tempDir: string
}

export function createCleanUp({ db, storage, processing, clock, unsentMs, tempDir }: CleanUpOptions) {
  const ago = (ms: number) => new Date(clock.now() - ms)

  /** The objects first: as long as the row is there, somebody knows of them. */
  async function remove(ids: readonly string[]): Promise<void> {
    const found = (await findObjects(db, ids)).filter(({ deletedAt }) => deletedAt !== null)
    await storage.delete(found.flatMap(allKeysOf))
    await deleteAttachmentRows(
      db,
      found.map(({ id }) => id),
    )
  }

  /** Runs a step for one batch after the other, until one is not full. */
  async function inBatches(signal: AbortSignal, step: () => Promise<readonly unknown[]>): Promise<void> {
    while (!signal.aborted && (await step()).length === BATCH);
  }

  async function cleanUp(signal: AbortSignal): Promise<void> {
    await inBatches(signal, async () => {
      const unsent = await markUnsentDeleted(db, ago(unsentMs), BATCH)
      await remove(unsent)
      return unsent
    })
    await inBatches(signal, async () => {
      const late = await findDeleted(db, ago(REMOVAL_LATE_MS), BATCH)
      await remove(late)
      return late
    })
    await inBatches(signal, async () => {
      const keys = await takeStaleUploads(db, ago(unsentMs), BATCH)
      await storage.delete(keys)
      return keys
    })
    await inBatches(signal, async () => {
      const late = await findUnprocessed(db, ago(PROCESSING_LATE_MS), BATCH)
      for (const id of late) await processing.refuse(id, 'PROCESSING_FAILED')
      return late
    })
    await deleteUsageBefore(db, ago(2 * DAY_MS))
    await storage.removeStale(ago(unsentMs))
    await sweepTempFolders(tempDir, TEMP_AGE_MS, clock.now())
  }

  return {
    cleanUp,
    /** Before the jobs are started. */
    handle(jobs: Jobs): void {
      jobs.handle(REMOVE_ATTACHMENTS, ({ attachmentIds }) => remove(attachmentIds))
      jobs.every(CLEAN_UP_FILES_CRON, CLEAN_UP_FILES, ({ signal }) => cleanUp(signal))
    },
  }
}

/** Also those that a job may have written that did not come to its end. */
function allKeysOf({ id, objectKey, renditions }: AttachmentObjects): string[] {
  return [...new Set([objectKey, uploadKey(id), cleanedKey(id), ...renditions.map((rendition) => rendition.objectKey)])]
}
