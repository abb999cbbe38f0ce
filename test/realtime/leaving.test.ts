import { afterEach, expect, it } from 'vitest'
import { post } from '../support/graphql-over-http.ts'
import { brief, openRoomEvents, openRoomEventsSse } from '../support/room-events.ts'
import { person, stopAll } from '../support/seed.ts'
import { describeTopologies } from '../support/start-nodes.ts'
import { type Result, subscribe } from '../support/stream.ts'

const textsOf = (items: Result<{ messageAdded: { text: string } }>[]) =>
  items.map(({ data }) => data?.messageAdded.text)

describeTopologies('leaving a room', (nodes) => {
  afterEach(stopAll)

  it('ends every stream of a private room: nothing that is said afterwards reaches who has left', async () => {
    const [first = '', second = first] = nodes().urls
    const ada = await person(first, 'Ada')
    const bob = await person(second, 'Bob')
    const room = await ada.createRoom({ kind: 'PRIVATE', memberIds: [bob.id] })
    // Rejoining is past when the stream is accepted: a replay of it ends nothing.
    await bob.leave(room)
    await ada.do('mutation ($input: AddMemberInput!) { addMember(input: $input) { __typename } }', {
      input: { roomId: room, userId: bob.id },
    })
    const socket = bob.connect()
    const events = openRoomEvents(socket, room, 0)
    const overSse = openRoomEventsSse(second, bob, room)
    const messages = subscribe<{ messageAdded: { text: string } }>(
      socket,
      'subscription ($room: ID!, $after: Int) { messageAdded(roomId: $room, after: $after) { text } }',
      { room, after: 0 },
    )
    const presence = subscribe(socket, 'subscription ($room: ID!) { roomPresence(roomId: $room) { __typename } }', {
      room,
    })
    await events.takeUntil((result) => brief(result)[0] === 'CaughtUp')
    await overSse.next()
    await presence.next()
    await ada.send(room, 'while he is there')
    expect(textsOf([await messages.next()])).toEqual(['while he is there'])

    await bob.leave(room)
    await ada.send(room, 'behind his back')
    for (const stream of [events, overSse, messages, presence]) expect(await stream.ended()).toBeNull()
    for (const { items } of [events, overSse, messages, presence]) {
      expect(items.at(-1)?.errors?.[0]?.extensions).toMatchObject({ code: 'STREAM_ENDED', reason: 'LEFT' })
    }
    for (const { items } of [events, overSse]) {
      expect(items.slice(0, -1).map(brief).at(-1)).toEqual(['MemberLeft', 6, 'Bob'])
    }
    expect(textsOf(messages.items.slice(0, -1))).toEqual(['while he is there'])
  })

  // Guards: a room that comes with one's own old message opened its lists, whoever had left it since.
  it('closes the room’s lists to who has left, though a retry still gets the message that was sent', async () => {
    const [first = ''] = nodes().urls
    const ada = await person(first, 'Ada')
    const bob = await person(first, 'Bob')
    const room = await ada.createRoom({ kind: 'PRIVATE', memberIds: [bob.id] })
    await bob.send(room, 'while I am here', { clientMessageId: 'once' })
    const retry = (selection: string) =>
      post(
        first,
        `mutation ($input: SendMessageInput!) { sendMessage(input: $input) {
          ... on SendMessageSuccess { sentMessage { text room { ${selection} } } } } }`,
        { token: bob.token, variables: { input: { roomId: room, text: 'anything', clientMessageId: 'once' } } },
      )
    expect((await retry('lastMessage { text }')).errors).toEqual([])
    await bob.leave(room)
    await ada.send(room, 'behind his back')
    expect((await retry('id')).data).toMatchObject({ sendMessage: { sentMessage: { text: 'while I am here' } } })
    for (const list of [
      'lastMessage { text }',
      'messages(first: 10) { edges { node { text } } }',
      'members(first: 10) { edges { node { role } } }',
      'presence { count }',
    ]) {
      const { data, errors } = await retry(list)
      expect(errors.map(({ extensions }) => extensions?.code)).toEqual(['NOT_FOUND'])
      expect(JSON.stringify(data)).not.toContain('behind his back')
    }
  })

  it('leaves the streams of a public room as they are, for anybody may read it', async () => {
    const [first = ''] = nodes().urls
    const ada = await person(first, 'Ada')
    const bob = await person(first, 'Bob')
    const room = await ada.createRoom()
    await bob.join(room)
    const events = openRoomEvents(bob.connect(), room)
    await events.next()
    await bob.leave(room)
    await ada.send(room, 'still here')
    expect((await events.take(2)).map(brief)).toEqual([
      ['MemberLeft', 3, 'Bob'],
      ['MessageSent', 4, 'still here'],
    ])
  })
})
