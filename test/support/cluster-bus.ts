import type { RedisLog } from '../../src/platform/redis.ts'
import { RedisCluster } from '../../src/platform/redis-cluster.ts'
import { parseRedisClusterUrl, type RedisClusterAddress } from '../../src/platform/redis-cluster-url.ts'
import type { EventBus } from '../../src/realtime/event-bus.ts'
import { createRedisClusterEventBus } from '../../src/realtime/event-bus-redis.ts'
import { RedisShardedChannels } from '../../src/realtime/redis-sharded-channels.ts'

/** A bus on a Redis Cluster as a node opens it; it is ready once all masters are connected. */
export function openClusterBus(
  url: string,
  keyPrefix: string,
  log: RedisLog,
): { bus: EventBus; ready: Promise<unknown> } {
  const publisher = new RedisCluster(clusterAddress(url), { name: 'publisher', log, autoPipelining: true })
  const subscriber = new RedisShardedChannels(publisher, log)
  const bus = createRedisClusterEventBus({ publisher, subscriber, keyPrefix })
  return { bus, ready: Promise.all([publisher.ready(), subscriber.ready()]) }
}

export function clusterAddress(url: string): RedisClusterAddress {
  const address = parseRedisClusterUrl(url)
  if (typeof address === 'string') throw new Error(`The URL of the cluster ${address}`)
  return address
}
