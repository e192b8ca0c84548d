/** Trades by asking for them: the real feed against the fake Tabdeal within the process, on the test's clock. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Logger, LogLevel, TestClock } from "effect"
import * as FakeTabdeal from "../../../src/layers/testing/FakeTabdeal.ts"
import * as Oracle from "../../../src/layers/testing/Oracle.ts"
import { html } from "../../../src/layers/testing/Script.ts"
import type { MarketMemory } from "../../../src/services/Checkpoint.ts"
import type { MarketEvent, Status, Trade } from "../../../src/services/MarketEvent.ts"
import { tabdeal } from "../../../src/streams/exchanges/Tabdeal.ts"
import type * as Feed from "../../../src/streams/Feed.ts"
import { hurryClock, run, type Running, settle } from "../support/Harness.ts"

const start = Date.parse("2026-06-11T12:59:45.100Z")

const begin = Effect.fnUntraced(function*(options: Partial<Feed.FeedOptions> = {}) {
  const fake = yield* FakeTabdeal.FakeTabdeal
  const stop = yield* Deferred.make<void>()
  const feed = yield* run(tabdeal, {
    endpoints: { apiUrl: fake.apiUrl, wsUrl: fake.wsUrl },
    stop: Deferred.await(stop),
    ...options
  })
  yield* settle
  return { fake, feed, stop: Effect.andThen(Deferred.succeed(stop, undefined), feed.ended) }
})

/** Time passes second by second, as it does. */
const pass = (seconds: number, each: (second: number) => void = () => {}) =>
  Effect.forEach(Array.from({ length: seconds }), (_, second) =>
    Effect.sync(() => each(second)).pipe(
      Effect.andThen(TestClock.adjust("1 second")),
      Effect.andThen(settle)
    ), { discard: true })

const tradesOf = (events: ReadonlyArray<MarketEvent>) => events.filter((one): one is Trade => one.type === "trade")

const gapsOf = (events: ReadonlyArray<MarketEvent>) =>
  events.filter((one): one is Status => one.type === "status" && one.event === "gap")

const clean = { missing: [], doubtful: [], foreign: [], wrong: [], duplicates: [], disordered: [] }

const asksOf = (fake: FakeTabdeal.FakeTabdealExchange) =>
  fake.server.restCalls.flatMap(({ at, url }) => {
    const symbol = /\/trades\?symbol=(\w+)&limit=1000$/.exec(url)?.[1]
    return symbol === undefined ? [] : [{ at: (at - start) / 1000, symbol }]
  })

/** What a checkpoint would know: the last trades that arrived. */
const remembering = (trades: ReadonlyArray<Trade>, count = 256): ReadonlyMap<string, MarketMemory> =>
  new Map(
    [...new Set(trades.map(({ symbol }) => symbol))].map((symbol) => {
      const last = trades.filter((one) => one.symbol === symbol).slice(-count)
      return [`tabdeal:${symbol}`, {
        ids: last.map(({ id }) => id),
        times: last.map(({ timestamp }) => Date.parse(timestamp ?? "")),
        lastTimestamp: last.at(-1)?.timestamp ?? null,
        exchangeSymbol: last.at(-1)?.exchangeSymbol
      }]
    })
  )

const world = (options: FakeTabdeal.Options) => <A, E, R>(test: Effect.Effect<A, E, R>) =>
  TestClock.setTime(start).pipe(
    Effect.andThen(hurryClock),
    Effect.andThen(test),
    Effect.provide(FakeTabdeal.memory(options)),
    Logger.withMinimumLogLevel(LogLevel.None)
  )

const settled = (feed: Running) => Effect.andThen(settle, feed.rest)

