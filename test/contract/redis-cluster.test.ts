// What is peculiar to a Redis Cluster; what any bus and any presence store do, the contracts beside this file show on it too.

import { randomUUID } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { openRealtime } from '../../src/open-realtime.ts'
import { systemClock } from '../../src/platform/clock.ts'
import { createLogger } from '../../src/platform/logger.ts'
import type { RedisLog } from '../../src/platform/redis.ts'
import { RedisCluster } from '../../src/platform/redis-cluster.ts'
import { keySlot, SLOTS } from '../../src/platform/redis-key-slot.ts'
import { createRedisPresenceStore } from '../../src/presence/presence-store-redis.ts'
import type { EventBus } from '../../src/realtime/event-bus.ts'
import { clusterAddress, openClusterBus } from '../support/cluster-bus.ts'
import { eventually } from '../support/eventually.ts'
import { NO_REDIS_CLUSTER } from '../support/provided.ts'
import { startTestRedisCluster, type TestClusterMaster, type TestRedisCluster } from '../support/redis-cluster.ts'

const silent: RedisLog = { info: () => {}, warn: () => {}, error: () => {} }
const clusterUrl = inject('redisClusterUrl')
const cleanUps: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

describe.skipIf(!clusterUrl)(`a Redis Cluster ${clusterUrl ? '' : NO_REDIS_CLUSTER}`, { timeout: 60_000 }, () => {
  let cluster: TestRedisCluster

  beforeAll(async () => {
    cluster = await startTestRedisCluster()
  })

  afterAll(() => cluster?.stop())

  async function openBus(keyPrefix: string): Promise<EventBus> {
    const { bus, ready } = openClusterBus(cluster.url, keyPrefix, silent)
    cleanUps.push(() => bus.close())
    await ready
    return bus
  }

  /** On how many connections of each master somebody listens to it, as the masters say. */
  async function subscriptionsOf(channel: string): Promise<number[]> {
    const answers = cluster.masters.map(({ redis }) => redis.call('PUBSUB', 'SHARDNUMSUB', channel))
    return (await Promise.all(answers)).map((answer) => Number((answer as unknown[])[1]))
  }

  it('puts a channel where the server would', async () => {
    const [{ redis }] = cluster.masters as [TestClusterMaster]
    const keys = [
      '',
      'a',
      'sohbet:room:1',
      '{a}b',
      'x{a}',
      '{}a',
      'a{}{b}',
      '{a',
      'a}{b}',
      '{{a}}',
      'çğ{ışö}ü',
      randomUUID(),
    ]
    for (const key of keys) expect(keySlot(key), key).toBe(await redis.cluster('KEYSLOT', key))
  })

  it("keeps a room's traffic on the master that owns its slot", async () => {
    const keyPrefix = `test-${randomUUID()}:`
    const [one, other] = await Promise.all([openBus(keyPrefix), openBus(keyPrefix)])
    const topics = Array.from({ length: 60 }, (_, i) => `room:${i}`)
    const got: string[] = []
    for (const topic of topics) await one.subscribe(topic, () => void got.push(topic))
    await Promise.all(topics.map((topic) => other.publish(topic, 'x')))
    await eventually(() => expect(got.toSorted()).toEqual(topics.toSorted()))
    const channels = await Promise.all(
      cluster.masters.map(({ redis }) => redis.call('PUBSUB', 'SHARDCHANNELS', `${keyPrefix}*`)),
    )
    // Redis answers with a list of names.
    const held = channels as string[][]
    expect(held.flat().toSorted()).toEqual(topics.map((topic) => keyPrefix + topic).toSorted())
    for (const [i, master] of cluster.masters.entries()) {
      expect(held[i]?.length, 'a share of the rooms').toBeGreaterThan(5)
      for (const channel of held[i] ?? []) expect((await cluster.ownerOf(keySlot(channel))).port).toBe(master.port)
    }
  })

  it('holds one subscription for all listeners of a topic, and none after the last', async () => {
    const keyPrefix = `test-${randomUUID()}:`
    const bus = await openBus(keyPrefix)
    const leaves = await Promise.all(Array.from({ length: 20 }, () => bus.subscribe('room', () => {})))
    expect((await subscriptionsOf(`${keyPrefix}room`)).toSorted()).toEqual([0, 0, 1])
    await Promise.all(leaves.map((leave) => leave()))
    expect(await subscriptionsOf(`${keyPrefix}room`)).toEqual([0, 0, 0])
  })

  it('goes on at the other masters while one is away, and tells of the gap when it is back', async () => {
    const keyPrefix = `test-${randomUUID()}:`
    const bus = await openBus(keyPrefix)
    const [dead, alive] = cluster.masters as [TestClusterMaster, TestClusterMaster]
    const topics = Array.from({ length: 300 }, (_, i) => `room:${i}`)
    const owners = new Map<string, TestClusterMaster>()
    for (const topic of topics) owners.set(topic, await cluster.ownerOf(keySlot(keyPrefix + topic)))
    const onDead = topics.filter((topic) => owners.get(topic)?.port === dead.port)
    const onAlive = topics.find((topic) => owners.get(topic)?.port === alive.port) ?? ''
    const got: string[] = []
    for (const topic of topics) await bus.subscribe(topic, (message) => void got.push(`${topic} ${message}`))
    let told = 0
    bus.onReconnect(() => {
      told += 1
    })

    await dead.kill()
    await eventually(() => expect(bus.publish(onDead[0] ?? '', 'lost')).rejects.toThrow())
    await eventually(() => expect(bus.subscribe(onDead[0] ?? '', () => {})).rejects.toThrow())
    await expect(bus.ping()).rejects.toThrow()
    await bus.publish(onAlive, 'hello')
    await eventually(() => expect(got).toContain(`${onAlive} hello`))
    expect(told).toBe(0)

    await dead.restart()
    await eventually(() => expect(told).toBe(1))
    await eventually(() => bus.ping())
    // All of its channels are whole by now: what is published from here on arrives.
    await Promise.all(onDead.map((topic) => bus.publish(topic, 'again')))
    await eventually(() => expect(got.filter((line) => line.endsWith(' again'))).toHaveLength(onDead.length))
    expect(got).not.toContain(`${onDead[0]} lost`)
    expect(told).toBe(1)
  })

  it('follows a slot that moves, and tells of the gap', async () => {
    const keyPrefix = `test-${randomUUID()}:`
    const [listening, speaking] = await Promise.all([openBus(keyPrefix), openBus(keyPrefix)])
    const slot = keySlot(`${keyPrefix}room`)
    const from = await cluster.ownerOf(slot)
    const to = cluster.masters.find(({ port }) => port !== from.port) ?? from
    const got: string[] = []
    await listening.subscribe('room', (message) => void got.push(message))
    let told = 0
    listening.onReconnect(() => {
      told += 1
    })
    await speaking.publish('room', 'before')
    await cluster.moveSlot(slot, from, to)
    await eventually(() => expect(told).toBeGreaterThan(0))
    // Its map is of before the move: the old owner names the new one.
    await speaking.publish('room', 'after')
    await eventually(() => expect(got).toEqual(['before', 'after']))
    const subscriptions = await subscriptionsOf(`${keyPrefix}room`)
    expect(subscriptions).toEqual(cluster.masters.map(({ port }) => (port === to.port ? 1 : 0)))

    // A third, whose map is old too, begins to listen.
    const late = await openBus(keyPrefix)
    await cluster.moveSlot(slot, to, from)
    const gotLate: string[] = []
    await eventually(() => late.subscribe('room', (message) => void gotLate.push(message)))
    await eventually(async () => expect(await subscriptionsOf(`${keyPrefix}room`)).toContain(2))
    await eventually(() => speaking.publish('room', 'at home again'))
    await eventually(() => expect([got.at(-1), gotLate.at(-1)]).toEqual(['at home again', 'at home again']))
  })

  it('stands a listener that leaves, and others that come, while slots move to and fro', async () => {
    const keyPrefix = `test-${randomUUID()}:`
    const bus = await openBus(keyPrefix)
    const slot = keySlot(`${keyPrefix}{tag}`)
    const home = await cluster.ownerOf(slot)
    const away = cluster.masters.find(({ port }) => port !== home.port) ?? home
    const topics = Array.from({ length: 50 }, (_, i) => `{tag}${i}`)
    const kept: string[] = []
    const come = (topic: string) => bus.subscribe(topic, (message) => void kept.push(`${topic} ${message}`))
    for (const topic of topics) await come(topic)
    let moving = true
    const coming = (async () => {
      while (moving) {
        const leave = await bus.subscribe('{tag}x', () => {}).catch(() => null)
        await leave?.()
        // A refusal needs no answer of a server: without a breath nothing else would happen any more.
        await setImmediate()
      }
    })()
    for (let round = 0; round < 10; round += 1) {
      await cluster.moveSlot(slot, home, away)
      await cluster.moveSlot(slot, away, home)
    }
    moving = false
    await coming
    for (const topic of topics) {
      await eventually(async () => {
        await bus.publish(topic, 'still')
        expect(kept).toContain(`${topic} still`)
      })
    }
    await eventually(async () => expect(await subscriptionsOf(`${keyPrefix}{tag}x`)).toEqual([0, 0, 0]))
  })

  it('follows a replica that takes over from a master that died, and tells of the gap', async () => {
    const own = await startTestRedisCluster()
    cleanUps.push(() => own.stop())
    const [dying] = own.masters as [TestClusterMaster]
    const replica = await own.addReplica(dying)
    const { bus, ready } = openClusterBus(own.url, 'test:', silent)
    cleanUps.push(() => bus.close())
    await ready
    const topic = await firstTopicOf(own, dying)
    const got: string[] = []
    await bus.subscribe(topic, (message) => void got.push(message))
    let told = 0
    bus.onReconnect(() => {
      told += 1
    })
    await dying.kill()
    await replica.redis.cluster('FAILOVER', 'TAKEOVER')
    await eventually(() => expect(told).toBe(1), { timeoutMs: 20_000 })
    await eventually(() => bus.publish(topic, 'hello'))
    await eventually(() => expect(got).toEqual(['hello']))
  })

  it('gives up on a master that does not answer, and has its channels again when it does', async () => {
    const keyPrefix = `test-${randomUUID()}:`
    const bus = await openBus(keyPrefix)
    const got: string[] = []
    await bus.subscribe('room', (message) => void got.push(message))
    let told = 0
    bus.onReconnect(() => {
      told += 1
    })
    const silenced = await cluster.ownerOf(keySlot(`${keyPrefix}room`))
    await silenced.redis.client('PAUSE', 5_000, 'ALL')
    const unanswered = await Promise.allSettled([
      bus.publish('room', 'x'),
      bus.subscribe('room', () => {}).then(() => bus.subscribe(sameSlot(keyPrefix, 'room'), () => {})),
    ])
    expect(unanswered.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    await eventually(() => expect(told).toBeGreaterThan(0))
    await eventually(() => bus.publish('room', 'hello'))
    await eventually(() => expect(got).toContain('hello'))
  })

  it('lets presence go on at the new owner of its slot with all that it held, and tells it of the break', async () => {
    const keyPrefix = `test-${randomUUID()}:`
    const root = `{${keyPrefix}}{presence}`
    const connections = new RedisCluster(clusterAddress(cluster.url), { name: 'presence', log: silent })
    await connections.ready()
    const redis = connections.forKey(root)
    const store = createRedisPresenceStore({ redis, nodeId: 'n1', keyPrefix: `{${keyPrefix}}` })
    cleanUps.push(() => store.close())
    const calls: string[] = []
    redis.on('close', () => calls.push('close'))
    redis.on('ready', () => calls.push('ready'))
    const leases = [1, 2, 3, 4].map((i) => ({ scope: `room-${i}`, userId: 'ada', state: 'ONLINE' as const }))
    const scopes = leases.map(({ scope }) => scope)
    await store.hold(leases, 60_000)
    const from = await cluster.ownerOf(keySlot(root))
    const to = cluster.masters.find(({ port }) => port !== from.port) ?? from
    await cluster.moveSlot(keySlot(root), from, to, () =>
      // Half of the keys are at either end: no script may see only those.
      expect(store.hold(leases, 60_000)).rejects.toThrow(/^(ASK|TRYAGAIN)/),
    )
    expect(await store.counts(scopes)).toEqual([1, 1, 1, 1])
    expect(await store.hold(leases, 60_000)).toEqual([])
    expect(calls).toEqual(['close', 'ready'])
  })

  it('is spoken to as the user of the URL, and only with the right password', async () => {
    for (const { redis } of cluster.masters)
      await redis.call('ACL', 'SETUSER', 'sohbet', 'on', '>p@ss:word', '~*', '&*', '+@all')
    const urlWith = (password: string) => cluster.url.replace('//', `//sohbet:${encodeURIComponent(password)}@`)
    const { bus, ready } = openClusterBus(urlWith('p@ss:word'), 'test:', silent)
    cleanUps.push(() => bus.close())
    await ready
    const got: string[] = []
    await bus.subscribe('room', (message) => void got.push(message))
    await bus.publish('room', 'hello')
    await eventually(() => expect(got).toEqual(['hello']))
    const users = await Promise.all(cluster.masters.map(({ redis }) => redis.client('LIST')))
    for (const list of users) {
      const ours = String(list)
        .split('\n')
        .filter((line) => line.includes('user=sohbet'))
      expect(ours.map((line) => /name=(\S+)-127/.exec(line)?.[1]).toSorted()).toEqual([
        'sohbet-publisher',
        'sohbet-subscriber',
      ])
    }

    const wrong = new RedisCluster(clusterAddress(urlWith('guessed')), { name: 'wrong', log: silent })
    cleanUps.push(() => wrong.close())
    await expect(wrong.ready(500)).rejects.toThrow()
  })

  it('stops the start where REDIS_URL names a single Redis, and the other way round', async () => {
    const start = (redisUrl: string) =>
      openRealtime({ redisUrl, nodeId: randomUUID(), clock: systemClock, logger: createLogger('silent') })
    const [{ port }] = cluster.masters as [TestClusterMaster]
    await expect(start(`redis://127.0.0.1:${port}`)).rejects.toThrow('REDIS_URL names a single Redis')
    const single = new URL(inject('redisUrl') ?? '')
    await expect(start(`redis+cluster://${single.host}`)).rejects.toThrow('REDIS_URL names a Redis Cluster')
  })
})

/** Another topic that is the same master's business. */
function sameSlot(keyPrefix: string, topic: string): string {
  const slot = keySlot(keyPrefix + topic)
  for (let i = 0; ; i += 1) if (keySlot(`${keyPrefix}${i}`) === slot) return String(i)
}

async function firstTopicOf(cluster: TestRedisCluster, master: TestClusterMaster): Promise<string> {
  for (let i = 0; i < SLOTS; i += 1) {
    if ((await cluster.ownerOf(keySlot(`test:room:${i}`))).port === master.port) return `room:${i}`
  }
  throw new Error('this master owns no slot')
}
