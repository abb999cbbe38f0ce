// The invariant: whoever subscribes gets what graphql-js gives for their operation alone and in their own context, byte for
// byte, whether by a plan, shared with others, or neither; errors too.

import fc from 'fast-check'
import { type ExecutionResult, execute, type GraphQLError, getNamedType, parse } from 'graphql'
import { describe, expect, it } from 'vitest'
import { operationsOf, type RandomOperation } from '../../test/support/random-operation.ts'
import { selectAll } from '../../test/support/schema-walk.ts'
import type { Context } from '../graphql/context.ts'
import { buildSchema } from '../graphql/schema.ts'
import { GateError } from '../platform/errors.ts'
import { takeApart } from './collected-fields.ts'
import { type OperationGroup, OperationGroups, type SubscriptionArgs } from './operation-groups.ts'
import { planSubscription } from './selection-plan.ts'

const schema = buildSchema()
const EXECUTIONS = 3
const NUM_RUNS = 100

const ID = (digit: number) => `0193${String(digit).repeat(4)}-0000-7000-8000-000000000000`
const at = '2026-01-31T12:00:00.000Z'
const ada = { id: ID(1), name: 'Ada “the \\ first”\u2028', avatarUrl: null, statusText: '', lastSeenAt: at }
const bob = {
  id: ID(2),
  name: 'Böb 👩‍👩‍👧',
  avatarUrl: 'https://example.com/b.png',
  statusText: null,
  lastSeenAt: new Date(at),
}
const room = {
  id: ID(7),
  kind: 'PRIVATE',
  name: 'Room',
  slug: null,
  topic: 'a\nb',
  createdAt: new Date(at),
  archivedAt: null,
  lastSeq: 2_147_483_647,
  lastActivityAt: at,
  memberCount: 0,
}
const quote = { id: ID(8), roomId: room.id, seq: 1, author: bob, text: '', isDeleted: true }
const plain = {
  id: ID(9),
  roomId: room.id,
  room,
  seq: 2,
  author: ada,
  text: '</script> "x"',
  clientMessageId: 'c',
  createdAt: at,
  mentions: [],
  attachments: [],
  deletedAt: null,
}
const message = { ...plain, replyTo: null }
const mentions = [
  { start: 0, length: 5, user: bob },
  { start: 6, length: 5, user: null },
]
const size = { contentType: 'image/webp', width: 3, height: 2, sizeBytes: 6 }
const attachments = [
  {
    ...{ id: ID(6), uploaderId: ada.id, name: 'ä "1".webp', kind: 'IMAGE', status: 'READY', refusal: null, ...size },
    ...{ durationMs: null, placeholder: 'AA==', createdAt: at },
    renditions: [{ name: '160', objectKey: 'k', ...size }],
  },
]
const reply = {
  ...plain,
  attachments,
  seq: 3,
  author: bob,
  clientMessageId: null,
  replyTo: quote,
  mentions,
  deletedAt: at,
}
const head = { roomId: room.id, room, at, actor: ada }
const marks = [
  { type: 'CaughtUp', seq: 0 },
  { type: 'ResyncRequired', seq: 4, fromSeq: 5 },
]

