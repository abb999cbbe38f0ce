import { z } from 'zod'
import { globalIdOf } from '../graphql/global-id.ts'
import { DAYS } from '../viewer-events/notification-record.ts'
import { isTimeZone } from './do-not-disturb.ts'

export const notificationRule = z.object({ notificationId: globalIdOf('Notification') })
export const upToRule = z.object({ upTo: globalIdOf('Notification') })

const level = z.enum(['ALL', 'MENTIONS', 'NONE'])
const time = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, { error: 'is no time of the day, as 22:00' })

const doNotDisturb = z.object({
  start: time,
  end: time,
  timeZone: z
    .string()
    .max(100, { error: 'is longer than 100 characters' })
    .refine(isTimeZone, { error: 'is no time zone of the IANA database, as Europe/Berlin' }),
  days: z
    .array(z.enum(DAYS))
    .min(1, { error: 'names no day' })
    .nullish()
    // In the order of the week, each once.
    .transform((days) => DAYS.filter((day) => !days || days.includes(day))),
})

export const notificationSettingsRule = z
  .object({
    // These two always have a value: null leaves them as they are.
    level: level.nullish().transform((value) => value ?? undefined),
    pushPrivacy: z
      .enum(['FULL', 'SENDER_ONLY', 'NONE'])
      .nullish()
      .transform((value) => value ?? undefined),
    doNotDisturb: doNotDisturb.nullish(),
  })
  .transform(withoutUndefined)

export const roomNotificationsRule = z
  .object({
    roomId: globalIdOf('Room'),
    level: level.nullish(),
    // Later years are written with more digits than the database reads.
    mutedUntil: z.date().max(new Date('9999-12-31T23:59:59.999Z'), { error: 'is later than the year 9999' }).nullish(),
  })
  .transform(({ roomId, ...change }) => ({ roomId, change: withoutUndefined(change) }))

type Defined<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> }

function withoutUndefined<T extends object>(values: T): Defined<T> {
  // What is left out is left out, not undefined.
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Defined<T>
}
