import { delimiter } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'prisma/config'

const fromHere = (path: string) => fileURLToPath(new URL(path, import.meta.url))

// Prisma's own schema engine is a download from outside the npm registry; this one is built on what npm brings.
process.env.PRISMA_SCHEMA_ENGINE_BINARY ??= fromHere('scripts/schema-engine.ts')
// It needs the project's Node, also where the prisma command was started by the machine's older one.
process.env.PATH = [fromHere('node_modules/.bin'), process.env.PATH].join(delimiter)

export default defineConfig({
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' },
  // Without a database, migrations are replayed in a throw-away one (see scripts/schema-engine.ts).
  datasource: { url: process.env.DATABASE_URL ?? 'postgresql://throw-away.invalid/sohbet' },
})
