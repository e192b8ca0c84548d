/**
 * OKX's spot market as its documents and captures have it (docs/design/exchanges/okx.md): each match singly on an address of its own, a client
 * that has to send the text `ping`, one answer for each market of a subscription, refusals that name the command alone, a notice before
 * it ends a connection, codes in the body, a history in pages below an id, limits of two seconds and of an hour. Books on the other address: a
 * picture and changes, each of which names the number after which it applies.
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
import type { Which } from "./FakeServer.ts"
import * as Loopback from "./Loopback.ts"
import * as Memory from "./Memory.ts"
import { Issued, printed } from "./Oracle.ts"
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
  /** Questions for pages of history that it answers in any two seconds, 20 by default; five times as many for last trades. */
  readonly pages?: number
  /** Commands that a connection takes in any hour, 480 by default. */
  readonly commands?: number
  /** A client that says nothing for so long is hung up on with 4004, ms; 30 000 by default. */
  readonly patience?: number
  /** A refusal does not name the command. */
  readonly nameless?: boolean
  /** Levels a side of a book, 400 by default. */
  readonly levels?: number
}

/** A book, as one connection was told of it. */
interface Told {
  shown: Standings
  seqId: number
  /** When anything was last said of it, by the steady clock. */
  at: number
}

interface Done {
  readonly id: number
  readonly time: number
  readonly row: object
  readonly issued: Issued
}

const channel = "trades-all"
const books = "books"
const topicOf = (instId: string): string => `${books}:${instId}`

/** What has changed in a book is said so often, ms; and that nothing has, where nothing was said for so long. */
const bookEvery = 100
const quiet = 60_000

/** Number of the first picture of a book. */
const firstSeqId = 80_274_874_876

const hour = 3_600_000

/** How far back its history goes: three months. */
const reach = 90 * 24 * hour

const firstId = 1_051_102_132

const answer = (data: ReadonlyArray<object>): string => JSON.stringify({ code: "0", msg: "", data })

const refusal = (code: string, msg: string, status = 200): Answer => ({
  status,
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ code, msg, data: [] })
})

/**
 * OKX as it speaks: its REST answers, and its WebSocket, for business and for the public.
 *
 * @since 0.1.0
 * @category models
 */
export class FakeOkxExchange extends FakeExchange<object> {
  readonly id = "okx"
  protected readonly wsPath = "/ws/v5"
  /** Questions and commands that were refused since there were too many. */
  refusals = 0
  /** Clients that said nothing. */
  hungUp = 0
  pings = 0
  /** How often it has said that nothing has changed in a book. */
  keptAlive = 0
  private readonly options: Options
  private readonly done = new Map<string, Array<Done>>()
  private readonly next = new Map<string, number>()
  private readonly patient = new Map<FakeConnection, () => void>()
  private readonly commands = new Map<FakeConnection, Array<number>>()
  private readonly books = new FakeBooks(this.random, 400)
  /** Number of the newest state of a market's book: the same for whoever listens. */
  private readonly seqIds = new Map<string, number>()
  private readonly told = new Map<FakeConnection, Map<string, Told>>()
  private bookTurn = 0

  constructor(options: Options = {}, place?: Place) {
    super(options.seed ?? 7, place)
    this.options = options
    bases(options.markets ?? 6).forEach((base, i) => {
      const quote = ["USDT", "USDC", "BTC"][i === 0 ? 0 : i % 3] ?? "USDT"
      const whole = String(Math.floor(78_808 / (i * i * 3 + 1)) + 1)
      this.addMarket({ base, quote: base === quote ? "EUR" : quote, price: i % 2 === 0 ? `${whole}.8` : whole })
    })
    this.addMarket({ base: "SOON", quote: "USDT", tradable: false, price: "1" })
    this.addMarket({ base: "OLD", quote: "USDT", tradable: false, price: "0.001" })
  }

  /** Trades are heard behind the address, as business is; books are public. */
  protected override get wsSuffixes(): ReadonlyArray<string> {
    return ["/business", "/public"]
  }

