// Presence shared by all nodes: see PresenceStore. What is atomic happens in the scripts; this file cuts the work
// into bounded pieces, so that no call holds Redis up, and decodes the answers.

import { createHash } from 'node:crypto'
import type { Clock } from '../platform/clock.ts'
import { closeRedis } from '../platform/redis.ts'
import type { RedisOfOneSlot } from '../platform/redis-cluster.ts'
import {
  BUSIEST,
  COUNTS,
  EXPIRE,
  FIND_DUE,
  GLOBAL_KEYS,
  HOLD,
  MAX_SCOPES,
  READ,
  RELEASE,
  SCOPE_KEYS,
  TAKE_CHANGES,
  TAKE_EXPIRED,
  TOTALS,
} from './presence-scripts.lua.ts'
import { type Lease, type LeaseKey, type PresenceStore, type Roster, SERVER_SCOPE } from './presence-store.ts'

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

/** No more than MAX_SCOPES. */
const ITEMS_PER_CALL = 250
/** Rounds of removing what has expired in one call: 32,000 leases or 16,000 scopes. */
const MAX_ROUNDS = 64
const EXPIRED_PER_CALL = 1_000
const MAX_EXPIRED_TAKEN = 10_000

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
      const { scopes, indexOf } = scopesOf(chunk)
      const args = chunk.flatMap(({ state, scope, userId }) => [state === 'ONLINE' ? 'O' : 'A', indexOf(scope), userId])
      this.#noteChanges(await this.#run(HOLD, scopes, [this.#nodeId, ttlMs, ...args]))
    }
    return this.#takeChanges()
  }

  async release(leases: readonly LeaseKey[]): Promise<string[]> {
    for (const chunk of chunksOf(leases)) {
      const { scopes, indexOf } = scopesOf(chunk)
      const args = chunk.flatMap(({ scope, userId }) => [indexOf(scope), userId])
      this.#noteChanges(await this.#run(RELEASE, scopes, [this.#nodeId, ...args]))
    }
    return this.#takeChanges()
  }

  async sweep(): Promise<string[]> {
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      if ((await this.#expireSome()) === 0) break
    }
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const changed = listOf(await this.#run(TAKE_CHANGES, [], []))
      this.#noteChanges(changed)
      if (changed.length < MAX_SCOPES) break
    }
    return this.#takeChanges()
  }

  async takeExpired(): Promise<string[]> {
    const taken: string[] = []
    while (taken.length < MAX_EXPIRED_TAKEN) {
      const users = listOf(await this.#run(TAKE_EXPIRED, [], [EXPIRED_PER_CALL])).map(String)
      taken.push(...users)
      if (users.length < EXPIRED_PER_CALL) break
    }
    return taken
  }

  async read(scope: string, limit: number): Promise<Roster> {
    for (let round = 1; ; round += 1) {
      const [stillExpired, count, ...members] = listOf(await this.#run(READ, [scope], [limit]))
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
    for (const chunk of chunksOf(scopes)) {
      const { scopes: distinct, indexOf } = scopesOf(chunk.map((scope) => ({ scope })))
      const found = await this.#look(COUNTS, distinct, [])
      // Lua counts from 1.
      counts.push(...chunk.map((scope) => Number(found[indexOf(scope) - 1])))
    }
    return counts
  }

  async busiest(limit: number): Promise<{ scope: string; count: number }[]> {
    if (limit < 1) return []
    const rooms = pairsOf(await this.#look(BUSIEST, [], [limit]))
    return rooms.map(([scope, count]) => ({ scope: String(scope), count: Number(count) }))
  }

  async totals(): Promise<{ usersOnline: number; activeRooms: number; participants: number }> {
    const [usersOnline, activeRooms, participants] = (await this.#look(TOTALS, [SERVER_SCOPE], [])).map(Number)
    return { usersOnline: usersOnline ?? 0, activeRooms: activeRooms ?? 0, participants: participants ?? 0 }
  }

  onLost(listener: () => void): () => void {
    this.#redis.on('close', listener)
    return () => this.#redis.off('close', listener)
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

  /** What a script tells that begins with how much is due: removes some of that first, where there is any. */
  async #look(script: string, scopes: readonly string[], args: readonly number[]): Promise<unknown[]> {
    const [due, ...found] = listOf(await this.#run(script, scopes, args))
    if (Number(due) === 0) return found
    await this.#expireSome()
    return listOf(await this.#run(script, scopes, args)).slice(1)
  }

  /** Removes some of what has expired. Resolves with the number of scopes that are still due. */
  async #expireSome(): Promise<number> {
    const due = listOf(await this.#run(FIND_DUE, [], [])).map(String)
    return due.length === 0 ? 0 : Number(await this.#run(EXPIRE, due, []))
  }

  async #run(script: string, scopes: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    const keys = [
      ...GLOBAL_KEYS.map((name) => `${this.#root}:${name}`),
      ...scopes.flatMap((scope) => SCOPE_KEYS.map((name) => `${this.#root}:${name}:${scope}`)),
    ]
    const all = [...keys, this.#clock?.now() ?? '', scopes.length, ...scopes, ...args]
    try {
      return await this.#redis.evalsha(shaOf(script), keys.length, ...all)
    } catch (error) {
      // A server that was restarted has forgotten the scripts.
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
      return this.#redis.eval(script, keys.length, ...all)
    }
  }
}

const SCRIPTS = [HOLD, RELEASE, FIND_DUE, EXPIRE, TAKE_CHANGES, TAKE_EXPIRED, READ, COUNTS, BUSIEST, TOTALS]
const SHAS = new Map(SCRIPTS.map((script) => [script, sha1(script)]))

function shaOf(script: string): string {
  return SHAS.get(script) ?? sha1(script)
}

function sha1(text: string): string {
  return createHash('sha1').update(text).digest('hex')
}

function* chunksOf<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += ITEMS_PER_CALL) yield items.slice(start, start + ITEMS_PER_CALL)
}

/** The scopes of some leases, each once, and the place of each, from 1 as Lua counts. */
function scopesOf(leases: readonly { scope: string }[]): { scopes: string[]; indexOf: (scope: string) => number } {
  const places = new Map<string, number>()
  for (const { scope } of leases) if (!places.has(scope)) places.set(scope, places.size + 1)
  return { scopes: [...places.keys()], indexOf: (scope) => places.get(scope) ?? 0 }
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
