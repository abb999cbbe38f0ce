import { afterEach, expect, it } from 'vitest'
import { person, stopAll } from '../support/seed.ts'
import { describeTopologies } from '../support/start-nodes.ts'
import { subscribe, subscribeSse } from '../support/stream.ts'

const ROOM_EVENTS = `subscription ($roomId: ID!, $after: Int) {
  roomEvents(roomId: $roomId, after: $after) {
    __typename seq
    ... on MessageSent { message { text author { name } } }
    ... on MemberJoined { user { name } }
  }
}`

interface Item {
  roomEvents: { __typename: string; seq: number; message?: { text: string }; user?: { name: string } }
}

const brief = ({ data }: { data?: Item | null }) => {
  const item = data?.roomEvents
  return item && [item.__typename, item.seq, item.message?.text ?? item.user?.name].filter((x) => x !== undefined)
}

describeTopologies('a room stream', (nodes) => {
  afterEach(stopAll)

  it('replays from `after`, says CaughtUp, and goes on live without a gap', async () => {
    const [first = '', second = first] = nodes().urls
    const ada = await person(first, 'Ada')
    const room = await ada.createRoom()
    await ada.send(room, 'one')
    const stream = subscribe<Item>(ada.connect(second), ROOM_EVENTS, { roomId: room, after: 0 })
    expect((await stream.take(3)).map(brief)).toEqual([
      ['MemberJoined', 1, 'Ada'],
      ['MessageSent', 2, 'one'],
      ['CaughtUp', 2],
    ])
    await ada.send(room, 'two')
    expect(brief(await stream.next())).toEqual(['MessageSent', 3, 'two'])
  })

  it('begins at the head without `after`, over server-sent events too', async () => {
    const [first = '', second = first] = nodes().urls
    const ada = await person(first, 'Ada')
    const room = await ada.createRoom()
    await ada.send(room, 'before')
    const stream = subscribeSse<Item>(second, ada.token, ROOM_EVENTS, { roomId: room })
    expect(brief(await stream.next())).toEqual(['CaughtUp', 2])
    await ada.send(room, 'after')
    expect(brief(await stream.next())).toEqual(['MessageSent', 3, 'after'])
    stream.stop()
  })
})
