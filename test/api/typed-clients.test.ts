import { afterEach, describe, expect, expectTypeOf, it } from 'vitest'
import type { ErrorCode, RoomEventsSubscription } from '../generated/graphql.ts'
import { signToken, useNodes } from '../support/start-nodes.ts'
import { Stream } from '../support/stream.ts'
import { type Opened, openApollo, openUrql } from '../support/typed-clients.ts'
import {
  AnyNode,
  CreateRoom,
  History,
  JoinRoom,
  MessageAdded,
  RoomEvents,
  SendMessage,
  Viewer,
} from './documents/chat.ts'

const nodes = useNodes()
const url = () => nodes().urls[0] ?? ''

const opened: Opened<unknown>[] = []
function keep<T extends Opened<unknown>>(one: T): T['client'] {
  opened.push(one)
  return one.client
}
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.dispose()))
})

describe('urql, typed by the published schema', () => {
  const open = async (name: string | null) =>
    keep(openUrql({ url: url(), token: name && (await signToken(`urql-${name}`, { name })) }))

  it('signs in by token, and is nobody without one', async () => {
    const ada = await (await open('Ada')).query(Viewer, {})
    expect(ada.data?.viewer).toMatchObject({ name: 'Ada', avatarUrl: null })
    expectTypeOf(ada.data?.viewer?.name).toEqualTypeOf<string | undefined>()
    const nobody = await (await open(null)).query(Viewer, {})
    expect(nobody.data).toEqual({ viewer: null })
  })

  it('creates a room, joins it, sends, and reads the history', async () => {
    const [ada, bo] = [await open('Ada'), await open('Bo')]
    const created = (await ada.mutation(CreateRoom, { input: { name: 'urql room' } })).data?.createRoom
    if (created?.__typename !== 'CreateRoomSuccess') throw new Error(JSON.stringify(created))
    const roomId = created.room.id
    const joined = (await bo.mutation(JoinRoom, { input: { roomId } })).data?.joinRoom
    expect(joined).toMatchObject({ room: { memberCount: 2 }, membership: { role: 'MEMBER' } })
    for (const text of ['one', 'two', 'three']) {
      const sent = (await bo.mutation(SendMessage, { input: { roomId, text, clientMessageId: text } })).data
      expect(sent?.sendMessage).toMatchObject({ sentMessage: { text, clientMessageId: text, author: { name: 'Bo' } } })
    }
    const { data } = await ada.query(History, { roomId, last: 2 })
    expect(data?.room?.messages.edges.map(({ node }) => node.text)).toEqual(['two', 'three'])
    expect(data?.room?.messages.pageInfo).toMatchObject({ hasPreviousPage: true, hasNextPage: false })
  })

  it('subscribes, with what interface fragments select', async () => {
    const ada = await open('Ada')
    const created = (await ada.mutation(CreateRoom, { input: { name: 'urql live' } })).data?.createRoom
    if (created?.__typename !== 'CreateRoomSuccess') throw new Error(JSON.stringify(created))
    const roomId = created.room.id
    const stream = new Stream<RoomEventsSubscription['roomEvents']>()
    const { unsubscribe } = ada.subscription(RoomEvents, { roomId, after: 0 }).subscribe(({ data, error }) => {
      if (error) stream.sink.error(error)
      else if (data) stream.sink.next(data.roomEvents)
    })
    const [joined, caughtUp] = await stream.take(2)
    expect(joined).toMatchObject({ __typename: 'MemberJoined', seq: 1, roomId, user: { name: 'Ada' }, role: 'OWNER' })
    expect(caughtUp).toEqual({ __typename: 'CaughtUp', seq: 1 })
    await ada.mutation(SendMessage, { input: { roomId, text: 'live' } })
    const sent = await stream.next()
    if (sent.__typename !== 'MessageSent') throw new Error(sent.__typename)
    expectTypeOf(sent.message.text).toEqualTypeOf<string>()
    expect(sent.message).toMatchObject({ seq: 2, text: 'live' })
    unsubscribe()
  })

  it('gets refusals as members of the result', async () => {
    const ada = await open('Ada')
    const { data, error } = await ada.mutation(CreateRoom, { input: { name: ' '.repeat(3) } })
    expect(error).toBeUndefined()
    const refused = data?.createRoom
    if (refused?.__typename !== 'ValidationError') throw new Error(JSON.stringify(refused))
    expectTypeOf(refused.code).toEqualTypeOf<ErrorCode>()
    expect(refused).toMatchObject({ code: 'VALIDATION_FAILED', issues: [{ path: 'input.name', limit: 1 }] })
  })
})

