// The composition root: the only place that picks embedded Postgres or a given one, memory or Redis.

import { readFile } from 'node:fs/promises'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { createAuthenticator } from './auth/authenticator.ts'
import { createDevelopmentSignIn } from './auth/development-sign-in.ts'
import { Revocations } from './auth/revocation-service.ts'
import { createAuth } from './auth/service.ts'
import { Sessions } from './auth/sessions.ts'
import { createTokenVerifier } from './auth/token-verifier.ts'
import type { Config } from './config.ts'
import { createPublisher } from './events/publisher.ts'
import { startRetention } from './events/retention.ts'
import type { LogEvent } from './events/room-event.ts'
import { createTopicLog } from './events/topic-log.ts'
import { parseLogTopic } from './events/topics.ts'
import { MAX_PAGE_SIZE } from './graphql/builder.ts'
import type { Services } from './graphql/context.ts'
import { encodeGlobalId } from './graphql/global-id.ts'
import { buildSchema, printPublishedSchema } from './graphql/schema.ts'
import { RoomRights } from './live/room-rights.ts'
import { createLive } from './live/service.ts'
import { sendMessageRule } from './messages/input-rules.ts'
import { createMessages } from './messages/service.ts'
import { createMessageSource } from './messages/store.ts'
import { openDatabase } from './open-database.ts'
import { openRealtime } from './open-realtime.ts'
import { type Clock, systemClock } from './platform/clock.ts'
import { Closers } from './platform/closers.ts'
import { createDb, type Db } from './platform/db.ts'
import { RefusedError } from './platform/errors.ts'
import { newId } from './platform/ids.ts'
import { Jobs } from './platform/jobs.ts'
import type { Logger } from './platform/logger.ts'
import type { Viewer } from './platform/viewer.ts'
import { createPresence } from './presence/service.ts'
import { Hub } from './realtime/hub.ts'
import type { Entry } from './realtime/topic-log.ts'
import { createRoomEventSource } from './rooms/event-source.ts'
import { createRooms } from './rooms/service.ts'
import { createServerInfo } from './server-info/service.ts'
import { createGraphQLEndpoint } from './transport/graphql-endpoint.ts'
import { createHttpServer } from './transport/http-server.ts'
import { createWebSocketServer } from './transport/websocket-server.ts'
import { createUsers } from './users/service.ts'

const CAPABILITIES = [
  'rooms',
  'messages',
  'history',
  'history-around-seq',
  'idempotent-send',
  'presence',
  'typing',
  'resume',
  'subscriptions-websocket',
  'subscriptions-sse',
] as const

/** Of the time for a stop: jobs that take longer are done elsewhere. */
const JOBS_SHARE_OF_SHUTDOWN = 0.2

export interface App {
  /** Where the server listens, as http://host:port. */
  readonly url: string
  /** A token for a name; null unless in development. */
  readonly issueToken: ((name: string) => Promise<string>) | null
  /** Resolves, with the reason, when something that this process cannot live without has ended by itself. */
  readonly failed: Promise<string>
  /** Takes no new work, tells clients to come back, ends everything. Safe to call twice. */
  close(): Promise<void>
}

export interface AppOptions {
  config: Config
  logger: Logger
  clock?: Clock
}

/** Starts everything, or nothing: what was opened before a failure is closed again. */
export async function startApp({ config, logger, clock = systemClock }: AppOptions): Promise<App> {
  const opened = new Closers()
  try {
    return await start({ config, logger, clock }, opened)
  } catch (error) {
    await opened.close()
    throw error
  }
}

