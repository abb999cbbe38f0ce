// The bus between nodes: see EventBus. On a single Redis one connection publishes, another listens (RedisChannels); on a
// Redis Cluster there are two for each master, and a topic goes through the one that owns it (RedisShardedChannels).
// Why the two do not share the commands: docs/decisions/0009-redis-cluster.md.

import type { Redis } from 'ioredis'
import { closeRedis, type RedisLog } from '../platform/redis.ts'
import type { RedisCluster } from '../platform/redis-cluster.ts'
import { keySlot } from '../platform/redis-key-slot.ts'
import type { EventBus } from './event-bus.ts'
import { RedisChannels } from './redis-channels.ts'
import type { RedisShardedChannels } from './redis-sharded-channels.ts'

export interface RedisEventBusOptions {
  /** From createRedis with autoPipelining: publishes of one turn of the event loop leave together. The bus closes it. */
  publisher: Redis
  /** A second connection from createRedis, for listening only. The bus owns it and closes it. */
  subscriber: Redis
  /** Default `sohbet:`. */
  keyPrefix?: string
  log: RedisLog
}

export interface RedisClusterEventBusOptions {
  /** With autoPipelining. The bus closes it. */
  publisher: RedisCluster
  /** The bus owns it and closes it. */
  subscriber: RedisShardedChannels
  /** Default `sohbet:`. */
  keyPrefix?: string
}

/** The side of the bus that speaks; a channel is a topic with the prefix. */
interface Publisher {
  publish(channel: string, message: string): Promise<unknown>
  ping(): Promise<unknown>
  close(): Promise<void>
}

/** The side that listens. */
type Subscriber = Pick<RedisChannels, 'listen' | 'onReconnect' | 'ping' | 'close'>

const KEY_PREFIX = 'sohbet:'
/** More than a healthy Redis ever has under way; beyond it a publish is refused instead of kept in memory. */
const MAX_PUBLISHES_IN_FLIGHT = 10_000

class RedisEventBus implements EventBus {
  readonly #publisher: Publisher
  readonly #subscriber: Subscriber
  readonly #keyPrefix: string
  #publishesInFlight = 0

  constructor(publisher: Publisher, subscriber: Subscriber, keyPrefix = KEY_PREFIX) {
    this.#publisher = publisher
    this.#subscriber = subscriber
    this.#keyPrefix = keyPrefix
  }

  /** See EventBus.publish. */
  async publish(topic: string, message: string): Promise<void> {
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
    return this.#subscriber.listen(this.#keyPrefix + topic, listener)
  }

  onReconnect(listener: () => void): () => void {
    return this.#subscriber.onReconnect(listener)
  }

  /** See EventBus.ping. Asks all connections: with one of them away the bus is not well. */
  async ping(): Promise<number> {
    const startedAtMs = performance.now()
    await Promise.all([this.#publisher.ping(), this.#subscriber.ping()])
    return performance.now() - startedAtMs
  }

  async close(): Promise<void> {
    await Promise.all([this.#publisher.close(), this.#subscriber.close()])
  }
}

export function createRedisEventBus({ publisher, subscriber, keyPrefix, log }: RedisEventBusOptions): EventBus {
  const single: Publisher = {
    async publish(channel, message) {
      if (publisher.status !== 'ready') throw new Error('Redis is away')
      await publisher.publish(channel, message)
    },
    ping: () => publisher.ping(),
    close: () => closeRedis(publisher),
  }
  return new RedisEventBus(single, new RedisChannels(subscriber, log), keyPrefix)
}

export function createRedisClusterEventBus(options: RedisClusterEventBusOptions): EventBus {
  const { publisher, subscriber, keyPrefix } = options
  const sharded: Publisher = {
    publish: (channel, message) => publisher.run(keySlot(channel), (redis) => redis.spublish(channel, message)),
    ping: () => publisher.ping(),
    close: () => publisher.close(),
  }
  return new RedisEventBus(sharded, subscriber, keyPrefix)
}
