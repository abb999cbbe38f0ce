import { describe, expect, it } from 'vitest'
import { ConfigError, loadConfig, loadDatabaseUrl } from './config.ts'

const SECRET = 'a secret of more than thirty-two bytes'
const DATABASE_URL = 'postgresql://sohbet:pass%40word@db.example.com:5432/sohbet'
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
      presence: { ttlMs: 25_000, graceMs: 5000, coalesceMs: 300 },
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
    [{ WS_MAX_PAYLOAD_BYTES: '64383' }, 'WS_MAX_PAYLOAD_BYTES is 64383'],
    [{ MAX_BODY_BYTES: '16384' }, 'MAX_BODY_BYTES is 16384'],
  ])('refuses %j', (env, problem) => {
    expect(problemsOf(env)).toEqual([problem])
  })

  it('makes room on the socket for longer messages', () => {
    expect(loadConfig({ MAX_MESSAGE_CHARACTERS: '30000' }).limits.wsMaxPayloadBytes).toBe(976_384)
  })

  it('tells all problems at once', () => {
    expect(problemsOf({ PORT: 'x', REDIS_URL: 'x', JWT_SECRET: 'x', CORS_ORIGINS: 'x' })).toHaveLength(5)
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
