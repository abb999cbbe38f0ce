import { describe, expect, it } from 'vitest'
import { parseRetryAfter, retryDelayMs } from './retry-delays.ts'

const HOUR_MS = 3_600_000

describe('the pause before the next attempt', () => {
  const pause = (failures: number, random = 0.5, retryAfterMs: number | null = null) =>
    retryDelayMs({ firstMs: 5_000, failures, retryAfterMs, random })

  it('doubles up to an hour', () => {
    expect([1, 2, 3, 4].map((failures) => pause(failures))).toEqual([5_000, 10_000, 20_000, 40_000])
    expect([10, 11, 50, 5_000].map((failures) => pause(failures))).toEqual([2_560_000, HOUR_MS, HOUR_MS, HOUR_MS])
  })

  it('is a quarter more or less, so that what failed together does not come back together', () => {
    expect([pause(1, 0), pause(1, 1)]).toEqual([3_750, 6_250])
  })

  it('is no shorter than the target asks for, up to a day, and no shorter than it would be', () => {
    expect(pause(1, 0.5, 30_000)).toBe(30_000)
    expect(pause(4, 0.5, 30_000)).toBe(40_000)
    expect(pause(1, 0.5, 1_000 * HOUR_MS)).toBe(24 * HOUR_MS)
  })
})

describe('Retry-After', () => {
  const nowMs = Date.parse('2026-11-23T12:00:00Z')

  it.each([
    ['120', 120_000],
    ['0', 0],
    ['Mon, 23 Nov 2026 12:01:00 GMT', 60_000],
    ['Mon, 23 Nov 2026 11:00:00 GMT', 0],
    ['soon', null],
    ['', null],
    [null, null],
  ])('%j is %s', (header, expected) => {
    expect(parseRetryAfter(header, nowMs)).toBe(expected)
  })
})
