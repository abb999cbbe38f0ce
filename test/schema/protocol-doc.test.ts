// Holds docs/protocol.md against the code: its tables name everything and nothing else, its figures are those of the
// running server, its close codes are produced and taken as it says, and its program loses and repeats nothing.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { CloseCode, createClient } from 'graphql-ws'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { SETTINGS } from '../../src/config-settings.ts'
import { MAX_FILE_NAME_CHARACTERS } from '../../src/files/file-name.ts'
import { MAX_UNSENT_FILES } from '../../src/files/upload-service.ts'
import { DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE } from '../../src/graphql/builder.ts'
import { ERROR_CODES } from '../../src/platform/errors.ts'
import { MAX_NAMED } from '../../src/presence/room-roster.ts'
import { CLOSE_CODES } from '../../src/transport/close-codes.ts'
import { MAX_FILES_PER_REQUEST } from '../../src/transport/multipart-request.ts'
import { CONNECTION_INIT_TIMEOUT_MS } from '../../src/transport/websocket-server.ts'
import { startProxy } from '../support/cuttable-proxy.ts'
import { readDocument, runProgram, snippetsOf, tableBelow } from '../support/document.ts'
import { post } from '../support/graphql-over-http.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { signToken, startNodes, useNodes } from '../support/start-nodes.ts'
import { subscribe, subscribeSse } from '../support/stream.ts'

const markdown = await readDocument('docs/protocol.md')
const schemaText = await readDocument('schema.graphql')
const nodes = useNodes()
const url = () => nodes().urls[0] ?? ''

const cleanUps: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp()
  await stopAll()
})

const wide = Array.from({ length: 400 }, (_, i) => `a${i}: serverInfo { name }`).join(' ')
const unquoted = (cell = '') => cell.replaceAll('`', '')

describe('the error codes of docs/protocol.md', () => {
  const rows = tableBelow(markdown, 'Errors')
  const retry = new Map(rows.map(([code, , retryable]) => [unquoted(code), retryable?.startsWith('yes')]))

  it('are those of the code, with its words', () => {
    expect(rows.map(([code, meaning]) => [unquoted(code), meaning])).toEqual(Object.entries(ERROR_CODES))
  })

  it('are retryable where the server says so', async () => {
    const ada = await person(url(), 'Ada')
    const room = await ada.createRoom()
    const expired = await signToken('late', {}, new Date(Date.now() - 120_000))
    const answers = [
      await post(url(), '{ rooms { pageInfo { hasNextPage } } }'),
      await post(url(), '{ viewer { id } }', { token: expired }),
      await post(url(), '{ node(id: "nothing") { id } }', { token: ada.token }),
      await post(url(), `{ ${wide} }`),
      await post(url(), `{ viewer { id } } #${'x'.repeat(SETTINGS.maxBodyBytes.defaults.production)}`),
      await post(url(), `{ rooms(search: "${'x'.repeat(101)}") { pageInfo { hasNextPage } } }`, { token: ada.token }),
    ]
    const stream = 'subscription ($id: ID!) { messageAdded(roomId: $id, after: 9) { seq } }'
    const refused = await subscribe(ada.connect(), stream, { id: room }).next()
    const met = [...answers, refused].map(({ errors }) => errors?.[0]?.extensions)
    expect(met.map((extensions) => extensions?.code)).toEqual([
      ...['UNAUTHENTICATED', 'TOKEN_EXPIRED', 'BAD_USER_INPUT', 'QUERY_TOO_COMPLEX', 'PAYLOAD_TOO_LARGE'],
      ...['VALIDATION_FAILED', 'RESYNC_REQUIRED'],
    ])
    for (const extensions of met) expect(extensions?.retryable ?? false).toBe(retry.get(String(extensions?.code)))
    expect(refused.errors?.[0]?.extensions).toMatchObject({ fromSeq: 2 })
    expect([...retry].filter(([, retryable]) => retryable).map(([code]) => code)).toEqual([
      'ATTACHMENT_NOT_READY',
      'TOKEN_EXPIRED',
      'TOKEN_REVOKED',
      'UNAVAILABLE',
    ])
  })

  it('are joined by two of GraphQL itself', async () => {
    const codes = [await post(url(), '{ viewer'), await post(url(), '{ nothing }')].map(
      ({ errors }) => errors[0]?.extensions.code,
    )
    for (const code of codes) expect(markdown).toContain(`\`${code}\``)
    expect(codes).toEqual(['GRAPHQL_PARSE_FAILED', 'GRAPHQL_VALIDATION_FAILED'])
  })
})

