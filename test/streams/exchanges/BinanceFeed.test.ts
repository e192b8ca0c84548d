/** Binance's feed against its fake within the process: holes by number, pages within the weight, notices, refusals, books. On virtual time. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, TestClock } from "effect"
import * as BookReader from "../../../src/layers/testing/BookReader.ts"
import * as FakeBinance from "../../../src/layers/testing/FakeBinance.ts"
import * as Oracle from "../../../src/layers/testing/Oracle.ts"
import type { Book, MarketEvent, Trade } from "../../../src/services/MarketEvent.ts"
import type { BooksOptions } from "../../../src/streams/books/Options.ts"
import { binance } from "../../../src/streams/exchanges/Binance.ts"
import type { FeedOptions } from "../../../src/streams/Feed.ts"
import { hurryClock, run, settle } from "../support/Harness.ts"

const tradesOf = (events: ReadonlyArray<MarketEvent>) =>
  events.filter((event): event is Trade => event.type === "trade")

const booksOf = (events: ReadonlyArray<MarketEvent>) => events.filter((event): event is Book => event.type === "book")

const gapsOf = (events: ReadonlyArray<MarketEvent>) =>
  events.flatMap((event) => {
    if (event.type !== "status" || event.event !== "gap") return []
    const { cause, channel, complete, recovered, symbol } = event
    return [`${channel} ${symbol} ${cause} ${recovered ?? "-"} ${complete === true ? "filled" : "not filled"}`]
  })

const clean = { missing: [], doubtful: [], unsent: [], foreign: [], wrong: [], duplicates: [], disordered: [] }

const begin = Effect.fnUntraced(function*(over: Partial<FeedOptions> = {}) {
  yield* hurryClock
  // Five seconds before a minute of the weight ends.
  yield* TestClock.setTime(Date.parse("2026-10-02T17:03:55.000Z"))
  const fake = yield* FakeBinance.FakeBinance
  const start = run(binance, { endpoints: { apiUrl: fake.apiUrl, wsUrl: fake.wsUrl }, ...over })
  const feed = yield* start
  const go = (seconds: number) => TestClock.adjust(`${seconds} seconds`).pipe(Effect.andThen(settle))
  const events: Array<MarketEvent> = []
  const drain = Effect.andThen(settle, Effect.map(feed.rest, (more) => void events.push(...more)))
  const asked = (what: string) => fake.server.restCalls.filter(({ url }) => url.startsWith(`/api/v3/${what}?`))
  yield* settle
  yield* go(3)
  return { fake, feed, start, go, events, drain, asked }
})

const world = (options: FakeBinance.Options) => <A, E, R>(test: Effect.Effect<A, E, R>) =>
  Effect.provide(test, FakeBinance.memory(options))

describe("a hole", () => {
  it.scoped("of three minutes and 5 000 trades is filled, upwards, in order, within the weight", () =>
    Effect.gen(function*() {
      const { asked, drain, events, fake, go } = yield* begin()
      fake.trades(4)
      yield* go(1)
      fake.server.script.upgrade = { status: 503 }
      fake.server.drop(1006)
      for (let n = 0; n < 180; n++) {
        // Of two markets one is busy.
        for (let i = 0; i < 28; i++) fake.trade("BTCUSDT")
        if (n % 30 === 0) fake.trade("ETHUSDT")
        yield* TestClock.adjust("1 second")
      }
      fake.server.heal()
      yield* go(40)
      fake.trades(4)
      yield* go(20)
      yield* drain
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
      assert.deepStrictEqual(gapsOf(events).sort(), [
        "trades BTC/USDT disconnected 5040 filled",
        "trades ETH/USDT disconnected 6 filled"
      ])
      // Each page begins with the trade that is known last.
      const first = fake.numbersOf("BTCUSDT")[1] ?? 0
      const pages = asked("historicalTrades").filter(({ url }) => url.includes("BTCUSDT"))
      assert.deepStrictEqual(
        pages.map(({ url }) => Number(url.split("fromId=")[1]) - first),
        [0, 999, 1998, 2997, 3996, 4995]
      )
      assert.isAtMost(fake.heaviest, 3_000)
      assert.deepInclude(fake, { refusals: 0, closedFor: [] })
    }).pipe(world({ markets: 2 })))

  it.scoped("of 130 markets is filled within the weight, which one minute does not have", () =>
    Effect.gen(function*() {
      const { asked, drain, events, fake, go } = yield* begin()
      fake.trades(130)
      yield* go(1)
      fake.server.drop(1006)
      yield* settle
      fake.trades(3 * 130)
      for (let n = 0; n < 14; n++) {
        yield* go(10)
        fake.trades(130)
        if (n === 1) assert.strictEqual(asked("historicalTrades").length, 119)
      }
      yield* drain
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
      // 120 histories and a list of markets.
      assert.isAtMost(fake.heaviest, 3_020)
      assert.isAbove(fake.heaviest, 2_500)
      assert.strictEqual(fake.refusals, 0)
    }).pipe(world({ markets: 130 })))

  it.scoped("behind a number that is missing on the living connection is filled a second later", () =>
    Effect.gen(function*() {
      const { asked, drain, events, fake, go } = yield* begin()
      fake.trade("BTCUSDT")
      fake.server.script.mute = "all"
      for (let n = 0; n < 3; n++) fake.trade("BTCUSDT")
      fake.server.heal()
      fake.trade("BTCUSDT")
      yield* drain
      const [first = 0] = fake.numbersOf("BTCUSDT")
      const numbers = () => tradesOf(events).map(({ id, source }) => `${Number(id.split(":t:")[1]) - first} ${source}`)
      assert.deepStrictEqual(numbers(), ["0 ws", "4 ws"])
      yield* go(1.1)
      yield* drain
      assert.deepStrictEqual(numbers(), ["0 ws", "4 ws", "1 rest", "2 rest", "3 rest"])
      assert.deepStrictEqual(gapsOf(events), ["trades BTC/USDT sequence 3 filled"])
      assert.lengthOf(asked("historicalTrades"), 1)
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)).wrong, [])
    }).pipe(world({ markets: 1 })))
})

describe("an address that has no pages", () => {
  for (const unserved of [401, 403, 404]) {
    it.scoped(`with ${unserved}: a hole within the last trades is filled, a longer one is told`, () =>
      Effect.gen(function*() {
        const { asked, drain, events, fake, feed, go } = yield* begin()
        const away = (count: number) =>
          Effect.gen(function*() {
            fake.server.drop(1006)
            yield* settle
            for (let n = 0; n < count; n++) fake.trade("BTCUSDT")
            yield* go(100)
            fake.trade("BTCUSDT")
            yield* go(5)
            yield* drain
          })
        fake.trade("BTCUSDT")
        yield* go(1)
        yield* away(900)
        assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
        assert.deepStrictEqual(gapsOf(events), ["trades BTC/USDT disconnected 900 filled"])
        yield* away(2_500)
        assert.deepStrictEqual(gapsOf(events).slice(1), ["trades BTC/USDT disconnected 0 not filled"])
        assert.deepStrictEqual(Oracle.untold(fake.issued, events), [])
        // It was found out once, and the API is not taken for one that does not answer.
        assert.lengthOf(asked("historicalTrades"), 1)
        assert.isNull(feed.status().api.message)
      }).pipe(world({ markets: 1, unserved })))
  }
})

describe("Binance's weight", () => {
  const away = (fake: FakeBinance.FakeBinanceExchange, trades: number) =>
    Effect.gen(function*() {
      fake.server.drop(1006)
      yield* settle
      for (let n = 0; n < trades; n++) fake.trade("BTCUSDT")
    })

  it.scoped("used up by others: nobody asks before the time that it names, and then all is filled", () =>
    Effect.gen(function*() {
      const { asked, drain, events, fake, go } = yield* begin()
      fake.trade("BTCUSDT")
      yield* go(3)
      yield* away(fake, 5_500)
      // Of this minute 40 seconds are left.
      yield* go(20)
      const before = asked("historicalTrades").length
      assert.isAbove(fake.refusals, 0)
      yield* go(30)
      assert.strictEqual(asked("historicalTrades").length, before)
      assert.strictEqual(fake.refusals, 1)
      yield* go(600)
      yield* drain
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
      assert.deepStrictEqual(gapsOf(events).at(-1), "trades BTC/USDT disconnected 5500 filled")
    }).pipe(world({ markets: 1, weightPerMinute: 100 })))

  it.scoped("and a ban that only its text bounds: left alone until then, told in one line", () =>
    Effect.gen(function*() {
      const { drain, events, fake, feed, go } = yield* begin()
      fake.trade("BTCUSDT")
      yield* go(5)
      fake.ban(300_000)
      const banned = fake.server.restCalls.length
      yield* away(fake, 10)
      yield* go(250)
      // One question was answered by the ban.
      assert.strictEqual(fake.server.restCalls.length - banned, 1)
      assert.include(feed.status().api.message, "HTTP 418: this address is banned for a while")
      yield* go(300)
      yield* drain
      assert.strictEqual(fake.refusals, 1)
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
    }).pipe(world({ markets: 1 })))
})

describe("Binance's connections", () => {
  it.scoped("400 markets with books are subscribed to within its limits", () =>
    Effect.gen(function*() {
      const { fake, go } = yield* begin({ channels: ["trades", "books"] })
      yield* go(10)
      assert.strictEqual(fake.subscribed, 400)
      const frames = fake.server.accepted.flatMap(({ received }) => received).map((text) => JSON.parse(text))
      assert.isAtMost(Math.max(...frames.map(({ params }) => params.length)), 200)
      assert.isAtMost(frames.length, 8)
      assert.deepStrictEqual(fake.server.accepted.map(({ subscriptions }) => subscriptions.size), [400, 400])
      assert.deepStrictEqual(fake.closedFor, [])
      assert.strictEqual(fake.server.dials.length, 2)
    }).pipe(world({ markets: 400 })))

  it.scoped("markets that are not listed any more leave it with one frame", () =>
    Effect.gen(function*() {
      const { fake, go } = yield* begin({ marketsRefresh: "10 seconds" })
      for (const { exchangeSymbol } of fake.tradable.slice(0, 12)) fake.removeMarket(exchangeSymbol)
      yield* go(20)
      const [connection] = fake.server.connections
      assert.strictEqual(connection?.subscriptions.size, 8)
      assert.lengthOf(connection?.received.filter((text) => text.includes("UNSUBSCRIBE")) ?? [], 1)
      assert.deepStrictEqual(fake.closedFor, [])
      assert.strictEqual(fake.server.dials.length, 1)
    }).pipe(world({ markets: 20 })))

  for (const raw of [false, true]) {
    it.scoped(`one that says it is about to go is replaced first, ${raw ? "raw" : "in the stream's frame"}`, () =>
      Effect.gen(function*() {
        const { drain, events, fake, go } = yield* begin()
        fake.trades(6)
        const [old] = fake.server.connections
        fake.shutdown(30_000)
        for (let n = 0; n < 60; n++) {
          fake.trades(3)
          yield* go(1)
        }
        yield* drain
        assert.strictEqual(fake.server.dials.length, 2)
        // It had left before it was ended.
        assert.strictEqual(old?.closeCode, 1000)
        assert.deepStrictEqual(gapsOf(events), [])
        assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
      }).pipe(world({ markets: 3, raw })))
  }

  it.scoped("are replaced before they are a day old, here of 24 minutes, and answer its pings all that time", () =>
    Effect.gen(function*() {
      const { rotateAfter = Duration.infinity } = binance.limits
      assert.isTrue(Duration.lessThan(rotateAfter, Duration.hours(24)))
      const { drain, events, fake, go } = yield* begin({
        rotateAfter: Duration.times(rotateAfter, 1 / 60)
      })
      for (let n = 0; n < 50; n++) {
        fake.trades(2)
        yield* go(60)
      }
      yield* drain
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
      assert.deepStrictEqual(gapsOf(events), [])
      assert.deepStrictEqual(fake.closedFor, [])
      assert.isAtLeast(fake.server.dials.length, 3)
      for (const { closeCode, pongs } of fake.server.accepted.slice(0, 2)) {
        assert.strictEqual(closeCode, 1000)
        assert.isAbove(pongs, 50)
      }
    }).pipe(world({ markets: 2, lifetime: 24 * 60_000 })))

  it.scoped("microseconds, where the address asks for them", () =>
    Effect.gen(function*() {
      const { drain, events, fake, go } = yield* begin()
      fake.trade("BTCUSDT", { time: Date.parse("2026-10-02T17:03:57.123Z"), micros: 42 })
      yield* go(1)
      yield* drain
      assert.deepStrictEqual(tradesOf(events).map(({ timestamp }) => timestamp), ["2026-10-02T17:03:57.123042Z"])
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
    }).pipe(world({ markets: 1, micros: true })))

  it.scoped("what is refused by region is told in one line that says what to do, on both ways", () =>
    Effect.gen(function*() {
      const { fake, feed, go } = yield* begin()
      fake.server.script.upgrade = { status: 451 }
      fake.server.script.rest = { status: 403, body: "<html>..</html>", headers: { "content-type": "text/html" } }
      fake.server.drop(1006)
      yield* go(90)
      const { api, lastError } = feed.status()
      for (const text of [api.message, lastError]) {
        assert.include(text, "BINANCE_API_URL=https://data-api.binance.vision")
        assert.include(text, "BINANCE_WS_URL=wss://data-stream.binance.vision/stream")
        assert.notInclude(text, "\n")
      }
      assert.include(api.message, "HTTP 403: its firewall refuses this address")
      assert.include(lastError, "Unexpected server response: 451: not served in this region")
    }).pipe(world({ markets: 1 })))
})

describe("Binance's books", () => {
  const books = (over: Partial<BooksOptions> = {}): BooksOptions => ({
    depth: 20,
    interval: Duration.seconds(1),
    refresh: Duration.seconds(60),
    deltas: false,
    ...over
  })

  const told = (fake: FakeBinance.FakeBinanceExchange, { exchangeSymbol }: Book) => fake.book(exchangeSymbol)

  it.scoped("are true by the exchange's number, which two collectors have alike", () =>
    Effect.gen(function*() {
      const { drain, events, fake, go, start } = yield* begin({ channels: ["trades", "books"], books: books() })
      const other = yield* start
      const seen = new Map<string, ReadonlyArray<unknown>>()
      const note = () => {
        for (const { exchangeSymbol, symbol } of fake.tradable) {
          const { asks, bids } = fake.book(exchangeSymbol)
          seen.set(`binance:${symbol}:b:${fake.lastUpdateId(exchangeSymbol)}`, [bids, asks])
        }
      }
      note()
      for (let n = 0; n < 200; n++) {
        fake.bookChanges(1)
        note()
        yield* go(0.1)
      }
      yield* go(2)
      yield* drain
      const mine = booksOf(events)
      const theirs = booksOf(yield* other.rest)
      assert.isAbove(mine.length, 30)
      for (const book of [...mine, ...theirs]) {
        assert.deepStrictEqual<unknown>(seen.get(book.id), [book.bids, book.asks])
        assert.strictEqual(book.id, `binance:${book.symbol}:b:${book.sequence}`)
        assert.isNull(book.timestamp)
        assert.isAtMost(book.bids.length, 20)
      }
      const last = (all: ReadonlyArray<Book>) => new Map(all.map((book) => [book.symbol, book.id]))
      assert.deepStrictEqual(last(mine), last(theirs))
      for (const book of new Map(mine.map((book) => [book.symbol, book])).values()) {
        assert.deepStrictEqual<unknown>({ bids: book.bids, asks: book.asks }, told(fake, book))
      }
    }).pipe(world({ markets: 2 })))

  it.scoped("a picture by REST has that number too, and one of the socket that is older does not stand for it", () =>
    Effect.gen(function*() {
      const { drain, events, fake, go } = yield* begin({ channels: ["books"], books: books() })
      fake.bookChanges(5)
      yield* go(2)
      fake.server.script.mute = "all"
      fake.server.drop(1006)
      yield* go(5)
      fake.bookChanges(5)
      yield* go(20)
      yield* drain
      const byRest = booksOf(events).find(({ source }) => source === "rest")
      const number = fake.lastUpdateId("BTCUSDT")
      assert.deepInclude(byRest, { sequence: String(number), id: `binance:BTC/USDT:b:${number}` })
      const { asks } = fake.picture("BTCUSDT")
      const push = (lastUpdateId: number) =>
        fake.server.frame(JSON.stringify({ stream: "btcusdt@depth20", data: { lastUpdateId, bids: [], asks } }))
      // Another of its servers is behind.
      push(number - 3)
      yield* go(70)
      yield* drain
      assert.strictEqual(booksOf(events).at(-1)?.sequence, String(number))
      push(number + 1)
      yield* go(70)
      yield* drain
      assert.strictEqual(booksOf(events).at(-1)?.sequence, String(number + 1))
      assert.deepStrictEqual(gapsOf(events), [
        "books BTC/USDT disconnected - not filled",
        "books BTC/USDT disconnected - filled"
      ])
    }).pipe(world({ markets: 1 })))

  it.scoped("below a second come ten times as often", () =>
    Effect.gen(function*() {
      const { drain, events, fake, go } = yield* begin({
        channels: ["books"],
        books: books({ interval: Duration.millis(100) })
      })
      for (let n = 0; n < 50; n++) {
        fake.bookChanges(3)
        yield* go(0.1)
      }
      yield* drain
      assert.isAbove(booksOf(events).length, 35)
    }).pipe(world({ markets: 1 })))
})

describe("Binance's books by their changes", () => {
  const all: BooksOptions = {
    depth: 100,
    interval: Duration.zero,
    refresh: Duration.zero,
    deltas: true
  }
  const reads = (events: ReadonlyArray<MarketEvent>) => {
    const reader = BookReader.make()
    reader.read(events)
    return reader
  }
  const areTrue = (fake: FakeBinance.FakeBinanceExchange, events: ReadonlyArray<MarketEvent>) => {
    const reader = reads(events)
    for (const { exchangeSymbol, symbol } of fake.tradable) {
      assert.deepStrictEqual(reader.book(`binance:${symbol}`), fake.book(exchangeSymbol, 1_000))
    }
  }
  const picturesOf = ({ server }: FakeBinance.FakeBinanceExchange) =>
    server.restCalls.filter(({ url }) => url.includes("/depth"))

  it.scoped("go on from a picture that is newer than the first of them; older ones are asked for again, and nothing is told", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBinance.FakeBinance
      fake.bookChanges(40)
      fake.staleDepths = 2
      const { drain, events, go } = yield* begin({ channels: ["books"], books: all })
      for (let second = 0; second < 100; second++) {
        fake.bookChanges(3)
        yield* go(1)
        yield* drain
        if (picturesOf(fake).length < 3) assert.deepStrictEqual(booksOf(events), [])
      }
      yield* go(2)
      yield* drain
      assert.lengthOf(picturesOf(fake), 3)
      assert.deepStrictEqual(gapsOf(events), [])
      areTrue(fake, events)
    }).pipe(world({ markets: 1 })))

  it.scoped("of 8 markets that begin at once: nothing is asked before Retry-After, trades go first, within the weight, and all are live in the end", () =>
    Effect.gen(function*() {
      const { asked, drain, events, fake, feed, go } = yield* begin({
        channels: ["trades", "books"],
        books: { ...all, depth: "all" }
      })
      const wait = (seconds: number) =>
        Effect.forEach(Array.from({ length: seconds / 5 }), () => {
          fake.bookChanges(8)
          fake.trades(8)
          return go(5)
        }, { discard: true })
      yield* wait(5)
      // One takes as much as ten histories: six fill half of a minute, and more go one by one.
      assert.isAtMost(picturesOf(fake).length, 7)
      fake.ban(90_000)
      const until = fake.server.clock.wall() + 90_000
      fake.server.script.mute = "all"
      fake.trades(8)
      fake.server.heal()
      yield* wait(85)
      // The one that was told of the ban, and those that had left before it was.
      const before = fake.server.restCalls.filter(({ at }) => at >= until - 90_000 && at < until).map(({ at }) => at)
      assert.isAtMost(Math.max(...before) - Math.min(...before), 1_000)
      const [pictures, histories] = [picturesOf(fake).length, asked("historicalTrades").length]
      yield* wait(120)
      yield* drain
      assert.isAtLeast(picturesOf(fake).length, 8)
      assert.isAbove(picturesOf(fake).length, pictures)
      assert.isAtLeast(asked("historicalTrades").length, histories + 7)
      assert.deepInclude(feed.status().books, { waiting: 0, doubtful: 0, live: 8 })
      assert.isAtMost(fake.heaviest, 3_020)
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
    }).pipe(world({ markets: 8 })))

  it.scoped("a change that does not follow makes a book doubtful, and one question whole again", () =>
    Effect.gen(function*() {
      const { drain, events, fake, go } = yield* begin({ channels: ["books"], books: all })
      fake.bookChanges(3)
      yield* go(1)
      fake.losing = new Set(["BTCUSDT"])
      fake.bookChanges(3)
      yield* go(1)
      fake.losing = new Set()
      for (let second = 0; second < 20; second++) {
        fake.bookChanges(3)
        yield* go(1)
      }
      yield* drain
      assert.deepStrictEqual(gapsOf(events), [
        "books BTC/USDT sequence - not filled",
        "books BTC/USDT sequence - filled"
      ])
      assert.lengthOf(picturesOf(fake), 2)
      areTrue(fake, events)
    }).pipe(world({ markets: 1 })))
})
