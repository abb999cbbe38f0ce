/**
 * Applies prisma/migrations without Prisma's CLI, and keeps the records that `prisma migrate deploy` keeps: either can
 * go on where the other stopped. Any number of nodes may start at once: one applies, the others wait and find it done.
 * A migration and its record are one transaction: a process killed in between leaves neither.
 */
import { createHash, randomUUID } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { connectCreating } from './create-database.ts'
import { migrateJobs } from './jobs.ts'

/** The lock that Prisma's schema engine takes. */
const ADVISORY_LOCK = 72_707_369

const CREATE_RECORDS = `CREATE TABLE IF NOT EXISTS "_prisma_migrations" (
  "id"                  VARCHAR(36) PRIMARY KEY NOT NULL,
  "checksum"            VARCHAR(64) NOT NULL,
  "finished_at"         TIMESTAMPTZ,
  "migration_name"      VARCHAR(255) NOT NULL,
  "logs"                TEXT,
  "rolled_back_at"      TIMESTAMPTZ,
  "started_at"          TIMESTAMPTZ NOT NULL DEFAULT now(),
  "applied_steps_count" INTEGER NOT NULL DEFAULT 0
)`

/** Tables, views and sequences of someone's, not those that came with an extension. */
const FIND_FOREIGN_TABLE = `SELECT c.relname AS name FROM pg_class c
  WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
    AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e') LIMIT 1`

export interface MigrateOptions {
  log?: (line: string) => void
  /** How long to wait for another node's migrations, and for a table that is in use. Default 60,000. */
  lockTimeoutMs?: number
}

interface MigrationFile {
  name: string
  sql: string
  checksum: string
}

interface MigrationRecord {
  migration_name: string
  checksum: string
  finished: boolean
  logs: string | null
}

/**
 * Applies what is missing, in the order of the folders' names, and returns the names applied. Creates the database
 * when it does not exist. Like `prisma migrate deploy` it throws when the last run left a failed migration or the
 * database holds tables of something else, and only logs when an applied migration's file has changed or is gone.
 * A migration that fails is rolled back and tried again at the next call. The tables of the job queue follow, which its
 * library migrates by itself.
 */
export async function migrate(
  connectionString: string,
  migrationsDir: string,
  { log = () => {}, lockTimeoutMs = 60_000 }: MigrateOptions = {},
): Promise<string[]> {
  const files = await readMigrations(migrationsDir)
  const client = await connectCreating(connectionString, log)
  try {
    await client.query(`SET lock_timeout = ${Math.trunc(lockTimeoutMs)}`)
    await lock(client, lockTimeoutMs)
    const records = await readRecords(client)
    const pending = compare(files, records, log)
    for (const file of pending) {
      await apply(client, file)
      log(`Applied migration ${file.name}`)
    }
    await migrateJobs(connectionString)
    return pending.map((file) => file.name)
  } finally {
    await client.end() // gives the lock up as well
  }
}

/** The names of the migrations that the database lacks; it is not touched. Waits at most 5 s for a connection. */
export async function findPendingMigrations(connectionString: string, migrationsDir: string): Promise<string[]> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 5_000, query_timeout: 5_000 })
  await client.connect()
  try {
    const { rows: tables } = await client.query(`SELECT to_regclass('"_prisma_migrations"') AS found`)
    const { rows } =
      tables[0].found === null
        ? { rows: [] }
        : await client.query(`SELECT "migration_name" FROM "_prisma_migrations" WHERE "finished_at" IS NOT NULL`)
    const applied = new Set(rows.map((row) => row.migration_name))
    return (await readMigrations(migrationsDir)).map(({ name }) => name).filter((name) => !applied.has(name))
  } finally {
    await client.end()
  }
}

