/**
 * Nobitex as its documents and captures have it (docs/design/exchanges/nobitex.md, docs/design/exchanges/centrifugo.md): a strict Centrifugo
 * server, prices in Rial, trades without ids one a push, whole pictures of its books.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Place } from "./Carrier.ts"
import * as FakeCentrifugo from "./FakeCentrifugo.ts"
import type { FakeConnection } from "./FakeConnection.ts"
import { amountScale, FakeExchange, type Filled } from "./FakeExchange.ts"
import { bases, type Market } from "./FakeMarkets.ts"
import type { Which } from "./FakeServer.ts"
import * as Loopback from "./Loopback.ts"
import * as Memory from "./Memory.ts"
import { Issued, padded, printed, type Units } from "./Oracle.ts"

/**
 * How large the fake is, and which of the exchange's forms it uses.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options extends FakeCentrifugo.Options {
  /** Open ones to begin with, 6 by default; there is one more that is closed. */
  readonly markets?: number
  readonly seed?: number
  /** Rows the REST history gives, at most 300; 20 by default. */
  readonly history?: number
}

/**
 * A book as it truly is: best levels first, prices in the canonical unit (Toman for `IRT`), all decimals canonical.
 *
 * @since 0.1.0
 * @category models
 */
export interface Book {
  readonly bids: ReadonlyArray<readonly [price: string, amount: string]>
  readonly asks: ReadonlyArray<readonly [price: string, amount: string]>
  /** Epoch ms of its last change. */
  readonly time: number
}

/** Sides by price, in units of the market's last decimal; amounts in units of `amountScale`. */
interface Sides {
  readonly bids: Map<bigint, bigint>
  readonly asks: Map<bigint, bigint>
  time: number
}

interface Row {
  readonly time: number
  readonly price: string
  readonly volume: string
  readonly type: string
}

/** Levels a side of a picture. */
const levels = 24

/** Of so many trades one brings a picture of the book, and so many orders a side it brings. */
const bookEvery = 10
const changes = 2

/** Of so many trades as chance has them one is its market's last one again, if that is so young: equal trades are legitimate. */
const repeatEvery = 9
const repeatWithin = 300

/** Of so many trades one is followed by a row without a volume, as the documents have one. */
const zeroEvery = 11

const channelOf = /^public:(trades|orderbook|market-stats)-(.+)$/

/** On the wire: upper case, `IRT`. In the list: lower case, `rls`. */
const inRial = (quote: string): boolean => quote === "IRT"

/**
 * Nobitex as it speaks: its REST answers, and its Centrifugo server.
 *
 * @since 0.1.0
 * @category models
 */
export class FakeNobitexExchange extends FakeExchange<Row> {
  readonly id = "nobitex"
  protected readonly wsPath = "/connection/websocket"
  /** Pings, pushes and other doings of the Centrifugo server by hand. */
  readonly centrifugo: FakeCentrifugo.FakeCentrifugo
  private readonly options: Options
  private readonly last = new Map<string, Filled>()
  private readonly books = new Map<string, Sides>()
  private walked = 0

  constructor(options: Options = {}, place?: Place) {
    super(options.seed ?? 3, place)
    this.options = options
    this.centrifugo = new FakeCentrifugo.FakeCentrifugo({ channelLimit: 300, ...options }, {
      symbolOf: (channel) => {
        const symbol = channelOf.exec(channel)?.[2]
        return symbol !== undefined && this.has(symbol) ? symbol : undefined
      },
      random: this.random,
      server: this.server
    })
    bases(options.markets ?? 6).forEach((base, i) => {
      const quote = i % 3 === 2 ? "USDT" : "IRT"
      const units = (quote === "IRT" ? 228_701_300_007n : 8_568_722n) / BigInt(i * i + 1) + 1n
      const scale = quote === "IRT" ? 0 : 2
      this.addMarket({ base: i % 5 === 3 ? `1M_${base}` : base, quote, price: padded({ units, scale }, scale) })
    })
    this.addMarket({ base: "OLD", quote: "IRT", tradable: false, price: "1000" })
  }

