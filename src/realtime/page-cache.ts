// Pages of the logs that were read lately, for all feeds of a node: readers of one range share one read, whether they
// come at once or one after the other, as they do when a node's clients come back after a break.
// Invariant: a page is what one read of the log gave. It serves who finds something in it, and tells that there is nothing
// only to those who ask about no more than it was read up to.

import { LRUCache } from 'lru-cache'
import type { Entry } from './topic-log.ts'

/**
 * Entries per read of the log. As many as a feed keeps in memory: whoever has read the last page finds the rest there,
 * even where the head has moved on by nearly a page meanwhile.
 */
export const PAGE_SIZE = 256

const MAX_BYTES = 64 * 1024 * 1024
/** What was read may change where it is not the event's own: the name of an author. Longer than a storm lasts. */
const TTL_MS = 15_000

/** What a page weighs beside its entries, roughly. */
const PAGE_BASE_BYTES = 500

interface Page<E> {
  /** The head when it was read. */
  readonly upTo: number
  readonly entries: Promise<readonly Entry<E>[]>
}

/** Reads at most PAGE_SIZE entries with `after < seq <= upTo`. */
type ReadPage<E> = (after: number, upTo: number) => Promise<readonly Entry<E>[]>

export class PageCache<E> {
  readonly #pages: LRUCache<string, Page<E>>
  #books = 0

  constructor({ maxBytes = MAX_BYTES, ttlMs = TTL_MS }: { maxBytes?: number; ttlMs?: number } = {}) {
    this.#pages = new LRUCache({ maxSize: maxBytes, ttl: ttlMs, ttlAutopurge: true })
  }

  get usedBytes(): number {
    return this.#pages.calculatedSize
  }

  /**
   * The pages of one feed, which are found through this object only. They are cut so that one ends at `origin`, the head
   * when the feed was opened: one page then serves everybody who is up to a page behind.
   */
  open(origin: number, read: ReadPage<E>): FeedPages<E> {
    return new FeedPages({ pages: this.#pages, newBook: () => ++this.#books, offset: origin % PAGE_SIZE, read })
  }
}

interface FeedPagesOptions<E> {
  pages: LRUCache<string, Page<E>>
  newBook: () => number
  offset: number
  read: ReadPage<E>
}

export class FeedPages<E> {
  readonly #options: FeedPagesOptions<E>
  /** What pages of this feed are found under. */
  #book: number

  constructor(options: FeedPagesOptions<E>) {
    this.#options = options
    this.#book = options.newBook()
  }

  /**
   * The next entries after `after` as the log is or lately was, at most a page; empty only when it has none up to `head`.
   * Rejects when the log is away; that is not kept.
   */
  async find(after: number, head: number): Promise<readonly Entry<E>[]> {
    const { pages, offset } = this.#options
    const start = Math.max(0, Math.floor((after - offset) / PAGE_SIZE) * PAGE_SIZE + offset)
    // Stays, even when the book is dropped meanwhile: what this call was told of the head belongs to it.
    const key = `${this.#book} ${start}`
    for (;;) {
      const known = pages.get(key)
      const page = known && known.upTo > after ? known : this.#start(key, start, head)
      const entries = entriesAfter(await page.entries, after)
      if (entries.length > 0 || page.upTo >= head) return entries
      // Retention has removed what the page was read for, and the log has grown since: it must be asked again.
      if (pages.peek(key) === page) pages.delete(key)
    }
  }

  /**
   * Forgets what was read, and what is being read: the log has gone back, or the feed was closed. The memory comes back
   * when the pages make room for others or have had their time.
   */
  drop(): void {
    this.#book = this.#options.newBook()
  }

  /** What comes after `start`, and not only up to the page's end: what retention has removed is jumped over. */
  #start(key: string, start: number, head: number): Page<E> {
    const { pages, read } = this.#options
    const page = { upTo: head, entries: read(start, head) }
    const isKept = () => pages.peek(key) === page
    pages.set(key, page, { size: PAGE_BASE_BYTES })
    page.entries.then(
      (entries) => {
        if (!isKept()) return
        // Anew, with what it weighs: the size of a value that stays the same would not be taken.
        pages.delete(key)
        pages.set(key, page, { size: entries.reduce((sum, entry) => sum + entry.bytes, PAGE_BASE_BYTES) })
      },
      () => {
        if (isKept()) pages.delete(key)
      },
    )
    return page
  }
}

/** Entries follow each other without a gap, so that the place of each is known. */
function entriesAfter<E>(entries: readonly Entry<E>[], after: number): readonly Entry<E>[] {
  const first = entries[0]
  return first ? entries.slice(Math.max(0, after + 1 - first.seq)) : entries
}
