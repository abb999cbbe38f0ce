// Who may see what of a private room: its members, all of it; who has left, nothing that came after their MemberLeft.
// Who is added again may read what they missed, but on a new stream and not before they were added.

import { MARKS, type MembershipChange, type Opening, type StoredRoom, type StreamHistory } from './history.ts'
import type { Violation } from './violation.ts'

interface Stay {
  /** Nobody could see it as their right before. */
  readonly addedAtMs: number
  /** Infinity while they are members. */
  readonly leftSeq: number
  /** When they began to leave: streams that were open by then must end. */
  readonly leaveStartedAtMs: number
}

export function checkRights(
  stream: StreamHistory,
  stored: StoredRoom | undefined,
  changes: readonly MembershipChange[],
): Violation[] {
  if (!stored?.isPrivate) return []
  const stays = staysOf(stream.user, stored, changes)
  const leaked = new Set(stream.openings.flatMap((opening) => leaksOf(opening, stays)))
  if (leaked.size === 0) return []
  const seqs = [...leaked].toSorted((a, b) => a - b)
  return [{ kind: 'leaked', room: stream.room, what: 'a stream brought what its user may not see', seqs, stream }]
}

function leaksOf({ items }: Opening, stays: readonly Stay[]): number[] {
  // The first item proves that the stream was accepted.
  const acceptedAtMs = items[0]?.atMs ?? 0
  return items.flatMap(({ seq, atMs, type }) => {
    if (MARKS.has(type)) return []
    const isTheirs = stays.some((stay) => seq <= stay.leftSeq && atMs >= stay.addedAtMs)
    const hadToEnd = stays.some((stay) => seq > stay.leftSeq && acceptedAtMs < stay.leaveStartedAtMs)
    return isTheirs && !hadToEnd ? [] : [seq]
  })
}

/** Their order is the log's; the times are those of the changes that were asked for. */
function staysOf(user: string, stored: StoredRoom, changes: readonly MembershipChange[]): Stay[] {
  const own = changes.filter((change) => change.user === user && change.room === stored.room)
  const rows = stored.events.filter((event) => event.user === user)
  const lefts = rows.filter(({ type }) => type === 'MemberLeft').map(({ seq }) => seq)
  const joins = rows.filter(({ type }) => type === 'MemberJoined')
  const [adds, leaves] = [timesOf(own, 'add'), timesOf(own, 'leave')]
  // Who came with the room has one join that nobody asked for, and it is the first.
  const unasked = joins.length - adds.length
  // A change that the log has more or less often than it was asked for cannot be told apart: its time proves nothing.
  const timesAreKnown = lefts.length === leaves.length && (unasked === 0 || unasked === 1)
  const time = (times: readonly number[], index: number) =>
    (timesAreKnown ? times[index] : undefined) ?? Number.NEGATIVE_INFINITY
  return joins.map((_, index) => ({
    addedAtMs: time(adds, index - unasked),
    leftSeq: lefts[index] ?? Number.POSITIVE_INFINITY,
    leaveStartedAtMs: time(leaves, index),
  }))
}

function timesOf(changes: readonly MembershipChange[], kind: MembershipChange['kind']): number[] {
  return changes.filter((change) => change.kind === kind).map(({ startedAtMs }) => startedAtMs)
}
