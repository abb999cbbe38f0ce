// What the connections to a Redis Cluster listen to, by acknowledged SSUBSCRIBEs, each at the master that owns the
// channel's slot. The invariant of RedisChannels, for each slot: a channel is subscribed exactly while somebody holds it
// and the link to its owner is open; after a break, or a change of the owner, all held channels of the slot are subscribed
// again before anybody is told that it is back.

import type { RedisLog } from '../platform/redis.ts'
import type { RedisCluster } from '../platform/redis-cluster.ts'
import type { RedisNode } from '../platform/redis-cluster-url.ts'
import { keySlot } from '../platform/redis-key-slot.ts'
import { ShardLink } from './redis-shard-link.ts'

type Listener = (message: string) => void

interface Channel {
  readonly name: string
  readonly slot: number
  /** One object each, so that the same function can listen twice. */
  readonly holders: Set<{ readonly listener: Listener }>
  /** Where it is subscribed, or being so. */
  link: ShardLink | null
  isAcknowledged: boolean
  /** The SSUBSCRIBE that stands for it on that link; rejected while there is none. */
  subscribed: Promise<void>
}

interface Master {
  readonly node: RedisNode
  link: ShardLink | null
  attempts: number
  retry: NodeJS.Timeout | null
  isAway: boolean
}

const MAX_RETRY_DELAY_MS = 2_000
/** Two masters that name each other as a slot's owner, until they agree, are asked no more often. */
const SETTLE_INTERVAL_MS = 50
const REFUSED_RETRY_MS = 1_000
const READY_POLL_MS = 20

export class RedisShardedChannels {
  readonly #cluster: RedisCluster
  readonly #log: RedisLog
  readonly #channels = new Map<string, Channel>()
  readonly #masters = new Map<string, Master>()
  readonly #reconnectListeners = new Set<() => void>()
  readonly #stopListening: () => void
  /** Slots of which somebody may have missed something, or was refused. */
  readonly #gaps = new Set<number>()
  #settleTimer: NodeJS.Timeout | null = null
  #settleAtMs = 0
  #settledAtMs = 0
  #closed = false

  constructor(cluster: RedisCluster, log: RedisLog) {
    this.#cluster = cluster
    this.#log = log
    this.#stopListening = cluster.onChange(() => this.#settleSoon())
    this.#settle()
  }

