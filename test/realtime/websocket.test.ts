// The connection itself: what it says first, whom it lets in, and what one operation may do to the others.

import { once } from 'node:events'
import { type Client, createClient } from 'graphql-ws'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { eventually } from '../support/eventually.ts'
import { ROOM_EVENTS, type RoomItem } from '../support/room-events.ts'
import { person, stopAll } from '../support/seed.ts'
import { signToken, useNodes } from '../support/start-nodes.ts'
import { type Result, type Stream, subscribe } from '../support/stream.ts'

const MAX_SUBSCRIPTIONS = 5
const clients: Client[] = []

afterEach(async () => {
  await Promise.all([...clients.splice(0).map((client) => client.dispose()), stopAll()])
})

/** A client that connects at once; gives the acknowledgement's payload, or how the socket was closed. */
async function open(url: string, connectionParams: Record<string, unknown>) {
  const opened = Promise.withResolvers<{
    client: Client
    acknowledged?: unknown
    closed?: { code: number; reason: string }
  }>()
  const client: Client = createClient({
    url: url.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    lazy: false,
    retryAttempts: 0,
    connectionParams,
    onNonLazyError: () => {},
    on: {
      connected: (_socket, acknowledged) => opened.resolve({ client, acknowledged }),
      closed: (event) => {
        // The event of the package ws.
        const { code, reason } = event as { code: number; reason: string }
        opened.resolve({ client, closed: { code, reason } })
      },
    },
  })
  clients.push(client)
  return opened.promise
}

/** The code of the one error that an operation gave. */
async function codeOf<T>(stream: Stream<Result<T>>): Promise<unknown> {
  const first = await stream.next().catch((error: unknown) => ({ errors: error }))
  // graphql-ws gives the errors of a refused operation as they are.
  const errors = first.errors as Result<T>['errors']
  expect(errors).toHaveLength(1)
  return errors?.[0]?.extensions?.code
}

