import { type Membership, Prisma, type Room } from '../generated/prisma/client.ts'
import type { Db, Tx } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import type { PageRange } from '../platform/page-range.ts'
import { isBannedSql } from './ban-store.ts'
import type { MembershipRecord, ReadRoom } from './membership-record.ts'
import type { RoomRecord } from './room-record.ts'

/** The room as it is under its row lock, which the transaction then holds to its end; null if there is none. */
export async function lockRoom(tx: Tx, roomId: string): Promise<Room | null> {
  // NO KEY: foreign keys to the room may still be checked by others meanwhile.
  await tx.$queryRaw`SELECT 1 FROM "rooms" WHERE "id" = ${roomId}::uuid FOR NO KEY UPDATE`
  return tx.room.findUnique({ where: { id: roomId } })
}

export function findMembership(db: Db | Tx, roomId: string, userId: string): Promise<Membership | null> {
  return db.membership.findUnique({ where: { roomId_userId: { roomId, userId } } })
}

interface ReadRoomRow extends Pick<Membership, 'role' | 'joinedAt'> {
  room: RoomRecord
  /** Null where the reader is no member; the other columns of the membership are too, then. */
  membershipId: string | null
}

/**
 * A room that this user may read, by id or slug, and their membership in it. Private and direct rooms exist only for
 * their members, public ones not for those who are banned from them. One statement.
 */
export async function findReadableRoom(
  db: Db,
  userId: string,
  where: { id: string } | { slug: string },
  now: Date,
): Promise<ReadRoom | null> {
  const isBanned = isBannedSql(Prisma.sql`r."id"`, Prisma.sql`${userId}::uuid`, now)
  const named = 'id' in where ? Prisma.sql`r."id" = ${where.id}::uuid` : Prisma.sql`r."slug" = ${where.slug}`
  // The condition is that of readableBy.
  const [row] = await db.$queryRaw<ReadRoomRow[]>`
    SELECT room_record(r) AS "room", m."id" AS "membershipId", m."role", m."joined_at" AS "joinedAt"
    FROM "rooms" r
    LEFT JOIN "memberships" m ON m."room_id" = r."id" AND m."user_id" = ${userId}::uuid
    WHERE ${named} AND (m."id" IS NOT NULL OR (r."kind" = 'PUBLIC' AND NOT ${isBanned}))`
  if (!row) return null
  const { room, membershipId, role, joinedAt } = row
  const membership = membershipId === null ? null : { id: membershipId, roomId: room.id, userId, role, joinedAt }
  return { ...room, reader: { userId, membership } }
}

/** What a stream of a room must know of it before it opens. */
export type RoomHead = Pick<Room, 'id' | 'kind' | 'lastSeq' | 'logFloor'>

/** For each pair the room's head, or null where that user may not read it. One statement. */
export async function readRoomHeads(
  db: Db,
  pairs: readonly { roomId: string; userId: string }[],
  now: Date,
): Promise<(RoomHead | null)[]> {
  const roomIds = pairs.map(({ roomId }) => roomId)
  const userIds = pairs.map(({ userId }) => userId)
  const isBanned = isBannedSql(Prisma.sql`pair."room_id"`, Prisma.sql`pair."user_id"`, now)
  // The condition is that of readableBy.
  const rows = await db.$queryRaw<(RoomHead & { ordinal: number })[]>`
    SELECT pair."ordinal"::int, r."id", r."kind", r."last_seq" AS "lastSeq", r."log_floor" AS "logFloor"
    FROM unnest(${roomIds}::uuid[], ${userIds}::uuid[]) WITH ORDINALITY AS pair ("room_id", "user_id", "ordinal")
    JOIN "rooms" r ON r."id" = pair."room_id"
    WHERE (r."kind" = 'PUBLIC' AND NOT ${isBanned}) OR EXISTS (
      SELECT FROM "memberships" m WHERE m."room_id" = pair."room_id" AND m."user_id" = pair."user_id"
    )`
  const byOrdinal = new Map(rows.map(({ ordinal, ...head }) => [ordinal, head]))
  return pairs.map((_, i) => byOrdinal.get(i + 1) ?? null)
}

/** By name, or the latest activity first. */
export type RoomOrder = 'NAME' | 'ACTIVITY'

/** A room's place in a list: what the list is ordered by, then the id. */
export interface RoomPlace {
  key: string | Date
  id: string
}

// No index serves ACTIVITY, on purpose: it would have to be written with every message.
const ORDERS = {
  NAME: { field: 'name', forwards: 'asc', backwards: 'desc' },
  ACTIVITY: { field: 'lastActivityAt', forwards: 'desc', backwards: 'asc' },
} as const

