/**
 * A fake exchange as tests see it: it issues trades, remembers them all, and misbehaves by script (`server.script`, `server.drop`, ...).
 * All controls are plain synchronous functions, but for `ready`, `server.refuse` and `server.listen`, which give a Promise, and
 * `floodFor`, an Effect. One of your own says what it does when a client comes (`open`), says something (`frame`), leaves (`close`) or asks
 * (`request`); what carries its frames, and by which clock, is none of its business (`Loopback`, `Memory`).
 */
import * as Effect from "effect/Effect"
import type { Place } from "./Carrier.ts"
import type { FakeConnection } from "./FakeConnection.ts"
import { makeRandom, type Market, walk } from "./FakeMarkets.ts"
import { FakeServer, type Which } from "./FakeServer.ts"
import { type Issued, parsed, type Units } from "./Oracle.ts"
import type { Answer } from "./Script.ts"

/**
 * One trade to issue; what is left out comes from the random walk.
 *
 * @since 0.1.0
 * @category models
 */
export interface Order {
  /** Decimal, such as `"11379465211"`. */
  readonly price?: string
  /** Decimal of at most 8 places. */
  readonly amount?: string
  /** The taker's. */
  readonly side?: "buy" | "sell"
  /** Exchange time, epoch ms; now if left out. */
  readonly time?: number
  /** What the exchange time has below `time`, in microseconds, 0 to 999: as chance has it, or 0 beside a given `time`. */
  readonly micros?: number
}

/**
 * A market to list, as the exchange names it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Listing {
  readonly base: string
  readonly quote: string
  /** True if left out. */
  readonly tradable?: boolean
  /** Price of the last trade, decimal: its places are the market's. */
  readonly price: string
}

/**
 * A trade with all that an exchange knows of it. `time` is epoch ms, `micros` the microseconds below it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Filled {
  readonly market: Market
  readonly price: Units
  readonly amount: Units
  readonly side: "buy" | "sell"
  readonly time: number
  readonly micros: number
}

/**
 * Decimals of an amount.
 *
 * @since 0.1.0
 * @category constants
 */
export const amountScale = 8

/** Milliseconds between the bursts of a flood. */
const tick = 20

/**
 * A trade that REST gives, in the exchange's words.
 *
 * @since 0.1.0
 * @category models
 */
export interface Recent<Row> {
  readonly row: Row
  readonly issued: Issued
}

/** Trades of a market that REST can give, at most. */
const remembered = 300

/**
 * What all fake exchanges have; one of them says how it is spelt.
 *
 * @since 0.1.0
 * @category models
 */
export abstract class FakeExchange<Row = unknown> {
  /** Of the exchange that it stands for. */
  abstract readonly id: string
  readonly server: FakeServer
  /** In the order in which they happened. */
  readonly issued: Array<Issued> = []
  protected readonly random: () => number
  private readonly bySymbol = new Map<string, Market>()
  private readonly recent = new Map<string, Array<Recent<Row>>>()
  private turn = 0
  private latest = { time: 0, micros: 0 }

  /** On loopback, by this machine's clock, if it is not said where. */
  constructor(seed: number, place?: Place) {
    this.random = makeRandom(seed)
    const batch = () => this.batch
    const wsPath = () => this.wsPath
    const wsSuffixes = () => this.wsSuffixes
    this.server = new FakeServer({
      get batch() {
        return batch()
      },
      get wsPath() {
        return wsPath()
      },
      get wsSuffixes() {
        return wsSuffixes()
      },
      open: (connection) => this.open(connection),
      frame: (connection, text) => this.frame(connection, text),
      pinged: (connection) => this.pinged(connection),
      ponged: (connection, payload) => this.ponged(connection, payload),
      close: (connection) => this.close(connection),
      request: (url) => this.request(url),
      restarted: () => this.restarted()
    }, place)
  }

  protected abstract readonly wsPath: string

