import { rm } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type App, startApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { post } from '../support/graphql-over-http.ts'
import { temporaryFolder } from '../support/postgres-server.ts'

// The embedded default, as `npm start` runs it: no settings but where to keep the data.
describe('in development', () => {
  let dir: string
  let app: App
  beforeAll(async () => {
    dir = await temporaryFolder('development')
    const config = loadConfig({ DATA_DIR: dir, PORT: '0', LOG_LEVEL: 'fatal' })
    app = await startApp({ config, logger: createLogger(config.logLevel) })
  })
  afterAll(async () => {
    await app?.close()
    await rm(dir, { recursive: true, force: true })
  })

  const signIn = async (body: string) => {
    const response = await fetch(`${app.url}/sign-in`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      signal: AbortSignal.timeout(10_000),
    })
    return { status: response.status, ...(await response.json()) }
  }
  const signInAs = (name: unknown) => signIn(JSON.stringify({ name }))
  const viewer = async (token: string) =>
    (await post(`${app.url}/graphql`, '{ viewer { id name } }', { token })).data?.viewer

  it('pages of this machine may sign in from another port, and pages from elsewhere may not', async () => {
    const allowedFor = async (method: string, origin: string) => {
      const init = { method, headers: { origin }, body: method === 'POST' ? '{"name":"Ada"}' : null }
      const { headers } = await fetch(`${app.url}/sign-in`, { ...init, signal: AbortSignal.timeout(10_000) })
      return headers.get('access-control-allow-origin')
    }
    for (const method of ['OPTIONS', 'POST']) {
      expect(await allowedFor(method, 'http://localhost:5173')).toBe('http://localhost:5173')
      expect(await allowedFor(method, 'https://evil.example.net')).toBeNull()
    }
  })

  it('everybody signs in with just a name, and the same name is the same user', async () => {
    const first = await signInAs('Ada')
    expect(first.status).toBe(200)
    const ada = await viewer(first.token)
    expect(ada).toEqual({ id: expect.any(String), name: 'Ada' })
    expect(await viewer((await signInAs('  Ada ')).token)).toEqual(ada)
    expect(await viewer((await signInAs('Bo')).token)).not.toMatchObject({ id: (ada as { id: string }).id }) // as matched above
    expect(await viewer((await signInAs('🙂'.repeat(100))).token)).toMatchObject({ name: '🙂'.repeat(100) })
    const escaped = JSON.stringify({ name: '🙂'.repeat(100) }).replace(
      /[^\x20-\x7e]/g,
      (unit) => `\\u${unit.charCodeAt(0).toString(16)}`,
    )
    expect((await signIn(escaped)).status).toBe(200)
  })

  it('whoever says so is an operator, and nobody else', async () => {
    const webhooks = async (token: string) =>
      (await post(`${app.url}/graphql`, '{ webhooks { edges { cursor } } }', { token })).data?.webhooks
    expect(await webhooks((await signIn('{"name":"Ada","operator":true}')).token)).toEqual({ edges: [] })
    expect(await webhooks((await signIn('{"name":"Ada","operator":false}')).token)).toBeNull()
    expect(await webhooks((await signInAs('Ada')).token)).toBeNull()
    expect((await signIn('{"name":"Ada","operator":"yes"}')).status).toBe(400)
  })

  it('names that are empty, too long or cannot be stored are refused by rule', async () => {
    for (const [name, limit] of [
      ['', 1],
      [' \n', 1],
      ['\u200b', 1],
      ['x'.repeat(101), 100],
      ['a\u0000b', null],
      ['a\ud800b', null],
    ] as const) {
      const { status, error } = await signInAs(name)
      expect([name, status, error]).toEqual([
        name,
        400,
        expect.objectContaining({
          code: 'VALIDATION_FAILED',
          issues: [expect.objectContaining({ path: 'input.name', limit })],
        }),
      ])
    }
  })

  it('requests that are none are refused with a code', async () => {
    for (const body of ['', 'Ada', '{}', '[]', 'null', '{"name":7}', '{"name":null}', '{"name":"Ada"']) {
      expect([body, await signIn(body)]).toEqual([
        body,
        { status: 400, error: { code: 'BAD_REQUEST', message: expect.any(String) } },
      ])
    }
    for (const bytes of [10_000, 2_000_000]) {
      expect(await signInAs('x'.repeat(bytes))).toMatchObject({ status: 413, error: { code: 'PAYLOAD_TOO_LARGE' } })
    }
  })

  it('GraphiQL opens signed in as the name in its address, with ready examples', async () => {
    const open = async (path: string) => {
      const response = await fetch(`${app.url}${path}`, { headers: { accept: 'text/html' } })
      return { status: response.status, text: await response.text() }
    }
    const { status, text } = await open('/graphql?as=Ada')
    expect(status).toBe(200)
    expect(text).toContain('RoomEvents')
    const [token = ''] = /eyJ[\w-]+\.[\w-]+\.[\w-]+/.exec(text) ?? []
    expect(await viewer(token)).toMatchObject({ name: 'Ada' })
    expect((await open('/graphql?as=Ada&operator=true')).text).toContain('Signed in as Ada, an operator.')
    expect((await open('/graphql')).text).not.toMatch(/eyJ[\w-]+\.[\w-]+\.[\w-]+/)
    expect((await open(`/graphql?as=${'x'.repeat(200)}`)).text).not.toMatch(/eyJ[\w-]+\.[\w-]+\.[\w-]+/)
  })

  it('the home page offers both', async () => {
    const page = await (await fetch(app.url)).text()
    expect(page).toMatch(/GraphiQL/)
    expect(page).toMatch(/<form[^>]* action="\/graphql"/)
  })

  it('pages of this machine, on any port, may call the server, and no others', async () => {
    const allowedOrigin = async (origin: string) => {
      const response = await fetch(`${app.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', origin },
        body: '{"query":"{ __typename }"}',
      })
      return response.headers.get('access-control-allow-origin')
    }
    for (const origin of ['http://localhost:5173', 'http://localhost', 'http://127.0.0.1:3000', 'http://[::1]:8080']) {
      expect([origin, await allowedOrigin(origin)]).toEqual([origin, origin])
    }
    for (const origin of ['https://example.com', 'http://localhost.evil.net', 'http://evil.net:4000', 'null']) {
      expect([origin, await allowedOrigin(origin)]).toEqual([origin, null])
    }
  })
})
