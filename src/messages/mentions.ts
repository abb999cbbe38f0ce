// Who is meant by the @ in a text. Names are those of members, and may hold spaces and punctuation: so what may be a name is
// asked for, the longest that is one counts. Invariant: ranges do not overlap, but where several members have one name.

import type { UserRecord } from '../users/user-record.ts'
import type { MentionRecord } from './mention-record.ts'

/** The most mentions of one message; the @ behind them are plain text. */
export const MAX_MENTIONS = 50
/** Of each @ so many lengths are tried: more words than names have. */
const MAX_LENGTHS = 12
/** In UTF-16 code units, as long as the longest name that people have. */
const MAX_NAME_UNITS = 200
const ROOM = 'room'

/** What may be a name, or `room`, and where. */
export interface MentionCandidate {
  start: number
  /** With the @. */
  length: number
  name: string
}

// Not in the middle of a word, as in an e-mail address.
const AT = /(?<![\p{L}\p{N}_@.])@(?=[\p{L}\p{N}])/gu
/** Where a name may end: before anything that is no letter, digit or joined mark, or at the end. */
const END = /(?<=[^\s@])(?![\p{L}\p{N}\p{M}_])/gu

/** All that may be a name, the longest first at each place. */
export function findCandidates(text: string): MentionCandidate[] {
  const candidates: MentionCandidate[] = []
  for (const { index: start } of text.matchAll(AT)) {
    if (candidates.length >= MAX_MENTIONS * MAX_LENGTHS) break
    // A name holds no line break and no other @.
    const [reach = ''] = /^[^\n@]*/u.exec(text.slice(start + 1, start + 1 + MAX_NAME_UNITS)) ?? []
    const ends = [...reach.matchAll(END)].map(({ index }) => index).filter((end) => end > 0)
    const names = ends.slice(0, MAX_LENGTHS).map((end) => reach.slice(0, end))
    for (const name of names.reverse()) candidates.push({ start, length: name.length + 1, name })
  }
  return candidates
}

/** Of the candidates those that are somebody: `byName` has the members of each name, as it was asked for. */
export function chooseMentions(
  candidates: readonly MentionCandidate[],
  byName: ReadonlyMap<string, readonly UserRecord[]>,
): MentionRecord[] {
  const mentions: MentionRecord[] = []
  let free = 0
  for (const { start, length, name } of candidates) {
    if (start < free) continue
    const users = name.toLowerCase() === ROOM ? [null] : (byName.get(name) ?? [])
    if (users.length === 0) continue
    mentions.push(...users.map((user) => ({ start, length, user })))
    free = start + length
    if (mentions.length >= MAX_MENTIONS) break
  }
  return mentions.slice(0, MAX_MENTIONS)
}
