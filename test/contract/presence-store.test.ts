import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import { afterEach, describe, expect, inject, it } from 'vitest'
import type { Clock } from '../../src/platform/clock.ts'
import { createRedis, type RedisLog, redisReady } from '../../src/platform/redis.ts'
import { RedisCluster } from '../../src/platform/redis-cluster.ts'
import { type Lease, type PresenceState, type PresenceStore, SERVER_SCOPE } from '../../src/presence/presence-store.ts'
import { createMemoryPresenceStore, MemoryPresenceState } from '../../src/presence/presence-store-memory.ts'
import { createRedisPresenceStore } from '../../src/presence/presence-store-redis.ts'
import { clusterAddress } from '../support/cluster-bus.ts'
import { eventually } from '../support/eventually.ts'
import { PresenceModel } from '../support/presence-model.ts'
import { NO_REDIS, NO_REDIS_CLUSTER } from '../support/provided.ts'
import { findRedisServer, startOwnRedis } from '../support/redis-server.ts'

const redisUrl = inject('redisUrl')
const clusterUrl = inject('redisClusterUrl')
const sharedRedis = redisUrl ?? ''
const silent: RedisLog = { info: () => {}, warn: () => {}, error: () => {} }
const cleanUps: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

class TestClock implements Clock {
  nowMs = 1_700_000_000_000
  now(): number {
    return this.nowMs
  }
}

/** Three nodes that share one presence, and the time. */
interface World {
  nodes: [PresenceStore, PresenceStore, PresenceStore]
  clock: TestClock
}

async function memoryWorld(): Promise<World> {
  const clock = new TestClock()
  const shared = new MemoryPresenceState()
  const open = (nodeId: string) => createMemoryPresenceStore({ clock, nodeId, shared })
  return { nodes: [open('n1'), open('n2'), open('n3')], clock }
}

async function openRedisStore(url: string, nodeId: string, keyPrefix: string, clock?: Clock): Promise<PresenceStore> {
  const redis = createRedis(url, { name: 'presence', log: silent })
  await redisReady(redis)
  const store = createRedisPresenceStore({ redis, nodeId, keyPrefix, clock })
  cleanUps.push(() => store.close())
  return store
}

async function redisWorld(): Promise<World> {
  const clock = new TestClock()
  const keyPrefix = `test-${randomUUID()}:`
  const open = (nodeId: string) => openRedisStore(sharedRedis, nodeId, keyPrefix, clock)
  return { nodes: await Promise.all([open('n1'), open('n2'), open('n3')]), clock }
}

async function clusterWorld(): Promise<World> {
  const clock = new TestClock()
  const keyPrefix = `test-${randomUUID()}:`
  const open = async (nodeId: string) => {
    const cluster = new RedisCluster(clusterAddress(clusterUrl ?? ''), { name: 'presence', log: silent })
    const redis = cluster.forKey(`${keyPrefix}{presence}`)
    const store = createRedisPresenceStore({ redis, nodeId, keyPrefix, clock })
    cleanUps.push(() => store.close())
    await cluster.ready()
    return store
  }
  return { nodes: await Promise.all([open('n1'), open('n2'), open('n3')]), clock }
}

const TTL_MS = 30_000

function lease(scope: string, userId: string, state: PresenceState = 'ONLINE'): Lease {
  return { scope, userId, state }
}