describe("Polling", () => {
  for (const oldestFirst of [false, true]) {
    it.scoped(`brings every trade once, in order, by REST, without a socket (${oldestFirst ? "oldest" : "newest"} first)`, () =>
      Effect.gen(function*() {
        const { fake, feed, stop } = yield* begin()
        // From before: nobody's loss.
        yield* pass(90, () => fake.trades(7))
        yield* pass(15)
        yield* stop
        const events = yield* settled(feed)
        const trades = tradesOf(events)
        assert.deepInclude(Oracle.judge(fake.issued, trades), { ...clean, unsent: [] })
        assert.strictEqual(trades.length, 630)
        assert.isTrue(trades.every(({ source }) => source === "rest"))
        assert.deepStrictEqual(gapsOf(events), [])
        assert.lengthOf(fake.server.dials, 0)
        const [account] = feed.ledger.accounts()
        assert.strictEqual(account?.inFlight, 630)
        // Windows overlap: what was known is counted as such.
        assert.isAbove(account?.filtered.get("duplicate") ?? 0, 630)
      }).pipe(world({ markets: 6, oldestFirst })))
  }

  it.scoped("begins with what happens from the first list on: older trades are nobody's loss", () =>
    Effect.gen(function*() {
      const fake = yield* FakeTabdeal.FakeTabdeal
      for (let n = 0; n < 200; n++) fake.trade("BTCIRT", { time: start - 600_000 + n * 1_000 })
      const { feed } = yield* begin()
      yield* pass(5)
      fake.trade("BTCIRT", { amount: "0.25" })
      yield* pass(15)
      const events = yield* settled(feed)
      assert.deepStrictEqual(tradesOf(events).map(({ amount }) => amount), ["0.25"])
      assert.deepStrictEqual(gapsOf(events), [])
    }).pipe(world({ markets: 1 })))

  it.scoped("asks each market each 10 s where there are few", () =>
    Effect.gen(function*() {
      const { fake, feed } = yield* begin()
      yield* pass(120)
      const asks = asksOf(fake)
      for (const { exchangeSymbol } of fake.tradable) {
        const own = asks.filter(({ symbol }) => symbol === exchangeSymbol).map(({ at }) => at)
        assert.isAtLeast(own.length, 11)
        for (let n = 1; n < own.length; n++) assert.isAtLeast((own[n] ?? 0) - (own[n - 1] ?? 0), 9.9)
      }
      assert.isAtMost(fake.mostInAMinute, 60)
      assert.strictEqual(feed.status().polling?.every, 10_000)
    }).pipe(world({ markets: 4 })))

  it.scoped("asks at most 60 times a minute whatever the number of markets, each in turn, the most active first", () =>
    Effect.gen(function*() {
      const { fake, feed } = yield* begin({ marketsRefresh: "40 seconds" })
      const busy = fake.tradable.slice(-3).map(({ exchangeSymbol }) => exchangeSymbol)
      yield* pass(400, () => {
        for (const symbol of busy) fake.trade(symbol)
      })
      assert.isAtMost(fake.mostInAMinute, 60)
      assert.strictEqual(fake.refusals, 0)
      const asks = asksOf(fake).map(({ symbol }) => symbol)
      const round = fake.tradable.length
      // The budget is used: the lists take the rest.
      assert.isAtLeast(asks.length, 370)
      for (let n = 0; n + round <= asks.length; n += round) {
        const one = asks.slice(n, n + round)
        assert.strictEqual(new Set(one).size, round, "each once a round")
        // When the first round ended, some of the second were on their way.
        if (n > round) assert.sameMembers(one.slice(0, 3), busy)
      }
      // It says how often that is: 90 markets, a question each 1.02 s.
      assert.strictEqual(feed.status().polling?.every, 90 * 1020)
    }).pipe(world({ markets: 90 })))

  it.scoped("tells of a hole where an answer does not hold the last trade that is known, before the trades behind it", () =>
    Effect.gen(function*() {
      const { fake, feed } = yield* begin()
      yield* pass(3)
      for (let n = 0; n < 3; n++) fake.trade("BTCIRT")
      yield* pass(12)
      const before = tradesOf(yield* settled(feed))
      assert.lengthOf(before, 3)
      // More than an answer holds.
      for (let n = 0; n < 24; n++) fake.trade("BTCIRT", { time: start + 16_000 + n })
      yield* pass(14)
      const events = yield* settled(feed)
      const trades = tradesOf(events)
      const [gap, ...others] = gapsOf(events)
      assert.deepStrictEqual(others, [])
      assert.strictEqual(events[0], gap)
      assert.deepInclude(gap, {
        channel: "trades",
        symbol: "BTC/IRT",
        cause: "disconnected",
        complete: false,
        from: before[2]?.timestamp,
        to: trades[0]?.timestamp
      })
      assert.lengthOf(trades, 5)
      assert.deepStrictEqual(Oracle.untold(fake.issued, [...before, ...events]), [])
      // And it goes on from there.
      fake.trade("BTCIRT", { amount: "7" })
      yield* pass(12)
      const after = yield* settled(feed)
      assert.deepStrictEqual([tradesOf(after).map(({ amount }) => amount), gapsOf(after)], [["7"], []])
    }).pipe(world({ markets: 1, history: 5 })))

  it.scoped("an API that is away loses nothing that the next answer still holds", () =>
    Effect.gen(function*() {
      const { fake, feed } = yield* begin()
      yield* pass(20, () => fake.trades(1))
      fake.server.script.rest = html
      yield* pass(200, () => fake.trades(1))
      fake.server.heal()
      yield* pass(120)
      const events = yield* settled(feed)
      assert.deepInclude(Oracle.judge(fake.issued, tradesOf(events)), { ...clean, unsent: [] })
      assert.deepStrictEqual(gapsOf(events), [])
    }).pipe(world({ markets: 2 })))

  it.scoped("an HTML page with status 200, and a refusal by code 1216, are failures: all wait a minute after the latter", () =>
    Effect.gen(function*() {
      const { fake, feed } = yield* begin()
      yield* pass(12, () => fake.trades(1))
      fake.server.script.rest = { status: 200, body: "<!DOCTYPE html><html><body>error</body></html>" }
      yield* pass(12, () => fake.trades(1))
      assert.deepInclude(feed.status().api, { ok: false })
      assert.match(feed.status().api.message ?? "", /^body: json/)
      fake.server.script.rest = { status: 400, body: `{"code":1216,"msg":"Too many requests"}` }
      // Until one was asked; a question of before may have to wait for its turn.
      yield* pass(8)
      const asked = asksOf(fake).length
      fake.server.heal()
      yield* pass(45)
      assert.strictEqual(asksOf(fake).length, asked)
      yield* pass(90)
      const events = yield* settled(feed)
      assert.deepInclude(Oracle.judge(fake.issued, tradesOf(events)), { ...clean, unsent: [] })
    }).pipe(world({ markets: 2 })))

  it.scoped("a market that the exchange does not know is not asked again before the next list", () =>
    Effect.gen(function*() {
      const fake = yield* FakeTabdeal.FakeTabdeal
      fake.unknown.add("BTCIRT")
      const { feed } = yield* begin({ marketsRefresh: "100 seconds" })
      yield* pass(95, () => fake.trades(2))
      const asks = () => asksOf(fake).filter(({ symbol }) => symbol === "BTCIRT").length
      assert.strictEqual(asks(), 1)
      assert.strictEqual(feed.status().markets.get("BTC/IRT")?.subscription, "rejected")
      fake.unknown.clear()
      yield* pass(30)
      assert.isAtLeast(asks(), 2)
      assert.strictEqual(feed.status().markets.get("BTC/IRT")?.subscription, "active")
      assert.isAbove(tradesOf(yield* settled(feed)).filter(({ symbol }) => symbol === "BTC/IRT").length, 90)
    }).pipe(world({ markets: 2 })))

  it.scoped("a row that cannot be read harms no other, and counts once for as long as it is there", () =>
    Effect.gen(function*() {
      const { fake, feed } = yield* begin()
      yield* pass(3)
      fake.trade("BTCIRT", { amount: "1" })
      fake.trade("BTCIRT", { amount: "0" })
      fake.bad("BTCIRT")
      fake.trade("BTCIRT", { amount: "2" })
      yield* pass(60)
      const events = yield* settled(feed)
      assert.deepStrictEqual(tradesOf(events).map(({ amount }) => amount), ["1", "2"])
      assert.deepStrictEqual(feed.status().decodeFailures.get("schema"), 1)
    }).pipe(world({ markets: 1 })))

  it.scoped("a market that leaves the list is asked once more; one that comes back goes on", () =>
    Effect.gen(function*() {
      const { fake, feed } = yield* begin({ marketsRefresh: "30 seconds" })
      yield* pass(12, () => fake.trade("ETHIRT"))
      const market = fake.tradable[1]
      assert.strictEqual(market?.exchangeSymbol, "ETHIRT")
      fake.trade("ETHIRT", { amount: "3" })
      fake.list("ETHIRT", false)
      yield* pass(70)
      const asked = asksOf(fake).filter(({ symbol }) => symbol === "ETHIRT").length
      yield* pass(60)
      assert.strictEqual(asksOf(fake).filter(({ symbol }) => symbol === "ETHIRT").length, asked)
      fake.trade("ETHIRT", { amount: "4" })
      fake.list("ETHIRT", true)
      yield* pass(80)
      const events = yield* settled(feed)
      assert.deepInclude(Oracle.judge(fake.issued, tradesOf(events)), { ...clean, unsent: [] })
      assert.deepStrictEqual(Oracle.untold(fake.issued, events), [])
    }).pipe(world({ markets: 2 })))

  it.scoped("hands over what was answered when it is told to stop, and asks nothing more", () =>
    Effect.gen(function*() {
      const { fake, feed, stop } = yield* begin()
      yield* pass(4)
      fake.trades(20)
      yield* pass(11)
      yield* stop
      const asked = fake.server.restCalls.length
      yield* pass(30)
      assert.strictEqual(fake.server.restCalls.length, asked)
      assert.lengthOf(tradesOf(yield* settled(feed)), 20)
    }).pipe(world({ markets: 2 })))
})

