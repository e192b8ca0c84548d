/**
 * How many changes of order books a second one core keeps: frames of 26 levels for `MARKETS` markets (200) through a feed, `BOOK_INTERVAL` a
 * second, no deltas, no Kafka, beside a bare loop that reads the same frames, as doubles, into two sorted arrays and does nothing else.
 * In turn, slice by slice, of CPU time. One JSON object a line.
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Socket from "@effect/platform/Socket"
import { Duration, Effect, Layer, Stream } from "effect"
import { setImmediate } from "node:timers/promises"
import { MemorySocket } from "../src/layers/testing/MemorySocket.ts"
import * as FeedStatus from "../src/services/FeedStatus.ts"
import * as Ledger from "../src/services/Ledger.ts"
import type { Exchange } from "../src/streams/Exchange.ts"
import { okx } from "../src/streams/exchanges/Okx.ts"
import * as Feed from "../src/streams/Feed.ts"
import { BookFrames } from "./support/BookFrames.ts"
import { rounded, spread } from "./support/Statistics.ts"

const markets = Number(process.env["MARKETS"] ?? 200)
const rounds = Number(process.env["ROUNDS"] ?? 15)
const perRound = Number(process.env["PARTS"] ?? 20_000)
const levels = 26

/** Of each, not counted: a service that runs for months has its code compiled. */
const warmUp = 5

/** Frames of one read of a socket. */
const burst = 100

const frames = new BookFrames(markets)

// The same exchange without its manners: a bench need not wait for its subscriptions.
const exchange: Exchange = {
  ...okx,
  limits: { ...okx.limits, commandsPerSecond: 10_000, subscriptionsPerConnection: markets }
}

const list = JSON.stringify({
  code: "0",
  data: frames.symbols.map((instId) => ({
    instId,
    baseCcy: instId.slice(0, -5),
    quoteCcy: "USDT",
    state: "live"
  }))
})

const api = Layer.succeed(
  HttpClient.HttpClient,
  HttpClient.make((request) =>
    Effect.succeed(HttpClientResponse.fromWeb(request, new Response(request.url.includes("instruments") ? list : "{}")))
  )
)

let socket: MemorySocket | undefined

const serve = (one: MemorySocket) => {
  one.server = (text) => {
    if (text === "ping") return one.push("pong")
    const { args, op }: { readonly op: string; readonly args: ReadonlyArray<{ channel: string; instId: string }> } =
      JSON
        .parse(text)
    if (op !== "subscribe") return
    for (const arg of args) {
      one.push(JSON.stringify({ event: "subscribe", arg, connId: "a" }), frames.picture(arg.instId))
    }
  }
}

const sockets = Layer.succeed(Socket.WebSocketConstructor, (url) => {
  const made = new MemorySocket(url)
  serve(made)
  socket = made
  queueMicrotask(() => made.open())
  return made as unknown as globalThis.WebSocket
})

/** CPU time of this process so far, ms: on a machine that others use too, the clock would count their work. */
const cpu = (): number => {
  const { system, user } = process.cpuUsage()
  return (system + user) / 1000
}

interface Row {
  readonly price: number
  amount: number
}

/** What somebody writes in an afternoon: doubles in two sorted arrays, best first. */
class Bare {
  readonly books = new Map<string, { readonly bids: Array<Row>; readonly asks: Array<Row> }>()

  take(text: string): void {
    const { action, arg, data } = JSON.parse(text)
    let book = this.books.get(arg.instId)
    if (book === undefined || action === "snapshot") {
      book = { bids: [], asks: [] }
      this.books.set(arg.instId, book)
    }
    for (const { asks, bids } of data) {
      for (const row of asks) this.set(book.asks, Number(row[0]), Number(row[1]), 1)
      for (const row of bids) this.set(book.bids, Number(row[0]), Number(row[1]), -1)
    }
  }

  private set(side: Array<Row>, price: number, amount: number, sign: 1 | -1): void {
    let low = 0
    let high = side.length
    while (low < high) {
      const half = (low + high) >> 1
      if (sign * ((side[half]?.price ?? 0) - price) < 0) low = half + 1
      else high = half
    }
    const found = side[low]
    if (found?.price === price) {
      if (amount === 0) side.splice(low, 1)
      else found.amount = amount
    } else if (amount !== 0) side.splice(low, 0, { price, amount })
  }
}

const status = FeedStatus.make([exchange.id])
const books = () => (status.exchanges()[0] ?? FeedStatus.empty(exchange.id)).books
let told = 0

await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
  yield* Feed.live(exchange, {
    channels: ["books"],
    books: { depth: 20, interval: Duration.seconds(1), refresh: Duration.seconds(60), deltas: false }
  }).pipe(
    Stream.runForEach(({ type }) => Effect.sync(() => void (told += type === "book" ? 1 : 0))),
    Effect.provideService(FeedStatus.FeedStatus, status),
    Effect.provideService(Ledger.Ledger, Ledger.make()),
    Effect.provide(Layer.merge(api, sockets)),
    Effect.forkScoped
  )
  yield* Effect.promise(async () => {
    const bare = new Bare()
    while (books().live < markets) await setImmediate()
    for (const symbol of frames.symbols) bare.take(frames.picture(symbol))
    const heap = process.memoryUsage()
    const ours: Array<number> = []
    const theirs: Array<number> = []
    for (let round = 0; round < warmUp + rounds; round++) {
      const parts = Array.from({ length: perRound }, () => frames.next(levels))
      const before = books().parts.applied
      let began = cpu()
      for (let n = 0; n < perRound; n += burst) {
        socket?.push(...parts.slice(n, n + burst))
        while (books().parts.applied < before + n + burst) await setImmediate()
      }
      const our = cpu() - began
      began = cpu()
      for (const part of parts) bare.take(part)
      const their = cpu() - began
      if (round < warmUp) continue
      ours.push(perRound * 1000 / our)
      theirs.push(perRound * 1000 / their)
    }
    const { gaps, live } = books()
    if (live !== markets || Object.values(gaps).some((count) => count > 0)) throw new Error("a book became doubtful")
    const [our, their] = [spread(ours)?.median ?? NaN, spread(theirs)?.median ?? NaN]
    console.log(JSON.stringify({
      bench: "books",
      exchange: exchange.id,
      markets,
      levels,
      partsPerSecond: rounded(our),
      barePartsPerSecond: rounded(their),
      ratio: rounded(our / their),
      told,
      heapMiB: rounded(heap.heapUsed / 2 ** 20)
    }))
  })
})))
process.exit(0)
