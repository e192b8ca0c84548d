/** What a feed of the fakes told, and what is told when the capture of it is played again. On virtual time. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Either, Logger, LogLevel, TestClock } from "effect"
import { readFileSync } from "node:fs"
import path from "node:path"
import * as BookReader from "../../src/layers/testing/BookReader.ts"
import * as FakeBinance from "../../src/layers/testing/FakeBinance.ts"
import * as FakeBitpin from "../../src/layers/testing/FakeBitpin.ts"
import * as FakeBybit from "../../src/layers/testing/FakeBybit.ts"
import * as FakeCoinbase from "../../src/layers/testing/FakeCoinbase.ts"
import type { FakeExchange } from "../../src/layers/testing/FakeExchange.ts"
import * as FakeKraken from "../../src/layers/testing/FakeKraken.ts"
import * as FakeNobitex from "../../src/layers/testing/FakeNobitex.ts"
import * as FakeOkx from "../../src/layers/testing/FakeOkx.ts"
import * as FakeRamzinex from "../../src/layers/testing/FakeRamzinex.ts"
import * as FakeTabdeal from "../../src/layers/testing/FakeTabdeal.ts"
import * as FakeWallex from "../../src/layers/testing/FakeWallex.ts"
import type { MarketEvent } from "../../src/services/MarketEvent.ts"
import type { BooksOptions } from "../../src/streams/books/Options.ts"
import * as Capture from "../../src/streams/Capture.ts"
import { exchanges } from "../../src/streams/exchanges/index.ts"
import type * as Feed from "../../src/streams/Feed.ts"
import { hurryClock, run, settle } from "./support/Harness.ts"

/** An exchange that knows its own books. */
interface Fake extends Omit<FakeExchange, "id"> {
  readonly id: keyof typeof exchanges
  readonly book: (exchangeSymbol: string) => {
    readonly bids: ReadonlyArray<readonly [string, string]>
    readonly asks: ReadonlyArray<readonly [string, string]>
  }
  /** Some of its books change. Left out: they do by themselves. */
  readonly bookChanges?: (count: number) => void
}

/** Of each change a book at once, none again: so a replay tells them. */
const eachState: BooksOptions = { depth: 20, interval: Duration.zero, refresh: Duration.zero, deltas: false }

const begin = (fake: Fake, options: Partial<Feed.FeedOptions> = {}) =>
  Effect.gen(function*() {
    yield* hurryClock
    const stop = yield* Deferred.make<void>()
    const lines = [Capture.header(fake.id)]
    const feed = yield* run(exchanges[fake.id], {
      endpoints: { apiUrl: fake.apiUrl, wsUrl: fake.wsUrl },
      channels: ["trades", "books"],
      books: eachState,
      // As a replay is called: numbers that are counted by us are then the same.
      collector: "replay",
      subscriptionsPerConnection: 5,
      stop: Deferred.await(stop),
      recorder: Capture.recorder((line) => lines.push(line)),
      ...options
    })
    const end = Effect.zipRight(Deferred.succeed(stop, undefined), feed.ended)
    const told = Effect.zipRight(end, Effect.map(feed.rest, (events) => ({ events, lines })))
    return { feed, lines, told }
  })

/** So many seconds, in each of which books change and trades happen. */
const go = (fake: Fake, seconds: number) =>
  Effect.forEach(Array.from({ length: seconds * 2 }), () =>
    Effect.gen(function*() {
      fake.bookChanges?.(4)
      fake.trades(2)
      yield* TestClock.adjust("500 millis")
      yield* settle
    }), { discard: true })

