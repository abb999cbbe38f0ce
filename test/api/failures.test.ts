import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { type App, startApp } from '../../src/app.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { attempt } from '../support/attempt.ts'
import { eventually } from '../support/eventually.ts'
import { post } from '../support/graphql-over-http.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres-server.ts'
import { NO_REDIS } from '../support/provided.ts'
import { findRedisServer, startOwnRedis, type TestRedis } from '../support/redis-server.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { signToken, startNodes, type TestNodes, useNodes } from '../support/start-nodes.ts'
import { withDatabase } from '../support/stored-rows.ts'
import { connect, subscribe } from '../support/stream.ts'
import { startTcpGate, type TcpGate } from '../support/tcp-gate.ts'

const statusOf = async (url: string, path: string) => (await fetch(new URL(path, url))).status
const rawPost = (url: string, token: string, query: string, requestId: string) =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, 'x-request-id': requestId },
    body: JSON.stringify({ query }),
  })

describe('a defect of the server', () => {
  const nodes = useNodes()
  const lines: string[] = []
  let app: App
  let ada: Person
  let roomId: string
  const url = () => `${app.url}/graphql`

  beforeAll(async () => {
    const logger = createLogger('error', { write: (line: string) => void lines.push(line) })
    app = await startApp({ config: nodes().config, logger })
    ada = await person(url(), 'Ada')
    roomId = await ada.createRoom()
    // A defect as it could be: the database is not what the code takes it for.
    await withDatabase(nodes().databaseUrl, (client) => client.query('ALTER TABLE messages RENAME TO misplaced'))
  })
  afterAll(() => app?.close())
  afterEach(async () => {
    lines.length = 0
    await stopAll()
  })

  const operations = {
    mutation: () => `mutation { sendMessage(input: { roomId: "${roomId}", text: "x" }) { __typename } }`,
    query: () => `{ room(id: "${roomId}") { name messages { edges { cursor } } } }`,
  }
  for (const [kind, operation] of Object.entries(operations)) {
    it(`in a ${kind} is masked, and logged once with the id that the answer names`, async () => {
      const response = await rawPost(url(), ada.token, operation(), `trace.${kind}-1`)
      const text = await response.text()
      const { data, errors } = JSON.parse(text)
      expect(data).toEqual(kind === 'query' ? { room: null } : null)
      expect(errors).toHaveLength(1)
      expect(errors[0].extensions).toEqual({
        code: 'INTERNAL_SERVER_ERROR',
        retryable: false,
        requestId: `trace.${kind}-1`,
      })
      expect(response.headers.get('x-request-id')).toBe(`trace.${kind}-1`)
      expect(text).not.toMatch(/messages.*does not exist|relation|prisma|select|node_modules|\.ts|stack/i)
      const logged = lines.map((line) => JSON.parse(line)).filter(({ requestId }) => requestId === `trace.${kind}-1`)
      expect(logged).toHaveLength(1)
      expect(JSON.stringify(logged[0].err)).toContain('does not exist')
    })
  }

  it('in an operation over WebSocket is masked too, and leaves the socket open', async () => {
    const client = ada.connect(url())
    const failed = await subscribe(client, operations.query()).next()
    const [error] = failed.errors ?? []
    expect(error?.extensions).toMatchObject({ code: 'INTERNAL_SERVER_ERROR', retryable: false })
    expect(lines.some((line) => JSON.parse(line).requestId === error?.extensions?.requestId)).toBe(true)
    expect(await subscribe(client, '{ viewer { name } }').next()).toMatchObject({ data: { viewer: { name: 'Ada' } } })
  })

  it('names no made-up request id where the caller’s is not harmless', async () => {
    for (const given of ['x'.repeat(101), 'two words', '<script>', 'a"b']) {
      const response = await rawPost(url(), ada.token, '{ __typename }', given)
      expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
    }
  })
})

