import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import { afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { closeRedis, createRedis, type RedisLog, redisReady } from '../../src/platform/redis.ts'
import type { EventBus } from '../../src/realtime/event-bus.ts'
import { createMemoryEventBus } from '../../src/realtime/event-bus-memory.ts'
import { createRedisEventBus } from '../../src/realtime/event-bus-redis.ts'
import { openClusterBus } from '../support/cluster-bus.ts'
import { eventually } from '../support/eventually.ts'
import { NO_REDIS, NO_REDIS_CLUSTER } from '../support/provided.ts'
import { findRedisServer, startOwnRedis, type TestRedis } from '../support/redis-server.ts'

const redisUrl = inject('redisUrl')
const clusterUrl = inject('redisClusterUrl')
const cleanUps: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

function memoryBus(): Promise<EventBus> {
  const bus = createMemoryEventBus()
  cleanUps.push(() => bus.close())
  return Promise.resolve(bus)
}

const silent: RedisLog = { info: () => {}, warn: () => {}, error: () => {} }

function openRedisBus(url: string, keyPrefix: string, log = silent) {
  const publisher = createRedis(url, { name: 'publisher', log, autoPipelining: true })
  const subscriber = createRedis(url, { name: 'subscriber', log })
  const bus = createRedisEventBus({ publisher, subscriber, keyPrefix, log })
  cleanUps.push(() => bus.close())
  return { bus, ready: Promise.all([redisReady(publisher), redisReady(subscriber)]) }
}

async function redisBus(url: string, keyPrefix = `test-${randomUUID()}:`, log = silent): Promise<EventBus> {
  const { bus, ready } = openRedisBus(url, keyPrefix, log)
  await ready
  return bus
}

async function clusterBus(url: string, keyPrefix = `test-${randomUUID()}:`, log = silent): Promise<EventBus> {
  const { bus, ready } = openClusterBus(url, keyPrefix, log)
  cleanUps.push(() => bus.close())
  await ready
  return bus
}

/** A look at the server itself, past the bus. */
async function observe(url: string): Promise<Redis> {
  const redis = createRedis(url, { name: 'observer', log: silent })
  cleanUps.push(() => closeRedis(redis))
  await redisReady(redis)
  return redis
}

function behavesAsAnEventBus(open: () => Promise<EventBus>): void {
  it('delivers what is published after the subscription, in the order of publishing', async () => {
    const bus = await open()
    const got: string[] = []
    await bus.publish('room', 'too early')
    await bus.subscribe('room', (message) => got.push(message))
    const sent = Array.from({ length: 500 }, (_, i) => `message ${i}`)
    await Promise.all(sent.map((message) => bus.publish('room', message)))
    await eventually(() => expect(got).toEqual(sent))
  })

  it('never delivers inside publish', async () => {
    const bus = await open()
    let returned = false
    const order: boolean[] = []
    await bus.subscribe('room', () => order.push(returned))
    const published = bus.publish('room', 'x')
    returned = true
    await published
    await eventually(() => expect(order).toEqual([true]))
  })

  it('carries any string as it is', async () => {
    const bus = await open()
    const got: string[] = []
    await bus.subscribe('room', (message) => got.push(message))
    const sent = ['', '{"a":1}', '"quoted"', 'null', 'çğışöü 👩‍👩‍👧', 'a\nb\r\n\u0000c', 'x'.repeat(200_000)]
    for (const message of sent) await bus.publish('room', message)
    await eventually(() => expect(got).toEqual(sent))
  })

  it('keeps topics apart', async () => {
    const bus = await open()
    const got: string[] = []
    await bus.subscribe('a', (message) => got.push(`a ${message}`))
    await bus.subscribe('a*', (message) => got.push(`a* ${message}`))
    await bus.publish('ab', '1')
    await bus.publish('a', '2')
    await bus.publish('a*', '3')
    await eventually(() => expect(got.toSorted()).toEqual(['a 2', 'a* 3']))
  })

  it('serves many listeners of a topic, also the same one twice, until each has left', async () => {
    const bus = await open()
    const got: string[] = []
    const twice = (message: string) => void got.push(`twice ${message}`)
    const leave = await bus.subscribe('room', twice)
    const [leaveOther] = await Promise.all([
      bus.subscribe('room', twice),
      bus.subscribe('room', (message) => got.push(`third ${message}`)),
    ])
    await bus.publish('room', '1')
    await eventually(() => expect(got).toHaveLength(3))
    await leave()
    await leave()
    await bus.publish('room', '2')
    await eventually(() => expect(got).toHaveLength(5))
    await leaveOther?.()
    await bus.publish('room', '3')
    await eventually(() => expect(got).toHaveLength(6))
    expect(got.filter((line) => line.startsWith('third'))).toEqual(['third 1', 'third 2', 'third 3'])
  })

  it('is silent from the moment of leaving, and takes a new subscription at once', async () => {
    const bus = await open()
    const got: string[] = []
    const leave = await bus.subscribe('room', (message) => got.push(`old ${message}`))
    const left = leave()
    await bus.subscribe('room', (message) => got.push(`new ${message}`))
    await left
    await bus.publish('room', '1')
    await eventually(() => expect(got).toEqual(['new 1']))
  })

  it('stands listeners that leave, all of them, while a message is being delivered', async () => {
    const bus = await open()
    const leaves: (() => Promise<void>)[] = []
    const ended: Promise<void>[] = []
    const leaveAll = () => void ended.push(...leaves.map((leave) => leave()))
    for (let i = 0; i < 3; i += 1) leaves.push(await bus.subscribe('room', leaveAll))
    await bus.publish('room', '1')
    await eventually(() => expect(ended).not.toHaveLength(0))
    await Promise.all(ended)
    const got: string[] = []
    await bus.subscribe('room', (message) => got.push(message))
    await bus.publish('room', '2')
    await eventually(() => expect(got).toEqual(['2']))
    expect(ended).toHaveLength(3)
  })

  it('does not call the first connection a reconnect, and answers a ping', async () => {
    const bus = await open()
    let reconnects = 0
    bus.onReconnect(() => {
      reconnects += 1
    })
    await bus.subscribe('room', () => {})
    expect(await bus.ping()).toBeGreaterThanOrEqual(0)
    expect(reconnects).toBe(0)
  })

  it('refuses everything once closed', async () => {
    const bus = await open()
    await bus.subscribe('room', () => {})
    await bus.close()
    await bus.close()
    await expect(bus.publish('room', 'x')).rejects.toThrow()
    await expect(bus.subscribe('room', () => {})).rejects.toThrow()
    await expect(bus.ping()).rejects.toThrow()
  })
}

function behavesAsABusBetweenNodes(open: (keyPrefix: string, log?: RedisLog) => Promise<EventBus>): void {
  it('carries messages from node to node', async () => {
    const keyPrefix = `test-${randomUUID()}:`
    const [one, other] = await Promise.all([open(keyPrefix), open(keyPrefix)])
    const got: string[] = []
    await one.subscribe('room', (message) => got.push(message))
    await other.publish('room', 'hello')
    await eventually(() => expect(got).toEqual(['hello']))
  })

  it('logs a listener that throws and serves the others', async () => {
    const errors: unknown[] = []
    const note = (noted: unknown) => void errors.push(noted)
    const bus = await open(`test-${randomUUID()}:`, { ...silent, error: note })
    const got: string[] = []
    await bus.subscribe('room', () => {
      throw new Error('a defect')
    })
    await bus.subscribe('room', (message) => got.push(message))
    await bus.publish('room', '1')
    await eventually(() => expect(got).toEqual(['1']))
    expect(errors).toHaveLength(1)
  })
}

describe('event bus in memory', () => {
  behavesAsAnEventBus(memoryBus)
})

const sharedRedis = redisUrl ?? ''
describe.skipIf(!redisUrl)(`event bus on Redis ${redisUrl ? '' : NO_REDIS}`, () => {
  behavesAsAnEventBus(() => redisBus(sharedRedis))

  behavesAsABusBetweenNodes((keyPrefix, log) => redisBus(sharedRedis, keyPrefix, log))

  it('holds one subscription at the server for all listeners of a topic, and none after the last', async () => {
    const keyPrefix = `test-${randomUUID()}:`
    const bus = await redisBus(sharedRedis, keyPrefix)
    const observer = await observe(sharedRedis)
    const leaves = await Promise.all(Array.from({ length: 20 }, () => bus.subscribe('room', () => {})))
    expect(await observer.pubsub('NUMSUB', `${keyPrefix}room`)).toEqual([`${keyPrefix}room`, 1])
    await Promise.all(leaves.map((leave) => leave()))
    expect(await observer.pubsub('NUMSUB', `${keyPrefix}room`)).toEqual([`${keyPrefix}room`, 0])
  })
})

describe.skipIf(!clusterUrl)(`event bus on Redis Cluster ${clusterUrl ? '' : NO_REDIS_CLUSTER}`, () => {
  behavesAsAnEventBus(() => clusterBus(clusterUrl ?? ''))
  behavesAsABusBetweenNodes((keyPrefix, log) => clusterBus(clusterUrl ?? '', keyPrefix, log))
})

const canKillRedis = redisUrl !== null && findRedisServer() !== null
describe.skipIf(!canKillRedis)(`event bus while Redis comes and goes ${canKillRedis ? '' : NO_REDIS}`, () => {
  let server: TestRedis

  beforeAll(async () => {
    server = await startOwnRedis()
    return () => server.stop()
  })

  afterEach(() => server.restart())

  it('refuses at once while Redis is away, then reconnects, tells so once, and delivers again', async () => {
    const lines: string[] = []
    const note = (_: unknown, line?: string) => void lines.push(line ?? '')
    const { bus, ready } = openRedisBus(server.url, 'test:', { info: note, warn: note, error: note })
    await ready
    const got: string[] = []
    let reconnects = 0
    bus.onReconnect(() => {
      reconnects += 1
      // Complete by now: what is published from here on arrives.
      void bus.publish('room-7', 'from the reconnect').catch(() => {})
    })
    for (let i = 0; i < 1_200; i += 1) await bus.subscribe(`room-${i}`, (message) => got.push(`${i} ${message}`))
    await server.kill()
    await eventually(() => expect(bus.publish('room-7', 'lost')).rejects.toThrow())
    // Eventually: the two connections learn of the death one after the other.
    await eventually(() => expect(bus.subscribe('room-7', () => {})).rejects.toThrow())
    await expect(bus.subscribe('another', () => {})).rejects.toThrow()
    await expect(bus.ping()).rejects.toThrow()
    await server.restart()
    await eventually(() => expect(reconnects).toBe(1))
    await eventually(() => bus.publish('room-1199', 'hello'))
    await eventually(() => expect(got).toContain('1199 hello'))
    expect(got).not.toContain('7 lost')
    expect(lines.filter((line) => line.includes('away'))).toHaveLength(2)
    expect(reconnects).toBe(1)
  })

  it('leaves nothing behind of a refused subscription, and takes it after the return', async () => {
    const bus = await redisBus(server.url, 'test:')
    await server.kill()
    const refused: string[] = []
    await eventually(() => expect(bus.subscribe('room', (message) => refused.push(message))).rejects.toThrow())
    let told = 0
    bus.onReconnect(() => {
      told += 1
    })
    await server.restart()
    await eventually(() => expect(told).toBe(1))
    const got: string[] = []
    const leave = await bus.subscribe('room', (message) => got.push(message))
    await eventually(() => bus.publish('room', '1'))
    await eventually(() => expect(got).toEqual(['1']))
    await leave()
    expect(refused).toEqual([])
    const observer = await observe(server.url)
    expect(await observer.pubsub('CHANNELS', '*')).toEqual([])
  })

  it('lets go of a topic that is left while Redis is away', async () => {
    const bus = await redisBus(server.url, 'test:')
    const leave = await bus.subscribe('room', () => {})
    await bus.subscribe('kept', () => {})
    let told = 0
    bus.onReconnect(() => {
      told += 1
    })
    await server.kill()
    await leave()
    await server.restart()
    await eventually(() => expect(told).toBe(1))
    const observer = await observe(server.url)
    expect(await observer.pubsub('CHANNELS', '*')).toEqual(['test:kept'])
  })

  it('starts while Redis is away, and tells those it refused when it comes', async () => {
    await server.kill()
    const { bus, ready } = openRedisBus(server.url, 'test:')
    ready.catch(() => {})
    await expect(bus.subscribe('room', () => {})).rejects.toThrow()
    await expect(bus.publish('room', 'x')).rejects.toThrow()
    let told = 0
    bus.onReconnect(() => {
      told += 1
    })
    await server.restart()
    await eventually(() => expect(told).toBe(1))
  })
})