async function start({ config, logger, clock }: Required<AppOptions>, opened: Closers): Promise<App> {
  const projectDir = fileURLToPath(new URL('..', import.meta.url))
  const description = await describeSelf(projectDir)
  const database = await openDatabase({ config: config.database, projectDir, logger })
  opened.add(() => database.close())
  const db = createDb({ url: database.url, poolSize: config.database.poolSize })
  opened.add(() => db.$disconnect())
  const realtime = await openRealtime({ redisUrl: config.redisUrl, nodeId: newId(), clock, logger })
  opened.add(() => realtime.close())

  const jobs = new Jobs({ url: database.url, logger })
  const { services, authenticate, issueToken, authorized } = await createServices(
    { config, logger, clock, db, jobs, realtime, description, dataDir: database.dataDir },
    opened,
  )
  // Before what its jobs need is closed.
  opened.add(() => jobs.stop(config.shutdownTimeoutMs * JOBS_SHARE_OF_SHUTDOWN))
  await jobs.start()
  opened.add(startRetention({ db, clock, days: config.logRetentionDays, logger }))

  const schema = buildSchema()
  const endpoint = createGraphQLEndpoint({
    schema,
    services: { ...services, db },
    authenticate,
    corsOrigins: config.http.corsOrigins,
    graphiql: config.http.graphiql ? { issueToken } : null,
    logger,
  })
  // The rest of the time is for closing what served them.
  const inFlightMs = config.shutdownTimeoutMs * 0.7
  const http = createHttpServer({
    endpoint,
    schemaText: printPublishedSchema(schema),
    isReady: services.serverInfo.isReady,
    description,
    hasGraphiQL: config.http.graphiql,
    issueToken,
    corsOrigins: config.http.corsOrigins,
    maxBodyBytes: config.http.maxBodyBytes,
    drainTimeoutMs: inFlightMs,
    logger,
  })
  const sockets = createWebSocketServer({
    server: http.server,
    endpoint,
    authenticate,
    ...authorized,
    description,
    maxPayloadBytes: config.limits.wsMaxPayloadBytes,
    maxSubscriptionsPerConnection: config.limits.maxSubscriptionsPerConnection,
    keepAliveMs: config.realtime.wsKeepAliveMs,
    compression: config.realtime.wsCompression,
    outboundLimits: config.realtime.outbound,
    logger,
  })
  const url = await listen(http.server, config.http)
  // Last opened, first closed: sockets are told to come back before what serves them ends.
  opened.add(async () => {
    http.startDraining()
    const windowMs = config.drainWindowMs
    // What is asked over HTTP meanwhile is answered: a balancer may take its time to notice.
    await Promise.all([sockets.close({ windowMs, answersTimeoutMs: inFlightMs }), http.drain(windowMs)])
    await endpoint.dispose()
  })
  return { url, issueToken, failed: database.failed, close: () => opened.close() }
}

interface ServiceParts {
  config: Config
  logger: Logger
  clock: Clock
  db: Db
  /** Not started yet. */
  jobs: Jobs
  realtime: Awaited<ReturnType<typeof openRealtime>>
  description: { name: string; version: string }
  /** Null where the database is not embedded. */
  dataDir: string | null
}

async function createServices(parts: ServiceParts, opened: Closers) {
  const { config, logger, clock, db, realtime, description, dataDir } = parts
  const { bus, presenceStore } = realtime
  const log = createTopicLog(db, [createMessageSource(db), createRoomEventSource(db)])
  const publisher = createPublisher({ bus, log, logger })
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
  const messages = createMessages({ db, publisher, rooms, attachments: noAttachments, clock })
  const presence = createPresence({ store: presenceStore, bus, rooms, users, logger, clock, ...config.presence })
  opened.add(() => presence.close())
  const live = createLive({ hub, rights, rooms, users, presence, openSession: sessions.open })
  const limits = {
    messageCharacters: config.limits.maxMessageCharacters,
    requestBytes: config.http.maxBodyBytes,
    webSocketMessageBytes: config.limits.wsMaxPayloadBytes,
    subscriptionsPerConnection: config.limits.maxSubscriptionsPerConnection,
    pageSize: MAX_PAGE_SIZE,
  }
  const serverInfo = createServerInfo({
    description: { ...description, capabilities: CAPABILITIES, limits },
    db,
    bus,
    usesRedis: config.redisUrl !== null,
    presence,
    clock,
  })
  const sendRule = sendMessageRule(config.limits.maxMessageCharacters)
  const signIn = await createSignIn(config, { dataDir, clock })
  const authenticate = createAuthenticator({
    verifier: createTokenVerifier(signIn.identity, { clock }),
    users,
    revocations,
  })
  const auth = createAuth({ authenticate })
  const services: Services = {
    ...{ auth, users, revocations, rooms, messages, presence, live, serverInfo },
    sendMessageRule: sendRule,
  }
  const authorized = {
    openSession: sessions.open,
    connect: ({ userId }: Viewer, connectionId: string) => presence.connect({ id: connectionId, userId }),
    async describeViewer({ userId }: { userId: string }) {
      const user = await users.findArriving(userId)
      return user && { id: encodeGlobalId('User', user.id), name: user.name }
    },
  }
  return { services, authenticate, authorized, issueToken: signIn.issueToken }
}

// Until files are here.
const noAttachments = {
  prepare: async (): Promise<never> => {
    throw new RefusedError('NOT_FOUND', 'There is no such attachment.')
  },
  release: async () => {},
}

async function createSignIn({ identity }: Config, { dataDir, clock }: { dataDir: string | null; clock: Clock }) {
  if (identity.kind !== 'development') return { identity, issueToken: null }
  if (dataDir === null) throw new Error('signing in by name needs the embedded database')
  const signIn = await createDevelopmentSignIn({ secretFile: `${dataDir}/development-secret`, clock })
  return { identity: signIn.identity, issueToken: (name: string) => signIn.issueToken(name) }
}

async function describeSelf(projectDir: string): Promise<{ name: string; version: string }> {
  const { version } = JSON.parse(await readFile(`${projectDir}/package.json`, 'utf8'))
  return { name: 'Sohbet', version: String(version) }
}

async function listen(server: Server, { host, port }: { host: string; port: number }): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  // A TCP server has an address object.
  const address = server.address() as AddressInfo
  const shown = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return `http://${shown}:${address.port}`
}
