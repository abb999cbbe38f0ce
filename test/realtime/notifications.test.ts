// What people are told of, live: on all their devices, in order, each once, and storms as one.

import { afterEach, expect, it } from 'vitest'
import { Device, inboxOf, setRoomNotifications, updateNotificationSettings } from '../support/notifications.ts'
import { person, stopAll } from '../support/seed.ts'
import { describeTopologies } from '../support/start-nodes.ts'

const READ = 'mutation ($input: MarkNotificationReadInput!) { markNotificationRead(input: $input) { __typename } }'

describeTopologies(
  'notifications',
  (nodes) => {
    afterEach(stopAll)

    async function garden() {
      const [first = '', second = first] = nodes().urls
      const [ada, bob] = [await person(first, 'Ada'), await person(second, 'Bob')]
      const room = await ada.createRoom({ name: 'Garden' })
      await bob.join(room)
      return { first, second, ada, bob, room }
    }

    it('are told on all devices of their user, and again to one that comes back', async () => {
      const { first, second, ada, bob, room } = await garden()
      const devices = [new Device(bob, first), new Device(bob, second)]
      for (const device of devices) await device.next('CaughtUp')
      const { id } = await ada.send(room, 'hello @Bob')
      const text = 'Ada mentioned you in Garden: hello @Bob'
      const told = []
      for (const device of devices) {
        const item = await device.next('NotificationAdded')
        expect(item).toMatchObject({
          unreadCount: 1,
          notification: { kind: 'MENTION', count: 1, text, message: { id } },
        })
        told.push(item)
      }
      expect(told[0]).toEqual(told[1])
      const late = new Device(bob, second, 0)
      expect(await late.next('NotificationAdded')).toEqual(told[0])
    })

    it('that were read are read on all devices', async () => {
      const { first, second, ada, bob, room } = await garden()
      const device = new Device(bob, first)
      await device.next('CaughtUp')
      await ada.send(room, '@Bob one')
      const { notification } = await device.next('NotificationAdded')
      await bob.do(READ, { input: { notificationId: notification?.id } })
      const read = { notificationId: notification?.id, upTo: null, unreadCount: 0 }
      expect(await device.next('NotificationsRead')).toMatchObject(read)
      const { id } = await bob.send(room, 'what')
      await ada.send(room, 'this', { replyToId: id })
      const { notification: reply } = await device.next('NotificationAdded')
      // What changes nothing tells nothing: the next item is of the second marking.
      await bob.do(READ, { input: { notificationId: notification?.id } })
      await bob.do('mutation { markAllNotificationsRead { __typename } }')
      expect(await device.next('NotificationsRead')).toMatchObject({
        ...{ notificationId: null, upTo: reply?.id, unreadCount: 0 },
      })
      expect((await inboxOf(await person(second, 'Zoe'))).unread).toBe(0)
    })

    it('are one for a storm: told at once, and once more when the window is over', async () => {
      const { first, ada, bob } = await garden()
      const direct = await ada.createRoom({ kind: 'DIRECT', name: null, memberIds: [bob.id] })
      const device = new Device(bob, first)
      await device.next('CaughtUp')
      await ada.send(direct, 'message 1')
      const { notification } = await device.next('NotificationAdded')
      expect(notification).toMatchObject({ count: 1, text: 'Ada wrote to you: message 1' })
      await Promise.all(Array.from({ length: 11 }, (_, i) => ada.send(direct, `message ${i + 2}`)))
      const updated = await device.next('NotificationUpdated')
      expect(updated).toMatchObject({
        unreadCount: 1,
        notification: { id: notification?.id, count: 12, text: '12 new messages from Ada' },
      })
      // The next one of another room is the next thing that is told.
      const other = await ada.createRoom({ name: 'Cellar', kind: 'PRIVATE', memberIds: [bob.id] })
      expect(await device.next('NotificationAdded')).toMatchObject({
        unreadCount: 2,
        notification: { room: { id: other } },
      })
      expect(device.told).toHaveLength(3)
    })

    it('that were read before the window is over leave the rest for another one', async () => {
      const { first, ada, bob } = await garden()
      const direct = await ada.createRoom({ kind: 'DIRECT', name: null, memberIds: [bob.id] })
      const device = new Device(bob, first)
      await device.next('CaughtUp')
      await ada.send(direct, 'message 1')
      const { notification } = await device.next('NotificationAdded')
      await bob.do(READ, { input: { notificationId: notification?.id } })
      await device.next('NotificationsRead')
      await ada.send(direct, 'message 2')
      await ada.send(direct, 'message 3')
      const { notification: rest, unreadCount } = await device.next('NotificationAdded')
      expect([rest?.count, rest?.id === notification?.id, unreadCount]).toEqual([2, false, 1])
    })

    it('have settings that all devices share', async () => {
      const { first, second, bob, room } = await garden()
      const devices = [new Device(bob, first), new Device(bob, second)]
      for (const device of devices) await device.next('CaughtUp')
      const doNotDisturb = { start: '22:00', end: '07:00', timeZone: 'Europe/Berlin', days: ['FRIDAY', 'MONDAY'] }
      // The second time it changes nothing, and nobody is told.
      for (let i = 0; i < 2; i++) await updateNotificationSettings(bob, { pushPrivacy: 'NONE', doNotDisturb })
      for (let i = 0; i < 2; i++) await setRoomNotifications(bob, room, { level: 'NONE' })
      await setRoomNotifications(bob, room, { level: 'ALL' })
      for (const device of devices) {
        expect((await device.next('NotificationSettingsUpdated')).settings).toEqual({
          ...{ level: 'MENTIONS', pushPrivacy: 'NONE' },
          doNotDisturb: { ...doNotDisturb, days: ['MONDAY', 'FRIDAY'] },
        })
        expect((await device.next('RoomNotificationsUpdated')).roomSettings).toEqual({
          ...{ level: 'NONE', effectiveLevel: 'NONE', mutedUntil: null },
        })
        expect((await device.next('RoomNotificationsUpdated')).roomSettings).toMatchObject({ level: 'ALL' })
      }
    })
  },
  { settings: { NOTIFICATION_WINDOW_MS: '2000' } },
)
