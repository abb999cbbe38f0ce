// The tables that say who is still to be told of what. All of this is written under the room's lock: lockPosition.

import { Prisma } from '../generated/prisma/client.ts'
import type { NotificationLevel, PushPrivacy } from '../generated/prisma/enums.ts'
import type { Db, Tx } from '../platform/db.ts'
import type { DoNotDisturb } from '../viewer-events/notification-record.ts'

/** An event of a room, as one kind of notification. */
export interface Entry {
  seq: number
  messageId: string | null
  actorId: string
  audience: readonly string[]
  isForAll: boolean
  excluded: readonly string[]
  batchSeq: number
  looking: readonly string[]
  happenedAt: Date
  gatheredAt: Date
}

/** A member who wants to be told of a kind, and when they were told of it last. */
export interface Candidate {
  userId: string
  userSubject: string
  /** Null: they are no member. */
  joinedAt: Date | null
  pushPrivacy: PushPrivacy
  doNotDisturb: DoNotDisturb | null
  /** Null: long ago. */
  notificationId: string | null
  throughSeq: number | null
  closesAt: Date | null
}

/** A kind's name in a room: what is gathered together. */
export interface Channel {
  roomId: string
  kind: string
}

/** The room as a consumer finds it; null where there is none. */
export interface RoomPosition {
  kind: 'PUBLIC' | 'PRIVATE' | 'DIRECT'
  name: string
  memberCount: number
  lastSeq: number
  seq: number
}

export async function findPosition(db: Db | Tx, roomId: string): Promise<RoomPosition | null> {
  const [room] = await db.$queryRaw<RoomPosition[]>`
    SELECT r."kind", r."name", r."member_count" AS "memberCount", r."last_seq" AS "lastSeq", coalesce(p."seq", 0) AS "seq"
    FROM "rooms" r LEFT JOIN "notification_positions" p ON p."room_id" = r."id"
    WHERE r."id" = ${roomId}::uuid`
  return room ?? null
}

export interface LockedPosition {
  seq: number
  /** By the database's clock: nodes' clocks differ, and what one has gathered another one tells. */
  now: Date
}

/** Locks everything about the room's notifications to the end of the transaction, and returns its position. */
export async function lockPosition(tx: Tx, roomId: string): Promise<LockedPosition> {
  const find = async () => {
    const rows = await tx.$queryRaw<{ seq: number }[]>`
      SELECT "seq" FROM "notification_positions" WHERE "room_id" = ${roomId}::uuid FOR NO KEY UPDATE`
    // A statement of its own: that one may have waited for the lock.
    const [clock] = await tx.$queryRaw<{ now: Date }[]>`SELECT clock_timestamp()::timestamptz(3) AS "now"`
    const [position] = rows
    return position && clock && { ...position, ...clock }
  }
  const known = await find()
  if (known) return known
  await tx.$executeRaw`
    INSERT INTO "notification_positions" ("room_id") VALUES (${roomId}::uuid) ON CONFLICT DO NOTHING`
  const made = await find()
  if (!made) throw new Error(`room ${roomId} has no position`)
  return made
}

/** Under the lock only. */
export async function movePosition(tx: Tx, roomId: string, seq: number): Promise<void> {
  await tx.$executeRaw`UPDATE "notification_positions" SET "seq" = ${seq} WHERE "room_id" = ${roomId}::uuid`
}

/** Moves a position that is still there, and says whether it was; for events of which nobody is told. Without the lock. */
export async function passOver(db: Db, roomId: string, { from, to }: { from: number; to: number }): Promise<boolean> {
  const moved = await db.$executeRaw`
    INSERT INTO "notification_positions" AS p ("room_id", "seq") VALUES (${roomId}::uuid, ${to})
    ON CONFLICT ("room_id") DO UPDATE SET "seq" = ${to} WHERE p."seq" = ${from}`
  return moved > 0
}

