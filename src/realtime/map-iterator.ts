/** What to do with an item: pass a value on (perhaps as the last), leave it out (null), or end the stream. */
export type Mapped<T> = { value: T; last?: boolean } | 'end' | null

/**
 * An iterator over another's items, changed or left out. A plain `{ next, return, throw }` object, so that `return()`
 * reaches a waiting source at once. `onEnd` runs once, however the iteration ends.
 */
export function mapIterator<S, T>(
  source: AsyncIterator<S>,
  map: (item: S) => Mapped<T>,
  onEnd: () => void = () => {},
): AsyncIterableIterator<T> {
  let ended = false
  const end = async (): Promise<IteratorResult<T>> => {
    if (!ended) {
      ended = true
      onEnd()
      await source.return?.()
    }
    return { done: true, value: undefined }
  }
  return {
    [Symbol.asyncIterator]() {
      return this
    },
    async next() {
      while (!ended) {
        const item = await source.next().catch(async (error) => {
          await end()
          throw error
        })
        if (item.done) return end()
        const mapped = map(item.value)
        if (mapped === 'end') return end()
        if (!mapped) continue
        if (mapped.last) await end()
        return { done: false, value: mapped.value }
      }
      return { done: true, value: undefined }
    },
    return: end,
    async throw(error) {
      await end()
      throw error
    },
  }
}
