// The bus of a single node: see EventBus. Delivery is asynchronous, as over Redis, so that no caller
// comes to rely on a listener having run inside publish().

import type { EventBus } from './event-bus.ts'

class MemoryEventBus implements EventBus {
  readonly #topics = new Map<string, Set<(message: string) => void>>()
  #closed = false

  /** See EventBus.publish. Keeps no queue: the order is that of the microtasks. */
  async publish(topic: string, message: string): Promise<void> {
    this.#refuseWhenClosed()
    const listeners = this.#topics.get(topic)
    if (!listeners) return
    const addressed = [...listeners]
    queueMicrotask(() => {
      for (const listener of addressed) if (listeners.has(listener)) listener(message)
    })
  }

  async subscribe(topic: string, listener: (message: string) => void): Promise<() => Promise<void>> {
    this.#refuseWhenClosed()
    const listeners = this.#topics.get(topic) ?? new Set()
    this.#topics.set(topic, listeners)
    // Its own function: the same listener given twice is two subscriptions.
    const own = (message: string) => listener(message)
    listeners.add(own)
    return async () => {
      listeners.delete(own)
      if (listeners.size === 0 && this.#topics.get(topic) === listeners) this.#topics.delete(topic)
    }
  }

  onReconnect(): () => void {
    return () => {}
  }

  async ping(): Promise<number> {
    this.#refuseWhenClosed()
    return 0
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const listeners of this.#topics.values()) listeners.clear()
    this.#topics.clear()
  }

  #refuseWhenClosed(): void {
    if (this.#closed) throw new Error('The event bus is closed')
  }
}

export function createMemoryEventBus(): EventBus {
  return new MemoryEventBus()
}
