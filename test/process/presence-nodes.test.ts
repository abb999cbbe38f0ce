// Presence when whole nodes end, as the watchers on two other nodes are told it: killed, stopped for good, or stopped while
// their clients go on elsewhere.

import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { decodeGlobalId } from '../../src/graphql/global-id.ts'
import { eventually } from '../support/eventually.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres-server.ts'
import { NO_REDIS } from '../support/provided.ts'
import { openDevice, PresenceWatch } from '../support/room-presence.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { endAll, spawnServer } from '../support/spawn-server.ts'
import { TEST_SECRET } from '../support/start-nodes.ts'

const PROJECT = fileURLToPath(new URL('../..', import.meta.url))
const USERS = 30

const sharedUrl = inject('redisUrl')

describe.skipIf(sharedUrl === null)(`presence on three processes ${sharedUrl ? '' : NO_REDIS}`, () => {
  const redisUrl = new URL('/9', sharedUrl ?? 'redis://unused.invalid').href
  let database: TestDatabase
  let observer: Redis
  let cleaner: Redis
  /** How often the nodes told each other that somebody in a room has changed. */
  const announced = new Map<string, number>()
  const announcedOf = (users: readonly { own: string }[]) =>
    users.map(({ own }) => announced.get(decodeGlobalId(own).id) ?? 0)

  beforeAll(async () => {
    database = await createTestDatabase(inject('postgresUrl'))
    observer = new Redis(redisUrl)
    cleaner = new Redis(redisUrl)
    await observer.psubscribe('sohbet:presence:*')
    observer.on('pmessage', (_pattern, channel: string, message: string) => {
      const room = channel.slice('sohbet:presence:'.length)
      if (JSON.parse(message).type === 'poke') announced.set(room, (announced.get(room) ?? 0) + 1)
    })
  })

  beforeEach(async () => {
    // Whoever was on the nodes of the story before: they were killed.
    await cleaner.flushdb()
    announced.clear()
  })

  afterEach(async () => {
    await stopAll()
    await endAll()
  }, 60_000)

  afterAll(async () => {
    observer?.disconnect()
    cleaner?.disconnect()
    await database?.drop()
  })

  const startNode = async (env: Record<string, string>) => {
    const server = spawnServer({
      command: process.execPath,
      args: ['dist/main.js'],
      cwd: PROJECT,
      env: { DATABASE_URL: database.url, REDIS_URL: redisUrl, JWT_SECRET: TEST_SECRET, HOST: '127.0.0.1', ...env },
    })
    return { server, url: `${await server.ready()}/graphql` }
  }

  /** Many on the first node, in one room all together and in one of their own each; a watcher on each of the others. */
  async function open(settings: Record<string, string> = {}) {
    const [ending, second, third] = await Promise.all([startNode(settings), startNode(settings), startNode(settings)])
    const [ada, bob] = [await person(second.url, 'Ada'), await person(third.url, 'Bob')]
    const room = await ada.createRoom()
    const watches = [new PresenceWatch(ada.connect(), room), new PresenceWatch(bob.connect(), room)]
    for (const watch of watches) await watch.sees({ Ada: 'ONLINE', Bob: 'ONLINE' })
    const names = Array.from({ length: USERS }, (_, i) => `User ${String(i).padStart(2, '0')}`)
    const users = await Promise.all(
      names.map(async (name) => {
        const who = await person(ending.url, name)
        const own = await who.createRoom()
        return { who, own, devices: [await openDevice(ending.url, who, room), await openDevice(ending.url, who, own)] }
      }),
    )
    const everybody = Object.fromEntries(['Ada', 'Bob', ...names].map((name) => [name, 'ONLINE' as const]))
    for (const watch of watches) await watch.sees(everybody)
    // Each user's coming to their own room was announced once: what follows is news.
    await eventually(() => expect(announcedOf(users)).toEqual(users.map(() => 1)))
    announced.clear()
    const told = watches.map((watch) => watch.items.length)
    /** What each watcher was told since. */
    const changes = () => watches.map((watch, i) => watch.items.slice(told[i]).flatMap((item) => item.changes ?? []))
    return { ending, second, third, ada, bob, room, watches, users, names, everybody, changes }
  }
  type Story = Awaited<ReturnType<typeof open>>

  /** Ada's and Bob's watchers are told once of each of the others, and of nothing else; and nobody is left behind. */
  async function expectGoneOnce({ watches, names, users, changes, ada }: Story, timeoutMs: number) {
    for (const watch of watches) {
      await eventually(() => expect(watch.present).toEqual({ Ada: 'ONLINE', Bob: 'ONLINE' }), { timeoutMs })
    }
    await eventually(async () =>
      expect(await ada.do('{ serverStatus { usersOnline activeRooms } }')).toEqual({
        serverStatus: { usersOnline: 2, activeRooms: 1 },
      }),
    )
    for (const told of changes()) {
      expect(told.map(({ user, state }) => `${user.name} ${state}`).toSorted()).toEqual(
        names.map((name) => `${name} OFFLINE`),
      )
    }
    // Where one user was, there was one announcement, whichever node made it; perhaps by a later sweep than theirs.
    await eventually(() => expect(announcedOf(users)).toEqual(users.map(() => 1)))
  }

  const lastSeen = async (ada: Person, { id }: Person) => {
    const query = 'query ($id: ID!) { node(id: $id) { ... on User { lastSeenAt } } }'
    const { node } = await ada.do<{ node: { lastSeenAt: string } }>(query, { id })
    return Date.parse(node.lastSeenAt)
  }

  it('ends within 30 seconds for all who were on a node that was killed, and is told once', async () => {
    // With the settings as they are by default.
    const story = await open()
    const { ending, users, ada } = story
    const killedAtMs = Date.now()
    ending.server.signal('SIGKILL', 'process')
    await expectGoneOnce(story, 30_000)
    // It is noted by whoever has told of them, right after.
    for (const { who } of users) {
      await eventually(async () => expect(await lastSeen(ada, who)).toBeGreaterThanOrEqual(killedAtMs))
    }
  }, 90_000)

  it('ends with the grace period for all who were on a node that was stopped, and is told once', async () => {
    // Their leases would last for minutes.
    const story = await open({ PRESENCE_TTL_MS: '300000', PRESENCE_GRACE_MS: '500' })
    const stoppedAtMs = Date.now()
    story.ending.server.signal('SIGTERM', 'process')
    expect(await story.ending.server.exited()).toEqual({ code: 0, signal: null })
    await expectGoneOnce(story, 10_000)
    for (const { who } of story.users) expect(await lastSeen(story.ada, who)).toBeGreaterThanOrEqual(stoppedAtMs)
  }, 90_000)

  it('is handed over without noise when the clients of a node that is stopped come back elsewhere', async () => {
    // The grace period is long, and nothing waits for its end.
    const story = await open({ PRESENCE_GRACE_MS: '60000' })
    const { ending, second, third, users, watches, room, everybody, changes } = story
    ending.server.signal('SIGTERM', 'process')
    expect(await ending.server.exited()).toEqual({ code: 0, signal: null })
    const elsewhere = [second.url, third.url]
    const devices = await Promise.all(
      users.map(async ({ who, own }, i) => {
        const url = elsewhere[i % 2] ?? second.url
        return [await openDevice(url, who, room), await openDevice(url, who, own)]
      }),
    )
    // One more's coming is told after whatever the handing over might have caused.
    const { client } = await openDevice(third.url, await person(third.url, 'Zoe'), room)
    for (const watch of watches) await watch.sees({ ...everybody, Zoe: 'ONLINE' })
    for (const told of changes()) expect(told).toEqual([{ user: { name: 'Zoe' }, state: 'ONLINE' }])
    expect(announcedOf(users)).toEqual(users.map(() => 0))
    await Promise.all([client, ...devices.flat().map((device) => device.client)].map((one) => one.dispose()))
  }, 90_000)
})
