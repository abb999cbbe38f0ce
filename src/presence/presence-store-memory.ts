// Presence of a single node, or of several in one process that share a state: see PresenceStore.
// As in the Redis twin, a lease that has run out counts until a call looks: then it is gone, and if that call
// cannot report the change, the next sweep does.

import type { Clock } from '../platform/clock.ts'
import {
  type Lease,
  type LeaseKey,
  type PresenceState,
  type PresenceStore,
  type Roster,
  SERVER_SCOPE,
} from './presence-store.ts'

interface User {
  sinceMs: number
  /** By node. */
  leases: Map<string, { state: PresenceState; expiresAtMs: number }>
}

interface Scope {
  /** In the order of arrival. */
  users: Map<string, User>
  /** Not later than the earliest expiry. */
  dueMs: number
}

/** What the nodes of one process share. */
export class MemoryPresenceState {
  readonly scopes = new Map<string, Scope>()
  readonly unreported = new Set<string>()
  /** Users whose last lease of the server scope has expired, until somebody takes them. */
  readonly expired = new Set<string>()
}

export interface MemoryPresenceStoreOptions {
  clock: Clock
  nodeId: string
  /** Default: a state of its own. */
  shared?: MemoryPresenceState
}

class MemoryPresenceStore implements PresenceStore {
  readonly #clock: Clock
  readonly #nodeId: string
  readonly #state: MemoryPresenceState

  constructor({ clock, nodeId, shared = new MemoryPresenceState() }: MemoryPresenceStoreOptions) {
    this.#clock = clock
    this.#nodeId = nodeId
    this.#state = shared
  }

  async hold(leases: readonly Lease[], ttlMs: number): Promise<string[]> {
    const changed = new Set<string>()
    const nowMs = this.#clock.now()
    const expiresAtMs = nowMs + ttlMs
    for (const { scope: name, userId, state } of leases) {
      const scope = this.#state.scopes.get(name) ?? { users: new Map<string, User>(), dueMs: expiresAtMs }
      const user = scope.users.get(userId) ?? { sinceMs: nowMs, leases: new Map() }
      this.#state.scopes.set(name, scope)
      scope.users.set(userId, user)
      const before = effectiveState(user)
      user.leases.set(this.#nodeId, { state, expiresAtMs })
      scope.dueMs = Math.min(scope.dueMs, expiresAtMs)
      if (effectiveState(user) !== before) changed.add(name)
    }
    return [...changed]
  }

  async release(leases: readonly LeaseKey[]): Promise<string[]> {
    const changed = new Set<string>()
    for (const { scope: name, userId } of leases) {
      const scope = this.#state.scopes.get(name)
      const user = scope?.users.get(userId)
      if (!scope || !user) continue
      const before = effectiveState(user)
      user.leases.delete(this.#nodeId)
      this.#forgetIfGone(name, scope, userId, user)
      if (effectiveState(user) !== before) changed.add(name)
    }
    return [...changed]
  }

  async sweep(): Promise<string[]> {
    this.#expireDue()
    const changed = [...this.#state.unreported]
    this.#state.unreported.clear()
    return changed
  }

  async takeExpired(): Promise<string[]> {
    const taken = [...this.#state.expired]
    this.#state.expired.clear()
    return taken
  }

  async read(scope: string, limit: number): Promise<Roster> {
    this.#expire(scope)
    const users = this.#state.scopes.get(scope)?.users ?? new Map<string, User>()
    const first = [...users].slice(0, Math.max(0, limit))
    return {
      count: users.size,
      users: first.map(([userId, user]) => ({ userId, state: isOnline(user) ? 'ONLINE' : 'AWAY' })),
    }
  }

  async counts(scopes: readonly string[]): Promise<number[]> {
    this.#expireDue()
    return scopes.map((scope) => this.#state.scopes.get(scope)?.users.size ?? 0)
  }

  async busiest(limit: number): Promise<{ scope: string; count: number }[]> {
    this.#expireDue()
    const rooms = this.#rooms().sort((a, b) => b.count - a.count)
    return rooms.slice(0, Math.max(0, limit))
  }

  async totals(): Promise<{ usersOnline: number; activeRooms: number; participants: number }> {
    this.#expireDue()
    const rooms = this.#rooms()
    return {
      usersOnline: this.#state.scopes.get(SERVER_SCOPE)?.users.size ?? 0,
      activeRooms: rooms.length,
      participants: rooms.reduce((sum, { count }) => sum + count, 0),
    }
  }

  onLost(): () => void {
    return () => {}
  }

  onReconnect(): () => void {
    return () => {}
  }

  async close(): Promise<void> {}

  #rooms(): { scope: string; count: number }[] {
    const all = [...this.#state.scopes].filter(([scope]) => scope !== SERVER_SCOPE)
    return all.map(([scope, { users }]) => ({ scope, count: users.size }))
  }

  #expireDue(): void {
    const nowMs = this.#clock.now()
    for (const [name, scope] of this.#state.scopes) if (scope.dueMs <= nowMs) this.#expire(name)
  }

  #expire(name: string): void {
    const scope = this.#state.scopes.get(name)
    if (!scope) return
    const nowMs = this.#clock.now()
    if (scope.dueMs > nowMs) return
    scope.dueMs = Number.POSITIVE_INFINITY
    for (const [userId, user] of scope.users) {
      const before = effectiveState(user)
      for (const [nodeId, lease] of user.leases) {
        if (lease.expiresAtMs <= nowMs) user.leases.delete(nodeId)
        else scope.dueMs = Math.min(scope.dueMs, lease.expiresAtMs)
      }
      this.#forgetIfGone(name, scope, userId, user)
      if (effectiveState(user) !== before) this.#state.unreported.add(name)
      if (name === SERVER_SCOPE && user.leases.size === 0) this.#state.expired.add(userId)
    }
  }

  #forgetIfGone(name: string, scope: Scope, userId: string, user: User): void {
    if (user.leases.size === 0) scope.users.delete(userId)
    if (scope.users.size === 0) this.#state.scopes.delete(name)
  }
}

function effectiveState(user: User): PresenceState | null {
  if (user.leases.size === 0) return null
  return isOnline(user) ? 'ONLINE' : 'AWAY'
}

function isOnline(user: User): boolean {
  return [...user.leases.values()].some(({ state }) => state === 'ONLINE')
}

export function createMemoryPresenceStore(options: MemoryPresenceStoreOptions): PresenceStore {
  return new MemoryPresenceStore(options)
}
