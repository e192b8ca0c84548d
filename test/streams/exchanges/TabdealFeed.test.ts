/** Tabdeal's feed with both channels: books by socket, trades by asking for them, of the fake within the process. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Logger, LogLevel, TestClock } from "effect"
import * as FakeTabdeal from "../../../src/layers/testing/FakeTabdeal.ts"
import * as Oracle from "../../../src/layers/testing/Oracle.ts"
import type { Book, MarketEvent, Trade } from "../../../src/services/MarketEvent.ts"
import { tabdeal } from "../../../src/streams/exchanges/Tabdeal.ts"
import type * as Feed from "../../../src/streams/Feed.ts"
import { hurryClock, run, settle } from "../support/Harness.ts"

const pass = (seconds: number, each: (second: number) => void = () => {}) =>
  Effect.forEach(Array.from({ length: seconds }), (_, second) =>
    Effect.sync(() => each(second)).pipe(
      Effect.andThen(TestClock.adjust("1 second")),
      Effect.andThen(settle)
    ), { discard: true })

const booksOf = (events: ReadonlyArray<MarketEvent>) => events.filter((one): one is Book => one.type === "book")
const tradesOf = (events: ReadonlyArray<MarketEvent>) => events.filter((one): one is Trade => one.type === "trade")

const world = (options: FakeTabdeal.Options) => <A, E, R>(test: Effect.Effect<A, E, R>) =>
  TestClock.setTime(Date.parse("2026-06-11T12:59:45.100Z")).pipe(
    Effect.andThen(hurryClock),
    Effect.andThen(test),
    Effect.provide(FakeTabdeal.memory(options)),
    Logger.withMinimumLogLevel(LogLevel.None)
  )

const begin = Effect.fnUntraced(function*(channels: Feed.FeedOptions["channels"]) {
  const fake = yield* FakeTabdeal.FakeTabdeal
  const feed = yield* run(tabdeal, {
    endpoints: { apiUrl: fake.apiUrl, wsUrl: fake.wsUrl },
    channels,
    books: { depth: 20, interval: Duration.seconds(1), refresh: Duration.seconds(60), deltas: false }
  })
  yield* settle
  return { fake, feed }
})

/** What was told last of each market is the true book. */
const assertTrue = (fake: FakeTabdeal.FakeTabdealExchange, books: ReadonlyArray<Book>) => {
  for (const { exchangeSymbol, symbol } of fake.tradable) {
    const last = books.filter((one) => one.symbol === symbol).at(-1)
    const { asks, bids } = fake.book(exchangeSymbol)
    assert.deepStrictEqual<unknown>([last?.bids, last?.asks], [bids, asks], symbol)
  }
}

describe("Tabdeal's feed with both channels", () => {
  it.scoped("tells true books by socket and all trades by REST, pings, and keeps to its budget", () =>
    Effect.gen(function*() {
      const { fake, feed } = yield* begin(["trades", "books"])
      yield* pass(150, () => fake.trades(2))
      yield* pass(20)
      const events = yield* feed.rest
      const books = booksOf(events)
      assertTrue(fake, books)
      assert.isTrue(books.every(({ source, timestamp }) => source === "ws" && timestamp !== null))
      const { disordered, duplicates, foreign, unsent } = Oracle.judge(fake.issued, tradesOf(events))
      assert.deepStrictEqual({ disordered, duplicates, foreign, unsent }, {
        disordered: [],
        duplicates: [],
        foreign: [],
        unsent: []
      })
      assert.isTrue(tradesOf(events).every(({ source }) => source === "rest"))
      // Several topics a frame, one connection, which the pings have kept.
      const [connection] = fake.server.accepted
      assert.lengthOf(fake.server.accepted, 1)
      assert.lengthOf(connection?.received ?? [], 1)
      assert.strictEqual(connection?.subscriptions.size, 6)
      assert.isAtLeast(connection?.pings ?? 0, 5)
      assert.strictEqual(fake.hungUp, 0)
      assert.isAtMost(fake.mostInAMinute, 60)
      assert.deepInclude(feed.status().polling, { isAlone: false })
    }).pipe(world({ markets: 6 })))

  it.scoped("reads pictures by REST where the socket gives none, though trades are asked for all the time", () =>
    Effect.gen(function*() {
      const fake = yield* FakeTabdeal.FakeTabdeal
      fake.server.script.mute = new Set(["BTCIRT"])
      const { feed } = yield* begin(["trades", "books"])
      yield* pass(60)
      const books = booksOf(yield* feed.rest)
      const own = books.filter(({ exchangeSymbol }) => exchangeSymbol === "BTCIRT")
      assert.isAtLeast(own.length, 1)
      assert.isTrue(own.every(({ source, timestamp }) => source === "rest" && timestamp === null))
      assertTrue(fake, books)
      assert.isAtMost(fake.mostInAMinute, 60)
    }).pipe(world({ markets: 70 })))

  it.scoped("opens a socket for books alone, and asks for no trades then", () =>
    Effect.gen(function*() {
      const { fake, feed } = yield* begin(["books"])
      yield* pass(40, () => fake.trades(1))
      // A picture comes each two seconds, and is told a second after the last one at the earliest.
      yield* pass(4)
      const events = yield* feed.rest
      assertTrue(fake, booksOf(events))
      assert.lengthOf(tradesOf(events), 0)
      assert.isTrue(fake.server.restCalls.every(({ url }) => !url.includes("/trades")))
      assert.isNull(feed.status().polling)
    }).pipe(world({ markets: 2 })))
})
