import { PrismaPg } from '@prisma/adapter-pg'
import { Prisma, PrismaClient } from '../generated/prisma/client.ts'

export type Db = PrismaClient
/** A transaction's client. Only services open transactions. */
export type Tx = Prisma.TransactionClient

export interface DbOptions {
  url: string
  /** Connections in the pool. */
  poolSize: number
  /** Longest run of one statement, in milliseconds. Default 15,000. */
  statementTimeoutMs?: number
}

/** Opens lazily: the first query connects. Waits at most 5 s for a connection, then the query rejects. */
export function createDb({ url, poolSize, statementTimeoutMs = 15_000 }: DbOptions): Db {
  const adapter = new PrismaPg({
    connectionString: url,
    max: poolSize,
    connectionTimeoutMillis: 5_000,
    statement_timeout: statementTimeoutMs,
    // Also where the server cannot answer any more (a cut connection): the client gives up a little later.
    query_timeout: statementTimeoutMs + 2_000,
    keepAlive: true,
    application_name: 'sohbet',
  })
  return new PrismaClient({ adapter, transactionOptions: { maxWait: 5_000, timeout: 10_000 } })
}

/** Whether a write met a unique constraint (Prisma's P2002). */
export function isUniqueViolation(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2002'
}

/** Whether the database refused the data of a raw statement (SQLSTATE classes 22 and 23), rather than being unable to work. */
export function isDataError(error: unknown): boolean {
  if (!(error instanceof Prisma.PrismaClientKnownRequestError) || error.code !== 'P2010') return false
  return /"?(originalCode|code)"?\W+2[23]/.test(JSON.stringify(error.meta ?? {}))
}

/** Whether the database is away, overloaded or in each other's way for the moment, so that a retry may succeed. */
export function isUnavailable(error: unknown): boolean {
  if (error instanceof Prisma.PrismaClientInitializationError) return true
  if (error instanceof Prisma.PrismaClientKnownRequestError) {
    // Raw statements come as P2010 with the cause inside, others with a code of Prisma's own.
    const { kind, code, severity } = adapterCause(error.meta)
    return (
      UNAVAILABLE_CODES.test(error.code) ||
      UNAVAILABLE_KINDS.has(String(kind)) ||
      UNAVAILABLE_STATES.test(String(code)) ||
      severity === 'FATAL'
    )
  }
  // From pg itself, through Prisma as it is: a connection that ends while it is used, or that cannot be had in time.
  return error instanceof Error && (LOST_CONNECTION.test(error.message) || ('code' in error && NETWORK.has(error.code)))
}

/** Prisma: connecting (P1…), pool exhausted, transaction not started, cut or in conflict, too many connections. */
const UNAVAILABLE_CODES = /^(P1\d{3}|P2024|P2028|P2034|P2037)$/
const UNAVAILABLE_KINDS: ReadonlySet<string> = new Set([
  'AuthenticationFailed',
  'ConnectionClosed',
  'DatabaseAccessDenied',
  'DatabaseDoesNotExist',
  'DatabaseNotReachable',
  'SocketTimeout',
  'TlsConnectionError',
  'TooManyConnections',
  'TransactionWriteConflict',
])
/** SQLSTATE: connection (08), read-only after a failover (25006), conflict (40), resources (53), shutdown and timeouts (57). */
const UNAVAILABLE_STATES = /^(08|40|53|57|25006)/
const LOST_CONNECTION =
  /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection error|Client was closed)/
const NETWORK: ReadonlySet<unknown> = new Set([
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
])

/** What the driver adapter says in a Prisma error's `meta`. */
function adapterCause(meta: unknown): { kind?: unknown; code?: unknown; severity?: unknown } {
  const { driverAdapterError } = (meta ?? {}) as { driverAdapterError?: { cause?: object } } // as the adapter writes it
  return driverAdapterError?.cause ?? {}
}
