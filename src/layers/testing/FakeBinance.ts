/**
 * Binance, spot, as its documents and its clients' captures have it (docs/design/exchanges/binance.md): numbered trades of any age by REST, within
 * a weight a minute; streams of trades and books on connections that may send five frames a second and hold 1 024 streams.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { BinanceBooks, type Picture } from "./BinanceBooks.ts"
import type { Place } from "./Carrier.ts"
import type { Book } from "./FakeBooks.ts"
import type { FakeConnection } from "./FakeConnection.ts"
import { FakeExchange, type Filled } from "./FakeExchange.ts"
import { bases, type Market } from "./FakeMarkets.ts"
import type { Which } from "./FakeServer.ts"
import * as Loopback from "./Loopback.ts"
import * as Memory from "./Memory.ts"
import { Issued, padded, printed } from "./Oracle.ts"
import type { Answer } from "./Script.ts"

/**
 * How large the fake is, and what it allows its clients.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** Tradable ones to begin with, 6 by default; there are four more that are not to be collected. */
  readonly markets?: number
  readonly seed?: number
  /** Weight of the questions that it answers in a minute of its clock; 6 000 by default. */
  readonly weightPerMinute?: number
  /** Milliseconds between its pings; 20 000 by default. */
  readonly ping?: number
  /** Milliseconds that a pong may take; 60 000 by default. */
  readonly patience?: number
  /** Milliseconds that a connection lives; a day by default. */
  readonly lifetime?: number
  /** Milliseconds between two turns of a stream of changes; 100 by default. */
  readonly changesEvery?: number
  /** It has no pages of older trades, as an address for market data alone may: it refuses them with that status. */
  readonly unserved?: number
  /** As its address `/ws` has it: events without the name of their stream. */
  readonly raw?: boolean
  /** As with `?timeUnit=MICROSECOND` behind its address: all times in microseconds. */
  readonly micros?: boolean
}

/** What the exchange prints. */
const decimals = 8

const minute = 60_000
const day = 86_400_000

/** What a connection may send in a second, pings and pongs among it, and hold. */
const maxFrames = 5
const maxStreams = 1_024

/** From so many streams in a frame on it is answered, and nothing comes of it. */
const tooManyParams = 437

/** Questions after the first that was refused, until the address is banned, and for how long, ms. */
const patienceWithAsking = 10
const ban = 120_000

/** Rows of an answer, at most. */
const maxRows = 1_000

interface Row {
  readonly id: number
  readonly price: string
  readonly qty: string
  readonly quoteQty: string
  readonly time: number
  readonly isBuyerMaker: boolean
  readonly isBestMatch: boolean
}

interface Past {
  readonly row: Row
  readonly issued: Issued
}

/** A stream of a book, as one connection has it. */
interface BookStream {
  readonly symbol: string
  /** Levels a side of a whole picture; undefined: what changes. */
  readonly levels: number | undefined
  readonly every: number
  /** Number of the last change that it has told. */
  told: number
}

const bookStream = /^([^@]+)@depth(5|10|20|)(@100ms)?$/

/**
 * Binance as it speaks: its REST answers, and its streams.
 *
 * @since 0.1.0
 * @category models
 */
