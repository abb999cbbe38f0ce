// A broken promise, and the shortest part of the history that shows it.

import type { History, Opening, SeenItem, SendHistory, StoredEvent, StreamHistory } from './history.ts'

/**
 * - `lost`: an acknowledged message is not in the database, or a stream passed over an event or did not come to the head.
 * - `doubled`: a stream brought an event again, or the database holds a message twice.
 * - `reordered`: an event came after a later one.
 * - `leaked`: a stream brought what its user had no right to.
 * - `gap`: the database lacks a seq.
 * - `contradiction`: an answer to a send says something else than another, or than the database.
 * - `foreign`: a stream brought what the database does not hold there, or the database holds what nobody has sent.
 * - `ghost`, `unseen`: a node names a user who is not there, or does not name one who is.
 * - `untold`: somebody was not told of what they had to be told of, in their inbox or on a device.
 * - `retold`: somebody was told of something as another thing again.
 * - `misdirected`: somebody was told of what is nothing to them.
 * - `miscounted`: the numbers that are told are not those that are stored.
 * - `fileLost`: a message lacks a file that it was sent with, or the file is not whole.
 * - `orphan`: the storage holds what nobody knows.
 * - `pending`: the service has not done what it owed, though it had the time.
 */
export type ViolationKind =
  | 'lost'
  | 'doubled'
  | 'reordered'
  | 'leaked'
  | 'gap'
  | 'contradiction'
  | 'foreign'
  | 'ghost'
  | 'unseen'
  | 'untold'
  | 'retold'
  | 'misdirected'
  | 'miscounted'
  | 'pending'
  | 'fileLost'
  | 'orphan'

export interface Violation {
  readonly kind: ViolationKind
  readonly room: string
  readonly what: string
  /** In rising order; empty where no event is concerned. */
  readonly seqs: readonly number[]
  readonly stream?: StreamHistory
  readonly send?: SendHistory
}

/** Beyond so many lines of one kind their middle is left out. */
const MAX_LINES = 12

/** The violation with the openings, answers and rows that it is about, and nothing else. */
export function describeViolation({ kind, room, what, seqs, stream, send }: Violation, history: History): string {
  const lines = [`${kind.toUpperCase()} in room ${room}: ${what}`]
  if (stream) lines.push(...describeStream(stream, seqs))
  if (send) lines.push(...describeSend(send))
  lines.push(...describeRows(room, seqs, send, history))
  if (kind === 'leaked' && stream) lines.push(...describeMembership(stream, history))
  return lines.join('\n  ')
}

function describeStream({ client, user, openings }: StreamHistory, seqs: readonly number[]): string[] {
  const [low, high] = [(seqs[0] ?? 0) - 1, (seqs.at(-1) ?? 0) + 1]
  const lines = openings.flatMap((opening) => {
    const shown = opening.items.filter(({ seq }) => seq >= low && seq <= high)
    if (shown.length === 0 && !isBeside(opening, low, high)) return []
    const items = shortened(shown.map(describeItem))
    return [`opened at ${at(opening.openedAtMs)} after ${opening.after ?? 'the head'}`, ...items, `  ${opening.end}`]
  })
  return [`client ${client} of user ${user} saw`, ...lines.map((line) => `  ${line}`)]
}

/** An opening without any of the items belongs to the story where they should have been in it. */
function isBeside({ after, items }: Opening, low: number, high: number): boolean {
  const end = items.at(-1)?.seq ?? after ?? 0
  return (after ?? 0) <= high && end >= low
}

function describeItem({ type, seq, id, atMs }: SeenItem): string {
  return `  ${seq} ${type}${id === null ? '' : ` ${id}`} at ${at(atMs)}`
}

function describeSend({ client, clientMessageId, attempts, acks, refusals }: SendHistory): string[] {
  const answers = [...acks.map(({ seq, id }) => `acknowledged as ${seq} ${id}`), ...refusals]
  return [`client ${client} sent ${clientMessageId} ${attempts} times: ${answers.join(', ') || 'no answer'}`]
}

function describeRows(room: string, seqs: readonly number[], send: SendHistory | undefined, history: History) {
  const concerned = new Set(seqs)
  const stored = history.rooms.find((each) => each.room === room)
  if (!stored) return []
  const rows = stored.events.filter(
    ({ seq, clientMessageId }) =>
      concerned.has(seq) || (send !== undefined && clientMessageId === send.clientMessageId),
  )
  const lines = shortened(rows.map(describeRow))
  return [`the database has the head ${stored.lastSeq} and${lines.length === 0 ? ' no such row' : ''}`, ...lines]
}

function describeRow({ seq, type, id, user, clientMessageId }: StoredEvent): string {
  return `  ${seq} ${[type, id, `user ${user}`, clientMessageId].filter((part) => part !== null).join(' ')}`
}

function describeMembership({ room, user }: StreamHistory, history: History): string[] {
  const rows = history.rooms.find((each) => each.room === room)?.events ?? []
  const own = rows.filter((row) => row.user === user && /^Member(Joined|Left)$/.test(row.type)).map(describeRow)
  const tried = history.memberships
    .filter((change) => change.room === room && change.user === user)
    .map(({ kind, startedAtMs }) => `  ${kind} begun at ${at(startedAtMs)}`)
  return ['their membership', ...own, ...tried]
}

function shortened(lines: string[]): string[] {
  if (lines.length <= MAX_LINES) return lines
  const half = MAX_LINES / 2
  return [...lines.slice(0, half), `  … ${lines.length - MAX_LINES} more …`, ...lines.slice(-half)]
}

function at(timeMs: number): string {
  return `${Math.round(timeMs)} ms`
}