  /** See RedisChannels.listen. */
  async listen(name: string, listener: Listener): Promise<() => Promise<void>> {
    if (this.#closed) throw new Error('The event bus is closed')
    const channel = this.#channels.get(name) ?? this.#open(name)
    const holder = { listener }
    // Before the acknowledgement: no message may fall between it and the listener.
    channel.holders.add(holder)
    try {
      await channel.subscribed
    } catch (error) {
      this.#gaps.add(channel.slot)
      await this.#release(channel, holder)
      throw error
    }
    return () => this.#release(channel, holder)
  }

  /** See EventBus.onReconnect. */
  onReconnect(listener: () => void): () => void {
    this.#reconnectListeners.add(listener)
    return () => this.#reconnectListeners.delete(listener)
  }

  /** Resolves once every master is listened to. */
  async ready(timeoutMs = 5_000): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs
    while (!this.#isWhole) {
      if (this.#closed) throw new Error('The event bus is closed')
      if (performance.now() >= deadlineMs) throw new Error(`The Redis Cluster was not there in ${timeoutMs} ms`)
      await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS))
    }
  }

  /** Rejects unless every master answers. */
  async ping(): Promise<void> {
    const masters = [...this.#masters.values()]
    if (this.#closed || masters.length === 0) throw awayError()
    await Promise.all(masters.map(({ link }) => (link?.isOpen ? link.ping() : Promise.reject(awayError()))))
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#stopListening()
    if (this.#settleTimer) clearTimeout(this.#settleTimer)
    this.#reconnectListeners.clear()
    this.#channels.clear()
    for (const master of this.#masters.values()) drop(master)
    this.#masters.clear()
  }

  get #isWhole(): boolean {
    const masters = this.#cluster.masters
    return masters.length > 0 && masters.every((node) => this.#masters.get(nameOf(node))?.link?.isOpen)
  }

  #open(name: string): Channel {
    const subscribed = handled(Promise.reject(awayError()))
    const slot = keySlot(name)
    const channel: Channel = { name, slot, holders: new Set(), link: null, isAcknowledged: false, subscribed }
    this.#channels.set(name, channel)
    this.#place(channel, this.#linkOf(slot))
    return channel
  }

  /** Gives up one hold; the last one unsubscribes. */
  async #release(channel: Channel, holder: { readonly listener: Listener }): Promise<void> {
    const { holders, name, link } = channel
    if (!holders.delete(holder) || holders.size > 0 || this.#channels.get(name) !== channel) return
    this.#channels.delete(name)
    channel.link = null
    // Refused where the slot has moved away: then the server has ended it itself.
    await link?.unsubscribe(name).catch(() => {})
  }

  #linkOf(slot: number): ShardLink | null {
    const owner = this.#cluster.ownerOf(slot)
    const link = owner && this.#masters.get(nameOf(owner))?.link
    return link?.isOpen ? link : null
  }

  /** Subscribes the channel there. What it was subscribed to before ends by itself: the link is closed, or the slot moved. */
  #place(channel: Channel, link: ShardLink | null): void {
    channel.link = link
    channel.isAcknowledged = false
    channel.subscribed = handled(link ? this.#subscribe(channel, link) : Promise.reject(awayError()))
  }

  async #subscribe(channel: Channel, link: ShardLink): Promise<void> {
    try {
      await link.subscribe(channel.name)
      if (channel.link === link) channel.isAcknowledged = true
    } catch (error) {
      if (channel.link === link) channel.link = null
      this.#gaps.add(channel.slot)
      const isKnownWhere = this.#cluster.noteMoved(error)
      this.#settleSoon(isKnownWhere || !link.isOpen ? 0 : REFUSED_RETRY_MS)
      throw error
    }
  }

  #onMessage(name: string, message: string): void {
    for (const { listener } of this.#channels.get(name)?.holders ?? []) {
      try {
        listener(message)
      } catch (error) {
        // Thrown on, it would look like a fault of the connection.
        this.#log.error({ err: error, channel: name }, 'a listener of the event bus threw')
      }
    }
  }

  /** The slot has moved. Its new owner is asked for at once. */
  #onTaken(link: ShardLink, name: string): void {
    const channel = this.#channels.get(name)
    if (channel?.link !== link) return
    this.#place(channel, null)
    void this.#cluster.refresh().then(() => this.#settleSoon())
  }

  #settleSoon(delayMs = 0): void {
    if (this.#closed) return
    const atMs = Math.max(performance.now() + delayMs, this.#settledAtMs + SETTLE_INTERVAL_MS)
    if (this.#settleTimer) {
      if (this.#settleAtMs <= atMs) return
      clearTimeout(this.#settleTimer)
    }
    this.#settleAtMs = atMs
    this.#settleTimer = setTimeout(() => this.#settle(), Math.max(0, atMs - performance.now()))
  }

  /** Brings every channel to where its slot is now. Of one that was not there, something may have been missed. */
  #settle(): void {
    this.#settleTimer = null
    if (this.#closed) return
    this.#settledAtMs = performance.now()
    this.#tendMasters()
    for (const channel of this.#channels.values()) {
      const link = this.#linkOf(channel.slot)
      if (channel.link === link) continue
      this.#gaps.add(channel.slot)
      this.#place(channel, link)
    }
    void this.#tellWhenBack()
  }

  #tendMasters(): void {
    const wanted = new Map(this.#cluster.masters.map((node) => [nameOf(node), node]))
    for (const [name, master] of this.#masters) {
      if (wanted.has(name)) continue
      this.#masters.delete(name)
      drop(master)
    }
    for (const [name, node] of wanted) {
      if (this.#masters.has(name)) continue
      const master: Master = { node, link: null, attempts: 0, retry: null, isAway: false }
      this.#masters.set(name, master)
      this.#connect(master)
    }
  }

  #connect(master: Master): void {
    master.retry = null
    const redis = `subscriber-${nameOf(master.node)}`
    const link = new ShardLink({ ...this.#cluster.address, ...master.node }, `sohbet-${redis}`, {
      onOpen: () => {
        master.attempts = 0
        master.isAway = false
        this.#log.info({ redis }, 'Redis is connected')
        this.#settleSoon()
      },
      onMessage: (channel, message) => this.#onMessage(channel, message),
      onTaken: (channel) => this.#onTaken(link, channel),
      onClose: (error) => this.#onClose(master, link, error),
    })
    master.link = link
  }

  #onClose(master: Master, link: ShardLink, error: Error): void {
    for (const channel of this.#channels.values()) {
      if (channel.link === link) this.#place(channel, null)
    }
    if (this.#closed || master.link !== link) return
    master.link = null
    master.attempts += 1
    if (!master.isAway) {
      const redis = `subscriber-${nameOf(master.node)}`
      this.#log.warn({ redis, err: error }, 'Redis is away, trying again')
    }
    master.isAway = true
    master.retry = setTimeout(() => this.#connect(master), Math.min(master.attempts * 50, MAX_RETRY_DELAY_MS))
    void this.#cluster.refresh()
  }

  /** Told once for all slots that are whole again by now. */
  async #tellWhenBack(): Promise<void> {
    if (this.#gaps.size === 0) return
    const concerned = [...this.#channels.values()].filter(({ slot }) => this.#gaps.has(slot))
    await Promise.allSettled(concerned.map(({ subscribed }) => subscribed))
    if (this.#closed) return
    const waiting = new Set<number>()
    for (const { slot, isAcknowledged } of this.#channels.values()) if (!isAcknowledged) waiting.add(slot)
    const back = [...this.#gaps].filter((slot) => !waiting.has(slot) && this.#linkOf(slot))
    for (const slot of back) this.#gaps.delete(slot)
    if (back.length > 0) for (const listener of [...this.#reconnectListeners]) listener()
  }
}

/** Closed without a word: nobody waits for this master any more. */
function drop(master: Master): void {
  if (master.retry) clearTimeout(master.retry)
  const { link } = master
  master.link = null
  link?.close()
}

function nameOf({ host, port }: RedisNode): string {
  return `${host}:${port}`
}

function awayError(): Error {
  return new Error('Redis is away')
}

/** Whoever awaits the promise sees its failure; nobody awaiting it is not a defect. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}
