/**
 * `exchange-feeds demo`: everything but the world. Fake exchanges on loopback speak the real protocols, an in-memory stand-in for Kafka
 * goes down and comes back by script, and the real pipeline runs in between. What the exchanges know they sent decides whether anything
 * was lost.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { isDeepStrictEqual } from "node:util"
import { type Account } from "../../../services/Ledger.ts"
import type { MarketEvent, Trade } from "../../../services/MarketEvent.ts"
import * as AppConfig from "../../AppConfig.ts"
import * as AppLayer from "../../AppLayer.ts"
import * as BookReader from "../../testing/BookReader.ts"
import * as FakeBinance from "../../testing/FakeBinance.ts"
import * as FakeBitpin from "../../testing/FakeBitpin.ts"
import type { Book } from "../../testing/FakeBooks.ts"
import type { FakeExchange } from "../../testing/FakeExchange.ts"
import * as FakeKafka from "../../testing/FakeKafka.ts"
import * as FakeWallex from "../../testing/FakeWallex.ts"
import { judge } from "../../testing/Oracle.ts"

export interface Options {
  /** Ends after so long, with a summary; else runs until it is stopped. */
  readonly seconds: number | undefined
  /** Of the status page; any free one by default. */
  readonly port: number | undefined
}

const prefix = "demo"

/** Trades a second of each exchange: enough to see, little enough for the stand-in to remember them all for a day. */
const rate = 40

/** Levels of a book that are told. */
const depth = 20

/** Changes of each exchange's books, each 100 ms. */
const bookChanges = 3

const marketsOfEach = 12

/** One round of the script, seconds: Kafka goes down, comes back, an exchange drops everybody. */
const round = { length: 24, down: 6, up: 14, drop: 19 }

const say = (line: string) => Effect.sync(() => process.stdout.write(`${line}\n`))

const clockOf = (started: number) => `${((performance.now() - started) / 1000).toFixed(1).padStart(6)}s`

