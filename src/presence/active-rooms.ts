import type { Room } from '../generated/prisma/client.ts'
import type { Context } from '../graphql/context.ts'
import { decodeCursor, encodeCursor, type PageArgs, readPage, toConnection } from '../graphql/page.ts'
import type { Viewer } from '../platform/viewer.ts'

/** How many of the liveliest rooms are looked at; the list is a ranking of the moment, not an inventory. */
const MAX_LOOKED_AT = 1_000

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
  const { after, before, limit, from } = readPage(args, decodeRank)
  const start = after === null ? 0 : Math.min(after + 1, readable.length)
  const end = Math.max(start, before ?? readable.length)
  const ranked = readable.map((room, rank) => ({ room, rank })).slice(start, end)
  const page = from === 'start' ? ranked.slice(0, limit) : ranked.slice(Math.max(0, ranked.length - limit))
  const [first, last] = [page[0]?.rank ?? start, page.at(-1)?.rank ?? start - 1]
  const { edges, pageInfo } = toConnection(page, ({ rank }) => encodeCursor(rank), {
    hasPreviousPage: first > 0,
    hasNextPage: last < readable.length - 1,
  })
  return { edges: edges.map(({ cursor, node }) => ({ cursor, node: node.room })), pageInfo }
}

function decodeRank(cursor: string): number | null {
  const [rank, ...rest] = decodeCursor(cursor) ?? []
  return Number.isInteger(rank) && Number(rank) >= 0 && rest.length === 0 ? Number(rank) : null
}
