// Many WebSocket connections in one process, at next to no cost: raw sockets, frames counted and not parsed. The first
// line on stdin is its options as JSON; each further one is a command, answered with the counts as a line of JSON:
//   counts             at once
//   until FRAMES MS    as soon as so many frames came in, or after so many milliseconds, or when a connection closes
//   open CONNECTIONS   opens further ones; no answer

import { randomBytes, randomUUID } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'

export interface LightClientOptions {
  host: string
  port: number
  /** May hold placeholders: see `hello`. */
  path: string
  subprotocol: string | null
  connections: number
  /**
   * What each connection sends, as text: the first after the handshake, each further one after a frame came in; null
   * sends nothing.
   * `{{i}}` is the index of the connection, `{{uuid}}` a UUID of its own, `{{NAME}}` its turn in the list `values.NAME`.
   */
  hello: (string | null)[]
  values?: Record<string, readonly string[]>
  /** How many frames a connection gets before it counts as ready (an acknowledgement, a first item). */
  readyFrames: number
  /** The loopback addresses to connect from, in turns: each has some 28,000 ports for one server. Default: any. */
  localAddresses?: string[]
  /** How many connections may be under way at once. The server's backlog is finite. Default 100. */
  opening?: number
}

export interface LightClientCounts {
  ready: number
  /** Text frames, without the pings of engine.io. */
  frames: number
  bytes: number
  closed: number
}

const PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0])
/** One for all: what a socket read is counted before the next one reads. */
const READ_BUFFER = Buffer.allocUnsafe(256 * 1024)

class Connection {
  readonly #socket: Socket
  readonly #client: Client
  readonly #index: number
  readonly #uuid = randomUUID()
  #handshake = ''
  #open = false
  #frames = 0
  /** Bytes of the present frame that are still to come. */
  #missing = 0
  /** A header that the network has cut in two. */
  #header: Buffer | null = null

