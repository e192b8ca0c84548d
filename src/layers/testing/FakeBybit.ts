/**
 * Bybit's spot market as its documents and captures have it (docs/design/exchanges/bybit.md): ids that jump, the last 60 trades by REST and no
 * others, frames of at most ten topics of which a bad one refuses the rest, answers that name a command and no topic, a client that has to
 * ping, codes in bodies of status 200, and a 403 for ten minutes where too much was asked. Books are pictures
 * and changes that are counted by one, topic by topic, for all clients alike; the server keeps them to so many levels.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Place } from "./Carrier.ts"
import { type Book, changed, FakeBooks, type Standing, type Standings } from "./FakeBooks.ts"
import type { FakeConnection } from "./FakeConnection.ts"
import { FakeExchange, type Filled } from "./FakeExchange.ts"
import { bases, type Market } from "./FakeMarkets.ts"
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
  /** Tradable ones to begin with, 6 by default; one more is listed and not traded. */
  readonly markets?: number
  readonly seed?: number
  /** Questions that it answers in any five seconds, 600 by default; whoever asks more is refused for ten minutes. */
  readonly questions?: number
  /** Questions about one thing that it answers in any second; no limit by default. */
  readonly perSecond?: number
  /** A client that sends no `ping` for so long is hung up on, ms; 600 000 by default. */
  readonly patience?: number
  /** Answers do not name the command, as those to a command without an id do not. */
  readonly nameless?: boolean
  /** Pictures are in no order, and changes take away levels that were not there. */
  readonly oddities?: boolean
}

/**
 * What REST answers whoever asks too much.
 *
 * @since 0.1.0
 * @category constants
 */
export const tooFrequent: Answer = {
  status: 403,
  headers: { "content-type": "application/json" },
  body: "{\"retCode\":10018,\"retMsg\":\"403, access too frequent\",\"result\":{},\"retExtInfo\":{}}"
}

/**
 * What REST and a dial are answered with from a region that it does not serve: a page of CloudFront's.
 *
 * @since 0.1.0
 * @category constants
 */
export const blocked: Answer = {
  status: 403,
  headers: { "content-type": "text/html", server: "CloudFront" },
  body: "<HTML><HEAD><TITLE>ERROR: The request could not be satisfied</TITLE></HEAD><BODY><H1>403 ERROR</H1>" +
    "The Amazon CloudFront distribution is configured to block access from your country.</BODY></HTML>"
}

interface Past {
  readonly row: object
  readonly push: object
  readonly issued: Issued
}

/** What a topic of a book has told, which is the same for all that hear it. */
interface BookStream {
  readonly topic: string
  readonly symbol: string
  readonly levels: number
  shown: Standings
  u: number
}

const bookTopic = /^orderbook\.(1|50|200|1000)\.(.+)$/

const tradePrefix = "publicTrade."

/** Topics of a command, characters of all topics of a connection, trades of a frame. */
const [maxArgs, maxChars, maxRows] = [10, 21_000, 1_024]

/** Trades of a market that REST has. */
const kept = 60

const window = 5_000
const ban = 600_000

const firstId = 2_290_000_001_211_680_903n
const firstSeq = 114_263_055_846

/**
 * Bybit as it speaks: its REST answers, and its WebSocket for the spot market.
 *
 * @since 0.1.0
 * @category models
 */
export class FakeBybitExchange extends FakeExchange<object> {
  readonly id = "bybit"
  protected readonly wsPath = "/v5/public/spot"
  /** Questions that were refused since there were too many. */
  refusals = 0
  /** Commands that were refused, by the words. */
  refusedFor: ReadonlyArray<string> = []
  /** Clients that sent no ping. */
  hungUp = 0
  pings = 0
  private readonly options: Options
  private readonly next = new Map<string, bigint>()
  private readonly patient = new Map<FakeConnection, () => void>()
  private gathered: Array<Past> | undefined
  private seq = firstSeq
  private bannedUntil = 0
  /** Beyond 50 levels a side: what a change takes out of sight, another brings back. */
  private readonly books = new FakeBooks(this.random, 1_000, 120)
  private readonly streams = new Map<string, BookStream>()
  private bookTurn = 0
  private pictures = 0

