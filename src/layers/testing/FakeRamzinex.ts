/**
 * Ramzinex as its documents and captures have it (docs/design/exchanges/ramzinex.md, docs/design/exchanges/centrifugo.md): numbers for markets,
 * Rial, windows of the last trades, whole books with their sells reversed, and numbers as a double prints them.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Place } from "./Carrier.ts"
import type { Book } from "./FakeBooks.ts"
import * as FakeCentrifugo from "./FakeCentrifugo.ts"
import type { FakeConnection } from "./FakeConnection.ts"
import { amountScale, FakeExchange, type Filled, type Listing } from "./FakeExchange.ts"
import { bases, type Market } from "./FakeMarkets.ts"
import type { Which } from "./FakeServer.ts"
import * as Loopback from "./Loopback.ts"
import * as Memory from "./Memory.ts"
import { Issued, parsed, printed, type Units } from "./Oracle.ts"
import type * as Script from "./Script.ts"

/**
 * How large the fake is.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options extends FakeCentrifugo.Options {
  /** Tradable ones to begin with, 6 by default; there are two more that are not: delisted, and suspended. */
  readonly markets?: number
  readonly seed?: number
  /** Rows in a push of trades: this trade and those before it; 50 by default, as the exchange has it. */
  readonly window?: number
  /** Rows the REST history gives, 50 by default. */
  readonly history?: number
}

/**
 * Its word for "try later", which comes with status 200.
 *
 * @since 0.1.0
 * @category constants
 */
export const tryLater: Script.Answer = {
  status: 200,
  body: "{\"status\":-82,\"data\":null}",
  headers: { "content-type": "application/json" }
}

/** Price, amount, the time as text and in epoch seconds, with the side between them; id. */
type Row = readonly [number, number, string, "buy" | "sell", number, string]

/** What stands at a price, and since when, epoch ms. */
interface Standing {
  readonly amount: Units
  readonly at: number
}

/** A side of a book, by price in units of the market's last decimal. */
type Side = Map<bigint, Standing>

/** Levels a side of a picture, at most. */
const shown = 50

/** Levels a side are at most so many steps from the middle: more than are shown. */
const depth = 60

/** Of so many trades as chance has them one has an amount with an exponent, one an amount with a double's noise. */
const tinyEvery = 13
const noisyEvery = 11

/** As sums and products of doubles look. */
const noises = [parsed("0.30000000000000004"), parsed("1.4497553479999998"), parsed("351.98877860100004")] as const

const root = "/exchange/api/v1.0/exchange"

/** What a double prints is what the exchange sends. */
const double = (units: Units): number => Number(printed(units))

const byPrice = (a: bigint, b: bigint): number => a < b ? -1 : a > b ? 1 : 0

/**
 * Ramzinex as it speaks: its REST answers, and its Centrifugo server.
 *
 * @since 0.1.0
 * @category models
 */
export class FakeRamzinexExchange extends FakeExchange<Row> {
  readonly id = "ramzinex"
  protected readonly wsPath = "/websocket"
  /** Pings, pushes and other doings of the Centrifugo server by hand. */
  readonly centrifugo: FakeCentrifugo.FakeCentrifugo
  private readonly options: Options
  private readonly numbers = new Map<string, number>()
  private readonly books = new Map<string, { readonly middle: bigint; readonly buys: Side; readonly sells: Side }>()
  private count = 0n
  private walked = 0
  private bookTurn = 0

  constructor(options: Options = {}, place?: Place) {
    super(options.seed ?? 1, place)
    this.options = options
    this.centrifugo = new FakeCentrifugo.FakeCentrifugo(options, {
      symbolOf: (channel) => {
        const symbol = /^(?:last-trades|orderbook):(\d+)$/.exec(channel)?.[1]
        return symbol !== undefined && this.has(symbol) ? symbol : undefined
      },
      random: this.random,
      server: this.server
    })
    bases(options.markets ?? 6).forEach((name, i) => {
      const inRial = i % 3 !== 2
      const units = (inRial ? 113_794_652_111n : 6_267_230n) / BigInt(i * i + 1) + 1n
      const scale = inRial ? 0 : 2
      const text = units.toString()
      const price = scale === 0 ? text : `${text.slice(0, -scale)}.${text.slice(-scale)}`
      this.addMarket({ base: name.toLowerCase(), quote: inRial ? "irr" : "usdt", price })
    })
    this.addMarket({ base: "old", quote: "irr", tradable: false, price: "1000" })
    this.addMarket({ base: "halted", quote: "usdt", tradable: false, price: "1.25" })
  }

