import { isDeepStrictEqual } from 'node:util'
import type { Publisher } from '../events/publisher.ts'
import { appendUserEvent, lockUserLogs } from '../events/user-log.ts'
import type { Db } from '../platform/db.ts'
import { RefusedError } from '../platform/errors.ts'
import type { Viewer } from '../platform/viewer.ts'
import type { Rooms } from '../rooms/service.ts'
import type {
  NotificationSettingsRecord,
  RoomNotificationSettingsRecord,
} from '../viewer-events/notification-record.ts'
import {
  findRoomSettings,
  findSettings,
  type NotificationSettingsChange,
  putRoomSettings,
  putSettings,
  type RoomNotificationsChange,
} from './settings-store.ts'

export interface SettingsOptions {
  db: Db
  publisher: Publisher
  rooms: Rooms
  /** Is told, after commit, when what somebody wants has changed: of one room, or, with null, of all. */
  onChanged: (roomId: string | null) => void
}

export type NotificationSettings = ReturnType<typeof createNotificationSettings>

/** What users want to be told of, and how. All their devices learn of a change, and of nothing where nothing changed. */
export function createNotificationSettings({ db, publisher, rooms, onChanged }: SettingsOptions) {
  return {
    findSettings: ({ userId }: Viewer): Promise<NotificationSettingsRecord> => findSettings(db, userId),

    async updateSettings({ userId }: Viewer, change: NotificationSettingsChange): Promise<NotificationSettingsRecord> {
      const { settings, events } = await db.$transaction(async (tx) => {
        // Else another change could come between, and the last event would not be what is stored.
        await lockUserLogs(tx, [userId])
        const before = await findSettings(tx, userId)
        const settings = await putSettings(tx, userId, change)
        if (isDeepStrictEqual(settings, before)) return { settings, events: [] }
        const event = { type: 'NotificationSettingsUpdated', settings } as const
        return { settings, events: await appendUserEvent(tx, [userId], event) }
      })
      if (events.length > 0) onChanged(null)
      publisher.publishEvents(events)
      return settings
    },

    /** Null where the viewer is no member of the room. */
    findRoomSettings: ({ userId }: Viewer, roomId: string): Promise<RoomNotificationSettingsRecord | null> =>
      findRoomSettings(db, roomId, userId),

    /** Members only. */
    async setRoomNotifications(
      viewer: Viewer,
      roomId: string,
      change: RoomNotificationsChange,
    ): Promise<RoomNotificationSettingsRecord> {
      const { userId } = viewer
      await rooms.requireReadableRoom(viewer, roomId)
      const { settings, events } = await db.$transaction(async (tx) => {
        await lockUserLogs(tx, [userId])
        const before = await findRoomSettings(tx, roomId, userId)
        await putRoomSettings(tx, roomId, userId, change)
        const settings = await findRoomSettings(tx, roomId, userId)
        if (!settings)
          throw new RefusedError('NOT_A_MEMBER', 'Only members of the room are told of what happens in it.')
        if (isDeepStrictEqual(settings, before)) return { settings, events: [] }
        const event = { type: 'RoomNotificationsUpdated', roomId, settings } as const
        return { settings, events: await appendUserEvent(tx, [userId], event) }
      })
      if (events.length > 0) onChanged(roomId)
      publisher.publishEvents(events)
      return settings
    },
  }
}
