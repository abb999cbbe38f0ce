// Redis only carries the news: whatever it loses, late or for good, every reader still gets every event once and in
// order, and nobody who writes has to wait for it.

import type { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { closeRedis, createRedis, redisReady } from '../../src/platform/redis.ts'
import { eventually } from '../support/eventually.ts'
import { NO_REDIS } from '../support/provided.ts'
import { findRedisServer, startOwnRedis, type TestRedis } from '../support/redis-server.ts'
import {
  brief,
  expectWhole,
  openRoomEvents,
  openRoomEventsSse,
  type RoomStream,
  takeUpTo,
} from '../support/room-events.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { startNodes, type TestNodes } from '../support/start-nodes.ts'
import { subscribe } from '../support/stream.ts'

const canKillRedis = inject('redisUrl') !== null && findRedisServer() !== null
const NEVER_MS = 300_000

interface Story {
  redis: TestRedis
  nodes: TestNodes
  /** A look at Redis past the nodes. */
  observer: Redis
}

/** Two nodes and a Redis of their own. */
function useStory(sweepIntervalMs: number): () => Story {
  let story: Story | null = null
  beforeAll(async () => {
    const redis = await startOwnRedis()
    const silent = { info: () => {}, warn: () => {}, error: () => {} }
    const observer = createRedis(redis.url, { name: 'observer', log: silent })
    try {
      await redisReady(observer)
      const settings = { SWEEP_INTERVAL_MS: String(sweepIntervalMs) }
      story = { redis, observer, nodes: await startNodes({ nodes: 2, redisUrl: redis.url, settings }) }
    } catch (error) {
      await Promise.all([closeRedis(observer), redis.stop()])
      throw error
    }
  })
  afterEach(stopAll)
  afterAll(async () => {
    if (!story) return
    await story.nodes.stop()
    await closeRedis(story.observer)
    await story.redis.stop()
  })
  return () => {
    if (!story) throw new Error('the nodes have not been started')
    return story
  }
}

/** Ada writes on the first node; her readers are on the second. */
async function open({ nodes }: Story) {
  const [first = '', second = ''] = nodes.urls
  const ada = await person(first, 'Ada')
  const room = await ada.createRoom()
  const readers = [openRoomEvents(ada.connect(second), room, 0), openRoomEventsSse(second, ada, room, 0)]
  for (const reader of readers) await reader.take(2)
  return { first, second, ada, room, readers }
}

async function send(ada: Person, room: string, count: number): Promise<number> {
  let last = 0
  for (let i = 0; i < count; i++) last = (await ada.send(room, `message ${i}`)).seq
  return last
}

/** How the first node's, then the second node's, two connections to Redis are. */
async function redisStates({ nodes }: Story, ada: Person): Promise<string[]> {
  const states = nodes.urls.map(async (url) => {
    const query = '{ serverStatus { redis { state } } }'
    const body = { method: 'POST', body: JSON.stringify({ query }), signal: AbortSignal.timeout(10_000) }
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${ada.token}` }
    const { data } = await (await fetch(url, { ...body, headers })).json()
    return String(data.serverStatus.redis.state)
  })
  return Promise.all(states)
}

/** Every reader has everything up to `last`, and nothing else. */
async function expectAll(readers: readonly RoomStream[], last: number): Promise<void> {
  for (const reader of readers) {
    await eventually(() => expect(reader.items.at(-1)?.data?.roomEvents.seq).toBe(last))
    const items = reader.items.flatMap(({ data }) => (data ? [data.roomEvents] : []))
    expectWhole(items, 0, last)
  }
}

describe.skipIf(!canKillRedis)(`what Redis loses is found by the sweep ${canKillRedis ? '' : NO_REDIS}`, () => {
  const story = useStory(200)

  it('while Redis is dead, and when it is back', async () => {
    const { redis } = story()
    const { ada, room, readers } = await open(story())
    await send(ada, room, 10)
    await redis.kill()
    await eventually(async () => expect(await redisStates(story(), ada)).toEqual(['DOWN', 'DOWN']))
    const last = await send(ada, room, 30)
    await expectAll(readers, last)
    const answer = await ada.do(
      `mutation ($input: SendMessageInput!) {
        sendMessage(input: $input) { ... on SendMessageSuccess { presentCount sentMessage { seq } } }
      }`,
      { input: { roomId: room, text: 'who is here?' } },
    )
    expect(answer).toEqual({ sendMessage: { presentCount: null, sentMessage: { seq: last + 1 } } })
    await redis.restart()
    await eventually(async () => expect(await redisStates(story(), ada)).toEqual(['UP', 'UP']))
    await expectAll(readers, await send(ada, room, 10))
    for (const reader of readers) reader.stop()
  })

  it('for streams that open while Redis is dead', async () => {
    const { redis, nodes } = story()
    const [first = '', second = ''] = nodes.urls
    const ada = await person(first, 'Ada')
    const room = await ada.createRoom()
    await send(ada, room, 3)
    await redis.kill()
    await eventually(async () => expect(await redisStates(story(), ada)).toEqual(['DOWN', 'DOWN']))
    const client = ada.connect(second)
    const stream = openRoomEvents(client, room, 1)
    const replayed = await takeUpTo(stream, 4)
    expectWhole(replayed, 1, 4)
    await send(ada, room, 3)
    expect((await stream.take(3)).map(brief).map(([, seq]) => seq)).toEqual([5, 6, 7])
    // Presence is nowhere else than in Redis.
    const presence = subscribe(client, 'subscription ($room: ID!) { roomPresence(roomId: $room) { __typename } }', {
      room,
    })
    expect((await presence.next()).data).toEqual({ roomPresence: { __typename: 'PresenceUnknown' } })
    await redis.restart()
    await eventually(async () => expect(await redisStates(story(), ada)).toEqual(['UP', 'UP']))
    await send(ada, room, 3)
    expect((await stream.take(3)).map(brief).map(([, seq]) => seq)).toEqual([8, 9, 10])
    expect((await presence.next()).data).toEqual({ roomPresence: { __typename: 'PresenceSnapshot' } })
  })

  it('while Redis holds publishes back; those that come late are not delivered again', async () => {
    const { observer } = story()
    const { ada, room, readers } = await open(story())
    await observer.client('PAUSE', 60_000, 'WRITE')
    const last = await send(ada, room, 10)
    await expectAll(readers, last)
    expect(await observer.info('clients')).toMatch(/blocked_clients:[1-9]/)
    await observer.client('UNPAUSE')
    await expectAll(readers, await send(ada, room, 10))
    for (const reader of readers) reader.stop()
  })
})

describe.skipIf(!canKillRedis)(`what Redis loses is found without the sweep ${canKillRedis ? '' : NO_REDIS}`, () => {
  const story = useStory(NEVER_MS)

  it('at once after a reconnect', async () => {
    const { redis } = story()
    const { ada, room, readers } = await open(story())
    await redis.kill()
    await eventually(async () => expect(await redisStates(story(), ada)).toEqual(['DOWN', 'DOWN']))
    const last = await send(ada, room, 120)
    for (const reader of readers) expect(reader.items).toHaveLength(2)
    await redis.restart()
    await expectAll(readers, last)
    for (const reader of readers) reader.stop()
  })

  it('with the next event that gets through', async () => {
    const { observer } = story()
    await eventually(async () => expect(await observer.ping()).toBe('PONG'))
    const { ada, room, readers } = await open(story())
    await observer.acl('LOG', 'RESET')
    // The nodes publish as this user: from now on in vain, with all connections up.
    await observer.acl('SETUSER', 'default', '-publish')
    await send(ada, room, 120)
    const refused = JSON.stringify(await observer.acl('LOG'))
    expect(refused).toContain('"publish"')
    for (const reader of readers) expect(reader.items).toHaveLength(2)
    await observer.acl('SETUSER', 'default', '+publish')
    await expectAll(readers, await send(ada, room, 1))
    for (const reader of readers) reader.stop()
  })

  it('while the listening connections are cut again and again', async () => {
    const { observer } = story()
    const { ada, room, readers } = await open(story())
    let cut = 0
    let sending = true
    const cutting = (async () => {
      while (sending) {
        cut += Number(await observer.client('KILL', 'TYPE', 'PUBSUB'))
        await new Promise((resolve) => setTimeout(resolve, 30))
      }
    })()
    const last = await send(ada, room, 150).finally(() => {
      sending = false
    })
    await cutting
    expect(cut).toBeGreaterThan(2)
    await expectAll(readers, last)
    for (const reader of readers) reader.stop()
  })
})