  /** Numbers of markets are not dense, and stay when a market comes back. */
  protected symbolsOf(base: string, quote: string) {
    const symbol = `${base.toUpperCase()}/${quote === "irr" ? "IRT" : quote.toUpperCase()}`
    const number = this.numbers.get(symbol) ?? 2 + 9 * this.numbers.size
    this.numbers.set(symbol, number)
    return { exchangeSymbol: String(number), symbol }
  }

  override addMarket(listing: Listing): string {
    const exchangeSymbol = super.addMarket(listing)
    const { price } = this.marketOf(exchangeSymbol)
    const book = { middle: price, buys: new Map<bigint, Standing>(), sells: new Map<bigint, Standing>() }
    this.books.set(exchangeSymbol, book)
    return exchangeSymbol
  }

  protected tradesOf(channel: string): string | undefined {
    return channel.startsWith("last-trades:") ? channel.slice("last-trades:".length) : undefined
  }

  protected override chance(market: Market): Filled {
    const trade = this.randomTrade(market)
    this.walked += 1
    if (this.walked % tinyEvery === 0) {
      return { ...trade, amount: { units: trade.amount.units % 100n + 1n, scale: amountScale } }
    }
    return this.walked % noisyEvery === 0 ? { ...trade, amount: this.noisy() } : trade
  }

  private noisy(): Units {
    return noises[Math.floor(this.random() * noises.length)] ?? noises[0]
  }

  protected override get batch(): number {
    return this.centrifugo.batch
  }

  protected override open(connection: FakeConnection): void {
    this.centrifugo.open(connection)
  }

  protected frame(connection: FakeConnection, text: string): void {
    this.centrifugo.frame(connection, text)
  }

  protected override close(connection: FakeConnection): void {
    this.centrifugo.close(connection)
  }

  protected override restarted(): void {
    this.centrifugo.restarted()
  }

  override ping(which?: Which): void {
    this.centrifugo.ping(which)
  }

  protected request({ pathname }: URL): string | undefined {
    if (pathname === `${root}/pairs`) return this.answer(this.markets.map((market, i) => this.pair(market, i)))
    const [, symbol = "", what] = /^\/exchange\/api\/v1\.0\/exchange\/orderbooks\/(\d+)\/(\w+)$/.exec(pathname) ?? []
    if (!this.has(symbol)) return undefined
    if (what === "trades") return this.answer(this.history(symbol, this.options.history ?? 50))
    return what === "buys_sells" ? this.answer(this.picture(symbol)) : undefined
  }

  private answer(data: unknown): string {
    return JSON.stringify({ status: 0, data })
  }

