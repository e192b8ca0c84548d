/** True order books of a fake exchange: orders come and go at random about the market's price, the sides never cross. */
import type { Market } from "./FakeMarkets.ts"
import { printed, type Units } from "./Oracle.ts"

/**
 * A level as the exchange has it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Standing {
  readonly price: Units
  readonly amount: Units
}

/**
 * Both sides, best first.
 *
 * @since 0.1.0
 * @category models
 */
export interface Standings {
  readonly bids: ReadonlyArray<Standing>
  readonly asks: ReadonlyArray<Standing>
}

/**
 * A market's book as it must come out at the other end: `[price, amount]`, canonical decimals, best first.
 *
 * @since 0.1.0
 * @category models
 */
export interface Book {
  readonly bids: ReadonlyArray<readonly [string, string]>
  readonly asks: ReadonlyArray<readonly [string, string]>
}

/** Decimals of an amount. */
const amountScale = 8

/** By price in units of the market's last decimal. */
type Side = Map<bigint, bigint>

interface Kept {
  readonly middle: bigint
  readonly bids: Side
  readonly asks: Side
}

/**
 * The books of a fake's markets.
 *
 * @since 0.1.0
 * @category models
 */
export class FakeBooks {
  private readonly books = new Map<string, Kept>()
  private readonly random: () => number
  private readonly levels: number
  private readonly width: number

  /**
   * `levels`: so many a side are shown at most. `width`: prices of a side lie within so many units of the last decimal of the middle; two
   * of three such prices have an order in the end.
   */
  constructor(random: () => number, levels = 50, width = 60) {
    this.random = random
    this.levels = levels
    this.width = width
  }

  /** Changes that a book begins with: a wide one is full from the start. */
  private get first(): number {
    return this.width <= 60 ? 40 : 6 * this.width
  }

  /** One level of the book is set or taken away. Gives the side that changed. */
  change(market: Market): "bids" | "asks" {
    const kept = this.keptOf(market)
    const name = this.random() < 0.5 ? "bids" : "asks"
    const side = kept[name]
    const away = BigInt(1 + Math.floor(this.random() * this.width))
    const price = name === "bids" ? kept.middle - away : kept.middle + away
    if (price <= 0n) return name
    if (side.has(price) && this.random() < 0.5) side.delete(price)
    else side.set(price, 1n + BigInt(Math.floor(this.random() * 5_000_000_000)))
    return name
  }

  /** As far as the exchange shows it. */
  shown(market: Market, levels = this.levels): Standings {
    const { asks, bids } = this.keptOf(market)
    const sorted = (side: Side, sign: bigint) =>
      [...side].sort(([a], [b]) => Number((a - b) * sign)).slice(0, levels).map(([price, amount]): Standing => ({
        price: { units: price, scale: market.scale },
        amount: { units: amount, scale: amountScale }
      }))
    return { bids: sorted(bids, -1n), asks: sorted(asks, 1n) }
  }

  /** What whoever reads the events has to come to. */
  book(market: Market, levels = this.levels): Book {
    const { asks, bids } = this.shown(market, levels)
    const side = (standings: ReadonlyArray<Standing>) =>
      standings.map(({ amount, price }) => [printed(price), printed(amount)] as const)
    return { bids: side(bids), asks: side(asks) }
  }

  private keptOf(market: Market): Kept {
    let kept = this.books.get(market.exchangeSymbol)
    if (kept === undefined) {
      kept = { middle: market.price, bids: new Map(), asks: new Map() }
      this.books.set(market.exchangeSymbol, kept)
      for (let n = 0; n < this.first; n++) this.change(market)
    }
    return kept
  }
}

/**
 * What leads from one to the other: each level that is new or has another amount, and amount zero for each that went. A level that went
 * only as it is not shown any more is one of those.
 *
 * @since 0.1.0
 * @category combinators
 */
export const changed = (before: Standings, now: Standings): Standings => {
  const side = (name: keyof Standings): ReadonlyArray<Standing> => {
    const known = new Map(before[name].map((one) => [one.price.units, one]))
    const there = new Set(now[name].map(({ price }) => price.units))
    return [
      ...before[name].flatMap(({ amount, price }) =>
        there.has(price.units) ? [] : [{ price, amount: { ...amount, units: 0n } }]
      ),
      ...now[name].filter(({ amount, price }) => known.get(price.units)?.amount.units !== amount.units)
    ]
  }
  return { bids: side("bids"), asks: side("asks") }
}
