import {
  badArgument,
  decodeCursor,
  encodeCursor,
  type PageArgs,
  readPage,
  readSize,
  toConnection,
} from '../graphql/page.ts'
import { LAST_SEQ, type MessageRecord } from './message-record.ts'
import type { MessagePage, Messages } from './service.ts'

export interface HistoryArgs extends PageArgs {
  aroundSeq?: number | null
}

/** A room's history as a Relay connection. By default the newest messages; always oldest to newest. */
export async function resolveHistory(messages: Messages, roomId: string, args: HistoryArgs) {
  if (args.aroundSeq == null) return connect(await messages.listMessages(roomId, readPage(args, decodeSeq, 'end')))
  if (args.after != null || args.before != null || args.last != null) {
    throw badArgument('aroundSeq', '`aroundSeq` goes with `first` only.')
  }
  if (args.aroundSeq < 0) throw badArgument('aroundSeq', '`aroundSeq` is 0 or more.', 0)
  return connect(await messages.listMessagesAround(roomId, args.aroundSeq, readSize('first', args.first)))
}

function connect({ messages, ...neighbours }: MessagePage) {
  return toConnection(messages, ({ seq }: MessageRecord) => encodeCursor(seq), neighbours)
}

function decodeSeq(cursor: string): number | null {
  const [seq, ...rest] = decodeCursor(cursor) ?? []
  const fits = Number.isInteger(seq) && Number(seq) >= 0 && Number(seq) <= LAST_SEQ
  return fits && rest.length === 0 ? Number(seq) : null
}
