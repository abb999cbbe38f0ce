/**
 * Runs a Postgres server that never outlives its owner, and whose end never goes unnoticed, whoever is killed:
 * - the owner: its end of the supervising shell's stdin closes, and the shell stops the server;
 * - the shell: the owner sees it exit, and stops the server by its pid file;
 * - the server: the shell has let go of stderr, which only the server's processes hold, so the owner reads its end.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { POSTGRES_ENVIRONMENT } from './embedded-postgres-cluster.ts'
import { commandLineOf, startOfProcess } from './process-identity.ts'
import type { Account } from './system-account.ts'

const SUPERVISOR = `
trap '' INT TERM HUP
"$@" </dev/null & server=$!
exec >/dev/null 2>&1
while read -r _; do :; done
kill -INT $server
wait $server`

const FAST_STOP_MS = 10_000
const IMMEDIATE_STOP_MS = 5_000
const KILL_MS = 5_000
const TAIL_LINES = 20

export interface ServerOptions {
  postgres: string
  clusterDir: string
  account: Account
  port: number
  maxConnections: number
  /** False gives up safety after a crash of the machine for speed. */
  durable: boolean
  log: (line: string) => void
}

export interface ServerProcess {
  /** Settles once no process of the server is left. */
  readonly gone: Promise<void>
  /** The last lines it logged. */
  tail(): string
  /** Ends it in order, else by force, within 20 seconds; rejects if a process is left even then. */
  stop(): Promise<void>
}

/** Starts the server's processes; it accepts connections some time later. */
export function runServer(options: ServerOptions): ServerProcess {
  const child = spawn('/bin/sh', ['-c', SUPERVISOR, 'sh', options.postgres, ...argumentsOf(options)], {
    ...options.account,
    cwd: '/',
    env: POSTGRES_ENVIRONMENT,
    // Its own session: Ctrl-C in the terminal is for the owner, who stops the server last.
    detached: true,
    stdio: ['pipe', 'ignore', 'pipe'],
  })
  const tail: string[] = []
  createInterface({ input: child.stderr }).on('line', (line) => {
    tail.push(line)
    if (tail.length > TAIL_LINES) tail.shift()
    options.log(line)
  })
  child.stdin.on('error', () => {}) // the shell is gone; its exit says so
  const gone = goneOf(child, options.clusterDir)
  return {
    gone,
    tail: () => tail.join('\n'),
    stop: () => stop(child, options.clusterDir, gone),
  }
}

function argumentsOf({ clusterDir, port, maxConnections, durable }: ServerOptions): string[] {
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: maxConnections,
    shared_buffers: '64MB',
    fsync: durable ? 'on' : 'off',
    synchronous_commit: durable ? 'on' : 'off',
    full_page_writes: durable ? 'on' : 'off',
    log_checkpoints: 'off',
    log_timezone: 'UTC',
    timezone: 'UTC',
  }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  return ['-D', clusterDir, '-p', String(port), ...flags]
}

async function goneOf(child: ChildProcess, clusterDir: string): Promise<void> {
  const failed = new Promise<void>((resolve) => child.once('error', () => resolve())) // could not be started
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const silent = new Promise<void>((resolve) => child.stderr?.once('close', () => resolve()))
  void exited.then(async () => {
    // Again and again: a server that was just starting had no pid file yet.
    while (!(await settlesWithin(silent, 0))) {
      await signalServer(clusterDir, 'SIGINT').catch(() => {})
      await settlesWithin(silent, 500)
    }
  })
  void silent.then(() => child.stdin?.end())
  await Promise.race([failed, Promise.all([exited, silent])])
}

async function stop(child: ChildProcess, clusterDir: string, gone: Promise<void>): Promise<void> {
  child.stdin?.end()
  if (await settlesWithin(gone, FAST_STOP_MS)) return
  await signalServer(clusterDir, 'SIGQUIT')
  if (await settlesWithin(gone, IMMEDIATE_STOP_MS)) return
  await signalServer(clusterDir, 'SIGKILL')
  child.kill('SIGKILL')
  if (await settlesWithin(gone, KILL_MS)) return
  throw new Error(`The embedded Postgres in ${clusterDir} does not end`)
}

/** Ends a server that outlived its owner. Throws when it is still there after 20 seconds. */
export async function endOrphan(clusterDir: string, log: (line: string) => void): Promise<void> {
  const steps = [
    ['SIGINT', FAST_STOP_MS],
    ['SIGQUIT', IMMEDIATE_STOP_MS],
    ['SIGKILL', KILL_MS],
  ] as const // the signals' own names, not any text
  for (const [signal, waitMs] of steps) {
    const pid = await serverPid(clusterDir)
    if (pid === null) return
    log(`Ending Postgres ${pid}, left over in ${clusterDir} by a process that is gone (${signal})`)
    await signalServer(clusterDir, signal)
    for (const until = Date.now() + waitMs; Date.now() < until; await delay(20)) {
      if ((await startOfProcess(pid)) === null) return
    }
  }
  throw new Error(`A Postgres left over in ${clusterDir} does not end`)
}

async function signalServer(clusterDir: string, signal: NodeJS.Signals): Promise<void> {
  const pid = await serverPid(clusterDir)
  if (pid === null) return
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (Object(error).code !== 'ESRCH') throw error
  }
}

/** The live server's pid by its pid file; null when that names nobody, or a process that is not this cluster's. */
async function serverPid(clusterDir: string): Promise<number | null> {
  const [firstLine = ''] = (await readFile(join(clusterDir, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')
  const pid = Number(firstLine)
  if (!Number.isSafeInteger(pid) || pid <= 1 || (await startOfProcess(pid)) === null) return null
  return (await commandLineOf(pid)).includes(`-D ${clusterDir} `) ? pid : null
}

export async function settlesWithin(promise: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  const timer = new AbortController()
  const late = delay(timeoutMs, false, { signal: timer.signal }).catch(() => false)
  try {
    return await Promise.race([promise.then(() => true), late])
  } finally {
    timer.abort()
  }
}