export class FakeBinanceExchange extends FakeExchange<Row> {
  readonly id = "binance"
  protected readonly wsPath: string
  /** Questions that were refused since they weighed too much, or since the address was banned. */
  refusals = 0
  /** Clients that sent too much, or asked for too much. */
  closedFor: ReadonlyArray<string> = []
  /** So many answers about a book are as old as its first picture. */
  staleDepths = 0
  /** Of these markets the changes are lost on the way: what is told later does not follow. */
  losing: ReadonlySet<string> = new Set()
  /** Of these markets the changes are told without levels, though their numbers lead on: whoever keeps a book of them has a wrong one. */
  omitting: ReadonlySet<string> = new Set()
  /** Of these markets the streams of changes say nothing any more, while others go on. */
  halting: ReadonlySet<string> = new Set()
  /** The most weight that was answered in one minute. */
  heaviest = 0
  private readonly options: Options
  private readonly books: BinanceBooks
  /** By symbol, oldest first: any age. */
  private readonly past = new Map<string, Array<Past>>()
  /** When each connection has sent something, epoch ms. */
  private readonly heard = new Map<FakeConnection, Array<number>>()
  /** Payloads that a pong has yet to bring back. */
  private readonly unanswered = new Map<FakeConnection, Set<string>>()
  private readonly weight = { minute: 0, used: 0, refused: 0 }
  private bannedUntil = 0
  private bookTurn = 0

  constructor(options: Options = {}, place?: Place) {
    super(options.seed ?? 6, place)
    this.options = options
    this.wsPath = options.raw === true ? "/ws" : "/stream"
    this.books = new BinanceBooks(this.random)
    bases(options.markets ?? 6).forEach((base, i) => {
      const scale = i % 2 === 0 ? 2 : 5
      const price = padded({ units: 8_492_204n / BigInt(i * i + 1) + 100n, scale }, scale)
      this.addMarket({ base: base === "USDT" ? "BNB" : base, quote: i % 4 === 3 ? "EUR" : "USDT", price })
    })
    // Each for a reason of its own.
    for (const base of ["OLD", "LEAVING", "MARGIN", "币安人生"]) {
      this.addMarket({ base, quote: "USDT", tradable: false, price: "1.00" })
    }
  }

  /** The true book of a market, by the best 20 levels a side. */
  book(exchangeSymbol: string, levels = 20): Book {
    return this.books.book(this.marketOf(exchangeSymbol), levels)
  }

  /** The same as the wire has it. */
  picture(exchangeSymbol: string, levels = 20): Picture {
    return this.books.picture(this.marketOf(exchangeSymbol), levels)
  }

  /** Number of the last change of a market's book. */
  lastUpdateId(exchangeSymbol: string): number {
    return this.books.lastUpdateId(this.marketOf(exchangeSymbol))
  }

  /** A level is set or taken away; each stream tells it in its turn. */
  changeBook(exchangeSymbol: string): void {
    this.books.change(this.marketOf(exchangeSymbol))
  }

  /** So many changes of books, over all tradable markets in turn. */
  bookChanges(count: number): void {
    const { tradable } = this
    for (let n = 0; n < count; n++) {
      const market = tradable[this.bookTurn++ % tradable.length]
      if (market !== undefined) this.changeBook(market.exchangeSymbol)
    }
  }

  /** It says that it is about to end the connections, and does so after so many milliseconds. */
  shutdown(after: number, which: Which = () => true): void {
    for (const connection of this.server.connections) {
      if (!which(connection)) continue
      this.tell(connection, "!serverShutdown", { e: "serverShutdown", E: this.stamp() })
      connection.after(after, () => connection.end(1001))
    }
  }

  /** The address is banned for so many milliseconds, whatever it asks. */
  ban(length: number): void {
    this.bannedUntil = this.server.clock.wall() + length
  }

  /** What a market has traded so far. */
  numbersOf(exchangeSymbol: string): ReadonlyArray<number> {
    return this.pastOf(exchangeSymbol).map(({ row }) => row.id)
  }

  protected symbolsOf(base: string, quote: string) {
    return { exchangeSymbol: `${base}${quote}`, symbol: `${base}/${quote}` }
  }

  protected tradesOf(topic: string): string | undefined {
    const [name = "", kind] = topic.split("@")
    return kind === "trade" && name === name.toLowerCase() ? name.toUpperCase() : undefined
  }

  // -------------------------------------------------------------------------------------------------------------------
  // REST

