// What a person reads of a notification, as far as their privacy setting lets it leave the house. In English; clients that
// speak other languages make their own lines, of kind, actor, room and count.

import type { PushPrivacy } from '../generated/prisma/enums.ts'
import { firstCharacters } from '../platform/text.ts'
import type { NotificationKind, Told } from './kind.ts'

/** Characters as people count them: what devices show of a notification. */
const MAX_TITLE_CHARACTERS = 100
const MAX_BODY_CHARACTERS = 200
const CUT = '…'

export interface NotificationText {
  title: string
  body: string
}

interface TextParts extends Told {
  kind: Pick<NotificationKind, 'lineOf'>
  /** Of the newest message; null where there is none to show. */
  excerpt: string | null
}

/** Title and body for a device or another server. */
export function textFor(privacy: PushPrivacy, { kind, excerpt, ...told }: TextParts): NotificationText {
  if (privacy === 'NONE') {
    return { title: 'New notification', body: told.count === 1 ? '' : `${told.count} new` }
  }
  const title = cut(kind.lineOf(told), MAX_TITLE_CHARACTERS)
  const isShown = privacy === 'FULL' && excerpt !== null && told.count === 1
  return { title, body: isShown ? cutExcerpt(excerpt) : '' }
}

/** The line and, after a colon, the text of the message. */
export function lineWithText({ kind, excerpt, ...told }: TextParts): string {
  const line = kind.lineOf(told)
  return excerpt === null || excerpt === '' || told.count > 1 ? line : `${line}: ${cutExcerpt(excerpt)}`
}

/** On one line, for a notification has little more. */
function cutExcerpt(text: string): string {
  return cut(text.replace(/\s+/gu, ' ').trim(), MAX_BODY_CHARACTERS)
}

function cut(text: string, max: number): string {
  const kept = firstCharacters(text, max)
  return kept === text ? text : `${firstCharacters(text, max - 1)}${CUT}`
}
