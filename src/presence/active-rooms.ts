import { resolveOffsetConnection } from '@pothos/plugin-relay'
import type { Room } from '../generated/prisma/client.ts'
import { DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE } from '../graphql/builder.ts'
import type { Context } from '../graphql/context.ts'
import type { Viewer } from '../platform/viewer.ts'

/** How many of the liveliest rooms are looked at; the list is a ranking of the moment, not an inventory. */
const MAX_LOOKED_AT = 1_000

type PageArgs = { first?: number | null; last?: number | null; after?: string | null; before?: string | null }

/** Rooms with somebody present that the viewer can read: most users first, then the latest activity. */
export async function listActiveRooms({ presence, rooms }: Context, viewer: Viewer, args: PageArgs) {
  const busiest = await presence.busiestRooms(MAX_LOOKED_AT)
  const counts = new Map(busiest.map(({ scope, count }) => [scope, count]))
  const readable = await rooms.listRoomsByIds(viewer, [...counts.keys()])
  const countOf = (room: Room) => counts.get(room.id) ?? 0
  readable.sort(
    (a, b) =>
      countOf(b) - countOf(a) || b.lastActivityAt.getTime() - a.lastActivityAt.getTime() || (a.id < b.id ? -1 : 1),
  )
  return resolveOffsetConnection(
    { args, defaultSize: DEFAULT_PAGE_SIZE, maxSize: MAX_PAGE_SIZE },
    ({ offset, limit }) => readable.slice(offset, offset + limit),
  )
}