/** Events of every kind; behind them some that are broken, each in another way. */
const EVENTS: Record<string, readonly unknown[]> = {
  roomEvents: [
    { ...head, type: 'MessageSent', seq: 2, message },
    { ...head, type: 'MessageSent', seq: 3, message: reply },
    { ...head, type: 'MemberJoined', seq: 4, user: bob, role: 'MEMBER' },
    { ...head, type: 'MemberLeft', seq: 5, user: ada },
    { ...head, type: 'MemberRoleChanged', seq: 6, user: bob, role: 'OWNER' },
    { ...head, type: 'RoomUpdated', seq: 7, name: '', slug: 'slug', topic: null },
    { ...head, type: 'RoomArchived', seq: 8 },
    { ...head, type: 'MemberLeft', seq: 5, user: bob, reason: 'BANNED' },
    { ...head, type: 'MemberBanned', seq: 6, user: bob, endsAt: at },
    { ...head, type: 'MemberUnbanned', seq: 7, user: bob },
    { ...head, type: 'MessageDeleted', seq: 8, messageId: ID(9), messageSeq: 2 },
    ...marks,
    { ...head, type: 'MemberJoined', seq: 2_147_483_648, user: bob, role: 'MEMBER' },
    { ...head, type: 'MemberJoined', seq: 9, user: bob, role: 'STRANGER' },
    { ...head, type: 'MemberLeft', seq: 10, user: { ...ada, name: null } },
    { ...head, type: 'MessageSent', seq: 11 },
    { ...head, type: 'Unheard', seq: 12 },
    {},
  ],
  messageAdded: [message, reply, { ...message, author: undefined }, { ...message, text: Symbol('no text') }, marks[1]],
  roomPresence: [
    { kind: 'snapshot', count: 0, present: [], named: true, typing: [] },
    {
      kind: 'snapshot',
      count: 2,
      named: false,
      present: [ada, bob].map((user) => ({ user, state: 'AWAY' })),
      typing: [bob],
    },
    { kind: 'change', count: 1, changes: [{ user: ada, state: 'OFFLINE' }] },
    { kind: 'change', count: 1, changes: [] },
    { kind: 'typing', typing: [ada, bob] },
    { kind: 'typing', typing: [ada, null] },
    { kind: 'unknown', since: new Date(at) },
    { kind: 'change', count: 0.5, changes: [{ user: ada, state: 'LOST' }] },
    { kind: 'unheard' },
  ],
  viewerEvents: [
    { type: 'RoomGained', userId: ada.id, seq: 1, at, roomId: room.id },
    { type: 'RoomGained', userId: ada.id, seq: 2, at, roomId: ID(0) },
    { type: 'RoomLost', userId: ada.id, seq: 3, at, roomId: room.id },
    { type: 'ProfileUpdated', userId: ada.id, seq: 4, at, user: ada },
    { type: 'ProfileUpdated', userId: ada.id, seq: 5, at, user: null },
    ...marks,
    { type: 'RoomLost', userId: ada.id, seq: 'six', at },
  ],
}

/** What these fields show is not in the event, and not for a test without a database. */
const LEFT_OUT = new Set([
  'Room.members',
  'Room.messages',
  'Room.lastMessage',
  'Room.presence',
  'Room.bans',
  'Membership.user',
  'Membership.room',
])
const isLeftOut = (path: string) => LEFT_OUT.has(path)

const ARGS = {
  roomEvents: ['$room: ID!, $after: Int', 'roomId: $room, after: $after'],
  messageAdded: ['$room: ID!', 'roomId: $room'],
  roomPresence: ['$room: ID!', 'roomId: $room'],
  viewerEvents: ['$after: Int', 'after: $after'],
} as const

/** What viewers see differently: rooms that they may read, their membership. Late, and with errors of its own. */
function contextOf(userId: string): Context {
  const rooms = {
    async findRoom(_viewer: unknown, { id }: { id: string }) {
      if (id !== room.id) throw new GateError('UNAVAILABLE', `not for ${userId}`)
      return userId === ada.id ? room : null
    },
    findMembership: async (roomId: string) =>
      userId === ada.id ? { id: ID(5), roomId, userId, role: 'OWNER', joinedAt: new Date(at) } : null,
  }
  const files = {
    findUrl: ({ id }: { id: string }, part = '') => ({ url: `/files/${id}/${part}`, expiresAt: new Date(at) }),
  }
  const notificationSettings = {
    findRoomSettings: async () => (userId === ada.id ? { level: 'ALL', mutedUntil: null } : null),
  }
  const viewer = { userId, expiresAt: new Date() }
  // All that the selected fields read of a context.
  return { viewer, requestId: 'r', rooms, files, notificationSettings } as unknown as Context
}

