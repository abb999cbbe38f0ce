import { z } from 'zod'
import { textRule, webUrlRule } from '../graphql/input.ts'
import { MAX_NAME_CHARACTERS } from './user-record.ts'

const MAX_STATUS_CHARACTERS = 140
const MAX_SUBJECT_CHARACTERS = 255

export const subjectRule = textRule({ min: 1, max: MAX_SUBJECT_CHARACTERS, trim: false })

export const updateProfileRule = z
  .object({
    // A name cannot be removed: null leaves it as it is.
    name: textRule({ min: 1, max: MAX_NAME_CHARACTERS })
      .nullish()
      .transform((name) => name ?? undefined),
    avatarUrl: webUrlRule.nullish(),
    statusText: textRule({ max: MAX_STATUS_CHARACTERS })
      .nullish()
      .transform((text) => (text === '' ? null : text)),
  })
  // Fields that were not given must not stand as undefined among the changes.
  .transform((change) => Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)))