  protected symbolsOf(base: string, quote: string) {
    return { exchangeSymbol: `${base}${quote}`, symbol: `${base}/${quote}` }
  }

  protected tradesOf(channel: string): string | undefined {
    const [, kind, symbol] = channelOf.exec(channel) ?? []
    return kind === "trades" ? symbol : undefined
  }

  protected override chance(market: Market): Filled {
    this.walked += 1
    const trade = this.randomTrade(market)
    const last = this.last.get(market.exchangeSymbol)
    if (last !== undefined && this.walked % repeatEvery === 0 && trade.time - last.time <= repeatWithin) return last
    this.last.set(market.exchangeSymbol, trade)
    return trade
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

  protected request({ pathname }: URL): string {
    if (pathname === "/market/stats") return this.stats()
    const [, kind, name = ""] = /^\/(v2\/trades|v3\/orderbook)\/([^/]+)$/.exec(pathname) ?? []
    const symbol = decodeURIComponent(name)
    // What is asked for does not exist: refused with status 200.
    if (!this.has(symbol)) {
      return JSON.stringify({ status: "failed", code: "InvalidSymbol", message: "The symbol is not valid" })
    }
    if (kind === "v3/orderbook") return JSON.stringify({ status: "ok", ...this.picture(symbol) })
    // Those of one millisecond are listed as they happened.
    const rows = [...this.history(symbol, this.options.history ?? 20)].reverse().sort((a, b) => b.time - a.time)
    const [newest] = rows
    const zero = newest === undefined ? [] : [{ ...newest, volume: "0" }]
    return JSON.stringify({ status: "ok", trades: [...zero, ...rows] })
  }

  private stats(): string {
    const stats = Object.fromEntries(this.markets.map(({ base, price, quote, scale, tradable }) => {
      const latest = printed({ units: price, scale })
      return [`${base.toLowerCase()}-${inRial(quote) ? "rls" : quote.toLowerCase()}`, {
        isClosed: !tradable,
        bestSell: latest,
        bestBuy: latest,
        volumeSrc: "13.576044556",
        volumeDst: "1169731.7131056721",
        latest,
        mark: latest,
        dayLow: latest,
        dayHigh: latest,
        dayOpen: latest,
        dayClose: latest,
        dayChange: "-0.34"
      }]
    }))
    return JSON.stringify({ status: "ok", stats, global: { binance: {} } })
  }

  protected publish({ amount, market, price, side, time }: Filled): void {
    const { exchangeSymbol, quote, symbol } = market
    const expected = {
      exchange: "nobitex",
      symbol,
      exchangeSymbol,
      price: inToman(price, quote),
      amount: printed(amount),
      side,
      timestamp: new Date(time).toISOString()
    }
    const id = `nobitex:${symbol}:t:${time}:${side}:${expected.price}:${expected.amount}`
    const issued = new Issued(expected, id, true)
    const row: Row = { time, price: printed(price), volume: printed(amount), type: side }
    this.remember(exchangeSymbol, { row, issued })
    if (this.server.isMuted(exchangeSymbol)) return
    this.centrifugo.publish(`public:trades-${exchangeSymbol}`, pushed(row), [issued])
    if (this.issued.length % zeroEvery === 0) {
      this.centrifugo.publish(`public:trades-${exchangeSymbol}`, pushed({ ...row, volume: "0" }), [])
    }
    if (this.issued.length % bookEvery === 0) this.moveBook(exchangeSymbol)
  }

  /** The book as it is now: what whoever reads the events has to come to. */
  book(exchangeSymbol: string): Book {
    const { quote, scale } = this.marketOf(exchangeSymbol)
    const { asks, bids, time } = this.sidesOf(exchangeSymbol)
    const told = (side: ReadonlyArray<readonly [bigint, bigint]>) =>
      side.map(([price, amount]) =>
        [inToman({ units: price, scale }, quote), printed({ units: amount, scale: amountScale })] as const
      )
    return { bids: told(best(bids, true).slice(0, levels)), asks: told(best(asks, false).slice(0, levels)), time }
  }

  /** Some orders placed and taken back around the last price, told to whoever is subscribed. */
  moveBook(exchangeSymbol: string): void {
    this.changeBook(this.marketOf(exchangeSymbol))
    if (this.server.isMuted(exchangeSymbol)) return
    this.centrifugo.publish(`public:orderbook-${exchangeSymbol}`, this.picture(exchangeSymbol), [])
  }

  /** As the exchange prints it: asks first. */
  private picture(exchangeSymbol: string): object {
    const { price, scale } = this.marketOf(exchangeSymbol)
    const { asks, bids, time } = this.sidesOf(exchangeSymbol)
    const told = (side: ReadonlyArray<readonly [bigint, bigint]>) =>
      side.map(([price, amount]) => [printed({ units: price, scale }), printed({ units: amount, scale: amountScale })])
    return {
      asks: told(best(asks, false).slice(0, levels)),
      bids: told(best(bids, true).slice(0, levels)),
      lastTradePrice: printed({ units: price, scale }),
      lastUpdate: time
    }
  }

  private sidesOf(exchangeSymbol: string): Sides {
    const found = this.books.get(exchangeSymbol)
    if (found !== undefined) return found
    const sides: Sides = { bids: new Map(), asks: new Map(), time: this.server.clock.wall() }
    this.books.set(exchangeSymbol, sides)
    return sides
  }

  private changeBook({ exchangeSymbol, price }: Market): void {
    const sides = this.sidesOf(exchangeSymbol)
    // What the price has reached is gone.
    for (const bid of sides.bids.keys()) if (bid >= price) sides.bids.delete(bid)
    for (const ask of sides.asks.keys()) if (ask <= price) sides.asks.delete(ask)
    for (let n = 0; n < changes; n++) {
      this.order(sides.bids, price - this.away(price))
      this.order(sides.asks, price + this.away(price))
    }
    for (const [worst] of best(sides.bids, true).slice(2 * levels)) sides.bids.delete(worst)
    for (const [worst] of best(sides.asks, false).slice(2 * levels)) sides.asks.delete(worst)
    sides.time = this.server.clock.wall()
  }

  private away(price: bigint): bigint {
    return (price / 10_000n + 1n) * BigInt(1 + Math.floor(this.random() * 2 * levels))
  }

  private order(side: Map<bigint, bigint>, price: bigint): void {
    if (price <= 0n) return
    if (side.has(price) && this.random() < 0.5) side.delete(price)
    else side.set(price, 1n + BigInt(Math.floor(this.random() * 5_000_000_000)))
  }
}

/** Best first. */
const best = (side: ReadonlyMap<bigint, bigint>, falling: boolean): ReadonlyArray<readonly [bigint, bigint]> =>
  [...side].sort(([a], [b]) => (a < b) === falling ? 1 : -1)

/** Ten Rial are one Toman. */
const inToman = ({ scale, units }: Units, quote: string): string =>
  printed({ units, scale: scale + (inRial(quote) ? 1 : 0) })

/** Its fields in the order of the documents. */
const pushed = ({ price, time, type, volume }: Row): object => ({ price, time, type, volume })

/**
 * The fake Nobitex of a test.
 *
 * @since 0.1.0
 * @category tags
 */
export class FakeNobitex
  extends Context.Tag("effect-exchange-feeds/layers/testing/FakeNobitex")<FakeNobitex, FakeNobitexExchange>()
{}

const born = (options?: Options) => (place: Place) => new FakeNobitexExchange(options, place)

/**
 * Listening on loopback when it succeeds, closed with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: Options): Effect.Effect<FakeNobitexExchange, never, Scope.Scope> =>
  Loopback.make(born(options))

/**
 * Gives a fake Nobitex that listens on loopback. Needs nothing.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<FakeNobitex> => Layer.scoped(FakeNobitex, make(options))

/**
 * Without sockets, on Effect's clock: what a feed needs to reach it comes with it.
 *
 * @since 0.1.0
 * @category layers
 */
export const memory = (options?: Options): Layer.Layer<FakeNobitex | Memory.Reachable> =>
  Memory.layer(FakeNobitex, born(options))
