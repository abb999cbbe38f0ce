// Rooms and their members as connections.

import type { Membership, Room } from '../generated/prisma/client.ts'
import { decodeCursor, encodeCursor, type PageArgs, readPage, toPage } from '../graphql/page.ts'
import { isId } from '../platform/ids.ts'
import type { Viewer } from '../platform/viewer.ts'
import type { Rooms } from './service.ts'
import type { MembershipInclude, RoomPlace } from './store.ts'

/** The rooms that the viewer can read, by name. */
export async function resolveRooms(
  rooms: Rooms,
  viewer: Viewer,
  filter: { search: string | null; joined: boolean },
  args: PageArgs,
) {
  const range = readPage(args, decodePlace)
  return toPage(range, await rooms.listRooms(viewer, filter, range), ({ name, id }: Room) => encodeCursor(name, id))
}

/** The members of a room that the viewer was shown, in the order in which they joined. */
export async function resolveMembers(rooms: Rooms, roomId: string, args: PageArgs, include: MembershipInclude) {
  const range = readPage(args, decodeMember)
  return toPage(range, await rooms.listMembers(roomId, range, include), ({ id }: Membership) => encodeCursor(id))
}

function decodePlace(cursor: string): RoomPlace | null {
  const [name, id, ...rest] = decodeCursor(cursor) ?? []
  if (typeof name !== 'string' || typeof id !== 'string' || rest.length > 0 || !isId(id)) return null
  // What Postgres cannot take is no name of a room.
  return name.isWellFormed() && !name.includes('\0') ? { name, id } : null
}

function decodeMember(cursor: string): string | null {
  const [id, ...rest] = decodeCursor(cursor) ?? []
  return typeof id === 'string' && isId(id) && rest.length === 0 ? id : null
}
