// Presence while Redis is lost: unknown, everywhere, and right again by itself. Who comes back in time to a node, or whose
// own connection holds, never left.

import { Redis } from 'ioredis'
import { afterEach, describe, expect, inject, it } from 'vitest'
import { startApp } from '../../src/app.ts'
import { decodeGlobalId } from '../../src/graphql/global-id.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { eventually } from '../support/eventually.ts'
import { post } from '../support/graphql-over-http.ts'
import { NO_REDIS } from '../support/provided.ts'
import { findRedisServer, startOwnRedis } from '../support/redis-server.ts'
import { openRoomEvents } from '../support/room-events.ts'
import { openDevice, PresenceWatch } from '../support/room-presence.ts'
import { person, stopAll } from '../support/seed.ts'
import { startNodes, useNodes } from '../support/start-nodes.ts'
import { startTcpGate } from '../support/tcp-gate.ts'

const EVERYTHING = `query ($room: ID!) {
  room(id: $room) { presence { count users { state } } }
  serverStatus { usersOnline activeRooms participants }
}`

/** What the database and the keys of Redis call the object of a global id. */
const uuidOf = (globalId: string) => decodeGlobalId(globalId).id

/** The changes that came after the first `count` items. */
function toldAfter(count: number, watch: PresenceWatch): string[] {
  return watch.items
    .slice(count)
    .flatMap(({ changes }) => changes ?? [])
    .map(({ user, state }) => `${user.name} ${state}`)
}

const redisUrl = inject('redisUrl')

describe.skipIf(!findRedisServer())(`a Redis that is lost ${findRedisServer() ? '' : NO_REDIS}`, () => {
  const cleanUps: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    await stopAll()
    for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
  })

  /** Two nodes on a Redis of their own, the second by way of a gate. A watcher on each: Ada, and Bob. */
  async function open(settings: Record<string, string> = {}) {
    const redis = await startOwnRedis()
    cleanUps.push(() => redis.stop())
    const gate = await startTcpGate(redis.url)
    cleanUps.push(() => gate.close())
    const nodes = await startNodes({ nodes: 1, redisUrl: redis.url, settings })
    cleanUps.push(() => nodes.stop())
    const late = await startApp({ config: { ...nodes.config, redisUrl: gate.url }, logger: createLogger('fatal') })
    cleanUps.push(() => late.close())
    const observer = new Redis(redis.url)
    observer.on('error', () => {})
    cleanUps.push(async () => observer.disconnect())
    const [first = ''] = nodes.urls
    const second = `${late.url}/graphql`
    const [ada, bob] = await Promise.all([person(first, 'Ada'), person(second, 'Bob')])
    const room = await ada.createRoom()
    await bob.join(room)
    const watches = [new PresenceWatch(ada.connect(first), room), new PresenceWatch(bob.connect(second), room)]
    const expectAll = async (expected: Record<string, 'ONLINE' | 'AWAY'>) => {
      for (const watch of watches) await watch.sees(expected)
    }
    await expectAll({ Ada: 'ONLINE', Bob: 'ONLINE' })
    return { redis, gate, observer, nodes, first, second, ada, bob, room, watches, expectAll }
  }
  type Story = Awaited<ReturnType<typeof open>>

  /** Everything that can be asked says that it is unknown, on both nodes, and chat goes on. */
  async function expectUnknown({ watches, ada, bob, first, second, room }: Story) {
    for (const watch of watches) await eventually(() => expect(watch.isUnknown).toBe(true))
    for (const [who, url] of [
      [ada, first],
      [bob, second],
    ] as const) {
      expect(await who.do(EVERYTHING, { room })).toEqual({
        room: { presence: { count: null, users: null } },
        serverStatus: { usersOnline: null, activeRooms: null, participants: null },
      })
      const { errors } = await post(url, '{ activeRooms { edges { cursor } } }', { token: who.token })
      expect(errors[0]?.extensions).toMatchObject({ code: 'UNAVAILABLE', retryable: true })
    }
    const { seq } = await bob.send(room, 'is anybody there?')
    const heard = openRoomEvents(ada.connect(first), room, seq - 1)
    expect((await heard.next()).data?.roomEvents).toMatchObject({ seq })
    heard.stop()
  }

  it('makes presence unknown; back and empty, it is right again, and nobody seems to have left', async () => {
    const story = await open()
    const { redis, gate, observer, second, bob, watches, room, expectAll } = story
    await gate.shut()
    await redis.kill()
    await expectUnknown(story)
    // Who begins to watch now is told the same, and what is so when it is known.
    const late = new PresenceWatch(bob.connect(second), room)
    await eventually(() => expect(late.isUnknown).toBe(true))

    await redis.restart()
    // The first node has written its own again; the other, whose users are still there, has not.
    const roomKey = `sohbet:{presence}:present:${uuidOf(room)}`
    await eventually(async () => expect(await observer.zcard(roomKey)).toBe(1))
    await gate.open()
    await eventually(async () => expect(await observer.zcard(roomKey)).toBe(2))
    await expectAll({ Ada: 'ONLINE', Bob: 'ONLINE' })
    await late.sees({ Ada: 'ONLINE', Bob: 'ONLINE' })
    // A third person's coming is told after whatever the outage might have caused.
    const { client } = await openDevice(second, await person(second, 'Cem'), room)
    cleanUps.push(async () => client.dispose())
    await expectAll({ Ada: 'ONLINE', Bob: 'ONLINE', Cem: 'ONLINE' })
    await late.sees({ Ada: 'ONLINE', Bob: 'ONLINE', Cem: 'ONLINE' })
    for (const watch of watches) {
      expect(watch.items.map(({ __typename }) => __typename).filter((type) => type !== 'PresenceChanged')).toEqual([
        'PresenceSnapshot',
        'PresenceUnknown',
        'PresenceSnapshot',
      ])
      expect(watch.items.flatMap(({ changes }) => changes ?? []).map(({ state }) => state)).not.toContain('OFFLINE')
    }
  }, 60_000)

  it('that stands still makes presence unknown, and it is right again also when all leases ran out meanwhile', async () => {
    // So short that none survives the pause.
    const story = await open({ PRESENCE_TTL_MS: '1000' })
    const { redis, second, watches, room, expectAll } = story
    redis.pause()
    await expectUnknown(story)
    redis.resume()
    await expectAll({ Ada: 'ONLINE', Bob: 'ONLINE' })
    const { client } = await openDevice(second, await person(second, 'Cem'), room)
    cleanUps.push(async () => client.dispose())
    await expectAll({ Ada: 'ONLINE', Bob: 'ONLINE', Cem: 'ONLINE' })
    for (const watch of watches) {
      expect(watch.items.flatMap(({ changes }) => changes ?? []).map(({ state }) => state)).not.toContain('OFFLINE')
    }
  }, 60_000)

  it('that loses everything while its connections hold is filled again within a lease', async () => {
    const { observer, expectAll, ada, room } = await open({ PRESENCE_TTL_MS: '1000' })
    await observer.flushall()
    await eventually(async () => {
      const { room: found } = await ada.do<{ room: object }>(
        'query ($room: ID!) { room(id: $room) { presence { count } } }',
        { room },
      )
      expect(found).toEqual({ presence: { count: 2 } })
    })
    await expectAll({ Ada: 'ONLINE', Bob: 'ONLINE' })
  })

  it('that takes no writes makes presence unknown: leases run out though their users are there', async () => {
    const story = await open({ PRESENCE_TTL_MS: '1000' })
    await story.observer.config('SET', 'maxmemory', '1')
    await expectUnknown(story)
    await story.observer.config('SET', 'maxmemory', '0')
    await story.expectAll({ Ada: 'ONLINE', Bob: 'ONLINE' })
    for (const watch of story.watches)
      expect(toldAfter(0, watch).filter((told) => told.endsWith('OFFLINE'))).toEqual([])
  }, 60_000)
})

