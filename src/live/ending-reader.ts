// A stream that its reader can lose. Invariant: after the item that takes the right to the stream nothing more is given but
// the stream's end, told once; and a reader that is behind gets no further than half a second allows.

import { Reader } from '../realtime/reader.ts'
import type { StreamEnd } from './stream-end.ts'

/** What a reader that is behind may still take of what was there before the end. */
const GRACE_MS = 500

export interface EndingOptions<T> {
  /** What ends the stream behind this item. */
  endAfter?: (item: T) => StreamEnd | null
  /** Runs once, however the stream ends. */
  onEnd?: () => void
}

export class EndingReader<T> extends Reader<T | StreamEnd> {
  readonly sheddable: boolean
  readonly #source: Reader<T>
  readonly #options: EndingOptions<T>
  #end: StreamEnd | null = null
  #isOver = false
  #isReleased = false
  #grace: NodeJS.Timeout | null = null
  #wake: (() => void) | null = null

  constructor(source: Reader<T>, options: EndingOptions<T> = {}) {
    super()
    this.sheddable = source.sheddable
    this.#source = source
    this.#options = options
  }

  get ended(): boolean {
    return this.#isOver || (this.#end === null && this.#source.ended)
  }

  take(): T | StreamEnd | null {
    if (this.#isOver) return null
    if (this.#end) {
      const end = this.#end
      this.end()
      return end
    }
    const item = this.#source.take()
    if (item === null) {
      if (this.#source.ended) this.end()
      return null
    }
    this.#end = this.#options.endAfter?.(item) ?? null
    if (this.#end) this.#release()
    return item
  }

  watch(wake: () => void): void {
    this.#wake = wake
    this.#source.watch(wake)
  }

  /** Ends the stream now, whatever there still was, and whether or not anybody takes its end. */
  cut(end: StreamEnd): void {
    if (this.#isOver || this.#end) return
    this.#end = end
    this.#release()
    this.#wake?.()
  }

  /** The item that ends it is on its way. */
  cutSoon(end: StreamEnd): void {
    if (this.#isReleased) return
    this.#grace ??= setTimeout(() => this.cut(end), GRACE_MS)
    this.#grace.unref()
  }

  end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#release()
  }

  #release(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    if (this.#grace) clearTimeout(this.#grace)
    this.#source.end()
    this.#options.onEnd?.()
  }
}
