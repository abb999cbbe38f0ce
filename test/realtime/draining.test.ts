// A node that is told to stop: who is there is told to come back, one after the other, and gets what they wait for before.

import { once } from 'node:events'
import pg from 'pg'
import { afterEach, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { eventually } from '../support/eventually.ts'
import { post } from '../support/graphql-over-http.ts'
import { brief, openRoomEvents, openRoomEventsSse } from '../support/room-events.ts'
import { person, stopAll } from '../support/seed.ts'
import { startNodes, type TestNodes } from '../support/start-nodes.ts'
import { connect, subscribe } from '../support/stream.ts'

const SEND = `mutation ($input: SendMessageInput!) { sendMessage(input: $input) {
  ... on SendMessageSuccess { sentMessage { seq } } } }`

let nodes: TestNodes | null = null
const cleanUps: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
  await stopAll()
  await nodes?.stop()
})

async function start(settings: Record<string, string>) {
  nodes = await startNodes({ settings })
  const [app] = nodes.apps
  if (!app) throw new Error('no node')
  return { app, url: `${app.url}/graphql`, databaseUrl: nodes.databaseUrl }
}

/** Nobody can write to a room's log until the returned function is called; all else goes on. */
async function lockRooms(databaseUrl: string): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  await client.query('BEGIN')
  await client.query('SELECT FROM rooms FOR NO KEY UPDATE')
  let isOpen = true
  const unlock = async () => {
    if (isOpen) await client.end()
    isOpen = false
  }
  cleanUps.push(unlock)
  return unlock
}

async function closeCodeOf(url: string): Promise<number> {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), 'graphql-transport-ws')
  const [response] = await once(socket, 'unexpected-response').then(([_request, answer]) => [answer])
  response.resume()
  return response.statusCode
}

it('is not ready at once, takes no sockets, and spreads the goodbyes over the window', async () => {
  const { app, url } = await start({ DRAIN_WINDOW_MS: '1500' })
  const ada = await person(url, 'Ada')
  const room = await ada.createRoom()
  const order: number[] = []
  const clients = Array.from({ length: 30 }, () => connect(url, ada.token))
  cleanUps.push(() => Promise.all(clients.map((client) => client.dispose())))
  const streams = clients.map((client) => openRoomEvents(client, room))
  const overSse = openRoomEventsSse(url, ada, room)
  for (const stream of [...streams, overSse]) await stream.next()
  for (const [index, stream] of streams.entries()) void stream.ended().then(() => order.push(index))

  const closed = app.close()
  expect((await fetch(`${app.url}/ready`)).status).toBe(503)
  expect(await closeCodeOf(url)).toBe(503)
  // Late requests are answered, and asked to come by another connection; the last of the streams hear of it.
  const late = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${ada.token}` },
    body: JSON.stringify({ query: SEND, variables: { input: { roomId: room, text: 'late' } } }),
  })
  expect([late.status, late.headers.get('connection')]).toEqual([200, 'close'])
  expect(brief(await (streams.at(-1) ?? overSse).next())).toEqual(['MessageSent', 2, 'late'])
  for (const stream of streams) expect(await stream.ended()).toMatchObject({ code: 1001 })
  await closed
  // In their order, and the first before the last had heard the message.
  expect(order).toEqual(streams.map((_, index) => index))
  expect(streams[0]?.items).toHaveLength(1)
  // Cut, not completed: such a client comes back.
  expect(await overSse.ended()).not.toBeNull()
})

it('answers what was asked before, over WebSocket and HTTP, and nothing that comes afterwards', async () => {
  const { app, url, databaseUrl } = await start({ DRAIN_WINDOW_MS: '500' })
  const ada = await person(url, 'Ada')
  const room = await ada.createRoom()
  const client = ada.connect()
  const events = openRoomEvents(client, room)
  await events.next()
  const unlock = await lockRooms(databaseUrl)
  const send = (text: string) => ({ input: { roomId: room, text } })
  const answer = subscribe<{ sendMessage: { sentMessage: { seq: number } } }>(client, SEND, send('before'))
  const answerHttp = post(url, SEND, { token: ada.token, variables: send('before') })
  const watcher = new pg.Client({ connectionString: databaseUrl })
  await watcher.connect()
  cleanUps.push(() => watcher.end())
  const waiting = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`
  await eventually(async () => expect((await watcher.query(waiting)).rows[0].n).toBeGreaterThan(0))

  const closed = app.close()
  const ignored = subscribe(client, SEND, send('after'))
  // The node has read it, for it answers what comes later elsewhere.
  expect((await fetch(`${app.url}/ready`)).status).toBe(503)
  await unlock()
  expect((await answer.next()).data?.sendMessage.sentMessage.seq).toBeGreaterThan(1)
  expect((await answerHttp).data).toMatchObject({ sendMessage: { sentMessage: { seq: expect.any(Number) } } })
  expect(await events.ended()).toMatchObject({ code: 1001 })
  await closed
  expect(ignored.items).toEqual([])
  const stored = await watcher.query('SELECT text FROM messages ORDER BY seq')
  expect(stored.rows.map(({ text }) => text)).toEqual(['before', 'before'])
})
