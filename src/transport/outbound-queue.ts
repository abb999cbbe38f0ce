// What one socket is still to be sent. Invariants: frames go out whole and in the order in which they came; what waits is
// bounded, because whoever has more to send asks for room first and waits until there is some.
// Frames of subscriptions go past ws, straight to the connection below it: several of them in one write. Both write whole
// frames, synchronously, so they may take turns. Where the client has negotiated compression, ws sends everything.

import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { CLOSE_CODES } from './close-codes.ts'
import type { DeliveryRounds } from './delivery-rounds.ts'
import type { FrameWriter } from './websocket-frames.ts'

export interface OutboundLimits {
  /** Up to here, in bytes, subscriptions add events. */
  queueBytes: number
  /** How long somebody may wait for room before the socket is closed, in milliseconds. */
  slowReaderTimeoutMs: number
}

/** Signals may fill a quarter of what events may. */
const SIGNALS_SHARE = 4
/** Answers to operations are added without asking; beyond this, in bytes, the client does not read at all. */
const MAX_QUEUE_BYTES = 4 * 1024 * 1024
/** How long a client may take to answer the close. */
const CLOSE_TIMEOUT_MS = 2_000
const NOTHING = Buffer.alloc(0)
const DONE = Promise.resolve()

/** Somebody who waits for room. */
export interface Waiting {
  proceed(): void
}

/** A subscription that is served here. */
export interface Stream {
  end(): void
}

export interface OutboundQueueOptions {
  webSocket: WebSocket
  connection: Duplex
  rounds: DeliveryRounds
  /** One for all sockets of the node. */
  writer: FrameWriter
  limits: OutboundLimits
  onSlowReader: () => void
}

export class OutboundQueue {
  readonly #webSocket: WebSocket
  readonly #connection: Duplex
  readonly #rounds: DeliveryRounds
  readonly #writer: FrameWriter
  readonly #limits: OutboundLimits
  readonly #onSlowReader: () => void
  readonly #isCompressed: boolean
  /** Prefix and payload of each frame, in turns. Emptied and not replaced: it is filled again with the next event. */
  readonly #frames: Buffer[] = []
  #framesBytes = 0
  #waiting = new Set<Waiting>()
  readonly #streams = new Set<Stream>()
  #fullSinceMs: number | null = null
  #awaitsRoom = false

  constructor({ webSocket, connection, rounds, writer, limits, onSlowReader }: OutboundQueueOptions) {
    this.#webSocket = webSocket
    this.#connection = connection
    this.#rounds = rounds
    this.#writer = writer
    this.#limits = limits
    this.#onSlowReader = onSlowReader
    this.#isCompressed = webSocket.extensions.includes('permessage-deflate')
  }

  /** Bytes that the kernel has not taken yet. */
  get bytes(): number {
    return this.#framesBytes + this.#webSocket.bufferedAmount
  }

  /** Whether a subscription may add a frame now. Signals leave most of the room to events. */
  hasRoom(isSignal: boolean): boolean {
    return this.bytes < (isSignal ? this.#limits.queueBytes / SIGNALS_SHARE : this.#limits.queueBytes)
  }

  /** Adds a frame of text, in two parts, to be written at the end of this turn. Ask `hasRoom` before. */
  push(prefix: Buffer, payload: Buffer): void {
    if (this.#frames.length === 0) this.#rounds.addQueue(this)
    this.#frames.push(prefix, payload)
    this.#framesBytes += prefix.length + payload.length
  }

  /** Calls `proceed` once when there may be room: ask again then. */
  waitForRoom(waiting: Waiting): void {
    this.#waiting.add(waiting)
    this.#fullSinceMs ??= performance.now()
    // Else when what was added is written.
    if (this.#frames.length === 0) this.#awaitRoom()
  }

  stopWaiting(waiting: Waiting): void {
    this.#waiting.delete(waiting)
  }

  /** Adds a text without asking for room. Resolves when there is room for more. */
  send(text: string): Promise<void> {
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return DONE
    if (this.bytes > MAX_QUEUE_BYTES) this.#giveUp()
    else this.push(Buffer.from(text), NOTHING)
    if (this.hasRoom(false)) return DONE
    return new Promise((resolve) => this.waitForRoom({ proceed: resolve }))
  }

  /** Subscriptions that are served here now. */
  get streams(): number {
    return this.#streams.size
  }

  /** The stream ends with the socket, whatever graphql-ws knows of it: it forgets one whose id is used again. */
  addStream(stream: Stream): void {
    this.#streams.add(stream)
  }

  removeStream(stream: Stream): void {
    this.#streams.delete(stream)
  }

  /** The socket is closed: streams end, and whoever waits need not wait any longer. */
  release(): void {
    for (const stream of this.#streams) stream.end()
    this.#drop()
    this.#fullSinceMs = null
    this.#proceedAll()
  }

  /** Closes the socket after all that was added before. Its streams end now, whether the client answers or not. */
  close(code?: number, reason?: string): void {
    this.run()
    this.#webSocket.close(code, reason)
    this.release()
    this.#terminateLater()
  }

  /** For the node's timer: gives a client up that has made no room for too long. False where nothing is under way. */
  checkProgress(nowMs: number): boolean {
    const sinceMs = this.#fullSinceMs
    if (sinceMs !== null && nowMs - sinceMs > this.#limits.slowReaderTimeoutMs) this.#giveUp()
    return sinceMs !== null
  }

  /** Writes what was added. */
  run(): void {
    const frames = this.#frames
    if (frames.length === 0) return
    const isOpen = this.#webSocket.readyState === this.#webSocket.OPEN
    if (isOpen && this.#isCompressed) this.#sendThroughWs(frames)
    else if (isOpen) this.#writer.write(this.#connection, frames, this.#framesBytes)
    this.#drop()
    if (!isOpen) return
    this.#proceed()
    if (this.#waiting.size > 0) this.#awaitRoom()
  }

  #sendThroughWs(frames: readonly Buffer[]): void {
    const proceed = () => this.#proceed()
    for (let i = 0; i < frames.length; i += 2) {
      this.#webSocket.send(Buffer.concat(frames.slice(i, i + 2)), { binary: false }, proceed)
    }
  }

  /** Calls `#proceed` when the kernel has taken what was written. With compression, ws does that for every frame. */
  #awaitRoom(): void {
    if (this.#awaitsRoom || this.#isCompressed) return
    this.#awaitsRoom = true
    const proceed = () => {
      this.#awaitsRoom = false
      this.#proceed()
    }
    // The connection tells by itself only where it was filled up to its own mark.
    if (this.#connection.writableNeedDrain) this.#connection.once('drain', proceed)
    else this.#connection.write(NOTHING, proceed)
  }

  #proceed(): void {
    if (this.#fullSinceMs === null || !this.hasRoom(false)) return
    this.#fullSinceMs = null
    this.#proceedAll()
  }

  #proceedAll(): void {
    const waiting = this.#waiting
    this.#waiting = new Set()
    for (const one of waiting) one.proceed()
  }

  #drop(): void {
    this.#frames.length = 0
    this.#framesBytes = 0
  }

  #giveUp(): void {
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return
    this.#onSlowReader()
    this.#drop()
    this.#webSocket.close(CLOSE_CODES.TRY_AGAIN_LATER, 'SLOW_READER')
    this.#terminateLater()
  }

  #terminateLater(): void {
    const tooLate = setTimeout(() => this.#webSocket.terminate(), CLOSE_TIMEOUT_MS)
    tooLate.unref()
    this.#webSocket.once('close', () => clearTimeout(tooLate))
  }
}
