// The service as the tests run it: one or more nodes of this process, each with its own server, on one fresh database.

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, describe, inject } from 'vitest'
import { type App, type AppOptions, startApp } from '../../src/app.ts'
import { type Config, loadConfig } from '../../src/config.ts'
import { type Clock, systemClock } from '../../src/platform/clock.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { startProxy } from './cuttable-proxy.ts'
import { createTestDatabase, temporaryFolder } from './postgres-server.ts'
import { NO_REDIS, NO_REDIS_CLUSTER } from './provided.ts'

export const TEST_SECRET = 'a secret of the tests, long enough for HS256'

export interface TestNodes {
  /** GraphQL over HTTP of every node. */
  readonly urls: readonly string[]
  readonly apps: readonly App[]
  readonly databaseUrl: string
  readonly config: Config
  /** One more node of the same cluster. */
  addNode(): Promise<App>
  stop(): Promise<void>
}

export interface TestNodesOptions {
  nodes?: number
  /** Null: bus and presence in memory, one node only. */
  redisUrl?: string | null
  /** Settings, as in the environment. */
  settings?: Record<string, string>
  clock?: Clock
  /** How webhooks and push services are found, and which certificates of theirs are trusted. */
  outbound?: AppOptions['outbound']
  /** Whether the nodes are met at one address, each new connection at the next of them. */
  isBalanced?: boolean
}

/** Short times, so that tests need not wait: sweep 200 ms, presence grace 100 ms and coalescing 30 ms. */
const QUICK_SETTINGS = {
  SWEEP_INTERVAL_MS: '200',
  PRESENCE_GRACE_MS: '100',
  PRESENCE_COALESCE_MS: '30',
  DRAIN_WINDOW_MS: '0',
  LOG_LEVEL: 'fatal',
}

export async function startNodes(options: TestNodesOptions = {}): Promise<TestNodes> {
  const { nodes = 1, redisUrl = null, settings = {}, clock = systemClock, outbound = {}, isBalanced = false } = options
  const database = await createTestDatabase(inject('postgresUrl'))
  const folder = await temporaryFolder('files')
  // A database each; Redis is shared, where only sums over all rooms could meet: rooms and users have their own ids.
  const parsed = loadConfig({
    ...QUICK_SETTINGS,
    PORT: '0',
    HOST: '127.0.0.1',
    JWT_SECRET: TEST_SECRET,
    DATABASE_URL: database.url,
    REDIS_URL: redisUrl ?? 'redis://unused.invalid',
    DATABASE_POOL_SIZE: '5',
    GRAPHIQL: 'true',
    FILES_DIR: join(folder, 'files'),
    FILES_URL_SECRET: TEST_SECRET,
    FILES_TEMP_DIR: join(folder, 'temp'),
    ...settings,
  })
  const config: Config = { ...parsed, redisUrl }
  const apps: App[] = []
  const addNode = async () => {
    const app = await startApp({ config, logger: createLogger(config.logLevel), clock, outbound })
    apps.push(app)
    return app
  }
  let turn = 0
  const balancer = isBalanced ? await startProxy(() => apps[turn++ % apps.length]?.url ?? '') : null
  const stop = async () => {
    await Promise.allSettled(apps.map((app) => app.close()))
    await balancer?.close()
    await database.drop()
    await rm(folder, { recursive: true, force: true })
  }
  try {
    for (let i = 0; i < nodes; i++) await addNode()
  } catch (error) {
    await stop()
    throw error
  }
  return {
    get urls() {
      return balancer ? [balancer.url] : apps.map(({ url }) => `${url}/graphql`)
    },
    apps,
    databaseUrl: database.url,
    config,
    addNode,
    stop,
  }
}

/** A token as a product's own backend would sign it, issued now unless `claims` say something else of `iat`. */
export function signToken(subject: string, claims: Record<string, unknown> = {}, expires: string | Date = '1h') {
  return new SignJWT({ name: subject, iat: Math.floor(Date.now() / 1_000), ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(subject)
    .setExpirationTime(expires)
    .sign(Buffer.from(TEST_SECRET))
}

export interface TopologiesOptions {
  /** As in the environment. */
  settings?: Record<string, string>
  /**
   * A database of the Redis server that no other file uses, for stories that count what it holds. Default 0, everybody's.
   * A cluster has no second one: such stories are not run on it.
   */
  redisDatabase?: number
  clock?: Clock
}

/** Runs the same stories on one node without Redis, on two nodes that share one, and on three with a Redis Cluster. */
export function describeTopologies(
  title: string,
  stories: (nodes: () => TestNodes) => void,
  { settings = {}, redisDatabase = 0, clock = systemClock }: TopologiesOptions = {},
): void {
  const sharedUrl = inject('redisUrl')
  const redisUrl = sharedUrl && new URL(`/${redisDatabase}`, sharedUrl).href
  describe(`${title}, on one node`, () => runOn({ nodes: 1, redisUrl: null, settings, clock }, stories))
  describe.skipIf(redisUrl === null)(`${title}, on two nodes with Redis ${redisUrl ? '' : NO_REDIS}`, () =>
    runOn({ nodes: 2, redisUrl, settings, clock }, stories),
  )
  if (redisDatabase !== 0) return
  const clusterUrl = inject('redisClusterUrl')
  describe.skipIf(clusterUrl === null)(
    `${title}, on three nodes with Redis Cluster ${clusterUrl ? '' : NO_REDIS_CLUSTER}`,
    () => runOn({ nodes: 3, redisUrl: clusterUrl, settings, clock }, stories),
  )
}

function runOn(options: TestNodesOptions, stories: (nodes: () => TestNodes) => void): void {
  stories(useNodes(options))
}

/** Nodes for all tests of the surrounding `describe`. */
export function useNodes(options: TestNodesOptions = {}): () => TestNodes {
  let started: TestNodes | null = null
  beforeAll(async () => {
    started = await startNodes(withTopology(options))
  })
  afterAll(() => started?.stop())
  return () => {
    if (!started) throw new Error('the nodes have not been started')
    return started
  }
}

/**
 * Stories that do not say on what they run do so on one node by itself; with TEST_TOPOLOGY=cluster on two nodes behind one
 * address, with Redis Cluster.
 */
function withTopology(options: TestNodesOptions): TestNodesOptions {
  if (process.env.TEST_TOPOLOGY !== 'cluster' || options.nodes !== undefined || options.redisUrl !== undefined) {
    return options
  }
  const redisUrl = inject('redisClusterUrl')
  if (redisUrl === null) throw new Error('TEST_TOPOLOGY=cluster needs redis-server 7: npm run test:setup')
  return { ...options, nodes: 2, redisUrl, isBalanced: true }
}