/** Rooms with events that nobody has looked at. A walk through all rooms: for a sweep. */
export async function findRoomsBehind(db: Db, limit: number): Promise<string[]> {
  const rooms = await db.$queryRaw<{ id: string }[]>`
    SELECT r."id" FROM "rooms" r LEFT JOIN "notification_positions" p ON p."room_id" = r."id"
    WHERE r."last_seq" > coalesce(p."seq", 0) LIMIT ${limit}`
  return rooms.map(({ id }) => id)
}

/** Where entries wait for longer than they should, and where a pass is under way. */
export function findUnfinished(db: Db, before: Date): Promise<(Channel & { isPass: boolean })[]> {
  return db.$queryRaw<(Channel & { isPass: boolean })[]>`
    SELECT DISTINCT "room_id" AS "roomId", "kind", false AS "isPass"
    FROM "notification_entries" WHERE "gathered_at" < ${before}
    UNION ALL
    SELECT "room_id", "kind", true FROM "notification_passes"`
}

/** Whether anybody in this room wants to be told of everything. */
export async function hasListeners(db: Db, roomId: string): Promise<boolean> {
  const [row] = await db.$queryRaw<{ has: boolean }[]>`SELECT EXISTS (
    SELECT FROM "memberships" m
    LEFT JOIN "room_notification_settings" rs ON rs."room_id" = m."room_id" AND rs."user_id" = m."user_id"
    WHERE m."room_id" = ${roomId}::uuid AND m."user_id" IN (${listeners(roomId)})
      AND coalesce(rs."level", 'ALL') = 'ALL'
  ) AS "has"`
  return row?.has ?? false
}

/** Who may want everything: by their settings for the room, or by those for all rooms. */
const listeners = (roomId: string) => Prisma.sql`
  SELECT "user_id" FROM "room_notification_settings" WHERE "room_id" = ${roomId}::uuid AND "level" = 'ALL'
  UNION ALL SELECT "user_id" FROM "notification_settings" WHERE "level" = 'ALL'`

export interface CandidateFilter extends Channel {
  isDirect: boolean
  level: 'MENTIONS' | 'ALL'
  now: Date
  /** Null: all members. */
  userIds: readonly string[] | null
  afterUserId: string | null
  limit: number
}

const candidateColumns = Prisma.sql`
  u."id" AS "userId", u."subject" AS "userSubject", m."joined_at" AS "joinedAt",
  coalesce(s."push_privacy", 'FULL') AS "pushPrivacy", s."do_not_disturb" AS "doNotDisturb",
  w."notification_id" AS "notificationId", w."through_seq" AS "throughSeq", w."closes_at" AS "closesAt"`

/** Members who want to be told of such events now, by their ids. */
export function findCandidates(tx: Tx, filter: CandidateFilter): Promise<Candidate[]> {
  const { roomId, kind, isDirect, level, userIds, afterUserId, limit } = filter
  const isNamed = userIds ? Prisma.sql`AND m."user_id" = ANY(${[...userIds]}::uuid[])` : Prisma.empty
  const isBehind = afterUserId ? Prisma.sql`AND m."user_id" > ${afterUserId}::uuid` : Prisma.empty
  // In most rooms few want everything: the statement begins with them.
  const mayListen = level === 'ALL' && !isDirect ? Prisma.sql`AND m."user_id" IN (${listeners(roomId)})` : Prisma.empty
  return tx.$queryRaw<Candidate[]>`
    SELECT ${candidateColumns}
    FROM "memberships" m
    JOIN "users" u ON u."id" = m."user_id"
    LEFT JOIN "room_notification_settings" rs ON rs."room_id" = m."room_id" AND rs."user_id" = m."user_id"
    LEFT JOIN "notification_settings" s ON s."user_id" = m."user_id"
    LEFT JOIN "notification_windows" w
      ON w."room_id" = m."room_id" AND w."kind" = ${kind} AND w."user_id" = m."user_id"
    WHERE m."room_id" = ${roomId}::uuid ${isNamed} ${isBehind} ${mayListen} AND ${wants(filter)}
    ORDER BY m."user_id" LIMIT ${limit}`
}

