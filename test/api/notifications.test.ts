// What people are told of, and their inbox, through the API.

import { afterEach, describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { inboxOf, setRoomNotifications, updateNotificationSettings } from '../support/notifications.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { useNodes } from '../support/start-nodes.ts'
import { subscribe } from '../support/stream.ts'

// Long, so that in a test nothing is told a second time unless it says so.
const nodes = useNodes({ settings: { NOTIFICATION_WINDOW_MS: '600000' } })
const url = () => nodes().urls[0] ?? ''
afterEach(stopAll)

const briefly = async (who: Person) => (await inboxOf(who)).items.map(({ kind, count, text }) => [kind, count, text])
const eventuallyHas = (who: Person, expected: unknown[]) =>
  eventually(async () => expect(await briefly(who)).toEqual(expected))

/**
 * After this, whatever was sent before has been considered: something that is told without fail is told after it, in the
 * same room.
 */
async function settled(sender: Person, room: string): Promise<void> {
  const probe = await person(url(), 'Probe')
  await probe.join(room)
  await sender.send(room, '@Probe are you there')
  await eventually(async () => expect((await inboxOf(probe)).unread).toBe(1))
}

async function town() {
  const [ada, bob, cem] = await Promise.all(['Ada', 'Bob', 'Cem'].map((name) => person(url(), name)))
  if (!ada || !bob || !cem) throw new Error('somebody is missing')
  const room = await ada.createRoom({ name: 'Garden' })
  await bob.join(room)
  await cem.join(room)
  return { ada, bob, cem, room }
}

describe('a notification', () => {
  it('comes of a mention, by name or of everybody, and not of one’s own', async () => {
    const { ada, bob, cem, room } = await town()
    await ada.send(room, 'nothing for anybody')
    await ada.send(room, 'hello @Bob, says @Ada')
    await eventuallyHas(bob, [['MENTION', 1, 'Ada mentioned you in Garden: hello @Bob, says @Ada']])
    await cem.send(room, '@room breakfast')
    await eventuallyHas(ada, [['MENTION', 1, 'Cem mentioned you in Garden: @room breakfast']])
    expect(await briefly(cem)).toEqual([])
    const [toAda] = (await inboxOf(ada)).items
    expect(toAda).toMatchObject({ actor: { name: 'Cem' }, room: { id: room }, message: { text: '@room breakfast' } })
  })

  it('comes of a reply, and once of a reply that also mentions', async () => {
    const { ada, bob, cem, room } = await town()
    const { id } = await bob.send(room, 'who has the key')
    await ada.send(room, 'I do', { replyToId: id })
    await eventuallyHas(bob, [['REPLY', 1, 'Ada replied to you in Garden: I do']])
    const asked = await cem.send(room, 'which one')
    await ada.send(room, '@Cem the small one', { replyToId: asked.id })
    await eventuallyHas(cem, [['MENTION', 1, 'Ada mentioned you in Garden: @Cem the small one']])
    await bob.send(room, 'to myself', { replyToId: id })
    await settled(ada, room)
    expect((await inboxOf(bob)).items).toHaveLength(1)
    expect((await inboxOf(cem)).items).toHaveLength(1)
  })

  it('comes of every message in a direct room, and in a room that is set to ALL', async () => {
    const { ada, bob, cem, room } = await town()
    const direct = await ada.createRoom({ kind: 'DIRECT', name: null, memberIds: [bob.id] })
    await ada.send(direct, 'psst')
    await eventuallyHas(bob, [['MESSAGE', 1, 'Ada wrote to you: psst']])
    expect(await briefly(ada)).toEqual([])
    await setRoomNotifications(cem, room, { level: 'ALL' })
    await ada.send(room, 'news')
    await eventuallyHas(cem, [['MESSAGE', 1, 'Ada wrote in Garden: news']])
    expect((await inboxOf(bob)).items).toHaveLength(1)
  })

  it('comes of every message in all rooms where that is the user’s general level', async () => {
    const { ada, bob, cem, room } = await town()
    await updateNotificationSettings(bob, { level: 'ALL' })
    await updateNotificationSettings(cem, { level: 'ALL' })
    await setRoomNotifications(cem, room, { level: 'MENTIONS' })
    await ada.send(room, 'news')
    await eventuallyHas(bob, [['MESSAGE', 1, 'Ada wrote in Garden: news']])
    expect(await briefly(cem)).toEqual([])
  })

  it('comes of being put into a room, and not of joining, of making it, or of a direct room', async () => {
    const { ada, bob, cem } = await town()
    const room = await ada.createRoom({ name: 'Cellar', kind: 'PRIVATE', memberIds: [bob.id] })
    await ada.createRoom({ kind: 'DIRECT', name: null, memberIds: [bob.id] })
    await eventuallyHas(bob, [['ROOM_ADDED', 1, 'Ada added you to Cellar']])
    await ada.do('mutation ($input: AddMemberInput!) { addMember(input: $input) { __typename } }', {
      input: { roomId: room, userId: cem.id },
    })
    await eventuallyHas(cem, [['ROOM_ADDED', 1, 'Ada added you to Cellar']])
    expect(await briefly(ada)).toEqual([])
  })

  it('does not come where the room is set to NONE or muted, and comes when it is muted no longer', async () => {
    const { ada, bob, cem, room } = await town()
    await setRoomNotifications(bob, room, { level: 'NONE' })
    await setRoomNotifications(cem, room, { mutedUntil: '2100-01-01T00:00:00Z' })
    await ada.send(room, '@Bob @Cem @room')
    await settled(ada, room)
    expect([await briefly(bob), await briefly(cem)]).toEqual([[], []])
    await setRoomNotifications(cem, room, { mutedUntil: '2001-01-01T00:00:00Z' })
    await ada.send(room, '@Bob @Cem')
    await eventuallyHas(cem, [['MENTION', 1, 'Ada mentioned you in Garden: @Bob @Cem']])
    expect(await briefly(bob)).toEqual([])
  })

  it('does not come to who is looking at the room, and comes to who is away from it', async () => {
    const { ada, bob, cem, room } = await town()
    const watch = 'subscription ($id: ID!) { roomEvents(roomId: $id) { seq } }'
    for (const who of [bob, cem]) await subscribe(who.connect(), watch, { id: room }).next()
    await cem.do('mutation { setPresence(input: { state: AWAY }) { __typename } }')
    const states = 'query ($id: ID!) { room(id: $id) { presence { users { state user { name } } } } }'
    await eventually(async () => {
      expect(JSON.stringify(await ada.do(states, { id: room }))).toContain('"state":"AWAY","user":{"name":"Cem"}')
    })
    await ada.send(room, '@room look')
    await eventuallyHas(cem, [['MENTION', 1, 'Ada mentioned you in Garden: @room look']])
    await settled(ada, room)
    expect(await briefly(bob)).toEqual([])
  })

  it('shows nothing of a message that was deleted', async () => {
    const { ada, bob, room } = await town()
    const { id } = await ada.send(room, '@Bob my password is rosebud')
    await eventuallyHas(bob, [['MENTION', 1, 'Ada mentioned you in Garden: @Bob my password is rosebud']])
    await ada.do('mutation ($input: DeleteMessageInput!) { deleteMessage(input: $input) { __typename } }', {
      input: { messageId: id },
    })
    const [item] = (await inboxOf(bob)).items
    expect(item).toMatchObject({ text: 'Ada mentioned you in Garden', message: { text: '' } })
  })

  it('shows nothing of a room that its user has lost', async () => {
    const { ada, bob } = await town()
    const room = await ada.createRoom({ name: 'Cellar', kind: 'PRIVATE', memberIds: [bob.id] })
    await ada.send(room, '@Bob a secret')
    await eventually(async () => expect((await inboxOf(bob)).unread).toBe(2))
    await ada.do('mutation ($input: RemoveMemberInput!) { removeMember(input: $input) { __typename } }', {
      input: { roomId: room, userId: bob.id },
    })
    const { items } = await inboxOf(bob)
    expect(items.map((item) => [item.kind, item.text, item.room, item.message])).toEqual([
      ['MENTION', null, null, null],
      ['ROOM_ADDED', null, null, null],
    ])
    expect(JSON.stringify(items)).not.toMatch(/secret|Cellar/)
  })

  it('is nobody else’s', async () => {
    const { ada, bob, cem, room } = await town()
    await ada.send(room, '@Bob hello')
    await eventually(async () => expect((await inboxOf(bob)).unread).toBe(1))
    const [item] = (await inboxOf(bob)).items
    const other = `query ($id: ID!, $user: ID!) {
      node(id: $id) { __typename }
      other: node(id: $user) { ... on User { unreadNotificationCount notificationSettings { level }
        notifications { edges { node { id } } } } }
    }`
    expect(await cem.do(other, { id: item?.id, user: bob.id })).toEqual({
      node: null,
      other: { unreadNotificationCount: null, notificationSettings: null, notifications: null },
    })
    const mark = (input: object) =>
      cem.do(
        `mutation ($input: MarkNotificationReadInput!) { markNotificationRead(input: $input) {
          ... on Error { code } } }`,
        { input },
      )
    expect(await mark({ notificationId: item?.id })).toEqual({ markNotificationRead: { code: 'NOT_FOUND' } })
    expect((await inboxOf(bob)).unread).toBe(1)
  })
})

describe('the inbox', () => {
  /** Bob's inbox with one notification for each of so many rooms. */
  async function filled(count: number) {
    const [ada, bob] = [await person(url(), 'Ada'), await person(url(), 'Bob')]
    for (let i = 0; i < count; i++) {
      await ada.createRoom({ name: `Room ${i}`, kind: 'PRIVATE', memberIds: [bob.id] })
      await eventually(async () => expect((await inboxOf(bob)).items).toHaveLength(i + 1))
    }
    return { ada, bob, items: (await inboxOf(bob)).items }
  }

  it('is a connection, newest first, of all or of what is not read', async () => {
    const { bob, items } = await filled(4)
    expect(items.map(({ text }) => text)).toEqual([3, 2, 1, 0].map((i) => `Ada added you to Room ${i}`))
    const first = await inboxOf(bob, { first: 3 })
    expect([first.items, first.hasMore]).toEqual([items.slice(0, 3), true])
    const rest = await inboxOf(bob, { first: 3, after: first.endCursor })
    expect([rest.items, rest.hasMore]).toEqual([items.slice(3), false])
    await bob.do(
      'mutation ($input: MarkNotificationReadInput!) { markNotificationRead(input: $input) { __typename } }',
      {
        input: { notificationId: items[1]?.id },
      },
    )
    const unread = await inboxOf(bob, { unreadOnly: true })
    expect(unread.items.map(({ id }) => id)).toEqual([items[0]?.id, items[2]?.id, items[3]?.id])
    expect(unread.unread).toBe(3)
  })

  it('is marked as read one by one, up to one, and all at once', async () => {
    const { bob, items } = await filled(4)
    const one = `mutation ($input: MarkNotificationReadInput!) { markNotificationRead(input: $input) {
      ... on MarkNotificationReadSuccess { unreadCount notification { readAt } } } }`
    const first = await bob.do(one, { input: { notificationId: items[0]?.id } })
    expect(first).toEqual({
      markNotificationRead: { unreadCount: 3, notification: { readAt: expect.stringMatching(/^\d{4}-/) } },
    })
    // Again, it stays as it is.
    expect(await bob.do(one, { input: { notificationId: items[0]?.id } })).toEqual(first)
    const upTo = `mutation ($input: MarkNotificationsReadInput!) { markNotificationsRead(input: $input) {
      ... on MarkNotificationsReadSuccess { unreadCount } } }`
    expect(await bob.do(upTo, { input: { upTo: items[2]?.id } })).toEqual({ markNotificationsRead: { unreadCount: 1 } })
    expect((await inboxOf(bob)).items.map(({ readAt }) => readAt === null)).toEqual([false, true, false, false])
    const all = 'mutation { markAllNotificationsRead { ... on MarkAllNotificationsReadSuccess { unreadCount } } }'
    expect(await bob.do(all)).toEqual({ markAllNotificationsRead: { unreadCount: 0 } })
    expect((await inboxOf(bob)).unread).toBe(0)
    expect(await bob.do(all)).toEqual({ markAllNotificationsRead: { unreadCount: 0 } })
  })

  it('refuses what is no notification of it, and cursors that it has not given', async () => {
    const bob = await person(url(), 'Bob')
    const upTo = `mutation ($input: MarkNotificationsReadInput!) { markNotificationsRead(input: $input) {
      ... on Error { code } } }`
    const absent = Buffer.from('Notification:00000000-0000-7000-8000-000000000000').toString('base64url')
    expect(await bob.do(upTo, { input: { upTo: absent } })).toEqual({ markNotificationsRead: { code: 'NOT_FOUND' } })
    expect(await bob.do(upTo, { input: { upTo: bob.id } })).toEqual({
      markNotificationsRead: { code: 'VALIDATION_FAILED' },
    })
    await expect(inboxOf(bob, { after: 'nonsense' })).rejects.toThrow('BAD_USER_INPUT')
  })
})
