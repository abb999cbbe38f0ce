import type { Publisher } from '../events/publisher.ts'
import type { Clock } from '../platform/clock.ts'
import type { Db, Tx } from '../platform/db.ts'
import { RefusedError } from '../platform/errors.ts'
import type { Viewer } from '../platform/viewer.ts'
import { createRoomChanges } from '../rooms/change-service.ts'
import { refuseArchived, refuseUnlessModerator } from '../rooms/policy.ts'
import type { RoomEventDraft } from '../rooms/room-event-bodies.ts'
import { emptyMessage, findRoomOfMessage, lockMessage } from './store.ts'

export interface MessageDeletionOptions {
  db: Db
  publisher: Publisher
  clock: Clock
  /** See MessageAttachments. */
  release: (tx: Tx, messageId: string) => Promise<void>
}

export function createMessageDeletion({ db, publisher, clock, release }: MessageDeletionOptions) {
  const changeRoom = createRoomChanges({ db, publisher, clock })

  return {
    /**
     * Deletes a message for everybody, with its attachments: its author may, and owners and moderators of its room, but in
     * a direct room nobody else. What is left is its place in the log. Deleting it again changes nothing.
     */
    async deleteMessage(viewer: Viewer, messageId: string): Promise<void> {
      const roomId = await findRoomOfMessage(db, messageId)
      if (roomId === null) refuseAbsentMessage()
      await changeRoom(viewer, roomId, async ({ tx, room, membership, now }) => {
        const message = (await lockMessage(tx, roomId, messageId)) ?? refuseAbsentMessage()
        const isOwn = message.authorId === viewer.userId
        if (!membership) throw new RefusedError('NOT_A_MEMBER', 'Only members of the room may do this.')
        if (!isOwn && room.kind === 'DIRECT') throw new RefusedError('FORBIDDEN', 'Only its author may delete it.')
        if (!isOwn) refuseUnlessModerator(membership)
        refuseArchived(room)
        if (message.deletedAt) return { result: undefined }
        await emptyMessage(tx, messageId, now)
        await release(tx, messageId)
        const payload = { messageId, messageSeq: message.seq }
        const events: RoomEventDraft[] = [{ type: 'MessageDeleted', actorId: viewer.userId, payload }]
        return { result: undefined, events }
      }).catch((error: unknown) => {
        // Of a room that the viewer may not read nobody says that it has such a message.
        if (error instanceof RefusedError && error.code === 'NOT_FOUND') refuseAbsentMessage()
        throw error
      })
    },
  }
}

function refuseAbsentMessage(): never {
  throw new RefusedError('NOT_FOUND', 'There is no such message.')
}
