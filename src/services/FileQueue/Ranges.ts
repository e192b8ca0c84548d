/**
 * Sets of sequence numbers as sorted, disjoint, inclusive ranges: what was lost between the cursor and the tail. Pure.
 */
export interface Range {
  readonly first: number
  readonly last: number
}

/** Sorted; no two touch. */
export type Ranges = ReadonlyArray<Range>

export const empty: Ranges = []

export const count = (ranges: Ranges): number => ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0)

/** The parts of `range` that are in no range of `ranges`. */
export const missing = (ranges: Ranges, range: Range): Ranges => {
  const out: Array<Range> = []
  let first = range.first
  for (const one of ranges) {
    if (one.last < first) continue
    if (one.first > range.last) break
    if (one.first > first) out.push({ first, last: one.first - 1 })
    first = one.last + 1
  }
  if (first <= range.last) out.push({ first, last: range.last })
  return out
}

export const add = (ranges: Ranges, range: Range): Ranges => {
  if (range.last < range.first) return ranges
  const before: Array<Range> = []
  const after: Array<Range> = []
  let { first, last } = range
  for (const one of ranges) {
    if (one.last + 1 < first) before.push(one)
    else if (one.first - 1 > last) after.push(one)
    else {
      first = Math.min(first, one.first)
      last = Math.max(last, one.last)
    }
  }
  return [...before, { first, last }, ...after]
}

/** The first number at or above `seq` that is in no range. */
export const skip = (ranges: Ranges, seq: number): number => {
  for (const { first, last } of ranges) if (seq >= first && seq <= last) return last + 1
  return seq
}

/** Without everything below `seq`. */
export const from = (ranges: Ranges, seq: number): Ranges =>
  ranges.length === 0 || (ranges[0]?.first ?? seq) >= seq
    ? ranges
    : ranges.filter(({ last }) => last >= seq).map(({ first, last }) => ({ first: Math.max(first, seq), last }))

export const covers = (ranges: Ranges, range: Range): boolean =>
  ranges.some(({ first, last }) => first <= range.first && last >= range.last)
