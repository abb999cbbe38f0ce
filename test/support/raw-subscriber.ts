// A subscriber of one room by the bare protocol, graphql-transport-ws, light enough for a thousand of them: it keeps the
// seqs and compares the bytes. It can stop reading, as a client on a bad line does, and leave without a goodbye.

import { once } from 'node:events'
import { WebSocket } from 'ws'
import { eventually } from './eventually.ts'

const QUERY = `subscription ($roomId: ID!, $after: Int) {
  roomEvents(roomId: $roomId, after: $after) { seq ... on MessageSent { message { text } } }
}`
/** Enough of a frame to find the seq in it. */
const HEAD_BYTES = 100

export interface RawSubscriberOptions {
  url: string
  token: string
  roomId: string
  after?: number
  /** By seq, the frame of each message as the first subscriber got it: all others must get the same. */
  frames: Map<number, Buffer>
  /** Reads its first item and then no more. */
  isStalled?: boolean
}

export class RawSubscriber {
  readonly #socket: WebSocket
  readonly #frames: Map<number, Buffer>
  readonly #isStalled: boolean
  /** Of the messages, in the order in which they came. */
  readonly seqs: number[] = []
  /** Of the messages whose frame was another than the others'. */
  readonly differing: number[] = []
  #items = 0
  #localPort = 0
  #closed: { code: number; reason: string } | null = null

  private constructor({ url, token, roomId, after, frames, isStalled = false }: RawSubscriberOptions) {
    this.#frames = frames
    this.#isStalled = isStalled
    this.#socket = new WebSocket(url.replace(/^http/, 'ws'), 'graphql-transport-ws', { perMessageDeflate: false })
    const say = (message: object) => this.#socket.send(JSON.stringify(message))
    const subscribe = { id: 's', type: 'subscribe', payload: { query: QUERY, variables: { roomId, after } } }
    this.#socket.once('upgrade', ({ socket }) => {
      this.#localPort = socket.localPort ?? 0
    })
    this.#socket.once('open', () => say({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } }))
    this.#socket.once('message', () => {
      this.#socket.on('message', (frame: Buffer) => this.#take(frame))
      say(subscribe)
    })
    this.#socket.on('error', () => {})
    this.#socket.once('close', (code, reason) => {
      this.#closed = { code, reason: String(reason) }
    })
  }

  /** Subscribed: the server has accepted it and sent the first item. */
  static async open(options: RawSubscriberOptions): Promise<RawSubscriber> {
    const subscriber = new RawSubscriber(options)
    await eventually(() => {
      if (subscriber.#closed || subscriber.#items === 0)
        throw new Error(`no item: ${JSON.stringify(subscriber.#closed)}`)
    })
    return subscriber
  }

  /** The port by which the server knows the connection. */
  get localPort(): number {
    return this.#localPort
  }

  get last(): number {
    return this.seqs.at(-1) ?? 0
  }

  /** How the connection was closed; null while it is open, as far as the client has read. */
  get closed(): { code: number; reason: string } | null {
    return this.#closed
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Leaves without a word; what was not read is lost. */
  async cut(): Promise<void> {
    if (this.#closed) return
    const closed = once(this.#socket, 'close')
    this.#socket.terminate()
    await closed
  }

  #take(frame: Buffer): void {
    if (this.#items++ === 0 && this.#isStalled) this.pause()
    const [, seq] = /"seq":(\d+),"message"/.exec(frame.toString('latin1', 0, HEAD_BYTES)) ?? []
    if (seq === undefined) return
    this.seqs.push(Number(seq))
    const known = this.#frames.get(Number(seq))
    // A copy: ws cuts frames out of larger pieces of memory.
    if (!known) this.#frames.set(Number(seq), Buffer.from(frame))
    else if (!known.equals(frame)) this.differing.push(Number(seq))
  }
}

/** The frame that a subscriber gets for a message. */
export function frameOf(seq: number, text: string): Buffer {
  const payload = { data: { roomEvents: { seq, message: { text } } } }
  return Buffer.from(JSON.stringify({ id: 's', type: 'next', payload }))
}
