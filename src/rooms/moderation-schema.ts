import type { Ban } from '../generated/prisma/client.ts'
import { REFUSALS } from '../graphql/base-types.ts'
import { builder, pageComplexity } from '../graphql/builder.ts'
import { type Context, requireViewer } from '../graphql/context.ts'
import { encodeGlobalId } from '../graphql/global-id.ts'
import { parseInput } from '../graphql/input.ts'
import { UserType } from '../users/schema.ts'
import type { UserRecord } from '../users/user-record.ts'
import { banMemberRule, MAX_BAN_REASON_CHARACTERS, memberRule, setMemberRoleRule } from './input-rules.ts'
import { successWithMembership, successWithRoom } from './mutations.ts'
import { resolveBans } from './pages.ts'
import type { RoomRecord } from './room-record.ts'
import { MemberRoleEnum, RoomType } from './schema.ts'

const BanType = builder.objectRef<Ban>('Ban').implement({
  description:
    'Keeps a user out of a room: they cannot read, join or be added. Only owners and moderators of the room see it.',
  fields: (t) => ({
    id: t.id({
      description: 'Names the ban for caches; it cannot be looked up by it.',
      resolve: ({ id }) => encodeGlobalId('Ban', id),
    }),
    user: t.field({
      type: UserType,
      description: 'Who is banned.',
      resolve: ({ id, userId }, _args, context) => loadUser(id, userId, context),
    }),
    bannedBy: t.field({
      type: UserType,
      description: 'Who banned them.',
      resolve: ({ id, bannedById }, _args, context) => loadUser(id, bannedById, context),
    }),
    reason: t.exposeString('reason', { nullable: true, description: 'Why; null where no reason was given.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'Since when.' }),
    endsAt: t.expose('endsAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it ends by itself; null where it does not.',
    }),
  }),
})

/** Calls of one tick share one query. */
async function loadUser(banId: string, userId: string, { users }: Context): Promise<UserRecord> {
  const user = await users.findUser(userId)
  // A foreign key keeps them.
  if (!user) throw new Error(`a user of ban ${banId} is missing`)
  return user
}

builder.objectFields(RoomType, (t) => ({
  bans: t.connection(
    {
      type: BanType,
      nullable: true,
      complexity: pageComplexity,
      description:
        'The bans that have not ended, in the order in which they were imposed; null to who is neither owner nor moderator of the room. Default page 50, at most 100.',
      extensions: { viewerDependent: true },
      resolve: (room, args, context) => resolveBans(context.rooms, requireViewer(context), room, args),
    },
    { name: 'BanConnection' },
    { name: 'BanEdge' },
  ),
}))

const inputOfMember = (name: string, description: string, userHelp: string) =>
  builder.inputType(name, {
    description,
    fields: (t) => ({
      roomId: t.id({ required: true, description: 'The room.' }),
      userId: t.id({ required: true, description: userHelp }),
    }),
  })

const RemoveMemberInput = inputOfMember('RemoveMemberInput', 'Who to remove, and from where.', 'The user to remove.')
const UnbanMemberInput = inputOfMember('UnbanMemberInput', 'Whose ban to lift, and where.', 'The user who is banned.')

const SetMemberRoleInput = builder.inputType('SetMemberRoleInput', {
  description: 'Whose role to set, and where.',
  fields: (t) => ({
    roomId: t.id({ required: true, description: 'The room.' }),
    userId: t.id({ required: true, description: 'The member.' }),
    role: t.field({ type: MemberRoleEnum, required: true, description: 'What they may do from now on.' }),
  }),
})

const BanMemberInput = builder.inputType('BanMemberInput', {
  description: 'Who to ban, from where, and on what terms.',
  fields: (t) => ({
    roomId: t.id({ required: true, description: 'The room.' }),
    userId: t.id({ required: true, description: 'The user to ban; they need not be a member.' }),
    reason: t.string({
      description: `Why, at most ${MAX_BAN_REASON_CHARACTERS} characters. Owners and moderators of the room see it, and the banned user.`,
    }),
    endsAt: t.field({ type: 'DateTime', description: 'When the ban ends by itself; where left out, it does not.' }),
  }),
})

const SetMemberRoleSuccess = successWithMembership('SetMemberRoleSuccess', 'The member has the role.')
const RemoveMemberSuccess = successWithRoom('RemoveMemberSuccess', 'The user is no member.')
const UnbanMemberSuccess = successWithRoom('UnbanMemberSuccess', 'The user is not banned.')
const BanMemberSuccess = builder.objectRef<{ room: RoomRecord; ban: Ban }>('BanMemberSuccess').implement({
  description: 'The user is banned, and no member.',
  fields: (t) => ({
    room: t.expose('room', { type: RoomType, description: 'The room, as it is now.' }),
    ban: t.expose('ban', { type: BanType, description: 'The ban.' }),
  }),
})

const ranks = 'Owners may do so to moderators and members, moderators to members; nobody to themselves or to an owner.'

builder.mutationFields((t) => ({
  setMemberRole: t.field({
    type: SetMemberRoleSuccess,
    description:
      'Sets a member’s role. Owners only; the last owner stays one (LAST_OWNER). The room’s log gets MemberRoleChanged. Setting the same role again changes nothing.',
    errors: { types: REFUSALS, union: { description: 'The membership, or why it was refused.' } },
    args: { input: t.arg({ type: SetMemberRoleInput, required: true, description: 'Whose, where, and which.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      const { roomId, userId, role } = parseInput(setMemberRoleRule, input)
      const membership = await context.rooms.setMemberRole(viewer, roomId, userId, role)
      return { membership, room: await context.rooms.requireReadableRoom(viewer, roomId) }
    },
  }),
  removeMember: t.field({
    type: RemoveMemberSuccess,
    description: `Ends another user’s membership; they may join again. ${ranks} The room’s log gets MemberLeft. Removing who is no member changes nothing.`,
    errors: { types: REFUSALS, union: { description: 'The room, or why it was refused.' } },
    args: { input: t.arg({ type: RemoveMemberInput, required: true, description: 'Who and where.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      const { roomId, userId } = parseInput(memberRule, input)
      await context.rooms.removeMember(viewer, roomId, userId)
      return { room: await context.rooms.requireReadableRoom(viewer, roomId) }
    },
  }),
  banMember: t.field({
    type: BanMemberSuccess,
    description: `Keeps a user out of a room, also in advance, and ends their membership if they have one. ${ranks} The room’s log gets MemberLeft, if they were a member, and MemberBanned. A second ban replaces the first; the same again changes nothing.`,
    errors: { types: REFUSALS, union: { description: 'The ban, or why it was refused.' } },
    args: { input: t.arg({ type: BanMemberInput, required: true, description: 'Who, where, why and how long.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      const { roomId, userId, terms } = parseInput(banMemberRule, input)
      const ban = await context.rooms.banMember(viewer, roomId, userId, terms)
      return { ban, room: await context.rooms.requireReadableRoom(viewer, roomId) }
    },
  }),
  unbanMember: t.field({
    type: UnbanMemberSuccess,
    description:
      'Lifts a ban; the user may join, or be added, again. Owners and moderators only. The room’s log gets MemberUnbanned. Where there is no ban, nothing changes.',
    errors: { types: REFUSALS, union: { description: 'The room, or why it was refused.' } },
    args: { input: t.arg({ type: UnbanMemberInput, required: true, description: 'Whose and where.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      const { roomId, userId } = parseInput(memberRule, input)
      await context.rooms.unbanMember(viewer, roomId, userId)
      return { room: await context.rooms.requireReadableRoom(viewer, roomId) }
    },
  }),
}))
