// The consumer of the rooms' logs: every event is considered once for notifications, in order, by whichever node has the
// job. Invariant: a room's position moves in the transaction that writes what its events have led to, and only from where
// the events were read; so a node may be killed at any time, and two may try at once.

import { LRUCache } from 'lru-cache'
import type { Publisher } from '../events/publisher.ts'
import type { LogEvent, RoomEvent } from '../events/room-event.ts'
import type { RoomLogReader } from '../events/room-log-reader.ts'
import type { Clock } from '../platform/clock.ts'
import type { Db, Tx } from '../platform/db.ts'
import type { JobKind, Jobs, RunningJob } from '../platform/jobs.ts'
import type { Logger } from '../platform/logger.ts'
import type { Presence } from '../presence/service.ts'
import { draftEntries, type EntryDraft } from './gathering.ts'
import type { NotificationKind } from './kind.ts'
import { findKind, NOTIFICATION_KINDS } from './kind-registry.ts'
import { RoomWakes } from './room-wakes.ts'
import { type StepResult, TELL_GATHERED, TELL_REST, type Teller, type ToldRoom } from './telling-service.ts'
import {
  type Channel,
  deleteIdleWindows,
  findPosition,
  findRoomsBehind,
  findUnfinished,
  hasListeners,
  lockPosition,
  movePosition,
  passOver,
  type RoomPosition,
} from './telling-store.ts'

const EVENTS_PER_BATCH = 200
/** Where nobody wants everything, most of the log is passed over unread. */
const SEQS_PER_QUIET_BATCH = 5_000
/** Then the room gives way to others. */
const BATCHES_PER_JOB = 50
/** Who is beyond counts as not looking. */
const MAX_LOOKING = 2_000
/** What lies longer in the log when it is come to is no news: an import, say, or a backup that was restored. */
const MAX_AGE_MS = 24 * 60 * 60 * 1_000
const WAKE_DELAY_MS = 50
const WAKE_PAUSE_MS = 500
/** How long a room is known to have nobody who wants everything. */
const QUIET_MS = 5_000
const MAX_QUIET = 50_000
const ROOMS_PER_SWEEP = 10_000
/** Entries that lie longer have lost their job. */
const OVERDUE_MS = 2 * 60 * 1_000
const IDLE_WINDOW_MS = 60 * 60 * 1_000

/** A room's new events are looked at. Any number of them may run at once. */
export const CONSUME_ROOM: JobKind<{ roomId: string }> = {
  name: 'notification-room',
  timeoutSeconds: 120,
  // The sweep sends another one, too.
  retries: 3,
  retryDelaySeconds: 1,
  maxRetryDelaySeconds: 30,
  concurrency: 2,
  oneWaitingPerKey: true,
}

const SWEEP: JobKind<Record<string, never>> = {
  name: 'notification-sweep',
  timeoutSeconds: 60,
  // Another one follows in any case.
  retries: 1,
  retryDelaySeconds: 1,
  maxRetryDelaySeconds: 1,
  oneWaitingPerKey: true,
}

export interface ConsumerOptions {
  db: Db
  roomLog: RoomLogReader
  /** Not started yet. */
  jobs: Jobs
  publisher: Publisher
  presence: Presence
  teller: Teller
  clock: Clock
  logger: Logger
  sweepIntervalMs: number
}

export class NotificationConsumer {
  readonly #options: ConsumerOptions
  readonly #wakes: RoomWakes
  /** Rooms in which, a moment ago, nobody wanted to be told of everything. */
  readonly #quiet = new LRUCache<string, true>({ max: MAX_QUIET, ttl: QUIET_MS })
  #sweeper: NodeJS.Timeout | null = null

