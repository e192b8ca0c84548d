/**
 * Tabdeal as its documents have it (docs/design/exchanges/tabdeal.md): trades by REST alone, within a budget a minute; books by socket, a
 * whole picture every so often, of a client that pings.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Place } from "./Carrier.ts"
import type { Book } from "./FakeBooks.ts"
import type { FakeConnection } from "./FakeConnection.ts"
import { amountScale, FakeExchange, type Filled } from "./FakeExchange.ts"
import { bases, type Market } from "./FakeMarkets.ts"
import * as Loopback from "./Loopback.ts"
import * as Memory from "./Memory.ts"
import { Issued, padded, printed } from "./Oracle.ts"
import type { Answer } from "./Script.ts"

/**
 * How large the fake is, and how it treats its clients.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** Tradable ones to begin with, 6 by default; there are two more that are not. */
  readonly markets?: number
  readonly seed?: number
  /** Rows that REST gives at most, whatever is asked for; 1000 by default. */
  readonly history?: number
  /** Questions that it answers in any 60 s; one more is refused with code 1216. 60 by default. */
  readonly perMinute?: number
  /** Rows oldest first: the documents do not say which order it is. */
  readonly oldestFirst?: boolean
  /** The list of markets within an object. */
  readonly wrapped?: boolean
  /** Milliseconds between two pictures of a book, 2 000 by default. */
  readonly picture?: number
  /** A client that has not pinged for so long is hung up on, ms; 60 000 by default. */
  readonly patience?: number
}

/** What the exchange prints. */
const decimals = { price: 16, amount: 8 }

const minute = 60_000

const topicSuffix = "@depth@2000ms"

/** Levels a side. */
const depth = 5

/**
 * Tabdeal as it speaks: its REST answers, and its WebSocket.
 *
 * @since 0.1.0
 * @category models
 */
export class FakeTabdealExchange extends FakeExchange<object> {
  readonly id = "tabdeal"
  protected readonly wsPath = "/stream/"
  /** Questions that were refused since there were too many. */
  refusals = 0
  /** Clients that did not ping. */
  hungUp = 0
  /** Symbols that are listed, but unknown to all else. */
  readonly unknown = new Set<string>()
  private readonly options: Options
  private readonly patient = new Map<FakeConnection, () => void>()
  private readonly books = new Map<string, Book>()
  private readonly unlisted = new Set<string>()
  /** Before the trade with that id. */
  private readonly badRows = new Map<string, number>()
  private nextId = 159_176_050

  constructor(options: Options = {}, place?: Place) {
    super(options.seed ?? 4, place)
    this.options = options
    bases(options.markets ?? 6).forEach((base, i) => {
      const scale = i % 2 === 0 ? 0 : 4
      const price = padded({ units: 852_231_321n / BigInt(i * i + 1) + 1n, scale }, scale)
      this.addMarket({ base, quote: i % 3 === 2 ? "USDT" : "IRT", price })
    })
    this.addMarket({ base: "OLD", quote: "IRT", tradable: false, price: "1000" })
    this.addMarket({ base: "MARGIN", quote: "IRT", tradable: false, price: "1000" })
  }

  /** It is in the list of markets, or not; all else goes on. */
  list(exchangeSymbol: string, isListed: boolean): void {
    if (isListed) this.unlisted.delete(exchangeSymbol)
    else this.unlisted.add(exchangeSymbol)
  }

  /** A row among the trades that nobody can read. */
  bad(exchangeSymbol: string): void {
    this.badRows.set(exchangeSymbol, this.nextId)
  }

  /** The true book of a market. */
  book(exchangeSymbol: string): Book {
    const found = this.books.get(exchangeSymbol) ?? this.made(this.marketOf(exchangeSymbol))
    this.books.set(exchangeSymbol, found)
    return found
  }

  /** The most questions that came in any 60 s. */
  get mostInAMinute(): number {
    const times = this.server.restCalls.map(({ at }) => at)
    return Math.max(0, ...times.map((start) => times.filter((at) => at >= start && at < start + minute).length))
  }

