// The feeds of this node: one per topic that somebody here reads, whatever the number of readers.
// Invariant: a feed learns of every committed entry within one sweep, even if no bus message ever arrives.

import { Batcher } from '../platform/batcher.ts'
import type { Logger } from '../platform/logger.ts'
import type { EventBus } from './event-bus.ts'
import { Feed } from './feed.ts'
import { FeedCursor } from './feed-cursor.ts'
import { MessageSlab } from './message-slab.ts'
import { PageCache } from './page-cache.ts'
import { DecodedEntries } from './recent-entries.ts'
import type { Entry, TopicLog } from './topic-log.ts'

export interface HubOptions<E> {
  bus: EventBus
  log: TopicLog<E>
  logger: Logger
  /** How often the heads of all open topics are compared with the log, in milliseconds. */
  sweepIntervalMs: number
  /** How long a feed stays open after its last reader left, in milliseconds. Default 10,000. */
  lingerMs?: number
  /** See FeedOptions. */
  observe?: (entry: Entry<E>) => void
  onRestart?: (topic: string) => void
  /** Memory for recent entries of all feeds together, in bytes. Default 32 MiB. */
  recentBytes?: number
}

interface OpenFeed<E> {
  feed: Feed<E>
  readers: number
  /** Ends the bus subscription; null while there is none (the bus was away), then the sweep tries again. */
  unsubscribe: (() => Promise<void>) | null
  linger: NodeJS.Timeout | null
}

const SWEEP_TOPICS_PER_READ = 1_000
/** Messages kept while a feed starts; what comes beyond is read from the log. */
const EARLY_MAX_MESSAGES = 1_000

export class Hub<E> {
  readonly #options: Required<HubOptions<E>>
  readonly #slab: MessageSlab
  readonly #pages = new PageCache<E>()
  readonly #decoded = new DecodedEntries()
  /** The heads of topics whose feeds start: many at once after a break. */
  readonly #heads: Batcher<string, number>
  readonly #open = new Map<string, Promise<OpenFeed<E>>>()
  readonly #stopListening: () => void
  #sweepTimer: NodeJS.Timeout
  #sweeping: Promise<void> | null = null
  #sweepAgain = false
  #closed = false

