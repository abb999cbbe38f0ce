import type { Viewer } from '../platform/viewer.ts'
import type { Users } from '../users/service.ts'
import { bearerToken } from './bearer.ts'
import type { TokenVerifier } from './token-verifier.ts'

/**
 * The viewer of an Authorization value; null without one. Creates the user at first sight.
 * Throws GateError: UNAUTHENTICATED, TOKEN_EXPIRED, or UNAVAILABLE while the issuer's keys cannot be had.
 */
export type Authenticate = (authorization: string | null | undefined) => Promise<Viewer | null>

export function createAuthenticator({ verifier, users }: { verifier: TokenVerifier; users: Users }): Authenticate {
  return async (authorization) => {
    const token = bearerToken(authorization)
    if (token === null) return null
    const { subject, name, picture, expiresAt } = await verifier.verify(token)
    return { userId: await users.ensureUser({ subject, name, picture }), expiresAt }
  }
}
