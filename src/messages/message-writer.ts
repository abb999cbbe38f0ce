// Sends go to the database in groups: what arrives while one statement runs goes into the next. A lone send waits for
// nobody. Invariant: a send is answered only after the commit that holds it, and at most MAX_QUEUED sends wait.

import { GateError } from '../platform/errors.ts'
import type { AppendOutcome, NewMessage } from './store.ts'

const MAX_GROUP = 256
const MAX_QUEUED = 20_000
const RETRY_AFTER_MS = 1_000

interface Waiting {
  message: NewMessage
  resolve: (outcome: AppendOutcome) => void
  reject: (error: unknown) => void
}

export class MessageWriter {
  readonly #append: (messages: readonly NewMessage[]) => Promise<AppendOutcome[]>
  readonly #isDataError: (error: unknown) => boolean
  #queue: Waiting[] = []
  #running = false

  /** `isDataError` tells an error that one message may have caused from one of the database itself. */
  constructor(
    append: (messages: readonly NewMessage[]) => Promise<AppendOutcome[]>,
    isDataError: (error: unknown) => boolean,
  ) {
    this.#append = append
    this.#isDataError = isDataError
  }

  /** Resolves after commit. Rejects with UNAVAILABLE, retryable, when too many sends wait already. */
  write(message: NewMessage): Promise<AppendOutcome> {
    if (this.#queue.length >= MAX_QUEUED) {
      const details = { retryable: true, retryAfterMs: RETRY_AFTER_MS }
      return Promise.reject(new GateError('UNAVAILABLE', 'Too many messages are waiting to be stored.', details))
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ message, resolve, reject })
      if (!this.#running) void this.#drain()
    })
  }

  async #drain(): Promise<void> {
    this.#running = true
    try {
      while (this.#queue.length > 0) await this.#writeGroup(this.#queue.splice(0, MAX_GROUP))
    } finally {
      this.#running = false
    }
  }

  /** Never rejects: every waiting send gets its outcome or its error. */
  async #writeGroup(group: readonly Waiting[]): Promise<void> {
    try {
      const outcomes = await this.#append(group.map(({ message }) => message))
      for (const [i, waiting] of group.entries()) {
        const outcome = outcomes[i]
        if (outcome) waiting.resolve(outcome)
        else waiting.reject(new Error('a send got no outcome'))
      }
    } catch (error) {
      // One message that the database refuses must not fail the others: send each on its own.
      if (group.length > 1 && this.#isDataError(error)) for (const one of group) await this.#writeGroup([one])
      else for (const { reject } of group) reject(error)
    }
  }
}
