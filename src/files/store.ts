import type { Attachment, Prisma, Upload } from '../generated/prisma/client.ts'
import type { AttachmentRecord, AttachmentRendition } from '../messages/attachment-record.ts'
import type { Db, Tx } from '../platform/db.ts'

/** An attachment with what only the service may know of it. */
export interface StoredAttachment {
  record: AttachmentRecord
  objectKey: string
  /** Null until it is sent. */
  messageId: string | null
  /** Of that message. */
  roomId: string | null
  deletedAt: Date | null
}

/** In no order; also those that are deleted. */
export function findAttachments(db: Db | Tx, ids: readonly string[]): Promise<StoredAttachment[]> {
  return db.$queryRaw<StoredAttachment[]>`
    SELECT attachment_record(a) AS "record", a."object_key" AS "objectKey", a."message_id" AS "messageId",
      m."room_id" AS "roomId", a."deleted_at" AS "deletedAt"
    FROM "attachments" a LEFT JOIN "messages" m ON m."id" = a."message_id"
    WHERE a."id" = ANY(${[...ids]}::uuid[])`
}

export type NewUpload = Pick<Upload, 'id' | 'uploaderId' | 'name' | 'claimedType' | 'sizeBytes' | 'objectKey'>

export async function insertUpload(tx: Tx, upload: NewUpload): Promise<void> {
  await tx.upload.create({ data: upload })
}

export function findUpload(db: Db, objectKey: string, uploaderId: string): Promise<Upload | null> {
  return db.upload.findFirst({ where: { objectKey, uploaderId } })
}

/** Null where there is none any more: it has ended, in one way or the other. */
export async function takeUpload(tx: Tx, objectKey: string, uploaderId: string): Promise<Upload | null> {
  const [upload] = await tx.$queryRaw<Upload[]>`
    DELETE FROM "uploads" WHERE "object_key" = ${objectKey} AND "uploader_id" = ${uploaderId}::uuid
    RETURNING "id", "uploader_id" AS "uploaderId", "name", "claimed_type" AS "claimedType", "size_bytes" AS "sizeBytes",
      "object_key" AS "objectKey", "created_at" AS "createdAt"`
  return upload ?? null
}

/** Of an upload that has come whole. What it is nobody knows yet. */
export async function insertAttachment(tx: Tx, { id, uploaderId, name, sizeBytes, objectKey }: Upload): Promise<void> {
  const contentType = 'application/octet-stream'
  await tx.attachment.create({ data: { id, uploaderId, name, sizeBytes, objectKey, contentType } })
}

/**
 * Adds the bytes to what the user has uploaded on the day, unless that would be more than they may; says whether it did.
 * Holds the day's row to the end of the transaction: what else is counted in it is counted for one upload at a time.
 */
export async function addUsage(
  tx: Tx,
  { userId, day, bytes, maxBytes }: { userId: string; day: Date; bytes: number; maxBytes: number },
): Promise<boolean> {
  const rows = await tx.$queryRaw<object[]>`
    INSERT INTO "upload_usage" AS u ("user_id", "day", "bytes")
    SELECT ${userId}::uuid, ${day}::date, ${bytes}::bigint WHERE ${bytes}::bigint <= ${maxBytes}::bigint
    ON CONFLICT ("user_id", "day") DO UPDATE SET "bytes" = u."bytes" + excluded."bytes"
      WHERE u."bytes" + excluded."bytes" <= ${maxBytes}::bigint
    RETURNING 1`
  return rows.length > 0
}

/** Takes back what was added for an upload of which nothing came. */
export async function returnUsage(
  db: Db | Tx,
  { userId, day, bytes }: { userId: string; day: Date; bytes: number },
): Promise<void> {
  await db.$executeRaw`
    UPDATE "upload_usage" SET "bytes" = greatest("bytes" - ${bytes}::bigint, 0)
    WHERE "user_id" = ${userId}::uuid AND "day" = ${day}::date`
}

/** Keeps others who want the same from going on before this transaction ends. */
export async function lockUploader(tx: Tx, userId: string): Promise<void> {
  await tx.$queryRaw`SELECT 1 FROM "users" WHERE "id" = ${userId}::uuid FOR NO KEY UPDATE`
}

/** How many files of a user are coming, or have come and are neither sent nor deleted. None is older than `since`. */
export async function countUnsent(tx: Tx, userId: string, since: Date): Promise<number> {
  const coming = await tx.upload.count({ where: { uploaderId: userId } })
  const come = await tx.attachment.count({
    where: { uploaderId: userId, createdAt: { gt: since }, messageId: null, deletedAt: null },
  })
  return coming + come
}

/** Removes for everybody what the user has uploaded and not sent; says whether it was there. */
export async function markDeleted(tx: Tx, id: string, uploaderId: string): Promise<boolean> {
  const { count } = await tx.attachment.updateMany({
    where: { id, uploaderId, messageId: null, deletedAt: null },
    data: { deletedAt: new Date() },
  })
  return count > 0
}

/** Takes the attachments from a message that is being deleted, and says which they were. */
export async function releaseFromMessage(tx: Tx, messageId: string): Promise<string[]> {
  const rows = await tx.$queryRaw<{ id: string }[]>`
    UPDATE "attachments" SET "message_id" = NULL, "position" = NULL, "deleted_at" = clock_timestamp()
    WHERE "message_id" = ${messageId}::uuid RETURNING "id"`
  return rows.map(({ id }) => id)
}

/** Counts one more beginning of the processing; null where there is nothing to process any more. */
export async function beginProcessing(db: Db, id: string): Promise<Attachment | null> {
  const [attachment] = await db.attachment.updateManyAndReturn({
    where: { id, status: 'PROCESSING', deletedAt: null },
    data: { processingAttempts: { increment: 1 } },
  })
  return attachment ?? null
}

export type Processed = Pick<
  Attachment,
  'contentType' | 'kind' | 'sizeBytes' | 'width' | 'height' | 'durationMs' | 'placeholder' | 'objectKey'
> & { renditions: AttachmentRendition[] }

/** Makes it READY; null where it is not in processing any more. */
export function markReady(tx: Tx, id: string, { renditions, ...rest }: Processed): Promise<AttachmentRecord | null> {
  // JSON has no shape of its own to Prisma.
  return endProcessing(tx, id, { ...rest, renditions: renditions as unknown as Prisma.InputJsonArray, status: 'READY' })
}

/** Makes it REFUSED, with the reason as a code; null where it is not in processing any more. */
export function markRefused(tx: Tx, id: string, refusal: string): Promise<AttachmentRecord | null> {
  return endProcessing(tx, id, { status: 'REFUSED', refusal })
}

async function endProcessing(
  tx: Tx,
  id: string,
  data: Prisma.AttachmentUpdateManyMutationInput,
): Promise<AttachmentRecord | null> {
  const { count } = await tx.attachment.updateMany({ where: { id, status: 'PROCESSING', deletedAt: null }, data })
  if (count === 0) return null
  const [found] = await findAttachments(tx, [id])
  return found?.record ?? null
}
