// Arguments are checked here, before any work: what a rule refuses is told with the field's path and the limit.

import { z } from 'zod'
import { ValidationError, type ValidationIssue } from '../platform/errors.ts'
import { countCharacters } from '../platform/text.ts'

/**
 * The value as the rule gives it. Throws ValidationError with every issue; paths start with `root`, the argument's name.
 */
export function parseInput<T>(rule: z.ZodType<T>, value: unknown, root = 'input'): T {
  const result = rule.safeParse(value)
  if (result.success) return result.data
  throw new ValidationError(result.error.issues.map((issue) => toIssue(issue, root)))
}

/** White space that String.trim leaves, and what takes no place at all: nobody could see such a name or message. */
const VISIBLE = /[^\p{White_Space}\p{Default_Ignorable_Code_Point}]/u

/** Whether there is nothing in the text that anybody could see. */
export const isBlank = (text: string): boolean => !VISIBLE.test(text)

interface TextLimits {
  /** 1: it may not be empty. */
  min?: 0 | 1
  max: number
  /** Whether white space around it is removed. Such text is for people: what cannot be seen counts as empty. */
  trim?: boolean
}

/**
 * Text of `min` to `max` characters as people count them (Unicode grapheme clusters). Refuses what Postgres cannot store
 * (NUL) and what is not Unicode text (lone surrogates).
 */
export function textRule({ min = 0, max, trim = true }: TextLimits) {
  return z.string().transform((raw, ctx) => {
    const text = trim ? raw.trim() : raw
    const isEmpty = text === '' || (trim && isBlank(text))
    const problem = isEmpty && min > 0 ? { message: 'is empty', limit: min } : findProblem(text, max)
    if (problem === null) return text
    ctx.addIssue({ code: 'custom', message: problem.message, params: { limit: problem.limit } })
    return z.NEVER
  })
}

const MAX_URL_LENGTH = 2_048

/** An http or https URL, in its canonical form, of at most 2,048 characters. */
export const webUrlRule = z.string().transform((text, ctx) => {
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

function findProblem(text: string, max: number): { message: string; limit?: number } | null {
  if (!text.isWellFormed()) return { message: 'holds a lone surrogate, which is not Unicode text' }
  if (text.includes('\u0000')) return { message: 'holds a NUL character, which cannot be stored' }
  return countCharacters(text, max) > max ? { message: `is longer than ${max} characters`, limit: max } : null
}

function toIssue(issue: z.core.$ZodIssue, root: string): ValidationIssue {
  const path = [root, ...issue.path.map(String)].join('.')
  return { path, message: issue.message, limit: limitOf(issue) }
}

function limitOf(issue: z.core.$ZodIssue): number | null {
  if (issue.code === 'too_big') return Number(issue.maximum)
  if (issue.code === 'too_small') return Number(issue.minimum)
  const limit = issue.code === 'custom' ? issue.params?.limit : null
  return typeof limit === 'number' ? limit : null
}
