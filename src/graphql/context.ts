import type { Db } from '../platform/db.ts'
import { GateError } from '../platform/errors.ts'
import type { Session } from '../platform/session.ts'
import type { Viewer } from '../platform/viewer.ts'

/**
 * What resolvers may use. Empty here: each feature adds its service from its own schema file, by declaration merging,
 * so that the kernel knows none of them.
 */
// biome-ignore lint/suspicious/noEmptyInterface: filled by the features
export interface Services {}

/** What one operation runs with. Made by the transport, once per HTTP request and per operation over WebSocket. */
export interface Context extends Services {
  readonly db: Db
  /** Found in the log beside everything that this operation logs. */
  readonly requestId: string
  /** Null when the caller has shown no token. */
  readonly viewer: Viewer | null
  /** That of the connection, which ends with all its streams; null where the operation has brought its own token. */
  readonly session: Session | null
  /** The connection that carries the operation: a socket, or a single HTTP request. */
  readonly connectionId: string
}

/** The signed-in user. Every field that needs one starts here. Throws UNAUTHENTICATED. */
export function requireViewer({ viewer }: Context): Viewer {
  if (!viewer) throw new GateError('UNAUTHENTICATED', 'Sign in: send a token as `Authorization: Bearer <JWT>`.')
  return viewer
}
