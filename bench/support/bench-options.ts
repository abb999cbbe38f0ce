/** The flags that take a number. Not every bench knows every one. */
export const COUNTS = ['subscribers', 'rooms', 'operations', 'connections'] as const
export type Count = (typeof COUNTS)[number]

/** What every bench's `run` gets; a count is null where its flag was not given. */
export interface BenchOptions extends Readonly<Record<Count, number | null>> {
  /** Fewer and shorter rounds: to see that it runs, not for figures. */
  readonly quick: boolean
}
