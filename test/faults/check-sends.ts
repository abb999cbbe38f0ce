// What a send may come to: acknowledged, it is in the database once, as the answer says; without an answer, at most once.

import type { SendHistory, StoredEvent, StoredRoom } from './history.ts'
import type { Violation } from './violation.ts'

/** What becomes of a repetition when its author has left meanwhile. */
const MEMBERSHIP: ReadonlySet<string> = new Set(['NOT_FOUND', 'NOT_A_MEMBER'])

export function checkSends(sends: readonly SendHistory[], rooms: ReadonlyMap<string, StoredRoom>): Violation[] {
  const rows = new Map<string, StoredEvent[]>()
  for (const { room, events } of rooms.values()) {
    for (const event of events) {
      if (event.type !== 'MessageSent') continue
      const key = keyOf(room, event.user, event.clientMessageId)
      rows.set(key, [...(rows.get(key) ?? []), event])
    }
  }
  const violations: Violation[] = []
  for (const send of sends) {
    const key = keyOf(send.room, send.user, send.clientMessageId)
    violations.push(...checkSend(send, rows.get(key) ?? []))
    rows.delete(key)
  }
  // What is left has no send.
  for (const [key, events] of rows) {
    const [room = ''] = key.split(' ')
    const seqs = events.map(({ seq }) => seq)
    violations.push({ kind: 'foreign', room, what: 'the database holds messages that nobody has sent', seqs })
  }
  return violations
}

function checkSend(send: SendHistory, rows: readonly StoredEvent[]): Violation[] {
  const { room, acks, refusals, attempts } = send
  const seqs = rows.map(({ seq }) => seq)
  const found: Violation[] = []
  const report = (kind: Violation['kind'], what: string) => found.push({ kind, room, what, seqs, send })
  if (rows.length > 1) report('doubled', 'the database holds a message twice')
  if (acks.length > 0 && rows.length === 0) report('lost', 'an acknowledged message is not in the database')
  const isTold = (row: StoredEvent) => acks.every(({ seq, id }) => seq === row.seq && id === row.id)
  if (rows.length > 0 && !rows.some(isTold)) report('contradiction', 'an answer names another message')
  // After a repetition the refusal may stand for a later attempt than the one that was stored.
  const isFinal = attempts === 1 || refusals.some((code) => !MEMBERSHIP.has(code))
  if (refusals.length > 0 && isFinal && rows.length > 0) report('contradiction', 'a refused message was stored')
  return found
}

function keyOf(room: string, user: string | null, clientMessageId: string | null): string {
  return `${room} ${user} ${clientMessageId}`
}
