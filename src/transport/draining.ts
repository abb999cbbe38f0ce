// How a node is left: one client after the other, over a while, so that they do not all knock at the next one at once.

/** How often some of them are told. */
const STEP_MS = 25

/** Acts on each, in turns spread evenly over the time; resolves when all of it is done. What fails ends the rest. */
export async function spreadOver<T>(
  all: Iterable<T>,
  windowMs: number,
  act: (one: T) => void | Promise<void>,
): Promise<void> {
  const waiting = [...all]
  const steps = Math.max(1, Math.floor(windowMs / STEP_MS))
  const acts: (void | Promise<void>)[] = []
  for (let step = 0; step < steps && waiting.length > 0; step++) {
    const share = Math.ceil(waiting.length / (steps - step))
    acts.push(...waiting.splice(0, share).map(act))
    if (waiting.length > 0) await new Promise((resolve) => setTimeout(resolve, STEP_MS))
  }
  await Promise.all(acts)
}

/** Operations of one connection whose answer is still to come. */
export class PendingAnswers {
  #count = 0
  #onNone: (() => void)[] = []

  /** Never throws what the operation throws: that is its owner's. */
  add(answer: unknown): void {
    if (!(answer instanceof Promise)) return
    this.#count++
    const done = () => {
      this.#count--
      if (this.#count === 0) for (const resolve of this.#onNone.splice(0)) resolve()
    }
    answer.then(done, done)
  }

  /** Resolves when none is pending and those that were have been handed over, or when the time is up. */
  async settled(timeoutMs: number): Promise<void> {
    if (this.#count > 0) {
      await new Promise<void>((resolve) => {
        const tooLate = setTimeout(resolve, timeoutMs)
        this.#onNone.push(() => {
          clearTimeout(tooLate)
          resolve()
        })
      })
    }
    // Whoever waits for the same promise hands the answer over after us.
    await new Promise((resolve) => setImmediate(resolve))
  }
}
