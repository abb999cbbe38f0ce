// The services, put together: what each is given of the others, and of what was opened for them.

import { createAuthenticator } from './auth/authenticator.ts'
import { createDevelopmentSignIn } from './auth/development-sign-in.ts'
import { Revocations } from './auth/revocation-service.ts'
import { createAuth } from './auth/service.ts'
import { Sessions } from './auth/sessions.ts'
import { createTokenVerifier } from './auth/token-verifier.ts'
import type { Config } from './config.ts'
import { createPublisher } from './events/publisher.ts'
import type { LogEvent } from './events/room-event.ts'
import { createRoomLogReader, type RoomLogReader } from './events/room-log-reader.ts'
import { createTopicLog } from './events/topic-log.ts'
import { parseLogTopic } from './events/topics.ts'
import { MAX_UNSENT_FILES } from './files/upload-service.ts'
import { MAX_PAGE_SIZE } from './graphql/builder.ts'
import type { Services } from './graphql/context.ts'
import { encodeGlobalId } from './graphql/global-id.ts'
import { RoomRights } from './live/room-rights.ts'
import { createLive } from './live/service.ts'
import { MAX_ATTACHMENTS, sendMessageRule } from './messages/input-rules.ts'
import { createMessages } from './messages/service.ts'
import { createMessageSource } from './messages/store.ts'
import type { OutboundOptions } from './notifications/outbound-requests.ts'
import { createNotifications } from './notifications/service.ts'
import { openChannels } from './open-channels.ts'
import { createFilesFeature, type OpenFiles, openFiles } from './open-files.ts'
import type { openRealtime } from './open-realtime.ts'
import { createOperations } from './operations/service.ts'
import type { Clock } from './platform/clock.ts'
import type { Closers } from './platform/closers.ts'
import type { Db } from './platform/db.ts'
import type { Jobs } from './platform/jobs.ts'
import type { Logger } from './platform/logger.ts'
import type { Viewer } from './platform/viewer.ts'
import { createPresence } from './presence/service.ts'
import { Hub } from './realtime/hub.ts'
import type { Entry } from './realtime/topic-log.ts'
import { createRoomEventSource } from './rooms/event-source.ts'
import { createRooms } from './rooms/service.ts'
import { createServerInfo, type ServerDescription } from './server-info/service.ts'
import { createUsers } from './users/service.ts'

const CAPABILITIES = [
  'rooms',
  'messages',
  'history',
  'history-around-seq',
  'idempotent-send',
  'mentions',
  'webhooks',
  'presence',
  'typing',
  'notifications',
  'resume',
  'subscriptions-websocket',
  'subscriptions-sse',
] as const

const FILE_CAPABILITIES = ['files', 'uploads-multipart', 'uploads-tus'] as const

/** What the services stand on. */
export interface ServiceParts {
  config: Config
  logger: Logger
  clock: Clock
  /** Webhooks and push services as tests have them. */
  outbound: Pick<OutboundOptions, 'lookup' | 'ca'>
  db: Db
  /** The same database, for jobs. */
  background: Db
  /** Not started yet. */
  jobs: Jobs
  realtime: Awaited<ReturnType<typeof openRealtime>>
  description: { name: string; version: string }
  /** Null where the database is not embedded. */
  dataDir: string | null
}

