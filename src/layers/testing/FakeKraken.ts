/**
 * Kraken's spot market as its documents and captures have it (docs/design/exchanges/kraken.md): bare numbers with their zeros, one answer for
 * each market of a subscription, refusals that do not name the market, a heartbeat, times of which REST prints what a double makes of
 * them, errors with status 200, a history in pages from a time on. Books are pictures and changes with a checksum of the best ten levels; of a
 * level that falls out of the depth that was asked nothing is said.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { crc32 } from "node:zlib"
import type { Place } from "./Carrier.ts"
import { type Book, changed, FakeBooks, type Standing, type Standings } from "./FakeBooks.ts"
import type { FakeConnection } from "./FakeConnection.ts"
import { amountScale, FakeExchange, type Filled } from "./FakeExchange.ts"
import { bases, type Market } from "./FakeMarkets.ts"
import type { Which } from "./FakeServer.ts"
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
  /** Questions that it answers in any 60 s; one more is refused. Without a limit by default: the exchange's own is not known. */
  readonly perMinute?: number
  /** Questions that it answers in any second, likewise. */
  readonly restPerSecond?: number
  /** Frames that it takes in any second of a connection; 5 by default, as the exchange's own number is not known. */
  readonly perSecond?: number
  /** Milliseconds between heartbeats, 1 000 by default. */
  readonly heartbeat?: number
  /** A client that subscribed to nothing and says nothing for so long is hung up on, ms; 60 000 by default. */
  readonly patience?: number
  /** A refusal names no market. */
  readonly nameless?: boolean
  /** Rows of a market that a subscription begins with, 50 by default. */
  readonly snapshot?: number
  /** Also in the list of markets: a dark pool, which has no `wsname`, and a tokenised stock with a small letter. */
  readonly oddities?: boolean
}

/** A book, as one connection was told of it. */
interface Told {
  readonly depth: number
  shown: Standings
}

const depths = [10, 25, 100, 500, 1_000]

/** Levels a side that a checksum is of. */
const provenLevels = 10

interface Done {
  /** Epoch nanoseconds. */
  readonly at: bigint
  /** As the socket has it, and as REST has it. */
  readonly push: string
  readonly row: string
  readonly issued: Issued
}

/** Rows of a page, at most. */
const pageSize = 1_000

const minute = 60_000

const firstId = 109_116_693

const old: Readonly<Record<string, string>> = { BTC: "XBT", DOGE: "XDG" }

/** What the socket before called it. */
const wsname = ({ base, quote }: Pick<Market, "base" | "quote">): string =>
  `${old[base] ?? base}/${old[quote] ?? quote}`

/** The same for each trade of one moment, as those that fill one order have it. */
const nanosOf = (time: number, micros: number): bigint =>
  BigInt(time) * 1_000_000n + BigInt(micros * 1_000 + (time * 7 + micros * 131) % 1_000)

/** What a double makes of epoch seconds. */
const secondsOf = (nanos: bigint): string => String(Number(printed({ units: nanos, scale: 9 })))

const second = (ms: number): string => new Date(ms).toISOString().slice(0, 20)

/** Of epoch seconds: with 3, 6 or 9 decimals. */
const isoOf = (seconds: string): string => {
  const [whole = "", fraction = ""] = seconds.split(".")
  const { length } = fraction
  return `${second(Number(whole) * 1000)}${fraction.padEnd(length <= 3 ? 3 : length <= 6 ? 6 : 9, "0")}Z`
}

const refusal = (error: string): string => JSON.stringify({ error: [error] })

/**
 * Kraken as it speaks: its REST answers, and its WebSocket v2.
 *
 * @since 0.1.0
 * @category models
 */
export class FakeKrakenExchange extends FakeExchange<string> {
  readonly id = "kraken"
  protected readonly wsPath = "/v2"
  /** Questions and frames that were refused since there were too many. */
  refusals = 0
  /** Clients that said nothing. */
  hungUp = 0
  /** Pings of its own kind. */
  pings = 0
  private readonly options: Options
  private readonly done = new Map<string, Array<Done>>()
  private readonly patient = new Map<FakeConnection, () => void>()
  private readonly heard = new Map<FakeConnection, Array<number>>()
  private readonly books = new FakeBooks(this.random, 1_000)
  private readonly told = new Map<FakeConnection, Map<string, Told>>()
  /** Of these markets the next so many checksums are wrong. */
  private readonly wrong = new Map<string, number>()
  private bookTurn = 0