describe("Polling after a restart", () => {
  const life = (memory: ReadonlyMap<string, MarketMemory>, between: (fake: FakeTabdeal.FakeTabdealExchange) => void) =>
    Effect.gen(function*() {
      const fake = yield* FakeTabdeal.FakeTabdeal
      between(fake)
      const { feed, stop } = yield* begin({ memory })
      yield* pass(10)
      yield* stop
      return yield* settled(feed)
    })

  it.scoped("fetches what was missed, without a duplicate id", () =>
    Effect.gen(function*() {
      const fake = yield* FakeTabdeal.FakeTabdeal
      const first = yield* Effect.gen(function*() {
        const { feed, stop } = yield* begin()
        yield* pass(3)
        yield* pass(20, () => fake.trades(2))
        yield* stop
        return tradesOf(yield* settled(feed))
      })
      yield* pass(30, () => fake.trades(2))
      const second = yield* life(remembering(first), () => {})
      const delivered = [...first, ...tradesOf(second)]
      assert.deepInclude(Oracle.judge(fake.issued, delivered), { ...clean, unsent: [] })
      assert.lengthOf(delivered, 100)
      const gaps = gapsOf(second)
      assert.deepStrictEqual(gaps.map(({ symbol }) => symbol).sort(), ["BTC/IRT", "ETH/IRT"])
      for (const gap of gaps) assert.deepInclude(gap, { cause: "restart", complete: true })
    }).pipe(world({ markets: 2 })))

  it.scoped("remembers too few ids to know all rows of an answer: what is older is not told again", () =>
    Effect.gen(function*() {
      const fake = yield* FakeTabdeal.FakeTabdeal
      const first = yield* Effect.gen(function*() {
        const { feed, stop } = yield* begin()
        yield* pass(3)
        yield* pass(10, () => fake.trades(10))
        yield* pass(15)
        yield* stop
        return tradesOf(yield* settled(feed))
      })
      assert.lengthOf(first, 100)
      fake.trades(5)
      const second = yield* life(remembering(first, 10), () => {})
      assert.lengthOf(tradesOf(second), 5)
      assert.deepInclude(Oracle.judge(fake.issued, [...first, ...tradesOf(second)]), { ...clean, unsent: [] })
    }).pipe(world({ markets: 1 })))

  it.scoped("tells of a restart's hole that the answer does not reach over", () =>
    Effect.gen(function*() {
      const fake = yield* FakeTabdeal.FakeTabdeal
      const first = yield* Effect.gen(function*() {
        const { feed, stop } = yield* begin()
        yield* pass(3)
        fake.trades(3)
        yield* pass(15)
        yield* stop
        return tradesOf(yield* settled(feed))
      })
      fake.trades(20)
      const second = yield* life(remembering(first), () => {})
      assert.deepInclude(gapsOf(second)[0], {
        cause: "restart",
        complete: false,
        from: first[2]?.timestamp,
        to: tradesOf(second)[0]?.timestamp
      })
      assert.lengthOf(tradesOf(second), 5)
      assert.deepStrictEqual(Oracle.untold(fake.issued, [...first, ...second]), [])
    }).pipe(world({ markets: 1, history: 5 })))
})

describe("An exchange of which only trades are wanted", () => {
  it.scoped("opens no socket, and its state says how often it asks", () =>
    Effect.gen(function*() {
      const { fake, feed } = yield* begin()
      yield* pass(60)
      assert.lengthOf(fake.server.dials, 0)
      assert.deepStrictEqual(feed.status().polling, { every: Duration.toMillis("10 seconds"), isAlone: true })
      assert.isNotNull(feed.status().lastDataAt)
      // Nothing has to find out whether the API is there: that is seen.
      assert.isTrue(fake.server.restCalls.every(({ url }) => !url.endsWith("/ping")))
    }).pipe(world({ markets: 3 })))
})