/** Puts the services together, and whom the transport asks. What is opened here is closed with `opened`. */
export async function openServices(parts: ServiceParts, opened: Closers) {
  const { config, logger, clock, db, background, jobs, realtime, description, dataDir } = parts
  const openedFiles = await openFilesIfAny(config, { dataDir, clock }, opened)
  const { bus, presenceStore } = realtime
  const [log, roomLog] = [createTopicLog(db, openRoomLogReader(db)), openRoomLogReader(background)]
  const publisher = createPublisher({ bus, log, logger, onPublished: (event) => consumer.onPublished(event) })
  const rights = new RoomRights()
  const observe = ({ event }: Entry<LogEvent>) => rights.observe(event)
  const onRestart = (topic: string) => rights.recheck(parseLogTopic(topic).id)
  const hub = new Hub({ bus, log, observe, onRestart, logger, sweepIntervalMs: config.realtime.sweepIntervalMs })
  opened.add(() => hub.close())

  const users = createUsers({ db, publisher })
  const rooms = createRooms({ db, publisher, clock })
  const sessions = new Sessions({ clock, isRevoked: (viewer) => revocations.isRevoked(viewer) })
  opened.add(() => sessions.close())
  const revocations = new Revocations({
    ...{ db, bus, publisher, clock, logger },
    onRevoked: ({ userId, validFrom }) => sessions.revoke(userId, validFrom),
    sweepIntervalMs: config.realtime.sweepIntervalMs,
  })
  opened.add(() => revocations.close())
  const { files, mount } = createFilesFeature({
    ...{ open: openedFiles, config, db, jobs: parts.jobs, publisher, rooms, clock, logger },
  })
  const messages = createMessages({ db, publisher, rooms, attachments: files.attachments, clock })
  const presence = createPresence({ store: presenceStore, bus, rooms, users, logger, clock, ...config.presence })
  opened.add(() => presence.close())
  const { channel, push, webhooks } = await openChannels({ ...parts, rooms })
  const { consumer, ...notifications } = createNotifications({
    ...{ db, background, roomLog, publisher, jobs, rooms, messages, presence, clock, logger },
    ...{ channel, ...config.notifications },
  })
  const live = createLive({ hub, rights, rooms, users, presence, openSession: sessions.open })
  const serverInfo = createServerInfo({
    description: {
      ...description,
      capabilities: [...CAPABILITIES, ...(openedFiles ? FILE_CAPABILITIES : [])],
      limits: limitsOf(config),
    },
    db,
    bus,
    usesRedis: config.redisUrl !== null,
    presence,
    clock,
  })
  const signIn = await createSignIn(config, { dataDir, clock })
  const verifier = createTokenVerifier(signIn.identity, { clock })
  const authenticate = createAuthenticator({ verifier, users, revocations })
  const auth = createAuth({ authenticate })
  const services: Services = {
    ...{ auth, users, revocations, rooms, files, messages, presence, live, serverInfo, push, webhooks },
    ...{ ...notifications, operations: createOperations({ jobs }) },
    sendMessageRule: sendMessageRule(config.limits.maxMessageCharacters),
    maxUploadBytes: config.uploads.maxUploadBytes,
  }
  const authorized = {
    openSession: sessions.open,
    connect: ({ userId }: Viewer, connectionId: string) => presence.connect({ id: connectionId, userId }),
    async describeViewer({ userId }: { userId: string }) {
      const user = await users.findArriving(userId)
      return user && { id: encodeGlobalId('User', user.id), name: user.name }
    },
  }
  const mounted = mount(authenticate)
  return { services, authenticate, authorized, issueToken: signIn.issueToken, mounted, consumer }
}

function openRoomLogReader(db: Db): RoomLogReader {
  return createRoomLogReader(db, [createMessageSource(db), createRoomEventSource(db)])
}

/** What clients are told. */
function limitsOf({ limits, http, uploads, fileChecks }: Config): ServerDescription['limits'] {
  return {
    messageCharacters: limits.maxMessageCharacters,
    requestBytes: http.maxBodyBytes,
    webSocketMessageBytes: limits.wsMaxPayloadBytes,
    subscriptionsPerConnection: limits.maxSubscriptionsPerConnection,
    pageSize: MAX_PAGE_SIZE,
    attachmentsPerMessage: MAX_ATTACHMENTS,
    uploadBytes: uploads.maxUploadBytes,
    fileBytes: uploads.maxFileBytes,
    fileBytesPerDay: uploads.maxBytesPerDay,
    fileTypes: fileChecks.allowedTypes,
    unsentFiles: MAX_UNSENT_FILES,
  }
}

async function openFilesIfAny(
  { files, fileChecks: checks, uploads }: Config,
  { dataDir, clock }: { dataDir: string | null; clock: Clock },
  opened: Closers,
): Promise<OpenFiles | null> {
  if (files === null) return null
  const open = await openFiles({ config: files, checks, dataDir, uploadExpirationMs: uploads.unsentMs, clock })
  opened.add(() => open.close())
  return open
}

async function createSignIn({ identity }: Config, { dataDir, clock }: { dataDir: string | null; clock: Clock }) {
  if (identity.kind !== 'development') return { identity, issueToken: null }
  if (dataDir === null) throw new Error('signing in by name needs the embedded database')
  const signIn = await createDevelopmentSignIn({ secretFile: `${dataDir}/development-secret`, clock })
  return { identity: signIn.identity, issueToken: signIn.issueToken }
}
