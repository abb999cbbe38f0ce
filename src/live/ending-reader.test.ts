// The invariant: behind the item that takes the right nothing is given but the end, once; and a reader that never gets
// there is cut all the same.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { eventually } from '../../test/support/eventually.ts'
import { Reader } from '../realtime/reader.ts'
import { EndingReader } from './ending-reader.ts'
import { StreamEnd } from './stream-end.ts'

class Numbers extends Reader<number> {
  readonly sheddable = false
  ended = false
  #next = 1

  take(): number | null {
    return this.ended ? null : this.#next++
  }

  watch(): void {}

  end(): void {
    this.ended = true
  }
}

const END = new StreamEnd('LEFT')

function taken(reader: Reader<number | StreamEnd>, most: number): (number | StreamEnd)[] {
  const items: (number | StreamEnd)[] = []
  while (items.length < most) {
    const item = reader.take()
    if (item === null) return items
    items.push(item)
  }
  return items
}

describe('a stream that can be lost', () => {
  it('ends behind the item that takes it, or where it is cut, with the end told once', () => {
    const cases = fc.record({ losesAt: fc.integer({ min: 1, max: 30 }), cutAt: fc.integer({ min: 0, max: 40 }) })
    fc.assert(
      fc.property(cases, ({ losesAt, cutAt }) => {
        let ends = 0
        const reader = new EndingReader(new Numbers(), {
          endAfter: (number) => (number === losesAt ? END : null),
          onEnd: () => ends++,
        })
        const items = taken(reader, cutAt)
        reader.cut(new StreamEnd('BANNED'))
        items.push(...taken(reader, 100))
        const last = Math.min(losesAt, cutAt)
        expect(items.slice(0, last)).toEqual(Array.from({ length: last }, (_, i) => i + 1))
        expect(items.slice(last)).toEqual([cutAt >= losesAt ? END : new StreamEnd('BANNED')])
        expect([reader.ended, reader.take(), ends]).toEqual([true, null, 1])
      }),
    )
  })

  it('wakes who waits for room, and gives them nothing but the end', async () => {
    const reader = new EndingReader(new Numbers())
    let woken = 0
    reader.watch(() => woken++)
    reader.take()
    reader.cutSoon(END)
    reader.cutSoon(END)
    await eventually(() => expect(woken).toBe(1))
    expect(taken(reader, 10)).toEqual([END])
  })

  // Guards: a banned user whose connection stood still was shown as present as long as TCP lasted.
  it('gives everything up when it is cut, though nobody takes its end', () => {
    let ends = 0
    const source = new Numbers()
    const reader = new EndingReader(source, { onEnd: () => ends++ })
    reader.cut(END)
    reader.cut(new StreamEnd('BANNED'))
    expect([source.ended, ends, reader.ended]).toEqual([true, 1, false])
    expect(taken(reader, 10)).toEqual([END])
    expect([reader.ended, ends]).toEqual([true, 1])
  })

  it('that was ended by its reader is cut by nobody', () => {
    let ends = 0
    const reader = new EndingReader(new Numbers(), { onEnd: () => ends++ })
    reader.end()
    reader.cut(END)
    expect([reader.take(), reader.ended, ends]).toEqual([null, true, 1])
  })
})
