// Point 2 of the delivery contract: a retry is answered with the original, and the log stays without a gap and in the
// order of the commits, however many send at once and wherever.

import type { Client } from 'graphql-ws'
import { afterEach, expect, it } from 'vitest'
import { createDb, type Db } from '../../src/platform/db.ts'
import { expectWhole, itemOf, openRoomEvents, type RoomItem, takeUpTo } from '../support/room-events.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { describeTopologies, type TestNodes } from '../support/start-nodes.ts'
import { subscribe } from '../support/stream.ts'

const RETRIES = 1_000
const SEND = `mutation ($input: SendMessageInput!) {
  sendMessage(input: $input) {
    __typename ... on SendMessageSuccess { sentMessage { id seq text } } ... on Error { code }
  }
}`

interface Sent {
  __typename: string
  sentMessage?: { id: string; seq: number; text: string }
  code?: string
}
type Input = { roomId: string; text: string; clientMessageId?: string }

function sendOverHttp(who: Person, input: Input): Promise<Sent> {
  return who.do<{ sendMessage: Sent }>(SEND, { input }).then(({ sendMessage }) => sendMessage)
}

async function sendOverSocket(client: Client, input: Input): Promise<Sent> {
  const { data } = await subscribe<{ sendMessage: Sent }>(client, SEND, { input }).next()
  if (!data) throw new Error('no answer')
  return data.sendMessage
}

async function withDb<T>({ databaseUrl }: TestNodes, work: (db: Db) => Promise<T>): Promise<T> {
  const db = createDb({ url: databaseUrl, poolSize: 1 })
  try {
    return await work(db)
  } finally {
    await db.$disconnect()
  }
}

const idOf = (globalId: string) => Buffer.from(globalId, 'base64url').toString().split(':')[1] ?? ''
const textsOf = (items: readonly RoomItem[]) => items.flatMap(({ message }) => (message ? [message.text] : []))

async function readLog(who: Person, room: string): Promise<RoomItem[]> {
  const { room: read } = await who.do<{ room: { lastSeq: number } }>(
    'query ($room: ID!) { room(id: $room) { lastSeq } }',
    {
      room,
    },
  )
  const items = await takeUpTo(openRoomEvents(who.connect(), room, 0), read.lastSeq)
  expectWhole(items, 0, read.lastSeq)
  return items
}

