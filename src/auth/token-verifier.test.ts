import { createHmac } from 'node:crypto'
import { type JWTPayload, SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { createTokenVerifier } from './token-verifier.ts'

/** Long enough for HS512, so that what refuses it is the verifier's choice and not the key's length. */
const SECRET = 'a secret of more than thirty-two bytes, and even of more than sixty-four'
const START = Date.UTC(2026, 0, 1) / 1000
const UNAUTHENTICATED = { code: 'UNAUTHENTICATED', retryable: false }

/** A clock at START plus `seconds`, turned by hand. */
function handClock(seconds = 0) {
  const clock = { seconds, now: () => (START + clock.seconds) * 1000 }
  return clock
}

function verifierAt(clock = handClock(), claims: { issuer?: string; audience?: string } = {}) {
  const { issuer = null, audience = null } = claims
  return createTokenVerifier({ kind: 'secret', secret: SECRET, issuer, audience }, { clock })
}

function sign(payload: JWTPayload, { alg = 'HS256', secret = SECRET } = {}): Promise<string> {
  return new SignJWT({ sub: 'ada', exp: START + 300, ...payload }).setProtectedHeader({ alg }).sign(Buffer.from(secret))
}

/** A token that no library would make: any header, any bytes as claims. */
function forge(header: object, claims: string): string {
  const input = [JSON.stringify(header), claims].map((part) => Buffer.from(part).toString('base64url')).join('.')
  return `${input}.${createHmac('sha256', SECRET).update(input).digest('base64url')}`
}

describe('a verifier with a secret', () => {
  it('reads who the user is', async () => {
    const token = await sign({ iat: START - 10, name: ' Ada ', picture: 'https://example.com/ada.png' })
    expect(await verifierAt().verify(token)).toEqual({
      subject: 'ada',
      name: 'Ada',
      picture: 'https://example.com/ada.png',
      issuedAt: new Date((START - 10) * 1000),
      expiresAt: new Date((START + 300) * 1000),
      isOperator: false,
    })
  })

  it('takes a time of issue that cannot be one for none', async () => {
    for (const iat of [START * 1_000 + 1e12, -1]) {
      expect((await verifierAt().verify(await sign({ iat }))).issuedAt).toBeNull()
    }
  })

  it('takes a token for a minute after its expiry, then says that it has expired and a fresh one will do', async () => {
    const clock = handClock(359)
    const verifier = verifierAt(clock)
    const token = await sign({})
    expect((await verifier.verify(token)).subject).toBe('ada')
    clock.seconds = 360
    await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'TOKEN_EXPIRED', retryable: true })
  })

  it('takes a token from a minute before its beginning on', async () => {
    const token = await sign({ nbf: START + 100 })
    await expect(verifierAt(handClock(39)).verify(token)).rejects.toMatchObject(UNAUTHENTICATED)
    expect((await verifierAt(handClock(40)).verify(token)).subject).toBe('ada')
  })

  it('remembers a token, but not beyond its expiry', async () => {
    const clock = handClock()
    const verifier = verifierAt(clock)
    const token = await sign({})
    const first = await verifier.verify(token)
    expect(await verifier.verify(token)).toBe(first)
    clock.seconds = 300
    expect(await verifier.verify(token)).not.toBe(first)
    clock.seconds = 361
    await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'TOKEN_EXPIRED' })
  })

  it('remembers a token for five minutes at most', async () => {
    const clock = handClock()
    const verifier = verifierAt(clock)
    const token = await sign({ exp: START + 10_000 })
    const first = await verifier.verify(token)
    clock.seconds = 299
    expect(await verifier.verify(token)).toBe(first)
    clock.seconds = 300
    expect(await verifier.verify(token)).not.toBe(first)
  })

  it('checks issuer and audience where they are set', async () => {
    const verifier = verifierAt(handClock(), { issuer: 'https://id', audience: 'chat' })
    expect((await verifier.verify(await sign({ iss: 'https://id', aud: ['shop', 'chat'] }))).subject).toBe('ada')
    for (const claims of [
      {},
      { iss: 'https://id' },
      { iss: 'https://id', aud: 'shop' },
      { iss: 'https://i', aud: 'chat' },
    ]) {
      await expect(verifier.verify(await sign(claims))).rejects.toMatchObject(UNAUTHENTICATED)
    }
  })

  it.each([
    ['another secret', () => sign({}, { secret: SECRET.toUpperCase() })],
    ['HS384', () => sign({}, { alg: 'HS384' })],
    ['HS512', () => sign({}, { alg: 'HS512' })],
    ['alg none', () => forge({ alg: 'none' }, '{"sub":"ada","exp":9999999999}').replace(/[^.]+$/, '')],
    ['alg none with a signature', () => forge({ alg: 'none' }, '{"sub":"ada","exp":9999999999}')],
    ['alg NONE', () => forge({ alg: 'NONE' }, '{"sub":"ada","exp":9999999999}')],
    ['no alg', () => forge({ typ: 'JWT' }, '{"sub":"ada","exp":9999999999}')],
    ['a critical extension', () => forge({ alg: 'HS256', crit: ['x'], x: 1 }, '{"sub":"ada","exp":9999999999}')],
    ['a payload that is not encoded', () => forge({ alg: 'HS256', b64: false, crit: ['b64'] }, '{"sub":"ada"}')],
    ['claims that are no object', () => forge({ alg: 'HS256' }, '["ada"]')],
    ['claims that are no JSON', () => forge({ alg: 'HS256' }, 'ada')],
    ['no sub', () => sign({ sub: undefined })],
    ['an empty sub', () => sign({ sub: '' })],
    ['a sub that is a number', () => forge({ alg: 'HS256' }, '{"sub":1,"exp":9999999999}')],
    ['a sub of 256 characters', () => sign({ sub: 'a'.repeat(256) })],
    ['a sub with NUL', () => sign({ sub: 'a\0' })],
    ['a sub with a lone surrogate', () => forge({ alg: 'HS256' }, '{"sub":"\\ud800","exp":9999999999}')],
    ['no exp', () => sign({ exp: undefined })],
    ['an exp that is text', () => forge({ alg: 'HS256' }, '{"sub":"ada","exp":"9999999999"}')],
    ['more than 8 KiB', () => sign({ name: 'a'.repeat(8000) })],
    ['no token', () => ''],
    ['one part', () => 'token'],
    ['five parts', () => 'a.b.c.d.e'],
  ])('refuses %s', async (_, make) => {
    await expect(verifierAt().verify(await make())).rejects.toMatchObject(UNAUTHENTICATED)
  })

  it('refuses a token that is cut or changed anywhere', async () => {
    const verifier = verifierAt()
    const token = await sign({})
    for (let length = 0; length < token.length; length += 1) {
      await expect(verifier.verify(token.slice(0, length))).rejects.toMatchObject(UNAUTHENTICATED)
      // The last character of a part carries bits that are no part of it: another may decode to the same bytes.
      const [before, character, after] = [token.slice(0, length), token[length], token.slice(length + 1)]
      if (after === '' || after.startsWith('.') || character === '.') continue
      const changed = `${before}${character === 'A' ? 'B' : 'A'}${after}`
      await expect(verifier.verify(changed)).rejects.toMatchObject(UNAUTHENTICATED)
    }
  })

  it('takes a subject of 255 characters, emoji counted as one', async () => {
    const sub = '👩'.repeat(255)
    expect((await verifierAt().verify(await sign({ sub }))).subject).toBe(sub)
  })

  it('holds an expiry later than Date can', async () => {
    const verified = await verifierAt().verify(forge({ alg: 'HS256' }, '{"sub":"ada","exp":1e300}'))
    expect(verified.expiresAt).toEqual(new Date(8.64e15))
  })

  it.each([
    ['👩‍🚀'.repeat(101), '👩‍🚀'.repeat(100)],
    [`${'a'.repeat(99)} bc`, 'a'.repeat(99)],
    ['a\0b\r\nc', 'a b c'],
    ['a\ud800', 'a\ufffd'],
    [' \n ', null],
    [7, null],
  ])('mends the name %j', async (name, mended) => {
    const token = forge({ alg: 'HS256' }, JSON.stringify({ sub: 'ada', exp: START + 300, name }))
    expect((await verifierAt().verify(token)).name).toBe(mended)
  })

  it.each(['javascript:alert(1)', 'data:image/png;base64,', '/ada.png', `https://example.com/${'a'.repeat(2048)}`, 7])(
    'ignores the picture %j',
    async (picture) => {
      expect((await verifierAt().verify(await sign({ picture }))).picture).toBeNull()
    },
  )
})
