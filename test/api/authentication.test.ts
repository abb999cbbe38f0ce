import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, exportSPKI, generateKeyPair, type JWK, SignJWT, UnsecuredJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { type App, startApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { post } from '../support/graphql-over-http.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres-server.ts'
import { signToken, TEST_SECRET, useNodes } from '../support/start-nodes.ts'
import { countRows } from '../support/stored-rows.ts'
import { connect, subscribe } from '../support/stream.ts'

const VIEWER = '{ viewer { name } }'
const minutes = (count: number) => new Date(Date.now() + count * 60_000)

/** Status and code, and the viewer where there is one: what a client can act on. */
async function ask(url: string, authorization: string | undefined) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(authorization === undefined ? {} : { authorization }) },
    body: JSON.stringify({ query: VIEWER }),
  })
  const { data, errors } = await response.json()
  return [response.status, errors?.[0]?.extensions?.code ?? data.viewer?.name ?? null]
}

describe('tokens of a shared secret', () => {
  const nodes = useNodes({ settings: { JWT_ISSUER: 'https://id.example.com', JWT_AUDIENCE: 'sohbet' } })
  const url = () => nodes().urls[0] ?? ''
  const claims = { iss: 'https://id.example.com', aud: 'sohbet' }
  const sign = (more: object = {}, secret = TEST_SECRET) =>
    new SignJWT({ sub: 'ada', name: 'Ada', exp: minutes(60).getTime() / 1_000, ...claims, ...more })
      .setProtectedHeader({ alg: 'HS256' })
      .sign(Buffer.from(secret))

  it('sign in; without one there is no viewer', async () => {
    expect(await ask(url(), `Bearer ${await sign()}`)).toEqual([200, 'Ada'])
    expect(await ask(url(), `bearer   ${await sign()}`)).toEqual([200, 'Ada'])
    expect(await ask(url(), undefined)).toEqual([200, null])
  })

  it('are refused with 401 where they are none, or not ours, and create no user', async () => {
    const before = await countRows(nodes().databaseUrl)
    const token = await sign({ sub: 'nobody' })
    const [header, payload, signature] = token.split('.')
    const refused: Record<string, string> = {
      'another scheme': 'Basic YTpi',
      'no scheme': token,
      'no token': 'Bearer',
      'no JWT': 'Bearer nonsense',
      'two tokens': `Bearer ${token} ${token}`,
      'no signature': `Bearer ${header}.${payload}.`,
      'another payload': `Bearer ${header}.${Buffer.from('{"sub":"root","exp":9999999999}').toString('base64url')}.${signature}`,
      'another secret': `Bearer ${await sign({}, 'another secret that is long enough too')}`,
      'alg none': `Bearer ${new UnsecuredJWT({ sub: 'nobody', ...claims }).setExpirationTime('1h').encode()}`,
      'another HMAC': `Bearer ${await new SignJWT({ sub: 'nobody', ...claims })
        .setProtectedHeader({ alg: 'HS512' })
        .setExpirationTime('1h')
        .sign(Buffer.from(TEST_SECRET.repeat(2)))}`,
      'no expiry': `Bearer ${await sign({ exp: undefined })}`,
      'no subject': `Bearer ${await sign({ sub: undefined })}`,
      'an empty subject': `Bearer ${await sign({ sub: '' })}`,
      'a subject that cannot be stored': `Bearer ${await sign({ sub: 'a\u0000b' })}`,
      'a subject that is too long': `Bearer ${await sign({ sub: 'x'.repeat(256) })}`,
      'not valid yet': `Bearer ${await sign({ nbf: minutes(10).getTime() / 1_000 })}`,
      'another issuer': `Bearer ${await sign({ iss: 'https://evil.example.net' })}`,
      'another audience': `Bearer ${await sign({ aud: ['billing', 'mail'] })}`,
      'no audience': `Bearer ${await sign({ aud: undefined })}`,
      'too long a token': `Bearer ${await sign({ padding: 'x'.repeat(9_000) })}`,
    }
    for (const [what, authorization] of Object.entries(refused)) {
      expect([what, ...(await ask(url(), authorization))]).toEqual([what, 401, 'UNAUTHENTICATED'])
    }
    expect(await countRows(nodes().databaseUrl)).toEqual(before)
  })

  it('may be a minute off, for clocks that differ, and no more', async () => {
    const seconds = (offset: number) => Math.floor(Date.now() / 1_000) + offset
    expect(await ask(url(), `Bearer ${await sign({ exp: seconds(-30) })}`)).toEqual([200, 'Ada'])
    expect(await ask(url(), `Bearer ${await sign({ nbf: seconds(30) })}`)).toEqual([200, 'Ada'])
    expect(await ask(url(), `Bearer ${await sign({ exp: seconds(-90) })}`)).toEqual([401, 'TOKEN_EXPIRED'])
    const { errors } = await post(url(), VIEWER, { token: await sign({ exp: seconds(-90) }) })
    expect(errors[0]?.extensions).toMatchObject({ code: 'TOKEN_EXPIRED', retryable: true })
  })

  it('may name several audiences, and take any name, which is mended and never bars anyone', async () => {
    expect(await ask(url(), `Bearer ${await sign({ aud: ['mail', 'sohbet'] })}`)).toEqual([200, 'Ada'])
    for (const [i, [name, shown]] of [
      [7, 'named-0'],
      ['', 'named-1'],
      ['a\u0000b\ud800', 'a b\ufffd'],
      ['x'.repeat(150), 'x'.repeat(100)],
    ].entries()) {
      expect(await ask(url(), `Bearer ${await sign({ sub: `named-${i}`, name })}`)).toEqual([200, shown])
    }
  })

  it('open no WebSocket when they are refused, and say why in its close', async () => {
    for (const [token, reason] of [
      ['nonsense', 'UNAUTHENTICATED'],
      [await signToken('ada', claims, minutes(-5)), 'TOKEN_EXPIRED'],
    ] as const) {
      const client = connect(url(), token)
      expect(await subscribe(client, VIEWER).ended()).toMatchObject({
        code: reason === 'TOKEN_EXPIRED' ? 4403 : 4401,
        reason,
      })
      await client.dispose()
    }
  })
})

