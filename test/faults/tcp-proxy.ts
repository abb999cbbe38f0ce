// A TCP proxy that fails as networks do. Each fault counts what it truly met, so that a run can tell a fault that hit
// from one that fell on nobody.

import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { channelOf, RespFrames } from './resp-frames.ts'

/** Up: what clients send; down: what the server sends. */
export type Direction = 'up' | 'down'

export interface ProxyHits {
  /** Connections that were reset. */
  cut: number
  /** Connections that were taken and reset at once. */
  refused: number
  /** Bytes that a stall held back. */
  stalledBytes: number
  /** Bytes that a half-open connection swallowed. */
  swallowedBytes: number
  /** Bytes that came late. */
  delayedBytes: number
  /** Published messages that were left out. */
  droppedMessages: number
}

export interface ProxyOptions {
  /** Of the server on 127.0.0.1. */
  targetPort: number
  /** Default false: then no messages can be dropped. */
  isRedis?: boolean
}

/** More than this is not held back, but left in the kernel: then the sender notices, as on a real network. */
const MAX_HELD_BYTES = 8 * 1024 * 1024

export class TcpProxy {
  readonly hits: ProxyHits = {
    cut: 0,
    refused: 0,
    stalledBytes: 0,
    swallowedBytes: 0,
    delayedBytes: 0,
    droppedMessages: 0,
  }
  /** Bytes that came from clients, whatever became of them. */
  askedBytes = 0
  readonly #server: Server
  readonly #isRedis: boolean
  readonly #links = new Set<Link>()
  #targetPort: number
  readonly #weather: Weather = { isRefusing: false, isStalled: false, swallows: null, delayMs: 0, messagesToDrop: 0 }

  private constructor({ targetPort, isRedis = false }: ProxyOptions) {
    this.#targetPort = targetPort
    this.#isRedis = isRedis
    this.#server = createServer((client) => this.#take(client))
  }

