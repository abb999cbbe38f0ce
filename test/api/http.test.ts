import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startNodes, type TestNodes, useNodes } from '../support/start-nodes.ts'

const ask = (url: string, path: string, init: RequestInit = {}) =>
  fetch(new URL(path, url), { signal: AbortSignal.timeout(15_000), ...init })
const TYPENAME = {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: '{"query":"{ __typename }"}',
}

describe('the routes beside GraphQL', () => {
  const nodes = useNodes({ settings: { GRAPHIQL: 'false' } })
  const url = () => nodes().urls[0] ?? ''

  it('/health says alive and /ready says ready, to be asked again every time', async () => {
    for (const [path, body] of [
      ['/health', { status: 'alive' }],
      ['/ready', { status: 'ready' }],
    ] as const) {
      const response = await ask(url(), path)
      expect([response.status, await response.json()]).toEqual([200, body])
      expect(response.headers.get('cache-control')).toBe('no-store')
      const head = await ask(url(), path, { method: 'HEAD' })
      expect([head.status, await head.text()]).toEqual([200, ''])
    }
  })

  it('/ is a page that says what this is, and offers neither GraphiQL nor a sign-in that are not there', async () => {
    const response = await ask(url(), '/')
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
    const page = await response.text()
    expect(page).toContain('Sohbet')
    expect(page).toContain('/schema.graphql')
    expect(page).not.toMatch(/GraphiQL|sign-in|<form/)
  })

  it('everything else is not found, in JSON', async () => {
    for (const [path, method] of [
      ['/nothing', 'GET'],
      ['/health', 'POST'],
      ['/', 'DELETE'],
      ['/graphql/more', 'POST'],
      ['/sign-in', 'GET'],
      ['/sign-in', 'POST'],
    ] as const) {
      const response = await fetch(url().replace('/graphql', path), { method })
      expect([path, response.status, await response.json()]).toEqual([path, 404, { error: expect.any(String) }])
    }
  })

  it('no GraphiQL is served where it is off, and nobody is signed in by name', async () => {
    const headers = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }
    for (const path of ['/graphql', '/graphql?as=Ada']) {
      const response = await ask(url(), path, { headers })
      expect(response.headers.get('content-type')).not.toContain('text/html')
      expect(await response.json()).toEqual({ errors: [expect.objectContaining({ message: expect.any(String) })] })
    }
  })

  it('names every answer of GraphQL, by the caller’s own id where there is one', async () => {
    const made = (await ask(url(), '/graphql', TYPENAME)).headers.get('x-request-id')
    expect(made).toMatch(/^[0-9a-f-]{36}$/)
    expect((await ask(url(), '/graphql', TYPENAME)).headers.get('x-request-id')).not.toBe(made)
    const headers = { ...TYPENAME.headers, 'x-request-id': 'trace:4bf92f.1' }
    expect((await ask(url(), '/graphql', { ...TYPENAME, headers })).headers.get('x-request-id')).toBe('trace:4bf92f.1')
  })
})

describe('GraphiQL in production', () => {
  const nodes = useNodes({ settings: { GRAPHIQL: 'true' } })

  it('is served where it is on, and signs nobody in by name', async () => {
    const response = await ask(nodes().urls[0] ?? '', '/graphql?as=Ada', { headers: { accept: 'text/html' } })
    expect([response.status, response.headers.get('content-type')]).toEqual([200, expect.stringContaining('text/html')])
    expect(await response.text()).not.toMatch(/Bearer eyJ|Sign in as/)
  })
})

const APP = 'https://app.example.com'
const ADMIN = 'https://admin.example.com'
const OTHER = 'https://evil.example.net'

/** What a browser would decide by: whose page may read the answer, and what it may send. */
async function cors(url: string, origin: string, init: RequestInit = TYPENAME) {
  const { headers } = await ask(url, '/graphql', { ...init, headers: { ...init.headers, origin } })
  expect(headers.get('vary')?.toLowerCase()).toContain('origin')
  expect(headers.get('access-control-allow-credentials')).toBeNull()
  return headers.get('access-control-allow-origin')
}

async function preflight(url: string, origin: string) {
  const response = await ask(url, '/graphql', {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type',
    },
  })
  expect(response.status).toBe(204)
  const { headers } = response
  return [
    headers.get('access-control-allow-origin'),
    headers.get('access-control-allow-methods'),
    headers.get('access-control-allow-headers'),
  ]
}

// Guards: an empty list of origins once let every origin in, with credentials, and a list answered others with `null`,
// which is what the pages of sandboxed frames call themselves.
describe('CORS', () => {
  const settings: Record<string, { CORS_ORIGINS?: string; allowed: string[]; refused: string[] }> = {
    'by default': { allowed: [], refused: [APP, OTHER, 'http://localhost:3000', 'null'] },
    'with one origin': {
      CORS_ORIGINS: APP,
      allowed: [APP],
      refused: [ADMIN, OTHER, `${APP}.evil.net`, 'http://app.example.com', 'null'],
    },
    'with several': { CORS_ORIGINS: `${APP},${ADMIN}`, allowed: [APP, ADMIN], refused: [OTHER, 'null'] },
    'with *': { CORS_ORIGINS: '*', allowed: [APP, OTHER, 'http://localhost:3000'], refused: [] },
  }
  for (const [when, { CORS_ORIGINS = '', allowed, refused }] of Object.entries(settings)) {
    describe(when, () => {
      let nodes: TestNodes
      const url = () => nodes.urls[0] ?? ''
      beforeAll(async () => {
        nodes = await startNodes({ settings: { CORS_ORIGINS, MAX_BODY_BYTES: '150000' } })
      })
      afterAll(() => nodes?.stop())

      it(`lets ${allowed.length > 0 ? allowed.join(', ') : 'no origin'} in`, async () => {
        for (const origin of allowed) {
          expect([origin, await cors(url(), origin)]).toEqual([origin, origin])
          expect(await preflight(url(), origin)).toEqual([origin, 'POST', 'authorization,content-type'])
          // Refusals too, or a page could not tell them from a broken network.
          const wrongToken = { ...TYPENAME, headers: { ...TYPENAME.headers, authorization: 'Bearer x' } }
          expect(await cors(url(), origin, wrongToken)).toBe(origin)
          const tooLarge = { ...TYPENAME, body: TYPENAME.body.padEnd(70_001) }
          expect(await cors(url(), origin, tooLarge)).toBe(origin)
        }
      })

      it(`keeps ${refused.length > 0 ? refused.join(', ') : 'nobody'} out`, async () => {
        for (const origin of refused) {
          expect([origin, await cors(url(), origin)]).toEqual([origin, null])
          expect(await preflight(url(), origin)).toEqual([null, null, null])
        }
      })
    })
  }
})
