// The log of every user, behind viewerEvents: the same rules as a room's log, under the lock of the user's row.

import type { Db, Tx } from '../platform/db.ts'
import type { UserEvent, UserLogEvent } from './room-event.ts'

/**
 * Appends one event to each user's log, in the order of their ids so that two transactions cannot deadlock.
 * Takes the users' row locks, to the end of the transaction. Returns what to publish after commit.
 */
export async function appendUserEvent(tx: Tx, userIds: readonly string[], event: UserLogEvent): Promise<UserEvent[]> {
  const at = new Date()
  const appended: UserEvent[] = []
  for (const userId of [...userIds].sort()) {
    const { lastEventSeq: seq } = await tx.user.update({
      where: { id: userId },
      data: { lastEventSeq: { increment: 1 } },
      select: { lastEventSeq: true },
    })
    const { type, ...payload } = event
    await tx.userEvent.create({ data: { userId, seq, type, payload, createdAt: at } })
    appended.push({ ...event, userId, seq, at: at.toISOString() })
  }
  return appended
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