  protected symbolsOf(base: string, quote: string) {
    return { exchangeSymbol: `${base}${quote}`, symbol: `${base}/${quote}` }
  }

  /** None has any. */
  protected tradesOf(): undefined {
    return undefined
  }

  /** Markets that somebody has asked the trades of count as subscribed: there is nothing else to wait for. */
  override get subscribed(): number {
    const asked = new Set(this.server.restCalls.map(({ url }) => /\/trades\?symbol=([^&]+)/.exec(url)?.[1]))
    return this.tradable.filter(({ exchangeSymbol }) => asked.has(exchangeSymbol)).length
  }

  protected request(url: URL): string | Answer {
    const { perMinute = 60 } = this.options
    const now = this.server.clock.wall()
    if (this.server.restCalls.filter(({ at }) => at > now - minute).length > perMinute) {
      this.refusals += 1
      return refusal(429, 1216, "Too many requests")
    }
    const [, what = ""] = /^\/r\/api\/v1\/(\w+)$/.exec(url.pathname) ?? []
    const limit = (most: number) => Math.min(Number(url.searchParams.get("limit") ?? "50"), most)
    if (what === "ping") return "{}"
    if (what === "time") return JSON.stringify({ serverTime: now })
    if (what === "exchangeInfo") {
      const list = this.markets.filter(({ exchangeSymbol }) => !this.unlisted.has(exchangeSymbol)).slice(0, limit(1000))
        .map(listed)
      return JSON.stringify(this.options.wrapped === true ? { symbols: list } : list)
    }
    if (what !== "trades" && what !== "depth") return refusal(404, 1217, "Method not found")
    const symbol = url.searchParams.get("symbol") ?? ""
    if (!this.has(symbol) || this.unknown.has(symbol)) return refusal(400, 1206, "Market not found")
    if (what === "depth") {
      const { asks, bids } = this.book(symbol)
      return JSON.stringify({ bids: bids.slice(0, limit(5000)), asks: asks.slice(0, limit(5000)) })
    }
    const rows = [...this.history(symbol, limit(this.options.history ?? 1000))]
    const bad = this.badRows.get(symbol)
    if (bad !== undefined) {
      const at = rows.findIndex((row) => "id" in row && Number(row.id) < bad)
      rows.splice(at < 0 ? rows.length : at, 0, { id: bad, price: null })
    }
    return JSON.stringify(this.options.oldestFirst === true ? [...rows].reverse() : rows)
  }

  protected override open(connection: FakeConnection): void {
    this.pinged(connection)
    connection.every(this.options.picture ?? 2_000, () => {
      if (this.server.script.silent) return
      for (const topic of connection.subscriptions.keys()) {
        const symbol = topic.slice(0, -topicSuffix.length).toUpperCase()
        if (!this.server.isMuted(symbol) && this.has(symbol)) connection.send(this.picture(topic, symbol))
      }
    })
  }

  protected override pinged(connection: FakeConnection): void {
    this.patient.get(connection)?.()
    const hangUp = connection.after(this.options.patience ?? 60_000, () => {
      this.hungUp += 1
      connection.end(1006)
    })
    this.patient.set(connection, hangUp)
  }

  protected override close(connection: FakeConnection): void {
    this.patient.get(connection)?.()
    this.patient.delete(connection)
  }

  protected frame(connection: FakeConnection, text: string): void {
    const { id, method, params } = command(text)
    const symbols = params.map((topic) =>
      topic.endsWith(topicSuffix) && topic === topic.toLowerCase()
        ? topic.slice(0, -topicSuffix.length).toUpperCase()
        : ""
    )
    const [first = ""] = symbols
    if (method !== "SUBSCRIBE" || !symbols.every((symbol) => this.has(symbol))) {
      connection.send(JSON.stringify({ id, code: 1211, msg: "Invalid symbol" }))
      return
    }
    this.server.decide(connection, first, (granted) => {
      if (granted) { for (const topic of params) connection.subscriptions.set(topic, this.server.clock.wall()) }
      connection.send(JSON.stringify(granted ? { result: null, id } : { id, code: 1201, msg: "Invalid parameters" }))
    })
  }

