// What the statements of a resuming node are for, by their text.

import type { StatementCount } from './postgres.ts'

/** The first that fits. What fits none counts as `other`, and against the target like the rooms' own. */
const KINDS = [
  ['session', /^\s*(BEGIN|COMMIT|ROLLBACK|SET|SHOW|DISCARD|DEALLOCATE)\b|pg_catalog|_prisma_migrations/i],
  ['sign-in', /\b(INSERT INTO|UPDATE)\s+("public"\.)?"users"/i],
  ['log', /"(messages|room_events|user_events)"/],
  ['rooms', /"rooms"/],
  ['users', /"users"/],
] as const

export type StatementKind = (typeof KINDS)[number][0] | 'other'

/** Who signs in is counted apart: that is a statement for a user, and not for a room. */
const APART: readonly StatementKind[] = ['session', 'sign-in', 'users']

export function countByKind(statements: readonly StatementCount[]): Record<StatementKind, number> {
  const counts = { session: 0, 'sign-in': 0, log: 0, rooms: 0, users: 0, other: 0 }
  for (const { query, calls } of statements) {
    const kind = KINDS.find(([, pattern]) => pattern.test(query))?.[0] ?? 'other'
    counts[kind] += calls
  }
  return counts
}

/** All statements that the rooms have cost: authorisation, heads, and the log. */
export function forRooms(counts: Record<StatementKind, number>): number {
  return Object.entries(counts).reduce(
    // The keys are those of the type.
    (sum, [kind, count]) => (APART.includes(kind as StatementKind) ? sum : sum + count),
    0,
  )
}

/** For people to read: statements that begin alike are one (lists of other lengths, for example), the most frequent first. */
export function groupByBeginning(statements: readonly StatementCount[]): [string, number][] {
  const groups = new Map<string, number>()
  for (const { query, calls } of statements) {
    const beginning = query.replace(/\s+/g, ' ').slice(0, 150)
    groups.set(beginning, (groups.get(beginning) ?? 0) + calls)
  }
  return [...groups].sort(([, a], [, b]) => b - a)
}
