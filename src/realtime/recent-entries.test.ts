// The invariant: an answer for a seq is the entry that was pushed with it, whatever was overwritten, and only for the
// newest entries without a gap.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MessageSlab } from './message-slab.ts'
import { DecodedEntries, RecentEntries } from './recent-entries.ts'

const MAX_ENTRIES = 256

const decode = (message: string) => {
  const seq = Number(message)
  return { seq, event: message, bytes: 1 }
}

const steps = fc.array(
  fc.record({
    feed: fc.nat({ max: 2 }),
    pushes: fc.integer({ min: 1, max: 40 }),
    // Seldom: the entries start anew, further on.
    jump: fc.option(fc.integer({ min: 1, max: 1_000 }), { freq: 20 }),
  }),
  { maxLength: 60 },
)

class Pushed {
  readonly #recent: RecentEntries<string>
  #first = 1
  #head = 0

  constructor(shared: { slab: MessageSlab; decoded: DecodedEntries }) {
    this.#recent = new RecentEntries({ ...shared, decode })
  }

  jump(by: number): void {
    this.#recent.clear()
    this.#head += by
    this.#first = this.#head + 1
  }

  push(count: number): void {
    const head = this.#head
    while (this.#head < head + count) {
      this.#head++
      this.#recent.push(decode(String(this.#head)), String(this.#head))
    }
    // A turn's entries are there for the readers of that turn.
    for (let seq = head + 1; seq <= this.#head; seq++) expect(this.#recent.at(seq)?.entry).toEqual(decode(String(seq)))
  }

  check(): void {
    expect(this.#recent.at(this.#head + 1)).toBeUndefined()
    const oldest = Math.max(this.#first, this.#head - MAX_ENTRIES + 1)
    for (let seq = Math.max(1, oldest - 600); seq < oldest; seq++) expect(this.#recent.at(seq)).toBeUndefined()
    for (let seq = oldest; seq <= this.#head; seq++) {
      const item = this.#recent.at(seq)
      if (item) expect(item.entry).toEqual(decode(String(seq)))
    }
  }
}

describe('the recent entries of feeds', () => {
  it('are the ones that were pushed last, for each feed', () => {
    fc.assert(
      fc.property(steps, (all) => {
        const shared = { slab: new MessageSlab(4_096), decoded: new DecodedEntries() }
        const feeds = [new Pushed(shared), new Pushed(shared), new Pushed(shared)]
        for (const { feed, pushes, jump } of all) {
          if (jump !== null) feeds[feed]?.jump(jump)
          feeds[feed]?.push(pushes)
          for (const each of feeds) each.check()
        }
      }),
      { numRuns: 50 },
    )
  })

  it('gives those who ask at the same time the same object', () => {
    const recent = new RecentEntries({ slab: new MessageSlab(4_096), decoded: new DecodedEntries(), decode })
    for (let seq = 1; seq <= MAX_ENTRIES; seq++) recent.push(decode(String(seq)), String(seq))
    for (const seq of [3, MAX_ENTRIES]) {
      const item = recent.at(seq)
      expect(item?.entry.seq).toBe(seq)
      expect(recent.at(seq)).toBe(item)
    }
  })
})
