// Sends go to the database in groups: what arrives while one statement runs goes into the next. A lone send waits for
// nobody. Invariant: a send is answered only after the commit that holds it, and at most MAX_QUEUED sends wait.

import { setImmediate as endOfTurn } from 'node:timers/promises'
import { GateError } from '../platform/errors.ts'
import type { AppendOutcome, NewMessage } from './append-messages.ts'

const MAX_GROUP = 256
const MAX_QUEUED = 20_000
/** Of all texts that wait together, in UTF-16 code units. */
const MAX_QUEUED_UNITS = 32 * 1024 * 1024
const RETRY_AFTER_MS = 1_000

/** What an error of the database is about: one of the messages, a room whose lock is held, or the database itself. */
export type ErrorScope = 'message' | 'room' | 'database'

interface Waiting {
  message: NewMessage
  resolve: (outcome: AppendOutcome) => void
  reject: (error: unknown) => void
}

export class MessageWriter {
  readonly #append: (messages: readonly NewMessage[]) => Promise<AppendOutcome[]>
  readonly #scopeOf: (error: unknown) => ErrorScope
  #queue: Waiting[] = []
  #queuedUnits = 0
  #running = false

  constructor(
    append: (messages: readonly NewMessage[]) => Promise<AppendOutcome[]>,
    scopeOf: (error: unknown) => ErrorScope,
  ) {
    this.#append = append
    this.#scopeOf = scopeOf
  }

  /** Resolves after commit. Rejects with UNAVAILABLE, retryable, when too many sends wait already. */
  write(message: NewMessage): Promise<AppendOutcome> {
    if (this.#queue.length >= MAX_QUEUED || this.#queuedUnits >= MAX_QUEUED_UNITS) {
      const details = { retryable: true, retryAfterMs: RETRY_AFTER_MS }
      return Promise.reject(new GateError('UNAVAILABLE', 'Too many messages are waiting to be stored.', details))
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ message, resolve, reject })
      this.#queuedUnits += message.text.length
      if (!this.#running) void this.#drain()
    })
  }

  async #drain(): Promise<void> {
    this.#running = true
    try {
      while (this.#queue.length > 0) {
        const group = this.#take(MAX_GROUP)
        await this.#writeGroup(group)
        // Those who send again at once go with those who came meanwhile, and not one group later.
        if (group.length > 1) await endOfTurn()
      }
    } finally {
      this.#running = false
    }
  }

  #take(count: number): Waiting[] {
    const taken = this.#queue.splice(0, count)
    for (const { message } of taken) this.#queuedUnits -= message.text.length
    return taken
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
      await this.#fail(group, error)
    }
  }

  async #fail(group: readonly Waiting[], error: unknown): Promise<void> {
    const scope = this.#scopeOf(error)
    const parts = scope === 'message' ? group.map((one) => [one]) : scope === 'room' ? byRoom(group) : [group]
    // What one message or one room is to blame for must not fail the others: send the parts on their own.
    if (parts.length > 1) {
      for (const part of parts) await this.#writeGroup(part)
      return
    }
    for (const { reject } of group) reject(error)
    // A database that is away would keep those behind waiting for one timeout after another, longer than any client does.
    if (scope === 'database') for (const { reject } of this.#take(this.#queue.length)) reject(error)
  }
}

function byRoom(group: readonly Waiting[]): Waiting[][] {
  return [...Map.groupBy(group, ({ message }) => message.roomId).values()]
}
