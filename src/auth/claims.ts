/**
 * What a verified token says about its user. The subject is who they are and is taken exactly or refused; name and
 * picture only decorate, so what is unfit in them is mended or left out and never bars anyone.
 */
import type { JWTPayload } from 'jose'
import { GateError } from '../platform/errors.ts'
import { firstCharacters } from '../platform/text.ts'
import { MAX_NAME_CHARACTERS } from '../users/user-record.ts'

export interface VerifiedToken {
  /** 1 to 255 characters (code points), well-formed, without NUL; compared exactly. */
  readonly subject: string
  /** Trimmed, 1 to 100 characters (grapheme clusters), at most 1,000 UTF-16 units; null where there is none. */
  readonly name: string | null
  /** An http(s) URL of at most 2,048 characters; null where there is none. */
  readonly picture: string | null
  /** The `iat` claim; null where there is none, or none between 1970 and 2286. */
  readonly issuedAt: Date | null
  /** The `exp` claim. For a minute longer the token still passes verification, for clocks that differ. */
  readonly expiresAt: Date
  /** Whether the `scope` claim holds the operator's. */
  readonly isOperator: boolean
}

/** What an operator's token has in its `scope` claim (RFC 8693, 4.2), beside anything else, with spaces between. */
export const OPERATOR_SCOPE = 'sohbet:operator'

const MAX_SUBJECT_CHARACTERS = 255
const MAX_NAME_UNITS = 1000
const MAX_PICTURE_CHARACTERS = 2048
/** In 2286. Beyond lie the times of issuers who count milliseconds, which would outrank every right one for ever. */
const MAX_ISSUED_AT_SECONDS = 1e10
/** The last moment that Date can hold; a token may name a later one. */
const LAST_MOMENT_MS = 8.64e15

/** @throws GateError UNAUTHENTICATED where `sub` or `exp` is unfit. */
export function readClaims(payload: JWTPayload): VerifiedToken {
  const expiresAt = readDate(payload.exp)
  if (expiresAt === null) throw new GateError('UNAUTHENTICATED', 'The token has no "exp" claim that is a time.')
  return {
    subject: readSubject(payload.sub),
    name: readName(payload.name),
    picture: readPicture(payload.picture),
    issuedAt: readIssuedAt(payload.iat),
    expiresAt,
    isOperator: typeof payload.scope === 'string' && payload.scope.split(' ').includes(OPERATOR_SCOPE),
  }
}

function readSubject(sub: unknown): string {
  if (
    typeof sub !== 'string' ||
    sub === '' ||
    [...sub].length > MAX_SUBJECT_CHARACTERS ||
    sub.includes('\0') ||
    !sub.isWellFormed()
  ) {
    const rule = `1 to ${MAX_SUBJECT_CHARACTERS} well-formed characters without NUL`
    throw new GateError('UNAUTHENTICATED', `The token's "sub" claim must be ${rule}.`)
  }
  return sub
}

/** Controls would break the lines that names stand in; Postgres takes neither NUL nor a lone surrogate. */
function readName(name: unknown): string | null {
  if (typeof name !== 'string') return null
  const clean = name
    .toWellFormed()
    .replace(/\p{Cc}+/gu, ' ')
    .trim()
  let cut = firstCharacters(clean, MAX_NAME_CHARACTERS)
  if (cut.length > MAX_NAME_UNITS) cut = cut.slice(0, MAX_NAME_UNITS).replace(/[\uD800-\uDBFF]$/, '')
  return cut.trim() || null
}

function readPicture(picture: unknown): string | null {
  const url = typeof picture === 'string' ? URL.parse(picture) : null
  if (url?.protocol !== 'https:' && url?.protocol !== 'http:') return null
  return url.href.length <= MAX_PICTURE_CHARACTERS ? url.href : null
}

function readIssuedAt(seconds: unknown): Date | null {
  return typeof seconds === 'number' && seconds >= 0 && seconds < MAX_ISSUED_AT_SECONDS ? readDate(seconds) : null
}

function readDate(seconds: unknown): Date | null {
  if (typeof seconds !== 'number' || Number.isNaN(seconds)) return null
  return new Date(Math.max(-LAST_MOMENT_MS, Math.min(LAST_MOMENT_MS, seconds * 1000)))
}
