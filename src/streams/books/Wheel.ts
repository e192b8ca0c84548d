/** What is due when: a heap of instants. The same item may be in it several times; who takes it out knows whether it is still wanted. */
import * as Time from "../../services/Time.ts"

export interface Wheel<A> {
  readonly add: (at: Time.Instant, item: A) => void
  /** The earliest instant; undefined if there is none. */
  readonly next: () => Time.Instant | undefined
  /** The earliest item, if it is due. */
  readonly take: (now: Time.Instant) => A | undefined
}

export const make = <A>(): Wheel<A> => {
  const heap: Array<{ readonly at: Time.Instant; readonly item: A }> = []
  const isEarlier = (i: number, j: number): boolean => {
    const [a, b] = [heap[i], heap[j]]
    return a !== undefined && b !== undefined && Time.between(a.at, b.at) > 0
  }
  const swap = (i: number, j: number): void => {
    const [a, b] = [heap[i], heap[j]]
    if (a === undefined || b === undefined) return
    heap[i] = b
    heap[j] = a
  }
  const sink = (from: number): void => {
    let i = from
    for (;;) {
      const [left, right] = [2 * i + 1, 2 * i + 2]
      const smaller = isEarlier(right, left) ? right : left
      if (!isEarlier(smaller, i)) return
      swap(i, smaller)
      i = smaller
    }
  }
  return {
    add: (at, item) => {
      let i = heap.push({ at, item }) - 1
      while (i > 0) {
        const parent = (i - 1) >> 1
        if (!isEarlier(i, parent)) return
        swap(i, parent)
        i = parent
      }
    },
    next: () => heap[0]?.at,
    take: (now) => {
      const [first] = heap
      if (first === undefined || Time.between(first.at, now) < 0) return undefined
      const last = heap.pop()
      if (heap.length > 0 && last !== undefined) {
        heap[0] = last
        sink(0)
      }
      return first.item
    }
  }
}
