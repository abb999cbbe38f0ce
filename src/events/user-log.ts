// The log of every user, behind viewerEvents: the same rules as a room's log, under the lock of the user's row.

import type { Prisma } from '../generated/prisma/client.ts'
import type { Db, Tx } from '../platform/db.ts'
import type { UserEvent, UserLogEvent } from './room-event.ts'

/** An event for one user's log. */
export interface UserEventDraft {
  userId: string
  event: UserLogEvent
}

/**
 * Appends one event to each user's log; users given twice get it once. Takes the users' row locks, to the end of the
 * transaction. Returns what to publish after commit. The users must exist.
 */
export function appendUserEvent(tx: Tx, userIds: readonly string[], event: UserLogEvent): Promise<UserEvent[]> {
  return appendUserEvents(
    tx,
    [...new Set(userIds)].map((userId) => ({ userId, event })),
  )
}

/** The same with an event of their own for each user; one for a user. */
export async function appendUserEvents(tx: Tx, drafts: readonly UserEventDraft[]): Promise<UserEvent[]> {
  const events = new Map(drafts.map(({ userId, event }) => [userId, event]))
  if (events.size !== drafts.length) throw new Error('a user was to get two events at once')
  const ids = [...events.keys()]
  if (ids.length === 0) return []
  if (ids.length > 1) await lockUserLogs(tx, ids)
  // The database's clock under the lock: nodes' clocks differ.
  const heads = await tx.$queryRaw<{ userId: string; seq: number; at: Date }[]>`
    UPDATE "users" SET "last_event_seq" = "last_event_seq" + 1 WHERE "id" = ANY(${ids}::uuid[])
    RETURNING "id" AS "userId", "last_event_seq" AS "seq", clock_timestamp()::timestamptz(3) AS "at"`
  if (heads.length !== ids.length) throw new Error('an event was to be appended to the log of a user who is not there')
  const appended = heads.map(({ userId, seq, at }) => {
    // There is one for each id.
    const event = events.get(userId) as UserLogEvent
    return { ...event, userId, seq, at }
  })
  await tx.userEvent.createMany({
    data: appended.map(({ userId, seq, at, type, ...rest }) => {
      // JSON turns the only values in it that are not JSON, dates, into texts.
      const payload = rest as Prisma.InputJsonObject
      return { userId, seq, type, payload, createdAt: at }
    }),
  })
  return appended.map((event) => ({ ...event, at: event.at.toISOString() }))
}

/**
 * Takes the users' row locks, to the end of the transaction: what is then read of them is so when their next event is
 * appended. In the order of their ids, so that two transactions cannot deadlock; an UPDATE alone locks in any order.
 */
export async function lockUserLogs(tx: Tx, userIds: readonly string[]): Promise<void> {
  await tx.$queryRaw`
    SELECT 1 FROM "users" WHERE "id" = ANY(${[...userIds]}::uuid[]) ORDER BY "id" FOR NO KEY UPDATE`
}

/** The user's events with `after < seq <= upTo`, in order, at most `limit`. */
export async function readUserEvents(
  db: Db,
  userId: string,
  after: number,
  upTo: number,
  limit: number,
): Promise<UserEvent[]> {
  const rows = await db.userEvent.findMany({
    where: { userId, seq: { gt: after, lte: upTo } },
    orderBy: { seq: 'asc' },
    take: limit,
  })
  return rows.map((row) => {
    // The payload's shape belongs to the type, by UserLogEvent: the only writer is appendUserEvent.
    const event = { type: row.type, ...(row.payload as object) } as UserLogEvent
    return { ...event, userId: row.userId, seq: row.seq, at: row.createdAt.toISOString() }
  })
}