  constructor(options: Options = {}, place?: Place) {
    super(options.seed ?? 6, place)
    this.options = options
    bases(options.markets ?? 6).forEach((base, i) => {
      const quote = i === 0 ? "USD" : ["USD", "EUR", "BTC"][i % 3] ?? "USD"
      const scale = quote === "BTC" ? 7 : 1
      const price = padded({ units: 837_443n * 10n ** BigInt(scale) / BigInt(i * i * 7 + 1), scale: scale + 1 }, scale)
      this.addMarket({ base, quote, price })
    })
    this.addMarket({ base: "OLD", quote: "EUR", tradable: false, price: "0.00001" })
    this.addMarket({ base: "NEW", quote: "USD", tradable: false, price: "1.5" })
  }

  protected symbolsOf(base: string, quote: string) {
    return { exchangeSymbol: `${base}/${quote}`, symbol: `${base}/${quote}` }
  }

  protected tradesOf(channel: string): string {
    return channel
  }

  // -------------------------------------------------------------------------------------------------------------------
  // the socket

  protected override open(connection: FakeConnection): void {
    // A number that no double holds.
    const data = `[{"version":"2.0.10","system":"online","api_version":"v2","connection_id":18125794168470749634}]`
    this.say(connection, `{"channel":"status","type":"update","data":${data}}`)
    this.listen(connection)
    connection.every(this.options.heartbeat ?? 1_000, () => {
      if (connection.subscriptions.size > 0) this.say(connection, `{"channel":"heartbeat"}`)
    })
  }

  /** It is about to be maintained, and says so to everybody. */
  maintenance(which: Which = () => true): void {
    const data = `[{"version":"2.0.10","system":"maintenance","api_version":"v2","connection_id":3364750901719990046}]`
    for (const connection of this.server.connections) {
      if (which(connection)) this.say(connection, `{"channel":"status","type":"update","data":${data}}`)
    }
  }

  protected override close(connection: FakeConnection): void {
    this.patient.get(connection)?.()
    this.patient.delete(connection)
    this.heard.delete(connection)
    this.told.delete(connection)
  }

  private say(connection: FakeConnection, text: string, issued: ReadonlyArray<Issued> = []): void {
    if (!this.server.script.silent) connection.send(text, issued)
  }

  /** From now on its patience runs anew. */
  private listen(connection: FakeConnection): void {
    this.patient.get(connection)?.()
    const hangUp = connection.after(this.options.patience ?? 60_000, () => {
      if (connection.subscriptions.size > 0) return
      this.hungUp += 1
      connection.end(1006)
    })
    this.patient.set(connection, hangUp)
  }

  private isTooFast(connection: FakeConnection): boolean {
    const now = this.server.clock.steady()
    const times = (this.heard.get(connection) ?? []).filter((at) => at > now - 1_000)
    this.heard.set(connection, [...times, now])
    return times.length >= (this.options.perSecond ?? 5)
  }

