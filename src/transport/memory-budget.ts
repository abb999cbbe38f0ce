/** What many of a kind may keep together. A soft limit: each keeps only a little once it is spent. */
export class MemoryBudget {
  readonly #maxBytes: number
  #usedBytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  take(bytes: number): void {
    this.#usedBytes += bytes
  }

  give(bytes: number): void {
    this.#usedBytes -= bytes
  }

  get spent(): boolean {
    return this.#usedBytes > this.#maxBytes
  }

  get usedBytes(): number {
    return this.#usedBytes
  }
}
