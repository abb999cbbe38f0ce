import type { Prisma } from '../generated/prisma/client.ts'

/** The rooms that this user may read: private and direct rooms exist only for their members. */
export function readableBy(userId: string): Prisma.RoomWhereInput {
  return { OR: [{ kind: 'PUBLIC' }, { memberships: { some: { userId } } }] }
}

/** The rooms that this user is a member of. */
export function memberOf(userId: string): Prisma.RoomWhereInput {
  return { memberships: { some: { userId } } }
}
