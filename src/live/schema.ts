import type { StreamMark } from '../events/stream-mark.ts'
import { builder } from '../graphql/builder.ts'
import { type Context, requireViewer } from '../graphql/context.ts'
import { encodeGlobalId, idOfType } from '../graphql/global-id.ts'
import { MessageType } from '../messages/schema.ts'
import { GateError } from '../platform/errors.ts'
import { RoomPresenceItem } from '../presence/schema.ts'
import { MemberLeftReasonEnum, RoomFeedItemInterface } from '../rooms/event-schema.ts'
import { RoomType } from '../rooms/schema.ts'
import { UserType } from '../users/schema.ts'
import { type UserEventOf, ViewerEvent } from '../viewer-events/schema.ts'
import type { Access, Live } from './service.ts'
import { throwIfEnd } from './stream-end.ts'

declare module '../graphql/context.ts' {
  interface Services {
    readonly live: Live
  }
}

const afterHelp =
  'The last seq that the client has: the stream begins with the next one. Without it the stream begins at the head as it is when the subscription is accepted.'

type MarkOf<Type extends StreamMark['type']> = Extract<StreamMark, { type: Type }>

builder.objectRef<MarkOf<'CaughtUp'>>('CaughtUp').implement({
  description:
    'The end of the replay: everything up to `seq`, the head when the subscription was accepted, was delivered.',
  interfaces: [RoomFeedItemInterface, ViewerEvent],
})

builder.objectRef<MarkOf<'ResyncRequired'>>('ResyncRequired').implement({
  description:
    'Events before `fromSeq` are gone from the log, or the log never reached `after`: read the state anew. The stream goes on at `fromSeq`.',
  interfaces: [RoomFeedItemInterface, ViewerEvent],
  fields: (t) => ({ fromSeq: t.exposeInt('fromSeq', { description: 'The next seq that is delivered.' }) }),
})

builder.objectRef<UserEventOf<'RoomGained'>>('RoomGained').implement({
  description: 'The viewer became a member of a room.',
  interfaces: [ViewerEvent],
  fields: (t) => ({
    roomId: t.id({ description: 'The room.', resolve: ({ roomId }) => encodeGlobalId('Room', roomId) }),
    room: t.field({
      type: RoomType,
      nullable: true,
      description: 'The room; null where the viewer has lost it again since.',
      extensions: { viewerDependent: true },
      resolve: ({ roomId }, _args, context) => context.rooms.findRoom(requireViewer(context), { id: roomId }),
    }),
  }),
})

builder.objectRef<UserEventOf<'RoomLost'>>('RoomLost').implement({
  description: 'The viewer is no longer a member of a room.',
  interfaces: [ViewerEvent],
  fields: (t) => ({
    roomId: t.id({ description: 'The room.', resolve: ({ roomId }) => encodeGlobalId('Room', roomId) }),
    reason: t.field({
      type: MemberLeftReasonEnum,
      description: 'Whether they left or were made to.',
      resolve: ({ reason }) => reason ?? 'LEFT',
    }),
    banReason: t.string({
      nullable: true,
      description: 'Why they were banned; null where they were not, or no reason was given.',
      resolve: ({ banReason }) => banReason ?? null,
    }),
    banEndsAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When the ban ends by itself; null where there is none, or it does not.',
      resolve: ({ banEndsAt }) => banEndsAt ?? null,
    }),
  }),
})

builder.objectRef<UserEventOf<'TokensRevoked'>>('TokensRevoked').implement({
  description: 'An operator has revoked the viewer’s tokens: they need a fresh one.',
  interfaces: [ViewerEvent],
  fields: (t) => ({
    validFrom: t.expose('validFrom', {
      type: 'DateTime',
      description: 'Tokens issued before this count no more, nor do those that do not say when they were issued.',
    }),
  }),
})

builder.objectRef<UserEventOf<'ProfileUpdated'>>('ProfileUpdated').implement({
  description: 'The viewer’s profile was changed, on this device or another.',
  interfaces: [ViewerEvent],
  fields: (t) => ({
    user: t.expose('user', { type: UserType, nullable: true, description: 'The viewer, as changed.' }),
  }),
})

const roomIdArg = { required: true, description: 'The room; the viewer must be able to read it.' } as const

function requireRoomId(roomId: string): string {
  const id = idOfType('Room', roomId)
  if (!id) throw new GateError('BAD_USER_INPUT', 'The id is not the id of a Room.', { field: 'roomId' })
  return id
}

function requireAfter(after: number | null | undefined): number | null {
  if (after == null) return null
  if (after < 0) throw new GateError('BAD_USER_INPUT', '`after` is a seq: 0 or more.', { field: 'after', limit: 0 })
  return after
}

function requireAccess(context: Context): Access {
  const { session, connectionId } = context
  return { viewer: requireViewer(context), session, connectionId }
}

builder.subscriptionFields((t) => ({
  roomEvents: t.field({
    type: RoomFeedItemInterface,
    description:
      'The room’s log, live: with `after: n` the events n+1, n+2, … each exactly once and in order, then CaughtUp, then what happens. Being subscribed is being present in the room.',
    args: { roomId: t.arg.id(roomIdArg), after: t.arg.int({ description: afterHelp }) },
    subscribe: (_root, { roomId, after }, context) =>
      context.live.openRoomEvents(requireAccess(context), requireRoomId(roomId), requireAfter(after)),
    resolve: throwIfEnd,
  }),
  messageAdded: t.field({
    type: MessageType,
    description:
      'The room’s messages, live: the same stream as `roomEvents`, messages only. Resume with the `seq` of the last message. Refused with RESYNC_REQUIRED where the log does not reach back to `after`.',
    args: { roomId: t.arg.id(roomIdArg), after: t.arg.int({ description: afterHelp }) },
    subscribe: (_root, { roomId, after }, context) =>
      context.live.openMessages(requireAccess(context), requireRoomId(roomId), requireAfter(after)),
    resolve: (itemOrEnd) => {
      const item = throwIfEnd(itemOrEnd)
      if ('type' in item) {
        const { fromSeq } = item
        throw new GateError('RESYNC_REQUIRED', 'The log was cut behind this stream: read the history anew.', {
          fromSeq,
        })
      }
      return item
    },
  }),
  roomPresence: t.field({
    type: RoomPresenceItem,
    description:
      'Who is in the room: first a snapshot, then who comes, leaves, goes away, comes back, and who types. Being subscribed is being present in the room.',
    args: { roomId: t.arg.id(roomIdArg) },
    subscribe: (_root, { roomId }, context) =>
      context.live.openRoomPresence(requireAccess(context), requireRoomId(roomId)),
    resolve: throwIfEnd,
  }),
  viewerEvents: t.field({
    type: ViewerEvent,
    description:
      'What happens to the viewer themself, on all their devices: rooms gained and lost, notifications, their uploads, profile, tokens and settings.',
    args: { after: t.arg.int({ description: afterHelp }) },
    subscribe: (_root, { after }, context) =>
      context.live.openViewerEvents(requireAccess(context), requireAfter(after)),
    resolve: throwIfEnd,
  }),
}))
