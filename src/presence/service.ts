import { type Clock, systemClock } from '../platform/clock.ts'
import { GateError, RefusedError } from '../platform/errors.ts'
import type { Logger } from '../platform/logger.ts'
import type { Viewer } from '../platform/viewer.ts'
import type { EventBus } from '../realtime/event-bus.ts'
import type { Rooms } from '../rooms/service.ts'
import type { Users } from '../users/service.ts'
import { Availability } from './availability.ts'
import { DeviceSignals } from './device-signals.ts'
import { type PresenceState, type PresenceStore, SERVER_SCOPE } from './presence-store.ts'
import type { PresentUser } from './room-roster.ts'
import { RoomWatchers } from './room-watchers.ts'
import type { RosterCursor } from './roster-cursor.ts'
import { type Device, PresenceTracker } from './tracker.ts'

export interface PresenceOptions {
  store: PresenceStore
  bus: EventBus
  rooms: Rooms
  users: Users
  logger: Logger
  /** Default: the system's. */
  clock?: Clock
  ttlMs: number
  graceMs: number
  coalesceMs: number
}

/** A dead node's users are gone when their leases (25 s) have expired and somebody has looked: within 30 s. */
const MAX_SWEEP_INTERVAL_MS = 2_000
/** Nodes that lost the server behind try again every 2 s: by then all have come back and written their leases. */
const SETTLE_MS = 4_000
/** How long an announcement waits for the note of when its users were last seen. */
const MAX_NOTE_MS = 1_000

/** Who is online and who is in which room, over all nodes. */
export class Presence {
  readonly #options: PresenceOptions
  readonly #tracker: PresenceTracker
  readonly #watchers: RoomWatchers
  readonly #signals: DeviceSignals
  readonly #availability: Availability
  /** Being written: when somebody was last seen. */
  readonly #notes = new Set<Promise<void>>()
  readonly #sweeper: NodeJS.Timeout
  readonly #stopListening: readonly (() => void)[]

