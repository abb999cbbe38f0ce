// Cuts the room logs behind the retention time. Messages stay (they are history); what goes is the reach of `after`.
// A floor moves in the same statement as its rows go, so no reader ever meets a gap that the floor does not explain.

import type { Clock } from '../platform/clock.ts'
import type { Db } from '../platform/db.ts'
import type { Logger } from '../platform/logger.ts'

const ROOMS_PER_BATCH = 200
/** How far a floor moves at once, so that no statement runs long. */
const SEQS_PER_CUT = 20_000
/** Held by the node that is cutting, as a Postgres advisory lock. Any constant that nothing else here uses. */
const ADVISORY_LOCK = 7_604_211
const RUN_EVERY_MS = 60 * 60 * 1_000
const DAY_MS = 24 * 60 * 60 * 1_000

interface Cut {
  db: Db
  logger: Logger
  /** Ends the cut early. */
  signal?: AbortSignal
}

/**
 * Moves the floor of every room's log over events older than `before`, and removes their rows. Returns the rooms cut.
 * What fails is logged and left to the next time; the other rooms are cut. Where another node is at it, this one stops.
 *
 * @throws when the rooms cannot be listed.
 */
export async function cutRoomLogs({ db, logger, signal }: Cut, before: Date): Promise<number> {
  let cut = 0
  for (let afterRoomId = '00000000-0000-0000-0000-000000000000'; !signal?.aborted; ) {
    const rooms = await db.$queryRaw<{ id: string }[]>`
      SELECT "id" FROM "rooms" WHERE "id" > ${afterRoomId}::uuid AND "last_seq" > "log_floor"
      ORDER BY "id" LIMIT ${ROOMS_PER_BATCH}::int`
    const last = rooms.at(-1)
    if (!last) break
    afterRoomId = last.id
    const report = (roomId?: string) => (error: unknown) => {
      if (!signal?.aborted) logger.warn({ err: error, roomId }, 'room logs could not be cut, trying again in an hour')
      return null
    }
    const ids = rooms.map(({ id }) => id)
    const floors = (await findFloors(db, ids, before).catch(report())) ?? []
    for (const { id, from, to } of floors) {
      if (signal?.aborted) break
      const isMine = await cutRoomLog(db, id, from, to).catch(report(id))
      if (isMine === false) return cut
      if (isMine) cut += 1
    }
  }
  return cut
}

/**
 * The rooms that have events older than `before`: where their floors are and where they belong. A log is ordered in time,
 * so each room is bisected over its seqs: some twenty look-ups by unique index, instead of a walk through its events.
 */
function findFloors(db: Db, ids: readonly string[], before: Date): Promise<{ id: string; from: number; to: number }[]> {
  return db.$queryRaw`
    WITH RECURSIVE probe AS (
      -- Up to "old" all is older, from "kept" on nothing is.
      SELECT "id", "log_floor" AS "from", "log_floor" AS "old", "last_seq" + 1 AS "kept"
      FROM "rooms" WHERE "id" = ANY(${[...ids]}::uuid[])
      UNION ALL
      SELECT p."id", p."from",
        CASE WHEN found."is_old" THEN at."seq" ELSE p."old" END, CASE WHEN found."is_old" THEN p."kept" ELSE at."seq" END
      FROM probe p
      CROSS JOIN LATERAL (SELECT p."old" + (p."kept" - p."old") / 2 AS "seq") at
      CROSS JOIN LATERAL (
        SELECT coalesce(
          (SELECT m."created_at" FROM "messages" m WHERE m."room_id" = p."id" AND m."seq" = at."seq"),
          (SELECT e."created_at" FROM "room_events" e WHERE e."room_id" = p."id" AND e."seq" = at."seq")
        ) < ${before} AS "is_old"
      ) found
      WHERE p."kept" - p."old" > 1
    )
    SELECT "id", "from", "old" AS "to" FROM probe WHERE "kept" - "old" = 1 AND "old" > "from"`
}

/** Cuts one room in steps. False when another node holds the lock. */
async function cutRoomLog(db: Db, roomId: string, from: number, to: number): Promise<boolean> {
  for (let floor = from; floor < to; ) {
    floor = Math.min(to, floor + SEQS_PER_CUT)
    // The lock is the statement's: it needs no connection of its own and cannot be left behind.
    const [turn] = await db.$queryRaw<{ isMine: boolean }[]>`
      WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(${ADVISORY_LOCK}) AS "isMine"),
      moved AS (
        UPDATE "rooms" SET "log_floor" = ${floor}::int
        WHERE "id" = ${roomId}::uuid AND "log_floor" < ${floor}::int AND (SELECT "isMine" FROM turn)
        RETURNING "id"
      ),
      removed AS (
        DELETE FROM "room_events" e USING moved WHERE e."room_id" = moved."id" AND e."seq" <= ${floor}::int
      )
      SELECT "isMine" FROM turn`
    if (!turn?.isMine) return false
  }
  return true
}

/** Runs the cut now and every hour; one node at a time is at it. Returns a function that ends it. */
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
  const ending = new AbortController()
  let isRunning = false
  const run = async () => {
    if (isRunning) return
    isRunning = true
    try {
      const before = new Date(clock.now() - days * DAY_MS)
      const rooms = await cutRoomLogs({ db, logger, signal: ending.signal }, before)
      logger.info({ rooms }, 'room logs cut')
    } catch (error) {
      if (!ending.signal.aborted) logger.warn({ err: error }, 'room logs could not be cut, trying again in an hour')
    } finally {
      isRunning = false
    }
  }
  void run()
  const timer = setInterval(run, RUN_EVERY_MS)
  timer.unref()
  return () => {
    clearInterval(timer)
    ending.abort()
  }
}