/** What a plain socket was told, and the code that it was closed with. It sends one message, then one upon each answer. */
async function talk(target: string, messages: unknown[], protocol: string | null = 'graphql-transport-ws') {
  const socket = new WebSocket(target.replace(/^http/, 'ws'), protocol ?? undefined)
  cleanUps.push(() => socket.terminate())
  const received: Record<string, unknown>[] = []
  const send = () => {
    const message = messages.shift()
    if (typeof message === 'function') message()
    else if (message !== undefined) socket.send(typeof message === 'string' ? message : JSON.stringify(message))
  }
  socket.on('message', (data) => {
    received.push(JSON.parse(String(data)))
    send()
  })
  socket.on('open', send)
  const signal = AbortSignal.timeout(10_000)
  return new Promise<{ code: number; reason: string; received: typeof received }>((resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error(`not closed; got ${JSON.stringify(received)}`)))
    socket.on('error', reject)
    socket.on('close', (code, reason) => resolve({ code, reason: String(reason), received }))
  })
}

const hello = (token?: string) => ({
  type: 'connection_init',
  payload: token ? { authorization: `Bearer ${token}` } : {},
})
const operation = (id: string, query: string) => ({ id, type: 'subscribe', payload: { query } })

describe('the close codes of docs/protocol.md', () => {
  const rows = tableBelow(markdown, 'Close codes')
  /** Sent by clients only; 4500 by graphql-ws's own adapters, which are not used here. */
  const CLIENTS_OWN = [
    CloseCode.InternalServerError,
    CloseCode.BadResponse,
    CloseCode.InternalClientError,
    CloseCode.ConnectionAcknowledgementTimeout,
  ]
  const MESSAGE_TOO_BIG = 1009

  it('are those of the code, of graphql-ws and of ws, and no others', () => {
    const library = Object.values(CloseCode).filter((code) => typeof code === 'number' && !CLIENTS_OWN.includes(code))
    const known = new Set([...Object.values(CLOSE_CODES), ...library, MESSAGE_TOO_BIG])
    expect(rows.map(([code]) => Number(code))).toEqual([...known].sort((a, b) => Number(a) - Number(b)))
  })

  it('come when it says', async () => {
    const ada = await person(url(), 'Ada')
    const room = await ada.createRoom()
    const stream = `subscription { roomEvents(roomId: "${room}") { seq } }`
    const codes: [number, Promise<{ code: number; reason: string }>, string?][] = [
      [1009, talk(url(), ['x'.repeat(nodes().config.limits.wsMaxPayloadBytes + 1)])],
      [4400, talk(url(), ['hello'])],
      [4401, talk(url(), [operation('1', '{ viewer { id } }')])],
      [4401, talk(url(), [hello('not.a.token')]), 'UNAUTHENTICATED'],
      [4403, talk(url(), [hello(await signToken('late', {}, new Date(Date.now() - 120_000)))]), 'TOKEN_EXPIRED'],
      [4406, talk(url(), [], null)],
      [4409, talk(url(), [hello(ada.token), operation('1', stream), operation('1', stream)])],
      [4429, talk(url(), [hello(), hello()])],
    ]
    const met = await Promise.all(codes.map(([, closed]) => closed))
    for (const [i, [code, , reason]] of codes.entries()) {
      expect(rows.map(([known]) => Number(known))).toContain(code)
      expect(met[i]).toMatchObject({ code, ...(reason ? { reason } : {}) })
    }
  })

  it('come with 1013 while the keys of the tokens cannot be had, and with 1001 when a node stops', async () => {
    const settings = { JWT_SECRET: '', JWKS_URL: 'http://127.0.0.1:1/keys' }
    const lonely = await startNodes({ settings })
    cleanUps.push(() => lonely.stop())
    const target = lonely.urls[0] ?? ''
    const header = Buffer.from('{"alg":"RS256","kid":"1"}').toString('base64url')
    expect(await talk(target, [hello(`${header}.e30.c2ln`)])).toMatchObject({ code: 1013, reason: 'UNAVAILABLE' })
    const stop = () => lonely.apps[0]?.close()
    expect(await talk(target, [hello(), stop])).toMatchObject({ code: 1001 })
  })

  it('make a client of graphql-ws come back, or not, as it says', async () => {
    const comesBack = await Promise.all(rows.map(([code]) => returnsAfter(Number(code))))
    expect(comesBack).toEqual(rows.map(([, , back]) => back?.startsWith('yes')))
  })
})

