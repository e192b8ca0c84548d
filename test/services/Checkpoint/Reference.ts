/**
 * What the checkpoint promises to remember, told as simply as possible: all trades for ever in a list, nothing trimmed, nothing printed.
 * Plain data, so that a copy of it is a moment in time.
 */
import { assert } from "vitest"
import { type Hole, type MarketMemory, memoryOfMarket } from "../../../src/services/Checkpoint.ts"
import { epochMsOf } from "../../../src/services/ExchangeTime.ts"

interface Closing {
  readonly hole: Hole
  trade: string | null
  event: string | null
}

export interface Market {
  symbol: string | undefined
  /** Their times by id, in order of delivery; one that comes again moves to the end. */
  trades: Map<string, number | null>
  last: string | null
  open: Array<Hole>
  closing: Array<Closing>
  /** Ids that have to be kept because they lie within holes. */
  within: Set<string>
  /** Until holes are kept of it again nothing is known but what is closing. */
  isForgotten: boolean
}

export type Markets = Map<string, Market>

const newMarket = (): Market => ({
  symbol: undefined,
  trades: new Map(),
  last: null,
  open: [],
  closing: [],
  within: new Set(),
  isForgotten: false
})

const marketOf = (markets: Markets, key: string): Market => {
  const market = markets.get(key) ?? newMarket()
  markets.set(key, market)
  return market
}

/** A life that finds this knows of the market. */
export const isKnown = (market: Market | undefined): market is Market =>
  market !== undefined && (!market.isForgotten || market.closing.length > 0)

/** In these tests all times have three digits, so that texts compare as the times do. */
const msOf = (text: string | null, unknown: number): number => text === null ? unknown : epochMsOf(text)

const isWithin = ({ closing, open }: Market, time: number | null): boolean =>
  time !== null &&
  [...open, ...closing.map(({ hole }) => hole)].some(({ from, to }) =>
    msOf(from, -Infinity) <= time && time <= msOf(to, Infinity)
  )

/** A sort leaves equals in their order. */
const newest = ({ trades }: Market): ReadonlyArray<readonly [id: string, time: number | null]> =>
  Array.from(trades).sort(([, a], [, b]) => (a ?? -1) - (b ?? -1)).slice(-memoryOfMarket)

const holesChanged = (market: Market): void => {
  // Of a forgotten one of which nothing is awaited nothing is known any more, its name included.
  if (market.isForgotten && market.closing.length === 0) market.symbol = undefined
  const candidates = [...market.within, ...newest(market).map(([id]) => id)]
  market.within = new Set(candidates.filter((id) => isWithin(market, market.trades.get(id) ?? null)))
}

const isSame = (a: Hole, b: Hole): boolean => a.gapId === b.gapId && (a.gapId !== null || a.from === b.from)

/** Told of since, or longer. */
const isAgain = (now: Hole, before: Hole): boolean =>
  before.gapId === null
    ? now.from === before.from && (now.gapId === null || msOf(now.to, Infinity) >= msOf(before.to, Infinity))
    : now.gapId === before.gapId

export const resolve = (markets: Markets, key: string, id: string): void => {
  const market = markets.get(key)
  if (market === undefined || !market.closing.some((one) => one.event === id || one.trade === id)) return
  for (const one of market.closing) {
    if (one.event === id) one.event = null
    if (one.trade === id) one.trade = null
  }
  market.closing = market.closing.filter(({ event, trade }) => event !== null || trade !== null)
  holesChanged(market)
}

export const settle = (
  markets: Markets,
  key: string,
  { exchangeSymbol, id, timestamp }: {
    readonly id: string
    readonly timestamp: string | null
    readonly exchangeSymbol: string
  }
): void => {
  const market = marketOf(markets, key)
  if (market.isForgotten) return resolve(markets, key, id)
  const text = timestamp ?? market.last
  const time = text === null ? null : epochMsOf(text)
  market.trades.delete(id)
  market.trades.set(id, time)
  if (timestamp !== null && (market.last === null || timestamp > market.last)) market.last = timestamp
  market.symbol = exchangeSymbol
  // One without a time has that of the newest, and so another when it comes again.
  if (isWithin(market, time)) market.within.add(id)
  else market.within.delete(id)
  resolve(markets, key, id)
}

export const keepHoles = (markets: Markets, key: string, symbol: string, holes: ReadonlyArray<Hole>): void => {
  if (holes.length === 0 && !isKnown(markets.get(key))) return void markets.delete(key)
  const market = marketOf(markets, key)
  market.isForgotten = false
  market.symbol = symbol
  market.open = [...holes]
  market.closing = market.closing.filter(({ hole }) => !holes.some((one) => isAgain(one, hole)))
  holesChanged(market)
}

export const closeHole = (
  markets: Markets,
  key: string,
  hole: Hole,
  awaited: { readonly trade: string | null; readonly event: string | null }
): void => {
  const isAwaiting = awaited.trade !== null || awaited.event !== null
  if (!isAwaiting && !isKnown(markets.get(key))) return
  const market = marketOf(markets, key)
  market.open = market.open.filter((one) => !isSame(one, hole))
  market.closing = market.closing.filter((one) => !isAgain(hole, one.hole))
  if (isAwaiting) market.closing.push({ hole, ...awaited })
  holesChanged(market)
}

export const forget = (markets: Markets, key: string): void => {
  const { closing, symbol } = markets.get(key) ?? newMarket()
  markets.set(key, { ...newMarket(), symbol: closing.length > 0 ? symbol : undefined, closing, isForgotten: true })
}

export const copy = (markets: Markets): Markets => structuredClone(markets)

/** What a life that finds `found` would know of it, if this is how it was. Undefined: nothing. Throws where it is not. */
export const assertIs = (market: Market | undefined, found: MarketMemory | undefined): void => {
  if (!isKnown(market) || found === undefined) {
    assert.isTrue(!isKnown(market) && found === undefined, isKnown(market) ? "it is known" : "nothing is known")
    return
  }
  const trades = newest(market)
  assert.deepStrictEqual(found.ids, trades.map(([id]) => id), "the newest by exchange time")
  assert.deepStrictEqual(found.times, trades.map(([, time]) => time), "their times")
  assert.strictEqual(found.lastTimestamp, market.last, "last time")
  assert.strictEqual(found.exchangeSymbol, market.symbol, "name")
  const holes = [
    ...market.closing.map(({ hole, trade }) => trade === null ? hole : { ...hole, over: null }),
    ...market.open
  ]
  assert.sameDeepMembers([...found.holes ?? []], holes, "holes")
  const kept = new Set(found.kept)
  for (const id of market.within) assert.isTrue(kept.has(id), `${id} lies within a hole and is not kept`)
  for (const id of kept) assert.isTrue(isWithin(market, market.trades.get(id) ?? null), `${id} is kept for nothing`)
}
