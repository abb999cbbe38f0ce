/**
 * Why the server closes a socket (RFC 6455, 7.4, and the graphql-transport-ws protocol). graphql-ws clients come back
 * by themselves after the retryable ones. docs/protocol.md is the table for clients.
 */
export const CLOSE_CODES = {
  /** This node shuts down: come back, another one or the next is there. Retryable. */
  GOING_AWAY: 1001,
  /** The token is not valid, and will not become so: graphql-ws clients give up. */
  UNAUTHORIZED: 4401,
  /** The token has expired: come back with a fresh one. Retryable. */
  FORBIDDEN: 4403,
  /** Something the server needs is away: come back later. Retryable. */
  TRY_AGAIN_LATER: 1013,
} as const
