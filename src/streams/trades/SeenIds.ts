/**
 * Which of an exchange's own trade ids were seen, per market: a bounded set, oldest out first. BitPin's pushes are overlapping
 * windows of recent trades, so most rows of a push are known.
 *
 * Two generations: when the younger one is full, the older one goes as a whole. Ids that go one by one leave holes in a Map, which V8 walks
 * over to find the oldest.
 */
import { whole } from "../protocols/Json.ts"

export interface SeenIds {
  /** True the first time. `timestamp`: the trade's, epoch ms; null where it has none. The id may be a slice of its frame. */
  readonly add: (id: string, timestamp: number | null) => boolean
  readonly has: (id: string) => boolean
  /** A push held so many rows: so many of the newest ids are always known, or the next push would look new. */
  readonly window: (rows: number) => void
  /** Those of that timestamp, and those whose timestamp is not known. */
  readonly at: (timestamp: number | null) => ReadonlyArray<string>
  readonly size: () => number
}

/** Ids of one generation, at least: so many of the newest are always known. */
const initialCapacity = 512

/** `remembered`: ids of earlier lives with their timestamps, oldest first. */
export const make = (remembered: Iterable<readonly [id: string, timestamp: number | null]> = []): SeenIds => {
  let older = new Map(remembered)
  let younger = new Map<string, number | null>()
  let capacity = initialCapacity
  return {
    add: (id, timestamp) => {
      if (younger.has(id) || older.has(id)) return false
      if (younger.size >= capacity) {
        older = younger
        younger = new Map()
      }
      younger.set(whole(id), timestamp)
      return true
    },
    has: (id) => younger.has(id) || older.has(id),
    window: (rows) => {
      capacity = Math.max(capacity, rows)
    },
    at: (timestamp) => {
      const found: Array<string> = []
      for (const ids of [older, younger]) {
        for (const [id, one] of ids) if (one === null || one === timestamp) found.push(id)
      }
      return found
    },
    size: () => older.size + younger.size
  }
}
