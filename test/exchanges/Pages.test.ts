/** A made-up exchange that counts its trades and gives its history in pages: the whole way, from the socket to the events. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, TestClock } from "effect"
import * as Memory from "../../src/layers/testing/Memory.ts"
import * as Oracle from "../../src/layers/testing/Oracle.ts"
import type { MarketEvent, Trade } from "../../src/services/MarketEvent.ts"
import type { Exchange } from "../../src/streams/Exchange.ts"
import { hurryClock, run, settle } from "../streams/support/Harness.ts"
import * as FakeMadeUp from "./FakeMadeUp.ts"
import { numbered } from "./MadeUp.ts"

const tradesOf = (events: ReadonlyArray<MarketEvent>) =>
  events.filter((event): event is Trade => event.type === "trade")

const gapsOf = (events: ReadonlyArray<MarketEvent>) =>
  events.flatMap((event) => {
    if (event.type !== "status" || event.event !== "gap") return []
    const { cause, complete, recovered, symbol } = event
    return [`${symbol} ${cause} ${recovered} ${complete === true ? "filled" : "not filled"}`]
  })

const begin = Effect.fnUntraced(function*(exchange: Exchange, markets: number) {
  yield* hurryClock
  yield* TestClock.setTime(Date.parse("2026-06-11T12:59:45.100Z"))
  const fake = yield* FakeMadeUp.inMemory({ markets, numbered: true })
  const feed = yield* run(exchange, { endpoints: fake })
  yield* settle
  const go = (seconds: number) => TestClock.adjust(`${seconds} seconds`).pipe(Effect.andThen(settle))
  const events: Array<MarketEvent> = []
  const drain = Effect.andThen(settle, Effect.map(feed.rest, (more) => void events.push(...more)))
  /** All connections are gone, and so many trades of each market happen before they are back. */
  const away = (trades: number) =>
    Effect.gen(function*() {
      fake.server.drop(1006)
      yield* settle
      for (const { exchangeSymbol } of fake.tradable) {
        for (let n = 0; n < trades; n++) fake.trade(exchangeSymbol)
      }
    })
  const pages = () => fake.server.restCalls.map(({ url }) => url).filter((url) => url.includes("below="))
  yield* go(2)
  fake.trades(2 * markets)
  yield* drain
  return { fake, feed, go, events, drain, away, pages }
})

const clean = { missing: [], doubtful: [], unsent: [], foreign: [], wrong: [], duplicates: [], disordered: [] }

describe("a history in pages", () => {
  it.scoped("fills a hole of many pages, upwards, in order, each trade once", () =>
    Effect.gen(function*() {
      const { away, drain, events, fake, go, pages } = yield* begin(numbered, 1)
      yield* away(1_234)
      yield* go(1)
      fake.trades(3)
      yield* go(3)
      yield* drain
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
      assert.deepStrictEqual(gapsOf(events), ["BTC/IRT disconnected 1234 filled"])
      const asked = pages().map((url) => Number(url.split("below=")[1]))
      assert.deepStrictEqual(asked, Array.from({ length: 13 }, (_, i) => 103 + 100 * i))
    }).pipe(Effect.provide(Memory.network)))

  it.scoped("goes on when the trades behind it were told to have waited long enough, under the same id", () =>
    Effect.gen(function*() {
      const { away, drain, events, fake, go } = yield* begin({
        ...numbered,
        limits: { ...numbered.limits, restPerMinute: 20 }
      }, 1)
      yield* away(2_500)
      yield* go(1)
      fake.trades(1)
      yield* go(6)
      fake.trades(1)
      yield* go(180)
      yield* drain
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
      assert.deepStrictEqual(gapsOf(events), [
        // By then the budget was used up.
        "BTC/IRT disconnected 1900 not filled",
        "BTC/IRT disconnected 2500 filled"
      ])
    }).pipe(Effect.provide(Memory.network)))

  it.scoped("asks nobody where the next number follows", () =>
    Effect.gen(function*() {
      const { away, drain, events, fake, go, pages } = yield* begin(numbered, 1)
      fake.server.script.rest = "hang"
      yield* away(0)
      yield* go(1)
      fake.trades(1)
      yield* drain
      assert.strictEqual(tradesOf(events).length, 3)
      assert.deepStrictEqual(gapsOf(events), [])
      assert.isAtMost(pages().length, 1)
    }).pipe(Effect.provide(Memory.network)))

  it.scoped("markets take turns, page by page, however much one of them trades", () =>
    Effect.gen(function*() {
      const { away, fake, go, pages } = yield* begin(
        { ...numbered, limits: { ...numbered.limits, restPerMinute: 40 } },
        6
      )
      const [busy] = fake.tradable
      if (busy !== undefined) { for (let n = 0; n < 50; n++) fake.trade(busy.exchangeSymbol) }
      yield* away(500)
      yield* go(240)
      const markets = pages().map((url) => url.split("/history/")[1]?.split("?")[0])
      // Of five full pages a market, and one that says that there is no more: those whose history is asked at the same time may be ahead.
      for (let n = 1; n <= 36; n++) {
        const counts = fake.tradable.map(({ exchangeSymbol }) =>
          markets.slice(0, n).filter((one) => one === encodeURIComponent(exchangeSymbol)).length
        )
        assert.isAtMost(Math.max(...counts) - Math.min(...counts), 2, markets.slice(0, n).join(" "))
      }
    }).pipe(Effect.provide(Memory.network)))
})

describe("a number that is missing on a living connection", () => {
  it.scoped("holds nothing up, and comes from the history a second later", () =>
    Effect.gen(function*() {
      const { drain, events, fake, go, pages } = yield* begin(numbered, 1)
      fake.server.script.mute = "all"
      fake.trades(3)
      fake.server.heal()
      fake.trades(1)
      yield* drain
      assert.deepStrictEqual(tradesOf(events).map(({ id }) => id.split(":t:")[1]), ["1", "2", "6"])
      yield* go(0.9)
      assert.lengthOf(pages(), 0)
      yield* go(0.2)
      yield* drain
      assert.deepStrictEqual(
        tradesOf(events).map(({ id, source }) => `${id.split(":t:")[1]} ${source}`),
        ["1 ws", "2 ws", "6 ws", "3 rest", "4 rest", "5 rest"]
      )
      assert.deepStrictEqual(gapsOf(events), ["BTC/IRT sequence 3 filled"])
      assert.lengthOf(pages(), 1)
    }).pipe(Effect.provide(Memory.network)))

  it.scoped("is told after 30 s while the history cannot be had, and filled when it can", () =>
    Effect.gen(function*() {
      const { drain, events, fake, go } = yield* begin(numbered, 1)
      fake.server.script.rest = "hang"
      fake.server.script.mute = "all"
      fake.trades(1)
      fake.server.script.mute = new Set()
      fake.trades(1)
      yield* go(29)
      yield* drain
      assert.deepStrictEqual(gapsOf(events), [])
      yield* go(2)
      yield* drain
      assert.deepStrictEqual(gapsOf(events), ["BTC/IRT sequence 0 not filled"])
      fake.server.heal()
      yield* go(700)
      yield* drain
      assert.deepStrictEqual(gapsOf(events).slice(0, 2), ["BTC/IRT sequence 0 not filled", "BTC/IRT sequence 1 filled"])
    }).pipe(Effect.provide(Memory.network)))
})
