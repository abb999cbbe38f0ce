// The bus between nodes: see EventBus. RedisPubSub publishes and hands each message to its topic's listeners;
// RedisChannels alone speaks SUBSCRIBE. The two are kept apart because RedisPubSub cannot carry the contract there:
// when a SUBSCRIBE fails it keeps the listener and leaves a rejected promise unhandled, which ends the process,
// and so does its UNSUBSCRIBE while Redis is away; it also gives no sign of a reconnect.

import { RedisPubSub } from 'graphql-redis-subscriptions'
import type { Redis } from 'ioredis'
import { closeRedis, type RedisLog } from '../platform/redis.ts'
import type { EventBus } from './event-bus.ts'
import { RedisChannels } from './redis-channels.ts'

export interface RedisEventBusOptions {
  /** From createRedis with autoPipelining. The bus owns it and closes it. */
  publisher: Redis
  /** A second connection from createRedis, for listening only. The bus owns it and closes it. */
  subscriber: Redis
  /** Default `sohbet:`. */
  keyPrefix?: string
  log: RedisLog
}

/** More than a healthy Redis ever has under way; beyond it a publish is refused instead of kept in memory. */
const MAX_PUBLISHES_IN_FLIGHT = 10_000

class RedisEventBus implements EventBus {
  readonly #publisher: Redis
  readonly #keyPrefix: string
  readonly #log: RedisLog
  readonly #channels: RedisChannels
  readonly #engine: RedisPubSub
  #publishesInFlight = 0

  constructor({ publisher, subscriber, keyPrefix = 'sohbet:', log }: RedisEventBusOptions) {
    this.#publisher = publisher
    this.#keyPrefix = keyPrefix
    this.#log = log
    this.#channels = new RedisChannels(subscriber, log)
    this.#engine = new RedisPubSub({
      publisher,
      subscriber: receivingHalf(subscriber),
      serializer: (message: string) => message,
      deserializer: (message: string | Buffer) => message.toString(),
    })
  }

  /** See EventBus.publish. */
  async publish(topic: string, message: string): Promise<void> {
    if (this.#publisher.status !== 'ready') throw new Error('Redis is away')
    if (this.#publishesInFlight >= MAX_PUBLISHES_IN_FLIGHT) throw new Error('Redis does not keep up')
    this.#publishesInFlight += 1
    try {
      await this.#engine.publish(this.#keyPrefix + topic, message)
    } finally {
      this.#publishesInFlight -= 1
    }
  }

  /** See EventBus.subscribe. */
  async subscribe(topic: string, listener: (message: string) => void): Promise<() => Promise<void>> {
    const channel = this.#keyPrefix + topic
    let ended = false
    const deliver = (message: string) => {
      if (ended) return
      try {
        listener(message)
      } catch (error) {
        // Thrown on, it would tear ioredis' parser out of the middle of a reply.
        this.#log.error({ err: error, topic }, 'a listener of the event bus threw')
      }
    }
    // The listener first: no message may fall between the acknowledgement and it.
    const id = await this.#engine.subscribe<string>(channel, deliver)
    try {
      await this.#channels.acquire(channel)
    } catch (error) {
      ended = true
      this.#engine.unsubscribe(id)
      throw error
    }
    return async () => {
      if (ended) return
      ended = true
      // Later than now: RedisPubSub throws when listeners of the topic it is delivering to all leave meanwhile.
      await Promise.resolve()
      this.#engine.unsubscribe(id)
      await this.#channels.release(channel)
    }
  }

  onReconnect(listener: () => void): () => void {
    return this.#channels.onReconnect(listener)
  }

  /** See EventBus.ping. Asks both connections: with one of them away the bus is not well. */
  async ping(): Promise<number> {
    const startedAtMs = performance.now()
    await Promise.all([this.#publisher.ping(), this.#channels.ping()])
    return performance.now() - startedAtMs
  }

  async close(): Promise<void> {
    await Promise.all([closeRedis(this.#publisher), this.#channels.close()])
  }
}

/** What RedisPubSub gets as its subscriber: incoming messages, and a yes to every (un)subscription it asks for. */
function receivingHalf(subscriber: Redis): Redis {
  const half = {
    on: (event: string, listener: (...args: unknown[]) => void) => subscriber.on(event, listener),
    subscribe: (_channel: string, acknowledge: (error: null) => void) => acknowledge(null),
    unsubscribe: () => {},
    punsubscribe: () => {},
  }
  // RedisPubSub's type asks for a whole client; its subscribe() and unsubscribe() use these four of its methods.
  return half as unknown as Redis
}

export function createRedisEventBus(options: RedisEventBusOptions): EventBus {
  return new RedisEventBus(options)
}
