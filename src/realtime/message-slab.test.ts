// The invariant: a place gives the very text that was put there, or null; and what was put last is there.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MessageSlab, NOWHERE } from './message-slab.ts'

const CAPACITY = 4_096
/** A sixteenth of the capacity, less the length that stands before it. */
const LONGEST_UNITS = Math.floor((CAPACITY / 16 - 4) / 3)

const texts = fc.array(fc.string({ unit: 'grapheme', maxLength: 100 }), { maxLength: 300 })

interface Kept {
  text: string
  place: number
}

/** Looks at everything that was put there, the newest first. */
function checkAll(slab: MessageSlab, kept: readonly Kept[]): void {
  let newerBytes = 0
  for (const { text, place } of kept.toReversed()) {
    const found = slab.read(place)
    newerBytes += 4 + Buffer.byteLength(text)
    // Less than the whole by what may be skipped at the end of the buffer.
    const mustBeThere = place !== NOWHERE && newerBytes < CAPACITY - CAPACITY / 16
    if (mustBeThere || found !== null) expect(found).toBe(text)
  }
}

describe('the slab of messages', () => {
  it('gives every text as it was, or says that it is gone; the newest are there', () => {
    fc.assert(
      fc.property(texts, (all) => {
        const slab = new MessageSlab(CAPACITY)
        const kept: Kept[] = []
        for (const text of all) {
          const place = slab.put(text)
          expect(place === NOWHERE).toBe(text.length > LONGEST_UNITS)
          kept.push({ text, place })
          checkAll(slab, kept)
        }
      }),
      { numRuns: 50 },
    )
  })

  it('forgets the oldest once as much as it holds came after it', () => {
    const slab = new MessageSlab(CAPACITY)
    const first = slab.put('first')
    for (let bytes = 0; bytes < CAPACITY; bytes += 50) slab.put('x'.repeat(46))
    expect(slab.read(first)).toBeNull()
    expect(slab.read(NOWHERE)).toBeNull()
  })
})
