/**
 * Wallex as its documents and captures have it (docs/design/exchanges/wallex.md): arrays as frames, no acknowledgement, no trade id, whole
 * seconds, sixteen decimals.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Place } from "./Carrier.ts"
import { type Book, FakeBooks, type Standing } from "./FakeBooks.ts"
import type { FakeConnection } from "./FakeConnection.ts"
import { FakeExchange, type Filled } from "./FakeExchange.ts"
import { bases, type Market } from "./FakeMarkets.ts"
import * as Loopback from "./Loopback.ts"
import * as Memory from "./Memory.ts"
import { Issued, padded, printed } from "./Oracle.ts"
import { marketList } from "./WallexMarkets.ts"

/**
 * How large the fake is, and how it treats connections.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** Spot ones to begin with, 6 by default; there is one more that is not. */
  readonly markets?: number
  readonly seed?: number
  /** Milliseconds between the server's control pings, 20 000 by default. */
  readonly ping?: number
  /** A connection is cut with 1000 when it is so old, ms: 30 minutes at the real one. */
  readonly maxAge?: number
  /** Messages a client may send on one connection, 50 by default: one more and it is closed with 1008. */
  readonly maxMessages?: number
  /** How many of the last trades REST gives, at most 300; 50 by default. */
  readonly history?: number
}

/** Of so many trades as chance has them one is its market's last one of this second again: equal trades are legitimate. */
const repeatEvery = 9

/** What the exchange prints. */
const decimals = 16

/**
 * Wallex as it speaks: its REST answers, and its WebSocket.
 *
 * @since 0.1.0
 * @category models
 */
export class FakeWallexExchange extends FakeExchange<object> {
  readonly id = "wallex"
  protected readonly wsPath = "/ws"
  private readonly options: Options
  private readonly books = new FakeBooks(this.random)
  private bookTurn = 0
  private readonly last = new Map<string, Filled>()
  private walked = 0

  constructor(options: Options = {}, place?: Place) {
    super(options.seed ?? 2, place)
    this.options = options
    bases(options.markets ?? 6).forEach((base, i) => {
      const scale = i % 2 === 0 ? 0 : 4
      const price = padded({ units: 852_231_321n / BigInt(i * i + 1) + 1n, scale }, scale)
      this.addMarket({ base, quote: i % 3 === 2 ? "USDT" : "TMN", price })
    })
    this.addMarket({ base: "OTC", quote: "TMN", tradable: false, price: "1000" })
  }

  protected symbolsOf(base: string, quote: string) {
    return { exchangeSymbol: `${base}${quote}`, symbol: `${base}/${quote === "TMN" ? "IRT" : quote}` }
  }

  protected tradesOf(channel: string): string | undefined {
    return channel.endsWith("@trade") ? channel.slice(0, -"@trade".length) : undefined
  }

  protected override chance(market: Market): Filled {
    this.walked += 1
    const trade = this.randomTrade(market)
    const last = this.last.get(market.exchangeSymbol)
    const isRepeat = last !== undefined && this.walked % repeatEvery === 0 &&
      secondOf(last.time) === secondOf(trade.time)
    if (isRepeat) return last
    this.last.set(market.exchangeSymbol, trade)
    return trade
  }

  protected override open(connection: FakeConnection): void {
    const greeting = { sid: "Zq3kFf2m", upgrades: [], pingInterval: 25_000 }
    if (!this.server.script.silent) connection.send(JSON.stringify(greeting))
    connection.every(this.options.ping ?? 20_000, () => {
      if (!this.server.script.silent) connection.ping()
    })
    connection.after(this.options.maxAge ?? 30 * 60_000, () => connection.end(1000))
  }

  protected request(url: URL): string | undefined {
    if (url.pathname === "/hector/web/v1/markets") return marketList(this.markets)
    if (url.pathname !== "/v1/trades" && url.pathname !== "/v1/depth") return undefined
    const symbol = url.searchParams.get("symbol") ?? ""
    if (!this.has(symbol)) {
      return JSON.stringify({ success: false, code: 1211, message: "symbol not found", result: {} })
    }
    if (url.pathname === "/v1/depth") {
      const market = this.marketOf(symbol)
      const { asks, bids } = this.books.shown(market)
      const result = `{"ask":${rowsOf(asks)},"bid":${rowsOf(bids)}}`
      return `{"result":${result},"message":"The operation was successful","success":true}`
    }
    const latestTrades = this.history(symbol, this.options.history ?? 50)
    return JSON.stringify({ result: { latestTrades }, message: "The operation was successful", success: true })
  }

