// A Redis Cluster runs a script where the keys are that it was given: it must touch no others.

import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterEach, describe, expect, inject, it } from 'vitest'
import { createRedis, redisReady } from '../../src/platform/redis.ts'
import { type Lease, SERVER_SCOPE } from '../../src/presence/presence-store.ts'
import { createRedisPresenceStore } from '../../src/presence/presence-store-redis.ts'
import { NO_REDIS } from '../support/provided.ts'

const TTL_MS = 30_000
const redisUrl = inject('redisUrl')
const cleanUps: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

const lease = (scope: string, userId: string, state: Lease['state'] = 'ONLINE'): Lease => ({ scope, userId, state })

describe.skipIf(!redisUrl)(`presence store on Redis ${redisUrl ? '' : NO_REDIS}`, () => {
  it('touches no key in a script that the script was not given', async () => {
    const keyPrefix = `test-${randomUUID()}:`
    const clock = { nowMs: 1_700_000_000_000, now: () => clock.nowMs }
    const redis = createRedis(redisUrl ?? '', {
      name: 'presence',
      log: { info: () => {}, warn: () => {}, error: () => {} },
    })
    await redisReady(redis)
    const store = createRedisPresenceStore({ redis, nodeId: 'n1', keyPrefix, clock })
    cleanUps.push(() => store.close())
    const observer = await new Redis(redisUrl ?? '').monitor()
    cleanUps.push(async () => observer.disconnect())
    let given = new Set<string>()
    const commands = new Set<string>()
    const touched = new Set<string>()
    const strays: string[] = []
    observer.on('monitor', (_time: string, [command = '', ...args]: string[], source: string) => {
      const ours = args.filter((arg) => arg.startsWith(keyPrefix))
      if (ours.length === 0) return
      // The commands of a script follow its call.
      if (source !== 'lua') {
        given = new Set(args.slice(2, 2 + Number(args[1])))
        return
      }
      commands.add(command)
      for (const key of ours) touched.add(key)
      strays.push(...ours.filter((key) => !given.has(key)))
    })
    const rooms = Array.from({ length: 20 }, (_, i) => lease(`room-${i % 7}`, `user-${i}`, i % 2 ? 'AWAY' : 'ONLINE'))
    await store.hold([...rooms, lease(SERVER_SCOPE, 'ada')], TTL_MS)
    await store.release(rooms.slice(0, 3))
    await store.totals()
    clock.nowMs += TTL_MS
    await store.read('room-1', 10)
    await store.counts(['room-2', 'nowhere'])
    await store.hold(rooms, TTL_MS)
    clock.nowMs += TTL_MS
    await store.busiest(5)
    await store.sweep()
    await store.takeExpired()
    const done = new Promise<void>((resolve) => {
      observer.on('monitor', (_time: string, args: string[]) => {
        if (args.includes(`${keyPrefix}done`)) resolve()
      })
    })
    const last = new Redis(redisUrl ?? '')
    cleanUps.push(async () => last.disconnect())
    await last.get(`${keyPrefix}done`)
    await done
    expect(strays).toEqual([])
    expect([...commands]).toEqual(expect.arrayContaining(['ZADD', 'ZREM', 'HINCRBY', 'SADD', 'SPOP', 'PEXPIRE']))
    expect(touched.size).toBeGreaterThan(30)
  })
})
