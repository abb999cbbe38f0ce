import { builder, pageComplexity } from '../graphql/builder.ts'
import { type Context, requireViewer } from '../graphql/context.ts'
import { encodeGlobalId, idOfType } from '../graphql/global-id.ts'
import { parseInput } from '../graphql/input.ts'
import { GateError } from '../platform/errors.ts'
import { UserType } from '../users/schema.ts'
import type { UserRecord } from '../users/user-record.ts'
import { MAX_SEARCH_CHARACTERS, searchRule } from './input-rules.ts'
import type { MembershipRecord, ReadRoom } from './membership-record.ts'
import { resolveMembers, resolveRooms } from './pages.ts'
import type { RoomRecord } from './room-record.ts'
import type { Rooms } from './service.ts'

declare module '../graphql/context.ts' {
  interface Services {
    readonly rooms: Rooms
  }
}

export const RoomKindEnum = builder.enumType('RoomKind', {
  description: 'Who a room is for.',
  values: {
    PUBLIC: { description: 'Any signed-in user can find, read and join it.' },
    PRIVATE: { description: 'Exists only for its members; owners and moderators add them.' },
    DIRECT: { description: 'Exists only for the people it was opened with; it cannot be left, renamed or archived.' },
  } as const,
})

export const MemberRoleEnum = builder.enumType('MemberRole', {
  description: 'What a member may do in a room.',
  values: {
    OWNER: { description: 'May do everything.' },
    MODERATOR: { description: 'May change the room, add members, and remove and ban those who are no moderators.' },
    MEMBER: { description: 'May write.' },
  } as const,
})

const RoomOrderEnum = builder.enumType('RoomOrder', {
  description: 'The order of a list of rooms.',
  values: {
    NAME: { description: 'By name.' },
    ACTIVITY: { description: 'The latest activity first. Pages may shift while things happen.' },
  } as const,
})

export const RoomType = builder.objectRef<RoomRecord & Partial<ReadRoom>>('Room')

export const MembershipType = builder.objectRef<MembershipRecord>('Membership').implement({
  description: 'A user’s lasting membership in a room.',
  fields: (t) => ({
    id: t.id({
      description: 'Names the membership for caches; it cannot be looked up by it.',
      resolve: ({ id }) => encodeGlobalId('Membership', id),
    }),
    role: t.expose('role', { type: MemberRoleEnum, description: 'What the member may do.' }),
    joinedAt: t.expose('joinedAt', { type: 'DateTime', description: 'Since when.' }),
    user: t.field({
      type: UserType,
      description: 'The member.',
      resolve: (membership, _args, context) => membership.user ?? loadUser(membership, context),
    }),
    room: t.field({
      type: RoomType,
      description: 'The room.',
      extensions: { viewerDependent: true },
      resolve: ({ room, roomId }, _args, context) =>
        room ?? context.rooms.requireReadableRoom(requireViewer(context), roomId),
    }),
  }),
})

/** Where the membership was read without its user. Calls of one tick share one query. */
async function loadUser({ id, userId }: MembershipRecord, { users }: Context): Promise<UserRecord> {
  const user = await users.findUser(userId)
  // A foreign key keeps them.
  if (!user) throw new Error(`the user of membership ${id} is missing`)
  return user
}

