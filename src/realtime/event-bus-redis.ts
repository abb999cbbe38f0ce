// The bus between nodes: see EventBus. One connection publishes, another listens (RedisChannels).

import type { Redis } from 'ioredis'
import { closeRedis, type RedisLog } from '../platform/redis.ts'
import type { EventBus } from './event-bus.ts'
import { RedisChannels } from './redis-channels.ts'

export interface RedisEventBusOptions {
  /** From createRedis with autoPipelining: publishes of one turn of the event loop leave together. The bus closes it. */
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
  readonly #channels: RedisChannels
  #publishesInFlight = 0

  constructor({ publisher, subscriber, keyPrefix = 'sohbet:', log }: RedisEventBusOptions) {
    this.#publisher = publisher
    this.#keyPrefix = keyPrefix
    this.#channels = new RedisChannels(subscriber, log)
  }

  /** See EventBus.publish. */
  async publish(topic: string, message: string): Promise<void> {
    if (this.#publisher.status !== 'ready') throw new Error('Redis is away')
    if (this.#publishesInFlight >= MAX_PUBLISHES_IN_FLIGHT) throw new Error('Redis does not keep up')
    this.#publishesInFlight += 1
    try {
      await this.#publisher.publish(this.#keyPrefix + topic, message)
    } finally {
      this.#publishesInFlight -= 1
    }
  }

  /** See EventBus.subscribe. */
  subscribe(topic: string, listener: (message: string) => void): Promise<() => Promise<void>> {
    return this.#channels.listen(this.#keyPrefix + topic, listener)
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

export function createRedisEventBus(options: RedisEventBusOptions): EventBus {
  return new RedisEventBus(options)
}
