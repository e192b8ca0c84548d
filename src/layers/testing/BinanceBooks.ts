/** The true books of a fake Binance: each change has the next number, and a stream tells which numbers it has brought. */
import type { Book } from "./FakeBooks.ts"
import type { Market } from "./FakeMarkets.ts"
import { padded, printed } from "./Oracle.ts"

/**
 * A whole picture, as the wire has it: best first.
 *
 * @since 0.1.0
 * @category models
 */
export interface Picture {
  readonly lastUpdateId: number
  readonly bids: ReadonlyArray<readonly [price: string, amount: string]>
  readonly asks: ReadonlyArray<readonly [price: string, amount: string]>
}

/**
 * What has changed from the change `U` on, up to `u`: totals by price, zero where a level has gone.
 *
 * @since 0.1.0
 * @category models
 */
export interface Changes {
  readonly U: number
  readonly u: number
  readonly b: Picture["bids"]
  readonly a: Picture["asks"]
}

/** Decimals, as the exchange prints them all. */
const decimals = 8

/** Prices of a side lie within so many units of the last decimal of the middle. */
const width = 60

/** Changes that are remembered of a market. */
const remembered = 20_000

/** Numbers of its first picture are about so large. */
const begin = 236_531_000

type Name = "bids" | "asks"

interface Change {
  readonly side: Name
  readonly price: bigint
  readonly amount: bigint
}

interface Kept {
  readonly market: Market
  readonly middle: bigint
  readonly bids: Map<bigint, bigint>
  readonly asks: Map<bigint, bigint>
  /** The last ones; the number of the newest is `lastUpdateId`. */
  readonly changes: Array<Change>
  lastUpdateId: number
  first: Picture
}

/**
 * The books of all markets, with what has changed in them.
 *
 * @since 0.1.0
 * @category models
 */
export class BinanceBooks {
  private readonly books = new Map<string, Kept>()
  private readonly random: () => number

  constructor(random: () => number) {
    this.random = random
  }

  /** One level is set or taken away; now and then one that was not there. */
  change(market: Market): void {
    const kept = this.keptOf(market)
    const side = this.random() < 0.5 ? "bids" : "asks"
    const away = BigInt(1 + Math.floor(this.random() * width))
    const price = side === "bids" ? kept.middle - away : kept.middle + away
    if (price <= 0n) return
    const isGone = this.random() < (kept[side].has(price) ? 0.5 : 0.05)
    const amount = isGone ? 0n : 1n + BigInt(Math.floor(this.random() * 5_000_000_000))
    if (isGone) kept[side].delete(price)
    else kept[side].set(price, amount)
    kept.changes.push({ side, price, amount })
    kept.lastUpdateId += 1
    if (kept.changes.length > 2 * remembered) kept.changes.splice(0, remembered)
  }

  lastUpdateId(market: Market): number {
    return this.keptOf(market).lastUpdateId
  }

  /** The best so many levels a side. */
  picture(market: Market, limit: number): Picture {
    const kept = this.keptOf(market)
    const side = (name: Name) =>
      best(kept, name).slice(0, limit).map(([price, amount]) => onWire(market, price, amount))
    return { lastUpdateId: kept.lastUpdateId, bids: side("bids"), asks: side("asks") }
  }

  /** As it was when it was first looked at: older than any stream. */
  first(market: Market, limit: number): Picture {
    const { asks, bids, lastUpdateId } = this.keptOf(market).first
    return { lastUpdateId, bids: bids.slice(0, limit), asks: asks.slice(0, limit) }
  }

  /** What whoever reads the events has to come to, by so many levels a side. */
  book(market: Market, limit: number): Book {
    const kept = this.keptOf(market)
    const side = (name: Name) =>
      best(kept, name).slice(0, limit).map(([units, amount]) =>
        [printed({ units, scale: market.scale }), printed({ units: amount, scale: decimals })] as const
      )
    return { bids: side("bids"), asks: side("asks") }
  }

  /** All behind that number; undefined if there is nothing. */
  since(market: Market, number: number): Changes | undefined {
    const { changes, lastUpdateId } = this.keptOf(market)
    if (lastUpdateId <= number) return undefined
    const totals = { bids: new Map<bigint, bigint>(), asks: new Map<bigint, bigint>() }
    for (const { amount, price, side } of changes.slice(-(lastUpdateId - number))) totals[side].set(price, amount)
    const side = (name: Name) => [...totals[name]].map(([price, amount]) => onWire(market, price, amount))
    return { U: number + 1, u: lastUpdateId, b: side("bids"), a: side("asks") }
  }

  private keptOf(market: Market): Kept {
    let kept = this.books.get(market.exchangeSymbol)
    if (kept === undefined) {
      kept = {
        market,
        middle: market.price,
        bids: new Map(),
        asks: new Map(),
        changes: [],
        lastUpdateId: begin + 10_000 * this.books.size,
        first: { lastUpdateId: 0, bids: [], asks: [] }
      }
      this.books.set(market.exchangeSymbol, kept)
      for (let n = 0; n < 80; n++) this.change(market)
      kept.first = this.picture(market, 5_000)
    }
    return kept
  }
}

const onWire = ({ scale }: Market, price: bigint, amount: bigint): readonly [string, string] => [
  padded({ units: price, scale }, decimals),
  padded({ units: amount, scale: decimals }, decimals)
]

const best = (kept: Kept, name: Name): ReadonlyArray<readonly [bigint, bigint]> =>
  [...kept[name]].sort(([a], [b]) => (a < b) === (name === "bids") ? 1 : -1)