function behavesAsAPresenceStore(open: () => Promise<World>): void {
  it('counts a user once, however many nodes hold them, until the last one lets go', async () => {
    const {
      nodes: [one, other],
    } = await open()
    expect(await one.hold([lease('room', 'ada')], TTL_MS)).toEqual(['room'])
    expect(await other.hold([lease('room', 'ada')], TTL_MS)).toEqual([])
    expect(await one.hold([lease('room', 'ada')], TTL_MS)).toEqual([])
    expect(await other.read('room', 10)).toEqual({ count: 1, users: [{ userId: 'ada', state: 'ONLINE' }] })
    expect(await one.release([lease('room', 'ada')])).toEqual([])
    expect(await one.release([lease('room', 'ada')])).toEqual([])
    expect(await other.release([lease('room', 'ada')])).toEqual(['room'])
    expect(await one.read('room', 10)).toEqual({ count: 0, users: [] })
  })

  it('lets ONLINE win over AWAY', async () => {
    const {
      nodes: [one, other],
    } = await open()
    const state = async () => (await one.read('room', 1)).users[0]?.state
    expect(await one.hold([lease('room', 'ada', 'AWAY')], TTL_MS)).toEqual(['room'])
    expect(await state()).toBe('AWAY')
    expect(await other.hold([lease('room', 'ada', 'ONLINE')], TTL_MS)).toEqual(['room'])
    expect(await state()).toBe('ONLINE')
    expect(await one.hold([lease('room', 'ada', 'ONLINE')], TTL_MS)).toEqual([])
    expect(await other.hold([lease('room', 'ada', 'AWAY')], TTL_MS)).toEqual([])
    expect(await one.hold([lease('room', 'ada', 'AWAY')], TTL_MS)).toEqual(['room'])
    expect(await state()).toBe('AWAY')
    await one.hold([lease('room', 'ada', 'ONLINE')], TTL_MS)
    expect(await one.release([lease('room', 'ada')])).toEqual(['room'])
    expect(await state()).toBe('AWAY')
  })

  it('has exactly one of many concurrent calls report a change', async () => {
    const { nodes, clock } = await open()
    const reports = async (calls: Promise<string[]>[]) => (await Promise.all(calls)).flat()
    expect(await reports(nodes.map((node) => node.hold([lease('room', 'ada')], TTL_MS)))).toEqual(['room'])
    expect(await reports(nodes.map((node) => node.release([lease('room', 'ada')])))).toEqual(['room'])
    expect(await reports(nodes.map((node) => node.hold([lease('room', 'ada')], TTL_MS)))).toEqual(['room'])
    clock.nowMs += TTL_MS
    expect(await reports(nodes.flatMap((node) => [node.sweep(), node.sweep()]))).toEqual(['room'])
  })

  it('forgets a node that died, and one of the others reports it', async () => {
    const {
      nodes: [dead, alive, third],
      clock,
    } = await open()
    await dead.hold([lease('room', 'ada'), lease('room', 'bob'), lease(SERVER_SCOPE, 'ada')], TTL_MS)
    await alive.hold([lease('room', 'bob')], TTL_MS)
    clock.nowMs += TTL_MS - 1
    await alive.hold([lease('room', 'bob')], TTL_MS)
    expect(await alive.sweep()).toEqual([])
    clock.nowMs += 1
    expect((await alive.sweep()).toSorted()).toEqual(['room', SERVER_SCOPE])
    expect(await third.sweep()).toEqual([])
    expect(await third.read('room', 10)).toEqual({ count: 1, users: [{ userId: 'bob', state: 'ONLINE' }] })
  })

  it.each([
    ['read', (node: PresenceStore) => node.read('room', 10).then(({ count }) => count)],
    ['counts', (node: PresenceStore) => node.counts(['room']).then(([count]) => count)],
    ['busiest', (node: PresenceStore) => node.busiest(10).then(({ length }) => length)],
    ['totals', (node: PresenceStore) => node.totals().then(({ participants }) => participants)],
  ])('does not count expired leases in %s, and leaves the report to the next sweep', async (_, look) => {
    const {
      nodes: [one, other],
      clock,
    } = await open()
    await one.hold([lease('room', 'ada')], TTL_MS)
    expect(await look(other)).toBe(1)
    clock.nowMs += TTL_MS
    expect(await look(other)).toBe(0)
    expect(await one.sweep()).toEqual(['room'])
    expect(await other.sweep()).toEqual([])
  })

  it('gives every user who expired everywhere to one who asks', async () => {
    const {
      nodes: [dead, alive, third],
      clock,
    } = await open()
    const crowd = Array.from({ length: 2_500 }, (_, i) => lease(SERVER_SCOPE, `user-${i}`))
    await dead.hold([...crowd, lease(SERVER_SCOPE, 'ada'), lease('room', 'bob'), lease('room', 'ada')], TTL_MS)
    await alive.hold([lease(SERVER_SCOPE, 'cem'), lease(SERVER_SCOPE, 'ada')], TTL_MS)
    await alive.release([lease(SERVER_SCOPE, 'cem')])
    clock.nowMs += TTL_MS - 1
    await alive.hold([lease(SERVER_SCOPE, 'ada')], TTL_MS)
    clock.nowMs += 1
    expect(await third.takeExpired()).toEqual([])
    // A reader's look counts as well.
    await third.totals()
    expect(await alive.sweep()).toContain(SERVER_SCOPE)
    await third.sweep()
    const taken = (await Promise.all([alive.takeExpired(), third.takeExpired()])).flat()
    expect(taken.toSorted()).toEqual(crowd.map(({ userId }) => userId).toSorted())
    expect(await alive.takeExpired()).toEqual([])
  })

  it('honours a renewal that shortens a lease', async () => {
    const {
      nodes: [one],
      clock,
    } = await open()
    await one.hold([lease('room', 'ada')], TTL_MS)
    await one.hold([lease('room', 'ada')], 1_000)
    clock.nowMs += 1_000
    expect(await one.sweep()).toEqual(['room'])
  })

  it('reads the longest present first, at most so many', async () => {
    const {
      nodes: [one, other],
      clock,
    } = await open()
    for (const userId of ['dan', 'ada', 'eve', 'bob']) {
      await one.hold([lease('room', userId)], TTL_MS)
      clock.nowMs += 1
    }
    await other.hold([lease('room', 'dan', 'AWAY'), lease('room', 'eve')], TTL_MS)
    await one.release([lease('room', 'ada')])
    await one.hold([lease('room', 'ada')], TTL_MS)
    const { count, users } = await one.read('room', 3)
    expect(count).toBe(4)
    expect(users.map(({ userId }) => userId)).toEqual(['dan', 'eve', 'bob'])
    expect((await one.read('room', 0)).users).toEqual([])
  })

  it('counts many scopes in the order asked, and ranks rooms without the server scope', async () => {
    const {
      nodes: [one, other],
    } = await open()
    const users = ['ada', 'bob', 'eve']
    await one.hold(
      [...users.map((user) => lease(SERVER_SCOPE, user)), ...users.map((user) => lease('big', user))],
      TTL_MS,
    )
    await other.hold([lease('small', 'ada'), lease('middle', 'ada'), lease('middle', 'bob')], TTL_MS)
    expect(await other.counts(['small', 'nobody', 'big', 'small', SERVER_SCOPE])).toEqual([1, 0, 3, 1, 3])
    expect(await one.counts([])).toEqual([])
    expect(await one.busiest(2)).toEqual([
      { scope: 'big', count: 3 },
      { scope: 'middle', count: 2 },
    ])
    expect(await one.busiest(0)).toEqual([])
    expect(await one.totals()).toEqual({ usersOnline: 3, activeRooms: 3, participants: 6 })
  })

  it('takes more at once than one call to the server carries', async () => {
    const {
      nodes: [one, other],
      clock,
    } = await open()
    const leases = Array.from({ length: 3_000 }, (_, i) => lease(i % 2 ? 'crowd' : `room-${i}`, `user-${i}`))
    expect(await one.hold(leases, TTL_MS)).toHaveLength(1_501)
    expect(await one.hold(leases, TTL_MS)).toEqual([])
    expect(await other.totals()).toEqual({ usersOnline: 0, activeRooms: 1_501, participants: 3_000 })
    expect((await other.counts(leases.map(({ scope }) => scope))).slice(0, 4)).toEqual([1, 1_500, 1, 1_500])
    clock.nowMs += TTL_MS
    expect((await other.read('crowd', 10)).count).toBe(0)
    const reported = [...(await other.sweep()), ...(await other.sweep())]
    expect(new Set(reported).size).toBe(1_501)
    expect(reported).toHaveLength(1_501)
    expect(await other.totals()).toEqual({ usersOnline: 0, activeRooms: 0, participants: 0 })
  })

  it('agrees with the model through any history', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), (steps) => followsTheModel(open, steps)),
      {
        numRuns: 60,
      },
    )
  })
}

