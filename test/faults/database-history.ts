// The database's part of the history, read when all is over.

import { encodeGlobalId } from '../../src/graphql/global-id.ts'
import type { StoredEvent, StoredRoom } from './history.ts'

/** Runs one statement and gives its rows. */
export type RunQuery = <Row extends object>(sql: string) => Promise<Row[]>

interface RoomRow {
  id: string
  kind: string
  lastSeq: number
}

interface EventRow extends StoredEvent {
  room: string
}

export async function readStoredRooms(query: RunQuery): Promise<StoredRoom[]> {
  const rooms = await query<RoomRow>('SELECT id, kind, last_seq AS "lastSeq" FROM rooms')
  const rows = await query<EventRow>(
    `SELECT room_id AS room, seq, 'MessageSent' AS type, id, author_id AS user, client_message_id AS "clientMessageId"
     FROM messages
     UNION ALL
     SELECT room_id, seq, type, NULL, user_id, NULL FROM room_events
     ORDER BY room, seq`,
  )
  const events = Map.groupBy(rows, ({ room }) => room)
  return rooms.map(({ id, kind, lastSeq }) => ({
    room: encodeGlobalId('Room', id),
    isPrivate: kind !== 'PUBLIC',
    lastSeq,
    events: (events.get(id) ?? []).map(toEvent),
  }))
}

/** Ids as clients know them. */
function toEvent({ seq, type, id, user, clientMessageId }: EventRow): StoredEvent {
  return {
    seq,
    type,
    id: id && encodeGlobalId('Message', id),
    user: user && encodeGlobalId('User', user),
    clientMessageId,
  }
}
