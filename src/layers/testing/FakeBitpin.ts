/**
 * BitPin as its documents and captures have it (docs/design/exchanges/bitpin.md, docs/design/exchanges/centrifugo.md): a strict Centrifugo server with `matches` pushes
 * that are overlapping windows of recent trades, newest first.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Place } from "./Carrier.ts"
import { type Book, FakeBooks, type Standing } from "./FakeBooks.ts"
import * as FakeCentrifugo from "./FakeCentrifugo.ts"
import type { FakeConnection } from "./FakeConnection.ts"
import { amountScale, FakeExchange, type Filled, type Recent } from "./FakeExchange.ts"
import { bases, type Market } from "./FakeMarkets.ts"
import type { Which } from "./FakeServer.ts"
import * as Loopback from "./Loopback.ts"
import * as Memory from "./Memory.ts"
import { divided, Issued, padded, parsed, printed, type Units } from "./Oracle.ts"

/**
 * How large the fake is, and which of the exchange's forms it uses.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options extends FakeCentrifugo.Options {
  /** Tradable ones to begin with, 6 by default; there is one more that is not. */
  readonly markets?: number
  readonly seed?: number
  /** Rows in a push: this trade and those before it. 1 = single rows. */
  readonly window?: number
  /** Rows without `time`, as older ones are: the push's `event_time` is the time. Windows are then of one row. */
  readonly withoutRowTime?: boolean
  /** Rows the REST history gives, at most 300. */
  readonly history?: number
}

interface Row {
  readonly id: string
  readonly price: string
  readonly base_amount: string
  readonly quote_amount: string
  readonly side: string
}

interface Timed {
  readonly row: Row
  /** Epoch seconds. Ten digits and six decimals are told apart by a double, and it prints them as they are. */
  readonly time: number
  /** The same as ISO-8601 with six decimals. */
  readonly eventTime: string
}

/** Amounts below it are shown as `"0.00"`: the quirk of tiny trades (docs/design/exchanges/bitpin.md "Tiny trades"). */
const tiny: Units = { units: 100n, scale: amountScale }

/** Of so many trades as chance has them one is tiny. */
const tinyEvery = 13

const isTiny = ({ scale, units }: Units): boolean =>
  units * 10n ** BigInt(tiny.scale) < tiny.units * 10n ** BigInt(scale)

/**
 * BitPin as it speaks: its REST answers, and its Centrifugo server.
 *
 * @since 0.1.0
 * @category models
 */
export class FakeBitpinExchange extends FakeExchange<Timed> {
  readonly id = "bitpin"
  protected readonly wsPath = "/connection/websocket"
  /** Pings, pushes and other doings of the Centrifugo server by hand. */
  readonly centrifugo: FakeCentrifugo.FakeCentrifugo
  private readonly options: Options
  private readonly books = new FakeBooks(this.random)
  private bookTurn = 0
  private nextId = 73_802_972
  private walked = 0

  constructor(options: Options = {}, place?: Place) {
    super(options.seed ?? 1, place)
    this.options = options
    this.centrifugo = new FakeCentrifugo.FakeCentrifugo(options, {
      // Symbols that do not exist have no channel; `market:` is there, though nothing comes.
      symbolOf: (channel) => {
        const symbol = /^(?:matches|orderbook|market):(.+)$/.exec(channel)?.[1]
        return symbol !== undefined && this.has(symbol) ? symbol : undefined
      },
      random: this.random,
      server: this.server
    })
    bases(options.markets ?? 6).forEach((base, i) => {
      const inToman = i % 3 !== 2
      const units = (inToman ? 11_379_465_211n : 6_267_230n) / BigInt(i * i + 1) + 1n
      this.addMarket({
        base,
        quote: inToman ? "IRT" : "USDT",
        price: padded({ units, scale: inToman ? 0 : 2 }, inToman ? 0 : 2)
      })
    })
    this.addMarket({ base: "OLD", quote: "IRT", tradable: false, price: "1000" })
  }