describeTopologies('sending', (nodes) => {
  afterEach(stopAll)

  it(`answers ${RETRIES} identical sends at once with one message: one row, one seq, one event`, async () => {
    const [first = '', second = first] = nodes().urls
    const ada = await person(first, 'Ada', 'ada of the retries')
    const elsewhere = await person(second, 'Ada', 'ada of the retries')
    const room = await ada.createRoom()
    const watchers = [openRoomEvents(ada.connect(first), room), openRoomEvents(ada.connect(second), room)]
    for (const watcher of watchers) await watcher.next()
    const sockets = [first, second, first, second].map((url) => ada.connect(url))
    const input = { roomId: room, text: 'once', clientMessageId: 'the one' }
    const ways = [
      () => sendOverHttp(ada, input),
      () => sendOverHttp(elsewhere, input),
      ...sockets.map((socket) => () => sendOverSocket(socket, input)),
    ]
    const answers = await Promise.all(
      Array.from({ length: RETRIES }, (_, i) => ways[i % ways.length]?.() ?? sendOverHttp(ada, input)),
    )
    const [original] = answers
    expect(original?.sentMessage).toMatchObject({ seq: 2, text: 'once' })
    for (const answer of answers) expect(answer).toEqual(original)

    await ada.send(room, 'the next')
    for (const watcher of watchers) {
      const items = (await watcher.take(2)).map(itemOf)
      expect(items.map(({ seq, message }) => [seq, message?.text, message?.clientMessageId])).toEqual([
        [2, 'once', 'the one'],
        [3, 'the next', null],
      ])
    }
    const rows = await withDb(nodes(), (db) => db.message.count({ where: { roomId: idOf(room) } }))
    expect(rows).toBe(2)
  })

  it('keeps apart authors and rooms that use the same clientMessageId, and the first text of a retried one', async () => {
    const [first = '', second = first] = nodes().urls
    const [ada, bob] = await Promise.all([person(first, 'Ada'), person(second, 'Bob')])
    const rooms = await Promise.all([ada.createRoom(), ada.createRoom()])
    await Promise.all(rooms.map((room) => bob.join(room)))
    const sends = [ada, bob].flatMap((who) =>
      rooms.flatMap((roomId) =>
        ['a', 'b'].map((id) => sendOverHttp(who, { roomId, text: `${who.name} ${id}`, clientMessageId: id })),
      ),
    )
    const ids = (await Promise.all(sends)).map(({ sentMessage }) => sentMessage?.id)
    expect(new Set(ids).size).toBe(8)
    for (const room of rooms) {
      expect(textsOf(await readLog(bob, room)).toSorted()).toEqual(['Ada a', 'Ada b', 'Bob a', 'Bob b'])
    }
    const again = await sendOverHttp(ada, { roomId: rooms[0] ?? '', text: 'changed my mind', clientMessageId: 'a' })
    expect(again.sentMessage?.text).toBe('Ada a')
  })

  it('returns the original to a retry after the room was archived or the author left', async () => {
    const [first = '', second = first] = nodes().urls
    const [ada, bob] = await Promise.all([person(first, 'Ada'), person(second, 'Bob')])
    const rooms = [await ada.createRoom(), await ada.createRoom({ kind: 'PRIVATE', memberIds: [bob.id] })]
    await bob.join(rooms[0] ?? '')
    for (const roomId of rooms) {
      const input = { roomId, text: 'remember me', clientMessageId: 'kept' }
      const original = await sendOverHttp(bob, input)
      await bob.leave(roomId)
      expect(await sendOverHttp(bob, input)).toEqual(original)
      expect(await sendOverHttp(bob, { ...input, clientMessageId: 'new' })).toMatchObject({
        __typename: 'RefusedError',
      })
      const own = await sendOverHttp(ada, input)
      const archive = 'mutation ($input: ArchiveRoomInput!) { archiveRoom(input: $input) { __typename } }'
      expect(await ada.do(archive, { input: { roomId } })).toEqual({
        archiveRoom: { __typename: 'ArchiveRoomSuccess' },
      })
      expect(await sendOverHttp(bob, input)).toEqual(original)
      expect(await sendOverHttp(ada, input)).toEqual(own)
      expect(await sendOverHttp(ada, { ...input, clientMessageId: 'new' })).toMatchObject({ code: 'ROOM_ARCHIVED' })
    }
  })

  it('gives concurrent senders seqs without a gap, in the order of their commits, retries among them', async () => {
    const [first = '', second = first] = nodes().urls
    const people = await Promise.all([person(first, 'Ada'), person(second, 'Bob'), person(first, 'Cem')])
    const [ada] = people
    const room = await (ada ?? people[1]).createRoom()
    for (const who of people) await who.join(room)
    const base = people.length
    let sending = true
    // Whenever anybody looks, what is there has no gap: a seq is never visible before a lower one.
    const looking = withDb(nodes(), async (db) => {
      let looks = 0
      for (; sending; looks++) {
        const [seen] = await db.$queryRaw<{ top: number | null; rows: bigint; lastSeq: number }[]>`
          SELECT max(m."seq") AS "top", count(*) AS "rows",
            (SELECT "last_seq" FROM "rooms" WHERE "id" = ${idOf(room)}::uuid) AS "lastSeq"
          FROM "messages" m WHERE m."room_id" = ${idOf(room)}::uuid`
        expect([seen?.top ?? base, seen?.lastSeq]).toEqual([base + Number(seen?.rows), base + Number(seen?.rows)])
      }
      return looks
    })
    const sends = Array.from({ length: 450 }, async (_, i) => {
      const who = people[i % 3] ?? people[0]
      // Each message twice, at once.
      const input = { roomId: room, text: `${i}`, clientMessageId: `${i}` }
      const [one, other] = await Promise.all([sendOverHttp(who, input), sendOverHttp(who, input)])
      expect(one).toEqual(other)
      return one.sentMessage?.seq ?? 0
    })
    const seqs = await Promise.all(sends).finally(() => {
      sending = false
    })
    expect(await looking).toBeGreaterThan(0)
    expect(seqs.toSorted((a, b) => a - b)).toEqual(seqs.map((_, i) => base + 1 + i))
    const items = await readLog(people[1], room)
    expect(textsOf(items)).toHaveLength(450)
    for (const [i, seq] of seqs.entries()) {
      expect(items.find((item) => item.seq === seq)?.message?.text).toBe(`${i}`)
    }
  })

  it('stores nothing of a member after they left, however much was on its way', async () => {
    const [first = '', second = first] = nodes().urls
    const ada = await person(first, 'Ada')
    // One user, through both nodes.
    const [bob, elsewhere] = [
      await person(second, 'Bob', 'bob who leaves'),
      await person(first, 'Bob', 'bob who leaves'),
    ]
    const codes = new Set<string>()
    for (let round = 0; round < 3 || (codes.size < 2 && round < 20); round++) {
      const room = await ada.createRoom()
      await bob.join(room)
      const send = (i: number) => sendOverHttp(i % 2 ? bob : elsewhere, { roomId: room, text: `${i}` })
      const early = Array.from({ length: 30 }, (_, i) => send(i))
      await early[0]
      const leaving = bob.leave(room)
      const late = Array.from({ length: 30 }, (_, i) => send(i))
      await leaving
      const after = await send(0)
      expect(after).toMatchObject({ code: 'NOT_A_MEMBER' })
      const answers = await Promise.all([...early, ...late])
      const items = await readLog(ada, room)
      const left = items.find(({ __typename }) => __typename === 'MemberLeft')?.seq ?? 0
      const seqs = items.flatMap(({ seq, message }) => (message ? [seq] : []))
      expect(seqs.filter((seq) => seq > left)).toEqual([])
      expect(answers.flatMap(({ sentMessage }) => sentMessage?.seq ?? []).toSorted((a, b) => a - b)).toEqual(seqs)
      for (const { __typename, code } of answers) codes.add(code ?? __typename)
    }
    // The race was one: of what was on its way, some came through and some did not.
    expect([...codes].toSorted()).toEqual(['NOT_A_MEMBER', 'SendMessageSuccess'])
  })
})
