// What this node holds in the presence store: for every scope and user one lease, while any device of the user is in it.
// By level, not by edge: a flush writes how things are now, so calls may overlap, repeat or fail without doing harm.

import type { Logger } from '../platform/logger.ts'
import { type LeaseKey, type PresenceState, type PresenceStore, SERVER_SCOPE } from './presence-store.ts'

/** A connection of a user: one browser tab, one phone. */
export interface Device {
  readonly id: string
  readonly userId: string
}

export interface TrackerOptions {
  store: PresenceStore
  logger: Logger
  /** How long a lease outlives its last renewal, in milliseconds; renewed three times as often. */
  ttlMs: number
  /**
   * How long a device counts after it has left, or its node has been closed, so that a reconnect makes no noise, in
   * milliseconds.
   */
  graceMs: number
  /** Told of every scope in which somebody's state changed. */
  onChange: (scopes: readonly string[]) => void
  /** Told of a user whose device has gone offline, when it goes and not when the grace period has passed. */
  onLeft?: (userId: string) => void
  /** The store did not take what was written. */
  onFailure?: () => void
}

interface Holding extends LeaseKey {
  devices: Map<string, Presence>
}

/** A device in a scope. */
interface Presence {
  streams: number
  /** Runs while the device has no stream any more but still counts. */
  grace: NodeJS.Timeout | null
}

export class PresenceTracker {
  readonly #options: TrackerOptions
  readonly #holdings = new Map<string, Holding>()
  /** The same, by user. */
  readonly #byUser = new Map<string, Set<Holding>>()
  readonly #away = new Set<string>()
  readonly #dirty = new Map<string, LeaseKey>()
  readonly #renewal: NodeJS.Timeout
  #flushing: Promise<void> | null = null
  #closed = false

  constructor(options: TrackerOptions) {
    this.#options = options
    this.#renewal = setInterval(() => void this.renew(), options.ttlMs / 3)
    this.#renewal.unref()
  }

