import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createTokenVerifier } from './token-verifier.ts'

const START = Date.UTC(2026, 0, 1) / 1000
const UNAUTHENTICATED = { code: 'UNAUTHENTICATED', retryable: false }
const UNAVAILABLE = { code: 'UNAVAILABLE', retryable: true }

interface KeyPair {
  kid: string
  alg: string
  publicKey: CryptoKey
  privateKey: CryptoKey
}

async function makeKey(kid: string, alg = 'ES256'): Promise<KeyPair> {
  return { kid, alg, ...(await generateKeyPair(alg, { extractable: true })) }
}

async function publicJwk({ kid, alg, publicKey }: KeyPair): Promise<JWK> {
  return { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' }
}

function sign(key: KeyPair, payload: JWTPayload = {}, kid: string | undefined = key.kid): Promise<string> {
  const claims = new SignJWT({ sub: 'ada', exp: START + 86_400, ...payload })
  return claims.setProtectedHeader({ alg: key.alg, kid }).sign(key.privateKey)
}

/** An issuer's key server on a free port, which the test makes rotate its keys, fail or hang. */
class KeyServer {
  requests = 0
  answer: 'keys' | 'error' | 'hang' | 'redirect' | 'nonsense' | 'flood' = 'keys'
  keys: JWK[] = []
  readonly #server: Server = createServer((request, response) => {
    this.requests += 1
    const { answer } = this
    if (answer === 'hang') return
    if (answer === 'error') response.writeHead(503).end('{"keys":[]}')
    else if (answer === 'redirect') response.writeHead(302, { location: `${request.url}/moved` }).end()
    else if (answer === 'nonsense') response.end('<html>')
    else if (answer === 'flood') response.end(JSON.stringify({ keys: this.keys, padding: 'x'.repeat(600_000) }))
    else response.end(JSON.stringify({ keys: this.keys }))
  })

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
  }

  async publish(...keys: KeyPair[]): Promise<void> {
    this.keys = await Promise.all(keys.map(publicJwk))
  }

  get url(): string {
    // A TCP server that listens has an address of this kind.
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/jwks.json`
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

describe('a verifier with published keys', () => {
  let server: KeyServer
  let key: KeyPair
  const clock = { seconds: 0, now: () => (START + clock.seconds) * 1000 }
  beforeEach(async () => {
    clock.seconds = 0
    server = new KeyServer()
    await server.start()
    key = await makeKey('first')
    await server.publish(key)
  })
  afterEach(() => server.stop())

  function startVerifier(claims: { issuer?: string; audience?: string } = {}, keyTimeoutMs?: number) {
    const { issuer = null, audience = null } = claims
    return createTokenVerifier({ kind: 'jwks', url: server.url, issuer, audience }, { clock, keyTimeoutMs })
  }

  it.each(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'])(
    'verifies %s',
    async (alg) => {
      const other = await makeKey('other', alg)
      await server.publish(key, other)
      expect((await startVerifier().verify(await sign(other))).subject).toBe('ada')
    },
  )

  it('fetches the keys once, however many tokens come', async () => {
    const verifier = startVerifier()
    const tokens = await Promise.all(Array.from({ length: 50 }, (_, index) => sign(key, { sub: `user-${index}` })))
    const verified = await Promise.all(tokens.map((token) => verifier.verify(token)))
    expect(verified.map(({ subject }) => subject)).toEqual(tokens.map((_, index) => `user-${index}`))
    expect(server.requests).toBe(1)
  })

  it('follows the rotation of keys', async () => {
    const verifier = startVerifier()
    await verifier.verify(await sign(key))
    const next = await makeKey('next')
    await server.publish(key, next)
    clock.seconds = 10
    expect((await verifier.verify(await sign(next))).subject).toBe('ada')
    expect((await verifier.verify(await sign(key, { sub: 'grace' }))).subject).toBe('grace')
    expect(server.requests).toBe(2)
  })

  it('asks for an unknown key at most once in ten seconds', async () => {
    const verifier = startVerifier()
    const stranger = await makeKey('stranger')
    const tokens = await Promise.all(Array.from({ length: 20 }, (_, index) => sign(stranger, {}, `made-up-${index}`)))
    const refusals = () =>
      Promise.all(tokens.map((token) => expect(verifier.verify(token)).rejects.toMatchObject(UNAUTHENTICATED)))
    await refusals()
    expect(server.requests).toBe(1)
    clock.seconds = 10
    await refusals()
    expect(server.requests).toBe(2)
    clock.seconds = 19
    await refusals()
    expect(server.requests).toBe(2)
  })

  it('forgets a withdrawn key after ten minutes', async () => {
    const verifier = startVerifier()
    await verifier.verify(await sign(key))
    await server.publish(await makeKey('next'))
    clock.seconds = 600
    await expect(verifier.verify(await sign(key, { sub: 'grace' }))).rejects.toMatchObject(UNAUTHENTICATED)
  })

  it('keeps verifying for an hour while the issuer is away, then says to try again', async () => {
    const verifier = startVerifier()
    await verifier.verify(await sign(key))
    server.answer = 'error'
    clock.seconds = 600
    expect((await verifier.verify(await sign(key, { sub: 'grace' }))).subject).toBe('grace')
    clock.seconds = 4199
    expect((await verifier.verify(await sign(key, { sub: 'joan' }))).subject).toBe('joan')
    clock.seconds = 4200
    await expect(verifier.verify(await sign(key, { sub: 'mary' }))).rejects.toMatchObject(UNAVAILABLE)
    expect(server.requests).toBe(4)
  })

  it.each(['error', 'redirect', 'nonsense', 'flood'] as const)(
    'says to try again when the issuer answers with %s, asks no more than once a second, and recovers',
    async (answer) => {
      const verifier = startVerifier()
      server.answer = answer
      await expect(verifier.verify(await sign(key))).rejects.toMatchObject(UNAVAILABLE)
      await expect(verifier.verify(await sign(key))).rejects.toMatchObject(UNAVAILABLE)
      expect(server.requests).toBe(1)
      server.answer = 'keys'
      clock.seconds = 1
      expect((await verifier.verify(await sign(key))).subject).toBe('ada')
    },
  )

  it('waits for a slow issuer only so long', async () => {
    const verifier = startVerifier({}, 100)
    server.answer = 'hang'
    await expect(verifier.verify(await sign(key))).rejects.toMatchObject(UNAVAILABLE)
    expect(server.requests).toBe(1)
  })

  it('says to try again when nothing answers', async () => {
    const verifier = startVerifier()
    await server.stop()
    await expect(verifier.verify(await sign(key))).rejects.toMatchObject(UNAVAILABLE)
  })

  it('refuses a public key used as an HMAC secret, without asking the issuer', async () => {
    const rsa = await makeKey('rsa', 'RS256')
    await server.publish(rsa)
    const secrets = [await exportSPKI(rsa.publicKey), JSON.stringify(await publicJwk(rsa))]
    for (const secret of secrets) {
      const forged = new SignJWT({ sub: 'ada', exp: START + 60 }).setProtectedHeader({ alg: 'HS256', kid: 'rsa' })
      const token = await forged.sign(Buffer.from(secret))
      await expect(startVerifier().verify(token)).rejects.toMatchObject(UNAUTHENTICATED)
    }
    expect(server.requests).toBe(0)
  })

  it('refuses a published secret and a published private key', async () => {
    const secret = Buffer.from('a secret of more than thirty-two bytes')
    server.keys = [{ kty: 'oct', k: secret.toString('base64url'), kid: 'first', alg: 'HS256' }]
    const forged = new SignJWT({ sub: 'ada', exp: START + 60 }).setProtectedHeader({ alg: 'HS256', kid: 'first' })
    await expect(startVerifier().verify(await forged.sign(secret))).rejects.toMatchObject(UNAUTHENTICATED)
    server.keys = [{ ...(await exportJWK(key.privateKey)), kid: 'first', alg: 'ES256' }]
    await expect(startVerifier().verify(await sign(key))).rejects.toMatchObject(UNAUTHENTICATED)
  })

  it('refuses a key id that belongs to another key, and a key of another algorithm', async () => {
    const stranger = await makeKey('stranger')
    await expect(startVerifier().verify(await sign(stranger, {}, 'first'))).rejects.toMatchObject(UNAUTHENTICATED)
    const rsa = await makeKey('first', 'RS256')
    await expect(startVerifier().verify(await sign(rsa))).rejects.toMatchObject(UNAUTHENTICATED)
  })

  it('refuses a token that names a malformed or a short key', async () => {
    server.keys = [
      { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA', kid: 'malformed' },
      { kty: 'RSA', n: 'w'.repeat(171), e: 'AQAB', kid: 'short' },
    ]
    const rsa = await makeKey('short', 'RS256')
    await expect(startVerifier().verify(await sign(key, {}, 'malformed'))).rejects.toMatchObject(UNAUTHENTICATED)
    await expect(startVerifier().verify(await sign(rsa))).rejects.toMatchObject(UNAUTHENTICATED)
  })

  it('ignores keys that the token brings along', async () => {
    const stranger = await makeKey('stranger')
    const header = { alg: 'ES256', jwk: await exportJWK(stranger.publicKey), jku: 'http://127.0.0.1:1/', kid: 'first' }
    const token = await new SignJWT({ sub: 'ada', exp: START + 60 })
      .setProtectedHeader(header)
      .sign(stranger.privateKey)
    await expect(startVerifier().verify(token)).rejects.toMatchObject(UNAUTHENTICATED)
  })

  it('takes a token without a key id while one key fits, and asks for one when several do', async () => {
    const unnamed = new SignJWT({ sub: 'ada', exp: START + 60 }).setProtectedHeader({ alg: 'ES256' })
    const token = await unnamed.sign(key.privateKey)
    expect((await startVerifier().verify(token)).subject).toBe('ada')
    await server.publish(key, await makeKey('next'))
    await expect(startVerifier().verify(token)).rejects.toThrow('kid')
  })

  it('checks issuer, audience and times like any token', async () => {
    const verifier = startVerifier({ issuer: 'https://id', audience: 'chat' })
    const good = { iss: 'https://id', aud: 'chat' }
    expect((await verifier.verify(await sign(key, good))).subject).toBe('ada')
    await expect(verifier.verify(await sign(key, { ...good, aud: 'shop' }))).rejects.toMatchObject(UNAUTHENTICATED)
    await expect(verifier.verify(await sign(key, { ...good, iss: 'x' }))).rejects.toMatchObject(UNAUTHENTICATED)
    await expect(verifier.verify(await sign(key, { ...good, nbf: START + 61 }))).rejects.toMatchObject(UNAUTHENTICATED)
    await expect(verifier.verify(await sign(key, { ...good, exp: START - 60 }))).rejects.toMatchObject({
      code: 'TOKEN_EXPIRED',
      retryable: true,
    })
  })
})
