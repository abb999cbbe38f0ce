// The arguments and answers of connections (Relay, Cursor Connections). Cursors hold what their list is ordered by, so
// that a page goes on rightly when the object at its cursor has been changed or removed meanwhile.

import { GateError } from '../platform/errors.ts'
import type { PageRange } from '../platform/page-range.ts'
import { DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE } from './builder.ts'

export interface PageArgs {
  first?: number | null
  last?: number | null
  after?: string | null
  before?: string | null
}

const MAX_CURSOR_LENGTH = 8_000

/**
 * The range that a connection's arguments ask for; `decode` gives null for what is no cursor of the list. Without `first`
 * and `last` a single cursor tells the direction, else it is `byDefault`. Throws BAD_USER_INPUT with the field and limit.
 */
export function readPage<Cursor>(
  { first, last, after, before }: PageArgs,
  decode: (cursor: string) => Cursor | null,
  byDefault: 'start' | 'end' = 'start',
): PageRange<Cursor> {
  if (first != null && last != null) throw badArgument('last', 'Give `first` or `last`, not both.')
  const bound = (field: string, cursor: string | null | undefined) => {
    if (cursor == null) return null
    const decoded = cursor.length > MAX_CURSOR_LENGTH ? null : decode(cursor)
    if (decoded === null) throw badArgument(field, 'The cursor is not one that this list has given.')
    return decoded
  }
  const onlyAfter = after != null && before == null
  const onlyBefore = before != null && after == null
  const from = first != null || (last == null && onlyAfter) ? 'start' : last != null || onlyBefore ? 'end' : byDefault
  return {
    after: bound('after', after),
    before: bound('before', before),
    limit: from === 'start' ? readSize('first', first) : readSize('last', last),
    from,
  }
}

/** How many objects a page may hold, by this argument. Throws BAD_USER_INPUT. */
export function readSize(field: string, size: number | null | undefined): number {
  if (size == null) return DEFAULT_PAGE_SIZE
  if (size >= 0 && size <= MAX_PAGE_SIZE) return size
  throw badArgument(field, `\`${field}\` is 0 to ${MAX_PAGE_SIZE}.`, MAX_PAGE_SIZE)
}

/**
 * The connection of what stands in the range, in the list's order. `found` holds one more than `limit` where there is
 * one, on the open side of the page.
 */
export function toPage<Node>(
  { after, before, limit, from }: PageRange<unknown>,
  found: readonly Node[],
  cursorOf: (node: Node) => string,
) {
  const more = found.length > limit
  const nodes = from === 'start' ? found.slice(0, limit) : found.slice(Math.max(0, found.length - limit))
  return toConnection(nodes, cursorOf, {
    hasPreviousPage: after !== null || (from === 'end' && more),
    hasNextPage: before !== null || (from === 'start' && more),
  })
}

export function toConnection<Node>(
  nodes: readonly Node[],
  cursorOf: (node: Node) => string,
  neighbours: { hasPreviousPage: boolean; hasNextPage: boolean },
) {
  const edges = nodes.map((node) => ({ cursor: cursorOf(node), node }))
  return {
    edges,
    pageInfo: { ...neighbours, startCursor: edges[0]?.cursor ?? null, endCursor: edges.at(-1)?.cursor ?? null },
  }
}

/** A cursor that holds these values; opaque to clients. */
export function encodeCursor(...values: (string | number)[]): string {
  return Buffer.from(JSON.stringify(values)).toString('base64url')
}

/** The values of a cursor; null for what never was one. */
export function decodeCursor(cursor: string): unknown[] | null {
  try {
    const values: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    return Array.isArray(values) ? values : null
  } catch {
    return null
  }
}

export function badArgument(field: string, message: string, limit?: number): GateError {
  return new GateError('BAD_USER_INPUT', message, { field, ...(limit === undefined ? {} : { limit }) })
}
