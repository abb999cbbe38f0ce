// The connections to the masters of a Redis Cluster, and who of them owns which slot. Invariant: as with createRedis, a
// command either reaches a server now or fails in bounded time; nothing is queued or repeated behind the caller's back,
// but for a command that was refused as MOVED, which nobody has carried out: it is tried once more at the owner named.

import { EventEmitter } from 'node:events'
import type { Redis } from 'ioredis'
import { type ClosableRedis, closeRedis, createRedis, type RedisLog, redisReady } from './redis.ts'
import type { RedisClusterAddress, RedisNode } from './redis-cluster-url.ts'
import { keySlot, SLOTS } from './redis-key-slot.ts'

export interface RedisClusterOptions {
  /** What the connections are for; appears in the log and in Redis' CLIENT LIST. */
  name: string
  log: RedisLog
  /** See RedisConnectionOptions. */
  autoPipelining?: boolean
}

/** The commands of a store whose keys share one slot: a Redis of its own, or the part of a cluster that owns the slot. */
export interface RedisOfOneSlot extends ClosableRedis {
  evalsha(sha1: string, keys: number, ...args: (string | number)[]): Promise<unknown>
  eval(script: string, keys: number, ...args: (string | number)[]): Promise<unknown>
  /** `ready`: takes commands again, perhaps without what it held before. `close`: no longer takes any. */
  on(event: 'ready' | 'close', listener: () => void): unknown
  off(event: 'ready' | 'close', listener: () => void): unknown
}

/** The server of REDIS_URL answers, and is of the other kind: a single one, or part of a cluster. */
export class WrongKindOfRedisError extends Error {}

/** Rejects where the server is part of a cluster; one that does not tell passes. */
export async function refuseCluster(redis: Redis): Promise<void> {
  const info = await redis.info('cluster').catch(() => '')
  if (!/^cluster_enabled:1/m.test(info)) return
  throw new WrongKindOfRedisError(
    'REDIS_URL names a single Redis, and the server there is part of a Redis Cluster: write redis+cluster://',
  )
}

const WHOLE_REFRESH_MS = 10_000
/** While a master is away, another may take its place at any moment. */
const BROKEN_REFRESH_MS = 500
const SEED_TIMEOUT_MS = 2_000

interface SlotMap {
  /** By slot, the name of the master that owns it. */
  readonly owners: readonly (string | undefined)[]
  readonly nodes: ReadonlyMap<string, RedisNode>
}

export class RedisCluster {
  readonly address: RedisClusterAddress
  readonly #options: RedisClusterOptions
  readonly #masters = new Map<string, { readonly node: RedisNode; readonly redis: Redis }>()
  readonly #listeners = new Set<() => void>()
  #owners: SlotMap['owners'] = []
  #refreshing: Promise<void> | null = null
  #timer: NodeJS.Timeout | null = null
  #wrongKind: WrongKindOfRedisError | null = null
  /** Said so in the log. Once a master is known, its connection tells. */
  #isAway = false
  #closed = false

  constructor(address: RedisClusterAddress, options: RedisClusterOptions) {
    this.address = address
    this.#options = options
    void this.refresh()
  }

