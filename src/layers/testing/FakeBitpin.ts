/**
 * BitPin as its documents and captures have it (DOSSIER.md sections 1 and 2): a strict Centrifugo JSON server with `matches` pushes
 * that are overlapping windows of recent trades, newest first.
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
  /** Rows in a push: this trade and those before it. */
  readonly window?: number
  /** Milliseconds between the server's pings. */
  readonly ping?: number
  /** Documents joined in one frame, at most 16. */
  readonly batch?: number
  /** Channels answered with `103 permission denied`. */
  readonly denied?: ReadonlySet<string>
  /** Channels whose subscribe is never answered. */
  readonly ignored?: ReadonlySet<string>
  /** Channels allowed on one connection. */
  readonly channelLimit?: number
  /** `pub.data` as a JSON string. */
  readonly dataAsString?: boolean
  /** The window so far inside the subscribe reply. */
  readonly publicationsInReply?: boolean
  /** Rows without `time`: the message's `event_time` is the time. */
  readonly withoutRowTime?: boolean
  /** Rows the REST history holds. */
  readonly history?: number
}

interface Row {
  readonly id: string
  readonly price: string
  readonly base_amount: string
  readonly quote_amount: string
  readonly side: string
  readonly time?: number
}

interface Recent {
  readonly row: Row
  readonly at: number
  readonly issued: Issued
}

/** Amounts below this many units of 10^-8 are shown as `"0.00"`: the quirk of tiny trades (DOSSIER.md 2.4). */
const tiny = 100n

const pongTimeout = 8_000

interface Session {
  connected: boolean
  awaitingPong: boolean
  pinger: NodeJS.Timeout | undefined
  pongTimer: NodeJS.Timeout | undefined
  pending: Array<string>
  offset: number
}

export class FakeBitpinExchange extends FakeExchange {
  readonly id = "bitpin"
  readonly server: FakeServer
  private readonly options: Options
  private readonly recent = new Map<string, Array<Recent>>()
  private readonly sessions = new Map<Connection, Session>()
  private nextId = 73_802_972

  constructor(options: Options = {}) {
    const markets = bases(options.markets ?? 6).flatMap((base, i): ReadonlyArray<Market> => {
      const quote = i % 3 === 2 ? "USDT" : "IRT"
      const price = quote === "IRT" ? 11_379_465_211n : 6_267_230n
      return [{
        exchangeSymbol: `${base}_${quote}`,
        base,
        quote,
        symbol: `${base}/${quote}`,
        tradable: true,
        scale: quote === "IRT" ? 0 : 2,
        price: price / BigInt(i * i + 1) + 1n
      }]
    })
    const first = markets[0]
    if (first !== undefined) {
      markets.push({ ...first, base: "OLD", exchangeSymbol: "OLD_IRT", symbol: "OLD/IRT", tradable: false })
    }
    super(markets, options.seed ?? 1)
    this.options = options
    this.server = new FakeServer(this.protocol())
  }

  private protocol(): Protocol {
    return {
      wsPath: "/connection/websocket",
      rest: (url) => this.rest(url.pathname),
      opened: (connection) => {
        this.sessions.set(connection, {
          connected: false,
          awaitingPong: false,
          pinger: undefined,
          pongTimer: undefined,
          pending: [],
          offset: 0
        })
      },
      received: (connection, text) => this.received(connection, text),
      closed: (connection) => {
        const session = this.sessions.get(connection)
        clearInterval(session?.pinger)
        clearTimeout(session?.pongTimer)
        this.sessions.delete(connection)
      }
    }
  }