  /** Puts a device into a scope. The returned function takes it out again; calling it twice does no harm. */
  enter(scope: string, device: Device): () => void {
    const key = keyOf(scope, device.userId)
    let holding = this.#holdings.get(key)
    if (!holding) {
      holding = { scope, userId: device.userId, devices: new Map() }
      this.#add(key, holding)
    }
    const presence = holding.devices.get(device.id) ?? { streams: 0, grace: null }
    if (presence.grace) clearTimeout(presence.grace)
    presence.grace = null
    presence.streams += 1
    holding.devices.set(device.id, presence)
    // Who is here and not away needs no device that has left: however often they reconnect, none pile up.
    if (!this.#away.has(device.id)) this.#dropLeaving(holding)
    this.#touch(holding)
    let left = false
    const entered = holding
    return () => {
      if (left) return
      left = true
      this.#leave(key, entered, device)
    }
  }

  /** Sets the state of one device of the user, or of all that are connected here. */
  setState(userId: string, state: PresenceState, deviceId: string | null): void {
    for (const holding of this.#byUser.get(userId) ?? []) {
      for (const id of holding.devices.keys()) {
        if (deviceId !== null && id !== deviceId) continue
        if (state === 'AWAY') this.#away.add(id)
        else this.#away.delete(id)
        this.#touch(holding)
      }
    }
  }

  /** Resolves once what was entered or left before the call stands in the store, or the store could not be reached. */
  async settled(): Promise<void> {
    await this.#flush()
  }

  /** Writes every lease of this node again. Never rejects: what cannot be written is written at the next renewal. */
  async renew(): Promise<void> {
    for (const [key, { scope, userId }] of this.#holdings) this.#dirty.set(key, { scope, userId })
    await this.#flush()
  }

  /**
   * Leaves every lease of this node to expire after the grace period, so that who comes back on another node within it
   * never left; who does not is announced by another node's sweep. Without a grace period they have left now.
   * Never rejects: what cannot be written expires later.
   */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    clearInterval(this.#renewal)
    for (const { devices } of this.#holdings.values()) {
      for (const { grace } of devices.values()) if (grace) clearTimeout(grace)
    }
    await this.#flushing
    const [held, gone] = [[...this.#holdings.values()], this.#takeGone()]
    if (this.#options.graceMs > 0) await this.#writeLeases(held, gone, this.#options.graceMs)
    else await this.#writeLeases([], [...held, ...gone], 0)
    this.#holdings.clear()
    this.#byUser.clear()
    this.#away.clear()
  }

  #add(key: string, holding: Holding): void {
    this.#holdings.set(key, holding)
    const ofUser = this.#byUser.get(holding.userId) ?? new Set()
    this.#byUser.set(holding.userId, ofUser.add(holding))
  }

  #remove(key: string, holding: Holding): void {
    this.#holdings.delete(key)
    const ofUser = this.#byUser.get(holding.userId)
    ofUser?.delete(holding)
    if (ofUser?.size === 0) this.#byUser.delete(holding.userId)
  }

  #leave(key: string, holding: Holding, { id }: Device): void {
    const presence = holding.devices.get(id)
    if (!presence) return
    presence.streams -= 1
    if (presence.streams > 0) return
    if (holding.scope === SERVER_SCOPE) this.#options.onLeft?.(holding.userId)
    if (this.#closed) return
    presence.grace = setTimeout(() => {
      holding.devices.delete(id)
      this.#forgetAway(holding.userId, id)
      if (holding.devices.size === 0) this.#remove(key, holding)
      this.#touch(holding)
    }, this.#options.graceMs)
    presence.grace.unref()
  }

  #dropLeaving({ userId, devices }: Holding): void {
    for (const [id, { grace }] of devices) {
      if (!grace) continue
      clearTimeout(grace)
      devices.delete(id)
      this.#forgetAway(userId, id)
    }
  }

  /** A device that is in no scope any more starts anew, as online, when it comes back. */
  #forgetAway(userId: string, deviceId: string): void {
    if (!this.#away.has(deviceId)) return
    for (const { devices } of this.#byUser.get(userId) ?? []) if (devices.has(deviceId)) return
    this.#away.delete(deviceId)
  }

  #stateOf({ devices }: Holding): PresenceState {
    for (const id of devices.keys()) if (!this.#away.has(id)) return 'ONLINE'
    return 'AWAY'
  }

  #touch(holding: Holding): void {
    this.#dirty.set(keyOf(holding.scope, holding.userId), { scope: holding.scope, userId: holding.userId })
    void this.#flush()
  }

  /** One flush at a time; what is touched meanwhile goes into the next. */
  async #flush(): Promise<void> {
    while (this.#flushing) await this.#flushing
    if (this.#dirty.size === 0 || this.#closed) return
    this.#flushing = this.#write().finally(() => {
      this.#flushing = null
    })
    await this.#flushing
  }

  async #write(): Promise<void> {
    // Let all that happens in this tick go together.
    await Promise.resolve()
    const held = [...this.#dirty.keys()].flatMap((key) => this.#holdings.get(key) ?? [])
    await this.#writeLeases(held, this.#takeGone(), this.#options.ttlMs)
  }

  /** What was touched and is no longer held. Nothing is touched after it. */
  #takeGone(): LeaseKey[] {
    const gone = [...this.#dirty].filter(([key]) => !this.#holdings.has(key)).map(([, lease]) => lease)
    this.#dirty.clear()
    return gone
  }

  async #writeLeases(holdings: readonly Holding[], gone: readonly LeaseKey[], ttlMs: number): Promise<void> {
    const held = holdings.map((holding) => {
      return { scope: holding.scope, userId: holding.userId, state: this.#stateOf(holding) }
    })
    const { store, onChange, onFailure, logger } = this.#options
    try {
      const changed = [
        ...(held.length > 0 ? await store.hold(held, ttlMs) : []),
        ...(gone.length > 0 ? await store.release(gone) : []),
      ]
      if (changed.length > 0) onChange([...new Set(changed)])
    } catch (error) {
      // The next renewal writes what is held; what was to be released expires by itself.
      logger.warn({ err: error }, 'presence could not be written: what is held is tried again, the rest expires')
      onFailure?.()
    }
  }
}

function keyOf(scope: string, userId: string): string {
  return `${scope} ${userId}`
}
