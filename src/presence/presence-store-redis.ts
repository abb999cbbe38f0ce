// Presence shared by all nodes: see PresenceStore. What is atomic happens in the scripts; this file cuts the work
// into bounded pieces, so that no call holds Redis up, and decodes the answers.

import { createHash } from 'node:crypto'
import type { Clock } from '../platform/clock.ts'
import { closeRedis } from '../platform/redis.ts'
import type { RedisOfOneSlot } from '../platform/redis-cluster.ts'
import { BUSIEST, COUNTS, HOLD, READ, RELEASE, SWEEP, TOTALS } from './presence-scripts.lua.ts'
import type { Lease, LeaseKey, PresenceStore, Roster } from './presence-store.ts'

export interface RedisPresenceStoreOptions {
  /** From createRedis, or the part of a cluster that owns `keyPrefix{presence}`. The store owns it and closes it. */
  redis: RedisOfOneSlot
  /** Unique to this process; without `|`. */
  nodeId: string
  /** Default `sohbet:`. */
  keyPrefix?: string
  /** Default: Redis' own clock, so that the clocks of the nodes do not matter. */
  clock?: Clock
}

const ITEMS_PER_CALL = 250
/** Rounds of removing what has expired in one call: 32,000 leases or 16,000 scopes. */
const MAX_ROUNDS = 64

class RedisPresenceStore implements PresenceStore {
  readonly #redis: RedisOfOneSlot
  readonly #nodeId: string
  readonly #root: string
  readonly #clock: Clock | null
  /** Changes of a call that failed half-way: the next call that succeeds returns them. */
  readonly #unreturned = new Set<string>()

  constructor({ redis, nodeId, keyPrefix = 'sohbet:', clock }: RedisPresenceStoreOptions) {
    if (nodeId.includes('|')) throw new Error('A nodeId must not contain |')
    this.#redis = redis
    this.#nodeId = nodeId
    this.#root = `${keyPrefix}{presence}`
    this.#clock = clock ?? null
  }

  async hold(leases: readonly Lease[], ttlMs: number): Promise<string[]> {
    for (const chunk of chunksOf(leases)) {
      const args = chunk.flatMap(({ state, scope, userId }) => [state === 'ONLINE' ? 'O' : 'A', scope, userId])
      this.#noteChanges(await this.#run(HOLD, [this.#nodeId, ttlMs, ...args]))
    }
    return this.#takeChanges()
  }

  async release(leases: readonly LeaseKey[]): Promise<string[]> {
    for (const chunk of chunksOf(leases)) {
      const args = chunk.flatMap(({ scope, userId }) => [scope, userId])
      this.#noteChanges(await this.#run(RELEASE, [this.#nodeId, ...args]))
    }
    return this.#takeChanges()
  }

  async sweep(): Promise<string[]> {
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const [left, changed] = listOf(await this.#run(SWEEP, []))
      this.#noteChanges(changed)
      if (Number(left) === 0) break
    }
    return this.#takeChanges()
  }

  async read(scope: string, limit: number): Promise<Roster> {
    for (let round = 1; ; round += 1) {
      const [stillExpired, count, ...members] = listOf(await this.#run(READ, [scope, limit]))
      if (Number(stillExpired) > 0 && round < MAX_ROUNDS) continue
      const users = pairsOf(members).map(([userId, isOnline]) => ({
        userId: String(userId),
        state: Number(isOnline) === 1 ? ('ONLINE' as const) : ('AWAY' as const),
      }))
      return { count: Number(count), users }
    }
  }

  async counts(scopes: readonly string[]): Promise<number[]> {
    const counts: number[] = []
    for (const chunk of chunksOf(scopes)) counts.push(...listOf(await this.#run(COUNTS, chunk)).map(Number))
    return counts
  }

  async busiest(limit: number): Promise<{ scope: string; count: number }[]> {
    if (limit < 1) return []
    const rooms = pairsOf(listOf(await this.#run(BUSIEST, [limit])))
    return rooms.map(([scope, count]) => ({ scope: String(scope), count: Number(count) }))
  }

  async totals(): Promise<{ usersOnline: number; activeRooms: number; participants: number }> {
    const [usersOnline, activeRooms, participants] = listOf(await this.#run(TOTALS, [])).map(Number)
    return { usersOnline: usersOnline ?? 0, activeRooms: activeRooms ?? 0, participants: participants ?? 0 }
  }

  onReconnect(listener: () => void): () => void {
    // On the tick in which the connection takes commands: no answer comes earlier.
    this.#redis.on('ready', listener)
    return () => this.#redis.off('ready', listener)
  }

  async close(): Promise<void> {
    await closeRedis(this.#redis)
  }

  #noteChanges(scopes: unknown): void {
    for (const scope of listOf(scopes)) this.#unreturned.add(String(scope))
  }

  #takeChanges(): string[] {
    const changed = [...this.#unreturned]
    this.#unreturned.clear()
    return changed
  }

  async #run(script: string, args: readonly (string | number)[]): Promise<unknown> {
    const all = [this.#root, this.#clock?.now() ?? '', ...args]
    try {
      return await this.#redis.evalsha(shaOf(script), 1, ...all)
    } catch (error) {
      // A server that was restarted has forgotten the scripts.
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
      return this.#redis.eval(script, 1, ...all)
    }
  }
}

const SHAS = new Map([HOLD, RELEASE, SWEEP, READ, COUNTS, BUSIEST, TOTALS].map((script) => [script, sha1(script)]))

function shaOf(script: string): string {
  return SHAS.get(script) ?? sha1(script)
}

function sha1(text: string): string {
  return createHash('sha1').update(text).digest('hex')
}

function* chunksOf<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += ITEMS_PER_CALL) yield items.slice(start, start + ITEMS_PER_CALL)
}

function listOf(reply: unknown): unknown[] {
  if (!Array.isArray(reply)) throw new Error('Redis gave an answer that is not a list')
  return reply
}

function pairsOf(list: readonly unknown[]): [unknown, unknown][] {
  const pairs: [unknown, unknown][] = []
  for (let i = 0; i + 1 < list.length; i += 2) pairs.push([list[i], list[i + 1]])
  return pairs
}

export function createRedisPresenceStore(options: RedisPresenceStoreOptions): PresenceStore {
  return new RedisPresenceStore(options)
}
