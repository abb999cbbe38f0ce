import type { User } from '../generated/prisma/client.ts'
import type { Db } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import { type UserRecord, userRecordSelect } from './user-record.ts'

/** The claims of a verified token that make up a profile. */
export interface Claims {
  subject: string
  name: string | null
  picture: string | null
}

export type ProfileChange = Partial<Pick<User, 'name' | 'avatarUrl' | 'statusText'>>

/**
 * Creates the user at first sight, else brings the profile up to date with claims that have changed since the last
 * token. One statement, safe when the same new user arrives many times at once.
 */
export async function upsertFromClaims(db: Db, { subject, name, picture }: Claims): Promise<UserRecord> {
  const fallbackName = subject.slice(0, 100)
  const [user] = await db.$queryRaw<UserRecord[]>`
    INSERT INTO "users" AS u ("id", "subject", "name", "avatar_url", "claimed_name", "claimed_picture")
    VALUES (${newId()}::uuid, ${subject}, ${name ?? fallbackName}, ${picture}, ${name}, ${picture})
    ON CONFLICT ("subject") DO UPDATE SET
      "name" = CASE WHEN ${name}::text IS DISTINCT FROM u."claimed_name" THEN coalesce(${name}, u."name") ELSE u."name" END,
      "avatar_url" = CASE WHEN ${picture}::text IS DISTINCT FROM u."claimed_picture" THEN ${picture} ELSE u."avatar_url" END,
      "claimed_name" = ${name}, "claimed_picture" = ${picture}, "last_seen_at" = now()
    RETURNING u."id", u."name", u."avatar_url" AS "avatarUrl", u."status_text" AS "statusText"`
  if (!user) throw new Error('an upsert returned no user')
  return user
}

/** Users by id, in no order; unknown ids are left out. */
export function findUsers(db: Db, ids: readonly string[]): Promise<UserRecord[]> {
  return db.user.findMany({ where: { id: { in: [...ids] } }, select: userRecordSelect })
}

/** One user by id. Calls of one tick are answered by one query. */
export function findUser(db: Db, id: string): Promise<User | null> {
  return db.user.findUnique({ where: { id } })
}

/** Notes that the user was here just now. */
export async function touchLastSeen(db: Db, id: string): Promise<void> {
  await db.user.updateMany({ where: { id }, data: { lastSeenAt: new Date() } })
}
