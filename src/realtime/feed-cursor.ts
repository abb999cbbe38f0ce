// One reader's place in a feed. It pulls: from the entries in memory when it is close to the head, else from the log.
// Invariant: it yields position+1, position+2, … each exactly once; what is lost to retention is told by a `resync` item.
// A reader costs one position and at most one page, however far it is behind: there is no queue that could grow.

import type { Feed } from './feed.ts'
import type { Entry } from './topic-log.ts'

export type FeedItem<E> =
  | { readonly kind: 'entry'; readonly entry: Entry<E> }
  /** The end of the replay: everything up to the head at the time of opening was delivered. */
  | { readonly kind: 'caught-up'; readonly seq: number }
  /** Entries before `fromSeq` are no longer in the log, or never were; the stream goes on at `fromSeq`. */
  | { readonly kind: 'resync'; readonly fromSeq: number }

/** A plain iterator object, never an async generator: `return()` must end a waiting `next()` at once. */
export class FeedCursor<E> implements AsyncIterableIterator<FeedItem<E>> {
  readonly #feed: Feed<E>
  readonly #headAtOpen: number
  readonly #onEnd: () => void
  readonly #ended = new AbortController()
  /** The last seq that the reader has, or was told is gone. */
  #position: number
  /** Entries after the position up to here were removed by retention. */
  #removedUpTo: number
  #caughtUp = false
  /** A place beyond the head belongs to another log (a restored backup, another room). */
  #ahead: boolean
  #restarts: number
  #page: Entry<E>[] = []
  #pageIndex = 0
  #wake: (() => void) | null = null

  /** `after` is the last seq that the reader has; `head` the log's head when the reader was accepted. */
  constructor(feed: Feed<E>, { after, head, onEnd }: { after: number; head: number; onEnd: () => void }) {
    this.#feed = feed
    this.#headAtOpen = head
    this.#onEnd = onEnd
    this.#ahead = after > head
    this.#restarts = feed.restarts
    this.#position = Math.min(after, head)
    this.#removedUpTo = this.#position
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** One call at a time, as async iteration does. While the log is away it waits. */
  async next(): Promise<IteratorResult<FeedItem<E>>> {
    while (!this.#ended.signal.aborted && !this.#feed.closed) {
      const item = this.#take()
      if (item) return { done: false, value: item }
      if (this.#removedUpTo < this.#feed.head) await this.#readPage()
      else await this.#growth()
    }
    return { done: true, value: undefined }
  }

  async return(): Promise<IteratorResult<FeedItem<E>>> {
    if (!this.#ended.signal.aborted) {
      this.#ended.abort()
      this.#page = []
      this.#wake?.()
      this.#onEnd()
    }
    return { done: true, value: undefined }
  }

  async throw(error: unknown): Promise<IteratorResult<FeedItem<E>>> {
    await this.return()
    throw error
  }

  #take(): FeedItem<E> | null {
    if (this.#restarts !== this.#feed.restarts) this.#follow()
    if (this.#ahead) {
      this.#ahead = false
      return { kind: 'resync', fromSeq: this.#position + 1 }
    }
    if (!this.#caughtUp && this.#position >= this.#headAtOpen) {
      this.#caughtUp = true
      return { kind: 'caught-up', seq: this.#position }
    }
    const paged = this.#page[this.#pageIndex]
    const entry = paged ?? this.#feed.recent(this.#removedUpTo + 1)
    const next = entry ? entry.seq : this.#removedUpTo + 1
    const gone = entry ? next > this.#position + 1 : this.#removedUpTo >= this.#feed.head && next > this.#position + 1
    if (gone) {
      this.#moveTo(next - 1)
      return { kind: 'resync', fromSeq: next }
    }
    if (!entry) return null
    if (paged) this.#pageIndex++
    this.#moveTo(entry.seq)
    return { kind: 'entry', entry }
  }

  /** The log has gone back: what lies beyond its head, here and in the page, no longer is. */
  #follow(): void {
    this.#restarts = this.#feed.restarts
    this.#page = []
    if (this.#position <= this.#feed.head) return
    this.#moveTo(this.#feed.head)
    this.#ahead = true
  }

  #moveTo(seq: number): void {
    this.#position = seq
    this.#removedUpTo = seq
  }

  /** Ends when a page is there, or at once when the reader leaves: the log may take its time. */
  #readPage(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#wake = resolve
      this.#fillPage().then(resolve, reject)
    })
  }

  async #fillPage(): Promise<void> {
    // As it is before the read: what arrives meanwhile is not among what an empty answer says is gone.
    const head = this.#feed.head
    try {
      const page = await this.#feed.read(this.#removedUpTo, this.#ended.signal)
      if (this.#ended.signal.aborted) return
      this.#page = page
      this.#pageIndex = 0
      const first = page[0]
      this.#removedUpTo = first ? first.seq - 1 : head
    } catch (error) {
      if (!this.#ended.signal.aborted && !this.#feed.closed) throw error
    }
  }

  #growth(): Promise<void> {
    return new Promise((resolve) => {
      const forget = this.#feed.onGrowth(resolve)
      this.#wake = () => {
        forget()
        resolve()
      }
    })
  }
}
