// The invariant: every reader gets after+1, after+2, … each exactly once and in order, CaughtUp once and at the right
// seq, a resync exactly where entries are gone: whatever the bus loses, repeats, reorders or refuses, however the log
// stumbles, however slowly somebody reads, and over any number of reconnects. See test/support/reader-check.ts.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ArrayLog, turns } from '../../test/support/array-log.ts'
import { eventually } from '../../test/support/eventually.ts'
import { ReaderCheck } from '../../test/support/reader-check.ts'
import { createLogger } from '../platform/logger.ts'
import type { EventBus } from './event-bus.ts'
import { createMemoryEventBus } from './event-bus-memory.ts'
import { Hub } from './hub.ts'

const logger = createLogger('fatal')

/** The bus in memory, which can also be away and come back. Counts its listeners. */
function createRestlessBus() {
  const inner = createMemoryEventBus()
  const reconnected = new Set<() => void>()
  const listeners = new Map<string, number>()
  let away = false
  const count = (topic: string, by: number) => listeners.set(topic, (listeners.get(topic) ?? 0) + by)
  const bus: EventBus = {
    ...inner,
    publish: (topic, message) => (away ? Promise.reject(new Error('the bus is away')) : inner.publish(topic, message)),
    async subscribe(topic, listener) {
      await turns(1)
      if (away) throw new Error('the bus is away')
      const leave = await inner.subscribe(topic, listener)
      count(topic, 1)
      return async () => {
        count(topic, -1)
        await leave()
      }
    },
    onReconnect(listener) {
      reconnected.add(listener)
      return () => reconnected.delete(listener)
    },
    close: () => inner.close(),
    ping: () => inner.ping(),
  }
  return {
    bus,
    listeners,
    goAway: () => {
      away = true
    },
    comeBack: () => {
      away = false
      for (const listener of reconnected) listener()
    },
  }
}

const fate = fc.constantFrom('delivered', 'delivered', 'lost', 'twice', 'late')
const readerPlan = fc.record({
  /** Where it opens, in parts of the head: above 1 is ahead of the log; null is without `after`. */
  after: fc.constantFrom(null, 0, 0.2, 0.5, 0.9, 1, 1.2),
  /** Turns between accepting the reader and opening the feed. */
  hesitates: fc.nat({ max: 4 }),
  /** Turns that each item takes it. */
  slowness: fc.constantFrom(0, 0, 1, 3),
  /** Leaves and comes back with its last seq after so many turns, each. */
  leaves: fc.oneof(fc.constant([]), fc.array(fc.nat({ max: 40 }), { maxLength: 3 })),
})
type ReaderPlan = typeof readerPlan extends fc.Arbitrary<infer T> ? T : never

