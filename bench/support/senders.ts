// Many people who send chat messages over some WebSockets, in one process and at little cost: raw sockets, prepared frames,
// answers found by their first bytes. The first line on stdin is its options as JSON, answered with `ready` once everybody
// is connected and the listener subscribed; each further one is a SendersRun, answered with a SendersResult.
//
// Every sender waits for the answer before sending again. One more socket listens to the room: send-to-delivery is from the
// moment that a send is written until the listener has its message.

import { randomBytes, randomUUID } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { quantileOf } from './statistics.ts'

export interface SendersOptions {
  host: string
  port: number
  /** As many sockets, each of one person; the first listens as well. */
  tokens: string[]
  roomId: string
  /** With the variables `$input: SendMessageInput!` and `$roomId: ID!`. */
  mutation: string
  subscription: string
}

export interface SendersRun {
  senders: number
  ms: number
}

export interface SendersResult {
  messages: number
  seconds: number
  answerMs: { p50: number; p99: number }
  deliveryMs: { p50: number; p99: number }
}

const TEXT = 'x'.repeat(100)
const DELIVERY_TIMEOUT_MS = 20_000
const SUBSCRIBE_ATTEMPT_MS = 200
const LISTENER = 'listener'
const CLIENT_MESSAGE_ID = '"clientMessageId":"'
const PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0])

/** A WebSocket of a client that trusts its server: text frames out and in, pings answered. */
class LightSocket {
  readonly #socket: Socket
  readonly #onText: (text: string) => void
  #bytes: Buffer = Buffer.alloc(0)

  private constructor(socket: Socket, rest: Buffer, onText: (text: string) => void) {
    this.#socket = socket
    this.#onText = onText
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('close', () => fail('the server closed a connection'))
    if (rest.length > 0) this.#read(rest)
  }

  static open({ host, port }: SendersOptions, onText: (text: string) => void): Promise<LightSocket> {
    const socket = connect({ host, port, noDelay: true })
    socket.on('error', (error) => fail(String(error)))
    socket.write(upgradeRequest(host, port))
    return new Promise((resolve) => {
      let head = Buffer.alloc(0)
      const onData = (chunk: Buffer) => {
        head = Buffer.concat([head, chunk])
        const end = head.indexOf('\r\n\r\n')
        if (end < 0) return
        if (!head.toString('latin1').startsWith('HTTP/1.1 101')) fail(`no WebSocket: ${head.toString('latin1')}`)
        socket.off('data', onData)
        resolve(new LightSocket(socket, head.subarray(end + 4), onText))
      }
      socket.on('data', onData)
    })
  }

  send(message: object): void {
    this.#socket.write(textFrame(JSON.stringify(message)))
  }

  #read(chunk: Buffer): void {
    const bytes = this.#bytes.length > 0 ? Buffer.concat([this.#bytes, chunk]) : chunk
    let at = 0
    for (;;) {
      const frame = frameAt(bytes, at)
      if (!frame) break
      at = frame.end
      if (frame.opcode === 9) this.#socket.write(PONG)
      if (frame.opcode === 1) this.#onText(bytes.toString('utf8', frame.start, frame.end))
    }
    this.#bytes = bytes.subarray(at)
  }
}

function frameAt(bytes: Buffer, at: number): { opcode: number; start: number; end: number } | null {
  if (bytes.length < at + 2) return null
  const short = bytes.readUInt8(at + 1) & 0x7f
  const start = at + (short < 126 ? 2 : short === 126 ? 4 : 10)
  if (bytes.length < start) return null
  const length =
    short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2))
  return bytes.length < start + length ? null : { opcode: bytes.readUInt8(at) & 0x0f, start, end: start + length }
}

/** Masked with zeros, so that the payload stays as it is. */
function textFrame(text: string): Buffer {
  const length = Buffer.byteLength(text)
  const long = length > 125
  const frame = Buffer.allocUnsafe(length + (long ? 8 : 6))
  frame[0] = 0x81
  frame[1] = 0x80 | (long ? 126 : length)
  if (long) frame.writeUInt16BE(length, 2)
  frame.fill(0, long ? 4 : 2, long ? 8 : 6)
  frame.write(text, long ? 8 : 6)
  return frame
}

