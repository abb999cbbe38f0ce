// Rooms and their members as connections.

import type { Room } from '../generated/prisma/client.ts'
import { decodeCursor, encodeCursor, type PageArgs, readPage, toPage } from '../graphql/page.ts'
import { isId } from '../platform/ids.ts'
import type { Viewer } from '../platform/viewer.ts'
import type { MembershipRecord } from './membership-record.ts'
import type { RoomRecord } from './room-record.ts'
import type { RoomFilter, Rooms } from './service.ts'
import type { RoomOrder, RoomPlace } from './store.ts'

/** The rooms that the viewer can read. */
export async function resolveRooms(rooms: Rooms, viewer: Viewer, filter: RoomFilter, args: PageArgs) {
  const range = readPage(args, (cursor) => decodePlace(filter.order, cursor))
  return toPage(range, await rooms.listRooms(viewer, filter, range), ({ name, lastActivityAt, id }: Room) =>
    encodeCursor(filter.order === 'NAME' ? name : lastActivityAt.toISOString(), id),
  )
}

/** The members of a room that the viewer was shown, in the order in which they joined. */
export async function resolveMembers(rooms: Rooms, room: RoomRecord, args: PageArgs) {
  const range = readPage(args, decodeId)
  const members = await rooms.listMembers(room.id, range)
  return toPage(
    range,
    members.map((member): MembershipRecord => ({ ...member, room })),
    ({ id }) => encodeCursor(id),
  )
}

/** The bans of a room; null where the viewer may not see them. */
export async function resolveBans(rooms: Rooms, viewer: Viewer, room: RoomRecord, args: PageArgs) {
  const range = readPage(args, decodeId)
  const bans = await rooms.listBans(viewer, room, range)
  return bans && toPage(range, bans, ({ id }) => encodeCursor(id))
}

function decodePlace(order: RoomOrder, cursor: string): RoomPlace | null {
  const [key, id, ...rest] = decodeCursor(cursor) ?? []
  if (typeof key !== 'string' || typeof id !== 'string' || rest.length > 0 || !isId(id)) return null
  if (order === 'ACTIVITY') {
    const at = new Date(key)
    return Number.isNaN(at.getTime()) ? null : { key: at, id }
  }
  // What Postgres cannot take is no name of a room.
  return key.isWellFormed() && !key.includes('\0') ? { key, id } : null
}

function decodeId(cursor: string): string | null {
  const [id, ...rest] = decodeCursor(cursor) ?? []
  return typeof id === 'string' && isId(id) && rest.length === 0 ? id : null
}
