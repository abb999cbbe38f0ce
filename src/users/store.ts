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

/** A user as they sign in. */
export interface SignedIn {
  id: string
  /** After a revocation: only tokens issued then or later count. */
  tokensValidFrom: Date | null
}

/** Claims as SQL: parameters, or the columns of a row that holds them. */
type ClaimsSql = Record<'name' | 'picture' | 'issuedAt', Prisma.Sql>

function parametersOf({ name, picture, issuedAt }: Claims): ClaimsSql {
  return {
    name: Prisma.sql`${name}::text`,
    picture: Prisma.sql`${picture}::text`,
    issuedAt: Prisma.sql`${issuedAt}::timestamptz(3)`,
  }
}

/** What these claims say of the row `u`, as SQL: whether they count, and the profile that they make. */
function claimsOn({ name, picture, issuedAt }: ClaimsSql) {
  const isRevoked = Prisma.sql`(u."tokens_valid_from" IS NOT NULL AND (${issuedAt} >= u."tokens_valid_from") IS NOT TRUE)`
  const counts = Prisma.sql`((u."claimed_at" IS NULL OR ${issuedAt} >= u."claimed_at") IS TRUE AND NOT ${isRevoked})`
  const nextName = Prisma.sql`CASE WHEN ${counts} AND ${name} IS DISTINCT FROM u."claimed_name"
    THEN coalesce(${name}, u."name") ELSE u."name" END`
  const nextPicture = Prisma.sql`CASE WHEN ${counts} AND ${picture} IS DISTINCT FROM u."claimed_picture"
    THEN ${picture} ELSE u."avatar_url" END`
  return {
    nextName,
    nextPicture,
    changesProfile: Prisma.sql`(${nextName}, ${nextPicture}) IS DISTINCT FROM (u."name", u."avatar_url")`,
    remembered: Prisma.sql`
      "claimed_name" = CASE WHEN ${counts} THEN ${name} ELSE u."claimed_name" END,
      "claimed_picture" = CASE WHEN ${counts} THEN ${picture} ELSE u."claimed_picture" END,
      "claimed_at" = CASE WHEN ${isRevoked} THEN u."claimed_at" ELSE greatest(u."claimed_at", ${issuedAt}) END,
      "last_seen_at" = CASE WHEN ${isRevoked} THEN u."last_seen_at" ELSE now() END`,
  }
}

/**
 * For each of the claims their user, or null, and nothing done, where ensureFromClaims is needed: the user is
 * new, their profile changes, or somebody else is just writing their row. One statement, which waits for nobody.
 */
export async function rememberClaims(db: Db, all: readonly Claims[]): Promise<(SignedIn | null)[]> {
  const claims = { name: Prisma.sql`c."name"`, picture: Prisma.sql`c."picture"`, issuedAt: Prisma.sql`c."issuedAt"` }
  const { remembered, changesProfile } = claimsOn(claims)
  const rows = await db.$queryRaw<(SignedIn & { ordinal: number })[]>`
    WITH c AS MATERIALIZED (
      SELECT known."id", given.*
      FROM json_to_recordset(${JSON.stringify(all.map((one, ordinal) => ({ ...one, ordinal })))}::json)
        AS given ("ordinal" int, "subject" text, "name" text, "picture" text, "issuedAt" timestamptz(3))
      JOIN "users" known ON known."subject" = given."subject"
      FOR NO KEY UPDATE OF known SKIP LOCKED
    )
    UPDATE "users" u SET ${remembered} FROM c WHERE u."id" = c."id" AND NOT (${changesProfile})
    RETURNING u."id", u."tokens_valid_from" AS "tokensValidFrom", c."ordinal"`
  const byOrdinal = new Map(rows.map(({ ordinal, ...user }) => [ordinal, user]))
  return all.map((_, ordinal) => byOrdinal.get(ordinal) ?? null)
}

/**
 * The user with these claims, created at first sight; null, and nothing done, where the claims change the
 * profile of a user who is there already. One statement, safe when the same new user arrives many times at once.
 */
