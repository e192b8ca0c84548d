/**
 * Sides of an order book: best first, each price once, no level of amount zero. Prices are told apart and compared as exact decimals.
 * Plain functions of plain data; a side that was made is never changed.
 */
import * as Decimal from "../../services/Decimal.ts"
import type * as Exchange from "../Exchange.ts"
import { whole } from "../protocols/Json.ts"

export type Side = "bids" | "asks"

/** As events have it. */
export type Level = readonly [price: string, amount: string]

export type Levels = ReadonlyArray<Level>

/** What one picture has, or the changes from one to another. */
export interface Both {
  readonly bids: Levels
  readonly asks: Levels
}

/** Below zero where the first price is the better one of that side. */
const order = (side: Side): (a: Exchange.Level, b: Exchange.Level) => number =>
  side === "bids" ? ([a], [b]) => Decimal.compare(b, a) : ([a], [b]) => Decimal.compare(a, b)

/**
 * A side of what a frame has, in any order. `places`: the power of ten that makes the canonical unit of a price. A later level of a price
 * stands for the earlier. Undefined if a price is none in that unit: then nothing of it is true.
 */
export const sideOf = (side: Side, levels: ReadonlyArray<Exchange.Level>, places: number): Levels | undefined => {
  const found = inUnit(levels, places, (price, amount): Level => [price, amount])
  return found === undefined ? undefined : inOrder(side, found)
}

/** The same with what a checksum wants of each level. */
export const provenSideOf = (
  side: Side,
  levels: ReadonlyArray<Exchange.Level>,
  places: number
): ReadonlyArray<Exchange.Level> | undefined => {
  const found = changesOf(levels, places)
  return found === undefined ? undefined : inOrder(side, found)
}

/** Of what a frame changes: as many as it has, in its order, those of amount zero too. Undefined as in `sideOf`. */
export const changesOf = (
  levels: ReadonlyArray<Exchange.Level>,
  places: number
): Array<Exchange.Level> | undefined =>
  inUnit(
    levels,
    places,
    (price, amount, digits): Exchange.Level => digits === undefined ? [price, amount] : [price, amount, whole(digits)]
  )

const inUnit = <L>(
  levels: ReadonlyArray<Exchange.Level>,
  places: number,
  make: (price: string, amount: string, digits: string | undefined) => L
): Array<L> | undefined => {
  const made: Array<L> = []
  for (const [price, amount, digits] of levels) {
    const shifted = Decimal.shift(price, places)
    if (shifted === undefined) return undefined
    made.push(make(whole(shifted), whole(amount), digits))
  }
  return made
}

const inOrder = <L extends Exchange.Level>(side: Side, levels: Array<L>): ReadonlyArray<L> => {
  const better = order(side)
  // Nearly all exchanges send their sides in order, some of them the wrong way round.
  if (!isInOrder(levels, better)) {
    if (isInOrder(levels.reverse(), better)) return withoutZero(levels)
    return withoutZero(ordered(levels.reverse(), better))
  }
  return withoutZero(levels)
}

const isInOrder = <L>(levels: ReadonlyArray<L>, better: (a: L, b: L) => number): boolean => {
  for (let i = 1; i < levels.length; i++) {
    const [one, next] = [levels[i - 1], levels[i]]
    if (one !== undefined && next !== undefined && better(one, next) >= 0) return false
  }
  return true
}

/** A later level of a price stands for the earlier. */
const ordered = <L extends Exchange.Level>(
  levels: ReadonlyArray<L>,
  better: (a: L, b: L) => number
): ReadonlyArray<L> => Array.from(new Map(levels.map((level) => [level[0], level])).values()).sort(better)

const withoutZero = <L extends Exchange.Level>(levels: ReadonlyArray<L>): ReadonlyArray<L> =>
  levels.some(([, amount]) => amount === "0") ? levels.filter(([, amount]) => amount !== "0") : levels

/** The best so many; all of them if there are fewer. */
export const best = (levels: Levels, depth: number | "all"): Levels =>
  depth === "all" || levels.length <= depth ? levels : levels.slice(0, depth)

export const isSame = (a: Levels, b: Levels): boolean =>
  a === b || (a.length === b.length && a.every(([price, amount], i) => price === b[i]?.[0] && amount === b[i]?.[1]))

/** The best bid is no lower than the best ask. */
export const isCrossed = ({ asks, bids }: Both): boolean => {
  const [bid, ask] = [bids[0], asks[0]]
  return bid !== undefined && ask !== undefined && Decimal.compare(bid[0], ask[0]) >= 0
}

/** What leads from one side to another, best first: each level that is new or has another amount, and `"0"` for each that went. */
export const changes = (side: Side, from: Levels, to: Levels): Levels => {
  const better = order(side)
  const out: Array<Level> = []
  let [i, j] = [0, 0]
  while (i < from.length || j < to.length) {
    const [old, now] = [from[i], to[j]]
    const difference = old === undefined ? 1 : now === undefined ? -1 : better(old, now)
    if (difference < 0 && old !== undefined) {
      out.push([old[0], "0"])
      i += 1
      continue
    }
    if (now !== undefined && (difference > 0 || old?.[1] !== now[1])) out.push(now)
    j += 1
    if (difference === 0) i += 1
  }
  return out
}
