// Real objects of every type that a live event can reach: the services on a database of their own, a story in which
// everything happens, and its events as the schema's streams give them.

import {
  createSourceEventStream,
  type DocumentNode,
  execute,
  type GraphQLSchema,
  getNamedType,
  isObjectType,
  parse,
} from 'graphql'
import { Revocations } from '../../src/auth/revocation-service.ts'
import { createAuth } from '../../src/auth/service.ts'
import { Sessions } from '../../src/auth/sessions.ts'
import { createPublisher, type Publisher } from '../../src/events/publisher.ts'
import { createRoomLogReader } from '../../src/events/room-log-reader.ts'
import { createTopicLog } from '../../src/events/topic-log.ts'
import { appendUserEvent } from '../../src/events/user-log.ts'
import { renditionKey, uploadKey } from '../../src/files/object-keys.ts'
import { createFiles } from '../../src/files/service.ts'
import { createUrlSigner } from '../../src/files/signed-url.ts'
import type { Context, Services } from '../../src/graphql/context.ts'
import { encodeGlobalId } from '../../src/graphql/global-id.ts'
import { RoomRights } from '../../src/live/room-rights.ts'
import { createLive } from '../../src/live/service.ts'
import { sendMessageRule } from '../../src/messages/input-rules.ts'
import { createMessages } from '../../src/messages/service.ts'
import { createMessageSource } from '../../src/messages/store.ts'
import { createInbox } from '../../src/notifications/inbox-service.ts'
import { createPush } from '../../src/notifications/push-service.ts'
import { createNotificationSettings } from '../../src/notifications/settings-service.ts'
import { createWebhooks } from '../../src/notifications/webhook-service.ts'
import { createOperations } from '../../src/operations/service.ts'
import { systemClock } from '../../src/platform/clock.ts'
import { createDb } from '../../src/platform/db.ts'
import { newId } from '../../src/platform/ids.ts'
import { Jobs } from '../../src/platform/jobs.ts'
import { createLogger } from '../../src/platform/logger.ts'
import type { Viewer } from '../../src/platform/viewer.ts'
import { createMemoryPresenceStore } from '../../src/presence/presence-store-memory.ts'
import { createPresence } from '../../src/presence/service.ts'
import { createMemoryEventBus } from '../../src/realtime/event-bus-memory.ts'
import { Hub } from '../../src/realtime/hub.ts'
import { createRoomEventSource } from '../../src/rooms/event-source.ts'
import { createRooms } from '../../src/rooms/service.ts'
import { createServerInfo } from '../../src/server-info/service.ts'
import { createUsers } from '../../src/users/service.ts'
import { NOTIFICATION_EVENTS, type Told, tellOf } from './notification-story.ts'
import { type LeaveOut, selectAll } from './schema-walk.ts'

export interface LiveEvent {
  /** The field of Subscription whose stream it came from. */
  field: string
  event: unknown
}

export interface LiveSamples {
  /** Of a signed-in user. */
  readonly context: Context
  readonly events: readonly LiveEvent[]
  /** By the name of its type, an object that a resolver of the type was given when the events were executed. */
  readonly objects: ReadonlyMap<string, unknown>
  close(): Promise<void>
}

/** What each stream of the story brings, by type, kind or text. */
const ITEMS = {
  roomEvents: [
    'CaughtUp',
    'MessageSent',
    'RoomUpdated',
    'MemberLeft',
    'MemberRoleChanged',
    'MemberJoined',
    'MemberBanned',
    'MemberUnbanned',
    'MessageDeleted',
    'RoomArchived',
  ],
  messageAdded: ['a reply'],
  roomPresence: ['change', 'typing'],
  viewerEvents: [
    ...(['CaughtUp', 'RoomGained', 'ProfileUpdated', 'TokensRevoked', 'AttachmentProcessed'] as const),
    ...[...NOTIFICATION_EVENTS, 'RoomLost' as const],
  ],
} as const

