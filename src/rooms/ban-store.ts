// Who may not come into a room. A ban counts until its end by the service's clock, which every question brings along.

import { type Ban, Prisma } from '../generated/prisma/client.ts'
import type { Db, Tx } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import type { PageRange } from '../platform/page-range.ts'

/** What a user who is kept out may know. */
export type BanTerms = Pick<Ban, 'reason' | 'endsAt'>

/** For Prisma's `where`: bans that count at `now`. */
export const bansThatCount = (now: Date): Prisma.BanWhereInput => ({ OR: [{ endsAt: null }, { endsAt: { gt: now } }] })

/** The same as SQL: whether this user is banned from this room, both as they stand in the statement around it. */
export function isBannedSql(roomId: Prisma.Sql, userId: Prisma.Sql, now: Date): Prisma.Sql {
  return Prisma.sql`EXISTS (
    SELECT FROM "bans" b WHERE b."user_id" = ${userId} AND b."room_id" = ${roomId}
      AND (b."ends_at" IS NULL OR b."ends_at" > ${now})
  )`
}

/** The ban that keeps the user out of the room at `now`. Calls of one tick share one query. */
export async function findBan(db: Db | Tx, roomId: string, userId: string, now: Date): Promise<Ban | null> {
  // By the key alone, so that calls can share a query.
  const ban = await db.ban.findUnique({ where: { userId_roomId: { userId, roomId } } })
  return ban && (ban.endsAt === null || ban.endsAt > now) ? ban : null
}

/** Under the room's lock only. What kept the user out before is replaced. */
export async function replaceBan(tx: Tx, ban: Omit<Ban, 'id' | 'createdAt'>): Promise<Ban> {
  await deleteBan(tx, ban.roomId, ban.userId)
  return tx.ban.create({ data: { id: newId(), ...ban } })
}

/** Under the room's lock only. */
export async function deleteBan(tx: Tx, roomId: string, userId: string): Promise<void> {
  await tx.ban.deleteMany({ where: { roomId, userId } })
}

/** The room's bans that count at `now`, by their ids, which is the order in which they were imposed. */
export async function readBans(
  db: Db,
  roomId: string,
  now: Date,
  { after, before, limit, from }: PageRange<string>,
): Promise<Ban[]> {
  const bans = await db.ban.findMany({
    where: { AND: [{ roomId }, bansThatCount(now), { id: { gt: after ?? undefined, lt: before ?? undefined } }] },
    orderBy: { id: from === 'start' ? 'asc' : 'desc' },
    take: limit,
  })
  return from === 'start' ? bans : bans.reverse()
}
