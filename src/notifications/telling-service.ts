// Telling: from entries to notifications, events of their users' logs, and what the channels have to deliver.
// Invariant: all of a step commits together, under the room's lock; so each entry is told once to each of its users, in as
// few notifications as the windows allow, whichever node does it and whatever is killed meanwhile.

import type { UserEvent } from '../events/room-event.ts'
import { appendUserEvents, lockUserLogs } from '../events/user-log.ts'
import type { Tx } from '../platform/db.ts'
import { newId } from '../platform/ids.ts'
import type { JobKind, Jobs } from '../platform/jobs.ts'
import type { NotificationRecord } from '../viewer-events/notification-record.ts'
import type { DueNotification, NotificationChannel } from './channel.ts'
import type { IsDoNotDisturb } from './do-not-disturb.ts'
import { createShares, type EntryDraft, isTellable, type Share } from './gathering.ts'
import {
  countUnread,
  findStored,
  insertNotifications,
  readNewest,
  type StoredNotification,
  updateNotifications,
} from './inbox-store.ts'
import type { NotificationKind } from './kind.ts'
import { textFor } from './notification-text.ts'
import {
  type Candidate,
  type Channel,
  deletePass,
  deleteToldEntries,
  deleteWindows,
  type Entry,
  findCandidates,
  findClosedWindows,
  findGathered,
  findPass,
  insertEntries,
  putPass,
  putWindows,
  readEntries,
} from './telling-store.ts'

/** Users that are told in one transaction: it holds the locks of their logs. */
const USERS_PER_STEP = 200
/** A storm that lasts becomes another notification after this, so that its place in the inbox is not too old. */
const MAX_ADDED_TO_MS = 60 * 60 * 1_000

/** What was gathered in a room, of a kind, is told once windows have closed. */
export const TELL_GATHERED: JobKind<Channel> = {
  name: 'notification-storm',
  timeoutSeconds: 120,
  retries: 10,
  retryDelaySeconds: 1,
  maxRetryDelaySeconds: 60,
  oneWaitingPerKey: true,
}

/** The members of a large room are told, one part after the other. */
export const TELL_REST: JobKind<Channel> = { ...TELL_GATHERED, name: 'notification-pass' }

/** The room as it is when it is told of. */
export interface ToldRoom {
  id: string
  name: string
  isDirect: boolean
  /** Whether it is that of two people alone. */
  isOneToOne: boolean
  /** Who is looking at it. */
  looking: ReadonlySet<string>
}

/** Somebody to be told of some entries, and whether they may be added to what they were told before. */
interface Telling {
  candidate: Candidate
  share: Share
  adds: boolean
}

/** What is to be told of one kind, not yet written. */
interface Collected {
  kind: NotificationKind
  tellings: readonly Telling[]
  throughSeq: number
}

export interface StepResult {
  /** To be published after commit. */
  events: UserEvent[]
  hasMore: boolean
}

export interface TellerOptions {
  jobs: Jobs
  channel: NotificationChannel
  isDoNotDisturb: IsDoNotDisturb
  windowMs: number
}

export type Teller = ReturnType<typeof createTeller>

