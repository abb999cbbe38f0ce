// Who of this node's streams stands on the right to read a room. Invariant: from when a room's feed has accepted the event
// that takes somebody's right, none of their streams there outlives half a second, however far behind it reads.

import type { LogEvent } from '../events/room-event.ts'
import type { RoomHead } from '../rooms/store.ts'
import { StreamEnd } from './stream-end.ts'

/** A stream of a room. */
export interface RightHolder {
  readonly userId: string
  /** The stream was accepted with the room's log being there: what happened before is no loss. */
  readonly acceptedAtSeq: number
  /** Asks anew whether the stream may be read. Never rejects. */
  recheck(): Promise<void>
  /** The event that ends it is in the log. */
  cutSoon(end: StreamEnd): void
}

type RoomKind = RoomHead['kind']

interface HeldRoom {
  readonly kind: RoomKind
  readonly holders: Set<RightHolder>
}

/** What an event takes: from one user, or from everybody where the user is null. */
interface Loss {
  userId: string | null
  end: StreamEnd
}

export class RoomRights {
  readonly #rooms = new Map<string, HeldRoom>()

  /** Returns what gives the right up. */
  hold(room: { id: string; kind: RoomKind }, holder: RightHolder): () => void {
    const held = this.#rooms.get(room.id) ?? { kind: room.kind, holders: new Set<RightHolder>() }
    this.#rooms.set(room.id, held)
    held.holders.add(holder)
    return () => {
      held.holders.delete(holder)
      if (held.holders.size === 0 && this.#rooms.get(room.id) === held) this.#rooms.delete(room.id)
    }
  }

  /** The room's log has gone back (a failover that lost commits): what was granted or taken since then never was. */
  recheck(roomId: string): void {
    for (const holder of this.#rooms.get(roomId)?.holders ?? []) void holder.recheck()
  }

  /** For every event that a feed of this node accepts, before its readers take it. */
  observe(event: LogEvent): void {
    // Most events take nothing.
    if (event.type === 'MessageSent' || !('roomId' in event)) return
    const held = this.#rooms.get(event.roomId)
    const loss = held && lossBy(event, held.kind)
    if (!loss) return
    for (const holder of held.holders) {
      if (event.seq <= holder.acceptedAtSeq) continue
      if (loss.userId === null || loss.userId === holder.userId) holder.cutSoon(loss.end)
    }
  }
}

/** What the event takes from this reader of a room of this kind. */
export function endFor(event: LogEvent, kind: RoomKind, userId: string): StreamEnd | null {
  const loss = lossBy(event, kind)
  return loss && (loss.userId === null || loss.userId === userId) ? loss.end : null
}

function lossBy(event: LogEvent, kind: RoomKind): Loss | null {
  switch (event.type) {
    case 'RoomArchived':
      return { userId: null, end: new StreamEnd('ROOM_ARCHIVED') }
    case 'MemberBanned':
      return { userId: event.user.id, end: new StreamEnd('BANNED') }
    case 'MemberLeft':
      // Anybody may read a public room, but who is banned: that is told by its own event.
      return kind === 'PUBLIC' ? null : { userId: event.user.id, end: new StreamEnd(event.reason ?? 'LEFT') }
    default:
      return null
  }
}
