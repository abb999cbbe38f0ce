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

/**
 * Text of `min` to `max` characters as people count them (Unicode grapheme clusters), trimmed. Refuses what Postgres
 * cannot store (NUL) and what is not Unicode text (lone surrogates).
 */
export function textRule({ min = 0, max, trim = true }: { min?: number; max: number; trim?: boolean }) {
  return z.string().transform((raw, ctx) => {
    const text = trim ? raw.trim() : raw
    const refuse = (message: string, limit?: number) => {
      ctx.addIssue({ code: 'custom', message, params: { limit } })
      return z.NEVER
    }
    if (!text.isWellFormed()) return refuse('holds a lone surrogate, which is not Unicode text')
    if (text.includes('\u0000')) return refuse('holds a NUL character, which cannot be stored')
    const length = countCharacters(text, max)
    if (length > max) return refuse(`is longer than ${max} characters`, max)
    if (length < min) return refuse(min === 1 ? 'is empty' : `is shorter than ${min} characters`, min)
    return text
  })
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
