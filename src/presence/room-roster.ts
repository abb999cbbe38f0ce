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
/** How soon a room that could not be read is read again. */
const RETRY_MS = 2_000

export interface PresentUser {
  user: UserRecord
  state: PresenceState
}

/** One state of the room. Never changed, only replaced. */
export interface RosterView {
  count: number
  /** Null when there are more than MAX_NAMED. */
  present: ReadonlyMap<string, PresentUser> | null
  /** Some of those who have left lately, as they were read after that. At most MAX_NAMED. */
  departed: ReadonlyMap<string, UserRecord>
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

const NOTHING: RosterView = { count: 0, present: new Map(), departed: new Map() }

export class RoomRoster {
  readonly #options: RoomRosterOptions
  readonly #typing = new Map<string, { user: UserRecord; timer: NodeJS.Timeout }>()
  readonly #watchers = new Set<RosterWatcher>()
  readonly #heal: NodeJS.Timeout
  #view = NOTHING
  #typingView: readonly UserRecord[] = []
  #unknownSince: Date | null
  /** Presence is unknown on this node: nothing that is read counts. */
  #isSuspended: boolean
  /** How often presence was lost: what a read began before says nothing after it. */
  #losses = 0
  #scheduled: NodeJS.Timeout | null = null
  #refreshing = false
  #pokedMeanwhile = false
  #current: Promise<void> | null = null
  #next: Promise<void> | null = null
  /** Names are known from when somebody came; now and then they are loaded anew. */
  #namesAreOld = false
  #closed = false

  private constructor(options: RoomRosterOptions, lostAt: Date | null) {
    this.#options = options
    this.#unknownSince = lostAt
    this.#isSuspended = lostAt !== null
    this.#heal = setInterval(() => {
      this.#namesAreOld = true
      this.poke()
    }, options.refreshMs ?? DEFAULT_REFRESH_MS)
    this.#heal.unref()
  }

  /**
   * Resolves when the room was read, or could not be: then it is unknown, and read again soon. With `lostAt` it begins
   * suspended.
   */
  static async open(options: RoomRosterOptions, lostAt: Date | null = null): Promise<RoomRoster> {
    const roster = new RoomRoster(options, lostAt)
    await roster.readAgain()
    return roster
  }

  get view(): RosterView {
    return this.#view
  }

  get typing(): readonly UserRecord[] {
    return this.#typingView
  }

  /** Since when the view has been out of date, perhaps; null while it can be believed. */
  get unknownSince(): Date | null {
    return this.#unknownSince
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Says that something may have changed: the room is read again, at most once in `coalesceMs`. */
  poke(): void {
    if (this.#refreshing) this.#pokedMeanwhile = true
    if (this.#scheduled || this.#refreshing || this.#isSuspended || this.#closed) return
    this.#schedule(this.#options.coalesceMs)
  }

  /** Resolves when a read that began after the call is shown, or has failed. Whoever asks meanwhile shares one read. */
  readAgain(): Promise<void> {
    this.#next ??= (this.#current ?? Promise.resolve()).then(() => {
      this.#next = null
      if (this.#closed || this.#isSuspended) return
      this.#unschedule()
      return this.#refresh()
    })
    return this.#next
  }

  /** Presence is unknown on this node: says so, and reads nothing until `resume`. */
  suspend(lostAt: Date): void {
    if (this.#closed) return
    this.#isSuspended = true
    this.#losses += 1
    this.#unschedule()
    this.#showUnknown(lostAt)
  }

  /** Presence is known again on this node: reads the room, and then it is known here. */
  resume(): void {
    this.#isSuspended = false
    this.poke()
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
    this.#unschedule()
    for (const { timer } of this.#typing.values()) clearTimeout(timer)
    this.#typing.clear()
    this.#wake()
  }

  #schedule(delayMs: number): void {
    this.#scheduled = setTimeout(() => void this.#refresh(), delayMs)
    this.#scheduled.unref()
  }

  #unschedule(): void {
    if (this.#scheduled) clearTimeout(this.#scheduled)
    this.#scheduled = null
  }

  #showTyping(): void {
    this.#typingView = [...this.#typing.values()].map(({ user }) => user)
    this.#wake()
  }

  #showUnknown(since: Date): void {
    if (this.#unknownSince) return
    this.#unknownSince = since
    this.#wake()
  }

  #show(view: RosterView): void {
    const isSame = sameView(this.#view, view)
    if (isSame && !this.#unknownSince) return
    if (!isSame) this.#view = view
    this.#unknownSince = null
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
    const losses = this.#losses
    const reload = this.#namesAreOld
    this.#namesAreOld = false
    let failed = false
    try {
      const next = await readView(this.#options, this.#view, reload)
      if (losses === this.#losses) this.#show(next)
    } catch (error) {
      failed = true
      this.#namesAreOld ||= reload
      this.#options.logger.warn({ err: error }, 'who is in a room cannot be read')
      this.#showUnknown(new Date())
    } finally {
      this.#refreshing = false
      this.#readOn(failed)
    }
  }

  /** After a read: the next one, where one is wanted. */
  #readOn(failed: boolean): void {
    if (this.#isSuspended || this.#closed || this.#scheduled) return
    if (failed) this.#schedule(RETRY_MS)
    else if (this.#pokedMeanwhile || this.#unknownSince) this.#schedule(this.#options.coalesceMs)
  }

  #wake(): void {
    for (const watcher of this.#watchers) watcher.wake()
  }
}

async function readView(options: RoomRosterOptions, last: RosterView, reload: boolean): Promise<RosterView> {
  const { count, users } = await options.read(MAX_NAMED)
  if (count > MAX_NAMED) return { count, present: null, departed: NOTHING.departed }
  const known = last.present ?? NOTHING.present
  const here = new Set(users.map(({ userId }) => userId))
  const gone = [...(known?.keys() ?? [])].filter((id) => !here.has(id))
  const wanted = [...[...here].filter((id) => reload || !known?.has(id)), ...gone]
  const loaded = await loadUsers(options, wanted, known)
  const present = new Map<string, PresentUser>()
  for (const { userId, state } of users) {
    const user = loaded.get(userId) ?? known?.get(userId)?.user
    if (user) present.set(userId, { user, state })
  }
  const departed = [...last.departed].filter(([id]) => !here.has(id) && !gone.includes(id))
  for (const id of gone) {
    const user = loaded.get(id)
    if (user) departed.push([id, user])
  }
  return { count, present, departed: new Map(departed.slice(-MAX_NAMED)) }
}

/** Without the database those who are known stay as they were; of the others nothing can be told. */
async function loadUsers(
  { listUsers, logger }: RoomRosterOptions,
  ids: readonly string[],
  known: RosterView['present'],
): Promise<Map<string, UserRecord>> {
  try {
    return new Map((await listUsers(ids)).map((user) => [user.id, user]))
  } catch (error) {
    if (!ids.every((id) => known?.has(id))) throw error
    logger.debug({ err: error }, 'who is in a room is told by the names of before')
    return new Map()
  }
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
