// Plants violations into copies of correct histories, to see that the checker catches them: for its own tests.

import fc from 'fast-check'
import { expect } from 'vitest'
import { checkHistory } from './checker.ts'
import type { History } from './history.ts'
import { type ModelOptions, makeCorrectHistory } from './history-model.ts'
import { Random } from './random.ts'

export const OPTIONS = fc.record({
  seed: fc.nat(),
  users: fc.integer({ min: 3, max: 6 }),
  rooms: fc.integer({ min: 1, max: 3 }),
  steps: fc.integer({ min: 30, max: 150 }),
})

const kindsOf = (history: History) => [...new Set(checkHistory(history).map(({ kind }) => kind))].toSorted()

/** What is changed, once where a history offers it; null where it does not. */
export type Planting = (history: History, random: Random) => boolean | null

/** Null where none fits. */
export function pickWhere<T>(items: readonly T[], fits: (item: T) => boolean, random: Random): T | null {
  const fitting = items.filter(fits)
  return fitting.length === 0 ? null : random.pick(fitting)
}

/** Plants into copies of many correct histories, and expects each to be caught as no other than these. */
export function expectCaught(plant: Planting, ...expected: string[]): void {
  let planted = 0
  const tryOne = ({ seed, ...options }: ModelOptions) => {
    const history = structuredClone(makeCorrectHistory({ seed, ...options }))
    if (!plant(history, new Random(seed + 1))) return
    planted += 1
    expect(kindsOf(history)).toEqual(expected)
  }
  fc.assert(fc.property(OPTIONS, tryOne), { numRuns: 200 })
  expect(planted).toBeGreaterThan(25)
}
