// What a stream may bring: every event after its `after`, once, in order, as the database has it. Each chain of openings
// is followed from place to place; an opening begins where the client says that it stands.

import { MARKS, type Opening, type SeenItem, type StoredEvent, type StoredRoom, type StreamHistory } from './history.ts'
import type { Violation, ViolationKind } from './violation.ts'

const NOT_ABOUT_ORDER: ReadonlySet<ViolationKind> = new Set(['foreign'])

export function checkStream(stream: StreamHistory, stored: StoredRoom | undefined): Violation[] {
  // Of a seq that the database holds twice, the first.
  const walk = new Walk(new Map(stored?.events.toReversed().map((event) => [event.seq, event])))
  for (const opening of stream.openings) walk.through(opening)
  if (stream.mustReachHead) walk.mustEndAt(stored?.lastSeq ?? 0)
  return [...walk.found].flatMap(([kind, seqs]): Violation[] => {
    if (seqs.size === 0) return []
    const what = NOT_ABOUT_ORDER.has(kind) ? 'brought other events than the database has' : WHAT[kind]
    return [{ kind, room: stream.room, what: `a stream ${what}`, seqs: rising(seqs), stream }]
  })
}

const WHAT: Partial<Record<ViolationKind, string>> = {
  lost: 'passed over events, or did not come to the head',
  doubled: 'brought events again',
  reordered: 'brought events after later ones',
}

class Walk {
  readonly #stored: ReadonlyMap<number, StoredEvent>
  readonly #lost = new Set<number>()
  readonly #doubled = new Set<number>()
  readonly #reordered = new Set<number>()
  readonly #foreign = new Set<number>()
  /** Passed over in this opening and not come yet. */
  #missing = new Set<number>()
  /** Where the stream stands; null before the first item of a stream from the head. */
  #position: number | null = null

  constructor(stored: ReadonlyMap<number, StoredEvent>) {
    this.#stored = stored
  }

  get found(): ReadonlyMap<ViolationKind, ReadonlySet<number>> {
    return new Map([
      ['lost', this.#lost],
      ['doubled', this.#doubled],
      ['reordered', this.#reordered],
      ['foreign', this.#foreign],
    ])
  }

  through({ after, items }: Opening): void {
    // A client goes on from what it got: what it takes for granted and never came is lost.
    if (this.#position !== null) for (let seq = this.#position + 1; seq <= (after ?? 0); seq++) this.#lost.add(seq)
    this.#position = after ?? this.#position
    for (const item of items) {
      if (item.type === 'ResyncRequired') this.#lost.add(item.seq)
      else if (MARKS.has(item.type)) this.#mark(item.seq)
      else this.#event(item)
    }
    for (const seq of this.#missing) this.#lost.add(seq)
    this.#missing = new Set()
  }

  mustEndAt(head: number): void {
    // A stream from the head that never began was promised nothing.
    for (let seq = (this.#position ?? head) + 1; seq <= head; seq++) this.#lost.add(seq)
  }

  /** CaughtUp: the stream says itself where it stands. */
  #mark(seq: number): void {
    this.#position ??= seq
    this.#passOver(seq)
    if (seq < this.#position) this.#reordered.add(seq)
    this.#position = Math.max(this.#position, seq)
  }

  #event(item: SeenItem): void {
    const { seq } = item
    this.#position ??= seq - 1
    if (!isStored(item, this.#stored.get(seq))) this.#foreign.add(seq)
    if (seq > this.#position) {
      this.#passOver(seq - 1)
      this.#position = seq
    } else if (this.#missing.delete(seq)) this.#reordered.add(seq)
    else this.#doubled.add(seq)
  }

  #passOver(upTo: number): void {
    for (let seq = (this.#position ?? upTo) + 1; seq <= upTo; seq++) this.#missing.add(seq)
  }
}

function isStored({ type, id }: SeenItem, stored: StoredEvent | undefined): boolean {
  return stored !== undefined && stored.type === type && stored.id === id
}

function rising(seqs: Iterable<number>): number[] {
  return [...seqs].toSorted((a, b) => a - b)
}
