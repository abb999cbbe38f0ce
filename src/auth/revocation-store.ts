import type { Db, Tx } from '../platform/db.ts'

/** A user's tokens that were issued before a time, and those that do not say when they were issued, count no more. */
export interface Revocation {
  userId: string
  validFrom: Date
}

/** Never takes back what an earlier revocation has taken away. Null for an unknown user. */
export async function raiseTokensValidFrom(tx: Tx, { userId, validFrom }: Revocation): Promise<Revocation | null> {
  const [raised] = await tx.$queryRaw<Revocation[]>`
    UPDATE "users" SET "tokens_valid_from" = greatest("tokens_valid_from", ${validFrom}::timestamptz(3))
    WHERE "id" = ${userId}::uuid RETURNING "id" AS "userId", "tokens_valid_from" AS "validFrom"`
  return raised ?? null
}

/** Revocations whose time is after `since`, the latest first, at most `limit`. */
export function readRevocations(db: Db, since: Date, limit: number): Promise<Revocation[]> {
  return db.$queryRaw`
    SELECT "id" AS "userId", "tokens_valid_from" AS "validFrom" FROM "users" WHERE "tokens_valid_from" > ${since}
    ORDER BY "tokens_valid_from" DESC LIMIT ${limit}`
}
