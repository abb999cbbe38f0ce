// Streams end with the right to them: on every node, typed, and nothing comes afterwards.

import { once } from 'node:events'
import { afterEach, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { systemClock } from '../../src/platform/clock.ts'
import { eventually } from '../support/eventually.ts'
import { post } from '../support/graphql-over-http.ts'
import { brief, openRoomEvents, openRoomEventsSse } from '../support/room-events.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { describeTopologies, signToken } from '../support/start-nodes.ts'
import { connect, subscribe } from '../support/stream.ts'

const archive = (owner: Person, room: string) =>
  owner.do('mutation ($id: ID!) { archiveRoom(input: { roomId: $id }) { __typename } }', { id: room })

describeTopologies('archiving a room', (nodes) => {
  afterEach(stopAll)

  it('ends the streams that are open; who subscribes afterwards reads what there is', async () => {
    const [first = '', second = first] = nodes().urls
    const ada = await person(first, 'Ada')
    const bob = await person(second, 'Bob')
    const room = await ada.createRoom()
    const socket = bob.connect()
    const events = openRoomEvents(socket, room)
    const overSse = openRoomEventsSse(second, bob, room)
    const presence = subscribe(socket, 'subscription ($room: ID!) { roomPresence(roomId: $room) { __typename } }', {
      room,
    })
    for (const stream of [events, overSse, presence]) await stream.next()
    await archive(ada, room)
    for (const stream of [events, overSse, presence]) {
      expect(await stream.ended()).toBeNull()
      expect(stream.items.at(-1)?.errors?.[0]?.extensions).toMatchObject({
        code: 'STREAM_ENDED',
        reason: 'ROOM_ARCHIVED',
        retryable: false,
      })
    }
    for (const { items } of [events, overSse]) expect(items.slice(0, -1).map(brief).at(-1)).toEqual(['RoomArchived', 2])
    const later = openRoomEvents(socket, room, 0)
    expect((await later.take(3)).map(brief)).toEqual([
      ['MemberJoined', 1, 'Ada'],
      ['RoomArchived', 2],
      ['CaughtUp', 2],
    ])
  })
})

const MODERATE = {
  remove:
    'mutation ($input: RemoveMemberInput!) { removeMember(input: $input) { __typename ... on Error { message } } }',
  ban: 'mutation ($input: BanMemberInput!) { banMember(input: $input) { __typename ... on Error { message } } }',
} as const

describeTopologies('a member', (nodes) => {
  afterEach(stopAll)

  const start = async (kind: 'PUBLIC' | 'PRIVATE') => {
    const [first = '', second = first] = nodes().urls
    const ada = await person(first, 'Ada')
    const bob = await person(second, 'Bob')
    const cem = await person(second, 'Cem')
    const room = await ada.createRoom({ kind, memberIds: [bob.id, cem.id] })
    const open = (who: Person) => {
      const socket = who.connect()
      const events = openRoomEvents(socket, room)
      const messages = subscribe(socket, 'subscription ($room: ID!) { messageAdded(roomId: $room) { text } }', { room })
      const presence = subscribe(socket, 'subscription ($room: ID!) { roomPresence(roomId: $room) { __typename } }', {
        room,
      })
      return { events, presence, messages, overSse: openRoomEventsSse(second, who, room) }
    }
    const [bobs, cems] = [open(bob), open(cem)]
    for (const { events, presence, overSse } of [bobs, cems]) {
      for (const stream of [events, presence, overSse]) await stream.next()
    }
    const moderate = (how: keyof typeof MODERATE) => ada.do(MODERATE[how], { input: { roomId: room, userId: bob.id } })
    return { ada, room, bobs, cems, moderate }
  }

  for (const [how, reason, kind, last] of [
    ['remove', 'REMOVED', 'PRIVATE', 'MemberLeft'],
    ['ban', 'BANNED', 'PRIVATE', 'MemberLeft'],
    ['ban', 'BANNED', 'PUBLIC', 'MemberBanned'],
  ] as const) {
    it(`who is ${reason.toLowerCase()} from a ${kind.toLowerCase()} room loses all its streams, and nobody else does`, async () => {
      const { ada, room, bobs, cems, moderate } = await start(kind)
      await moderate(how)
      await ada.send(room, 'behind his back')
      for (const stream of Object.values(bobs)) {
        expect(await stream.ended()).toBeNull()
        expect(stream.items.at(-1)?.errors?.[0]?.extensions).toMatchObject({ code: 'STREAM_ENDED', reason })
        expect(JSON.stringify(stream.items)).not.toContain('behind his back')
      }
      for (const { items } of [bobs.events, bobs.overSse]) expect(brief(items.at(-2) ?? {}).slice(0, 1)).toEqual([last])
      expect(await cems.messages.next()).toEqual({ data: { messageAdded: { text: 'behind his back' } } })
      await cems.overSse.takeUntil((item) => brief(item).includes('behind his back'))
    })
  }
})

/**
 * Turned by the stories below; it only goes forward, so that no story's own tokens come back to life, and in all
 * topologies together by less than the hour that Ada's tokens last.
 */
const clock = { aheadMs: 0, now: () => systemClock.now() + clock.aheadMs }
const inSeconds = (seconds: number) => new Date(clock.now() + seconds * 1_000)
const RENEW = `mutation ($token: String!) { renewToken(input: { token: $token }) {
  ... on RenewTokenSuccess { expiresAt } ... on Error { code } } }`
const REVOKE = 'mutation ($input: RevokeTokensInput!) { revokeTokens(input: $input) { __typename } }'
type Renewal = { renewToken: { expiresAt?: string; code?: string } }

describeTopologies(
  'a token',
  (nodes) => {
    afterEach(stopAll)

    async function start(name: string, validSeconds: number) {
      const [first = '', second = first] = nodes().urls
      const ada = await person(first, 'Ada')
      const subject = `${name}-${crypto.randomUUID()}`
      const token = await signToken(subject, { name }, inSeconds(validSeconds))
      return { ada, room: await ada.createRoom(), url: second, subject, token }
    }

    it('that expires closes the socket with all its streams, and ends those over SSE', async () => {
      const { ada, room, url, token } = await start('Bob', 60)
      const socket = connect(url, token)
      const events = openRoomEvents(socket, room)
      const own = subscribe(socket, 'subscription { viewerEvents { seq } }')
      const overSse = openRoomEventsSse(url, { ...ada, token }, room)
      for (const stream of [events, own, overSse]) await stream.next()
      await ada.send(room, 'before')
      for (const stream of [events, overSse]) await stream.next()
      // Beyond the minute that clocks may differ.
      clock.aheadMs += 121_000
      for (const stream of [events, own])
        expect(await stream.ended()).toMatchObject({ code: 4403, reason: 'TOKEN_EXPIRED' })
      expect(await overSse.ended()).toBeNull()
      expect(overSse.items.at(-1)?.errors?.[0]?.extensions).toMatchObject({ code: 'TOKEN_EXPIRED', retryable: true })
      await ada.send(room, 'after')
      expect(events.items.map(brief).at(-1)).toEqual(['MessageSent', 2, 'before'])
      expect(overSse.items.slice(0, -1).map(brief).at(-1)).toEqual(['MessageSent', 2, 'before'])
      await socket.dispose()
    })

    it('that is renewed in time leaves the streams where they are', async () => {
      const { ada, room, url, subject, token } = await start('Bob', 60)
      const socket = connect(url, token)
      const events = openRoomEvents(socket, room)
      await events.next()
      const fresh = await signToken(subject, { name: 'Bob' }, inSeconds(3_000))
      const renewed = subscribe<Renewal>(socket, RENEW, { token: fresh })
      expect((await renewed.next()).data?.renewToken.expiresAt).toMatch(/^20/)
      const other = connect(url, await signToken('not-renewed', {}, inSeconds(60)))
      const others = subscribe(other, 'subscription { viewerEvents { seq } }')
      await others.next()
      clock.aheadMs += 130_000
      expect(await others.ended()).toMatchObject({ code: 4403 })
      await ada.send(room, 'still here')
      expect(brief(await events.next())).toEqual(['MessageSent', 2, 'still here'])
      await Promise.all([socket.dispose(), other.dispose()])
    })

    it('that an operator revokes closes the socket, and ends streams over SSE', async () => {
      const { ada, room, url, token } = await start('Bob', 600)
      const operator = await signToken('operator', { scope: 'sohbet:operator' }, inSeconds(600))
      const socket = connect(url, token)
      const events = openRoomEvents(socket, room)
      const overSse = openRoomEventsSse(url, { ...ada, token }, room)
      for (const stream of [events, overSse]) await stream.next()
      const { data } = await post(url, '{ viewer { id } }', { token })
      const [first = ''] = nodes().urls
      const userId = Object(data?.viewer).id
      expect((await post(first, REVOKE, { token: operator, variables: { input: { userId } } })).data).toEqual({
        revokeTokens: { __typename: 'RevokeTokensSuccess' },
      })
      expect(await events.ended()).toMatchObject({ code: 4403, reason: 'TOKEN_REVOKED' })
      expect(await overSse.ended()).toBeNull()
      expect(overSse.items.at(-1)?.errors?.[0]?.extensions).toMatchObject({ code: 'TOKEN_REVOKED' })
      // Where only the old token is to be had, coming back has no sense.
      expect(await openRoomEvents(socket, room).ended()).toMatchObject({ code: 4401 })
      await socket.dispose()
    })

    // Guards: ws goes on reading a socket that it has closed, as long as the client does not answer.
    it('that is revoked writes nothing more and is present nowhere, though its client does not hear the close', async () => {
      const { ada, room, url, token, subject } = await start('Bob', 600)
      const own = { ...(await person(url, 'Bob', subject)), token }
      await own.join(room)
      const socket = new WebSocket(url.replace(/^http/, 'ws'), 'graphql-transport-ws')
      const say = (message: object) => socket.send(JSON.stringify(message))
      const heard: string[] = []
      socket.on('message', (text) => heard.push(String(text)))
      socket.once('open', () => say({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } }))
      await eventually(() => expect(heard).toHaveLength(1))
      const query = 'subscription ($room: ID!) { roomEvents(roomId: $room) { seq } }'
      say({ id: 's', type: 'subscribe', payload: { query, variables: { room } } })
      await eventually(() => expect(heard).toHaveLength(2))
      const read = '{ room(id: "ROOM") { lastSeq presence { count } } }'.replace('ROOM', room)
      await eventually(async () => expect(await ada.do(read)).toMatchObject({ room: { presence: { count: 1 } } }))
      socket.pause()
      const operator = await signToken('operator', { scope: 'sohbet:operator' }, inSeconds(600))
      await post(url, REVOKE, { token: operator, variables: { input: { userId: own.id } } })
      await eventually(async () => expect(await ada.do(read)).toMatchObject({ room: { presence: { count: 0 } } }))
      const send = 'mutation ($input: SendMessageInput!) { sendMessage(input: $input) { __typename } }'
      const input = { roomId: room, text: 'from beyond' }
      say({ id: 'm', type: 'subscribe', payload: { query: send, variables: { input } } })
      const closed = once(socket, 'close')
      socket.resume()
      await closed
      expect(await ada.do(read)).toEqual({ room: { lastSeq: 2, presence: { count: 0 } } })
    })

    it('of another user, or that is none, changes nothing', async () => {
      const { room, url, subject, token } = await start('Bob', 60)
      const socket = connect(url, token)
      const events = openRoomEvents(socket, room)
      await events.next()
      const codeOf = async (given: string) => {
        const answer = await subscribe<Renewal>(socket, RENEW, { token: given }).next()
        return answer.data?.renewToken.code
      }
      expect(await codeOf(await signToken('somebody-else', {}, inSeconds(60)))).toBe('FORBIDDEN')
      expect(await codeOf(`${token}x`)).toBe('UNAUTHENTICATED')
      expect(await codeOf(await signToken(subject, {}, inSeconds(-100)))).toBe('TOKEN_EXPIRED')
      expect(await codeOf('none')).toBe('VALIDATION_FAILED')
      expect((await subscribe(socket, '{ viewer { name } }').next()).data).toEqual({ viewer: { name: 'Bob' } })
      await socket.dispose()
    })
  },
  { clock },
)
