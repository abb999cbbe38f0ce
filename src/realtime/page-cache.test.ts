// The invariant: whoever asks gets what follows `after` in the log as it is or lately was, and never hears that there is
// nothing where there is; one range is read once, for all who come while it is kept.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ArrayLog, turns } from '../../test/support/array-log.ts'
import { PAGE_SIZE, PageCache } from './page-cache.ts'

const TOPIC = 'room'

function open({
  count,
  origin = count,
  cache = new PageCache<string>(),
  latency = 0,
}: {
  count: number
  origin?: number
  cache?: PageCache<string>
  latency?: number
}) {
  const log = new ArrayLog(() => turns(latency))
  const append = (more: number) => {
    for (let i = 0; i < more; i++) log.append(TOPIC)
  }
  append(count)
  const pages = cache.open(origin, (after, upTo) => log.read(TOPIC, after, upTo, PAGE_SIZE))
  const find = async (after: number) => (await pages.find(after, log.head(TOPIC))).map(({ seq }) => seq)
  return { log, append, pages, find }
}

const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i)

describe('pages', () => {
  it('are read once for all who are up to a page behind the head at the opening', async () => {
    const { log, find } = open({ count: 1_000, latency: 1 })
    const afters = range(1_000 - PAGE_SIZE, 999)
    const found = [...(await Promise.all(afters.map(find))), await find(900)]
    expect(found).toEqual([...afters, 900].map((after) => range(after + 1, 1_000)))
    expect(log.reads).toEqual([`${TOPIC} ${1_000 - PAGE_SIZE}..1000`])
  })

  it('go on serving what they have while the log grows, and are read anew for what came since', async () => {
    const { log, append, find } = open({ count: 10, origin: 0 })
    expect(await find(0)).toEqual(range(1, 10))
    append(5)
    expect(await find(3)).toEqual(range(4, 10))
    expect(log.reads).toHaveLength(1)
    expect(await find(10)).toEqual(range(11, 15))
    expect(await find(0)).toEqual(range(1, 15))
    expect(log.reads).toHaveLength(2)
  })

  it('do not keep a read that failed', async () => {
    const { log, find } = open({ count: 10 })
    log.fail(TOPIC, 1)
    const failed = await Promise.allSettled([find(0), find(1)])
    expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(await find(0)).toEqual(range(1, 10))
  })

  it('that told of an empty log are not believed once it has grown, however many ask', async () => {
    const { log, append, find } = open({ count: 10, origin: 0, latency: 1 })
    log.cut(TOPIC, 10)
    expect(await find(2)).toEqual([])
    append(10)
    expect(await Promise.all([3, 4, 5].map(find))).toEqual([range(11, 20), range(11, 20), range(11, 20)])
    expect(log.reads).toEqual([`${TOPIC} 0..10`, `${TOPIC} 0..20`])
  })

  it('are forgotten when they are dropped, with what is being read', async () => {
    const { log, pages, find } = open({ count: 10, latency: 1 })
    const [early] = [find(0), pages.drop()]
    expect(await find(0)).toEqual(range(1, 10))
    expect(await early).toEqual(range(1, 10))
    await find(0)
    expect(log.reads).toHaveLength(2)
  })

  it('of different feeds do not meet, and weigh together no more than is allowed', async () => {
    const cache = new PageCache<string>({ maxBytes: 100_000 })
    const opened = range(1, 40).map((count) => open({ count, cache }))
    for (const [i, { find }] of opened.entries()) expect(await find(0)).toEqual(range(1, i + 1))
    expect(cache.usedBytes).toBeGreaterThan(50_000)
    expect(cache.usedBytes).toBeLessThanOrEqual(100_000)
  })

  it('give everybody what follows, whatever grows, goes, fails and is dropped meanwhile', async () => {
    await fc.assert(fc.asyncProperty(story, play), { numRuns: 200 })
  })
})

/** `at` is how far, how much or how long, as a part of the most. */
const step = fc.record({
  what: fc.constantFrom('find', 'find', 'find', 'append', 'append', 'cut', 'pause', 'fail', 'drop'),
  at: fc.double({ min: 0, max: 1, noNaN: true }),
})
const story = fc.record({
  steps: fc.array(step, { maxLength: 60 }),
  count: fc.nat({ max: 900 }),
  origin: fc.nat({ max: 900 }),
})

async function play({ steps, ...start }: typeof story extends fc.Arbitrary<infer T> ? T : never) {
  const opened = open({ ...start, cache: new PageCache({ maxBytes: 200_000 }), latency: 1 })
  const { log, append, pages } = opened
  const checks: Promise<void>[] = []
  const acts: Record<string, (at: number) => void | Promise<void>> = {
    find: (at) => void checks.push(checkFound(opened, Math.floor(at * log.head(TOPIC)))),
    append: (at) => append(Math.floor(at * 400)),
    cut: (at) => log.cut(TOPIC, Math.floor(at * log.head(TOPIC))),
    pause: (at) => turns(Math.floor(at * 4)),
    fail: () => log.fail(TOPIC, 1),
    drop: () => pages.drop(),
  }
  for (const { what, at } of steps) await acts[what]?.(at)
  await Promise.all(checks)
  expect(log.misuses).toEqual([])
}

async function checkFound({ log, find }: ReturnType<typeof open>, after: number): Promise<void> {
  const head = log.head(TOPIC)
  const found = await find(after).catch(() => null)
  if (!found) return
  const floor = log.floor(TOPIC)
  const [first = floor + 1] = found
  expect(found).toEqual(range(first, first + found.length - 1))
  if (found.length === 0) expect(Math.max(floor, after)).toBeGreaterThanOrEqual(head)
  // What is missing at the beginning was removed, at the latest while it was asked for.
  else expect(first === after + 1 || (first > after && first <= floor + 1)).toBe(true)
}
