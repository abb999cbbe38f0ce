// One topic's live log on this node: what the bus brings, put in order, with every gap read from the log.
// Invariant: `head` only grows, by one entry at a time; entry n+1 is accepted after entry n and never twice.
// The bus may lose, repeat and reorder; the log may be away for a while: that costs latency, never an entry.

import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '../platform/logger.ts'
import type { MessageSlab } from './message-slab.ts'
import { type FeedPages, PAGE_SIZE, type PageCache } from './page-cache.ts'
import { type DecodedEntries, type EntryItem, RecentEntries } from './recent-entries.ts'
import type { Entry, TopicLog } from './topic-log.ts'

/** Entries that arrived before their turn; more are dropped and read from the log. */
const EARLY_MAX_ENTRIES = 256
/** How long a gap may be mere reordering between publishers before it is read from the log. */
const REORDER_WAIT_MS = 15
const RETRY_MIN_MS = 100
const RETRY_MAX_MS = 5_000

/** An entry, and the bus message that brought it. */
interface Arrived<E> {
  readonly entry: Entry<E>
  readonly message: string
}

/** Somebody who wants to know that the head has moved or the feed was closed. */
export interface FeedWatcher {
  wake(): void
}

export interface FeedOptions<E> {
  topic: string
  head: number
  log: TopicLog<E>
  /** One for all feeds of the node, as the next two are. */
  slab: MessageSlab
  decoded: DecodedEntries
  pages: PageCache<E>
  /** Sees every entry when it is accepted, before any reader. Must not throw. */
  observe?: (entry: Entry<E>) => void
  /** Called when the log was found to have gone back. Must not throw. */
  onRestart?: (topic: string) => void
  logger: Logger
}

export class Feed<E> {
  readonly topic: string
  readonly #log: TopicLog<E>
  readonly #logger: Logger
  readonly #observe: ((entry: Entry<E>) => void) | undefined
  readonly #onRestart: ((topic: string) => void) | undefined
  readonly #closed = new AbortController()
  /** What the controller says, without the cost of asking it for every reader and event. */
  #isClosed = false
  readonly #early = new Map<number, Arrived<E>>()
  readonly #pages: FeedPages<E>
  readonly #watchers = new Set<FeedWatcher>()
  readonly #recent: RecentEntries<E>
  #head: number
  #known: number
  #repairing = false
  #restarts = 0

  constructor(options: FeedOptions<E>) {
    this.topic = options.topic
    this.#log = options.log
    const { slab, decoded } = options
    this.#recent = new RecentEntries({ slab, decoded, decode: (message) => this.#log.decode(message) })
    this.#logger = options.logger
    this.#observe = options.observe
    this.#onRestart = options.onRestart
    this.#head = options.head
    this.#known = options.head
    this.#pages = options.pages.open(options.head, (after, upTo) => this.#log.read(this.topic, after, upTo, PAGE_SIZE))
  }

  /** The newest entry that readers can have. */
  get head(): number {
    return this.#head
  }

  /** Takes a bus message. Never throws: what cannot be read is left to the sweep. */
  receive(message: string): void {
    try {
      this.#offer({ entry: this.#log.decode(message), message })
    } catch (error) {
      this.#logger.error({ err: error, topic: this.topic }, 'a bus message could not be read')
    }
  }

