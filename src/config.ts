/**
 * From the environment to the Config: the only reader of process.env. Nothing malformed or half-set falls back to a
 * default: then there is no Config, and every problem is named at once. An empty variable counts as not set.
 */
import { type CorsOrigins, type LogLevel, Problem } from './config-formats.ts'
import { bytesForMessage, type Mode, SETTINGS, type Setting } from './config-settings.ts'

/** `issuer` and `audience` are not checked where null. */
export type Identity =
  | { readonly kind: 'development' }
  | {
      readonly kind: 'secret'
      readonly secret: string
      readonly issuer: string | null
      readonly audience: string | null
    }
  | { readonly kind: 'jwks'; readonly url: string; readonly issuer: string | null; readonly audience: string | null }

export type DatabaseConfig =
  /** `dataDir` is an absolute path; where null, the platform chooses. */
  | { readonly kind: 'embedded'; readonly dataDir: string | null; readonly poolSize: number }
  | { readonly kind: 'postgres'; readonly url: string; readonly poolSize: number }

export interface Config {
  readonly mode: Mode
  readonly http: {
    readonly host: string
    /** 0: any free one. */
    readonly port: number
    readonly corsOrigins: CorsOrigins
    readonly maxBodyBytes: number
    readonly graphiql: boolean
  }
  readonly database: DatabaseConfig
  /** Null: bus and presence live in this process. */
  readonly redisUrl: string | null
  readonly identity: Identity
  readonly limits: {
    readonly maxMessageCharacters: number
    readonly wsMaxPayloadBytes: number
    readonly maxSubscriptionsPerConnection: number
  }
  readonly realtime: {
    readonly wsKeepAliveMs: number
    readonly wsCompression: boolean
    readonly outbound: { readonly queueBytes: number; readonly slowReaderTimeoutMs: number }
    readonly sweepIntervalMs: number
  }
  readonly presence: { readonly ttlMs: number; readonly graceMs: number; readonly coalesceMs: number }
  readonly logLevel: LogLevel
  /** 0: for ever. */
  readonly logRetentionDays: number
  readonly drainWindowMs: number
  readonly shutdownTimeoutMs: number
}

export interface SettingProblem {
  /** The setting's name, or several as `JWT_SECRET or JWKS_URL`. */
  readonly setting: string
  /** What is wrong, as `is missing`. */
  readonly found: string
  /** What it should look like. */
  readonly expected: string
}

/** The settings do not make a Config. The message names every problem and repeats no secret. */
export class ConfigError extends Error {
  readonly problems: readonly SettingProblem[]

  constructor(reason: string, problems: readonly SettingProblem[]) {
    const lines = problems.map(({ setting, found, expected }) => `  - ${setting} ${found}; expected ${expected}`)
    super(
      `The settings do not fit (${reason}):\n${lines.join('\n')}\ndocs/operations.md has the table of all settings.`,
    )
    this.name = 'ConfigError'
    this.problems = problems
  }
}

/** @throws ConfigError naming everything that is missing or malformed. */
export function loadConfig(env: NodeJS.ProcessEnv = process.env): Config {
  const { mode, reason } = chooseMode(env)
  const settings = new SettingsReader(env, mode)
  const config: Config = {
    mode,
    http: {
      host: settings.read(SETTINGS.host),
      port: settings.read(SETTINGS.port),
      corsOrigins: settings.read(SETTINGS.corsOrigins),
      maxBodyBytes: settings.read(SETTINGS.maxBodyBytes),
      graphiql: settings.read(SETTINGS.graphiql),
    },
    database: readDatabase(settings),
    redisUrl: settings.readInProduction(SETTINGS.redisUrl),
    identity: readIdentity(settings),
    limits: readLimits(settings),
    realtime: {
      wsKeepAliveMs: settings.read(SETTINGS.wsKeepAliveMs),
      wsCompression: settings.read(SETTINGS.wsCompression),
      outbound: {
        queueBytes: settings.read(SETTINGS.outboundQueueBytes),
        slowReaderTimeoutMs: settings.read(SETTINGS.slowReaderTimeoutMs),
      },
      sweepIntervalMs: settings.read(SETTINGS.sweepIntervalMs),
    },
    presence: {
      ttlMs: settings.read(SETTINGS.presenceTtlMs),
      graceMs: settings.read(SETTINGS.presenceGraceMs),
      coalesceMs: settings.read(SETTINGS.presenceCoalesceMs),
    },
    logLevel: settings.read(SETTINGS.logLevel),
    logRetentionDays: settings.read(SETTINGS.logRetentionDays),
    drainWindowMs: settings.read(SETTINGS.drainWindowMs),
    shutdownTimeoutMs: settings.read(SETTINGS.shutdownTimeoutMs),
  }
  settings.read(SETTINGS.nodeEnv)
  if (settings.problems.length > 0) throw new ConfigError(reason, settings.problems)
  return config
}

/**
 * The database alone, for what needs nothing else, as the migrations.
 *
 * @throws ConfigError when DATABASE_URL is missing or malformed.
 */
export function loadDatabaseUrl(env: NodeJS.ProcessEnv = process.env): string {
  const settings = new SettingsReader(env, 'production')
  const url = settings.readInProduction(SETTINGS.databaseUrl)
  if (url === null) throw new ConfigError('for the database', settings.problems)
  return url
}

