/** Books as a feed's channel: pace over many markets, pictures by REST, holes of connections, what it counts. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Layer, TestClock } from "effect"
import type { Book, MarketEvent, Status } from "../../../src/services/MarketEvent.ts"
import type { BooksOptions } from "../../../src/streams/books/Options.ts"
import { bitpin } from "../../../src/streams/exchanges/Bitpin.ts"
import * as FakeApi from "../support/FakeApi.ts"
import { centrifugo, type FakeSocket, FakeSockets, layer as sockets } from "../support/FakeSockets.ts"
import { hurryClock, run, settle } from "../support/Harness.ts"

const books: BooksOptions = {
  depth: 20,
  interval: Duration.seconds(1),
  refresh: Duration.seconds(60),
  deltas: false
}

const push = (symbol: string, price: number | string, offset: number): string =>
  JSON.stringify({
    push: {
      channel: `orderbook:${symbol}`,
      pub: { data: { bids: [[String(price), "1"]], asks: [["1000000", "1"]], symbol }, offset }
    }
  })

const world = (...symbols: ReadonlyArray<string>) => kept({}, ...symbols)

/** Its pictures have these headers. */
const kept = (headers: Record<string, string>, ...symbols: ReadonlyArray<string>) =>
  Layer.mergeAll(
    sockets(centrifugo()),
    FakeApi.layer(({ path }) =>
      Effect.succeed({
        headers: path.includes("/orderbook/") ? headers : {},
        body: path.includes("/orderbook/")
          ? JSON.stringify({ bids: [["7", "1"]], asks: [["8", "1"]], event_time: 1_784_008_564_112 })
          : FakeApi.bitpinList(...symbols)
      })
    )
  )

const isBook = (event: MarketEvent): event is Book => event.type === "book"
const gapsOf = (events: ReadonlyArray<MarketEvent>) =>
  events.filter((event): event is Status => event.type === "status" && event.event === "gap")

const start = (options: Partial<BooksOptions> = {}) =>
  Effect.gen(function*() {
    const stop = yield* Deferred.make<void>()
    const feed = yield* run(bitpin, {
      channels: ["books"],
      books: { ...books, ...options },
      collector: "me",
      stop: Deferred.await(stop)
    })
    yield* settle
    return { feed, stop: Deferred.succeed(stop, undefined) }
  })

/** Time in steps, so that each timer has its turn. */
const pass = (ms: number, step = 10) =>
  Effect.forEach(
    Array.from({ length: ms / step }),
    () => Effect.zipRight(TestClock.adjust(Duration.millis(step)), settle),
    { discard: true }
  )

