import { GateError } from '../platform/errors.ts'
import type { SessionEnd } from '../platform/session.ts'

/** Why a stream ends that its reader has not ended. */
export type StreamEndReason = 'LEFT' | 'REMOVED' | 'BANNED' | 'ROOM_ARCHIVED' | SessionEnd

/** The last item of a stream whose reader has lost the right to it. */
export class StreamEnd {
  readonly reason: StreamEndReason

  constructor(reason: StreamEndReason) {
    this.reason = reason
  }
}

const MESSAGES: Record<StreamEndReason, string> = {
  LEFT: 'You have left the room.',
  REMOVED: 'You were removed from the room.',
  BANNED: 'You are banned from the room.',
  ROOM_ARCHIVED: 'The room was archived: it can be read, but nothing happens there any more.',
  TOKEN_EXPIRED: 'The token has expired.',
  TOKEN_REVOKED: 'The token was revoked.',
}

/** The item, unless it is the end: that is told as an error. */
export function throwIfEnd<T>(item: T | StreamEnd): T {
  if (!(item instanceof StreamEnd)) return item
  const { reason } = item
  const message = MESSAGES[reason]
  if (reason === 'TOKEN_EXPIRED') throw new GateError('TOKEN_EXPIRED', message, { retryable: true })
  if (reason === 'TOKEN_REVOKED') throw new GateError('TOKEN_REVOKED', message, { retryable: true })
  throw new GateError('STREAM_ENDED', message, { reason })
}