const played = (
  lines: ReadonlyArray<string>,
  books: Pick<BooksOptions, "depth" | "deltas"> = eachState,
  failures: ReadonlyArray<readonly [reason: string, frames: number]> = []
): ReadonlyArray<MarketEvent> => {
  const player = Capture.replay((name) => Object.values(exchanges).find(({ id }) => id === name), books)
  const events = lines.flatMap((line) => Either.getOrThrow(player.line(line)))
  assert.deepStrictEqual([...player.summary().failures], failures)
  return events
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

const tradesOf = (events: ReadonlyArray<MarketEvent>) =>
  plain(events.filter(({ type }) => type === "trade").toSorted((a, b) => a.id < b.id ? -1 : 1))

/** By market: markets of one moment may change places. */
const booksOf = (events: ReadonlyArray<MarketEvent>) =>
  plain(
    events.filter(({ type }) => type === "book").toSorted((a, b) => (a.symbol ?? "").localeCompare(b.symbol ?? ""))
  )

const holesOf = (events: ReadonlyArray<MarketEvent>) =>
  plain(
    events.flatMap((event) =>
      event.type === "status" && event.event === "gap" && event["channel"] === "books"
        ? [[event.symbol, event["cause"], event["from"], event["to"], event["complete"]].join(" ")]
        : []
    ).toSorted()
  )

const typesOf = (lines: ReadonlyArray<string>): ReadonlySet<string> =>
  new Set(lines.map((line) => JSON.parse(line).type))

const assertSame = ({ events, lines }: { events: ReadonlyArray<MarketEvent>; lines: ReadonlyArray<string> }) => {
  const again = played(lines)
  assert.deepStrictEqual(tradesOf(again), tradesOf(events))
  assert.deepStrictEqual(booksOf(again), booksOf(events))
  assert.deepStrictEqual(holesOf(again), holesOf(events))
  // And always the same.
  assert.deepStrictEqual(plain(played(lines)), plain(again))
}

/** By the changes too, a reader ends with the books as they are. */
const assertBooks = (
  exchange: string,
  books: ReadonlyArray<readonly [symbol: string, book: ReturnType<Fake["book"]>]>,
  lines: ReadonlyArray<string>
) => {
  for (const deltas of [false, true]) {
    const reader = BookReader.make()
    reader.read(played(lines, { depth: "all", deltas }))
    for (const [symbol, { asks, bids }] of books) {
      assert.deepStrictEqual(reader.book(`${exchange}:${symbol}`), { bids, asks }, `${symbol} ${deltas}`)
    }
  }
}

const over = (fake: Fake, options: Partial<Feed.FeedOptions> = {}) =>
  Effect.gen(function*() {
    const { told } = yield* begin(fake, options)
    yield* go(fake, 15)
    fake.server.drop(1006)
    yield* go(fake, 10)
    fake.server.drop("reset")
    yield* go(fake, 30)
    // What the fake says by itself, or was asked for, has come.
    yield* Effect.forEach(Array.from({ length: 15 }), () => Effect.zipRight(TestClock.adjust("1 second"), settle))
    const books = fake.tradable.map(({ exchangeSymbol, symbol }) => [symbol, fake.book(exchangeSymbol)] as const)
    const { events, lines } = yield* told
    assert.isAbove(events.filter(({ type }) => type === "trade").length, 50)
    assertSame({ events, lines })
    if (options.channels?.includes("books") !== false) {
      assert.isAbove(events.filter(({ type }) => type === "book").length, 50)
      assertBooks(fake.id, books, lines)
    }
    assert.isTrue(typesOf(lines).has("rest"))
  })

const quietly = <A, E, R>(test: Effect.Effect<A, E, R>) =>
  TestClock.setTime(Date.parse("2026-06-11T12:59:45.100Z")).pipe(
    Effect.andThen(test),
    Logger.withMinimumLogLevel(LogLevel.None)
  )

const nobitex = Effect.map(FakeNobitex.FakeNobitex, (fake): Fake => {
  let turn = 0
  return Object.assign(fake, {
    bookChanges: (count: number) => {
      for (let n = 0; n < count; n++) {
        const market = fake.tradable[turn++ % fake.tradable.length]
        if (market !== undefined) fake.moveBook(market.exchangeSymbol)
      }
    }
  })
})

describe("a capture of both channels gives what was told", () => {
  it.scoped("BitPin's", () =>
    Effect.flatMap(FakeBitpin.FakeBitpin, over).pipe(quietly, Effect.provide(FakeBitpin.memory({ markets: 6 }))))
  it.scoped("BitPin's, recovered from their offset", () =>
    Effect.flatMap(FakeBitpin.FakeBitpin, (fake) =>
      Effect.gen(function*() {
        const { told } = yield* begin(fake)
        yield* go(fake, 10)
        fake.server.drop(1006)
        yield* go(fake, 10)
        assertSame(yield* told)
      })).pipe(quietly, Effect.provide(FakeBitpin.memory({ markets: 6, recovery: true }))))
  it.scoped("Wallex's, one side at a time and without ids", () =>
    Effect.flatMap(FakeWallex.FakeWallex, over).pipe(quietly, Effect.provide(FakeWallex.memory({ markets: 6 }))))
  it.scoped("Nobitex's, in Toman and without ids", () =>
    Effect.flatMap(nobitex, over).pipe(quietly, Effect.provide(FakeNobitex.memory({ markets: 6 }))))
  it.scoped("Binance's", () =>
    Effect.flatMap(FakeBinance.FakeBinance, over).pipe(quietly, Effect.provide(FakeBinance.memory({ markets: 6 }))))
  it.scoped("Ramzinex's", () =>
    Effect.flatMap(FakeRamzinex.FakeRamzinex, over).pipe(quietly, Effect.provide(FakeRamzinex.memory({ markets: 6 }))))
  it.scoped("Bybit's, by changes", () =>
    Effect.flatMap(FakeBybit.FakeBybit, (fake) => {
      const book = fake.book.bind(fake)
      // By 20 levels it is asked for its stream of 50.
      return over(Object.assign(fake, { book: (exchangeSymbol: string) => book(exchangeSymbol, 50) }))
    }).pipe(quietly, Effect.provide(FakeBybit.memory({ markets: 6 }))))
  it.scoped("Coinbase's, from connections of their own", () =>
    Effect.flatMap(FakeCoinbase.FakeCoinbase, over).pipe(
      quietly,
      Effect.provide(FakeCoinbase.memory({ markets: 6, bookEvery: 250 }))
    ))
  it.scoped("Kraken's trades, from histories in pages", () =>
    Effect.flatMap(
      FakeKraken.FakeKraken,
      (fake) => over(Object.assign(fake, { book: () => ({ bids: [], asks: [] }) }), { channels: ["trades"] })
    ).pipe(
      quietly,
      Effect.provide(FakeKraken.memory({ markets: 6, snapshot: 0 }))
    ))
  it.scoped("OKX's trades, from an address of their own", () =>
    Effect.flatMap(
      FakeOkx.FakeOkx,
      (fake) => over(Object.assign(fake, { book: () => ({ bids: [], asks: [] }) }), { channels: ["trades"] })
    ).pipe(
      quietly,
      Effect.provide(FakeOkx.memory({ markets: 6 }))
    ))
  it.scoped("Tabdeal's, whose trades are polled", () =>
    Effect.flatMap(FakeTabdeal.FakeTabdeal, over).pipe(quietly, Effect.provide(FakeTabdeal.memory({ markets: 6 }))))
})

describe("what a capture needs of its lines", () => {
  const without = (lines: ReadonlyArray<string>, key: string) =>
    lines.map((line) => JSON.stringify({ ...JSON.parse(line), [key]: undefined }))

  it.scoped("commands that were sent otherwise than a replay would send them: their answers name their topics", () =>
    Effect.gen(function*() {
      const fake: Fake = yield* FakeBitpin.FakeBitpin
      fake.server.script.ignored = new Set(["ETH_IRT"])
      const { lines, told } = yield* begin(fake, { channels: ["books"], subscriptionsPerConnection: 20 })
      yield* go(fake, 12)
      // Asked for again meanwhile, by commands of which a replay knows nothing.
      fake.server.script.ignored = new Set()
      yield* go(fake, 15)
      const { events } = yield* told
      assertSame({ events, lines })
      const own = (some: ReadonlyArray<MarketEvent>) =>
        some.filter(({ symbol, type }) => type === "book" && symbol === "ETH/IRT").length
      assert.isAbove(own(events), 3)
      assert.strictEqual(own(played(without(lines, "answers"), eachState, [["unknown", 1]])), 0)
    }).pipe(quietly, Effect.provide(FakeBitpin.memory({ markets: 6 }))))

  it.scoped("markets that come later are heard from then on", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.FakeBitpin
      const { told } = yield* begin(fake, { subscriptionsPerConnection: 50, marketsRefresh: "20 seconds" })
      yield* go(fake, 5)
      fake.addMarket({ base: "NEW", quote: "IRT", price: "100" })
      yield* go(fake, 40)
      const { events, lines } = yield* told
      assert.isAbove(events.filter(({ symbol, type }) => type === "book" && symbol === "NEW/IRT").length, 3)
      assertSame({ events, lines })
      // Of trades alone, where it did not say of what.
      assert.isFalse(played(without(lines, "channels")).some(({ type }) => type === "book"))
      const old = played(lines.filter((line) => JSON.parse(line).type !== "markets"))
      assert.isFalse(old.some(({ symbol }) => symbol === "NEW/IRT"))
    }).pipe(quietly, Effect.provide(FakeBitpin.memory({ markets: 3 }))))

  it.scoped("a connection that another has replaced is heard no more", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.FakeBitpin
      const { told } = yield* begin(fake, { rotateAfter: Duration.seconds(20) })
      yield* go(fake, 30)
      fake.server.drop(1006)
      yield* go(fake, 15)
      const { events, lines } = yield* told
      assert.isTrue(lines.some((line) => line.startsWith("{\"type\":\"markets\"") && line.endsWith("\"markets\":[]}")))
      assertSame({ events, lines })
    }).pipe(quietly, Effect.provide(FakeBitpin.memory({ markets: 3 }))))

  it.scoped("a picture that was read by REST", () =>
    Effect.gen(function*() {
      const fake = yield* FakeTabdeal.FakeTabdeal
      fake.server.script.mute = new Set(["BTCIRT"])
      const { told } = yield* begin(fake, { channels: ["books"] })
      yield* go(fake, 30)
      const { events, lines } = yield* told
      const rest = events.flatMap((event) => event.type === "book" && event.source === "rest" ? [event.symbol] : [])
      assert.deepStrictEqual(rest, ["BTC/IRT"])
      assertSame({ events, lines })
      const none = played(lines.filter((line) => JSON.parse(line).type !== "rest"))
      assert.isFalse(none.some((event) => event.type === "book" && event.symbol === "BTC/IRT"))
      // By its path alone, as the channel and the market can be told by it.
      const short = lines.map((line) => {
        const { path, text, type } = JSON.parse(line)
        return type === "rest" ? JSON.stringify({ type, path, text }) : line
      })
      assert.strictEqual(
        played(short).filter(({ type }) => type === "book").length,
        events.filter(({ type }) => type === "book").length
      )
    }).pipe(quietly, Effect.provide(FakeTabdeal.memory({ markets: 3 }))))

  it.scoped("trades that are polled, without a connection", () =>
    Effect.gen(function*() {
      const fake = yield* FakeTabdeal.FakeTabdeal
      fake.trades(40)
      const { told } = yield* begin(fake, { channels: ["trades"] })
      yield* go(fake, 40)
      // Fewer rows than were traded: a hole that is told, and not filled.
      fake.server.script.history = 5
      yield* go(fake, 40)
      fake.server.script.history = undefined
      yield* go(fake, 40)
      const { events, lines } = yield* told
      assert.deepStrictEqual([...typesOf(lines)], ["capture", "rest"])
      assert.isAbove(events.filter(({ type }) => type === "trade").length, 100)
      assertSame({ events, lines })
    }).pipe(quietly, Effect.provide(FakeTabdeal.memory({ markets: 3 }))))

  it("one of the version before, which names no channels, is of trades", () => {
    const file = (name: string) =>
      readFileSync(path.resolve(import.meta.dirname, "../recordings/captures", name), "utf8").trimEnd().split("\n")
    assert.deepStrictEqual(
      plain(played(file("bitpin-trades.ndjson"))),
      file("bitpin-trades.expected.ndjson").map((line) => JSON.parse(line))
    )
  })

  it("one whose answer is about a market that nobody has named is refused", () => {
    const player = Capture.replay(() => exchanges.tabdeal)
    player.line(Capture.header("tabdeal"))
    const refused = player.line(JSON.stringify({ type: "rest", path: "/x", text: "[]" }))
    assert.match(Either.isLeft(refused) ? refused.left.message : "", /no market is known .* \/x/)
  })
})