// Few, so that nodes often meet over the same user.
const SCOPES = [SERVER_SCOPE, 'red', 'blue']
const USERS = ['ada', 'bob', 'çiğ|dem']

const node = fc.nat({ max: 2 })
const key = fc.record({ scope: fc.constantFrom(...SCOPES), userId: fc.constantFrom(...USERS) })
const keys = fc.uniqueArray(key, { maxLength: 6, selector: ({ scope, userId }) => `${scope}/${userId}` })
const state = fc.constantFrom<PresenceState>('ONLINE', 'AWAY')
const step = fc.oneof(
  fc.record({ do: fc.constant('hold' as const), node, keys, state, ttlMs: fc.constantFrom(10, 20, 50) }),
  fc.record({ do: fc.constant('release' as const), node, keys }),
  fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 5, 10, 30) }),
  fc.record({ do: fc.constant('sweep' as const), node }),
  fc.record({ do: fc.constant('read' as const), node, scope: fc.constantFrom(...SCOPES) }),
  fc.record({ do: fc.constantFrom('counts' as const, 'busiest' as const, 'totals' as const), node }),
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

async function followsTheModel(open: () => Promise<World>, steps: Step[]): Promise<void> {
  const world = await open()
  const model = new PresenceModel()
  for (const each of steps) {
    await takeStep(world, model, each)
    world.clock.nowMs = model.nowMs
  }
  // Whatever happened, in the end the world is level with the model, and everything was reported.
  const ending: Step[] = [
    ...SCOPES.map((scope) => ({ do: 'read' as const, node: 0, scope })),
    { do: 'totals', node: 0 },
    { do: 'counts', node: 1 },
    { do: 'busiest', node: 2 },
    { do: 'sweep', node: 1 },
    { do: 'sweep', node: 2 },
  ]
  for (const each of ending) await takeStep(world, model, each)
}