/** Whether an unmodified graphql-ws client connects again after being closed with this code. */
async function returnsAfter(code: number): Promise<boolean> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  let connections = 0
  server.on('connection', (socket) => {
    connections++
    socket.on('message', () => (connections === 1 ? socket.close(code) : socket.close(4400)))
  })
  // A TCP server has an address object.
  const { port } = server.address() as AddressInfo
  const client = createClient({
    url: `ws://127.0.0.1:${port}`,
    webSocketImpl: WebSocket,
    retryAttempts: 1,
    retryWait: async () => {},
  })
  try {
    await client.iterate({ query: '{ a }' }).next()
    throw new Error('the stub answers nothing')
  } catch {
    return connections > 1
  } finally {
    await client.dispose()
    server.close()
  }
}

describe('the transports of docs/protocol.md', () => {
  it('acknowledge a connection with server, time, connection and viewer, and answer pings', async () => {
    const ada = await person(url(), 'Ada')
    const { received } = await talk(url(), [
      hello(ada.token),
      { type: 'ping' },
      operation('1', '{ nothing }'),
      operation('2', 'subscription { roomEvents(roomId: "none") { seq } }'),
      '',
    ])
    const [ack, pong, invalid, refused] = received
    expect(ack?.payload).toEqual({
      server: { name: 'Sohbet', version: expect.any(String) },
      time: expect.stringMatching(/^\d{4}-.*Z$/),
      connectionId: expect.any(String),
      viewer: { id: ada.id, name: 'Ada' },
    })
    expect([pong?.type, invalid?.type, refused?.type]).toEqual(['pong', 'error', 'next'])
    expect(refused?.payload).toMatchObject({ errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] })
  })

  it('carry a subscription over server-sent events only where asked for', async () => {
    const ada = await person(url(), 'Ada')
    const room = await ada.createRoom()
    const query = 'subscription ($id: ID!) { roomEvents(roomId: $id, after: 0) { __typename seq } }'
    const stream = subscribeSse(url(), ada.token, query, { id: room })
    cleanUps.push(() => stream.stop())
    expect((await stream.take(2)).map(({ data }) => data?.roomEvents)).toEqual([
      { __typename: 'MemberJoined', seq: 1 },
      { __typename: 'CaughtUp', seq: 1 },
    ])
    const response = await fetch(url(), {
      method: 'POST',
      headers: {
        ...{ accept: 'application/json', 'content-type': 'application/json' },
        authorization: `Bearer ${ada.token}`,
      },
      body: JSON.stringify({ query, variables: { id: room } }),
      signal: AbortSignal.timeout(10_000),
    })
    expect(response.status).toBe(406)
    expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'BAD_REQUEST' } }] })
  })
})

describe('the capabilities of docs/protocol.md', () => {
  it('are those of a server with files', async () => {
    const { data } = await post(url(), '{ serverInfo { capabilities } }')
    const rows = tableBelow(markdown, 'Capabilities')
    expect(data?.serverInfo).toEqual({ capabilities: rows.map(([name]) => unquoted(name)) })
  })
})

