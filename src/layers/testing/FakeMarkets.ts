/**
 * Markets whose trades walk at random, from a seed: the same test makes the same trades.
 */
import type { Units } from "./Oracle.ts"

/**
 * A market of a fake, with its price as it walks.
 *
 * @since 0.1.0
 * @category models
 */
export interface Market {
  /** The exchange's word for it. */
  readonly exchangeSymbol: string
  readonly base: string
  readonly quote: string
  /** Canonical. */
  readonly symbol: string
  /** False: listed, but not to be collected. */
  readonly tradable: boolean
  /** Decimals of its price. */
  readonly scale: number
  /** Of the last trade that walked, in units of the last decimal. */
  price: bigint
}

/**
 * A number in [0, 1) from a seed (mulberry32).
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeRandom = (seed: number): () => number => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

const known = ["BTC", "ETH", "USDT", "TRX", "SOL", "DOGE", "ADA", "XRP", "SHIB", "TON"]

/**
 * `count` bases: well-known ones first, then invented ones, some of which begin with a digit as real ones do.
 *
 * @since 0.1.0
 * @category constructors
 */
export const bases = (count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, i) => known[i] ?? (i % 5 === 0 ? `1M${i}X` : `C${i}`))

/**
 * Moves the market's price by a step of at most a thousandth, and gives it.
 *
 * @since 0.1.0
 * @category operations
 */
export const walk = (market: Market, random: () => number): Units => {
  const step = BigInt(Math.round((random() - 0.5) * 2 * Number(market.price / 1000n + 1n)))
  market.price = market.price + step > 0n ? market.price + step : 1n
  return { units: market.price, scale: market.scale }
}
