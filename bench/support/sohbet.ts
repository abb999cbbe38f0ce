// The product as it ships: its built server, signed in by JWT. Without settings its embedded default; with DATABASE_URL and
// REDIS_URL a node of production.

import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SignJWT } from 'jose'
import { migrate } from '../../src/platform/migrate.ts'
import { BenchProcess } from './processes.ts'

const SECRET = 'a secret of the benches, long enough for HS256'
const MIGRATIONS_DIR = fileURLToPath(new URL('../../prisma/migrations', import.meta.url))

/** As `npm start` and the image have them. */
const SHIPPED_NODE_ARGS = ['--max-semi-space-size=4']

export interface SohbetOptions {
  cpu?: number
  /** Beside those that every bench needs. With DATABASE_URL (migrated here) and REDIS_URL: production. */
  settings?: Record<string, string>
  nodeArgs?: readonly string[]
}

export interface Sohbet {
  host: string
  port: number
  pid: number
  tokenOf(name: string): Promise<string>
  /** A query or mutation that must succeed. */
  request<T>(token: string, query: string, variables?: object): Promise<T>
  stop(): Promise<void>
}

/** A token of the user whose subject and name this is, good at every node of the benches. */
export function tokenOf(name: string): Promise<string> {
  return new SignJWT({ name })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(name)
    .setExpirationTime('12h')
    .sign(Buffer.from(SECRET))
}

export async function startSohbet({ cpu, settings = {}, nodeArgs = [] }: SohbetOptions = {}): Promise<Sohbet> {
  const { DATABASE_URL } = settings
  const dataDir = DATABASE_URL === undefined ? await makeDataDir() : null
  if (DATABASE_URL !== undefined) await migrate(DATABASE_URL, MIGRATIONS_DIR)
  const server = new BenchProcess('../dist/main.js', ['--parent', String(process.pid)], {
    cpu,
    nodeArgs: [...SHIPPED_NODE_ARGS, ...nodeArgs],
    env: {
      HOST: '127.0.0.1',
      PORT: '0',
      JWT_SECRET: SECRET,
      DRAIN_WINDOW_MS: '0',
      // In production the ready line is one of the log.
      LOG_LEVEL: dataDir === null ? 'info' : 'warn',
      ...(dataDir === null ? {} : { DATA_DIR: dataDir }),
      ...settings,
    },
  })
  const { host, port } = await readAddress(server)
  return {
    host,
    port,
    pid: server.pid,
    tokenOf,
    async request(token, query, variables = {}) {
      const response = await fetch(`http://${host}:${port}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
        body: JSON.stringify({ query, variables }),
      })
      const { data, errors } = await response.json()
      if (errors) throw new Error(JSON.stringify(errors))
      return data
    },
    async stop() {
      await server.stop()
      if (dataDir !== null) await rm(dataDir, { recursive: true, force: true })
    },
  }
}

async function makeDataDir(): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'sohbet-bench-'))
  // Postgres may run as another user, and must be able to enter.
  await chmod(dataDir, 0o755)
  return dataDir
}

/** From the line in which it says that it is ready: for people in development, of the log in production. */
async function readAddress(server: BenchProcess): Promise<{ host: string; port: number }> {
  for (;;) {
    const line = await server.line()
    const ready = /Sohbet is ready/.test(line) ? /http:\/\/([\d.]+):(\d+)/.exec(line) : null
    if (!ready) continue
    const [, host = '', port = ''] = ready
    return { host, port: Number(port) }
  }
}
