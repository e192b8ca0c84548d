/**
 * Which of an exchange's own trade ids were seen, per market: a bounded set, oldest out first. BitPin's pushes are overlapping
 * windows of recent trades, so most rows of a push are known.
 */

export interface SeenIds {
  /** True the first time. */
  readonly add: (id: string) => boolean
  /** A push held so many rows: at least twice as many ids are kept, or the next push would look new. */
  readonly window: (rows: number) => void
  /** A copy of the last of them. */
  readonly snapshot: () => ReadonlySet<string>
  readonly size: () => number
}

const initialCapacity = 512

/** So many are dropped at a time: the oldest of a set that loses one at each step is dear to find. */
const surplus = 128

/** `remembered`: ids of earlier lives, oldest first. */
export const make = (remembered: Iterable<string> = []): SeenIds => {
  const ids = new Set(remembered)
  let capacity = initialCapacity
  return {
    add: (id) => {
      if (ids.has(id)) return false
      ids.add(id)
      if (ids.size > capacity + surplus) {
        for (const oldest of ids) {
          ids.delete(oldest)
          if (ids.size <= capacity) break
        }
      }
      return true
    },
    window: (rows) => {
      capacity = Math.max(capacity, rows * 2)
    },
    snapshot: () => new Set(Array.from(ids).slice(-initialCapacity)),
    size: () => ids.size
  }
}
