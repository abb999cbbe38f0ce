import { Reader } from '../realtime/reader.ts'
import type { UserRecord } from '../users/user-record.ts'
import type { RoomRoster, RosterView } from './room-roster.ts'
import type { RosterItem, RosterItems } from './roster-items.ts'

/**
 * One watcher of a room: first the snapshot, then the difference to what it was told last. While presence is unknown it is
 * told so, once, and then begins anew.
 */
export class RosterCursor extends Reader<RosterItem> {
  /** A late watcher gets one larger difference. */
  readonly sheddable = true
  readonly #roster: RoomRoster
  readonly #items: RosterItems
  readonly #onEnd: () => void
  #told: RosterView | null = null
  #toldTyping: readonly UserRecord[] = []
  #toldUnknown = false
  #left = false
  #wake: (() => void) | null = null

  constructor(roster: RoomRoster, items: RosterItems, onEnd: () => void) {
    super()
    this.#roster = roster
    this.#items = items
    this.#onEnd = onEnd
  }

  get ended(): boolean {
    return this.#left || this.#roster.closed
  }

  take(): RosterItem | null {
    if (this.ended) return null
    const { view, typing, unknownSince } = this.#roster
    if (unknownSince) return this.#takeUnknown(unknownSince)
    this.#toldUnknown = false
    const told = this.#told
    // Between names and mere counts there is no difference to tell: begin anew.
    if (!told || (told.present === null) !== (view.present === null)) {
      this.#told = view
      this.#toldTyping = typing
      return this.#items.snapshot(view, typing)
    }
    if (told !== view) {
      this.#told = view
      return this.#items.change(told, view)
    }
    if (this.#toldTyping === typing) return null
    this.#toldTyping = typing
    return this.#items.typing(typing)
  }

  #takeUnknown(since: Date): RosterItem | null {
    if (this.#toldUnknown) return null
    this.#toldUnknown = true
    this.#told = null
    return this.#items.unknown(since)
  }

  watch(wake: () => void): void {
    if (!this.#wake) this.#roster.addWatcher(this)
    this.#wake = wake
  }

  /** See RosterWatcher. */
  wake(): void {
    this.#wake?.()
  }

  end(): void {
    if (this.#left) return
    this.#left = true
    this.#roster.removeWatcher(this)
    this.#wake?.()
    this.#onEnd()
  }
}
