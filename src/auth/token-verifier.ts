/**
 * From a token to who sent it. The algorithm is the configuration's choice, never the token's: secrets verify HS256
 * alone, published keys verify signatures of public-key algorithms alone, so that neither `none` nor a public key
 * used as an HMAC secret can pass.
 */
import { createHash, createSecretKey } from 'node:crypto'
import { errors, type JWTVerifyOptions, jwtVerify } from 'jose'
import { LRUCache } from 'lru-cache'
import type { Identity } from '../config.ts'
import type { Clock } from '../platform/clock.ts'
import { GateError } from '../platform/errors.ts'
import { readClaims, type VerifiedToken } from './claims.ts'
import { createRemoteKeys } from './remote-keys.ts'

export type { VerifiedToken }

export interface TokenVerifier {
  /**
   * Checks signature, issuer, audience and times (with a minute's tolerance) and reads the claims.
   * The same token is answered from memory for up to five minutes, never beyond its `exp`.
   *
   * @throws GateError UNAUTHENTICATED; TOKEN_EXPIRED (retryable, with a fresh token);
   * UNAVAILABLE (retryable) when the issuer's keys cannot be fetched, within five seconds.
   */
  verify(token: string): Promise<VerifiedToken>
}

export type VerifierIdentity = Exclude<Identity, { kind: 'development' }>

export interface TokenVerifierOptions {
  clock: Clock
  /** See RemoteKeysOptions. */
  keyTimeoutMs?: number
}

/** How far the clocks of issuer and server may differ. */
export const CLOCK_TOLERANCE_SECONDS = 60
export const MAX_TOKEN_BYTES = 8 * 1024
const CACHED_TOKENS = 10_000
const CACHED_MS = 5 * 60_000
const PUBLIC_KEY_ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
]

type Check = (token: string, options: JWTVerifyOptions) => Promise<VerifiedToken>

export function createTokenVerifier(
  identity: VerifierIdentity,
  { clock, keyTimeoutMs }: TokenVerifierOptions,
): TokenVerifier {
  const check = identity.kind === 'secret' ? secretCheck(identity.secret) : keysCheck(identity.url, clock, keyTimeoutMs)
  const verified = new LRUCache<string, { token: VerifiedToken; untilMs: number }>({ max: CACHED_TOKENS })

  return {
    async verify(text) {
      if (text.length > MAX_TOKEN_BYTES) throw refused(`The token is longer than ${MAX_TOKEN_BYTES} bytes.`)
      // The hash, so that a dump of the memory holds no keys of use.
      const id = createHash('sha256').update(text).digest('base64')
      const now = clock.now()
      const cached = verified.get(id)
      if (cached !== undefined && now < cached.untilMs) return cached.token
      const token = await checkOrRefuse(check, text, {
        issuer: identity.issuer ?? undefined,
        audience: identity.audience ?? undefined,
        requiredClaims: ['exp', 'sub'],
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
        currentDate: new Date(now),
      })
      const untilMs = Math.min(token.expiresAt.getTime(), now + CACHED_MS)
      if (now < untilMs) verified.set(id, { token, untilMs })
      return token
    },
  }
}

function secretCheck(secret: string): Check {
  const key = createSecretKey(secret, 'utf8')
  return async (token, options) => {
    const { payload } = await jwtVerify(token, key, { ...options, algorithms: ['HS256'] })
    return readClaims(payload)
  }
}

function keysCheck(url: string, clock: Clock, timeoutMs: number | undefined): Check {
  const keys = createRemoteKeys(new URL(url), { clock, timeoutMs })
  return async (token, options) => {
    const verified = jwtVerify(token, keys, { ...options, algorithms: PUBLIC_KEY_ALGORITHMS })
    const { payload } = await verified.catch((error: unknown) => {
      if (error instanceof GateError || error instanceof errors.JOSEError) throw error
      // A published key that is malformed or too short: any token may name it, so it is no defect of ours.
      throw refused("The issuer's key for the token is of no use.")
    })
    return readClaims(payload)
  }
}

async function checkOrRefuse(check: Check, token: string, options: JWTVerifyOptions): Promise<VerifiedToken> {
  try {
    return await check(token, options)
  } catch (error) {
    throw toGateError(error)
  }
}

function refused(message: string): GateError {
  return new GateError('UNAUTHENTICATED', message)
}

/** Says what is wrong with the token and nothing about the keys. What is no error of jose is a defect and stays so. */
function toGateError(error: unknown): unknown {
  if (error instanceof GateError || !(error instanceof errors.JOSEError)) return error
  if (error instanceof errors.JWTExpired) {
    return new GateError('TOKEN_EXPIRED', 'The token has expired.', { retryable: true })
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'nbf' && error.reason === 'check_failed') return refused('The token is not valid yet ("nbf").')
    return refused(`The token's "${error.claim}" claim is missing, malformed or not accepted here.`)
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return refused("The token's algorithm is not accepted here.")
  if (error instanceof errors.JWSSignatureVerificationFailed) return refused("The token's signature does not fit.")
  if (error instanceof errors.JWKSNoMatchingKey) return refused('The issuer has no key that fits the token.')
  if (error instanceof errors.JWKSMultipleMatchingKeys) return refused('The token must name its key ("kid").')
  return refused('The token is not a well-formed signed JWT.')
}