  private pair({ base, exchangeSymbol, quote, scale, tradable }: Market, i: number): object {
    const isDelisted = !tradable && i % 2 === 0
    return {
      pair_id: Number(exchangeSymbol),
      base_currency_symbol: { en: base, fa: base },
      quote_currency_symbol: { en: quote, fa: quote },
      name: { en: `${base}/${quote}`, fa: `${base}/${quote}` },
      is_delist: isDelisted ? 1 : 0,
      is_temporarily_suspended: tradable || isDelisted ? 0 : 1,
      price_precision: scale,
      tv_symbol: { ramzinex: `${base}${quote}` }
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // trades

  protected publish({ amount, market, price, side, time }: Filled): void {
    const { exchangeSymbol, symbol } = market
    // Unlike those before it, and another each time: multiplying by an odd number is one to one.
    this.count += 1n
    const id = BigInt.asUintN(128, this.count * 0x9e3779b97f4a7c15f39cc0605cedc835n).toString(16).padStart(32, "0")
    const second = new Date(time).toISOString().slice(0, 19)
    const issued = new Issued(
      {
        exchange: "ramzinex",
        symbol,
        exchangeSymbol,
        price: this.canonical(market, price),
        amount: printed(amount),
        side,
        timestamp: `${second}.000Z`
      },
      `ramzinex:${symbol}:t:${id}`,
      false
    )
    const row: Row = [double(price), double(amount), second.replace("T", " "), side, Math.floor(time / 1000), id]
    const recent = this.remember(exchangeSymbol, { row, issued })
    if (this.server.isMuted(exchangeSymbol)) return
    const window = recent.slice(-(this.options.window ?? 50))
    this.centrifugo.publish(
      `last-trades:${exchangeSymbol}`,
      window.map(({ row }) => row).reverse(),
      window.map(({ issued }) => issued)
    )
  }

  /** A price in the canonical quote: ten Rial are a Toman. */
  private canonical({ quote }: Market, price: Units): string {
    return printed(quote === "irr" ? { ...price, scale: price.scale + 1 } : price)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // books

  /** The book as it is now, as far as pictures show it. */
  book(exchangeSymbol: string): Book {
    const market = this.marketOf(exchangeSymbol)
    const { buys, sells } = this.levels(exchangeSymbol)
    const level = ([price, { amount }]: readonly [bigint, Standing]) =>
      [this.canonical(market, { units: price, scale: market.scale }), printed(amount)] as const
    return { bids: buys.map(level), asks: sells.map(level) }
  }

  /** So many changes of books, over all tradable markets in turn, each with its picture. */
  bookChanges(count: number): void {
    const { tradable } = this
    for (let i = 0; i < count; i++) {
      const market = tradable[this.bookTurn++ % tradable.length]
      if (market !== undefined) this.changeBook(market.exchangeSymbol)
    }
  }

  /** A level comes, changes or goes, and the picture is sent. */
  changeBook(exchangeSymbol: string): void {
    const { buys, middle, sells } = this.bookOf(exchangeSymbol)
    const isBuy = this.random() < 0.5
    const away = BigInt(1 + Math.floor(this.random() * depth)) * (middle / 10_000n + 1n)
    const price = isBuy ? middle - away : middle + away
    const side = isBuy ? buys : sells
    if (price <= 0n || (side.has(price) && this.random() < 0.5)) side.delete(price)
    else {
      const amount = { units: 1n + BigInt(Math.floor(this.random() * 5_000_000_000)), scale: amountScale }
      side.set(price, { amount, at: this.server.clock.wall() })
    }
    if (this.server.isMuted(exchangeSymbol)) return
    this.centrifugo.publish(`orderbook:${exchangeSymbol}`, this.picture(exchangeSymbol), [])
  }

  private bookOf(exchangeSymbol: string) {
    const book = this.books.get(exchangeSymbol)
    if (book === undefined) throw new Error(`no market ${exchangeSymbol}`)
    return book
  }

  /** Best first. */
  private levels(exchangeSymbol: string) {
    const { buys, sells } = this.bookOf(exchangeSymbol)
    return {
      buys: [...buys].sort(([a], [b]) => byPrice(b, a)).slice(0, shown),
      sells: [...sells].sort(([a], [b]) => byPrice(a, b)).slice(0, shown)
    }
  }

  private picture(exchangeSymbol: string): object {
    const { scale } = this.marketOf(exchangeSymbol)
    const { buys, sells } = this.levels(exchangeSymbol)
    const row = ([units, { amount, at }]: readonly [bigint, Standing]) => {
      const price = double({ units, scale })
      return [price, double(amount), price * double(amount), false, null, 5, at]
    }
    return { buys: buys.map(row), sells: sells.map(row).reverse() }
  }
}

/**
 * The fake Ramzinex of a test.
 *
 * @since 0.1.0
 * @category tags
 */
export class FakeRamzinex
  extends Context.Tag("effect-exchange-feeds/layers/testing/FakeRamzinex")<FakeRamzinex, FakeRamzinexExchange>()
{}

const born = (options?: Options) => (place: Place) => new FakeRamzinexExchange(options, place)

/**
 * Listening on loopback when it succeeds, closed with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: Options): Effect.Effect<FakeRamzinexExchange, never, Scope.Scope> =>
  Loopback.make(born(options))

/**
 * Gives a fake Ramzinex that listens on loopback. Needs nothing.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<FakeRamzinex> => Layer.scoped(FakeRamzinex, make(options))

/**
 * Without sockets, on Effect's clock: what a feed needs to reach it comes with it.
 *
 * @since 0.1.0
 * @category layers
 */
export const memory = (options?: Options): Layer.Layer<FakeRamzinex | Memory.Reachable> =>
  Memory.layer(FakeRamzinex, born(options))
