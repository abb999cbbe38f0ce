import { GateError } from '../platform/errors.ts'
import type { Viewer } from '../platform/viewer.ts'
import type { Users } from '../users/service.ts'
import { bearerToken } from './bearer.ts'
import { precedes, type Revocations } from './revocation-service.ts'
import { CLOCK_TOLERANCE_SECONDS, type TokenVerifier } from './token-verifier.ts'

/**
 * The viewer of an Authorization value; null without one. Creates the user at first sight.
 * Throws GateError: UNAUTHENTICATED (with the reason TOKEN_REVOKED where that is why), TOKEN_EXPIRED, or UNAVAILABLE while
 * the issuer's keys cannot be had.
 */
export type Authenticate = (authorization: string | null | undefined) => Promise<Viewer | null>

/** From when on a viewer's token counts no more, in ms since the Unix epoch: the same minute's grace as at the door. */
export function endsAtMs({ expiresAt }: Viewer): number {
  return expiresAt.getTime() + CLOCK_TOLERANCE_SECONDS * 1_000
}

export function createAuthenticator({
  verifier,
  users,
  revocations,
}: {
  verifier: TokenVerifier
  users: Users
  revocations: Pick<Revocations, 'isRevoked'>
}): Authenticate {
  return async (authorization) => {
    const token = bearerToken(authorization)
    if (token === null) return null
    const { subject, name, picture, issuedAt, expiresAt, isOperator } = await verifier.verify(token)
    const { id, tokensValidFrom } = await users.ensureUser({ subject, name, picture, issuedAt })
    const viewer = { userId: id, issuedAt, expiresAt, isOperator }
    // The user may be remembered from before a revocation, so what was heard since counts as well.
    const isRevoked = tokensValidFrom !== null && precedes(issuedAt, tokensValidFrom.getTime())
    if (isRevoked || revocations.isRevoked(viewer)) {
      const reason = 'TOKEN_REVOKED'
      throw new GateError('UNAUTHENTICATED', 'The token was revoked: sign in anew for a fresh one.', { reason })
    }
    return viewer
  }
}
