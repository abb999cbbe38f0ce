import { GateError, RefusedError } from '../platform/errors.ts'
import type { Logger } from '../platform/logger.ts'
import type { Viewer } from '../platform/viewer.ts'
import type { EventBus } from '../realtime/event-bus.ts'
import type { Rooms } from '../rooms/service.ts'
import type { Users } from '../users/service.ts'
import type { UserRecord } from '../users/user-record.ts'
import { type PresenceState, type PresenceStore, SERVER_SCOPE } from './presence-store.ts'
import { type PresentUser, RoomRoster } from './room-roster.ts'
import { RosterCursor } from './roster-cursor.ts'
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

/** What nodes tell each other about presence. A poke says that a room's roster should be read again. */
type Signal = { type: 'poke' } | { type: 'typing'; user: UserRecord; typing: boolean }
type UserSignal = { state: PresenceState; connectionId: string | null }

interface Watched {
  roster: RoomRoster
  watchers: number
  unsubscribe: () => Promise<void>
}

const SWEEP_EVERY_MS = 5_000
const USER_SIGNALS = 'presence-state'

export type Presence = ReturnType<typeof createPresence>

const topicOf = (roomId: string) => `presence:${roomId}`

export function createPresence({ store, bus, rooms, users, logger, ...options }: PresenceOptions) {
  const watched = new Map<string, Promise<Watched>>()

  const send = (topic: string, signal: Signal | (UserSignal & { userId: string })) => {
    bus.publish(topic, JSON.stringify(signal)).catch((error) => {
      logger.debug({ err: error, topic }, 'a presence signal was not published')
    })
  }
  const announce = (scopes: readonly string[]) => {
    for (const scope of scopes) if (scope !== SERVER_SCOPE) send(topicOf(scope), { type: 'poke' })
  }

  const tracker = new PresenceTracker({
    store,
    logger,
    ttlMs: options.ttlMs,
    graceMs: options.graceMs,
    onChange: announce,
  })

  const sweeper = setInterval(() => {
    store.sweep().then(announce, (error) => logger.warn({ err: error }, 'expired presence could not be swept'))
  }, SWEEP_EVERY_MS)
  sweeper.unref()

  // A mutation over HTTP reaches any node; the devices it is about may be on others.
  const subscribeUserSignals = () =>
    bus.subscribe(USER_SIGNALS, (message) => {
      // Published only by setPresence below.
      const { userId, state, connectionId } = JSON.parse(message) as UserSignal & { userId: string }
      tracker.setState(userId, state, connectionId)
    })
  let userSignals = subscribeUserSignals().catch(() => null)

  const stopListening = bus.onReconnect(() => {
    userSignals = userSignals.then((known) => known ?? subscribeUserSignals()).catch(() => null)
    for (const opening of watched.values()) opening.then(({ roster }) => roster.poke()).catch(() => {})
  })

  async function orUnavailable<T>(work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      logger.warn({ err: error }, 'presence is unavailable')
      throw new GateError('UNAVAILABLE', 'Presence is not available for the moment.', { retryable: true })
    }
  }

  async function startWatching(roomId: string): Promise<Watched> {
    let roster: RoomRoster | null = null
    const unsubscribe = await bus.subscribe(topicOf(roomId), (message) => {
      // Published only by send above.
      const signal = JSON.parse(message) as Signal
      if (signal.type === 'poke') roster?.poke()
      else roster?.setTyping(signal.user, signal.typing)
    })
    try {
      roster = await RoomRoster.open({
        read: (limit) => store.read(roomId, limit),
        listUsers: (ids) => users.listUsers(ids),
        coalesceMs: options.coalesceMs,
        logger,
      })
      // What was poked between the subscription and the read.
      roster.poke()
      return { roster, watchers: 0, unsubscribe }
    } catch (error) {
      await unsubscribe()
      throw error
    }
  }

  async function stopWatching(roomId: string, one: Watched): Promise<void> {
    one.watchers--
    if (one.watchers > 0) return
    watched.delete(roomId)
    one.roster.close()
    await one.unsubscribe()
  }

  return {
    /** The device is online from now on, until the returned function is called. */
    connect: (device: Device): (() => void) => tracker.enter(SERVER_SCOPE, device),

    /** The device is in the room (and online) from now on, until the returned function is called. */
    enterRoom(roomId: string, device: Device): () => void {
      const leave = [tracker.enter(SERVER_SCOPE, device), tracker.enter(roomId, device)]
      return () => {
        for (const one of leave) one()
      }
    },

    /** Sets the viewer's devices, or the one with this connection id, to online or away, wherever they are connected. */
    async setPresence(viewer: Viewer, state: PresenceState, connectionId: string | null): Promise<void> {
      await orUnavailable(bus.publish(USER_SIGNALS, JSON.stringify({ userId: viewer.userId, state, connectionId })))
    },

    /** Tells the room that the viewer types, or no longer does. Lasts 6 s unless repeated. Members only. */
    async setTyping(viewer: Viewer, roomId: string, typing: boolean): Promise<void> {
      const room = await rooms.requireReadableRoom(viewer, roomId)
      if (room.archivedAt) throw new RefusedError('ROOM_ARCHIVED', 'The room is archived.')
      if (!(await rooms.findMembership(roomId, viewer.userId))) {
        throw new RefusedError('NOT_A_MEMBER', 'Join the room before you write in it.')
      }
      const user = await users.findUser(viewer.userId)
      if (user) send(topicOf(roomId), { type: 'typing', user, typing })
    },

    /** A watcher of a room that the caller has shown the viewer may read: the snapshot, then changes. */
    async watch(roomId: string): Promise<RosterCursor> {
      let opening = watched.get(roomId)
      if (!opening) {
        opening = startWatching(roomId)
        watched.set(roomId, opening)
        opening.catch(() => watched.delete(roomId))
      }
      const one = await orUnavailable(opening)
      if (one.roster.closed) return this.watch(roomId)
      one.watchers++
      return new RosterCursor(one.roster, () => {
        stopWatching(roomId, one).catch((error) => logger.warn({ err: error, roomId }, 'a room is still watched'))
      })
    },

    /** How many users are in a room; null while presence cannot be read. */
    async countRoom(roomId: string): Promise<number | null> {
      try {
        const [count] = await store.counts([roomId])
        return count ?? 0
      } catch (error) {
        logger.warn({ err: error }, 'presence cannot be read')
        return null
      }
    },

    /** The first users of a room, longest present first; null while presence cannot be read. */
    async listPresent(roomId: string, first: number): Promise<PresentUser[] | null> {
      try {
        const roster = await store.read(roomId, first)
        const known = new Map((await users.listUsers(roster.users.map(({ userId }) => userId))).map((u) => [u.id, u]))
        return roster.users.flatMap(({ userId, state }) => {
          const user = known.get(userId)
          return user ? [{ user, state }] : []
        })
      } catch (error) {
        logger.warn({ err: error }, 'presence cannot be read')
        return null
      }
    },

    busiestRooms: (limit: number): Promise<{ scope: string; count: number }[]> => orUnavailable(store.busiest(limit)),
    /** Rejects while presence cannot be read. */
    totals: () => store.totals(),
    /** See PresenceTracker.settled. */
    settled: () => tracker.settled(),

    /** Ends this node's presence at once: its users are gone, unless they are elsewhere too. */
    async close(): Promise<void> {
      clearInterval(sweeper)
      stopListening()
      await tracker.close()
      const all = await Promise.allSettled(watched.values())
      for (const one of all) {
        if (one.status !== 'fulfilled') continue
        one.value.roster.close()
        await one.value.unsubscribe()
      }
      await (await userSignals)?.()
    },
  }
}
