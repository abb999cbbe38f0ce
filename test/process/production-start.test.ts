import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import webPush from 'web-push'
import { SETTINGS } from '../../src/config-settings.ts'
import { eventually } from '../support/eventually.ts'
import { createTestDatabase, type TestDatabase, urlOf } from '../support/postgres-server.ts'
import { NO_REDIS } from '../support/provided.ts'
import { startOwnRedis } from '../support/redis-server.ts'
import { person, stopAll } from '../support/seed.ts'
import { type Exit, endAll, runToEnd, type SpawnedServer, spawnServer } from '../support/spawn-server.ts'
import { TEST_SECRET } from '../support/start-nodes.ts'
import { subscribe } from '../support/stream.ts'

const PROJECT = fileURLToPath(new URL('../..', import.meta.url))
const PASSWORD = 'correct-horse-battery-staple'
/** Nothing listens on port 1. */
const NOBODY_THERE = `postgresql://sohbet:${PASSWORD}@localhost:1/sohbet`

const redisUrl = inject('redisUrl')
let database: TestDatabase

const complete = (): Record<string, string> => ({
  DATABASE_URL: database.url,
  REDIS_URL: redisUrl ?? 'redis://localhost:1',
  JWT_SECRET: TEST_SECRET,
  LOG_LEVEL: 'info',
  PRESENCE_GRACE_MS: '100',
  DRAIN_WINDOW_MS: '200',
})

/** All three of them: one without the others is a problem of its own. */
const vapid = (): Record<string, string> => {
  const { publicKey, privateKey } = webPush.generateVAPIDKeys()
  return { VAPID_PUBLIC_KEY: publicKey, VAPID_PRIVATE_KEY: privateKey, VAPID_SUBJECT: 'mailto:chat@example.com' }
}

const program = (file: string, env: Record<string, string>) => ({
  command: process.execPath,
  args: [`dist/${file}.js`],
  cwd: PROJECT,
  env,
})
const startNode = (env: Record<string, string> = complete()): SpawnedServer => spawnServer(program('main', env))

/** As on a terminal, which does not know Markdown. */
const plain = (expected: string): string => expected.replaceAll('`', '')

function expectRefused({ code, output }: Exit & { output: string }, lines: unknown[]): void {
  expect(output.trimEnd().split('\n')).toEqual(lines)
  expect(code).toBe(1)
  for (const secret of [PASSWORD, TEST_SECRET]) expect(output).not.toContain(secret)
}

beforeAll(async () => {
  database = await createTestDatabase(inject('postgresUrl'))
})

afterEach(async () => {
  await stopAll()
  await endAll()
}, 60_000)

afterAll(() => database?.drop())