  protected symbolsOf(base: string, quote: string) {
    return { exchangeSymbol: `${base}-${quote}`, symbol: `${base}/${quote}` }
  }

  protected tradesOf(topic: string): string {
    return topic
  }

  // -------------------------------------------------------------------------------------------------------------------
  // the socket

  protected override open(connection: FakeConnection): void {
    this.listen(connection)
  }

  protected override close(connection: FakeConnection): void {
    this.patient.get(connection)?.()
    this.patient.delete(connection)
    this.commands.delete(connection)
    this.told.delete(connection)
  }

  /** From now on its patience runs anew. */
  private listen(connection: FakeConnection): void {
    this.patient.get(connection)?.()
    const hangUp = connection.after(this.options.patience ?? 30_000, () => {
      this.hungUp += 1
      connection.end(4004)
    })
    this.patient.set(connection, hangUp)
  }

  private say(connection: FakeConnection, message: object): void {
    connection.send(JSON.stringify({ ...message, connId: "a4d3ae55" }))
  }

  /** It tells that it ends connections for an upgrade, and does so that many milliseconds later. */
  upgrade(after = 60_000, which: Which = () => true): void {
    for (const connection of this.server.connections) {
      if (!which(connection)) continue
      const msg = "The connection will soon be closed for a service upgrade. Please reconnect."
      this.say(connection, { event: "notice", code: "64008", msg })
      connection.after(after, () => connection.end(1001))
    }
  }

