// Calls that are answered together: what arrives while one run is under way goes into the next.
// Invariant: one run at a time; a call is answered by a run that started after it, and by the error of a run that failed;
// at most `maxQueued` calls wait.

import { setTimeout as delay } from 'node:timers/promises'
import { GateError } from './errors.ts'

export interface BatcherOptions<K, V> {
  /** Answers in the order of the keys. Must not fail because of one of them. */
  run: (keys: readonly K[]) => Promise<readonly V[]>
  /** Most calls in one run. Default 1,000. */
  maxBatch?: number
  /** Most calls that wait; those beyond are refused with UNAVAILABLE, retryable. Default 50,000. */
  maxQueued?: number
  /** How long after its start a run of so many calls keeps the next one from starting. Default `pauseAfter`. */
  pauseMs?: (calls: number) => number
}

const MAX_BATCH = 1_000
const MAX_QUEUED = 50_000
const RETRY_AFTER_MS = 1_000
const PAUSE_MS_PER_CALL = 10
const MAX_PAUSE_MS = 250

/** The more calls a run had, the longer the next one collects: a crowd costs a few runs a second, who comes alone nothing. */
const pauseAfter = (calls: number) => Math.min((calls - 1) * PAUSE_MS_PER_CALL, MAX_PAUSE_MS)

interface Waiting<K, V> {
  key: K
  resolve: (value: V) => void
  reject: (error: unknown) => void
}

export class Batcher<K, V> {
  readonly #options: Required<BatcherOptions<K, V>>
  #queue: Waiting<K, V>[] = []
  #running = false

  constructor(options: BatcherOptions<K, V>) {
    this.#options = { maxBatch: MAX_BATCH, maxQueued: MAX_QUEUED, pauseMs: pauseAfter, ...options }
  }

  call(key: K): Promise<V> {
    if (this.#queue.length >= this.#options.maxQueued) {
      const details = { retryable: true, retryAfterMs: RETRY_AFTER_MS }
      return Promise.reject(new GateError('UNAVAILABLE', 'Too many requests are waiting for the database.', details))
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ key, resolve, reject })
      if (this.#running) return
      this.#running = true
      // What else is ready to run, such as other sockets' messages, gets the chance to join.
      setImmediate(() => void this.#drain())
    })
  }

  async #drain(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, this.#options.maxBatch)
      const pauseMs = this.#options.pauseMs(batch.length)
      await Promise.all([this.#runBatch(batch), pauseMs > 0 ? delay(pauseMs) : null])
    }
    this.#running = false
  }

  /** Never rejects. */
  async #runBatch(batch: readonly Waiting<K, V>[]): Promise<void> {
    try {
      const values = await this.#options.run(batch.map(({ key }) => key))
      if (values.length !== batch.length)
        throw new Error('a run has answered another number of calls than it was given')
      // There is one for each: see above.
      for (const [i, { resolve }] of batch.entries()) resolve(values[i] as V)
    } catch (error) {
      // A database that is away would keep those behind waiting for one timeout after another, longer than clients do.
      for (const { reject } of [...batch, ...this.#queue.splice(0)]) reject(error)
    }
  }
}
