/**
 * Who is where, across all nodes. A scope is a room's id or SERVER_SCOPE (being online at all).
 *
 * Every node holds one lease per (scope, user), however many devices the user has there; the user is in the
 * scope while any node's lease is unexpired. A lease that is not renewed expires, so a dead node leaves no ghost.
 * Changes are atomic: of all nodes, exactly one call reports a given transition.
 * Read by level, not by edge: readers fetch the state after a poke, so a lost poke is healed by the next read.
 */
export interface PresenceStore {
  /**
   * Creates or renews this node's leases, to expire `ttlMs` from now, and sets their states.
   * Returns the scopes in which somebody's effective state changed. Safe to repeat. At most 1,000 leases a call
   * go to the server at once; longer lists are split.
   */
  hold(leases: readonly Lease[], ttlMs: number): Promise<string[]>
  /** Ends this node's leases at once. Returns the scopes in which somebody's effective state changed. */
  release(leases: readonly LeaseKey[]): Promise<string[]>
  /** Removes what has expired (bounded per call), on whichever node calls first. Returns the scopes that changed. */
  sweep(): Promise<string[]>
  /** The scope's number of users and the first `limit` of them, longest present first. Expired leases do not count. */
  read(scope: string, limit: number): Promise<Roster>
  /** Numbers of users of many scopes at once (0 where nobody is), in the order asked. */
  counts(scopes: readonly string[]): Promise<number[]>
  /** Rooms (never SERVER_SCOPE) with somebody present, most users first, at most `limit`. */
  busiest(limit: number): Promise<{ scope: string; count: number }[]>
  /** Users online, rooms with somebody present, and the sum over those rooms of the users present. */
  totals(): Promise<{ usersOnline: number; activeRooms: number; participants: number }>
  /** Drops the connection to the server behind. Leases of this node are left to expire unless released before. */
  close(): Promise<void>
}

/** The scope of being online at all; rooms are scopes by their id. */
export const SERVER_SCOPE = 'server'

/** ONLINE wins over AWAY when a user's nodes disagree. */
export type PresenceState = 'ONLINE' | 'AWAY'

export interface LeaseKey {
  scope: string
  userId: string
}

export interface Lease extends LeaseKey {
  state: PresenceState
}

export interface Roster {
  count: number
  users: { userId: string; state: PresenceState }[]
}