  protected publish({ amount, market, price, side, time }: Filled): void {
    const { exchangeSymbol, symbol } = market
    const id = this.nextId++
    const expected = {
      exchange: this.id,
      symbol,
      exchangeSymbol,
      price: printed(price),
      amount: printed(amount),
      side,
      timestamp: new Date(time).toISOString()
    }
    const isBuyerMaker = side === "sell"
    const total = { units: price.units * amount.units, scale: price.scale + amount.scale }
    this.books.delete(exchangeSymbol)
    this.remember(exchangeSymbol, {
      row: {
        id,
        price: padded(price, decimals.price),
        qty: padded(amount, decimals.amount),
        // Of what the taker got: of the one asset or of the other.
        quoteQty: padded(isBuyerMaker ? total : amount, decimals.amount),
        time,
        isBuyerMaker
      },
      issued: new Issued(expected, `tabdeal:${symbol}:t:${id}`, false)
    })
  }

  /** Around the price of the last trade. */
  private made({ price, scale }: Market): Book {
    const side = (direction: bigint): Book["bids"] =>
      Array.from({ length: depth }, (_, i) => {
        const units = price + direction * BigInt(i + 1)
        const amount = { units: BigInt(1 + Math.floor(this.random() * 1e9)), scale: amountScale }
        return [printed({ units: units > 0n ? units : 1n, scale }), printed(amount)]
      })
    return { bids: side(-1n), asks: side(1n) }
  }

  private picture(topic: string, symbol: string): string {
    const { asks: a, bids: b } = this.book(symbol)
    return JSON.stringify({
      stream: topic,
      data: { e: "depthUpdate", E: this.server.clock.wall(), s: symbol, b, a }
    })
  }
}

const refusal = (status: number, code: number, msg: string): Answer => ({
  status,
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ code, msg, detail: msg })
})

const listed = ({ base, exchangeSymbol, quote, tradable }: Market): object => ({
  symbol: exchangeSymbol,
  tabdealSymbol: `${base}_${quote}`,
  // Two ways not to be traded.
  status: tradable || base === "MARGIN" ? "TRADING" : "BREAK",
  baseAsset: base,
  baseAssetPrecision: String(decimals.amount),
  quoteAsset: quote,
  quoteAssetPrecision: "8",
  orderTypes: ["LIMIT", "STOP_LOSS_LIMIT", "MARKET"],
  isSpotTradingAllowed: tradable,
  isMarginTradingAllowed: base === "MARGIN",
  filters: [{ filterType: "PERCENT_PRICE", multiplierUp: 1.2, multiplierDown: 0.8, avgPriceMins: 5 }],
  permissions: ["SPOT"]
})

interface Command {
  readonly method?: unknown
  readonly params: ReadonlyArray<string>
  readonly id?: unknown
}

const command = (text: string): Command => {
  try {
    const { id, method, params }: Partial<Command> = JSON.parse(text)
    return { id, method, params: Array.isArray(params) ? params.map(String) : [] }
  } catch {
    return { params: [] }
  }
}

/**
 * The fake Tabdeal of a test.
 *
 * @since 0.1.0
 * @category tags
 */
export class FakeTabdeal
  extends Context.Tag("effect-exchange-feeds/layers/testing/FakeTabdeal")<FakeTabdeal, FakeTabdealExchange>()
{}

const born = (options?: Options) => (place: Place) => new FakeTabdealExchange(options, place)

/**
 * Listening on loopback when it succeeds, closed with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: Options): Effect.Effect<FakeTabdealExchange, never, Scope.Scope> =>
  Loopback.make(born(options))

/**
 * Gives a fake Tabdeal that listens on loopback. Needs nothing.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<FakeTabdeal> => Layer.scoped(FakeTabdeal, make(options))

/**
 * Without sockets, on Effect's clock: what a feed needs to reach it comes with it.
 *
 * @since 0.1.0
 * @category layers
 */
export const memory = (options?: Options): Layer.Layer<FakeTabdeal | Memory.Reachable> =>
  Memory.layer(FakeTabdeal, born(options))
