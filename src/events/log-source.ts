import type { Entry } from '../realtime/topic-log.ts'
import type { LogEvent, RoomEvent } from './room-event.ts'

/** What an event weighs beside its texts, roughly. Of text each code unit weighs two bytes. */
export const EVENT_BASE_BYTES = 600

/** A part of a room's log: the events with `after < seq <= upTo`, in order, at most `limit`. */
export interface LogRange {
  after: number
  upTo: number
  limit: number
  /** Leaves out messages that neither mention nor reply: they are for nobody in particular, and most of a log. */
  addressedOnly?: boolean
}

/**
 * A table whose rows are events of room logs. The log is the union of its sources: each seq stands in exactly one.
 * Features bring them: messages, whose rows are their own events, and rooms for everything in the log's own table.
 */
export interface LogSource {
  /** This source's events in the range, as far as retention has kept them. */
  readRoomEvents(roomId: string, range: LogRange): Promise<Entry<RoomEvent>[]>
}

/** A message that was deleted is an empty one from then on, to whoever reads its event. */
export function changesOf({ type }: LogEvent): Pick<Entry<LogEvent>, 'changesEarlier'> {
  return type === 'MessageDeleted' ? { changesEarlier: true } : {}
}
