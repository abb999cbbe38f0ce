import type { DueNotification } from './channel.ts'

/** What the service worker of the front end gets, as JSON. */
export interface PushPayload {
  type: 'notification'
  /** The notification's global id. */
  id: string
  /** The same for every version of the notification: shown under it, a later version takes the place of an earlier one. */
  tag: string
  version: number
  kind: string
  title: string
  body: string
  count: number
  /** The room's global id. */
  roomId: string | null
  url: string | null
  createdAt: string
}

/** Push services must take 4,096 bytes (RFC 8030); the encryption and its padding take some of them. */
const MAX_PAYLOAD_BYTES = 3_000
const MAX_TITLE_BYTES = 500
const MAX_URL_BYTES = 1_000
const ELLIPSIS = '…'

const segmenter = new Intl.Segmenter('und', { granularity: 'grapheme' })

/** `globalId` names objects as the API does. */
export function toPushPayload(due: DueNotification, globalId: (typename: string, id: string) => string): PushPayload {
  const url = due.url !== undefined && jsonBytes(due.url) <= MAX_URL_BYTES ? due.url : null
  const payload: PushPayload = {
    type: 'notification',
    id: globalId('Notification', due.id),
    tag: due.id,
    version: due.version,
    kind: due.kind,
    title: cutToBytes(due.title, MAX_TITLE_BYTES),
    body: '',
    count: due.count,
    roomId: due.roomId === null ? null : globalId('Room', due.roomId),
    url,
    createdAt: due.createdAt.toISOString(),
  }
  const room = MAX_PAYLOAD_BYTES - Buffer.byteLength(JSON.stringify(payload))
  return { ...payload, body: cutToBytes(due.body, room) }
}

/** The text, or as much of its beginning as takes so many bytes within JSON, cut between characters as people see them. */
export function cutToBytes(text: string, maxBytes: number): string {
  if (jsonBytes(text) <= maxBytes) return text
  let left = maxBytes - jsonBytes(ELLIPSIS)
  let end = 0
  for (const { index, segment } of segmenter.segment(text)) {
    left -= jsonBytes(segment)
    if (left < 0) break
    end = index + segment.length
  }
  return text.slice(0, end) + ELLIPSIS
}

/** What a text takes within JSON, without its quotes. */
function jsonBytes(text: string): number {
  return Buffer.byteLength(JSON.stringify(text)) - 2
}