  /** Every master that owns a slot. */
  get masters(): RedisNode[] {
    return [...this.#masters.values()].map(({ node }) => node)
  }

  ownerOf(slot: number): RedisNode | null {
    return this.#masterOf(slot)?.node ?? null
  }

  /** Called after a slot has changed hands, and after a master came or went. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Runs a command at the owner of the slot. */
  async run<T>(slot: number, command: (redis: Redis) => Promise<T>): Promise<T> {
    try {
      return await command(this.#requireConnection(slot))
    } catch (error) {
      if (!this.noteMoved(error)) throw error
      return command(this.#requireConnection(slot))
    }
  }

  /** The part of the cluster that owns this key. Closing it closes the cluster's connections. */
  forKey(key: string): RedisOfOneSlot {
    return new PartOfCluster(this, keySlot(key))
  }

  /** The connection to the slot's owner, while it takes commands. */
  findConnection(slot: number): Redis | null {
    const redis = this.#masterOf(slot)?.redis
    return redis?.status === 'ready' ? redis : null
  }

  /** Where the error says that a slot has another owner: believes it, and says so. */
  noteMoved(error: unknown): boolean {
    const moved = error instanceof Error ? /^MOVED (\d+) (.*):(\d+)$/.exec(error.message) : null
    if (!moved || this.#closed) return false
    const [, slotText = '', host = '', port = ''] = moved
    const slot = Number(slotText)
    const node = { host: isHost(host) ? host : (this.ownerOf(slot)?.host ?? ''), port: Number(port) }
    if (slot >= SLOTS || node.host === '' || !isPort(node.port)) return false
    if (this.#owners[slot] !== nameOf(node)) {
      const nodes = new Map(this.masters.map((master) => [nameOf(master), master]))
      this.#take(this.#owners.with(slot, nameOf(node)), nodes.set(nameOf(node), node))
    }
    return true
  }

  /** Asks who owns what. Never rejects. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#ask().finally(() => {
      this.#refreshing = null
      this.#schedule()
    })
    return this.#refreshing
  }

  /** Resolves once every slot has an owner that takes commands. */
  async ready(timeoutMs = 5_000): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs
    while (!this.#isWhole) {
      if (this.#wrongKind) throw this.#wrongKind
      if (this.#closed) throw new Error('The connections to Redis were closed')
      const leftMs = deadlineMs - performance.now()
      if (leftMs <= 0) throw new Error(`The Redis Cluster was not there in ${timeoutMs} ms`)
      await this.#nextChange(Math.min(leftMs, BROKEN_REFRESH_MS))
    }
  }

  /** Rejects unless every master answers. */
  async ping(): Promise<void> {
    if (this.#wrongKind) throw this.#wrongKind
    if (!this.#isWhole) throw new Error('A part of the Redis Cluster is away')
    await Promise.all([...this.#masters.values()].map(({ redis }) => redis.ping()))
  }

  async close(): Promise<void> {
    this.#closed = true
    if (this.#timer) clearTimeout(this.#timer)
    this.#listeners.clear()
    await Promise.all([...this.#masters.values()].map(({ redis }) => closeRedis(redis)))
  }

  get isClosed(): boolean {
    return this.#closed
  }

  get #isWhole(): boolean {
    if (this.#owners.length !== SLOTS || this.#owners.includes(undefined)) return false
    return [...this.#masters.values()].every(({ redis }) => redis.status === 'ready')
  }

  #masterOf(slot: number) {
    const name = this.#owners[slot]
    return name === undefined ? undefined : this.#masters.get(name)
  }

  #requireConnection(slot: number): Redis {
    const redis = this.findConnection(slot)
    if (!redis) throw new Error('Redis is away')
    return redis
  }

  /** All masters first; then one after the other whoever was listed in REDIS_URL, where none of them answers. */
  async #ask(): Promise<void> {
    const answers = await Promise.all(
      [...this.#masters.values()]
        .filter(({ redis }) => redis.status === 'ready')
        .map(({ node, redis }) => this.#askFor(node, redis)),
    )
    if (this.#believe(answers)) return
    let cause: unknown = null
    const log: RedisLog = {
      info: () => {},
      warn: (details: { err?: unknown }) => {
        cause = details.err ?? cause
      },
      error: () => {},
    }
    for (const seed of this.address.seeds) {
      if (this.#closed) return
      const redis = createRedis({ ...this.address, ...seed }, { name: this.#options.name, log })
      try {
        await redisReady(redis, SEED_TIMEOUT_MS)
        if (this.#believe([await this.#askFor(seed, redis)])) return
      } catch {
        // The next one, or all of them again later.
      } finally {
        redis.disconnect()
      }
    }
    if (this.#masters.size > 0 || this.#isAway || this.#wrongKind || this.#closed) return
    this.#isAway = true
    this.#options.log.warn({ redis: this.#options.name, err: cause }, 'The Redis Cluster is away, trying again')
  }

  /** Null where it does not answer. */
  async #askFor(asked: RedisNode, redis: Redis): Promise<SlotMap | null> {
    try {
      return readSlots(await redis.cluster('SLOTS'), asked)
    } catch (error) {
      if (error instanceof Error && error.message.includes('cluster support disabled')) this.#noteWrongKind()
      return null
    }
  }

  /** Takes what most of them say: one that was cut off from the others does not know who took its place. */
  #believe(answers: readonly (SlotMap | null)[]): boolean {
    const votes = new Map<string, { map: SlotMap; count: number }>()
    for (const map of answers) {
      // A server that was taken out of its cluster knows of nobody.
      if (!map || map.nodes.size === 0) continue
      const key = map.owners.join()
      votes.set(key, { map, count: (votes.get(key)?.count ?? 0) + 1 })
    }
    const [most] = [...votes.values()].toSorted((a, b) => b.count - a.count)
    if (!most) return false
    this.#wrongKind = null
    this.#take(most.map.owners, most.map.nodes)
    return true
  }

  #noteWrongKind(): void {
    if (this.#wrongKind) return
    this.#wrongKind = new WrongKindOfRedisError('REDIS_URL names a Redis Cluster, and the server there is a single one')
    this.#options.log.error({ redis: this.#options.name }, this.#wrongKind.message)
  }

  /** Connects to masters that are new and lets go of those that own nothing any more. */
  #take(owners: SlotMap['owners'], nodes: SlotMap['nodes']): void {
    if (this.#closed) return
    const changed = owners.length !== this.#owners.length || owners.some((name, slot) => name !== this.#owners[slot])
    if (!changed) return
    this.#owners = owners
    const owning = new Set(owners)
    for (const [name, { redis }] of this.#masters) {
      if (owning.has(name)) continue
      this.#masters.delete(name)
      redis.disconnect()
    }
    for (const [name, node] of nodes) {
      if (owning.has(name) && !this.#masters.has(name)) this.#masters.set(name, { node, redis: this.#connect(node) })
    }
    this.#tellChange()
  }

  #connect(node: RedisNode): Redis {
    const { name, log, autoPipelining = false } = this.#options
    const server = { ...this.address, ...node }
    const redis = createRedis(server, { name: `${name}-${nameOf(node)}`, log, autoPipelining })
    redis.on('ready', () => this.#tellChange())
    redis.on('close', () => {
      if (this.#closed || this.#masters.get(nameOf(node))?.redis !== redis) return
      this.#tellChange()
      void this.refresh()
    })
    return redis
  }

  #tellChange(): void {
    for (const listener of [...this.#listeners]) listener()
  }

  #schedule(): void {
    if (this.#timer) clearTimeout(this.#timer)
    if (this.#closed) return
    this.#timer = setTimeout(() => void this.refresh(), this.#isWhole ? WHOLE_REFRESH_MS : BROKEN_REFRESH_MS)
    this.#timer.unref()
  }

  #nextChange(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer)
        forget()
        resolve()
      }
      const timer = setTimeout(done, timeoutMs)
      const forget = this.onChange(done)
    })
  }
}

/** See RedisOfOneSlot. */
class PartOfCluster extends EventEmitter<{ ready: []; close: [] }> implements RedisOfOneSlot {
  readonly #cluster: RedisCluster
  readonly #slot: number
  #connection: Redis | null

  constructor(cluster: RedisCluster, slot: number) {
    super()
    this.#cluster = cluster
    this.#slot = slot
    this.#connection = cluster.findConnection(slot)
    cluster.onChange(() => this.#compare())
  }

  get status(): string {
    if (this.#cluster.isClosed) return 'end'
    return this.#cluster.findConnection(this.#slot) ? 'ready' : 'reconnecting'
  }

  evalsha(sha1: string, keys: number, ...args: (string | number)[]): Promise<unknown> {
    return this.#cluster.run(this.#slot, (redis) => redis.evalsha(sha1, keys, ...args))
  }

  eval(script: string, keys: number, ...args: (string | number)[]): Promise<unknown> {
    return this.#cluster.run(this.#slot, (redis) => redis.eval(script, keys, ...args))
  }

  quit(): Promise<void> {
    return this.#cluster.close()
  }

  disconnect(): void {
    void this.#cluster.close()
  }

  /** Another owner is a break too: what was under way to the one before may be missing. */
  #compare(): void {
    const before = this.#connection
    this.#connection = this.#cluster.findConnection(this.#slot)
    if (before === this.#connection) return
    if (before) this.emit('close')
    if (this.#connection) this.emit('ready')
  }
}

function nameOf({ host, port }: RedisNode): string {
  return `${host}:${port}`
}

/** A server that knows its own address not, or shall not tell it, is where it was asked. */
function isHost(host: unknown): host is string {
  return typeof host === 'string' && host !== '' && host !== '?'
}

/** A server that takes TLS only has the port 0 for who asks without. */
function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port < 65_536
}

/** The answer to CLUSTER SLOTS: ranges, each as its first and last slot, its master and its replicas. */
function readSlots(answer: unknown, asked: RedisNode): SlotMap {
  const owners = new Array<string | undefined>(SLOTS).fill(undefined)
  const nodes = new Map<string, RedisNode>()
  for (const range of listOf(answer)) {
    const [first, last, master] = listOf(range)
    const [host, port] = listOf(master)
    const node = { host: isHost(host) ? host : asked.host, port: Number(port) }
    if (!isPort(node.port)) continue
    nodes.set(nameOf(node), node)
    owners.fill(nameOf(node), Number(first), Number(last) + 1)
  }
  return { owners, nodes }
}

function listOf(reply: unknown): unknown[] {
  if (!Array.isArray(reply)) throw new Error('Redis gave an answer that is not a list')
  return reply
}
