import type { Clock } from './platform/clock.ts'
import type { Logger } from './platform/logger.ts'
import { createRedis, redisReady } from './platform/redis.ts'
import { RedisCluster, refuseCluster, WrongKindOfRedisError } from './platform/redis-cluster.ts'
import { isRedisClusterUrl, parseRedisClusterUrl, type RedisClusterAddress } from './platform/redis-cluster-url.ts'
import type { PresenceStore } from './presence/presence-store.ts'
import { createMemoryPresenceStore } from './presence/presence-store-memory.ts'
import { createRedisPresenceStore } from './presence/presence-store-redis.ts'
import type { EventBus } from './realtime/event-bus.ts'
import { createMemoryEventBus } from './realtime/event-bus-memory.ts'
import { createRedisClusterEventBus, createRedisEventBus } from './realtime/event-bus-redis.ts'
import { RedisShardedChannels } from './realtime/redis-sharded-channels.ts'

export interface Realtime {
  bus: EventBus
  presenceStore: PresenceStore
  close(): Promise<void>
}

/** The prefix and the hash tag of all keys of presence: they live on one master. */
const PRESENCE_KEY = 'sohbet:{presence}'

export interface RealtimeOptions {
  /** Null: everything in this process. */
  redisUrl: string | null
  nodeId: string
  clock: Clock
  logger: Logger
}

/** The bus and the presence store: in this process, or in Redis where there is one. Part of the composition root. */
export async function openRealtime({ redisUrl, nodeId, clock, logger }: RealtimeOptions): Promise<Realtime> {
  if (redisUrl === null) {
    return closable(createMemoryEventBus(), createMemoryPresenceStore({ clock, nodeId }))
  }
  if (!isRedisClusterUrl(redisUrl)) return openOnSingleRedis(redisUrl, nodeId, logger)
  const address = parseRedisClusterUrl(redisUrl)
  if (typeof address === 'string') throw new Error(`REDIS_URL ${address}`)
  return openOnCluster(address, nodeId, logger)
}

// A Redis that is away at the start is no reason not to start: chat goes on from the log. One of the other kind than
// REDIS_URL says is: nothing would mend that.

async function openOnSingleRedis(redisUrl: string, nodeId: string, logger: Logger): Promise<Realtime> {
  const open = (name: string, autoPipelining: boolean) => createRedis(redisUrl, { name, log: logger, autoPipelining })
  const publisher = open('publisher', true)
  const subscriber = open('subscriber', false)
  const presence = open('presence', true)
  await Promise.allSettled([publisher, subscriber, presence].map((redis) => redisReady(redis)))
  const realtime = closable(
    createRedisEventBus({ publisher, subscriber, log: logger }),
    createRedisPresenceStore({ redis: presence, nodeId }),
  )
  return closedUnless(refuseCluster(publisher), realtime)
}

async function openOnCluster(address: RedisClusterAddress, nodeId: string, logger: Logger): Promise<Realtime> {
  const open = (name: string) => new RedisCluster(address, { name, log: logger, autoPipelining: true })
  const publisher = open('publisher')
  const subscriber = new RedisShardedChannels(publisher, logger)
  const presence = open('presence')
  const ready = Promise.allSettled([publisher.ready().then(() => subscriber.ready()), presence.ready()])
  const realtime = closable(
    createRedisClusterEventBus({ publisher, subscriber }),
    createRedisPresenceStore({ redis: presence.forKey(PRESENCE_KEY), nodeId }),
  )
  const isOfTheOtherKind = async () => {
    for (const { reason } of (await ready).filter((one) => one.status === 'rejected')) {
      if (reason instanceof WrongKindOfRedisError) throw reason
    }
  }
  return closedUnless(isOfTheOtherKind(), realtime)
}

async function closedUnless(fits: Promise<void>, realtime: Realtime): Promise<Realtime> {
  try {
    await fits
    return realtime
  } catch (error) {
    await realtime.close()
    throw error
  }
}

function closable(bus: EventBus, presenceStore: PresenceStore): Realtime {
  return {
    bus,
    presenceStore,
    async close() {
      await Promise.all([bus.close(), presenceStore.close()])
    },
  }
}
