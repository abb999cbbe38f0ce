// The processes of a bench: started pinned to a processor, asked over their standard streams, and gone with the bench.

import { type ChildProcess, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { LightClientCounts, LightClientOptions } from './light-client.ts'

/** Everything that a bench has started and not stopped. */
const running = new Set<BenchProcess>()
process.once('exit', () => {
  for (const { child } of running) child.kill('SIGKILL')
})

/** For the end of a bench, also when it fails. */
export async function stopProcesses(): Promise<void> {
  await Promise.all([...running].map((process) => process.stop()))
}

const START_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 10_000
/** Linux counts CPU time in hundredths of a second. */
const CLOCK_TICKS_PER_SECOND = 100

export interface ProcessOptions {
  /** The processor that it runs on alone, where there is more than one: server and load do not take turns. */
  cpu?: number
  /** Beside PATH and HOME. */
  env?: NodeJS.ProcessEnv
  nodeArgs?: readonly string[]
}

/** A process of the bench; ended by `stop`, and with the bench itself. */
export class BenchProcess {
  readonly child: ChildProcess
  readonly #name: string
  readonly #unread: string[] = []
  readonly #waiting: { resolve: (line: string) => void; reject: (error: Error) => void }[] = []
  #end: string | null = null

  /** @param script relative to bench/. */
  constructor(script: string, args: readonly string[], options: ProcessOptions & { command?: readonly string[] } = {}) {
    const { cpu, env = {}, nodeArgs = [], command } = options
    this.#name = command?.[0] ?? script
    const program = command ?? [process.execPath, ...nodeArgs, fileURLToPath(new URL(`../${script}`, import.meta.url))]
    const pinned = [...(cpu === undefined ? [] : ['taskset', '-c', String(cpu)]), ...program, ...args]
    this.child = spawn(pinned[0] ?? '', pinned.slice(1), {
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    running.add(this)
    if (!this.child.stdout) throw new Error('a process without output')
    this.child.on('error', (error) => this.#ended(String(error)))
    this.child.on('exit', (code, signal) => this.#ended(`ended with ${code ?? signal}`))
    // A process that is gone is told by its exit.
    this.child.stdin?.on('error', () => {})
    createInterface({ input: this.child.stdout }).on('line', (line) => {
      const waiting = this.#waiting.shift()
      if (waiting) waiting.resolve(line)
      else this.#unread.push(line)
    })
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  /** The next line that it writes. */
  line(timeoutMs = START_TIMEOUT_MS): Promise<string> {
    const unread = this.#unread.shift()
    if (unread !== undefined) return Promise.resolve(unread)
    if (this.#end !== null) return Promise.reject(new Error(`${this.#name} ${this.#end}`))
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${this.#name} said nothing in time`)), timeoutMs)
      const settled = <T>(settle: (value: T) => void) => {
        return (value: T) => {
          clearTimeout(timer)
          settle(value)
        }
      }
      this.#waiting.push({ resolve: settled(resolve), reject: settled(reject) })
    })
  }

  tell(line: string): void {
    this.child.stdin?.write(`${line}\n`)
  }

  /** Its answer to a line; one question at a time. */
  ask(question: string, timeoutMs?: number): Promise<string> {
    this.tell(question)
    return this.line(timeoutMs)
  }

  async stop(): Promise<void> {
    running.delete(this)
    if (this.#end !== null) return
    const gone = new Promise<void>((resolve) => this.child.once('exit', () => resolve()))
    this.child.kill('SIGTERM')
    this.child.stdin?.end()
    const insist = setTimeout(() => this.child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    await gone
    clearTimeout(insist)
  }

  #ended(how: string): void {
    this.#end = how
    running.delete(this)
    for (const { reject } of this.#waiting.splice(0)) reject(new Error(`${this.#name} ${how}`))
  }
}

/** CPU time that a process has used, user and system, in microseconds. */
export async function cpuMicroseconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  // The name, in parentheses, may hold spaces; the fields after it do not.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return ((Number(fields[11]) + Number(fields[12])) * 1_000_000) / CLOCK_TICKS_PER_SECOND
}

export class LightClient {
  readonly #process: BenchProcess
  #connections = 0

  private constructor(process: BenchProcess) {
    this.#process = process
  }

  get pid(): number {
    return this.#process.pid
  }

  get connections(): number {
    return this.#connections
  }

  /** Resolves when every connection is ready. */
  static async open(options: LightClientOptions, cpu?: number): Promise<LightClient> {
    const client = new LightClient(new BenchProcess('support/light-client.ts', [], { cpu }))
    // Through stdin: the tokens of thousands of users are too long for an argument.
    client.#process.tell(JSON.stringify(options))
    await client.#untilReady(options.connections)
    return client
  }

  /** Further connections like the first; their indexes go on where those ended. */
  async openMore(connections: number): Promise<void> {
    this.#process.tell(`open ${connections}`)
    await this.#untilReady(this.#connections + connections)
  }

  async counts(): Promise<LightClientCounts> {
    return JSON.parse(await this.#process.ask('counts'))
  }

  /** As soon as so many frames have come in since the start, or when the time is up. */
  async awaitFrames(frames: number, timeoutMs: number): Promise<LightClientCounts> {
    return JSON.parse(await this.#process.ask(`until ${frames} ${timeoutMs}`, timeoutMs + START_TIMEOUT_MS))
  }

  /** As awaitFrames, and they must come. */
  async untilFrames(frames: number, timeoutMs = START_TIMEOUT_MS): Promise<LightClientCounts> {
    const counts = await this.awaitFrames(frames, timeoutMs)
    if (counts.frames < frames) throw new Error(`${frames} frames did not come: ${JSON.stringify(counts)}`)
    return counts
  }

  async until(holds: (counts: LightClientCounts) => boolean): Promise<LightClientCounts> {
    for (const deadline = Date.now() + START_TIMEOUT_MS; ; ) {
      const counts = await this.counts()
      if (holds(counts)) return counts
      if (counts.closed > 0) throw new Error(`${counts.closed} connections were closed: ${JSON.stringify(counts)}`)
      if (Date.now() > deadline) throw new Error(`the clients are not there yet: ${JSON.stringify(counts)}`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  stop(): Promise<void> {
    return this.#process.stop()
  }

  async #untilReady(connections: number): Promise<void> {
    this.#connections = connections
    let last = -1
    // As long as it goes on, fifty thousand may take their time.
    for (let deadline = Date.now() + START_TIMEOUT_MS; ; ) {
      const { ready, closed } = await this.counts()
      if (ready >= connections) return
      if (closed > 0) throw new Error(`${closed} connections were closed while ${connections} were opened`)
      if (ready > last) deadline = Date.now() + START_TIMEOUT_MS
      else if (Date.now() > deadline) throw new Error(`only ${ready} of ${connections} connections became ready`)
      last = ready
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
}
