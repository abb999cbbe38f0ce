// The composition root: the only place that picks embedded Postgres or a given one, memory or Redis.

import { readFile } from 'node:fs/promises'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { Config } from './config.ts'
import { startRetention } from './events/retention.ts'
import { buildSchema, printPublishedSchema } from './graphql/schema.ts'
import type { OutboundOptions } from './notifications/outbound-requests.ts'
import { openDatabase } from './open-database.ts'
import { openRealtime } from './open-realtime.ts'
import { openServices } from './open-services.ts'
import { type Clock, systemClock } from './platform/clock.ts'
import { Closers } from './platform/closers.ts'
import { createDb } from './platform/db.ts'
import { newId } from './platform/ids.ts'
import { Jobs } from './platform/jobs.ts'
import type { Logger } from './platform/logger.ts'
import { createGraphQLEndpoint } from './transport/graphql-endpoint.ts'
import { createHttpServer } from './transport/http-server.ts'
import type { IssueToken } from './transport/sign-in-route.ts'
import { createWebSocketServer } from './transport/websocket-server.ts'

/** Connections beside those of DATABASE_POOL_SIZE. */
const BACKGROUND_POOL_SIZE = 4

/** Of the time for a stop: jobs that take longer are done elsewhere. */
const JOBS_SHARE_OF_SHUTDOWN = 0.2

export interface App {
  /** Where the server listens, as http://host:port. */
  readonly url: string
  /** A token for a name; null unless in development. */
  readonly issueToken: IssueToken | null
  /** Resolves, with the reason, when something that this process cannot live without has ended by itself. */
  readonly failed: Promise<string>
  /** Takes no new work, tells clients to come back, ends everything. Safe to call twice. */
  close(): Promise<void>
}

export interface AppOptions {
  config: Config
  logger: Logger
  clock?: Clock
  /** Webhooks and push services as tests have them. */
  outbound?: Pick<OutboundOptions, 'lookup' | 'ca'>
}

/** Starts everything, or nothing: what was opened before a failure is closed again. */
export async function startApp({ clock = systemClock, outbound = {}, ...given }: AppOptions): Promise<App> {
  const opened = new Closers()
  try {
    return await start({ ...given, clock, outbound }, opened)
  } catch (error) {
    await opened.close()
    throw error
  }
}

async function start(options: Required<AppOptions>, opened: Closers): Promise<App> {
  const { config, logger, clock } = options
  const projectDir = fileURLToPath(new URL('..', import.meta.url))
  const description = await describeSelf(projectDir)
  const database = await openDatabase({ config: config.database, projectDir, logger })
  opened.add(() => database.close())
  const { db, background } = openPools(database.url, config.database, opened)
  const realtime = await openRealtime({ redisUrl: config.redisUrl, nodeId: newId(), clock, logger })
  opened.add(() => realtime.close())

  const jobs = new Jobs({ url: database.url, logger })
  const { services, authenticate, issueToken, authorized, mounted, consumer } = await openServices(
    { ...options, db, background, jobs, realtime, description, dataDir: database.dataDir },
    opened,
  )
  // Before what its jobs need is closed.
  opened.add(() => jobs.stop(config.shutdownTimeoutMs * JOBS_SHARE_OF_SHUTDOWN))
  await jobs.start()
  consumer.start()
  opened.add(() => consumer.close())
  opened.add(startRetention({ db, clock, days: config.logRetentionDays, logger }))

  const schema = buildSchema()
  const endpoint = createGraphQLEndpoint({
    schema,
    services: { ...services, db },
    authenticate,
    corsOrigins: config.http.corsOrigins,
    maxBodyBytes: config.http.maxBodyBytes,
    graphiql: config.http.graphiql ? { issueToken } : null,
    logger,
  })
  // The rest of the time is for closing what served them.
  const inFlightMs = config.shutdownTimeoutMs * 0.7
  const http = createHttpServer({
    ...{ endpoint, description, issueToken, logger },
    schemaText: printPublishedSchema(schema),
    isReady: services.serverInfo.isReady,
    hasGraphiQL: config.http.graphiql,
    corsOrigins: config.http.corsOrigins,
    maxBodyBytes: config.http.maxBodyBytes,
    maxUploadBytes: config.uploads.maxUploadBytes,
    mounted: mounted.routes,
    drainTimeoutMs: inFlightMs,
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
    // What was cut may still be writing.
    await mounted.settled()
    await endpoint.dispose()
  })
  return { url, issueToken, failed: database.failed, close: () => opened.close() }
}

function openPools(url: string, { poolSize }: Config['database'], opened: Closers) {
  const db = createDb({ url, poolSize })
  opened.add(() => db.$disconnect())
  // Of its own, so that people never wait for what is done behind their backs.
  const background = createDb({ url, poolSize: BACKGROUND_POOL_SIZE, applicationName: 'sohbet-background' })
  opened.add(() => background.$disconnect())
  return { db, background }
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
