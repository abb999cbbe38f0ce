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

/** Whether the database is away or overloaded for the moment, so that a retry may succeed. */
export function isUnavailable(error: unknown): boolean {
  if (error instanceof Prisma.PrismaClientInitializationError) return true
  return error instanceof Prisma.PrismaClientKnownRequestError && UNAVAILABLE_CODES.has(error.code)
}

/** Prisma: cannot reach, timed out, connection closed, pool exhausted, transaction could not start or was cut. */
const UNAVAILABLE_CODES = new Set(['P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2028', 'P2037'])
