import { describe, expect, it } from 'vitest'
import { isTypeAllowed, isTypePattern, normaliseType } from './allowed-types.ts'

describe('isTypePattern', () => {
  it.each(['*/*', 'image/*', 'application/pdf', 'application/vnd.ms-excel', 'image/svg+xml'])('takes %s', (pattern) => {
    expect(isTypePattern(pattern)).toBe(true)
  })

  it.each([
    '',
    '*',
    'image',
    'image/',
    '/png',
    '*/png',
    'image/p*',
    'image/png;q=1',
    'Image/png',
    'a b/c',
    'image/*/x',
  ])('does not take %j', (pattern) => {
    expect(isTypePattern(pattern)).toBe(false)
  })
})

describe('isTypeAllowed', () => {
  it('asks for both the bytes and the claim to be allowed', () => {
    expect(isTypeAllowed(['image/*'], 'image/png', 'image/jpeg')).toBe(true)
    expect(isTypeAllowed(['image/*'], 'text/html', 'image/png')).toBe(false)
    expect(isTypeAllowed(['image/*'], 'image/png', 'text/html')).toBe(false)
    expect(isTypeAllowed(['image/*', 'text/plain'], 'text/plain', 'image/png')).toBe(true)
  })

  it('goes by the bytes where the client claims nothing', () => {
    for (const nothing of [null, '', 'application/octet-stream', 'Binary/Octet-Stream; x=1']) {
      expect(isTypeAllowed(['image/png'], 'image/png', nothing)).toBe(true)
      expect(isTypeAllowed(['image/png'], 'application/pdf', nothing)).toBe(false)
    }
  })

  it('matches whole types: neither a beginning nor a family of another name', () => {
    expect(isTypeAllowed(['image/png'], 'image/png2', null)).toBe(false)
    expect(isTypeAllowed(['image/*'], 'imagex/png', null)).toBe(false)
    expect(isTypeAllowed([], 'image/png', null)).toBe(false)
  })

  it('knows the other names of a type, and neither case nor parameters matter', () => {
    expect(isTypeAllowed(['image/jpeg'], 'image/jpeg', 'image/JPG')).toBe(true)
    expect(isTypeAllowed(['audio/mp4'], 'audio/mp4', 'audio/x-m4a')).toBe(true)
    expect(normaliseType('Audio/OGG; codecs=opus')).toBe('audio/ogg')
  })
})