async function takeStep({ nodes }: World, model: PresenceModel, taken: Step): Promise<void> {
  if (taken.do === 'wait') {
    model.nowMs += taken.ms
    return
  }
  const store = nodes[taken.node] ?? nodes[0]
  const nodeId = `n${taken.node}`
  switch (taken.do) {
    case 'hold': {
      const leases = taken.keys.map((each) => ({ ...each, state: taken.state }))
      const changed = await store.hold(leases, taken.ttlMs)
      return expect(changed.toSorted()).toEqual(model.hold(nodeId, leases, taken.ttlMs))
    }
    case 'release':
      return expect((await store.release(taken.keys)).toSorted()).toEqual(model.release(nodeId, taken.keys))
    case 'sweep':
      return expect((await store.sweep()).toSorted()).toEqual(model.sweep())
    case 'read': {
      const { count, users } = await store.read(taken.scope, 100)
      const expected = model.read(taken.scope)
      expect(count).toBe(expected.length)
      return expect(model.inOrder(taken.scope, users)).toEqual(expected)
    }
    case 'counts': {
      const expected = model.counts()
      return expect(await store.counts(SCOPES)).toEqual(SCOPES.map((scope) => expected.get(scope) ?? 0))
    }
    case 'busiest': {
      const rooms = await store.busiest(10)
      expect(rooms.map(({ count }) => count)).toEqual(rooms.map(({ count }) => count).toSorted((a, b) => b - a))
      const expected = [...model.counts()].filter(([scope]) => scope !== SERVER_SCOPE)
      return expect(rooms.map(({ scope, count }) => [scope, count]).toSorted()).toEqual(expected.toSorted())
    }
    case 'totals':
      return expect(await store.totals()).toEqual(model.totals())
  }
}

describe('presence store in memory', () => {
  behavesAsAPresenceStore(memoryWorld)
})

