import { describe, expect, it } from 'vitest'
import { newId } from '../platform/ids.ts'
import { createUrlSigner, parseFilePath } from './signed-url.ts'

const HOUR_MS = 3_600_000
const SECRET = 'a secret of the tests, long enough'

function open({ secret = SECRET, ttlMs = HOUR_MS } = {}) {
  const clock = { nowMs: 10 * HOUR_MS + 1, now: () => clock.nowMs }
  return { clock, signer: createUrlSigner({ secret, ttlMs, clock }) }
}

function partsOf(url: string) {
  const { pathname, searchParams } = new URL(url, 'http://host')
  const target = parseFilePath(pathname)
  if (!target) throw new Error(`${pathname} is no path of a file`)
  return { target, query: searchParams }
}

const attachmentId = newId()
const picture = { attachmentId, rendition: 'original', name: 'a cat.png' }

describe('a signed url', () => {
  it('works for what it was made for', () => {
    const { signer } = open()
    const { target, query } = partsOf(signer.sign(picture))
    expect(target).toEqual({ attachmentId, rendition: 'original' })
    expect(signer.verify(target, query).kind).toBe('VALID')
  })

  it('works for its lifetime at least, for twice as long at most, and stays the same for a while', () => {
    const { signer, clock } = open()
    const url = signer.sign(picture)
    const { target, query } = partsOf(url)
    clock.nowMs = 11 * HOUR_MS - 1
    expect(signer.sign(picture)).toBe(url)
    clock.nowMs = 12 * HOUR_MS - 1
    expect(signer.verify(target, query)).toEqual({ kind: 'VALID', expiresAt: new Date(12 * HOUR_MS) })
    clock.nowMs = 12 * HOUR_MS
    expect(signer.verify(target, query)).toEqual({ kind: 'EXPIRED' })
    expect(signer.sign(picture)).not.toBe(url)
  })

  it('works for nothing else: another file, another rendition, a later expiry, another secret', () => {
    const { signer, clock } = open()
    const { target, query } = partsOf(signer.sign(picture))
    const verdict = (changed: Partial<typeof target>, settings: Record<string, string> = {}, by = signer) => {
      const changedQuery = new URLSearchParams(query)
      for (const [name, value] of Object.entries(settings)) changedQuery.set(name, value)
      return by.verify({ ...target, ...changed }, changedQuery).kind
    }
    expect(verdict({})).toBe('VALID')
    expect(verdict({ attachmentId: newId() })).toBe('INVALID')
    expect(verdict({ rendition: 'thumbnail' })).toBe('INVALID')
    const expires = Number(query.get('expires'))
    for (const changed of [
      String(expires + 1),
      `${expires}0`,
      `0${expires}`,
      ` ${expires}`,
      '',
      '9'.repeat(20),
      'NaN',
    ]) {
      expect(verdict({}, { expires: changed })).toBe('INVALID')
    }
    const signature = query.get('signature') ?? ''
    const flipped = `${signature[0] === 'A' ? 'B' : 'A'}${signature.slice(1)}`
    for (const changed of [
      flipped,
      signature.slice(1),
      `${signature}=`,
      `${signature}A`,
      signature.toLowerCase(),
      '',
      'ş',
    ]) {
      expect(verdict({}, { signature: changed })).toBe('INVALID')
    }
    expect(verdict({}, {}, open({ secret: `${SECRET}!` }).signer)).toBe('INVALID')
    // Nor does an expired one say more than an invalid one to who has changed it.
    clock.nowMs += 10 * HOUR_MS
    expect(verdict({}, { signature: flipped })).toBe('INVALID')
    expect(signer.verify(target, new URLSearchParams()).kind).toBe('INVALID')
  })

  it.each(['a/../../b.png', '..', '.', '', '/', 'ş ı ğ.png', '👩‍👩‍👧.gif', 'a?b#c%2f', 'x\r\ny', '\ud800.png'])(
    'can be made for any name: %j',
    (name) => {
      const { signer } = open()
      const { target, query } = partsOf(signer.sign({ ...picture, name }))
      expect(target).toEqual({ attachmentId, rendition: 'original' })
      expect(signer.verify(target, query).kind).toBe('VALID')
    },
  )

  it.each([
    '/files',
    '/files/',
    `/files/${attachmentId}`,
    `/files/${attachmentId}/`,
    '/files/not-an-id/original/x',
    `/files/${attachmentId}/original/x/y`,
    `/files/${attachmentId}/..%2f..%2fetc/passwd`,
    `/files/${attachmentId}/Original/x`,
    `/files/${attachmentId}/${'x'.repeat(33)}/x`,
  ])('has no other path: %s', (path) => {
    expect(parseFilePath(path)).toBe(null)
  })
})
