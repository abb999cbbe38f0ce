import { REFUSALS } from '../graphql/base-types.ts'
import { builder } from '../graphql/builder.ts'
import { requireViewer } from '../graphql/context.ts'
import { parseInput } from '../graphql/input.ts'
import { RoomType } from '../rooms/schema.ts'
import { UserType } from '../users/schema.ts'
import type {
  DoNotDisturb,
  NotificationSettingsRecord,
  RoomNotificationSettingsRecord,
} from '../viewer-events/notification-record.ts'
import { notificationSettingsRule, roomNotificationsRule } from './notification-rules.ts'
import type { NotificationSettings } from './settings-service.ts'

declare module '../graphql/context.ts' {
  interface Services {
    readonly notificationSettings: NotificationSettings
  }
}

const NotificationLevelEnum = builder.enumType('NotificationLevel', {
  description: 'What of a room a member is told of.',
  values: {
    ALL: { description: 'Every message.' },
    MENTIONS: { description: 'What is meant for them: mentions, replies to them, and being added.' },
    NONE: { description: 'Nothing.' },
  } as const,
})

const PushPrivacyEnum = builder.enumType('PushPrivacy', {
  description: 'What of a notification leaves the server, for a locked screen to show. In the inbox all of it stands.',
  values: {
    FULL: { description: 'Who, where, and the beginning of the message.' },
    SENDER_ONLY: { description: 'Who and where, and nothing of the message.' },
    NONE: { description: 'Only that there is something.' },
  } as const,
})

const DayOfWeekEnum = builder.enumType('DayOfWeek', {
  description: 'A day of the week.',
  values: {
    MONDAY: { description: 'Monday.' },
    TUESDAY: { description: 'Tuesday.' },
    WEDNESDAY: { description: 'Wednesday.' },
    THURSDAY: { description: 'Thursday.' },
    FRIDAY: { description: 'Friday.' },
    SATURDAY: { description: 'Saturday.' },
    SUNDAY: { description: 'Sunday.' },
  } as const,
})

const startHelp = 'When they begin, as 22:00, by the clock on the wall.'
const endHelp = 'When they end. Where it is not after the start, it is on the next day.'
const zoneHelp = 'Where that clock hangs: a time zone of the IANA database, as Europe/Berlin.'

const DoNotDisturbType = builder.objectRef<DoNotDisturb>('DoNotDisturb').implement({
  description: 'Hours in which no device is woken: what happens waits in the inbox, and is told nowhere else later.',
  fields: (t) => ({
    start: t.exposeString('start', { description: startHelp }),
    end: t.exposeString('end', { description: endHelp }),
    timeZone: t.exposeString('timeZone', { description: zoneHelp }),
    days: t.field({
      type: [DayOfWeekEnum],
      description: 'On which days they begin.',
      resolve: ({ days }) => [...days],
    }),
  }),
})

export const NotificationSettingsType = builder
  .objectRef<NotificationSettingsRecord>('NotificationSettings')
  .implement({
    description: 'What the viewer wants to be told of, and how, on all their devices.',
    fields: (t) => ({
      level: t.expose('level', {
        type: NotificationLevelEnum,
        description: 'In rooms that have no level of their own. Direct rooms are ALL all the same.',
      }),
      pushPrivacy: t.expose('pushPrivacy', {
        type: PushPrivacyEnum,
        description: 'What may stand on a locked screen.',
      }),
      doNotDisturb: t.expose('doNotDisturb', {
        type: DoNotDisturbType,
        nullable: true,
        description: 'In which hours no device is woken; null for none.',
      }),
    }),
  })

export const RoomNotificationSettingsType = builder
  .objectRef<RoomNotificationSettingsRecord>('RoomNotificationSettings')
  .implement({
    description: 'What the viewer wants to be told of in one room.',
    fields: (t) => ({
      level: t.expose('level', {
        type: NotificationLevelEnum,
        nullable: true,
        description: 'As set for this room; null where it is not.',
      }),
      effectiveLevel: t.expose('effectiveLevel', {
        type: NotificationLevelEnum,
        description: 'What counts: the room’s own, else ALL in direct rooms and the viewer’s general level in others.',
      }),
      mutedUntil: t.expose('mutedUntil', {
        type: 'DateTime',
        nullable: true,
        description:
          'Until then nothing of the room is told, nor stands in the inbox later; null, or in the past, where it is not muted.',
      }),
    }),
  })

