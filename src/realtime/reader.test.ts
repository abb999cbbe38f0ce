// A mapped reader: the source's items, each once and in order, but those that are left out, up to the last; the same
// whether it is taken from and watched, or iterated over; and its end is told once, however it comes.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { turns } from '../../test/support/array-log.ts'
import { mapReader, Reader } from './reader.ts'

/** Gives what was put into it. */
class ArrayReader extends Reader<number> {
  readonly sheddable: boolean
  readonly #items: number[] = []
  #closed = false
  #failure: Error | null = null
  #wake: (() => void) | null = null
  ends = 0

  constructor(sheddable = false) {
    super()
    this.sheddable = sheddable
  }

  get ended(): boolean {
    return this.#closed
  }

  take(): number | null {
    if (this.#closed) return null
    if (this.#failure) throw this.#failure
    return this.#items.shift() ?? null
  }

  watch(wake: () => void): void {
    this.#wake = wake
  }

  put(...items: number[]): void {
    this.#items.push(...items)
    this.#wake?.()
  }

  /** Ends by itself, as a feed that closes. */
  close(): void {
    this.#closed = true
    this.#wake?.()
  }

  fail(error: Error): void {
    this.#failure = error
    this.#wake?.()
  }

  end(): void {
    this.ends++
    this.close()
  }
}

/** Doubles; leaves odd numbers out; `last`, where given, is the last. */
function mapped(source: ArrayReader, last: number | null = null) {
  let ends = 0
  const reader = mapReader<number, string>(source, {
    map: (item) => (item % 2 === 0 ? `${item * 2}` : null),
    isLast: (item) => item === last,
    onEnd: () => ends++,
  })
  return { reader, ends: () => ends }
}

/** All that a reader gives until it ends, as an iterator. */
async function iterate(reader: Reader<string>): Promise<string[]> {
  const items: string[] = []
  for await (const item of reader) items.push(item)
  return items
}

/** The same by `take` and `watch`, at the end of each turn that something was told in. */
function takeAll(reader: Reader<string>): Promise<string[]> {
  const items: string[] = []
  return new Promise((resolve, reject) => {
    let isDue = false
    const run = () => {
      isDue = false
      try {
        for (let item = reader.take(); item !== null; item = reader.take()) items.push(item)
      } catch (error) {
        reject(error)
      }
      if (reader.ended) resolve(items)
    }
    const wake = () => {
      if (!isDue) setImmediate(run)
      isDue = true
    }
    reader.watch(wake)
    wake()
  })
}

const story = fc.record({
  /** What comes in each turn. */
  batches: fc.array(fc.array(fc.nat({ max: 9 }), { maxLength: 5 }), { maxLength: 8 }),
  last: fc.option(fc.nat({ max: 9 })),
  /** How the source ends: by itself in the turn of the last batch, or after it; or the reader leaves. */
  ending: fc.constantFrom('close', 'close later', 'leave'),
})

function expected(batches: number[][], last: number | null): string[] {
  const items = batches.flat()
  const lastAt = last === null ? -1 : items.indexOf(last)
  const seen = lastAt < 0 ? items : items.slice(0, lastAt + 1)
  return seen.filter((item) => item % 2 === 0).map((item) => `${item * 2}`)
}

describe('a mapped reader', () => {
  it('gives the same, taken or iterated, and tells its end once', async () => {
    await fc.assert(
      fc.asyncProperty(story, async ({ batches, last, ending }) => {
        for (const read of [iterate, takeAll]) {
          const source = new ArrayReader()
          const { reader, ends } = mapped(source, last)
          const reading = read(reader)
          for (const batch of batches) {
            source.put(...batch)
            await turns(2)
          }
          if (ending === 'leave') reader.end()
          else source.close()
          expect(await reading).toEqual(expected(batches, last))
          expect(reader.ended).toBe(true)
          expect(reader.take()).toBeNull()
          const endsAlready = [ends(), source.ends]
          reader.end()
          expect([endsAlready, ends(), source.ends]).toEqual([[1, 1], 1, 1])
        }
      }),
      { numRuns: 200 },
    )
  })

  it('waits through what is left out', async () => {
    const source = new ArrayReader()
    const { reader } = mapped(source)
    const next = reader.next()
    source.put(1)
    source.put(3, 5)
    await turns(2)
    source.put(7, 8)
    expect(await next).toEqual({ done: false, value: '16' })
  })

  it('ends with the last item, whether it is left out or not, and takes nothing behind it', async () => {
    for (const [last, items] of [
      [3, ['4']],
      [4, ['4', '8']],
    ] as const) {
      const source = new ArrayReader()
      const { reader, ends } = mapped(source, last)
      source.put(2, last, 6)
      expect(await iterate(reader)).toEqual(items)
      expect([ends(), source.ends]).toEqual([1, 1])
    }
  })

  it('ends a waiting reader at once, and tells once that it has left', async () => {
    const source = new ArrayReader()
    const { reader, ends } = mapped(source)
    const waiting = reader.next()
    await reader.return()
    expect(await waiting).toEqual({ done: true, value: undefined })
    await expect(reader.throw(new Error('the reader broke'))).rejects.toThrow('the reader broke')
    await reader.return()
    expect([ends(), source.ends]).toEqual([1, 1])
  })

  it('brings an error of its source to whoever reads, which can still leave', async () => {
    for (const read of [iterate, takeAll]) {
      const source = new ArrayReader()
      const { reader, ends } = mapped(source)
      source.put(2)
      const reading = read(reader)
      const failing = expect(reading).rejects.toThrow('the log is away')
      await turns(2)
      source.fail(new Error('the log is away'))
      await failing
      reader.end()
      expect([ends(), source.ends]).toEqual([1, 1])
    }
  })

  it('can wait where its source can', () => {
    for (const sheddable of [true, false]) {
      expect(mapped(new ArrayReader(sheddable)).reader.sheddable).toBe(sheddable)
    }
  })
})
