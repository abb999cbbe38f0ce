// What people want to be told of, and how, through the API.

import { afterEach, describe, expect, it } from 'vitest'
import { setRoomNotifications, updateNotificationSettings } from '../support/notifications.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { useNodes } from '../support/start-nodes.ts'

const nodes = useNodes()
const url = () => nodes().urls[0] ?? ''
afterEach(stopAll)

const SETTINGS = '{ viewer { notificationSettings { level pushPrivacy doNotDisturb { start end timeZone days } } } }'
const settingsOf = async (who: Person) =>
  (await who.do<{ viewer: { notificationSettings: unknown } }>(SETTINGS)).viewer.notificationSettings

const ROOM_SETTINGS = `query ($id: ID!) { room(id: $id) {
  viewerNotificationSettings { level effectiveLevel mutedUntil } } }`
const roomSettingsOf = async (who: Person, id: string) =>
  (await who.do<{ room: { viewerNotificationSettings: unknown } | null }>(ROOM_SETTINGS, { id })).room
    ?.viewerNotificationSettings

const errorOf = async (who: Person, field: string, input: object) => {
  const type = `${field.charAt(0).toUpperCase()}${field.slice(1)}Input`
  const query = `mutation ($input: ${type}!) { ${field}(input: $input) { ... on Error { code }
    ... on ValidationError { issues { path message } } } }`
  return (await who.do<Record<string, unknown>>(query, { input }))[field]
}

const nights = { start: '22:00', end: '07:00', timeZone: 'Europe/Berlin' }
const everyDay = ['MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY', 'SUNDAY']

describe('the settings of a user', () => {
  it('have defaults, and change one by one', async () => {
    const ada = await person(url(), 'Ada')
    expect(await settingsOf(ada)).toEqual({ level: 'MENTIONS', pushPrivacy: 'FULL', doNotDisturb: null })
    await updateNotificationSettings(ada, { doNotDisturb: nights })
    await updateNotificationSettings(ada, { level: 'ALL' })
    await updateNotificationSettings(ada, { pushPrivacy: 'SENDER_ONLY', level: null })
    const all = { level: 'ALL', pushPrivacy: 'SENDER_ONLY', doNotDisturb: { ...nights, days: everyDay } }
    expect(await settingsOf(ada)).toEqual(all)
    await updateNotificationSettings(ada, {})
    expect(await settingsOf(ada)).toEqual(all)
    await updateNotificationSettings(ada, { doNotDisturb: null })
    expect(await settingsOf(ada)).toEqual({ ...all, doNotDisturb: null })
  })

  it.each([
    [{ start: '24:00' }, 'input.doNotDisturb.start'],
    [{ start: '7:00' }, 'input.doNotDisturb.start'],
    [{ end: '07:60' }, 'input.doNotDisturb.end'],
    [{ timeZone: 'Mars/Olympus' }, 'input.doNotDisturb.timeZone'],
    [{ timeZone: '+03:00' }, 'input.doNotDisturb.timeZone'],
    [{ days: [] }, 'input.doNotDisturb.days'],
  ])('refuse %j', async (change, path) => {
    const ada = await person(url(), 'Ada')
    const input = { doNotDisturb: { ...nights, ...change } }
    expect(await errorOf(ada, 'updateNotificationSettings', input)).toEqual({
      code: 'VALIDATION_FAILED',
      issues: [{ path, message: expect.any(String) }],
    })
    expect(await settingsOf(ada)).toMatchObject({ doNotDisturb: null })
  })
})

describe('the settings of a room', () => {
  it('are the general ones until they are set, and ALL in direct rooms', async () => {
    const [ada, bob] = [await person(url(), 'Ada'), await person(url(), 'Bob')]
    const room = await ada.createRoom()
    const direct = await ada.createRoom({ kind: 'DIRECT', name: null, memberIds: [bob.id] })
    const nothing = { level: null, mutedUntil: null }
    expect(await roomSettingsOf(ada, room)).toEqual({ ...nothing, effectiveLevel: 'MENTIONS' })
    expect(await roomSettingsOf(ada, direct)).toEqual({ ...nothing, effectiveLevel: 'ALL' })
    await updateNotificationSettings(ada, { level: 'NONE' })
    expect(await roomSettingsOf(ada, room)).toEqual({ ...nothing, effectiveLevel: 'NONE' })
    expect(await roomSettingsOf(ada, direct)).toEqual({ ...nothing, effectiveLevel: 'ALL' })
    const mutedUntil = '2100-01-01T00:00:00.000Z'
    await setRoomNotifications(ada, direct, { level: 'MENTIONS' })
    await setRoomNotifications(ada, direct, { mutedUntil })
    expect(await roomSettingsOf(ada, direct)).toEqual({ level: 'MENTIONS', effectiveLevel: 'MENTIONS', mutedUntil })
    await setRoomNotifications(ada, direct, { level: null, mutedUntil: null })
    expect(await roomSettingsOf(ada, direct)).toEqual({ ...nothing, effectiveLevel: 'ALL' })
    expect(await roomSettingsOf(bob, direct)).toEqual({ ...nothing, effectiveLevel: 'ALL' })
  })

  it('are for members: to others a public room has none, and a private one is absent', async () => {
    const [ada, bob] = [await person(url(), 'Ada'), await person(url(), 'Bob')]
    const [open, closed] = [await ada.createRoom(), await ada.createRoom({ kind: 'PRIVATE' })]
    expect(await roomSettingsOf(bob, open)).toBeNull()
    expect(await errorOf(bob, 'setRoomNotifications', { roomId: open, level: 'ALL' })).toEqual({ code: 'NOT_A_MEMBER' })
    expect(await errorOf(bob, 'setRoomNotifications', { roomId: closed, level: 'ALL' })).toEqual({ code: 'NOT_FOUND' })
    expect(await errorOf(bob, 'setRoomNotifications', { roomId: ada.id })).toMatchObject({ code: 'VALIDATION_FAILED' })
    // What was refused was not kept for when they join.
    await bob.join(open)
    expect(await roomSettingsOf(bob, open)).toMatchObject({ level: null })
  })
})
