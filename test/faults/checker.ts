// Judges a history: pure, and by nothing but what clients saw and what the database holds. It must catch every broken
// promise of its kinds and must not cry wolf: where a history cannot prove a violation, there is none.

import { checkFiles } from './check-files.ts'
import { checkNotifications } from './check-notifications.ts'
import { checkRights } from './check-rights.ts'
import { checkSends } from './check-sends.ts'
import { checkStream } from './check-streams.ts'
import type { History, PresenceReport, StoredRoom } from './history.ts'
import type { Violation, ViolationKind } from './violation.ts'

export function checkHistory(history: History): Violation[] {
  const rooms = new Map(history.rooms.map((room) => [room.room, room]))
  return [
    ...history.rooms.flatMap(checkRoom),
    ...checkSends(history.sends, rooms),
    ...history.streams.flatMap((stream) => {
      const stored = rooms.get(stream.room)
      return [...checkStream(stream, stored), ...checkRights(stream, stored, history.memberships)]
    }),
    ...history.presence.flatMap(checkPresence),
    ...checkNotifications(history),
    ...checkFiles(history),
  ]
}

/** How many of each kind; an event counts for each stream that it concerns. */
export function countViolations(violations: readonly Violation[]): Record<ViolationKind, number> {
  const counts = {
    lost: 0,
    doubled: 0,
    reordered: 0,
    leaked: 0,
    gap: 0,
    contradiction: 0,
    foreign: 0,
    ghost: 0,
    unseen: 0,
    untold: 0,
    retold: 0,
    misdirected: 0,
    miscounted: 0,
    pending: 0,
    fileLost: 0,
    orphan: 0,
  }
  for (const { kind, seqs } of violations) counts[kind] += Math.max(1, seqs.length)
  return counts
}

/** Seqs 1, 2, 3 … up to the head, each once, and a message's id once. */
function checkRoom({ room, lastSeq, events }: StoredRoom): Violation[] {
  const seqs = new Set<number>()
  const ids = new Set<string>()
  const twice: number[] = []
  for (const { seq, id } of events) {
    if (seqs.has(seq) || (id !== null && ids.has(id))) twice.push(seq)
    seqs.add(seq)
    if (id !== null) ids.add(id)
  }
  const absent: number[] = []
  // Not spread into the arguments: a long log has more seqs than a call may have.
  const head = events.reduce((highest, { seq }) => Math.max(highest, seq), lastSeq)
  for (let seq = 1; seq <= head; seq++) if (!seqs.has(seq) || seq > lastSeq) absent.push(seq)
  return [
    violationOf('doubled', room, 'the database holds an event twice', twice),
    violationOf('gap', room, 'the log has a gap, or goes beyond its head', absent),
  ].filter(({ seqs }) => seqs.length > 0)
}

function violationOf(kind: ViolationKind, room: string, what: string, seqs: readonly number[]): Violation {
  return { kind, room, what, seqs }
}

function checkPresence({ node, room, said, connected }: PresenceReport): Violation[] {
  const [sayings, truth] = [new Set(said), new Set(connected)]
  return [
    ...said
      .filter((user) => !truth.has(user))
      .map((user) => violationOf('ghost', room, `${node} says that ${user} is present, who is not`, [])),
    ...connected
      .filter((user) => !sayings.has(user))
      .map((user) => violationOf('unseen', room, `${node} does not say that ${user} is present`, [])),
  ]
}
