// The database's part of the history, read when all is over.

import { encodeGlobalId } from '../../src/graphql/global-id.ts'
import type {
  NotificationHistory,
  StoredDelivery,
  StoredEvent,
  StoredFile,
  StoredNotification,
  StoredRoom,
} from './history.ts'

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
    `SELECT room_id AS room, seq, 'MessageSent' AS type, id, author_id AS user, author_id AS actor,
       client_message_id AS "clientMessageId"
     FROM messages
     UNION ALL
     SELECT room_id, seq, type, NULL, user_id, actor_id, NULL FROM room_events
     ORDER BY room, seq`,
  )
  const events = Map.groupBy(rows, ({ room }) => room)
  return rooms.map(({ id, kind, lastSeq }) => ({
    room: encodeGlobalId('Room', id),
    isPrivate: kind !== 'PUBLIC',
    isDirect: kind === 'DIRECT',
    lastSeq,
    events: (events.get(id) ?? []).map(toEvent),
  }))
}

/** Ids as clients know them. */
function toEvent({ seq, type, id, user, actor, clientMessageId }: EventRow): StoredEvent {
  return {
    seq,
    type,
    id: id && encodeGlobalId('Message', id),
    user: user && encodeGlobalId('User', user),
    actor: actor && encodeGlobalId('User', actor),
    clientMessageId,
  }
}

/** The database's part of what people were told of. */
export async function readStoredNotifications(
  query: RunQuery,
): Promise<Pick<NotificationHistory, 'stored' | 'deliveries'>> {
  const stored = await query<StoredNotification>(
    `SELECT n.id, n.user_id AS user, n.room_id AS room, n.kind, n.message_id AS message, n.count, n.version,
       n.read_at IS NOT NULL AS "isRead", coalesce(e.count, 0) AS events
     FROM notifications n
     LEFT JOIN (
       SELECT user_id, payload -> 'notification' ->> 'id' AS id, count(*)::int AS count FROM user_events
       WHERE type IN ('NotificationAdded', 'NotificationUpdated') GROUP BY 1, 2
     ) e ON e.user_id = n.user_id AND e.id = n.id::text`,
  )
  const deliveries = await query<Omit<StoredDelivery, 'identity'> & { id: string; isPush: boolean }>(
    `SELECT d.id, w.url AS target, d.user_id AS user, d.notification_id AS notification, d.version, d.state, d.error,
       false AS "isPush"
     FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id
     UNION ALL
     SELECT d.id, s.endpoint, s.user_id, d.notification_id, d.version, d.state, d.error, true
     FROM push_deliveries d JOIN push_subscriptions s ON s.id = d.subscription_id`,
  )
  return {
    stored: stored.map((row) => ({
      ...row,
      id: encodeGlobalId('Notification', row.id),
      user: encodeGlobalId('User', row.user),
      room: encodeGlobalId('Room', row.room),
      message: row.message && encodeGlobalId('Message', row.message),
    })),
    deliveries: deliveries.map(({ id, isPush, ...row }) => ({
      ...row,
      user: encodeGlobalId('User', row.user),
      notification: encodeGlobalId('Notification', row.notification),
      // A browser knows a repetition by its tag, a webhook by the delivery's id.
      identity: isPush ? `${row.notification} ${row.version}` : encodeGlobalId('WebhookDelivery', id),
    })),
  }
}

/** The database's part of what became of files. */
export async function readStoredFiles(query: RunQuery): Promise<StoredFile[]> {
  const rows = await query<StoredFile>(
    `SELECT id, message_id AS message, status,
       ARRAY[object_key] || ARRAY(SELECT one ->> 'objectKey' FROM jsonb_array_elements(renditions) AS one) AS keys
     FROM attachments`,
  )
  return rows.map(({ id, message, ...row }) => ({
    ...row,
    id: encodeGlobalId('Attachment', id),
    message: message && encodeGlobalId('Message', message),
  }))
}

/** What the service still has to do, in words. */
export async function readPending(query: RunQuery): Promise<string[]> {
  const rows = await query<{ what: string; count: number }>(
    `SELECT 'rooms whose events were not looked at for notifications' AS what, count(*)::int AS count
     FROM rooms r LEFT JOIN notification_positions p ON p.room_id = r.id WHERE r.last_seq > coalesce(p.seq, 0)
     UNION ALL SELECT 'events that were gathered and not told', count(*)::int FROM notification_entries
     UNION ALL SELECT 'walks through the members of a room', count(*)::int FROM notification_passes
     UNION ALL SELECT 'deliveries to webhooks', count(*)::int FROM webhook_deliveries
       WHERE state NOT IN ('DELIVERED', 'DEAD')
     UNION ALL SELECT 'deliveries to browsers', count(*)::int FROM push_deliveries
       WHERE state NOT IN ('DELIVERED', 'DEAD')
     UNION ALL SELECT 'files that are processed', count(*)::int FROM attachments
       WHERE status = 'PROCESSING' AND deleted_at IS NULL`,
  )
  return rows.filter(({ count }) => count > 0).map(({ what, count }) => `${count} ${what}`)
}
