import { expect, it } from 'vitest'
import { SharedResults } from './shared-results.ts'

const result = () => Promise.resolve({ data: {} })

it('keeps no more than it may, and lets the oldest events go first', () => {
  const results = new SharedResults(3)
  const events = [{ seq: 1 }, { seq: 2 }, { seq: 3 }]
  for (const event of events) for (const group of ['a', 'b']) results.keep(event, group, result())
  expect(results.size).toBeLessThanOrEqual(3)
  expect(events.map((event) => results.find(event, 'b') !== undefined)).toEqual([false, false, true])
})

it('forgets, and counts right', () => {
  const results = new SharedResults(3)
  const event = { seq: 1 }
  const kept = result()
  results.keep(event, 'a', kept)
  results.keep(event, 'b', result())
  results.forget(event, 'b')
  results.forget(event, 'b')
  expect(results.size).toBe(1)
  expect(results.find(event, 'a')).toBe(kept)
  expect(results.find(event, 'b')).toBeUndefined()
})
