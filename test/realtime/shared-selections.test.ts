// Subscribers of one room with different selections get exactly theirs, over one socket or several: what a subscriber who
// selects everything got, projected by graphql-js to the selection. Random selections of the schema as it is published.

import fc from 'fast-check'
import { buildSchema, execute, GraphQLError, parse } from 'graphql'
import type { Client } from 'graphql-ws'
import { afterEach, describe, expect, it } from 'vitest'
import { readDocument } from '../support/document.ts'
import { eventually } from '../support/eventually.ts'
import { operationsOf, type RandomOperation } from '../support/random-operation.ts'
import { selectAll } from '../support/schema-walk.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { useNodes } from '../support/start-nodes.ts'
import { type Result, type Stream, subscribe } from '../support/stream.ts'

/** The published schema without our resolvers: it only picks what was selected. */
const schema = buildSchema(await readDocument('schema.graphql'))
const SELECTIONS = 10
const NUM_RUNS = 4

const ARGS = {
  roomEvents: ['$room: ID!, $after: Int', 'roomId: $room, after: $after'],
  messageAdded: ['$room: ID!, $after: Int', 'roomId: $room, after: $after'],
  viewerEvents: ['$after: Int', 'after: $after'],
} as const
type Field = keyof typeof ARGS
const FIELDS = ['roomEvents', 'messageAdded', 'viewerEvents'] as const

/** What is looked up when the event is executed, and may have changed since another subscriber's was. */
const LEFT_OUT = new Set([
  'Room.members',
  'Room.messages',
  'Room.lastMessage',
  'Room.presence',
  'Room.bans',
  'Membership.room',
  'Membership.user',
  'User.lastSeenAt',
  'User.notifications',
  'User.notificationSettings',
  'User.pushSubscriptions',
  'User.unreadNotificationCount',
])
const isLeftOut = (path: string) => LEFT_OUT.has(path)

/** How many items a stream has before the story, and after it for Ada and for Bob. */
const COUNTS: Record<Field, { before: number; Ada: number; Bob: number }> = {
  roomEvents: { before: 4, Ada: 30, Bob: 30 },
  messageAdded: { before: 1, Ada: 23, Bob: 23 },
  viewerEvents: { before: 2, Ada: 2, Bob: 3 },
}

interface Subscriber {
  viewer: Person
  field: Field
  operation: RandomOperation
  stream: Stream<Result<Record<string, unknown>>>
}

const anyOperation = fc.oneof(
  ...(['roomEvents', 'roomEvents', 'messageAdded', 'viewerEvents'] as const).map((field) =>
    operationsOf(schema, field, { args: ARGS[field], isLeftOut }).map((operation) => ({ field, operation })),
  ),
)

function everythingOf(field: Field): RandomOperation {
  const [declarations, args] = ARGS[field]
  const definition = schema.getSubscriptionType()?.getFields()[field]
  if (!definition) throw new Error(`there is no subscription ${field}`)
  const type = schema.getType(String(definition.type).replace('!', ''))
  if (!type) throw new Error(`${field} has no type`)
  const query = `subscription (${declarations}) { ${field}(${args}) ${selectAll(schema, type, isLeftOut)} }`
  return { query, variables: {} }
}

/** Among the random ones: what differs from viewer to viewer. */
const VIEWER_DEPENDENT = {
  field: 'messageAdded',
  operation: {
    query:
      'subscription ($room: ID!, $after: Int) { messageAdded(roomId: $room, after: $after) { seq room { viewerMembership { id role } } } }',
    variables: {},
  },
} as const

/** From the beginning of the log on. */
function open(
  client: Client,
  viewer: Person,
  { field, operation }: { field: Field; operation: RandomOperation },
  room: string,
): Subscriber {
  const stream = subscribe(client, operation.query, { ...operation.variables, room, after: 0 })
  return { viewer, field, operation, stream }
}