describe('a socket', () => {
  const nodes = useNodes({ settings: { MAX_SUBSCRIPTIONS_PER_CONNECTION: String(MAX_SUBSCRIPTIONS) } })
  const url = () => nodes().urls[0] ?? ''

  it('is told, when it is taken, by whom, when, for whom, and which connection it is', async () => {
    const ada = await person(url(), 'Ada')
    const { acknowledged } = await open(url(), { Authorization: `Bearer ${ada.token}` })
    const { serverInfo } = await ada.do<{ serverInfo: object }>('{ serverInfo { name version } }')
    expect(acknowledged).toEqual({
      server: serverInfo,
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      connectionId: expect.stringMatching(/^[\da-f-]{36}$/),
      viewer: { id: ada.id, name: 'Ada' },
    })
  })

  it('is taken without a token too, for what needs none', async () => {
    const { client, acknowledged } = await open(url(), {})
    expect(acknowledged).toMatchObject({ viewer: null })
    const info = subscribe<{ serverInfo: { name: string } }>(client, '{ serverInfo { name } }')
    expect(await info.next()).toEqual({ data: { serverInfo: { name: 'Sohbet' } } })
    expect(await codeOf(subscribe(client, 'subscription { viewerEvents { seq } }'))).toBe('UNAUTHENTICATED')
  })

  // Guards: graphql-ws forgets a stream whose id is taken again while it opens, and nobody ended it with the socket.
  it('leaves no stream behind, however often a client takes the same id', async () => {
    const ada = await person(url(), 'Ada')
    const bob = await person(url(), 'Bob')
    const room = await ada.createRoom()
    const socket = new WebSocket(`${url().replace(/^http/, 'ws')}`, 'graphql-transport-ws')
    const send = (message: object) => socket.send(JSON.stringify(message))
    await once(socket, 'open')
    send({ type: 'connection_init', payload: { authorization: `Bearer ${bob.token}` } })
    await once(socket, 'message')
    const payload = {
      query: 'subscription ($room: ID!) { roomEvents(roomId: $room) { seq } }',
      variables: { room },
    }
    for (let i = 0; i < 3; i++) {
      send({ type: 'subscribe', id: 'same', payload })
      send({ type: 'complete', id: 'same' })
    }
    send({ type: 'subscribe', id: 'same', payload })
    await once(socket, 'message')
    const presentCount = async () => {
      const found = await ada.do<{ room: { presence: { count: number } } }>(
        'query ($room: ID!) { room(id: $room) { presence { count } } }',
        { room },
      )
      return found.room.presence.count
    }
    await eventually(async () => expect(await presentCount()).toBe(1))
    socket.terminate()
    await eventually(async () => expect(await presentCount()).toBe(0))
  })

  it('is closed when the token has expired, so that clients come back with a fresh one, and for good when it is not valid', async () => {
    const expired = await signToken('ada', {}, new Date(Date.now() - 10 * 60_000))
    expect(await open(url(), { authorization: `Bearer ${expired}` })).toMatchObject({
      closed: { code: 4403, reason: 'TOKEN_EXPIRED' },
    })
    const valid = await signToken('ada')
    for (const token of ['nonsense', `${valid.slice(0, -4)}AAAA`]) {
      expect(await open(url(), { authorization: `Bearer ${token}` })).toMatchObject({
        closed: { code: 4401, reason: 'UNAUTHENTICATED' },
      })
    }
  })

  it('takes the token from headers in the parameters, and, as GraphiQL sends it, with each operation', async () => {
    const ada = await person(url(), 'Ada')
    const headers = { authorization: `Bearer ${ada.token}` }
    expect((await open(url(), { headers })).acknowledged).toMatchObject({ viewer: { name: 'Ada' } })

    const { client } = await open(url(), {})
    const ask = async (extensions: Record<string, unknown>) => {
      const query = '{ viewer { name } }'
      return (await client.iterate({ query, extensions }).next()).value
    }
    expect(await ask({ headers })).toEqual({ data: { viewer: { name: 'Ada' } } })
    expect(await ask({})).toEqual({ data: { viewer: null } })
    const refused = ask({ headers: { authorization: 'Bearer nonsense' } })
    await expect(refused).rejects.toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }])
    expect(await ask({ headers })).toEqual({ data: { viewer: { name: 'Ada' } } })
  })

  it('goes on with the others when one operation is malformed, unknown or refused', async () => {
    const ada = await person(url(), 'Ada')
    const room = await ada.createRoom()
    const { client } = await open(url(), { authorization: `Bearer ${ada.token}` })
    const stream = subscribe<{ roomEvents: RoomItem }>(client, ROOM_EVENTS, { roomId: room })
    await stream.next()
    expect(await codeOf(subscribe(client, 'subscription { roomEvents('))).toBe('GRAPHQL_PARSE_FAILED')
    expect(await codeOf(subscribe(client, 'subscription { nothing }'))).toBe('GRAPHQL_VALIDATION_FAILED')
    expect(await codeOf(subscribe(client, `{ ${'a '.repeat(5_000)} }`))).toBe('GRAPHQL_PARSE_FAILED')
    expect(await codeOf(subscribe(client, ROOM_EVENTS))).toBe('BAD_USER_INPUT')
    expect(await codeOf(subscribe(client, ROOM_EVENTS, { roomId: 'x' }))).toBe('BAD_USER_INPUT')
    await ada.send(room, 'still here')
    expect((await stream.next()).data?.roomEvents.message?.text).toBe('still here')
  })

  it('refuses more subscriptions than it may hold, keeps those it has, and takes new ones for ended ones', async () => {
    const ada = await person(url(), 'Ada')
    const room = await ada.createRoom()
    const { client } = await open(url(), { authorization: `Bearer ${ada.token}` })
    const openOne = () => subscribe<{ roomEvents: RoomItem }>(client, ROOM_EVENTS, { roomId: room })
    const held = Array.from({ length: MAX_SUBSCRIPTIONS }, openOne)
    for (const stream of held) await stream.next()
    expect(await codeOf(openOne())).toBe('TOO_MANY_SUBSCRIPTIONS')
    await ada.send(room, 'two')
    for (const stream of held) expect((await stream.next()).data?.roomEvents.seq).toBe(2)
    held[0]?.stop()
    // In order on one socket: the end of the one is read before the new one.
    expect((await openOne().next()).data?.roomEvents).toMatchObject({ __typename: 'CaughtUp', seq: 2 })
  })
})
