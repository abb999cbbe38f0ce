/**
 * An upload is written by one request at a time, on whichever node. Whoever comes later asks the one before to stop and
 * waits: a client that comes back is worth more than its own connection that hangs. A lease ends by itself when its node
 * dies. Should a request ever outlive its lease, it still writes the same bytes to the same places.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Lock, Locker, RequestRelease } from '@tus/server'
import type { Db } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import { dropLease, type Lease, renewLease, takeLease, wantLease } from './upload-lease-store.ts'

export interface UploadLeasesOptions {
  db: Db
  /** How long the lease of a node that died keeps others out. Default 10,000. */
  ttlMs?: number
  /** How often leases are renewed, which is also how often a node hears that another waits. Default 1,000. */
  renewMs?: number
  /** How long to wait for the one before. Default 15,000. */
  patienceMs?: number
}

const POLL_MS = 100
/** Locked: tus clients try again. */
const BUSY = { status_code: 423, body: 'The upload is being written by another request: try again.\n' }
const ABORTED = { status_code: 400, body: 'The request was given up.\n' }

export class UploadLeases implements Locker {
  readonly #options: Required<UploadLeasesOptions>
  /** How to ask those of this node to stop, by key. */
  readonly #held = new Map<string, RequestRelease>()
  /** Requests that hold a lease or wait for one. */
  readonly #open = new Set<Promise<void>>()

  constructor({ db, ttlMs = 10_000, renewMs = 1000, patienceMs = 15_000 }: UploadLeasesOptions) {
    this.#options = { db, ttlMs, renewMs, patienceMs }
  }

  newLock(objectKey: string): Lock {
    const lease: Lease = { objectKey, holder: newId() }
    const ended = Promise.withResolvers<void>()
    let timer: NodeJS.Timeout | undefined
    const end = () => {
      this.#open.delete(ended.promise)
      ended.resolve()
    }
    return {
      lock: async (signal, askToStop) => {
        this.#open.add(ended.promise)
        try {
          await this.#take(lease, signal)
        } catch (error) {
          end()
          throw error
        }
        this.#held.set(objectKey, askToStop)
        timer = this.#keep(lease, askToStop)
      },
      unlock: async () => {
        clearInterval(timer)
        this.#held.delete(objectKey)
        // It ends by itself as well: then the next request waits a little.
        await dropLease(this.#options.db, lease).catch(() => {})
        end()
      },
    }
  }

  /** Resolves when no request of this node holds a lease, or waits for one. */
  async idle(): Promise<void> {
    while (this.#open.size > 0) await Promise.all(this.#open)
  }

  async #take(lease: Lease, signal: AbortSignal): Promise<void> {
    const { db, ttlMs, patienceMs } = this.#options
    const deadlineMs = performance.now() + patienceMs
    while (!(await takeLease(db, lease, ttlMs))) {
      if (signal.aborted) throw ABORTED
      if (performance.now() > deadlineMs) throw BUSY
      const askToStop = this.#held.get(lease.objectKey)
      await Promise.resolve(askToStop?.())
      await wantLease(db, lease.objectKey)
      await delay(POLL_MS)
    }
  }

  #keep(lease: Lease, askToStop: RequestRelease): NodeJS.Timeout {
    const { db, ttlMs, renewMs } = this.#options
    let heldUntilMs = performance.now() + ttlMs
    const renew = async () => {
      const askedAtMs = performance.now()
      const renewed = await renewLease(db, lease, ttlMs).catch(() => undefined)
      if (renewed) heldUntilMs = askedAtMs + ttlMs
      if (renewed === null || renewed?.isWanted || performance.now() > heldUntilMs) await askToStop()
    }
    return setInterval(() => void renew(), renewMs)
  }
}
