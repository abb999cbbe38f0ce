// The newest entries of a feed, for readers that are close behind: as they came by the bus, in the node's slab, and the few
// that were used last also decoded. An event is some thirty objects; kept for a while by the thousand, collecting them
// cost more than delivering.
// Invariant: an answer for a seq is always the same entry in content; what is not there any more stands in the log.

import { type MessageSlab, NOWHERE } from './message-slab.ts'
import type { Entry } from './topic-log.ts'

/** An entry as readers take it: one object for all who take it soon after it came. */
export interface EntryItem<E> {
  readonly kind: 'entry'
  readonly entry: Entry<E>
}

/** Most entries of a feed, and how many it has place for at first: both powers of two. */
const MAX_ENTRIES = 256
const FIRST_ENTRIES = 8
/** Entries of all feeds that stay decoded: more than one turn of the event loop usually brings. */
const MAX_DECODED = 128

/** What keeps decoded entries of its own. */
interface Owner {
  forgetDecoded(seq: number): void
}

/** Which entries of a node are decoded: those that were asked for last. */
export class DecodedEntries {
  readonly #owners: Owner[] = []
  readonly #seqs: number[] = []
  #next = 0

  add(owner: Owner, seq: number): void {
    this.#owners[this.#next]?.forgetDecoded(this.#seqs[this.#next] ?? 0)
    this.#owners[this.#next] = owner
    this.#seqs[this.#next] = seq
    this.#next = (this.#next + 1) % MAX_DECODED
  }
}

export interface RecentEntriesOptions<E> {
  /** One for all feeds of the node, both. */
  slab: MessageSlab
  decoded: DecodedEntries
  decode: (message: string) => Entry<E>
}

export class RecentEntries<E> {
  readonly #options: RecentEntriesOptions<E>
  /** By seq, in turns. */
  #places = new Float64Array(FIRST_ENTRIES).fill(NOWHERE)
  #items: (EntryItem<E> | null)[] = new Array<null>(FIRST_ENTRIES).fill(null)
  /** The entries are those above `#floor` up to `#head`. */
  #floor = 0
  #head = 0

  constructor(options: RecentEntriesOptions<E>) {
    this.#options = options
  }

  /** Adds the entry that follows the newest one, with its bus message. After `clear` it may be any. */
  push(entry: Entry<E>, message: string): void {
    const { slab, decoded } = this.#options
    if (this.#head === this.#floor) this.#floor = entry.seq - 1
    this.#head = entry.seq
    if (this.#head - this.#floor > this.#items.length) this.#makeRoom()
    const index = entry.seq & (this.#items.length - 1)
    this.#places[index] = slab.put(message)
    this.#items[index] = { kind: 'entry', entry }
    decoded.add(this, entry.seq)
  }

  /** The entry at `seq`, if it is still there. */
  at(seq: number): EntryItem<E> | undefined {
    if (seq <= this.#floor || seq > this.#head) return undefined
    const { slab, decoded, decode } = this.#options
    const index = seq & (this.#items.length - 1)
    const known = this.#items[index]
    if (known) return known
    const message = slab.read(this.#places[index] ?? NOWHERE)
    if (message === null) return undefined
    const item: EntryItem<E> = { kind: 'entry', entry: decode(message) }
    this.#items[index] = item
    decoded.add(this, seq)
    return item
  }

  clear(): void {
    this.#items.fill(null)
    this.#floor = this.#head
  }

  /** See DecodedEntries. The place may have been taken by a later entry. */
  forgetDecoded(seq: number): void {
    const index = seq & (this.#items.length - 1)
    if (this.#items[index]?.entry.seq === seq) this.#items[index] = null
  }

  /** For one entry more: twice the places, or that of the oldest. */
  #makeRoom(): void {
    if (this.#items.length === MAX_ENTRIES) {
      this.#floor++
      return
    }
    const [places, items] = [this.#places, this.#items]
    const size = items.length * 2
    this.#places = new Float64Array(size).fill(NOWHERE)
    this.#items = new Array<null>(size).fill(null)
    for (let seq = this.#floor + 1; seq < this.#head; seq++) {
      const [from, to] = [seq & (items.length - 1), seq & (size - 1)]
      this.#places[to] = places[from] ?? NOWHERE
      this.#items[to] = items[from] ?? null
    }
  }
}
