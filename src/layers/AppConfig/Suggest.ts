/**
 * "Did you mean ...?"
 */

/** Insertions, deletions, substitutions and swaps of neighbours between two words. */
export const distance = (a: string, b: string): number => {
  let beforeLast: ReadonlyArray<number> = []
  let last: ReadonlyArray<number> = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row: Array<number> = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      row.push(Math.min(
        (last[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (last[j - 1] ?? 0) + (same ? 0 : 1),
        swapped ? (beforeLast[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY
      ))
    }
    beforeLast = last
    last = row
  }
  return last[b.length] ?? 0
}

/** The closest of some words, if one is close: within a third of its length, and never more than `limit`. */
export const nearest = (word: string, words: ReadonlyArray<string>, limit = 2): string | undefined => {
  let best: string | undefined
  let least = Number.POSITIVE_INFINITY
  for (const other of words) {
    const far = distance(word, other)
    if (far < least && far <= Math.min(limit, Math.ceil(other.length / 3))) {
      best = other
      least = far
    }
  }
  return best
}