  /**
   * Tells that the log reaches `seq`, from a read of the database: what is missing until there gets read, unless it was
   * on its way.
   */
  noteHead(seq: number): void {
    if (seq <= this.#known) return
    this.#known = seq
    this.#repairSoon(REORDER_WAIT_MS)
  }

  /**
   * Begins anew at a lower head: the log itself has gone back (a failover that lost commits, a restored backup). Readers
   * that are beyond it are told to resync.
   */
  restartAt(head: number): void {
    this.#logger.error(
      { topic: this.topic, was: this.#head, head },
      'the log has gone back; readers are told to resync',
    )
    this.#early.clear()
    this.#known = head
    this.#forget(head)
    this.#pages.drop()
    this.#restarts++
    this.#onRestart?.(this.topic)
    this.#wake()
  }

  /** How often the feed has begun anew. */
  get restarts(): number {
    return this.#restarts
  }

  /** The entry at `seq` if it is still in memory. */
  recent(seq: number): EntryItem<E> | undefined {
    return this.#recent.at(seq)
  }

  /**
   * Entries of the log after `after`, in order; empty only when retention removed everything up to the head.
   * Readers of the same range share one read, see PageCache. While the log is away it is tried again; rejects when
   * `signal` aborts or the feed closes.
   */
  async read(after: number, signal: AbortSignal): Promise<readonly Entry<E>[]> {
    for (let retryMs = RETRY_MIN_MS; ; retryMs = Math.min(retryMs * 2, RETRY_MAX_MS)) {
      try {
        return await this.#pages.find(after, this.#head)
      } catch (error) {
        this.#logger.warn({ err: error, topic: this.topic }, 'the log cannot be read, trying again')
        await delay(retryMs, undefined, { signal: AbortSignal.any([signal, this.#closed.signal]), ref: false })
      }
    }
  }

  /** Wakes the watcher, until it is removed, whenever the head has moved, and when the feed closes. */
  addWatcher(watcher: FeedWatcher): void {
    this.#watchers.add(watcher)
  }

  removeWatcher(watcher: FeedWatcher): void {
    this.#watchers.delete(watcher)
  }

  get closed(): boolean {
    return this.#isClosed
  }

  close(): void {
    this.#isClosed = true
    this.#closed.abort()
    this.#recent.clear()
    this.#early.clear()
    this.#pages.drop()
    this.#wake()
  }

  #offer(arrived: Arrived<E>): void {
    const { entry, message } = arrived
    if (this.closed || entry.seq <= this.#head) return
    this.#known = Math.max(this.#known, entry.seq)
    if (entry.seq > this.#head + 1) {
      if (this.#early.size < EARLY_MAX_ENTRIES) this.#early.set(entry.seq, arrived)
      this.#repairSoon(REORDER_WAIT_MS)
      return
    }
    this.#accept(entry, message)
    this.#acceptEarly()
    this.#wake()
  }

  #acceptEarly(): void {
    for (let next = this.#early.get(this.#head + 1); next; next = this.#early.get(this.#head + 1)) {
      this.#early.delete(next.entry.seq)
      this.#accept(next.entry, next.message)
    }
  }

  #accept(entry: Entry<E>, message: string): void {
    if (entry.changesEarlier) {
      this.#recent.clear()
      this.#pages.drop()
    }
    this.#head = entry.seq
    this.#recent.push(entry, message)
    this.#observe?.(entry)
  }

  #repairSoon(waitMs: number): void {
    if (this.#repairing) return
    this.#repairing = true
    void this.#repair(waitMs)
      .catch((error) => this.#logger.error({ err: error, topic: this.topic }, 'a feed could not be repaired'))
      .finally(() => {
        this.#repairing = false
        if (!this.closed && this.#head < this.#known) this.#repairSoon(RETRY_MIN_MS)
      })
  }

  async #repair(waitMs: number): Promise<void> {
    if (waitMs > 0) await delay(waitMs, undefined, { ref: false })
    for (let retryMs = RETRY_MIN_MS; this.#head < this.#known && !this.closed; ) {
      try {
        const entries = await this.#log.read(this.topic, this.#head, this.#known, PAGE_SIZE)
        if (entries.length > 0) this.#acceptRead(entries)
        else await this.#confirmHead()
        retryMs = RETRY_MIN_MS
      } catch (error) {
        this.#logger.warn({ err: error, topic: this.topic }, 'a gap cannot be read from the log, trying again')
        await delay(retryMs, undefined, { ref: false })
        retryMs = Math.min(retryMs * 2, RETRY_MAX_MS)
      }
    }
  }

  #acceptRead(entries: Entry<E>[]): void {
    if (this.closed) return
    const from = this.#head
    for (const entry of entries) {
      if (entry.seq <= this.#head) continue
      // Retention overtook this node: the missing entries are gone; readers find out by their own position.
      if (entry.seq > this.#head + 1) this.#forget(entry.seq - 1)
      this.#accept(entry, this.#log.encode(entry.event))
    }
    for (const seq of this.#early.keys()) if (seq <= this.#head) this.#early.delete(seq)
    this.#acceptEarly()
    if (this.#head > from) this.#wake()
  }

  /** The log has nothing where the bus said there is: believe the log, whether that was retention or a false message. */
  async #confirmHead(): Promise<void> {
    const heads = await this.#log.heads([this.topic])
    this.#known = heads.get(this.topic) ?? 0
    if (this.#known > this.#head) this.#forget(this.#known)
    this.#wake()
  }

  /** Moves the head over entries that no longer exist. What is kept stays without a gap, so it starts anew. */
  #forget(head: number): void {
    this.#recent.clear()
    this.#head = head
  }

  #wake(): void {
    for (const watcher of this.#watchers) watcher.wake()
  }
}
