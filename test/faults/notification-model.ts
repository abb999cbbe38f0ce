// Tells people of the messages of a correct history as the service promises it: for the checker's own tests.

import {
  type Absentee,
  MAX_UNREAD,
  type NotificationHistory,
  type NotificationKind,
  type ReceivedTelling,
  type StoredDelivery,
  type StoredNotification,
  type Target,
} from './history.ts'
import type { Random } from './random.ts'

export interface ModelDuty {
  readonly user: string
  readonly room: string
  readonly kind: NotificationKind
  readonly message: string | null
}

const HOOKS: readonly Target[] = [
  { address: 'hook 1', user: null, kinds: null },
  { address: 'hook 2', user: null, kinds: ['MENTION', 'REPLY'] },
]

/** Every duty is told once, some together; every telling comes to all of its targets, some of them again. */
export function tellCorrectly(
  duties: readonly ModelDuty[],
  absentees: readonly Absentee[],
  random: Random,
): NotificationHistory {
  const users = [...new Set(absentees.map(({ user }) => user))]
  const browsers = users.map((user): Target => ({ address: `browser of ${user}`, user, kinds: null }))
  const model = new NotificationModel([...HOOKS, ...browsers], random)
  for (const inbox of Map.groupBy(duties, ({ user, room, kind }) => `${user} ${room} ${kind}`).values()) {
    for (let at = 0; at < inbox.length; ) at += model.tellSome(inbox.slice(at))
  }
  const { targets, stored, deliveries, received } = model
  const unread = users.map((user) => {
    return { user, said: Math.min(MAX_UNREAD, stored.filter((one) => one.user === user && !one.isRead).length) }
  })
  return { absentees, stored, targets, deliveries, received, pending: [], unread }
}

class NotificationModel {
  readonly targets: readonly Target[]
  readonly stored: StoredNotification[] = []
  readonly deliveries: StoredDelivery[] = []
  readonly received: ReceivedTelling[] = []
  readonly #random: Random

  constructor(targets: readonly Target[], random: Random) {
    this.targets = targets
    this.#random = random
  }

  /** Tells the first of them by one notification, in one or several versions; returns how many. */
  tellSome(duties: readonly ModelDuty[]): number {
    const steps = Array.from({ length: this.#random.integer(1, 3) }, () => this.#random.integer(1, 3))
    const counts: number[] = []
    for (const step of steps) {
      const before = counts.at(-1) ?? 0
      if (before < duties.length) counts.push(Math.min(duties.length, before + step))
    }
    const count = counts.at(-1) ?? 0
    const last = duties[count - 1]
    if (!last) return duties.length
    const version = counts.length
    const id = `notification ${this.stored.length}`
    const notification = { ...last, id, count, version, events: version, isRead: this.#random.chance(0.2) }
    this.stored.push(notification)
    for (const target of this.targets) {
      if (target.user !== null && target.user !== last.user) continue
      if (target.kinds?.includes(last.kind) === false) continue
      for (const [index, shown] of counts.entries()) this.#deliver(notification, target, index + 1, shown)
    }
    return count
  }

  #deliver({ id, user, version: last }: StoredNotification, target: Target, version: number, count: number): void {
    const place = { target: target.address, user, notification: id, version }
    const identity = target.user === null ? `delivery ${this.deliveries.length}` : `${id} ${version}`
    // A browser is spared what became outdated meanwhile.
    if (target.user !== null && version < last && this.#random.chance(0.3)) {
      const error = 'a later version of the notification took its place'
      this.deliveries.push({ ...place, identity, state: 'DEAD', error })
      return
    }
    this.deliveries.push({ ...place, identity, state: 'DELIVERED', error: null })
    const times = this.#random.integer(1, 3)
    for (let time = 1; time <= times; time++) {
      const digest = `${identity} shows ${count}`
      this.received.push({ ...place, identity, digest, count, atMs: 0, status: time === times ? 204 : null })
    }
  }
}
