// Whose own connection holds, or who comes back in time, never left: neither when Redis loses everything nor when the
// node that they were on is closed.

import { afterEach, describe, expect, inject, it } from 'vitest'
import { startApp } from '../../src/app.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { eventually } from '../support/eventually.ts'
import { NO_REDIS } from '../support/provided.ts'
import { findRedisServer, startOwnRedis } from '../support/redis-server.ts'
import { openDevice, PresenceWatch } from '../support/room-presence.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { startNodes, useNodes } from '../support/start-nodes.ts'
import { startTcpGate } from '../support/tcp-gate.ts'

const PRESENCE = 'query ($room: ID!) { room(id: $room) { presence { count } } }'

/** How many are in the room, as the person's node reads it from Redis. */
async function countIn(room: string, who: Person): Promise<number | null> {
  const { room: found } = await who.do<{ room: { presence: { count: number | null } } }>(PRESENCE, { room })
  return found.presence.count
}

/** The changes that came after the first `count` items. */
function toldAfter(count: number, watch: PresenceWatch): string[] {
  return watch.items
    .slice(count)
    .flatMap(({ changes }) => changes ?? [])
    .map(({ user, state }) => `${user.name} ${state}`)
}

const redisUrl = inject('redisUrl')

describe.skipIf(!findRedisServer())(`a Redis that comes back empty ${findRedisServer() ? '' : NO_REDIS}`, () => {
  const cleanUps: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    await stopAll()
    for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
  })

  it('lets nobody seem to leave, also when one node finds it again later than the other', async () => {
    const redis = await startOwnRedis()
    cleanUps.push(() => redis.stop())
    const gate = await startTcpGate(redis.url)
    cleanUps.push(() => gate.close())
    const nodes = await startNodes({ nodes: 1, redisUrl: redis.url })
    cleanUps.push(() => nodes.stop())
    const late = await startApp({ config: { ...nodes.config, redisUrl: gate.url }, logger: createLogger('fatal') })
    cleanUps.push(() => late.close())
    const [first = ''] = nodes.urls
    const second = `${late.url}/graphql`

    const [ada, bob, cem] = await Promise.all([person(first, 'Ada'), person(second, 'Bob'), person(second, 'Cem')])
    const room = await ada.createRoom()
    const watches = [new PresenceWatch(ada.connect(first), room), new PresenceWatch(bob.connect(second), room)]
    for (const watch of watches) await watch.sees({ Ada: 'ONLINE', Bob: 'ONLINE' })
    const before = watches.map((watch) => watch.items.length)

    await gate.shut()
    await redis.kill()
    await eventually(async () => expect(await countIn(room, ada)).toBe(null))
    await redis.restart()
    // The first node has written its own again; the other has not.
    await eventually(async () => expect(await countIn(room, ada)).toBe(1))
    await gate.open()
    await eventually(async () => expect(await countIn(room, ada)).toBe(2))
    // A third person's coming is told when the rooms have been read again.
    const { client } = await openDevice(second, cem, room)
    cleanUps.push(async () => client.dispose())
    for (const [i, watch] of watches.entries()) {
      await watch.sees({ Ada: 'ONLINE', Bob: 'ONLINE', Cem: 'ONLINE' })
      expect(toldAfter(before[i] ?? 0, watch)).toEqual(['Cem ONLINE'])
    }
  }, 40_000)
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
