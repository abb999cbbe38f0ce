// No ghosts: a thousand connections that are cut at random moments of coming, subscribing and leaving, on two nodes, and
// nobody is there in the end. Leases last far longer than the test, so that nothing but leaving takes anybody out.

import { randomInt } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { afterAll, describe, expect, inject, it } from 'vitest'
import { WebSocket } from 'ws'
import { eventually } from '../support/eventually.ts'
import { NO_REDIS } from '../support/provided.ts'
import { person, stopAll } from '../support/seed.ts'
import { signToken, useNodes } from '../support/start-nodes.ts'

const CUTS = 1_000
const AT_ONCE = 25
const MAX_TURNS = 40

const STREAMS = [
  'subscription ($room: ID!) { roomEvents(roomId: $room) { __typename } }',
  'subscription ($room: ID!) { messageAdded(roomId: $room) { seq } }',
  'subscription ($room: ID!) { roomPresence(roomId: $room) { __typename } }',
  'subscription { viewerEvents { __typename } }',
]

/** Random numbers that a seed repeats (mulberry32). */
function createRandom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

interface Visit {
  url: string
  token: string
  room: string
  random: (below: number) => number
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn()
}

/** How far a WebSocket came. */
const STAGES = ['connecting', 'introduced', 'subscribed', 'served'] as const
type Stage = (typeof STAGES)[number] | 'sse'

/** Comes, gets to a random stage, and is cut some turns of the event loop later. */
async function visitByWebSocket({ url, token, room, random }: Visit): Promise<Stage> {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), 'graphql-transport-ws')
  const wanted = random(STAGES.length)
  let stage = 0
  const say = (message: object) => socket.send(JSON.stringify(message))
  const subscribe = (id: number, query: string | undefined) =>
    say({ id: `${id}`, type: 'subscribe', payload: { query, variables: { room } } })
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  const arrived = new Promise<void>((resolve) => {
    const reach = (next: number) => {
      stage = Math.max(stage, next)
      if (stage >= wanted) resolve()
    }
    reach(0)
    socket.once('open', () => {
      say({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } })
      reach(1)
    })
    socket.on('message', (frame) => {
      const { type } = JSON.parse(String(frame))
      if (type === 'next') reach(3)
      if (type !== 'connection_ack' || socket.readyState !== WebSocket.OPEN) return
      // The first of them says something at once.
      subscribe(0, STREAMS[0])
      for (let id = 1; id <= random(4); id++) subscribe(id, STREAMS[random(STREAMS.length)])
      if (random(3) === 0) say({ id: '1', type: 'complete' })
      reach(2)
    })
  })
  socket.on('error', () => {})
  await Promise.race([arrived, closed])
  await turns(random(random(2) === 0 ? 4 : MAX_TURNS))
  if (random(4) === 0) socket.close()
  else socket.terminate()
  await closed
  return STAGES[stage] ?? 'connecting'
}

async function visitBySse({ url, token, room, random }: Visit): Promise<Stage> {
  const abort = new AbortController()
  const headers = {
    'content-type': 'application/json',
    accept: 'text/event-stream',
    authorization: `Bearer ${token}`,
  }
  const body = JSON.stringify({ query: STREAMS[random(STREAMS.length)], variables: { room } })
  const response = fetch(url, { method: 'POST', headers, body, signal: abort.signal }).catch(() => null)
  if (random(2) === 0) await response
  await turns(random(MAX_TURNS))
  abort.abort()
  await response
  return 'sse'
}

const sharedUrl = inject('redisUrl')

describe.skipIf(sharedUrl === null)(`a thousand cut connections ${sharedUrl ? '' : NO_REDIS}`, () => {
  // Sums are over all of a Redis: one of its databases that no other story uses.
  const redisUrl = sharedUrl && new URL('/8', sharedUrl).href
  const nodes = useNodes({ nodes: 2, redisUrl, settings: { PRESENCE_TTL_MS: '300000', PRESENCE_GRACE_MS: '20' } })
  afterAll(stopAll)

  it('leave no ghost', async () => {
    const seed = Number(process.env.TEST_SEED ?? randomInt(2 ** 31))
    const random = createRandom(seed)
    const { urls } = nodes()
    const [first = ''] = urls
    const people = await Promise.all(Array.from({ length: 20 }, (_, i) => person(first, `Visitor ${i}`)))
    const [ada = await person(first, 'Ada'), ...others] = people
    const rooms = await Promise.all(
      Array.from({ length: 5 }, async (_, i) => {
        const kind = i === 0 ? 'PRIVATE' : 'PUBLIC'
        return ada.createRoom({ kind, ...(i === 0 ? { memberIds: others.map(({ id }) => id) } : {}) })
      }),
    )
    const observer = new Redis(redisUrl ?? '')
    let announcements = 0
    await observer.psubscribe('sohbet:presence:*')
    observer.on('pmessage', () => announcements++)
    const stages: Record<Stage, number> = { connecting: 0, introduced: 0, subscribed: 0, served: 0, sse: 0 }
    let begun = 0
    const visitOn = async () => {
      while (begun++ < CUTS) {
        const [url = '', { token } = ada, room = ''] = [
          urls[random(urls.length)],
          people[random(people.length)],
          rooms[random(rooms.length)],
        ]
        // A stranger is being made known when the connection is cut.
        const stranger = random(3) === 0 ? await signToken(`stranger-${begun}`) : null
        const visit = { url, token: stranger ?? token, room, random }
        stages[await (random(5) === 0 ? visitBySse(visit) : visitByWebSocket(visit))]++
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, visitOn))
    observer.disconnect()
    const story = `seed ${seed}: ${JSON.stringify(stages)}`
    for (const [stage, count] of Object.entries(stages)) expect(count, `${story}, ${stage}`).toBeGreaterThan(10)
    expect(announcements, story).toBeGreaterThan(100)

    const status = '{ serverStatus { usersOnline activeRooms participants } }'
    const nobody = { serverStatus: { usersOnline: 0, activeRooms: 0, participants: 0 } }
    await eventually(async () => expect(await ada.do(status), story).toEqual(nobody))
    for (const room of rooms) {
      const query = 'query ($room: ID!) { room(id: $room) { presence { count users { user { name } } } } }'
      expect(await ada.do(query, { room }), story).toEqual({ room: { presence: { count: 0, users: [] } } })
    }
  }, 120_000)
})