  constructor(options: HubOptions<E>) {
    this.#options = {
      observe: () => {},
      onRestart: () => {},
      lingerMs: 10_000,
      recentBytes: 32 * 1024 * 1024,
      ...options,
    }
    this.#slab = new MessageSlab(this.#options.recentBytes)
    this.#heads = new Batcher({
      run: async (topics) => {
        const heads = await this.#options.log.heads(topics)
        return topics.map((topic) => heads.get(topic) ?? 0)
      },
    })
    this.#stopListening = this.#options.bus.onReconnect(() => void this.sweep())
    this.#sweepTimer = this.#scheduleSweep()
  }

  /**
   * A cursor on the topic's log. `head` is the log's head as the caller read it when it accepted the reader;
   * `after` the last seq that the reader has, by default that head. Rejects when the log is away.
   */
  async open(topic: string, { head, after = head }: { head: number; after?: number }): Promise<FeedCursor<E>> {
    if (this.#closed) throw new Error('the hub is closed')
    const starting = this.#open.get(topic) ?? this.#start(topic)
    const opened = await starting
    if (opened.feed.closed) return this.open(topic, { head, after })
    opened.readers++
    if (opened.linger) clearTimeout(opened.linger)
    opened.linger = null
    opened.feed.noteHead(head)
    return new FeedCursor(opened.feed, { after, head, onEnd: () => this.#leave(topic, opened) })
  }

  /** Topics with an open feed. */
  get topics(): string[] {
    return [...this.#open.keys()]
  }

  /** Compares every open topic with the log now. Never rejects. One at a time: a running one is followed by another. */
  sweep(): Promise<void> {
    // It may have looked at the log before what this call is about happened.
    if (this.#sweeping) this.#sweepAgain = true
    this.#sweeping ??= this.#sweepWhileAsked()
      .catch((error) => this.#options.logger.warn({ err: error }, 'the sweep could not reach the log, trying again'))
      .finally(() => {
        this.#sweeping = null
      })
    return this.#sweeping
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#sweepTimer)
    this.#stopListening()
    const all = await Promise.allSettled(this.#open.values())
    await Promise.allSettled(all.map((one) => (one.status === 'fulfilled' ? this.#shut(one.value) : null)))
    this.#open.clear()
  }

  #start(topic: string): Promise<OpenFeed<E>> {
    const starting = this.#startFeed(topic)
    this.#open.set(topic, starting)
    starting.catch(() => this.#open.delete(topic))
    return starting
  }

  async #startFeed(topic: string): Promise<OpenFeed<E>> {
    const { bus, log, observe, onRestart, logger } = this.#options
    const [slab, decoded, pages] = [this.#slab, this.#decoded, this.#pages]
    // Listen first, then read the head: nothing can fall between the two.
    const early: string[] = []
    let receive = (message: string) => {
      if (early.length < EARLY_MAX_MESSAGES) early.push(message)
    }
    const unsubscribe = await bus
      .subscribe(topic, (message) => receive(message))
      .catch((error) => {
        logger.warn({ err: error, topic }, 'the bus is away; this topic is served by the sweep meanwhile')
        return null
      })
    try {
      const head = await this.#heads.call(topic)
      const feed = new Feed({ topic, head, log, slab, decoded, pages, observe, onRestart, logger })
      receive = (message) => feed.receive(message)
      for (const message of early) feed.receive(message)
      return { feed, readers: 0, unsubscribe, linger: null }
    } catch (error) {
      await unsubscribe?.()
      throw error
    }
  }

  #leave(topic: string, opened: OpenFeed<E>): void {
    opened.readers--
    if (opened.readers > 0 || this.#closed) return
    opened.linger = setTimeout(() => {
      this.#open.delete(topic)
      void this.#shut(opened)
    }, this.#options.lingerMs)
    opened.linger.unref()
  }

  async #shut(opened: OpenFeed<E>): Promise<void> {
    if (opened.linger) clearTimeout(opened.linger)
    opened.feed.close()
    await opened.unsubscribe?.()
  }

  #scheduleSweep(): NodeJS.Timeout {
    const timer = setTimeout(() => {
      void this.sweep().finally(() => {
        if (!this.#closed) this.#sweepTimer = this.#scheduleSweep()
      })
    }, this.#options.sweepIntervalMs)
    return timer.unref()
  }

  async #sweepWhileAsked(): Promise<void> {
    do {
      this.#sweepAgain = false
      await this.#sweepAll()
    } while (this.#sweepAgain && !this.#closed)
  }

  async #sweepAll(): Promise<void> {
    const settled = await Promise.allSettled(this.#open.values())
    const feeds = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    await Promise.all(feeds.filter((opened) => !opened.unsubscribe).map((opened) => this.#resubscribe(opened)))
    for (let i = 0; i < feeds.length; i += SWEEP_TOPICS_PER_READ) {
      const some = feeds.slice(i, i + SWEEP_TOPICS_PER_READ).map(({ feed }) => ({ feed, before: feed.head }))
      const heads = await this.#options.log.heads(some.map(({ feed }) => feed.topic))
      for (const { feed, before } of some) {
        const head = heads.get(feed.topic) ?? 0
        // What the feed had before the log was asked was committed: a lower head means that the log has lost it.
        if (head < before && !feed.closed) feed.restartAt(head)
        else feed.noteHead(head)
      }
    }
  }

  async #resubscribe(opened: OpenFeed<E>): Promise<void> {
    const { bus } = this.#options
    const unsubscribe = await bus
      .subscribe(opened.feed.topic, (message) => opened.feed.receive(message))
      .catch(() => null)
    if (opened.feed.closed) await unsubscribe?.()
    else opened.unsubscribe = unsubscribe
  }
}
