// `npm run migrate`: brings the database of DATABASE_URL up to this version.

import { fileURLToPath } from 'node:url'
import { ConfigError, loadDatabaseUrl } from './config.ts'
import { describeDatabase, reasonOf } from './platform/database-error.ts'
import { migrate } from './platform/migrate.ts'

const say = (line: string) => process.stdout.write(`${line}\n`)

try {
  const url = loadDatabaseUrl()
  const applied = await migrate(url, fileURLToPath(new URL('../prisma/migrations', import.meta.url)), {
    log: say,
  }).catch((error: unknown) => exitWith(`Migrating the ${describeDatabase(url)} failed: ${reasonOf(error)}`))
  say(applied.length === 0 ? 'The database is up to date.' : `${applied.length} migration(s) applied.`)
} catch (error) {
  if (!(error instanceof ConfigError)) throw error
  exitWith(error.message)
}

function exitWith(message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}