describe('the settings of production', () => {
  it.each([
    ['DATABASE_URL', SETTINGS.databaseUrl.format.expected],
    ['REDIS_URL', SETTINGS.redisUrl.format.expected],
    [
      'JWT_SECRET',
      `JWT_SECRET: ${SETTINGS.jwtSecret.format.expected}; or JWKS_URL: ${SETTINGS.jwksUrl.format.expected}`,
    ],
  ])('are demanded: %s', async (name, expected) => {
    const { [name]: _, ...others } = complete()
    const named = name === 'JWT_SECRET' ? 'JWT_SECRET or JWKS_URL' : name
    expectRefused(await runToEnd(program('main', others)), [
      expect.stringMatching(/^The settings do not fit \(in production, because \w+ is set\):$/),
      `  - ${named} is missing; expected ${plain(expected)}`,
      'docs/operations.md has the table of all settings.',
    ])
  })

  // Any text will do for those left out.
  type Checked = Exclude<keyof typeof SETTINGS, 'dataDir' | 'filesDir' | 'filesTempDir' | 'jwtIssuer' | 'jwtAudience'>
  const malformed: Record<Checked, string> = {
    nodeEnv: 'staging',
    host: 'http://localhost',
    port: '65536',
    databaseUrl: `mysql://sohbet:${PASSWORD}@db.example.com/sohbet`,
    databasePoolSize: '0',
    redisUrl: `http://:${PASSWORD}@redis.example.com`,
    jwtSecret: 'short',
    jwksUrl: 'http://id.example.com/jwks.json',
    corsOrigins: 'https://app.example.com/',
    graphiql: 'yes',
    logLevel: 'loud',
    logRetentionDays: '-1',
    maxBodyBytes: '1e6',
    maxMessageCharacters: 'many',
    wsMaxPayloadBytes: '64k',
    maxSubscriptionsPerConnection: '0',
    wsKeepAliveMs: '12s',
    wsCompression: 'gzip',
    outboundQueueBytes: '64k',
    slowReaderTimeoutMs: '30s',
    sweepIntervalMs: '1',
    presenceTtlMs: '0.5',
    presenceGraceMs: '-5',
    presenceCoalesceMs: 'soon',
    filesUrlSecret: 'short',
    filesUrlTtlMs: '1h',
    maxFileBytes: '3GB',
    uploadMaxBytes: '-1',
    uploadBytesPerDay: '10',
    unsentFilesHours: '0',
    publicUrl: 'chat.example.com',
    s3Bucket: 'My Bucket',
    s3Region: 'eu west',
    s3Endpoint: 'minio:9000',
    s3PublicEndpoint: 'https://s3.example.com/files',
    s3ForcePathStyle: 'yes',
    s3AccessKeyId: 'an id',
    s3SecretAccessKey: `a ${PASSWORD}`,
    s3TimeoutMs: '15s',
    filesAllowedTypes: 'png',
    filesScannerUrl: 'icap://scanner',
    filesScannerTimeoutMs: '2m',
    filesMaxImagePixels: '1',
    filesImageProcesses: '0',
    vapidPublicKey: 'BPublic',
    vapidPrivateKey: 'private',
    vapidSubject: 'http://example.com',
    outboundPrivateAddresses: 'true',
    outboundTimeoutMs: '10s',
    deliveryRetryFirstMs: '0',
    deliveryRetryForMs: 'a day',
    webhookDisableAfterMs: '0',
    deliveryLogDays: '0',
    notificationWindowMs: '1m',
    notificationRetentionDays: 'for ever',
    drainWindowMs: 'soon',
    shutdownTimeoutMs: '0',
  }

  // The keys that it has by its type.
  it.each(Object.keys(malformed) as Checked[])('stop the start when malformed, by name: %s', async (key) => {
    const { name, format } = SETTINGS[key]
    const { JWT_SECRET = '', ...others } = complete()
    const secret: Record<string, string> = key === 'jwksUrl' ? {} : { JWT_SECRET }
    const env = { ...others, ...secret, ...(key.startsWith('vapid') ? vapid() : {}), [name]: malformed[key] }
    expectRefused(await runToEnd(program('main', env)), [
      expect.stringMatching(/^The settings do not fit \(in production, because \w+ is set\):$/),
      expect.toSatisfy(
        (line: string) => line.startsWith(`  - ${name} `) && line.endsWith(`; expected ${plain(format.expected)}`),
      ),
      'docs/operations.md has the table of all settings.',
    ])
  })
})

