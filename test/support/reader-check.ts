// What a reader of a feed may be given, item by item: the delivery contract in its plainest words.

import type { FeedItem } from '../../src/realtime/feed-cursor.ts'
import type { ArrayLog } from './array-log.ts'

/**
 * Follows one reader, over any number of reconnects. Throws at the first item that it should not have been given.
 * What is missing at the end shows as a `position` that stays behind the head.
 */
export class ReaderCheck {
  readonly #log: ArrayLog
  readonly #topic: string
  #position = 0
  #head = 0
  #ahead = false
  #caughtUp = false

  constructor(log: ArrayLog, topic: string) {
    this.#log = log
    this.#topic = topic
  }

  /** The last seq that the reader has, or was told is gone. */
  get position(): number {
    return this.#position
  }

  get caughtUp(): boolean {
    return this.#caughtUp
  }

  /** The reader opens (again): it has `after`, and was accepted at `head`. */
  open(after: number, head: number): void {
    this.#ahead = after > head
    this.#position = Math.min(after, head)
    this.#head = head
    this.#caughtUp = false
  }

  take(item: FeedItem<string>): void {
    if (item.kind === 'caught-up') this.#takeCaughtUp(item.seq)
    else if (item.kind === 'resync') this.#takeResync(item.fromSeq)
    else this.#takeEntry(item.entry.seq, item.entry.event)
  }

  #takeEntry(seq: number, event: string): void {
    const expected = this.#position + 1
    if (this.#ahead) this.#fail(`entry ${seq} before the resync of a reader ahead of the log`)
    if (seq !== expected) this.#fail(`entry ${seq} instead of ${expected}`)
    if (event !== `${this.#topic} ${seq}`) this.#fail(`entry ${seq} is ${event}`)
    if (seq > this.#head && !this.#caughtUp) this.#fail(`entry ${seq} before the end of the replay at ${this.#head}`)
    this.#position = seq
  }

  #takeCaughtUp(seq: number): void {
    if (this.#caughtUp) this.#fail('caught up twice')
    if (this.#ahead) this.#fail('caught up before the resync')
    if (seq !== this.#position || seq < this.#head) {
      this.#fail(`caught up at ${seq}, has ${this.#position}, opened at ${this.#head}`)
    }
    this.#caughtUp = true
  }

  #takeResync(fromSeq: number): void {
    if (this.#ahead) {
      if (fromSeq !== this.#position + 1) this.#fail(`resync from ${fromSeq}, the head was ${this.#position}`)
      this.#ahead = false
      return
    }
    if (fromSeq <= this.#position + 1) this.#fail(`resync from ${fromSeq} where nothing is missing`)
    const floor = this.#log.floor(this.#topic)
    if (fromSeq - 1 > floor) this.#fail(`resync from ${fromSeq}, but the log reaches back to ${floor + 1}`)
    this.#position = fromSeq - 1
  }

  #fail(message: string): never {
    throw new Error(`${this.#topic}: ${message}`)
  }
}
