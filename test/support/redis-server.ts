// Throwaway Redis servers for tests: on a free port of 127.0.0.1, without persistence, gone with this process.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { eventually } from './eventually.ts'
import { findProgram } from './find-program.ts'

export interface TestRedis {
  url: string
  /** Ends it and removes what it left. Safe to call twice. */
  stop(): Promise<void>
  /** kill -9. Refused where the server is not ours (TEST_REDIS_URL). */
  kill(): Promise<void>
  /** Stands still: takes connections and says nothing. Refused as kill is. */
  pause(): void
  /** Goes on after a pause. */
  resume(): void
  /** Starts it again on the same port, empty. */
  restart(): Promise<void>
}

/** The path of a redis-server, or null; SOHBET_TEST_NO_REDIS=1 pretends that there is none. */
export function findRedisServer(): string | null {
  if (process.env.SOHBET_TEST_NO_REDIS === '1') return null
  return findProgram('redis-server')
}

/** Whether a cluster with sharded channels can be had: those came with Redis 7. */
export function canStartRedisCluster(): boolean {
  const binary = findRedisServer()
  if (!binary) return false
  const version = execFileSync(binary, ['--version'], { encoding: 'utf8' })
  return Number(/v=(\d+)/.exec(version)?.[1] ?? 0) >= 7
}

/** The server of TEST_REDIS_URL where that is set, else one of our own. */
export async function startTestRedis(): Promise<TestRedis> {
  const url = process.env.TEST_REDIS_URL
  if (!url || process.env.SOHBET_TEST_NO_REDIS === '1') return startOwnRedis()
  const refuse = async () => {
    throw new Error('The Redis of TEST_REDIS_URL is not ours to kill: use startOwnRedis')
  }
  return { url, stop: async () => {}, kill: refuse, pause: refuse, resume: refuse, restart: refuse }
}

/** A server of our own, for tests that kill it. */
export function startOwnRedis(): Promise<TestRedis> {
  return startRedisServer({ clusterNodeTimeoutMs: null })
}

interface ServerOptions {
  /** Null: a single server. Otherwise it is to be part of a cluster. */
  clusterNodeTimeoutMs: number | null
}

export async function startRedisServer(options: ServerOptions): Promise<TestRedis> {
  const binary = findRedisServer()
  if (!binary) throw new Error('No redis-server found: install it (Debian, Ubuntu: apt-get install redis-server)')
  const folder = mkdtempSync(path.join(os.tmpdir(), 'sohbet-test-redis-'))
  let server: { ports: Ports; child: ChildProcess }
  try {
    server = await launchOnFreePort(binary, folder, options)
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
  const { ports } = server
  return {
    url: `redis://127.0.0.1:${ports.port}`,
    stop: async () => {
      await end(server.child, 'SIGTERM')
      rmSync(folder, { recursive: true, force: true })
    },
    kill: () => end(server.child, 'SIGKILL'),
    pause: () => void server.child.kill('SIGSTOP'),
    resume: () => void server.child.kill('SIGCONT'),
    restart: async () => {
      await end(server.child, 'SIGKILL')
      server = { ports, child: await launch(binary, folder, ports, options) }
    },
  }
}

interface Ports {
  port: number
  /** On which the members of a cluster speak with each other. */
  busPort: number
}

async function launchOnFreePort(
  binary: string,
  folder: string,
  options: ServerOptions,
): Promise<{ ports: Ports; child: ChildProcess }> {
  let lastError: unknown
  // Redis cannot choose a port itself, so another process may take the one that was just free.
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const [port, busPort] = await Promise.all([freePort(), freePort()])
    try {
      return { ports: { port, busPort }, child: await launch(binary, folder, { port, busPort }, options) }
    } catch (error) {
      lastError = error
    }
  }
  throw lastError
}

async function launch(
  binary: string,
  folder: string,
  { port, busPort }: Ports,
  { clusterNodeTimeoutMs }: ServerOptions,
): Promise<ChildProcess> {
  const options = {
    port,
    bind: '127.0.0.1',
    dir: folder,
    save: '',
    appendonly: 'no',
    daemonize: 'no',
    loglevel: 'warning',
    ...(clusterNodeTimeoutMs === null
      ? {}
      : { 'cluster-enabled': 'yes', 'cluster-port': busPort, 'cluster-node-timeout': clusterNodeTimeoutMs }),
  }
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
  const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (chunk) => {
    output = (output + String(chunk)).slice(-2_000)
  })
  const failed = new Promise<never>((_, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`redis-server ended with ${code}: ${output}`)))
  })
  const killOnExit = () => child.kill('SIGKILL')
  process.once('exit', killOnExit)
  child.once('exit', () => process.off('exit', killOnExit))
  try {
    await Promise.race([failed, eventually(() => answersPing(port))])
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
  failed.catch(() => {})
  return child
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.kill(signal)
  const insist = setTimeout(() => child.kill('SIGKILL'), 5_000)
  await exited
  clearTimeout(insist)
}

function answersPing(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: '127.0.0.1', port, timeout: 1_000 }, () => socket.write('PING\r\n'))
    const fail = (error: Error) => {
      socket.destroy()
      reject(error)
    }
    socket.once('error', fail)
    socket.once('timeout', () => fail(new Error('no answer')))
    socket.once('data', (data) => {
      socket.destroy()
      if (String(data).startsWith('+PONG')) resolve()
      else reject(new Error(`not Redis: ${String(data)}`))
    })
  })
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => {
        if (address && typeof address === 'object') resolve(address.port)
        else reject(new Error('No free port'))
      })
    })
  })
}
