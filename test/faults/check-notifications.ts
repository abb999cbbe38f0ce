// What people had to be told of: each event once to each of them, in their inbox and on all that is theirs, and nothing of
// what is nothing to them. It is counted from what was sent and who was a member, and not by the service's own reckoning.

import {
  type Absentee,
  type History,
  MAX_UNREAD,
  type NotificationHistory,
  type NotificationKind,
  type ReceivedTelling,
  type SendHistory,
  type StoredDelivery,
  type StoredNotification,
  type StoredRoom,
  type Target,
} from './history.ts'
import type { Violation, ViolationKind } from './violation.ts'

const NOWHERE = 'none'
/** What receivers answer when they have taken it. */
const TAKEN = 204

type Report = (kind: ViolationKind, what: string, room?: string, seqs?: readonly number[]) => void

export function checkNotifications(history: History): Violation[] {
  const found: Violation[] = []
  const report: Report = (kind, what, room = NOWHERE, seqs = []) => found.push({ kind, room, what, seqs })
  const { stored, targets, deliveries, pending } = history.notifications
  checkInboxes(history, report)
  const indexed = indexOf(history.notifications)
  for (const one of stored) checkVersions(one, targets, indexed, report)
  for (const delivery of deliveries) checkDelivery(delivery, indexed, report)
  for (const tellings of indexed.received.values()) checkReceived(tellings, indexed, report)
  checkUnread(history.notifications, report)
  for (const what of pending) report('pending', what)
  return found
}

interface Indexed {
  readonly stored: ReadonlyMap<string, StoredNotification>
  /** By placeOf. */
  readonly deliveries: ReadonlyMap<string, readonly StoredDelivery[]>
  readonly received: ReadonlyMap<string, readonly ReceivedTelling[]>
  /** Absentees who were members from the founding to the end, as room and user. */
  readonly steady: ReadonlySet<string>
}

function indexOf({ stored, deliveries, received, absentees }: NotificationHistory): Indexed {
  return {
    stored: new Map(stored.map((one) => [one.id, one])),
    deliveries: Map.groupBy(deliveries, placeOf),
    received: Map.groupBy(received, placeOf),
    steady: new Set(absentees.filter(({ isSteady }) => isSteady).map(({ room, user }) => `${room} ${user}`)),
  }
}

function checkUnread({ stored, unread }: NotificationHistory, report: Report): void {
  const counts = Map.groupBy(
    stored.filter(({ isRead }) => !isRead),
    ({ user }) => user,
  )
  for (const { user, said } of unread) {
    const truth = Math.min(counts.get(user)?.length ?? 0, MAX_UNREAD)
    if (said !== truth) report('miscounted', `${user} is said to have ${said} unread notifications, and has ${truth}`)
  }
}

/** An event that somebody is to be told of, and as what. */
interface Duty {
  readonly user: string
  readonly kind: NotificationKind
  readonly seq: number
  /** The message's id; null for all other types. */
  readonly message: string | null
}

function checkInboxes({ rooms, sends, notifications }: History, report: Report): void {
  const sent = new Map(sends.map((send) => [keyOf(send), send]))
  const absentees = Map.groupBy(notifications.absentees, ({ room }) => room)
  const stored = Map.groupBy(notifications.stored, ({ room }) => room)
  for (const room of rooms) {
    const here = absentees.get(room.room) ?? []
    checkRoom(room, here, dutiesOf(room, sent, here), stored.get(room.room) ?? [], report)
  }
  const known = new Set(rooms.map(({ room }) => room))
  for (const [room, all] of stored) {
    if (!known.has(room)) report('misdirected', `${all.length} notifications are about no room`, room)
  }
}

function checkRoom(
  { room }: StoredRoom,
  absentees: readonly Absentee[],
  duties: readonly Duty[],
  stored: readonly StoredNotification[],
  report: Report,
): void {
  const owed = Map.groupBy(duties, inboxOf)
  const told = Map.groupBy(stored, inboxOf)
  const levels = new Map(absentees.flatMap(({ user, isSteady, level }) => (isSteady ? [[user, level]] : [])))
  for (const inbox of new Set([...owed.keys(), ...told.keys()])) {
    const [mine, rows] = [owed.get(inbox) ?? [], told.get(inbox) ?? []]
    const { user = '', kind = 'MESSAGE' } = mine[0] ?? rows[0] ?? {}
    // Who was there at times may have seen it for themselves; who was away at times need not be told. Who wants nothing
    // was perhaps told of the room before they said so.
    const level = levels.get(user)
    const isExact = level !== undefined && !(kind === 'ROOM_ADDED' && level === 'NONE')
    checkInbox({ room, user, kind, isExact }, mine, rows, report)
  }
}

interface Inbox {
  readonly room: string
  readonly user: string
  readonly kind: NotificationKind
  /** Whether everything that they had to be told of must be there. */
  readonly isExact: boolean
}

function checkInbox(
  { room, user, kind, isExact }: Inbox,
  duties: readonly Duty[],
  stored: readonly StoredNotification[],
  report: Report,
): void {
  const count = stored.reduce((sum, row) => sum + row.count, 0)
  const seqs = duties.map(({ seq }) => seq)
  const what = `${user} was told of ${count} as ${kind}, and had to be told of ${duties.length}`
  const messages = new Set(duties.map(({ message }) => message))
  const strange = stored.filter(({ message }) => !messages.has(message))
  if (isExact && count < duties.length) report('untold', what, room, seqs)
  if (strange.length > 0) report('misdirected', `${user} was told, as ${kind}, of what is none to them`, room)
  else if (count > duties.length) report('retold', what, room, seqs)
}