export async function ensureFromClaims(db: Db, claims: Claims): Promise<SignedIn | null> {
  const { subject, name, picture, issuedAt } = claims
  const { remembered, changesProfile } = claimsOn(parametersOf(claims))
  const shownName = name ?? firstCharacters(subject, MAX_NAME_CHARACTERS)
  const [user] = await db.$queryRaw<SignedIn[]>`
    INSERT INTO "users" AS u ("id", "subject", "name", "avatar_url", "claimed_name", "claimed_picture", "claimed_at")
    VALUES (${newId()}::uuid, ${subject}, ${shownName}, ${picture}, ${name}, ${picture}, ${issuedAt}::timestamptz(3))
    ON CONFLICT ("subject") DO UPDATE SET ${remembered} WHERE NOT (${changesProfile})
    RETURNING u."id", u."tokens_valid_from" AS "tokensValidFrom"`
  return user ?? null
}

/**
 * Changes the profile of an existing user to what the claims say, and returns the user as changed. Not where they do not
 * change it (any more): another request with the same claims, or newer ones, was faster.
 */
export async function changeByClaims(tx: Tx, claims: Claims): Promise<{ user: SignedIn; changed: UserRecord | null }> {
  const { nextName, nextPicture, remembered, changesProfile } = claimsOn(parametersOf(claims))
  const [row] = await tx.$queryRaw<(UserRecord & SignedIn)[]>`
    UPDATE "users" u SET "name" = ${nextName}, "avatar_url" = ${nextPicture}, "updated_at" = now(), ${remembered}
    WHERE u."subject" = ${claims.subject} AND ${changesProfile}
    RETURNING u."id", u."name", u."avatar_url" AS "avatarUrl", u."status_text" AS "statusText",
      u."last_seen_at" AS "lastSeenAt", u."tokens_valid_from" AS "tokensValidFrom"`
  if (row) {
    const { tokensValidFrom, ...changed } = row
    return { user: { id: changed.id, tokensValidFrom }, changed }
  }
  const select = { id: true, tokensValidFrom: true }
  return { user: await tx.user.findUniqueOrThrow({ where: { subject: claims.subject }, select }), changed: null }
}

/** Users by id, in no order; unknown ids are left out. */
export function findUsers(db: Db, ids: readonly string[]): Promise<UserRecord[]> {
  return db.user.findMany({ where: { id: { in: [...ids] } }, select: userRecordSelect })
}

/** One user by id. Calls of one tick are answered by one query, as are those of the next. */
export function findUser(db: Db, id: string): Promise<UserRecord | null> {
  return db.user.findUnique({ where: { id }, select: userRecordSelect })
}

export function findUserBySubject(db: Db, subject: string): Promise<UserRecord | null> {
  return db.user.findUnique({ where: { subject }, select: userRecordSelect })
}

/** The newest seqs of the users' own logs, by id; unknown ids are left out. */
export async function findLogHeads(db: Db, ids: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const users = await db.user.findMany({ where: { id: { in: [...ids] } }, select: { id: true, lastEventSeq: true } })
  return new Map(users.map(({ id, lastEventSeq }) => [id, lastEventSeq]))
}

/**
 * Notes that the users were here just now, and returns the ids of those for whom it did: not of those whose row somebody
 * else is just writing.
 */
export async function touchLastSeenOfMany(db: Db, ids: readonly string[]): Promise<ReadonlySet<string>> {
  const touched = await db.$queryRaw<{ id: string }[]>`
    WITH free AS MATERIALIZED (
      SELECT "id" FROM "users" WHERE "id" = ANY(${[...ids]}::uuid[]) FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE "users" u SET "last_seen_at" = now() FROM free WHERE u."id" = free."id" RETURNING u."id"`
  return new Set(touched.map(({ id }) => id))
}

/** Notes that the user was here just now. */
export async function touchLastSeen(db: Db, id: string): Promise<void> {
  await db.user.updateMany({ where: { id }, data: { lastSeenAt: new Date() } })
}
