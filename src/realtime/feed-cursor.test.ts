// The invariant: a reader gets position+1, position+2, … each exactly once and in order; CaughtUp once, at the head of
// the opening; a resync exactly where entries are gone. It costs one page, however far behind it is.
// Random stories over all of it are in hub.test.ts; here stand those that are easier to read one by one.

import { describe, expect, it } from 'vitest'
import { ArrayLog } from '../../test/support/array-log.ts'
import { createLogger } from '../platform/logger.ts'
import { Feed } from './feed.ts'
import { FeedCursor, type FeedItem } from './feed-cursor.ts'
import { MessageSlab } from './message-slab.ts'
import { PAGE_SIZE, PageCache } from './page-cache.ts'
import { DecodedEntries } from './recent-entries.ts'

const TOPIC = 'room'

function openFeed(log: ArrayLog, head = log.head(TOPIC)) {
  const slab = new MessageSlab(1024 * 1024)
  const shared = { slab, decoded: new DecodedEntries(), pages: new PageCache<string>() }
  return new Feed({ topic: TOPIC, head, log, ...shared, logger: createLogger('fatal') })
}

function logOf(count: number, wait?: () => Promise<void>): ArrayLog {
  const log = new ArrayLog(wait)
  for (let i = 0; i < count; i++) log.append(TOPIC)
  return log
}

function read(feed: Feed<string>, after: number, head = feed.head, onEnd = () => {}) {
  return new FeedCursor(feed, { after, head, onEnd })
}

/** An entry as its seq, the others by name. */
function brief({ value, done }: IteratorResult<FeedItem<string>>): number | string {
  if (done) return 'done'
  if (value.kind === 'entry') return value.entry.seq
  return value.kind === 'resync' ? `resync ${value.fromSeq}` : `caught up ${value.seq}`
}

async function take(cursor: FeedCursor<string>, count: number): Promise<(number | string)[]> {
  const taken: (number | string)[] = []
  while (taken.length < count) taken.push(brief(await cursor.next()))
  return taken
}

describe('a cursor', () => {
  it('replays from `after`, says where the replay ends, and goes on live', async () => {
    const log = logOf(3)
    const feed = openFeed(log)
    const cursor = read(feed, 1)
    expect(await take(cursor, 3)).toEqual([2, 3, 'caught up 3'])
    const next = cursor.next()
    feed.receive(log.append(TOPIC))
    expect(brief(await next)).toBe(4)
  })

  it('marks the end of the replay where it was opened, though the feed is further', async () => {
    const feed = openFeed(logOf(5))
    expect(await take(read(feed, 1, 3), 5)).toEqual([2, 3, 'caught up 3', 4, 5])
    expect(await take(read(feed, 3, 3), 3)).toEqual(['caught up 3', 4, 5])
  })

  it('tells who is beyond a log that has gone back, and delivers what it then gets', async () => {
    const log = logOf(5)
    const feed = openFeed(log)
    const [ahead, behind] = [read(feed, 4), read(feed, 1, 2)]
    expect(await take(ahead, 2)).toEqual([5, 'caught up 5'])
    expect(await take(behind, 2)).toEqual([2, 'caught up 2'])
    const waiting = ahead.next()
    feed.restartAt(3)
    expect(brief(await waiting)).toBe('resync 4')
    feed.receive(log.message(TOPIC, 4))
    expect(await take(ahead, 1)).toEqual([4])
    expect(await take(behind, 2)).toEqual([3, 4])
  })

  it('tells a reader ahead of the log to begin anew at the head', async () => {
    const log = logOf(3)
    const feed = openFeed(log)
    const cursor = read(feed, 40)
    expect(await take(cursor, 2)).toEqual(['resync 4', 'caught up 3'])
    feed.receive(log.append(TOPIC))
    expect(brief(await cursor.next())).toBe(4)
  })

  it('tells what retention removed, at the beginning, in the middle and to the very head', async () => {
    const log = logOf(600)
    const feed = openFeed(log)
    log.cut(TOPIC, 20)
    expect(await take(read(feed, 5), 2)).toEqual(['resync 21', 21])
    expect(await take(read(feed, 20), 1)).toEqual([21])
    const slow = read(feed, 20)
    await take(slow, PAGE_SIZE)
    log.cut(TOPIC, 500)
    expect(await take(slow, 2)).toEqual(['resync 501', 501])
    log.cut(TOPIC, 600)
    expect(await take(read(openFeed(log), 5), 2)).toEqual(['resync 601', 'caught up 600'])
  })

  it('reaches the end of the replay by a resync beyond it', async () => {
    const log = logOf(30)
    const feed = openFeed(log)
    log.cut(TOPIC, 20)
    expect(await take(read(feed, 5, 10), 3)).toEqual(['resync 21', 'caught up 20', 21])
  })

  it('does not lose what arrives while it learns that everything before is gone', async () => {
    let onRead = () => {}
    const log = logOf(10, async () => onRead())
    const feed = openFeed(log)
    log.cut(TOPIC, 10)
    const cursor = read(feed, 5)
    // The read has looked at the log, and is about to answer.
    let calls = 0
    onRead = () => {
      if (++calls === 2) feed.receive(log.append(TOPIC))
    }
    expect(await take(cursor, 3)).toEqual(['resync 11', 'caught up 10', 11])
  })

  it('ends a waiting reader at once, and tells its owner once', async () => {
    const feed = openFeed(logOf(1))
    let ends = 0
    const cursor = read(feed, 1, 1, () => ends++)
    await take(cursor, 1)
    const waiting = cursor.next()
    await cursor.return()
    expect(brief(await waiting)).toBe('done')
    await cursor.return()
    await expect(cursor.throw(new Error('the reader broke'))).rejects.toThrow('the reader broke')
    expect(brief(await cursor.next())).toBe('done')
    expect(ends).toBe(1)
  })

  it('ends a reader at once that waits for a log which does not answer', async () => {
    const silence = new Promise<void>(() => {})
    const cursor = read(openFeed(logOf(10, () => silence)), 0)
    const waiting = cursor.next()
    await cursor.return()
    expect(brief(await waiting)).toBe('done')
  })

  it('ends a reader whose log is away, and all readers of a feed that closes', async () => {
    const log = logOf(10)
    const feed = openFeed(log)
    log.fail(TOPIC, 1_000)
    const [left, closed, idle] = [read(feed, 0), read(feed, 0), read(feed, 10)]
    await take(idle, 1)
    const waiting = [left.next(), closed.next(), idle.next()]
    await left.return()
    expect(brief(await (waiting[0] ?? left.next()))).toBe('done')
    feed.close()
    expect((await Promise.all(waiting)).map(brief)).toEqual(['done', 'done', 'done'])
  })

  it('lets a reader who does not read cost nothing: it is served from the log, page by page', async () => {
    const log = logOf(0)
    const feed = openFeed(log)
    const cursor = read(feed, 0)
    await take(cursor, 1)
    for (let i = 0; i < 1_000; i++) feed.receive(log.append(TOPIC))
    expect(log.reads).toEqual([])
    expect(await take(cursor, 1_000)).toEqual(Array.from({ length: 1_000 }, (_, i) => i + 1))
    // 744 of them are no longer in memory.
    expect(log.reads).toHaveLength(3)
  })
})
