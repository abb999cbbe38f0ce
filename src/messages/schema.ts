import type { RoomEvent } from '../events/room-event.ts'
import { REFUSALS_OR_BAN } from '../graphql/base-types.ts'
import { builder, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, pageComplexity } from '../graphql/builder.ts'
import { requireViewer } from '../graphql/context.ts'
import { createIdEncoder, encodeGlobalId } from '../graphql/global-id.ts'
import { parseInput } from '../graphql/input.ts'
import { RoomEventInterface, RoomFeedItemInterface } from '../rooms/event-schema.ts'
import { RoomType } from '../rooms/schema.ts'
import { UserType } from '../users/schema.ts'
import { resolveHistory } from './history.ts'
import type { SendMessageRule } from './input-rules.ts'
import type { MessageQuote, MessageRecord } from './message-record.ts'
import type { Messages } from './service.ts'

declare module '../graphql/context.ts' {
  interface Services {
    readonly messages: Messages
    readonly sendMessageRule: SendMessageRule
  }
}

const MessageQuoteType = builder.objectRef<MessageQuote>('MessageQuote').implement({
  description: 'The message that another one replies to, as it is shown above the reply.',
  fields: (t) => ({
    id: t.id({
      description: 'The id of the Message that is quoted.',
      resolve: ({ id }) => encodeGlobalId('Message', id),
    }),
    seq: t.exposeInt('seq', { description: 'Its place in the room’s log.' }),
    text: t.exposeString('text', { description: 'Its text.' }),
    author: t.expose('author', { type: UserType, description: 'Who wrote it.' }),
  }),
})

export const MessageType = builder.objectRef<MessageRecord>('Message')

const encodeRoomId = createIdEncoder('Room')

builder.node(MessageType, {
  description: 'Something that a member wrote in a room.',
  id: { resolve: (message) => message.id },
  loadMany: (ids: string[], context) => context.messages.listMessagesByIds(requireViewer(context), ids),
  fields: (t) => ({
    seq: t.exposeInt('seq', { description: 'Its place in the room’s log: later messages have higher seqs.' }),
    text: t.exposeString('text', { description: 'What was written, as plain text.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was stored.' }),
    clientMessageId: t.exposeString('clientMessageId', {
      nullable: true,
      description: 'What its author’s client named it, so that the client knows its own message when it arrives.',
    }),
    author: t.expose('author', { type: UserType, description: 'Who wrote it.' }),
    replyTo: t.expose('replyTo', {
      type: MessageQuoteType,
      nullable: true,
      description: 'The message that this one replies to.',
    }),
    roomId: t.id({ description: 'The room.', resolve: ({ roomId }) => encodeRoomId(roomId) }),
    room: t.expose('room', {
      type: RoomType,
      description: 'The room, as it was when the message was read; in a live event, when the message was sent.',
    }),
  }),
})

builder.objectRef<Extract<RoomEvent, { type: 'MessageSent' }>>('MessageSent').implement({
  description: 'A member wrote a message. When it is replayed, the message is as it is now.',
  interfaces: [RoomEventInterface, RoomFeedItemInterface],
  fields: (t) => ({
    message: t.expose('message', { type: MessageType, description: 'The message.' }),
  }),
})

builder.objectFields(RoomType, (t) => ({
  messages: t.connection(
    {
      type: MessageType,
      complexity: pageComplexity,
      description:
        `The history, always oldest to newest. Without \`first\` or \`after\`: the newest ${DEFAULT_PAGE_SIZE}. ` +
        `A page holds at most ${MAX_PAGE_SIZE}.`,
      args: {
        aroundSeq: t.arg.int({
          description:
            'A window around this seq instead, to jump to a message: half of `first` before it, half from it on. Not together with `after`, `before` or `last`.',
        }),
      },
      extensions: { viewerDependent: true },
      resolve: async (room, args, context) => {
        await context.rooms.requireReader(requireViewer(context), room)
        return resolveHistory(context.messages, room.id, args)
      },
    },
    { name: 'MessageConnection' },
    { name: 'MessageEdge' },
  ),
  lastMessage: t.field({
    type: MessageType,
    nullable: true,
    description: 'The newest message; null where nobody has written yet.',
    extensions: { viewerDependent: true },
    resolve: async (room, _args, context) => {
      await context.rooms.requireReader(requireViewer(context), room)
      return context.messages.findLastMessage(room.id)
    },
  }),
}))

const SendMessageInput = builder.inputType('SendMessageInput', {
  description: 'The message to send.',
  fields: (t) => ({
    roomId: t.id({ required: true, description: 'Where to; the viewer must be a member.' }),
    text: t.string({
      required: true,
      description:
        'What to say: 1 character to the server’s `limits.messageCharacters`, counted as people count them (an emoji is one). White space around it is removed.',
    }),
    clientMessageId: t.string({
      description:
        'The client’s own name for this message, at most 64 characters, unique per author and room (a UUID, say). Sending it again returns the first message: retry as often as you like.',
    }),
    replyToId: t.id({ description: 'The message of the same room that this one replies to.' }),
  }),
})

export const SendMessageSuccess = builder.objectRef<{ message: MessageRecord }>('SendMessageSuccess').implement({
  description: 'The message is on disk.',
  fields: (t) => ({
    // Not `message`: beside Error.message, clients would have to use aliases.
    sentMessage: t.expose('message', { type: MessageType, description: 'The message with its seq.' }),
  }),
})

builder.mutationField('sendMessage', (t) =>
  t.field({
    type: SendMessageSuccess,
    description:
      'Sends a message; members only. Answers after commit. Its event, MessageSent, reaches every stream of the room exactly once, however often the send was retried.',
    errors: { types: REFUSALS_OR_BAN, union: { description: 'The message, or why it was refused.' } },
    args: { input: t.arg({ type: SendMessageInput, required: true, description: 'The message.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      const parsed = parseInput(context.sendMessageRule, input)
      return { message: await context.messages.sendMessage(viewer, parsed) }
    },
  }),
)