/** The migrations of a folder, in order. Throws when a migration has no migration.sql. */
export async function readMigrations(dir: string): Promise<MigrationFile[]> {
  const entries = await readdir(dir, { withFileTypes: true })
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  const read = async (name: string) => {
    const sql = await readFile(join(dir, name, 'migration.sql'), 'utf8')
    return { name, sql, checksum: sha256(sql) }
  }
  return Promise.all(names.sort().map(read))
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

async function lock(client: pg.Client, lockTimeoutMs: number): Promise<void> {
  try {
    await client.query('SELECT pg_advisory_lock($1)', [ADVISORY_LOCK])
  } catch (error) {
    if (!(error instanceof pg.DatabaseError && error.code === '55P03')) throw error
    const seconds = Math.round(lockTimeoutMs / 1000)
    throw new Error(`Another process has been migrating this database for more than ${seconds} s`, { cause: error })
  }
}

async function readRecords(client: pg.Client): Promise<MigrationRecord[]> {
  const { rows: tables } = await client.query(`SELECT to_regclass('"_prisma_migrations"') AS found`)
  if (tables[0].found === null) {
    const { rows } = await client.query<{ name: string }>(FIND_FOREIGN_TABLE)
    if (rows[0]) throw new Error(`The database is not empty (it has ${rows[0].name}) and was not made by Sohbet`)
    await client.query(CREATE_RECORDS)
  }
  const { rows } = await client.query<MigrationRecord>(
    `SELECT "migration_name", "checksum", "finished_at" IS NOT NULL AS "finished", "logs"
     FROM "_prisma_migrations" WHERE "rolled_back_at" IS NULL`,
  )
  return rows
}

function compare(files: MigrationFile[], records: MigrationRecord[], log: (line: string) => void): MigrationFile[] {
  const failed = records.find((record) => !record.finished)
  if (failed) {
    throw new Error(
      `Migration ${failed.migration_name} did not finish: mend the database, then say so with ` +
        `"prisma migrate resolve" (${failed.logs ?? 'it was interrupted'})`,
    )
  }
  const names = new Set(files.map((file) => file.name))
  const applied = new Map(records.map((record) => [record.migration_name, record.checksum]))
  for (const name of applied.keys()) {
    if (!names.has(name)) log(`Migration ${name} was applied by another version: its file is not here`)
  }
  for (const file of files) {
    const checksum = applied.get(file.name)
    if (checksum !== undefined && checksum !== file.checksum)
      log(`Migration ${file.name} was changed after it was applied`)
  }
  return files.filter((file) => !applied.has(file.name))
}

async function apply(client: pg.Client, file: MigrationFile): Promise<void> {
  try {
    await client.query('BEGIN')
    await applyAndRecord(client, file)
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {}) // the connection may be what broke
    // Some statements, such as CREATE INDEX CONCURRENTLY, refuse to run in a transaction.
    if (error instanceof pg.DatabaseError && error.code === '25001') await applyWithoutTransaction(client, file)
    else throw new Error(`Migration ${file.name} failed and was rolled back: ${String(error)}`, { cause: error })
  }
}

/** As Prisma does: what fails stays recorded, because some of it may have been done. */
async function applyWithoutTransaction(client: pg.Client, file: MigrationFile): Promise<void> {
  try {
    await applyAndRecord(client, file)
  } catch (error) {
    const record = 'UPDATE "_prisma_migrations" SET "logs" = $2 WHERE "migration_name" = $1 AND "finished_at" IS NULL'
    await client.query(record, [file.name, String(error)]).catch(() => {})
    throw new Error(`Migration ${file.name} failed: ${String(error)}`, { cause: error })
  }
}

async function applyAndRecord(client: pg.Client, { name, sql, checksum }: MigrationFile): Promise<void> {
  const id = randomUUID()
  await client.query('INSERT INTO "_prisma_migrations" ("id", "checksum", "migration_name") VALUES ($1, $2, $3)', [
    id,
    checksum,
    name,
  ])
  await client.query(sql)
  await client.query(
    'UPDATE "_prisma_migrations" SET "finished_at" = clock_timestamp(), "applied_steps_count" = 1 WHERE "id" = $1',
    [id],
  )
}
