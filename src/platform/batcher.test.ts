// The invariant: one run at a time, a call is in a run that started after it, and everybody gets their own answer or the
// error, whatever the order in which calls come and runs end.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { turns } from '../../test/support/array-log.ts'
import { Batcher, type BatcherOptions } from './batcher.ts'

const NO_PAUSE = { pauseMs: () => 0 }

/** Runs that end when the test says so. */
function createRuns(options: Partial<BatcherOptions<number, string>> = NO_PAUSE) {
  const runs: { keys: readonly number[]; end: (error?: Error) => Promise<void> }[] = []
  const run = (keys: readonly number[]) =>
    new Promise<string[]>((resolve, reject) => {
      const end = async (error?: Error) => {
        if (error) reject(error)
        else resolve(keys.map((key) => `answer ${key}`))
        await turns(2)
      }
      runs.push({ keys, end })
    })
  return { runs, batcher: new Batcher({ run, ...options }) }
}

describe('a batcher', () => {
  it('runs a lone call at once, and what comes meanwhile together in the next run', async () => {
    const { runs, batcher } = createRuns()
    const first = batcher.call(1)
    await turns(2)
    expect(runs.map(({ keys }) => keys)).toEqual([[1]])
    const others = [2, 3, 3].map((key) => batcher.call(key))
    await turns(5)
    expect(runs).toHaveLength(1)
    await runs[0]?.end()
    expect(await first).toBe('answer 1')
    expect(runs.map(({ keys }) => keys)).toEqual([[1], [2, 3, 3]])
    await runs[1]?.end()
    expect(await Promise.all(others)).toEqual(['answer 2', 'answer 3', 'answer 3'])
  })

  it('takes at most so many into a run and refuses, retryably, those beyond what may wait', async () => {
    const { runs, batcher } = createRuns({ ...NO_PAUSE, maxBatch: 2, maxQueued: 3 })
    const calls = [1, 2, 3].map((key) => batcher.call(key))
    await expect(batcher.call(4)).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true })
    await turns(2)
    await runs[0]?.end()
    await runs[1]?.end()
    expect(runs.map(({ keys }) => keys)).toEqual([[1, 2], [3]])
    expect(await Promise.all(calls)).toHaveLength(3)
  })

  it('fails everybody who waits when a run fails, and takes the next', async () => {
    const { runs, batcher } = createRuns({ ...NO_PAUSE, maxBatch: 2 })
    const calls = Promise.allSettled([1, 2, 3].map((key) => batcher.call(key)))
    await turns(2)
    await runs[0]?.end(new Error('away'))
    expect((await calls).map((call) => call.status === 'rejected' && call.reason.message)).toEqual(
      Array(3).fill('away'),
    )
    const next = batcher.call(4)
    await turns(2)
    await runs[1]?.end()
    expect(await next).toBe('answer 4')
  })

  it('fails those whose run has answered another number of calls', async () => {
    const batcher = new Batcher<number, number>({ run: async () => [1], ...NO_PAUSE })
    const calls = await Promise.allSettled([batcher.call(1), batcher.call(2)])
    expect(calls.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  })

  it('pauses after a run of many, by its size, and not after a run of one', async () => {
    const asked: number[] = []
    const pauseMs = (calls: number) => {
      asked.push(calls)
      return calls === 1 ? 0 : 1
    }
    const batcher = new Batcher<number, number>({ run: async (keys) => [...keys], pauseMs })
    await batcher.call(1)
    await Promise.all([batcher.call(1), batcher.call(2)])
    const during = batcher.call(3)
    await turns(2)
    expect(await during).toBe(3)
    expect(asked).toEqual([1, 2, 1])
  })

  it('answers every call by a run that started after it, whatever the order of things', async () => {
    const step = fc.oneof(fc.record({ call: fc.nat({ max: 5 }) }), fc.record({ end: fc.boolean() }))
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { runs, batcher } = createRuns({ ...NO_PAUSE, maxBatch: 3 })
        let ended = 0
        const checks: Promise<void>[] = []
        const endOne = async (ok: boolean) => {
          await turns(2)
          expect(runs.length - ended).toBeLessThanOrEqual(1)
          const under = runs[ended]
          if (!under) return
          ended++
          await under.end(ok ? undefined : new Error('away'))
        }
        for (const one of steps) {
          if ('end' in one) await endOne(one.end)
          else {
            const startedBefore = runs.length
            const check = (at: () => number) => expect(at()).toBeGreaterThan(startedBefore)
            checks.push(
              batcher.call(one.call).then(
                (answer) => {
                  expect(answer).toBe(`answer ${one.call}`)
                  check(() => ended)
                },
                (error: unknown) => expect(error).toEqual(new Error('away')),
              ),
            )
          }
        }
        let left = checks.length
        const all = Promise.all(checks).then(() => {
          left = 0
        })
        while (left > 0) await endOne(true)
        await all
      }),
    )
  })
})
