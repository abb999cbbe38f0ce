// Who is told of which of some entries. Pure: what stands here is the same when it is told at once, or a minute later.

import type { RoomEvent } from '../events/room-event.ts'
import { NOTIFICATION_KINDS } from './kind-registry.ts'
import type { Candidate, Entry, Gathered } from './telling-store.ts'

/** Members and the rows of their membership are written in one transaction; this is for what is rounded. */
const JOIN_TOLERANCE_MS = 1_000

export type EntryDraft = Pick<
  Entry,
  'seq' | 'messageId' | 'actorId' | 'audience' | 'isForAll' | 'excluded' | 'happenedAt'
>

/** What these events are to be told as, by kind: nobody is told of one as two kinds, or of what they did themselves. */
export function draftEntries(events: readonly RoomEvent[], notBefore: Date): Map<string, EntryDraft[]> {
  const drafts = new Map<string, EntryDraft[]>()
  for (const event of events) {
    if (new Date(event.at) < notBefore) continue
    if (event.type === 'MessageSent' && event.message.deletedAt !== null) continue
    for (const [kind, draft] of draftsOf(event)) drafts.set(kind, [...(drafts.get(kind) ?? []), draft])
  }
  return drafts
}

function draftsOf(event: RoomEvent): [string, EntryDraft][] {
  const [actorId, messageId] =
    event.type === 'MessageSent' ? [event.message.author.id, event.message.id] : [event.actor.id, null]
  const head = { seq: event.seq, messageId, actorId, happenedAt: new Date(event.at) }
  const drafts: [string, EntryDraft][] = []
  const told = new Set([actorId])
  for (const kind of NOTIFICATION_KINDS) {
    const audience = kind.audienceOf(event)
    if (audience === null) continue
    if (audience === 'EVERYBODY') {
      const excluded = [...told].filter((id) => id !== actorId)
      drafts.push([kind.name, { ...head, audience: [], isForAll: true, excluded }])
      // Whoever is not told by this does not want to be: kinds for those who want everything stand last.
      break
    }
    const others = [...new Set(audience)].filter((id) => !told.has(id))
    if (others.length === 0) continue
    for (const id of others) told.add(id)
    drafts.push([kind.name, { ...head, audience: others, isForAll: false, excluded: [] }])
  }
  return drafts
}

/** How many of the entries one user is told of. */
export interface Share {
  count: number
  first: Entry
  newest: Entry
}

/** For every user their share of these entries; null where there is nothing for them. */
export function createShares(entries: readonly Entry[]): (candidate: Candidate, after: number) => Share | null {
  const sets = entries.map((entry) => ({
    entry,
    audience: new Set(entry.audience),
    excluded: new Set(entry.excluded),
  }))
  const looking = new Map<number, ReadonlySet<string>>()
  for (const { batchSeq, looking: ids } of entries) if (ids.length > 0) looking.set(batchSeq, new Set(ids))
  return ({ userId, joinedAt }, after) => {
    if (joinedAt === null) return null
    const own = sets.filter(
      ({ entry, audience, excluded }) =>
        entry.seq > after &&
        entry.actorId !== userId &&
        (entry.isForAll || audience.has(userId)) &&
        !excluded.has(userId) &&
        !looking.get(entry.batchSeq)?.has(userId) &&
        entry.happenedAt.getTime() + JOIN_TOLERANCE_MS >= joinedAt.getTime(),
    )
    const [first, newest] = [own[0]?.entry, own.at(-1)?.entry]
    return first && newest ? { count: own.length, first, newest } : null
  }
}

/** Whether a user is told at once: they were not told lately, and nothing was gathered for them since. */
export function isTellable({ closesAt }: Candidate, { since }: Gathered, now: Date): boolean {
  if (closesAt === null) return true
  return closesAt <= now && (since === null || since > closesAt)
}