/** Somebody who was told before; `isWanted` is false where they want it no longer, or are no member any more. */
export interface ClosedWindow extends Candidate {
  isWanted: boolean
}

/** The same of those whose window is closed, earliest first. */
export function findClosedWindows(
  tx: Tx,
  filter: Omit<CandidateFilter, 'userIds' | 'afterUserId'>,
): Promise<ClosedWindow[]> {
  return tx.$queryRaw<ClosedWindow[]>`
    SELECT ${candidateColumns}, (m."id" IS NOT NULL AND ${wants(filter)}) AS "isWanted"
    FROM (
      SELECT * FROM "notification_windows"
      WHERE "room_id" = ${filter.roomId}::uuid AND "kind" = ${filter.kind} AND "closes_at" <= ${filter.now}
      ORDER BY "closes_at", "user_id" LIMIT ${filter.limit}
    ) w
    JOIN "users" u ON u."id" = w."user_id"
    LEFT JOIN "memberships" m ON m."room_id" = w."room_id" AND m."user_id" = w."user_id"
    LEFT JOIN "room_notification_settings" rs ON rs."room_id" = w."room_id" AND rs."user_id" = w."user_id"
    LEFT JOIN "notification_settings" s ON s."user_id" = w."user_id"`
}

function wants({ isDirect, level, now }: Pick<CandidateFilter, 'isDirect' | 'level' | 'now'>): Prisma.Sql {
  const levels: NotificationLevel[] = level === 'ALL' ? ['ALL'] : ['ALL', 'MENTIONS']
  return Prisma.sql`(
    ${effectiveLevel(isDirect)}::text = ANY(${levels}::text[]) AND (rs."muted_until" IS NULL OR rs."muted_until" <= ${now})
  )`
}

/** Of the rows `rs` and `s`, as SQL. See docs/notifications.md. */
function effectiveLevel(isDirect: boolean): Prisma.Sql {
  const byDefault = isDirect ? Prisma.sql`'ALL'` : Prisma.sql`coalesce(s."level", 'MENTIONS')`
  return Prisma.sql`coalesce(rs."level", ${byDefault})`
}

export async function insertEntries(tx: Tx, { roomId, kind }: Channel, entries: readonly Entry[]): Promise<void> {
  await tx.notificationEntry.createMany({
    data: entries.map(({ audience, excluded, looking, ...rest }) => ({
      ...{ roomId, kind, ...rest },
      ...{ audience: [...audience], excluded: [...excluded], looking: [...looking] },
    })),
  })
}

/** The entries with `after < seq <= upTo`, in order. Those whose message was deleted since are for nobody. */
export async function readEntries(
  tx: Tx,
  { roomId, kind }: Channel,
  { after, upTo }: { after: number; upTo: number | null },
): Promise<Entry[]> {
  return tx.$queryRaw<Entry[]>`
    SELECT e."seq", e."message_id" AS "messageId", e."actor_id" AS "actorId",
      CASE WHEN m."deleted_at" IS NULL THEN e."audience" ELSE '{}' END AS "audience",
      (e."is_for_all" AND m."deleted_at" IS NULL) AS "isForAll",
      e."excluded", e."batch_seq" AS "batchSeq", e."looking", e."happened_at" AS "happenedAt",
      e."gathered_at" AS "gatheredAt"
    FROM "notification_entries" e LEFT JOIN "messages" m ON m."id" = e."message_id"
    WHERE e."room_id" = ${roomId}::uuid AND e."kind" = ${kind} AND e."seq" > ${after}
      ${upTo === null ? Prisma.empty : Prisma.sql`AND e."seq" <= ${upTo}`}
    ORDER BY e."seq"`
}

export interface Gathered {
  /** Null: there are none. */
  lastSeq: number | null
  /** When the oldest was gathered; null where there are none. */
  since: Date | null
  /** When the first window closes; null where there is none. */
  nextCloseAt: Date | null
}

