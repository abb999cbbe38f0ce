/**
 * What has been opened, to be closed in the reverse order. Everything is closed even if something fails to; then the
 * first failure is thrown at the end.
 */
export class Closers {
  readonly #closers: (() => void | Promise<void>)[] = []
  #closing: Promise<void> | null = null

  /** Not after `close`. */
  add(close: () => void | Promise<void>): void {
    this.#closers.push(close)
  }

  /** Safe to call twice: both wait for the same closing. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll()
    return this.#closing
  }

  async #closeAll(): Promise<void> {
    const errors: unknown[] = []
    for (const close of this.#closers.reverse()) {
      try {
        await close()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw errors[0]
  }
}
