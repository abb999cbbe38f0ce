// A throwaway Postgres for a bench: the product's own binaries, with durability on (fsync, synchronous_commit).

import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/platform/embedded-postgres.ts'
import { migrate } from '../../src/platform/migrate.ts'

const MIGRATIONS = fileURLToPath(new URL('../../prisma/migrations', import.meta.url))

export interface BenchPostgres {
  /** Of the superuser, to the database `bench`. */
  readonly url: string
  /** Of the postmaster. */
  readonly pid: number
  /** Makes another database, with the product's tables in it, and returns its url. */
  createMigrated(database: string): Promise<string>
  /** What ran on the database of this url since the last reset, the counting apart; for `countStatements` only. */
  readStatements(url: string): Promise<StatementCount[]>
  resetStatements(): Promise<void>
  stop(): Promise<void>
}

export interface StatementCount {
  /** With its constants replaced by parameters. */
  query: string
  calls: number
}

export interface BenchPostgresOptions {
  /** Whether the database `bench` has the product's tables; default false. */
  migrated?: boolean
  /** Loads pg_stat_statements, for statements to be counted; default false, because counting costs a little. */
  countStatements?: boolean
  /** Default 400. */
  maxConnections?: number
}

export async function startPostgres({
  migrated = false,
  countStatements = false,
  maxConnections = 400,
}: BenchPostgresOptions = {}): Promise<BenchPostgres> {
  const dataDir = await mkdtemp(join(tmpdir(), 'sohbet-bench-pg-'))
  // Root's Postgres runs as another user.
  await chmod(dataDir, 0o755)
  const start = () => startEmbeddedPostgres({ dataDir, database: 'bench', maxConnections, log: () => {} })
  let server = await start()
  try {
    if (countStatements) server = await preload(server, start)
    if (migrated) await migrate(server.url, MIGRATIONS)
    const pidFile = await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8')
    return {
      url: server.url,
      pid: Number.parseInt(pidFile, 10),
      async createMigrated(database) {
        const url = server.url.replace(/\/bench$/, `/${database}`)
        await migrate(url, MIGRATIONS)
        return url
      },
      readStatements: (url) => readStatements(server.url, new URL(url).pathname.slice(1)),
      resetStatements: () => runSql(server.url, 'SELECT pg_stat_statements_reset()'),
      stop: () => remove(server, dataDir),
    }
  } catch (error) {
    await remove(server, dataDir)
    throw error
  }
}

async function remove(server: EmbeddedPostgres, dataDir: string): Promise<void> {
  await server.stop()
  await rm(dataDir, { recursive: true, force: true })
}

/** A library is loaded when the server starts. */
async function preload(server: EmbeddedPostgres, start: () => Promise<EmbeddedPostgres>): Promise<EmbeddedPostgres> {
  await runSql(server.url, `ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'`)
  await runSql(server.url, `ALTER SYSTEM SET pg_stat_statements.track = 'top'`)
  await server.stop()
  const restarted = await start()
  await runSql(restarted.url, 'CREATE EXTENSION pg_stat_statements')
  return restarted
}

/** One connection for some statements. */
export async function runSql(url: string, ...statements: string[]): Promise<void> {
  await withClient(url, async (client) => {
    for (const sql of statements) await client.query(sql)
  })
}

export async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

function readStatements(url: string, database: string): Promise<StatementCount[]> {
  return withClient(url, async (client) => {
    const { rows } = await client.query<StatementCount>(
      `SELECT query, calls::int FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
       WHERE d.datname = $1 AND query NOT LIKE '%pg_stat_statements%' ORDER BY calls DESC, query`,
      [database],
    )
    return rows
  })
}
