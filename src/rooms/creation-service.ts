import type { Publisher } from '../events/publisher.ts'
import { appendRoomEvents } from '../events/room-log.ts'
import { appendUserEvent } from '../events/user-log.ts'
import type { Room, RoomKind } from '../generated/prisma/client.ts'
import { type Db, isUniqueViolation } from '../platform/db.ts'
import { RefusedError, ValidationError } from '../platform/errors.ts'
import { newId } from '../platform/ids.ts'
import { firstCharacters } from '../platform/text.ts'
import type { Viewer } from '../platform/viewer.ts'
import { MAX_ROOM_NAME_CHARACTERS, MAX_SLUG_LENGTH } from './limits.ts'
import type { RoomEventDraft } from './room-event-bodies.ts'
import { foldForSearch, slugFrom } from './search-text.ts'

export interface NewRoom {
  /** Null in a direct room: its people's names. */
  name: string | null
  slug: string | null
  topic: string | null
  /** Users to put in beside the viewer. */
  memberIds: readonly string[]
}

type NamedRoom = NewRoom & { kind: RoomKind; name: string }

/** See Rooms.createRoom. */
export async function createRoom(
  { db, publisher }: { db: Db; publisher: Publisher },
  viewer: Viewer,
  room: NewRoom & { kind: RoomKind },
): Promise<Room> {
  const others = await requireOthers(db, viewer, room)
  const name = room.name ?? (await nameOfPeople(db, [viewer.userId, ...others]))
  const directKey = room.kind === 'DIRECT' ? [viewer.userId, ...others].sort().join(' ') : null
  for (let attempt = 1; ; attempt++) {
    const existing = directKey && (await db.room.findUnique({ where: { directKey } }))
    if (existing) return existing
    try {
      return await insertRoom(
        { db, publisher },
        viewer,
        { ...room, name, slug: chooseSlug({ ...room, name }, attempt) },
        others,
        directKey,
      )
    } catch (error) {
      if (!isUniqueViolation(error) || attempt >= 5) throw error
      // A direct room was opened by the other side meanwhile, or a made slug was taken: look again, or make another.
      if (room.slug !== null) throw new RefusedError('SLUG_TAKEN', `Another room has the slug ${room.slug}.`)
    }
  }
}

/** What a direct room is called that was given no name: who is in it, as they are called now. */
async function nameOfPeople(db: Db, ids: readonly string[]): Promise<string> {
  const people = await db.user.findMany({
    where: { id: { in: [...ids] } },
    select: { name: true },
    orderBy: { name: 'asc' },
  })
  return firstCharacters(people.map(({ name }) => name).join(', '), MAX_ROOM_NAME_CHARACTERS)
}

/** The users to put in beside the viewer, once each. */
async function requireOthers(
  db: Db,
  { userId }: Viewer,
  { kind, memberIds }: { kind: RoomKind; memberIds: readonly string[] },
): Promise<string[]> {
  const others = [...new Set(memberIds)].filter((id) => id !== userId)
  if (kind === 'DIRECT' && others.length === 0) {
    throw new ValidationError([{ path: 'input.memberIds', message: 'needs at least one other user', limit: 1 }])
  }
  const known = await db.user.count({ where: { id: { in: others } } })
  if (known !== others.length) throw new RefusedError('NOT_FOUND', 'One of the members does not exist.')
  return others
}

function chooseSlug({ kind, slug, name }: NamedRoom, attempt: number): string | null {
  if (kind !== 'PUBLIC') return null
  if (slug !== null) return slug
  const made = slugFrom(name, MAX_SLUG_LENGTH)
  if (made && attempt === 1) return made
  const suffix = newId().slice(-6)
  return [slugFrom(name, MAX_SLUG_LENGTH - suffix.length - 1), suffix].filter(Boolean).join('-')
}

async function insertRoom(
  { db, publisher }: { db: Db; publisher: Publisher },
  viewer: Viewer,
  { kind, name, slug, topic }: NamedRoom,
  others: readonly string[],
  directKey: string | null,
): Promise<Room> {
  const id = newId()
  const actorId = viewer.userId
  // In a direct room all are equal.
  const members = [
    { userId: actorId, role: kind === 'DIRECT' ? 'MEMBER' : 'OWNER' } as const,
    ...others.map((userId) => ({ userId, role: 'MEMBER' }) as const),
  ]
  const { room, userEvents } = await db.$transaction(async (tx) => {
    const searchText = foldForSearch(`${name} ${topic ?? ''}`)
    const memberCount = members.length
    await tx.room.create({
      data: { id, kind, name, slug, topic, searchText, directKey, memberCount, createdById: actorId },
    })
    await tx.membership.createMany({
      data: members.map(({ userId, role }) => ({ id: newId(), roomId: id, userId, role })),
    })
    const joined = members.map(
      ({ userId, role }): RoomEventDraft => ({ type: 'MemberJoined', actorId, userId, payload: { role } }),
    )
    await appendRoomEvents(tx, id, joined)
    const userEvents = await appendUserEvent(tx, [actorId, ...others], { type: 'RoomGained', roomId: id })
    return { room: await tx.room.findUniqueOrThrow({ where: { id } }), userEvents }
  })
  publisher.publishEvents(userEvents)
  return room
}