  constructor(options: ConsumerOptions) {
    const { jobs, logger } = options
    this.#options = options
    this.#wakes = new RoomWakes({
      send: (roomIds) =>
        jobs.sendAll(
          CONSUME_ROOM,
          roomIds.map((roomId) => ({ data: { roomId }, key: roomId })),
        ),
      logger,
      delayMs: WAKE_DELAY_MS,
      pauseMs: WAKE_PAUSE_MS,
    })
    jobs.handle(CONSUME_ROOM, ({ roomId }, job) => this.#consume(roomId, job))
    jobs.handle(TELL_GATHERED, (at, job) => this.#tellUntilDone(at, job, options.teller.tellGathered))
    jobs.handle(TELL_REST, (at, job) => this.#tellUntilDone(at, job, options.teller.tellRest))
    jobs.handle(SWEEP, () => this.#sweep())
  }

  /** Once the jobs have been started. */
  start(): void {
    const { sweepIntervalMs } = this.#options
    // Of all nodes' sweeps at most one waits, and it waits that long: so there is about one in that time.
    this.#sweeper = setInterval(() => void this.#sendSweep(), sweepIntervalMs / 3)
    this.#sweeper.unref()
  }

  close(): void {
    if (this.#sweeper) clearInterval(this.#sweeper)
    this.#wakes.close()
  }

  /** To be called with every event that this node publishes. */
  onPublished(event: LogEvent): void {
    if ('userId' in event) {
      // The first events of a room's log are not published: nobody can read it yet.
      if (event.type === 'RoomGained') this.#wakes.mark(event.roomId)
      return
    }
    if (!this.#quiet.has(event.roomId) || isMeantForSome(event)) this.#wakes.mark(event.roomId)
  }

  /** To be called when somebody's level has changed, for one room or for all. */
  forgetQuiet(roomId: string | null): void {
    if (roomId === null) this.#quiet.clear()
    else this.#quiet.delete(roomId)
  }

  async #consume(roomId: string, { signal }: RunningJob): Promise<void> {
    for (let batch = 0; batch < BATCHES_PER_JOB; batch++) {
      if (signal.aborted) throw new Error('the job was stopped')
      if (!(await this.#consumeBatch(roomId))) return
    }
    this.#wakes.mark(roomId)
  }

  /** Whether there was more when it was looked. What has come since has a job of its own, after a pause. */
  async #consumeBatch(roomId: string): Promise<boolean> {
    const { db, clock } = this.#options
    const position = await findPosition(db, roomId)
    if (!position || position.lastSeq <= position.seq) return false
    const isQuiet = position.kind !== 'DIRECT' && (await this.#isQuiet(roomId))
    const notBefore = new Date(clock.now() - MAX_AGE_MS)
    const { events, to } = await this.#readEvents(roomId, position, { notBefore, isQuiet })
    const drafts = draftEntries(events, notBefore)
    const kinds = isQuiet ? NOTIFICATION_KINDS.filter(({ level }) => level !== 'ALL') : NOTIFICATION_KINDS
    const byKind = kinds.flatMap((kind) => {
      const ofKind = drafts.get(kind.name)
      return ofKind ? [{ kind, drafts: ofKind }] : []
    })
    const isMoved =
      byKind.length === 0
        ? await passOver(db, roomId, { from: position.seq, to })
        : await this.#tell(roomId, position, { byKind, to })
    if (isMoved) return to < position.lastSeq
    // Another job was faster, and goes on; but it may have looked before that came for which this one was sent.
    this.#wakes.mark(roomId)
    return false
  }

  /** Whether nobody else had told of these events. */
  async #tell(
    roomId: string,
    position: RoomPosition,
    { byKind, to }: { byKind: { kind: NotificationKind; drafts: EntryDraft[] }[]; to: number },
  ): Promise<boolean> {
    const { db, publisher, teller } = this.#options
    const room = await this.#toToldRoom(roomId, position)
    const appended = await db.$transaction(async (tx) => {
      const { seq, now } = await lockPosition(tx, roomId)
      if (seq !== position.seq) return null
      const told = await teller.tellNew(tx, room, byKind, { batchSeq: to, now })
      await movePosition(tx, roomId, to)
      return told
    })
    if (appended) publisher.publishEvents(appended)
    return appended !== null
  }

  /** Whether nobody in the room wants to be told of everything. */
  async #isQuiet(roomId: string): Promise<boolean> {
    const isQuiet = !(await hasListeners(this.#options.db, roomId))
    if (isQuiet) this.#quiet.set(roomId, true)
    return isQuiet
  }

  /** The next events of a room, of a quiet one without what is for nobody in particular, and up to where they reach. */
  async #readEvents(
    roomId: string,
    { seq, lastSeq }: RoomPosition,
    { notBefore, isQuiet }: { notBefore: Date; isQuiet: boolean },
  ): Promise<{ events: RoomEvent[]; to: number }> {
    const { roomLog } = this.#options
    const upTo = Math.min(lastSeq, seq + (isQuiet ? SEQS_PER_QUIET_BATCH : EVENTS_PER_BATCH))
    const range = { after: seq, upTo, limit: EVENTS_PER_BATCH }
    const entries = await (isQuiet ? roomLog.readAddressed(roomId, range) : roomLog.read(roomId, range))
    const events = entries.map(({ event }) => event)
    const last = entries.at(-1)
    if (entries.length < EVENTS_PER_BATCH || !last) return { events, to: upTo }
    if (new Date(last.event.at) >= notBefore) return { events, to: last.seq }
    // Where so many are old, any number of others may follow.
    return { events, to: await skipOld(roomLog, roomId, { old: last.seq, lastSeq, notBefore }) }
  }

  async #toToldRoom(roomId: string, { kind, name, memberCount }: RoomPosition): Promise<ToldRoom> {
    const looking = await this.#options.presence.listLooking(roomId, MAX_LOOKING)
    const isDirect = kind === 'DIRECT'
    // Where presence is unknown, it is better to be told once too often.
    return { id: roomId, name, isDirect, isOneToOne: isDirect && memberCount === 2, looking: looking ?? new Set() }
  }

  async #tellUntilDone(
    { roomId, kind: kindName }: Channel,
    { signal }: RunningJob,
    tellSome: (tx: Tx, room: ToldRoom, kind: NotificationKind, now: Date) => Promise<StepResult>,
  ): Promise<void> {
    const { db, publisher } = this.#options
    const kind = findKind(kindName)
    const position = await findPosition(db, roomId)
    if (!kind || !position) return
    const room = await this.#toToldRoom(roomId, position)
    for (let hasMore = true; hasMore; ) {
      if (signal.aborted) throw new Error('the job was stopped')
      const step = await db.$transaction(async (tx) => {
        const { now } = await lockPosition(tx, roomId)
        return tellSome(tx, room, kind, now)
      })
      publisher.publishEvents(step.events)
      hasMore = step.hasMore
    }
  }

  /** Never rejects. */
  async #sendSweep(): Promise<void> {
    const { jobs, logger, sweepIntervalMs } = this.#options
    // Not by this node's clock: of one that is ahead the others would wait for its sweep.
    await jobs
      .send(SWEEP, {}, { key: 'sweep', delayMs: sweepIntervalMs })
      .catch((error) => logger.warn({ err: error }, 'a sweep for notifications was not sent, trying again'))
  }

  /** Finds what no job is under way for: that of a killed node, or of one that could not send. */
  async #sweep(): Promise<void> {
    const { db, jobs, clock } = this.#options
    const behind = await findRoomsBehind(db, ROOMS_PER_SWEEP)
    await jobs.sendAll(
      CONSUME_ROOM,
      behind.map((roomId) => ({ data: { roomId }, key: roomId })),
    )
    const nowMs = clock.now()
    const unfinished = await findUnfinished(db, new Date(nowMs - OVERDUE_MS))
    for (const kind of [TELL_GATHERED, TELL_REST]) {
      const due = unfinished.filter(({ isPass }) => isPass === (kind === TELL_REST))
      await jobs.sendAll(
        kind,
        due.map(({ isPass: _, ...data }) => ({ data, key: `${data.roomId}:${data.kind}` })),
      )
    }
    await deleteIdleWindows(db, new Date(nowMs - IDLE_WINDOW_MS))
  }
}

/** Whether it may be for people who do not want everything. */
function isMeantForSome(event: RoomEvent): boolean {
  if ('message' in event && event.message.room.kind === 'DIRECT') return true
  return NOTIFICATION_KINDS.some(({ level, audienceOf }) => level === 'MENTIONS' && audienceOf(event) !== null)
}

/** The seq up to which events are too old to be told of, from an old one on: found by halving. */
async function skipOld(
  roomLog: RoomLogReader,
  roomId: string,
  { old, lastSeq, notBefore }: { old: number; lastSeq: number; notBefore: Date },
): Promise<number> {
  let news = lastSeq + 1
  while (news - old > 1) {
    const middle = old + Math.floor((news - old) / 2)
    const [entry] = await roomLog.read(roomId, { after: middle - 1, upTo: middle, limit: 1 })
    // What retention has cut away is old.
    if (!entry || new Date(entry.event.at) < notBefore) old = middle
    else news = middle
  }
  return old
}
