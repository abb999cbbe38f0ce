import { Prisma } from '../generated/prisma/client.ts'
import type { Db, Tx } from '../platform/db.ts'
import type { PageRange } from '../platform/page-range.ts'
import type { UserRecord } from '../users/user-record.ts'
import type { NotificationRecord } from '../viewer-events/notification-record.ts'

/** Beyond this, unread notifications are not counted. */
export const MAX_UNREAD_COUNT = 100

/** A notification as it is stored. */
export interface StoredNotification {
  id: string
  userId: string
  roomId: string
  kind: string
  messageId: string | null
  actorId: string
  count: number
  version: number
  createdAt: Date
  updatedAt: Date
  readAt: Date | null
}

/** How many of each user's notifications are not read, up to MAX_UNREAD_COUNT. */
export async function countUnread(db: Db | Tx, userIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const rows = await db.$queryRaw<{ userId: string; count: number }[]>`
    SELECT u."id" AS "userId", (
      SELECT count(*)::int FROM (
        SELECT FROM "notifications" n WHERE n."user_id" = u."id" AND n."read_at" IS NULL LIMIT ${MAX_UNREAD_COUNT}
      ) unread
    ) AS "count"
    FROM unnest(${[...userIds]}::uuid[]) AS u ("id")`
  return new Map(rows.map(({ userId, count }) => [userId, count]))
}

/** A user's notifications, newest first. One range of an index. */
export async function readInbox(
  db: Db,
  userId: string,
  { unreadOnly, range }: { unreadOnly: boolean; range: PageRange<string> },
): Promise<NotificationRecord[]> {
  const { after, before, limit, from } = range
  const order = from === 'start' ? Prisma.sql`DESC` : Prisma.sql`ASC`
  const page = await selectRecords(
    db,
    Prisma.sql`
      SELECT * FROM "notifications" n
      WHERE n."user_id" = ${userId}::uuid ${unreadOnly ? Prisma.sql`AND n."read_at" IS NULL` : Prisma.empty}
        ${after ? Prisma.sql`AND n."id" < ${after}::uuid` : Prisma.empty}
        ${before ? Prisma.sql`AND n."id" > ${before}::uuid` : Prisma.empty}
      ORDER BY n."id" ${order} LIMIT ${limit}`,
  )
  return page
}

/** Those of this user with these ids, newest first; others are left out. */
export function findNotifications(db: Db | Tx, userId: string, ids: readonly string[]): Promise<NotificationRecord[]> {
  return selectRecords(
    db,
    Prisma.sql`SELECT * FROM "notifications" WHERE "id" = ANY(${[...ids]}::uuid[]) AND "user_id" = ${userId}::uuid`,
  )
}

interface NotificationRow extends Omit<NotificationRecord, 'actor'> {
  actorId: string
  actorName: string
  actorAvatarUrl: string | null
  actorStatusText: string | null
  actorLastSeenAt: Date
}

async function selectRecords(db: Db | Tx, page: Prisma.Sql): Promise<NotificationRecord[]> {
  const rows = await db.$queryRaw<NotificationRow[]>`
    WITH page AS (${page})
    SELECT n."id", n."kind", n."room_id" AS "roomId", n."message_id" AS "messageId", n."count",
      n."created_at" AS "createdAt", n."updated_at" AS "updatedAt", n."read_at" AS "readAt",
      a."id" AS "actorId", a."name" AS "actorName", a."avatar_url" AS "actorAvatarUrl",
      a."status_text" AS "actorStatusText", a."last_seen_at" AS "actorLastSeenAt"
    FROM page n JOIN "users" a ON a."id" = n."actor_id"
    ORDER BY n."id" DESC`
  return rows.map(({ actorId, actorName, actorAvatarUrl, actorStatusText, actorLastSeenAt, ...notification }) => {
    const actor: UserRecord = {
      ...{ id: actorId, name: actorName, avatarUrl: actorAvatarUrl },
      ...{ statusText: actorStatusText, lastSeenAt: actorLastSeenAt },
    }
    return { ...notification, actor }
  })
}

/** Those that can be added to: by id, in no order. */
export function findStored(tx: Tx, ids: readonly string[]): Promise<StoredNotification[]> {
  return tx.notification.findMany({ where: { id: { in: [...ids] } } })
}

