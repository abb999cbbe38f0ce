// The newest entries of a feed, for readers that are close behind. Whatever lives for a while is what a garbage collector
// has most work with, and an event is some thirty objects: so only what was used last, over all feeds, stays decoded;
// before that an entry is the one text that the bus brought, and decoded anew for whoever still asks.
// Invariant: the entries follow one another without a gap, and an answer for a seq is always the same entry in content.

import type { MemoryBudget } from './memory-budget.ts'
import type { Entry } from './topic-log.ts'

/** An entry as readers take it: one object for all who take it soon after it came. */
export interface EntryItem<E> {
  readonly kind: 'entry'
  readonly entry: Entry<E>
}

/** Most recent entries that a feed keeps. */
const MAX_ENTRIES = 256
/** What every feed may keep even when the node's budget is spent. */
const MIN_ENTRIES = 8
/** Entries of all feeds that stay decoded: more than one turn of the event loop usually brings. */
const MAX_DECODED = 128

interface Slot<E> {
  readonly bytes: number
  /** What the item can be decoded from; null for one that was read from the log, which stays as it is. */
  readonly message: string | null
  item: EntryItem<E> | null
}

/** Which entries of a node are decoded: the last ones that were asked for. */
export class DecodedEntries<E> {
  readonly #slots: Slot<E>[] = []
  #next = 0

  add(slot: Slot<E>): void {
    const oldest = this.#slots[this.#next]
    if (oldest) oldest.item = null
    this.#slots[this.#next] = slot
    this.#next = (this.#next + 1) % MAX_DECODED
  }
}

export interface RecentEntriesOptions<E> {
  budget: MemoryBudget
  decoded: DecodedEntries<E>
  decode: (message: string) => Entry<E>
}

export class RecentEntries<E> {
  readonly #options: RecentEntriesOptions<E>
  #slots: Slot<E>[] = []
  #firstSeq = 0

  constructor(options: RecentEntriesOptions<E>) {
    this.#options = options
  }

  /** Adds the entry after the newest one, with the bus message that it was decoded from if it came by the bus. */
  push(entry: Entry<E>, message: string | null): void {
    const { budget } = this.#options
    if (this.#slots.length === 0) this.#firstSeq = entry.seq
    this.#slots.push(this.#hold({ bytes: entry.bytes, message, item: { kind: 'entry', entry } }))
    budget.take(entry.bytes)
    const most = budget.spent ? MIN_ENTRIES : MAX_ENTRIES
    while (this.#slots.length > most) this.#dropOldest()
  }

  /** The entry at `seq`, if it is still there. */
  at(seq: number): EntryItem<E> | undefined {
    const slot = this.#slots[seq - this.#firstSeq]
    if (!slot) return undefined
    if (slot.item) return slot.item
    const { decode } = this.#options
    // Only what came as a message loses its item.
    slot.item = { kind: 'entry', entry: decode(slot.message as string) }
    this.#hold(slot)
    return slot.item
  }

  clear(): void {
    this.#options.budget.give(this.#slots.reduce((sum, { bytes }) => sum + bytes, 0))
    this.#slots = []
  }

  #hold(slot: Slot<E>): Slot<E> {
    if (slot.message !== null) this.#options.decoded.add(slot)
    return slot
  }

  #dropOldest(): void {
    const oldest = this.#slots.shift()
    if (!oldest) return
    this.#firstSeq++
    this.#options.budget.give(oldest.bytes)
  }
}