function upgradeRequest(host: string, port: number): string {
  return [
    'GET /graphql HTTP/1.1',
    `Host: ${host}:${port}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    'Sec-WebSocket-Protocol: graphql-transport-ws',
    '\r\n',
  ].join('\r\n')
}

class Senders {
  readonly #options: SendersOptions
  #sockets: LightSocket[] = []
  /** By operation id: what goes on when its answer is complete. */
  readonly #answered = new Map<string, () => void>()
  /** By clientMessageId: when its send was written. */
  readonly #underWay = new Map<string, number>()
  #deliveryMs: number[] = []
  #heard = 0

  constructor(options: SendersOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    this.#sockets = await Promise.all(this.#options.tokens.map((token) => this.#connect(token)))
    const { subscription, roomId } = this.#options
    this.#sockets[0]?.send({ id: LISTENER, type: 'subscribe', payload: { query: subscription, variables: { roomId } } })
    // Nothing says that a subscription has begun: send until a message is heard.
    for (const before = this.#heard; this.#heard === before; ) {
      await this.#send(0, 'first')
      await delay(SUBSCRIBE_ATTEMPT_MS)
    }
    this.#underWay.clear()
  }

  async run({ senders, ms }: SendersRun): Promise<SendersResult> {
    this.#deliveryMs = []
    const answerMs: number[] = []
    const start = performance.now()
    const sender = async (index: number) => {
      while (performance.now() - start < ms) {
        const sentAt = performance.now()
        await this.#send(index % this.#sockets.length, `s${index}`)
        answerMs.push(performance.now() - sentAt)
      }
    }
    await Promise.all(Array.from({ length: senders }, (_, index) => sender(index)))
    const seconds = (performance.now() - start) / 1_000
    for (const deadline = performance.now() + DELIVERY_TIMEOUT_MS; this.#underWay.size > 0; await delay(5)) {
      if (performance.now() > deadline) fail(`${this.#underWay.size} messages were not delivered`)
    }
    return {
      messages: answerMs.length,
      seconds,
      answerMs: { p50: quantileOf(answerMs, 0.5), p99: quantileOf(answerMs, 0.99) },
      deliveryMs: { p50: quantileOf(this.#deliveryMs, 0.5), p99: quantileOf(this.#deliveryMs, 0.99) },
    }
  }

  async #connect(token: string): Promise<LightSocket> {
    const acknowledged = Promise.withResolvers<void>()
    const socket = await LightSocket.open(this.#options, (text) => {
      if (text.includes('"type":"connection_ack"')) acknowledged.resolve()
      else this.#hear(text)
    })
    socket.send({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } })
    await acknowledged.promise
    return socket
  }

  #send(socket: number, id: string): Promise<void> {
    const clientMessageId = randomUUID()
    const { mutation, roomId } = this.#options
    const variables = { input: { roomId, text: TEXT, clientMessageId } }
    return new Promise((resolve) => {
      this.#answered.set(id, resolve)
      this.#underWay.set(clientMessageId, performance.now())
      this.#sockets[socket]?.send({ id, type: 'subscribe', payload: { query: mutation, variables } })
    })
  }

  /** Both servers write `id` first and `type` next, as graphql-ws does. */
  #hear(text: string): void {
    const id = text.slice(7, text.indexOf('"', 7))
    if (text.startsWith(`{"id":"${LISTENER}"`)) this.#deliver(text)
    else if (text.includes('"type":"complete"')) this.#complete(id)
    else if (!text.includes('"sentMessage":{')) fail(`a send was refused: ${text}`)
  }

  #complete(id: string): void {
    this.#answered.get(id)?.()
    this.#answered.delete(id)
  }

  #deliver(text: string): void {
    const at = text.indexOf(CLIENT_MESSAGE_ID)
    if (at < 0) fail(`the listener heard: ${text}`)
    const from = at + CLIENT_MESSAGE_ID.length
    const clientMessageId = text.slice(from, text.indexOf('"', from))
    this.#heard++
    const sentAt = this.#underWay.get(clientMessageId)
    if (sentAt === undefined) return
    this.#underWay.delete(clientMessageId)
    this.#deliveryMs.push(performance.now() - sentAt)
  }
}

function fail(reason: string): never {
  process.stderr.write(`senders: ${reason}\n`)
  process.exit(1)
}

if (import.meta.main) {
  let senders: Senders | null = null
  for await (const line of createInterface({ input: process.stdin })) {
    if (senders) {
      process.stdout.write(`${JSON.stringify(await senders.run(JSON.parse(line)))}\n`)
      continue
    }
    senders = new Senders(JSON.parse(line))
    await senders.start()
    process.stdout.write('ready\n')
  }
  process.exit(0)
}
