import type { Db } from '../platform/db.ts'

/** Who is writing an upload. The database's clock counts, so that nodes need not agree on the time. */
export interface Lease {
  objectKey: string
  /** Of this one attempt. */
  holder: string
}

/** False where somebody else holds it. */
export async function takeLease(db: Db, { objectKey, holder }: Lease, ttlMs: number): Promise<boolean> {
  const taken = await db.$executeRaw`
    INSERT INTO "upload_leases" ("object_key", "holder", "expires_at")
    VALUES (${objectKey}, ${holder}::uuid, clock_timestamp() + ${ttlMs} * interval '1 ms')
    ON CONFLICT ("object_key") DO UPDATE
      SET "holder" = EXCLUDED."holder", "expires_at" = EXCLUDED."expires_at", "is_wanted" = false
      WHERE "upload_leases"."expires_at" < clock_timestamp()`
  return taken === 1
}

/** Tells whoever holds it that somebody else waits for it. */
export async function wantLease(db: Db, objectKey: string): Promise<void> {
  await db.$executeRaw`UPDATE "upload_leases" SET "is_wanted" = true WHERE "object_key" = ${objectKey}`
}

/** Null where it is lost. */
export async function renewLease(
  db: Db,
  { objectKey, holder }: Lease,
  ttlMs: number,
): Promise<{ isWanted: boolean } | null> {
  const [renewed] = await db.$queryRaw<{ isWanted: boolean }[]>`
    UPDATE "upload_leases" SET "expires_at" = clock_timestamp() + ${ttlMs} * interval '1 ms'
    WHERE "object_key" = ${objectKey} AND "holder" = ${holder}::uuid RETURNING "is_wanted" AS "isWanted"`
  return renewed ?? null
}

export async function dropLease(db: Db, { objectKey, holder }: Lease): Promise<void> {
  await db.$executeRaw`
    DELETE FROM "upload_leases" WHERE "object_key" = ${objectKey} AND "holder" = ${holder}::uuid`
}
