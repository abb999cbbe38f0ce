// What the presence stores promise, in the plainest words: a list of leases, looked through every time.
// A lease that has run out leaves when a call looks; what that call cannot report, the next sweep does.

import { type Lease, type LeaseKey, type PresenceState, SERVER_SCOPE } from '../../src/presence/presence-store.ts'

interface ModelLease extends Lease {
  nodeId: string
  expiresAtMs: number
}

export class PresenceModel {
  nowMs = 1_700_000_000_000
  #leases: ModelLease[] = []
  readonly #sinceMs = new Map<string, number>()
  #unreported = new Set<string>()

  hold(nodeId: string, leases: readonly Lease[], ttlMs: number): string[] {
    return this.#changedBy(() => {
      for (const lease of leases) {
        this.#leases = this.#leases.filter((other) => !(other.nodeId === nodeId && isSame(other, lease)))
        this.#leases.push({ ...lease, nodeId, expiresAtMs: this.nowMs + ttlMs })
      }
    })
  }

  release(nodeId: string, keys: readonly LeaseKey[]): string[] {
    return this.#changedBy(() => {
      const isReleased = (lease: ModelLease) => lease.nodeId === nodeId && keys.some((key) => isSame(key, lease))
      this.#leases = this.#leases.filter((lease) => !isReleased(lease))
    })
  }

  sweep(): string[] {
    this.#look(() => true)
    const changed = [...this.#unreported].sort()
    this.#unreported = new Set()
    return changed
  }

  /** Longest present first; users who came in the same millisecond by their id. */
  read(scope: string): { userId: string; state: PresenceState }[] {
    this.#look((lease) => lease.scope === scope)
    const users = [...this.#levels()].filter(([key]) => key.startsWith(`${scope}/`))
    const ordered = users.map(([key, state]) => ({
      userId: key.slice(scope.length + 1),
      state,
      since: this.#sinceMs.get(key) ?? 0,
    }))
    ordered.sort((a, b) => a.since - b.since || (a.userId < b.userId ? -1 : 1))
    return ordered.map(({ userId, state }) => ({ userId, state }))
  }

  /** A store's answer with users of the same millisecond by their id: their order is nobody's promise. */
  inOrder<T extends { userId: string }>(scope: string, users: readonly T[]): T[] {
    const since = ({ userId }: T) => this.#sinceMs.get(`${scope}/${userId}`) ?? 0
    const ties = new Map<number, T[]>()
    for (const user of users) ties.set(since(user), [...(ties.get(since(user)) ?? []), user])
    return [...ties.values()].flatMap((tied) => tied.sort((a, b) => (a.userId < b.userId ? -1 : 1)))
  }

  /** Every scope with somebody in it, and how many. */
  counts(): Map<string, number> {
    this.#look(() => true)
    const counts = new Map<string, number>()
    for (const key of this.#levels().keys()) {
      const scope = key.split('/')[0] ?? ''
      counts.set(scope, (counts.get(scope) ?? 0) + 1)
    }
    return counts
  }

  totals(): { usersOnline: number; activeRooms: number; participants: number } {
    const counts = this.counts()
    const rooms = [...counts].filter(([scope]) => scope !== SERVER_SCOPE)
    return {
      usersOnline: counts.get(SERVER_SCOPE) ?? 0,
      activeRooms: rooms.length,
      participants: rooms.reduce((sum, [, count]) => sum + count, 0),
    }
  }

  #look(at: (lease: ModelLease) => boolean): void {
    const changed = this.#changedBy(() => {
      this.#leases = this.#leases.filter((lease) => !at(lease) || lease.expiresAtMs > this.nowMs)
    })
    for (const scope of changed) this.#unreported.add(scope)
  }

  /** By `scope/user`. */
  #levels(): Map<string, PresenceState> {
    const levels = new Map<string, PresenceState>()
    for (const { scope, userId, state } of this.#leases) {
      const key = `${scope}/${userId}`
      if (state === 'ONLINE' || !levels.has(key)) levels.set(key, state)
    }
    return levels
  }

  #changedBy(change: () => void): string[] {
    const before = this.#levels()
    change()
    const after = this.#levels()
    const changed = new Set<string>()
    for (const key of new Set([...before.keys(), ...after.keys()])) {
      if (before.get(key) !== after.get(key)) changed.add(key.split('/')[0] ?? '')
      if (!before.has(key)) this.#sinceMs.set(key, this.nowMs)
    }
    return [...changed].sort()
  }
}

function isSame(a: LeaseKey, b: LeaseKey): boolean {
  return a.scope === b.scope && a.userId === b.userId
}
