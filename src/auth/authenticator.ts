import type { Viewer } from '../platform/viewer.ts'
import type { Users } from '../users/service.ts'
import { bearerToken } from './bearer.ts'
import { CLOCK_TOLERANCE_SECONDS, type TokenVerifier } from './token-verifier.ts'

/**
 * The viewer of an Authorization value; null without one. Creates the user at first sight.
 * Throws GateError: UNAUTHENTICATED, TOKEN_EXPIRED, or UNAVAILABLE while the issuer's keys cannot be had.
 */
export type Authenticate = (authorization: string | null | undefined) => Promise<Viewer | null>

/** From when on a viewer's token counts no more, in ms since the Unix epoch: the same minute's grace as at the door. */
export function endsAtMs({ expiresAt }: Viewer): number {
  return expiresAt.getTime() + CLOCK_TOLERANCE_SECONDS * 1_000
}

/** Whether only tokens that were issued later still count. One that does not say when it was issued does not. */
export function isRevoked({ issuedAt }: Viewer, validFrom: Date): boolean {
  return issuedAt === null || issuedAt < validFrom
}

export function createAuthenticator({ verifier, users }: { verifier: TokenVerifier; users: Users }): Authenticate {
  return async (authorization) => {
    const token = bearerToken(authorization)
    if (token === null) return null
    const { subject, name, picture, issuedAt, expiresAt } = await verifier.verify(token)
    return { userId: await users.ensureUser({ subject, name, picture, issuedAt }), issuedAt, expiresAt }
  }
}
