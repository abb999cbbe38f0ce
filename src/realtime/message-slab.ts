// The newest bus messages of all topics of a node, side by side in one buffer outside of the heap: the oldest are
// overwritten. What lives for a while is what a garbage collector has most work with; here it has none.
// Invariant: a place gives the very text that was put there, or null once any of it may have been overwritten.

const HEADER_BYTES = 4
/** UTF-8 takes at most so many bytes for a code unit of a string. */
const MAX_BYTES_PER_UNIT = 3
/** Of the whole, what one text may take: none pushes out most of the others. */
const MAX_SHARE = 16

/** Where a text stands: the number of bytes written before it. */
export type SlabPlace = number
/** For a text that was not kept. */
export const NOWHERE: SlabPlace = -1

export class MessageSlab {
  readonly #buffer: Buffer
  /** Bytes written, and skipped at the end of the buffer, since the beginning. */
  #end = 0

  /** Memory is taken from the system as it is first written to. */
  constructor(capacityBytes: number) {
    this.#buffer = Buffer.allocUnsafeSlow(capacityBytes)
  }

  get capacityBytes(): number {
    return this.#buffer.length
  }

  /** Keeps the text until as much as the capacity was written after it. A long one is not kept. */
  put(text: string): SlabPlace {
    const mostBytes = HEADER_BYTES + text.length * MAX_BYTES_PER_UNIT
    if (mostBytes > this.capacityBytes / MAX_SHARE) return NOWHERE
    let at = this.#end % this.capacityBytes
    // A text stands in one piece.
    if (at + mostBytes > this.capacityBytes) {
      this.#end += this.capacityBytes - at
      at = 0
    }
    const place = this.#end
    const bytes = this.#buffer.write(text, at + HEADER_BYTES)
    this.#buffer.writeUInt32LE(bytes, at)
    this.#end += HEADER_BYTES + bytes
    return place
  }

  /** The text, or null when it was overwritten or not kept. */
  read(place: SlabPlace): string | null {
    if (place === NOWHERE || this.#end > place + this.capacityBytes) return null
    const at = place % this.capacityBytes
    const start = at + HEADER_BYTES
    return this.#buffer.toString('utf8', start, start + this.#buffer.readUInt32LE(at))
  }
}
