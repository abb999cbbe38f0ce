// What the storage and the database do not agree about is put right, both ways. Everything is looked at, page by page: a run
// goes on where the last one stopped, and may be cut short anywhere.

import type { Clock } from '../platform/clock.ts'
import type { Db } from '../platform/db.ts'
import type { Jobs } from '../platform/jobs.ts'
import type { Logger } from '../platform/logger.ts'
import {
  type AttachmentObjects,
  findComing,
  findObjects,
  findWalkPosition,
  listObjectsInUse,
  markBroken,
  saveWalkPosition,
} from './clean-up-store.ts'
import type { FileStorage } from './file-storage.ts'
import { FIND_ORPHANS, FIND_ORPHANS_CRON } from './job-kinds.ts'
import { attachmentOfKey } from './object-keys.ts'

const PAGE = 100
/** An object without a row may be one in the making: its row comes after it. */
const ORPHAN_AGE_MS = 60 * 60_000
/** How many pages of each walk one run looks at. */
const PAGES_PER_RUN = 100
const STATS_AT_ONCE = 8
/** So many disagreements on one page are no debris: it is the wrong folder or bucket, or a database from a backup. */
const SUSPICIOUS = 10

export interface OrphanSearchOptions {
  db: Db
  storage: FileStorage
  clock: Clock
  logger: Logger
}

export function createOrphanSearch({ db, storage, clock, logger }: OrphanSearchOptions) {
  /** Goes on where the last run has stopped, and begins anew when it has come to the end. */
  async function walk(
    name: string,
    signal: AbortSignal,
    step: (position: string | null) => Promise<string | null>,
  ): Promise<void> {
    let position = await findWalkPosition(db, name)
    for (let page = 0; page < PAGES_PER_RUN && !signal.aborted; page++) {
      position = await step(position)
      await saveWalkPosition(db, name, position)
      if (position === null) return
    }
  }

  async function removeUnknownObjects(position: string | null): Promise<string | null> {
    const createdBefore = new Date(clock.now() - ORPHAN_AGE_MS)
    const { objects, next } = await storage.list({ after: position, limit: PAGE })
    const old = objects.filter(({ modifiedAt }) => modifiedAt < createdBefore)
    const ids = [...new Set(old.flatMap(({ key }) => attachmentOfKey(key) ?? []))]
    // In this order: an upload that ends between the two is found twice, and the other way round not at all.
    const coming = await findComing(db, ids)
    const known = new Map((await findObjects(db, ids)).map((objects) => [objects.id, objects]))
    const orphans = old
      .map(({ key }) => key)
      .filter((key) => {
        const id = attachmentOfKey(key)
        // The storage may be shared with others: what is not named as ours is not ours.
        return id !== null && !coming.has(id) && !isInUse(key, known.get(id))
      })
    if (isSuspicious(orphans.length, objects.length)) {
      logger.error(
        { orphans: orphans.length },
        'most objects in the storage are unknown to the database: none was removed',
      )
      return next
    }
    if (orphans.length > 0) logger.warn({ orphans }, 'objects that no attachment has are removed')
    await storage.delete(orphans)
    return next
  }

  async function markLostAttachments(position: string | null): Promise<string | null> {
    const page = await listObjectsInUse(db, position, PAGE)
    const lost: AttachmentObjects[] = []
    for (let at = 0; at < page.length; at += STATS_AT_ONCE) {
      const some = page.slice(at, at + STATS_AT_ONCE)
      const stats = await Promise.all(some.map(({ objectKey }) => storage.stat(objectKey)))
      lost.push(...some.filter((_, i) => stats[i] === null))
    }
    if (isSuspicious(lost.length, page.length)) {
      logger.error(
        { lost: lost.length },
        'the storage has hardly any of the files in the database: is it the right one?',
      )
    } else {
      for (const { id, objectKey } of lost) {
        logger.error({ attachmentId: id, objectKey }, 'the bytes of an attachment are gone from the storage')
        await markBroken(db, id, 'LOST')
      }
    }
    return page.length < PAGE ? null : (page.at(-1)?.id ?? null)
  }

  async function findOrphans(signal: AbortSignal): Promise<void> {
    await walk('objects', signal, removeUnknownObjects)
    await walk('attachments', signal, markLostAttachments)
  }

  return {
    findOrphans,
    /** Before the jobs are started. */
    handle(jobs: Jobs): void {
      jobs.every(FIND_ORPHANS_CRON, FIND_ORPHANS, ({ signal }) => findOrphans(signal))
    },
  }
}

/** While an attachment is being processed, whatever bears its name is its own; one that was refused has nothing. */
function isInUse(key: string, attachment: AttachmentObjects | undefined): boolean {
  if (!attachment || attachment.status === 'REFUSED') return false
  if (attachment.status === 'PROCESSING') return true
  return key === attachment.objectKey || attachment.renditions.some(({ objectKey }) => objectKey === key)
}

const isSuspicious = (count: number, of: number): boolean => count > SUSPICIOUS && count > of / 2
