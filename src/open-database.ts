import { join } from 'node:path'
import type { DatabaseConfig } from './config.ts'
import { resolveDataDir } from './platform/data-dir.ts'
import { describeDatabase, isAbsentDatabase, reasonOf } from './platform/database-error.ts'
import { startEmbeddedPostgres } from './platform/embedded-postgres.ts'
import type { Logger } from './platform/logger.ts'
import { findPendingMigrations, migrate } from './platform/migrate.ts'

export interface OpenDatabase {
  url: string
  /** Where the embedded default keeps its files; null where the database is elsewhere. */
  dataDir: string | null
  /** Resolves, with the reason, when the database has ended by itself; never for one that is elsewhere. */
  failed: Promise<string>
  close(): Promise<void>
}

/** The embedded database, started and migrated; or the given one, which must have been migrated. */
export async function openDatabase({
  config,
  projectDir,
  logger,
}: {
  config: DatabaseConfig
  projectDir: string
  logger: Logger
}): Promise<OpenDatabase> {
  const migrations = join(projectDir, 'prisma', 'migrations')
  if (config.kind === 'postgres') {
    const pending = await findPendingMigrations(config.url, migrations).catch((error: unknown) => {
      const advice = isAbsentDatabase(error) ? ': "npm run migrate" creates it' : ''
      const message = `The ${describeDatabase(config.url)} cannot be used: ${reasonOf(error)}${advice}`
      throw new Error(message, { cause: error })
    })
    if (pending.length > 0) {
      throw new Error(`The database lacks ${pending.length} migration(s): run "npm run migrate" first`)
    }
    return { url: config.url, dataDir: null, failed: new Promise(() => {}), close: async () => {} }
  }
  const dataDir = await resolveDataDir(config.dataDir, projectDir, { log: (line) => logger.warn(line) })
  const postgres = await startEmbeddedPostgres({
    dataDir,
    database: 'sohbet',
    log: (line) => logger.debug({ postgres: line }, 'embedded Postgres'),
  })
  try {
    await migrate(postgres.url, migrations, { log: (line) => logger.info(line) })
  } catch (error) {
    await postgres.stop()
    throw error
  }
  let closing = false
  return {
    url: postgres.url,
    dataDir,
    failed: new Promise((resolve) => {
      void postgres.exited.then(() => {
        if (!closing) resolve('The embedded Postgres has ended')
      })
    }),
    close() {
      closing = true
      return postgres.stop()
    },
  }
}
