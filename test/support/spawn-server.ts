/**
 * Whole processes of the service, started as a person or an orchestrator starts them. Each leads a process group of its
 * own, as in a terminal, and none outlives the test: call `endAll` after each.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { delimiter } from 'node:path'
import { eventually } from './eventually.ts'
import { expectGone, processesOf } from './process-table.ts'

const READY_TIMEOUT_MS = 90_000
const EXIT_TIMEOUT_MS = 30_000

export interface SpawnOptions {
  command: string
  args?: readonly string[]
  cwd: string
  /** Beside PATH, HOME and, because the default may be taken on this machine, PORT=0. */
  env?: Record<string, string>
  uid?: number
  gid?: number
}

export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}

export interface SpawnedServer {
  /** Of the process, and of its group. */
  readonly pid: number
  /** What it has written so far, to stdout and stderr. */
  output(): string
  /** Its url, once it says that it is ready. Rejects, with what it wrote, when it ends before. */
  ready(): Promise<string>
  /** How it ended, once all that it wrote is here. Rejects when it has not within 30 seconds. */
  exited(): Promise<Exit>
  /** To its whole process group, as Ctrl-C in a terminal does; or to the process alone. */
  signal(signal: NodeJS.Signals, to: 'group' | 'process'): void
}

const groups = new Set<number>()

export function spawnServer({ command, args = [], cwd, env, ...ids }: SpawnOptions): SpawnedServer {
  const child = spawn(command, args, {
    ...ids,
    cwd,
    env: { PATH: personsPath(), HOME: process.env.HOME, PORT: '0', ...env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const { pid } = child
  if (pid === undefined) throw new Error(`${command} could not be started`)
  groups.add(pid)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
  const exit = exitOf(child)
  return {
    pid,
    output: () => output,
    ready: () => urlIn(() => output, exit),
    exited: () => within(EXIT_TIMEOUT_MS, exit, () => `It is still running:\n${output}`),
    signal: (signal, to) => void process.kill(to === 'group' ? -pid : pid, signal),
  }
}

/** Runs it to its end. */
export async function runToEnd(options: SpawnOptions): Promise<Exit & { output: string }> {
  const server = spawnServer(options)
  return { ...(await server.exited()), output: server.output() }
}

/** The url in what the server says, wherever that goes. */
export async function urlIn(output: () => string, exit: Promise<Exit> = new Promise(() => {})): Promise<string> {
  let ended: Exit | null = null
  void exit.then((how) => (ended = how))
  const url = await eventually(
    () => {
      // In development for people, in production as a line of the log.
      const said = /^Sohbet is ready at (\S+)$|"url":"([^"]+)","msg":"Sohbet is ready"/m
        .exec(output())
        ?.slice(1)
        .find(Boolean)
      if (said === undefined && ended === null) throw new Error(`It is not ready:\n${output()}`)
      return said
    },
    { timeoutMs: READY_TIMEOUT_MS },
  )
  if (url === undefined) throw new Error(`It ended with ${JSON.stringify(ended)} before it was ready:\n${output()}`)
  return url
}

/** Kills what is left of everything that was started, and sees it go. */
export async function endAll(): Promise<void> {
  const left = (await Promise.all([...groups].map(processesOf))).flat()
  for (const group of groups) {
    try {
      process.kill(-group, 'SIGKILL')
    } catch {} // gone already
  }
  groups.clear()
  try {
    await expectGone(left)
  } catch (error) {
    for (const { pid } of left) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {} // one of those that did go
    }
    throw error
  }
}

/** PATH without what `npm test` put in front: a person's shell knows nothing of node_modules. */
export function personsPath(): string {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !folder.includes('node_modules'))
    .join(delimiter)
}

function exitOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
}

function within<T>(timeoutMs: number, promise: Promise<T>, what: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(what())), timeoutMs)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
