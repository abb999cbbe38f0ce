#!/usr/bin/env node
// A schema engine for Prisma's CLI that needs no download: the CLI starts the program that PRISMA_SCHEMA_ENGINE_BINARY
// names and talks JSON-RPC to it, a line per message. Here @prisma/schema-engine-wasm answers, over @prisma/adapter-pg.
// With a datasource on the reserved host `throw-away.invalid` it works on an embedded Postgres of its own,
// which is gone afterwards: enough to replay, compare and create migrations without any server.
import { randomUUID } from 'node:crypto'
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { PrismaPg } from '@prisma/adapter-pg'
import {
  bindMigrationAwareSqlAdapterFactory,
  ColumnTypeEnum,
  type SqlDriverAdapter,
} from '@prisma/driver-adapter-utils'
import * as bindings from '@prisma/schema-engine-wasm/schema_engine_bg'
import pg from 'pg'

const CONNECT_TIMEOUT_MS = 10_000
const OID_CHAR = 18
const OID_CHAR_ARRAY = 1002

// Node has it, but only the browser's type library declares it.
declare const WebAssembly: {
  instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: Record<string, unknown> } }>
}

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
class Databases {
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
async function runDatabaseCommand(command: string | undefined, url: string): Promise<number> {
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

async function loadEngine(databases: Databases, schemaFiles: string[] | undefined): Promise<bindings.SchemaEngine> {
  const file = fileURLToPath(new URL('schema_engine_bg.wasm', import.meta.resolve('@prisma/schema-engine-wasm')))
  const { instance } = await WebAssembly.instantiate(await readFile(file), { './schema_engine_bg.js': { ...bindings } })
  bindings.__wbg_set_wasm(instance.exports)
  const start = instance.exports.__wbindgen_start
  if (typeof start !== 'function') throw new Error('@prisma/schema-engine-wasm has no __wbindgen_start')
  start()
  const read = async (path: string): Promise<[string, string]> => [path, await readFile(path, 'utf8')]
  const datamodels = schemaFiles && (await Promise.all(schemaFiles.map(read)))
  const factory = bindMigrationAwareSqlAdapterFactory(databases.factory)
  return bindings.SchemaEngine.new({ datamodels }, (line: unknown) => process.env.DEBUG && console.error(line), factory)
}

interface Request {
  id: number
  method: string
  params?: { migrationsList?: bindings.MigrationList; filters?: bindings.SchemaFilter }
}

class Session {
  readonly #databases: Databases
  readonly #schemaFiles: string[] | undefined
  #engine: Promise<bindings.SchemaEngine> | null = null
  readonly #open = new Set<number>()
  #developing = false

  constructor(databases: Databases, schemaFiles: string[] | undefined) {
    this.#databases = databases
    this.#schemaFiles = schemaFiles
  }

  async answer({ id, method, params }: Request): Promise<void> {
    this.#open.add(id)
    try {
      const result = await this.#call(method, params)
      if (method === 'diff' && isPrinted(result)) {
        // The engine's answer holds the text; the CLI expects it in a message before the answer.
        send({ id: `print-${id}`, method: 'print', params: { content: result.stdout } })
        send({ id, result: { ...result, stdout: null } })
      } else send({ id, result: result ?? null })
    } catch (error) {
      this.#refuse(id, error)
    } finally {
      this.#open.delete(id)
    }
  }

  /** A crash inside the engine leaves its promises open: the CLI would end without a word, and with success. */
  refuseOpen(error: unknown): void {
    for (const id of this.#open) this.#refuse(id, error)
  }

  #refuse(id: number, error: unknown): void {
    const { message = String(error), code, meta }: { message?: string; code?: unknown; meta?: unknown } = Object(error)
    send({ id, error: { code: 4466, message, data: { is_panic: false, message, error_code: code, meta } } })
  }

  async #call(method: string, params: Request['params']): Promise<unknown> {
    this.#developing ||= method === 'devDiagnostic'
    if (method === 'applyMigrations' && this.#databases.throwAway && !this.#developing) {
      throw new Error('DATABASE_URL is not set: there is no database to apply migrations to.')
    }
    this.#engine ??= loadEngine(this.#databases, this.#schemaFiles)
    const engine = await this.#engine
    const operation: unknown = Reflect.get(engine, method === 'getDatabaseVersion' ? 'version' : method)
    if (typeof operation !== 'function') throw new Error(`The schema engine has no method ${method}`)
    try {
      return await operation.call(engine, params)
    } catch (error) {
      const forgotten = error instanceof Error && error.message.includes('through an external factory')
      if (!forgotten || !params?.migrationsList || !params.filters) throw error
      // Having applied migrations, the engine has lost its shadow database until it is asked for a diagnosis.
      await engine.devDiagnostic({ migrationsList: params.migrationsList, filters: params.filters })
      return await operation.call(engine, params)
    }
  }
}

function isPrinted(result: unknown): result is { stdout: string } {
  return typeof result === 'object' && result !== null && 'stdout' in result && typeof result.stdout === 'string'
}

function send(message: object): void {
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
}

async function serve(databases: Databases, session: Session): Promise<void> {
  const quit = (code: number) => databases.close().finally(() => process.exit(code))
  process.on('SIGTERM', () => quit(0)) // how the CLI ends its engine
  let panic: string | null = null
  // The name under which the engine's own code looks for it.
  Object.assign(globalThis, { PRISMA_WASM_PANIC_REGISTRY: { set_message: (message: string) => (panic = message) } })
  process.on('uncaughtException', (error) => {
    session.refuseOpen(panic === null ? error : new Error(panic))
    void quit(1)
  })
  const pending = new Set<Promise<void>>()
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
    const request: Partial<Request> = line === '' ? {} : JSON.parse(line)
    const { id, method, params } = request
    if (id === undefined || method === undefined) continue
    const answering = session.answer({ id, method, params }).finally(() => pending.delete(answering))
    pending.add(answering)
  }
  await Promise.all(pending)
  await quit(0)
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  strict: false,
  options: {
    datasource: { type: 'string' },
    datamodels: { type: 'string', multiple: true },
    'enabled-preview-features': { type: 'string' },
    'extension-types': { type: 'string' },
    version: { type: 'boolean' },
  },
})
const url: string | undefined = typeof values.datasource === 'string' ? JSON.parse(values.datasource).url : undefined

if (values.version) console.log('schema-engine-cli wasm')
else if (positionals[0] === 'cli') process.exitCode = await runDatabaseCommand(positionals[1], url ?? '')
else {
  const files = values.datamodels?.filter((file) => typeof file === 'string')
  const databases = new Databases(url)
  await serve(databases, new Session(databases, files))
}
