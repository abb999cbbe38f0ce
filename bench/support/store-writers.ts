// Ways to write a chat message into the same tables: the product's, the plain statement's and Prisma's.

import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { createMessages } from '../../src/messages/service.ts'
import { systemClock } from '../../src/platform/clock.ts'
import { createDb } from '../../src/platform/db.ts'
import { newId } from '../../src/platform/ids.ts'
import { createRooms } from '../../src/rooms/service.ts'
import { seedId, seedIdSql } from './seed.ts'

const POOL_SIZE = 32
const TEXT = 'x'.repeat(100)
const NO_ATTACHMENTS = { prepare: async () => [], release: async () => {} }
/** Nobody listens here: this is about the store. */
const NO_PUBLISHER = { publishEvents: () => {}, publishRoomRange: () => {} }

export interface StoreWriter {
  /** Resolves when the message is committed. */
  write(room: number, person: number): Promise<unknown>
  close(): Promise<void>
}

/** The product's: its service, with the pool it ships with. */
export function openProduct(url: string): StoreWriter {
  const db = createDb({ url, poolSize: 10 })
  const rooms = createRooms({ db, publisher: NO_PUBLISHER })
  const messages = createMessages({
    db,
    publisher: NO_PUBLISHER,
    rooms,
    attachments: NO_ATTACHMENTS,
    clock: systemClock,
  })
  return {
    write(room, person) {
      const viewer = {
        userId: seedId(person),
        issuedAt: null,
        expiresAt: new Date(Number.MAX_SAFE_INTEGER),
        isOperator: false,
      }
      const message = {
        roomId: seedId(room),
        text: TEXT,
        replyToId: null,
        clientMessageId: randomUUID(),
        attachmentIds: [],
      }
      return messages.sendMessage(viewer, message)
    },
    close: () => db.$disconnect(),
  }
}

/** Prisma's `create` for each message. The seq comes from here, so that the database has nothing to assign. */
export function openPrismaCreate(url: string): StoreWriter {
  const db = createDb({ url, poolSize: POOL_SIZE })
  let seq = 0
  return {
    write(room, person) {
      const clientMessageId = randomUUID()
      const [roomId, authorId] = [seedId(room), seedId(person)]
      return db.message.create({ data: { id: newId(), roomId, authorId, seq: ++seq, text: TEXT, clientMessageId } })
    },
    close: () => db.$disconnect(),
  }
}

/** The plain statement over the driver alone, prepared, one connection. */
export async function openPlain(url: string): Promise<StoreWriter> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const text = plainStatement({ room: '$1::uuid', author: '$2::uuid', id: '$3::uuid', text: '$4', clientId: '$5' })
  return {
    write(room, person) {
      const values = [seedId(room), seedId(person), newId(), TEXT, randomUUID()]
      return client.query({ name: 'append-one', text, values })
    },
    close: () => client.end(),
  }
}

interface Expressions {
  room: string
  author: string
  id: string
  text: string
  clientId: string
}

/** One message, with the next seq of its room, in one statement. */
function plainStatement({ room, author, id, text, clientId }: Expressions): string {
  return `WITH room AS (
      UPDATE rooms SET last_seq = last_seq + 1, last_activity_at = now() WHERE id = ${room} RETURNING id, last_seq)
    INSERT INTO messages (id, room_id, seq, author_id, text, client_message_id)
      SELECT ${id}, id, last_seq, ${author}, ${text}, ${clientId} FROM room RETURNING seq, created_at`
}

/** The same for pgbench: the rooms from `first` on, by some of the first people. */
export function plainScript({
  firstRoom,
  rooms,
  people,
}: {
  firstRoom: number
  rooms: number
  people: number
}): string {
  const statement = plainStatement({
    room: seedIdSql(':room'),
    author: seedIdSql(':person'),
    id: 'uuidv7()',
    text: `'${TEXT}'`,
    clientId: 'gen_random_uuid()::text',
  })
  return [
    `\\set room random(${firstRoom}, ${firstRoom + rooms - 1})`,
    `\\set person random(1, ${people})`,
    // A statement of a script ends with a semicolon.
    `${statement.replaceAll('\n', ' ')};`,
  ].join('\n')
}
