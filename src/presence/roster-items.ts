// What the watchers of one room are told. Watchers who were told the same before get the same object now, so that it is
// made once, and what is made of it can be shared. Only the latest items are kept.

import type { UserRecord } from '../users/user-record.ts'
import { type PresentUser, type RosterView, samePresent } from './room-roster.ts'

export interface PresenceChange {
  user: UserRecord
  state: 'ONLINE' | 'AWAY' | 'OFFLINE'
}

type Snapshot = {
  kind: 'snapshot'
  count: number
  present: readonly PresentUser[]
  named: boolean
  typing: readonly UserRecord[]
}
type Change = { kind: 'change'; count: number; changes: readonly PresenceChange[] }
type Typing = { kind: 'typing'; typing: readonly UserRecord[] }
type Unknown = { kind: 'unknown'; since: Date }

export type RosterItem = Snapshot | Change | Typing | Unknown

export class RosterItems {
  #snapshot: { view: RosterView; item: Snapshot } | null = null
  #change: { told: RosterView; view: RosterView; item: Change } | null = null
  #typing: Typing | null = null
  #unknown: Unknown | null = null

  snapshot(view: RosterView, typing: readonly UserRecord[]): Snapshot {
    const last = this.#snapshot
    if (last?.view === view && last.item.typing === typing) return last.item
    const present = [...(view.present?.values() ?? [])]
    const item: Snapshot = { kind: 'snapshot', count: view.count, present, named: view.present !== null, typing }
    this.#snapshot = { view, item }
    return item
  }

  change(told: RosterView, view: RosterView): Change {
    const last = this.#change
    if (last?.told === told && last.view === view) return last.item
    const item: Change = { kind: 'change', count: view.count, changes: difference(told, view) }
    this.#change = { told, view, item }
    return item
  }

  typing(typing: readonly UserRecord[]): Typing {
    if (this.#typing?.typing !== typing) this.#typing = { kind: 'typing', typing }
    return this.#typing
  }

  unknown(since: Date): Unknown {
    if (this.#unknown?.since !== since) this.#unknown = { kind: 'unknown', since }
    return this.#unknown
  }
}

function difference(before: RosterView, after: RosterView): PresenceChange[] {
  const changes: PresenceChange[] = []
  for (const [id, { user }] of before.present ?? []) {
    // As they are now: when they were last seen is news.
    if (!after.present?.has(id)) changes.push({ user: after.departed.get(id) ?? user, state: 'OFFLINE' })
  }
  for (const [id, now] of after.present ?? []) {
    if (!samePresent(now, before.present?.get(id))) changes.push({ user: now.user, state: now.state })
  }
  return changes
}
