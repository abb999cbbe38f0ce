import { z } from 'zod'
import { textRule } from '../graphql/input.ts'
import { MAX_NAME_CHARACTERS } from './user-record.ts'

const MAX_STATUS_CHARACTERS = 140
const MAX_SUBJECT_CHARACTERS = 255
const MAX_URL_LENGTH = 2_048

const webUrl = z.string().transform((text, ctx) => {
  const refuse = (message: string, limit?: number) => {
    ctx.addIssue({ code: 'custom', message, params: { limit } })
    return z.NEVER
  }
  // A URL parser would drop or replace these silently.
  if (!text.isWellFormed() || /\p{Cc}/u.test(text)) return refuse('holds a control character or a lone surrogate')
  const url = text.length > MAX_URL_LENGTH ? null : URL.parse(text)
  // What is stored is the URL in its canonical form, where a letter may take six characters.
  const isTooLong = text.length > MAX_URL_LENGTH || (url !== null && url.href.length > MAX_URL_LENGTH)
  if (isTooLong) return refuse(`is longer than ${MAX_URL_LENGTH} characters`, MAX_URL_LENGTH)
  return url && /^https?:$/.test(url.protocol) ? url.href : refuse('is not an http or https URL')
})

export const subjectRule = textRule({ min: 1, max: MAX_SUBJECT_CHARACTERS, trim: false })

export const updateProfileRule = z
  .object({
    // A name cannot be removed: null leaves it as it is.
    name: textRule({ min: 1, max: MAX_NAME_CHARACTERS })
      .nullish()
      .transform((name) => name ?? undefined),
    avatarUrl: webUrl.nullish(),
    statusText: textRule({ max: MAX_STATUS_CHARACTERS })
      .nullish()
      .transform((text) => (text === '' ? null : text)),
  })
  // Fields that were not given must not stand as undefined among the changes.
  .transform((change) => Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)))
