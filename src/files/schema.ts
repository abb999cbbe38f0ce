import { AttachmentKind, AttachmentStatus } from '../generated/prisma/enums.ts'
import { ErrorInterface, REFUSALS } from '../graphql/base-types.ts'
import { builder } from '../graphql/builder.ts'
import { requireViewer } from '../graphql/context.ts'
import { encodeGlobalId } from '../graphql/global-id.ts'
import { parseInput } from '../graphql/input.ts'
import type { AttachmentRecord, AttachmentRendition } from '../messages/attachment-record.ts'
import { MessageType } from '../messages/schema.ts'
import { type UserEventOf, ViewerEvent } from '../viewer-events/schema.ts'
import { FileTooLargeError, QuotaExceededError } from './errors.ts'
import { deleteAttachmentRule } from './input-rules.ts'
import type { AttachmentRefusal } from './processing-service.ts'
import type { Files } from './service.ts'

declare module '../graphql/context.ts' {
  interface Services {
    readonly files: Files
    /** Largest file that uploadFile takes. */
    readonly maxUploadBytes: number
  }
}

const AttachmentKindEnum = builder.enumType('AttachmentKind', {
  description: 'How to show an attachment. By its content, whatever it is called.',
  values: {
    [AttachmentKind.IMAGE]: { description: 'A picture, perhaps an animated one.' },
    [AttachmentKind.VIDEO]: { description: 'A film.' },
    [AttachmentKind.AUDIO]: { description: 'A sound.' },
    [AttachmentKind.FILE]: { description: 'Anything else: a download.' },
  } as const,
})

const AttachmentStatusEnum = builder.enumType('AttachmentStatus', {
  description: 'Whether an attachment can be used.',
  values: {
    [AttachmentStatus.PROCESSING]: {
      description: 'It has come, and is looked at. Its uploader hears of the end by AttachmentProcessed.',
    },
    [AttachmentStatus.READY]: { description: 'It can be sent and fetched.' },
    [AttachmentStatus.REFUSED]: { description: 'It cannot be used; `refusal` says why.' },
  } as const,
})

const REFUSAL_DESCRIPTIONS: Record<AttachmentRefusal, string> = {
  TYPE_NOT_ALLOWED: 'By its content it is of a type that this server does not take.',
  INFECTED: 'The virus scanner found something in it.',
  TOO_LARGE_TO_SCAN: 'It is larger than the virus scanner looks at.',
  IMAGE_TOO_LARGE: 'The picture has more pixels, frames or bytes than this server decodes.',
  IMAGE_CORRUPT: 'The picture cannot be decoded without harm.',
  PROCESSING_FAILED: 'It could not be processed, however often it was tried.',
  LOST: 'Its bytes are gone from the storage.',
}

const AttachmentRefusalEnum = builder.enumType('AttachmentRefusal', {
  description: 'Why an attachment was refused.',
  values: Object.fromEntries(
    Object.entries(REFUSAL_DESCRIPTIONS).map(([code, description]) => [code, { description }]),
  ) as Record<
    AttachmentRefusal, // Object.fromEntries forgets the keys
    { description: string }
  >,
})

const urlHelp =
  'It works by itself, as in an <img>, for whoever has it, until it expires. Where the server was not told its public address (PUBLIC_URL), it is a path, to be resolved against the address of this endpoint.'

interface RenditionOf {
  attachment: AttachmentRecord
  rendition: AttachmentRendition
}

const RenditionType = builder.objectRef<RenditionOf>('AttachmentRendition').implement({
  description: 'A smaller picture of an attachment.',
  fields: (t) => ({
    url: t.string({
      nullable: true,
      description: `Where to fetch it; null where it is gone. ${urlHelp}`,
      resolve: ({ attachment, rendition }, _args, { files }) => files.findUrl(attachment, rendition.name)?.url ?? null,
    }),
    contentType: t.string({ description: 'Its type.', resolve: ({ rendition }) => rendition.contentType }),
    width: t.int({ description: 'In pixels.', resolve: ({ rendition }) => rendition.width }),
    height: t.int({ description: 'In pixels.', resolve: ({ rendition }) => rendition.height }),
    sizeBytes: t.int({ description: 'In bytes.', resolve: ({ rendition }) => rendition.sizeBytes }),
  }),
})

/** Lists of these are short and lie in the record: a page of messages may well ask for all of them. */
const SHORT_LIST = { field: 1, multiplier: 2 }

const AttachmentType = builder.objectRef<AttachmentRecord>('Attachment')