  private rest(path: string): string | undefined {
    if (path === "/api/v1/mkt/markets/") {
      return JSON.stringify(this.markets.map(({ base, exchangeSymbol, quote, tradable }, i) => ({
        symbol: exchangeSymbol,
        name: `${base}/${quote === "IRT" ? "Toman" : quote}`,
        base,
        quote,
        tradable,
        // Strings in some clients' types, numbers in others.
        price_precision: i % 2 === 0 ? "0" : 0,
        base_amount_precision: "8",
        quote_amount_precision: "0"
      })))
    }
    const symbol = /^\/api\/v1\/mth\/matches\/([^/]+)\/$/.exec(path)?.[1]
    if (symbol === undefined || !this.markets.some((market) => market.exchangeSymbol === symbol)) return undefined
    const rows = (this.recent.get(symbol) ?? []).slice(-(this.options.history ?? 50)).reverse()
    return JSON.stringify(rows.map(({ at, row }) => ({ ...row, time: at / 1000 })))
  }

  private received(connection: Connection, text: string): void {
    const session = this.sessions.get(connection)
    if (session === undefined) return
    const lines = text.replace(/\n$/, "").split("\n")
    for (const line of lines) {
      if (line === "") return connection.drop(3501)
      let command: {
        readonly id?: number
        readonly connect?: object
        readonly subscribe?: { readonly channel?: string }
        readonly unsubscribe?: { readonly channel?: string }
      }
      try {
        command = JSON.parse(line)
      } catch {
        return connection.drop(3501)
      }
      if (command.id === undefined || command.id === 0) {
        // A command without an id is taken for a pong; one that nobody asked for is fatal.
        if (!session.awaitingPong) return connection.drop(3501)
        session.awaitingPong = false
        connection.pongs += 1
        clearTimeout(session.pongTimer)
        continue
      }
      if (command.connect !== undefined) this.connect(connection, session, command.id)
      else if (!session.connected) return connection.drop(3501)
      else if (command.subscribe !== undefined) {
        this.subscribe(connection, session, command.id, command.subscribe.channel ?? "")
      } else if (command.unsubscribe !== undefined) {
        connection.subscriptions.delete(command.unsubscribe.channel?.replace("matches:", "") ?? "")
        connection.send(JSON.stringify({ id: command.id, unsubscribe: {} }))
      } else return connection.drop(3501)
    }
  }

  private connect(connection: Connection, session: Session, id: number): void {
    session.connected = true
    const ping = this.options.ping ?? 25_000
    connection.send(JSON.stringify({
      id,
      connect: {
        client: "9ac9de4e-5289-4ad6-9aa7-8447f007083e",
        version: "0.0.0",
        ping: Math.ceil(ping / 1000),
        pong: true
      }
    }))
    session.pinger = setInterval(() => this.ping(connection, session), ping)
  }

  /** Also by hand, for a ping between pushes. */
  ping(connection: Connection, session = this.sessions.get(connection)): void {
    if (session === undefined || session.awaitingPong || this.server.script.silent) return
    session.awaitingPong = true
    this.enqueue(connection, session, "{}")
    session.pongTimer = setTimeout(
      () => connection.drop(3012),
      Math.min(pongTimeout, (this.options.ping ?? 25_000) * 4)
    )
  }

  private subscribe(connection: Connection, session: Session, id: number, channel: string): void {
    const refuse = (code: number, message: string) => connection.send(JSON.stringify({ id, error: { code, message } }))
    const symbol = channel.replace(/^(matches|orderbook|market):/, "")
    if (this.options.ignored?.has(channel) === true) return
    if (this.options.denied?.has(channel) === true) return refuse(103, "permission denied")
    if (!this.markets.some((market) => market.exchangeSymbol === symbol)) return refuse(102, "unknown channel")
    if (connection.subscriptions.has(symbol)) return refuse(105, "already subscribed")
    if (connection.subscriptions.size >= (this.options.channelLimit ?? 128)) return refuse(106, "limit exceeded")
    connection.subscriptions.add(symbol)
    const window = (this.recent.get(symbol) ?? []).slice(-(this.options.window ?? 3))
    const publications = this.options.publicationsInReply === true && window.length > 0
      ? {
        recoverable: true,
        epoch: "abcd",
        offset: session.offset,
        publications: [{ data: this.data(symbol, window), offset: session.offset }]
      }
      : {}
    if (this.options.publicationsInReply === true) { for (const { issued } of window) issued.sent = true }
    connection.send(JSON.stringify({ id, subscribe: publications }))
  }

