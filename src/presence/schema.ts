import { REFUSALS } from '../graphql/base-types.ts'
import { builder, MAX_PAGE_SIZE, pageComplexity } from '../graphql/builder.ts'
import { requireViewer } from '../graphql/context.ts'
import { parseInput } from '../graphql/input.ts'
import { readSize } from '../graphql/page.ts'
import { SendMessageSuccess } from '../messages/schema.ts'
import { RoomConnection, RoomEdge, RoomType } from '../rooms/schema.ts'
import { UserType } from '../users/schema.ts'
import { listActiveRooms } from './active-rooms.ts'
import { setPresenceRule, setTypingRule } from './input-rules.ts'
import { MAX_NAMED, type PresentUser } from './room-roster.ts'
import type { PresenceChange, RosterItem } from './roster-items.ts'
import type { Presence } from './service.ts'

declare module '../graphql/context.ts' {
  interface Services {
    readonly presence: Presence
  }
}

const PresenceStateEnum = builder.enumType('PresenceState', {
  description: 'How present a user is.',
  values: {
    ONLINE: { description: 'On at least one device that is not away.' },
    AWAY: { description: 'On devices that are all away.' },
    OFFLINE: { description: 'On no device.' },
  } as const,
})

const PresentUserType = builder.objectRef<PresentUser>('PresentUser').implement({
  description: 'A user who is in a room just now.',
  fields: (t) => ({
    user: t.expose('user', { type: UserType, description: 'Who.' }),
    state: t.expose('state', { type: PresenceStateEnum, description: 'Online or away.' }),
  }),
})

const PresenceChangeType = builder.objectRef<PresenceChange>('PresenceChange').implement({
  description: 'One user’s change: they came, left, went away, came back, or changed their profile.',
  fields: (t) => ({
    user: t.expose('user', { type: UserType, description: 'Who.' }),
    state: t.expose('state', {
      type: PresenceStateEnum,
      description:
        'How they are now; OFFLINE: they left the room, and were last seen at the `lastSeenAt` of `user` unless they are elsewhere.',
    }),
  }),
})

type Item<Kind extends RosterItem['kind']> = Extract<RosterItem, { kind: Kind }>

const PresenceSnapshot = builder.objectRef<Item<'snapshot'>>('PresenceSnapshot').implement({
  description:
    'Who is in the room. Comes first unless presence is unknown, and again whenever changes cannot tell it: then it replaces all before.',
  fields: (t) => ({
    presentCount: t.exposeInt('count', { description: 'How many users are in the room.' }),
    present: t.field({
      type: [PresentUserType],
      description: `Who they are, longest present first; empty when there are more than ${MAX_NAMED} (see \`named\`).`,
      resolve: ({ present }) => [...present],
    }),
    named: t.exposeBoolean('named', {
      description: `Whether \`present\` names them; false when there are more than ${MAX_NAMED}, then only the count is told.`,
    }),
    typing: t.field({
      type: [UserType],
      description: 'Who is typing; at most 20.',
      resolve: ({ typing }) => [...typing],
    }),
  }),
})

const PresenceChanged = builder.objectRef<Item<'change'>>('PresenceChanged').implement({
  description: 'What changed since the last item; changes of a few hundred milliseconds come together.',
  fields: (t) => ({
    presentCount: t.exposeInt('count', { description: 'How many users are in the room now.' }),
    changes: t.field({
      type: [PresenceChangeType],
      description:
        'Who came, left, went away, came back, or changed their profile; empty while the room is too large for names.',
      resolve: ({ changes }) => [...changes],
    }),
  }),
})

const TypingChanged = builder.objectRef<Item<'typing'>>('TypingChanged').implement({
  description: 'Who is typing changed.',
  fields: (t) => ({
    typing: t.field({
      type: [UserType],
      description: 'Everybody who is typing now; at most 20.',
      resolve: ({ typing }) => [...typing],
    }),
  }),
})

const PresenceUnknown = builder.objectRef<Item<'unknown'>>('PresenceUnknown').implement({
  description:
    'Who is in the room cannot be told for the moment: the server has lost touch with what its nodes know. What was told before may no longer hold. A snapshot follows as soon as it can be told again.',
  fields: (t) => ({
    since: t.expose('since', { type: 'DateTime', description: 'Since when it has been unknown.' }),
  }),
})

const TYPE_OF = {
  snapshot: 'PresenceSnapshot',
  change: 'PresenceChanged',
  typing: 'TypingChanged',
  unknown: 'PresenceUnknown',
} as const

export const RoomPresenceItem = builder.unionType('RoomPresenceItem', {
  description: 'What a room’s presence stream delivers. Signals, not events: they have no seq and stand in no log.',
  types: [PresenceSnapshot, PresenceChanged, TypingChanged, PresenceUnknown],
  resolveType: (item) => TYPE_OF[item.kind],
})