/** What waits in a room of a kind. */
export async function findGathered(tx: Tx, { roomId, kind }: Channel): Promise<Gathered> {
  const [row] = await tx.$queryRaw<Gathered[]>`SELECT
    (SELECT max("seq") FROM "notification_entries" WHERE "room_id" = ${roomId}::uuid AND "kind" = ${kind}) AS "lastSeq",
    (SELECT min("gathered_at") FROM "notification_entries" WHERE "room_id" = ${roomId}::uuid AND "kind" = ${kind})
      AS "since",
    (SELECT min("closes_at") FROM "notification_windows" WHERE "room_id" = ${roomId}::uuid AND "kind" = ${kind})
      AS "nextCloseAt"`
  return row ?? { lastSeq: null, since: null, nextCloseAt: null }
}

/** Removes the entries that nobody is to be told of any more. */
export async function deleteToldEntries(tx: Tx, { roomId, kind }: Channel): Promise<void> {
  await tx.$executeRaw`
    DELETE FROM "notification_entries" e WHERE e."room_id" = ${roomId}::uuid AND e."kind" = ${kind}
      AND NOT EXISTS (SELECT FROM "notification_passes" p
        WHERE p."room_id" = ${roomId}::uuid AND p."kind" = ${kind} AND p."from_seq" < e."seq")
      AND e."seq" <= (SELECT coalesce(min(w."through_seq"), 2147483647) FROM "notification_windows" w
        WHERE w."room_id" = ${roomId}::uuid AND w."kind" = ${kind})`
}

export interface Pass {
  fromSeq: number
  toSeq: number
  afterUserId: string | null
}

export function findPass(tx: Tx, roomId_kind: Channel): Promise<Pass | null> {
  return tx.notificationPass.findUnique({ where: { roomId_kind } })
}

export async function putPass(tx: Tx, channel: Channel, pass: Pass): Promise<void> {
  await tx.notificationPass.upsert({ where: { roomId_kind: channel }, create: { ...channel, ...pass }, update: pass })
}

export async function deletePass(tx: Tx, roomId_kind: Channel): Promise<void> {
  await tx.notificationPass.deleteMany({ where: roomId_kind })
}

export interface Window {
  userId: string
  notificationId: string
  throughSeq: number
}

export async function putWindows(
  tx: Tx,
  { roomId, kind }: Channel,
  windows: readonly Window[],
  closesAt: Date,
): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO "notification_windows" ("room_id", "kind", "user_id", "notification_id", "through_seq", "closes_at")
    SELECT ${roomId}::uuid, ${kind}, w."user_id", w."notification_id", w."through_seq", ${closesAt}::timestamptz
    FROM unnest(
      ${windows.map(({ userId }) => userId)}::uuid[], ${windows.map(({ notificationId }) => notificationId)}::uuid[],
      ${windows.map(({ throughSeq }) => throughSeq)}::int[]
    ) AS w ("user_id", "notification_id", "through_seq")
    ON CONFLICT ("room_id", "kind", "user_id") DO UPDATE SET "notification_id" = excluded."notification_id",
      "through_seq" = excluded."through_seq", "closes_at" = excluded."closes_at"`
}

export async function deleteWindows(tx: Tx, { roomId, kind }: Channel, userIds: readonly string[]): Promise<void> {
  if (userIds.length === 0) return
  await tx.notificationWindow.deleteMany({ where: { roomId, kind, userId: { in: [...userIds] } } })
}

/** Removes windows that nothing was gathered for: who is told next is told at once, with or without them. */
export async function deleteIdleWindows(db: Db, before: Date): Promise<void> {
  await db.$executeRaw`
    DELETE FROM "notification_windows" w WHERE w."closes_at" < ${before} AND NOT EXISTS (
      SELECT FROM "notification_entries" e WHERE e."room_id" = w."room_id" AND e."kind" = w."kind"
    )`
}