  static async start(options: ProxyOptions): Promise<TcpProxy> {
    const proxy = new TcpProxy(options)
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject)
      proxy.#server.listen(0, '127.0.0.1', resolve)
    })
    return proxy
  }

  get port(): number {
    // A TCP server has an address object.
    return (this.#server.address() as AddressInfo).port
  }

  /** Open ones. */
  get connections(): number {
    return this.#links.size
  }

  /** For new connections: the server came back on another port. */
  retarget(port: number): void {
    this.#targetPort = port
  }

  /** Resets every open connection at both ends. */
  cut(): void {
    for (const link of this.#links) {
      this.hits.cut += 1
      link.reset()
    }
  }

  /** Resets what is open and what comes, until `heal`. */
  refuse(): void {
    this.#weather.isRefusing = true
    this.cut()
  }

  /** No byte gets through either way, nor the end of a connection, until `heal`; then all of it does. */
  stall(): void {
    this.#weather.isStalled = true
  }

  /** What is sent in this direction vanishes until `heal`; then connections that lack bytes are reset. */
  swallow(direction: Direction): void {
    this.#weather.swallows = direction
  }

  /** Every byte comes later by so much until `heal`. */
  delay(delayMs: number): void {
    this.#weather.delayMs = delayMs
  }

  /** The next so many published messages do not reach their subscriber. */
  dropMessages(count: number): void {
    if (!this.#isRedis) throw new Error('only before Redis can messages be told apart')
    this.#weather.messagesToDrop = count
  }

  heal(): void {
    Object.assign(this.#weather, { isRefusing: false, isStalled: false, swallows: null, delayMs: 0, messagesToDrop: 0 })
    for (const link of this.#links) link.heal()
  }

  async close(): Promise<void> {
    for (const link of this.#links) link.reset()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  #take(client: Socket): void {
    if (this.#weather.isRefusing) {
      this.hits.refused += 1
      client.on('error', () => {})
      client.resetAndDestroy()
      return
    }
    client.on('data', (bytes: Buffer) => (this.askedBytes += bytes.length))
    const server = connect(this.#targetPort, '127.0.0.1')
    const link = new Link(client, server, this.#weather, this.hits, this.#isRedis)
    this.#links.add(link)
    link.onGone = () => this.#links.delete(link)
  }
}

/** What the proxy does just now. */
interface Weather {
  isRefusing: boolean
  isStalled: boolean
  swallows: Direction | null
  delayMs: number
  messagesToDrop: number
}

/** One client's connection and the one to the server that stands for it. */
class Link {
  onGone: () => void = () => {}
  readonly #pipes: readonly Pipe[]

  constructor(client: Socket, server: Socket, weather: Weather, hits: ProxyHits, isRedis: boolean) {
    for (const socket of [client, server]) {
      socket.setNoDelay(true)
      socket.on('close', () => {
        if (client.destroyed && server.destroyed) this.onGone()
      })
    }
    const frames = isRedis ? new RespFrames() : null
    this.#pipes = [
      new Pipe({ from: client, to: server, direction: 'up', weather, hits, frames: null }),
      new Pipe({ from: server, to: client, direction: 'down', weather, hits, frames }),
    ]
  }

  reset(): void {
    for (const pipe of this.#pipes) pipe.reset()
  }

  heal(): void {
    if (this.#pipes.some(({ hasSwallowed }) => hasSwallowed)) this.reset()
    for (const pipe of this.#pipes) pipe.flush()
  }
}

interface PipeOptions {
  from: Socket
  to: Socket
  direction: Direction
  weather: Weather
  hits: ProxyHits
  /** Where published messages may have to be left out. */
  frames: RespFrames | null
}

/** One direction of a connection. */
class Pipe {
  hasSwallowed = false
  readonly #options: PipeOptions
  /** Held back by a stall, in order; null is the connection's end. */
  readonly #held: (Buffer | null)[] = []
  #heldBytes = 0
  /** Under way, in order. */
  readonly #late: (Buffer | null)[] = []
  /** When the last of the bytes under way is to arrive: nothing overtakes it. */
  #dueMs = 0

  constructor(options: PipeOptions) {
    this.#options = options
    const { from, to } = options
    from.on('data', (chunk: Buffer) => this.#take(chunk))
    // Its close follows.
    from.on('error', () => {})
    from.on('close', () => this.#pass(null))
    to.on('drain', () => from.resume())
  }

  reset(): void {
    this.#held.length = 0
    this.#options.from.resetAndDestroy()
  }

  flush(): void {
    this.#heldBytes = 0
    for (const held of this.#held.splice(0)) this.#pass(held)
    this.#options.from.resume()
  }

  #take(chunk: Buffer): void {
    const { frames } = this.#options
    if (frames === null) {
      this.#pass(chunk)
      return
    }
    const kept = frames.take(chunk).filter((frame) => !this.#isDropped(frame))
    if (kept.length > 0) this.#pass(Buffer.concat(kept))
  }

  #isDropped(frame: Buffer): boolean {
    const { weather, hits } = this.#options
    if (weather.messagesToDrop === 0 || channelOf(frame) === null) return false
    weather.messagesToDrop -= 1
    hits.droppedMessages += 1
    return true
  }

  #pass(bytes: Buffer | null): void {
    const { weather, direction } = this.#options
    if (weather.swallows === direction) this.#swallow(bytes)
    else if (weather.isStalled) this.#hold(bytes)
    else if (weather.delayMs > 0 || this.#late.length > 0) this.#forwardLater(bytes)
    else this.#forward(bytes)
  }

  #swallow(bytes: Buffer | null): void {
    this.hasSwallowed = true
    this.#options.hits.swallowedBytes += bytes?.length ?? 0
  }

  #hold(bytes: Buffer | null): void {
    const { hits, from } = this.#options
    this.#held.push(bytes)
    hits.stalledBytes += bytes?.length ?? 0
    this.#heldBytes += bytes?.length ?? 0
    if (this.#heldBytes > MAX_HELD_BYTES) from.pause()
  }

  #forwardLater(bytes: Buffer | null): void {
    const { weather, hits } = this.#options
    hits.delayedBytes += bytes?.length ?? 0
    this.#dueMs = Math.max(this.#dueMs, performance.now() + weather.delayMs)
    // Timers of different lengths may fire out of order: each brings whatever is first.
    this.#late.push(bytes)
    setTimeout(() => this.#forward(this.#late.shift() ?? null), Math.max(0, this.#dueMs - performance.now()))
  }

  #forward(bytes: Buffer | null): void {
    const { from, to } = this.#options
    if (bytes === null) to.destroy()
    else if (!to.destroyed && !to.write(bytes)) from.pause()
  }
}
