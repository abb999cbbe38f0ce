/**
 * The issuer's public keys, fetched and kept. Not jose's createRemoteJWKSet, which asks again for every token while
 * the issuer is down, forgets good keys when a refresh fails, reads answers of any size and takes no clock.
 * However many tokens come, the issuer is asked by one request at a time, and rarely (see the times below).
 */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose'
import type { Clock } from '../platform/clock.ts'
import { GateError } from '../platform/errors.ts'

const TIMEOUT_MS = 5_000
/** After this the keys are fetched again, so that a withdrawn one stops to count. */
const FRESH_MS = 10 * 60_000
/** How long keys outlive their freshness while the issuer does not answer: its short absence signs nobody out. */
const STALE_MS = 60 * 60_000
/** An unknown key id causes a fetch, but no more often than this: tokens with made-up ids are cheap to send. */
const UNKNOWN_KEY_COOLDOWN_MS = 10_000
const FAILURE_COOLDOWN_MS = 1_000
const MAX_BODY_BYTES = 512 * 1024

type Keys = ReturnType<typeof createLocalJWKSet>

export interface RemoteKeysOptions {
  clock: Clock
  /** For the whole request; 5,000 by default. */
  timeoutMs?: number
}

/**
 * Rejects with a GateError UNAVAILABLE when a key is needed that cannot be fetched, with an error of jose
 * when no key, or more than one, fits the token.
 */
export function createRemoteKeys(url: URL, { clock, timeoutMs = TIMEOUT_MS }: RemoteKeysOptions): JWTVerifyGetKey {
  let keys: Keys | null = null
  let fetchedAt = Number.NEGATIVE_INFINITY
  let failedAt = Number.NEGATIVE_INFINITY
  let pending: Promise<Keys> | null = null

  const fetchOnce = async (): Promise<Keys> => {
    try {
      keys = createLocalJWKSet(await fetchKeySet(url, timeoutMs))
      fetchedAt = clock.now()
      failedAt = Number.NEGATIVE_INFINITY
      return keys
    } catch {
      // The cause (an address, a certificate, a body) is nothing that a caller with any token should read.
      failedAt = clock.now()
      throw unavailable()
    } finally {
      pending = null
    }
  }
  const refresh = (): Promise<Keys> => {
    if (pending === null && clock.now() - failedAt < FAILURE_COOLDOWN_MS) return Promise.reject(unavailable())
    pending ??= fetchOnce()
    return pending
  }
  const current = async (): Promise<Keys> => {
    const ageMs = clock.now() - fetchedAt
    if (keys !== null && ageMs < FRESH_MS) return keys
    try {
      return await refresh()
    } catch (error) {
      if (keys !== null && ageMs < FRESH_MS + STALE_MS) return keys
      throw error
    }
  }

  return async (header, token) => {
    const known = await current()
    try {
      return await known(header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
      if (clock.now() - fetchedAt < UNKNOWN_KEY_COOLDOWN_MS) throw error
      return await (await refresh())(header, token)
    }
  }
}

function unavailable(): GateError {
  return new GateError('UNAVAILABLE', "The keys of the tokens' issuer cannot be fetched for the moment.", {
    retryable: true,
    retryAfterMs: FAILURE_COOLDOWN_MS,
  })
}

async function fetchKeySet(url: URL, timeoutMs: number): Promise<JSONWebKeySet> {
  const response = await fetch(url, {
    signal: AbortSignal.timeout(timeoutMs),
    // The configured URL was checked to be https; where it points to was not.
    redirect: 'error',
    headers: { accept: 'application/jwk-set+json, application/json' },
  })
  if (response.status !== 200 || response.body === null) {
    await response.body?.cancel()
    throw new Error(`status ${response.status}`)
  }
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body) {
    bytes += chunk.byteLength
    if (bytes > MAX_BODY_BYTES) throw new Error('too large')
    chunks.push(chunk)
  }
  // createLocalJWKSet checks the shape and throws when it is another.
  return JSON.parse(Buffer.concat(chunks).toString('utf8')) as JSONWebKeySet
}