  protected frame(connection: FakeConnection, text: string): void {
    this.listen(connection)
    if (this.isTooFast(connection)) {
      this.refusals += 1
      return this.say(connection, `{"error":"Exceeded msg rate"}`)
    }
    const { method, params, req_id: id } = command(text)
    const times = () => {
      const now = this.server.clock.wall()
      return { time_in: `${second(now)}000001Z`, time_out: `${second(now)}000042Z` }
    }
    const answer = (fields: object) =>
      this.say(connection, JSON.stringify({ ...fields, method, ...times(), ...id === undefined ? {} : { req_id: id } }))
    if (method === "ping") {
      this.pings += 1
      return this.say(connection, JSON.stringify({ method: "pong", ...times() }))
    }
    if (method !== "subscribe" && method !== "unsubscribe") {
      return answer({ error: "Unsupported method", success: false })
    }
    const { channel, depth = 10, snapshot = true } = params
    const isBook = channel === "book"
    if (channel !== "trade" && !isBook) return answer({ error: "Unsupported channel", success: false })
    if (isBook && !depths.includes(depth)) return answer({ error: "Subscription depth not supported", success: false })
    const topicOf = (symbol: string) => isBook ? `book@${depth}:${symbol}` : symbol
    const of = (symbol: string) => isBook ? { channel, depth, snapshot, symbol } : { channel, snapshot, symbol }
    const refuse = (symbol: string) =>
      answer({
        error: `Currency pair not supported ${symbol}`,
        success: false,
        ...this.options.nameless === true ? {} : { symbol }
      })
    const [first] = params.symbol
    // Whoever is not told which market it was cannot know of the others.
    if (this.options.nameless === true) {
      const denied = params.symbol.find((symbol) => !this.has(symbol) || this.server.script.denied.has(symbol))
      if (denied !== undefined) return refuse(denied)
    }
    if (first === undefined) return answer({ error: "Symbol(s) not found", success: false })
    for (const symbol of params.symbol) {
      if (!this.has(symbol)) refuse(symbol)
      else if (method === "unsubscribe") {
        // Of another depth nothing is left.
        if (!connection.subscriptions.delete(topicOf(symbol))) {
          answer({ error: "Subscription Not Found", success: false, symbol })
          continue
        }
        if (isBook) this.told.get(connection)?.delete(symbol)
        answer({ result: isBook ? { channel, depth, symbol } : { channel, symbol }, success: true })
      } else {
        this.server.decide(connection, symbol, (granted) => {
          if (!granted) return refuse(symbol)
          connection.subscriptions.set(topicOf(symbol), this.server.clock.wall())
          answer({ result: of(symbol), success: true })
          if (isBook) this.tellBook(connection, symbol, depth)
          else if (snapshot) this.snapshot(connection, symbol)
        })
      }
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // books

  /** The true book of a market, by the best so many levels a side. */
  book(exchangeSymbol: string, levels = 1_000): Book {
    return this.books.book(this.marketOf(exchangeSymbol), levels)
  }

  /** So many changes, over the books of all tradable markets in turn: each is told at once. */
  bookChanges(count: number): void {
    const { tradable } = this
    for (let n = 0; n < count; n++) {
      const market = tradable[this.bookTurn++ % tradable.length]
      if (market !== undefined) this.changeBook(market.exchangeSymbol)
    }
  }

  changeBook(exchangeSymbol: string): void {
    this.books.change(this.marketOf(exchangeSymbol))
    for (const [connection, all] of this.told) {
      const told = all.get(exchangeSymbol)
      if (told !== undefined) this.tellChanges(connection, exchangeSymbol, told)
    }
  }

  /** The next so many checksums of a market are not those of its book. */
  spoil(exchangeSymbol: string, count: number): void {
    this.wrong.set(exchangeSymbol, count)
  }

  private tellBook(connection: FakeConnection, symbol: string, depth: number): void {
    const told: Told = { depth, shown: this.books.shown(this.marketOf(symbol), depth) }
    const all = this.told.get(connection) ?? new Map<string, Told>()
    this.told.set(connection, all)
    all.set(symbol, told)
    this.sayBook(connection, symbol, "snapshot", told.shown, told.shown)
  }

  private tellChanges(connection: FakeConnection, symbol: string, told: Told): void {
    const market = this.marketOf(symbol)
    const [before, all] = [told.shown, this.books.shown(market)]
    told.shown = this.books.shown(market, told.depth)
    const { asks, bids } = changed(before, told.shown)
    const said = (name: keyof Standings, side: ReadonlyArray<Standing>) => {
      const there = new Set(all[name].map(({ price }) => price.units))
      // It fell out, and is there all the same.
      return side.filter(({ amount, price }) => amount.units > 0n || !there.has(price.units))
    }
    const changes = { bids: said("bids", bids), asks: said("asks", asks) }
    if (changes.bids.length + changes.asks.length > 0) this.sayBook(connection, symbol, "update", changes, told.shown)
  }

  private sayBook(
    connection: FakeConnection,
    symbol: string,
    type: "snapshot" | "update",
    { asks, bids }: Standings,
    whole: Standings
  ): void {
    if (this.server.isMuted(symbol)) return
    const market = this.marketOf(symbol)
    const rows = (side: ReadonlyArray<Standing>) => {
      const texts = side.map((level) => {
        const { price, qty } = printedLevel(market, level)
        return `{"price":${price},"qty":${qty}}`
      })
      const [first] = texts
      // One price may come twice in a change: the later one stands.
      const twice = type === "update" && first !== undefined && this.random() < 0.2
      return `[${(twice ? [first.replace(/"qty":.*/, `"qty":7.00000000}`), ...texts] : texts).join(",")}]`
    }
    const wrong = this.wrong.get(symbol) ?? 0
    if (wrong > 0 && type === "update") this.wrong.set(symbol, wrong - 1)
    const checksum = checksumOf(market, whole) ^ (wrong > 0 && type === "update" ? 1 : 0)
    const timestamp = `${second(this.server.clock.wall())}343688Z`
    this.say(
      connection,
      `{"channel":"book","type":"${type}","data":[{"symbol":"${symbol}","bids":${rows(bids)},"asks":${rows(asks)},` +
        `"checksum":${checksum >>> 0},"timestamp":"${timestamp}"}]}`
    )
  }

  private snapshot(connection: FakeConnection, symbol: string): void {
    if (this.server.isMuted(symbol)) return
    const all = this.done.get(symbol) ?? []
    const last = all.slice(Math.max(0, all.length - (this.options.snapshot ?? 50)))
    if (last.length === 0) return
    this.say(connection, frame("snapshot", last), last.map(({ issued }) => issued))
  }

  protected publish(filled: Filled): void {
    const done = this.filled(filled)
    const { exchangeSymbol } = filled.market
    this.push(exchangeSymbol, exchangeSymbol, [done.issued], () => frame("update", [done]))
  }

  /** One order that fills several: they share their time, and one frame. */
  sweep(exchangeSymbol: string, count: number): void {
    const market = this.marketOf(exchangeSymbol)
    const { micros, side, time } = this.randomTrade(market)
    const all = Array.from({ length: count }, () => this.filled({ ...this.randomTrade(market), side, time, micros }))
    // The last one first: nobody says that rows of a frame are in order.
    this.push(exchangeSymbol, exchangeSymbol, all.map(({ issued }) => issued), () => frame("update", all.toReversed()))
  }

  private filled({ amount, market, micros, price, side, time }: Filled): Done {
    const { exchangeSymbol, scale, symbol } = market
    const all = this.done.get(exchangeSymbol) ?? []
    this.done.set(exchangeSymbol, all)
    const id = firstId + all.length
    const at = nanosOf(time, micros)
    const timestamp = `${new Date(time).toISOString().slice(0, -1)}${String(micros).padStart(3, "0")}Z`
    const seconds = secondsOf(at)
    const [digits, qty] = [padded(price, Math.max(scale, price.scale)), padded(amount, amountScale)]
    const issued = new Issued(
      {
        exchange: this.id,
        symbol,
        exchangeSymbol,
        price: printed(price),
        amount: printed(amount),
        side,
        timestamp,
        restTimestamp: isoOf(seconds)
      },
      `kraken:${symbol}:t:${id}`,
      false
    )
    const done = {
      at,
      push: `{"symbol":"${exchangeSymbol}","side":"${side}","price":${digits},"qty":${qty},"ord_type":"limit",` +
        `"trade_id":${id},"timestamp":"${timestamp}"}`,
      row: `["${digits}0000","${qty}",${seconds},"${side === "buy" ? "b" : "s"}","l","",${id}]`,
      issued
    }
    all.push(done)
    this.remember(exchangeSymbol, { row: done.row, issued })
    return done
  }

  // -------------------------------------------------------------------------------------------------------------------
  // REST

  protected request({ pathname, searchParams }: URL): string | Answer | undefined {
    const now = this.server.clock.wall()
    const { perMinute = Infinity, restPerSecond = Infinity } = this.options
    const lately = this.server.restCalls.filter(({ at }) => at > now - 1_000).length
    if (lately > restPerSecond || this.mostInAMinute > perMinute) {
      this.refusals += 1
      return refusal("EAPI:Rate limit exceeded")
    }
    switch (pathname) {
      case "/0/public/SystemStatus":
        return JSON.stringify({
          error: [],
          result: { status: "online", timestamp: `${second(now)}000Z`.replace(".000", "") }
        })
      case "/0/public/AssetPairs":
        return JSON.stringify({ error: [], result: Object.fromEntries(this.pairs()) })
      case "/0/public/Trades":
        return this.page(searchParams)
      default:
        return refusal("EGeneral:Unknown method")
    }
  }

  /** The most questions that came in any 60 s. */
  get mostInAMinute(): number {
    const times = this.server.restCalls.map(({ at }) => at)
    let [most, from] = [0, 0]
    times.forEach((at, i) => {
      while ((times[from] ?? at) <= at - minute) from += 1
      most = Math.max(most, i - from + 1)
    })
    return most
  }

  private page(params: URLSearchParams): string {
    const symbol = params.get("pair") ?? ""
    if (!this.has(symbol)) return refusal("EQuery:Unknown asset pair")
    const count = Math.min(pageSize, Number(params.get("count") ?? pageSize))
    const since = params.get("since")
    const all = this.done.get(symbol) ?? []
    const { history = Infinity } = this.server.script
    const rows = since === null
      ? all.slice(Math.max(0, all.length - Math.min(count, history)))
      // Strictly later; what is of exactly that time is left out.
      : all.slice(all.findLastIndex(({ at }) => at <= BigInt(since)) + 1).slice(0, count)
    for (const { issued } of rows) issued.served = true
    const last = rows.at(-1)?.at ?? BigInt(since ?? 0)
    return `{"error":[],"result":{"${symbol}":[${rows.map(({ row }) => row).join(",")}],"last":"${last}"}}`
  }

  private pairs(): ReadonlyArray<readonly [string, object]> {
    const pairs = this.markets.map((market, i) => {
      const name = wsname(market)
      const [base = "", quote = ""] = name.split("/")
      const status = market.tradable ? "online" : i % 2 === 0 ? "cancel_only" : "post_only"
      return [`X${base}Z${quote}`, pair(base + quote, { wsname: name, status, pair_decimals: market.scale })] as const
    })
    return this.options.oddities === true
      ? [
        ["XBTUSD.d", pair("XBTUSD.d", { status: "online" })],
        ...pairs,
        ["AAPLxUSD", pair("AAPLxUSD", { wsname: "AAPLx/USD", status: "online" })]
      ]
      : pairs
  }
}

const pair = (altname: string, fields: object): object => ({
  altname,
  aclass_base: "currency",
  base: `X${altname.slice(0, -3)}`,
  quote: `Z${altname.slice(-3)}`,
  lot_decimals: 8,
  ...fields
})

/** With the digits of the market. */
const printedLevel = ({ scale }: Market, { amount, price }: Standing) => ({
  price: padded(price, scale),
  qty: padded(amount, amountScale)
})

/** Of the ten best asks, then of the ten best bids: their digits without points and leading zeros. */
const checksumOf = (market: Market, { asks, bids }: Standings): number => {
  const digits = (text: string) => text.replace(".", "").replace(/^0+/, "")
  const texts = [asks, bids].flatMap((side) =>
    side.slice(0, provenLevels).map((level) => {
      const { price, qty } = printedLevel(market, level)
      return digits(price) + digits(qty)
    })
  )
  return crc32(texts.join(""))
}

const frame = (type: string, all: ReadonlyArray<Done>): string =>
  `{"channel":"trade","type":"${type}","data":[${all.map(({ push }) => push).join(",")}]}`

interface Command {
  readonly method: string
  readonly params: {
    readonly channel?: string
    readonly symbol: ReadonlyArray<string>
    readonly depth?: number
    readonly snapshot?: boolean
  }
  readonly req_id?: number
}

const command = (text: string): Command => {
  try {
    const { method = "", params, ...others }: Partial<Command> = JSON.parse(text)
    return { ...others, method, params: { ...params, symbol: params?.symbol ?? [] } }
  } catch {
    return { method: "", params: { symbol: [] } }
  }
}

/**
 * The fake Kraken of a test.
 *
 * @since 0.1.0
 * @category tags
 */
export class FakeKraken
  extends Context.Tag("effect-exchange-feeds/layers/testing/FakeKraken")<FakeKraken, FakeKrakenExchange>()
{}

const born = (options?: Options) => (place: Place) => new FakeKrakenExchange(options, place)

/**
 * Listening on loopback when it succeeds, closed with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: Options): Effect.Effect<FakeKrakenExchange, never, Scope.Scope> =>
  Loopback.make(born(options))

/**
 * Gives a fake Kraken that listens on loopback. Needs nothing.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<FakeKraken> => Layer.scoped(FakeKraken, make(options))

/**
 * Without sockets, on Effect's clock: what a feed needs to reach it comes with it.
 *
 * @since 0.1.0
 * @category layers
 */
export const memory = (options?: Options): Layer.Layer<FakeKraken | Memory.Reachable> =>
  Memory.layer(FakeKraken, born(options))
