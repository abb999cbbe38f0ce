// The servers that a fault run kills, pauses and starts again. Each is known by its pid, so that a fault can prove that it
// met the process it was meant for.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, readlink, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/platform/embedded-postgres.ts'
import { migrate } from '../../src/platform/migrate.ts'
import { eventually } from '../support/eventually.ts'
import { temporaryFolder } from '../support/postgres-server.ts'
import { startOwnRedis, type TestRedis } from '../support/redis-server.ts'

/** See turnable-clock.ts. */
const CLOCK = new URL('turnable-clock.ts', import.meta.url).href
const PROJECT = fileURLToPath(new URL('../..', import.meta.url))
const MIGRATIONS = join(PROJECT, 'prisma', 'migrations')
/** Under all that a run puts on two processors. */
const READY_TIMEOUT_MS = 60_000
const KEPT_OUTPUT = 20_000
const ACCIDENT_LINES = 45

/** SIGINT is the fast way to stop Postgres, SIGQUIT the immediate one; after SIGKILL it recovers as from a crash. */
export type PostgresEnd = 'SIGINT' | 'SIGQUIT' | 'SIGKILL'

/** Durable, as in production: what it has acknowledged survives whatever is killed. */
export class FaultPostgres {
  readonly #dataDir: string
  #server: EmbeddedPostgres

  private constructor(dataDir: string, server: EmbeddedPostgres) {
    this.#dataDir = dataDir
    this.#server = server
  }

  static async start(): Promise<FaultPostgres> {
    const dataDir = await temporaryFolder('faults-postgres')
    try {
      const postgres = new FaultPostgres(dataDir, await launch(dataDir))
      await migrate(postgres.url, MIGRATIONS)
      return postgres
    } catch (error) {
      await rm(dataDir, { recursive: true, force: true })
      throw error
    }
  }

  /** Straight to the server; the port is another after each restart. */
  get url(): string {
    return this.#server.url
  }

  get port(): number {
    return Number(new URL(this.url).port)
  }

  async pid(): Promise<number> {
    const file = await readFile(join(this.#dataDir, 'postgres', 'postmaster.pid'), 'utf8')
    return Number.parseInt(file, 10)
  }

  /** Resolves when no process of it is left. */
  async end(signal: PostgresEnd): Promise<void> {
    process.kill(await this.pid(), signal)
    await this.#server.exited
  }

  async restart(): Promise<void> {
    this.#server = await launch(this.#dataDir)
  }

  async stop(): Promise<void> {
    await this.#server.stop()
    await rm(this.#dataDir, { recursive: true, force: true })
  }
}

function launch(dataDir: string): Promise<EmbeddedPostgres> {
  return startEmbeddedPostgres({ dataDir, database: 'sohbet', maxConnections: 200, log: () => {} })
}

export class FaultRedis {
  readonly #server: TestRedis
  readonly #admin: Redis

  private constructor(server: TestRedis) {
    this.#server = server
    this.#admin = new Redis(server.url, { retryStrategy: () => 50, maxRetriesPerRequest: null })
    // It comes and goes.
    this.#admin.on('error', () => {})
  }

  static async start(): Promise<FaultRedis> {
    return new FaultRedis(await startOwnRedis())
  }

  get port(): number {
    return Number(new URL(this.#server.url).port)
  }

  async pid(): Promise<number> {
    const pid = /process_id:(\d+)/.exec(await this.#admin.info('server'))?.[1]
    if (pid === undefined) throw new Error('Redis does not say its pid')
    return Number(pid)
  }

  /** kill -9. */
  kill(): Promise<void> {
    return this.#server.kill()
  }

  restart(): Promise<void> {
    return this.#server.restart()
  }

  async stop(): Promise<void> {
    this.#admin.disconnect()
    await this.#server.stop()
  }
}

export interface NodeOptions {
  name: string
  settings: Record<string, string>
  /** It has ended and nobody had ended it; with how, and what it wrote last. */
  onAccident: (what: string) => void
}

/** The built server, as it ships. */
export class FaultNode {
  readonly name: string
  readonly #settings: Record<string, string>
  readonly #onAccident: (what: string) => void
  #child: ChildProcess | null = null
  #output = ''
  #url: string | null = null
  #isExpectedToEnd = false

  constructor({ name, settings, onAccident }: NodeOptions) {
    this.name = name
    this.#onAccident = onAccident
    this.#settings = settings
    process.once('exit', () => this.#child?.kill('SIGKILL'))
  }

  /** Null while it is not ready. */
  get url(): string | null {
    return this.#url
  }

  /** Null where it does not run. */
  get pid(): number | null {
    const child = this.#child
    return child && isRunning(child) ? (child.pid ?? null) : null
  }

  /** What it wrote last. */
  get lastLines(): string {
    return this.#output.trimEnd().split('\n').slice(-ACCIDENT_LINES).join('\n')
  }

  /** Resolves when it is ready. */
  async start(): Promise<void> {
    this.#isExpectedToEnd = false
    let own = ''
    const args = ['--max-semi-space-size=4', '--import', CLOCK, 'dist/main.js', '--parent', String(process.pid)]
    const env = { PATH: process.env.PATH, HOME: process.env.HOME, ...this.#settings }
    const child = spawn(process.execPath, args, { cwd: PROJECT, env, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-KEPT_OUTPUT)
        if (this.#url === null) own += text
      })
    }
    child.once('exit', (code, signal) => {
      const wasReady = this.#url !== null
      this.#url = null
      if (wasReady && !this.#isExpectedToEnd) {
        this.#onAccident(`${this.name} ended by itself with ${signal ?? code} after\n${this.lastLines}`)
      }
    })
    const find = () => {
      const url = /"url":"([^"]+)","msg":"Sohbet is ready"/.exec(own)?.[1]
      if (url === undefined && isRunning(child)) throw new Error(`${this.name} is not ready: ${own}`)
      return url ?? null
    }
    const url = await eventually(find, { timeoutMs: READY_TIMEOUT_MS })
    if (url === null) throw new Error(`${this.name} ended before it was ready: ${own}`)
    this.#url = url
  }

  /** Turns its clock to the next place; resolves with what it says of it. */
  async turnClock(): Promise<string> {
    const turns = () => this.#output.match(/^clock turned .*$/gm) ?? []
    const before = turns().at(-1)
    this.#child?.kill('SIGUSR2')
    return eventually(() => {
      const last = turns().at(-1)
      if (last === undefined || last === before) throw new Error(`the clock of ${this.name} does not turn`)
      return last
    })
  }

  /** Ends it, and tells how it ended. */
  async end(signal: NodeJS.Signals): Promise<NodeJS.Signals | number | null> {
    this.#isExpectedToEnd = true
    const child = this.#child
    if (!child || !isRunning(child)) return null
    const exited = once(child, 'exit')
    child.kill(signal)
    const [code, ending] = await exited
    return ending ?? code
  }
}

function isRunning({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null
}

/** Whether the process is stopped (SIGSTOP), as the kernel says. */
export async function isPaused(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T')
}

/** Whether the process holds the end of a TCP connection that has this port, as the kernel says. */
export async function holdsPort(pid: number, port: number): Promise<boolean> {
  const table = await readFile('/proc/net/tcp', 'utf8')
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const row = table
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find((columns) => columns[1] === local && columns[9] !== '0')
  const socket = `socket:[${row?.[9]}]`
  const files = await readdir(`/proc/${pid}/fd`).catch(() => [])
  const links = await Promise.all(files.map((file) => readlink(`/proc/${pid}/fd/${file}`).catch(() => '')))
  return links.includes(socket)
}
