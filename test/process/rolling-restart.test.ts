// A deploy under load: two nodes are stopped and started again, one after the other, twice over, while clients write, read
// and come back. Judged by the fault suite's checker, which knows only what clients saw and what the database holds.

import { afterEach, expect, it } from 'vitest'
import { checkHistory } from '../faults/checker.ts'
import { comparePresence, readFiles, readToHead, settleNotifications, settleSends } from '../faults/convergence.ts'
import { MARKS } from '../faults/history.ts'
import { Random } from '../faults/random.ts'
import { openStage } from '../faults/stage.ts'
import { Town } from '../faults/town.ts'
import { eventually } from '../support/eventually.ts'

const SEED = Number(process.env.TEST_SEED ?? Math.floor(Math.random() * 1_000_000))
const ROUNDS = 2

const opened: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
}, 60_000)

it(`loses, doubles and shows nothing (seed ${SEED})`, { timeout: 150_000 }, async () => {
  const accidents: string[] = []
  const { cluster, places, folders, close } = await openStage(2, (what) => accidents.push(what))
  opened.push(close)
  const random = new Random(SEED)
  const town = await Town.found(cluster, places, random, {
    ...{ clients: 60, rooms: 8, roomsPerClient: 3 },
    ...{ sendEveryMs: 400, breakEveryMs: 60_000 },
  })
  opened.push(() => town.close())
  const acknowledged = () => town.clients.flatMap(({ sends }) => sends).filter(({ acks }) => acks.length > 0).length
  const moreAreSent = async () => {
    const before = acknowledged()
    await eventually(() => expect(acknowledged()).toBeGreaterThan(before + 60))
  }
  town.start()
  await moreAreSent()
  for (let round = 0; round < ROUNDS; round++) {
    for (const member of cluster.members) {
      expect(await member.node.end('SIGTERM')).toBe(0)
      await moreAreSent()
      await cluster.startNode(member)
      await moreAreSent()
    }
  }
  await town.calmDown()
  expect(await settleSends(town.clients)).toBe(true)
  const rooms = await readToHead(cluster, town)
  const presence = await comparePresence(cluster, town)
  const streams = town.clients.flatMap((client) => client.streams)
  const sends = [...town.firstSends, ...town.clients.flatMap((client) => client.sends)]
  const notifications = await settleNotifications(cluster, town, places)
  const files = await readFiles(cluster, town, folders)
  const history = { streams, sends, memberships: town.changes, rooms, presence, notifications, files }
  expect(checkHistory(history)).toEqual([])
  // Whatever was answered was answered well: what could not be was asked again elsewhere.
  expect(town.clients.flatMap(({ surprises }) => surprises)).toEqual([])
  expect([accidents, town.failures]).toEqual([[], []])
  // Refused were those only who had left their private room meanwhile.
  const refused = sends.filter(({ acks }) => acks.length === 0).map(({ refusals }) => new Set(refusals))
  expect(refused.filter((codes) => codes.size !== 1 || !codes.has('NOT_FOUND'))).toEqual([])
  const delivered = streams.flatMap(({ openings }) => openings.flatMap(({ items }) => items))
  expect(delivered.filter(({ type }) => !MARKS.has(type)).length).toBeGreaterThan(1_000)
})
