import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { Prisma, PrismaClient } from '../generated/prisma/client.ts'

export type Db = PrismaClient & Prepared
/** A transaction's client. Only services open transactions. */
export type Tx = Prisma.TransactionClient

/** A statement that every connection prepares once; the name is of this text alone. */
export interface PreparedStatement {
  name: string
  text: string
}

interface Prepared {
  /**
   * The rows of a statement, past Prisma but on its connections: for the statement whose cost counts. Columns are what the
   * driver makes of them. Errors are the driver's, which the questions below understand as well.
   */
  runPrepared<Row extends object>(statement: PreparedStatement, values: readonly unknown[]): Promise<Row[]>
}

export interface DbOptions {
  url: string
  /** Connections in the pool. */
  poolSize: number
  /** Longest run of one statement, in milliseconds. Default 15,000. */
  statementTimeoutMs?: number
  /** What the database's own lists call its connections. Default sohbet. */
  applicationName?: string
}

/** Longer than any transaction of the service lasts (see transactionOptions). */
const IDLE_TRANSACTION_TIMEOUT_MS = 12_000
/** Waiting for a room's lock is normal for milliseconds. */
const LOCK_TIMEOUT_MS = 4_000

/** Opens lazily: the first query connects. Waits at most 5 s for a connection, then the query rejects. */
export function createDb({ url, poolSize, statementTimeoutMs = 15_000, applicationName = 'sohbet' }: DbOptions): Db {
  const pool = new pg.Pool({
    connectionString: url,
    max: poolSize,
    connectionTimeoutMillis: 5_000,
    statement_timeout: statementTimeoutMs,
    // Also where the server cannot answer any more (a cut connection): the client gives up a little later.
    query_timeout: statementTimeoutMs + 2_000,
    // A node that vanished within a transaction must not keep its locks from the others until TCP notices.
    idle_in_transaction_session_timeout: IDLE_TRANSACTION_TIMEOUT_MS,
    lock_timeout: LOCK_TIMEOUT_MS,
    keepAlive: true,
    // The driver's times have no zone: they are UTC, whatever the database's own is.
    options: '-c TimeZone=UTC',
    application_name: applicationName,
  })
  // The pool has dropped a connection that ended while nobody used it; unheard, that would end the process.
  pool.on('error', () => {})
  // The same between a connection's leaving the pool and its taker's listening: there the pool no longer hears.
  pool.on('connect', (client) => client.on('error', () => {}))
  const prisma = new PrismaClient({
    adapter: new PrismaPg(pool),
    transactionOptions: { maxWait: 5_000, timeout: 10_000 },
  })
  const disconnectPrisma = prisma.$disconnect.bind(prisma)
  return Object.assign(prisma, {
    async runPrepared<Row extends object>({ name, text }: PreparedStatement, values: readonly unknown[]) {
      // A copy, because the driver's type wants one that it may write to.
      const { rows } = await pool.query<Row>({ name, text, values: [...values] })
      return rows
    },
    async $disconnect() {
      await disconnectPrisma()
      if (!pool.ending) await pool.end()
    },
  })
}

/** Whether a write met a unique constraint (Prisma's P2002). */
export function isUniqueViolation(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2002'
}

/** Whether the database refused the data of a raw statement (SQLSTATE classes 22 and 23), rather than being unable to work. */
export function isDataError(error: unknown): boolean {
  return /^2[23]/.test(sqlStateOf(error))
}

/** Whether a raw statement waited too long for a lock (SQLSTATE 55P03): somebody else holds what it needs. */
export function isLockTimeout(error: unknown): boolean {
  return sqlStateOf(error) === '55P03'
}

function sqlStateOf(error: unknown): string {
  if (error instanceof pg.DatabaseError) return error.code ?? ''
  if (!(error instanceof Prisma.PrismaClientKnownRequestError)) return ''
  const { code } = adapterCause(error.meta)
  return typeof code === 'string' ? code : ''
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
  if (error instanceof pg.DatabaseError) return UNAVAILABLE_STATES.test(error.code ?? '') || error.severity === 'FATAL'
  // From pg itself, or through Prisma as it is: a connection that ends while it is used, or that cannot be had in time.
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
/** SQLSTATE: connection (08), read-only after a failover (25006), conflict (40), resources (53), a lock or a transaction that took too long (55P03, 25P03), shutdown and timeouts (57). */
const UNAVAILABLE_STATES = /^(08|40|53|55P03|57|25006|25P03)/
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
