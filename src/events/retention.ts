// Cuts the room logs behind the retention time. Messages stay (they are history); what goes is the reach of `after`.

import type { Clock } from '../platform/clock.ts'
import type { Db } from '../platform/db.ts'
import type { Logger } from '../platform/logger.ts'

const ROOMS_PER_ROUND = 200
const RUN_EVERY_MS = 60 * 60 * 1_000
const DAY_MS = 24 * 60 * 60 * 1_000

/** Moves the floor of every room's log over events older than `before`, and removes their rows. Returns the rooms cut. */
export async function cutRoomLogs(db: Db, before: Date): Promise<number> {
  let cut = 0
  for (let afterRoomId = '00000000-0000-0000-0000-000000000000'; ; ) {
    const rooms = await db.$queryRaw<{ id: string; floor: number }[]>`
      SELECT r."id", greatest(
        r."log_floor",
        coalesce((SELECT max(e."seq") FROM "room_events" e WHERE e."room_id" = r."id" AND e."created_at" < ${before}), 0),
        coalesce((SELECT max(m."seq") FROM "messages" m WHERE m."room_id" = r."id" AND m."created_at" < ${before}), 0)
      ) AS "floor"
      FROM "rooms" r
      WHERE r."id" > ${afterRoomId}::uuid AND r."last_seq" > r."log_floor"
      ORDER BY r."id" LIMIT ${ROOMS_PER_ROUND}`
    for (const { id, floor } of rooms) cut += await cutRoomLog(db, id, floor)
    const last = rooms.at(-1)
    if (!last) return cut
    afterRoomId = last.id
  }
}

async function cutRoomLog(db: Db, roomId: string, floor: number): Promise<number> {
  const [{ count }] = await db.$transaction([
    // First the floor, so that no reader ever meets a gap that the floor does not explain.
    db.room.updateMany({ where: { id: roomId, logFloor: { lt: floor } }, data: { logFloor: floor } }),
    db.roomEvent.deleteMany({ where: { roomId, seq: { lte: floor } } }),
  ])
  return count
}

/** Runs the cut now and every hour; any node may, several at once do no harm. Returns a function that ends it. */
export function startRetention({
  db,
  clock,
  days,
  logger,
}: {
  db: Db
  clock: Clock
  /** Days that the log reaches back; 0 keeps it for ever and starts nothing. */
  days: number
  logger: Logger
}): () => void {
  if (days === 0) return () => {}
  const run = () => {
    cutRoomLogs(db, new Date(clock.now() - days * DAY_MS))
      .then((rooms) => logger.info({ rooms }, 'room logs cut'))
      .catch((error) => logger.warn({ err: error }, 'room logs could not be cut, trying again in an hour'))
  }
  run()
  const timer = setInterval(run, RUN_EVERY_MS)
  timer.unref()
  return () => clearInterval(timer)
}