describe('Apollo Client, typed by the published schema', () => {
  const open = async (name: string | null) =>
    keep(await openApollo({ url: url(), token: name && (await signToken(`apollo-${name}`, { name })) }))

  it('signs in by token, and is nobody without one', async () => {
    const ada = await (await open('Ada')).query({ query: Viewer })
    expect(ada.data?.viewer).toMatchObject({ name: 'Ada', avatarUrl: null })
    expectTypeOf(ada.data?.viewer?.name).toEqualTypeOf<string | undefined>()
    const nobody = await (await open(null)).query({ query: Viewer })
    expect(nobody.data).toEqual({ viewer: null })
  })

  it('creates a room, joins it, sends, and reads the history through its cache', async () => {
    const [ada, bo] = [await open('Ada'), await open('Bo')]
    const input = { name: 'Apollo room' }
    const created = (await ada.mutate({ mutation: CreateRoom, variables: { input } })).data?.createRoom
    if (created?.__typename !== 'CreateRoomSuccess') throw new Error(JSON.stringify(created))
    const roomId = created.room.id
    const joined = (await bo.mutate({ mutation: JoinRoom, variables: { input: { roomId } } })).data?.joinRoom
    expect(joined).toMatchObject({ room: { memberCount: 2 }, membership: { role: 'MEMBER' } })
    for (const text of ['one', 'two', 'three']) {
      const { data } = await bo.mutate({ mutation: SendMessage, variables: { input: { roomId, text } } })
      expect(data?.sendMessage).toMatchObject({ sentMessage: { text, author: { name: 'Bo' } } })
    }
    const history = { query: History, variables: { roomId, last: 2 } }
    const { data } = await ada.query(history)
    expect(data?.room?.messages.edges.map(({ node }) => node.text)).toEqual(['two', 'three'])
    expect(ada.cache.readQuery(history)?.room?.messages.edges).toEqual(data?.room?.messages.edges)
    const message = data?.room?.messages.edges[0]?.node
    const node = await ada.query({ query: AnyNode, variables: { id: message?.id ?? '' } })
    expect(node.data?.node).toEqual(message)
  })

  it('subscribes, with what fragments on interfaces select', async () => {
    const ada = await open('Ada')
    const input = { name: 'Apollo live' }
    const created = (await ada.mutate({ mutation: CreateRoom, variables: { input } })).data?.createRoom
    if (created?.__typename !== 'CreateRoomSuccess') throw new Error(JSON.stringify(created))
    const roomId = created.room.id
    const stream = new Stream<RoomEventsSubscription['roomEvents']>()
    const events = ada.subscribe({ query: RoomEvents, variables: { roomId, after: 0 } }).subscribe({
      next: ({ data, error }) => (data ? stream.sink.next(data.roomEvents) : stream.sink.error(error)),
      error: stream.sink.error,
    })
    const [joined, caughtUp] = await stream.take(2)
    expect(joined).toMatchObject({ __typename: 'MemberJoined', seq: 1, roomId, user: { name: 'Ada' }, role: 'OWNER' })
    expect(caughtUp).toEqual({ __typename: 'CaughtUp', seq: 1 })

    const texts = new Stream<string>()
    const messages = ada.subscribe({ query: MessageAdded, variables: { roomId, after: 0 } }).subscribe({
      next: ({ data, error }) => (data ? texts.sink.next(data.messageAdded.text) : texts.sink.error(error)),
      error: texts.sink.error,
    })
    await ada.mutate({ mutation: SendMessage, variables: { input: { roomId, text: 'live' } } })
    const sent = await stream.next()
    if (sent.__typename !== 'MessageSent') throw new Error(sent.__typename)
    expect(sent.message).toMatchObject({ seq: 2, text: 'live' })
    expect(await texts.next()).toBe('live')
    events.unsubscribe()
    messages.unsubscribe()
  })

  it('gets refusals as members of the result, its cache knowing which types are an Error', async () => {
    const ada = await open('Ada')
    const { data } = await ada.mutate({ mutation: CreateRoom, variables: { input: { name: '' } } })
    expect(data?.createRoom).toMatchObject({
      __typename: 'ValidationError',
      code: 'VALIDATION_FAILED',
      issues: [{ path: 'input.name', limit: 1 }],
    })
  })
})
