import type { Prisma } from '../generated/prisma/client.ts'
import { bansThatCount } from './ban-store.ts'

/**
 * The rooms that this user may read: private and direct rooms exist only for their members, public ones for everybody
 * who is not banned from them.
 */
export function readableBy(userId: string, now: Date): Prisma.RoomWhereInput {
  const unbanned = { none: { AND: [{ userId }, bansThatCount(now)] } }
  return { OR: [{ kind: 'PUBLIC', bans: unbanned }, { memberships: { some: { userId } } }] }
}

/** The rooms that this user is a member of. */
export function memberOf(userId: string): Prisma.RoomWhereInput {
  return { memberships: { some: { userId } } }
}