describe('a database that is away', () => {
  let database: TestDatabase
  let gate: TcpGate
  let nodes: TestNodes
  let ada: Person
  let roomId: string
  const url = () => nodes.urls[0] ?? ''
  const unavailable = { code: 'UNAVAILABLE', retryable: true, retryAfterMs: expect.any(Number) }

  beforeAll(async () => {
    database = await createTestDatabase(inject('postgresUrl'))
    gate = await startTcpGate(database.url)
    nodes = await startNodes({ settings: { DATABASE_URL: gate.url } })
    ada = await person(url(), 'Ada')
    roomId = await ada.createRoom()
  })
  afterEach(async () => {
    await stopAll()
    await gate.open()
    await eventually(async () => expect(await statusOf(url(), '/ready')).toBe(200))
  })
  afterAll(async () => {
    await nodes?.stop()
    await gate?.close()
    await database?.drop()
  })

  it('is told by /ready and serverStatus, while /health stays', async () => {
    expect([await statusOf(url(), '/ready'), await statusOf(url(), '/health')]).toEqual([200, 200])
    await gate.shut()
    expect([await statusOf(url(), '/ready'), await statusOf(url(), '/health')]).toEqual([503, 200])
    expect(await ada.do('{ serverStatus { database { state latencyMs } } }')).toEqual({
      serverStatus: { database: { state: 'DOWN', latencyMs: null } },
    })
    await gate.open()
    gate.silence()
    expect(await statusOf(url(), '/ready')).toBe(503)
  })

  it('makes queries, mutations and subscriptions retryable, and comes back by itself', async () => {
    const client = ada.connect()
    const open = subscribe(client, 'subscription { viewerEvents { __typename } }')
    await open.next()
    await gate.shut()
    // Guards: raw statements and connections cut in use report their failure in other shapes than Prisma's own queries.
    // Several: the first ones meet connections that were cut, the later ones find none.
    for (let i = 0; i < 3; i++) {
      for (const query of [
        '{ rooms { edges { cursor } } }',
        `{ room(id: "${roomId}") { messages { edges { cursor } } members { edges { cursor } } } }`,
        `mutation { sendMessage(input: { roomId: "${roomId}", text: "x" }) { __typename } }`,
        `mutation { createRoom(input: { name: "x" }) { __typename } }`,
        `mutation { leaveRoom(input: { roomId: "${roomId}" }) { __typename } }`,
        'mutation { updateProfile(input: { statusText: "x" }) { __typename } }',
      ]) {
        const { errors } = await post(url(), query, { token: ada.token })
        expect([query, errors[0]?.extensions]).toEqual([query, expect.objectContaining(unavailable)])
      }
      const stream = subscribe(client, `subscription { roomEvents(roomId: "${roomId}") { seq } }`)
      expect(await stream.next()).toMatchObject({ errors: [{ extensions: unavailable }] })
    }
    await gate.open()
    await eventually(async () => {
      expect((await attempt(url(), ada, 'sendMessage', { roomId, text: 'back' })).__typename).toBe('SendMessageSuccess')
    })
  })

  it('lets nobody new in, and says that it may be tried again', async () => {
    const token = await signToken('somebody-new')
    await gate.shut()
    const response = await rawPost(url(), token, '{ viewer { id } }', 'trace-new')
    const { errors } = await response.json()
    expect(errors[0].extensions).toMatchObject({ ...unavailable, requestId: 'trace-new' })
    const client = connect(url(), token)
    expect(await subscribe(client, '{ viewer { id } }').ended()).toMatchObject({ code: 1013 })
    await client.dispose()
  })
})

describe.skipIf(findRedisServer() === null)(`a Redis that is away ${findRedisServer() ? '' : NO_REDIS}`, () => {
  let redis: TestRedis
  let nodes: TestNodes
  const url = () => nodes.urls[0] ?? ''
  beforeAll(async () => {
    redis = await startOwnRedis()
    nodes = await startNodes({ redisUrl: redis.url })
  })
  afterAll(async () => {
    await nodes?.stop()
    await redis?.stop()
  })

  it('is told by /ready and serverStatus; chat goes on, and so does presence once it is back', async () => {
    const ada = await person(url(), 'Ada')
    const roomId = await ada.createRoom()
    const status = '{ serverStatus { usersOnline redis { state } database { state } } }'
    expect(await statusOf(url(), '/ready')).toBe(200)
    await redis.kill()
    expect([await statusOf(url(), '/ready'), await statusOf(url(), '/health')]).toEqual([503, 200])
    expect(await ada.do(status)).toEqual({
      serverStatus: { usersOnline: null, redis: { state: 'DOWN' }, database: { state: 'UP' } },
    })
    const sent = await attempt(url(), ada, 'sendMessage', { roomId, text: 'x' }, 'presentCount sentMessage { seq }')
    expect(sent).toMatchObject({ presentCount: null, sentMessage: { seq: 2 } })
    expect(
      await ada.do('query ($id: ID!) { room(id: $id) { presence { count users { state } } } }', { id: roomId }),
    ).toEqual({
      room: { presence: { count: null, users: null } },
    })
    const { errors } = await post(url(), '{ activeRooms { edges { cursor } } }', { token: ada.token })
    expect(errors[0]?.extensions).toMatchObject({ code: 'UNAVAILABLE', retryable: true })
    await redis.restart()
    await eventually(async () => {
      expect(await statusOf(url(), '/ready')).toBe(200)
      expect(await ada.do(status)).toMatchObject({ serverStatus: { usersOnline: 0, redis: { state: 'UP' } } })
    })
  })
})