  protected request(url: URL): string | Answer {
    const now = this.server.clock.wall()
    const [, what = ""] = /^\/api\/v3\/(\w+)$/.exec(url.pathname) ?? []
    const refusal = this.weigh(weightOf(what, url.searchParams), now)
    const answer = refusal ?? this.answerTo(what, url.searchParams, now)
    const { headers = {}, ...rest } = answer === "hang" ? { status: 504 } : answer
    return {
      ...rest,
      headers: { "content-type": "application/json", "x-mbx-used-weight-1m": String(this.weight.used), ...headers }
    }
  }

  /** What is refused weighs as much. */
  private weigh(weight: number, now: number): Answer | undefined {
    const { weight: spent } = this
    if (Math.floor(now / minute) !== spent.minute) {
      spent.minute = Math.floor(now / minute)
      spent.used = spent.refused = 0
    }
    spent.used += weight
    const limit = this.options.weightPerMinute ?? 6_000
    if (now >= this.bannedUntil && spent.used <= limit) {
      this.heaviest = Math.max(this.heaviest, spent.used)
      return undefined
    }
    this.refusals += 1
    spent.refused += 1
    if (now >= this.bannedUntil && spent.refused > patienceWithAsking) this.bannedUntil = now + ban
    if (now < this.bannedUntil) {
      return failed(
        418,
        -1003,
        `Way too much request weight used; IP banned until ${this.bannedUntil}. Please use WebSocket Streams for live updates to avoid bans.`
      )
    }
    const wait = Math.ceil(((spent.minute + 1) * minute - now) / 1000)
    const words = `Too much request weight used; current limit is ${limit} request weight per 1 MINUTE. ` +
      "Please use WebSocket Streams for live updates to avoid polling the API."
    return { ...failed(429, -1003, words), headers: { "retry-after": String(wait) } }
  }

