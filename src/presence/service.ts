import { GateError, RefusedError } from '../platform/errors.ts'
import type { Logger } from '../platform/logger.ts'
import type { Viewer } from '../platform/viewer.ts'
import type { EventBus } from '../realtime/event-bus.ts'
import type { Rooms } from '../rooms/service.ts'
import type { Users } from '../users/service.ts'
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
  ttlMs: number
  graceMs: number
  coalesceMs: number
}

const MAX_SWEEP_INTERVAL_MS = 5_000
/** Nodes that lost the server behind try again every 2 s: by then all have come back and written their leases. */
const RECONNECT_SETTLE_MS = 4_000

/** Who is online and who is in which room, over all nodes. */
export class Presence {
  readonly #options: PresenceOptions
  readonly #tracker: PresenceTracker
  readonly #watchers: RoomWatchers
  readonly #signals: DeviceSignals
  readonly #sweeper: NodeJS.Timeout
  readonly #stopListening: readonly (() => void)[]

  constructor(options: PresenceOptions) {
    const { store, bus, users, logger, ttlMs, graceMs, coalesceMs } = options
    this.#options = options
    const listUsers = (ids: readonly string[]) => users.listUsers(ids)
    const watchers = new RoomWatchers({ store, bus, listUsers, logger, coalesceMs })
    const onChange = (scopes: readonly string[]) => watchers.announce(scopes)
    const tracker = new PresenceTracker({ store, logger, ttlMs, graceMs, onChange })
    const signals = new DeviceSignals({
      bus,
      logger,
      onSignal: ({ userId, state, connectionId }) => tracker.setState(userId, state, connectionId),
    })
    this.#watchers = watchers
    this.#tracker = tracker
    this.#signals = signals
    this.#sweeper = setInterval(() => this.#sweep(), Math.min(MAX_SWEEP_INTERVAL_MS, ttlMs / 5))
    this.#sweeper.unref()
    this.#stopListening = [
      store.onReconnect(() => {
        // It may have come back empty. Nobody has left for that.
        watchers.settleAll(RECONNECT_SETTLE_MS)
        void tracker.renew()
      }),
      bus.onReconnect(() => {
        signals.retry()
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

  /** A watcher of a room that the caller has shown the viewer may read: the snapshot, then changes. */
  watch(roomId: string): Promise<RosterCursor> {
    return this.#orUnavailable(this.#watchers.watch(roomId))
  }

  /** How many users are in a room; null while presence cannot be read. */
  async countRoom(roomId: string): Promise<number | null> {
    const counts = await this.#orNull(this.#options.store.counts([roomId]))
    return counts && (counts[0] ?? 0)
  }

  /** The first users of a room, longest present first; null while presence cannot be read. */
  listPresent(roomId: string, first: number): Promise<PresentUser[] | null> {
    return this.#orNull(this.#loadPresent(roomId, first))
  }

  busiestRooms(limit: number): Promise<{ scope: string; count: number }[]> {
    return this.#orUnavailable(this.#options.store.busiest(limit))
  }

  /** Rejects while presence cannot be read. */
  totals() {
    return this.#options.store.totals()
  }

  /** See PresenceTracker.settled. */
  settled(): Promise<void> {
    return this.#tracker.settled()
  }

  /** Ends this node's presence. Its users stay to the others for the grace period, in which they may come back there. */
  async close(): Promise<void> {
    clearInterval(this.#sweeper)
    for (const stop of this.#stopListening) stop()
    await this.#tracker.close()
    await this.#watchers.close()
    await this.#signals.close()
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

  #sweep(): void {
    // Its connection to the bus may have held while the subscription was refused: then no reconnect would tell.
    this.#signals.retry()
    const { store, logger } = this.#options
    store.sweep().then(
      (scopes) => this.#watchers.announce(scopes),
      (error) => logger.warn({ err: error }, 'expired presence could not be swept'),
    )
  }

  async #orUnavailable<T>(work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'presence is unavailable')
      throw new GateError('UNAVAILABLE', 'Presence is not available for the moment.', { retryable: true })
    }
  }

  async #orNull<T>(work: Promise<T>): Promise<T | null> {
    try {
      return await work
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'presence cannot be read')
      return null
    }
  }
}

export function createPresence(options: PresenceOptions): Presence {
  return new Presence(options)
}