describe.skipIf(!redisUrl)(`presence store on Redis ${redisUrl ? '' : NO_REDIS}`, () => {
  behavesAsAPresenceStore(redisWorld)

  it("goes by the server's clock by default", async () => {
    const keyPrefix = `test-${randomUUID()}:`
    const store = await openRedisStore(sharedRedis, 'n1', keyPrefix)
    await store.hold([lease('room', 'ada')], 60_000)
    expect(await store.counts(['room'])).toEqual([1])
    await store.hold([lease('room', 'ada')], 1)
    await eventually(async () => expect(await store.counts(['room'])).toEqual([0]))
  })

  it('puts an expiry and the hash tag on every key', async () => {
    const keyPrefix = `test-${randomUUID()}:`
    const clock = new TestClock()
    const store = await openRedisStore(sharedRedis, 'n1', keyPrefix, clock)
    const observer = new Redis(sharedRedis)
    cleanUps.push(async () => observer.disconnect())
    const rooms = Array.from({ length: 20 }, (_, i) => lease(`room-${i}`, `user-${i}`))
    await store.hold([...rooms, lease(SERVER_SCOPE, 'ada'), lease(SERVER_SCOPE, 'bob', 'AWAY')], TTL_MS)
    clock.nowMs += TTL_MS
    await store.hold([lease('room-1', 'user-1')], TTL_MS)
    await store.read('room-2', 10)
    const keys = await observer.keys(`${keyPrefix}*`)
    expect(keys.length).toBeGreaterThan(80)
    for (const name of keys) {
      expect(name).toContain('{presence}')
      expect(await observer.pttl(name), name).toBeGreaterThan(0)
    }
    await store.sweep()
    await store.takeExpired()
    await store.release([lease('room-1', 'user-1')])
    expect(await observer.keys(`${keyPrefix}*`)).toEqual([`${keyPrefix}{presence}:participants`])
  })

  it('takes a scope whose keys were lost out of the sums', async () => {
    const keyPrefix = `test-${randomUUID()}:`
    const clock = new TestClock()
    const store = await openRedisStore(sharedRedis, 'n1', keyPrefix, clock)
    const observer = new Redis(sharedRedis)
    cleanUps.push(async () => observer.disconnect())
    await store.hold([lease('lost', 'ada'), lease('lost', 'bob'), lease('kept', 'ada')], TTL_MS)
    await observer.del(...['leases', 'held', 'online', 'present'].map((name) => `${keyPrefix}{presence}:${name}:lost`))
    clock.nowMs += TTL_MS - 1
    await store.hold([lease('kept', 'ada')], TTL_MS)
    clock.nowMs += 1
    expect(await store.totals()).toEqual({ usersOnline: 0, activeRooms: 1, participants: 1 })
    expect(await store.busiest(5)).toEqual([{ scope: 'kept', count: 1 }])
  })
})

describe.skipIf(!clusterUrl)(`presence store on Redis Cluster ${clusterUrl ? '' : NO_REDIS_CLUSTER}`, () => {
  behavesAsAPresenceStore(clusterWorld)
})

const canKillRedis = redisUrl !== null && findRedisServer() !== null
describe.skipIf(!canKillRedis)(`presence store while Redis comes and goes ${canKillRedis ? '' : NO_REDIS}`, () => {
  it('refuses while Redis is away and is whole again with the next hold', async () => {
    const server = await startOwnRedis()
    cleanUps.push(() => server.stop())
    const store = await openRedisStore(server.url, 'n1', 'test:')
    const leases = [lease('room', 'ada'), lease(SERVER_SCOPE, 'ada')]
    await store.hold(leases, TTL_MS)
    await server.kill()
    await eventually(() => expect(store.hold(leases, TTL_MS)).rejects.toThrow())
    await expect(store.read('room', 1)).rejects.toThrow()
    await server.restart()
    await eventually(async () => expect((await store.hold(leases, TTL_MS)).toSorted()).toEqual(['room', SERVER_SCOPE]))
    expect(await store.totals()).toEqual({ usersOnline: 1, activeRooms: 1, participants: 1 })
  })
})