builder.objectField(UserType, 'notificationSettings', (t) =>
  t.field({
    type: NotificationSettingsType,
    nullable: true,
    description: 'What the viewer wants to be told of, and how; null on other users.',
    extensions: { viewerDependent: true },
    resolve: ({ id }, _args, context) => {
      const viewer = requireViewer(context)
      return id === viewer.userId ? context.notificationSettings.findSettings(viewer) : null
    },
  }),
)

builder.objectField(RoomType, 'viewerNotificationSettings', (t) =>
  t.field({
    type: RoomNotificationSettingsType,
    nullable: true,
    description: 'What the viewer wants to be told of in this room; null where they are no member of it.',
    extensions: { viewerDependent: true },
    resolve: ({ id }, _args, context) => context.notificationSettings.findRoomSettings(requireViewer(context), id),
  }),
)

const DoNotDisturbInput = builder.inputType('DoNotDisturbInput', {
  description: 'Hours in which no device is woken.',
  fields: (t) => ({
    start: t.string({ required: true, description: startHelp }),
    end: t.string({ required: true, description: endHelp }),
    timeZone: t.string({ required: true, description: zoneHelp }),
    days: t.field({ type: [DayOfWeekEnum], description: 'On which days they begin; on all, where left out.' }),
  }),
})

const UpdateNotificationSettingsInput = builder.inputType('UpdateNotificationSettingsInput', {
  description: 'What to change; what is left out stays as it is.',
  fields: (t) => ({
    level: t.field({ type: NotificationLevelEnum, description: 'In rooms that have no level of their own.' }),
    pushPrivacy: t.field({ type: PushPrivacyEnum, description: 'What may stand on a locked screen.' }),
    doNotDisturb: t.field({
      type: DoNotDisturbInput,
      description: 'In which hours no device is woken; null for none.',
    }),
  }),
})

const SetRoomNotificationsInput = builder.inputType('SetRoomNotificationsInput', {
  description: 'What to change, and for which room; what is left out stays as it is.',
  fields: (t) => ({
    roomId: t.id({ required: true, description: 'The room; the viewer must be a member.' }),
    level: t.field({ type: NotificationLevelEnum, description: 'What to be told of; null for the default.' }),
    mutedUntil: t.field({ type: 'DateTime', description: 'Until when nothing is told; null ends it at once.' }),
  }),
})

const UpdateNotificationSettingsSuccess = builder
  .objectRef<{ settings: NotificationSettingsRecord }>('UpdateNotificationSettingsSuccess')
  .implement({
    description: 'The settings were changed.',
    fields: (t) => ({
      settings: t.expose('settings', { type: NotificationSettingsType, description: 'The settings, as changed.' }),
    }),
  })

const SetRoomNotificationsSuccess = builder
  .objectRef<{ settings: RoomNotificationSettingsRecord }>('SetRoomNotificationsSuccess')
  .implement({
    description: 'The settings of the room were changed.',
    fields: (t) => ({
      // Not `settings`: beside those of UpdateNotificationSettingsSuccess clients would take one for the other.
      roomSettings: t.expose('settings', {
        type: RoomNotificationSettingsType,
        description: 'The settings of the room, as changed.',
      }),
    }),
  })

builder.mutationFields((t) => ({
  updateNotificationSettings: t.field({
    type: UpdateNotificationSettingsSuccess,
    description:
      'Changes what the viewer is told of, and how. All their devices get NotificationSettingsUpdated, unless it changes nothing.',
    errors: { types: REFUSALS, union: { description: 'The settings, or why they were refused.' } },
    args: { input: t.arg({ type: UpdateNotificationSettingsInput, required: true, description: 'What to change.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      const change = parseInput(notificationSettingsRule, input)
      return { settings: await context.notificationSettings.updateSettings(viewer, change) }
    },
  }),
  setRoomNotifications: t.field({
    type: SetRoomNotificationsSuccess,
    description:
      'Changes what the viewer is told of in one room. All their devices get RoomNotificationsUpdated, unless it changes nothing.',
    errors: { types: REFUSALS, union: { description: 'The settings, or why they were refused.' } },
    args: { input: t.arg({ type: SetRoomNotificationsInput, required: true, description: 'What to change.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      const { roomId, change } = parseInput(roomNotificationsRule, input)
      return { settings: await context.notificationSettings.setRoomNotifications(viewer, roomId, change) }
    },
  }),
}))