  constructor(options: PresenceOptions) {
    const { store, bus, users, logger, clock = systemClock, ttlMs, graceMs, coalesceMs } = options
    this.#options = options
    const listUsers = (ids: readonly string[]) => users.listUsers(ids)
    const lostAt = () => this.#availability.lostAt
    const watchers = new RoomWatchers({ store, bus, listUsers, logger, coalesceMs, lostAt })
    const tracker = new PresenceTracker({
      store,
      logger,
      ttlMs,
      graceMs,
      onChange: (scopes) => watchers.announce(scopes),
      onLeft: (userId) => void this.#noteSeen([userId]),
      onFailure: () => this.#availability.lost(),
    })
    this.#availability = new Availability({
      clock,
      settleMs: SETTLE_MS,
      renew: () => tracker.renew(),
      onChange: () => watchers.followAvailability(),
    })
    const signals = new DeviceSignals({
      bus,
      logger,
      onSignal: ({ userId, state, connectionId }) => tracker.setState(userId, state, connectionId),
    })
    this.#watchers = watchers
    this.#tracker = tracker
    this.#signals = signals
    this.#sweeper = setInterval(() => void this.#sweep(), Math.min(MAX_SWEEP_INTERVAL_MS, ttlMs / 5))
    this.#sweeper.unref()
    this.#stopListening = [
      store.onLost(() => this.#availability.lost()),
      store.onReconnect(() => this.#availability.returned()),
      bus.onReconnect(() => {
        signals.retry()
        watchers.retry()
        watchers.pokeAll()
      }),
    ]
  }

  /** The device is online from now on, until the returned function is called. */
  connect(device: Device): () => void {
    return this.#tracker.enter(SERVER_SCOPE, device)
  }

  /** The device is in the room (and online) from now on, until the returned function is called. */
  enterRoom(roomId: string, device: Device): () => void {
    const leave = [this.#tracker.enter(SERVER_SCOPE, device), this.#tracker.enter(roomId, device)]
    return () => {
      for (const one of leave) one()
    }
  }

  /** Sets the viewer's devices, or the one with this connection id, to online or away, wherever they are connected. */
  async setPresence(viewer: Viewer, state: PresenceState, connectionId: string | null): Promise<void> {
    await this.#orUnavailable(this.#signals.publish({ userId: viewer.userId, state, connectionId }))
  }

  /** Tells the room that the viewer types, or no longer does. Lasts 6 s unless repeated. Members only. */
  async setTyping(viewer: Viewer, roomId: string, typing: boolean): Promise<void> {
    const { rooms, users } = this.#options
    const room = await rooms.requireReadableRoom(viewer, roomId)
    if (room.archivedAt) throw new RefusedError('ROOM_ARCHIVED', 'The room is archived.')
    if (!(await rooms.findMembership(roomId, viewer.userId))) {
      throw new RefusedError('NOT_A_MEMBER', 'Join the room before you write in it.')
    }
    const user = await users.findUser(viewer.userId)
    if (user) this.#watchers.tellTyping(roomId, user, typing)
  }

  /**
   * A watcher of a room that the caller has shown the viewer may read: the snapshot, or that presence is unknown, then
   * changes.
   */
  watch(roomId: string): Promise<RosterCursor> {
    return this.#orUnavailable(this.#watchers.watch(roomId))
  }

  /** How many users are in a room; null while presence cannot be read. */
  async countRoom(roomId: string): Promise<number | null> {
    const counts = await this.#orNull(() => this.#options.store.counts([roomId]))
    return counts && (counts[0] ?? 0)
  }

  /** The first users of a room, longest present first; null while presence cannot be read. */
  listPresent(roomId: string, first: number): Promise<PresentUser[] | null> {
    return this.#orNull(() => this.#loadPresent(roomId, first))
  }

  /**
   * The ids of those who are in a room and not away, of the first `limit` who are in it; null while presence cannot be
   * read.
   */
  async listLooking(roomId: string, limit: number): Promise<ReadonlySet<string> | null> {
    const roster = await this.#orNull(() => this.#options.store.read(roomId, limit))
    return roster && new Set(roster.users.filter(({ state }) => state === 'ONLINE').map(({ userId }) => userId))
  }

  busiestRooms(limit: number): Promise<{ scope: string; count: number }[]> {
    return this.#orUnavailable(this.#whileKnown(() => this.#options.store.busiest(limit)))
  }

  /** Rejects while presence cannot be read. */
  totals() {
    return this.#whileKnown(() => this.#options.store.totals())
  }

  /** See PresenceTracker.settled. */
  settled(): Promise<void> {
    return this.#tracker.settled()
  }

  /** Ends this node's presence. Its users stay to the others for the grace period, in which they may come back there. */
  async close(): Promise<void> {
    clearInterval(this.#sweeper)
    this.#availability.close()
    for (const stop of this.#stopListening) stop()
    await this.#tracker.close()
    await this.#watchers.close()
    await this.#signals.close()
    await Promise.all(this.#notes)
  }

  async #loadPresent(roomId: string, first: number): Promise<PresentUser[]> {
    const { store, users } = this.#options
    const roster = await store.read(roomId, first)
    const loaded = await users.listUsers(roster.users.map(({ userId }) => userId))
    const known = new Map(loaded.map((user) => [user.id, user]))
    return roster.users.flatMap(({ userId, state }) => {
      const user = known.get(userId)
      return user ? [{ user, state }] : []
    })
  }

  async #sweep(): Promise<void> {
    // Its connection to the bus may have held while the subscription was refused: then no reconnect would tell.
    this.#signals.retry()
    this.#watchers.retry()
    const { store, logger } = this.#options
    try {
      const scopes = await store.sweep()
      this.#availability.answered()
      if (scopes.includes(SERVER_SCOPE)) await atMost(MAX_NOTE_MS, this.#noteSeen(await store.takeExpired()))
      this.#watchers.announce(scopes)
    } catch (error) {
      this.#availability.lost()
      logger.warn({ err: error }, 'expired presence could not be swept')
    }
  }

  /** Never rejects. */
  #noteSeen(userIds: readonly string[]): Promise<void> {
    const { users, logger } = this.#options
    const note = Promise.all(userIds.map((id) => users.noteSeen(id))).then(
      () => {},
      (error) => logger.warn({ err: error }, 'last seen was not noted'),
    )
    this.#notes.add(note)
    return note.finally(() => this.#notes.delete(note))
  }

  /** What is read while presence is unknown says too little. */
  async #whileKnown<T>(work: () => Promise<T>): Promise<T> {
    if (this.#availability.lostAt) throw new Error('presence is unknown for the moment')
    return await work()
  }

  async #orUnavailable<T>(work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'presence is unavailable')
      throw new GateError('UNAVAILABLE', 'Presence is not available for the moment.', { retryable: true })
    }
  }

  async #orNull<T>(work: () => Promise<T>): Promise<T | null> {
    try {
      return await this.#whileKnown(work)
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'presence cannot be read')
      return null
    }
  }
}

/** Resolves with the work, or when it has taken so long. */
async function atMost(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  await Promise.race([
    work,
    new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms)
    }),
  ])
  clearTimeout(timer)
}

export function createPresence(options: PresenceOptions): Presence {
  return new Presence(options)
}
