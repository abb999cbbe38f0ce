import type { RoomEvent } from './room-event.ts'

/**
 * A table whose rows are events of room logs. The log is the union of its sources: each seq stands in exactly one.
 * A feature whose rows are their own events (messages) brings its source; the rest stands in the log's own table.
 */
export interface LogSource {
  /** This source's events with `after < seq <= upTo` that retention has kept, in order, at most `limit`. */
  readRoomEvents(roomId: string, after: number, upTo: number, limit: number): Promise<RoomEvent[]>
}
