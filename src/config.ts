/**
 * From the environment to the Config: the only reader of process.env. Nothing malformed or half-set falls back to a
 * default: then there is no Config, and every problem is named at once. An empty variable counts as not set.
 */
import { createECDH } from 'node:crypto'
import type { CorsOrigins, LogLevel, ScannerAddress } from './config-formats.ts'
import { type SettingProblem, SettingsReader, textOf } from './config-reader.ts'
import type { Mode } from './config-setting.ts'
import { bytesForMessage, SETTINGS } from './config-settings.ts'

const HOUR_MS = 60 * 60 * 1_000

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

export interface VapidConfig {
  readonly publicKey: string
  readonly privateKey: string
  readonly subject: string
}

export type DatabaseConfig =
  /** `dataDir` is an absolute path; where null, the platform chooses. */
  | { readonly kind: 'embedded'; readonly dataDir: string | null; readonly poolSize: number }
  | { readonly kind: 'postgres'; readonly url: string; readonly poolSize: number }

export interface FilesConfig {
  readonly storage: /** `dir` is an absolute path; where null, it is in the data folder. */
    | { readonly kind: 'disk'; readonly dir: string | null }
    | {
        readonly kind: 's3'
        readonly bucket: string
        readonly region: string
        /** Null: Amazon's own. */
        readonly endpoint: string | null
        readonly publicEndpoint: string | null
        readonly forcePathStyle: boolean
        /** Null: what the SDK finds. */
        readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | null
        readonly timeoutMs: number
      }
  /** Null: one in the data folder. */
  readonly urlSecret: string | null
  readonly urlTtlMs: number
  /** Null: the system's. */
  readonly tempDir: string | null
}

export interface UploadLimitsConfig {
  readonly maxFileBytes: number
  /** By GraphQL. */
  readonly maxUploadBytes: number
  readonly maxBytesPerDay: number
  readonly unsentMs: number
}

