// Points 1, 2 and 6 of the delivery contract, as clients see them: over WebSocket and server-sent events.

import { afterEach, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import {
  brief,
  expectWhole,
  openRoomEvents,
  openRoomEventsSse,
  type RoomItem,
  type RoomStream,
  takeUpTo,
} from '../support/room-events.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { describeTopologies, type TestNodes } from '../support/start-nodes.ts'

/** The two nodes of a story; the same one twice where there is only one. */
function pairOf({ urls }: TestNodes): [string, string] {
  const [first = '', second = first] = urls
  return [first, second]
}

/** Sends messages, a few at a time, alternately through the nodes; gives the seq of the last. */
async function sendMany(ada: Person, room: string, count: number): Promise<number> {
  let last = 0
  for (let sent = 0; sent < count; sent += 5) {
    const some = Array.from({ length: 5 }, (_, i) => ada.send(room, `message ${sent + i}`))
    last = Math.max(...(await Promise.all(some)).map(({ seq }) => seq))
  }
  return last
}

function headOf(ada: Person, roomId: string): Promise<number> {
  return ada
    .do<{ room: { lastSeq: number } }>('query ($roomId: ID!) { room(id: $roomId) { lastSeq } }', { roomId })
    .then(({ room }) => room.lastSeq)
}

describeTopologies('a room stream', (nodes) => {
  afterEach(stopAll)

  it('replays from `after`, says CaughtUp, and goes on live without a gap', async () => {
    const [first, second] = pairOf(nodes())
    const ada = await person(first, 'Ada')
    const room = await ada.createRoom()
    await ada.send(room, 'one')
    const stream = openRoomEvents(ada.connect(second), room, 0)
    expect((await stream.take(3)).map(brief)).toEqual([
      ['MemberJoined', 1, 'Ada'],
      ['MessageSent', 2, 'one'],
      ['CaughtUp', 2],
    ])
    await ada.send(room, 'two')
    expect(brief(await stream.next())).toEqual(['MessageSent', 3, 'two'])
  })

  it('begins at the head without `after`, over server-sent events too', async () => {
    const [first, second] = pairOf(nodes())
    const ada = await person(first, 'Ada')
    const room = await ada.createRoom()
    await ada.send(room, 'before')
    const stream = openRoomEventsSse(second, ada, room)
    expect(brief(await stream.next())).toEqual(['CaughtUp', 2])
    await ada.send(room, 'after')
    expect(brief(await stream.next())).toEqual(['MessageSent', 3, 'after'])
    stream.stop()
  })

  it('hands over from the replay to live while messages never stop, for readers who come at any time', async () => {
    const urls = pairOf(nodes())
    const ada = await person(urls[0], 'Ada')
    const room = await ada.createRoom()
    await sendMany(ada, room, 150)
    const clients = urls.map((url) => ada.connect(url))
    let writing = true
    const readers: { after: number; stream: RoomStream }[] = []
    const write = async () => {
      for (let i = 0; writing; i++) await ada.send(room, `live ${i}`)
      return headOf(ada, room)
    }
    const writers = [write(), write(), write()]
    for (let i = 0; i < 40; i++) {
      const head = await headOf(ada, room)
      // Far behind, in the middle of a page, close behind, at the head.
      const after = [0, 99, Math.floor(head / 2), head - 3, head][i % 5] ?? 0
      const url = urls[i % 2] ?? urls[0]
      const client = clients[i % 2] ?? ada.connect()
      const stream = i % 3 === 0 ? openRoomEventsSse(url, ada, room, after) : openRoomEvents(client, room, after)
      readers.push({ after, stream })
    }
    const behind = readers.map(({ stream }) => stream.next())
    await Promise.all(behind)
    writing = false
    const last = Math.max(...(await Promise.all(writers)))
    for (const { after, stream } of readers) {
      await eventually(() => expect(stream.items.at(-1)?.data?.roomEvents.seq).toBe(last))
      const items = stream.items.map(({ data }) => data?.roomEvents).filter((item): item is RoomItem => !!item)
      expectWhole(items, after, last)
      stream.stop()
    }
  })

  it('resumes on the other node where the connection broke, again and again', async () => {
    const urls = pairOf(nodes())
    const ada = await person(urls[0], 'Ada')
    const room = await ada.createRoom()
    const writing = sendMany(ada, room, 100)
    let position = 0
    const seen: number[] = []
    for (let i = 0; i < 6; i++) {
      const client = ada.connect(urls[i % 2])
      const stream = openRoomEvents(client, room, position)
      const taken = (await stream.take(7)).map((result) => brief(result))
      // Cut, without a word of goodbye; what is in the air is lost.
      client.terminate()
      const seqs = taken.filter(([type]) => type !== 'CaughtUp').map(([, seq]) => Number(seq))
      seen.push(...seqs)
      position = seqs.at(-1) ?? position
    }
    const last = await writing
    const rest = await takeUpTo(openRoomEvents(ada.connect(urls[1]), room, position), last)
    expectWhole(rest, position, last)
    expect(seen).toEqual(Array.from({ length: position }, (_, i) => i + 1))
  })

  it('serves many streams of one socket, each with its own place', async () => {
    const [first, second] = pairOf(nodes())
    const ada = await person(first, 'Ada')
    const rooms = await Promise.all([1, 2, 3, 4].map(() => ada.createRoom()))
    await Promise.all(rooms.map((room) => sendMany(ada, room, 10)))
    const client = ada.connect(second)
    const opened = rooms.flatMap((room) => Array.from({ length: 12 }, (_, after) => ({ room, after })))
    const streams = opened.map(({ room, after }) => ({ after, stream: openRoomEvents(client, room, after) }))
    await Promise.all(streams.map(({ stream }) => stream.next()))
    await Promise.all(rooms.map((room) => sendMany(ada, room, 10)))
    for (const { after, stream } of streams) {
      await eventually(() => expect(stream.items.at(-1)?.data?.roomEvents.seq).toBe(21))
      expectWhole(
        stream.items.flatMap(({ data }) => (data ? [data.roomEvents] : [])),
        after,
        21,
      )
    }
  })

  it('ends at the client’s word: nothing more comes, and the reader is no longer in the room', async () => {
    const [first, second] = pairOf(nodes())
    const ada = await person(first, 'Ada')
    const room = await ada.createRoom()
    const presentCount = async () => {
      const query = 'query ($room: ID!) { room(id: $room) { presence { count } } }'
      return (await ada.do<{ room: { presence: { count: number } } }>(query, { room })).room.presence.count
    }
    const client = ada.connect(second)
    const kept = openRoomEvents(client, await ada.createRoom())
    const stream = openRoomEvents(client, room)
    const overSse = openRoomEventsSse(second, ada, room)
    await Promise.all([kept.next(), stream.next(), overSse.next()])
    await eventually(async () => expect(await presentCount()).toBe(1))
    stream.stop()
    overSse.stop()
    await eventually(async () => expect(await presentCount()).toBe(0))
    await ada.send(room, 'nobody listens')
    expect(await stream.ended()).toBeNull()
    expect(stream.items).toHaveLength(1)
    expect(kept.items).toHaveLength(1)
  })
})
