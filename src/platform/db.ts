import { PrismaPg } from '@prisma/adapter-pg'
import { type Prisma, PrismaClient } from '../generated/prisma/client.ts'

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
