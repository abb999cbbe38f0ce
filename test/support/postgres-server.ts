/**
 * Real Postgres for tests: the server that TEST_DATABASE_URL names, or else a throw-away embedded one; and databases
 * in it that are copies of a template with all migrations applied.
 */
import { createHash, randomUUID } from 'node:crypto'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { createDatabase } from '../../src/platform/create-database.ts'
import { startEmbeddedPostgres } from '../../src/platform/embedded-postgres.ts'
import { migrate, readMigrations } from '../../src/platform/migrate.ts'

const MIGRATIONS_DIR = fileURLToPath(new URL('../../prisma/migrations', import.meta.url))
const TIMEOUT_MS = 60_000
/** Any number that nothing else in the test server locks. */
const TEMPLATE_LOCK = 7_360_724

export interface TestPostgres {
  /** Of a user who may create databases. */
  readonly url: string
  /** Ends the server if it was started here, and removes its data. */
  stop(): Promise<void>
}

export interface TestDatabase {
  readonly url: string
  drop(): Promise<void>
}

/** TEST_DATABASE_URL is the url of any database on the server, by a user who may create databases and pg_trgm. */
export async function startTestPostgres(): Promise<TestPostgres> {
  const given = process.env.TEST_DATABASE_URL
  if (given) return { url: given, stop: async () => {} }
  const dir = await temporaryFolder('postgres')
  const remove = () => rm(dir, { recursive: true, force: true })
  try {
    const server = await startEmbeddedPostgres({
      dataDir: dir,
      database: 'postgres',
      log: () => {},
      maxConnections: 300,
      durable: false,
    })
    return { url: server.url, stop: () => server.stop().finally(remove) }
  } catch (error) {
    await remove()
    throw error
  }
}

/** A folder that Postgres can enter, also when the tests run as root and it runs as another user. */
export async function temporaryFolder(purpose: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), `sohbet-test-${purpose}-`))
  await chmod(dir, 0o755)
  return dir
}

/** A database with all migrations applied and nothing else in it. Safe to call from any number of test files at once. */
export async function createTestDatabase(adminUrl: string): Promise<TestDatabase> {
  const name = `sohbet_test_${randomUUID().replaceAll('-', '')}`
  await withAdmin(adminUrl, async (admin) => {
    const template = await ensureTemplate(admin, adminUrl)
    await createDatabase(admin, name, template)
  })
  return {
    url: urlOf(adminUrl, name),
    drop: () =>
      withAdmin(adminUrl, async (admin) => void (await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))),
  }
}

/** The template's name tells its migrations; it has that name only once they are all applied. */
async function ensureTemplate(admin: pg.Client, adminUrl: string): Promise<string> {
  const checksums = (await readMigrations(MIGRATIONS_DIR)).map(({ name, checksum }) => `${name} ${checksum}`)
  const hash = createHash('sha256').update(checksums.join('\n')).digest('hex').slice(0, 16)
  const [template, draft] = [`sohbet_template_${hash}`, `sohbet_draft_${hash}`]
  await admin.query('SELECT pg_advisory_lock($1)', [TEMPLATE_LOCK])
  try {
    const { rowCount } = await admin.query('SELECT 1 FROM pg_database WHERE datname = $1', [template])
    if (rowCount === 0) {
      await admin.query(`DROP DATABASE IF EXISTS ${draft} WITH (FORCE)`)
      await migrate(urlOf(adminUrl, draft), MIGRATIONS_DIR)
      await admin.query(`ALTER DATABASE ${draft} RENAME TO ${template}`)
    }
  } finally {
    await admin.query('SELECT pg_advisory_unlock($1)', [TEMPLATE_LOCK])
  }
  return template
}

async function withAdmin(adminUrl: string, work: (admin: pg.Client) => Promise<void>): Promise<void> {
  const admin = new pg.Client({
    connectionString: adminUrl,
    connectionTimeoutMillis: TIMEOUT_MS,
    query_timeout: TIMEOUT_MS,
    lock_timeout: TIMEOUT_MS,
  })
  try {
    await admin.connect()
    await work(admin)
  } finally {
    await admin.end()
  }
}

export function urlOf(adminUrl: string, database: string): string {
  const url = new URL(adminUrl)
  url.pathname = `/${encodeURIComponent(database)}`
  return url.toString()
}