/** Rooms in this order, whatever end they are taken from. */
export async function readRooms(
  db: Db,
  where: Prisma.RoomWhereInput,
  order: RoomOrder,
  { after, before, limit, from }: PageRange<RoomPlace>,
): Promise<Room[]> {
  const { field, forwards, backwards } = ORDERS[order]
  const [following, preceding] = forwards === 'asc' ? (['gt', 'lt'] as const) : (['lt', 'gt'] as const)
  const direction = from === 'start' ? forwards : backwards
  const rooms = await db.room.findMany({
    where: {
      AND: [
        where,
        after ? placedBeyond(field, after, following) : {},
        before ? placedBeyond(field, before, preceding) : {},
      ],
    },
    orderBy: [{ [field]: direction }, { id: direction }],
    take: limit,
  })
  return from === 'start' ? rooms : rooms.reverse()
}

function placedBeyond(
  field: 'name' | 'lastActivityAt',
  { key, id }: RoomPlace,
  side: 'gt' | 'lt',
): Prisma.RoomWhereInput {
  const upTo = side === 'gt' ? 'gte' : 'lte'
  // The first condition says nothing new, but lets an index start at the key.
  return {
    AND: [{ [field]: { [upTo]: key } }, { OR: [{ [field]: { [side]: key } }, { [field]: key, id: { [side]: id } }] }],
  }
}

interface MemberRow extends Membership {
  name: string
  avatarUrl: string | null
  statusText: string | null
  lastSeenAt: Date
}

/** Members of a room by the ids of their memberships, which is the order in which they joined. One statement. */
export async function readMembers(
  db: Db,
  roomId: string,
  { after, before, limit, from }: PageRange<string>,
): Promise<MembershipRecord[]> {
  const order = from === 'start' ? Prisma.sql`ASC` : Prisma.sql`DESC`
  const rows = await db.$queryRaw<MemberRow[]>`
    WITH page AS (
      SELECT * FROM "memberships" m
      WHERE m."room_id" = ${roomId}::uuid
        ${after ? Prisma.sql`AND m."id" > ${after}::uuid` : Prisma.empty}
        ${before ? Prisma.sql`AND m."id" < ${before}::uuid` : Prisma.empty}
      ORDER BY m."id" ${order} LIMIT ${limit}
    )
    SELECT m."id", m."room_id" AS "roomId", m."user_id" AS "userId", m."role", m."joined_at" AS "joinedAt",
      u."name", u."avatar_url" AS "avatarUrl", u."status_text" AS "statusText", u."last_seen_at" AS "lastSeenAt"
    FROM page m
    JOIN "users" u ON u."id" = m."user_id"
    ORDER BY m."id"`
  return rows.map(({ name, avatarUrl, statusText, lastSeenAt, ...membership }) => ({
    ...membership,
    user: { id: membership.userId, name, avatarUrl, statusText, lastSeenAt },
  }))
}

/** Puts a user into a room and counts them. Under the room's lock only. */
export async function insertMembership(
  tx: Tx,
  { roomId, userId, role }: Pick<Membership, 'roomId' | 'userId' | 'role'>,
): Promise<Membership> {
  await tx.room.update({ where: { id: roomId }, data: { memberCount: { increment: 1 } } })
  return tx.membership.create({ data: { id: newId(), roomId, userId, role } })
}

/** Takes a user out of a room and counts them. Under the room's lock only. */
export async function deleteMembership(tx: Tx, { id, roomId }: Membership): Promise<void> {
  await tx.membership.delete({ where: { id } })
  await tx.room.update({ where: { id: roomId }, data: { memberCount: { decrement: 1 } } })
}

/** Whether the room has an owner beside this one. */
export async function hasOtherOwner(tx: Tx, { id, roomId }: Membership): Promise<boolean> {
  return (await tx.membership.findFirst({ where: { roomId, role: 'OWNER', id: { not: id } } })) !== null
}

/** Who takes over when the last owner leaves: the longest-standing moderator, else member; null when nobody is left. */
export async function findHeir(tx: Tx, roomId: string): Promise<Membership | null> {
  const owner = await tx.membership.findFirst({ where: { roomId, role: 'OWNER' } })
  if (owner) return null
  const oldest = { joinedAt: 'asc' } as const
  return (
    (await tx.membership.findFirst({ where: { roomId, role: 'MODERATOR' }, orderBy: [oldest, { id: 'asc' }] })) ??
    (await tx.membership.findFirst({ where: { roomId }, orderBy: [oldest, { id: 'asc' }] }))
  )
}

/** Escapes what LIKE would read as a pattern. */
export function escapeLike(text: string): string {
  return text.replace(/[\\%_]/g, (char) => `\\${char}`)
}
