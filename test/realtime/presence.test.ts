// Who is in a room, as everybody in it is told, on one node and on two.

import { afterEach, describe, expect, inject, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { NO_REDIS } from '../support/provided.ts'
import { openRoomEvents, openRoomEventsSse } from '../support/room-events.ts'
import { openDevice, PresenceWatch } from '../support/room-presence.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { describeTopologies, type TestNodes, useNodes } from '../support/start-nodes.ts'
import { subscribe } from '../support/stream.ts'

const SET_PRESENCE = `mutation ($input: SetPresenceInput!) {
  setPresence(input: $input) { ... on SetPresenceSuccess { state } }
}`
const SET_TYPING = `mutation ($input: SetTypingInput!) {
  setTyping(input: $input) { __typename ... on SetTypingSuccess { typing } ... on Error { code } }
}`

function typing(who: Person, roomId: string, typing: boolean) {
  return who.do<{ setTyping: object }>(SET_TYPING, { input: { roomId, typing } }).then(({ setTyping }) => setTyping)
}

/** People of one story, at the nodes in turn; their names are their own, for they are what a watcher tells apart. */
async function cast({ urls }: TestNodes, names: readonly string[]) {
  const [first = '', second = first] = urls
  const people = await Promise.all(names.map((name, i) => person(i % 2 ? second : first, name)))
  const [ada = await person(first, 'Ada'), bob = ada, cem = ada] = people
  return { first, second, ada, bob, cem }
}

describeTopologies('presence in a room', (nodes) => {
  afterEach(stopAll)

  it('is told as a snapshot with the watcher in it, then as joins and leaves, by any kind of stream', async () => {
    const { first, second, ada, bob, cem } = await cast(nodes(), ['Ada', 'Bob', 'Cem'])
    const room = await ada.createRoom()
    const watch = new PresenceWatch(ada.connect(first), room)
    await watch.sees({ Ada: 'ONLINE' })
    const bobs = bob.connect(second)
    const cems = openRoomEventsSse(first, cem, room)
    openRoomEvents(bobs, room)
    await watch.sees({ Ada: 'ONLINE', Bob: 'ONLINE', Cem: 'ONLINE' })
    const late = new PresenceWatch(bobs, room)
    await late.sees({ Ada: 'ONLINE', Bob: 'ONLINE', Cem: 'ONLINE' })
    expect(late.items[0]).toMatchObject({ __typename: 'PresenceSnapshot', presentCount: 3, named: true, typing: [] })
    cems.stop()
    await watch.sees({ Ada: 'ONLINE', Bob: 'ONLINE' })
    await bobs.dispose()
    await watch.sees({ Ada: 'ONLINE' })
    expect(watch.items.filter(({ __typename }) => __typename === 'PresenceSnapshot')).toHaveLength(1)
  })

  it('counts a user once, however many devices, and until the last of them has left', async () => {
    const { first, second, ada, bob } = await cast(nodes(), ['Ada', 'Bob'])
    const room = await ada.createRoom()
    const watch = new PresenceWatch(ada.connect(first), room)
    const devices = await Promise.all([first, second, second].map((url) => openDevice(url, bob, room)))
    await watch.sees({ Ada: 'ONLINE', Bob: 'ONLINE' })
    const told = watch.items.length
    const [one, two, three] = devices
    await Promise.all([one?.client.dispose(), two?.client.dispose()])
    await bob.join(room)
    const { seq } = await bob.send(room, 'still here')
    expect(seq).toBe(3)
    // A fourth person's coming is told after whatever the two leaving might have caused.
    const cem = await person(first, 'Cem')
    const cems = await openDevice(first, cem, room)
    await watch.sees({ Ada: 'ONLINE', Bob: 'ONLINE', Cem: 'ONLINE' })
    expect(watch.items.slice(told).map(({ changes }) => changes?.map(({ user }) => user.name))).toEqual([['Cem']])
    await Promise.all([three?.client.dispose(), cems.client.dispose()])
    await watch.sees({ Ada: 'ONLINE' })
  })

  it.each(['WebSocket', 'SSE'])('tells of who has left a %s when they were last seen', async (transport) => {
    const { first, second, ada, bob } = await cast(nodes(), ['Ada', 'Bob'])
    const room = await ada.createRoom()
    const query = `subscription ($room: ID!) { roomPresence(roomId: $room) {
      ... on PresenceChanged { changes { user { name lastSeenAt } state } } } }`
    type Item = { roomPresence: { changes?: { user: { name: string; lastSeenAt: string }; state: string }[] } }
    const watch = subscribe<Item>(ada.connect(first), query, { room })
    const next = async (state: string) => {
      const items = await watch.takeUntil(({ data }) => data?.roomPresence.changes?.[0]?.state === state)
      return items.at(-1)?.data?.roomPresence.changes?.[0]?.user
    }
    // The snapshot, before Bob comes.
    await watch.next()
    const client = transport === 'SSE' ? null : bob.connect(second)
    const events = client ? openRoomEvents(client, room) : openRoomEventsSse(second, bob, room)
    expect(await next('ONLINE')).toMatchObject({ name: 'Bob' })
    const leftAtMs = Date.now()
    if (client) await client.dispose()
    else events.stop()
    const left = await next('OFFLINE')
    expect(left?.name).toBe('Bob')
    expect(Date.parse(left?.lastSeenAt ?? '')).toBeGreaterThanOrEqual(leftAtMs)
  })

  it('tells who is away: when all their devices are, wherever they are connected', async () => {
    const { first, second, ada, bob } = await cast(nodes(), ['Ada', 'Bob'])
    const room = await ada.createRoom()
    const watch = new PresenceWatch(ada.connect(first), room)
    await watch.sees({ Ada: 'ONLINE' })
    const [one, two] = await Promise.all([openDevice(first, bob, room), openDevice(second, bob, room)])
    await watch.sees({ Ada: 'ONLINE', Bob: 'ONLINE' })
    const set = (state: 'AWAY' | 'ONLINE', connectionId?: string) =>
      bob.do(SET_PRESENCE, { input: { state, ...(connectionId ? { connectionId } : {}) } })
    expect(await set('AWAY', one.connectionId)).toEqual({ setPresence: { state: 'AWAY' } })
    await set('AWAY', two.connectionId)
    await watch.sees({ Ada: 'ONLINE', Bob: 'AWAY' })
    await set('ONLINE', one.connectionId)
    await watch.sees({ Ada: 'ONLINE', Bob: 'ONLINE' })
    await set('AWAY')
    await watch.sees({ Ada: 'ONLINE', Bob: 'AWAY' })
    // Another user's device is not theirs to set.
    await ada.do(SET_PRESENCE, { input: { state: 'ONLINE', connectionId: one.connectionId } })
    // Who comes while away is away to those who come after.
    const late = new PresenceWatch(ada.connect(second), room)
    await late.sees({ Ada: 'ONLINE', Bob: 'AWAY' })
    await set('ONLINE')
    await watch.sees({ Ada: 'ONLINE', Bob: 'ONLINE' })
    const states = watch.items.flatMap(({ changes }) => changes ?? []).filter(({ user }) => user.name === 'Bob')
    expect(states.map(({ state }) => state)).toEqual(['ONLINE', 'AWAY', 'ONLINE', 'AWAY', 'ONLINE'])
    await Promise.all([one.client.dispose(), two.client.dispose()])
  })

  it('tells who types, members only, until they stop', async () => {
    const { first, second, ada, bob, cem } = await cast(nodes(), ['Ada', 'Bob', 'Cem'])
    const room = await ada.createRoom()
    await bob.join(room)
    const watches = [new PresenceWatch(ada.connect(first), room), new PresenceWatch(ada.connect(second), room)]
    for (const watch of watches) await watch.sees({ Ada: 'ONLINE' })
    expect(await typing(bob, room, true)).toEqual({ __typename: 'SetTypingSuccess', typing: true })
    for (const watch of watches) await eventually(() => expect(watch.typing).toEqual(['Bob']))
    expect(await typing(cem, room, true)).toMatchObject({ code: 'NOT_A_MEMBER' })
    await typing(ada, room, true)
    for (const watch of watches) await eventually(() => expect(watch.typing.toSorted()).toEqual(['Ada', 'Bob']))
    const late = new PresenceWatch(bob.connect(first), room)
    await eventually(() => expect(late.typing.toSorted()).toEqual(['Ada', 'Bob']))
    await typing(bob, room, false)
    for (const watch of [...watches, late]) await eventually(() => expect(watch.typing).toEqual(['Ada']))
    // Nobody said that Ada stopped: it ends by itself.
    for (const watch of watches) await eventually(() => expect(watch.typing).toEqual([]))
  })

  it('stands in the answer to a message, and on the room', async () => {
    const { first, second, ada, bob } = await cast(nodes(), ['Ada', 'Bob'])
    const room = await ada.createRoom()
    const presentCount = async () => {
      const query = `mutation ($input: SendMessageInput!) {
        sendMessage(input: $input) { ... on SendMessageSuccess { presentCount } }
      }`
      const sent = await ada.do<{ sendMessage: object }>(query, { input: { roomId: room, text: 'who is here?' } })
      return sent.sendMessage
    }
    expect(await presentCount()).toEqual({ presentCount: 0 })
    const watch = new PresenceWatch(ada.connect(first), room)
    await watch.sees({ Ada: 'ONLINE' })
    openRoomEvents(bob.connect(second), room)
    await watch.sees({ Ada: 'ONLINE', Bob: 'ONLINE' })
    expect(await presentCount()).toEqual({ presentCount: 2 })
    const query = `query ($room: ID!) {
      room(id: $room) { presence { count users(first: 1) { user { name } state } } }
    }`
    expect(await bob.do(query, { room })).toEqual({
      room: { presence: { count: 2, users: [{ user: { name: 'Ada' }, state: 'ONLINE' }] } },
    })
  })
})

const redisUrl = inject('redisUrl')
const topologies = [
  { title: 'on one node', options: { nodes: 1, redisUrl: null } },
  // Sums are over all of a Redis: one of its databases that no other story uses.
  {
    title: 'on two nodes with Redis',
    // What has expired is swept every second.
    options: { nodes: 2, redisUrl: redisUrl && urlOfDatabase(redisUrl, 7), settings: { PRESENCE_TTL_MS: '5000' } },
  },
]

function urlOfDatabase(url: string, database: number): string {
  const changed = new URL(url)
  changed.pathname = `/${database}`
  return changed.href
}

for (const { title, options } of topologies) {
  const leftOut = options.nodes > 1 && redisUrl === null
  describe.skipIf(leftOut)(`presence over all rooms, ${title}${leftOut ? ` ${NO_REDIS}` : ''}`, () => {
    const nodes = useNodes(options)
    afterEach(stopAll)

    it('ranks the rooms with somebody in them, liveliest first, and sums them up', async () => {
      const { first, second, ada, bob, cem } = await cast(nodes(), ['Ada', 'Bob', 'Cem'])
      const [lively, busy, quiet, empty, hidden] = await Promise.all(
        ['lively', 'busy', 'quiet', 'empty', 'hidden'].map((name) =>
          ada.createRoom({ name, kind: name === 'hidden' ? 'PRIVATE' : 'PUBLIC' }),
        ),
      )
      const query = `{
        activeRooms { edges { node { name presence { count } lastActivityAt } } }
        serverStatus { usersOnline activeRooms participants }
      }`
      type Overview = {
        activeRooms: { edges: { node: { name: string; presence: { count: number } } }[] }
        serverStatus: Record<string, number>
      }
      const overview = async (who: Person) => {
        const { activeRooms, serverStatus } = await who.do<Overview>(query)
        const rooms = activeRooms.edges.map(({ node }) => `${node.name} ${node.presence.count}`)
        return { rooms, ...serverStatus }
      }
      const nothing = { rooms: [], usersOnline: 0, activeRooms: 0, participants: 0 }
      await eventually(async () => expect(await overview(ada)).toEqual(nothing))

      const [adas, bobs, cems] = [ada.connect(first), bob.connect(second), cem.connect(first)]
      for (const [client, rooms] of [
        [adas, [lively, busy, quiet, hidden]],
        [bobs, [lively, busy]],
        [cems, [busy]],
      ] as const) {
        for (const room of rooms) openRoomEvents(client, room ?? '')
      }
      await ada.send(empty ?? '', 'nobody is here')
      await ada.send(quiet ?? '', 'nor here')
      const sums = { usersOnline: 3, activeRooms: 4, participants: 7 }
      await eventually(async () => {
        // Two rooms with one user: the one with the later activity first.
        expect(await overview(ada)).toEqual({ rooms: ['busy 3', 'lively 2', 'quiet 1', 'hidden 1'], ...sums })
        expect(await overview(bob)).toEqual({ rooms: ['busy 3', 'lively 2', 'quiet 1'], ...sums })
      })
      await Promise.all([adas.dispose(), bobs.dispose(), cems.dispose()])
      await eventually(async () => expect(await overview(cem)).toEqual(nothing))
    })

    if (options.nodes === 1) return
    it('ends with the node that it was on, when the grace period has passed, for the others to see', async () => {
      const { first, ada } = await cast(nodes(), ['Ada'])
      const third = await nodes().addNode()
      const bob = await person(`${third.url}/graphql`, 'Bob')
      const room = await ada.createRoom()
      const watch = new PresenceWatch(ada.connect(first), room)
      await openDevice(`${third.url}/graphql`, bob, room)
      await watch.sees({ Ada: 'ONLINE', Bob: 'ONLINE' })
      await third.close()
      await watch.sees({ Ada: 'ONLINE' })
      // Its two scopes may be swept by different calls.
      await eventually(async () =>
        expect(await ada.do('{ serverStatus { usersOnline } }')).toEqual({ serverStatus: { usersOnline: 1 } }),
      )
    })
  })
}
