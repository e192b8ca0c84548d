/** What is told of several rounds, and of many latencies. */

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
  /** How many rounds. */
  readonly n: number
}

const ascending = (values: Iterable<number>): Float64Array => Float64Array.from(values).sort()

/** Undefined of nothing. Of an even number the mean of the two in the middle. */
export const spread = (values: Iterable<number>): Spread | undefined => {
  const sorted = ascending(values)
  const n = sorted.length
  const [min, max] = [sorted[0], sorted[n - 1]]
  if (min === undefined || max === undefined) return undefined
  const [low = min, high = max] = [sorted[Math.floor((n - 1) / 2)], sorted[Math.ceil((n - 1) / 2)]]
  return { median: (low + high) / 2, min, max, n }
}

/** The smallest value that at least `part` (0 to 1) of all are not above: always one that was measured. Undefined of nothing. */
export const quantiles = (
  values: Iterable<number>,
  parts: ReadonlyArray<number>
): ReadonlyArray<number | undefined> => {
  const sorted = ascending(values)
  return parts.map((part) => sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)])
}

/** With so many significant digits as a figure of a benchmark deserves: none behind the point from 100 on. */
export const rounded = (value: number): number =>
  Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3))
