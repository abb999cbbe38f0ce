import { LRUCache } from 'lru-cache'
import type { Publisher } from '../events/publisher.ts'
import { appendUserEvent } from '../events/user-log.ts'
import { Batcher } from '../platform/batcher.ts'
import type { Db } from '../platform/db.ts'
import { GateError } from '../platform/errors.ts'
import type { Viewer } from '../platform/viewer.ts'
import {
  type Claims,
  changeByClaims,
  ensureFromClaims,
  findLogHeads,
  findUser,
  findUserBySubject,
  findUsers,
  type ProfileChange,
  rememberClaims,
  type SignedIn,
  touchLastSeen,
  touchLastSeenOfMany,
} from './store.ts'
import { type UserRecord, userRecordSelect } from './user-record.ts'

/** Users whose claims were seen lately: their requests need no write. */
const SEEN_MAX = 50_000
const SEEN_TTL_MS = 5 * 60 * 1_000
/** How long who signs in may wait for others who do. */
const MAX_SIGN_IN_PAUSE_MS = 50

export type Users = ReturnType<typeof createUsers>

export function createUsers({ db, publisher }: { db: Db; publisher: Publisher }) {
  // By subject: the newest claims. Those of older tokens change nothing, so they need no write either.
  const seen = new LRUCache<string, { claims: string; issuedAtMs: number; user: Promise<SignedIn> }>({
    max: SEEN_MAX,
    ttl: SEEN_TTL_MS,
  })

  // When a node's clients come back after a break they do it all at once.
  const returning = new Batcher<Claims, SignedIn | null>({
    run: (claims) => rememberClaims(db, claims),
    pauseMs: (calls) => Math.min((calls - 1) * 2, MAX_SIGN_IN_PAUSE_MS),
  })
  const arriving = new Batcher<string, UserRecord | null>({
    run: async (ids) => {
      const users = new Map((await findUsers(db, ids)).map((user) => [user.id, user]))
      return ids.map((id) => users.get(id) ?? null)
    },
  })
  const logHeads = new Batcher<string, number | null>({
    run: async (ids) => {
      const heads = await findLogHeads(db, ids)
      return ids.map((id) => heads.get(id) ?? null)
    },
  })
  const notes = new Batcher<string, boolean>({
    run: async (ids) => {
      const noted = await touchLastSeenOfMany(db, ids)
      return ids.map((id) => noted.has(id))
    },
  })

  async function store(claims: Claims): Promise<SignedIn> {
    const known = (await returning.call(claims)) ?? (await ensureFromClaims(db, claims))
    if (known !== null) return known
    const { user, events } = await db.$transaction(async (tx) => {
      const { user, changed } = await changeByClaims(tx, claims)
      const updated = changed && ({ type: 'ProfileUpdated', user: changed } as const)
      return { user, events: updated ? await appendUserEvent(tx, [user.id], updated) : [] }
    })
    publisher.publishEvents(events)
    return user
  }

  return {
    /**
     * The user with these claims, created at first sight, their profile kept current: by the newest token seen, and among
     * tokens of the same second by the latest, but not by one that was revoked. All their devices learn of a change.
     * They may be remembered for some minutes: of a later revocation they know nothing.
     */
    ensureUser({ subject, name, picture, issuedAt }: Claims): Promise<SignedIn> {
      const claims = JSON.stringify([name, picture])
      const issuedAtMs = issuedAt?.getTime() ?? Number.NEGATIVE_INFINITY
      const known = seen.get(subject)
      if (known && (issuedAtMs < known.issuedAtMs || (issuedAtMs === known.issuedAtMs && claims === known.claims))) {
        return known.user
      }
      const user = store({ subject, name, picture, issuedAt })
      const latest = { claims, issuedAtMs, user }
      seen.set(subject, latest)
      // A failure must not be remembered.
      user.catch(() => {
        if (seen.peek(subject) === latest) seen.delete(subject)
      })
      return user
    },

    /** Null for an unknown id. Calls of one tick share one query. */
    async findUser(id: string): Promise<UserRecord | null> {
      return findUser(db, id)
    },

    /** The same for somebody who connects, who may wait a little: many who do share queries. */
    findArriving: (id: string): Promise<UserRecord | null> => arriving.call(id),

    /** By the `sub` of their tokens; null where they were never seen. */
    findUserBySubject: (subject: string): Promise<UserRecord | null> => findUserBySubject(db, subject),

    /** Unknown ids are left out; at most 1,000 at once. */
    listUsers(ids: readonly string[]): Promise<UserRecord[]> {
      return ids.length === 0 ? Promise.resolve([]) : findUsers(db, ids)
    },

    /** The newest seq of the viewer's own log. Throws UNAUTHENTICATED when the user is gone. */
    async requireLogHead({ userId }: Viewer): Promise<number> {
      const head = await logHeads.call(userId)
      if (head === null) throw new GateError('UNAUTHENTICATED', 'The user of this token does not exist.')
      return head
    },

    async noteSeen(id: string): Promise<void> {
      if (!(await notes.call(id))) await touchLastSeen(db, id)
    },

    /** Changes the viewer's own profile; all their devices learn of it. */
    async updateProfile(viewer: Viewer, change: ProfileChange): Promise<UserRecord> {
      const { user, events } = await db.$transaction(async (tx) => {
        const user = await tx.user.update({
          where: { id: viewer.userId },
          data: { ...change, updatedAt: new Date() },
          select: userRecordSelect,
        })
        return { user, events: await appendUserEvent(tx, [viewer.userId], { type: 'ProfileUpdated', user }) }
      })
      publisher.publishEvents(events)
      return user
    },
  }
}