  /** Nothing is acknowledged, and what it does not understand it passes over: what the real one says is unknown. */
  protected frame(connection: FakeConnection, text: string): void {
    if (connection.received.length > (this.options.maxMessages ?? 50)) return connection.end(1008)
    const { channel, verb } = request(text)
    const symbol = channel === undefined ? undefined : /^(.+)@(?:trade|buyDepth|sellDepth)$/.exec(channel)?.[1]
    if (channel === undefined || symbol === undefined || !this.has(symbol)) return
    if (verb === "unsubscribe") {
      connection.subscriptions.delete(channel)
      return
    }
    if (verb !== "subscribe") return
    this.server.decide(connection, symbol, (granted) => {
      if (granted && !connection.subscriptions.has(channel)) {
        connection.subscriptions.set(channel, this.server.clock.wall())
      }
    })
  }

  /** The book as it is now, as far as it is shown: what whoever reads the events has to come to. */
  book(exchangeSymbol: string): Book {
    return this.books.book(this.marketOf(exchangeSymbol))
  }

  /** A level is set or taken away, and its side goes out. */
  changeBook(exchangeSymbol: string): void {
    const market = this.marketOf(exchangeSymbol)
    const side = this.books.change(market)
    const channel = `${exchangeSymbol}@${side === "bids" ? "buyDepth" : "sellDepth"}`
    this.push(exchangeSymbol, channel, [], () => `["${channel}",${rowsOf(this.books.shown(market)[side])}]`)
  }

  /** So many changes of books, over all tradable markets in turn. */
  bookChanges(count: number): void {
    const { tradable } = this
    for (let i = 0; i < count; i++) {
      const market = tradable[this.bookTurn++ % tradable.length]
      if (market !== undefined) this.changeBook(market.exchangeSymbol)
    }
  }

  protected publish({ amount, market, price, side, time }: Filled): void {
    const { exchangeSymbol, symbol } = market
    const second = secondOf(time) * 1000
    const expected = {
      exchange: "wallex",
      symbol,
      exchangeSymbol,
      price: printed(price),
      amount: printed(amount),
      side,
      timestamp: new Date(second).toISOString()
    }
    const id = `wallex:${symbol}:t:${second}:${side}:${expected.price}:${expected.amount}`
    const issued = new Issued(expected, id, true)
    const isBuyOrder = side === "buy"
    const quantity = padded(amount, decimals)
    const wirePrice = padded(price, decimals)
    const timestamp = `${expected.timestamp.slice(0, 19)}Z`
    const sum = padded({ units: price.units * amount.units, scale: price.scale + amount.scale }, decimals)
    this.remember(exchangeSymbol, {
      row: { symbol: exchangeSymbol, quantity, price: wirePrice, sum, isBuyOrder, timestamp },
      issued
    })
    const channel = `${exchangeSymbol}@trade`
    this.push(
      exchangeSymbol,
      channel,
      [issued],
      () => JSON.stringify([channel, { isBuyOrder, quantity, price: wirePrice, timestamp }])
    )
  }
}

/** Numbers, as the captures have them, of whatever length. */
const rowsOf = (side: ReadonlyArray<Standing>): string =>
  `[${
    side.map(({ amount, price }) => {
      const sum = printed({ units: price.units * amount.units, scale: price.scale + amount.scale })
      return `{"price":${printed(price)},"quantity":${printed(amount)},"sum":${sum}}`
    }).join(",")
  }]`

const secondOf = (time: number): number => Math.floor(time / 1000)

/** `["subscribe", {"channel": "BTCTMN@trade"}]`; nothing of it if it is anything else. */
const request = (text: string): { readonly verb?: unknown; readonly channel?: string } => {
  let frame: unknown
  try {
    frame = JSON.parse(text)
  } catch {
    return {}
  }
  if (!Array.isArray(frame)) return {}
  const [verb, argument]: ReadonlyArray<unknown> = frame
  return typeof argument === "object" && argument !== null && "channel" in argument
    ? { verb, channel: String(argument.channel) }
    : {}
}

/**
 * The fake Wallex of a test.
 *
 * @since 0.1.0
 * @category tags
 */
export class FakeWallex
  extends Context.Tag("effect-exchange-feeds/layers/testing/FakeWallex")<FakeWallex, FakeWallexExchange>()
{}

const born = (options?: Options) => (place: Place) => new FakeWallexExchange(options, place)

/**
 * Listening on loopback when it succeeds, closed with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: Options): Effect.Effect<FakeWallexExchange, never, Scope.Scope> =>
  Loopback.make(born(options))

/**
 * Gives a fake Wallex that listens on loopback. Needs nothing.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<FakeWallex> => Layer.scoped(FakeWallex, make(options))

/**
 * Without sockets, on Effect's clock: what a feed needs to reach it comes with it.
 *
 * @since 0.1.0
 * @category layers
 */
export const memory = (options?: Options): Layer.Layer<FakeWallex | Memory.Reachable> =>
  Memory.layer(FakeWallex, born(options))
