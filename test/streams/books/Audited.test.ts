/** Binance's books that changes keep, proved by whole pictures beside them and by fresh ones: against its fake, on virtual time. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, TestClock } from "effect"
import { isDeepStrictEqual } from "node:util"
import * as BookReader from "../../../src/layers/testing/BookReader.ts"
import * as FakeBinance from "../../../src/layers/testing/FakeBinance.ts"
import type { MarketEvent } from "../../../src/services/MarketEvent.ts"
import { booksOf } from "../../../src/streams/books/Declared.ts"
import type { Exchange } from "../../../src/streams/Exchange.ts"
import { binance } from "../../../src/streams/exchanges/Binance.ts"
import { hurryClock, run, settle } from "../support/Harness.ts"

const told = { depth: 50, interval: Duration.seconds(1), refresh: Duration.seconds(60), deltas: true }

/** The same exchange, of which nobody is said that it has pictures beside. */
const unproved: Exchange = {
  ...binance,
  ...binance.books === undefined ? {} : {
    books: { ...binance.books, by: (options) => ({ ...booksOf(binance, options), beside: undefined }) }
  }
}

const begin = Effect.fnUntraced(function*(exchange: Exchange = binance) {
  yield* hurryClock
  yield* TestClock.setTime(Date.parse("2026-10-02T17:03:55.000Z"))
  const fake = yield* FakeBinance.FakeBinance
  const feed = yield* run(exchange, {
    endpoints: { apiUrl: fake.apiUrl, wsUrl: fake.wsUrl },
    channels: ["books"],
    books: told
  })
  const reader = BookReader.make()
  const gaps: Array<readonly [symbol: string | undefined, cause: unknown, complete: unknown]> = []
  const stale: Array<readonly [symbol: string | undefined, remedy: unknown]> = []
  const read = Effect.map(feed.rest, (events: ReadonlyArray<MarketEvent>) => {
    reader.read(events)
    for (const event of events) {
      if (event.type === "status" && event.event === "gap") gaps.push([event.symbol, event["cause"], event["complete"]])
      if (event.type === "status" && event.event === "stale") stale.push([event.symbol, event["remedy"]])
    }
  })
  /** `changes` in each second, over all markets. */
  const go = (seconds: number, changes: number) =>
    Effect.forEach(Array.from({ length: seconds * 4 }), () =>
      Effect.gen(function*() {
        fake.bookChanges(Math.ceil(changes / 4))
        yield* TestClock.adjust("250 millis")
        yield* settle
        yield* read
      }), { discard: true })
  /** Markets of which a reader has another book than the exchange. */
  const wrong = () =>
    fake.tradable.filter(({ exchangeSymbol, symbol }) =>
      !isDeepStrictEqual(reader.book(`binance:${symbol}`), fake.book(exchangeSymbol, 5_000))
    ).map(({ symbol }) => symbol)
  /** Streams of whole pictures that connections have just now. */
  const beside = () =>
    [...fake.server.connections].flatMap(({ subscriptions }) =>
      [...subscriptions.keys()].filter((name) => name.endsWith("@depth20@100ms"))
    )
  const audits = () => feed.status().books.audits
  yield* settle
  return { fake, feed, go, wrong, gaps, stale, beside, audits }
})

const world = (options: FakeBinance.Options) => <A, E, R>(test: Effect.Effect<A, E, R>) =>
  Effect.provide(test, FakeBinance.memory(options))

const silent = { equal: 0, different: 0, unproven: 0, behind: 0 }