  private answerTo(what: string, query: URLSearchParams, now: number): Answer {
    if (what === "ping") return good({})
    if (what === "time") return good({ serverTime: now })
    if (what === "exchangeInfo") return good(this.exchangeInfo(query.get("symbolStatus"), now))
    if (!["trades", "historicalTrades", "depth"].includes(what)) return { status: 404, body: "<html></html>" }
    const { unserved } = this.options
    if (what === "historicalTrades" && unserved !== undefined) return { status: unserved, body: "<html></html>" }
    const symbol = query.get("symbol") ?? ""
    if (symbol === "") {
      return failed(400, -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
    }
    if (!this.has(symbol)) return failed(400, -1121, "Invalid symbol.")
    const limit = Number(query.get("limit") ?? (what === "depth" ? "100" : "500"))
    if (!(limit >= 1)) return failed(400, -1100, "Illegal characters found in parameter 'limit'.")
    if (what === "depth") return good(this.depth(symbol, Math.min(limit, 5_000)))
    const from = query.get("fromId")
    if (from !== null && !/^\d+$/.test(from)) {
      return failed(400, -1100, "Illegal characters found in parameter 'fromId'; legal range is '^[0-9]{1,20}$'.")
    }
    return good(
      this.rows(symbol, Math.min(limit, maxRows), what === "trades" || from === null ? undefined : Number(from))
    )
  }

  /** Oldest first: from a number on, or the last ones. */
  private rows(symbol: string, limit: number, from: number | undefined): ReadonlyArray<Row> {
    const all = this.pastOf(symbol)
    const first = all[0]?.row.id ?? 0
    const at = from === undefined ? 0 : Math.max(0, from - first)
    const most = Math.min(limit, from === undefined ? this.server.script.history ?? limit : limit)
    const found = from === undefined ? all.slice(Math.max(0, all.length - most)) : all.slice(at, at + most)
    for (const { issued } of found) issued.served = true
    return found.map(({ row }) => row)
  }

  private depth(symbol: string, limit: number): object {
    const market = this.marketOf(symbol)
    if (this.staleDepths <= 0) return this.books.picture(market, limit)
    this.staleDepths -= 1
    return this.books.first(market, limit)
  }

  private exchangeInfo(status: string | null, now: number): object {
    return {
      timezone: "UTC",
      serverTime: now,
      rateLimits: [{
        rateLimitType: "REQUEST_WEIGHT",
        interval: "MINUTE",
        intervalNum: 1,
        limit: this.options.weightPerMinute ?? 6_000
      }],
      exchangeFilters: [],
      symbols: this.markets.map(listed).filter((row) => status === null || row.status === status)
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // streams

  protected override open(connection: FakeConnection): void {
    const { lifetime = day, patience = minute, ping = 20_000 } = this.options
    this.heard.set(connection, [])
    this.unanswered.set(connection, new Set())
    connection.every(ping, () => {
      if (this.server.script.silent) return
      const payload = String(this.server.clock.wall())
      this.unanswered.get(connection)?.add(payload)
      connection.ping(payload)
      connection.after(patience, () => {
        if (this.unanswered.get(connection)?.has(payload) === true) connection.end(1006)
      })
    })
    connection.after(lifetime, () => connection.end(1001))
  }

  protected override close(connection: FakeConnection): void {
    this.heard.delete(connection)
    this.unanswered.delete(connection)
  }

  protected override pinged(connection: FakeConnection): void {
    this.isTooMuch(connection)
  }

  protected override ponged(connection: FakeConnection, payload: string): void {
    if (this.isTooMuch(connection)) return
    // One that nobody asked for, or with another payload, is no answer.
    this.unanswered.get(connection)?.delete(payload)
  }

  private isTooMuch(connection: FakeConnection): boolean {
    const now = this.server.clock.steady()
    const lately = [...this.heard.get(connection) ?? [], now].filter((at) => at > now - 1_000)
    this.heard.set(connection, lately)
    if (lately.length <= maxFrames) return false
    this.hangUp(connection, "Too many requests")
    return true
  }

  private hangUp(connection: FakeConnection, reason: string): void {
    this.closedFor = [...this.closedFor, reason]
    connection.end(1008, reason)
  }

  protected frame(connection: FakeConnection, text: string): void {
    if (this.isTooMuch(connection)) return
    const command = commandOf(text)
    if (command === undefined) {
      return this.send(connection, { code: 3, msg: "Invalid JSON: expected value at line 1 column 1" })
    }
    const { id, method, params } = command
    if (!isId(id)) {
      return this.send(connection, {
        code: 2,
        msg: "Invalid request: request ID must be an unsigned integer",
        id: null
      })
    }
    if (method === "LIST_SUBSCRIPTIONS") {
      return this.send(connection, { result: [...connection.subscriptions.keys()], id })
    }
    if ((method !== "SUBSCRIBE" && method !== "UNSUBSCRIBE") || params === undefined || params.length === 0) {
      return this.send(connection, { code: 2, msg: `Invalid request: unknown variant ${String(method)}`, id })
    }
    if (method === "UNSUBSCRIBE") {
      for (const name of params) connection.subscriptions.delete(name)
      return this.send(connection, { result: null, id })
    }
    this.subscribe(connection, params, id)
  }

  private subscribe(connection: FakeConnection, params: ReadonlyArray<string>, id: unknown): void {
    const { ackDelay, denied, ignored } = this.server.script
    const symbolOf = (name: string) => (name.split("@")[0] ?? "").toUpperCase()
    const begin = params.filter((name) => !ignored.has(symbolOf(name)))
    if (begin.length === 0) return
    const settle = () => {
      if (params.some((name) => denied.has(symbolOf(name)))) {
        return this.send(connection, { code: 2, msg: "Invalid request: invalid stream", id })
      }
      const names = new Set([...connection.subscriptions.keys(), ...begin])
      if (names.size > maxStreams) {
        this.send(connection, { error: { code: 4, msg: "Too many subscriptions" }, id })
        return this.hangUp(connection, "Invalid request")
      }
      // Whatever it is called, it is acknowledged: what does not exist says nothing.
      this.send(connection, { result: null, id })
      if (params.length >= tooManyParams) return
      for (const name of begin) this.begin(connection, name)
    }
    if (ackDelay > 0) connection.after(ackDelay, settle)
    else settle()
  }

  private begin(connection: FakeConnection, name: string): void {
    const isKnown = connection.subscriptions.has(name)
    connection.subscriptions.set(name, this.server.clock.wall())
    const [, lower = "", levels, quick] = bookStream.exec(name) ?? []
    const symbol = lower.toUpperCase()
    if (isKnown || levels === undefined || lower !== lower.toLowerCase() || !this.has(symbol)) return
    this.tellBook(connection, name, {
      symbol,
      levels: levels === "" ? undefined : Number(levels),
      every: quick === undefined ? 1_000 : levels === "" ? this.options.changesEvery ?? 100 : 100,
      // What changes is told from the last turn on, which was before it was asked for.
      told: levels === "" ? this.lastUpdateId(symbol) - 3 : -1
    })
  }

  /** In each turn, if anything has changed. All streams have their turns at the same times, so that a picture is of the end of a change. */
  private tellBook(connection: FakeConnection, name: string, stream: BookStream): void {
    const left = stream.every - this.server.clock.steady() % stream.every
    // A turn that comes a fraction of a millisecond early is that turn: asked for again it would come early again, without end.
    connection.after(left < 1 ? left + stream.every : left, () => {
      if (!connection.subscriptions.has(name) || !this.has(stream.symbol)) return
      if (!this.server.isMuted(stream.symbol)) this.tellChanges(connection, name, stream)
      this.tellBook(connection, name, stream)
    })
  }

  private tellChanges(connection: FakeConnection, name: string, stream: BookStream): void {
    const market = this.marketOf(stream.symbol)
    const last = this.books.lastUpdateId(market)
    if (last === stream.told) return
    const changes = this.books.since(market, stream.told)
    stream.told = last
    if (stream.levels !== undefined) return this.tell(connection, name, this.books.picture(market, stream.levels))
    if (this.losing.has(stream.symbol) || this.halting.has(stream.symbol)) return
    const levels = this.omitting.has(stream.symbol) ? { b: [], a: [] } : {}
    this.tell(connection, name, { e: "depthUpdate", E: this.stamp(), s: stream.symbol, ...changes, ...levels })
  }

  protected publish({ amount, market, micros, price, side, time }: Filled): void {
    const { exchangeSymbol, symbol } = market
    const past = this.pastOf(exchangeSymbol)
    const id = (past.at(-1)?.row.id ?? 6_732_650_000 + 100_000 * this.past.size) + 1
    const isFine = this.options.micros === true
    const at = isFine ? time * 1_000 + micros : time
    const iso = new Date(time).toISOString()
    const expected = {
      exchange: this.id,
      symbol,
      exchangeSymbol,
      price: printed(price),
      amount: printed(amount),
      side,
      timestamp: isFine ? iso.replace("Z", `${String(micros).padStart(3, "0")}Z`) : iso
    }
    const issued = new Issued(expected, `binance:${symbol}:t:${id}`, false)
    const isBuyerMaker = side === "sell"
    const [p, q] = [padded(price, decimals), padded(amount, decimals)]
    const quoteQty = padded({ units: price.units * amount.units, scale: price.scale + amount.scale }, decimals)
    const row: Row = { id, price: p, qty: q, quoteQty, time: at, isBuyerMaker, isBestMatch: true }
    past.push({ row, issued })
    this.remember(exchangeSymbol, { row, issued })
    const topic = `${exchangeSymbol.toLowerCase()}@trade`
    this.push(exchangeSymbol, topic, [issued], () =>
      this.framed(topic, {
        e: "trade",
        E: this.stamp(),
        s: exchangeSymbol,
        t: id,
        p,
        q,
        T: at,
        m: isBuyerMaker,
        M: true
      }))
  }

  private pastOf(exchangeSymbol: string): Array<Past> {
    const found = this.past.get(exchangeSymbol) ?? []
    this.past.set(exchangeSymbol, found)
    return found
  }

  /** As the exchange's clock has it. */
  private stamp(): number {
    return this.server.clock.wall() * (this.options.micros === true ? 1_000 : 1)
  }

  private framed(stream: string, data: object): string {
    return JSON.stringify(this.options.raw === true ? data : { stream, data })
  }

  private tell(connection: FakeConnection, stream: string, data: object): void {
    connection.send(this.framed(stream, data))
  }

  private send(connection: FakeConnection, answer: object): void {
    connection.send(JSON.stringify(answer))
  }
}

const weightOf = (what: string, query: URLSearchParams): number => {
  if (what === "exchangeInfo") return 20
  if (what === "trades" || what === "historicalTrades") return 25
  if (what !== "depth") return 1
  const limit = Number(query.get("limit") ?? "100")
  return limit <= 100 ? 5 : limit <= 500 ? 25 : limit <= 1_000 ? 50 : 250
}

const good = (body: unknown): Answer => ({ status: 200, body: JSON.stringify(body) })

const failed = (status: number, code: number, msg: string): Exclude<Answer, "hang"> => ({
  status,
  body: JSON.stringify({ code, msg })
})

const listed = ({ base, exchangeSymbol, quote, tradable }: Market) => ({
  symbol: exchangeSymbol,
  status: base === "OLD" ? "BREAK" : base === "LEAVING" ? "CANCEL_ONLY" : "TRADING",
  baseAsset: base,
  baseAssetPrecision: decimals,
  quoteAsset: quote,
  quotePrecision: decimals,
  quoteAssetPrecision: decimals,
  orderTypes: ["LIMIT", "LIMIT_MAKER", "MARKET"],
  icebergAllowed: true,
  isSpotTradingAllowed: tradable || base === "币安人生",
  isMarginTradingAllowed: base === "MARGIN",
  filters: [{
    filterType: "PRICE_FILTER",
    minPrice: "0.01000000",
    maxPrice: "1000000.00000000",
    tickSize: "0.01000000"
  }],
  permissions: []
})

interface Command {
  readonly method?: unknown
  readonly params?: ReadonlyArray<string> | undefined
  readonly id?: unknown
}

/** Undefined: no JSON. */
const commandOf = (text: string): Command | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== "object" || value === null) return {}
    const { id, method, params }: Partial<Command> = value
    return { id, method, params: Array.isArray(params) ? params.map(String) : undefined }
  } catch {
    return undefined
  }
}

const isId = (id: unknown): boolean =>
  id === null || (typeof id === "string" && id.length <= 36) ||
  (typeof id === "number" && Number.isInteger(id) && id >= 0)

/**
 * The fake Binance of a test.
 *
 * @since 0.1.0
 * @category tags
 */
export class FakeBinance
  extends Context.Tag("effect-exchange-feeds/layers/testing/FakeBinance")<FakeBinance, FakeBinanceExchange>()
{}

const born = (options?: Options) => (place: Place) => new FakeBinanceExchange(options, place)

/**
 * Listening on loopback when it succeeds, closed with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: Options): Effect.Effect<FakeBinanceExchange, never, Scope.Scope> =>
  Loopback.make(born(options))

/**
 * Gives a fake Binance that listens on loopback. Needs nothing.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<FakeBinance> => Layer.scoped(FakeBinance, make(options))

/**
 * Without sockets, on Effect's clock: what a feed needs to reach it comes with it.
 *
 * @since 0.1.0
 * @category layers
 */
export const memory = (options?: Options): Layer.Layer<FakeBinance | Memory.Reachable> =>
  Memory.layer(FakeBinance, born(options))