describe('the database of production', () => {
  it('is missed in one line when it is away, at the start and by the migrations', async () => {
    expectRefused(await runToEnd(program('main', { ...complete(), DATABASE_URL: NOBODY_THERE })), [
      expect.stringMatching(
        /^Sohbet could not start: The database sohbet at localhost:1 cannot be used: .*ECONNREFUSED/,
      ),
    ])
    expectRefused(await runToEnd(program('migrate', { DATABASE_URL: NOBODY_THERE })), [
      expect.stringMatching(/^Migrating the database sohbet at localhost:1 failed: .*ECONNREFUSED/),
    ])
  })

  it('must have been migrated, which many may do at once', async () => {
    const name = `sohbet_unmigrated_${process.pid}`
    const env = { ...complete(), DATABASE_URL: urlOf(inject('postgresUrl'), name) }
    try {
      expectRefused(await runToEnd(program('main', env)), [
        expect.stringMatching(/^Sohbet could not start: The database .* does not exist: "npm run migrate" creates it$/),
      ])
      await query(inject('postgresUrl'), `CREATE DATABASE ${name}`)
      expectRefused(await runToEnd(program('main', env)), [
        expect.stringMatching(
          /^Sohbet could not start: The database lacks \d+ migration\(s\): run "npm run migrate" first$/,
        ),
      ])
      const migrations = await Promise.all([1, 2].map(() => runToEnd(program('migrate', env))))
      expect(migrations.map(({ code }) => code)).toEqual([0, 0])
      const said = migrations.map(({ output }) => output.trimEnd().split('\n').at(-1))
      expect(said.sort()).toEqual([
        expect.stringMatching(/^\d+ migration\(s\) applied\.$/),
        'The database is up to date.',
      ])
      const node = startNode(env)
      const ada = await person(`${await node.ready()}/graphql`, 'Ada')
      await ada.send(await ada.createRoom(), 'hello')
    } finally {
      await endAll()
      await query(inject('postgresUrl'), `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
    }
  }, 60_000)

  it('is demanded by the migrations', async () => {
    expectRefused(await runToEnd(program('migrate', {})), [
      'The settings do not fit (for the database):',
      `  - DATABASE_URL is missing; expected ${plain(SETTINGS.databaseUrl.format.expected)}`,
      'docs/operations.md has the table of all settings.',
    ])
  })
})

const withRedis = describe.skipIf(redisUrl === null)
withRedis(`a node in production ${redisUrl ? '' : NO_REDIS}`, { timeout: 60_000 }, () => {
  it('says in one line that its port is in use', async () => {
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    try {
      // A TCP server has an address object.
      const { port } = other.address() as { port: number }
      const env = { ...complete(), HOST: '127.0.0.1', PORT: String(port), LOG_LEVEL: 'warn' }
      expectRefused(await runToEnd(program('main', env)), [
        `Sohbet could not start: port ${port} of 127.0.0.1 is in use. Stop what listens there, or set another PORT.`,
      ])
    } finally {
      other.close()
    }
  })

  it('drains at SIGTERM: what is in flight is answered, sockets are told to come back, and it exits with 0', async () => {
    const node = startNode()
    const url = await node.ready()
    const ada = await person(`${url}/graphql`, 'Ada')
    const room = await ada.createRoom()
    const stream = subscribe(ada.connect(), `subscription { roomEvents(roomId: "${room}") { __typename } }`)
    await stream.next()
    const blocker = new pg.Client({ connectionString: database.url, connectionTimeoutMillis: 10_000 })
    await blocker.connect()
    try {
      // No more than a send itself locks: what is done behind people's backs would wait as well, and be counted.
      await blocker.query('BEGIN; SELECT FROM rooms FOR NO KEY UPDATE')
      const sending = ada.send(room, 'in flight')
      const waiting = `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`
      await eventually(async () => expect(await query(database.url, waiting)).toHaveLength(1))
      node.signal('SIGTERM', 'process')
      expect(await stream.ended()).toMatchObject({ code: 1001 })
      await eventually(() => expect(fetch(`${url}/health`, { signal: AbortSignal.timeout(5_000) })).rejects.toThrow())
      await blocker.query('COMMIT')
      expect(await sending).toMatchObject({ seq: 2 })
      expect(await node.exited()).toEqual({ code: 0, signal: null })
    } finally {
      await blocker.end()
    }
  })

  it('starts while Redis is away, and becomes ready when Redis comes', async () => {
    const redis = await startOwnRedis()
    try {
      await redis.kill()
      const node = startNode({ ...complete(), REDIS_URL: redis.url })
      const url = await node.ready()
      const statusOf = async (path: string) => (await fetch(url + path, { signal: AbortSignal.timeout(10_000) })).status
      expect([await statusOf('/health'), await statusOf('/ready')]).toEqual([200, 503])
      const ada = await person(`${url}/graphql`, 'Ada')
      const room = await ada.createRoom()
      await ada.send(room, 'Redis is away')
      await redis.restart()
      await eventually(async () => expect(await statusOf('/ready')).toBe(200), { timeoutMs: 20_000 })
      const stream = subscribe(ada.connect(), `subscription { messageAdded(roomId: "${room}", after: 0) { text } }`)
      await ada.send(room, 'Redis is here')
      expect((await stream.take(2)).map(({ data }) => data?.messageAdded)).toEqual([
        { text: 'Redis is away' },
        { text: 'Redis is here' },
      ])
    } finally {
      await redis.stop()
    }
  })
})

async function query(connectionString: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 10_000, query_timeout: 30_000 })
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}
