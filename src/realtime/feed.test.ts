// The invariant: the head only grows, by entries in order, each once, whatever the bus loses, repeats and reorders;
// what is kept in memory is bounded, by number and by the budget that all feeds of the node share.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ArrayLog } from '../../test/support/array-log.ts'
import { eventually } from '../../test/support/eventually.ts'
import { createLogger } from '../platform/logger.ts'
import { Feed } from './feed.ts'
import { MessageSlab } from './message-slab.ts'
import { PageCache } from './page-cache.ts'
import { DecodedEntries } from './recent-entries.ts'

const TOPIC = 'room'
const RING = 256
const EARLY = 256
const BYTES = 100
const MIB = 1024 * 1024
const logger = createLogger('fatal')

function open({ log = new ArrayLog(), slab = new MessageSlab(MIB), head = 0 } = {}) {
  const decoded = new DecodedEntries()
  const pages = new PageCache<string>()
  return { log, feed: new Feed({ topic: TOPIC, head, log, slab, decoded, pages, logger }) }
}

function appended(log: ArrayLog, count: number): string[] {
  return Array.from({ length: count }, () => log.append(TOPIC))
}

/** The entries in memory, from the head down; throws where one is not in its place. */
function recents(feed: Feed<string>): number {
  let kept = 0
  for (let item = feed.recent(feed.head); item; item = feed.recent(feed.head - kept)) {
    expect(item.entry).toEqual({ seq: feed.head - kept, event: `${TOPIC} ${feed.head - kept}`, bytes: BYTES })
    kept++
  }
  expect(feed.recent(feed.head + 1)).toBeUndefined()
  return kept
}

/** Calls `look` at every growth of the head. */
function watch(feed: Feed<string>, look: () => void): void {
  feed.addWatcher({ wake: look })
}

const arrivals = fc.record({
  count: fc.integer({ min: 1, max: 400 }),
  // Which entry arrives next: far enough to be early, late, lost or repeated.
  order: fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 300 }),
  startAt: fc.nat({ max: 20 }),
  failures: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constant(1) }),
})

describe('a feed', () => {
  it('puts what arrives in order and reads what is missing, whatever arrives and in whatever order', async () => {
    const run = async ({
      count,
      order,
      startAt,
      failures,
    }: typeof arrivals extends fc.Arbitrary<infer T> ? T : never) => {
      const log = new ArrayLog()
      appended(log, count)
      const { feed } = open({ log, head: Math.min(startAt, count) })
      let seen = feed.head
      watch(feed, () => {
        expect(feed.head).toBeGreaterThanOrEqual(seen)
        seen = feed.head
        expect(recents(feed)).toBeLessThanOrEqual(RING)
      })
      log.fail(TOPIC, failures)
      for (const seq of order) if (seq <= count) feed.receive(log.message(TOPIC, seq))
      feed.noteHead(count)
      await eventually(() => expect(feed.head).toBe(count))
      const kept = recents(feed)
      expect(kept).toBe(Math.min(count - Math.min(startAt, count), RING))
      feed.close()
      expect(log.misuses).toEqual([])
    }
    // Many at once: most of the time goes to waiting for a late message that never comes.
    await fc.assert(
      fc.asyncProperty(fc.array(arrivals, { minLength: 1, maxLength: 40 }), async (all) => {
        await Promise.all(all.map(run))
      }),
      { numRuns: 15 },
    )
  })

  it('puts a mere reordering right without reading the log', async () => {
    const { log, feed } = open()
    const messages = appended(log, 50)
    for (const message of messages.toReversed()) feed.receive(message)
    expect(feed.head).toBe(50)
    expect(recents(feed)).toBe(50)
    expect(log.reads).toEqual([])
  })

  it('keeps a bounded number of entries that came before their turn', async () => {
    const { log, feed } = open()
    const [first = '', ...others] = appended(log, 2_000)
    for (const message of others) feed.receive(message)
    feed.receive(first)
    expect(feed.head).toBe(1 + EARLY)
    await eventually(() => expect(feed.head).toBe(2_000))
    expect(recents(feed)).toBe(RING)
  })

  it('keeps what the node has memory for, the newest of all feeds', () => {
    const slab = new MessageSlab(8 * 1024)
    const log = new ArrayLog()
    const messages = appended(log, 600)
    const feeds = [1, 2, 3].map(() => open({ log, slab }).feed)
    for (const message of messages) for (const feed of feeds) feed.receive(message)
    for (const feed of feeds) {
      expect(feed.head).toBe(600)
      // What was used last is decoded, whatever the slab has lost.
      expect(recents(feed)).toBeGreaterThan(30)
      expect(recents(feed)).toBeLessThan(RING)
    }
  })

  it('lets readers of the same range share one read, at once or one after the other', async () => {
    const { log, feed } = open({ head: 80 })
    appended(log, 80)
    const { signal } = new AbortController()
    const read = (after: number) => feed.read(after, signal)
    const pages = [...(await Promise.all([0, 0, 3].map(read))), await read(20), await read(79)]
    expect(pages.map((page) => [page[0]?.seq, page.at(-1)?.seq])).toEqual([
      [1, 80],
      [1, 80],
      [4, 80],
      [21, 80],
      [80, 80],
    ])
    expect(log.reads).toEqual([`${TOPIC} 0..80`])
  })

  it('jumps over what retention removed in one read, however much it is', async () => {
    const { log, feed } = open({ head: 5_000 })
    appended(log, 5_000)
    log.cut(TOPIC, 4_321)
    const page = await feed.read(7, new AbortController().signal)
    expect(page[0]?.seq).toBe(4_322)
    expect(log.reads).toHaveLength(1)
  })

  it('reads anew once the log has gone back', async () => {
    const { log, feed } = open({ head: 30 })
    appended(log, 30)
    const { signal } = new AbortController()
    await feed.read(0, signal)
    feed.restartAt(20)
    expect((await feed.read(0, signal)).length).toBe(20)
    expect(log.reads).toEqual([`${TOPIC} 0..30`, `${TOPIC} 0..20`])
  })

  it('goes on where retention overtook it', async () => {
    const { log, feed } = open()
    const messages = appended(log, 30)
    for (const message of messages.slice(0, 5)) feed.receive(message)
    log.cut(TOPIC, 25)
    feed.noteHead(30)
    await eventually(() => expect(feed.head).toBe(30))
    expect(recents(feed)).toBe(5)
    log.cut(TOPIC, 31)
    log.append(TOPIC)
    log.cut(TOPIC, 31)
    feed.noteHead(31)
    await eventually(() => expect(feed.head).toBe(31))
    expect(recents(feed)).toBe(0)
  })

  it('survives messages that are none', async () => {
    const { log, feed } = open()
    const [first = ''] = appended(log, 1)
    for (const message of ['', '{', 'null']) feed.receive(message)
    feed.receive(first)
    expect(feed.head).toBe(1)
  })

  it('wakes its readers when it closes, ends their reads, and takes nothing more', async () => {
    const { log, feed } = open({ head: 10 })
    const messages = appended(log, 11)
    log.fail(TOPIC, 100)
    const reading = feed.read(0, new AbortController().signal)
    let woken = 0
    feed.addWatcher({ wake: () => woken++ })
    const gone = { wake: () => woken++ }
    feed.addWatcher(gone)
    feed.removeWatcher(gone)
    feed.close()
    expect(woken).toBe(1)
    await expect(reading).rejects.toThrow()
    feed.receive(messages[10] ?? '')
    feed.noteHead(11)
    expect(feed.head).toBe(10)
  })
})
