import { REFUSALS, REFUSALS_OR_BAN } from '../graphql/base-types.ts'
import { builder } from '../graphql/builder.ts'
import { requireViewer } from '../graphql/context.ts'
import { encodeGlobalId } from '../graphql/global-id.ts'
import { parseInput } from '../graphql/input.ts'
import {
  createRoomRule,
  MAX_DIRECT_OTHERS,
  MAX_INITIAL_MEMBERS,
  MAX_TOPIC_CHARACTERS,
  memberRule,
  roomOnlyRule,
  updateRoomRule,
} from './input-rules.ts'
import { MAX_ROOM_NAME_CHARACTERS } from './limits.ts'
import type { MembershipRecord } from './membership-record.ts'
import type { RoomRecord } from './room-record.ts'
import { MembershipType, RoomKindEnum, RoomType } from './schema.ts'

const nameHelp = `1 to ${MAX_ROOM_NAME_CHARACTERS} characters`
const topicHelp = `at most ${MAX_TOPIC_CHARACTERS} characters`
const slugHelp = 'a-z, 0-9 and single hyphens, at most 50; unique among public rooms'

const CreateRoomInput = builder.inputType('CreateRoomInput', {
  description: 'The room to create.',
  fields: (t) => ({
    kind: t.field({ type: RoomKindEnum, defaultValue: 'PUBLIC', required: true, description: 'Who the room is for.' }),
    name: t.string({
      description: `The name to show, ${nameHelp}. Direct rooms may go without, and are then called by their people’s names.`,
    }),
    slug: t.string({ description: `Public rooms only: ${slugHelp}. Made from the name where left out.` }),
    topic: t.string({ description: `What the room is about, ${topicHelp}.` }),
    memberIds: t.idList({
      defaultValue: [],
      required: true,
      description: `Users to put in beside the viewer: at most ${MAX_INITIAL_MEMBERS}; in a direct room 1 to ${MAX_DIRECT_OTHERS}.`,
    }),
  }),
})

const UpdateRoomInput = builder.inputType('UpdateRoomInput', {
  description: 'What to change; what is left out stays as it is.',
  fields: (t) => ({
    roomId: t.id({ required: true, description: 'The room.' }),
    name: t.string({ description: `The name to show, ${nameHelp}.` }),
    slug: t.string({ description: `Public rooms only: ${slugHelp}.` }),
    topic: t.string({ description: `What the room is about, ${topicHelp}; null or empty removes it.` }),
  }),
})

const inputOfRoom = (name: string, description: string) =>
  builder.inputType(name, {
    description,
    fields: (t) => ({ roomId: t.id({ required: true, description: 'The room.' }) }),
  })

const ArchiveRoomInput = inputOfRoom('ArchiveRoomInput', 'The room to archive.')
const JoinRoomInput = inputOfRoom('JoinRoomInput', 'The room to join.')
const LeaveRoomInput = inputOfRoom('LeaveRoomInput', 'The room to leave.')

const AddMemberInput = builder.inputType('AddMemberInput', {
  description: 'Who to add, and where.',
  fields: (t) => ({
    roomId: t.id({ required: true, description: 'The room.' }),
    userId: t.id({ required: true, description: 'The user to add.' }),
  }),
})

export const successWithRoom = (name: string, description: string) =>
  builder.objectRef<{ room: RoomRecord }>(name).implement({
    description,
    fields: (t) => ({ room: t.expose('room', { type: RoomType, description: 'The room, as it is now.' }) }),
  })

export const successWithMembership = (name: string, description: string) =>
  builder.objectRef<{ room: RoomRecord; membership: MembershipRecord }>(name).implement({
    description,
    fields: (t) => ({
      room: t.expose('room', { type: RoomType, description: 'The room with its counts, as it is now.' }),
      membership: t.expose('membership', { type: MembershipType, description: 'The membership.' }),
    }),
  })