  constructor(options: Options = {}, place?: Place) {
    super(options.seed ?? 8, place)
    this.options = options
    bases(options.markets ?? 6).forEach((base, i) => {
      const quote = ["USDT", "USDC", "EUR"][i === 0 ? 0 : i % 3] ?? "USDT"
      const scale = i % 2 === 0 ? 1 : 4
      const price = padded({ units: 804_133n / BigInt(i * i + 1) + 100n, scale }, scale)
      this.addMarket({ base, quote: base === quote ? "BTC" : quote, price })
    })
    this.addMarket({ base: "SOON", quote: "USDT", tradable: false, price: "1" })
  }

  protected symbolsOf(base: string, quote: string) {
    return { exchangeSymbol: `${base}${quote}`, symbol: `${base}/${quote}` }
  }

  protected tradesOf(topic: string): string | undefined {
    return topic.startsWith(tradePrefix) ? topic.slice(tradePrefix.length) : undefined
  }

  // -------------------------------------------------------------------------------------------------------------------
  // the socket

  protected override open(connection: FakeConnection): void {
    this.listen(connection)
  }

  protected override close(connection: FakeConnection): void {
    this.patient.get(connection)?.()
    this.patient.delete(connection)
  }

  /** From now on its patience runs anew. Stricter than the documents: data that flows does not make up for a ping. */
  private listen(connection: FakeConnection): void {
    this.patient.get(connection)?.()
    const hangUp = connection.after(this.options.patience ?? 600_000, () => {
      this.hungUp += 1
      connection.end(1006)
    })
    this.patient.set(connection, hangUp)
  }

  protected frame(connection: FakeConnection, text: string): void {
    const { args, op, req_id } = commandOf(text)
    const say = (success: boolean, ret_msg: string, said = op): void => {
      const named = req_id === undefined || this.options.nameless === true ? {} : { req_id }
      connection.send(JSON.stringify({ success, ret_msg, conn_id: "d9avrao7pl3bpiuoku0g-7tmms", ...named, op: said }))
    }
    switch (op) {
      case "ping":
        this.pings += 1
        this.listen(connection)
        // In the documents it is `ping`, in a capture `pong`.
        return say(true, "pong", this.pings % 2 === 0 ? "pong" : "ping")
      case "unsubscribe":
        for (const topic of args) connection.subscriptions.delete(topic)
        return say(true, "")
      case "subscribe":
        return this.subscribe(connection, args, say)
      case undefined:
        return say(false, "Failed to decode incoming data")
      default:
        return say(false, "error:invalid op")
    }
  }

  private subscribe(
    connection: FakeConnection,
    args: ReadonlyArray<string>,
    say: (success: boolean, words: string) => void
  ): void {
    const { ackDelay, denied, ignored } = this.server.script
    const refuse = (words: string) => {
      this.refusedFor = [...this.refusedFor, words]
      say(false, words)
    }
    if (args.length > maxArgs) {
      this.refusedFor = [...this.refusedFor, "args size >10"]
      // As captured: it names not even the command.
      return void connection.send("{\"success\":false,\"ret_msg\":\"args size >10\",\"op\":\"subscribe\"}")
    }
    const begin = args.filter((topic) => !ignored.has(symbolOf(topic)))
    if (begin.length === 0) return
    const settle = () => {
      // Whichever is the first that it does not like refuses all.
      for (const topic of args) {
        if (!this.isTopic(topic) || denied.has(symbolOf(topic))) return refuse(`error:handler not found,topic:${topic}`)
        if (connection.subscriptions.has(topic)) return refuse(`error:already subscribed,topic:${topic}`)
      }
      if ([...connection.subscriptions.keys(), ...args].join("").length > maxChars) return refuse("error:args too long")
      for (const topic of begin) connection.subscriptions.set(topic, this.server.clock.wall())
      // A picture comes before the answer as often as behind it.
      const isFirst = this.pictures++ % 2 === 0
      if (!isFirst) say(true, "subscribe")
      for (const topic of begin) this.picture(connection, topic)
      if (isFirst) say(true, "subscribe")
    }
    if (ackDelay > 0) connection.after(ackDelay, settle)
    else settle()
  }

