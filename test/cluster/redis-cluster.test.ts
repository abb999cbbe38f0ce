// On a Redis Cluster whose slots move and whose masters die: every reader still gets every event once and in order. The
// sweep of these nodes never comes by itself, so that only the bus' own word of a gap can bring what was missed.

import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { keySlot } from '../../src/platform/redis-key-slot.ts'
import { eventually } from '../support/eventually.ts'
import { NO_REDIS_CLUSTER } from '../support/provided.ts'
import { startTestRedisCluster, type TestClusterMaster, type TestRedisCluster } from '../support/redis-cluster.ts'
import { expectWhole, itemOf, openRoomEvents, takeUpTo } from '../support/room-events.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { startNodes, type TestNodes } from '../support/start-nodes.ts'

const NEVER_MS = 300_000
const canRun = inject('redisClusterUrl') !== null

describe.skipIf(!canRun)(
  `rooms on a Redis Cluster that changes ${canRun ? '' : NO_REDIS_CLUSTER}`,
  { timeout: 60_000 },
  () => {
    let cluster: TestRedisCluster
    let nodes: TestNodes

    beforeAll(async () => {
      cluster = await startTestRedisCluster()
      const settings = { SWEEP_INTERVAL_MS: String(NEVER_MS) }
      nodes = await startNodes({ nodes: 2, redisUrl: cluster.url, settings })
    })

    afterEach(stopAll)

    afterAll(async () => {
      await nodes?.stop()
      await cluster?.stop()
    })

    /** Rooms with a reader each at the other node than where is written, and the masters that their news go through. */
    async function openRooms(count: number) {
      const [first = '', second = ''] = nodes.urls
      const ada = await person(first, 'Ada')
      const rooms = await Promise.all(
        Array.from({ length: count }, async () => {
          const id = await ada.createRoom()
          const stream = openRoomEvents(ada.connect(second), id, 0)
          await takeUpTo(stream, 1)
          return { id, stream }
        }),
      )
      return { ada, rooms }
    }

    /** The slots of the rooms that a master is listened to for. */
    async function roomSlotsOf({ redis }: TestClusterMaster): Promise<number[]> {
      // Redis answers with a list of names.
      const channels = (await redis.call('PUBSUB', 'SHARDCHANNELS', 'sohbet:room:*')) as string[]
      return channels.map(keySlot)
    }

    async function expectAll({ rooms }: Awaited<ReturnType<typeof openRooms>>, lastSeqs: readonly number[]) {
      for (const [i, { stream }] of rooms.entries()) {
        const last = lastSeqs[i] ?? 0
        await stream.takeUntil((result) => itemOf(result).seq >= last)
        expectWhole(stream.items.map(itemOf), 0, last)
      }
    }

    const sendToAll = (ada: Person, rooms: readonly { id: string }[], text: string) =>
      Promise.all(rooms.map(({ id }) => ada.send(id, text).then(({ seq }) => seq)))

    it('lose nothing while the slots of all rooms move to another master', async () => {
      const story = await openRooms(12)
      const moving = new Map<number, TestClusterMaster>()
      for (const master of cluster.masters) for (const slot of await roomSlotsOf(master)) moving.set(slot, master)
      expect(moving.size).toBeGreaterThan(5)
      let last: number[] = []
      let done = false
      const sending = (async () => {
        for (let i = 0; !done; i += 1) last = await sendToAll(story.ada, story.rooms, `message ${i}`)
      })()
      for (const [slot, from] of moving) {
        const to = cluster.masters[(cluster.masters.indexOf(from) + 1) % cluster.masters.length] ?? from
        await cluster.moveSlot(slot, from, to)
      }
      done = true
      await sending
      await expectAll(story, last)
      // No word about this one is lost, so that whoever listens at the wrong master does not get it.
      await eventually(async () => {
        const held = await Promise.all(cluster.masters.map(roomSlotsOf))
        expect(new Set(held.flat())).toEqual(new Set(moving.keys()))
      })
      await expectAll(story, await sendToAll(story.ada, story.rooms, 'the last'))
    })

    it('lose nothing of what is said while a master is away', async () => {
      const story = await openRooms(12)
      const [dead] = cluster.masters as [TestClusterMaster]
      expect(await roomSlotsOf(dead)).not.toEqual([])
      await dead.kill()
      await sendToAll(story.ada, story.rooms, 'unheard')
      await dead.restart()
      const last = await sendToAll(story.ada, story.rooms, 'perhaps heard')
      await expectAll(story, last)
    })
  },
)