/** Succeeds with the exit code: 0, or 1 if anything was lost. */
export const demo = (options: Options): Effect.Effect<number, AppLayer.StartupError> =>
  Effect.scoped(Effect.gen(function*() {
    const dataDir = yield* Effect.acquireRelease(
      Effect.promise(() => mkdtemp(path.join(tmpdir(), "exchange-feeds-demo-"))),
      (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
    )
    const bitpin = yield* FakeBitpin.make({ markets: marketsOfEach, window: 4, batch: 4 })
    const wallex = yield* FakeWallex.make({ markets: marketsOfEach })
    const binance = yield* FakeBinance.make({ markets: marketsOfEach })
    // One of the fake's that are not to be collected has a name that does not fit: a warning of it would be the first thing to be read.
    for (const { exchangeSymbol, tradable } of binance.markets) if (!tradable) binance.removeMarket(exchangeSymbol)
    const exchanges = [bitpin, wallex, binance]
    const kafka = yield* Layer.build(FakeKafka.layer)
    const fake = Context.get(kafka, FakeKafka.FakeKafka)
    const started = performance.now()
    const tell = (line: string) => say(`${clockOf(started)}  ${line}`)

    const settings = yield* settingsOf({
      DATA_DIR: dataDir,
      HEALTH_PORT: String(options.port ?? 0),
      KAFKA_TOPIC_PREFIX: prefix,
      KAFKA_BREAKER_TIMEOUT: "2s",
      WS_BREAKER_TIMEOUT: "2s",
      WS_STAGGER: "100ms",
      RETRY_BASE_DELAY: "250ms",
      // BitPin drops every connection before one counts as healthy, so that delays would grow until its history has not enough.
      RETRY_MAX_DELAY: "2s",
      EXCHANGES: exchanges.map(({ id }) => id).join(","),
      CHANNELS: "trades,books",
      BOOK_DEPTH: String(depth),
      BINANCE_MARKETS: binance.tradable.map(({ symbol }) => symbol).join(","),
      ...Object.fromEntries(exchanges.flatMap(({ id, server }) => [
        [`${id.toUpperCase()}_API_URL`, server.apiUrl],
        [`${id.toUpperCase()}_WS_URL`, server.wsUrl]
      ]))
    })
    const app = yield* AppLayer.start(settings, {
      kafka: Layer.succeedContext(kafka),
      onListening: (url) => tell(`status page: ${url}/`)
    })

    yield* app.breakers.transitions.pipe(
      Stream.runForEach(({ from, name, to }) => tell(`breaker ${name}: ${from} -> ${to}`)),
      Effect.forkScoped
    )
    const spooled = yield* Ref.make(false)
    yield* app.lanes.pipe(
      Effect.flatMap((lanes) => {
        const records = lanes.reduce((sum, { queue }) => sum + queue.records, 0)
        return Effect.flatMap(Ref.getAndSet(spooled, records > 0), (before) =>
          before === (records > 0)
            ? Effect.void
            : tell(records > 0 ? "queue fills: events go to disk" : "queue drained: events go straight to Kafka again"))
      }),
      Effect.repeat(Schedule.spaced("100 millis")),
      Effect.forkScoped
    )

    yield* Effect.promise(() => Promise.all(exchanges.map((exchange) => exchange.ready())))
    const markets = exchanges.reduce((total, { tradable }) => total + tradable.length, 0)
    yield* tell(`${markets} markets of ${exchanges.length} exchanges subscribed; trades flow and order books change`)
    const stopTrading = exchanges.map((exchange) => exchange.flood(rate))
    yield* Effect.addFinalizer(() => Effect.sync(() => stopTrading.forEach((stop) => stop())))
    const changing = yield* Effect.sync(() => exchanges.forEach((exchange) => exchange.bookChanges(bookChanges))).pipe(
      Effect.repeat(Schedule.spaced("100 millis")),
      Effect.forkScoped
    )

    const script = Effect.gen(function*() {
      yield* Effect.sleep(`${round.down} seconds`)
      yield* tell("Kafka goes down")
      yield* fake.down
      yield* Effect.sleep(`${round.up - round.down} seconds`)
      yield* tell("Kafka is back")
      yield* fake.up
      yield* Effect.sleep(`${round.drop - round.up} seconds`)
      yield* tell("BitPin drops every connection (1012)")
      yield* Effect.sync(() => bitpin.server.drop(1012))
      yield* Effect.sleep(`${round.length - round.drop} seconds`)
    })
    const scripted = yield* Effect.forkScoped(Effect.forever(script))

    const ended = options.seconds === undefined ? Effect.never : Effect.sleep(`${options.seconds} seconds`)
    const exit = yield* Effect.exit(Effect.raceFirst(ended, app.ended))
    if (Exit.isFailure(exit) && !Cause.isInterruptedOnly(exit.cause)) return yield* Effect.failCause(exit.cause)

    return yield* Effect.uninterruptible(Effect.gen(function*() {
      stopTrading.forEach((stop) => stop())
      yield* Fiber.interruptAll([changing, scripted])
      yield* fake.up
      // What is on disk is to be seen arriving, so it is waited for.
      yield* app.lanes.pipe(
        Effect.repeat({
          schedule: Schedule.spaced("50 millis"),
          until: (lanes) =>
            lanes.every(({ mode, sending, waitingRecords }) => mode === "straight" && sending + waitingRecords === 0)
        }),
        Effect.interruptible,
        Effect.timeoutOption("15 seconds")
      )
      // The last change of a book is told within an interval, so a stop a moment later would leave readers behind the exchange.
      const readBooks = Effect.map(fake.records(`${prefix}.book.v1`), (records) => {
        const reader = BookReader.make()
        reader.read(records.map(({ value }): MarketEvent => JSON.parse(value)))
        return { records, wrong: unlike(exchanges, reader) }
      })
      yield* readBooks.pipe(
        Effect.repeat({ schedule: Schedule.spaced("200 millis"), until: ({ wrong }) => wrong === 0 }),
        Effect.interruptible,
        Effect.timeoutOption("15 seconds")
      )
      const durable = yield* app.stop
      const stored = yield* fake.records(`${prefix}.trade.v1`)
      const verdict = judge(
        exchanges.flatMap(({ issued }) => issued),
        stored.map(({ value }): Trade => JSON.parse(value))
      )
      const totals = totalsOf(app.ledger.accounts())
      const lost = verdict.missing.length + verdict.foreign.length + (durable ? 0 : 1)
      const books = yield* readBooks
      const replayed = [...stored, ...books.records].filter(({ headers }) => headers["spooled"] === "1").length
      yield* say(
        `received ${totals.received - totals.filtered}, delivered ${totals.delivered}, spooled ${
          replayed + totals.queued
        }, replayed ${replayed}, ` +
          `duplicates ${verdict.duplicates.length}, out of order ${verdict.disordered.length}, lost ${lost}; ` +
          `${books.records.length} pictures of order books, ${books.wrong} of ${markets} books unlike the exchange's at the end`
      )
      return lost === 0 && books.wrong === 0 && verdict.disordered.length === 0 ? 0 : 1
    }))
  }))

type Moving = FakeExchange & { readonly book: (exchangeSymbol: string) => Book }

/** So many books that a reader of the topic has otherwise than the exchange. */
const unlike = (exchanges: ReadonlyArray<Moving>, reader: BookReader.BookReader): number =>
  exchanges.flatMap((exchange) =>
    exchange.tradable.filter(({ exchangeSymbol, symbol }) => {
      const { asks, bids } = exchange.book(exchangeSymbol)
      const best = { bids: bids.slice(0, depth), asks: asks.slice(0, depth) }
      return !isDeepStrictEqual(reader.book(`${exchange.id}:${symbol}`), best)
    })
  ).length

const settingsOf = (env: Readonly<Record<string, string>>): Effect.Effect<AppConfig.Settings> =>
  AppConfig.parse(env, () => Effect.die("the demo names no file")).pipe(
    Effect.map(({ settings }) => settings),
    // Written above, not by a user.
    Effect.catchTag("ConfigInvalid", (error) => Effect.die(error))
  )

const totalsOf = (accounts: ReadonlyArray<Account>) => {
  const sum = (count: (account: Account) => number) => accounts.reduce((total, account) => total + count(account), 0)
  return {
    received: sum(({ received }) => received),
    delivered: sum(({ delivered }) => delivered),
    queued: sum(({ queued }) => queued),
    filtered: sum(({ filtered }) => [...filtered.values()].reduce((a, b) => a + b, 0))
  }
}
