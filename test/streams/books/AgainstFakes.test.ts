/** Books from the fake exchanges to a reader of the topic, who ends with the fake's own book, whatever happened on the way. On virtual time. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, TestClock } from "effect"
import * as BookReader from "../../../src/layers/testing/BookReader.ts"
import * as FakeBinance from "../../../src/layers/testing/FakeBinance.ts"
import * as FakeBitpin from "../../../src/layers/testing/FakeBitpin.ts"
import * as FakeBybit from "../../../src/layers/testing/FakeBybit.ts"
import type { FakeExchange } from "../../../src/layers/testing/FakeExchange.ts"
import * as FakeKraken from "../../../src/layers/testing/FakeKraken.ts"
import * as FakeNobitex from "../../../src/layers/testing/FakeNobitex.ts"
import * as FakeOkx from "../../../src/layers/testing/FakeOkx.ts"
import * as FakeRamzinex from "../../../src/layers/testing/FakeRamzinex.ts"
import * as FakeWallex from "../../../src/layers/testing/FakeWallex.ts"
import type { MarketEvent } from "../../../src/services/MarketEvent.ts"
import { exchanges } from "../../../src/streams/exchanges/index.ts"
import { hurryClock, run, settle } from "../support/Harness.ts"

/** An exchange that knows its own books. */
interface Fake extends Omit<FakeExchange, "id"> {
  readonly id: keyof typeof exchanges
  readonly book: (exchangeSymbol: string) => {
    readonly bids: ReadonlyArray<readonly [string, string]>
    readonly asks: ReadonlyArray<readonly [string, string]>
  }
  readonly bookChanges: (count: number) => void
}

const start = (fake: Fake, deltas: boolean, depth: number | "all" = "all") =>
  Effect.gen(function*() {
    yield* hurryClock
    const stop = yield* Deferred.make<void>()
    const feed = yield* run(exchanges[fake.id], {
      endpoints: { apiUrl: fake.apiUrl, wsUrl: fake.wsUrl },
      channels: ["trades", "books"],
      books: { depth, interval: Duration.seconds(1), refresh: Duration.seconds(60), deltas },
      subscriptionsPerConnection: 5,
      stop: Deferred.await(stop)
    })
    return { feed, stop: Deferred.succeed(stop, undefined) }
  })

/** So many seconds, in each of which books change and trades happen. */
const go = (fake: Fake, seconds: number, changes: number) =>
  Effect.forEach(Array.from({ length: seconds * 4 }), () =>
    Effect.gen(function*() {
      fake.bookChanges(changes)
      fake.trades(3)
      yield* TestClock.adjust("250 millis")
      yield* settle
    }), { discard: true })

const gapsOf = (events: ReadonlyArray<MarketEvent>) =>
  events.flatMap((event) =>
    event.type === "status" && event.event === "gap" && event.channel === "books" ? [event] : []
  )

/** Each hole is told twice, with the same beginning, and nothing is told in between. */
const judgeGaps = (events: ReadonlyArray<MarketEvent>) => {
  const open = new Map<string, MarketEvent>()
  for (const event of events) {
    const key = event.symbol ?? ""
    const hole = open.get(key)
    if (event.type === "book" || event.type === "book_delta") assert.isUndefined(hole)
    const [gap] = gapsOf([event])
    if (gap === undefined) continue
    assert.strictEqual(gap["complete"], hole !== undefined)
    if (hole?.type === "status") {
      assert.deepStrictEqual([gap["from"], gap["fromSequence"], gap["gapId"]], [
        hole["from"],
        hole["fromSequence"],
        hole.id
      ])
      open.delete(key)
    } else open.set(key, gap)
  }
  assert.strictEqual(open.size, 0)
}

const same = (fake: Fake, reader: BookReader.BookReader) => {
  for (const { exchangeSymbol, symbol } of fake.tradable) {
    const { asks, bids } = fake.book(exchangeSymbol)
    assert.deepStrictEqual(reader.book(`${fake.id}:${symbol}`), { bids, asks }, symbol)
  }
}

/** `least`: so many events at least; fewer of an exchange that tells of a book once a second at most. */
const story = (fake: Fake, deltas: boolean, least = 200, depth: number | "all" = "all") =>
  Effect.gen(function*() {
    const { feed, stop } = yield* start(fake, deltas, depth)
    const reader = BookReader.make()
    yield* go(fake, 15, 5)
    for (const how of [1006, 3001, "reset"] as const) {
      fake.server.drop(how)
      yield* go(fake, 6, 5)
    }
    fake.server.halfOpen()
    // Until the dead connections are given up, and each market is heard again.
    yield* go(fake, 50, 4)
    // What is true now is told within an interval.
    yield* Effect.forEach([1, 2, 3], () => Effect.zipRight(TestClock.adjust("1 second"), settle), { discard: true })
    const events = yield* feed.rest
    reader.read(events)
    same(fake, reader)
    judgeGaps(events)
    const told = events.filter(({ type }) => type === "book" || type === "book_delta")
    assert.isTrue(told.length > least, `${told.length} events`)
    assert.isTrue(gapsOf(events).length >= 6)
    const books = feed.ledger.accounts().find(({ channel }) => channel === "books")
    assert.strictEqual(books?.received, told.length)
    assert.strictEqual(books?.inFlight, told.length)
    const status = feed.status().books
    assert.deepInclude(status, { waiting: 0, live: fake.tradable.length, doubtful: 0 })
    assert.strictEqual(Object.values(status.gaps).reduce((sum, n) => sum + n, 0), gapsOf(events).length / 2)
    if (deltas) assert.isTrue(events.some(({ type }) => type === "book_delta"))
    yield* stop
    yield* settle
  })

