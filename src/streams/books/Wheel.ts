/**
 * What is due when: a heap of instants, in which an item is once at the most. An item that is to be due at another time is moved: were the
 * entry of before left in it, the heap would grow with each change of mind.
 */
import * as Time from "../../services/Time.ts"

export interface Wheel<A> {
  /** It is due then, whenever it was due before. */
  readonly set: (at: Time.Instant, item: A) => void
  /** The earliest instant; undefined if there is none. */
  readonly next: () => Time.Instant | undefined
  /** The earliest item, if it is due. */
  readonly take: (now: Time.Instant) => A | undefined
  readonly size: () => number
}

export const make = <A>(): Wheel<A> => {
  const heap: Array<{ readonly at: Time.Instant; readonly item: A }> = []
  const places = new Map<A, number>()
  const isEarlier = (i: number, j: number): boolean => {
    const [a, b] = [heap[i], heap[j]]
    return a !== undefined && b !== undefined && Time.between(a.at, b.at) > 0
  }
  const swap = (i: number, j: number): void => {
    const [a, b] = [heap[i], heap[j]]
    if (a === undefined || b === undefined) return
    heap[i] = b
    heap[j] = a
    places.set(b.item, i)
    places.set(a.item, j)
  }
  const rise = (from: number): void => {
    let i = from
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (!isEarlier(i, parent)) return
      swap(i, parent)
      i = parent
    }
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
    set: (at, item) => {
      const place = places.get(item) ?? heap.length
      heap[place] = { at, item }
      places.set(item, place)
      rise(place)
      sink(place)
    },
    next: () => heap[0]?.at,
    take: (now) => {
      const [first] = heap
      if (first === undefined || Time.between(first.at, now) < 0) return undefined
      swap(0, heap.length - 1)
      heap.pop()
      places.delete(first.item)
      sink(0)
      return first.item
    },
    size: () => heap.length
  }
}
