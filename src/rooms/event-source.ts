import { changesOf, EVENT_BASE_BYTES, type LogSource } from '../events/log-source.ts'
import type { RoomEvent } from '../events/room-event.ts'
import type { MemberRole } from '../generated/prisma/client.ts'
import type { Db } from '../platform/db.ts'
import type { UserRecord } from '../users/user-record.ts'
import type { MemberLeftReason } from './room-event-bodies.ts'
import type { RoomRecord } from './room-record.ts'

interface RoomEventRow {
  seq: number
  type: string
  /** By RoomEventDraft its shape belongs to the type: the only writer is appendRoomEvents. */
  payload: {
    role: MemberRole
    name: string
    slug: string | null
    topic: string | null
    reason?: MemberLeftReason
    endsAt: string | null
    messageId: string
    messageSeq: number
  }
  createdAt: Date
  actorId: string
  actorName: string
  actorAvatarUrl: string | null
  actorStatusText: string | null
  actorLastSeenAt: Date
  userId: string | null
  userName: string
  userAvatarUrl: string | null
  userStatusText: string | null
  userLastSeenAt: Date
  /** In the first row only. */
  room: RoomRecord | null
}

/** What happened to rooms and their members, from the log's own table. */
export function createRoomEventSource(db: Db): LogSource {
  return {
    async readRoomEvents(roomId, { after, upTo, limit }) {
      const rows = await db.$queryRaw<RoomEventRow[]>`
        WITH page AS (
          SELECT * FROM "room_events" e
          WHERE e."room_id" = ${roomId}::uuid AND e."seq" > ${after} AND e."seq" <= ${upTo}
          ORDER BY e."seq" LIMIT ${limit}
        )
        SELECT e."seq", e."type", e."payload", e."created_at" AS "createdAt",
          e."actor_id" AS "actorId", a."name" AS "actorName", a."avatar_url" AS "actorAvatarUrl",
          a."status_text" AS "actorStatusText", a."last_seen_at" AS "actorLastSeenAt",
          u."id" AS "userId", u."name" AS "userName", u."avatar_url" AS "userAvatarUrl",
          u."status_text" AS "userStatusText", u."last_seen_at" AS "userLastSeenAt",
          CASE WHEN e."seq" = (SELECT min("seq") FROM page) THEN
            (SELECT room_record(r) FROM "rooms" r WHERE r."id" = e."room_id")
          END AS "room"
        FROM page e
        JOIN "users" a ON a."id" = e."actor_id"
        LEFT JOIN "users" u ON u."id" = e."user_id"
        ORDER BY e."seq"`
      const room = rows[0]?.room
      if (!room) return []
      return rows.map((row) => {
        const event = toRoomEvent(row, room)
        const textLength = event.type === 'RoomUpdated' ? event.name.length + (event.topic?.length ?? 0) : 0
        return { seq: event.seq, event, bytes: EVENT_BASE_BYTES + textLength * 2, ...changesOf(event) }
      })
    },
  }
}

function toRoomEvent(row: RoomEventRow, room: RoomRecord): RoomEvent {
  const { seq, type, payload } = row
  const actor: UserRecord = {
    id: row.actorId,
    name: row.actorName,
    avatarUrl: row.actorAvatarUrl,
    statusText: row.actorStatusText,
    lastSeenAt: row.actorLastSeenAt,
  }
  const head = { roomId: room.id, seq, at: row.createdAt.toISOString(), actor, room }
  switch (type) {
    case 'MemberJoined':
    case 'MemberRoleChanged':
      return { ...head, type, user: subjectOf(row) ?? actor, role: payload.role }
    case 'MemberLeft':
      return { ...head, type, user: subjectOf(row) ?? actor, reason: payload.reason ?? 'LEFT' }
    case 'MemberBanned':
      return { ...head, type, user: subjectOf(row) ?? actor, endsAt: payload.endsAt }
    case 'MemberUnbanned':
      return { ...head, type, user: subjectOf(row) ?? actor }
    case 'RoomUpdated':
      return { ...head, type, name: payload.name, slug: payload.slug, topic: payload.topic }
    case 'RoomArchived':
      return { ...head, type }
    case 'MessageDeleted':
      return { ...head, type, messageId: payload.messageId, messageSeq: payload.messageSeq }
    default:
      throw new Error(`room ${room.id} has an event of the unknown type ${type} at seq ${seq}`)
  }
}

function subjectOf(row: RoomEventRow): UserRecord | null {
  if (row.userId === null) return null
  return {
    id: row.userId,
    name: row.userName,
    avatarUrl: row.userAvatarUrl,
    statusText: row.userStatusText,
    lastSeenAt: row.userLastSeenAt,
  }
}
