/**
 * What the books of `MARKETS` markets (200) of Binance take in memory, each 1 000 or 5 000 levels a side from a picture by REST, by whether they
 * are told as changes too (what was told last is kept then): heap beyond what the same feed takes without a picture, once all are live and after
 * `CHANGES` changes (50) of 26 levels in each. Each case in a process of its own. One JSON object a line.
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Socket from "@effect/platform/Socket"
import { Duration, Effect, Layer, Stream } from "effect"
import { spawnSync } from "node:child_process"
import { setImmediate, setTimeout } from "node:timers/promises"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { MemorySocket } from "../src/layers/testing/MemorySocket.ts"
import * as FeedStatus from "../src/services/FeedStatus.ts"
import * as Ledger from "../src/services/Ledger.ts"
import type { BooksOptions } from "../src/streams/books/Options.ts"
import type { Exchange } from "../src/streams/Exchange.ts"
import { binance } from "../src/streams/exchanges/Binance.ts"
import * as Feed from "../src/streams/Feed.ts"
import { rounded } from "./support/Statistics.ts"

const markets = Number(process.env["MARKETS"] ?? 200)
const changes = Number(process.env["CHANGES"] ?? 50)

interface Case {
  /** Levels a side that an answer has. */
  readonly levels: number
  readonly deltas: boolean
}

const cases: ReadonlyArray<Case> = [
  { levels: 1_000, deltas: false },
  { levels: 1_000, deltas: true },
  { levels: 5_000, deltas: true }
]

const optionsOf = ({ deltas, levels }: Case): BooksOptions => ({
  depth: levels > 1_000 ? "all" : 100,
  interval: Duration.seconds(1),
  refresh: Duration.seconds(60),
  deltas
})

setFlagsFromString("--expose-gc")
const collect: () => void = runInNewContext("gc")

/** Bytes that are in use, without garbage. */
const used = async (): Promise<number> => {
  for (let n = 0; n < 4; n++) {
    collect()
    await setImmediate()
  }
  const { external, heapUsed } = process.memoryUsage()
  return heapUsed + external
}

const symbols = Array.from({ length: markets }, (_, n) => `M${n}USDT`)

/** As the exchange prints them: eight decimals each. */
const middle = 8_492_204
const level = (units: number, amount: number) => [(units / 100).toFixed(8), amount.toFixed(8)]

const picture = (levels: number): string => {
  const side = (sign: number) =>
    Array.from({ length: levels }, (_, n) => level(middle + sign * (n + 1), 10 * Math.random()))
  return JSON.stringify({ lastUpdateId: 1_000, bids: side(-1), asks: side(1) })
}

/** Change `n` of a market: half of its levels on each side, near the best. */
const change = (symbol: string, n: number): string => {
  const side = (sign: number) =>
    Array.from(
      { length: 13 },
      () => level(middle + sign * (1 + Math.floor(400 * Math.random() ** 2)), 10 * Math.random())
    )
  const number = 1_001 + n
  const data = { e: "depthUpdate", E: 1_790_960_630_914, s: symbol, U: number, u: number, b: side(-1), a: side(1) }
  return JSON.stringify({ stream: `${symbol.toLowerCase()}@depth@100ms`, data })
}

const list = JSON.stringify({
  symbols: symbols.map((symbol) => ({
    symbol,
    status: "TRADING",
    baseAsset: symbol.slice(0, -4),
    quoteAsset: "USDT",
    isSpotTradingAllowed: true
  }))
})

// The same exchange without its manners: a bench need not wait for its budget.
const exchange: Exchange = {
  ...binance,
  limits: {
    ...binance.limits,
    commandsPerSecond: 10_000,
    restPerMinute: 1_000_000,
    subscriptionsPerConnection: markets
  }
}

const run = async (one: Case): Promise<void> => {
  let hasPictures = false
  const api = Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request) =>
      Effect.sync(() => {
        const isBook = request.url.includes("/depth")
        const body = request.url.includes("exchangeInfo") ? list : isBook && hasPictures ? picture(one.levels) : "{}"
        return HttpClientResponse.fromWeb(request, new Response(body, { status: isBook && !hasPictures ? 500 : 200 }))
      })
    )
  )
  let socket: MemorySocket | undefined
  const sockets = Layer.succeed(Socket.WebSocketConstructor, (url) => {
    const made = new MemorySocket(url)
    socket = made
    made.server = (text) => made.push(JSON.stringify({ result: null, id: JSON.parse(text).id }))
    queueMicrotask(() => made.open())
    return made as unknown as globalThis.WebSocket
  })
  const status = FeedStatus.make([exchange.id])
  const books = () => (status.exchanges()[0] ?? FeedStatus.empty(exchange.id)).books
  await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
    yield* Feed.live(exchange, { channels: ["books"], books: optionsOf(one) }).pipe(
      Stream.runDrain,
      Effect.provideService(FeedStatus.FeedStatus, status),
      Effect.provideService(Ledger.Ledger, Ledger.make()),
      Effect.provide(Layer.merge(api, sockets)),
      Effect.forkScoped
    )
    yield* Effect.promise(async () => {
      while (books().waiting < markets) await setTimeout(10)
      await setTimeout(500)
      const without = await used()
      hasPictures = true
      // What was asked for in vain is asked for again in half a minute.
      while (books().live < markets) await setTimeout(50)
      await setTimeout(1_500)
      const live = (await used()) - without
      for (let n = 0; n < changes; n++) {
        for (const symbol of symbols) socket?.push(change(symbol, n))
        while (books().parts.applied < (n + 1) * markets) await setImmediate()
      }
      await setTimeout(1_500)
      const later = (await used()) - without
      if (books().live !== markets) throw new Error("a book became doubtful")
      console.log(JSON.stringify({
        bench: "books.memory",
        exchange: exchange.id,
        markets,
        ...one,
        liveMiB: rounded(live / 2 ** 20),
        changedMiB: rounded(later / 2 ** 20),
        bytesPerLevel: rounded(later / (2 * one.levels * markets)),
        rssMiB: Math.round(process.memoryUsage.rss() / 2 ** 20)
      }))
    })
  })))
  process.exit(0)
}

const [, file = "", asked] = process.argv
if (asked !== undefined) await run(JSON.parse(asked))
else {
  for (const one of cases) {
    const args = [...process.execArgv, file, JSON.stringify(one)]
    if (spawnSync(process.execPath, args, { stdio: "inherit" }).status !== 0) process.exit(1)
  }
}