builder.node(RoomType, {
  description: 'A place to talk. Its log holds everything that lasts, in one order: events 1, 2, 3 … without a gap.',
  id: { resolve: (room) => room.id },
  // By node(id) as by every other way: private and direct rooms exist only for their members.
  loadMany: async (ids: string[], context) => {
    const rooms = await context.rooms.listRoomsByIds(requireViewer(context), ids)
    const byId = new Map(rooms.map((room) => [room.id, room]))
    return ids.map((id) => byId.get(id) ?? null)
  },
  fields: (t) => ({
    kind: t.expose('kind', { type: RoomKindEnum, description: 'Who the room is for.' }),
    name: t.exposeString('name', { description: 'The name to show.' }),
    slug: t.exposeString('slug', { nullable: true, description: 'The name for URLs; public rooms only.' }),
    topic: t.exposeString('topic', { nullable: true, description: 'What the room is about.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the room was created.' }),
    archivedAt: t.expose('archivedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Since when the room takes no more messages; null while it does.',
    }),
    lastSeq: t.exposeInt('lastSeq', {
      description: 'The seq of the newest event of the room’s log; 0 before the first.',
    }),
    lastActivityAt: t.expose('lastActivityAt', { type: 'DateTime', description: 'When the newest event happened.' }),
    memberCount: t.exposeInt('memberCount', { description: 'How many members the room has.' }),
    members: t.connection(
      {
        type: MembershipType,
        complexity: pageComplexity,
        description: 'The members with their roles, in the order in which they joined. Default page 50, at most 100.',
        extensions: { viewerDependent: true },
        resolve: async (room, args, context) => {
          await context.rooms.requireReader(requireViewer(context), room)
          return resolveMembers(context.rooms, room, args)
        },
      },
      { name: 'MembershipConnection' },
      { name: 'MembershipEdge' },
    ),
    viewerMembership: t.field({
      type: MembershipType,
      nullable: true,
      description: 'The viewer’s own membership; null where they have not joined.',
      extensions: { viewerDependent: true },
      resolve: async (room, _args, context) => {
        const { userId } = requireViewer(context)
        // What was read for somebody else must not pass for the viewer's, however the room came here.
        const known = room.reader?.userId === userId ? room.reader.membership : undefined
        const membership = known === undefined ? await context.rooms.findMembership(room.id, userId) : known
        return membership ? { ...membership, room } : null
      },
    }),
  }),
})

export const RoomEdge = builder.edgeObject({ type: RoomType, name: 'RoomEdge' })
export const RoomConnection = builder.connectionObject({ type: RoomType, name: 'RoomConnection' }, RoomEdge)

builder.queryFields((t) => ({
  room: t.field({
    type: RoomType,
    nullable: true,
    description: 'A room by id or by slug (exactly one of them); null where it is absent or not for the viewer.',
    args: {
      id: t.arg.id({ description: 'The room’s global id.' }),
      slug: t.arg.string({ description: 'The room’s slug.' }),
    },
    resolve: (_root, { id, slug }, context) => {
      const viewer = requireViewer(context)
      if ((id == null) === (slug == null)) {
        throw new GateError('BAD_USER_INPUT', 'Give either the id or the slug of a room.', { field: 'id' })
      }
      if (slug != null) return context.rooms.findRoom(viewer, { slug: parseInput(searchRule, slug, 'slug') })
      const roomId = idOfType('Room', id ?? '')
      if (!roomId) throw new GateError('BAD_USER_INPUT', 'The id is not the id of a Room.', { field: 'id' })
      return context.rooms.findRoom(viewer, { id: roomId })
    },
  }),
  rooms: t.connection(
    {
      type: RoomType,
      complexity: pageComplexity,
      description: 'The rooms that the viewer can read: public ones and their own. Default page 50, at most 100.',
      args: {
        search: t.arg.string({
          description: `Only rooms with this in name or topic, whatever the case and diacritics; at most ${MAX_SEARCH_CHARACTERS} characters.`,
        }),
        joined: t.arg.boolean({ defaultValue: false, description: 'Only rooms that the viewer is a member of.' }),
        orderBy: t.arg({ type: RoomOrderEnum, defaultValue: 'NAME', description: 'In which order.' }),
      },
      resolve: (_root, { search, joined, orderBy, ...args }, context) => {
        const viewer = requireViewer(context)
        const text = search == null ? null : parseInput(searchRule, search, 'search')
        return resolveRooms(
          context.rooms,
          viewer,
          { search: text, joined: joined ?? false, order: orderBy ?? 'NAME' },
          args,
        )
      },
    },
    RoomConnection,
    RoomEdge,
  ),
}))
