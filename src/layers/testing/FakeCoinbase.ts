/**
 * Coinbase's spot market as its documents and captures have it (docs/design/exchanges/coinbase.md): one channel a frame, answers that name all
 * that the connection has, errors that name nothing, numbers of a connection's frames that count answers and heartbeats too, trades of a
 * quarter of a second in one frame, newest first, with the maker's side, another name of a book whose data has the first one's; by REST pages
 * below an id, and a first page that is some seconds old. Of a book it sends all levels in any order, then changes without numbers of their own.
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
  /** Questions that it answers in any second, 15 by default; one more is refused with 429. */
  readonly restPerSecond?: number
  /** Frames that it takes in any second of all connections, 8 by default. */
  readonly perSecond?: number
  /** Milliseconds between heartbeats of whoever asked for them, 1 000 by default. */
  readonly heartbeat?: number
  /** A client that subscribed to nothing by then is hung up on, ms; 5 000 by default. */
  readonly patience?: number
  /** A connection on which nothing was sent for so long is ended, ms; 75 000 by default. */
  readonly silence?: number
  /** Trades wait for so long for others that go into a frame with them, ms; 250 by default. 0: for none. */
  readonly batch?: number
  /** What has changed in books is said so often, ms; 50 by default. */
  readonly bookEvery?: number
  /** Rows of a market that a subscription begins with, 5 by default. */
  readonly snapshot?: number
  /** How old a page is that was asked for without a cursor, ms; 3 000 by default. */
  readonly stale?: number
  /** One product that it will not have spoils the whole frame: the others are not answered, nor heard. */
  readonly spoils?: boolean
  /** Also in the list of markets: another name of a book (`-USDC`), and one that trades under that name alone. */
  readonly aliases?: boolean
}

interface Done {
  readonly id: number
  readonly time: number
  /** As the socket has it, and as REST has it. */
  readonly push: object
  readonly row: object
  readonly issued: Issued
}

/** What one client is to be told, and what was heard of it. */
interface Session {
  /** Number of its next frame. */
  next: number
  /** Trades that wait for others. */
  readonly waiting: Array<Done>
  /** Books as it was told of them, by product; undefined: it has yet to be told. */
  readonly books: Map<string, Standings | undefined>
  /** So many of its next frames get lost. */
  losing: number
  spokenAt: number
}

const tradesChannel = "market_trades"
const booksChannel = "level2"
/** What a book's data comes under. */
const booksData = "l2_data"
const channels: ReadonlyArray<string> = [tradesChannel, booksChannel]

/** Rows of a page, at most. */
const pageSize = 1_000

/** Rows of a frame, at most: the exchange's own number is not known. */
const frameSize = 1_000

const firstId = 1_069_726_290

const keyOf = (channel: string, product: string): string => `${channel}:${product}`

