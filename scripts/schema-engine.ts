#!/usr/bin/env node
// A schema engine for Prisma's CLI that needs no download: the CLI starts the program that PRISMA_SCHEMA_ENGINE_BINARY
// names and talks JSON-RPC to it, a line per message. Here @prisma/schema-engine-wasm answers, over @prisma/adapter-pg.
// With a datasource on the reserved host `throw-away.invalid` it works on an embedded Postgres of its own,
// which is gone afterwards: enough to replay, compare and create migrations without any server.
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils'
import * as bindings from '@prisma/schema-engine-wasm/schema_engine_bg'
import { Databases, runDatabaseCommand } from './schema-engine-databases.ts'

// Node has it, but only the browser's type library declares it.
declare const WebAssembly: {
  instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: Record<string, unknown> } }>
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