describe('the limits of docs/protocol.md', () => {
  const rows = tableBelow(markdown, 'Limits')

  /** The limit that the server names when this field of a mutation's input is too long. */
  const named = (field: string, input: object) => async (who: Person) => {
    const type = `${field.charAt(0).toUpperCase()}${field.slice(1)}Input`
    const query = `mutation ($input: ${type}!) { ${field}(input: $input) { ... on ValidationError { issues { limit } } } }`
    const data = await who.do<Record<string, { issues: { limit: number }[] }>>(query, { input })
    return data[field]?.issues.map(({ limit }) => limit).join()
  }
  /** The limit as the server's refusal tells it. */
  const told = (words: RegExp, query: string, token?: (who: Person) => Promise<string>) => async (who: Person) => {
    const { errors } = await post(url(), query, { token: token ? await token(who) : who.token })
    return words.exec(errors[0]?.message ?? '')?.[1]
  }
  const described = (words: RegExp) => async () => words.exec(schemaText)?.[1]
  const long = 'x'.repeat(5_000)
  const ids = (who: Person, count: number) => Array.from({ length: count }, () => who.id)
  const costly = '{ rooms(first: 100) { edges { node { members(first: 100) { edges { node { user { name } } } } } } } }'
  const deep = `${'lastMessage { room { '.repeat(10)}id${' } }'.repeat(10)}`
  const anyId = Buffer.from('Room:00000000-0000-7000-8000-000000000000').toString('base64url')

  const manyAttachments = Array.from({ length: 11 }, (_, i) =>
    Buffer.from(`Attachment:00000000-0000-7000-8000-0000000000${10 + i}`).toString('base64url'),
  )

  const measured: Record<string, number | ((who: Person) => Promise<string | number | undefined>)> = {
    'Characters of a message': named('sendMessage', { roomId: anyId, text: long }),
    'Characters of clientMessageId': named('sendMessage', { roomId: anyId, text: 'x', clientMessageId: long }),
    "Characters of a room's name": named('createRoom', { name: long }),
    "Characters of a room's slug": named('createRoom', { name: 'x', slug: long }),
    "Characters of a room's topic": named('createRoom', { name: 'x', topic: long }),
    'Users in memberIds': (who) => named('createRoom', { name: 'x', memberIds: ids(who, 60) })(who),
    'Users in memberIds of a direct room': (who) =>
      named('createRoom', { kind: 'DIRECT', memberIds: ids(who, 10) })(who),
    "Characters of a ban's reason": (who) => named('banMember', { roomId: anyId, userId: who.id, reason: long })(who),
    'Characters of search': told(/longer than (\d+)/, `{ rooms(search: "${long}") { pageInfo { hasNextPage } } }`),
    "Characters of a user's name": named('updateProfile', { name: long }),
    'Characters of statusText': named('updateProfile', { statusText: long }),
    'Characters of avatarUrl': named('updateProfile', { avatarUrl: `https://x/${long}` }),
    'Objects on a page': MAX_PAGE_SIZE,
    'Objects on a page, where nothing is asked': DEFAULT_PAGE_SIZE,
    "Bytes of an HTTP request's body": async () => nodes().config.http.maxBodyBytes,
    'Attachments of a message': named('sendMessage', { roomId: anyId, text: 'x', attachmentIds: manyAttachments }),
    'Bytes of a file by uploadFile': async () => nodes().config.uploads.maxUploadBytes,
    'Bytes of a file by tus': async () => nodes().config.uploads.maxFileBytes,
    'Bytes of files that a user uploads in a day': async () => nodes().config.uploads.maxBytesPerDay,
    'Files of a user that are coming or not sent yet': MAX_UNSENT_FILES,
    'Hours until a file that is not sent is removed': async () => nodes().config.uploads.unsentMs / 3_600_000,
    "Characters of a file's name": MAX_FILE_NAME_CHARACTERS,
    'Files in one request': MAX_FILES_PER_REQUEST,
    'Bytes of a WebSocket message': async () => nodes().config.limits.wsMaxPayloadBytes,
    'Operations at once on a WebSocket': async () => nodes().config.limits.maxSubscriptionsPerConnection,
    'Milliseconds until connection_init': CONNECTION_INIT_TIMEOUT_MS,
    'Milliseconds between pings': async () => nodes().config.realtime.wsKeepAliveMs,
    'Tokens of a document': told(/more tha[nt] (\d+) tokens/, `{ ${'viewer { id } '.repeat(2_000)} }`),
    'Cost of an operation': told(/complexity: \d+ > (\d+)/, costly),
    'Depth of an operation': told(/depth: \d+ > (\d+)/, `{ room(slug: "x") { ${deep} } }`),
    'Fields of an operation (breadth)': told(/breadth: \d+ > (\d+)/, `{ ${wide} }`),
    'Bytes of a JWT': told(/longer than (\d+) bytes/, '{ viewer { id } }', async () => long + long),
    'Characters of sub': told(/1 to (\d+)/, '{ viewer { id } }', () => signToken(long.slice(0, 300), { name: 'x' })),
    'Users named by roomPresence': MAX_NAMED,
    'Users shown as typing': described(/Who is typing; at most (\d+)/),
    'Seconds that typing lasts': described(/True lasts for (\d+) seconds/),
  }

  it('are those of the running server, each and no other', async () => {
    const ada = await person(url(), 'Ada')
    const found = await Promise.all(
      Object.entries(measured).map(async ([what, limit]) => [
        what,
        String(typeof limit === 'number' ? limit : await limit(ada)),
      ]),
    )
    expect(rows.map(([what, limit]) => [unquoted(what), limit])).toEqual(found)
  })

  it('name settings that exist', () => {
    const settings = rows.map(([, , setting]) => unquoted(setting)).filter((name) => name !== '')
    const known = Object.values(SETTINGS).map(({ name }) => name)
    expect(settings).toHaveLength(9)
    for (const setting of settings) expect(known).toContain(setting)
  })
})

