/** The value below which this share of the values lies; NaN of none. */
export function quantileOf(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

export function medianOf(values: readonly number[]): number {
  return quantileOf(values, 0.5)
}

/** For the line of results: three significant digits are more than such a figure is worth. */
export function roundRatio(value: number): number {
  return Number(value.toPrecision(3))
}
