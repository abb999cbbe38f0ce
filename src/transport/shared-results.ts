// Results of executions that subscribers share: by event, which is the same object for all subscribers of a node, and group.
// Invariant: never more than `max`; the oldest events' results go first, and with an event that is no longer in memory.

import type { ExecutionResult } from 'graphql'

type OfEvent = Map<string, Promise<ExecutionResult>>

export class SharedResults {
  readonly #max: number
  readonly #byEvent = new WeakMap<object, OfEvent>()
  /** In the order in which their events were first executed. */
  readonly #oldestFirst = new Set<OfEvent>()
  #size = 0

  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#size
  }

  find(event: object, group: string): Promise<ExecutionResult> | undefined {
    return this.#byEvent.get(event)?.get(group)
  }

  keep(event: object, group: string, result: Promise<ExecutionResult>): void {
    const ofEvent: OfEvent = this.#byEvent.get(event) ?? new Map()
    if (!ofEvent.has(group)) this.#size++
    ofEvent.set(group, result)
    this.#byEvent.set(event, ofEvent)
    this.#oldestFirst.add(ofEvent)
    while (this.#size > this.#max) this.#dropOldest()
  }

  forget(event: object, group: string): void {
    const ofEvent = this.#byEvent.get(event)
    if (!ofEvent?.delete(group)) return
    this.#size--
    if (ofEvent.size === 0) this.#oldestFirst.delete(ofEvent)
  }

  #dropOldest(): void {
    const [oldest] = this.#oldestFirst
    if (!oldest) return
    this.#oldestFirst.delete(oldest)
    this.#size -= oldest.size
    oldest.clear()
  }
}