/** Half a production (one of the two URLs) is production: falling back to an empty embedded database would hide it. */
function chooseMode(env: NodeJS.ProcessEnv): { mode: Mode; reason: string } {
  if (textOf(env, SETTINGS.nodeEnv) === 'production') {
    return { mode: 'production', reason: 'in production, because NODE_ENV=production' }
  }
  const url = [SETTINGS.databaseUrl, SETTINGS.redisUrl].find((setting) => textOf(env, setting) !== null)
  return url === undefined
    ? { mode: 'development', reason: 'in development' }
    : { mode: 'production', reason: `in production, because ${url.name} is set` }
}

function readDatabase(settings: SettingsReader): DatabaseConfig {
  const url = settings.readInProduction(SETTINGS.databaseUrl)
  const poolSize = settings.read(SETTINGS.databasePoolSize)
  const dataDir = settings.read(SETTINGS.dataDir)
  return url === null ? { kind: 'embedded', dataDir, poolSize } : { kind: 'postgres', url, poolSize }
}

function readIdentity(settings: SettingsReader): Identity {
  const { jwtSecret, jwksUrl, jwtIssuer, jwtAudience } = SETTINGS
  const [hasSecret, hasUrl] = [settings.isSet(jwtSecret), settings.isSet(jwksUrl)]
  const claims = [jwtIssuer, jwtAudience].filter((setting) => settings.isSet(setting))
  const either = `${jwtSecret.name}: ${jwtSecret.format.expected}; or ${jwksUrl.name}: ${jwksUrl.format.expected}`
  if (hasSecret && hasUrl) {
    settings.report(`${jwtSecret.name} and ${jwksUrl.name}`, 'are both set', 'one of the two')
  } else if (!hasSecret && !hasUrl && settings.mode === 'production') {
    settings.report(`${jwtSecret.name} or ${jwksUrl.name}`, 'is missing', either)
  } else if (!hasSecret && !hasUrl && claims.length > 0) {
    const names = claims.map((setting) => setting.name).join(' and ')
    settings.report(names, `${claims.length > 1 ? 'are' : 'is'} set with no key to check tokens by`, either)
  }
  const secret = settings.read(jwtSecret)
  const url = settings.read(jwksUrl)
  const rest = { issuer: settings.read(jwtIssuer), audience: settings.read(jwtAudience) }
  if (secret !== null) return { kind: 'secret', secret, ...rest }
  return url === null ? { kind: 'development' } : { kind: 'jwks', url, ...rest }
}

/** A message of the longest kind must fit through every door, or sending it would cut the connection. */
function readLimits(settings: SettingsReader): Config['limits'] {
  const maxMessageCharacters = settings.read(SETTINGS.maxMessageCharacters)
  const leastBytes = bytesForMessage(maxMessageCharacters)
  for (const setting of [SETTINGS.wsMaxPayloadBytes, SETTINGS.maxBodyBytes]) {
    const bytes = settings.read(setting)
    if (bytes !== null && bytes < leastBytes) {
      const { name } = SETTINGS.maxMessageCharacters
      settings.report(setting.name, `is ${bytes}`, `at least ${leastBytes}, for ${name}=${maxMessageCharacters}`)
    }
  }
  return {
    maxMessageCharacters,
    wsMaxPayloadBytes: settings.read(SETTINGS.wsMaxPayloadBytes) ?? Math.max(64 * 1024, leastBytes),
    maxSubscriptionsPerConnection: settings.read(SETTINGS.maxSubscriptionsPerConnection),
  }
}

/** Reads settings and gathers what is wrong with them; a malformed one reads as its default meanwhile. */
class SettingsReader {
  readonly mode: Mode
  readonly #env: NodeJS.ProcessEnv
  readonly #problems = new Map<string, SettingProblem>()

  constructor(env: NodeJS.ProcessEnv, mode: Mode) {
    this.#env = env
    this.mode = mode
  }

  get problems(): SettingProblem[] {
    return [...this.#problems.values()]
  }

  isSet(setting: Setting): boolean {
    return textOf(this.#env, setting) !== null
  }

  read<T, D>(setting: Setting<T, D>): T | D {
    const text = textOf(this.#env, setting)
    if (text === null) return setting.defaults[this.mode]
    const value = setting.format.parse(text)
    if (!(value instanceof Problem)) return value
    this.report(setting.name, value.found, setting.format.expected)
    return setting.defaults[this.mode]
  }

  /** Missing in production is a problem; in development it is null. */
  readInProduction<T>(setting: Setting<T, null>): T | null {
    if (this.mode === 'production' && !this.isSet(setting)) {
      this.report(setting.name, 'is missing', setting.format.expected)
    }
    return this.read(setting)
  }

  /** One problem for each setting, the first: what follows from it would only confuse. */
  report(setting: string, found: string, expected: string): void {
    if (this.#problems.has(setting)) return
    this.#problems.set(setting, { setting, found, expected: expected.replaceAll('`', '') })
  }
}

function textOf(env: NodeJS.ProcessEnv, { name, format }: Setting): string | null {
  const text = env[name] ?? ''
  if (text.trim() === '') return null
  return format.verbatim ? text : text.trim()
}
