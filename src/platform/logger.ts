/**
 * The log of the process: one JSON object a line on stdout, written at once, so that a crash loses none.
 * No token, password or secret gets in, by two nets: the names of fields, and the shape of what is written.
 */
import { type DestinationStream, destination, type Logger, pino, stdTimeFunctions } from 'pino'
import type { LogLevel } from '../config-formats.ts'

export type { Logger }

const SECRET_FIELDS = [
  'accessToken',
  'authorization',
  'Authorization',
  'connectionParams',
  'cookie',
  'databaseUrl',
  'DATABASE_URL',
  'JWT_SECRET',
  'password',
  'redisUrl',
  'REDIS_URL',
  'secret',
  'secretAccessKey',
  'token',
  'urlSecret',
]
const DEPTHS = ['', '*.', '*.*.', '*.*.*.']
const CENSOR = '[redacted]'

/** JWTs; and the user and password of a URL. Both may stand inside any text, an error's message above all. */
const JWT = /\beyJ[\w-]{5,}\.[\w-]+\.[\w-]*/g
const URL_CREDENTIALS = /(?<=\b[a-z][a-z0-9+.-]{1,20}:\/\/)[^\s/@"\\]{1,1000}@/gi

/** @param output where the lines go; stdout by default. */
export function createLogger(
  level: LogLevel,
  output: DestinationStream = destination({ dest: 1, sync: true }),
): Logger {
  return pino(
    {
      level,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: SECRET_FIELDS.flatMap((field) => DEPTHS.map((depth) => `${depth}${field}`)),
        censor: CENSOR,
      },
      hooks: { streamWrite: (line) => line.replace(JWT, CENSOR).replace(URL_CREDENTIALS, `${CENSOR}@`) },
    },
    output,
  )
}