const RoomPresence = builder.objectRef<{ roomId: string }>('RoomPresence').implement({
  description: 'Who is in a room just now: has a live subscription to it.',
  fields: (t) => ({
    count: t.int({
      nullable: true,
      description: 'How many users; null while presence is unknown.',
      resolve: ({ roomId }, _args, { presence }) => presence.countRoom(roomId),
    }),
    users: t.field({
      type: [PresentUserType],
      nullable: true,
      description: 'Who they are, longest present first; null while presence is unknown.',
      args: {
        first: t.arg.int({ defaultValue: 20, required: true, description: `How many, 0 to ${MAX_PAGE_SIZE}.` }),
      },
      complexity: pageComplexity,
      resolve: ({ roomId }, { first }, { presence }) => presence.listPresent(roomId, readSize('first', first)),
    }),
  }),
})

builder.objectFields(RoomType, (t) => ({
  presence: t.field({
    type: RoomPresence,
    description: 'Who is in the room just now.',
    extensions: { viewerDependent: true },
    resolve: async (room, _args, context) => {
      await context.rooms.requireReader(requireViewer(context), room)
      return { roomId: room.id }
    },
  }),
}))

builder.objectField(SendMessageSuccess, 'presentCount', (t) =>
  t.int({
    nullable: true,
    description: 'How many users are present in the room; null while presence is unknown.',
    resolve: ({ message }, _args, { presence }) => presence.countRoom(message.roomId),
  }),
)

builder.queryField('activeRooms', (t) =>
  t.connection(
    {
      type: RoomType,
      nullable: true,
      complexity: pageComplexity,
      description:
        'Rooms that the viewer can read and somebody is in just now, liveliest first: most users present, then latest activity. Looks at the 1,000 liveliest rooms. Null, with an error UNAVAILABLE, while presence is unknown. Default page 50, at most 100.',
      resolve: (_root, args, context) => listActiveRooms(context, requireViewer(context), args),
    },
    RoomConnection,
    RoomEdge,
  ),
)

const SetTypingInput = builder.inputType('SetTypingInput', {
  description: 'Where the viewer types, or no longer does.',
  fields: (t) => ({
    roomId: t.id({ required: true, description: 'The room; the viewer must be a member.' }),
    typing: t.boolean({
      required: true,
      description: 'True lasts for 6 seconds: repeat it every 3 while typing. False ends it at once.',
    }),
  }),
})

const SetTypingSuccess = builder.objectRef<{ typing: boolean }>('SetTypingSuccess').implement({
  description: 'The room was told.',
  fields: (t) => ({ typing: t.exposeBoolean('typing', { description: 'What it was told.' }) }),
})

const DeviceStateEnum = builder.enumType('DeviceState', {
  description: 'What a device can say of its user.',
  values: {
    ONLINE: { description: 'They are there.' },
    AWAY: { description: 'They are not looking.' },
  } as const,
})

const SetPresenceInput = builder.inputType('SetPresenceInput', {
  description: 'How the viewer is on a device.',
  fields: (t) => ({
    state: t.field({ type: DeviceStateEnum, required: true, description: 'Online or away.' }),
    connectionId: t.string({
      description:
        'The device: the `connectionId` of its connection acknowledgement. Where left out: all the viewer’s devices.',
    }),
  }),
})

const SetPresenceSuccess = builder.objectRef<{ state: 'ONLINE' | 'AWAY' }>('SetPresenceSuccess').implement({
  description: 'All nodes were told.',
  fields: (t) => ({ state: t.expose('state', { type: DeviceStateEnum, description: 'What they were told.' }) }),
})

builder.mutationFields((t) => ({
  setTyping: t.field({
    type: SetTypingSuccess,
    description: 'Tells the room that the viewer types, or no longer does. A signal: it may be lost.',
    errors: { types: REFUSALS, union: { description: 'What was told, or why it was refused.' } },
    args: { input: t.arg({ type: SetTypingInput, required: true, description: 'Where, and whether.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      const { roomId, typing } = parseInput(setTypingRule, input)
      await context.presence.setTyping(viewer, roomId, typing)
      return { typing }
    },
  }),
  setPresence: t.field({
    type: SetPresenceSuccess,
    description:
      'Says that the viewer is away, or back, until the device disconnects. A user is away when all their devices are.',
    errors: { types: REFUSALS, union: { description: 'What was told, or why it was refused.' } },
    args: { input: t.arg({ type: SetPresenceInput, required: true, description: 'How, and on which device.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      const { state, connectionId } = parseInput(setPresenceRule, input)
      await context.presence.setPresence(viewer, state, connectionId)
      return { state }
    },
  }),
}))