const json = (body: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Answer => ({
  status,
  headers: { "content-type": "application/json; charset=utf-8", ...headers },
  body: JSON.stringify(body)
})

/** Of the side that took what lay in the book. */
const makerOf = (taker: "buy" | "sell"): "buy" | "sell" => taker === "buy" ? "sell" : "buy"

const isoOf = (time: number, micros: number): string =>
  `${new Date(time).toISOString().slice(0, -1)}${String(micros).padStart(3, "0")}Z`

/**
 * Coinbase as it speaks: the REST of Exchange, and the WebSocket of Advanced Trade.
 *
 * @since 0.1.0
 * @category models
 */
export class FakeCoinbaseExchange extends FakeExchange<object> {
  readonly id = "coinbase"
  protected readonly wsPath = "/"
  /** Questions and frames that were refused since there were too many. */
  refusals = 0
  /** Frames that it did not understand, or that name what there is not. */
  errors = 0
  /** Clients that subscribed to nothing in time, or to nothing that is ever said. */
  hungUp = 0
  private readonly options: Options
  private readonly done = new Map<string, Array<Done>>()
  private readonly sessions = new Map<FakeConnection, Session>()
  private heard: ReadonlyArray<number> = []
  private readonly books = new FakeBooks(this.random, Infinity)
  private bookTurn = 0

  constructor(options: Options = {}, place?: Place) {
    super(options.seed ?? 8, place)
    this.options = options
    bases(options.markets ?? 6).forEach((base, i) => {
      const quote = i === 0 ? "USD" : ["USD", "EUR", "USDT"][i % 3] ?? "USD"
      const whole = String(Math.floor(63_310 / (i * i * 5 + 1)) + 1)
      this.addMarket({ base, quote: base === quote ? "GBP" : quote, price: i % 2 === 0 ? `${whole}.25` : whole })
    })
    this.addMarket({ base: "OLD", quote: "USD", tradable: false, price: "0.001" })
    this.addMarket({ base: "HALTED", quote: "USD", tradable: false, price: "1.5" })
  }

  protected symbolsOf(base: string, quote: string) {
    return { exchangeSymbol: `${base}-${quote}`, symbol: `${base}/${quote}` }
  }

  protected tradesOf(key: string): string | undefined {
    const prefix = keyOf(tradesChannel, "")
    return key.startsWith(prefix) ? key.slice(prefix.length) : undefined
  }

  // -------------------------------------------------------------------------------------------------------------------
  // the socket

  private sessionOf(connection: FakeConnection): Session {
    const known = this.sessions.get(connection)
    if (known !== undefined) return known
    const session: Session = {
      next: 0,
      waiting: [],
      books: new Map(),
      losing: 0,
      spokenAt: this.server.clock.steady()
    }
    this.sessions.set(connection, session)
    return session
  }

  protected override open(connection: FakeConnection): void {
    const session = this.sessionOf(connection)
    const { patience = 5_000, silence = 75_000 } = this.options
    const hangUp = () => {
      this.hungUp += 1
      connection.end(1006)
    }
    connection.after(patience, () => {
      if (connection.subscriptions.size === 0) hangUp()
    })
    connection.every(Math.max(1, silence / 10), () => {
      if (this.server.clock.steady() - session.spokenAt >= silence) hangUp()
    })
  }

  protected override close(connection: FakeConnection): void {
    this.sessions.delete(connection)
  }

  /** The next frames of these clients get lost on the way, whatever they are: so many, each with its number. */
  lose(count = 1, which: Which = () => true): void {
    for (const [connection, session] of this.sessions) if (which(connection)) session.losing += count
  }

  /** Numbered, as each frame is that says something. */
  private say(
    connection: FakeConnection,
    channel: string,
    events: ReadonlyArray<object>,
    issued: ReadonlyArray<Issued> = []
  ): void {
    if (this.server.script.silent) return
    const session = this.sessionOf(connection)
    const now = this.server.clock.wall()
    const timestamp = `${new Date(now).toISOString().slice(0, -1)}000001Z`
    session.spokenAt = this.server.clock.steady()
    const text = JSON.stringify({ channel, client_id: "", timestamp, sequence_num: session.next++, events })
    if (session.losing > 0) session.losing -= 1
    else connection.send(text, issued)
  }

  private fail(connection: FakeConnection, message: string): void {
    this.errors += 1
    if (!this.server.script.silent) connection.send(JSON.stringify({ type: "error", message }))
  }

  private isTooFast(): boolean {
    const now = this.server.clock.steady()
    this.heard = [...this.heard.filter((at) => at > now - 1_000), now]
    return this.heard.length > (this.options.perSecond ?? 8)
  }

  /** Another name of a book stands for the first one, on every channel. */
  private productOf(product: string): string {
    const first = product.replace(/-USDC$/, "-USD")
    return this.has(first) ? first : product
  }

  protected frame(connection: FakeConnection, text: string): void {
    if (this.isTooFast()) {
      this.refusals += 1
      return this.fail(connection, "rate limit exceeded")
    }
    const { channel, product_ids: products, type } = command(text)
    const isHeartbeats = channel === "heartbeats"
    const isKnown = (type === "subscribe" || type === "unsubscribe") && channel !== undefined &&
      (isHeartbeats || (channels.includes(channel) && products.length > 0))
    // Whatever is wrong with it, it says this.
    if (!isKnown) return this.fail(connection, "authentication failure")
    if (isHeartbeats) {
      this.beat(connection, type === "subscribe")
      return this.list(connection)
    }
    if (type === "unsubscribe") {
      for (const product of products.map((one) => this.productOf(one))) {
        connection.subscriptions.delete(keyOf(channel, product))
        if (channel === booksChannel) this.sessionOf(connection).books.delete(product)
      }
      return this.list(connection)
    }
    const { denied, ignored } = this.server.script
    const isListed = (product: string) => this.has(this.productOf(product))
    const isRefused = (product: string) => !isListed(product) || denied.has(product)
    if (this.options.spoils === true && products.some(isRefused)) return this.fail(connection, "authentication failure")
    const asked = products.filter(isListed)
    let undecided = asked.filter((product) => !ignored.has(product)).length
    let granted = 0
    let refused = products.length - asked.length
    // One error, and one answer, whatever the frame has.
    const answer = () => {
      if (refused > 0) this.fail(connection, "authentication failure")
      if (granted > 0) this.list(connection)
    }
    if (undecided === 0) return answer()
    for (const product of asked) {
      this.server.decide(connection, product, (isGranted) => {
        undecided -= 1
        granted += Number(isGranted)
        refused += Number(!isGranted)
        if (isGranted) this.begin(connection, channel, this.productOf(product))
        if (undecided === 0) answer()
      })
    }
  }

  private beat(connection: FakeConnection, isWanted: boolean): void {
    const key = keyOf("heartbeats", "heartbeats")
    if (!isWanted) return void connection.subscriptions.delete(key)
    if (connection.subscriptions.has(key)) return
    connection.subscriptions.set(key, this.server.clock.wall())
    let counter = 139_651
    connection.every(this.options.heartbeat ?? 1_000, () => {
      if (!connection.subscriptions.has(key)) return
      const time = new Date(this.server.clock.wall()).toISOString().replace("T", " ").replace("Z", "")
      this.say(connection, "heartbeats", [
        { current_time: `${time} +0000 UTC m=+${counter}.272674714`, heartbeat_counter: counter++ }
      ])
    })
  }

  /** All that it has, in answer to whatever was asked. */
  private list(connection: FakeConnection): void {
    const subscriptions: Record<string, Array<string>> = {}
    for (const key of connection.subscriptions.keys()) {
      const [channel = "", product = ""] = key.split(":")
      subscriptions[channel] = [...subscriptions[channel] ?? [], product]
    }
    this.say(connection, "subscriptions", [{ subscriptions }])
  }

  /** What a subscription begins with comes before its answer. */
  private begin(connection: FakeConnection, channel: string, product: string): void {
    connection.subscriptions.set(keyOf(channel, product), this.server.clock.wall())
    if (channel === booksChannel) {
      const { books } = this.sessionOf(connection)
      if (books.size === 0) this.tick(connection)
      books.set(product, undefined)
      if (!this.server.isMuted(product)) this.sayBook(connection, product)
      return
    }
    if (this.server.isMuted(product)) return
    const all = this.done.get(product) ?? []
    const last = all.slice(Math.max(0, all.length - (this.options.snapshot ?? 5)))
    if (last.length === 0) return
    // It has them now, and is not told of them again.
    const { waiting } = this.sessionOf(connection)
    const others = waiting.filter((one) => !last.includes(one))
    waiting.splice(0, waiting.length, ...others)
    this.sayTrades(connection, "snapshot", last)
  }

  private sayTrades(connection: FakeConnection, type: "snapshot" | "update", all: ReadonlyArray<Done>): void {
    const trades = all.map(({ push }) => push).reverse()
    this.say(connection, tradesChannel, [{ type, trades }], all.map(({ issued }) => issued))
  }

  // -------------------------------------------------------------------------------------------------------------------
  // books

  /** The true book of a market. */
  book(exchangeSymbol: string): Book {
    return this.books.book(this.marketOf(exchangeSymbol))
  }

  /** So many changes of a market's book. */
  changeBook(exchangeSymbol: string, count = 1): void {
    const market = this.marketOf(exchangeSymbol)
    for (let n = 0; n < count; n++) this.books.change(market)
  }

  /** So many changes, over the books of all tradable markets in turn. */
  bookChanges(count: number): void {
    const { tradable } = this
    for (let n = 0; n < count; n++) {
      const market = tradable[this.bookTurn++ % tradable.length]
      if (market !== undefined) this.books.change(market)
    }
  }

  /** While it has books. */
  private tick(connection: FakeConnection): void {
    connection.after(this.options.bookEvery ?? 50, () => {
      this.sayChanges(connection)
      if (this.sessionOf(connection).books.size > 0) this.tick(connection)
    })
  }

  /** All of it, in any order. */
  private sayBook(connection: FakeConnection, product: string): void {
    const shown = this.books.shown(this.marketOf(product))
    this.sessionOf(connection).books.set(product, shown)
    const updates = this.updates(shown)
    for (let i = updates.length - 1; i > 0; i--) {
      const j = Math.floor(this.random() * (i + 1))
      const [a, b] = [updates[i], updates[j]]
      if (a !== undefined && b !== undefined) [updates[i], updates[j]] = [b, a]
    }
    this.say(connection, booksData, [{ type: "snapshot", product_id: product, updates }])
  }

  /** Of all its books that have changed, in one frame. */
  private sayChanges(connection: FakeConnection): void {
    const { books } = this.sessionOf(connection)
    const events: Array<object> = []
    for (const [product, before] of books) {
      if (!this.has(product) || this.server.isMuted(product)) continue
      const market = this.marketOf(product)
      const shown = this.books.shown(market)
      if (before === undefined) {
        this.sayBook(connection, product)
        continue
      }
      const updates = this.updates(changed(before, shown))
      if (updates.length === 0) continue
      books.set(product, shown)
      // It takes levels away that nobody was told of, and tells of a market of which nothing has changed.
      if (this.random() < 0.2) {
        updates.unshift(
          this.update("bid", { price: { units: 1n, scale: market.scale }, amount: { units: 0n, scale: 8 } })
        )
      }
      if (this.random() < 0.1) events.push({ type: "update", product_id: product, updates: [] })
      events.push({ type: "update", product_id: product, updates })
    }
    if (events.length > 0) this.say(connection, booksData, events)
  }

  private updates({ asks, bids }: Standings): Array<object> {
    return [...bids.map((one) => this.update("bid", one)), ...asks.map((one) => this.update("offer", one))]
  }

  private update(side: "bid" | "offer", { amount, price }: Standing): object {
    const event_time = isoOf(this.server.clock.wall(), 0)
    return { side, event_time, price_level: printed(price), new_quantity: printed(amount) }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // trades

  protected publish({ amount, market, micros, price, side, time }: Filled): void {
    const { exchangeSymbol, symbol } = market
    const all = this.done.get(exchangeSymbol) ?? []
    this.done.set(exchangeSymbol, all)
    const id = (all.at(-1)?.id ?? firstId - 1) + 1
    const [digits, size] = [printed(price), printed(amount)]
    const timestamp = isoOf(time, micros)
    const issued = new Issued(
      { exchange: this.id, symbol, exchangeSymbol, price: digits, amount: size, side, timestamp },
      `coinbase:${symbol}:t:${id}`,
      false
    )
    const maker = makerOf(side)
    const done: Done = {
      id,
      time,
      push: {
        product_id: exchangeSymbol,
        trade_id: String(id),
        price: digits,
        size,
        time: timestamp,
        side: maker.toUpperCase()
      },
      row: { trade_id: id, side: maker, size, price: digits, time: timestamp },
      issued
    }
    all.push(done)
    this.remember(exchangeSymbol, { row: done.row, issued })
    if (this.server.isMuted(exchangeSymbol)) return
    for (const connection of this.server.connections) {
      if (connection.subscriptions.has(keyOf(tradesChannel, exchangeSymbol))) this.gather(connection, done)
    }
  }

  private gather(connection: FakeConnection, done: Done): void {
    const { waiting } = this.sessionOf(connection)
    waiting.push(done)
    if (waiting.length > 1) return
    const { batch = 250 } = this.options
    const tell = () => {
      while (waiting.length > 0) this.sayTrades(connection, "update", waiting.splice(0, frameSize))
    }
    if (batch === 0) tell()
    else connection.after(batch, tell)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // REST

  protected request({ pathname, searchParams }: URL): Answer {
    const now = this.server.clock.wall()
    const lately = this.server.restCalls.filter(({ at }) => at > now - 1_000).length
    if (lately > (this.options.restPerSecond ?? 15)) {
      this.refusals += 1
      return json({ message: "Public rate limit exceeded" }, 429)
    }
    if (pathname === "/products") return json(this.products())
    const [, product] = /^\/products\/([^/]+)\/trades$/.exec(pathname) ?? []
    return product === undefined || !this.has(this.productOf(product))
      ? json({ message: "NotFound" }, 404)
      : this.page(this.productOf(product), searchParams)
  }

  private products(): ReadonlyArray<object> {
    const own = this.markets.map((market, i) => listed(market, i))
    if (this.options.aliases !== true) return own
    const [first] = this.markets
    const alias = {
      ...listed(this.marketOf(first?.exchangeSymbol ?? ""), 0),
      id: `${first?.base}-USDC`,
      quote_currency: "USDC"
    }
    return [alias, ...own]
  }

  private page(product: string, params: URLSearchParams): Answer {
    const limit = Math.min(pageSize, Number(params.get("limit") ?? pageSize), this.server.script.history ?? Infinity)
    const [after, before] = [params.get("after"), params.get("before")]
    const all = this.done.get(product) ?? []
    // Not the page just above `before`: the newest ones that are above it.
    const known = before === null ? all : all.filter(({ id }) => id > Number(before))
    const since = this.server.clock.wall() - (this.options.stale ?? 3_000)
    const end = after !== null
      ? known.findLastIndex(({ id }) => id < Number(after)) + 1
      : before !== null
      ? known.length
      : known.findLastIndex(({ time }) => time <= since) + 1
    const rows = known.slice(Math.max(0, end - limit), end).reverse()
    for (const { issued } of rows) issued.served = true
    const cursors = rows.length === 0
      ? {}
      : { "cb-before": String(rows[0]?.id), "cb-after": String(rows.at(-1)?.id) }
    return json(rows.map(({ row }) => row), 200, cursors)
  }
}

const listed = ({ base, exchangeSymbol, quote, tradable }: Market, i: number): object => ({
  id: exchangeSymbol,
  base_currency: base,
  quote_currency: quote,
  quote_increment: "0.01",
  base_increment: "0.00000001",
  display_name: `${base}-${quote}`,
  min_market_funds: "1",
  margin_enabled: false,
  post_only: false,
  limit_only: false,
  cancel_only: false,
  status: tradable || i % 2 === 1 ? "online" : "delisted",
  status_message: "",
  trading_disabled: !tradable,
  fx_stablecoin: false,
  auction_mode: false
})

interface Command {
  readonly type?: string
  readonly channel?: string
  readonly product_ids: ReadonlyArray<string>
}

const command = (text: string): Command => {
  try {
    const { product_ids: products, ...others }: Partial<Command> = JSON.parse(text)
    return { ...others, product_ids: products ?? [] }
  } catch {
    return { product_ids: [] }
  }
}

/**
 * The fake Coinbase of a test.
 *
 * @since 0.1.0
 * @category tags
 */
export class FakeCoinbase
  extends Context.Tag("effect-exchange-feeds/layers/testing/FakeCoinbase")<FakeCoinbase, FakeCoinbaseExchange>()
{}

const born = (options?: Options) => (place: Place) => new FakeCoinbaseExchange(options, place)

/**
 * Listening on loopback when it succeeds, closed with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: Options): Effect.Effect<FakeCoinbaseExchange, never, Scope.Scope> =>
  Loopback.make(born(options))

/**
 * Gives a fake Coinbase that listens on loopback. Needs nothing.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<FakeCoinbase> => Layer.scoped(FakeCoinbase, make(options))

/**
 * Without sockets, on Effect's clock: what a feed needs to reach it comes with it.
 *
 * @since 0.1.0
 * @category layers
 */
export const memory = (options?: Options): Layer.Layer<FakeCoinbase | Memory.Reachable> =>
  Memory.layer(FakeCoinbase, born(options))
