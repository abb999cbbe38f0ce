import type { RoomEvent } from '../events/room-event.ts'
import { REFUSALS, REFUSALS_OR_BAN } from '../graphql/base-types.ts'
import { builder, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, pageComplexity } from '../graphql/builder.ts'
import { requireViewer } from '../graphql/context.ts'
import { createIdEncoder, encodeGlobalId } from '../graphql/global-id.ts'
import { parseInput } from '../graphql/input.ts'
import { RoomEventInterface, RoomFeedItemInterface } from '../rooms/event-schema.ts'
import { RoomType } from '../rooms/schema.ts'
import { UserType } from '../users/schema.ts'
import { resolveHistory } from './history.ts'
import { deleteMessageRule, MAX_ATTACHMENTS, type SendMessageRule } from './input-rules.ts'
import type { MentionRecord } from './mention-record.ts'
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
    text: t.exposeString('text', { description: 'Its text. Empty where it was deleted, or has attachments alone.' }),
    isDeleted: t.exposeBoolean('isDeleted', { description: 'Whether it was deleted.' }),
    author: t.expose('author', { type: UserType, description: 'Who wrote it.' }),
  }),
})

const MentionType = builder.objectRef<MentionRecord>('Mention').implement({
  description:
    'A part of a message’s text that means somebody, or with @room everybody in the room. Where several members have the name, each has a mention of their own at the same place.',
  fields: (t) => ({
    start: t.exposeInt('start', {
      description: 'Where it begins in the text, the @ included, in UTF-16 code units, as in JavaScript.',
    }),
    length: t.exposeInt('length', { description: 'How long it is, counted in the same way.' }),
    user: t.expose('user', {
      type: UserType,
      nullable: true,
      description: 'Who is meant; null for @room.',
    }),
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
    mentions: t.expose('mentions', {
      type: [MentionType],
      description:
        'Whom the text mentions by @name or @room, as the server found it when the message was sent, in the order of the text; at most 50.',
    }),
    deletedAt: t.expose('deletedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was deleted: its text is empty then, and its attachments are gone. Null where it was not.',
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

builder.objectRef<Extract<RoomEvent, { type: 'MessageDeleted' }>>('MessageDeleted').implement({
  description: 'A message was deleted: forget its text and its attachments. In the history it stays, empty.',
  interfaces: [RoomEventInterface, RoomFeedItemInterface],
  fields: (t) => ({
    messageId: t.id({
      description: 'The id of the Message.',
      resolve: ({ messageId }) => encodeGlobalId('Message', messageId),
    }),
    messageSeq: t.exposeInt('messageSeq', { description: 'The seq of the message, not of this event.' }),
    actor: t.expose('actor', { type: UserType, description: 'Who deleted it.' }),
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
        'What to say: 1 character to the server’s `limits.messageCharacters`, counted as people count them (an emoji is one). White space around it is removed. May be empty beside attachments. Members are mentioned by @ and their name, everybody by @room.',
    }),
    clientMessageId: t.string({
      description:
        'The client’s own name for this message, at most 64 characters, unique per author and room (a UUID, say). Sending it again returns the first message: retry as often as you like.',
    }),
    replyToId: t.id({ description: 'The message of the same room that this one replies to.' }),
    attachmentIds: t.idList({
      description: `Files that the viewer has uploaded and sent in no message yet, at most ${MAX_ATTACHMENTS}, in the order in which to show them. What is still being processed is waited for, some seconds.`,
    }),
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

const DeleteMessageInput = builder.inputType('DeleteMessageInput', {
  description: 'The message to delete.',
  fields: (t) => ({ messageId: t.id({ required: true, description: 'The message.' }) }),
})

const DeleteMessageSuccess = builder.objectRef<{ messageId: string }>('DeleteMessageSuccess').implement({
  description: 'The message is deleted.',
  fields: (t) => ({
    messageId: t.id({
      description: 'The id of the Message, as it was given.',
      resolve: ({ messageId }) => encodeGlobalId('Message', messageId),
    }),
  }),
})

builder.mutationField('deleteMessage', (t) =>
  t.field({
    type: DeleteMessageSuccess,
    description:
      'Deletes a message for everybody, with its attachments: its author may, and owners and moderators of its room, in a direct room its author only. The room’s log gets MessageDeleted. Deleting it again changes nothing.',
    errors: { types: REFUSALS, union: { description: 'That it is deleted, or why it is not.' } },
    args: { input: t.arg({ type: DeleteMessageInput, required: true, description: 'The message.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      const { messageId } = parseInput(deleteMessageRule, input)
      await context.messages.deleteMessage(viewer, messageId)
      return { messageId }
    },
  }),
)
