// The viewer's own log: the same contract as a room's, on all their devices, wherever they are connected.

import { afterEach, expect, it } from 'vitest'
import { type Person, person, stopAll } from '../support/seed.ts'
import { describeTopologies } from '../support/start-nodes.ts'
import { type Result, type Stream, subscribe, subscribeSse } from '../support/stream.ts'

const VIEWER_EVENTS = `subscription ($after: Int) {
  viewerEvents(after: $after) {
    __typename seq
    ... on RoomGained { roomId room { name } }
    ... on RoomLost { roomId }
    ... on ProfileUpdated { user { name statusText } }
    ... on ResyncRequired { fromSeq }
  }
}`
const UPDATE_PROFILE = `mutation ($input: UpdateProfileInput!) {
  updateProfile(input: $input) { ... on UpdateProfileSuccess { user { name } } }
}`

type Item = { viewerEvents: { __typename: string; seq: number } & Record<string, unknown> }
type Device = Stream<Result<Item>>

const phone = (who: Person, url: string, after?: number): Device =>
  subscribe(who.connect(url), VIEWER_EVENTS, after === undefined ? {} : { after })
const tablet = (who: Person, url: string, after?: number): Device =>
  subscribeSse(url, who.token, VIEWER_EVENTS, after === undefined ? {} : { after })

/** The next item, but those about notifications, which have a test of their own. */
async function nextOf(device: Device) {
  for (;;) {
    const { data, errors } = await device.next()
    expect(errors).toBeUndefined()
    if (!data?.viewerEvents.__typename.startsWith('Notification')) return data?.viewerEvents
  }
}

async function briefly(device: Device, count: number) {
  const items: [string, number][] = []
  for (let i = 0; i < count; i++) {
    const item = await nextOf(device)
    items.push([item?.__typename ?? '', item?.seq ?? 0])
  }
  return items
}

describeTopologies('the viewer’s stream', (nodes) => {
  afterEach(stopAll)

  it('tells all devices of rooms gained and lost and of the own profile, and resumes with `after`', async () => {
    const [first = '', second = first] = nodes().urls
    const [ada, bob] = await Promise.all([person(first, 'Ada'), person(first, 'Bob')])
    const devices = [phone(bob, first), tablet(bob, second)]
    for (const device of devices) expect(await nextOf(device)).toEqual({ __typename: 'CaughtUp', seq: 0 })

    const room = await ada.createRoom({ name: 'Garden' })
    await bob.join(room)
    const open = await ada.createRoom({ name: 'Square' })
    await bob.join(open)
    await bob.leave(room)
    await bob.do(UPDATE_PROFILE, { input: { name: 'Robert', statusText: 'away for lunch' } })
    for (const device of devices) {
      expect(await nextOf(device)).toEqual({ __typename: 'RoomGained', seq: 1, roomId: room, room: { name: 'Garden' } })
      expect(await nextOf(device)).toEqual({ __typename: 'RoomGained', seq: 2, roomId: open, room: { name: 'Square' } })
      expect(await nextOf(device)).toEqual({ __typename: 'RoomLost', seq: 3, roomId: room })
      expect(await nextOf(device)).toEqual({
        __typename: 'ProfileUpdated',
        seq: 4,
        user: { name: 'Robert', statusText: 'away for lunch' },
      })
      device.stop()
    }

    const resumed = [
      ['RoomLost', 3],
      ['ProfileUpdated', 4],
      ['CaughtUp', 4],
    ]
    expect(await briefly(phone(bob, second, 2), 3)).toEqual(resumed)
    expect(await briefly(tablet(bob, first, 2), 3)).toEqual(resumed)
    const ahead = phone(bob, first, 70)
    expect(await nextOf(ahead)).toEqual({ __typename: 'ResyncRequired', seq: 4, fromSeq: 5 })
    expect(await nextOf(ahead)).toEqual({ __typename: 'CaughtUp', seq: 4 })
  })

  it('shows, when a gained room is replayed, nothing of one that was lost again since', async () => {
    const [first = ''] = nodes().urls
    const [ada, bob] = await Promise.all([person(first, 'Ada'), person(first, 'Bob')])
    const live = phone(bob, first)
    await live.next()
    const room = await ada.createRoom({ name: 'Cellar', kind: 'PRIVATE', memberIds: [bob.id] })
    expect(await nextOf(live)).toMatchObject({ room: { name: 'Cellar' } })
    await bob.leave(room)
    expect(await nextOf(live)).toMatchObject({ __typename: 'RoomLost' })
    const replay = tablet(bob, first, 0)
    expect(await nextOf(replay)).toEqual({ __typename: 'RoomGained', seq: 1, roomId: room, room: null })
    replay.stop()
  })

  it('is nobody else’s', async () => {
    const [first = '', second = first] = nodes().urls
    const [ada, bob] = await Promise.all([person(first, 'Ada'), person(second, 'Bob')])
    const stranger = phone(ada, second)
    await stranger.next()
    await bob.createRoom()
    await bob.do(UPDATE_PROFILE, { input: { name: 'Bobby' } })
    await ada.createRoom({ name: 'Mine' })
    expect(await nextOf(stranger)).toMatchObject({ __typename: 'RoomGained', seq: 1, room: { name: 'Mine' } })
    const nobody = await subscribeSse(first, '', VIEWER_EVENTS).next()
    expect(nobody.errors?.[0]?.extensions?.code).toBe('UNAUTHENTICATED')
  })
})
