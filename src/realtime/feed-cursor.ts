// One reader's place in a feed. It pulls: from the entries in memory when it is close to the head, else from the log.
// Invariant: it yields position+1, position+2, … each exactly once; what is lost to retention is told by a `resync` item.
// A reader costs one position and at most one page, however far it is behind: there is no queue that could grow.

import type { Feed, FeedWatcher } from './feed.ts'
import { Reader } from './reader.ts'
import type { EntryItem } from './recent-entries.ts'
import type { Entry } from './topic-log.ts'

export type FeedItem<E> =
  | EntryItem<E>
  /** The end of the replay: everything up to the head at the time of opening was delivered. */
  | { readonly kind: 'caught-up'; readonly seq: number }
  /** Entries before `fromSeq` are no longer in the log, or never were; the stream goes on at `fromSeq`. */
  | { readonly kind: 'resync'; readonly fromSeq: number }

const NO_PAGE: readonly never[] = []

export class FeedCursor<E> extends Reader<FeedItem<E>> implements FeedWatcher {
  readonly sheddable = false
  readonly #feed: Feed<E>
  readonly #headAtOpen: number
  readonly #onEnd: () => void
  #left = false
  /** The last seq that the reader has, or was told is gone. */
  #position: number
  /** Entries after the position up to here were removed by retention. */
  #removedUpTo: number
  #caughtUp = false
  /** A place beyond the head belongs to another log (a restored backup, another room). */
  #ahead: boolean
  #restarts: number
  #page: readonly Entry<E>[] = NO_PAGE
  #pageIndex = 0
  /** Ends the read of a page that is under way. */
  #reading: AbortController | null = null
  #failure: { error: unknown } | null = null
  #wake: (() => void) | null = null

  /** `after` is the last seq that the reader has; `head` the log's head when the reader was accepted. */
  constructor(feed: Feed<E>, { after, head, onEnd }: { after: number; head: number; onEnd: () => void }) {
    super()
    this.#feed = feed
    this.#headAtOpen = head
    this.#onEnd = onEnd
    this.#ahead = after > head
    this.#restarts = feed.restarts
    this.#position = Math.min(after, head)
    this.#removedUpTo = this.#position
  }

  /** How far the feed has come, wherever this reader is. */
  get feedHead(): number {
    return this.#feed.head
  }

  get ended(): boolean {
    return this.#left || this.#feed.closed
  }

  take(): FeedItem<E> | null {
    if (this.ended) return null
    if (this.#failure) throw this.#failure.error
    const item = this.#next()
    if (!item && this.#removedUpTo < this.#feed.head) this.#reading ?? this.#readPage()
    return item
  }

  watch(wake: () => void): void {
    if (!this.#wake) this.#feed.addWatcher(this)
    this.#wake = wake
  }

  /** See FeedWatcher. While a page is being read there is nothing to take. */
  wake(): void {
    if (!this.#reading || this.ended) this.#wake?.()
  }

  end(): void {
    if (this.#left) return
    this.#left = true
    this.#feed.removeWatcher(this)
    this.#reading?.abort()
    this.#page = NO_PAGE
    this.#wake?.()
    this.#onEnd()
  }

  #next(): FeedItem<E> | null {
    if (this.#restarts !== this.#feed.restarts) this.#follow()
    if (this.#ahead) {
      this.#ahead = false
      return { kind: 'resync', fromSeq: this.#position + 1 }
    }
    if (!this.#caughtUp && this.#position >= this.#headAtOpen) {
      this.#caughtUp = true
      return { kind: 'caught-up', seq: this.#position }
    }
    const item = this.#nextEntry()
    const next = item ? item.entry.seq : this.#removedUpTo + 1
    const gone = next > this.#position + 1 && (item !== null || this.#removedUpTo >= this.#feed.head)
    if (gone) {
      this.#moveTo(next - 1)
      return { kind: 'resync', fromSeq: next }
    }
    if (item) this.#moveTo(next)
    return item
  }

  /** From the page, else from memory. What it gives stays its answer until the position has moved there. */
  #nextEntry(): EntryItem<E> | null {
    while (this.#pageIndex < this.#page.length) {
      const entry = this.#page[this.#pageIndex]
      if (entry && entry.seq > this.#position) return { kind: 'entry', entry }
      this.#pageIndex++
    }
    this.#page = NO_PAGE
    this.#pageIndex = 0
    return this.#feed.recent(this.#removedUpTo + 1) ?? null
  }

  /** The log has gone back: what lies beyond its head, here and in the page, no longer is. */
  #follow(): void {
    this.#restarts = this.#feed.restarts
    this.#page = NO_PAGE
    this.#pageIndex = 0
    if (this.#position <= this.#feed.head) return
    this.#moveTo(this.#feed.head)
    this.#ahead = true
  }

  #moveTo(seq: number): void {
    this.#position = seq
    this.#removedUpTo = seq
  }

  /** Wakes the watcher when a page is there. Whoever leaves does not wait for it: the log may take its time. */
  #readPage(): void {
    const reading = new AbortController()
    this.#reading = reading
    // As they are before the read: what arrives meanwhile is not among what an empty answer says is gone.
    const { head, restarts } = this.#feed
    this.#feed
      .read(this.#removedUpTo, reading.signal)
      .then(
        (page) => {
          if (restarts === this.#feed.restarts) this.#receive(page, head)
        },
        (error: unknown) => {
          this.#failure = { error }
        },
      )
      .finally(() => {
        this.#reading = null
        this.#wake?.()
      })
  }

  #receive(page: readonly Entry<E>[], head: number): void {
    if (this.#left) return
    const first = page[0]
    this.#page = page
    this.#pageIndex = 0
    this.#removedUpTo = first ? first.seq - 1 : head
  }
}
