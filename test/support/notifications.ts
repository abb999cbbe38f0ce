// What a person is told of: their inbox, and a device of theirs that listens.

import type { Person } from './seed.ts'
import { type Result, type Stream, subscribe } from './stream.ts'

export interface InboxItem {
  id: string
  kind: string
  count: number
  text: string | null
  readAt: string | null
  actor: { name: string }
  room: { id: string } | null
  message: { id: string; text: string } | null
}

const FIELDS = 'id kind count text readAt actor { name } room { id } message { id text }'

export interface InboxPage {
  unread: number
  items: InboxItem[]
  hasMore: boolean
  endCursor: string | null
}

const INBOX = `query ($first: Int, $after: String, $unreadOnly: Boolean) { viewer { unreadNotificationCount
  notifications(first: $first, after: $after, unreadOnly: $unreadOnly) {
    edges { node { ${FIELDS} } } pageInfo { hasNextPage endCursor } } } }`

/** A page of their inbox, newest first. */
export async function inboxOf(who: Person, variables: object = {}): Promise<InboxPage> {
  const { viewer } = await who.do<{
    viewer: {
      unreadNotificationCount: number
      notifications: {
        edges: { node: InboxItem }[]
        pageInfo: { hasNextPage: boolean; endCursor: string | null }
      }
    }
  }>(INBOX, variables)
  const { edges, pageInfo } = viewer.notifications
  return {
    unread: viewer.unreadNotificationCount,
    items: edges.map(({ node }) => node),
    hasMore: pageInfo.hasNextPage,
    endCursor: pageInfo.endCursor,
  }
}

export interface ToldItem {
  __typename: string
  seq: number
  notification?: InboxItem
  unreadCount?: number
  notificationId?: string | null
  upTo?: string | null
  settings?: unknown
  roomSettings?: unknown
}

const VIEWER_EVENTS = `subscription ($after: Int) { viewerEvents(after: $after) {
  __typename seq
  ... on NotificationAdded { notification { ${FIELDS} } unreadCount }
  ... on NotificationUpdated { notification { ${FIELDS} } unreadCount }
  ... on NotificationsRead { notificationId upTo unreadCount }
  ... on NotificationSettingsUpdated { settings { level pushPrivacy doNotDisturb { start end timeZone days } } }
  ... on RoomNotificationsUpdated { roomId roomSettings { level effectiveLevel mutedUntil } }
} }`

type Told = Stream<Result<{ viewerEvents: ToldItem }>>

/** A device that listens to what its user is told; ended by `stopAll`. */
export class Device {
  readonly #stream: Told

  constructor(who: Person, url: string, after: number | null = null) {
    this.#stream = subscribe(who.connect(url), VIEWER_EVENTS, after === null ? {} : { after })
  }

  /** The next item of one of these types; of others, all but what is about rooms is an error. */
  async next(...types: string[]): Promise<ToldItem> {
    for (;;) {
      const { data, errors } = await this.#stream.next()
      if (errors || !data) throw new Error(JSON.stringify(errors))
      const item = data.viewerEvents
      if (types.includes(item.__typename)) return item
      if (!item.__typename.startsWith('Room') || item.__typename === 'RoomNotificationsUpdated') {
        if (item.__typename !== 'CaughtUp') throw new Error(`wanted ${types}, got ${JSON.stringify(item)}`)
      }
    }
  }

  /** Everything that it was told of notifications so far. */
  get told(): ToldItem[] {
    return this.#stream.items.flatMap(({ data }) =>
      data?.viewerEvents.__typename.startsWith('Notification') ? [data.viewerEvents] : [],
    )
  }
}

/** Changes what somebody wants to be told of in a room. */
export async function setRoomNotifications(who: Person, roomId: string, change: object): Promise<void> {
  const { setRoomNotifications: result } = await who.do<{ setRoomNotifications: { __typename: string } }>(
    'mutation ($input: SetRoomNotificationsInput!) { setRoomNotifications(input: $input) { __typename } }',
    { input: { roomId, ...change } },
  )
  if (result.__typename !== 'SetRoomNotificationsSuccess') throw new Error(JSON.stringify(result))
}

/** Changes what somebody wants to be told of, and how. */
export async function updateNotificationSettings(who: Person, change: object): Promise<void> {
  const { updateNotificationSettings: result } = await who.do<{ updateNotificationSettings: { __typename: string } }>(
    'mutation ($input: UpdateNotificationSettingsInput!) { updateNotificationSettings(input: $input) { __typename } }',
    { input: change },
  )
  if (result.__typename !== 'UpdateNotificationSettingsSuccess') throw new Error(JSON.stringify(result))
}