  protected frame(connection: FakeConnection, text: string): void {
    this.listen(connection)
    if (text === "ping") {
      this.pings += 1
      connection.send("pong")
      return
    }
    const { args, id, op } = command(text)
    const fail = (code: string, msg: string) =>
      this.say(connection, {
        ...id === undefined || this.options.nameless === true ? {} : { id },
        event: "error",
        code,
        msg
      })
    const isGood = (op === "subscribe" || op === "unsubscribe") && args.length > 0 && text.length <= 65_536 &&
      (id === undefined || /^[A-Za-z0-9]{1,32}$/.test(id))
    if (!isGood) return fail("60012", `Invalid request: ${text}`)
    const now = this.server.clock.steady()
    const lately = (this.commands.get(connection) ?? []).filter((at) => at > now - hour)
    this.commands.set(connection, [...lately, now])
    if (lately.length >= (this.options.commands ?? 480)) {
      this.refusals += 1
      return fail("60014", "Requests too frequent")
    }
    for (const arg of args) {
      const { instId } = arg
      const wrong = () => fail("60018", `Wrong URL or channel:${arg.channel},instId:${instId} doesn't exist.`)
      const isBook = arg.channel === books
      const topic = isBook ? topicOf(instId) : instId
      if ((arg.channel !== channel && !isBook) || !this.has(instId)) wrong()
      else if (op === "unsubscribe") {
        connection.subscriptions.delete(topic)
        this.told.get(connection)?.delete(instId)
        this.say(connection, { id, event: op, arg })
      } else {
        this.server.decide(connection, instId, (granted) => {
          if (!granted) return wrong()
          connection.subscriptions.set(topic, this.server.clock.wall())
          this.say(connection, { id, event: op, arg })
          if (isBook) this.tellBook(connection, instId)
        })
      }
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // books

  /** The true book of a market. */
  book(exchangeSymbol: string): Book {
    return this.books.book(this.marketOf(exchangeSymbol), this.options.levels)
  }

  /** So many changes, over the books of all tradable markets in turn. */
  bookChanges(count: number): void {
    const { tradable } = this
    for (let n = 0; n < count; n++) {
      const market = tradable[this.bookTurn++ % tradable.length]
      if (market !== undefined) this.changeBook(market.exchangeSymbol)
    }
  }

  /** One change of a market's book. It is told with those that follow, each connection at its own time. */
  changeBook(exchangeSymbol: string): void {
    this.books.change(this.marketOf(exchangeSymbol))
    this.seqIds.set(exchangeSymbol, this.seqIdOf(exchangeSymbol) + 1 + Math.floor(this.random() * 80))
  }

  /** It was maintained: the numbers of a market's books begin again, and the chain goes on from the number before. */
  renumber(exchangeSymbol: string): void {
    this.seqIds.set(exchangeSymbol, 1_000 + Math.floor(this.random() * 1_000))
  }

  /** What has changed since each connection was told is lost on the way: what it is told next does not follow. */
  loseChanges(exchangeSymbol: string, which: Which = () => true): void {
    this.books.change(this.marketOf(exchangeSymbol))
    this.seqIds.set(exchangeSymbol, this.seqIdOf(exchangeSymbol) + 5)
    for (const [connection, all] of this.told) {
      const told = all.get(exchangeSymbol)
      if (told !== undefined && which(connection)) this.advance(exchangeSymbol, told)
    }
  }

  private seqIdOf(exchangeSymbol: string): number {
    return this.seqIds.get(exchangeSymbol) ?? firstSeqId
  }

  private advance(exchangeSymbol: string, told: Told): void {
    told.shown = this.books.shown(this.marketOf(exchangeSymbol), this.options.levels)
    told.seqId = this.seqIdOf(exchangeSymbol)
    told.at = this.server.clock.steady()
  }

  private tellBook(connection: FakeConnection, instId: string): void {
    const told: Told = { shown: { bids: [], asks: [] }, seqId: -1, at: 0 }
    const all = this.told.get(connection) ?? new Map<string, Told>()
    this.told.set(connection, all)
    all.set(instId, told)
    this.advance(instId, told)
    this.sayBook(connection, instId, "snapshot", told.shown, -1, told.seqId)
    const later = () => {
      // It was subscribed to anew, or left.
      if (all.get(instId) !== told || !this.has(instId)) return
      this.tellChanges(connection, instId, told)
      connection.after(bookEvery, later)
    }
    connection.after(bookEvery, later)
  }

  private tellChanges(connection: FakeConnection, instId: string, told: Told): void {
    const { seqId, shown } = told
    const isQuiet = this.seqIdOf(instId) === seqId
    if (isQuiet && this.server.clock.steady() - told.at < quiet) return
    if (isQuiet) this.keptAlive += 1
    this.advance(instId, told)
    this.sayBook(connection, instId, "update", changed(shown, told.shown), seqId, told.seqId)
  }

  private sayBook(
    connection: FakeConnection,
    instId: string,
    action: "snapshot" | "update",
    { asks, bids }: Standings,
    prevSeqId: number,
    seqId: number
  ): void {
    if (this.server.isMuted(instId)) return
    const rows = (side: ReadonlyArray<Standing>) =>
      side.map(({ amount, price }) => [printed(price), printed(amount), "0", amount.units === 0n ? "0" : "1"])
    const ts = String(this.server.clock.wall())
    const data = [{ asks: rows(asks), bids: rows(bids), ts, checksum: 0, seqId, prevSeqId }]
    connection.send(JSON.stringify({ arg: { channel: books, instId }, action, data }))
  }

  // -------------------------------------------------------------------------------------------------------------------
  // trades

  /** So many numbers are of no trade: nobody says that there is one for each. */
  skip(exchangeSymbol: string, count: number): void {
    this.next.set(exchangeSymbol, (this.next.get(exchangeSymbol) ?? firstId) + count)
  }

  protected publish({ amount, market, price, side, time }: Filled): void {
    const { exchangeSymbol, symbol } = market
    const id = this.next.get(exchangeSymbol) ?? firstId
    this.next.set(exchangeSymbol, id + 1)
    const timestamp = new Date(time).toISOString()
    const [px, sz] = [printed(price), printed(amount)]
    const issued = new Issued(
      { exchange: this.id, symbol, exchangeSymbol, price: px, amount: sz, side, timestamp },
      `okx:${symbol}:t:${id}`,
      false
    )
    const row = { instId: exchangeSymbol, tradeId: String(id), px, sz, side, ts: String(time), source: "0" }
    const all = this.done.get(exchangeSymbol) ?? []
    this.done.set(exchangeSymbol, all)
    all.push({ id, time, row, issued })
    this.remember(exchangeSymbol, { row, issued })
    this.push(
      exchangeSymbol,
      exchangeSymbol,
      [issued],
      () => JSON.stringify({ arg: { channel, instId: exchangeSymbol }, data: [row] })
    )
  }

  // -------------------------------------------------------------------------------------------------------------------
  // REST

  protected request({ pathname, searchParams }: URL): string | Answer {
    const now = this.server.clock.wall()
    const what = pathname.replace("/api/v5/", "")
    const limit = (this.options.pages ?? 20) * (what === "market/trades" ? 5 : 1)
    const lately = this.server.restCalls.filter(({ at, url }) => at > now - 2_000 && url.split("?")[0] === pathname)
    if (lately.length > limit) {
      this.refusals += 1
      return refusal("50011", "Too Many Requests", 429)
    }
    if (what === "public/time") return answer([{ ts: String(now) }])
    if (what === "public/instruments") {
      return searchParams.get("instType") === "SPOT"
        ? answer(this.markets.map(listed))
        : refusal("51000", "Parameter instType error")
    }
    if (what !== "market/trades" && what !== "market/history-trades") return { status: 404, body: "" }
    const instId = searchParams.get("instId") ?? ""
    if (!this.has(instId)) return refusal("51001", "Instrument ID does not exist")
    return answer(
      what === "market/trades"
        ? this.below(instId, Infinity, Math.min(500, Number(searchParams.get("limit") ?? 100)))
        : this.below(
          instId,
          Number(searchParams.get("after") ?? Infinity),
          Math.min(100, Number(searchParams.get("limit") ?? 100))
        )
    )
  }

  /** Newest first. */
  private below(instId: string, id: number, count: number): ReadonlyArray<object> {
    const since = this.server.clock.wall() - reach
    const most = Math.min(count, this.server.script.history ?? Infinity)
    const all = this.done.get(instId) ?? []
    const end = all.findLastIndex((one) => one.id < id) + 1
    const rows = all.slice(Math.max(0, end - most), end).filter(({ time }) => time >= since)
    for (const { issued } of rows) issued.served = true
    return rows.map(({ row }) => row).reverse()
  }
}

const listed = ({ base, exchangeSymbol, quote, tradable }: Market, i: number): object => ({
  instType: "SPOT",
  instId: exchangeSymbol,
  baseCcy: base,
  quoteCcy: quote,
  tickSz: "0.1",
  lotSz: "0.00000001",
  minSz: "0.00001",
  state: tradable ? "live" : i % 2 === 0 ? "preopen" : "suspend"
})

interface Command {
  readonly id?: string
  readonly op?: string
  readonly args: ReadonlyArray<{ readonly channel: string; readonly instId: string }>
}

const command = (text: string): Command => {
  try {
    const { args, ...others }: Partial<Command> = JSON.parse(text)
    return { ...others, args: args ?? [] }
  } catch {
    return { args: [] }
  }
}

/**
 * The fake OKX of a test.
 *
 * @since 0.1.0
 * @category tags
 */
export class FakeOkx extends Context.Tag("effect-exchange-feeds/layers/testing/FakeOkx")<FakeOkx, FakeOkxExchange>() {}

const born = (options?: Options) => (place: Place) => new FakeOkxExchange(options, place)

/**
 * Listening on loopback when it succeeds, closed with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: Options): Effect.Effect<FakeOkxExchange, never, Scope.Scope> =>
  Loopback.make(born(options))

/**
 * Gives a fake OKX that listens on loopback. Needs nothing.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<FakeOkx> => Layer.scoped(FakeOkx, make(options))

/**
 * Without sockets, on Effect's clock: what a feed needs to reach it comes with it.
 *
 * @since 0.1.0
 * @category layers
 */
export const memory = (options?: Options): Layer.Layer<FakeOkx | Memory.Reachable> =>
  Memory.layer(FakeOkx, born(options))
