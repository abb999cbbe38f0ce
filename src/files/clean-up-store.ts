import type { AttachmentStatus } from '../generated/prisma/client.ts'
import type { AttachmentRendition } from '../messages/attachment-record.ts'
import type { Db } from '../platform/db.ts'

/** Marks as deleted what was uploaded before and never sent, oldest first; says which. */
export async function markUnsentDeleted(db: Db, before: Date, limit: number): Promise<string[]> {
  const rows = await db.$queryRaw<{ id: string }[]>`
    UPDATE "attachments" SET "deleted_at" = clock_timestamp() WHERE "id" IN (
      SELECT "id" FROM "attachments"
      WHERE "message_id" IS NULL AND "deleted_at" IS NULL AND "created_at" < ${before}
      ORDER BY "created_at" LIMIT ${limit}::int FOR UPDATE SKIP LOCKED
    ) RETURNING "id"`
  return rows.map(({ id }) => id)
}

/** Attachments that are deleted and were so before this time: their job has not done its work. */
export async function findDeleted(db: Db, before: Date, limit: number): Promise<string[]> {
  const rows = await db.attachment.findMany({
    where: { messageId: null, deletedAt: { lt: before } },
    select: { id: true },
    orderBy: { createdAt: 'asc' },
    take: limit,
  })
  return rows.map(({ id }) => id)
}

/** Attachments whose processing has not ended since before this time. */
export async function findUnprocessed(db: Db, before: Date, limit: number): Promise<string[]> {
  const rows = await db.attachment.findMany({
    where: { messageId: null, status: 'PROCESSING', deletedAt: null, createdAt: { lt: before } },
    select: { id: true },
    orderBy: { createdAt: 'asc' },
    take: limit,
  })
  return rows.map(({ id }) => id)
}

/** Ends uploads that were begun before this time and have not come whole; says what their keys are. */
export async function takeStaleUploads(db: Db, before: Date, limit: number): Promise<string[]> {
  const rows = await db.$queryRaw<{ objectKey: string }[]>`
    DELETE FROM "uploads" WHERE "id" IN (
      SELECT "id" FROM "uploads" WHERE "created_at" < ${before}
      ORDER BY "created_at" LIMIT ${limit}::int FOR UPDATE SKIP LOCKED
    ) RETURNING "object_key" AS "objectKey"`
  return rows.map(({ objectKey }) => objectKey)
}

/** Those of the ids that are uploads which are still coming. */
export async function findComing(db: Db, ids: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = await db.upload.findMany({ where: { id: { in: [...ids] } }, select: { id: true } })
  return new Set(rows.map(({ id }) => id))
}

/** What one attachment keeps in the storage. */
export interface AttachmentObjects {
  id: string
  status: AttachmentStatus
  objectKey: string
  renditions: AttachmentRendition[]
  deletedAt: Date | null
}

export async function findObjects(db: Db, ids: readonly string[]): Promise<AttachmentObjects[]> {
  const rows = await db.attachment.findMany({ where: { id: { in: [...ids] } }, select: OBJECTS })
  return rows.map(toObjects)
}

/** Those in use by id, from the one after `after` on. */
export async function listObjectsInUse(db: Db, after: string | null, limit: number): Promise<AttachmentObjects[]> {
  const rows = await db.attachment.findMany({
    where: { status: 'READY', deletedAt: null, ...(after === null ? {} : { id: { gt: after } }) },
    select: OBJECTS,
    orderBy: { id: 'asc' },
    take: limit,
  })
  return rows.map(toObjects)
}

const OBJECTS = { id: true, status: true, objectKey: true, renditions: true, deletedAt: true } as const

function toObjects(row: Omit<AttachmentObjects, 'renditions'> & { renditions: unknown }): AttachmentObjects {
  // The only writer of the column is markReady.
  return { ...row, renditions: row.renditions as AttachmentRendition[] }
}

export async function deleteAttachmentRows(db: Db, ids: readonly string[]): Promise<void> {
  await db.attachment.deleteMany({ where: { id: { in: [...ids] }, deletedAt: { not: null } } })
}

/** Nobody can see it any more: its bytes are gone. */
export async function markBroken(db: Db, id: string, refusal: string): Promise<void> {
  await db.attachment.updateMany({ where: { id, status: 'READY' }, data: { status: 'REFUSED', refusal } })
}

export async function deleteUsageBefore(db: Db, day: Date): Promise<void> {
  await db.uploadUsage.deleteMany({ where: { day: { lt: day } } })
}

export async function findWalkPosition(db: Db, name: string): Promise<string | null> {
  const walk = await db.fileWalk.findUnique({ where: { name } })
  return walk?.position ?? null
}

export async function saveWalkPosition(db: Db, name: string, position: string | null): Promise<void> {
  await db.fileWalk.upsert({ where: { name }, create: { name, position }, update: { position } })
}