/** Errors as they are: what clients see of them is tested elsewhere. */
const present = (error: unknown) => error as GraphQLError

async function payloadOf(group: OperationGroup, event: unknown): Promise<string> {
  const { result, payload } = await group.resultOf(event)
  expect(payload.toString()).toBe(`${JSON.stringify(result)}}`)
  return JSON.stringify(result)
}

async function payloadAlone(args: SubscriptionArgs, event: unknown): Promise<string> {
  const { errors, data }: ExecutionResult = await execute({ ...args, rootValue: event })
  return JSON.stringify({ ...(data !== undefined && { data }), ...(errors && { errors }) })
}

/** Two viewers who ask the same. */
async function expectSameAsAlone(field: string, { query, variables }: RandomOperation): Promise<void> {
  const document = parse(query)
  const variableValues = { ...variables, room: 'R', after: 3 }
  const groups = new OperationGroups(schema, present)
  const argsOf = (userId: string) => ({ schema, document, variableValues, contextValue: contextOf(userId) })
  const [first, second] = [argsOf(ada.id), argsOf(bob.id)]
  const events = EVENTS[field] ?? []
  const group = groups.join(first)
  for (let i = 0; i < EXECUTIONS; i++) await payloadOf(group, events[i % events.length])
  const members = [
    { args: first, group },
    { args: second, group: groups.join(second) },
  ]
  for (const event of events) {
    for (const { args, group: own } of members) {
      expect(await payloadOf(own, event), query).toBe(await payloadAlone(args, event))
    }
  }
  for (const member of members) groups.leave(member.group)
  expect(groups.size).toBe(0)
}

// What a library that compiled operations got wrong.
const DIRECTIVES: Record<string, RandomOperation> = {
  'a fragment whose first spread is left out': {
    query: `subscription ($room: ID!, $no: Boolean!) { messageAdded(roomId: $room) { ...Part @include(if: $no) ...Part } }
      fragment Part on Message { id }`,
    variables: { no: false },
  },
  'a field that is left out in one of its places': {
    query: `subscription ($room: ID!, $no: Boolean!) { messageAdded(roomId: $room) {
      author @include(if: $no) { __typename ... on User { name } } author { id } } }`,
    variables: { no: false },
  },
  'the order of fields': {
    query: 'subscription ($room: ID!) { messageAdded(roomId: $room) { seq @skip(if: true) id seq } }',
    variables: {},
  },
  'a default of a variable that must have a value': {
    query:
      'subscription ($room: ID!, $yes: Boolean! = true) { messageAdded(roomId: $room) { id text @skip(if: $yes) } }',
    variables: {},
  },
  'a selection that nothing is left of': {
    query: `subscription ($room: ID!) { messageAdded(roomId: $room) {
      author { id @skip(if: true) } replyTo { ... on MessageQuote @skip(if: true) { id } } } }`,
    variables: {},
  },
}

it.each(Object.entries(DIRECTIVES))('directives leave out what they say: %s', (_what, operation) =>
  expectSameAsAlone('messageAdded', operation),
)

// Guards: a library wrote into the document, so that what one operation left out was left out of another.
it('operations of one document do not change each other', async () => {
  const document = parse(`
    subscription One($room: ID!, $a: Boolean!) { messageAdded(roomId: $room) { ...Part @include(if: $a) } }
    subscription Two($room: ID!, $b: Boolean!) { messageAdded(roomId: $room) { ...Part @include(if: $b) } }
    fragment Part on Message { id }`)
  const groups = new OperationGroups(schema, present)
  const contextValue = contextOf(ada.id)
  const [no, yes] = [
    { operationName: 'One', variableValues: { room: 'R', a: false } },
    { operationName: 'Two', variableValues: { room: 'R', b: true } },
  ].map((operation) => groups.join({ schema, document, contextValue, ...operation }))
  if (!no || !yes) throw new Error('two operations are two groups')
  for (let i = 0; i < EXECUTIONS; i++) {
    expect(await payloadOf(no, message)).toBe('{"data":{"messageAdded":{}}}')
    expect(await payloadOf(yes, message)).toMatch(/^{"data":{"messageAdded":{"id":".*"}}}$/)
  }
})

