/**
 * A fake exchange as tests see it: it issues trades, remembers them all, and misbehaves by script (`server.script`, `server.drop`, ...).
 * All controls are plain synchronous functions, but for `ready`, `server.refuse` and `server.listen`, which give a Promise, and
 * `floodFor`, an Effect. Time is the wall clock's: tests with them are live ones.
 */
import * as Effect from "effect/Effect"
import { makeRandom, type Market, walk } from "./FakeMarkets.ts"
import type { FakeServer } from "./FakeServer.ts"
import { type Issued, parsed, type Units } from "./Oracle.ts"

/**
 * One trade to issue; what is left out comes from the random walk.
 *
 * @since 0.1.0
 * @category options
 */
export interface Order {
  /** Decimal, such as `"11379465211"`. */
  readonly price?: string
  /** Decimal of at most 8 places. */
  readonly amount?: string
  /** The taker's. */
  readonly side?: "buy" | "sell"
  /** Exchange time, epoch ms; now if left out. */
  readonly time?: number
  /** What the exchange time has below `time`, in microseconds, 0 to 999: as chance has it, or 0 beside a given `time`. */
  readonly micros?: number
}

/**
 * A market to list, as the exchange names it.
 *
 * @since 0.1.0
 * @category options
 */
export interface Listing {
  readonly base: string
  readonly quote: string
  /** True if left out. */
  readonly tradable?: boolean
  /** Price of the last trade, decimal: its places are the market's. */
  readonly price: string
}

/**
 * A trade with all that an exchange knows of it. `time` is epoch ms, `micros` the microseconds below it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Filled {
  readonly market: Market
  readonly price: Units
  readonly amount: Units
  readonly side: "buy" | "sell"
  readonly time: number
  readonly micros: number
}

/**
 * Decimals of an amount.
 *
 * @since 0.1.0
 * @category constants
 */
export const amountScale = 8

/** Milliseconds between the bursts of a flood. */
const tick = 20

/**
 * What all fake exchanges have; one of them says how it is spelt.
 *
 * @since 0.1.0
 * @category models
 */
export abstract class FakeExchange {
  /** Of the exchange that it stands for. */
  abstract readonly id: string
  abstract readonly server: FakeServer
  /** In the order in which they happened. */
  readonly issued: Array<Issued> = []
  protected readonly random: () => number
  private readonly bySymbol = new Map<string, Market>()
  private turn = 0
  private latest = { time: 0, micros: 0 }

  constructor(seed: number) {
    this.random = makeRandom(seed)
  }

  /** Records a trade and sends it to whoever is subscribed. */
  protected abstract publish(filled: Filled): void

  /** The exchange's word for a market, and the canonical one. */
  protected abstract symbolsOf(base: string, quote: string): Pick<Market, "exchangeSymbol" | "symbol">

  /** The symbol whose trades a channel carries. */
  protected abstract tradesOf(channel: string): string | undefined

  /** A trade as chance has it: a random one, or one of the exchange's oddities. */
  protected abstract chance(market: Market): Filled

  get apiUrl(): string {
    return this.server.apiUrl
  }

  get wsUrl(): string {
    return this.server.wsUrl
  }

  get markets(): ReadonlyArray<Market> {
    return [...this.bySymbol.values()]
  }

  get tradable(): ReadonlyArray<Market> {
    return this.markets.filter(({ tradable }) => tradable)
  }

  has(exchangeSymbol: string): boolean {
    return this.bySymbol.has(exchangeSymbol)
  }

  /** It is in the next market list. Gives the exchange's symbol. */
  addMarket({ base, price, quote, tradable = true }: Listing): string {
    const { scale, units } = parsed(price)
    const names = this.symbolsOf(base, quote)
    this.bySymbol.set(names.exchangeSymbol, { ...names, base, quote, tradable, scale, price: units })
    return names.exchangeSymbol
  }

  /** It is in no market list any more, and can have no more trades. */
  removeMarket(exchangeSymbol: string): void {
    this.bySymbol.delete(exchangeSymbol)
  }

  trade(exchangeSymbol: string, order: Order = {}): void {
    const market = this.marketOf(exchangeSymbol)
    const { amount, micros, price, side, time } = order
    const chance = this.randomTrade(market)
    this.publish({
      market,
      price: price === undefined ? chance.price : parsed(price),
      amount: amount === undefined ? chance.amount : parsed(amount),
      side: side ?? chance.side,
      time: time ?? chance.time,
      micros: micros ?? (time === undefined ? chance.micros : 0)
    })
  }

  /** So many trades as chance has them, over all tradable markets in turn. */
  trades(count: number): void {
    const { tradable } = this
    for (let i = 0; i < count; i++) {
      const market = tradable[this.turn++ % tradable.length]
      if (market !== undefined) this.publish(this.chance(market))
    }
  }

  /** So many trades a second until the returned function is called. */
  flood(perSecond: number): () => void {
    return this.bursts(perSecond, Number.POSITIVE_INFINITY, () => {})
  }

  /** `perSecond * seconds` trades, evenly; succeeds after the last. */
  floodFor(perSecond: number, seconds: number): Effect.Effect<void> {
    return Effect.async((resume) => {
      const stop = this.bursts(perSecond, Math.round(perSecond * seconds), () => resume(Effect.void))
      return Effect.sync(stop)
    })
  }

  /** Tradable markets whose trades somebody is subscribed to. */
  get subscribed(): number {
    const symbols = new Set<string>()
    for (const connection of this.server.connections) {
      if (!connection.alive) continue
      for (const channel of connection.subscriptions.keys()) {
        const symbol = this.tradesOf(channel)
        if (symbol !== undefined && this.bySymbol.get(symbol)?.tradable === true) symbols.add(symbol)
      }
    }
    return symbols.size
  }

  /** Resolves when every tradable market has a subscriber; rejects after `timeout` ms. */
  async ready(timeout = 20_000): Promise<void> {
    const end = performance.now() + timeout
    while (this.subscribed < this.tradable.length) {
      if (performance.now() > end) {
        throw new Error(`${this.id}: ${this.subscribed} of ${this.tradable.length} markets subscribed`)
      }
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  protected marketOf(exchangeSymbol: string): Market {
    const market = this.bySymbol.get(exchangeSymbol)
    if (market === undefined) throw new Error(`no market ${exchangeSymbol}`)
    return market
  }

  protected randomTrade(market: Market): Filled {
    return {
      market,
      price: walk(market, this.random),
      amount: { units: 1n + BigInt(Math.floor(this.random() * 5_000_000_000)), scale: amountScale },
      side: this.random() < 0.5 ? "buy" : "sell",
      ...this.now()
    }
  }

  /** Later by a microsecond at least than the call before, as far as the millisecond has room. */
  private now(): Pick<Filled, "time" | "micros"> {
    const time = Date.now()
    const micros = time === this.latest.time ? Math.min(999, this.latest.micros + 1) : time % 400
    this.latest = { time, micros }
    return this.latest
  }

  /** One timer for all markets: what is due since the last tick goes out at once. */
  private bursts(perSecond: number, total: number, done: () => void): () => void {
    const started = performance.now()
    let count = 0
    const timer = setInterval(() => {
      const due = Math.min(total, Math.floor((performance.now() - started) / 1000 * perSecond))
      this.trades(due - count)
      count = due
      if (count < total) return
      clearInterval(timer)
      done()
    }, tick)
    return () => clearInterval(timer)
  }
}
