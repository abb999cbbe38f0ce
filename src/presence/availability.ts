// Whether presence can be told on this node at all. It is known while the store answers. After a break it is unknown until
// every node has had the time to write its leases again: a store that came back empty, or whose leases ran out while it
// did not answer, says too little until then.

import type { Clock } from '../platform/clock.ts'

export interface AvailabilityOptions {
  clock: Clock
  /** How long all nodes may take to find the store again and to write their leases, in milliseconds. */
  settleMs: number
  /** Writes this node's leases again. Calls `lost` when it cannot. */
  renew: () => Promise<void>
  /** Called when presence has become unknown, and when it is known again. */
  onChange: () => void
}

export class Availability {
  readonly #options: AvailabilityOptions
  #lostAt: Date | null = null
  /** Stands while the nodes have their time; null while nothing answers, and when all is well. */
  #settling: { timer: NodeJS.Timeout | null } | null = null
  #closed = false

  constructor(options: AvailabilityOptions) {
    this.#options = options
  }

  /** Since when presence has been unknown; null while it is known. */
  get lostAt(): Date | null {
    return this.#lostAt
  }

  /** The store is away, or does not take what is written. */
  lost(): void {
    this.#stopSettling()
    if (this.#lostAt || this.#closed) return
    this.#lostAt = new Date(this.#options.clock.now())
    this.#options.onChange()
  }

  /** The connection to the store is a new one: what it held may be gone. */
  returned(): void {
    this.lost()
    if (!this.#closed) void this.#settle()
  }

  /** The store has answered. It may do so without a new connection, when it only stood still. */
  answered(): void {
    if (this.#lostAt && !this.#settling) this.returned()
  }

  close(): void {
    this.#closed = true
    this.#stopSettling()
  }

  async #settle(): Promise<void> {
    const { settleMs, renew, onChange } = this.#options
    const settling: { timer: NodeJS.Timeout | null } = { timer: null }
    this.#settling = settling
    const others = new Promise<void>((resolve) => {
      settling.timer = setTimeout(resolve, settleMs)
      settling.timer.unref()
    })
    await Promise.all([renew(), others])
    // Lost again meanwhile: what answers next begins anew.
    if (this.#settling !== settling) return
    this.#settling = null
    this.#lostAt = null
    onChange()
  }

  #stopSettling(): void {
    if (this.#settling?.timer) clearTimeout(this.#settling.timer)
    this.#settling = null
  }
}
