import type { Clock } from './platform/clock.ts'
import type { Logger } from './platform/logger.ts'
import { createRedis, redisReady } from './platform/redis.ts'
import type { PresenceStore } from './presence/presence-store.ts'
import { createMemoryPresenceStore } from './presence/presence-store-memory.ts'
import { createRedisPresenceStore } from './presence/presence-store-redis.ts'
import type { EventBus } from './realtime/event-bus.ts'
import { createMemoryEventBus } from './realtime/event-bus-memory.ts'
import { createRedisEventBus } from './realtime/event-bus-redis.ts'

export interface Realtime {
  bus: EventBus
  presenceStore: PresenceStore
  close(): Promise<void>
}

/** The bus and the presence store: in this process, or in Redis where there is one. Part of the composition root. */
export async function openRealtime({
  redisUrl,
  nodeId,
  clock,
  logger,
}: {
  redisUrl: string | null
  nodeId: string
  clock: Clock
  logger: Logger
}): Promise<Realtime> {
  if (redisUrl === null) {
    return closable(createMemoryEventBus(), createMemoryPresenceStore({ clock, nodeId }))
  }
  const open = (name: string, autoPipelining: boolean) => createRedis(redisUrl, { name, log: logger, autoPipelining })
  const publisher = open('publisher', true)
  const subscriber = open('subscriber', false)
  const presence = open('presence', true)
  // A Redis that is away at the start is no reason not to start: chat goes on from the log.
  await Promise.allSettled([publisher, subscriber, presence].map((redis) => redisReady(redis)))
  return closable(
    createRedisEventBus({ publisher, subscriber, log: logger }),
    createRedisPresenceStore({ redis: presence, nodeId }),
  )
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
