/**
 * One side of a book that changes keep: thousands of levels, of which each part changes a few, nearly all of them near the best. Worst first,
 * so that a level near the best moves few others. Amounts are totals.
 *
 * A double of a price is for searching only: prices that are one double are told apart as decimals.
 */
import * as Decimal from "../../../services/Decimal.ts"
import type { Level } from "../../Exchange.ts"
import type * as Levels from "../Levels.ts"

export interface Side {
  readonly name: Levels.Side
  /** Worst first; those of `levels` as doubles, of asks negative: the better a price, the higher its key. */
  readonly keys: Array<number>
  readonly levels: Array<Level>
  /** Nothing is known of what is worse than this price; undefined: all levels that there are are known. */
  edge: Edge | undefined
}

interface Edge {
  readonly price: string
  readonly key: number
  /** From the edge to the best price, when it was drawn. */
  readonly span: number
}

export const make = (name: Levels.Side): Side => ({ name, keys: [], levels: [], edge: undefined })

const keyOf = (name: Levels.Side, price: string): number => name === "bids" ? Number(price) : -Number(price)

/** Below zero if `a` is the worse price. */
const compare = (name: Levels.Side, a: string, b: string): number =>
  name === "bids" ? Decimal.compare(a, b) : Decimal.compare(b, a)

/** Of the first level that is not worse. */
const placeOf = (
  { keys, levels, name }: Pick<Side, "keys" | "levels" | "name">,
  price: string,
  key: number
): number => {
  let [low, high] = [0, keys.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((keys[middle] ?? 0) < key) low = middle + 1
    else high = middle
  }
  while (keys[low] === key && compare(name, levels[low]?.[0] ?? price, price) < 0) low += 1
  return low
}

/**
 * One level as a change has it: `"0"` takes it away. Exchanges take levels away that nobody was told of, and tell of levels beyond the edge:
 * neither changes anything.
 */
export const put = (side: Side, level: Level): void => {
  const { edge, keys, levels, name } = side
  const [price, amount] = level
  const key = keyOf(name, price)
  if (edge !== undefined && (key < edge.key || (key === edge.key && compare(name, price, edge.price) < 0))) return
  const at = placeOf(side, price, key)
  const isThere = levels[at]?.[0] === price
  if (amount !== "0") {
    if (isThere) levels[at] = level
    else if (at === levels.length) {
      levels.push(level)
      keys.push(key)
    } else {
      levels.splice(at, 0, level)
      keys.splice(at, 0, key)
    }
    return
  }
  if (!isThere) return
  if (at === levels.length - 1) {
    levels.pop()
    keys.pop()
  } else {
    levels.splice(at, 1)
    keys.splice(at, 1)
  }
}

/** All of it anew: levels in order, best first, each price once, none of amount zero (`Levels.sideOf`). `isWhole`: there are no others. */
export const replace = (side: Side, levels: ReadonlyArray<Level>, isWhole: boolean): void => {
  clear(side)
  for (let i = levels.length - 1; i >= 0; i--) {
    const level = levels[i]
    if (level === undefined) continue
    side.levels.push(level)
    side.keys.push(keyOf(side.name, level[0]))
  }
  if (!isWhole) drawEdge(side)
}

export const copy = (side: Side, from: Side): void => {
  clear(side)
  for (const level of from.levels) side.levels.push(level)
  for (const key of from.keys) side.keys.push(key)
  side.edge = from.edge
}

export const clear = (side: Side): void => {
  side.levels.length = side.keys.length = 0
  side.edge = undefined
}

/** The worst that are known are the edge of it. */
const drawEdge = (side: Side): void => {
  const { keys, levels } = side
  const [worst] = levels
  const key = keys[0] ?? 0
  side.edge = worst === undefined ? undefined : { price: worst[0], key, span: (keys.at(-1) ?? key) - key }
}

/** Takes the worst levels away beyond so many. The exchange speaks of those that come back. */
export const cut = ({ keys, levels }: Side, most: number): void => {
  const over = levels.length - most
  if (over <= 0) return
  levels.splice(0, over)
  keys.splice(0, over)
}

/** The same where it does not speak of them: from here on nothing is known of what is worse. */
export const bound = (side: Side, most: number): void => {
  if (side.levels.length <= most) return
  cut(side, most)
  drawEdge(side)
}

/** The best so many as exchanges have them in pictures: best first. With the digits of checksums. */
export const top = ({ levels }: Side, depth: number): ReadonlyArray<Level> => levels.slice(-depth).reverse()

/** The same as events have them. */
export const best = ({ levels }: Side, depth: number): Levels.Levels => {
  const out: Array<Levels.Level> = []
  const last = Math.max(0, levels.length - depth)
  for (let i = levels.length - 1; i >= last; i--) {
    const level = levels[i]
    if (level !== undefined) out.push(isBare(level) ? level : [level[0], level[1]])
  }
  return out
}

const isBare = (level: Level): level is Levels.Level => level.length === 2

/** What is known of a side, as it was in one moment. */
export type Known = Pick<Side, "keys" | "levels" | "edge">

export const known = ({ edge, keys, levels }: Side): Known => ({ edge, keys: keys.slice(), levels: levels.slice() })

/** Both have the same levels, as far as neither says that nothing is known. */
export const isKnownAlike = (a: Known, b: Side): boolean => {
  const edges = [a.edge, b.edge].flatMap((edge) => edge ?? [])
  const edge = edges.sort((one, other) => other.key - one.key || compare(b.name, other.price, one.price))[0]
  const first = (levels: Known) => edge === undefined ? 0 : placeOf({ ...levels, name: b.name }, edge.price, edge.key)
  const [from, at] = [first(a), first(b)]
  return a.levels.length - from === b.levels.length - at &&
    b.levels.slice(at).every(([price, amount], i) => {
      const level = a.levels[from + i]
      return level?.[0] === price && level[1] === amount
    })
}

/** The best bid is no lower than the best ask. */
export const isCrossed = (bids: Side, asks: Side): boolean => {
  const [bid, ask] = [bids.levels.at(-1), asks.levels.at(-1)]
  if (bid === undefined || ask === undefined) return false
  const [high, low] = [bids.keys.at(-1) ?? 0, -(asks.keys.at(-1) ?? 0)]
  return high > low || (high === low && Decimal.compare(bid[0], ask[0]) >= 0)
}

/**
 * What is known of it wears out: fewer than so many levels are left within the edge, or the best price has come nearer to it than half of the
 * way that lay between them. A side that is known wholly never does.
 */
export const isWorn = ({ edge, keys }: Side, wanted: number): boolean =>
  edge !== undefined && (keys.length < wanted || ((keys.at(-1) ?? edge.key) - edge.key) * 2 < edge.span)

/** Fewer than so many are left within the edge. */
export const isSpent = ({ edge, keys }: Side, wanted: number): boolean => edge !== undefined && keys.length < wanted
