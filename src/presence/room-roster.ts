// Who is in one room, as this node's watchers see it: read from the store after a poke, at most once in a while, and
// anew every few seconds, so that a lost poke is healed. Each watcher gets the difference to what it was told last:
// there is no queue, and a slow watcher simply gets fewer, larger changes.

import type { Logger } from '../platform/logger.ts'
import type { UserRecord } from '../users/user-record.ts'
import type { PresenceState, Roster } from './presence-store.ts'

/** Up to how many people a room is told by name; beyond, only how many. */
export const MAX_NAMED = 200

const DEFAULT_REFRESH_MS = 10_000
/** How long somebody is typing after saying so. */
const TYPING_TTL_MS = 6_000
const MAX_TYPING = 20

export interface PresentUser {
  user: UserRecord
  state: PresenceState
}

/** One state of the room. Never changed, only replaced. */
export interface RosterView {
  count: number
  /** Null when there are more than MAX_NAMED. */
  present: ReadonlyMap<string, PresentUser> | null
}

/** Somebody who wants to know that the room has changed. */
export interface RosterWatcher {
  wake(): void
}

export interface RoomRosterOptions {
  read: (limit: number) => Promise<Roster>
  listUsers: (ids: readonly string[]) => Promise<UserRecord[]>
  coalesceMs: number
  /** How often the room is read without a poke, names and all, in milliseconds. Default 10,000. */
  refreshMs?: number
  logger: Logger
}

export class RoomRoster {
  readonly #options: RoomRosterOptions
  readonly #typing = new Map<string, { user: UserRecord; timer: NodeJS.Timeout }>()
  readonly #watchers = new Set<RosterWatcher>()
  readonly #heal: NodeJS.Timeout
  #view: RosterView
  #typingView: readonly UserRecord[] = []
  #scheduled: NodeJS.Timeout | null = null
  #refreshing = false
  #pokedMeanwhile = false
  #current: Promise<void> | null = null
  #next: Promise<void> | null = null
  /** Names are known from when somebody came; now and then they are loaded anew. */
  #namesAreOld = false
  #settledAtMs = 0
  #closed = false

