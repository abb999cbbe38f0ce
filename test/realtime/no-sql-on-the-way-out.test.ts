// Guards: a live event causes no SQL on its way out, however many receive it and whatever they select of it. Every
// statement that the nodes send is counted, by its text.

import { print } from 'graphql'
import type { Client } from 'graphql-ws'
import { afterEach, describe, expect, it } from 'vitest'
import { buildSchema } from '../../src/graphql/schema.ts'
import { countStatements } from '../support/count-statements.ts'
import { subscribeToAll } from '../support/live-samples.ts'
import { fieldsReachableFrom, type LeaveOut } from '../support/schema-walk.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { describeTopologies, type TestNodes } from '../support/start-nodes.ts'
import { type Result, type Stream, subscribe } from '../support/stream.ts'

/** Lists and the like: whoever selects them has them read. */
const READS = ['Room.lastMessage', 'Room.messages', 'Room.presence']
const SOCKETS = 4
const MESSAGES = 5
const SEND = 'SELECT * FROM append_message($1, $2, $3, $4, $5, $6, $7, $8)'
const UPDATE_ROOM = `mutation ($input: UpdateRoomInput!) { updateRoom(input: $input) {
  ... on UpdateRoomSuccess { room { id } } } }`
const UPDATE_PROFILE = `mutation ($input: UpdateProfileInput!) { updateProfile(input: $input) {
  ... on UpdateProfileSuccess { user { id } } } }`

const schema = buildSchema()
const isNotCarried: LeaveOut = (path, { extensions }) => READS.includes(path) || extensions.viewerDependent === true

/** Everything that the subscription's items carry, and everything but one field of it, for each of its fields. */
function selectionsOf(field: string): string[] {
  const root = schema.getSubscriptionType()
  if (!root) throw new Error('there are no subscriptions')
  const all = print(subscribeToAll(schema, field, isNotCarried))
  const others = fieldsReachableFrom(schema, root).map(({ path: left }) =>
    print(subscribeToAll(schema, field, (path, definition) => path === left || isNotCarried(path, definition))),
  )
  return [...new Set([all, ...others])]
}

type Item = { __typename: string; seq: number; room?: object; message?: Item; createdAt?: string }
type Subscriber = Stream<Result<Record<string, Item>>>

/** As many subscribers on a few sockets, with all these selections in turn. */
function open(
  clients: readonly Client[],
  count: number,
  selections: readonly string[],
  variables: object,
): Subscriber[] {
  return Array.from({ length: count }, (_, i) => {
    const client = clients[i % clients.length]
    if (!client) throw new Error('there are no sockets')
    return subscribe<Record<string, Item>>(client, selections[i % selections.length] ?? '', { ...variables })
  })
}

/** What each subscriber gets next, apart from the marks of the stream. None may have an error. */
async function nextOfAll(subscribers: readonly Subscriber[]): Promise<Item[]> {
  return Promise.all(
    subscribers.map(async (subscriber) => {
      for (;;) {
        const { data, errors } = await subscriber.next()
        expect(errors).toBeUndefined()
        const item = Object.values(data ?? {})[0]
        if (item && item.__typename !== 'CaughtUp') return item
      }
    }),
  )
}

async function withStatements(databaseUrl: string, act: () => Promise<void>): Promise<string[]> {
  const counter = countStatements(databaseUrl)
  try {
    await act()
    return counter.take()
  } finally {
    counter.stop()
  }
}

/** Ada with a room on the first node, and sockets of hers to the last. */
async function arrange({ urls }: TestNodes) {
  const [first = '', last = first] = urls
  const ada: Person = await person(first, 'Ada')
  const roomId = await ada.createRoom()
  const { id, seq } = await ada.send(roomId, 'the first')
  const clients = Array.from({ length: SOCKETS }, () => ada.connect(last))
  return { ada, roomId, after: seq, replyToId: id, clients }
}

describeTopologies(
  'a live event',
  (nodes) => {
    afterEach(stopAll)

    describe.each([1, 100, 1_000])('with %i subscribers', (count) => {
      it('costs the statements of the send, and none more', async () => {
        const { ada, roomId, after, replyToId, clients } = await arrange(nodes())
        // Everybody gets the first of them, from the log or live; from then on they are all on the live path.
        const selections = ['roomEvents', 'messageAdded'].flatMap(selectionsOf)
        expect(selections.length).toBeGreaterThan(90)
        const subscribers = open(clients, count, selections, { roomId, after })
        await ada.send(roomId, 'to all')
        await nextOfAll(subscribers)

        const statements = await withStatements(nodes().databaseUrl, async () => {
          for (let i = 0; i < MESSAGES; i++) {
            const { seq } = await ada.send(roomId, `number ${i}`, { replyToId })
            const items = await nextOfAll(subscribers)
            const { message, room } = items[0] ?? {}
            expect(room).toMatchObject({ lastSeq: seq, lastActivityAt: message?.createdAt })
            expect(message).toMatchObject({ room, replyTo: { text: 'the first', author: { name: 'Ada' } } })
          }
        })
        expect(statements).toEqual(Array(MESSAGES).fill(SEND))
      })
    })

    it('of another kind costs as many statements for one subscriber as for a thousand', async () => {
      const runs: string[][] = []
      for (const count of [1, 100, 1_000]) {
        const { ada, roomId, after, clients } = await arrange(nodes())
        const ofRoom = open(clients, count, selectionsOf('roomEvents'), { roomId, after })
        const ofViewer = open(clients, count, selectionsOf('viewerEvents'), { after: 1 })
        const change = async (name: string) => {
          await ada.do(UPDATE_ROOM, { input: { roomId, name } })
          await ada.do(UPDATE_PROFILE, { input: { statusText: name } })
          const [[room], [user]] = await Promise.all([nextOfAll(ofRoom), nextOfAll(ofViewer)])
          expect([room, user]).toMatchObject([{ room: { name } }, { user: { statusText: name } }])
        }
        await change('for everybody to be there')
        const statements = await withStatements(nodes().databaseUrl, () => change('and now it counts'))
        runs.push(statements.sort())
        await stopAll()
      }
      expect(runs[0]).not.toEqual([])
      expect(runs[1]).toEqual(runs[0])
      expect(runs[2]).toEqual(runs[0])
    })
  },
  // Nothing of the hub's own in between, and no users of other stories whose leases expire in the same Redis.
  { settings: { SWEEP_INTERVAL_MS: '300000' }, redisDatabase: 10 },
)
