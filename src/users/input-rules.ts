import { z } from 'zod'
import { textRule } from '../graphql/input.ts'

export const MAX_NAME_CHARACTERS = 100
const MAX_STATUS_CHARACTERS = 140
const MAX_URL_LENGTH = 2_048

const webUrl = z
  .string()
  .max(MAX_URL_LENGTH, { error: `is longer than ${MAX_URL_LENGTH} characters` })
  .refine((text) => /^https?:$/.test(URL.parse(text)?.protocol ?? ''), { error: 'is not an http or https URL' })
  .transform((text) => new URL(text).href)

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
