import type { NotificationKind } from './kind.ts'
import { mention } from './kinds/mention.ts'
import { message } from './kinds/message.ts'
import { reply } from './kinds/reply.ts'
import { roomAdded } from './kinds/room-added.ts'

/** The most important first: of several kinds that an event is of, a user is told of it as the first. */
export const NOTIFICATION_KINDS: readonly NotificationKind[] = [mention, reply, roomAdded, message]

const byName = new Map(NOTIFICATION_KINDS.map((kind) => [kind.name, kind]))

/** Undefined for one that this version does not know: it was removed, or comes with a newer one. */
export const findKind = (name: string): NotificationKind | undefined => byName.get(name)