export function createTeller({ jobs, channel, isDoNotDisturb, windowMs }: TellerOptions) {
  const sendTellGathered = (tx: Tx, data: Channel, startAfter: Date) =>
    jobs.send(TELL_GATHERED, data, { tx, key: `${data.roomId}:${data.kind}`, startAfter })

  /** Writes what was collected: all users' locks first, in one order. */
  async function tell(tx: Tx, room: ToldRoom, collected: readonly Collected[], now: Date): Promise<UserEvent[]> {
    const userIds = new Set(collected.flatMap(({ tellings }) => tellings.map(({ candidate }) => candidate.userId)))
    if (userIds.size === 0) return []
    await lockUserLogs(tx, [...userIds])
    const events: UserEvent[] = []
    // What happened last is told last, and stands first in the inbox.
    const inOrder = collected.filter(({ tellings }) => tellings.length > 0).sort((a, b) => newestOf(a) - newestOf(b))
    for (const one of inOrder) events.push(...(await tellKind(tx, room, one, now)))
    return events
  }

  async function tellKind(tx: Tx, room: ToldRoom, { kind, tellings, throughSeq }: Collected, now: Date) {
    const told = await store(tx, room, { kind, tellings, throughSeq }, now)
    const { actors, texts } = await readNewest(tx, {
      actorIds: [...new Set(told.map(({ notification }) => notification.actorId))],
      messageIds: [...new Set(told.flatMap(({ notification }) => notification.messageId ?? []))],
    })
    const unread = await countUnread(
      tx,
      told.map(({ notification }) => notification.userId),
    )
    const drafts = told.map(({ notification, isNew }) => {
      const { userId, actorId, version: _, ...rest } = notification
      const actor = actors.get(actorId)
      // People's rows stay.
      if (!actor) throw new Error(`the user ${actorId} is missing`)
      const record: NotificationRecord = { ...rest, actor }
      const type = isNew ? ('NotificationAdded' as const) : ('NotificationUpdated' as const)
      return { userId, event: { type, notification: record, unreadCount: unread.get(userId) ?? 0 } }
    })
    const events = await appendUserEvents(tx, drafts)
    const due = told.flatMap(({ candidate, notification }) => {
      if (isDoNotDisturb(candidate.doNotDisturb, now)) return []
      const actorName = actors.get(notification.actorId)?.name ?? ''
      const excerpt = texts.get(notification.messageId ?? '') ?? null
      return [toDue({ room, kind, candidate, notification, actorName, excerpt })]
    })
    await channel.plan(tx, due)
    return events
  }

  /** The notifications as they are from now on, and the windows in which what comes is gathered. */
  async function store(tx: Tx, room: ToldRoom, { kind, tellings, throughSeq }: Collected, now: Date) {
    const ids = tellings.flatMap(({ adds, candidate }) => (adds && candidate.notificationId) || [])
    const stored = new Map((await findStored(tx, ids)).map((one) => [one.id, one]))
    const told = tellings.map(({ candidate, share, adds }) => {
      const { newest, count } = share
      const before = adds ? stored.get(candidate.notificationId ?? '') : undefined
      const changed = { messageId: newest.messageId, actorId: newest.actorId, updatedAt: now }
      if (before && before.readAt === null && now.getTime() - before.createdAt.getTime() < MAX_ADDED_TO_MS) {
        const notification = { ...before, ...changed, count: before.count + count, version: before.version + 1 }
        return { candidate, notification, isNew: false }
      }
      const { userId } = candidate
      const made = { id: newId(), userId, roomId: room.id, kind: kind.name, createdAt: now, readAt: null }
      const notification: StoredNotification = { ...made, ...changed, count, version: 1 }
      return { candidate, notification, isNew: true }
    })
    const rows = (isNew: boolean) => told.filter((one) => one.isNew === isNew).map(({ notification }) => notification)
    await insertNotifications(tx, rows(true))
    await updateNotifications(tx, rows(false))
    const windows = told.map(({ notification: { id, userId } }) => ({ userId, notificationId: id, throughSeq }))
    await putWindows(tx, { roomId: room.id, kind: kind.name }, windows, new Date(now.getTime() + windowMs))
    return told
  }

  /** Those of these entries that can be told at once; the rest is stored, with the job that will tell it. */
  async function collect(
    tx: Tx,
    room: ToldRoom,
    {
      kind,
      drafts,
      batchSeq,
      now,
    }: { kind: NotificationKind; drafts: readonly EntryDraft[]; batchSeq: number; now: Date },
  ): Promise<Collected> {
    const nothing = { kind, tellings: [], throughSeq: batchSeq }
    const [first, last] = [drafts[0], drafts.at(-1)]
    if (!first || !last) return nothing
    const at = { roomId: room.id, kind: kind.name }
    const entries = drafts.map((draft): Entry => {
      const looking = draft === last ? [...room.looking] : []
      return { ...draft, batchSeq, looking, gatheredAt: now }
    })
    if (await findPass(tx, at)) {
      // It comes to them when it is done with those before.
      await insertEntries(tx, at, entries)
      return nothing
    }
    const candidates = await findCandidates(tx, {
      ...{ ...at, isDirect: room.isDirect, level: kind.level, now },
      ...{ userIds: audienceOf(entries), afterUserId: null, limit: USERS_PER_STEP },
    })
    const gathered = await findGathered(tx, at)
    const shareOf = createShares(entries)
    const shares = candidates.flatMap((candidate) => {
      const share = shareOf(candidate, 0)
      return share ? [{ candidate, share, adds: false }] : []
    })
    const tellings = shares.filter(({ candidate }) => isTellable(candidate, gathered, now))
    const isWhole = candidates.length < USERS_PER_STEP
    const areAllTold = tellings.length === shares.length
    if (!isWhole || !areAllTold) await insertEntries(tx, at, entries)
    if (!isWhole) {
      const afterUserId = candidates.at(-1)?.userId ?? null
      await putPass(tx, at, { fromSeq: first.seq - 1, toSeq: batchSeq, afterUserId })
      await jobs.send(TELL_REST, at, { tx, key: `${room.id}:${kind.name}` })
    }
    if (!areAllTold) await sendTellGathered(tx, at, gathered.nextCloseAt ?? now)
    return { kind, tellings, throughSeq: batchSeq }
  }

  /** After telling: removes what everybody was told, and sees to it that the rest will be. */
  async function settle(tx: Tx, at: Channel): Promise<void> {
    await deleteToldEntries(tx, at)
    const { lastSeq, nextCloseAt } = await findGathered(tx, at)
    if (lastSeq !== null && nextCloseAt !== null) await sendTellGathered(tx, at, nextCloseAt)
  }

  return {
    /** Tells a room's new entries, by kind, up to the seq `batchSeq`. The caller holds the room's lock, and moves its position. */
    async tellNew(
      tx: Tx,
      room: ToldRoom,
      byKind: readonly { kind: NotificationKind; drafts: readonly EntryDraft[] }[],
      { batchSeq, now }: { batchSeq: number; now: Date },
    ): Promise<UserEvent[]> {
      const collected: Collected[] = []
      for (const one of byKind) collected.push(await collect(tx, room, { ...one, batchSeq, now }))
      return tell(tx, room, collected, now)
    },

    /** Tells those whose window has closed what was gathered meanwhile, some at a time. Under the room's lock. */
    async tellGathered(tx: Tx, room: ToldRoom, kind: NotificationKind, now: Date): Promise<StepResult> {
      const at = { roomId: room.id, kind: kind.name }
      const { lastSeq } = await findGathered(tx, at)
      if (lastSeq === null) return { events: [], hasMore: false }
      const filter = { ...at, isDirect: room.isDirect, level: kind.level, now, limit: USERS_PER_STEP }
      const closed = await findClosedWindows(tx, filter)
      const shareOf = createShares(await readEntries(tx, at, { after: 0, upTo: null }))
      const tellings = closed.flatMap((candidate): Telling[] => {
        const { throughSeq, closesAt, isWanted, userId } = candidate
        const share = isWanted && !room.looking.has(userId) ? shareOf(candidate, throughSeq ?? 0) : null
        return share ? [{ candidate, share, adds: closesAt !== null && share.first.gatheredAt <= closesAt }] : []
      })
      const events = await tell(tx, room, [{ kind, tellings, throughSeq: lastSeq }], now)
      const told = new Set(tellings.map(({ candidate }) => candidate.userId))
      const idle = closed.filter(({ userId }) => !told.has(userId)).map(({ userId }) => userId)
      await deleteWindows(tx, at, idle)
      await settle(tx, at)
      return { events, hasMore: closed.length === USERS_PER_STEP }
    },

    /** Tells the next members of a large room. Under the room's lock. */
    async tellRest(tx: Tx, room: ToldRoom, kind: NotificationKind, now: Date): Promise<StepResult> {
      const at = { roomId: room.id, kind: kind.name }
      const pass = await findPass(tx, at)
      if (!pass) return { events: [], hasMore: false }
      const entries = await readEntries(tx, at, { after: pass.fromSeq, upTo: pass.toSeq })
      const candidates = await findCandidates(tx, {
        ...{ ...at, isDirect: room.isDirect, level: kind.level, now },
        ...{ userIds: audienceOf(entries), afterUserId: pass.afterUserId, limit: USERS_PER_STEP },
      })
      const gathered = await findGathered(tx, at)
      const shareOf = createShares(entries)
      const tellings = candidates.flatMap((candidate): Telling[] => {
        if (room.looking.has(candidate.userId) || !isTellable(candidate, gathered, now)) return []
        const share = shareOf(candidate, candidate.throughSeq ?? 0)
        return share ? [{ candidate, share, adds: false }] : []
      })
      const events = await tell(tx, room, [{ kind, tellings, throughSeq: pass.toSeq }], now)
      const isDone = candidates.length < USERS_PER_STEP
      const hasNext = (gathered.lastSeq ?? 0) > pass.toSeq
      if (!isDone) await putPass(tx, at, { ...pass, afterUserId: candidates.at(-1)?.userId ?? null })
      else if (hasNext) {
        await putPass(tx, at, { fromSeq: pass.toSeq, toSeq: gathered.lastSeq ?? pass.toSeq, afterUserId: null })
      } else await deletePass(tx, at)
      await settle(tx, at)
      return { events, hasMore: !isDone || hasNext }
    },
  }
}

