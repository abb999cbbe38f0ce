/** One event at its place in a topic's log. Feeds share entries among all their readers: never change one. */
export interface Entry<E> {
  readonly seq: number
  readonly event: E
  /** About how much memory the event takes, for the budget of recent entries. */
  readonly bytes: number
  /** Whether with it earlier entries have become others in the log: what was read of them before is not to be given any more. */
  readonly changesEarlier?: boolean
}

/**
 * The truth behind a feed: per topic an append-only log of entries 1, 2, 3 … without a gap.
 * Topics and events are opaque to the feed. Every call rejects within a bounded time when the log is away.
 */
export interface TopicLog<E> {
  /** The seq of the newest entry of each topic (0 for an empty log). A topic that no longer exists is left out. */
  heads(topics: readonly string[]): Promise<ReadonlyMap<string, number>>
  /**
   * The entries after `after` up to and including `upTo`, in order, at most `limit`. `upTo` must be at or below
   * a head seen before. Without a gap, except that what retention removed is missing at the beginning.
   */
  read(topic: string, after: number, upTo: number, limit: number): Promise<Entry<E>[]>
  /** The event as a bus message. */
  encode(event: E): string
  /** The entry that a bus message carries. Throws when it is not one. */
  decode(message: string): Entry<E>
}