/** By all levels of its books, and not by the best 20. */
const wholly = (fake: FakeBinance.FakeBinanceExchange): Fake => {
  const book = fake.book.bind(fake)
  return Object.assign(fake, { book: (exchangeSymbol: string) => book(exchangeSymbol, 5_000) })
}

describe("Books against the fakes", () => {
  for (const deltas of [false, true]) {
    const how = deltas ? "changes" : "pictures"
    it.scoped(`BitPin's ${how}: a reader ends with the fake's book, over lost connections`, () =>
      Effect.flatMap(FakeBitpin.FakeBitpin, (fake) => story(fake, deltas)).pipe(
        Effect.provide(FakeBitpin.memory({ markets: 6 }))
      ))
    it.scoped(`BitPin's ${how}, recovered from their offset: the same`, () =>
      Effect.flatMap(FakeBitpin.FakeBitpin, (fake) => story(fake, deltas)).pipe(
        Effect.provide(FakeBitpin.memory({ markets: 6, recovery: true }))
      ))
    it.scoped(`Wallex's ${how}: the same, one side at a time`, () =>
      Effect.flatMap(FakeWallex.FakeWallex, (fake) => story(fake, deltas)).pipe(
        Effect.provide(FakeWallex.memory({ markets: 6 }))
      ))
    it.scoped(`Nobitex's ${how}: the same, in Toman`, () =>
      Effect.flatMap(FakeNobitex.FakeNobitex, (fake) => {
        let turn = 0
        const bookChanges = (count: number) => {
          for (let n = 0; n < count; n++) {
            const market = fake.tradable[turn++ % fake.tradable.length]
            if (market !== undefined) fake.moveBook(market.exchangeSymbol)
          }
        }
        return story(Object.assign(fake, { bookChanges }), deltas)
      }).pipe(Effect.provide(FakeNobitex.memory({ markets: 6 }))))
    it.scoped(`Ramzinex's ${how}: the same, its asks the wrong way round`, () =>
      Effect.flatMap(FakeRamzinex.FakeRamzinex, (fake) => story(fake, deltas)).pipe(
        Effect.provide(FakeRamzinex.memory({ markets: 6 }))
      ))
    it.scoped(`Binance's ${how}: the same, by changes that go on from a picture by REST`, () =>
      Effect.flatMap(FakeBinance.FakeBinance, (fake) => story(wholly(fake), deltas, 150, 100)).pipe(
        Effect.provide(FakeBinance.memory({ markets: 6 }))
      ))
    it.scoped(`OKX's ${how}: the same, by changes that follow one another`, () =>
      Effect.flatMap(FakeOkx.FakeOkx, (fake) => story(fake, deltas, 150)).pipe(
        Effect.provide(FakeOkx.memory({ markets: 6, levels: 12 }))
      ))
    it.scoped(`Kraken's ${how}: the same, each proved by its checksum`, () =>
      Effect.flatMap(FakeKraken.FakeKraken, (fake) => story(fake, deltas)).pipe(
        Effect.provide(FakeKraken.memory({ markets: 6 }))
      ))
    it.scoped(`Bybit's ${how}: the same, by changes that are counted by one`, () =>
      Effect.flatMap(FakeBybit.FakeBybit, (fake) => story(fake, deltas, 150)).pipe(
        Effect.provide(FakeBybit.memory({ markets: 6, oddities: deltas }))
      ))
  }

  it.scoped("Binance's pictures of 20 levels: the same", () =>
    Effect.flatMap(FakeBinance.FakeBinance, (fake) => story(fake, false, 150, 20)).pipe(
      Effect.provide(FakeBinance.memory({ markets: 6 }))
    ))

  it.scoped("a market that never changes has its picture 15 s after the start", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.FakeBitpin
      const { feed } = yield* start(fake, false)
      yield* Effect.forEach(Array.from({ length: 15 }), () => Effect.zipRight(TestClock.adjust("1 second"), settle))
      const reader = BookReader.make()
      reader.read(yield* feed.rest)
      same(fake, reader)
    }).pipe(Effect.provide(FakeBitpin.memory({ markets: 3 }))))
})
