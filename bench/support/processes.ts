import { type ChildProcess, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createInterface, type Interface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { LightClientCounts, LightClientOptions } from './light-client.ts'

/** Everything that a bench has started and not stopped. */
const running = new Set<BenchProcess>()

/** For the end of a bench, also when it fails. */
export async function stopProcesses(): Promise<void> {
  await Promise.all([...running].map((process) => process.stop()))
}

const START_TIMEOUT_MS = 60_000
/** Linux counts CPU time in hundredths of a second. */
const CLOCK_TICKS_PER_SECOND = 100

/** A process of the bench; ended by `stop`, and with the bench itself. */
export class BenchProcess {
  readonly child: ChildProcess
  readonly #lines: Interface
  readonly #unread: string[] = []
  readonly #waiting: ((line: string) => void)[] = []

  constructor(
    script: string,
    args: readonly string[],
    { cpu, env = {} }: { cpu?: number; env?: NodeJS.ProcessEnv } = {},
  ) {
    const command = [process.execPath, fileURLToPath(new URL(`../${script}`, import.meta.url)), ...args]
    // On a processor of its own, where there is more than one: server and load do not take turns.
    const pinned = cpu === undefined ? command : ['taskset', '-c', String(cpu), ...command]
    this.child = spawn(pinned[0] ?? '', pinned.slice(1), {
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    running.add(this)
    if (!this.child.stdout) throw new Error('a process without output')
    this.#lines = createInterface({ input: this.child.stdout })
    this.#lines.on('line', (line) => {
      const wake = this.#waiting.shift()
      if (wake) wake(line)
      else this.#unread.push(line)
    })
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  line(): Promise<string> {
    const unread = this.#unread.shift()
    if (unread !== undefined) return Promise.resolve(unread)
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('a process said nothing in time')), START_TIMEOUT_MS)
      this.#waiting.push((line) => {
        clearTimeout(timer)
        resolve(line)
      })
    })
  }

  ask(question: string): Promise<string> {
    this.child.stdin?.write(`${question}\n`)
    return this.line()
  }

  async stop(): Promise<void> {
    running.delete(this)
    const gone = new Promise<void>((resolve) => this.child.once('exit', () => resolve()))
    if (this.child.exitCode !== null) return
    this.child.kill('SIGTERM')
    this.child.stdin?.end()
    await gone
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
  readonly #options: LightClientOptions

  private constructor(process: BenchProcess, options: LightClientOptions) {
    this.#process = process
    this.#options = options
  }

  /** Resolves when every connection is ready. */
  static async open(options: LightClientOptions, cpu: number): Promise<LightClient> {
    const process = new BenchProcess('support/light-client.ts', [JSON.stringify(options)], { cpu })
    const client = new LightClient(process, options)
    await client.until(({ ready }) => ready >= options.connections)
    return client
  }

  async counts(): Promise<LightClientCounts> {
    return JSON.parse(await this.#process.ask('counts'))
  }

  async until(holds: (counts: LightClientCounts) => boolean): Promise<LightClientCounts> {
    for (const deadline = Date.now() + START_TIMEOUT_MS; ; ) {
      const counts = await this.counts()
      if (holds(counts)) return counts
      if (counts.closed > 0) throw new Error(`${counts.closed} of ${this.#options.connections} connections were closed`)
      if (Date.now() > deadline) throw new Error(`the clients are not there yet: ${JSON.stringify(counts)}`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  stop(): Promise<void> {
    return this.#process.stop()
  }
}
