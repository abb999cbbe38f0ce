// One reader's place in a stream. It pulls: nothing is queued for it, and it takes the next item when it has room for it.
// Two ways to drive it, never both at once: `take` and `watch`, without a promise per item, or as an async iterator.
// A plain object and never an async generator: `return()` must end a waiting `next()` at once.

export abstract class Reader<T> implements AsyncIterableIterator<T> {
  /**
   * Whether its items tell how things are and not what happened (presence, typing): a reader that is late gets fewer
   * and later ones, so they can wait for others.
   */
  abstract readonly sheddable: boolean

  /** Nothing more comes after what `take` still gives. */
  abstract readonly ended: boolean

  /** The next item that is at hand, or null. Null starts what is needed to have one. Throws what broke the stream. */
  abstract take(): T | null

  /**
   * Calls `wake`, synchronously and perhaps too often, whenever `take` may give something again, and at the end. There is
   * one watcher: a later one replaces it.
   */
  abstract watch(wake: () => void): void

  /** Leaves the stream. Idempotent. */
  abstract end(): void

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<T>> {
    for (;;) {
      const item = this.take()
      if (item !== null) return { done: false, value: item }
      if (this.ended) return { done: true, value: undefined }
      await new Promise<void>((resolve) => this.watch(resolve))
    }
  }

  async return(): Promise<IteratorResult<T>> {
    this.end()
    return { done: true, value: undefined }
  }

  async throw(error: unknown): Promise<IteratorResult<T>> {
    this.end()
    throw error
  }
}

/** How the items of one reader become those of another. */
export interface ReaderMapping<S, T> {
  /** Null leaves the item out. */
  map: (item: S) => T | null
  /** Whether the stream ends with this item, be it left out or not. Default: never. */
  isLast?: (item: S) => boolean
  /** Runs once, however the stream ends. */
  onEnd?: () => void
}

/** A reader over another's items. */
export function mapReader<S, T>(source: Reader<S>, mapping: ReaderMapping<S, T>): Reader<T> {
  return new MappedReader(source, mapping)
}

class MappedReader<S, T> extends Reader<T> {
  readonly sheddable: boolean
  readonly #source: Reader<S>
  readonly #mapping: ReaderMapping<S, T>
  #left = false

  constructor(source: Reader<S>, mapping: ReaderMapping<S, T>) {
    super()
    this.sheddable = source.sheddable
    this.#source = source
    this.#mapping = mapping
  }

  get ended(): boolean {
    return this.#left || this.#source.ended
  }

  take(): T | null {
    while (!this.#left) {
      const item = this.#source.take()
      if (item === null) {
        if (this.#source.ended) this.end()
        return null
      }
      const value = this.#mapping.map(item)
      if (this.#mapping.isLast?.(item)) this.end()
      if (value !== null) return value
    }
    return null
  }

  watch(wake: () => void): void {
    this.#source.watch(wake)
  }

  end(): void {
    if (this.#left) return
    this.#left = true
    this.#source.end()
    this.#mapping.onEnd?.()
  }
}