  private data(symbol: string, window: ReadonlyArray<Recent>): unknown {
    const last = window.at(-1)
    const data = {
      event: "matches_update",
      symbol,
      matches: window.map(({ row }) => row).reverse(),
      ...(this.options.withoutRowTime === true && last !== undefined
        ? { event_time: new Date(last.at).toISOString().replace("Z", "434Z") }
        : {})
    }
    return this.options.dataAsString === true ? JSON.stringify(data) : data
  }

  protected publish({ amount, market, price, side, time }: Filled): void {
    const id = `${this.nextId}_${this.nextId + 4115}`
    this.nextId += 7
    const quote = price * amount
    const isTiny = amount < tiny
    const expectedAmount = isTiny
      ? ratio(quote, market.scale + amountScale, price, market.scale)
      : printed(amount, amountScale)
    const issued: Issued = {
      expected: {
        exchange: "bitpin",
        symbol: market.symbol,
        exchangeSymbol: market.exchangeSymbol,
        price: printed(price, market.scale),
        amount: expectedAmount,
        side,
        timestamp: new Date(time).toISOString()
      },
      id: `bitpin:${market.symbol}:t:${id}`,
      counted: false,
      sent: false
    }
    this.issued.push(issued)
    const row: Row = {
      id,
      price: padded(price * 100n, market.scale + 2),
      base_amount: isTiny ? "0.00" : padded(amount, amountScale),
      quote_amount: padded(quote, market.scale + amountScale),
      side,
      ...(this.options.withoutRowTime === true ? {} : { time: time / 1000 })
    }
    const recent = this.recent.get(market.exchangeSymbol) ?? []
    this.recent.set(market.exchangeSymbol, recent)
    recent.push({ row, at: time, issued })
    if (recent.length > 600) recent.splice(0, 300)
    if (this.server.isMuted(market.exchangeSymbol)) return
    // Without times of their own, rows of a window would all get the last one's.
    const window = recent.slice(this.options.withoutRowTime === true ? -1 : -(this.options.window ?? 3))
    let text: string | undefined
    for (const [connection, session] of this.sessions) {
      if (connection.dead || !connection.subscriptions.has(market.exchangeSymbol)) continue
      text ??= JSON.stringify({
        push: {
          channel: `matches:${market.exchangeSymbol}`,
          pub: { data: this.data(market.exchangeSymbol, window), offset: ++session.offset }
        }
      })
      for (const one of window) one.issued.sent = true
      this.enqueue(connection, session, text)
    }
  }

  /** Documents of one tick share frames, as Centrifugo's encoder does it. */
  private enqueue(connection: Connection, session: Session, document: string): void {
    const batch = Math.min(this.options.batch ?? 1, 16)
    if (batch <= 1) return connection.send(document)
    session.pending.push(document)
    if (session.pending.length > 1) return
    setImmediate(() => {
      const documents = session.pending
      session.pending = []
      for (let i = 0; i < documents.length; i += batch) connection.send(documents.slice(i, i + batch).join("\n"))
    })
  }
}

/** `a / 10^as` divided by `b / 10^bs`, to 18 decimals, half to even. */
const ratio = (a: bigint, as: number, b: bigint, bs: number): string => {
  const top = a * 10n ** BigInt(18 + bs)
  const bottom = b * 10n ** BigInt(as)
  const quotient = top / bottom
  const twice = (top - quotient * bottom) * 2n
  return printed(twice > bottom || (twice === bottom && quotient % 2n === 1n) ? quotient + 1n : quotient, 18)
}

export class FakeBitpin
  extends Context.Tag("effect-exchange-feeds/layers/testing/FakeBitpin")<FakeBitpin, FakeBitpinExchange>()
{}

export const make = (options?: Options): Effect.Effect<FakeBitpinExchange, never, Scope.Scope> =>
  Effect.tap(Effect.sync(() => new FakeBitpinExchange(options)), ({ server }) => listen(server))

export const layer = (options?: Options): Layer.Layer<FakeBitpin> => Layer.scoped(FakeBitpin, make(options))
