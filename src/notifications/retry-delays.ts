/** The longest pause that doubling comes to. */
const MAX_BACKOFF_MS = 60 * 60 * 1_000
/** A target that asks for more than a day would be asked again by nobody. */
const MAX_RETRY_AFTER_MS = 24 * 60 * 60 * 1_000

export interface RetryDelay {
  /** Before the first retry. */
  firstMs: number
  /** How often it has failed by now, from 1. */
  failures: number
  /** What the target has asked for. */
  retryAfterMs: number | null
  /** From 0 to 1: what failed together is not to come back together. */
  random: number
}

/** The pause before the next attempt: doubled with every failure up to an hour, give or take a quarter, and no less than was asked for. */
export function retryDelayMs({ firstMs, failures, retryAfterMs, random }: RetryDelay): number {
  const backoff = Math.min(firstMs * 2 ** Math.min(failures - 1, 30), MAX_BACKOFF_MS)
  return Math.max(Math.round(backoff * (0.75 + random / 2)), Math.min(retryAfterMs ?? 0, MAX_RETRY_AFTER_MS))
}

/** The header Retry-After (RFC 9110): seconds, or a date. Null for what is neither. */
export function parseRetryAfter(header: string | null, nowMs: number): number | null {
  if (header === null) return null
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1_000
  const atMs = Date.parse(header)
  return Number.isNaN(atMs) ? null : Math.max(0, atMs - nowMs)
}
