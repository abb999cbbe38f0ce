import { describe, expect, it } from 'vitest'
import { DAYS, type DoNotDisturb } from '../viewer-events/notification-record.ts'
import { createDoNotDisturb, isTimeZone } from './do-not-disturb.ts'

const isDoNotDisturb = createDoNotDisturb()
const nights = (more: Partial<DoNotDisturb> = {}): DoNotDisturb => ({
  ...{ start: '22:00', end: '07:00', timeZone: 'Europe/Berlin', days: DAYS },
  ...more,
})
const at = (iso: string, hours: DoNotDisturb) => isDoNotDisturb(hours, new Date(iso))

describe('hours in which nobody is disturbed', () => {
  it('are none where there are none', () => {
    expect(isDoNotDisturb(null, new Date())).toBe(false)
  })

  it('begin with their first minute and end with the one before their end', () => {
    const lunch = nights({ start: '12:30', end: '13:00', timeZone: 'UTC' })
    const times = ['12:29:59.999', '12:30:00', '12:59:59.999', '13:00:00']
    expect(times.map((time) => at(`2026-06-03T${time}Z`, lunch))).toEqual([false, true, true, false])
  })

  it('go over midnight where their end is before their start', () => {
    // In winter Berlin is an hour ahead of UTC.
    const times = [
      '2026-01-14T20:59Z',
      '2026-01-14T21:00Z',
      '2026-01-14T23:30Z',
      '2026-01-15T05:59Z',
      '2026-01-15T06:00Z',
    ]
    expect(times.map((time) => at(time, nights()))).toEqual([false, true, true, true, false])
  })

  it('count by the day on which they begin', () => {
    const fridays = nights({ days: ['FRIDAY'] })
    // 2026-01-16 is a Friday.
    expect(at('2026-01-16T05:00Z', fridays)).toBe(false)
    expect(at('2026-01-16T21:30Z', fridays)).toBe(true)
    expect(at('2026-01-17T05:59Z', fridays)).toBe(true)
    expect(at('2026-01-17T21:30Z', fridays)).toBe(false)
    // From Sunday into Monday the week goes round.
    expect(at('2026-01-19T05:00Z', nights({ days: ['SUNDAY'] }))).toBe(true)
  })

  it('last the whole day, from start to start, where start and end are one', () => {
    const mondays = nights({ start: '08:00', end: '08:00', timeZone: 'UTC', days: ['MONDAY'] })
    const times = ['2026-01-19T07:59Z', '2026-01-19T08:00Z', '2026-01-20T07:59Z', '2026-01-20T08:00Z']
    expect(times.map((time) => at(time, mondays))).toEqual([false, true, true, false])
  })

  it('move with summer time', () => {
    // The clocks go from 02:00 to 03:00 on 2026-03-29: 07:00 is at 06:00 UTC before, at 05:00 UTC after.
    expect(at('2026-03-28T05:30Z', nights())).toBe(true)
    expect(at('2026-03-29T05:30Z', nights())).toBe(false)
    // And back on 2026-10-25.
    expect(at('2026-10-24T05:30Z', nights())).toBe(false)
    expect(at('2026-10-25T05:30Z', nights())).toBe(true)
  })

  it('do not miss the hour that is skipped, and count the one that comes twice both times', () => {
    const early = nights({ start: '02:15', end: '02:45' })
    // Nothing between 02:00 and 03:00 is on the wall on that day.
    expect(at('2026-03-29T01:20Z', early)).toBe(false)
    expect(at('2026-10-25T00:20Z', early)).toBe(true)
    expect(at('2026-10-25T01:20Z', early)).toBe(true)
    expect(at('2026-10-25T00:50Z', early)).toBe(false)
    const late = nights({ start: '02:30', end: '03:30' })
    expect(at('2026-03-29T01:20Z', late)).toBe(true)
  })

  it('are in zones that are not whole hours away', () => {
    const kathmandu = nights({ timeZone: 'Asia/Kathmandu' })
    expect(at('2026-01-14T16:14Z', kathmandu)).toBe(false)
    expect(at('2026-01-14T16:15Z', kathmandu)).toBe(true)
  })
})

describe('a time zone', () => {
  it('is a name of the IANA database, not an offset', () => {
    expect(['Europe/Berlin', 'Asia/Calcutta', 'UTC', 'America/Argentina/Ushuaia'].map(isTimeZone)).not.toContain(false)
    expect(['', '+03:00', 'Mars/Olympus', 'Europe/Berlin\n', 'x'.repeat(1_000)].map(isTimeZone)).not.toContain(true)
  })
})
