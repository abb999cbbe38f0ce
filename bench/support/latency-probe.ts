// Some subscribers who look at the clock: how long after an event was on Redis it is with each of them. Both moments are taken
// in this one process, which hears Redis itself. The first line on stdin is its options as JSON; then a command a line:
//   open N     opens so many further connections, and answers with a line when they are there
//   take N     answers with the latencies in milliseconds since the last take, as soon as so many were taken, or after 20 s

import { randomUUID } from 'node:crypto'
import { createInterface } from 'node:readline'
import { Redis } from 'ioredis'
import { WebSocket } from 'ws'
import { fillTemplate, type LightClientOptions } from './light-client.ts'
import { MESSAGE_MARK } from './message-text.ts'

export interface LatencyProbeOptions {
  client: LightClientOptions
  redisUrl: string
  channel: string
}

const TAKE_TIMEOUT_MS = 20_000

class Probe {
  readonly #options: LatencyProbeOptions
  /** When the events of these marks were on Redis. */
  readonly #published = new Map<string, number>()
  #latenciesMs: number[] = []
  #connections = 0
  #wanted = Number.POSITIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  constructor(options: LatencyProbeOptions) {
    this.#options = options
    const redis = new Redis(options.redisUrl)
    redis.on('message', (_channel: string, message: string) => {
      const now = performance.now()
      const mark = markIn(message)
      if (mark) this.#published.set(mark, now)
    })
    void redis.subscribe(options.channel)
  }

  async open(connections: number): Promise<void> {
    for (let i = 0; i < connections; i++) await this.#connect(this.#connections++)
    process.stdout.write('open\n')
  }

  take(wanted: number): void {
    this.#wanted = wanted
    this.#timer = setTimeout(() => this.#answer(), TAKE_TIMEOUT_MS)
    if (this.#latenciesMs.length >= wanted) this.#answer()
  }

  #connect(index: number): Promise<void> {
    const { host, port, path, subprotocol, hello, values = {}, readyFrames } = this.#options.client
    const uuid = randomUUID()
    const fill = (template: string) => fillTemplate(template, { index, uuid, values })
    const socket = new WebSocket(`ws://${host}:${port}${fill(path)}`, subprotocol ?? [], { perMessageDeflate: false })
    let frames = 0
    return new Promise((resolve, reject) => {
      const greet = () => {
        const text = hello[frames]
        if (typeof text === 'string') socket.send(fill(text))
        if (frames === readyFrames) resolve()
      }
      socket.on('open', greet)
      socket.on('error', reject)
      socket.on('message', (data) => {
        const now = performance.now()
        const text = String(data)
        // A text of one character is engine.io's ping.
        if (text.length === 1) return socket.send('3')
        const mark = markIn(text)
        if (mark) return this.#note(mark, now)
        frames++
        greet()
      })
    })
  }

  #note(mark: string, now: number): void {
    const published = this.#published.get(mark)
    if (published !== undefined) this.#latenciesMs.push(now - published)
    if (this.#latenciesMs.length >= this.#wanted) this.#answer()
  }

  #answer(): void {
    clearTimeout(this.#timer)
    this.#wanted = Number.POSITIVE_INFINITY
    process.stdout.write(`${JSON.stringify(this.#latenciesMs)}\n`)
    this.#latenciesMs = []
    this.#published.clear()
  }
}

const markIn = (text: string) => MESSAGE_MARK.exec(text)?.[1]

if (import.meta.main) {
  let probe: Probe | null = null
  const commands = createInterface({ input: process.stdin })
  commands.on('line', (line) => {
    if (!probe) {
      // Written by the latency bench.
      probe = new Probe(JSON.parse(line) as LatencyProbeOptions)
      return
    }
    const [command, count] = line.split(' ')
    if (command === 'open') void probe.open(Number(count))
    else if (command === 'take') probe.take(Number(count))
  })
  commands.on('close', () => process.exit(0))
}
