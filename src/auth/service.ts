import { GateError, RefusedError } from '../platform/errors.ts'
import type { Session } from '../platform/session.ts'
import type { Viewer } from '../platform/viewer.ts'
import type { Authenticate } from './authenticator.ts'

export type Auth = ReturnType<typeof createAuth>

export function createAuth({ authenticate }: { authenticate: Authenticate }) {
  return {
    /**
     * The connection goes on with another token of its user. Throws RefusedError: UNAUTHENTICATED or TOKEN_EXPIRED for
     * a token that signing in refuses too, FORBIDDEN for another user's, or where no connection was signed in.
     */
    async renewToken(session: Session | null, token: string): Promise<Viewer> {
      if (!session) {
        throw new RefusedError('FORBIDDEN', 'Only a WebSocket that was opened with a token has one to renew.')
      }
      const viewer = await authenticate(`Bearer ${token}`).catch(refuse)
      if (viewer?.userId !== session.viewer.userId) {
        throw new RefusedError('FORBIDDEN', 'The token is another user’s: connect anew to be somebody else.')
      }
      if (!session.renew(viewer)) throw new RefusedError('TOKEN_EXPIRED', 'The session has ended: connect again.')
      return session.viewer
    },
  }
}

function refuse(error: unknown): never {
  const isOfToken = error instanceof GateError && (error.code === 'UNAUTHENTICATED' || error.code === 'TOKEN_EXPIRED')
  throw isOfToken ? new RefusedError(error.code, error.message) : error
}
