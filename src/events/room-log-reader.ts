// The logs of rooms, put together from the tables in which their events stand.

import type { Db } from '../platform/db.ts'
import type { Entry } from '../realtime/topic-log.ts'
import type { LogRange, LogSource } from './log-source.ts'
import type { RoomEvent } from './room-event.ts'

export interface RoomLogReader {
  /**
   * The events of a range whose `upTo` is at or below a head seen before. Without a gap, except that what retention
   * removed is missing at the beginning. Throws when there is one.
   */
  read(roomId: string, range: Omit<LogRange, 'addressedOnly'>): Promise<Entry<RoomEvent>[]>
  /** The events of a range but messages that neither mention nor reply: those the database passes over, row by row. */
  readAddressed(roomId: string, range: Omit<LogRange, 'addressedOnly'>): Promise<Entry<RoomEvent>[]>
}

export function createRoomLogReader(db: Db, sources: readonly LogSource[]): RoomLogReader {
  return {
    async read(roomId, range) {
      const entries = await readSources(sources, roomId, range)
      if (isWhole(entries, range.after, range.upTo)) return entries
      const after = Math.max(range.after, await findFloor(db, roomId))
      const kept = await readSources(sources, roomId, { ...range, after })
      if (!isWhole(kept, after, range.upTo)) throw new Error(`the log of room ${roomId} has a gap after ${range.after}`)
      return kept
    },

    async readAddressed(roomId, range) {
      const read = (source: LogSource) => source.readRoomEvents(roomId, { ...range, addressedOnly: true })
      return merge(await Promise.all(sources.map(read)), range.limit)
    },
  }
}

/** Asks the sources in their order until the range is whole: in most ranges every event is a message. */
async function readSources(
  sources: readonly LogSource[],
  roomId: string,
  { after, upTo, limit }: LogRange,
): Promise<Entry<RoomEvent>[]> {
  let entries: Entry<RoomEvent>[] = []
  // What lies behind as many entries as are wanted need not be asked for.
  let last = upTo
  for (const source of sources) {
    const more = await source.readRoomEvents(roomId, { after, upTo: last, limit })
    entries = merge([entries, more], limit)
    last = entries[limit - 1]?.seq ?? upTo
    if (entries.at(-1)?.seq === last && isWhole(entries, after, last)) break
  }
  return entries
}

function merge(parts: readonly Entry<RoomEvent>[][], limit: number): Entry<RoomEvent>[] {
  return parts
    .flat()
    .sort((a, b) => a.seq - b.seq)
    .slice(0, limit)
}

/** Whether the entries follow `after` without a gap. */
function isWhole(entries: readonly Entry<RoomEvent>[], after: number, upTo: number): boolean {
  const last = entries.at(-1)
  return last ? last.seq - after === entries.length : upTo <= after
}

/** Up to where retention has cut the room's log; asked only when a read shows a gap. */
async function findFloor(db: Db, roomId: string): Promise<number> {
  const room = await db.room.findUnique({ where: { id: roomId }, select: { logFloor: true } })
  return room?.logFloor ?? 0
}
