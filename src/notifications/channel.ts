import type { Tx } from '../platform/db.ts'

/**
 * A notification that a user is to be told of now. `title` and `body` are as the user's privacy setting has them (full,
 * sender only, none).
 */
export interface DueNotification {
  /** Of the notification, a UUID. */
  readonly id: string
  /** Grows whenever the notification has become another one: "2 new messages", "3 new messages". From 1. */
  readonly version: number
  readonly userId: string
  /** The `sub` of the user's tokens, by which the operator's backend knows them. */
  readonly userSubject: string
  readonly kind: string
  /** Whether a device is to be woken for it: somebody means this user. */
  readonly isUrgent: boolean
  /** Null where it is about no room. */
  readonly roomId: string | null
  readonly roomName: string | null
  readonly actorName: string | null
  /** How many events it stands for. */
  readonly count: number
  readonly title: string
  readonly body: string
  /** Where a click leads to. */
  readonly url?: string
  readonly createdAt: Date
}

/** A way by which notifications leave the house. */
export interface NotificationChannel {
  /**
   * Enqueues deliveries of these notifications, one for each target of its user's, within the transaction that decides
   * that they are due: they exist if and only if it commits. At most one for each (notification, version, target), however
   * often this is called. Sends nothing by itself and waits for no target. A few statements, however many they are: the
   * transaction holds locks.
   *
   * A delivery is tried until the target has taken it or it is given up. A target gets it once, and once more only where
   * a node died between the target's answer and the note of it; then the repetition carries the same identity.
   */
  plan(tx: Tx, due: readonly DueNotification[]): Promise<void>
}

/** Several channels as one. */
export function joinChannels(channels: readonly NotificationChannel[]): NotificationChannel {
  return {
    // One after the other: it is one transaction, on one connection.
    async plan(tx, due) {
      for (const channel of channels) await channel.plan(tx, due)
    },
  }
}
