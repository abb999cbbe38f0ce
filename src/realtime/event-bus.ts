/**
 * Carries news between nodes. It is not the truth: the log in Postgres is.
 *
 * Ordering: messages of one publisher on one topic arrive in the order of publishing; between publishers there is none.
 * Loss: a message may be lost (a cut connection, a restart of the server behind); receivers repair from the log.
 * Repeats: none by the bus itself. Topics and messages are opaque to it.
 */
export interface EventBus {
  /**
   * Resolves once the message was handed over; rejects, within a bounded time, when it could not be.
   * Never queues while the server behind is away.
   */
  publish(topic: string, message: string): Promise<void>
  /**
   * Eager: once the promise resolves, every message published afterwards reaches the listener
   * for as long as the connection holds. Rejects, within a bounded time, when the server behind is away;
   * then nothing is left registered. The returned function ends the listening at once and is safe to call twice.
   * A listener must not throw.
   */
  subscribe(topic: string, listener: (message: string) => void): Promise<() => Promise<void>>
  /**
   * Called after the connection came back and all topics are subscribed again: messages may have been missed, and a
   * subscribe that was refused will now succeed. The first connection counts only if a subscribe was refused before it.
   */
  onReconnect(listener: () => void): () => void
  /** Round trip in milliseconds to the server behind, 0 in memory; rejects within a bounded time when it is away. */
  ping(): Promise<number>
  /** Ends all listening and drops the connections; everything after it rejects. Never rejects itself. */
  close(): Promise<void>
}
