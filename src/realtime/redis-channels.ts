// The acknowledged SUBSCRIBEs of one Redis connection. Invariant: a channel is subscribed exactly while somebody
// holds it and the connection is up, and after a break all held channels are subscribed again before anybody is
// told that the connection is back.

import type { Redis } from 'ioredis'
import type { RedisLog } from '../platform/redis.ts'
import { closeRedis } from '../platform/redis.ts'

interface Channel {
  holders: number
  /** The SUBSCRIBE that stands for it on the connection of now; rejected while there is none. */
  subscribed: Promise<unknown>
}

const CHANNELS_PER_COMMAND = 500
/** A dead link looks like silence: only a question that stays unanswered tells (see createRedis, socketTimeout). */
const HEARTBEAT_INTERVAL_MS = 5_000

export class RedisChannels {
  readonly #redis: Redis
  readonly #log: RedisLog
  readonly #channels = new Map<string, Channel>()
  readonly #reconnectListeners = new Set<() => void>()
  readonly #heartbeat: NodeJS.Timeout
  /** Somebody may have missed something: the connection broke, or a subscription was refused. */
  #gap = false
  #closed = false

  /** Takes the connection over: nothing else may use it. */
  constructor(redis: Redis, log: RedisLog) {
    this.#redis = redis
    this.#log = log
    redis.on('close', () => this.#onClose())
    redis.on('ready', () => void this.#onReady())
    this.#heartbeat = setInterval(() => {
      if (redis.status === 'ready') redis.ping().catch(() => {})
    }, HEARTBEAT_INTERVAL_MS)
    this.#heartbeat.unref()
  }

  /** Resolves once the server has acknowledged the channel; when it rejects, nothing is held. */
  async acquire(name: string): Promise<void> {
    if (this.#closed) throw new Error('The event bus is closed')
    const channel = this.#channels.get(name) ?? this.#open(name)
    channel.holders += 1
    try {
      await channel.subscribed
    } catch (error) {
      this.#gap = true
      await this.release(name)
      throw error
    }
  }

  /** Gives up one hold; the last one unsubscribes. Never rejects. */
  async release(name: string): Promise<void> {
    const channel = this.#channels.get(name)
    if (!channel) return
    channel.holders -= 1
    if (channel.holders > 0) return
    this.#channels.delete(name)
    // While Redis is away there is nothing to unsubscribe; after a timeout this stands behind the SUBSCRIBE in order.
    await this.#redis.unsubscribe(name).catch(() => {})
  }

  /** See EventBus.onReconnect. */
  onReconnect(listener: () => void): () => void {
    this.#reconnectListeners.add(listener)
    return () => this.#reconnectListeners.delete(listener)
  }

  async ping(): Promise<void> {
    await this.#redis.ping()
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#heartbeat)
    this.#reconnectListeners.clear()
    this.#channels.clear()
    await closeRedis(this.#redis)
  }

  #open(name: string): Channel {
    const channel = { holders: 0, subscribed: this.#redis.subscribe(name) }
    this.#channels.set(name, channel)
    return channel
  }

  #onClose(): void {
    if (this.#closed) return
    this.#gap ||= this.#channels.size > 0
    for (const channel of this.#channels.values()) channel.subscribed = handled(Promise.reject(awayError()))
  }

  async #onReady(): Promise<void> {
    const names = [...this.#channels.keys()]
    const commands: Promise<unknown>[] = []
    for (let start = 0; start < names.length; start += CHANNELS_PER_COMMAND) {
      const chunk = names.slice(start, start + CHANNELS_PER_COMMAND)
      const subscribed = handled(this.#redis.subscribe(...chunk))
      commands.push(subscribed)
      for (const name of chunk) {
        const channel = this.#channels.get(name)
        if (channel) channel.subscribed = subscribed
      }
    }
    try {
      await Promise.all(commands)
    } catch (error) {
      if (this.#closed) return
      this.#log.warn({ err: error }, 'Redis did not take the subscriptions back, reconnecting')
      this.#redis.disconnect(true)
      return
    }
    if (!this.#gap || this.#closed) return
    this.#gap = false
    for (const listener of this.#reconnectListeners) listener()
  }
}

function awayError(): Error {
  return new Error('Redis is away')
}

/** Whoever awaits the promise sees its failure; nobody awaiting it is not a defect. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}