type Field = keyof typeof ITEMS

/** Plays the story. Close it in the end. */
export async function playStory(databaseUrl: string, makeSchema: () => GraphQLSchema): Promise<LiveSamples> {
  const schema = makeSchema()
  const { context, publisher, close, addAttachment } = openServices(databaseUrl)
  try {
    const [ada, bob] = [await signUp(context, 'Ada'), await signUp(context, 'Bob')]
    const asBob: Context = { ...context, viewer: bob }
    const { id: roomId } = await context.rooms.createRoom(ada, {
      kind: 'PUBLIC',
      name: 'Story',
      slug: null,
      topic: null,
      memberIds: [],
    })
    const open = (field: Field, after: number) =>
      openStream(schema, field, asBob, { roomId: encodeGlobalId('Room', roomId), after })
    const streams = await Promise.all(
      (['roomEvents', 'messageAdded', 'roomPresence', 'viewerEvents'] as const).map(async (field) => ({
        field,
        stream: await open(field, 0),
      })),
    )
    // A reader that asks for what never was, to be told so.
    const ahead = await open('viewerEvents', 1_000_000)
    // Before anything happens: a later snapshot would show it already, and no change.
    const watched = streams.find(({ field }) => field === 'roomPresence')
    const events: LiveEvent[] = [{ field: 'roomPresence', event: (await watched?.stream.next())?.value }]
    await addAttachment(bob)
    const attachmentId = await addAttachment(ada)
    const eve = await signUp(context, 'Eve')
    await play({ ...context, publisher }, { ada, bob, eve, roomId, attachmentId })
    events.push({ field: 'viewerEvents', event: (await ahead.next()).value })
    // In memory presence is never lost.
    events.push({ field: 'roomPresence', event: { kind: 'unknown', since: new Date() } })
    for (const { field, stream } of streams) {
      for (const event of await takeAll(stream, ITEMS[field])) events.push({ field, event })
    }
    await Promise.all([ahead, ...streams.map(({ stream }) => stream)].map((stream) => stream.return?.()))
    return { context: asBob, events, objects: await collectObjects(schema, events, asBob), close }
  } catch (error) {
    await close()
    throw error
  }
}

async function play(
  { rooms, messages, users, presence, revocations, push, ...told }: Services & Told,
  {
    ada,
    bob,
    eve,
    roomId,
    attachmentId,
  }: { ada: Viewer; bob: Viewer; eve: Viewer; roomId: string; attachmentId: string },
) {
  const write = (text: string, replyToId: string | null, attachmentIds: string[] = []) =>
    messages.sendMessage(ada, { roomId, text, replyToId, clientMessageId: newId(), attachmentIds })
  await rooms.joinRoom(bob, roomId)
  const { id } = await write('hello @room', null, [attachmentId])
  await write('a reply', id)
  const { id: deletedId } = await write('not this', null)
  await push.subscribe(bob, { endpoint: 'https://push.example.com/bob', p256dh: '', auth: '', userAgent: null })
  await users.updateProfile(bob, { statusText: 'busy' })
  await revocations.revokeTokens(ada, bob.userId)
  await tellOf(await write('hello @Bob', null), bob, told)
  await rooms.updateRoom(ada, roomId, { topic: 'Stories' })
  presence.enterRoom(roomId, { id: newId(), userId: ada.userId })
  await presence.setTyping(ada, roomId, true)
  await rooms.leaveRoom(bob, roomId)
  await rooms.joinRoom(bob, roomId)
  // The last owner leaves: Bob has the room then.
  await rooms.leaveRoom(ada, roomId)
  await rooms.joinRoom(ada, roomId)
  // One ban is lifted and one stays, for Bob to see.
  for (const endsAt of [null, new Date('2100-01-01T00:00:00Z')]) {
    await rooms.unbanMember(bob, roomId, eve.userId)
    await rooms.banMember(bob, roomId, eve.userId, { reason: 'spam', endsAt })
  }
  await messages.deleteMessage(bob, deletedId)
  await rooms.archiveRoom(bob, roomId)
}

