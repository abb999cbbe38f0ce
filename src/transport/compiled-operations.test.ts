// The invariant: whoever subscribes gets what graphql-js gives for their operation alone and in their own context,
// whether the operation is compiled, shared with others, or neither; errors too.

import fc from 'fast-check'
import { type ExecutionResult, execute, type GraphQLError, parse } from 'graphql'
import { compileQuery, isCompiledQuery } from 'graphql-jit'
import { describe, expect, it } from 'vitest'
import { operationsOf, type RandomOperation } from '../../test/support/random-operation.ts'
import type { Context } from '../graphql/context.ts'
import { buildSchema } from '../graphql/schema.ts'
import { GateError } from '../platform/errors.ts'
import { type OperationGroup, OperationGroups, type SubscriptionArgs } from './operation-groups.ts'

const schema = buildSchema()
/** More than it takes to have an operation compiled. */
const EXECUTIONS_TO_COMPILE = 20
const NUM_RUNS = 120

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
const quote = { id: ID(8), roomId: room.id, seq: 1, author: bob, text: '' }
const plain = {
  id: ID(9),
  roomId: room.id,
  room,
  seq: 2,
  author: ada,
  text: '</script> "x"',
  clientMessageId: 'c',
  createdAt: at,
}
const message = { ...plain, replyTo: null }
const reply = { ...plain, seq: 3, author: bob, clientMessageId: null, replyTo: quote }
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
  // All that the selected fields read of a context.
  return { viewer: { userId, expiresAt: new Date() }, requestId: 'r', rooms } as unknown as Context
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

/**
 * To the byte; but where a directive takes the first of several fields of one name away, graphql-jit still gives the name
 * its place, and graphql-js that of the next.
 */
function expectSame(shared: string, alone: string, query: string): void {
  if (query.includes('@@')) expect(JSON.parse(shared), query).toEqual(JSON.parse(alone))
  else expect(shared, query).toBe(alone)
}

/** Two viewers who ask the same, long after the operation was compiled. */
async function expectSameAsAlone(field: string, { query, variables }: RandomOperation): Promise<void> {
  const document = parse(query)
  expect(isCompiledQuery(compileQuery(schema, parse(query))), `not compiled: ${query}`).toBe(true)
  const variableValues = { ...variables, room: 'R', after: 3 }
  const groups = new OperationGroups(schema, present)
  const argsOf = (userId: string) => ({ schema, document, variableValues, contextValue: contextOf(userId) })
  const [first, second] = [argsOf(ada.id), argsOf(bob.id)]
  const events = EVENTS[field] ?? []
  const group = groups.join(first)
  for (let i = 0; i < EXECUTIONS_TO_COMPILE; i++) await payloadOf(group, events[i % events.length])
  const members = [
    { args: first, group },
    { args: second, group: groups.join(second) },
  ]
  for (const event of events) {
    for (const { args, group: own } of members) {
      expectSame(await payloadOf(own, event), await payloadAlone(args, event), query)
    }
  }
  for (const member of members) groups.leave(member.group)
  expect(groups.size).toBe(0)
}

describe.each(Object.entries(ARGS))('what subscribers of %s share', (field, args) => {
  it('is what each would get alone, whatever they select', async () => {
    await fc.assert(
      fc.asyncProperty(operationsOf(schema, field, { args, isLeftOut }), (operation) =>
        expectSameAsAlone(field, operation),
      ),
      { numRuns: NUM_RUNS },
    )
  })
})
