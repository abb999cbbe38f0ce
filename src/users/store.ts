import { Prisma, type User } from '../generated/prisma/client.ts'
import type { Db, Tx } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import { firstCharacters } from '../platform/text.ts'
import { MAX_NAME_CHARACTERS, type UserRecord, userRecordSelect } from './user-record.ts'

/** The claims of a verified token that make up a profile. */
export interface Claims {
  subject: string
  name: string | null
  picture: string | null
  /** When the token was made: older claims never replace newer ones. Null counts as older than any time. */
  issuedAt: Date | null
}

export type ProfileChange = Partial<Pick<User, 'name' | 'avatarUrl' | 'statusText'>>

/** What these claims say of the row `u`, as SQL: whether they count, and the profile that they make. */
function claimsOn({ name, picture, issuedAt }: Claims) {
  const counts = Prisma.sql`(u."claimed_at" IS NULL OR ${issuedAt}::timestamptz(3) >= u."claimed_at") IS TRUE`
  const nextName = Prisma.sql`CASE WHEN ${counts} AND ${name}::text IS DISTINCT FROM u."claimed_name"
    THEN coalesce(${name}::text, u."name") ELSE u."name" END`
  const nextPicture = Prisma.sql`CASE WHEN ${counts} AND ${picture}::text IS DISTINCT FROM u."claimed_picture"
    THEN ${picture}::text ELSE u."avatar_url" END`
  return {
    nextName,
    nextPicture,
    changesProfile: Prisma.sql`(${nextName}, ${nextPicture}) IS DISTINCT FROM (u."name", u."avatar_url")`,
    remembered: Prisma.sql`
      "claimed_name" = CASE WHEN ${counts} THEN ${name}::text ELSE u."claimed_name" END,
      "claimed_picture" = CASE WHEN ${counts} THEN ${picture}::text ELSE u."claimed_picture" END,
      "claimed_at" = greatest(u."claimed_at", ${issuedAt}::timestamptz(3)),
      "last_seen_at" = now()`,
  }
}

/**
 * The id of the user with these claims, created at first sight; null, and nothing done, where the claims change the
 * profile of a user who is there already. One statement, safe when the same new user arrives many times at once.
 */
export async function ensureFromClaims(db: Db, claims: Claims): Promise<string | null> {
  const { subject, name, picture, issuedAt } = claims
  const { remembered, changesProfile } = claimsOn(claims)
  const shownName = name ?? firstCharacters(subject, MAX_NAME_CHARACTERS)
  const [user] = await db.$queryRaw<{ id: string }[]>`
    INSERT INTO "users" AS u ("id", "subject", "name", "avatar_url", "claimed_name", "claimed_picture", "claimed_at")
    VALUES (${newId()}::uuid, ${subject}, ${shownName}, ${picture}, ${name}, ${picture}, ${issuedAt}::timestamptz(3))
    ON CONFLICT ("subject") DO UPDATE SET ${remembered} WHERE NOT (${changesProfile})
    RETURNING u."id"`
  return user?.id ?? null
}

/**
 * Changes the profile of an existing user to what the claims say. Not where they do not change it (any more): another
 * request with the same claims, or newer ones, was faster.
 */
export async function changeByClaims(tx: Tx, claims: Claims): Promise<{ id: string; isChanged: boolean }> {
  const { nextName, nextPicture, remembered, changesProfile } = claimsOn(claims)
  const [changed] = await tx.$queryRaw<{ id: string }[]>`
    UPDATE "users" u SET "name" = ${nextName}, "avatar_url" = ${nextPicture}, "updated_at" = now(), ${remembered}
    WHERE u."subject" = ${claims.subject} AND ${changesProfile}
    RETURNING u."id"`
  if (changed) return { id: changed.id, isChanged: true }
  const { id } = await tx.user.findUniqueOrThrow({ where: { subject: claims.subject }, select: { id: true } })
  return { id, isChanged: false }
}

/** Users by id, in no order; unknown ids are left out. */
export function findUsers(db: Db, ids: readonly string[]): Promise<UserRecord[]> {
  return db.user.findMany({ where: { id: { in: [...ids] } }, select: userRecordSelect })
}

/** One user by id. Calls of one tick are answered by one query, as are those of the two below. */
export function findUser(db: Db, id: string): Promise<UserRecord | null> {
  return db.user.findUnique({ where: { id }, select: userRecordSelect })
}

export function findUserBySubject(db: Db, subject: string): Promise<UserRecord | null> {
  return db.user.findUnique({ where: { subject }, select: userRecordSelect })
}

export async function findLastSeen(db: Db, id: string): Promise<Date | null> {
  const user = await db.user.findUnique({ where: { id }, select: { lastSeenAt: true } })
  return user?.lastSeenAt ?? null
}

/** The newest seq of the user's own log; null for an unknown id. */
export async function findLogHead(db: Db, id: string): Promise<number | null> {
  const user = await db.user.findUnique({ where: { id }, select: { lastEventSeq: true } })
  return user?.lastEventSeq ?? null
}

/** Notes that the user was here just now. */
export async function touchLastSeen(db: Db, id: string): Promise<void> {
  await db.user.updateMany({ where: { id }, data: { lastSeenAt: new Date() } })
}
