// How a node is left: one client after the other, over a while, so that they do not all knock at the next one at once.

/** How often some of them are told. */
const STEP_MS = 25

/** Acts on each, in turns spread evenly over the time; resolves when all of it is done. Throws the first failure after all had their turn. */
export async function spreadOver<T>(
  all: Iterable<T>,
  windowMs: number,
  act: (one: T) => void | Promise<void>,
): Promise<void> {
  const waiting = [...all]
  const steps = Math.max(1, Math.floor(windowMs / STEP_MS))
  const acts: Promise<void>[] = []
  let failure: { error: unknown } | null = null
  const run = async (one: T) => {
    try {
      await act(one)
    } catch (error) {
      failure ??= { error }
    }
  }
  for (let step = 0; step < steps && waiting.length > 0; step++) {
    const share = Math.ceil(waiting.length / (steps - step))
    for (const one of waiting.splice(0, share)) acts.push(run(one))
    if (waiting.length > 0) await new Promise((resolve) => setTimeout(resolve, STEP_MS))
  }
  await Promise.all(acts)
  const failed = failure as { error: unknown } | null // assigned in run
  if (failed) throw failed.error
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
