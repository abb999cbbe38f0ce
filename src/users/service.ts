import { LRUCache } from 'lru-cache'
import type { Publisher } from '../events/publisher.ts'
import { appendUserEvent } from '../events/user-log.ts'
import type { Db } from '../platform/db.ts'
import { GateError } from '../platform/errors.ts'
import type { Viewer } from '../platform/viewer.ts'
import { type Claims, findUser, findUsers, type ProfileChange, touchLastSeen, upsertFromClaims } from './store.ts'
import { type UserRecord, userRecordSelect } from './user-record.ts'

/** Users whose claims were seen lately: their requests need no write. */
const SEEN_MAX = 50_000
const SEEN_TTL_MS = 5 * 60 * 1_000

export type Users = ReturnType<typeof createUsers>

export function createUsers({ db, publisher }: { db: Db; publisher: Publisher }) {
  const seen = new LRUCache<string, { claims: string; id: Promise<string> }>({ max: SEEN_MAX, ttl: SEEN_TTL_MS })

  return {
    /** The id of the user with these claims, created at first sight, their profile kept current. */
    ensureUser({ subject, name, picture }: Claims): Promise<string> {
      const claims = JSON.stringify([name, picture])
      const known = seen.get(subject)
      // By the latest claims only: a name that changes back is a change too.
      if (known?.claims === claims) return known.id
      const id = upsertFromClaims(db, { subject, name, picture }).then((user) => user.id)
      const latest = { claims, id }
      seen.set(subject, latest)
      // A failure must not be remembered.
      id.catch(() => {
        if (seen.peek(subject) === latest) seen.delete(subject)
      })
      return id
    },

    /** Null for an unknown id. Calls of one tick share one query. */
    async findUser(id: string): Promise<UserRecord | null> {
      return findUser(db, id)
    },

    /** Unknown ids are left out; at most 1,000 at once. */
    listUsers(ids: readonly string[]): Promise<UserRecord[]> {
      return ids.length === 0 ? Promise.resolve([]) : findUsers(db, ids)
    },

    async findLastSeen(id: string): Promise<Date | null> {
      return (await findUser(db, id))?.lastSeenAt ?? null
    },

    /** The newest seq of the viewer's own log. Throws UNAUTHENTICATED when the user is gone. */
    async requireLogHead({ userId }: Viewer): Promise<number> {
      const user = await findUser(db, userId)
      if (!user) throw new GateError('UNAUTHENTICATED', 'The user of this token does not exist.')
      return user.lastEventSeq
    },

    noteSeen(id: string): Promise<void> {
      return touchLastSeen(db, id)
    },

    /** Changes the viewer's own profile; all their devices learn of it. */
    async updateProfile(viewer: Viewer, change: ProfileChange): Promise<UserRecord> {
      const { user, events } = await db.$transaction(async (tx) => {
        const user = await tx.user.update({
          where: { id: viewer.userId },
          data: { ...change, updatedAt: new Date() },
          select: userRecordSelect,
        })
        return { user, events: await appendUserEvent(tx, [viewer.userId], { type: 'ProfileUpdated' }) }
      })
      publisher.publishEvents(events)
      return user
    },
  }
}
