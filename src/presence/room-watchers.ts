// The rooms whose presence somebody watches on this node: one roster each, shared by all watchers, from the first to the
// last of them. Nodes tell each other on a topic of the room that its roster should be read again, and who types.

import type { Logger } from '../platform/logger.ts'
import type { EventBus } from '../realtime/event-bus.ts'
import { LastingSubscription } from '../realtime/lasting-subscription.ts'
import type { UserRecord } from '../users/user-record.ts'
import { type PresenceStore, SERVER_SCOPE } from './presence-store.ts'
import { RoomRoster } from './room-roster.ts'
import { RosterCursor } from './roster-cursor.ts'
import { RosterItems } from './roster-items.ts'

export interface RoomWatchersOptions {
  store: PresenceStore
  bus: EventBus
  listUsers: (ids: readonly string[]) => Promise<UserRecord[]>
  logger: Logger
  coalesceMs: number
  /** Since when presence has been unknown on this node; null while it is known. */
  lostAt: () => Date | null
}

/** A poke says that a room's roster should be read again. */
type RoomSignal = { type: 'poke' } | { type: 'typing'; user: UserRecord; typing: boolean }

interface Watched {
  roster: RoomRoster
  items: RosterItems
  watchers: number
  subscription: LastingSubscription
}

const topicOf = (roomId: string) => `presence:${roomId}`

export class RoomWatchers {
  readonly #options: RoomWatchersOptions
  readonly #watched = new Map<string, Promise<Watched>>()
  #closed = false

  constructor(options: RoomWatchersOptions) {
    this.#options = options
  }

  /** The snapshot, or that presence is unknown; then changes. Rejects only after close. */
  async watch(roomId: string): Promise<RosterCursor> {
    for (;;) {
      const isWatched = this.#watched.has(roomId)
      const one = await this.#open(roomId)
      // Its last watcher left meanwhile.
      if (one.roster.closed) continue
      one.watchers++
      // What others watch already may be some moments old: the new watcher is to find themself in the snapshot.
      if (isWatched) await one.roster.readAgain()
      return new RosterCursor(one.roster, one.items, () => {
        this.#leave(roomId, one).catch((error) =>
          this.#options.logger.warn({ err: error, roomId }, 'a room is still watched'),
        )
      })
    }
  }

  /** Tells all nodes that these scopes have changed. */
  announce(scopes: readonly string[]): void {
    for (const scope of scopes) if (scope !== SERVER_SCOPE) this.#send(scope, { type: 'poke' })
  }

  /** Tells all nodes that the user types in the room, or no longer does. */
  tellTyping(roomId: string, user: UserRecord, typing: boolean): void {
    // Field by field: whatever else the caller's row has is nobody's business.
    const { id, name, avatarUrl, statusText, lastSeenAt } = user
    this.#send(roomId, { type: 'typing', user: { id, name, avatarUrl, statusText, lastSeenAt }, typing })
  }

  /** Reads every room again: pokes may have been missed. */
  pokeAll(): void {
    this.#forEach(({ roster }) => roster.poke())
  }

  /** Listens where the bus has refused it. Does no harm where it does already. */
  retry(): void {
    this.#forEach(({ subscription }) => subscription.retry())
  }

  /** Presence has become unknown on this node, or is known again. */
  followAvailability(): void {
    this.#forEach(({ roster }) => this.#follow(roster))
  }

  async close(): Promise<void> {
    this.#closed = true
    const all = await Promise.allSettled(this.#watched.values())
    this.#watched.clear()
    for (const one of all) {
      if (one.status !== 'fulfilled') continue
      one.value.roster.close()
      await one.value.subscription.close()
    }
  }

  #open(roomId: string): Promise<Watched> {
    if (this.#closed) return Promise.reject(new Error('presence has ended on this node'))
    const known = this.#watched.get(roomId)
    if (known) return known
    const opening = this.#start(roomId)
    this.#watched.set(roomId, opening)
    opening.catch(() => this.#watched.delete(roomId))
    return opening
  }

  async #start(roomId: string): Promise<Watched> {
    const { store, bus, listUsers, coalesceMs, logger, lostAt } = this.#options
    let roster: RoomRoster | null = null
    const subscription = new LastingSubscription({
      bus,
      topic: topicOf(roomId),
      logger,
      onMessage: (message) => {
        // Published only by #send.
        const signal = JSON.parse(message) as RoomSignal
        if (signal.type === 'poke') roster?.poke()
        else roster?.setTyping(signal.user, signal.typing)
      },
      onStanding: () => roster?.poke(),
    })
    await subscription.tried()
    const read = (limit: number) => store.read(roomId, limit)
    roster = await RoomRoster.open({ read, listUsers, coalesceMs, logger }, lostAt())
    this.#follow(roster)
    // What was poked between the subscription and the read.
    roster.poke()
    return { roster, items: new RosterItems(), watchers: 0, subscription }
  }

  #follow(roster: RoomRoster): void {
    const lostAt = this.#options.lostAt()
    if (lostAt) roster.suspend(lostAt)
    else roster.resume()
  }

  async #leave(roomId: string, one: Watched): Promise<void> {
    one.watchers--
    if (one.watchers > 0 || one.roster.closed) return
    this.#watched.delete(roomId)
    one.roster.close()
    await one.subscription.close()
  }

  #forEach(act: (one: Watched) => void): void {
    // A room that cannot be opened tells its watcher.
    for (const opening of this.#watched.values()) opening.then(act).catch(() => {})
  }

  #send(roomId: string, signal: RoomSignal): void {
    const { bus, logger } = this.#options
    bus.publish(topicOf(roomId), JSON.stringify(signal)).catch((error) => {
      logger.debug({ err: error, roomId }, 'a presence signal was not published')
    })
  }
}