const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('append' as const), fates: fc.array(fate, { maxLength: 6 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('burst' as const), count: fc.integer({ min: 50, max: 700 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('read' as const), plan: readerPlan }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('pause' as const), count: fc.constantFrom(1, 1, 2, 3, 12) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('sweep' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fail' as const), heads: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('cut' as const), part: fc.constantFrom(0.1, 0.9, 1, 1) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('bus away' as const, 'bus back' as const) }) },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

interface World {
  hub: Hub<string>
  log: ArrayLog
  restless: ReturnType<typeof createRestlessBus>
}

/** One topic's story and the readers in it, on a hub that it shares with other stories. */
class Story {
  readonly #topic: string
  readonly #world: World
  readonly #running: Promise<void>[] = []
  readonly #checks: ReaderCheck[] = []
  readonly #ends: (() => void)[] = []
  /** The first thing that a reader should not have been given. */
  readonly #failures: unknown[] = []

  constructor(topic: string, world: World) {
    this.#topic = topic
    this.#world = world
  }

  async play(steps: readonly Step[]): Promise<void> {
    for (const one of steps) await this.#act(one)
    this.#world.restless.comeBack()
    const { log } = this.#world
    await eventually(() => {
      if (this.#failures.length > 0) return
      for (const check of this.#checks) expect([check.position, check.caughtUp]).toEqual([log.head(this.#topic), true])
    })
    expect(this.#failures).toEqual([])
    for (const end of this.#ends) end()
    await Promise.all(this.#running)
    expect(this.#failures).toEqual([])
  }

  async #act(one: Step): Promise<void> {
    const { hub, log, restless } = this.#world
    if (one.do === 'append') for (const fate of one.fates) this.#publish(log.append(this.#topic), fate)
    else if (one.do === 'burst') for (let i = 0; i < one.count; i++) this.#publish(log.append(this.#topic), 'delivered')
    else if (one.do === 'read')
      this.#running.push(this.#read(one.plan).catch((error) => void this.#failures.push(error)))
    else if (one.do === 'pause') await turns(one.count)
    else if (one.do === 'sweep') void hub.sweep()
    else if (one.do === 'fail' && one.heads) log.headFailures++
    else if (one.do === 'fail') log.fail(this.#topic, 1)
    else if (one.do === 'cut') log.cut(this.#topic, Math.floor(log.head(this.#topic) * one.part))
    else if (one.do === 'bus away') restless.goAway()
    else restless.comeBack()
  }

  #publish(message: string, fate: string): void {
    const publish = async (afterTurns: number) => {
      await turns(afterTurns)
      await this.#world.restless.bus.publish(this.#topic, message).catch(() => {})
    }
    if (fate === 'lost') return
    void publish(fate === 'late' ? 5 : 0)
    if (fate === 'twice') void publish(2)
  }

  async #read({ after, hesitates, slowness, leaves }: ReaderPlan): Promise<void> {
    const { hub, log } = this.#world
    const check = new ReaderCheck(log, this.#topic)
    this.#checks.push(check)
    let ended = false
    this.#ends.push(() => {
      ended = true
    })
    let position = after === null ? log.head(this.#topic) : Math.floor(log.head(this.#topic) * after)
    for (const leaveAfter of [...leaves, null]) {
      const head = log.head(this.#topic)
      check.open(position, head)
      await turns(hesitates)
      // As a client does whose subscription is refused while the log is away.
      const cursor = await eventually(() => hub.open(this.#topic, { head, after: position }))
      const leave = () => void cursor.return()
      if (leaveAfter === null) this.#ends.push(leave)
      else void turns(leaveAfter).then(leave)
      if (ended) leave()
      for await (const item of cursor) {
        check.take(item)
        await turns(slowness)
      }
      position = check.position
    }
  }
}

const TOPIC = 'room'

function open(options: { sweepIntervalMs?: number; lingerMs?: number } = {}) {
  const log = new ArrayLog()
  const restless = createRestlessBus()
  const hub = new Hub({ bus: restless.bus, log, logger, sweepIntervalMs: 20, ...options })
  return { hub, log, restless }
}

describe('a hub', () => {
  it('gives every reader each entry once and in order, whatever happens', async () => {
    const stories = fc.array(fc.array(step, { maxLength: 60, size: 'max' }), {
      minLength: 1,
      maxLength: 16,
      size: 'max',
    })
    const options = { lingerMs: fc.constantFrom(0, 3), latency: fc.nat({ max: 3 }) }
    const property = fc.asyncProperty(stories, fc.record(options), async (all, { lingerMs, latency }) => {
      const log = new ArrayLog(() => turns(latency))
      const restless = createRestlessBus()
      const hub = new Hub({ bus: restless.bus, log, logger, sweepIntervalMs: 20, lingerMs, recentBytes: 100_000 })
      try {
        await Promise.all(all.map((steps, i) => new Story(`topic-${i}`, { hub, log, restless }).play(steps)))
        // Nobody reads any more: nothing stays open.
        await eventually(() => expect(hub.topics).toEqual([]))
        await eventually(() => expect([...restless.listeners.values()].filter((count) => count !== 0)).toEqual([]))
        expect(log.misuses).toEqual([])
      } finally {
        await hub.close()
      }
    })
    await fc.assert(property, { numRuns: 25, interruptAfterTimeLimit: 25_000, markInterruptAsFailure: true })
  })

  it('serves readers by the sweep alone while the bus is away, and listens again once it is back', async () => {
    const { hub, log, restless } = open()
    restless.goAway()
    const cursor = await hub.open(TOPIC, { head: 0 })
    await cursor.next()
    log.append(TOPIC)
    expect((await cursor.next()).value).toMatchObject({ kind: 'entry', entry: { seq: 1 } })
    expect(restless.listeners.get(TOPIC)).toBeUndefined()
    restless.comeBack()
    await eventually(() => expect(restless.listeners.get(TOPIC)).toBe(1))
    await hub.close()
    expect(restless.listeners.get(TOPIC)).toBe(0)
  })

  it('sweeps once more when it is told to while a sweep has already looked', async () => {
    let onWait = () => {}
    const log = new ArrayLog(async () => onWait())
    const { bus } = createRestlessBus()
    const hub = new Hub({ bus, log, logger, sweepIntervalMs: 60_000 })
    const cursor = await hub.open(TOPIC, { head: 0 })
    await cursor.next()
    let waits = 0
    onWait = () => {
      // The log has been read; what is appended now is news to the next sweep only.
      if (++waits !== 2) return
      log.append(TOPIC)
      void hub.sweep()
    }
    await hub.sweep()
    expect((await cursor.next()).value).toMatchObject({ kind: 'entry', entry: { seq: 1 } })
    await hub.close()
  })

  it('refuses a reader while the log is away, keeps nothing of it, and takes the next', async () => {
    const { hub, log, restless } = open({ sweepIntervalMs: 60_000 })
    log.headFailures = 1
    const [refused, alsoRefused] = [hub.open(TOPIC, { head: 0 }), hub.open(TOPIC, { head: 0 })]
    await expect(refused).rejects.toThrow('the log is away')
    await expect(alsoRefused).rejects.toThrow('the log is away')
    expect([hub.topics, restless.listeners.get(TOPIC)]).toEqual([[], 0])
    await hub.open(TOPIC, { head: 0 })
    expect([hub.topics, restless.listeners.get(TOPIC)]).toEqual([[TOPIC], 1])
    await hub.close()
  })

  it('keeps a feed for a while after its last reader, so that a reconnect reads nothing from the log', async () => {
    const { hub, log, restless } = open({ lingerMs: 60_000 })
    const first = await hub.open(TOPIC, { head: 0 })
    await first.return()
    for (let i = 0; i < 10; i++) await restless.bus.publish(TOPIC, log.append(TOPIC))
    const again = await hub.open(TOPIC, { head: 10, after: 0 })
    const check = new ReaderCheck(log, TOPIC)
    check.open(0, 10)
    while (!check.caughtUp) check.take((await again.next()).value)
    expect([check.position, log.reads]).toEqual([10, []])
    await hub.close()
  })

  it('ends its readers and refuses new ones when it closes', async () => {
    const { hub } = open()
    const cursor = await hub.open(TOPIC, { head: 0 })
    await cursor.next()
    const waiting = cursor.next()
    const opening = hub.open('another', { head: 0 })
    await hub.close()
    expect((await waiting).done).toBe(true)
    expect((await (await opening).next()).done).toBe(true)
    await expect(hub.open(TOPIC, { head: 0 })).rejects.toThrow('closed')
  })
})