describe('the promises of docs/protocol.md', () => {
  it('a repeated send is the first message, whatever its text, also for an author who has left', async () => {
    const [ada, bora] = [await person(url(), 'Ada'), await person(url(), 'Bora')]
    const room = await ada.createRoom()
    await bora.join(room)
    const first = await bora.send(room, 'first', { clientMessageId: 'one' })
    await bora.leave(room)
    expect(await bora.send(room, 'second', { clientMessageId: 'one' })).toEqual(first)
    // Another author's is another message.
    expect(await ada.send(room, 'third', { clientMessageId: 'one' })).toMatchObject({ seq: first.seq + 2 })
  })

  it('a stream that is asked to resume where its log never was says so, and goes on at the head', async () => {
    const ada = await person(url(), 'Ada')
    const room = await ada.createRoom()
    const query = `subscription ($id: ID!) {
      roomEvents(roomId: $id, after: 7) { __typename seq ... on ResyncRequired { fromSeq } } }`
    const stream = subscribe(ada.connect(), query, { id: room })
    expect((await stream.take(2)).map(({ data }) => data?.roomEvents)).toEqual([
      { __typename: 'ResyncRequired', seq: 1, fromSeq: 2 },
      { __typename: 'CaughtUp', seq: 1 },
    ])
    await ada.send(room, 'on')
    expect((await stream.next()).data?.roomEvents).toEqual({ __typename: 'MessageSent', seq: 2 })
  })
})

describe('the client of docs/protocol.md', () => {
  it('prints every message once and in order, through cut connections', async () => {
    const [snippet, ...others] = snippetsOf(markdown, 'protocol')
    expect([snippet?.name, others]).toEqual(['client', []])
    const ada = await person(url(), 'Ada')
    const room = await ada.createRoom()
    const proxy = await startProxy(url())
    cleanUps.push(() => proxy.close())
    const say = async (from: number, to: number) => {
      for (let i = from; i <= to; i++) await ada.send(room, `message ${i}`)
    }
    await say(1, 3)
    const env = { SOHBET_URL: proxy.url, TOKEN: ada.token, ROOM_ID: room }
    const client = runProgram(snippet?.text ?? '', env)
    cleanUps.push(() => client.stop())
    await client.lines.takeUntil((line) => line === 'up to date')
    for (const round of [0, 1, 2]) {
      const from = 4 + round * 20
      const sending = say(from, from + 19)
      await client.lines.takeUntil((line) => line.endsWith(`message ${from + 5}`))
      proxy.cut()
      await sending
      await client.lines.takeUntil((line) => line.endsWith(`message ${from + 19}`))
    }
    // The room's first event is its owner's joining.
    const messages = Array.from({ length: 63 }, (_, i) => `${i + 2} message ${i + 1}`)
    expect(client.lines.items.filter((line) => line !== 'up to date')).toEqual(messages)
    expect(proxy.connections).toBeGreaterThanOrEqual(4)
  })
})
