// What one Redis connection listens to, by acknowledged SUBSCRIBEs. Invariant: a channel is subscribed exactly while somebody
// holds it and the connection is up, and after a break all held channels are subscribed again before anybody is
// told that the connection is back.

import type { Redis } from 'ioredis'
import type { RedisLog } from '../platform/redis.ts'
import { closeRedis } from '../platform/redis.ts'

type Listener = (message: string) => void

interface Channel {
  /** One object each, so that the same function can listen twice. */
  readonly holders: Set<{ readonly listener: Listener }>
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
    redis.on('message', (name: string, message: string) => this.#onMessage(name, message))
    this.#heartbeat = setInterval(() => {
      if (redis.status === 'ready') redis.ping().catch(() => {})
    }, HEARTBEAT_INTERVAL_MS)
    this.#heartbeat.unref()
  }

  /**
   * Resolves once the server has acknowledged the channel, with a function that ends the listening and never rejects;
   * when it rejects, nobody listens.
   */
  async listen(name: string, listener: Listener): Promise<() => Promise<void>> {
    if (this.#closed) throw new Error('The event bus is closed')
    const channel = this.#channels.get(name) ?? this.#open(name)
    const holder = { listener }
    // Before the acknowledgement: no message may fall between it and the listener.
    channel.holders.add(holder)
    try {
      await channel.subscribed
    } catch (error) {
      this.#gap = true
      await this.#release(name, channel, holder)
      throw error
    }
    return () => this.#release(name, channel, holder)
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
    const channel: Channel = { holders: new Set(), subscribed: this.#redis.subscribe(name) }
    this.#channels.set(name, channel)
    return channel
  }

  /** Gives up one hold; the last one unsubscribes. */
  async #release(name: string, channel: Channel, holder: { readonly listener: Listener }): Promise<void> {
    if (!channel.holders.delete(holder) || channel.holders.size > 0 || this.#channels.get(name) !== channel) return
    this.#channels.delete(name)
    // While Redis is away there is nothing to unsubscribe; after a timeout this stands behind the SUBSCRIBE in order.
    await this.#redis.unsubscribe(name).catch(() => {})
  }

  #onMessage(name: string, message: string): void {
    for (const { listener } of this.#channels.get(name)?.holders ?? []) {
      try {
        listener(message)
      } catch (error) {
        // Thrown on, it would tear ioredis' parser out of the middle of a reply.
        this.#log.error({ err: error, channel: name }, 'a listener of the event bus threw')
      }
    }
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