interface KeyServer {
  readonly url: string
  keys: JWK[]
  /** Null: it answers as it should. */
  status: number | null
  requests: number
  close(): Promise<void>
}

async function startKeyServer(): Promise<KeyServer> {
  const server: Server = createServer((_request, response) => {
    issuer.requests++
    response.writeHead(issuer.status ?? 200, { 'content-type': 'application/json' })
    response.end(issuer.status ? 'away' : JSON.stringify({ keys: issuer.keys }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer: KeyServer = {
    // A TCP server has an address object.
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`,
    keys: [],
    status: null,
    requests: 0,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return issuer
}

describe('tokens of an issuer that publishes its keys', () => {
  let issuer: KeyServer
  let database: TestDatabase
  let app: App
  let nowMs = Date.now()
  const makeKey = async (kid: string, alg = 'ES256') => {
    const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
    return {
      published: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' },
      publicKey,
      sign: (subject: string, header: object = {}) =>
        new SignJWT({ name: subject })
          .setProtectedHeader({ alg, kid, ...header })
          .setSubject(subject)
          .setIssuedAt(Math.floor(nowMs / 1_000))
          .setExpirationTime(new Date(nowMs + 3_600_000))
          .sign(privateKey),
    }
  }
  const answerTo = async (token: string) => ask(`${app.url}/graphql`, `Bearer ${token}`)

  beforeAll(async () => {
    issuer = await startKeyServer()
    database = await createTestDatabase(inject('postgresUrl'))
    const parsed = loadConfig({
      DATABASE_URL: database.url,
      REDIS_URL: 'redis://unused.invalid',
      JWKS_URL: issuer.url,
      PORT: '0',
      HOST: '127.0.0.1',
      LOG_LEVEL: 'fatal',
    })
    const config = { ...parsed, redisUrl: null }
    app = await startApp({ config, logger: createLogger('fatal'), clock: { now: () => nowMs } })
  })
  afterAll(async () => {
    await app?.close()
    await database?.drop()
    await issuer?.close()
  })

  it('are retryable while no key could ever be fetched', async () => {
    const key = await makeKey('first')
    issuer.status = 503
    expect((await answerTo(await key.sign('early')))[1]).toBe('UNAVAILABLE')
    issuer.status = null
    issuer.keys = [key.published]
    nowMs += 2_000
    expect(await answerTo(await key.sign('early'))).toEqual([200, 'early'])
  })

  it('sign in by the key that they name, through its rotation, and not by a key that was withdrawn', async () => {
    const [old, next] = [await makeKey('old'), await makeKey('next', 'RS256')]
    issuer.keys = [old.published]
    nowMs += 11_000
    expect(await answerTo(await old.sign('before'))).toEqual([200, 'before'])
    issuer.keys = [old.published, next.published]
    nowMs += 11_000
    expect(await answerTo(await next.sign('rotated'))).toEqual([200, 'rotated'])
    expect(await answerTo(await old.sign('still'))).toEqual([200, 'still'])
    issuer.keys = [next.published]
    nowMs += 11 * 60_000
    expect(await answerTo(await next.sign('after'))).toEqual([200, 'after'])
    expect(await answerTo(await old.sign('too late'))).toEqual([401, 'UNAUTHENTICATED'])
  })

  it('are refused when the key is not the issuer’s, or is used as what it is not', async () => {
    const [key, foreign] = [await makeKey('real'), await makeKey('real')]
    issuer.keys = [key.published]
    nowMs += 11 * 60_000
    expect(await answerTo(await key.sign('real'))).toEqual([200, 'real'])
    expect(await answerTo(await foreign.sign('forged'))).toEqual([401, 'UNAUTHENTICATED'])
    const publicText = Buffer.from(await exportSPKI(key.publicKey))
    const confused = await new SignJWT({ sub: 'forged' })
      .setProtectedHeader({ alg: 'HS256', kid: 'real' })
      .setExpirationTime(new Date(nowMs + 60_000))
      .sign(publicText)
    expect(await answerTo(confused)).toEqual([401, 'UNAUTHENTICATED'])
    const none = new UnsecuredJWT({ sub: 'forged' }).setExpirationTime(new Date(nowMs + 60_000)).encode()
    expect(await answerTo(none)).toEqual([401, 'UNAUTHENTICATED'])
  })

  it('do not make the server ask for every made-up key, and outlive the issuer’s absence', async () => {
    const [key, unknown] = [await makeKey('kept'), await makeKey('made up')]
    issuer.keys = [key.published]
    nowMs += 11 * 60_000
    expect(await answerTo(await key.sign('kept'))).toEqual([200, 'kept'])
    const before = issuer.requests
    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => answerTo(await unknown.sign(`x${i}`, { kid: `made up ${i}` }))),
    )
    for (const answer of answers) expect(answer).toEqual([401, 'UNAUTHENTICATED'])
    expect(issuer.requests).toBe(before)
    issuer.status = 500
    nowMs += 11 * 60_000
    expect(await answerTo(await key.sign('still here'))).toEqual([200, 'still here'])
  })
})