describe.skipIf(redisUrl === null)(`a node that is closed ${redisUrl ? '' : NO_REDIS}`, () => {
  // The grace period is long, and nothing waits for its end.
  const nodes = useNodes({ nodes: 2, redisUrl, settings: { PRESENCE_GRACE_MS: '60000' } })
  afterEach(stopAll)

  it('lets nobody seem to leave who comes back on another one', async () => {
    const [first = '', second = ''] = nodes().urls
    const third = await nodes().addNode()
    const [ada, bob, cem, deniz] = [
      await person(first, 'Ada'),
      await person(first, 'Bob'),
      await person(first, 'Cem'),
      await person(first, 'Deniz'),
    ]
    const room = await ada.createRoom()
    const watch = new PresenceWatch(ada.connect(first), room)
    const gone = await openDevice(`${third.url}/graphql`, bob, room)
    await watch.sees({ Ada: 'ONLINE', Bob: 'ONLINE' })
    const before = watch.items.length
    await third.close()
    await gone.client.dispose()
    // Others' coming is told after whatever the closing and the return might have caused.
    const cems = await openDevice(second, cem, room)
    await watch.sees({ Ada: 'ONLINE', Bob: 'ONLINE', Cem: 'ONLINE' })
    const back = await openDevice(second, bob, room)
    const denizs = await openDevice(second, deniz, room)
    await watch.sees({ Ada: 'ONLINE', Bob: 'ONLINE', Cem: 'ONLINE', Deniz: 'ONLINE' })
    expect(toldAfter(before, watch)).toEqual(['Cem ONLINE', 'Deniz ONLINE'])
    await Promise.all([back, cems, denizs].map(({ client }) => client.dispose()))
  })
})
