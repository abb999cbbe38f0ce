// The log of every room: events 1, 2, 3 … without a gap. Seqs are made only under the room's row lock, in the transaction
// that writes the change: here, and for messages in the SQL function append_messages. So seq order is commit order.

import type { MemberRole, Prisma } from '../generated/prisma/client.ts'
import type { Db, Tx } from '../platform/db.ts'
import type { LogSource } from './log-source.ts'
import type { RoomEvent, RoomEventDraft } from './room-event.ts'

/**
 * Appends events at the room's next seqs and returns the last of them. Takes the room's row lock, to the end of the
 * transaction. Publish the range after commit, never before.
 */
export async function appendRoomEvents(tx: Tx, roomId: string, drafts: readonly RoomEventDraft[]): Promise<number> {
  const createdAt = new Date()
  const { lastSeq } = await tx.room.update({
    where: { id: roomId },
    data: { lastSeq: { increment: drafts.length }, lastActivityAt: createdAt },
    select: { lastSeq: true },
  })
  const first = lastSeq - drafts.length + 1
  await tx.roomEvent.createMany({
    data: drafts.map((draft, i) => ({
      roomId,
      seq: first + i,
      type: draft.type,
      actorId: draft.actorId,
      userId: 'userId' in draft ? draft.userId : null,
      payload: draft.payload,
      createdAt,
    })),
  })
  return lastSeq
}

const userRecordSelect = { id: true, name: true, avatarUrl: true, statusText: true } as const

/** The log's own table as a source of events. */
export function createRoomEventSource(db: Db): LogSource {
  return {
    async readRoomEvents(roomId, after, upTo, limit) {
      const rows = await db.roomEvent.findMany({
        where: { roomId, seq: { gt: after, lte: upTo } },
        orderBy: { seq: 'asc' },
        take: limit,
        include: { actor: { select: userRecordSelect }, user: { select: userRecordSelect } },
      })
      return rows.map(toRoomEvent)
    },
  }
}

type RoomEventRow = Prisma.RoomEventGetPayload<{
  include: { actor: { select: typeof userRecordSelect }; user: { select: typeof userRecordSelect } }
}>

function toRoomEvent(row: RoomEventRow): RoomEvent {
  const { roomId, seq, type, actor, user } = row
  const head = { roomId, seq, at: row.createdAt.toISOString(), actor }
  // The payload's shape belongs to the type, by RoomEventDraft: the only writer is appendRoomEvents.
  const payload = row.payload as { role: MemberRole; name: string; slug: string | null; topic: string | null }
  const subject = user ?? actor
  switch (type) {
    case 'MemberJoined':
    case 'MemberRoleChanged':
      return { ...head, type, user: subject, role: payload.role }
    case 'MemberLeft':
      return { ...head, type, user: subject }
    case 'RoomUpdated':
      return { ...head, type, name: payload.name, slug: payload.slug, topic: payload.topic }
    case 'RoomArchived':
      return { ...head, type }
    default:
      throw new Error(`room ${roomId} has an event of the unknown type ${type} at seq ${seq}`)
  }
}
