import type { UserRecord } from '../users/user-record.ts'
import { type PresentUser, type RoomRoster, type RosterView, samePresent } from './room-roster.ts'

export interface PresenceChange {
  user: UserRecord
  state: 'ONLINE' | 'AWAY' | 'OFFLINE'
}

export type RosterItem =
  | { kind: 'snapshot'; count: number; present: readonly PresentUser[]; named: boolean; typing: readonly UserRecord[] }
  | { kind: 'change'; count: number; changes: readonly PresenceChange[] }
  | { kind: 'typing'; typing: readonly UserRecord[] }

/** One watcher of a room: first the snapshot, then the difference to what it was told last. A plain iterator. */
export class RosterCursor implements AsyncIterableIterator<RosterItem> {
  readonly #roster: RoomRoster
  readonly #onEnd: () => void
  #told: RosterView | null = null
  #toldTyping: readonly UserRecord[] = []
  #ended = false
  #wake: (() => void) | null = null

  constructor(roster: RoomRoster, onEnd: () => void) {
    this.#roster = roster
    this.#onEnd = onEnd
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<RosterItem>> {
    while (!this.#ended && !this.#roster.closed) {
      const item = this.#take()
      if (item) return { done: false, value: item }
      await new Promise<void>((resolve) => {
        const forget = this.#roster.onChange(resolve)
        this.#wake = () => {
          forget()
          resolve()
        }
      })
    }
    return { done: true, value: undefined }
  }

  async return(): Promise<IteratorResult<RosterItem>> {
    if (!this.#ended) {
      this.#ended = true
      this.#wake?.()
      this.#onEnd()
    }
    return { done: true, value: undefined }
  }

  async throw(error: unknown): Promise<IteratorResult<RosterItem>> {
    await this.return()
    throw error
  }

  #take(): RosterItem | null {
    const { view, typing } = this.#roster
    const told = this.#told
    // Between names and mere counts there is no difference to tell: begin anew.
    if (!told || (told.present === null) !== (view.present === null)) {
      this.#told = view
      this.#toldTyping = typing
      const present = [...(view.present?.values() ?? [])]
      return { kind: 'snapshot', count: view.count, present, named: view.present !== null, typing }
    }
    if (told !== view) {
      this.#told = view
      return { kind: 'change', count: view.count, changes: difference(told, view) }
    }
    if (this.#toldTyping !== typing) {
      this.#toldTyping = typing
      return { kind: 'typing', typing }
    }
    return null
  }
}

function difference(before: RosterView, after: RosterView): PresenceChange[] {
  const changes: PresenceChange[] = []
  for (const [id, { user }] of before.present ?? []) {
    if (!after.present?.has(id)) changes.push({ user, state: 'OFFLINE' })
  }
  for (const [id, now] of after.present ?? []) {
    if (!samePresent(now, before.present?.get(id))) changes.push({ user: now.user, state: now.state })
  }
  return changes
}