export async function insertNotifications(tx: Tx, notifications: readonly StoredNotification[]): Promise<void> {
  if (notifications.length > 0) await tx.notification.createMany({ data: [...notifications] })
}

/** Writes what has become of them: what they stand for, how often they were told, and when. */
export async function updateNotifications(tx: Tx, notifications: readonly StoredNotification[]): Promise<void> {
  if (notifications.length === 0) return
  const changed = notifications.map(({ id, messageId, actorId, count, version, updatedAt }) => ({
    ...{ id, messageId, actorId, count, version, updatedAt },
  }))
  await tx.$executeRaw`
    UPDATE "notifications" n SET "message_id" = c."messageId", "actor_id" = c."actorId", "count" = c."count",
      "version" = c."version", "updated_at" = c."updatedAt"
    FROM json_to_recordset(${JSON.stringify(changed)}::json)
      AS c ("id" uuid, "messageId" uuid, "actorId" uuid, "count" int, "version" int, "updatedAt" timestamptz(3))
    WHERE n."id" = c."id"`
}

/** Marks those that are not read; returns how many there were. Under the lock of the user's log. */
export function markRead(
  tx: Tx,
  userId: string,
  at: Date,
  which: { id: string } | { upToId: string },
): Promise<number> {
  const fits = 'id' in which ? Prisma.sql`"id" = ${which.id}::uuid` : Prisma.sql`"id" <= ${which.upToId}::uuid`
  return tx.$executeRaw`
    UPDATE "notifications" SET "read_at" = ${at} WHERE "user_id" = ${userId}::uuid AND "read_at" IS NULL AND ${fits}`
}

/** The newest of a user's notifications; null where there is none. */
export async function findNewestId(tx: Tx, userId: string): Promise<string | null> {
  const newest = await tx.notification.findFirst({ where: { userId }, orderBy: { id: 'desc' }, select: { id: true } })
  return newest?.id ?? null
}

/** Removes at most `limit` of those with an id below this one; returns how many there were. */
export function deleteBelow(db: Db, id: string, limit: number): Promise<number> {
  return db.$executeRaw`
    DELETE FROM "notifications" WHERE "id" IN (
      SELECT "id" FROM "notifications" WHERE "id" < ${id}::uuid ORDER BY "id" LIMIT ${limit}
    )`
}

/** Removes the oldest of those who have more than `kept`, of at most `users` users; returns how many users had. */
export async function deleteSurplus(db: Db, kept: number, users: number): Promise<number> {
  const [row] = await db.$queryRaw<{ count: number }[]>`
    WITH crowded AS (
      SELECT "user_id" FROM "notifications" GROUP BY "user_id" HAVING count(*) > ${kept} LIMIT ${users}
    ), removed AS (
      DELETE FROM "notifications" n USING (
        SELECT c."user_id", (
          SELECT k."id" FROM "notifications" k WHERE k."user_id" = c."user_id" ORDER BY k."id" DESC OFFSET ${kept} LIMIT 1
        ) AS "id"
        FROM crowded c
      ) surplus
      WHERE n."user_id" = surplus."user_id" AND n."id" <= surplus."id"
    )
    SELECT count(*)::int AS "count" FROM crowded`
  return row?.count ?? 0
}

/** Users by id, and the texts of messages that are not deleted, for what is told of them. */
export async function readNewest(
  tx: Tx,
  { actorIds, messageIds }: { actorIds: readonly string[]; messageIds: readonly string[] },
): Promise<{ actors: ReadonlyMap<string, UserRecord>; texts: ReadonlyMap<string, string> }> {
  const select = { id: true, name: true, avatarUrl: true, statusText: true, lastSeenAt: true }
  const actors = await tx.user.findMany({ where: { id: { in: [...actorIds] } }, select })
  const where = { id: { in: [...messageIds] }, deletedAt: null }
  const messages = await tx.message.findMany({ where, select: { id: true, text: true } })
  return {
    actors: new Map(actors.map((actor) => [actor.id, actor])),
    texts: new Map(messages.map(({ id, text }) => [id, text])),
  }
}
