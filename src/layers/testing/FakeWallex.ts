/**
 * Wallex as its documents and captures have it (DOSSIER.md section 3): arrays as frames, no acknowledgement, no trade id, whole
 * seconds, sixteen decimals.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { amountScale, FakeExchange, type Filled } from "./FakeExchange.ts"
import { bases, type Market } from "./FakeMarkets.ts"
import { type Connection, FakeServer, listen, type Protocol } from "./FakeServer.ts"
import { type Issued, padded, printed } from "./Oracle.ts"

export interface Options {
  readonly markets?: number
  readonly seed?: number
  /** Milliseconds between the server's control pings. */
  readonly ping?: number
  /** A connection is cut when it is so old, ms: 30 minutes at the real one. */
  readonly maxAge?: number
  /** Messages a client may send on one connection. */
  readonly maxMessages?: number
  /** How many of the last trades REST gives. */
  readonly history?: number
}

/** Every so many random trades one is repeated to the last digit: equal trades are legitimate. */
const repeatEvery = 9

export class FakeWallexExchange extends FakeExchange {
  readonly id = "wallex"
  readonly server: FakeServer
  private readonly options: Options
  private readonly recent = new Map<string, Array<{ readonly body: unknown }>>()
  private readonly timers = new Map<Connection, ReadonlyArray<NodeJS.Timeout>>()
  private published = 0

  constructor(options: Options = {}) {
    const markets = bases(options.markets ?? 6).map((base, i): Market => {
      const quote = i % 3 === 2 ? "USDT" : "TMN"
      return {
        exchangeSymbol: `${base}${quote}`,
        base,
        quote,
        symbol: `${base}/${quote === "TMN" ? "IRT" : quote}`,
        tradable: true,
        scale: i % 2 === 0 ? 0 : 4,
        price: 852_231_321n / BigInt(i * i + 1) + 1n
      }
    })
    const first = markets[0]
    if (first !== undefined) {
      markets.push({ ...first, base: "OTC", exchangeSymbol: "OTCTMN", symbol: "OTC/IRT", tradable: false })
    }
    super(markets, options.seed ?? 2)
    this.options = options
    this.server = new FakeServer(this.protocol())
  }

  private protocol(): Protocol {
    return {
      wsPath: "/ws",
      rest: (url) => this.rest(url),
      opened: (connection) => {
        connection.send(JSON.stringify({ sid: "Zq3kFf2m", upgrades: [], pingInterval: 25_000 }))
        const ping = setInterval(() => {
          if (!this.server.script.silent && connection.ws.readyState === connection.ws.OPEN) connection.ws.ping()
        }, this.options.ping ?? 20_000)
        const cut = setTimeout(() => connection.drop(1000), this.options.maxAge ?? 30 * 60_000)
        this.timers.set(connection, [ping, cut])
      },
      received: (connection, text) => this.received(connection, text),
      closed: (connection) => {
        for (const timer of this.timers.get(connection) ?? []) clearTimeout(timer)
        this.timers.delete(connection)
      }
    }
  }

  private rest(url: URL): string | undefined {
    if (url.pathname === "/hector/web/v1/markets") {
      const markets = this.markets.map((market, i) => ({
        symbol: market.exchangeSymbol,
        base_asset: market.base,
        quote_asset: market.quote,
        fa_base_asset: "بیت کوین",
        en_base_asset: market.base,
        categories: i % 4 === 0 ? null : [44],
        price: i % 5 === 0 ? "" : printed(market.price, market.scale),
        volume_24h: i % 4 === 0 ? null : 12.5,
        is_spot: market.tradable,
        is_otc: true,
        // False for heavily traded markets too: not the tradable flag.
        is_market_type_enable: i % 2 === 0,
        leverage_step: null,
        amount_precision: 8,
        price_precision: market.scale,
        flags: []
      }))
      return JSON.stringify({
        result: { markets, coin_categories: [] },
        message: "The operation was successful",
        success: true
      })
    }
    const symbol = url.searchParams.get("symbol") ?? ""
    if (url.pathname !== "/v1/trades") return undefined
    if (!this.markets.some((market) => market.exchangeSymbol === symbol)) {
      return JSON.stringify({ success: false, code: 1211, message: "symbol not found", result: {} })
    }
    const latestTrades = (this.recent.get(symbol) ?? []).slice(-(this.options.history ?? 50)).reverse().map((
      { body }
    ) => body)
    return JSON.stringify({ result: { latestTrades }, message: "", success: true })
  }

  private received(connection: Connection, text: string): void {
    if (connection.received.length > (this.options.maxMessages ?? 50)) return connection.drop(1008)
    let frame: unknown
    try {
      frame = JSON.parse(text)
    } catch {
      return
    }
    if (!Array.isArray(frame)) return
    const [verb, argument]: ReadonlyArray<unknown> = frame
    const channel = typeof argument === "object" && argument !== null && "channel" in argument
      ? String(argument.channel)
      : ""
    const symbol = channel.split("@")[0] ?? ""
    if (!channel.endsWith("@trade") || !this.markets.some((market) => market.exchangeSymbol === symbol)) return
    if (verb === "subscribe") connection.subscriptions.add(symbol)
    if (verb === "unsubscribe") connection.subscriptions.delete(symbol)
  }

  protected publish(filled: Filled): void {
    this.emit(filled)
    this.published += 1
    if (this.published % repeatEvery === 0) this.emit(filled)
  }

  private emit({ amount, market, price, side, time }: Filled): void {
    const second = Math.floor(time / 1000) * 1000
    const expected = {
      exchange: "wallex",
      symbol: market.symbol,
      exchangeSymbol: market.exchangeSymbol,
      price: printed(price, market.scale),
      amount: printed(amount, amountScale),
      side,
      timestamp: new Date(second).toISOString()
    } as const
    const issued: Issued = {
      expected,
      id: `wallex:${market.symbol}:t:${second}:${side}:${expected.price}:${expected.amount}`,
      counted: true,
      sent: false
    }
    this.issued.push(issued)
    const isBuyOrder = side === "buy"
    const quantity = padded(amount * 10n ** 8n, 16)
    const wirePrice = padded(price * 10n ** BigInt(16 - market.scale), 16)
    const timestamp = `${new Date(second).toISOString().slice(0, 19)}Z`
    const recent = this.recent.get(market.exchangeSymbol) ?? []
    this.recent.set(market.exchangeSymbol, recent)
    recent.push({
      body: {
        symbol: market.exchangeSymbol,
        quantity,
        price: wirePrice,
        sum: padded(price * amount, market.scale + 8),
        isBuyOrder,
        timestamp
      }
    })
    if (recent.length > 600) recent.splice(0, 300)
    if (this.server.isMuted(market.exchangeSymbol)) return
    const text = JSON.stringify([`${market.exchangeSymbol}@trade`, {
      isBuyOrder,
      quantity,
      price: wirePrice,
      timestamp
    }])
    for (const connection of this.server.connections) {
      if (connection.dead || !connection.subscriptions.has(market.exchangeSymbol)) continue
      issued.sent = true
      connection.send(text)
    }
  }
}

export class FakeWallex
  extends Context.Tag("effect-exchange-feeds/layers/testing/FakeWallex")<FakeWallex, FakeWallexExchange>()
{}

export const make = (options?: Options): Effect.Effect<FakeWallexExchange, never, Scope.Scope> =>
  Effect.tap(Effect.sync(() => new FakeWallexExchange(options)), ({ server }) => listen(server))

export const layer = (options?: Options): Layer.Layer<FakeWallex> => Layer.scoped(FakeWallex, make(options))