describe("Books beside pictures", () => {
  it.scoped("are compared one after the other, each with a topic that is left again, and nothing else is told of it", () =>
    Effect.gen(function*() {
      const { audits, beside, fake, feed, gaps, go, wrong } = yield* begin()
      const had = new Set<string>()
      for (let n = 0; n < 60; n++) {
        yield* go(1, 12)
        const names = beside()
        assert.isAtMost(names.length, 1)
        for (const name of names) had.add(name)
      }
      assert.deepStrictEqual(
        [...had].sort(),
        fake.tradable.map(({ exchangeSymbol }) => `${exchangeSymbol.toLowerCase()}@depth20@100ms`).sort()
      )
      const { equal, ...others } = audits()
      assert.isAbove(equal, 3)
      assert.deepStrictEqual(others, { different: 0, unproven: 0, behind: 0 })
      yield* go(1, 0)
      assert.deepStrictEqual(wrong(), [])
      assert.deepStrictEqual(gaps, [])
      assert.deepStrictEqual(feed.status().books.resyncs, { snapshot: 3 })
      assert.deepStrictEqual(fake.closedFor, [])
    }).pipe(world({ markets: 3 })))

  /** The feed's book of the first market is not the exchange's any more, and no number says so. */
  const loseLevels = ({ fake, go }: Effect.Effect.Success<ReturnType<typeof begin>>) =>
    Effect.gen(function*() {
      yield* go(3, 12)
      fake.omitting = new Set(["BTCUSDT"])
      // So many that what follows does not set them all anew.
      for (let n = 0; n < 20; n++) fake.changeBook("BTCUSDT")
      yield* go(1, 0)
      fake.omitting = new Set()
    })

  it.scoped("that have lost a level, which no number tells, are told as a hole and mended", () =>
    Effect.gen(function*() {
      const scene = yield* begin()
      const { audits, gaps, go, wrong } = scene
      yield* loseLevels(scene)
      assert.deepStrictEqual(wrong(), ["BTC/USDT"])
      // Its own turn comes within three.
      yield* go(60, 12)
      yield* go(1, 0)
      assert.deepStrictEqual(gaps, [["BTC/USDT", "checksum", false], ["BTC/USDT", "checksum", true]])
      assert.deepStrictEqual(wrong(), [])
      assert.deepInclude(audits(), { different: 1, unproven: 0, behind: 0 })
    }).pipe(world({ markets: 3 })))

  it.scoped("and without pictures nobody would ever know", () =>
    Effect.gen(function*() {
      const scene = yield* begin(unproved)
      const { audits, beside, gaps, go, wrong } = scene
      yield* loseLevels(scene)
      yield* go(60, 12)
      yield* go(1, 0)
      assert.deepStrictEqual(gaps, [])
      assert.deepStrictEqual(wrong(), ["BTC/USDT"])
      assert.deepStrictEqual(audits(), silent)
      assert.deepStrictEqual(beside(), [])
    }).pipe(world({ markets: 3 })))

  it.scoped("whose changes have ceased while pictures go on are doubtful: what they are at is long over", () =>
    Effect.gen(function*() {
      const { audits, fake, gaps, go, wrong } = yield* begin()
      yield* go(3, 12)
      fake.halting = new Set(["BTCUSDT"])
      yield* go(60, 4)
      assert.deepStrictEqual(gaps.slice(0, 1), [["BTC/USDT", "sequence", false]])
      assert.isAtLeast(audits().behind, 1)
      assert.strictEqual(audits().different, 0)
      fake.halting = new Set()
      yield* go(60, 4)
      yield* go(1, 0)
      assert.deepStrictEqual(wrong(), [])
    }).pipe(world({ markets: 1 })))

  it.scoped("whose changes have ceased are subscribed to anew when they would be without pictures, which go on", () =>
    Effect.gen(function*() {
      const { fake, go, stale } = yield* begin()
      yield* go(5, 12)
      fake.halting = new Set(["BTCUSDT"])
      yield* go(65, 4)
      assert.deepStrictEqual(stale, [["BTC/USDT", "resubscribe"]])
    }).pipe(world({ markets: 1 })))

  it.scoped("that nobody answers for are unproven, and go on", () =>
    Effect.gen(function*() {
      const { audits, fake, gaps, go, wrong } = yield* begin()
      // What is asked for before is heard.
      yield* go(2, 4)
      fake.server.script.denied = new Set(["BTCUSDT"])
      fake.server.script.ignored = new Set(["BTCUSDT"])
      yield* go(60, 4)
      yield* go(1, 0)
      assert.isAtLeast(audits().unproven, 1)
      assert.deepInclude(audits(), { different: 0, behind: 0 })
      assert.deepStrictEqual(gaps, [])
      assert.deepStrictEqual(wrong(), [])
    }).pipe(world({ markets: 1 })))
})
