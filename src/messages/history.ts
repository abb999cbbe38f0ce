import { DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE } from '../graphql/builder.ts'
import { GateError } from '../platform/errors.ts'
import { decodeCursor, encodeCursor } from './history-cursor.ts'
import type { MessageRecord } from './message-record.ts'
import type { MessagePage, Messages } from './service.ts'

export interface HistoryArgs {
  first?: number | null
  last?: number | null
  after?: string | null
  before?: string | null
  aroundSeq?: number | null
}

/** A room's history as a Relay connection. By default the newest messages; always oldest to newest. */
export async function resolveHistory(messages: Messages, roomId: string, args: HistoryArgs) {
  if (args.aroundSeq != null) {
    if (args.after != null || args.before != null || args.last != null) {
      throw badArgument('aroundSeq', '`aroundSeq` goes with `first` only.')
    }
    if (args.aroundSeq < 0) throw badArgument('aroundSeq', '`aroundSeq` is 0 or more.')
    return toConnection(await messages.listMessagesAround(roomId, args.aroundSeq, pageSize('first', args.first)))
  }
  if (args.first != null && args.last != null) throw badArgument('last', 'Give `first` or `last`, not both.')
  // Without a direction: after a cursor goes on from there, everything else ends at the newest.
  const fromStart = args.first != null || (args.last == null && args.after != null && args.before == null)
  const page = await messages.listMessages(roomId, {
    after: args.after == null ? null : decodeCursor(args.after, 'after'),
    before: args.before == null ? null : decodeCursor(args.before, 'before'),
    limit: fromStart ? pageSize('first', args.first) : pageSize('last', args.last),
    from: fromStart ? 'start' : 'end',
  })
  return toConnection(page)
}

function pageSize(field: string, size: number | null | undefined): number {
  if (size == null) return DEFAULT_PAGE_SIZE
  if (size < 0 || size > MAX_PAGE_SIZE)
    throw badArgument(field, `\`${field}\` is 0 to ${MAX_PAGE_SIZE}.`, MAX_PAGE_SIZE)
  return size
}

function badArgument(field: string, message: string, limit?: number): GateError {
  return new GateError('BAD_USER_INPUT', message, { field, ...(limit === undefined ? {} : { limit }) })
}

function toConnection({ messages, hasPreviousPage, hasNextPage }: MessagePage) {
  const edges = messages.map((node: MessageRecord) => ({ cursor: encodeCursor(node.seq), node }))
  return {
    edges,
    pageInfo: {
      hasPreviousPage,
      hasNextPage,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
  }
}
