import { request as httpRequest } from 'node:http'
import { getIntrospectionQuery } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { ERROR_CODES } from '../../src/platform/errors.ts'
import { post } from '../support/graphql-over-http.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { useNodes } from '../support/start-nodes.ts'
import { countRows } from '../support/stored-rows.ts'
import { connect, subscribe } from '../support/stream.ts'

const LIMIT = 150_000
/** Codes that GraphQL servers share, beside our own. */
const STANDARD_CODES = ['GRAPHQL_PARSE_FAILED', 'GRAPHQL_VALIDATION_FAILED', 'OPERATION_RESOLUTION_FAILURE']
const KNOWN_CODES = [...Object.keys(ERROR_CODES), ...STANDARD_CODES]

interface Refusal {
  status: number
  codes: unknown[]
  extensions: Record<string, unknown> | undefined
}

describe('bad requests', () => {
  const nodes = useNodes({ nodes: 1, settings: { MAX_BODY_BYTES: String(LIMIT), WS_MAX_PAYLOAD_BYTES: '150000' } })
  const url = () => nodes().urls[0] ?? ''
  let ada: Person
  let before: Record<string, number>

  beforeAll(async () => {
    ada = await person(url(), 'Ada')
    before = await countRows(nodes().databaseUrl)
  })
  afterAll(async () => {
    await stopAll()
    expect(await countRows(nodes().databaseUrl)).toEqual(before)
  })

  /** Sends a body in these pieces, with its length or, chunked, without; no client library would. */
  const sendRaw = (pieces: (string | Buffer)[], headers: Record<string, string | number> = {}, path = '/graphql') =>
    new Promise<Refusal>((resolve, reject) => {
      const request = httpRequest(new URL(path, url()), {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${ada.token}`, ...headers },
        timeout: 15_000,
      })
      request.on('response', async (response) => {
        let text = ''
        for await (const chunk of response) text += chunk
        const { errors = [] } = JSON.parse(text)
        resolve({
          status: response.statusCode ?? 0,
          codes: errors.map((error: { extensions?: { code?: string } }) => error.extensions?.code),
          extensions: errors[0]?.extensions,
        })
      })
      request.on('error', reject)
      request.on('timeout', () => request.destroy(new Error('no answer in time')))
      for (const piece of pieces) request.write(piece)
      request.end()
    })
  const sendWhole = (body: string | Buffer, headers: Record<string, string | number> = {}) =>
    sendRaw([body], { 'content-length': Buffer.byteLength(body), ...headers })

  describe('that are not well-formed', () => {
    const bodies = {
      'no JSON': '{"query": "{ viewer { id } }"',
      'an empty body': '',
      'a JSON array': '[]',
      'a batch': '[{"query":"{ __typename }"},{"query":"{ __typename }"}]',
      'a JSON string': '"{ __typename }"',
      null: 'null',
      'no query': '{}',
      'a query of another type': '{"query": 7}',
      'variables of another type': '{"query": "{ __typename }", "variables": "x"}',
      'an operation name of another type': '{"query": "{ __typename }", "operationName": 7}',
      'an unknown operation name': '{"query": "query A { __typename }", "operationName": "B"}',
      'several operations and no name': '{"query": "query A { __typename } query B { __typename }"}',
      'invalid UTF-8': Buffer.concat([
        Buffer.from('{"query": "{ node(id: \\"'),
        Buffer.from([0xff, 0xfe]),
        Buffer.from('\\") { id } }"}'),
      ]),
      'no document': '{"query": ""}',
      'a syntax error': '{"query": "{ viewer { id }"}',
      'an unknown field': '{"query": "{ nothing }"}',
      'an unknown variable': '{"query": "{ node(id: $id) { id } }"}',
      'a prototype for a name': '{"query": "{ __proto__ constructor }", "variables": {"__proto__": {"x": 1}}}',
    }
    for (const [what, body] of Object.entries(bodies)) {
      it(`${what} is refused with a code`, async () => {
        const { status, codes } = await sendWhole(body)
        expect(codes.length).toBeGreaterThan(0)
        for (const code of codes) expect(KNOWN_CODES).toContain(code)
        expect(codes).not.toContain('INTERNAL_SERVER_ERROR')
        expect([200, 400, 422]).toContain(status)
      })
    }

    it('other methods and content types are refused with a status', async () => {
      const headers = { authorization: `Bearer ${ada.token}` }
      const mutation = encodeURIComponent('mutation { createRoom(input: { name: "by GET" }) { __typename } }')
      expect((await fetch(`${url()}?query=${mutation}`, { headers })).status).toBe(405)
      for (const method of ['PUT', 'DELETE', 'PATCH']) {
        expect([method, (await fetch(url(), { method, headers })).status]).toEqual([method, 405])
      }
      const body = '{"query":"mutation { createRoom(input: { name: \\"x\\" }) { __typename } }"}'
      // What a page of any origin can send without asking first (a "simple" request) must not do anything.
      for (const type of ['text/plain', 'application/xml']) {
        const response = await fetch(url(), { method: 'POST', headers: { ...headers, 'content-type': type }, body })
        expect([type, response.status]).toEqual([type, 415])
      }
    })
  })

  describe('that are too large', () => {
    const padded = (bytes: number) => '{"query":"{ __typename }"}'.padEnd(bytes, ' ')

    it('a body of just the limit is read, with and without its length', async () => {
      expect(await sendWhole(padded(LIMIT))).toMatchObject({ status: 200, codes: [] })
      const text = padded(LIMIT)
      const pieces = [text.slice(0, 10), text.slice(10, 60_000), text.slice(60_000)]
      expect(await sendRaw(pieces)).toMatchObject({ status: 200, codes: [] })
    })

    it('a body over the limit is refused with 413 and the limit, with and without its length', async () => {
      const refusal = { status: 413, extensions: { code: 'PAYLOAD_TOO_LARGE', retryable: false, limit: LIMIT } }
      expect(await sendWhole(padded(LIMIT + 1))).toMatchObject(refusal)
      expect(await sendWhole(padded(10 * LIMIT))).toMatchObject(refusal)
      expect(await sendRaw([padded(LIMIT), ' '])).toMatchObject(refusal)
      expect(await sendRaw(Array.from({ length: 20 }, () => padded(LIMIT / 4)))).toMatchObject(refusal)
    })

    it('a WebSocket message over the limit ends its own connection, and no other', async () => {
      const other = ada.connect()
      const status = subscribe(other, 'subscription { viewerEvents { __typename } }')
      expect(await status.next()).toMatchObject({ data: { viewerEvents: { __typename: 'CaughtUp' } } })
      const socket = new WebSocket(url().replace('http', 'ws'), 'graphql-transport-ws')
      const closed = new Promise<number>((resolve) => socket.once('close', resolve))
      await new Promise((resolve) => socket.once('open', resolve))
      socket.send(JSON.stringify({ type: 'connection_init', payload: { padding: 'x'.repeat(150_000) } }))
      expect(await closed).toBe(1009)
      await ada.do('mutation { updateProfile(input: { statusText: "still here" }) { __typename } }')
      expect(await status.next()).toMatchObject({ data: { viewerEvents: { __typename: 'ProfileUpdated' } } })
      before = await countRows(nodes().databaseUrl)
    })
  })

  describe('that would cost too much', () => {
    const repeat = (count: number, make: (i: number) => string) =>
      Array.from({ length: count }, (_, i) => make(i)).join(' ')
    const nest = (levels: number) => `${'lastMessage { room { '.repeat(levels)} id ${'} } '.repeat(levels)}`
    const roomsWith = (selection: string) => `{ rooms(first: 1) { edges { node { ${selection} } } } }`
    const fullType = getIntrospectionQuery().slice(getIntrospectionQuery().indexOf('fragment FullType'))
    const tooComplex: Record<string, string> = {
      'deep selections': roomsWith(nest(8)),
      'very deep selections': roomsWith(nest(600)),
      'wide selections': `{ ${repeat(301, (i) => `a${i}: serverInfo { name }`)} }`,
      'wide selections of nothing': `{ ${repeat(1_200, (i) => `a${i}: __typename`)} }`,
      'long pages of long pages': roomsWith('members(first: 100) { edges { node { user { name } } } }').replace(
        '1',
        '100',
      ),
      'pages that a negative one seems to make up for': `{ a: rooms(first: -1000000) { edges { node { id name } } }
        b: rooms(first: 100) { edges { node { members(first: 100) { edges { node { user { name } } } } } } } }`,
      'fragments that double each other': `{ ...F60 } fragment F0 on Query { serverInfo { name } }
        ${repeat(60, (i) => `fragment F${i + 1} on Query { ...F${i} ...F${i} }`)}`,
      'fragments of fields that double each other': `${roomsWith('...F60')} fragment F0 on Room { id }
        ${repeat(60, (i) => `fragment F${i + 1} on Room { a: lastMessage { room { ...F${i} } } b: lastMessage { room { ...F${i} } } }`)}`,
      'the whole schema many times': `{ ${repeat(50, (i) => `a${i}: __schema { types { ...FullType } }`)} } ${fullType}`,
      'all types many times': `{ __schema { ${repeat(50, (i) => `a${i}: types { ...FullType }`)} } } ${fullType}`,
    }
    for (const [what, query] of Object.entries(tooComplex)) {
      it(`${what} are refused before they run`, async () => {
        const { data, errors } = await post(url(), query, { token: ada.token })
        expect(data).toBeNull()
        expect([...new Set(errors.map(({ extensions }) => extensions.code))]).toEqual(['QUERY_TOO_COMPLEX'])
      })
    }

    const refused: Record<string, string> = {
      'more tokens than a document may have': `{ ${'__typename '.repeat(4_001)} }`,
      'brackets to exhaust the stack': `{ node(id: ${'['.repeat(1_900)}${']'.repeat(1_900)}) { id } }`,
      'braces to exhaust the stack': `mutation { joinRoom(input: ${'{a:'.repeat(980)}1${'}'.repeat(980)}) { __typename } }`,
      'fragments in a circle': '{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }',
      'introspection in a circle': '{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }',
      'more mistakes than anybody reads': `{ ${repeat(1_900, (i) => `unknown${i}`)} }`,
    }
    for (const [what, query] of Object.entries(refused)) {
      it(`${what} are refused with a code, over HTTP and WebSocket alike`, async () => {
        const { data, errors } = await post(url(), query, { token: ada.token })
        expect(data).toBeNull()
        expect(errors.length).toBeLessThanOrEqual(101)
        const expected = [...STANDARD_CODES, 'QUERY_TOO_COMPLEX']
        for (const { extensions } of errors) expect(expected).toContain(extensions.code)

        const client = connect(url(), ada.token)
        const [refusal] = (await subscribe(client, query).ended()) as [{ extensions?: { code?: string } }] // GraphQL errors
        expect(expected).toContain(refusal.extensions?.code)
        await client.dispose()
      })
    }

    it('subscriptions that cost too much are refused before they open', async () => {
      const roomId = await ada.createRoom()
      const query = `subscription { messageAdded(roomId: "${roomId}") { room { ${nest(8)} } } }`
      const stream = subscribe(ada.connect(), query)
      expect(await stream.next()).toMatchObject({ errors: [{ extensions: { code: 'QUERY_TOO_COMPLEX' } }] })
      expect(await stream.ended()).toBeNull()
      before = await countRows(nodes().databaseUrl)
    })

    it('what tools ask for is answered: the whole schema, and some types of it', async () => {
      const whole = await post(url(), getIntrospectionQuery({ inputValueDeprecation: true, specifiedByUrl: true }))
      expect(whole.errors).toEqual([])
      const types = await post(url(), '{ a: __type(name: "Room") { name } b: __type(name: "User") { name } }')
      expect(types.data).toEqual({ a: { name: 'Room' }, b: { name: 'User' } })
    })
  })
})