/** What uploaded files have to pass. */
export interface FileChecksConfig {
  /** Patterns, as `image/*`. */
  readonly allowedTypes: readonly string[]
  /** Null: nothing is scanned. */
  readonly scanner: ScannerAddress | null
  readonly scannerTimeoutMs: number
  readonly maxImagePixels: number
  readonly imageProcesses: number
}

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
  /** Null: there are no files. */
  readonly files: FilesConfig | null
  readonly uploads: UploadLimitsConfig
  /** Null: clients know. */
  readonly publicUrl: string | null
  readonly fileChecks: FileChecksConfig
  readonly presence: { readonly ttlMs: number; readonly graceMs: number; readonly coalesceMs: number }
  readonly channels: {
    /** Null: no Web Push, but in development with keys of its own. */
    readonly vapid: VapidConfig | null
    readonly allowsPrivateAddresses: boolean
    readonly timeoutMs: number
    readonly retryFirstMs: number
    readonly retryForMs: number
    readonly disableAfterMs: number
    readonly logDays: number
  }
  readonly notifications: {
    readonly windowMs: number
    readonly sweepIntervalMs: number
    /** 0: for ever. */
    readonly retentionDays: number
  }
  readonly logLevel: LogLevel
  /** 0: for ever. */
  readonly logRetentionDays: number
  readonly drainWindowMs: number
  readonly shutdownTimeoutMs: number
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
    files: readFiles(settings),
    uploads: {
      maxFileBytes: settings.read(SETTINGS.maxFileBytes),
      maxUploadBytes: settings.read(SETTINGS.uploadMaxBytes),
      maxBytesPerDay: settings.read(SETTINGS.uploadBytesPerDay),
      unsentMs: settings.read(SETTINGS.unsentFilesHours) * HOUR_MS,
    },
    publicUrl: settings.read(SETTINGS.publicUrl),
    fileChecks: {
      allowedTypes: settings.read(SETTINGS.filesAllowedTypes),
      scanner: settings.read(SETTINGS.filesScannerUrl),
      scannerTimeoutMs: settings.read(SETTINGS.filesScannerTimeoutMs),
      maxImagePixels: settings.read(SETTINGS.filesMaxImagePixels),
      imageProcesses: settings.read(SETTINGS.filesImageProcesses),
    },
    presence: {
      ttlMs: settings.read(SETTINGS.presenceTtlMs),
      graceMs: settings.read(SETTINGS.presenceGraceMs),
      coalesceMs: settings.read(SETTINGS.presenceCoalesceMs),
    },
    channels: {
      vapid: readVapid(settings),
      allowsPrivateAddresses: settings.read(SETTINGS.outboundPrivateAddresses) === 'allow',
      timeoutMs: settings.read(SETTINGS.outboundTimeoutMs),
      retryFirstMs: settings.read(SETTINGS.deliveryRetryFirstMs),
      retryForMs: settings.read(SETTINGS.deliveryRetryForMs),
      disableAfterMs: settings.read(SETTINGS.webhookDisableAfterMs),
      logDays: settings.read(SETTINGS.deliveryLogDays),
    },
    notifications: {
      windowMs: settings.read(SETTINGS.notificationWindowMs),
      // It is a walk through all rooms, for what a killed node has left; the feeds' sweep is of those with readers.
      sweepIntervalMs: 5 * settings.read(SETTINGS.sweepIntervalMs),
      retentionDays: settings.read(SETTINGS.notificationRetentionDays),
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

/** All three or none: with half of them browsers would subscribe for nothing. */
function readVapid(settings: SettingsReader): VapidConfig | null {
  const all = [SETTINGS.vapidPublicKey, SETTINGS.vapidPrivateKey, SETTINGS.vapidSubject]
  const missing = all.filter((setting) => !settings.isSet(setting))
  if (missing.length < all.length) {
    for (const { name, format } of missing) settings.report(name, 'is missing', format.expected)
  }
  const [publicKey = null, privateKey = null, subject = null] = all.map((setting) => settings.read(setting))
  if (publicKey === null || privateKey === null || subject === null) return null
  if (!isKeyPair(publicKey, privateKey)) {
    const names = `${SETTINGS.vapidPublicKey.name} and ${SETTINGS.vapidPrivateKey.name}`
    settings.report(names, 'do not belong together', 'a pair')
  }
  return { publicKey, privateKey, subject }
}

function isKeyPair(publicKey: string, privateKey: string): boolean {
  const curve = createECDH('prime256v1')
  try {
    curve.setPrivateKey(privateKey, 'base64url')
  } catch {
    return false
  }
  return curve.getPublicKey('base64url') === publicKey
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

/** In development there are always files: in the data folder, where nothing else is set. */
function readFiles(settings: SettingsReader): FilesConfig | null {
  const { filesDir, s3Bucket, filesUrlSecret } = SETTINGS
  const [dir, bucket, credentials] = [settings.read(filesDir), settings.read(s3Bucket), readS3Credentials(settings)]
  const rest = {
    urlSecret: settings.read(filesUrlSecret),
    urlTtlMs: settings.read(SETTINGS.filesUrlTtlMs),
    tempDir: settings.read(SETTINGS.filesTempDir),
  }
  const s3 = {
    region: settings.read(SETTINGS.s3Region),
    endpoint: settings.read(SETTINGS.s3Endpoint),
    publicEndpoint: settings.read(SETTINGS.s3PublicEndpoint),
    forcePathStyle: settings.read(SETTINGS.s3ForcePathStyle),
    credentials,
    timeoutMs: settings.read(SETTINGS.s3TimeoutMs),
  }
  if (dir !== null && bucket !== null) {
    settings.report(`${filesDir.name} and ${s3Bucket.name}`, 'are both set', 'one of the two')
  }
  if (settings.mode === 'production') {
    if (dir === null && bucket === null) return null
    settings.readInProduction(filesUrlSecret)
  }
  return { storage: bucket === null ? { kind: 'disk', dir } : { kind: 's3', bucket, ...s3 }, ...rest }
}

function readS3Credentials(settings: SettingsReader): { accessKeyId: string; secretAccessKey: string } | null {
  const { s3AccessKeyId, s3SecretAccessKey } = SETTINGS
  const [accessKeyId, secretAccessKey] = [settings.read(s3AccessKeyId), settings.read(s3SecretAccessKey)]
  if (accessKeyId !== null && secretAccessKey !== null) return { accessKeyId, secretAccessKey }
  if (accessKeyId !== null || secretAccessKey !== null) {
    const missing = accessKeyId === null ? s3AccessKeyId : s3SecretAccessKey
    settings.report(missing.name, 'is missing', missing.format.expected)
  }
  return null
}