  constructor(client: Client, index: number) {
    this.#client = client
    this.#index = index
    const { host, port, localAddresses = [] } = client.options
    this.#socket = connect({
      host,
      port,
      localAddress: localAddresses[index % localAddresses.length],
      noDelay: true,
      onread: {
        buffer: READ_BUFFER,
        callback: (length, buffer) => {
          // Buffer in, Buffer out: the type says Uint8Array.
          this.#read((buffer as Buffer).subarray(0, length))
          return true
        },
      },
    })
    this.#socket.on('connect', () => this.#socket.write(this.#upgradeRequest()))
    this.#socket.on('close', () => client.onClose(!this.#isReady))
    this.#socket.on('error', () => {})
  }

  end(): void {
    this.#socket.destroy()
  }

  get #isReady(): boolean {
    return this.#open && this.#frames >= this.#client.options.readyFrames
  }

  #read(chunk: Buffer): void {
    if (this.#open) this.#count(chunk)
    else this.#shakeHands(chunk)
  }

  #shakeHands(chunk: Buffer): void {
    this.#handshake += chunk.toString('latin1')
    const end = this.#handshake.indexOf('\r\n\r\n')
    if (end < 0) return
    if (!this.#handshake.startsWith('HTTP/1.1 101')) throw new Error(this.#handshake)
    this.#open = true
    this.#greet(0)
    const rest = Buffer.from(this.#handshake.slice(end + 4), 'latin1')
    this.#handshake = ''
    if (this.#isReady) this.#client.onReady()
    if (rest.length > 0) this.#count(rest)
  }

  #greet(step: number): void {
    const text = this.#client.options.hello[step]
    if (typeof text === 'string') this.#socket.write(textFrame(this.#fill(text)))
  }

  #fill(template: string): string {
    return fillTemplate(template, { index: this.#index, uuid: this.#uuid, values: this.#client.options.values ?? {} })
  }

  #count(chunk: Buffer): void {
    this.#client.counts.bytes += chunk.length
    let at = 0
    let bytes = chunk
    if (this.#header) {
      bytes = Buffer.concat([this.#header, chunk])
      this.#header = null
    }
    while (at < bytes.length) {
      if (this.#missing > 0) {
        const taken = Math.min(this.#missing, bytes.length - at)
        this.#missing -= taken
        at += taken
        continue
      }
      const next = this.#startFrame(bytes, at)
      if (next < 0) break
      at = next
    }
    this.#client.onFrames()
  }

  /** Where the payload of the frame that begins here begins; negative where its header is not all here. */
  #startFrame(bytes: Buffer, at: number): number {
    const left = bytes.length - at
    const short = left < 2 ? 0 : (bytes[at + 1] ?? 0) & 0x7f
    const headerBytes = short < 126 ? 2 : short === 126 ? 4 : 10
    if (left < headerBytes) {
      this.#header = Buffer.from(bytes.subarray(at))
      return -1
    }
    if (short < 126) this.#missing = short
    else this.#missing = short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2))
    const opcode = (bytes[at] ?? 0) & 0x0f
    if (opcode === 9) this.#socket.write(PONG)
    if (opcode === 1) this.#onText(this.#missing)
    return at + headerBytes
  }

  #onText(payloadBytes: number): void {
    // A text of one character is engine.io's ping.
    if (payloadBytes === 1) {
      this.#socket.write(textFrame('3'))
      return
    }
    this.#client.counts.frames++
    this.#frames++
    if (this.#frames === this.#client.options.readyFrames) this.#client.onReady()
    this.#greet(this.#frames)
  }

  #upgradeRequest(): string {
    const { host, port, path, subprotocol } = this.#client.options
    return [
      `GET ${this.#fill(path)} HTTP/1.1`,
      `Host: ${host}:${port}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
      ...(subprotocol ? [`Sec-WebSocket-Protocol: ${subprotocol}`] : []),
      '\r\n',
    ].join('\r\n')
  }
}

/** See LightClientOptions.hello. */
export function fillTemplate(
  template: string,
  { index, uuid, values }: { index: number; uuid: string; values: Record<string, readonly string[]> },
): string {
  return template.replace(/\{\{(\w+)\}\}/g, (_, name: string) => {
    if (name === 'i') return String(index)
    if (name === 'uuid') return uuid
    const list = values[name] ?? []
    return list[index % list.length] ?? ''
  })
}

/** A masked text frame; the mask is zero, so that the payload stays as it is. */
function textFrame(text: string): Buffer {
  const payload = Buffer.from(text)
  const header =
    payload.length < 126
      ? Buffer.from([0x81, 0x80 | payload.length])
      : Buffer.from([0x81, 0x80 | 126, payload.length >> 8, payload.length & 0xff])
  return Buffer.concat([header, Buffer.alloc(4), payload])
}

class Client {
  readonly options: LightClientOptions
  readonly counts: LightClientCounts = { ready: 0, frames: 0, bytes: 0, closed: 0 }
  readonly #connections: Connection[] = []
  #wanted = 0
  #opening = 0
  #awaited = Number.POSITIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  constructor(options: LightClientOptions) {
    this.options = options
  }

  open(connections: number): void {
    this.#wanted += connections
    this.#openNext()
  }

  onReady(): void {
    this.counts.ready++
    this.#opening--
    this.#openNext()
  }

  onClose(wasOpening: boolean): void {
    this.counts.closed++
    if (wasOpening) this.#opening--
    if (this.#awaited < Number.POSITIVE_INFINITY) this.#answer()
  }

  until(frames: number, timeoutMs: number): void {
    this.#awaited = frames
    this.#timer = setTimeout(() => this.#answer(), timeoutMs)
    this.onFrames()
  }

  onFrames(): void {
    if (this.counts.frames >= this.#awaited) this.#answer()
  }

  say(): void {
    process.stdout.write(`${JSON.stringify(this.counts)}\n`)
  }

  end(): void {
    for (const connection of this.#connections) connection.end()
  }

  #answer(): void {
    clearTimeout(this.#timer)
    this.#awaited = Number.POSITIVE_INFINITY
    this.say()
  }

  #openNext(): void {
    while (this.#connections.length < this.#wanted && this.#opening < (this.options.opening ?? 100)) {
      this.#opening++
      this.#connections.push(new Connection(this, this.#connections.length))
    }
  }
}

if (import.meta.main) {
  let client: Client | null = null
  const commands = createInterface({ input: process.stdin })
  commands.on('line', (line) => {
    if (!client) {
      // Written by LightClient.open.
      const options = JSON.parse(line) as LightClientOptions
      client = new Client(options)
      client.open(options.connections)
      return
    }
    const [command, first, second] = line.split(' ')
    if (command === 'counts') client.say()
    else if (command === 'until') client.until(Number(first), Number(second))
    else if (command === 'open') client.open(Number(first))
  })
  commands.on('close', () => {
    client?.end()
    process.exit(0)
  })
}
