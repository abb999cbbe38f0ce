/** The table of settings. Parsing, error messages and the table in docs/operations.md follow it. */
import {
  type CorsOrigins,
  claim,
  directory,
  host,
  integer,
  jwksUrl,
  LOG_LEVELS,
  type LogLevel,
  NODE_ENVS,
  oneOf,
  onOff,
  origins,
  postgresUrl,
  redisUrl,
  secret,
} from './config-formats.ts'
import { KIB, MIB, ms, type Setting, setting, settingPerMode } from './config-setting.ts'
import { FILE_SETTINGS } from './config-settings-files.ts'
import { NOTIFICATION_SETTINGS } from './config-settings-notifications.ts'

const bytes = integer(KIB, 100 * MIB, 'bytes')
const inProduction = { required: 'in production' }
const oneInProduction = { required: 'in production, this or the other of JWT_SECRET and JWKS_URL, never both' }
const unchecked = { defaultText: 'not checked' }

export const SETTINGS = {
  nodeEnv: setting(
    'NODE_ENV',
    oneOf(NODE_ENVS),
    null,
    '`production` demands the settings of production even where neither DATABASE_URL nor REDIS_URL is set.',
  ),
  host: settingPerMode('HOST', host, { development: '127.0.0.1', production: '0.0.0.0' }, 'The address to listen on.'),
  port: setting('PORT', integer(0, 65_535), 4000, 'The port to listen on; 0 takes a free one.'),
  databaseUrl: setting('DATABASE_URL', postgresUrl, null, 'The Postgres database.', inProduction),
  databasePoolSize: setting(
    'DATABASE_POOL_SIZE',
    integer(1, 500),
    10,
    'How many connections a node pools for its queries.',
  ),
  redisUrl: setting(
    'REDIS_URL',
    redisUrl,
    null,
    'The Redis server, or cluster, that carries news between nodes.',
    inProduction,
  ),
  dataDir: setting(
    'DATA_DIR',
    directory,
    null,
    'Where the embedded database and the keys of the development sign-in and of Web Push live; without effect in production.',
    { defaultText: '`.sohbet` in the project' },
  ),
  jwtSecret: setting('JWT_SECRET', secret, null, 'The secret that tokens are signed with (HS256).', oneInProduction),
  jwksUrl: setting('JWKS_URL', jwksUrl, null, "Where the tokens' issuer publishes its public keys.", oneInProduction),
  jwtIssuer: setting('JWT_ISSUER', claim, null, 'The `iss` that tokens must carry.', unchecked),
  jwtAudience: setting(
    'JWT_AUDIENCE',
    claim,
    null,
    'The `aud` that tokens must carry, alone or among others. Set it where the issuer serves other applications too.',
    unchecked,
  ),
  corsOrigins: settingPerMode<CorsOrigins, CorsOrigins>(
    'CORS_ORIGINS',
    origins,
    { development: 'localhost', production: [] },
    'The origins whose web pages may call this server from a browser.',
    { defaultText: 'none; in development http on `localhost`, `127.0.0.1` and `[::1]`, any port' },
  ),
  graphiql: settingPerMode<boolean, boolean>(
    'GRAPHIQL',
    onOff,
    { development: true, production: false },
    'Whether GraphiQL, the explorer for the browser, answers at `/graphql`.',
  ),
  logLevel: setting<LogLevel, LogLevel>('LOG_LEVEL', oneOf(LOG_LEVELS), 'info', 'The least grave lines to log.'),
  logRetentionDays: setting(
    'LOG_RETENTION_DAYS',
    integer(0, 36_500, 'days'),
    0,
    "How far back a client can resume a room's log; messages stay in the history. 0 sets no limit.",
  ),
  maxBodyBytes: setting('MAX_BODY_BYTES', bytes, MIB, 'The largest body of an HTTP request.'),
  maxMessageCharacters: setting('MAX_MESSAGE_CHARACTERS', integer(1, 30_000), 4000, 'The longest message.'),
  wsMaxPayloadBytes: setting(
    'WS_MAX_PAYLOAD_BYTES',
    bytes,
    null,
    'The largest WebSocket message of a client; at least 32 for each of MAX_MESSAGE_CHARACTERS and 16384 more.',
    { defaultText: '65536, or that least where it is more' },
  ),
  maxSubscriptionsPerConnection: setting(
    'MAX_SUBSCRIPTIONS_PER_CONNECTION',
    integer(1, 100_000),
    500,
    'How many subscriptions one connection may hold.',
  ),
  wsKeepAliveMs: setting(
    'WS_KEEPALIVE_MS',
    ms(100, 300_000),
    12_000,
    'How often a WebSocket is pinged; one that has not answered by the next ping is closed.',
  ),
  wsCompression: setting(
    'WS_COMPRESSION',
    onOff,
    false,
    'Whether WebSocket clients that offer it get permessage-deflate: less traffic, at a higher cost for every message.',
  ),
  outboundQueueBytes: setting(
    'OUTBOUND_QUEUE_BYTES',
    integer(16 * KIB, 16 * MIB, 'bytes'),
    64 * KIB,
    'What a node keeps for a client that reads slowly; what comes then is read from the log when the client has caught up.',
  ),
  slowReaderTimeoutMs: setting(
    'SLOW_READER_TIMEOUT_MS',
    ms(100, 3_600_000),
    30_000,
    'A client that makes no room in its queue for so long is closed with 1013, SLOW_READER; it may come back at once.',
  ),
  sweepIntervalMs: setting(
    'SWEEP_INTERVAL_MS',
    ms(100, 300_000),
    3000,
    'How often the heads of subscribed rooms are compared with the database, to mend what Redis lost; revoked tokens are looked for as often.',
  ),
  presenceTtlMs: setting(
    'PRESENCE_TTL_MS',
    ms(1000, 300_000),
    25_000,
    'How long the users of a node that died still count as present.',
  ),
  presenceGraceMs: setting(
    'PRESENCE_GRACE_MS',
    ms(0, 300_000),
    5000,
    'A user who comes back within this time never left, to the others.',
  ),
  presenceCoalesceMs: setting(
    'PRESENCE_COALESCE_MS',
    ms(0, 60_000),
    300,
    'How long changes of presence are gathered before a room is told.',
  ),
  ...FILE_SETTINGS,
  ...NOTIFICATION_SETTINGS,
  drainWindowMs: settingPerMode<number, number>(
    'DRAIN_WINDOW_MS',
    ms(0, 600_000),
    { development: 0, production: 5000 },
    'Over how long a node that was told to stop tells its clients, one after the other, to come back.',
  ),
  shutdownTimeoutMs: setting(
    'SHUTDOWN_TIMEOUT_MS',
    ms(100, 600_000),
    10_000,
    'How long it waits for what is in flight, beside DRAIN_WINDOW_MS.',
  ),
}

/**
 * The bytes that a message of so many characters may take on the wire. Thirty-two each: enough for a family emoji, which
 * is seven code points, and for any single code point escaped in JSON. The rest is for the operation around it.
 */
export function bytesForMessage(characters: number): number {
  return characters * 32 + 16 * KIB
}

/** The rows of the manual's table, as Markdown cells: name, description, format, default, required. */
export function settingRows(): string[][] {
  return Object.values(SETTINGS).map((each: Setting) => [
    `\`${each.name}\``,
    each.description,
    each.format.expected,
    each.defaultText ?? defaultInWords(each.defaults),
    each.required ?? '',
  ])
}

function defaultInWords({ development, production }: Setting['defaults']): string {
  if (production === null) return 'none'
  return development === production ? `\`${production}\`` : `\`${production}\`; in development \`${development}\``
}