const CreateRoomSuccess = successWithRoom('CreateRoomSuccess', 'The room is there.')
const UpdateRoomSuccess = successWithRoom('UpdateRoomSuccess', 'The room was changed.')
const ArchiveRoomSuccess = successWithRoom('ArchiveRoomSuccess', 'The room is archived.')
const LeaveRoomSuccess = builder.objectRef<{ roomId: string }>('LeaveRoomSuccess').implement({
  description: 'The viewer is no longer a member.',
  fields: (t) => ({
    roomId: t.id({
      description: 'The room that was left.',
      resolve: ({ roomId }) => encodeGlobalId('Room', roomId),
    }),
  }),
})
const JoinRoomSuccess = successWithMembership('JoinRoomSuccess', 'The viewer is a member.')
const AddMemberSuccess = successWithMembership('AddMemberSuccess', 'The user is a member.')

builder.mutationFields((t) => ({
  createRoom: t.field({
    type: CreateRoomSuccess,
    description:
      'Creates a room with the viewer as its owner. The same people have one direct room: it is returned if it exists.',
    errors: { types: REFUSALS, union: { description: 'The room, or why it was refused.' } },
    args: { input: t.arg({ type: CreateRoomInput, required: true, description: 'The room to create.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      return { room: await context.rooms.createRoom(viewer, parseInput(createRoomRule, input)) }
    },
  }),
  updateRoom: t.field({
    type: UpdateRoomSuccess,
    description: 'Changes a room. Owners and moderators only. Its log gets RoomUpdated.',
    errors: { types: REFUSALS, union: { description: 'The changed room, or why it was refused.' } },
    args: { input: t.arg({ type: UpdateRoomInput, required: true, description: 'What to change.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      const { roomId, change } = parseInput(updateRoomRule, input)
      return { room: await context.rooms.updateRoom(viewer, roomId, change) }
    },
  }),
  archiveRoom: t.field({
    type: ArchiveRoomSuccess,
    description: 'Ends writing in a room; reading goes on. Owners and moderators only. Its log gets RoomArchived.',
    errors: { types: REFUSALS, union: { description: 'The archived room, or why it was refused.' } },
    args: { input: t.arg({ type: ArchiveRoomInput, required: true, description: 'The room.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      return { room: await context.rooms.archiveRoom(viewer, parseInput(roomOnlyRule, input).roomId) }
    },
  }),
  joinRoom: t.field({
    type: JoinRoomSuccess,
    description:
      'Makes the viewer a member of a public room, unless they are banned from it. Its log gets MemberJoined. Joining again changes nothing.',
    errors: { types: REFUSALS_OR_BAN, union: { description: 'The membership, or why it was refused.' } },
    args: { input: t.arg({ type: JoinRoomInput, required: true, description: 'The room.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      const { roomId } = parseInput(roomOnlyRule, input)
      const membership = await context.rooms.joinRoom(viewer, roomId)
      return { membership, room: await context.rooms.requireReadableRoom(viewer, roomId) }
    },
  }),
  leaveRoom: t.field({
    type: LeaveRoomSuccess,
    description:
      'Ends the viewer’s membership. Its log gets MemberLeft. The last owner hands the room to its longest-standing moderator, else member.',
    errors: { types: REFUSALS, union: { description: 'The room that was left, or why it was refused.' } },
    args: { input: t.arg({ type: LeaveRoomInput, required: true, description: 'The room.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      const { roomId } = parseInput(roomOnlyRule, input)
      await context.rooms.leaveRoom(viewer, roomId)
      return { roomId }
    },
  }),
  addMember: t.field({
    type: AddMemberSuccess,
    description:
      'Adds a user to a room, unless they are banned from it. Owners and moderators only. Its log gets MemberJoined. Adding a member again changes nothing.',
    errors: { types: REFUSALS_OR_BAN, union: { description: 'The membership, or why it was refused.' } },
    args: { input: t.arg({ type: AddMemberInput, required: true, description: 'Who and where.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      const { roomId, userId } = parseInput(memberRule, input)
      const membership = await context.rooms.addMember(viewer, roomId, userId)
      return { membership, room: await context.rooms.requireReadableRoom(viewer, roomId) }
    },
  }),
}))
