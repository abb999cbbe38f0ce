// Attachments after they have come in: who may see them, send them, take them away. Until it is sent an attachment is its
// uploader's alone; from then on it is there for those who may read the message's room, and for nobody else.

import { setTimeout as delay } from 'node:timers/promises'
import type { AttachmentRecord } from '../messages/attachment-record.ts'
import type { MessageAttachments } from '../messages/service.ts'
import type { Db } from '../platform/db.ts'
import { RefusedError } from '../platform/errors.ts'
import type { Jobs } from '../platform/jobs.ts'
import type { Viewer } from '../platform/viewer.ts'
import type { Rooms } from '../rooms/service.ts'
import { describeType } from './content-type.ts'
import type { FileLookup, ServableFile } from './file-lookup.ts'
import { REMOVE_ATTACHMENTS } from './job-kinds.ts'
import { ORIGINAL } from './object-keys.ts'
import { isUnsentOf, refuseUnlessReady, requireSendable } from './policy.ts'
import type { UrlSigner } from './signed-url.ts'
import { findAttachments, markDeleted, releaseFromMessage, type StoredAttachment } from './store.ts'
import type { ReceivedFile, Uploads } from './upload-service.ts'

/** How long a message waits for its attachments to be processed. */
const MAX_WAIT_MS = 10_000
/** How often it looks: they may be processed on another node. */
const LOOK_EVERY_MS = 150

export interface FilesOptions {
  db: Db
  jobs: Jobs
  rooms: Rooms
  /** Null, as the signer: this server keeps no files. */
  uploads: Uploads | null
  signer: UrlSigner | null
  /** What stands before the path of a file's url; empty: clients know. */
  publicUrl: string
}

/** Where somebody can fetch a file for a while, without a token. */
export interface FileUrl {
  url: string
  expiresAt: Date
}

export type Files = ReturnType<typeof createFiles>

export function createFiles({ db, jobs, rooms, uploads, signer, publicUrl }: FilesOptions) {
  async function listVisible(viewer: Viewer, ids: readonly string[]): Promise<StoredAttachment[]> {
    const found = (await findAttachments(db, ids)).filter(({ deletedAt }) => deletedAt === null)
    const roomIds = new Set(found.flatMap(({ roomId }) => roomId ?? []))
    const readable = new Set((await rooms.listRoomsByIds(viewer, [...roomIds])).map(({ id }) => id))
    return found.filter((one) => (one.roomId ? readable.has(one.roomId) : isUnsentOf(one, viewer.userId)))
  }

  const attachments: MessageAttachments = {
    async prepare({ userId }, ids) {
      const deadline = performance.now() + MAX_WAIT_MS
      for (;;) {
        const found = requireSendable(ids, await findAttachments(db, ids), userId)
        const isWaiting = found.some(({ status }) => status === 'PROCESSING')
        // One that was refused will not become better by waiting for the others.
        const isRefused = found.some(({ status }) => status === 'REFUSED')
        if (!isWaiting || isRefused || performance.now() >= deadline) {
          refuseUnlessReady(found)
          return found
        }
        await delay(LOOK_EVERY_MS)
      }
    },

    async release(tx, messageId) {
      const attachmentIds = await releaseFromMessage(tx, messageId)
      // Where there are no files any more, nobody does these jobs.
      if (uploads && attachmentIds.length > 0) await jobs.send(REMOVE_ATTACHMENTS, { attachmentIds }, { tx })
    },
  }

  const lookup: FileLookup = {
    async findServable(attachmentId, rendition) {
      const [found] = await findAttachments(db, [attachmentId])
      return found && found.deletedAt === null ? toServable(found, rendition) : null
    },

    async findServableFor(viewer, attachmentId, rendition) {
      const [found] = await listVisible(viewer, [attachmentId])
      return found ? toServable(found, rendition) : null
    },
  }

  return {
    /** What messages need of files. */
    attachments,
    /** What downloads need. */
    lookup,

    /** Takes a small file that has come with its request. Throws RefusedError. */
    async upload(viewer: Viewer, file: ReceivedFile): Promise<AttachmentRecord> {
      if (!uploads) throw new RefusedError('FILES_DISABLED', 'This server keeps no files.')
      return uploads.store(viewer, file)
    },

    /** By id, in the order asked; null where absent or not for the viewer. */
    async listAttachmentsByIds(viewer: Viewer, ids: readonly string[]): Promise<(AttachmentRecord | null)[]> {
      const visible = new Map((await listVisible(viewer, ids)).map(({ record }) => [record.id, record]))
      return ids.map((id) => visible.get(id) ?? null)
    },

    /** Takes away what the viewer has uploaded and not sent. */
    async deleteAttachment(viewer: Viewer, id: string): Promise<void> {
      const isDeleted = await db.$transaction(async (tx) => {
        const isMarked = await markDeleted(tx, id, viewer.userId)
        if (uploads && isMarked) await jobs.send(REMOVE_ATTACHMENTS, { attachmentIds: [id] }, { tx })
        return isMarked
      })
      if (isDeleted) return
      const [seen] = await listVisible(viewer, [id])
      if (seen) throw new RefusedError('FORBIDDEN', 'The file was sent: it goes with its message.')
      throw new RefusedError('NOT_FOUND', 'There is no such attachment.')
    },

    /** Null where there is nothing to fetch: it is not ready, or was refused. The same for a while, so that it can be kept. */
    findUrl({ id, name, status }: AttachmentRecord, rendition: string = ORIGINAL): FileUrl | null {
      if (!signer || status !== 'READY') return null
      const path = signer.sign({ attachmentId: id, rendition, name })
      return { url: publicUrl + path, expiresAt: expiryOf(path) }
    },
  }
}

function expiryOf(path: string): Date {
  return new Date(Number(new URLSearchParams(path.slice(path.indexOf('?'))).get('expires')) * 1_000)
}

function toServable({ record, objectKey }: StoredAttachment, wanted: string): ServableFile | null {
  if (record.status !== 'READY') return null
  const { id, name, contentType, kind, sizeBytes } = record
  // A file that cannot be decoded is no image, whatever it begins like.
  const isInlineSafe = kind !== 'FILE' && describeType(contentType).isInlineSafe
  const etag = `"${id}.${wanted}"`
  if (wanted === ORIGINAL) return { objectKey, name, contentType, sizeBytes, etag, isInlineSafe }
  const rendition = record.renditions.find((one) => one.name === wanted)
  return rendition ? { ...rendition, name, etag, isInlineSafe: true } : null
}
