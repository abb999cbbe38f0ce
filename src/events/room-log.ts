// The log of every room: events 1, 2, 3 … without a gap. Seqs are made only under the room's row lock, in the transaction
// that writes the change: here, and for messages in the SQL function append_messages. So seq order is commit order.

import type { Tx } from '../platform/db.ts'
import type { RoomEventDraft } from './room-event.ts'

/**
 * Appends events at the room's next seqs and returns the last of them. Takes the room's row lock, to the end of the
 * transaction. Publish the range after commit, never before.
 */
export async function appendRoomEvents(tx: Tx, roomId: string, drafts: readonly RoomEventDraft[]): Promise<number> {
  // The database's clock under the lock, and never back: within a room, times follow seqs.
  const [head] = await tx.$queryRaw<{ lastSeq: number; at: Date }[]>`
    UPDATE "rooms"
    SET "last_seq" = "last_seq" + ${drafts.length}::int,
      "last_activity_at" = greatest("last_activity_at", clock_timestamp())
    WHERE "id" = ${roomId}::uuid
    RETURNING "last_seq" AS "lastSeq", "last_activity_at" AS "at"`
  if (!head) throw new Error(`events were to be appended to the room ${roomId}, which is not there`)
  const { lastSeq, at } = head
  const first = lastSeq - drafts.length + 1
  await tx.roomEvent.createMany({
    data: drafts.map((draft, i) => ({
      roomId,
      seq: first + i,
      type: draft.type,
      actorId: draft.actorId,
      userId: 'userId' in draft ? draft.userId : null,
      payload: draft.payload,
      createdAt: at,
    })),
  })
  return lastSeq
}
