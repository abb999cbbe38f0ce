// From uploaded to READY or REFUSED, off the request path. Invariant: the objects are stored before the row says so, the
// row changes once, and with it its uploader's log; done twice, it writes the same keys.

import { createReadStream } from 'node:fs'
import type { Publisher } from '../events/publisher.ts'
import { appendUserEvent } from '../events/user-log.ts'
import type { Attachment } from '../generated/prisma/client.ts'
import type { AttachmentRecord, AttachmentRendition } from '../messages/attachment-record.ts'
import type { Db, Tx } from '../platform/db.ts'
import type { Jobs } from '../platform/jobs.ts'
import type { Logger } from '../platform/logger.ts'
import { type FileStorage, MissingObjectError } from './file-storage.ts'
import { MAX_PROCESSING_ATTEMPTS, PROCESS_ATTACHMENT } from './job-kinds.ts'
import type { ByteRange } from './object-bytes.ts'
import { cleanedKey, renditionKey, uploadKey } from './object-keys.ts'
import { processUpload, type ReadyUpload, type RefusalReason, type UploadTools } from './process-upload.ts'
import { beginProcessing, markReady, markRefused, type Processed } from './store.ts'

/** Why an attachment is refused: what was found in it, or that nothing could be made of it. */
export type AttachmentRefusal = RefusalReason | 'PROCESSING_FAILED' | 'LOST'

export interface ProcessingOptions {
  db: Db
  storage: FileStorage
  publisher: Publisher
  tools: UploadTools
  logger: Logger
}

export type Processing = ReturnType<typeof createProcessing>

export function createProcessing({ db, storage, publisher, tools, logger }: ProcessingOptions) {
  /** Ends the processing and tells the uploader; false where there was nothing to end any more. */
  async function end(change: (tx: Tx) => Promise<AttachmentRecord | null>): Promise<boolean> {
    const events = await db.$transaction(async (tx) => {
      const attachment = await change(tx)
      if (!attachment) return null
      return appendUserEvent(tx, [attachment.uploaderId], { type: 'AttachmentProcessed', attachment })
    })
    if (events) publisher.publishEvents(events)
    return events !== null
  }

  async function refuse(id: string, reason: AttachmentRefusal): Promise<void> {
    if (!(await end((tx) => markRefused(tx, id, reason)))) return
    logger.info({ attachmentId: id, reason }, 'a file was refused')
    await storage.delete([uploadKey(id)])
  }

  async function keep(attachment: Attachment, ready: ReadyUpload, signal: AbortSignal): Promise<void> {
    const { processed, written } = await storeResult(storage, attachment, ready, signal)
    signal.throwIfAborted()
    const isKept = await end((tx) => markReady(tx, attachment.id, processed))
    // Deleted meanwhile, or done by another node, which has written the same keys: then they are in use.
    if (!isKept) await removeUnlessReady(attachment.id, written)
    else if (processed.objectKey !== attachment.objectKey) await storage.delete([attachment.objectKey])
  }

  async function removeUnlessReady(id: string, keys: string[]): Promise<void> {
    const found = await db.attachment.findUnique({ where: { id }, select: { status: true, deletedAt: true } })
    if (!found || found.deletedAt) await storage.delete(keys)
  }

  async function process(id: string, claimedType: string, signal: AbortSignal): Promise<void> {
    const attachment = await beginProcessing(db, id)
    if (!attachment) return
    if (attachment.processingAttempts > MAX_PROCESSING_ATTEMPTS) return refuse(id, 'PROCESSING_FAILED')
    try {
      const bytes = {
        sizeBytes: attachment.sizeBytes,
        open: async (range?: ByteRange) =>
          (await storage.read(attachment.objectKey, { ...(range ? { range } : {}), signal })).stream,
      }
      const use = (result: ReadyUpload | { status: 'REFUSED'; reason: RefusalReason }) =>
        result.status === 'READY' ? keep(attachment, result, signal) : refuse(id, result.reason)
      await processUpload({ bytes, claimedType }, tools, use, signal)
    } catch (error) {
      // No attempt brings back what is not there.
      if (error instanceof MissingObjectError) return refuse(id, 'LOST')
      throw error
    }
  }

  return {
    /** Before the jobs are started. */
    handle(jobs: Jobs): void {
      jobs.handle(PROCESS_ATTACHMENT, ({ attachmentId, claimedType }, { signal }) =>
        process(attachmentId, claimedType, signal),
      )
    },
    refuse,
  }
}

/** Stores what has become of the upload, and says what the row is to say. */
async function storeResult(
  storage: FileStorage,
  { id, objectKey, sizeBytes }: Attachment,
  ready: ReadyUpload,
  signal: AbortSignal,
): Promise<{ processed: Processed; written: string[] }> {
  const renditions: AttachmentRendition[] = []
  for (const { name, path, ...facts } of ready.renditions) {
    const key = renditionKey(id, name)
    await storage.write(key, createReadStream(path), { maxBytes: facts.sizeBytes, signal })
    renditions.push({ name, objectKey: key, ...facts })
  }
  const { cleaned } = ready
  if (cleaned) await storage.write(cleanedKey(id), await cleaned.open(), { maxBytes: cleaned.sizeBytes, signal })
  const { contentType, kind, width, height, durationMs, placeholder } = ready
  const kept = cleaned ? { objectKey: cleanedKey(id), sizeBytes: cleaned.sizeBytes } : { objectKey, sizeBytes }
  return {
    processed: { contentType, kind, width, height, durationMs, placeholder, renditions, ...kept },
    written: [...renditions.map((rendition) => rendition.objectKey), kept.objectKey],
  }
}
