/**
 * Which of an exchange's own trade ids were seen, per market: a bounded set, oldest out first. BitPin's pushes are overlapping
 * windows of recent trades, so most rows of a push are known.
 */

export interface SeenIds {
  /** True the first time. `timestamp`: the trade's, epoch ms; null where it has none. */
  readonly add: (id: string, timestamp: number | null) => boolean
  /** A push held so many rows: at least twice as many ids are kept, or the next push would look new. */
  readonly window: (rows: number) => void
  /** Those of that timestamp, and those whose timestamp is not known. */
  readonly at: (timestamp: number | null) => ReadonlyArray<string>
  readonly size: () => number
}

const initialCapacity = 512

/** So many are dropped at a time: the oldest of a set that loses one at each step is dear to find. */
const surplus = 128

/** `remembered`: ids of earlier lives with their timestamps, oldest first. */
export const make = (remembered: Iterable<readonly [id: string, timestamp: number | null]> = []): SeenIds => {
  const ids = new Map(remembered)
  let capacity = initialCapacity
  return {
    add: (id, timestamp) => {
      if (ids.has(id)) return false
      ids.set(id, timestamp)
      if (ids.size > capacity + surplus) {
        for (const oldest of ids.keys()) {
          ids.delete(oldest)
          if (ids.size <= capacity) break
        }
      }
      return true
    },
    window: (rows) => {
      capacity = Math.max(capacity, rows * 2)
    },
    at: (timestamp) => {
      const found: Array<string> = []
      for (const [id, one] of ids) if (one === null || one === timestamp) found.push(id)
      return found
    },
    size: () => ids.size
  }
}