  /** What a client has to put behind that path, where the exchange has an address for each kind of channel: one of these. */
  protected get wsSuffixes(): ReadonlyArray<string> {
    return [""]
  }

  /** Messages joined in one frame by newlines. */
  protected get batch(): number {
    return 1
  }

  /** A client has come. What is to happen to it later: `connection.after`, `connection.every`. */
  protected open(_connection: FakeConnection): void {}

  /** A client says something. */
  protected abstract frame(connection: FakeConnection, text: string): void

  /** A client has sent a ping of the WebSocket protocol. */
  protected pinged(_connection: FakeConnection): void {}

  /** A client has answered a ping of the WebSocket protocol, with that payload. */
  protected ponged(_connection: FakeConnection, _payload: string): void {}

  /** A client has left. */
  protected close(_connection: FakeConnection): void {}

  /** The JSON for a GET, another answer, or undefined for 404. */
  protected abstract request(url: URL): string | Answer | undefined

  /** The server was away and is back. */
  protected restarted(): void {}

  /** Records a trade and sends it to whoever is subscribed. */
  protected abstract publish(filled: Filled): void

  /** The exchange's word for a market, and the canonical one. */
  protected abstract symbolsOf(base: string, quote: string): Pick<Market, "exchangeSymbol" | "symbol">

  /** The symbol whose trades a channel carries. */
  protected abstract tradesOf(channel: string): string | undefined

  /** A trade as chance has it: a random one, or one of the exchange's oddities. */
  protected chance(market: Market): Filled {
    return this.randomTrade(market)
  }

  /** Pings by hand, in the exchange's own way. */
  ping(which: Which = () => true): void {
    for (const connection of this.server.connections) if (which(connection)) connection.ping()
  }

  get apiUrl(): string {
    return this.server.apiUrl
  }

  get wsUrl(): string {
    return this.server.wsUrl
  }

  get markets(): ReadonlyArray<Market> {
    return [...this.bySymbol.values()]
  }

  get tradable(): ReadonlyArray<Market> {
    return this.markets.filter(({ tradable }) => tradable)
  }

  has(exchangeSymbol: string): boolean {
    return this.bySymbol.has(exchangeSymbol)
  }

  /** It is in the next market list. Gives the exchange's symbol. */
  addMarket({ base, price, quote, tradable = true }: Listing): string {
    const { scale, units } = parsed(price)
    const names = this.symbolsOf(base, quote)
    this.bySymbol.set(names.exchangeSymbol, { ...names, base, quote, tradable, scale, price: units })
    return names.exchangeSymbol
  }

  /** It is in no market list any more, and can have no more trades. */
  removeMarket(exchangeSymbol: string): void {
    this.bySymbol.delete(exchangeSymbol)
  }

  trade(exchangeSymbol: string, order: Order = {}): void {
    const market = this.marketOf(exchangeSymbol)
    const { amount, micros, price, side, time } = order
    const chance = this.randomTrade(market)
    this.publish({
      market,
      price: price === undefined ? chance.price : parsed(price),
      amount: amount === undefined ? chance.amount : parsed(amount),
      side: side ?? chance.side,
      time: time ?? chance.time,
      micros: micros ?? (time === undefined ? chance.micros : 0)
    })
  }

  /** So many trades as chance has them, over all tradable markets in turn. */
  trades(count: number): void {
    const { tradable } = this
    for (let i = 0; i < count; i++) {
      const market = tradable[this.turn++ % tradable.length]
      if (market !== undefined) this.publish(this.chance(market))
    }
  }

  /** So many trades a second until the returned function is called. */
  flood(perSecond: number): () => void {
    return this.bursts(perSecond, Number.POSITIVE_INFINITY, () => {})
  }

