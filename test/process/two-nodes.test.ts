import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres-server.ts'
import { NO_REDIS } from '../support/provided.ts'
import { person, stopAll } from '../support/seed.ts'
import { endAll, type SpawnedServer, spawnServer } from '../support/spawn-server.ts'
import { TEST_SECRET } from '../support/start-nodes.ts'
import { subscribe } from '../support/stream.ts'

const PROJECT = fileURLToPath(new URL('../..', import.meta.url))
const ROOM_EVENTS = `subscription ($roomId: ID!, $after: Int) { roomEvents(roomId: $roomId, after: $after) {
  __typename seq ... on MessageSent { message { text } } } }`

interface Item {
  roomEvents: { __typename: string; seq: number; message?: { text: string } }
}

const redisUrl = inject('redisUrl')

describe.skipIf(redisUrl === null)(`two processes on one Postgres and one Redis ${redisUrl ? '' : NO_REDIS}`, () => {
  let database: TestDatabase

  beforeAll(async () => {
    database = await createTestDatabase(inject('postgresUrl'))
  })

  afterEach(async () => {
    await stopAll()
    await endAll()
  }, 60_000)

  afterAll(() => database?.drop())

  const startNode = (): SpawnedServer =>
    spawnServer({
      command: process.execPath,
      args: ['dist/main.js'],
      cwd: PROJECT,
      env: {
        DATABASE_URL: database.url,
        REDIS_URL: redisUrl ?? '',
        JWT_SECRET: TEST_SECRET,
        HOST: '127.0.0.1',
        LOG_LEVEL: 'info',
        SWEEP_INTERVAL_MS: '500',
      },
    })
  const startTwo = async () => {
    const nodes = [startNode(), startNode()] as const // two
    const [first, second] = await Promise.all(nodes.map((node) => node.ready()))
    return { node: nodes[0], first: `${first}/graphql`, second: `${second}/graphql` }
  }

  const seqs = (items: { data?: Item | null }[]) => items.flatMap(({ data }) => data?.roomEvents.seq ?? [])
  const upTo = (seq: number) => Array.from({ length: seq }, (_, index) => index + 1)

  it('exchange messages both ways', async () => {
    const { first, second } = await startTwo()
    const [ada, bob] = [await person(first, 'Ada'), await person(second, 'Bob')]
    const room = await ada.createRoom()
    await bob.join(room)
    const streams = [ada, bob].map((who) => subscribe<Item>(who.connect(), ROOM_EVENTS, { roomId: room, after: 2 }))
    for (const stream of streams)
      expect((await stream.next()).data?.roomEvents).toEqual({ __typename: 'CaughtUp', seq: 2 })
    await ada.send(room, 'from the first')
    await bob.send(room, 'from the second')
    for (const stream of streams) {
      expect((await stream.take(2)).map(({ data }) => data?.roomEvents)).toEqual([
        { __typename: 'MessageSent', seq: 3, message: { text: 'from the first' } },
        { __typename: 'MessageSent', seq: 4, message: { text: 'from the second' } },
      ])
    }
  })

  it('lose nothing for anybody when one of them is killed', async () => {
    const { node, first, second } = await startTwo()
    const [ada, bob] = [await person(first, 'Ada'), await person(second, 'Bob')]
    const room = await ada.createRoom()
    await bob.join(room)
    const adas = subscribe<Item>(ada.connect(), ROOM_EVENTS, { roomId: room, after: 0 })
    const bobs = subscribe<Item>(bob.connect(), ROOM_EVENTS, { roomId: room, after: 0 })
    const acknowledged: number[] = []
    const writing = (async () => {
      for (let count = 1; ; count++) acknowledged.push((await ada.send(room, `message ${count}`)).seq)
    })().catch(() => {}) // the kill ends it
    await eventually(() => expect(acknowledged.length).toBeGreaterThan(20))
    node.signal('SIGKILL', 'process')
    await writing
    expect(await adas.ended()).not.toBeNull()
    for (let count = 1; count <= 10; count++) await bob.send(room, `meanwhile ${count}`)
    const { seq: last } = await bob.send(room, 'the last')

    const isLast = ({ data }: { data?: Item | null }) => data?.roomEvents.message?.text === 'the last'
    const live = (await bobs.takeUntil(isLast)).filter(({ data }) => data?.roomEvents.__typename !== 'CaughtUp')
    expect(seqs(live)).toEqual(upTo(last))

    const before = adas.items.filter(({ data }) => data?.roomEvents.__typename !== 'CaughtUp')
    const after = seqs(before).at(-1) ?? 0
    expect(seqs(before)).toEqual(upTo(after))
    const resumed = subscribe<Item>(ada.connect(second), ROOM_EVENTS, { roomId: room, after })
    expect([...seqs(before), ...seqs(await resumed.takeUntil(isLast))]).toEqual(upTo(last))
    expect(Math.max(...acknowledged)).toBeLessThan(last)
  })
})
