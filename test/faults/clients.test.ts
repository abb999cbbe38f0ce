// Guards: a history that a client did not truly see proves nothing. Here the client meets a real node and a real network.

import { afterEach, beforeEach, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { useNodes } from '../support/start-nodes.ts'
import { withDatabase } from '../support/stored-rows.ts'
import { checkHistory } from './checker.ts'
import { FaultClient } from './clients.ts'
import { readStoredRooms } from './database-history.ts'
import type { NotificationHistory, StreamHistory } from './history.ts'
import { Random } from './random.ts'
import { TcpProxy } from './tcp-proxy.ts'

const NEVER_MS = 3_600_000
const NOBODY_TOLD = {
  ...{ absentees: [], stored: [], targets: [], deliveries: [], received: [], pending: [], unread: [] },
} satisfies NotificationHistory
const NO_FILES = { stored: [], objects: [], downloads: [] }

const nodes = useNodes()
let proxy: TcpProxy
const clients: FaultClient[] = []

beforeEach(async () => {
  proxy = await TcpProxy.start({ targetPort: Number(new URL(nodes().urls[0] ?? '').port) })
})

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.leave()))
  await proxy.close()
  await stopAll()
})

function startClient({ id, token }: Person, room: string, paces: { sendEveryMs?: number; breakEveryMs?: number }) {
  const client = new FaultClient({
    name: `client ${clients.length}`,
    user: id,
    token,
    rooms: [{ room, after: 0, isWriter: true }],
    pickUrl: () => `http://127.0.0.1:${proxy.port}/graphql`,
    random: new Random(clients.length + 1),
    addressees: new Map(),
    fileShare: 0,
    sendEveryMs: NEVER_MS,
    breakEveryMs: NEVER_MS,
    ...paces,
  })
  clients.push(client)
  client.start()
  return client
}

const storedRooms = () =>
  withDatabase(nodes().databaseUrl, (client) => {
    return readStoredRooms(async <Row extends object>(sql: string) => {
      const { rows } = await client.query(sql)
      // The rows of the statement that asks for them.
      return rows as Row[]
    })
  })
const streamOf = ({ streams: [stream] }: FaultClient): StreamHistory => {
  if (!stream) throw new Error('the client has no stream')
  return stream
}

/** What the checker says of it, once everybody has read to the head. */
async function judge(privateRoom: string): Promise<unknown[]> {
  for (const client of clients) client.stopSending()
  await eventually(() => expect(clients.map(({ pendingSends }) => pendingSends)).toEqual(clients.map(() => 0)))
  const rooms = await storedRooms()
  const { lastSeq } = rooms.find(({ room }) => room === privateRoom) ?? { lastSeq: -1 }
  const streams = clients.map(streamOf)
  await eventually(() => {
    for (const [index, client] of clients.entries()) {
      expect(client.positionOf(streams[index] ?? streamOf(client))).toBe(lastSeq)
    }
  })
  for (const stream of streams) stream.mustReachHead = true
  const sends = clients.flatMap((client) => client.sends)
  return checkHistory({
    streams,
    sends,
    rooms: rooms.filter(({ room }) => room === privateRoom),
    memberships: [],
    presence: [],
    notifications: NOBODY_TOLD,
    files: NO_FILES,
  })
}

it('sends, reads, breaks away and goes on, and what it writes down is what the database holds', async () => {
  const [url = ''] = nodes().urls
  const [ada, bob] = [await person(url, 'Ada'), await person(url, 'Bob')]
  const room = await ada.createRoom({ kind: 'PRIVATE', memberIds: [bob.id] })
  const [first, second] = [
    startClient(ada, room, { sendEveryMs: 10, breakEveryMs: 100 }),
    startClient(bob, room, { sendEveryMs: 10, breakEveryMs: 100 }),
  ]
  await eventually(() => {
    for (const client of [first, second]) {
      expect(client.sends.filter(({ acks }) => acks.length > 0).length).toBeGreaterThan(50)
      expect(streamOf(client).openings.filter(({ items }) => items.length > 0).length).toBeGreaterThan(3)
    }
  })
  for (const client of clients) client.stopBreaking()
  expect(await judge(room)).toEqual([])
  expect(clients.flatMap(({ surprises }) => surprises)).toEqual([])
  const [row] = (await storedRooms()).filter((each) => each.room === room)
  const seen = streamOf(first).openings.flatMap(({ items }) => items.filter(({ type }) => type === 'MessageSent'))
  expect(seen.length).toBe(row?.events.filter(({ type }) => type === 'MessageSent').length)
})

it('repeats a send with the same id when the connection took the answer with it', async () => {
  const [url = ''] = nodes().urls
  const ada = await person(url, 'Ada')
  const room = await ada.createRoom({ kind: 'PRIVATE' })
  const client = startClient(ada, room, { sendEveryMs: 20 })
  await eventually(() => expect(client.sends.some(({ acks }) => acks.length > 0)).toBe(true))
  proxy.swallow('down')
  await eventually(() => expect(proxy.hits.swallowedBytes).toBeGreaterThan(0))
  await eventually(() => expect(client.pendingSends).toBeGreaterThan(0))
  proxy.heal()
  await eventually(() => expect(client.sends.some(({ attempts, acks }) => attempts > 1 && acks.length > 0)).toBe(true))
  expect(await judge(room)).toEqual([])
})

it('knocks again where it was refused, and writes down that it was', async () => {
  const [url = ''] = nodes().urls
  const [ada, eve] = [await person(url, 'Ada'), await person(url, 'Eve')]
  const room = await ada.createRoom({ kind: 'PRIVATE' })
  const { openings } = streamOf(startClient(eve, room, {}))
  await eventually(() => expect(openings.filter(({ end }) => end === 'refused').length).toBeGreaterThan(1))
  expect(openings.flatMap(({ items }) => items)).toEqual([])
})

it('drops a socket that says nothing any more', async () => {
  const [url = ''] = nodes().urls
  const ada = await person(url, 'Ada')
  const room = await ada.createRoom({ kind: 'PRIVATE' })
  const client = startClient(ada, room, {})
  const { openings } = streamOf(client)
  await eventually(() => expect(openings.flatMap(({ items }) => items).at(-1)?.type).toBe('CaughtUp'))
  proxy.stall()
  await eventually(() => expect(proxy.hits.stalledBytes).toBeGreaterThan(0))
  await eventually(() => expect(proxy.connections).toBeGreaterThan(1), { timeoutMs: 15_000 })
  proxy.heal()
  await eventually(() => expect(openings.length).toBe(2), { timeoutMs: 15_000 })
  await ada.send(room, 'for the new socket')
  expect(await judge(room)).toMatchObject([{ kind: 'foreign', what: expect.stringContaining('nobody has sent') }])
})