describe("The channel of books", () => {
  it.scoped("tells the first book at once, then one an interval, and what it counts is what it told", () =>
    Effect.gen(function*() {
      const { feed } = yield* start()
      const socket = yield* (yield* FakeSockets).accept
      yield* settle
      assert.deepStrictEqual(socket.sent.slice(1), [`{"id":2,"subscribe":{"channel":"orderbook:BTC_IRT"}}`])
      socket.push(push("BTC_IRT", 1, 1), push("BTC_IRT", 2, 2), push("BTC_IRT", 3, 3))
      yield* settle
      const first = (yield* feed.rest).filter(isBook)
      assert.deepStrictEqual(first.map(({ bids }) => bids), [[["1", "1"]]])
      yield* pass(1_000)
      const next = (yield* feed.rest).filter(isBook)
      assert.deepStrictEqual(next.map(({ bids }) => bids), [[["3", "1"]]])
      const [account] = feed.ledger.accounts()
      assert.deepInclude(account, { channel: "books", received: 2, inFlight: 2 })
      const status = feed.status()
      assert.deepInclude(status.books, { waiting: 0, live: 1, doubtful: 0, parts: { applied: 3, early: 0, old: 0 } })
      assert.deepInclude(status.markets.get("BTC/IRT")?.book, { state: "live", bestBid: "3", bestAsk: "1000000" })
    }).pipe(Effect.provide(world("BTC_IRT"))))

  const many = Array.from({ length: 1_000 }, (_, i) => `C${i}_IRT`)
  it.scoped(
    "lets of the books of 1000 markets at most 5 % of a second's leave within 10 ms",
    () =>
      Effect.gen(function*() {
        yield* hurryClock
        const { feed } = yield* start()
        const { accept } = yield* FakeSockets
        const live: Array<FakeSocket> = []
        for (let n = 0; n < 10; n++) {
          live.push(yield* accept)
          yield* TestClock.adjust("2 seconds")
          yield* settle
        }
        let offset = 0
        /** All markets change in one and the same millisecond, as those do that an exchange tells of by a timer. */
        const all = () => {
          offset += 1
          many.forEach((symbol, i) => live[Math.floor(i / 100)]?.push(push(symbol, 100 + offset, offset)))
        }
        all()
        yield* settle
        yield* feed.rest
        for (let second = 0; second < 3; second++) {
          all()
          yield* settle
          yield* pass(1_000)
          const told = (yield* feed.rest).filter(isBook)
          assert.strictEqual(told.length, 1_000)
          const times = told.map(({ sentAt }) => Date.parse(sentAt)).sort((a, b) => a - b)
          for (const at of times) {
            const within = times.filter((time) => time >= at && time <= at + 10).length
            assert.isTrue(within <= 50, `${within} within 10 ms`)
          }
        }
      }).pipe(Effect.provide(world(...many))),
    120_000
  )

  it.scoped("asks for a picture of a market that says nothing for ten seconds", () =>
    Effect.gen(function*() {
      const { feed } = yield* start()
      const { calls } = yield* FakeApi.FakeApi
      yield* pass(9_000, 1_000)
      assert.isFalse(calls.some(({ path }) => path.includes("/orderbook/")))
      yield* pass(3_000, 1_000)
      const [book, ...others] = (yield* feed.rest).filter(isBook)
      assert.deepStrictEqual(others, [])
      assert.deepInclude(book, { bids: [["7", "1"]], source: "rest", timestamp: "2026-07-14T05:56:04.112Z" })
      assert.match(book?.id ?? "", /^bitpin:BTC\/IRT:b:me:\d+:1$/)
      assert.deepStrictEqual(feed.status().books.resyncs, { snapshot: 1 })
    }).pipe(Effect.provide(world("BTC_IRT"))))

  it.scoped("takes no picture that a cache had kept since before the market was heard", () =>
    Effect.gen(function*() {
      const { feed } = yield* start()
      const { calls } = yield* FakeApi.FakeApi
      yield* pass(13_000, 1_000)
      assert.isTrue(calls.some(({ path }) => path.includes("/orderbook/")))
      assert.deepStrictEqual((yield* feed.rest).filter(isBook), [])
      assert.deepInclude(feed.status().books, { waiting: 1, live: 0 })
    }).pipe(Effect.provide(kept({ age: "60" }, "BTC_IRT"))))

  it.scoped("has half of the budget for pictures at the most", () =>
    Effect.gen(function*() {
      yield* hurryClock
      yield* start()
      const { accept } = yield* FakeSockets
      yield* accept
      yield* TestClock.adjust("2 seconds")
      yield* accept
      const { calls } = yield* FakeApi.FakeApi
      yield* pass(180_000, 1_000)
      const asked = calls.filter(({ path }) => path.includes("/orderbook/"))
      assert.isTrue(asked.length >= 60, `${asked.length} questions`)
      for (const { at } of asked) {
        const within = asked.filter((one) => one.at >= at && one.at < at + 60_000).length
        assert.isTrue(within <= 31, `${within} within a minute`)
      }
    }).pipe(Effect.provide(world(...many.slice(0, 150)))))

  it.scoped("tells a lost connection by a pair of gaps about the books that were known, with nothing between them", () =>
    Effect.gen(function*() {
      const { feed } = yield* start()
      const { accept } = yield* FakeSockets
      const socket = yield* accept
      yield* settle
      socket.push(push("BTC_IRT", 1, 1))
      yield* settle
      yield* feed.rest
      socket.drop(1006)
      yield* settle
      assert.strictEqual(feed.status().books.doubtful, 1)
      yield* pass(2_000, 1_000)
      const second = yield* accept
      yield* settle
      second.push(push("BTC_IRT", 5, 2), push("ETH_IRT", 5, 1))
      yield* settle
      const events = yield* feed.rest
      const [opened, closed, ...others] = gapsOf(events)
      assert.deepStrictEqual(others, [])
      assert.deepInclude(opened, { channel: "books", symbol: "BTC/IRT", cause: "disconnected", complete: false })
      assert.deepInclude(closed, { complete: true, from: opened?.["from"], gapId: opened?.id, cause: "disconnected" })
      assert.notStrictEqual(opened?.id, closed?.id)
      const told = events.flatMap((event) =>
        isBook(event) ? [event.symbol] : event.type === "status" && event.event === "gap" ? [event["complete"]] : []
      )
      assert.deepStrictEqual(told, [false, true, "BTC/IRT", "ETH/IRT"])
      assert.deepStrictEqual(feed.status().books.gaps, { disconnected: 1 })
    }).pipe(Effect.provide(world("BTC_IRT", "ETH_IRT"))))

  it.scoped("that is stopped tells no hole", () =>
    Effect.gen(function*() {
      const { feed, stop } = yield* start()
      const socket = yield* (yield* FakeSockets).accept
      yield* settle
      socket.push(push("BTC_IRT", 1, 1))
      yield* settle
      yield* stop
      yield* settle
      yield* pass(3_000, 1_000)
      yield* feed.ended
      assert.deepStrictEqual(gapsOf(yield* feed.rest), [])
    }).pipe(Effect.provide(world("BTC_IRT"))))

  it.scoped("tells each change by a delta that leads from the last, and an anchor each refresh", () =>
    Effect.gen(function*() {
      const { feed } = yield* start({ deltas: true, depth: "all" })
      const socket = yield* (yield* FakeSockets).accept
      yield* settle
      for (let n = 1; n <= 3; n++) socket.push(push("BTC_IRT", n, n))
      yield* settle
      yield* pass(61_000, 1_000)
      const told = (yield* feed.rest).flatMap((event) =>
        event.type === "book" || event.type === "book_delta" ? [event] : []
      )
      assert.deepStrictEqual(told.map(({ type }) => type), ["book", "book_delta", "book_delta", "book"])
      const [anchor, one, two, again] = told
      assert.strictEqual(one?.type === "book_delta" && one.previous, anchor?.sequence)
      assert.strictEqual(two?.type === "book_delta" && two.previous, one?.sequence)
      assert.deepStrictEqual(two?.bids, [["3", "1"], ["2", "0"]])
      assert.strictEqual(again?.sequence, two?.sequence)
      assert.deepStrictEqual(again?.bids, [["3", "1"]])
    }).pipe(Effect.provide(world("BTC_IRT"))))
})
