// The databases that the schema engine works on, over @prisma/adapter-pg with what the engine needs mended.
import { randomUUID } from 'node:crypto'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PrismaPg } from '@prisma/adapter-pg'
import { ColumnTypeEnum, type SqlDriverAdapter } from '@prisma/driver-adapter-utils'
import pg from 'pg'

const CONNECT_TIMEOUT_MS = 10_000
const OID_CHAR = 18
const OID_CHAR_ARRAY = 1002

function withDatabase(url: string, database: string): string {
  const changed = new URL(url)
  changed.pathname = `/${encodeURIComponent(database)}`
  return changed.toString()
}

const databaseOf = (url: string): string => decodeURIComponent(new URL(url).pathname.slice(1)) || 'postgres'

async function runSql(connectionString: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: CONNECT_TIMEOUT_MS })
  try {
    await client.connect()
    await client.query(sql)
  } finally {
    await client.end()
  }
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`
const createDatabase = (url: string, name: string) => runSql(url, `CREATE DATABASE ${quoted(name)}`)
const dropDatabase = (url: string, name: string) => runSql(url, `DROP DATABASE IF EXISTS ${quoted(name)} WITH (FORCE)`)

/**
 * The engine reads "char" columns from the catalog, a type that adapter-pg refuses. Here they are passed off as
 * arrays of it, which adapter-pg lets pass and nothing in the catalog is, once their values are set to be read as text.
 */
class CatalogClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config)
    this.once('connect', () => this.connection.on('rowDescription', passOffCharColumns))
  }
}

function passOffCharColumns({ fields }: { fields: { dataTypeID: number }[] }): void {
  for (const field of fields) if (field.dataTypeID === OID_CHAR) field.dataTypeID = OID_CHAR_ARRAY
}

async function openAdapter(connectionString: string, onDisposed?: () => Promise<void>): Promise<SqlDriverAdapter> {
  const schema = new URL(connectionString).searchParams.get('schema') ?? undefined
  const pool = new pg.Pool({
    connectionString,
    max: 1,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    Client: CatalogClient,
  })
  const adapter = await new PrismaPg(pool, { schema, disposeExternalPool: true }).connect()
  // adapter-pg would split the script at every `;`, also inside the body of a function.
  adapter.executeScript = async (script) => {
    await adapter.executeRaw({ sql: script, args: [], argTypes: [] })
  }
  const queryRaw = adapter.queryRaw.bind(adapter)
  adapter.queryRaw = async (query) => {
    const result = await queryRaw(query)
    const { Character, CharacterArray } = ColumnTypeEnum
    return { ...result, columnTypes: result.columnTypes.map((type) => (type === CharacterArray ? Character : type)) }
  }
  const dispose = adapter.dispose.bind(adapter)
  adapter.dispose = async () => {
    await dispose()
    await onDisposed?.()
  }
  return adapter
}

/** Where the engine works: the database of `url`, or an own throw-away server when that is on `throw-away.invalid`. */
export class Databases {
  readonly throwAway: boolean
  readonly #url: string
  #server: Promise<{ url: string; stop(): Promise<void> }> | null = null

  constructor(url: string | undefined) {
    this.throwAway = url === undefined || new URL(url).hostname === 'throw-away.invalid'
    this.#url = url ?? ''
  }

  readonly factory = {
    provider: 'postgres' as const, // the type wants the literal
    adapterName: '@prisma/adapter-pg',
    connect: () => (this.throwAway ? this.#openEmpty() : openAdapter(this.#url)),
    connectToShadowDb: () => this.#openEmpty(),
  }

  async #openEmpty(): Promise<SqlDriverAdapter> {
    const base = this.throwAway ? (await this.#startServer()).url : this.#url
    const name = `prisma_migrate_shadow_db_${randomUUID()}`
    await createDatabase(base, name)
    return openAdapter(withDatabase(base, name), () => dropDatabase(base, name))
  }

  #startServer() {
    this.#server ??= (async () => {
      const { startEmbeddedPostgres } = await import('../src/platform/embedded-postgres.ts')
      const dir = await mkdtemp(join(tmpdir(), 'sohbet-schema-engine-'))
      const remove = () => rm(dir, { recursive: true, force: true })
      try {
        await chmod(dir, 0o755) // as root, Postgres runs as another user
        const server = await startEmbeddedPostgres({ dataDir: join(dir, 'data'), database: 'scratch', log: () => {} })
        return { url: server.url, stop: () => server.stop().finally(remove) }
      } catch (error) {
        await remove()
        throw error
      }
    })()
    return this.#server
  }

  async close(): Promise<void> {
    const server = await this.#server?.catch(() => null)
    await server?.stop()
  }
}

/** `schema-engine cli <command>`: exits 0, or 1 with a log on stderr from which the CLI reads the error's code. */
export async function runDatabaseCommand(command: string | undefined, url: string): Promise<number> {
  const name = databaseOf(url)
  const maintenance = withDatabase(url, 'postgres')
  try {
    if (new URL(url).hostname === 'throw-away.invalid') return 0
    if (command === 'can-connect-to-database') await runSql(url, 'SELECT 1')
    else if (command === 'create-database') await createDatabase(maintenance, name)
    else if (command === 'drop-database') await dropDatabase(maintenance, name)
    else throw new Error(`Unknown command: ${command}`)
    return 0
  } catch (error) {
    const absent = error instanceof pg.DatabaseError && error.code === '3D000'
    const message = (error instanceof Error && error.message) || String(error)
    // The CLI skips the first line.
    console.error(JSON.stringify({ level: 'INFO', target: 'schema_engine', fields: { message: 'started' } }))
    const fields = { error_code: absent ? 'P1003' : 'P1001', message }
    console.error(JSON.stringify({ level: 'ERROR', target: 'schema_engine::logger', fields }))
    return 1
  }
}