  protected symbolsOf(base: string, quote: string) {
    return { exchangeSymbol: `${base}_${quote}`, symbol: `${base}/${quote}` }
  }

  protected tradesOf(channel: string): string | undefined {
    return channel.startsWith("matches:") ? channel.slice("matches:".length) : undefined
  }

  protected override chance(market: Market): Filled {
    const trade = this.randomTrade(market)
    this.walked += 1
    return this.walked % tinyEvery === 0
      ? { ...trade, amount: { units: trade.amount.units % tiny.units + 1n, scale: amountScale + 1 } }
      : trade
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

  protected request({ pathname: path }: URL): string | undefined {
    if (path === "/api/v1/mkt/markets/") {
      return JSON.stringify(this.markets.map(({ base, exchangeSymbol, quote, scale, tradable }, i) => ({
        symbol: exchangeSymbol,
        name: `${base}/${quote === "IRT" ? "Toman" : quote}`,
        base,
        quote,
        tradable,
        // Strings in some clients' types, numbers in others.
        price_precision: i % 2 === 0 ? String(scale) : scale,
        base_amount_precision: String(amountScale),
        quote_amount_precision: "0"
      })))
    }
    const [, what, symbol = ""] = /^\/api\/v1\/mth\/(matches|orderbook)\/([^/]+)\/$/.exec(path) ?? []
    if (what === undefined || !this.has(symbol)) return undefined
    if (what === "orderbook") {
      return JSON.stringify({ ...this.picture(symbol), event_time: this.server.clock.wall() })
    }
    return JSON.stringify(this.history(symbol, this.options.history ?? 50).map(({ row, time }) => ({ ...row, time })))
  }

  /** So many trades of now in one push, as a window of them all. `padding`: characters of the frame beyond, which mean nothing. */
  bulk(exchangeSymbol: string, count: number, padding = 0): void {
    const market = this.marketOf(exchangeSymbol)
    const window = Array.from({ length: count }, () => this.issue(this.randomTrade(market)).slice(-1)).flat()
    const time = new Date(this.server.clock.wall()).toISOString()
    this.centrifugo.publish(
      `matches:${exchangeSymbol}`,
      { ...this.body(exchangeSymbol, window, time), note: "x".repeat(padding) },
      window.map(({ issued }) => issued)
    )
  }

  /** The book as it is now, as far as pictures show it: what whoever reads the events has to come to. */
  book(exchangeSymbol: string): Book {
    return this.books.book(this.marketOf(exchangeSymbol))
  }

  /** A level is set or taken away, and the picture goes out. */
  changeBook(exchangeSymbol: string): void {
    this.books.change(this.marketOf(exchangeSymbol))
    if (this.server.isMuted(exchangeSymbol)) return
    const event_time = `${new Date(this.server.clock.wall()).toISOString().slice(0, -1)}000Z`
    const volumes = { volume_ask: "0", volume_bid: "0" }
    const picture = { ...this.picture(exchangeSymbol), ...volumes, symbol: exchangeSymbol, event: "market_data" }
    this.centrifugo.publish(`orderbook:${exchangeSymbol}`, { ...picture, price: 1.5, event_time }, [])
  }

  /** So many changes of books, over all tradable markets in turn. */
  bookChanges(count: number): void {
    const { tradable } = this
    for (let i = 0; i < count; i++) {
      const market = tradable[this.bookTurn++ % tradable.length]
      if (market !== undefined) this.changeBook(market.exchangeSymbol)
    }
  }

  private picture(exchangeSymbol: string) {
    const market = this.marketOf(exchangeSymbol)
    const { asks, bids } = this.books.shown(market)
    const rows = (side: ReadonlyArray<Standing>) =>
      side.map(({ amount, price }) => [padded(price, Math.max(2, market.scale)), padded(amount, amountScale)])
    return { bids: rows(bids), asks: rows(asks) }
  }

  protected publish(filled: Filled): void {
    const { exchangeSymbol } = filled.market
    const recent = this.issue(filled)
    if (this.server.isMuted(exchangeSymbol)) return
    const window = recent.slice(this.options.withoutRowTime === true ? -1 : -(this.options.window ?? 3))
    this.centrifugo.publish(
      `matches:${exchangeSymbol}`,
      this.body(exchangeSymbol, window, recent.at(-1)?.row.eventTime ?? ""),
      window.map(({ issued }) => issued)
    )
  }

  /** Gives the market's last trades, this one at their end. */
  private issue({ amount, market, micros, price, side, time }: Filled): ReadonlyArray<Recent<Timed>> {
    const { exchangeSymbol, scale, symbol } = market
    const id = `${this.nextId}_${this.nextId + 4115}`
    this.nextId += 7
    const exact = { units: price.units * amount.units, scale: price.scale + amount.scale }
    // A tiny trade's amount is found again only as quote over price, the quote being cut to what the exchange prints.
    const quoteAmount = isTiny(amount)
      ? padded(exact, exact.scale - 1)
      : padded(exact, Math.max(amountScale, exact.scale))
    const quote = parsed(quoteAmount)
    const [second = "", millis = ""] = new Date(time).toISOString().slice(0, 23).split(".")
    const decimals = millis + String(micros).padStart(3, "0")
    const eventTime = `${second}.${decimals}Z`
    const hidden = isTiny(amount) && quote.units > 0n
    const issued = new Issued(
      {
        exchange: "bitpin",
        symbol,
        exchangeSymbol,
        price: printed(price),
        amount: printed(hidden ? divided(quote, price) : amount),
        side,
        // As a number it has no zeros at its end.
        timestamp: micros === 0 && this.options.withoutRowTime !== true ? `${second}.${millis}Z` : eventTime
      },
      `bitpin:${symbol}:t:${id}`,
      false
    )
    const row: Row = {
      id,
      price: padded(price, Math.max(scale, price.scale) + 2),
      base_amount: hidden ? "0.00" : padded(amount, Math.max(amountScale, amount.scale)),
      quote_amount: quoteAmount,
      side
    }
    return this.remember(exchangeSymbol, {
      row: { row, time: Number(`${Math.floor(time / 1000)}.${decimals}`), eventTime },
      issued
    })
  }

  private body(symbol: string, window: ReadonlyArray<Recent<Timed>>, eventTime: string): object {
    const newestFirst = window.map(({ row }) => row).reverse()
    return this.options.withoutRowTime === true
      ? {
        matches: newestFirst.map(({ row }) => row),
        symbol,
        event: "matches_update",
        event_time: eventTime
      }
      : {
        event: "matches_update",
        symbol,
        matches: newestFirst.map(({ row, time }) => ({ ...row, time }))
      }
  }
}

/**
 * The fake BitPin of a test.
 *
 * @since 0.1.0
 * @category tags
 */
export class FakeBitpin
  extends Context.Tag("effect-exchange-feeds/layers/testing/FakeBitpin")<FakeBitpin, FakeBitpinExchange>()
{}

const born = (options?: Options) => (place: Place) => new FakeBitpinExchange(options, place)

/**
 * Listening on loopback when it succeeds, closed with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: Options): Effect.Effect<FakeBitpinExchange, never, Scope.Scope> =>
  Loopback.make(born(options))

/**
 * Gives a fake BitPin that listens on loopback. Needs nothing.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<FakeBitpin> => Layer.scoped(FakeBitpin, make(options))

/**
 * Without sockets, on Effect's clock: what a feed needs to reach it comes with it.
 *
 * @since 0.1.0
 * @category layers
 */
export const memory = (options?: Options): Layer.Layer<FakeBitpin | Memory.Reachable> =>
  Memory.layer(FakeBitpin, born(options))