interface OpenedServices {
  context: Context
  publisher: Publisher
  /** A picture that somebody has uploaded and that was processed; gives its id. */
  addAttachment(viewer: Viewer): Promise<string>
  close(): Promise<void>
}

/** The services as app.ts puts them together, in memory but for the database. */
function openServices(databaseUrl: string): OpenedServices {
  const db = createDb({ url: databaseUrl, poolSize: 3 })
  const bus = createMemoryEventBus()
  const logger = createLogger('fatal')
  const log = createTopicLog(db, createRoomLogReader(db, [createMessageSource(db), createRoomEventSource(db)]))
  const publisher = createPublisher({ bus, log, logger })
  const hub = new Hub({ bus, log, logger, sweepIntervalMs: 100 })
  const users = createUsers({ db, publisher })
  const revocations = new Revocations({
    db,
    bus,
    publisher,
    clock: systemClock,
    logger,
    onRevoked: () => {},
    sweepIntervalMs: 60_000,
  })
  const rooms = createRooms({ db, publisher })
  const signer = createUrlSigner({ secret: 'of the samples', ttlMs: 60_000, clock: systemClock })
  const jobs = new Jobs({ url: databaseUrl, logger })
  const files = createFiles({ db, jobs, rooms, uploads: null, signer, publicUrl: '' })
  const messages = createMessages({ db, publisher, rooms, attachments: files.attachments, clock: systemClock })
  const store = createMemoryPresenceStore({ clock: systemClock, nodeId: newId() })
  const times = { ttlMs: 30_000, graceMs: 0, coalesceMs: 1 }
  const presence = createPresence({ store, bus, rooms, users, logger, ...times })
  const limits = {
    messageCharacters: 1,
    requestBytes: 1,
    webSocketMessageBytes: 1,
    subscriptionsPerConnection: 1,
    pageSize: 1,
    attachmentsPerMessage: 1,
    uploadBytes: 1,
    fileBytes: 1,
    fileBytesPerDay: 1,
    fileTypes: ['*/*'],
    unsentFiles: 1,
  }
  const description = { name: 'Sohbet', version: '0', capabilities: [], limits }
  const serverInfo = createServerInfo({ description, db, bus, usesRedis: false, presence, clock: systemClock })
  const sessions = new Sessions({ clock: systemClock, isRevoked: () => false })
  const auth = createAuth({ authenticate: async () => null })
  const live = createLive({ hub, rights: new RoomRights(), rooms, users, presence, openSession: sessions.open })
  return {
    context: {
      db,
      auth,
      users,
      revocations,
      rooms,
      files,
      messages,
      presence,
      live,
      serverInfo,
      push: createPush({ db, targets: { allowsPrivate: false, allowsHttp: false }, vapidPublicKey: 'a key' }),
      webhooks: createWebhooks({
        db,
        jobs: new Jobs({ url: databaseUrl, logger }),
        clock: systemClock,
        targets: { allowsPrivate: false, allowsHttp: false },
        retryForMs: 0,
      }),
      inbox: createInbox({ db, publisher, rooms, messages, clock: systemClock }),
      notificationSettings: createNotificationSettings({ db, publisher, rooms, onChanged: () => {} }),
      operations: createOperations({ jobs: { listDead: async () => [], retryDead: async () => 0 } }),
      sendMessageRule: sendMessageRule(1_000),
      maxUploadBytes: 1,
      viewer: null,
      session: null,
      connectionId: newId(),
      requestId: newId(),
    },
    publisher,
    async addAttachment({ userId: uploaderId }) {
      const id = newId()
      const size = { contentType: 'image/webp', width: 3, height: 2, sizeBytes: 1 }
      const objectKey = uploadKey(id)
      const { kind, status } = { kind: 'IMAGE', status: 'READY' } as const
      const renditions = [{ name: '160', objectKey: renditionKey(id, '160'), ...size }]
      await db.attachment.create({
        data: { id, uploaderId, name: 'a.webp', kind, status, objectKey, placeholder: 'AA==', renditions, ...size },
      })
      const [attachment] = await files.listAttachmentsByIds({ userId: uploaderId } as Viewer, [id]) // it asks no more
      if (!attachment) throw new Error('the attachment is not there')
      const event = { type: 'AttachmentProcessed', attachment } as const
      publisher.publishEvents(await db.$transaction((tx) => appendUserEvent(tx, [uploaderId], event)))
      return id
    },
    async close() {
      sessions.close()
      await presence.close()
      await hub.close()
      await revocations.close()
      await bus.close()
      await db.$disconnect()
    },
  }
}

