// Consumers of notifications, each a node of its own: its own connections, its own job queue's worker, its own bus. What
// their channel is asked to deliver is a row of a table of the test's, written in the transaction that it was asked in.

import pg from 'pg'
import { createPublisher } from '../../src/events/publisher.ts'
import type { LogEvent } from '../../src/events/room-event.ts'
import { createRoomLogReader, type RoomLogReader } from '../../src/events/room-log-reader.ts'
import { createTopicLog } from '../../src/events/topic-log.ts'
import { createMessages } from '../../src/messages/service.ts'
import { createMessageSource } from '../../src/messages/store.ts'
import type { NotificationChannel } from '../../src/notifications/channel.ts'
import { createNotifications } from '../../src/notifications/service.ts'
import { systemClock } from '../../src/platform/clock.ts'
import { createDb, type Db } from '../../src/platform/db.ts'
import { newId } from '../../src/platform/ids.ts'
import { Jobs } from '../../src/platform/jobs.ts'
import { createLogger } from '../../src/platform/logger.ts'
import type { Viewer } from '../../src/platform/viewer.ts'
import { createMemoryPresenceStore } from '../../src/presence/presence-store-memory.ts'
import { createPresence } from '../../src/presence/service.ts'
import { createMemoryEventBus } from '../../src/realtime/event-bus-memory.ts'
import { createRoomEventSource } from '../../src/rooms/event-source.ts'
import { createRooms } from '../../src/rooms/service.ts'
import { createUsers } from '../../src/users/service.ts'
import { NO_ATTACHMENTS } from './no-attachments.ts'

export const CREATE_DELIVERIES = `CREATE TABLE deliveries (
  notification_id uuid, version int, user_id uuid, title text, body text, count int)`

const recording: NotificationChannel = {
  async plan(tx, due) {
    for (const { id, version, userId, title, body, count } of due) {
      await tx.$executeRaw`INSERT INTO deliveries VALUES
        (${id}::uuid, ${version}, ${userId}::uuid, ${title}, ${body}, ${count})`
    }
  },
}

/** The consumers' own connections, as app.ts names them: whoever sends must not be cut with them. */
const BACKGROUND = 'sohbet-background'

export type NotificationNode = Awaited<ReturnType<typeof startNotificationNode>>

export async function startNotificationNode(
  databaseUrl: string,
  { windowMs, sweepIntervalMs }: { windowMs: number; sweepIntervalMs: number },
) {
  const db = createDb({ url: databaseUrl, poolSize: 5 })
  const background = createDb({ url: databaseUrl, poolSize: 4, applicationName: BACKGROUND })
  const bus = createMemoryEventBus()
  const logger = createLogger('fatal')
  const jobs = new Jobs({ url: databaseUrl, logger })
  const readerOf = (pool: Db) => createRoomLogReader(pool, [createMessageSource(pool), createRoomEventSource(pool)])
  const log = createTopicLog(db, readerOf(db))
  const consumed = countEntries(readerOf(background))
  const onPublished = (event: LogEvent) => notifications.consumer.onPublished(event)
  const publisher = createPublisher({ bus, log, logger, onPublished })
  const users = createUsers({ db, publisher })
  const rooms = createRooms({ db, publisher })
  const messages = createMessages({ db, publisher, rooms, attachments: NO_ATTACHMENTS, clock: systemClock })
  const store = createMemoryPresenceStore({ clock: systemClock, nodeId: newId() })
  const times = { ttlMs: 60_000, graceMs: 0, coalesceMs: 1 }
  const presence = createPresence({ store, bus, rooms, users, logger, ...times })
  const notifications = createNotifications({
    ...{
      db,
      background,
      roomLog: consumed.reader,
      publisher,
      jobs,
      rooms,
      messages,
      presence,
      channel: recording,
      clock: systemClock,
      logger,
    },
    ...{ windowMs, sweepIntervalMs, retentionDays: 0 },
  })
  await jobs.start()
  notifications.consumer.start()
  return {
    ...{ db, users, rooms, messages, presence, jobs, ...notifications },
    /** How many events of rooms its consumer has read. */
    entriesRead: consumed.count,
    async signUp(name: string): Promise<Viewer> {
      const { id } = await users.ensureUser({ subject: newId(), name, picture: null, issuedAt: null })
      return { userId: id, issuedAt: null, expiresAt: new Date('2100-01-01T00:00:00Z'), isOperator: false }
    },
    send: (author: Viewer, roomId: string, text: string, replyToId: string | null = null) =>
      messages.sendMessage(author, { roomId, text, replyToId, clientMessageId: newId(), attachmentIds: [] }),
    async stop() {
      notifications.consumer.close()
      await jobs.stop(5_000)
      await presence.close()
      await bus.close()
      await background.$disconnect()
      await db.$disconnect()
    },
  }
}

function countEntries(reader: RoomLogReader): { reader: RoomLogReader; count: () => number } {
  let entriesRead = 0
  const counted = async <T>(reading: Promise<T[]>): Promise<T[]> => {
    const entries = await reading
    entriesRead += entries.length
    return entries
  }
  return {
    reader: {
      read: (roomId, range) => counted(reader.read(roomId, range)),
      readAddressed: (roomId, range) => counted(reader.readAddressed(roomId, range)),
    },
    count: () => entriesRead,
  }
}

/** Ends, on the database's side, what is just being done about notifications; returns how many transactions it has cut. */
export async function cutTransactions(client: pg.Client): Promise<number> {
  const { rowCount } = await client.query(`
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = '${BACKGROUND}' AND xact_start IS NOT NULL
      AND pid <> pg_backend_pid() AND query LIKE '%"notification%'`)
  return rowCount ?? 0
}

/** A connection of the test's own. */
export async function openClient(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  return client
}
