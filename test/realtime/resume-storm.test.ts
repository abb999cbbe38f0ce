// A node's clients come back all at once, each with its place: everybody gets exactly what they missed, and the database
// is asked once for each room, not once for each client.

import { randomUUID } from 'node:crypto'
import { afterEach, describe, expect, inject, it } from 'vitest'
import { countStatements } from '../support/count-statements.ts'
import { NO_REDIS } from '../support/provided.ts'
import { expectWhole, itemOf, openRoomEvents, type RoomStream, takeUpTo } from '../support/room-events.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { type TestNodes, useNodes } from '../support/start-nodes.ts'
import { withDatabase } from '../support/stored-rows.ts'

const ROOMS = 20
const CLIENTS_PER_ROOM = 50
const CLIENTS = ROOMS * CLIENTS_PER_ROOM
const PEOPLE = 50
const BEHIND = 200
/** More than a page of the log, so that the last page holds messages only. */
const MESSAGES = 300

/** Statements by what they are for; the first that fits. */
const KINDS = {
  messages: /FROM "messages"/,
  roomEvents: /FROM "room_events"/,
  authorisations: /"rooms".*"memberships"/,
  heads: /"rooms"\."last_seq"/,
  signIns: /"users"/,
  others: /./,
}
type Kind = keyof typeof KINDS

function countKinds(texts: readonly string[]): Record<Kind, number> {
  const counts: Record<Kind, number> = {
    messages: 0,
    roomEvents: 0,
    authorisations: 0,
    heads: 0,
    signIns: 0,
    others: 0,
  }
  const kinds = Object.keys(KINDS) as Kind[] // they are its keys
  for (const text of texts) counts[kinds.find((kind) => KINDS[kind].test(text)) ?? 'others']++
  return counts
}

interface Storm {
  owner: Person
  people: Person[]
  /** Every second one is private. */
  rooms: { id: string; head: number }[]
}

async function prepare(nodes: TestNodes): Promise<Storm> {
  const url = nodes.urls[0] ?? ''
  const owner = await person(url, 'Owner')
  const people = await Promise.all(Array.from({ length: PEOPLE }, (_, i) => person(url, `Person ${i}`)))
  const memberIds = people.map(({ id }) => id)
  const rooms = await Promise.all(
    Array.from({ length: ROOMS }, async (_, i) => {
      const id = await owner.createRoom(i % 2 ? { kind: 'PRIVATE', memberIds } : {})
      await fillRoom(nodes, id, owner)
      const query = 'query ($id: ID!) { room(id: $id) { lastSeq } }'
      const { room } = await owner.do<{ room: { lastSeq: number } }>(query, { id })
      return { id, head: room.lastSeq }
    }),
  )
  return { owner, people, rooms }
}

async function fillRoom({ databaseUrl }: TestNodes, room: string, author: Person): Promise<void> {
  const roomId = idOf(room)
  const each = <T>(value: () => T) => Array.from({ length: MESSAGES }, value)
  const ids = each(() => randomUUID())
  const [rooms, authors, texts] = [each(() => roomId), each(() => idOf(author.id)), each(() => `in ${room}`)]
  const none = each(() => null)
  await withDatabase(databaseUrl, (client) =>
    client.query('SELECT count(*) FROM append_messages($1, $2, $3, $4, $5, $6, $7, $8)', [
      [roomId],
      ids,
      rooms,
      authors,
      texts,
      ...[none, none, none],
    ]),
  )
}

const idOf = (globalId: string) => Buffer.from(globalId, 'base64url').toString().split(':')[1] ?? ''

interface Client {
  room: string
  after: number
  stream: RoomStream
}

/** Everybody at once, some a little less behind than others. */
function comeBack({ people, rooms }: Storm, url: string): Client[] {
  return rooms.flatMap(({ id, head }) =>
    Array.from({ length: CLIENTS_PER_ROOM }, (_, i) => {
      const after = head - BEHIND + (i % 7) * 5
      const client = people[i % PEOPLE]?.connect(url)
      if (!client) throw new Error('nobody is there')
      return { room: id, after, stream: openRoomEvents(client, id, after) }
    }),
  )
}

async function expectEverything({ room, after, stream }: Client, last: number): Promise<void> {
  await takeUpTo(stream, last)
  const items = stream.items.map(itemOf)
  expectWhole(items, after, last)
  const texts = items.flatMap(({ message }) => (message ? [message.text] : []))
  expect(texts).toEqual(texts.map(() => `in ${room}`))
}

describe('clients that come back all at once', () => {
  const redisUrl = inject('redisUrl')
  // The sweep asks for the heads of all rooms, storm or not.
  const nodes = useNodes({ redisUrl, settings: { SWEEP_INTERVAL_MS: '300000' } })
  afterEach(stopAll)

  it('get exactly what they missed, for one read of the log a room and little more', async () => {
    const storm = await prepare(nodes())
    const { url } = await nodes().addNode()
    const counter = countStatements(nodes().databaseUrl)
    try {
      const clients = comeBack(storm, `${url}/graphql`)
      const heads = new Map(storm.rooms.map(({ id, head }) => [id, head]))
      for (const client of clients) await expectEverything(client, heads.get(client.room) ?? 0)
      const { messages, roomEvents, ...others } = countKinds(counter.take())
      expect([messages, roomEvents]).toEqual([ROOMS, 0])
      // How many depends on how long it takes, not on how many they are: some in a second, of each kind.
      const sum = Object.values(others).reduce((a, b) => a + b, 0)
      expect(sum, JSON.stringify(others)).toBeLessThanOrEqual(CLIENTS / 5)
    } finally {
      counter.stop()
    }
  })

  it('are let into what they may read, each of them', async () => {
    const storm = await prepare(nodes())
    const { url } = await nodes().addNode()
    const stranger = await person(nodes().urls[0] ?? '', 'Stranger')
    const refused = storm.rooms.map(({ id }) => openRoomEvents(stranger.connect(`${url}/graphql`), id))
    const clients = comeBack(storm, `${url}/graphql`)
    for (const [i, stream] of refused.entries()) {
      const result = await stream.next()
      if (i % 2) expect(result.errors).toMatchObject([{ extensions: { code: 'NOT_FOUND' } }])
      else expect(itemOf(result)).toMatchObject({ __typename: 'CaughtUp', seq: storm.rooms[i]?.head })
    }
    await Promise.all(clients.map(({ stream }) => stream.next()))
  })

  it.skipIf(redisUrl === null)(`miss nothing of what is written meanwhile ${redisUrl ? '' : NO_REDIS}`, async () => {
    const storm = await prepare(nodes())
    const { url } = await nodes().addNode()
    const counter = countStatements(nodes().databaseUrl)
    try {
      const lasts = new Map<string, number>()
      let storming = true
      const write = async () => {
        // Through the first node; every room at least once.
        while (storming) for (const { id } of storm.rooms) lasts.set(id, (await storm.owner.send(id, `in ${id}`)).seq)
      }
      const writing = write()
      const clients = comeBack(storm, `${url}/graphql`)
      await Promise.all(clients.map(({ stream }) => stream.next())).finally(() => {
        storming = false
      })
      await writing
      for (const client of clients) await expectEverything(client, lasts.get(client.room) ?? 0)
      const { messages, roomEvents } = countKinds(counter.take())
      expect(messages + roomEvents).toBeLessThanOrEqual(CLIENTS / 5)
    } finally {
      counter.stop()
    }
  })
})
