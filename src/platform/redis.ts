// Connections to Redis. Invariant: a command either reaches the server now or fails in bounded time; nothing is
// queued or repeated behind the caller's back. The connection itself is tried again for ever.

import { Redis, type RedisOptions } from 'ioredis'
import type { Logger } from 'pino'
import type { RedisNode } from './redis-cluster-url.ts'

export type RedisLog = Pick<Logger, 'info' | 'warn' | 'error'>

export interface RedisConnectionOptions {
  /** What the connection is for; appears in the log and in Redis' CLIENT LIST. */
  name: string
  log: RedisLog
  /** Sends what is issued in one turn of the event loop as one write. Default false. */
  autoPipelining?: boolean
}

/** One server, where it is not named by a URL. */
export interface RedisServer extends RedisNode {
  readonly tls: boolean
  readonly username: string | null
  readonly password: string | null
}

const COMMAND_TIMEOUT_MS = 2_000
const MAX_RETRY_DELAY_MS = 2_000

/**
 * Opens a connection. Commands reject at once while Redis is away and after 2 s when it does not answer;
 * reconnecting goes on for ever, at most 2 s apart. Subscriptions are not restored: their owner does that.
 */
export function createRedis(
  server: string | RedisServer,
  { name, log, autoPipelining = false }: RedisConnectionOptions,
): Redis {
  const options: RedisOptions = {
    connectionName: `sohbet-${name}`,
    connectTimeout: 5_000,
    commandTimeout: COMMAND_TIMEOUT_MS,
    // A link that swallows everything is cut, so that what waits for its answers cannot pile up.
    socketTimeout: 2 * COMMAND_TIMEOUT_MS,
    keepAlive: 10_000,
    retryStrategy: (attempt) => Math.min(attempt * 50, MAX_RETRY_DELAY_MS),
    enableOfflineQueue: false,
    // 0: what was under way when the connection broke rejects then, not after later attempts.
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // ioredis resubscribes without handling a failure: a second break meanwhile would be an unhandled rejection.
    autoResubscribe: false,
    enableAutoPipelining: autoPipelining,
  }
  const redis =
    typeof server === 'string' ? new Redis(server, options) : new Redis({ ...serverOptions(server), ...options })
  logStateChanges(redis, name, log)
  return redis
}

function serverOptions({ host, port, tls, username, password }: RedisServer): RedisOptions {
  return {
    host,
    port,
    ...(tls ? { tls: {} } : {}),
    ...(username === null ? {} : { username }),
    ...(password === null ? {} : { password }),
  }
}

/** One line per change of state: while Redis is away, ioredis emits an error with every attempt. */
function logStateChanges(redis: Redis, name: string, log: RedisLog): void {
  let state: 'starting' | 'up' | 'away' = 'starting'
  const away = (error?: Error) => {
    if (state === 'away' || redis.status === 'end') return
    state = 'away'
    log.warn({ redis: name, err: error }, 'Redis is away, trying again')
  }
  redis.on('error', away)
  redis.on('close', () => away())
  redis.on('ready', () => {
    state = 'up'
    log.info({ redis: name }, 'Redis is connected')
  })
}

/** Resolves once the connection can take commands; rejects after `timeoutMs` (default 5,000), leaving it trying. */
export function redisReady(redis: Redis, timeoutMs = 5_000): Promise<void> {
  if (redis.status === 'ready') return Promise.resolve()
  return new Promise((resolve, reject) => {
    const settle = (finish: () => void) => {
      clearTimeout(timer)
      redis.off('ready', onReady)
      redis.off('end', onEnd)
      finish()
    }
    const onReady = () => settle(resolve)
    const onEnd = () => settle(() => reject(new Error('The connection to Redis was closed')))
    const timer = setTimeout(
      () => settle(() => reject(new Error(`Redis did not answer in ${timeoutMs} ms`))),
      timeoutMs,
    )
    redis.once('ready', onReady)
    redis.once('end', onEnd)
  })
}

/** A connection, or what stands for several. */
export interface ClosableRedis {
  readonly status: string
  quit(): Promise<unknown>
  disconnect(): void
}

/** Ends the connection after the answers to what was already sent, or at once when Redis is away. Never rejects. */
export async function closeRedis(redis: ClosableRedis): Promise<void> {
  if (redis.status === 'end') return
  try {
    await redis.quit()
  } catch {
    redis.disconnect()
  }
}
