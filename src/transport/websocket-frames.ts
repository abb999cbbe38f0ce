// WebSocket frames as a server writes them (RFC 6455, 5.2): unmasked, whole, text.
// All sockets of a node are written from one buffer, one after the other. What the last socket got still stands there, and
// most often the next one gets the same but for the beginnings of the frames: then only those are written anew.
// Invariant: bytes that a connection has not handed to the kernel at once are never touched again.

import type { Writable } from 'node:stream'

const WHOLE_TEXT = 0x81
/** Lengths up to here stand in the second byte itself; the two above them say how many bytes the length takes. */
const SHORT_MAX = 125
const TWO_BYTES = 126
const EIGHT_BYTES = 127
const MAX_HEADER_BYTES = 10

const BUFFER_BYTES = 128 * 1024

export class FrameWriter {
  #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  /** The buffer as far as the last socket's frames went. */
  #written: Buffer = this.#buffer.subarray(0, 0)
  /** Of each frame in the buffer: its end, how long its beginning is, and where it starts. */
  #ends: Buffer[] = []
  #startBytes: number[] = []
  #offsets: number[] = []

  /**
   * Writes frames in one go. `parts` holds two for each, the beginning and the end of its text, `bytes` long together.
   * Tells, as the connection does, whether it can take more.
   */
  write(connection: Writable, parts: readonly Buffer[], bytes: number): boolean {
    const mostBytes = bytes + (parts.length / 2) * MAX_HEADER_BYTES
    // A connection that is behind keeps what it gets: it must not keep the shared buffer for a few bytes.
    if (mostBytes > BUFFER_BYTES || connection.writableLength > 0) {
      return connection.write(joinFrames(Buffer.allocUnsafe(mostBytes), parts))
    }
    const takesMore = connection.write(this.#join(parts))
    // The rest of it waits in the connection, as a part of this very buffer.
    if (connection.writableLength > 0) this.#renew()
    return takesMore
  }

  #join(parts: readonly Buffer[]): Buffer {
    let at = 0
    for (let i = 0; i + 1 < parts.length; i += 2) {
      const [start, end] = [parts[i] as Buffer, parts[i + 1] as Buffer] // i + 1 is within
      const frame = i / 2
      const isThere =
        this.#ends[frame] === end && this.#startBytes[frame] === start.length && this.#offsets[frame] === at
      if (isThere) {
        at += headerBytes(start.length + end.length)
        this.#buffer.set(start, at)
        at += start.length + end.length
      } else {
        this.#ends[frame] = end
        this.#startBytes[frame] = start.length
        this.#offsets[frame] = at
        this.#ends.length = frame + 1
        at = writeFrame(this.#buffer, at, start, end)
      }
    }
    if (this.#written.length !== at) this.#written = this.#buffer.subarray(0, at)
    return this.#written
  }

  #renew(): void {
    this.#buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
    this.#written = this.#buffer.subarray(0, 0)
    this.#ends = []
  }
}

const SLAB_BYTES = 64 * 1024

/**
 * Texts that are kept as bytes for as long as a subscription lasts, side by side. In Node's own pool each of them would
 * keep alive whatever short-lived bytes stand around it.
 */
export class TextSlabs {
  #slab = Buffer.alloc(0)
  #used = 0

  keep(text: string): Buffer {
    const bytes = Buffer.byteLength(text)
    if (bytes > SLAB_BYTES / 2) return Buffer.from(text)
    if (this.#used + bytes > this.#slab.length) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
      this.#used = 0
    }
    const kept = this.#slab.subarray(this.#used, this.#used + bytes)
    kept.write(text)
    this.#used += bytes
    return kept
  }
}

function joinFrames(buffer: Buffer, parts: readonly Buffer[]): Buffer {
  let at = 0
  for (let i = 0; i + 1 < parts.length; i += 2) {
    at = writeFrame(buffer, at, parts[i] as Buffer, parts[i + 1] as Buffer) // i + 1 is within
  }
  return buffer.subarray(0, at)
}

function writeFrame(buffer: Buffer, at: number, start: Buffer, end: Buffer): number {
  const textAt = writeHeader(buffer, at, start.length + end.length)
  buffer.set(start, textAt)
  buffer.set(end, textAt + start.length)
  return textAt + start.length + end.length
}

function headerBytes(length: number): number {
  if (length <= SHORT_MAX) return 2
  return length <= 0xffff ? 4 : MAX_HEADER_BYTES
}

function writeHeader(buffer: Buffer, at: number, length: number): number {
  buffer[at] = WHOLE_TEXT
  if (length <= SHORT_MAX) {
    buffer[at + 1] = length
    return at + 2
  }
  if (length <= 0xffff) {
    buffer[at + 1] = TWO_BYTES
    buffer[at + 2] = length >> 8
    buffer[at + 3] = length & 0xff
    return at + 4
  }
  buffer[at + 1] = EIGHT_BYTES
  return buffer.writeBigUInt64BE(BigInt(length), at + 2)
}