function newestOf({ tellings }: Collected): number {
  return Math.max(...tellings.map(({ share }) => share.newest.seq))
}

/** Everybody who may be among those whom the entries are for; null: all members. */
function audienceOf(entries: readonly Entry[]): string[] | null {
  if (entries.some(({ isForAll }) => isForAll)) return null
  return [...new Set(entries.flatMap(({ audience }) => audience))]
}

function toDue({
  room,
  kind,
  candidate,
  notification,
  actorName,
  excerpt,
}: {
  room: ToldRoom
  kind: NotificationKind
  candidate: Candidate
  notification: StoredNotification
  actorName: string
  excerpt: string | null
}): DueNotification {
  const { id, version, userId, count, createdAt } = notification
  const { name: roomName, isOneToOne } = room
  const { userSubject, pushPrivacy } = candidate
  const text = textFor(pushPrivacy, { kind, count, actorName, roomName, isOneToOne, excerpt })
  const isShown = pushPrivacy !== 'NONE'
  return {
    ...{ id, version, userId, userSubject, kind: kind.name, isUrgent: kind.isUrgent || room.isDirect },
    ...{ roomId: room.id, roomName: isShown ? roomName : null, actorName: isShown ? actorName : null },
    ...{ count, ...text, createdAt },
  }
}
