// How files come in, by either way: what a user may still upload is counted first, the bytes are stored, and with the
// attachment's row its processing is owed. Invariant: an upload ends once, as an attachment or as nothing.

import { Readable } from 'node:stream'
import type { AttachmentRecord } from '../messages/attachment-record.ts'
import type { Clock } from '../platform/clock.ts'
import type { Db } from '../platform/db.ts'
import { GateError, RefusedError, ValidationError } from '../platform/errors.ts'
import { newId } from '../platform/ids.ts'
import type { Jobs } from '../platform/jobs.ts'
import type { Viewer } from '../platform/viewer.ts'
import { isTypeAllowed } from './allowed-types.ts'
import { FileTooLargeError, QuotaExceededError } from './errors.ts'
import { cleanFileName } from './file-name.ts'
import { type FileStorage, StorageUnavailableError } from './file-storage.ts'
import { PROCESS_ATTACHMENT } from './job-kinds.ts'
import { attachmentOfKey, uploadKey } from './object-keys.ts'
import {
  addUsage,
  countUnsent,
  findAttachments,
  findUpload,
  insertAttachment,
  insertUpload,
  lockUploader,
  returnUsage,
  takeUpload,
} from './store.ts'
import type { ClaimedFile, ExpectedUpload, UploadGate } from './upload-gate.ts'

/** How many files a user may have that are coming or wait to be sent. */
export const MAX_UNSENT_FILES = 100
const DAY_MS = 24 * 60 * 60 * 1_000
const RETRY_AFTER_MS = 1_000

export interface UploadLimits {
  readonly maxFileBytes: number
  /** Of one user in a day (UTC), counting what was begun. */
  readonly maxBytesPerDay: number
  /** Patterns, as image/*. */
  readonly allowedTypes: readonly string[]
  /** What is not sent so long after it came is removed. */
  readonly unsentMs: number
}

/** A file that has come whole, as small ones do. */
export interface ReceivedFile extends ClaimedFile {
  bytes: AsyncIterable<Uint8Array>
  maxBytes: number
}

export interface UploadsOptions {
  db: Db
  storage: FileStorage
  jobs: Jobs
  clock: Clock
  limits: UploadLimits
}

export interface Uploads extends UploadGate {
  /** Stores a file that has come whole. Throws RefusedError, or UNAVAILABLE where the storage does not answer. */
  store(viewer: Viewer, file: ReceivedFile): Promise<AttachmentRecord>
}

export function createUploads({ db, storage, jobs, clock, limits }: UploadsOptions): Uploads {
  const today = () => new Date(Math.floor(clock.now() / DAY_MS) * DAY_MS)

  async function begin({ userId }: Viewer, file: ClaimedFile): Promise<ExpectedUpload> {
    const { sizeBytes, contentType } = file
    if (sizeBytes < 1) throw new ValidationError([{ path: 'file', message: 'is empty', limit: 1 }])
    if (sizeBytes > limits.maxFileBytes) throw new FileTooLargeError(limits.maxFileBytes)
    refuseType(limits.allowedTypes, contentType)
    const attachmentId = newId()
    const upload = { attachmentId, objectKey: uploadKey(attachmentId) }
    const day = today()
    await db.$transaction(async (tx) => {
      await lockUploader(tx, userId)
      if ((await countUnsent(tx, userId, new Date(clock.now() - limits.unsentMs))) >= MAX_UNSENT_FILES) {
        throw new RefusedError('TOO_MANY_UNSENT_FILES', `More than ${MAX_UNSENT_FILES} files would wait to be sent.`)
      }
      const maxBytes = limits.maxBytesPerDay
      if (!(await addUsage(tx, { userId, day, bytes: sizeBytes, maxBytes }))) {
        throw new QuotaExceededError({ bytesPerDay: maxBytes, resetsAt: new Date(day.getTime() + DAY_MS) })
      }
      const name = cleanFileName(file.name)
      const { objectKey } = upload
      await insertUpload(tx, {
        id: attachmentId,
        uploaderId: userId,
        name,
        claimedType: contentType,
        sizeBytes,
        objectKey,
      })
    })
    return upload
  }

  async function finish({ userId }: Viewer, objectKey: string): Promise<void> {
    await db.$transaction(async (tx) => {
      // Of two at once the second waits here, and finds that there is nothing left to do.
      const upload = await takeUpload(tx, objectKey, userId)
      if (!upload) return
      await insertAttachment(tx, upload)
      const data = { attachmentId: upload.id, claimedType: upload.claimedType }
      await jobs.send(PROCESS_ATTACHMENT, data, { tx })
    })
  }

  /** Whether it was still coming. */
  async function giveUp({ userId }: Viewer, objectKey: string): Promise<boolean> {
    if (!(await takeUpload(db, objectKey, userId))) return false
    await storage.delete([objectKey])
    return true
  }

  return {
    begin,

    async find({ userId }, objectKey) {
      const upload = await findUpload(db, objectKey, userId)
      if (upload) return { attachmentId: upload.id, objectKey }
      const attachment = await findOwn(db, userId, objectKey)
      return attachment && { attachmentId: attachment.id, objectKey }
    },

    async finish(viewer, objectKey) {
      await finish(viewer, objectKey)
      if (!(await findOwn(db, viewer.userId, objectKey)))
        throw new RefusedError('NOT_FOUND', 'There is no such upload.')
    },

    async abort(viewer, objectKey) {
      // What was begun counts: else a day's limit could be passed by giving up shortly before the end.
      await giveUp(viewer, objectKey)
    },

    async store(viewer, file) {
      if (file.sizeBytes > file.maxBytes) throw new FileTooLargeError(file.maxBytes)
      const day = today()
      const { objectKey } = await begin(viewer, file)
      try {
        await storage.write(objectKey, Readable.from(file.bytes), { maxBytes: file.sizeBytes })
        await finish(viewer, objectKey)
      } catch (error) {
        const { userId } = viewer
        if (await giveUp(viewer, objectKey)) await returnUsage(db, { userId, day, bytes: file.sizeBytes })
        throw error instanceof StorageUnavailableError ? storageAway() : error
      }
      const attachment = await findOwn(db, viewer.userId, objectKey)
      if (!attachment) throw new Error('an upload is gone that was just finished')
      return attachment
    },
  }
}

/** What the client says must be allowed; what the file is, is seen when it is processed. */
function refuseType(allowedTypes: readonly string[], claimedType: string): void {
  const claim = claimedType.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  if (UNKNOWN_TYPES.has(claim) || isTypeAllowed(allowedTypes, claim, claim)) return
  throw new RefusedError('FILE_TYPE_NOT_ALLOWED', `Allowed are: ${allowedTypes.join(', ')}.`)
}

/** As browsers say where they do not know. */
const UNKNOWN_TYPES = new Set(['', 'application/octet-stream', 'binary/octet-stream'])

async function findOwn(db: Db, userId: string, objectKey: string): Promise<AttachmentRecord | null> {
  const id = attachmentOfKey(objectKey)
  const [found] = id === null ? [] : await findAttachments(db, [id])
  return found && found.record.uploaderId === userId ? found.record : null
}

const storageAway = () =>
  new GateError('UNAVAILABLE', 'The storage does not answer for the moment: try again.', {
    retryable: true,
    retryAfterMs: RETRY_AFTER_MS,
  })