builder.node(AttachmentType, {
  description:
    'An uploaded file. Until it is sent it is there for its uploader only; then for those who may read the room of its message.',
  id: { resolve: ({ id }) => id },
  loadMany: (ids: string[], context) => context.files.listAttachmentsByIds(requireViewer(context), ids),
  fields: (t) => ({
    name: t.exposeString('name', { description: 'What its uploader calls it: any Unicode, without folders.' }),
    contentType: t.exposeString('contentType', {
      description: 'Its type by its content; `application/octet-stream` where that is not known.',
    }),
    kind: t.expose('kind', { type: AttachmentKindEnum, description: 'How to show it.' }),
    status: t.expose('status', { type: AttachmentStatusEnum, description: 'Whether it can be used.' }),
    refusal: t.field({
      type: AttachmentRefusalEnum,
      nullable: true,
      description: 'Why it was refused; null where it was not.',
      // The only writers of the column are the job and the clean-up, which know these.
      resolve: ({ refusal }) => refusal as AttachmentRefusal | null,
    }),
    sizeBytes: t.exposeInt('sizeBytes', { description: 'In bytes.' }),
    width: t.exposeInt('width', {
      nullable: true,
      description: 'Of a picture or film, in pixels, as it is shown; null where there is none or nobody knows.',
    }),
    height: t.exposeInt('height', { nullable: true, description: 'As `width`.' }),
    durationMs: t.exposeInt('durationMs', {
      nullable: true,
      description: 'How long a sound or film is, in milliseconds; null where it is neither or nobody knows.',
    }),
    placeholder: t.exposeString('placeholder', {
      nullable: true,
      description: 'Of a picture: a ThumbHash in base64, to be shown until the picture is there.',
    }),
    url: t.string({
      nullable: true,
      description: `Where to fetch it; null unless it is READY. ${urlHelp}`,
      resolve: (attachment, _args, { files }) => files.findUrl(attachment)?.url ?? null,
    }),
    urlExpiresAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When its urls and those of its renditions end: read them anew then. Null where there are none.',
      resolve: (attachment, _args, { files }) => files.findUrl(attachment)?.expiresAt ?? null,
    }),
    renditions: t.field({
      type: [RenditionType],
      complexity: SHORT_LIST,
      description: 'Of a picture: smaller ones, smallest first. A small picture has none.',
      resolve: (attachment) => attachment.renditions.map((rendition) => ({ attachment, rendition })),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When all of it had come.' }),
  }),
})

builder.objectFields(MessageType, (t) => ({
  attachments: t.field({
    type: [AttachmentType],
    complexity: SHORT_LIST,
    description: 'The files that it was sent with, in the order of its author; none where it was deleted.',
    resolve: ({ attachments }) => [...attachments],
  }),
}))

builder.objectRef<UserEventOf<'AttachmentProcessed'>>('AttachmentProcessed').implement({
  description: 'A file that the viewer has uploaded is READY, or was REFUSED.',
  interfaces: [ViewerEvent],
  fields: (t) => ({
    attachment: t.expose('attachment', { type: AttachmentType, description: 'The file, as it is then.' }),
  }),
})

builder.objectType(FileTooLargeError, {
  name: 'FileTooLargeError',
  description: 'The file is too large; nothing was stored.',
  interfaces: [ErrorInterface],
  fields: (t) => ({
    maxBytes: t.exposeInt('maxBytes', { description: 'The largest file that is taken by this way.' }),
  }),
})

builder.objectType(QuotaExceededError, {
  name: 'QuotaExceededError',
  description: 'The viewer would have uploaded more than they may in a day; nothing was stored.',
  interfaces: [ErrorInterface],
  fields: (t) => ({
    bytesPerDay: t.exposeFloat('bytesPerDay', {
      description: 'How much that is: a whole number, which may be larger than an Int.',
    }),
    resetsAt: t.expose('resetsAt', { type: 'DateTime', description: 'When the next day begins.' }),
  }),
})

const UploadFileSuccess = builder.objectRef<{ attachment: AttachmentRecord }>('UploadFileSuccess').implement({
  description: 'All of the file is stored.',
  fields: (t) => ({
    attachment: t.expose('attachment', {
      type: AttachmentType,
      description: 'The file, still PROCESSING. It can be sent at once: sendMessage waits for it.',
    }),
  }),
})

const DeleteAttachmentInput = builder.inputType('DeleteAttachmentInput', {
  description: 'The attachment to take away.',
  fields: (t) => ({ attachmentId: t.id({ required: true, description: 'An attachment that was not sent.' }) }),
})

const DeleteAttachmentSuccess = builder.objectRef<{ attachmentId: string }>('DeleteAttachmentSuccess').implement({
  description: 'The attachment is gone.',
  fields: (t) => ({
    attachmentId: t.id({
      description: 'Its id, as it was given.',
      resolve: ({ attachmentId }) => encodeGlobalId('Attachment', attachmentId),
    }),
  }),
})

builder.mutationFields((t) => ({
  uploadFile: t.field({
    type: UploadFileSuccess,
    description:
      'Uploads a small file, at most `limits.uploadBytes`, by the GraphQL multipart request specification; larger ones go by tus to `/uploads`. Answers when it is stored; what it is, is found out afterwards.',
    errors: {
      types: [FileTooLargeError, QuotaExceededError, ...REFUSALS],
      union: { description: 'The attachment, or why it was refused.' },
    },
    args: { file: t.arg({ type: 'File', required: true, description: 'The file.' }) },
    resolve: async (_root, { file }, context) => {
      const viewer = requireViewer(context)
      const { name, claimedType: contentType, sizeBytes } = file
      const received = { name, contentType, sizeBytes, bytes: file.open(), maxBytes: context.maxUploadBytes }
      return { attachment: await context.files.upload(viewer, received) }
    },
  }),
  deleteAttachment: t.field({
    type: DeleteAttachmentSuccess,
    description:
      'Takes away a file that the viewer has uploaded and not sent; one that was sent goes with its message. Counts towards the day’s limit all the same.',
    errors: { types: REFUSALS, union: { description: 'That it is gone, or why it is not.' } },
    args: { input: t.arg({ type: DeleteAttachmentInput, required: true, description: 'Which one.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      const { attachmentId } = parseInput(deleteAttachmentRule, input)
      await context.files.deleteAttachment(viewer, attachmentId)
      return { attachmentId }
    },
  }),
}))
