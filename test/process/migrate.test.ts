import { execFile } from 'node:child_process'
import { cp, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { migrate } from '../../src/platform/migrate.ts'
import { startTestPostgres, type TestPostgres, temporaryFolder, urlOf } from '../support/postgres-server.ts'

const PROJECT = fileURLToPath(new URL('../..', import.meta.url))
const MIGRATIONS = join(PROJECT, 'prisma/migrations')
const CLI_TIMEOUT_MS = 60_000

let server: TestPostgres
let folder: string
let count = 0
const databases: string[] = []

beforeAll(async () => {
  ;[server, folder] = await Promise.all([startTestPostgres(), temporaryFolder('migrations')])
}, 60_000)

afterAll(async () => {
  for (const name of databases) await query(server.url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
  await server.stop()
  await rm(folder, { recursive: true, force: true })
}, 60_000)

/** The url of a database that does not exist yet. */
function newDatabase(): string {
  const name = `sohbet_migrate_${process.pid}_${++count}`
  databases.push(name)
  return urlOf(server.url, name)
}

/** A copy of the project's migrations, with more of them, as [name, sql] each. */
async function migrationsWith(...more: [string, string][]): Promise<string> {
  const dir = join(folder, `migrations-${++count}`)
  await cp(MIGRATIONS, dir, { recursive: true })
  for (const [name, sql] of more) {
    await mkdir(join(dir, name), { recursive: true })
    await writeFile(join(dir, name, 'migration.sql'), sql)
  }
  return dir
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000, query_timeout: 30_000 })
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

const records = (url: string) =>
  query(
    url,
    `SELECT migration_name, checksum, applied_steps_count, logs, rolled_back_at, finished_at >= started_at AS finished
     FROM _prisma_migrations ORDER BY migration_name`,
  )

async function prisma(url: string | null, ...args: string[]): Promise<string> {
  const { DATABASE_URL: _, ...env } = process.env
  const options = { cwd: PROJECT, env: url ? { ...env, DATABASE_URL: url } : env, timeout: CLI_TIMEOUT_MS }
  const { stdout, stderr } = await promisify(execFile)(join(PROJECT, 'node_modules/.bin/prisma'), args, options)
  return stdout + stderr
}

describe('migrate', () => {
  it('creates the database and leaves what prisma migrate deploy leaves, record by record', async () => {
    const [ours, theirs] = [newDatabase(), newDatabase()]
    const applied = await migrate(ours, MIGRATIONS)
    await prisma(theirs, 'migrate', 'deploy')
    expect(applied.length).toBeGreaterThan(0)
    expect(await records(ours)).toEqual(await records(theirs))
    const columns = `SELECT table_name, column_name, data_type, column_default, is_nullable, character_maximum_length
      FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2`
    expect(await query(ours, columns)).toEqual(await query(theirs, columns))
    expect(await migrate(theirs, MIGRATIONS)).toEqual([])
    expect(await prisma(ours, 'migrate', 'deploy')).toContain('No pending migrations')
    expect(await prisma(ours, 'migrate', 'status')).toContain('Database schema is up to date')
  }, 120_000)

  it('keeps the migrations and schema.prisma in step, which needs no database', async () => {
    const diff = ['migrate', 'diff', '--from-migrations', 'prisma/migrations', '--to-schema', 'prisma/schema.prisma']
    expect(await prisma(null, ...diff, '--exit-code').catch(String)).toContain('No difference detected')
  }, 120_000)

  it('applies each migration once when many nodes start at once on a missing database', async () => {
    const url = newDatabase()
    const applied = await Promise.all(Array.from({ length: 8 }, () => migrate(url, MIGRATIONS)))
    expect(applied.filter((names) => names.length > 0)).toHaveLength(1)
    expect(await records(url)).toHaveLength(applied.flat().length)
  }, 60_000)

  it('goes on from where an earlier version stopped, and with functions and several statements', async () => {
    const url = newDatabase()
    await migrate(url, MIGRATIONS)
    const body = `CREATE FUNCTION one() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; RETURN 1; END $$;
      CREATE TABLE later (id int); -- a ; in a comment`
    const dir = await migrationsWith(['99990101000000_later', body])
    expect(await migrate(url, dir)).toEqual(['99990101000000_later'])
    expect(await query(url, 'SELECT one() AS one')).toEqual([{ one: 1 }])
  }, 60_000)

  it('rolls a failed migration back whole, and applies it once it is mended', async () => {
    const url = newDatabase()
    const name = '99990101000000_half'
    const broken = await migrationsWith([name, 'CREATE TABLE half (id int); SELECT 1 / 0;'])
    await expect(migrate(url, broken)).rejects.toThrow(
      /99990101000000_half failed and was rolled back.*division by zero/,
    )
    expect(await query(url, `SELECT to_regclass('half') AS half`)).toEqual([{ half: null }])
    const mended = await migrationsWith([name, 'CREATE TABLE half (id int);'])
    expect(await migrate(url, mended)).toEqual([name])
  }, 60_000)

  it('applies a statement that refuses to run in a transaction', async () => {
    const url = newDatabase()
    const sql = 'CREATE INDEX CONCURRENTLY more ON rooms (topic);'
    const dir = await migrationsWith(['99990101000000_concurrently', sql])
    expect(await migrate(url, dir)).toContain('99990101000000_concurrently')
    expect((await records(url)).every((record) => record.finished)).toBe(true)
  }, 60_000)

  it('refuses, as prisma does, while a migration is recorded as failed', async () => {
    const url = newDatabase()
    await migrate(url, MIGRATIONS)
    await query(url, `UPDATE _prisma_migrations SET finished_at = NULL, logs = 'out of space'`)
    await expect(migrate(url, MIGRATIONS)).rejects.toThrow(/did not finish.*prisma migrate resolve.*out of space/)
    await expect(prisma(url, 'migrate', 'deploy')).rejects.toThrow(/P3009/)
  }, 120_000)

  it('refuses, as prisma does, a database that holds something else', async () => {
    const url = newDatabase()
    await migrate(url, await emptyFolder())
    await query(url, 'DROP TABLE _prisma_migrations; CREATE TABLE other (id int)')
    await expect(migrate(url, MIGRATIONS)).rejects.toThrow(/not empty \(it has other\)/)
    await expect(prisma(url, 'migrate', 'deploy')).rejects.toThrow(/P3005/)
  }, 120_000)

  it('goes on, as prisma does, and says so, when an applied migration was changed or is gone', async () => {
    const url = newDatabase()
    await migrate(url, await migrationsWith(['99990101000000_gone', 'SELECT 1;']))
    await query(url, `UPDATE _prisma_migrations SET checksum = repeat('0', 64) WHERE migration_name LIKE '%_init'`)
    const lines: string[] = []
    expect(await migrate(url, MIGRATIONS, { log: (line) => lines.push(line) })).toEqual([])
    expect(lines).toEqual([
      expect.stringMatching(/99990101000000_gone was applied by another version/),
      expect.stringMatching(/_init was changed after it was applied/),
    ])
    expect(await prisma(url, 'migrate', 'deploy')).toContain('No pending migrations')
  }, 120_000)

  it('says clearly when another process holds the lock for too long', async () => {
    const url = newDatabase()
    await migrate(url, MIGRATIONS)
    const other = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 })
    await other.connect()
    try {
      await other.query('SELECT pg_advisory_lock(72707369)')
      await expect(migrate(url, MIGRATIONS, { lockTimeoutMs: 100 })).rejects.toThrow(
        /Another process has been migrating/,
      )
    } finally {
      await other.end()
    }
    expect(await migrate(url, MIGRATIONS)).toEqual([])
  }, 60_000)

  it('fails when the server is away', async () => {
    const closed = 'postgresql://postgres@127.0.0.1:1/sohbet'
    await expect(migrate(closed, MIGRATIONS)).rejects.toThrow(/ECONNREFUSED/)
  }, 30_000)
})

async function emptyFolder(): Promise<string> {
  const dir = join(folder, `empty-${++count}`)
  await mkdir(dir)
  return dir
}
