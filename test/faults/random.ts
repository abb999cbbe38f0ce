// A small seeded generator (mulberry32): the same seed makes the same choices, on every machine.

export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** From 0 up to, not including, 1. */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number from `min` to `max`, both included. */
  integer(min: number, max: number): number {
    return min + Math.floor(this.fraction() * (max - min + 1))
  }

  chance(probability: number): boolean {
    return this.fraction() < probability
  }

  /** Throws where there is nothing to pick. */
  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new Error('there is nothing to pick from')
    // The index is within the list; only a list that may hold undefined could give it.
    return items[this.integer(0, items.length - 1)] as T
  }

  shuffled<T>(items: readonly T[]): T[] {
    const left = [...items]
    const result: T[] = []
    while (left.length > 0) result.push(...left.splice(this.integer(0, left.length - 1), 1))
    return result
  }

  /** Waiting times of a steady, unforeseeable stream, `meanMs` on average and at most six times that. */
  waitMs(meanMs: number): number {
    return Math.min(-Math.log(1 - this.fraction()) * meanMs, 6 * meanMs)
  }

  /** A generator of its own for one part, so that what others draw does not change what this part draws. */
  fork(): Random {
    return new Random(Math.floor(this.fraction() * 2 ** 32))
  }
}
