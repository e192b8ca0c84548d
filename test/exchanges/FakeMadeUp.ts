/** The made-up exchange's server: strict where it says so. Nothing more is needed of a fake. */
import type { Place } from "../../src/layers/testing/Carrier.ts"
import type { FakeConnection } from "../../src/layers/testing/FakeConnection.ts"
import { FakeExchange, type Filled } from "../../src/layers/testing/FakeExchange.ts"
import { bases } from "../../src/layers/testing/FakeMarkets.ts"
import * as Loopback from "../../src/layers/testing/Loopback.ts"
import * as Memory from "../../src/layers/testing/Memory.ts"
import { Issued, padded, printed } from "../../src/layers/testing/Oracle.ts"
import { pageSize } from "./MadeUp.ts"

interface Row {
  readonly n?: number
  readonly p: string
  readonly q: string
  readonly side: string
  readonly ms: number
}

export interface Options {
  readonly markets?: number
  /** Its trades have numbers, and its history pages (`MadeUp.numbered`). */
  readonly numbered?: boolean
}

/** A client that has not pinged for so long is hung up on, ms. */
const patience = 2_000

export class FakeMadeUp extends FakeExchange<Row> {
  readonly id = "madeup"
  protected readonly wsPath = "/v7"
  pings = 0
  hungUp = 0
  /** The next so many questions are refused, with status 200. */
  refusals = 0
  /** Bytes of a frame of trades that mean nothing. */
  padding = 0
  /** Of each market, oldest first, where they have numbers. */
  readonly numbers = new Map<string, Array<{ readonly row: Row; readonly issued: Issued }>>()
  private readonly isNumbered: boolean
  private readonly patient = new Map<FakeConnection, () => void>()

  constructor({ markets = 2, numbered = false }: Options = {}, place?: Place) {
    super(3, place)
    this.isNumbered = numbered
    bases(markets).forEach((name, i) => {
      const base = name === "BTC" ? "xbt" : name.toLowerCase()
      this.addMarket(
        i % 2 === 0 ? { base, quote: "rial", price: "113794652111" } : { base, quote: "usdt", price: "67526.50" }
      )
    })
    this.addMarket({ base: "old", quote: "usdt", tradable: false, price: "1" })
  }

  protected symbolsOf(base: string, quote: string) {
    const symbol = `${base === "xbt" ? "BTC" : base.toUpperCase()}/${quote === "rial" ? "IRT" : "USDT"}`
    return { exchangeSymbol: `${base}:${quote}`, symbol }
  }

  protected tradesOf(topic: string): string {
    return topic
  }

  protected override open(connection: FakeConnection): void {
    this.patient.get(connection)?.()
    const hangUp = connection.after(patience, () => {
      this.hungUp += 1
      connection.end(1006)
    })
    this.patient.set(connection, hangUp)
  }

  protected override close(connection: FakeConnection): void {
    this.patient.delete(connection)
  }

  protected frame(connection: FakeConnection, text: string): void {
    const { n, name = "", op }: { readonly op: string; readonly name?: string; readonly n?: number } = JSON.parse(text)
    const answer = (op: string) => connection.send(JSON.stringify({ op, n }))
    if (op === "ping") {
      this.pings += 1
      this.open(connection)
      answer("pong")
    } else if (op === "forget") {
      connection.subscriptions.delete(name)
      answer("ok")
    } else {
      this.server.decide(connection, name, (granted) => {
        if (granted) connection.subscriptions.set(name, this.server.clock.wall())
        answer(granted ? "ok" : "no")
      })
    }
  }

  /** Newest first. */
  private page(exchangeSymbol: string, below: number): ReadonlyArray<Row> {
    const rows = this.numbers.get(exchangeSymbol)?.filter(({ row: { n = 0 } }) => n < below).slice(-pageSize) ?? []
    for (const { issued } of rows) issued.served = true
    return rows.map(({ row }) => row).reverse()
  }

  protected request({ pathname, searchParams }: URL): string {
    if (this.refusals-- > 0) return JSON.stringify({ refused: "too busy", seconds: 1 })
    const below = searchParams.get("below")
    if (below !== null) {
      return JSON.stringify({ trades: this.page(decodeURIComponent(pathname.slice(9)), Number(below)) })
    }
    if (pathname !== "/list") {
      return JSON.stringify({ trades: this.history(decodeURIComponent(pathname.slice(9)), 300) })
    }
    return JSON.stringify({
      markets: this.markets.map(({ base: buys, exchangeSymbol: name, quote, tradable: open }) => ({
        name,
        buys,
        with: quote,
        open
      }))
    })
  }

  protected publish({ amount, market, price, side, time }: Filled): void {
    const { exchangeSymbol, symbol } = market
    const inRial = symbol.endsWith("/IRT")
    const expected = {
      exchange: this.id,
      symbol,
      exchangeSymbol,
      price: printed(inRial ? { ...price, scale: price.scale + 1 } : price),
      amount: printed(amount),
      side,
      timestamp: new Date(time).toISOString()
    }
    const all = this.numbers.get(exchangeSymbol) ?? []
    this.numbers.set(exchangeSymbol, all)
    const n = this.isNumbered ? (all.at(-1)?.row.n ?? 0) + 1 : undefined
    const id = `madeup:${symbol}:t:${n ?? `${time}:${side}:${expected.price}:${expected.amount}`}`
    const issued = new Issued(expected, id, n === undefined)
    const row: Row = {
      ...n === undefined ? {} : { n },
      p: padded(price, price.scale),
      q: printed(amount),
      side,
      ms: time
    }
    if (n !== undefined) all.push({ row, issued })
    this.remember(exchangeSymbol, { row, issued })
    const padding = "x".repeat(this.padding)
    this.push(
      exchangeSymbol,
      exchangeSymbol,
      [issued],
      () => JSON.stringify({ op: "trades", name: exchangeSymbol, trades: [row], padding })
    )
  }
}

export const make = (options?: Options) => Loopback.make((place) => new FakeMadeUp(options, place))

/** Within the process, on Effect's clock. */
export const inMemory = (options?: Options) => Memory.make((place) => new FakeMadeUp(options, place))