  /** `perSecond * seconds` trades, evenly; succeeds after the last. */
  floodFor(perSecond: number, seconds: number): Effect.Effect<void> {
    return Effect.async((resume) => {
      const stop = this.bursts(perSecond, Math.round(perSecond * seconds), () => resume(Effect.void))
      return Effect.sync(stop)
    })
  }

  /** Tradable markets whose trades somebody is subscribed to. */
  get subscribed(): number {
    const symbols = new Set<string>()
    for (const connection of this.server.connections) {
      if (!connection.alive) continue
      for (const channel of connection.subscriptions.keys()) {
        const symbol = this.tradesOf(channel)
        if (symbol !== undefined && this.bySymbol.get(symbol)?.tradable === true) symbols.add(symbol)
      }
    }
    return symbols.size
  }

  /** Resolves when every tradable market has a subscriber; rejects after `timeout` ms. Both by the fake's clock. */
  async ready(timeout = 20_000): Promise<void> {
    const { clock } = this.server
    const end = clock.steady() + timeout
    while (this.subscribed < this.tradable.length) {
      if (clock.steady() > end) {
        throw new Error(`${this.id}: ${this.subscribed} of ${this.tradable.length} markets subscribed`)
      }
      await new Promise<void>((resolve) => void clock.after(10, resolve))
    }
  }

  protected marketOf(exchangeSymbol: string): Market {
    const market = this.bySymbol.get(exchangeSymbol)
    if (market === undefined) throw new Error(`no market ${exchangeSymbol}`)
    return market
  }

  /** It has happened, and is in the history from now on. Gives what it gave, and the trades before it. */
  protected remember(exchangeSymbol: string, one: Recent<Row>): ReadonlyArray<Recent<Row>> {
    this.issued.push(one.issued)
    const recent = this.recent.get(exchangeSymbol) ?? []
    this.recent.set(exchangeSymbol, recent)
    recent.push(one)
    if (recent.length > 2 * remembered) recent.splice(0, remembered)
    return recent
  }

  /** The last trades for a GET, newest first, at most `count`. */
  protected history(exchangeSymbol: string, count: number): ReadonlyArray<Row> {
    const most = Math.min(count, this.server.script.history ?? Infinity)
    const recent = this.recent.get(exchangeSymbol) ?? []
    const rows = recent.slice(Math.max(0, recent.length - most)).reverse()
    for (const { issued } of rows) issued.served = true
    return rows.map(({ row }) => row)
  }

  /** To everybody who is subscribed to a channel, unless the symbol is mute. */
  protected push(symbol: string, channel: string, issued: ReadonlyArray<Issued>, text: () => string): void {
    if (this.server.isMuted(symbol)) return
    let made: string | undefined
    for (const connection of this.server.connections) {
      if (connection.subscriptions.has(channel)) connection.send(made ??= text(), issued)
    }
  }

  protected randomTrade(market: Market): Filled {
    return {
      market,
      price: walk(market, this.random),
      amount: { units: 1n + BigInt(Math.floor(this.random() * 5_000_000_000)), scale: amountScale },
      side: this.random() < 0.5 ? "buy" : "sell",
      ...this.now()
    }
  }

  /** Later by a microsecond at least than the call before, as far as the millisecond has room. */
  private now(): Pick<Filled, "time" | "micros"> {
    const time = this.server.clock.wall()
    const micros = time === this.latest.time ? Math.min(999, this.latest.micros + 1) : time % 400
    this.latest = { time, micros }
    return this.latest
  }

  /** One timer for all markets: what is due since the last tick goes out at once. */
  private bursts(perSecond: number, total: number, done: () => void): () => void {
    const { clock } = this.server
    const started = clock.steady()
    let count = 0
    const burst = () => {
      const due = Math.min(total, Math.floor((clock.steady() - started) / 1000 * perSecond))
      this.trades(due - count)
      count = due
      if (count < total) cancel = clock.after(tick, burst)
      else done()
    }
    let cancel = clock.after(tick, burst)
    return () => cancel()
  }
}
