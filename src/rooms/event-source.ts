import { EVENT_BASE_BYTES, type LogSource } from '../events/log-source.ts'
import type { RoomEvent } from '../events/room-event.ts'
import type { MemberRole, Prisma } from '../generated/prisma/client.ts'
import type { Db } from '../platform/db.ts'
import { userRecordSelect } from '../users/user-record.ts'

const people = { actor: { select: userRecordSelect }, user: { select: userRecordSelect } } as const

/** What happened to rooms and their members, from the log's own table. */
export function createRoomEventSource(db: Db): LogSource {
  return {
    async readRoomEvents(roomId, after, upTo, limit) {
      const rows = await db.roomEvent.findMany({
        where: { roomId, seq: { gt: after, lte: upTo } },
        orderBy: { seq: 'asc' },
        take: limit,
        include: people,
      })
      return rows.map((row) => {
        const event = toRoomEvent(row)
        const textLength = event.type === 'RoomUpdated' ? event.name.length + (event.topic?.length ?? 0) : 0
        return { seq: event.seq, event, bytes: EVENT_BASE_BYTES + textLength * 2 }
      })
    },
  }
}

type RoomEventRow = Prisma.RoomEventGetPayload<{ include: typeof people }>

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
