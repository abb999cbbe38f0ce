// Many WebSocket connections in one process, at next to no cost: raw sockets, frames counted and not parsed. Run as a
// process of its own: node light-client.ts '<options as JSON>'. Answers each line on stdin with one line of JSON.

import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'

export interface LightClientOptions {
  host: string
  port: number
  path: string
  subprotocol: string | null
  connections: number
  /** What each connection sends, as text: the first after the handshake, each further one after a frame came in. */
  hello: string[]
  /** How many frames a connection gets before it counts as ready (an acknowledgement, a first item). */
  readyFrames: number
}

export interface LightClientCounts {
  ready: number
  frames: number
  bytes: number
  closed: number
}

class Connection {
  readonly #socket: Socket
  readonly #counts: LightClientCounts
  readonly #options: LightClientOptions
  #handshake = ''
  #open = false
  #frames = 0
  /** Bytes of the present frame that are still to come. */
  #missing = 0
  #header = Buffer.alloc(0)

  constructor(options: LightClientOptions, counts: LightClientCounts) {
    this.#options = options
    this.#counts = counts
    this.#socket = connect(options.port, options.host)
    this.#socket.setNoDelay(true)
    this.#socket.on('connect', () => this.#socket.write(upgradeRequest(options)))
    this.#socket.on('data', (chunk) => (this.#open ? this.#count(chunk) : this.#shakeHands(chunk)))
    this.#socket.on('close', () => counts.closed++)
    this.#socket.on('error', () => {})
  }

  end(): void {
    this.#socket.destroy()
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
    if (this.#options.readyFrames === 0) this.#counts.ready++
    if (rest.length > 0) this.#count(rest)
  }

  #greet(step: number): void {
    const text = this.#options.hello[step]
    if (text !== undefined) this.#socket.write(textFrame(text))
  }

  #count(chunk: Buffer): void {
    this.#counts.bytes += chunk.length
    let at = 0
    while (at < chunk.length) {
      if (this.#missing > 0) {
        const taken = Math.min(this.#missing, chunk.length - at)
        this.#missing -= taken
        at += taken
        continue
      }
      // A header may be cut in two by the network.
      const header = this.#header.length > 0 ? Buffer.concat([this.#header, chunk.subarray(at)]) : chunk.subarray(at)
      const parsed = parseHeader(header)
      if (!parsed) {
        this.#header = Buffer.from(header)
        return
      }
      at += parsed.headerBytes - this.#header.length
      this.#header = Buffer.alloc(0)
      this.#missing = parsed.payloadBytes
      if (parsed.opcode === 9) this.#socket.write(PONG)
      if (parsed.opcode !== 1) continue
      this.#counts.frames++
      if (++this.#frames === this.#options.readyFrames) this.#counts.ready++
      this.#greet(this.#frames)
    }
  }
}

const PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0])

function parseHeader(bytes: Buffer): { opcode: number; headerBytes: number; payloadBytes: number } | null {
  if (bytes.length < 2) return null
  const opcode = bytes.readUInt8(0) & 0x0f
  const short = bytes.readUInt8(1) & 0x7f
  if (short < 126) return { opcode, headerBytes: 2, payloadBytes: short }
  if (short === 126) return bytes.length < 4 ? null : { opcode, headerBytes: 4, payloadBytes: bytes.readUInt16BE(2) }
  return bytes.length < 10 ? null : { opcode, headerBytes: 10, payloadBytes: Number(bytes.readBigUInt64BE(2)) }
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

function upgradeRequest({ host, port, path, subprotocol }: LightClientOptions): string {
  return [
    `GET ${path} HTTP/1.1`,
    `Host: ${host}:${port}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    ...(subprotocol ? [`Sec-WebSocket-Protocol: ${subprotocol}`] : []),
    '\r\n',
  ].join('\r\n')
}

if (import.meta.main) {
  const options: LightClientOptions = JSON.parse(process.argv[2] ?? '')
  const counts: LightClientCounts = { ready: 0, frames: 0, bytes: 0, closed: 0 }
  const connections: Connection[] = []
  // Not all at once: the server's backlog is finite.
  const opening = setInterval(() => {
    for (let i = 0; i < 50 && connections.length < options.connections; i++) {
      connections.push(new Connection(options, counts))
    }
    if (connections.length === options.connections) clearInterval(opening)
  }, 5)
  const commands = createInterface({ input: process.stdin })
  commands.on('line', () => process.stdout.write(`${JSON.stringify(counts)}\n`))
  commands.on('close', () => {
    for (const connection of connections) connection.end()
    process.exit(0)
  })
}