/** What the selection makes of what the one who selects everything got, item by item. */
async function project({ field, operation }: Subscriber, everything: Subscriber): Promise<unknown[]> {
  const document = parse(operation.query)
  const variableValues = { ...operation.variables, room: '' }
  return Promise.all(
    everything.stream.items.map(async ({ data }) => {
      const { errors, data: projected } = await execute({
        schema,
        document,
        variableValues,
        rootValue: { [field]: data?.[field] },
      })
      if (errors) throw new GraphQLError(`${operation.query}: ${errors.join(', ')}`)
      return projected
    }),
  )
}

/** 26 events of the room's log, and one of Bob's. */
async function play({ ada, bob, eve }: Record<'ada' | 'bob' | 'eve', Person>, room: string): Promise<void> {
  const { id } = await ada.send(room, 'one “\\ \u2028 👩‍👩‍👧”')
  await eve.join(room)
  await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 ? ada : bob).send(room, `message ${i}`)))
  await bob.send(room, 'a reply', { replyToId: id, clientMessageId: 'mine' })
  await ada.do('mutation ($id: ID!) { updateRoom(input: { roomId: $id, topic: "topic" }) { __typename } }', {
    id: room,
  })
  await bob.do('mutation { updateProfile(input: { statusText: "busy" }) { __typename } }')
  await eve.leave(room)
  await ada.do('mutation ($id: ID!) { updateRoom(input: { roomId: $id, name: "name" }) { __typename } }', { id: room })
}

async function arrive(subscribers: readonly Subscriber[], countOf: (subscriber: Subscriber) => number): Promise<void> {
  await eventually(() => {
    const missing = subscribers.filter((each) => each.stream.items.length !== countOf(each))
    expect(missing.map(({ viewer, operation, stream }) => [viewer.name, operation.query, stream.items])).toEqual([])
  })
}

describe('subscribers of one room', () => {
  const nodes = useNodes()
  afterEach(stopAll)

  it('get exactly what they select, as it is for them', async () => {
    const url = nodes().urls[0] ?? ''
    const run = async (wanted: { field: Field; operation: RandomOperation }[]) => {
      const [ada, bob, eve] = [await person(url, 'Ada'), await person(url, 'Bob'), await person(url, 'Eve')]
      const room = await ada.createRoom()
      await bob.join(room)
      await ada.send(room, 'first')
      const everything = [ada, bob].flatMap((viewer) =>
        FIELDS.map((field) => open(viewer.connect(), viewer, { field, operation: everythingOf(field) }, room)),
      )
      const sockets = [ada, bob, ada, bob].map((viewer) => ({ viewer, client: viewer.connect() }))
      // Each selection three times: the one person's on two sockets, and another's.
      const subscribers = [...wanted, VIEWER_DEPENDENT].flatMap((each, i) =>
        sockets.filter((_, k) => k !== i % 4).map(({ viewer, client }) => open(client, viewer, each, room)),
      )
      const all = [...everything, ...subscribers]
      // What is replayed is as it is then: nothing may happen meanwhile.
      await arrive(all, ({ field }) => COUNTS[field].before)
      await play({ ada, bob, eve }, room)
      await arrive(all, ({ field, viewer }) => COUNTS[field][viewer === ada ? 'Ada' : 'Bob'])
      for (const subscriber of subscribers) {
        const whole = everything.find(({ viewer, field }) => viewer === subscriber.viewer && field === subscriber.field)
        if (!whole) throw new Error('everybody has somebody who selects everything')
        const results = subscriber.stream.items.map(({ data, errors }) => errors ?? data)
        expect(results, subscriber.operation.query).toEqual(await project(subscriber, whole))
      }
      await stopAll()
    }
    await fc.assert(fc.asyncProperty(fc.array(anyOperation, { minLength: SELECTIONS, maxLength: SELECTIONS }), run), {
      numRuns: NUM_RUNS,
      endOnFailure: true,
    })
  })
})
