import { describe, expect, it } from 'vitest'
import { bearerToken } from './bearer.ts'

describe('bearerToken', () => {
  it.each([null, undefined, '', '  '])('finds none in %j', (header) => {
    expect(bearerToken(header)).toBeNull()
  })

  it.each(['Bearer a.b-c_d', 'bearer a.b-c_d', ' BEARER   a.b-c_d '])('reads %j', (header) => {
    expect(bearerToken(header)).toBe('a.b-c_d')
  })

  it.each([
    'Basic YTpi',
    'Bearer',
    'Bearer ',
    'a.b.c',
    'Bearer a b',
    'Bearer a,b',
    'Bearer "a"',
    'Bearer=a',
    'Bearer a\0',
  ])('refuses %j rather than taking the caller for a stranger', (header) => {
    expect(() => bearerToken(header)).toThrow(expect.objectContaining({ code: 'UNAUTHENTICATED', retryable: false }))
  })
})