// What directives say differs from subscriber to subscriber of one document: each has its own.
it('the variables of directives tell subscribers of one document apart', async () => {
  const document = parse(
    'subscription ($room: ID!, $a: Boolean!, $b: Boolean = true) { messageAdded(roomId: $room) { seq @include(if: $a) text @skip(if: $b) } }',
  )
  const groups = new OperationGroups(schema, present)
  const cases = [true, false].flatMap((a) => [{ a }, { a, b: true }, { a, b: false }])
  const members = cases.map((variables) => {
    const args = { schema, document, contextValue: contextOf(ada.id), variableValues: { room: 'R', ...variables } }
    return { args, group: groups.join(args) }
  })
  for (let i = 0; i < EXECUTIONS * 2; i++) {
    for (const { args, group } of members) {
      const event = { ...message, seq: i }
      expect(await payloadOf(group, event)).toBe(await payloadAlone(args, event))
    }
  }
})

// Guards: spread wherever they stand, thirty fragments, twice in each other, would never end.
it('fragments that multiply do no harm', async () => {
  const parts = Array.from({ length: 30 }, (_, i) => `fragment P${i} on Message { ...P${i + 1} ...P${i + 1} }`)
  const document = parse(`subscription ($room: ID!) { messageAdded(roomId: $room) { ...P0 } }
    ${parts.join('\n')} fragment P30 on Message { seq }`)
  const args = { schema, document, contextValue: contextOf(ada.id), variableValues: { room: 'R' } }
  const group = new OperationGroups(schema, present).join(args)
  for (let i = 0; i < EXECUTIONS * 2; i++) {
    expect(await payloadOf(group, { ...message, seq: i })).toBe(`{"data":{"messageAdded":{"seq":${i}}}}`)
  }
})

const LATE = new Set([
  ...['Room.viewerMembership', 'Room.viewerNotificationSettings'],
  ...['User.notifications', 'User.unreadNotificationCount', 'User.notificationSettings', 'User.pushSubscriptions'],
])

// All that needs no database: not viewerEvents, whose rooms are each viewer's own.
it.each(['roomEvents', 'messageAdded', 'roomPresence'] as const)('%s is planned, whatever is selected', (field) => {
  const type = getNamedType(schema.getSubscriptionType()?.getFields()[field]?.type)
  if (!type) throw new Error(`there is no subscription ${field}`)
  const [declarations, args] = ARGS[field]
  const isLate = (path: string) => isLeftOut(path) || LATE.has(path)
  const query = `subscription (${declarations}) { ${field}(${args}) ${selectAll(schema, type, isLate)} }`
  const operation = takeApart(schema, { document: parse(query), variableValues: { room: 'R', after: 3 } })
  if (!operation) throw new Error('the operation cannot be executed')
  const plan = planSubscription(operation)
  const data = plan.run(EVENTS[field]?.[0], contextOf(bob.id), plan.rootArgumentsOf(operation))
  expect(JSON.parse(data)).toHaveProperty(field)
})

describe.each(Object.entries(ARGS))('what subscribers of %s share', (field, [declarations, args]) => {
  it('is what each would get alone, whatever they select', async () => {
    await fc.assert(
      fc.asyncProperty(operationsOf(schema, field, { args: [declarations, args], isLeftOut }), (operation) =>
        expectSameAsAlone(field, operation),
      ),
      { numRuns: NUM_RUNS },
    )
  })
})