  private isTopic(topic: string): boolean {
    const symbol = this.tradesOf(topic) ?? bookTopic.exec(topic)?.[2]
    return symbol !== undefined && this.has(symbol)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // books

  /** The true book of a market, by the best so many levels a side. */
  book(exchangeSymbol: string, levels = 1_000): Book {
    return this.books.book(this.marketOf(exchangeSymbol), levels)
  }

  /** So many changes, over the books of all tradable markets in turn; those of one market are told together. */
  bookChanges(count: number): void {
    const { tradable } = this
    const markets = new Set<Market>()
    for (let n = 0; n < count; n++) {
      const market = tradable[this.bookTurn++ % tradable.length]
      if (market === undefined) continue
      this.change(market)
      markets.add(market)
    }
    for (const { exchangeSymbol } of markets) this.tellChanges(exchangeSymbol)
  }

  /** One change of a market's book. */
  changeBook(exchangeSymbol: string): void {
    this.change(this.marketOf(exchangeSymbol))
    this.tellChanges(exchangeSymbol)
  }

  /** Changes of a market's book are lost on the way to everybody: what is told next does not follow. */
  loseChanges(exchangeSymbol: string): void {
    const market = this.marketOf(exchangeSymbol)
    for (const stream of this.streamsOf(exchangeSymbol)) {
      const before = stream.u
      while (stream.u === before) {
        this.change(market)
        this.advance(stream)
      }
    }
  }

  /** The service was restarted: a picture, and numbers from 1 on. `type`: what the frame calls itself. */
  restart(exchangeSymbol: string, type: "snapshot" | "delta" = "snapshot"): void {
    for (const stream of this.streamsOf(exchangeSymbol)) {
      this.advance(stream)
      stream.u = 1
      this.tell(stream, type, stream.shown)
    }
  }

  /** A picture that nobody asked for. */
  resend(exchangeSymbol: string): void {
    for (const stream of this.streamsOf(exchangeSymbol)) {
      this.advance(stream)
      stream.u += 1
      this.tell(stream, "snapshot", stream.shown)
    }
  }

  /** The best levels, said again with the same number: of `orderbook.1`, where nothing has changed for three seconds. */
  repeat(exchangeSymbol: string): void {
    for (const stream of this.streamsOf(exchangeSymbol)) {
      if (stream.levels === 1) this.tell(stream, "snapshot", stream.shown)
    }
  }

  /** The engine's number is of all that it does, seen by a topic or not. */
  private change(market: Market): void {
    this.books.change(market)
    this.seq += 1 + Math.floor(this.random() * 8)
  }

  private streamsOf(exchangeSymbol: string): ReadonlyArray<BookStream> {
    return [...this.streams.values()].filter(({ symbol }) => symbol === exchangeSymbol)
  }

  private streamOf(topic: string): BookStream | undefined {
    const [, levels = "", symbol = ""] = bookTopic.exec(topic) ?? []
    if (symbol === "") return undefined
    let stream = this.streams.get(topic)
    if (stream === undefined) {
      const shown = this.books.shown(this.marketOf(symbol), Number(levels))
      stream = { topic, symbol, levels: Number(levels), shown, u: 217_107_084 + 1_000 * this.streams.size }
      this.streams.set(topic, stream)
    }
    return stream
  }

  /** It is a part of the answer: a market that is mute has one. */
  private picture(connection: FakeConnection, topic: string): void {
    const stream = this.streamOf(topic)
    if (stream !== undefined) connection.send(this.bookFrame(stream, "snapshot", stream.shown))
  }

  private tellChanges(exchangeSymbol: string): void {
    for (const stream of this.streamsOf(exchangeSymbol)) {
      const changes = this.advance(stream)
      if (changes === undefined) continue
      if (stream.levels === 1) this.tell(stream, "snapshot", stream.shown)
      else this.tell(stream, "delta", changes)
    }
  }

  /** To where the book is now; undefined: nothing of what it shows has changed, and nothing is counted. */
  private advance(stream: BookStream): Standings | undefined {
    const before = stream.shown
    stream.shown = this.books.shown(this.marketOf(stream.symbol), stream.levels)
    const changes = changed(before, stream.shown)
    if (changes.bids.length + changes.asks.length === 0) return undefined
    stream.u += 1
    return changes
  }

  private tell(stream: BookStream, type: "snapshot" | "delta", sides: Standings): void {
    this.push(stream.symbol, stream.topic, [], () => this.bookFrame(stream, type, sides))
  }

  private bookFrame({ symbol: s, topic, u }: BookStream, type: "snapshot" | "delta", sides: Standings): string {
    const ts = this.server.clock.wall()
    const row = ({ amount, price }: Standing) => [printed(price), printed(amount)]
    const { oddities = false } = this.options
    const side = (standings: ReadonlyArray<Standing>, odd: string) => {
      const rows = standings.map(row)
      if (!oddities) return rows
      return type === "snapshot" ? rows.toSorted(() => this.random() - 0.5) : [...rows, [odd, "0"]]
    }
    const [b, a] = [side(sides.bids, "0.00001"), side(sides.asks, "99999999")]
    return JSON.stringify({ topic, ts, type, data: { s, b, a, u, seq: this.seq }, cts: ts - 2 })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // trades

  /** So many trades of one order, in as few frames as take them. */
  sweep(exchangeSymbol: string, count: number): void {
    const gathered: Array<Past> = []
    this.gathered = gathered
    for (let n = 0; n < count; n++) this.trade(exchangeSymbol)
    this.gathered = undefined
    for (let at = 0; at < count; at += maxRows) this.pushTrades(exchangeSymbol, gathered.slice(at, at + maxRows))
  }

  protected publish({ amount, market, price, side, time }: Filled): void {
    const { exchangeSymbol, symbol } = market
    const id = this.next.get(exchangeSymbol) ?? firstId
    // Most follow one another; some leave out a few, and nobody says what those were.
    this.next.set(exchangeSymbol, id + (this.random() < 0.6 ? 1n : 2n + BigInt(Math.floor(this.random() * 20))))
    if (this.gathered === undefined) this.seq += 1 + Math.floor(this.random() * 5)
    const [p, v, S] = [printed(price), printed(amount), side === "buy" ? "Buy" : "Sell"]
    const [BT, RPI] = [id % 50n === 0n, id % 7n === 0n]
    const issued = new Issued(
      { exchange: this.id, symbol, exchangeSymbol, price: p, amount: v, side, timestamp: new Date(time).toISOString() },
      `bybit:${symbol}:t:${id}`,
      false
    )
    const row = {
      execId: String(id),
      symbol: exchangeSymbol,
      price: p,
      size: v,
      side: S,
      time: String(time),
      isBlockTrade: BT,
      isRPITrade: RPI,
      seq: String(this.seq)
    }
    const push = { i: String(id), T: time, p, v, S, seq: this.seq, s: exchangeSymbol, BT, RPI }
    this.remember(exchangeSymbol, { row, issued })
    const one: Past = { row, push, issued }
    if (this.gathered === undefined) this.pushTrades(exchangeSymbol, [one])
    else this.gathered.push(one)
  }

  private pushTrades(exchangeSymbol: string, trades: ReadonlyArray<Past>): void {
    const topic = tradePrefix + exchangeSymbol
    this.push(exchangeSymbol, topic, trades.map(({ issued }) => issued), () =>
      JSON.stringify({
        topic,
        ts: this.server.clock.wall(),
        type: "snapshot",
        data: trades.map(({ push }) => push)
      }))
  }

  // -------------------------------------------------------------------------------------------------------------------
  // REST

  protected request({ pathname, searchParams }: URL): string | Answer | undefined {
    const now = this.server.clock.wall()
    const { perSecond = Infinity, questions = 600 } = this.options
    const { restCalls } = this.server
    const lately = (width: number) => restCalls.filter(({ at }) => at > now - width)
    if (now < this.bannedUntil || lately(window).length > questions) {
      this.refusals += 1
      if (now >= this.bannedUntil) this.bannedUntil = now + ban
      return tooFrequent
    }
    const what = pathname.replace("/v5/market/", "")
    if (lately(1_000).filter(({ url }) => url.split("?")[0] === pathname).length > perSecond) {
      this.refusals += 1
      return this.answer(10_006, "Too many visits. Exceeded the API Rate Limit.")
    }
    if (what === "time") {
      return this.answer(0, "OK", { timeSecond: String(Math.floor(now / 1000)), timeNano: `${now}000000` })
    }
    if (what !== "instruments-info" && what !== "recent-trade") return undefined
    if (searchParams.get("category") !== "spot") return this.answer(10_001, "Illegal category")
    if (what === "instruments-info") {
      return this.answer(0, "OK", { category: "spot", list: this.markets.map(listed) })
    }
    const symbol = searchParams.get("symbol") ?? ""
    if (!this.has(symbol)) return this.answer(10_001, "Not supported symbols")
    const limit = Number(searchParams.get("limit") ?? kept)
    if (!(limit >= 1 && limit <= kept)) return this.answer(10_001, "params error: Limit invalid")
    return this.answer(0, "OK", { category: "spot", list: this.history(symbol, limit) })
  }

  private answer(retCode: number, retMsg: string, result: object = {}): string {
    return JSON.stringify({ retCode, retMsg, result, retExtInfo: {}, time: this.server.clock.wall() })
  }
}

const symbolOf = (topic: string): string => topic.slice(topic.lastIndexOf(".") + 1)

/** It lists what is trading; whether it ever lists anything else is not known. */
const listed = ({ base, exchangeSymbol, quote, scale, tradable }: Market): object => ({
  symbol: exchangeSymbol,
  baseCoin: base,
  quoteCoin: quote,
  innovation: "0",
  status: tradable ? "Trading" : "PreLaunch",
  marginTrading: "both",
  lotSizeFilter: { basePrecision: "0.00000001", minOrderQty: "0.00001", minOrderAmt: "1" },
  priceFilter: { tickSize: printed({ units: 1n, scale }) }
})

interface Command {
  readonly op?: string
  readonly req_id?: string
  readonly args: ReadonlyArray<string>
}

const commandOf = (text: string): Command => {
  try {
    const { args, ...others }: Partial<Command> = JSON.parse(text)
    return { ...others, args: args ?? [] }
  } catch {
    return { args: [] }
  }
}

/**
 * The fake Bybit of a test.
 *
 * @since 0.1.0
 * @category tags
 */
export class FakeBybit
  extends Context.Tag("effect-exchange-feeds/layers/testing/FakeBybit")<FakeBybit, FakeBybitExchange>()
{}

const born = (options?: Options) => (place: Place) => new FakeBybitExchange(options, place)

/**
 * Listening on loopback when it succeeds, closed with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: Options): Effect.Effect<FakeBybitExchange, never, Scope.Scope> =>
  Loopback.make(born(options))

/**
 * Gives a fake Bybit that listens on loopback. Needs nothing.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<FakeBybit> => Layer.scoped(FakeBybit, make(options))

/**
 * Without sockets, on Effect's clock: what a feed needs to reach it comes with it.
 *
 * @since 0.1.0
 * @category layers
 */
export const memory = (options?: Options): Layer.Layer<FakeBybit | Memory.Reachable> =>
  Memory.layer(FakeBybit, born(options))
