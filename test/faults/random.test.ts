import { describe, expect, it } from 'vitest'
import { Random } from './random.ts'

const draw = (seed: number) => {
  const random = new Random(seed)
  return Array.from({ length: 20 }, () => random.integer(0, 999))
}

describe('Random', () => {
  it('draws the same for the same seed, and other things for another', () => {
    expect(draw(7)).toEqual(draw(7))
    expect(draw(7)).not.toEqual(draw(8))
  })

  it('draws every number of a range about equally often', () => {
    const random = new Random(1)
    const drawn = Array.from({ length: 10_000 }, () => random.integer(0, 4))
    for (const value of [0, 1, 2, 3, 4]) {
      const share = drawn.filter((each) => each === value).length / drawn.length
      expect(share).toBeGreaterThan(0.18)
      expect(share).toBeLessThan(0.22)
    }
  })

  it('shuffles without losing anything', () => {
    const items = Array.from({ length: 30 }, (_, i) => i)
    const shuffled = new Random(3).shuffled(items)
    expect(shuffled).not.toEqual(items)
    expect(shuffled.toSorted((a, b) => a - b)).toEqual(items)
  })

  it('waits as long as it was told on average, and never much longer', () => {
    const random = new Random(5)
    const waits = Array.from({ length: 10_000 }, () => random.waitMs(100))
    const mean = waits.reduce((sum, wait) => sum + wait, 0) / waits.length
    expect(mean).toBeGreaterThan(90)
    expect(mean).toBeLessThan(110)
    expect(Math.max(...waits)).toBeLessThanOrEqual(600)
  })

  it('says so where there is nothing to pick', () => {
    expect(() => new Random(1).pick([])).toThrow('nothing to pick')
  })
})
