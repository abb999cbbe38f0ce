/**
 * Who is where, across all nodes. A scope is a room's id or SERVER_SCOPE (being online at all).
 *
 * Every node holds one lease per (scope, user), however many devices the user has there; the user is in the
 * scope while any node's lease is unexpired. A lease that is not renewed expires, so a dead node leaves no ghost.
 * Changes are atomic: of all nodes, exactly one call reports a given transition. A lease that has run out counts until
 * a call looks (sweep, or any of the readers); renewed before that, it never ended. What a reader finds expired, the
 * next sweep reports. A report is lost when its answer is (a cut connection).
 * Read by level, not by edge: readers fetch the state after a poke, so a lost poke is healed by the next read.
 */
export interface PresenceStore {
  /**
   * Creates or renews this node's leases, to expire `ttlMs` from now, and sets their states.
   * Returns the scopes in which somebody's effective state changed. Safe to repeat. Long lists go to the server in
   * pieces: when it rejects, some of them may be held, and the next call that succeeds returns their changes too.
   * The readers and this reject within a bounded time while the server behind is away.
   */
  hold(leases: readonly Lease[], ttlMs: number): Promise<string[]>
  /** Ends this node's leases at once. Returns the scopes in which somebody's effective state changed. */
  release(leases: readonly LeaseKey[]): Promise<string[]>
  /**
   * Removes what has expired (at most 32,000 leases or 16,000 scopes in a call, the rest in the next one), on whichever
   * node calls first. Returns the scopes that changed, here or under a reader. To be called every few seconds.
   */
  sweep(): Promise<string[]>
  /**
   * Users whose last lease of the SERVER_SCOPE has expired: nobody was there to see them go. Each is given to one call,
   * at most 10,000 at once; to be asked for when that scope has changed.
   */
  takeExpired(): Promise<string[]>
  /** The scope's number of users and the first `limit` of them, longest present first. Expired leases do not count. */
  read(scope: string, limit: number): Promise<Roster>
  /**
   * Numbers of users of many scopes at once (0 where nobody is), in the order asked. This and the next two leave out
   * what has expired, but for a backlog of more than 500 leases or 250 scopes: its rest counts until swept.
   */
  counts(scopes: readonly string[]): Promise<number[]>
  /** Rooms (never SERVER_SCOPE) with somebody present, most users first, at most `limit`. */
  busiest(limit: number): Promise<{ scope: string; count: number }[]>
  /** Users online, rooms with somebody present, and the sum over those rooms of the users present. */
  totals(): Promise<{ usersOnline: number; activeRooms: number; participants: number }>
  /** Called when the connection to the server behind is lost. Never called where there is no server. */
  onLost(listener: () => void): () => void
  /**
   * Called when the connection to the server behind is there again, before any call that was made since is answered.
   * The server may have lost all leases: each node should hold its own again, and until the other nodes have, what is
   * read says too little. Never called where there is no server.
   */
  onReconnect(listener: () => void): () => void
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