  private constructor(options: RoomRosterOptions, view: RosterView) {
    this.#options = options
    this.#view = view
    this.#heal = setInterval(() => {
      this.#namesAreOld = true
      this.poke()
    }, options.refreshMs ?? DEFAULT_REFRESH_MS)
    this.#heal.unref()
  }

  /** Rejects when presence cannot be read. */
  static async open(options: RoomRosterOptions): Promise<RoomRoster> {
    return new RoomRoster(options, await readView(options, new Map()))
  }

  get view(): RosterView {
    return this.#view
  }

  get typing(): readonly UserRecord[] {
    return this.#typingView
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Says that something may have changed: the room is read again, at most once in `coalesceMs`. */
  poke(): void {
    if (this.#refreshing) this.#pokedMeanwhile = true
    if (this.#scheduled || this.#refreshing || this.#closed) return
    this.#schedule()
  }

  /** Resolves when a read that began after the call is shown, or has failed. Whoever asks meanwhile shares one read. */
  readAgain(): Promise<void> {
    this.#next ??= (this.#current ?? Promise.resolve()).then(() => {
      this.#next = null
      if (this.#closed || performance.now() < this.#settledAtMs) return
      if (this.#scheduled) clearTimeout(this.#scheduled)
      return this.#refresh()
    })
    return this.#next
  }

  /**
   * Keeps what is known for `settleMs`, then reads the room: for when the store may have lost leases that nodes are
   * about to write again.
   */
  settle(settleMs: number): void {
    if (this.#closed) return
    this.#settledAtMs = performance.now() + settleMs
    if (this.#scheduled) clearTimeout(this.#scheduled)
    this.#scheduled = null
    // A read that is under way is dropped, and its end reads again.
    if (this.#refreshing) this.#pokedMeanwhile = true
    else this.#schedule()
  }

  /** Notes that a user types, or no longer does. Beyond MAX_TYPING at once, further ones are not shown. */
  setTyping(user: UserRecord, typing: boolean): void {
    const known = this.#typing.get(user.id)
    if (known) clearTimeout(known.timer)
    if (!typing || this.#closed) {
      if (this.#typing.delete(user.id)) this.#showTyping()
      return
    }
    if (!known && this.#typing.size >= MAX_TYPING) return
    const timer = setTimeout(() => this.setTyping(user, false), TYPING_TTL_MS)
    timer.unref()
    this.#typing.set(user.id, { user, timer })
    if (!known) this.#showTyping()
  }

  /** Wakes the watcher, until it is removed, at every change and when the roster closes. */
  addWatcher(watcher: RosterWatcher): void {
    this.#watchers.add(watcher)
  }

  removeWatcher(watcher: RosterWatcher): void {
    this.#watchers.delete(watcher)
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#heal)
    if (this.#scheduled) clearTimeout(this.#scheduled)
    for (const { timer } of this.#typing.values()) clearTimeout(timer)
    this.#typing.clear()
    this.#wake()
  }

  #schedule(): void {
    const delayMs = Math.max(this.#options.coalesceMs, this.#settledAtMs - performance.now())
    this.#scheduled = setTimeout(() => void this.#refresh(), delayMs)
    this.#scheduled.unref()
  }

  #showTyping(): void {
    this.#typingView = [...this.#typing.values()].map(({ user }) => user)
    this.#wake()
  }

  #refresh(): Promise<void> {
    this.#scheduled = null
    this.#current = this.#read().finally(() => {
      this.#current = null
    })
    return this.#current
  }

  /** Never rejects. */
  async #read(): Promise<void> {
    this.#refreshing = true
    this.#pokedMeanwhile = false
    const settledAtMs = this.#settledAtMs
    const reload = this.#namesAreOld
    this.#namesAreOld = false
    try {
      const next = await readView(this.#options, (reload ? null : this.#view.present) ?? new Map())
      if (settledAtMs === this.#settledAtMs && !sameView(this.#view, next)) {
        this.#view = next
        this.#wake()
      }
    } catch (error) {
      this.#namesAreOld ||= reload
      this.#options.logger.warn({ err: error }, 'presence cannot be read, keeping what was known')
    } finally {
      this.#refreshing = false
      if (this.#pokedMeanwhile) this.poke()
    }
  }

  #wake(): void {
    for (const watcher of this.#watchers) watcher.wake()
  }
}

async function readView(
  { read, listUsers }: RoomRosterOptions,
  known: ReadonlyMap<string, PresentUser>,
): Promise<RosterView> {
  const { count, users } = await read(MAX_NAMED)
  if (count > MAX_NAMED) return { count, present: null }
  const unknown = users.map(({ userId }) => userId).filter((id) => !known.has(id))
  const loaded = new Map((await listUsers(unknown)).map((user) => [user.id, user]))
  const present = new Map<string, PresentUser>()
  for (const { userId, state } of users) {
    const user = loaded.get(userId) ?? known.get(userId)?.user
    if (user) present.set(userId, { user, state })
  }
  return { count, present }
}

function sameView(a: RosterView, b: RosterView): boolean {
  if (a.count !== b.count || a.present?.size !== b.present?.size) return false
  for (const [id, one] of a.present ?? []) if (!samePresent(one, b.present?.get(id))) return false
  return true
}

/** Whether there is nothing to tell between the two: neither how somebody is nor what they are called has changed. */
export function samePresent(a: PresentUser, b: PresentUser | undefined): boolean {
  return (
    a.state === b?.state &&
    a.user.name === b.user.name &&
    a.user.avatarUrl === b.user.avatarUrl &&
    a.user.statusText === b.user.statusText
  )
}
