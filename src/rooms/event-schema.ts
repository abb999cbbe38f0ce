// The events of a room's log as clients see them. Further features add theirs by implementing RoomEvent.

import type { RoomEvent } from '../events/room-event.ts'
import type { StreamMark } from '../events/stream-mark.ts'
import { builder } from '../graphql/builder.ts'
import { encodeGlobalId } from '../graphql/global-id.ts'
import { UserType } from '../users/schema.ts'
import { MemberRoleEnum, RoomType } from './schema.ts'

export const RoomFeedItemInterface = builder.interfaceRef<RoomEvent | StreamMark>('RoomFeedItem').implement({
  description: 'What a room’s stream delivers: the events of its log, and marks of the stream itself.',
  resolveType: ({ type }) => type,
  fields: (t) => ({
    seq: t.exposeInt('seq', { description: 'Where the stream stands after this item: pass it as `after` to resume.' }),
  }),
})

export const RoomEventInterface = builder.interfaceRef<RoomEvent>('RoomEvent').implement({
  description: 'Something that happened in a room, for good: it stands in the room’s log at `seq`.',
  interfaces: [RoomFeedItemInterface],
  fields: (t) => ({
    at: t.expose('at', { type: 'DateTime', description: 'When it happened.' }),
    roomId: t.id({ description: 'The room’s id.', resolve: ({ roomId }) => encodeGlobalId('Room', roomId) }),
    room: t.field({
      type: RoomType,
      description: 'The room, as of this event or later. When it is replayed, the room is as it is now.',
      resolve: (event) => (event.type === 'MessageSent' ? event.message.room : event.room),
    }),
  }),
})

type EventOf<Type extends RoomEvent['type']> = Extract<RoomEvent, { type: Type }>

const actorHelp = 'Who did it.'

export const MemberLeftReasonEnum = builder.enumType('MemberLeftReason', {
  description: 'How a membership came to its end.',
  values: {
    LEFT: { description: 'The member left.' },
    REMOVED: { description: 'An owner or moderator removed them; they may join again.' },
    BANNED: { description: 'An owner or moderator banned them.' },
  } as const,
})

builder.objectRef<EventOf<'MemberJoined'>>('MemberJoined').implement({
  description: 'A user became a member.',
  interfaces: [RoomEventInterface, RoomFeedItemInterface],
  fields: (t) => ({
    user: t.expose('user', { type: UserType, description: 'The new member.' }),
    role: t.expose('role', { type: MemberRoleEnum, description: 'What they may do.' }),
    actor: t.expose('actor', { type: UserType, description: 'Who added them; themselves where they joined.' }),
  }),
})

builder.objectRef<EventOf<'MemberLeft'>>('MemberLeft').implement({
  description: 'A user is no longer a member.',
  interfaces: [RoomEventInterface, RoomFeedItemInterface],
  fields: (t) => ({
    user: t.expose('user', { type: UserType, description: 'Who was a member.' }),
    reason: t.field({
      type: MemberLeftReasonEnum,
      description: 'Whether they left or were made to.',
      // Events from before there were reasons, and those of nodes that know none, have none.
      resolve: ({ reason }) => reason ?? 'LEFT',
    }),
    actor: t.expose('actor', { type: UserType, description: actorHelp }),
  }),
})

builder.objectRef<EventOf<'MemberBanned'>>('MemberBanned').implement({
  description:
    'A user may not come into the room any more. If they were a member, their MemberLeft stands just before. Everybody in the room sees this, so the reason is not in it: owners and moderators find it in `Room.bans`.',
  interfaces: [RoomEventInterface, RoomFeedItemInterface],
  fields: (t) => ({
    user: t.expose('user', { type: UserType, description: 'Who is banned; they need not have been a member.' }),
    endsAt: t.expose('endsAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the ban ends by itself, without an event; null where it does not.',
    }),
    actor: t.expose('actor', { type: UserType, description: actorHelp }),
  }),
})

builder.objectRef<EventOf<'MemberUnbanned'>>('MemberUnbanned').implement({
  description: 'A user’s ban was lifted. They are no member by that: they may join, or be added, again.',
  interfaces: [RoomEventInterface, RoomFeedItemInterface],
  fields: (t) => ({
    user: t.expose('user', { type: UserType, description: 'Who was banned.' }),
    actor: t.expose('actor', { type: UserType, description: actorHelp }),
  }),
})

builder.objectRef<EventOf<'MemberRoleChanged'>>('MemberRoleChanged').implement({
  description: 'A member’s role changed.',
  interfaces: [RoomEventInterface, RoomFeedItemInterface],
  fields: (t) => ({
    user: t.expose('user', { type: UserType, description: 'The member.' }),
    role: t.expose('role', { type: MemberRoleEnum, description: 'What they may do now.' }),
    actor: t.expose('actor', { type: UserType, description: actorHelp }),
  }),
})

builder.objectRef<EventOf<'RoomUpdated'>>('RoomUpdated').implement({
  description: 'The room’s name, slug or topic changed.',
  interfaces: [RoomEventInterface, RoomFeedItemInterface],
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The name from then on.' }),
    slug: t.exposeString('slug', { nullable: true, description: 'The slug from then on.' }),
    topic: t.exposeString('topic', { nullable: true, description: 'The topic from then on.' }),
    actor: t.expose('actor', { type: UserType, description: actorHelp }),
  }),
})

builder.objectRef<EventOf<'RoomArchived'>>('RoomArchived').implement({
  description: 'The room takes no more messages.',
  interfaces: [RoomEventInterface, RoomFeedItemInterface],
  fields: (t) => ({
    actor: t.expose('actor', { type: UserType, description: actorHelp }),
  }),
})
