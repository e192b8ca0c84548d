/**
 * A bare WebSocket client and a bare normaliser, sharing no line with the feeds: what a fake really puts on the wire.
 */
import { Effect, type Scope } from "effect"
import { WebSocket } from "ws"
import type { Trade } from "../../../src/services/MarketEvent.ts"

/** Long enough for any answer on loopback; its end is a failed test. */
const patience = 10_000

export class RawClient {
  readonly ws: WebSocket
  readonly frames: Array<string> = []
  controlPings = 0
  readonly closed: Promise<number>
  private readonly watchers = new Set<() => void>()

  constructor(url: string) {
    this.ws = new WebSocket(url, { perMessageDeflate: false })
    this.ws.on("message", (data) => {
      this.frames.push(String(data))
      this.tell()
    })
    this.ws.on("ping", () => {
      this.controlPings += 1
      this.tell()
    })
    this.ws.on("error", () => {})
    this.closed = new Promise((resolve) => this.ws.on("close", (code) => resolve(code)))
  }

  send(...documents: ReadonlyArray<unknown>): void {
    this.ws.send(
      documents.map((document) => typeof document === "string" ? document : JSON.stringify(document)).join("\n")
    )
  }

  /** All documents so far. */
  get documents(): ReadonlyArray<any> {
    return this.frames.flatMap((frame) => frame.split("\n")).map((text) => JSON.parse(text))
  }

  /** Resolves once `condition` holds, looked at after each frame. */
  until(what: string, condition: () => boolean): Effect.Effect<void> {
    return Effect.promise(() =>
      new Promise<void>((resolve, reject) => {
        const fail = setTimeout(() => reject(new Error(`${what}: ${this.frames.slice(-5).join(" | ")}`)), patience)
        const look = () => {
          if (!condition()) return
          this.watchers.delete(look)
          clearTimeout(fail)
          resolve()
        }
        this.watchers.add(look)
        look()
      })
    )
  }

  frameCount(count: number): Effect.Effect<void> {
    return this.until(`${count} frames`, () => this.frames.length >= count)
  }

  documentCount(count: number): Effect.Effect<void> {
    return this.until(`${count} documents`, () => this.documents.length >= count)
  }

  /** The code it was closed with. */
  get closeCode(): Effect.Effect<number> {
    return Effect.promise(() => this.closed)
  }

  private tell(): void {
    for (const watcher of this.watchers) watcher()
  }
}

/** Connected when it succeeds; ended with the scope. */
export const connect = (url: string): Effect.Effect<RawClient, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new RawClient(url)
      await new Promise((resolve, reject) => client.ws.once("open", resolve).once("error", reject))
      return client
    }),
    ({ ws }) => Effect.sync(() => ws.terminate())
  )

/** What a refused upgrade was answered with. */
export const refusedUpgrade = (
  url: string
): Effect.Effect<{ readonly status: number | undefined; readonly headers: object }> =>
  Effect.async((resume) => {
    const ws = new WebSocket(url)
    ws.on("error", () => {})
    ws.on("unexpected-response", (request, response) => {
      resume(Effect.succeed({ status: response.statusCode, headers: response.headers }))
      request.destroy()
    })
  })

export interface Reply {
  readonly status: number
  readonly headers: Headers
  /** Parsed, unless it is HTML. */
  readonly body: any
}

export const fetched = async (url: string): Promise<Reply> => {
  const response = await fetch(url)
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: text.startsWith("<") ? text : JSON.parse(text) }
}

export const getJson = (url: string): Effect.Effect<Reply> => Effect.promise(() => fetched(url))

const plain = (text: string): string => {
  const [whole = "", fraction = ""] = text.split(".")
  const digits = fraction.replace(/0+$/, "")
  return `${whole.replace(/^0+(?=\d)/, "")}${digits === "" ? "" : `.${digits}`}`
}

const trade = (
  exchange: string,
  symbol: string,
  exchangeSymbol: string,
  id: string,
  fields: Pick<Trade, "price" | "amount" | "side" | "timestamp">,
  source: Trade["source"]
): Trade => ({
  type: "trade",
  v: 1,
  exchange,
  symbol,
  exchangeSymbol,
  id: `${exchange}:${symbol}:t:${id}`,
  ...fields,
  receivedAt: new Date().toISOString(),
  source
})

const bitpinTrade = (
  exchangeSymbol: string,
  row: any,
  eventTime: string | undefined,
  source: Trade["source"]
): Trade => {
  const [whole = "", decimals = ""] = String(row.time).split(".")
  const filled = decimals.padEnd(decimals.length > 3 ? 6 : 3, "0")
  const timestamp = row.time === undefined
    ? String(eventTime)
    : `${new Date(Number(whole) * 1000).toISOString().slice(0, 19)}.${filled}Z`
  const fields = {
    price: plain(row.price),
    amount: plain(row.base_amount),
    side: row.side,
    timestamp
  }
  return trade("bitpin", exchangeSymbol.replace("_", "/"), exchangeSymbol, row.id, fields, source)
}

/** Of all pushes so far, each id once, oldest first. Tiny trades (`"0.00"`) are left out. */
export const bitpinTrades = (documents: ReadonlyArray<any>): ReadonlyArray<Trade> => {
  const byId = new Map<string, Trade>()
  for (const { push, subscribe } of documents) {
    for (const { data } of [...(subscribe?.publications ?? []), ...(push?.pub === undefined ? [] : [push.pub])]) {
      const body = typeof data === "string" ? JSON.parse(data) : data
      for (const row of [...body.matches].reverse()) {
        const one = bitpinTrade(body.symbol, row, body.event_time, "ws")
        if (row.base_amount !== "0.00" && !byId.has(one.id)) byId.set(one.id, one)
      }
    }
  }
  return [...byId.values()]
}

export const bitpinHistory = (exchangeSymbol: string, rows: ReadonlyArray<any>): ReadonlyArray<Trade> =>
  [...rows].reverse().map((row) => bitpinTrade(exchangeSymbol, row, undefined, "rest"))

/** `[channel, body]` frames; equal ones are counted. */
export const wallexTrades = (documents: ReadonlyArray<any>, source: Trade["source"] = "ws"): ReadonlyArray<Trade> => {
  const counts = new Map<string, number>()
  return documents.filter((document) => Array.isArray(document)).map(([channel, body]) => {
    const exchangeSymbol = String(channel).replace("@trade", "")
    const symbol = exchangeSymbol.replace(/TMN$/, "/IRT").replace(/([^/])USDT$/, "$1/USDT")
    const fields = {
      price: plain(body.price),
      amount: plain(body.quantity),
      side: body.isBuyOrder ? "buy" as const : "sell" as const,
      timestamp: new Date(body.timestamp).toISOString()
    }
    const id = `${Date.parse(body.timestamp)}:${fields.side}:${fields.price}:${fields.amount}`
    const n = (counts.get(`${symbol}${id}`) ?? 0) + 1
    counts.set(`${symbol}${id}`, n)
    return trade("wallex", symbol, exchangeSymbol, `${id}:${n}`, fields, source)
  })
}
