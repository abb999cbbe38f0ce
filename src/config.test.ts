import { describe, expect, it } from 'vitest'
import webPush from 'web-push'
import { ConfigError, loadConfig, loadDatabaseUrl } from './config.ts'

const SECRET = 'a secret of more than thirty-two bytes'
const DATABASE_URL = 'postgresql://sohbet:pass%40word@db.example.com:5432/sohbet'
const KEYS = webPush.generateVAPIDKeys()
const VAPID = {
  VAPID_PUBLIC_KEY: KEYS.publicKey,
  VAPID_PRIVATE_KEY: KEYS.privateKey,
  VAPID_SUBJECT: 'mailto:chat@example.com',
}
const PRODUCTION = { DATABASE_URL, REDIS_URL: 'redis://redis.example.com', JWT_SECRET: SECRET }

function problemsOf(env: NodeJS.ProcessEnv): string[] {
  try {
    loadConfig(env)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems.map(({ setting, found }) => `${setting} ${found}`)
  }
  return []
}

function messageOf(env: NodeJS.ProcessEnv): string {
  try {
    loadConfig(env)
  } catch (error) {
    return String(error)
  }
  return ''
}

describe('loadConfig', () => {
  it('runs embedded on this machine alone when nothing is set', () => {
    expect(loadConfig({})).toEqual({
      mode: 'development',
      http: { host: '127.0.0.1', port: 4000, corsOrigins: 'localhost', maxBodyBytes: 1_048_576, graphiql: true },
      database: { kind: 'embedded', dataDir: null, poolSize: 10 },
      redisUrl: null,
      identity: { kind: 'development' },
      limits: { maxMessageCharacters: 4000, wsMaxPayloadBytes: 144_384, maxSubscriptionsPerConnection: 500 },
      realtime: {
        wsKeepAliveMs: 12_000,
        wsCompression: false,
        outbound: { queueBytes: 65_536, slowReaderTimeoutMs: 30_000 },
        sweepIntervalMs: 3000,
      },
      files: { storage: { kind: 'disk', dir: null }, urlSecret: null, urlTtlMs: 3_600_000, tempDir: null },
      uploads: {
        maxFileBytes: 1_073_741_824,
        maxUploadBytes: 10_485_760,
        maxBytesPerDay: 10_737_418_240,
        unsentMs: 86_400_000,
      },
      publicUrl: null,
      fileChecks: {
        allowedTypes: ['*/*'],
        scanner: null,
        scannerTimeoutMs: 120_000,
        maxImagePixels: 120_000_000,
        imageProcesses: 2,
      },
      presence: { ttlMs: 25_000, graceMs: 5000, coalesceMs: 300 },
      channels: {
        vapid: null,
        allowsPrivateAddresses: false,
        timeoutMs: 10_000,
        retryFirstMs: 5_000,
        retryForMs: 86_400_000,
        disableAfterMs: 432_000_000,
        logDays: 30,
      },
      notifications: { windowMs: 60_000, sweepIntervalMs: 15_000, retentionDays: 90 },
      logLevel: 'info',
      logRetentionDays: 0,
      drainWindowMs: 0,
      shutdownTimeoutMs: 10_000,
    })
  })

  it('closes in production what is open in development', () => {
    const config = loadConfig(PRODUCTION)
    expect(config.mode).toBe('production')
    expect(config.drainWindowMs).toBe(5_000)
    expect(config.http).toMatchObject({ host: '0.0.0.0', corsOrigins: [], graphiql: false })
    expect(config.database).toEqual({ kind: 'postgres', url: DATABASE_URL, poolSize: 10 })
    expect(config.identity).toEqual({ kind: 'secret', secret: SECRET, issuer: null, audience: null })
  })

  it('has files in production where a folder or a bucket is set', () => {
    expect(loadConfig(PRODUCTION).files).toBe(null)
    const onDisk = { ...PRODUCTION, FILES_DIR: '/srv/files', FILES_URL_SECRET: SECRET, FILES_URL_TTL_MS: '60000' }
    expect(loadConfig(onDisk).files).toEqual({
      storage: { kind: 'disk', dir: '/srv/files' },
      urlSecret: SECRET,
      urlTtlMs: 60_000,
      tempDir: null,
    })
    const bucket = { S3_BUCKET: 'files', S3_ENDPOINT: 'http://minio:9000/', S3_FORCE_PATH_STYLE: 'true' }
    const keys = { S3_ACCESS_KEY_ID: 'id', S3_SECRET_ACCESS_KEY: 'key' }
    expect(loadConfig({ ...PRODUCTION, ...bucket, ...keys, FILES_URL_SECRET: SECRET }).files?.storage).toEqual({
      kind: 's3',
      bucket: 'files',
      region: 'us-east-1',
      endpoint: 'http://minio:9000',
      publicEndpoint: null,
      forcePathStyle: true,
      credentials: { accessKeyId: 'id', secretAccessKey: 'key' },
      timeoutMs: 15_000,
    })
    expect(problemsOf({ ...PRODUCTION, S3_BUCKET: 'files' })).toEqual(['FILES_URL_SECRET is missing'])
    expect(problemsOf({ ...PRODUCTION, FILES_DIR: 'files' })).toEqual(['FILES_URL_SECRET is missing'])
  })

  it('takes an empty variable as not set, as compose files leave them', () => {
    expect(loadConfig({ DATABASE_URL: '', REDIS_URL: ' ', JWKS_URL: '', PORT: '' }).mode).toBe('development')
  })

  it('trims what is set, but not the secret, whose ends may be part of it', () => {
    const config = loadConfig({ ...PRODUCTION, PORT: ' 80 ', JWT_SECRET: ` ${SECRET} ` })
    expect(config.http.port).toBe(80)
    expect(config.identity).toMatchObject({ secret: ` ${SECRET} ` })
  })

  it('checks tokens by a key in development too when one is given', () => {
    const jwks = loadConfig({ JWKS_URL: 'http://127.0.0.1:9000/keys', JWT_AUDIENCE: 'chat', JWT_ISSUER: 'https://id' })
    expect(jwks.mode).toBe('development')
    expect(jwks.identity).toEqual({
      kind: 'jwks',
      url: 'http://127.0.0.1:9000/keys',
      issuer: 'https://id',
      audience: 'chat',
    })
  })

  it.each([
    ['NODE_ENV', { NODE_ENV: 'production' }, ['REDIS_URL', 'DATABASE_URL', 'JWT_SECRET or JWKS_URL']],
    ['DATABASE_URL', { DATABASE_URL }, ['REDIS_URL', 'JWT_SECRET or JWKS_URL']],
    ['REDIS_URL', { REDIS_URL: 'redis://localhost' }, ['DATABASE_URL', 'JWT_SECRET or JWKS_URL']],
  ])('names everything that production misses when only %s is set', (_, env, missing) => {
    expect(problemsOf(env).sort()).toEqual(missing.map((setting) => `${setting} is missing`).sort())
  })

  it('says why it is production, what is wrong and what it should look like', () => {
    const message = messageOf({ DATABASE_URL, JWT_SECRET: 'short' })
    expect(message).toContain('in production, because DATABASE_URL is set')
    expect(message).toContain('- REDIS_URL is missing; expected redis://user:password@host:6379/0')
    expect(message).toContain('- JWT_SECRET has 5 bytes; expected at least 32 bytes')
  })

  it.each([
    [{ PORT: 'abc' }, 'PORT is "abc"'],
    [{ PORT: '65536' }, 'PORT is "65536"'],
    [{ PORT: '1e3' }, 'PORT is "1e3"'],
    [{ PORT: '-1' }, 'PORT is "-1"'],
    [{ HOST: 'http://localhost' }, 'HOST is "http://localhost"'],
    [{ NODE_ENV: 'staging' }, 'NODE_ENV is "staging"'],
    [{ GRAPHIQL: 'yes' }, 'GRAPHIQL is "yes"'],
    [{ LOG_LEVEL: 'verbose' }, 'LOG_LEVEL is "verbose"'],
    [{ LOG_RETENTION_DAYS: '1.5' }, 'LOG_RETENTION_DAYS is "1.5"'],
    [{ ...PRODUCTION, DATABASE_URL: 'mysql://db/sohbet' }, 'DATABASE_URL has the scheme mysql://'],
    [{ ...PRODUCTION, DATABASE_URL: 'db.example.com/sohbet' }, 'DATABASE_URL has no scheme (the part up to "://")'],
    [
      { ...PRODUCTION, DATABASE_URL: 'postgres://db.example.com' },
      'DATABASE_URL names no database (the path is empty)',
    ],
    [{ ...PRODUCTION, REDIS_URL: 'localhost:6379' }, 'REDIS_URL has no scheme (the part up to "://")'],
    [{ ...PRODUCTION, REDIS_URL: 'redis://' }, 'REDIS_URL names no host'],
    [
      { ...PRODUCTION, REDIS_URL: 'redis://a,b:7001' },
      'REDIS_URL lists several servers, and its scheme is not redis+cluster://',
    ],
    [{ ...PRODUCTION, REDIS_URL: 'redis+cluster://' }, 'REDIS_URL lists a server that is not host:port'],
    [{ ...PRODUCTION, REDIS_URL: 'redis+cluster://a:7000,,b' }, 'REDIS_URL lists a server that is not host:port'],
    [{ ...PRODUCTION, REDIS_URL: 'redis+cluster://a:7000/1' }, 'REDIS_URL has a path: a cluster has one database only'],
    [
      { ...PRODUCTION, REDIS_URL: 'redis+cluster://u:p%@a' },
      'REDIS_URL is not a well-formed URL (a user name or password in it must be percent-encoded)',
    ],
    [{ ...PRODUCTION, REDIS_URL: 'redis://a/main' }, 'REDIS_URL has a path that is not the number of a database'],
    [{ JWT_SECRET: 'ş'.repeat(15) }, 'JWT_SECRET has 30 bytes'],
    [{ JWKS_URL: 'http://id.example.com/keys' }, 'JWKS_URL is http:// on another machine'],
    [{ JWKS_URL: 'http://127.0.0.1.example.com/' }, 'JWKS_URL is http:// on another machine'],
    [{ JWKS_URL: 'https://me:pw@id.example.com/' }, 'JWKS_URL holds a user name or a password'],
    [{ JWKS_URL: 'https://id.example.com', JWT_SECRET: SECRET }, 'JWT_SECRET and JWKS_URL are both set'],
    [{ JWT_ISSUER: 'https://id' }, 'JWT_ISSUER is set with no key to check tokens by'],
    [{ CORS_ORIGINS: 'https://a.example,https://b.example/' }, 'CORS_ORIGINS lists "https://b.example/"'],
    [{ CORS_ORIGINS: 'https://a.example,*' }, 'CORS_ORIGINS lists "*"'],
    [{ CORS_ORIGINS: 'null' }, 'CORS_ORIGINS lists "null"'],
    [{ ...VAPID, VAPID_PUBLIC_KEY: 'BPublic' }, 'VAPID_PUBLIC_KEY is no such key'],
    [{ ...VAPID, VAPID_PRIVATE_KEY: '' }, 'VAPID_PRIVATE_KEY is missing'],
    [{ ...VAPID, VAPID_SUBJECT: '' }, 'VAPID_SUBJECT is missing'],
    [{ ...VAPID, VAPID_SUBJECT: 'mailto:nobody' }, 'VAPID_SUBJECT is "mailto:nobody"'],
    [{ ...VAPID, VAPID_SUBJECT: 'http://example.com' }, 'VAPID_SUBJECT is "http://example.com"'],
    [
      { ...VAPID, VAPID_PRIVATE_KEY: webPush.generateVAPIDKeys().privateKey },
      'VAPID_PUBLIC_KEY and VAPID_PRIVATE_KEY do not belong together',
    ],
    [{ OUTBOUND_PRIVATE_ADDRESSES: 'true' }, 'OUTBOUND_PRIVATE_ADDRESSES is "true"'],
    [{ WS_MAX_PAYLOAD_BYTES: '64383' }, 'WS_MAX_PAYLOAD_BYTES is 64383'],
    [{ MAX_BODY_BYTES: '16384' }, 'MAX_BODY_BYTES is 16384'],
    [{ FILES_DIR: 'files', S3_BUCKET: 'files' }, 'FILES_DIR and S3_BUCKET are both set'],
    [{ FILES_URL_SECRET: 'short' }, 'FILES_URL_SECRET has 5 bytes'],
    [{ S3_BUCKET: '../files' }, 'S3_BUCKET is "../files"'],
    [{ S3_ENDPOINT: 's3.example.com' }, 'S3_ENDPOINT has no scheme (the part up to "://")'],
    [{ S3_ENDPOINT: 'https://me:pw@s3.example.com' }, 'S3_ENDPOINT holds a user name or a password'],
    [{ S3_PUBLIC_ENDPOINT: 'https://s3.example.com/files' }, 'S3_PUBLIC_ENDPOINT has a path'],
    [{ S3_ACCESS_KEY_ID: 'id' }, 'S3_SECRET_ACCESS_KEY is missing'],
    [{ S3_SECRET_ACCESS_KEY: 'key' }, 'S3_ACCESS_KEY_ID is missing'],
    [{ S3_SECRET_ACCESS_KEY: 'a key' }, 'S3_SECRET_ACCESS_KEY has white space in it, or is too long'],
    [{ FILES_ALLOWED_TYPES: 'image/*,pdf' }, 'FILES_ALLOWED_TYPES lists "pdf"'],
    [{ FILES_ALLOWED_TYPES: 'image/*,' }, 'FILES_ALLOWED_TYPES lists ""'],
    [{ FILES_SCANNER_URL: 'clamd.example.com:3310' }, 'FILES_SCANNER_URL has no scheme (the part up to "://")'],
    [{ FILES_SCANNER_URL: 'icap://scanner' }, 'FILES_SCANNER_URL has the scheme icap://'],
    [{ FILES_SCANNER_URL: 'clamd://' }, 'FILES_SCANNER_URL names neither a host nor a socket'],
    [{ FILES_SCANNER_URL: 'clamd://host/clamd.ctl' }, 'FILES_SCANNER_URL names both a host and a path'],
    [
      { FILES_SCANNER_URL: 'clamd://me:pw@host' },
      'FILES_SCANNER_URL holds a user name or a password, which clamd has not',
    ],
    [{ FILES_MAX_IMAGE_PIXELS: '1' }, 'FILES_MAX_IMAGE_PIXELS is "1"'],
    [{ FILES_IMAGE_PROCESSES: '0' }, 'FILES_IMAGE_PROCESSES is "0"'],
  ])('refuses %j', (env, problem) => {
    expect(problemsOf(env)).toEqual([problem])
  })

  it('reads the keys of Web Push, all of them', () => {
    expect(loadConfig(VAPID).channels.vapid).toEqual({ ...KEYS, subject: 'mailto:chat@example.com' })
  })

  it('makes room on the socket for longer messages', () => {
    expect(loadConfig({ MAX_MESSAGE_CHARACTERS: '30000' }).limits.wsMaxPayloadBytes).toBe(976_384)
  })

  it('tells all problems at once', () => {
    expect(problemsOf({ PORT: 'x', REDIS_URL: 'x', JWT_SECRET: 'x', CORS_ORIGINS: 'x' })).toHaveLength(5)
  })

  it('reads what files may be, and where the scanner is', () => {
    const allowed = loadConfig({ FILES_ALLOWED_TYPES: 'Image/*, application/pdf' }).fileChecks.allowedTypes
    expect(allowed).toEqual(['image/*', 'application/pdf'])
    const scanner = (url: string) => loadConfig({ FILES_SCANNER_URL: url }).fileChecks.scanner
    expect(scanner('clamd://scanner')).toEqual({ kind: 'clamd', socket: { host: 'scanner', port: 3310 } })
    expect(scanner('clamd://[::1]:99/')).toEqual({ kind: 'clamd', socket: { host: '::1', port: 99 } })
    expect(scanner('clamd:///run/clam%20av/clamd.ctl')).toEqual({
      kind: 'clamd',
      socket: { path: '/run/clam av/clamd.ctl' },
    })
    const url = 'https://me:pw@scanner.example.com/scan?x=1'
    expect(scanner(url)).toEqual({ kind: 'http', url })
  })

  it('reads origins, or any', () => {
    const list = loadConfig({ CORS_ORIGINS: 'https://a.example, http://localhost:5173' })
    expect(list.http.corsOrigins).toEqual(['https://a.example', 'http://localhost:5173'])
    expect(loadConfig({ CORS_ORIGINS: '*' }).http.corsOrigins).toBe('*')
  })

  it.each([
    { DATABASE_URL: 'mysql://sohbet:hunter2@db/sohbet', REDIS_URL: 'default:hunter2@redis', JWT_SECRET: 'hunter2' },
    { DATABASE_URL: 'postgres://sohbet:hunter2#x@db/sohbet', JWKS_URL: 'https://me:hunter2@id/' },
    { DATABASE_URL, REDIS_URL: 'redis+cluster://u:hunter2@a/hunter2', JWT_SECRET: SECRET },
    { DATABASE_URL, REDIS_URL: 'redis+cluster://u:hunter2%@a', JWT_SECRET: SECRET },
    { DATABASE_URL: 'hunter2', ...VAPID, VAPID_PRIVATE_KEY: 'hunter2' },
    { DATABASE_URL: 'hunter2', REDIS_URL: 'redis://:hunter2@', JWKS_URL: 'hunter2' },
  ])('never repeats a password: %#', (env) => {
    const message = messageOf(env)
    expect(message).toContain('DATABASE_URL')
    expect(message).not.toContain('hunter2')
  })
})

describe('loadDatabaseUrl', () => {
  it('needs no other setting', () => {
    expect(loadDatabaseUrl({ DATABASE_URL })).toBe(DATABASE_URL)
  })

  it.each([{}, { DATABASE_URL: 'mysql://db/sohbet' }])('refuses %j', (env) => {
    expect(() => loadDatabaseUrl(env)).toThrow('DATABASE_URL')
  })
})
