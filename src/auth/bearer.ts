import { GateError } from '../platform/errors.ts'

/** RFC 6750, 2.1; the scheme's case does not matter (RFC 9110, 11.1). */
const BEARER = /^Bearer +([A-Za-z0-9\-._~+/]+=*)$/i

/**
 * The token of an `Authorization` header, or of its twin in `connection_init`; null where there is none.
 *
 * @throws GateError UNAUTHENTICATED for another scheme or a malformed value: a caller who shows credentials
 * that cannot be read is told so, not taken for one without.
 */
export function bearerToken(header: string | null | undefined): string | null {
  const value = header?.trim() ?? ''
  if (value === '') return null
  const token = BEARER.exec(value)?.[1]
  if (token === undefined) throw new GateError('UNAUTHENTICATED', 'The authorization must read "Bearer <token>".')
  return token
}
