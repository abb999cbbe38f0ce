// Which rooms have events that somebody may have to be told of. A hint and no more: what is forgotten here, or with the
// node, is found by the sweep. Invariant: bounded, whatever happens, and next to nothing for each event.

import type { Logger } from '../platform/logger.ts'

/** Rooms that wait to be looked at; the sweep finds those beyond. */
const MAX_WAITING = 10_000

export interface RoomWakesOptions {
  /** Sends a job for each of these rooms. */
  send: (roomIds: readonly string[]) => Promise<void>
  logger: Logger
  /** How long what happens in a room is gathered before it is looked at. */
  delayMs: number
  /** How long it is, at least, from one look to the next: a busy room is looked at in larger batches. */
  pauseMs: number
}

export class RoomWakes {
  readonly #options: RoomWakesOptions
  /** When each is to be looked at, by performance.now(). */
  readonly #dueAtMs = new Map<string, number>()
  /** When each was last, of those for which the pause has not passed. */
  readonly #lookedAtMs = new Map<string, number>()
  #timer: NodeJS.Timeout | null = null
  #isClosed = false

  constructor(options: RoomWakesOptions) {
    this.#options = options
  }

  mark(roomId: string): void {
    if (this.#isClosed || this.#dueAtMs.has(roomId) || this.#dueAtMs.size >= MAX_WAITING) return
    const { delayMs, pauseMs } = this.#options
    const nowMs = performance.now()
    const lastMs = this.#lookedAtMs.get(roomId)
    this.#dueAtMs.set(roomId, Math.max(nowMs + delayMs, lastMs === undefined ? 0 : lastMs + pauseMs))
    this.#timer ??= setTimeout(() => this.#wakeDue(), delayMs)
  }

  /** What waits is left to the sweep. */
  close(): void {
    this.#isClosed = true
    if (this.#timer) clearTimeout(this.#timer)
  }

  #wakeDue(): void {
    const { delayMs, pauseMs, send, logger } = this.#options
    const nowMs = performance.now()
    const due = [...this.#dueAtMs].filter(([, atMs]) => atMs <= nowMs).map(([roomId]) => roomId)
    for (const [roomId, atMs] of this.#lookedAtMs) if (atMs + pauseMs <= nowMs) this.#lookedAtMs.delete(roomId)
    for (const roomId of due) {
      this.#dueAtMs.delete(roomId)
      this.#lookedAtMs.set(roomId, nowMs)
    }
    this.#timer = this.#dueAtMs.size > 0 ? setTimeout(() => this.#wakeDue(), delayMs) : null
    if (due.length === 0) return
    send(due).catch((error) =>
      logger.warn({ err: error }, 'rooms were not looked at for notifications: the sweep will'),
    )
  }
}
