// `npm run migrate`: brings the database of DATABASE_URL up to this version.

import { fileURLToPath } from 'node:url'
import { ConfigError, loadDatabaseUrl } from './config.ts'
import { migrate } from './platform/migrate.ts'

const say = (line: string) => process.stdout.write(`${line}\n`)

try {
  const applied = await migrate(loadDatabaseUrl(), fileURLToPath(new URL('../prisma/migrations', import.meta.url)), {
    log: say,
  })
  say(applied.length === 0 ? 'The database is up to date.' : `${applied.length} migration(s) applied.`)
} catch (error) {
  process.stderr.write(`${error instanceof ConfigError ? error.message : `Migrating failed: ${String(error)}`}\n`)
  process.exit(1)
}
