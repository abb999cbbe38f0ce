// Hours in which no device is to make a noise. They are hours of the clock on the wall: what it shows is asked of Intl, so
// that a change to summer time moves them with everybody's day, and an hour that comes twice counts twice.

import { LRUCache } from 'lru-cache'
import { DAYS, type Day, type DoNotDisturb } from '../viewer-events/notification-record.ts'

/** A format takes as long to make as a thousand uses of it. */
const KEPT_FORMATS = 200

/** Whether these hours are now. */
export type IsDoNotDisturb = (hours: DoNotDisturb | null, at: Date) => boolean

export function createDoNotDisturb(): IsDoNotDisturb {
  const formats = new LRUCache<string, Intl.DateTimeFormat>({ max: KEPT_FORMATS })

  function wallClock(timeZone: string, at: Date): { day: Day; time: string } {
    const known = formats.get(timeZone)
    const format =
      known ??
      new Intl.DateTimeFormat('en-GB', {
        ...{ timeZone, hourCycle: 'h23' },
        ...{ weekday: 'long', hour: '2-digit', minute: '2-digit' },
      })
    if (!known) formats.set(timeZone, format)
    const parts = new Map(format.formatToParts(at).map(({ type, value }) => [type, value]))
    const name = parts.get('weekday')?.toUpperCase()
    const day = DAYS.find((one) => one === name)
    if (!day) throw new Error(`Intl names no day of the week in ${timeZone}`)
    return { day, time: `${parts.get('hour')}:${parts.get('minute')}` }
  }

  return (hours, at) => {
    if (!hours) return false
    const { start, end, timeZone, days } = hours
    const { day, time } = wallClock(timeZone, at)
    // HH:MM are ordered as texts as they are as times.
    if (start < end) return days.includes(day) && time >= start && time < end
    return (days.includes(day) && time >= start) || (days.includes(dayBefore(day)) && time < end)
  }
}

function dayBefore(day: Day): Day {
  // There are seven.
  return DAYS[(DAYS.indexOf(day) + 6) % 7] as Day
}

/** Whether this names a time zone of the IANA database, and is no offset, which knows no summer time. */
export function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z][\w+/-]*$/.test(name)) return false
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}