async function signUp({ users }: Services, name: string): Promise<Viewer> {
  const claims = { subject: name, name, picture: 'https://example.com/a.png', issuedAt: null }
  const { id } = await users.ensureUser(claims)
  return { userId: id, issuedAt: null, expiresAt: new Date('2100-01-01T00:00:00Z'), isOperator: name === 'Ada' }
}

/** The operation of a subscription that selects everything of its items but what is left out. */
export function subscribeToAll(schema: GraphQLSchema, field: string, isLeftOut?: LeaveOut): DocumentNode {
  const definition = schema.getSubscriptionType()?.getFields()[field]
  if (!definition) throw new Error(`there is no subscription ${field}`)
  const types: Record<string, string> = { roomId: 'ID!', after: 'Int' }
  const names = definition.args.map(({ name }) => name)
  const variables = names.map((name) => `$${name}: ${types[name]}`)
  const args = names.map((name) => `${name}: $${name}`)
  const selection = selectAll(schema, getNamedType(definition.type), isLeftOut)
  return parse(`subscription (${variables.join(', ')}) { ${field}(${args.join(', ')}) ${selection} }`)
}

async function openStream(
  schema: GraphQLSchema,
  field: Field,
  contextValue: Context,
  variableValues: Record<string, unknown>,
) {
  const document = subscribeToAll(schema, field)
  const source = await createSourceEventStream({ schema, document, contextValue, variableValues })
  if (!(Symbol.asyncIterator in source)) throw new Error(`${field} was refused: ${JSON.stringify(source)}`)
  return source[Symbol.asyncIterator]()
}

/** The items of a stream up to when each of these has come. */
async function takeAll(stream: AsyncIterator<unknown>, names: readonly string[]): Promise<unknown[]> {
  const missing = new Set(names)
  const taken: unknown[] = []
  while (missing.size > 0) {
    const { value, done } = await stream.next()
    if (done) throw new Error(`the stream ended without ${[...missing]}`)
    taken.push(value)
    missing.delete(nameOf(value))
  }
  return taken
}

function nameOf(item: unknown): string {
  // As the features make them: events have a type, signals a kind, messages a text.
  const { type, kind, text } = item as { type?: string; kind?: string; text?: string }
  return type ?? kind ?? text ?? ''
}

/** Executes everything of every event, and notes what the resolvers are given. Changes the schema. */
async function collectObjects(schema: GraphQLSchema, events: readonly LiveEvent[], contextValue: Context) {
  const objects = new Map<string, unknown>()
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type)) continue
    for (const field of Object.values(type.getFields())) {
      const { resolve } = field
      field.resolve = (source, args, context, info) => {
        if (!objects.has(type.name)) objects.set(type.name, source)
        return resolve ? resolve(source, args, context, info) : source[field.name]
      }
    }
  }
  for (const { field, event } of events) {
    const document = subscribeToAll(schema, field)
    const { errors } = await execute({
      schema,
      document,
      rootValue: event,
      contextValue,
      variableValues: { roomId: '' },
    })
    if (errors) throw new Error(`${field} could not be executed: ${errors.join(', ')}`)
  }
  return objects
}