const inboxOf = ({ user, kind }: { user: string; kind: string }) => `${user} ${kind}`

/** Of each event whom it is for, and as what: as one thing only, and never for who did it. */
function dutiesOf(
  { room, isDirect, events }: StoredRoom,
  sent: Map<string, SendHistory>,
  absentees: readonly Absentee[],
): Duty[] {
  const levels = new Map(absentees.map(({ user, level }) => [user, level]))
  const members = new Set(events.flatMap(({ type, user }) => (type === 'MemberJoined' && user ? [user] : [])))
  const usual = isDirect ? 'ALL' : 'MENTIONS'
  // What the database holds twice, or nobody has sent, is reported as that.
  const left = new Map(sent)
  return events.flatMap(({ type, seq, user: author, actor, id, clientMessageId }) => {
    if (type === 'MemberJoined' && author && author !== actor && !isDirect) {
      return [{ user: author, kind: 'ROOM_ADDED' as const, seq, message: null }]
    }
    const key = `${room} ${author} ${clientMessageId}`
    const send = type === 'MessageSent' ? left.get(key) : undefined
    if (!send) return []
    left.delete(key)
    return [...members].flatMap((user): Duty[] => {
      const kind = kindFor(user, send, levels.get(user) ?? usual)
      return kind && user !== author ? [{ user, kind, seq, message: id }] : []
    })
  })
}

function kindFor(user: string, { mentions, repliesTo }: SendHistory, level: string): NotificationKind | null {
  if (level === 'NONE') return null
  if (mentions === 'EVERYBODY' || mentions.includes(user)) return 'MENTION'
  if (repliesTo === user) return 'REPLY'
  return level === 'ALL' ? 'MESSAGE' : null
}

/** Each version is one event of its user's log, and one delivery for each target that it concerns. */
function checkVersions(
  notification: StoredNotification,
  targets: readonly Target[],
  { deliveries }: Indexed,
  report: Report,
): void {
  const { id, user, room, kind, version, events } = notification
  const what = `${user} has ${events} events of ${version} versions of ${kind} ${id}`
  if (events !== version) report(events < version ? 'untold' : 'retold', what, room)
  const concerned = targets.filter((target) => isFor(target, notification))
  for (const { address: target } of concerned) {
    for (let each = 1; each <= version; each++) {
      const count = deliveries.get(placeOf({ target, notification: id, version: each }))?.length ?? 0
      if (count === 1) continue
      report(count === 0 ? 'untold' : 'retold', `version ${each} of ${kind} ${id} has ${count} deliveries to ${target}`)
    }
  }
}

function isFor(target: Target, { user, kind }: StoredNotification): boolean {
  return (target.user === null || target.user === user) && (target.kinds === null || target.kinds.includes(kind))
}

/** What is said to be delivered was answered, and what was given up was so for a good reason. */
function checkDelivery(delivery: StoredDelivery, indexed: Indexed, report: Report): void {
  const { target, notification, version, user, state, error } = delivery
  const row = indexed.stored.get(notification)
  const name = `version ${version} of ${notification} to ${target}`
  if (row?.user !== user) report('misdirected', `${name} is for ${user}, and the notification for ${row?.user}`)
  else if (state === 'DELIVERED') {
    const got = indexed.received.get(placeOf(delivery)) ?? []
    if (!got.some(({ status }) => status === TAKEN))
      report('untold', `${name} is noted as delivered, and was not taken`)
  } else if (state !== 'DEAD') report('pending', `${name} is ${state}`)
  else if (!isRightlyDead(delivery, row, indexed)) report('untold', `${name} was given up: ${error}`, row.room)
}

function isRightlyDead(
  { target, notification, version, user, error }: StoredDelivery,
  { room }: StoredNotification,
  { deliveries, steady }: Indexed,
): boolean {
  const hasLater = deliveries.has(placeOf({ target, notification, version: version + 1 }))
  if (/later version/.test(error ?? '')) return hasLater
  return /may not read/.test(error ?? '') && !steady.has(`${room} ${user}`)
}

/** Who drops what they know by its identity has each version once, and the last shows what is stored. */
function checkReceived(tellings: readonly ReceivedTelling[], { stored, deliveries }: Indexed, report: Report): void {
  const [first] = tellings
  if (!first) return
  const { target, notification, version, user } = first
  const name = `version ${version} of ${notification} to ${target}`
  const identities = new Set(tellings.map(({ identity }) => identity))
  if (identities.size > 1) report('retold', `${name} came under ${identities.size} identities`)
  else if (new Set(tellings.map(({ digest }) => digest)).size > 1) report('retold', `${name} came as another one again`)
  const rows = deliveries.get(placeOf(first)) ?? []
  if (!rows.some(({ identity }) => identities.has(identity))) report('misdirected', `${name} is not in the database`)
  const row = stored.get(notification)
  if (row?.user !== user) report('misdirected', `${name} came to ${user}, and is for ${row?.user}`)
  else if (!isCountedRightly(first, row)) report('miscounted', `${name} shows ${first.count} of ${row.count}`)
}

/** The last version stands for all, and each before it for fewer. */
function isCountedRightly({ version, count }: ReceivedTelling, row: StoredNotification): boolean {
  return version === row.version ? count === row.count : version < row.version && count < row.count
}

/** A notification's version at a target. */
function placeOf({
  target,
  notification,
  version,
}: Pick<StoredDelivery, 'target' | 'notification' | 'version'>): string {
  return `${target} ${notification} ${version}`
}

function keyOf({ room, user, clientMessageId }: SendHistory): string {
  return `${room} ${user} ${clientMessageId}`
}
