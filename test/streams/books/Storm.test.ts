/**
 * Hundreds of Binance's books that begin at once, each by a picture that has to be asked for: within the weight, after trades' histories, in
 * order, none before the time that the exchange names, all in the end. On virtual time; what it took is printed with `STORM=1`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, TestClock } from "effect"
import * as FakeBinance from "../../../src/layers/testing/FakeBinance.ts"
import * as Oracle from "../../../src/layers/testing/Oracle.ts"
import type { MarketEvent, Trade } from "../../../src/services/MarketEvent.ts"
import type { BooksOptions } from "../../../src/streams/books/Options.ts"
import { binance } from "../../../src/streams/exchanges/Binance.ts"
import { hurryClock, run, settle } from "../support/Harness.ts"

/** By changes that go on from a picture of 1 000 levels, which weighs 50. */
const byChanges: BooksOptions = {
  depth: 100,
  interval: Duration.seconds(1),
  refresh: Duration.minutes(10),
  deltas: false
}

const weightOf = (url: string): number => url.includes("/depth") ? 50 : url.includes("rades") ? 25 : 20

const marketOf = (url: string): string => new URL(url, "http://fake").searchParams.get("symbol") ?? ""

/** The most weight of any minute that begins with a question. */
const heaviest = (asked: ReadonlyArray<{ readonly at: number; readonly url: string }>): number =>
  Math.max(
    ...asked.map(({ at: from }) =>
      asked.reduce((sum, { at, url }) => at >= from && at < from + 60_000 ? sum + weightOf(url) : sum, 0)
    )
  )

const begin = Effect.fnUntraced(function*(channels: ReadonlyArray<"trades" | "books">) {
  yield* hurryClock
  yield* TestClock.setTime(Date.parse("2026-10-02T17:03:55.000Z"))
  const fake = yield* FakeBinance.FakeBinance
  fake.server.script.restDelay = 150
  const feed = yield* run(binance, {
    endpoints: { apiUrl: fake.apiUrl, wsUrl: fake.wsUrl },
    channels,
    books: byChanges
  })
  const events: Array<MarketEvent> = []
  const startedAt = fake.server.clock.wall()
  const go = (seconds: number) =>
    Effect.repeatN(
      Effect.gen(function*() {
        fake.bookChanges(25)
        yield* Effect.andThen(TestClock.adjust("1 second"), settle)
        events.push(...yield* feed.rest)
      }),
      seconds - 1
    )
  const count = () => feed.status().books
  /** How many seconds until that is so. */
  const until = (is: () => boolean, atMost: number) =>
    Effect.gen(function*() {
      const from = fake.server.clock.wall()
      while (!is() && fake.server.clock.wall() - from < atMost * 1_000) yield* go(1)
      assert.isTrue(is(), `not within ${atMost} s: ${is} ${JSON.stringify(count())}`)
      return (fake.server.clock.wall() - from) / 1_000
    })
  const picturesSince = (from: number) =>
    fake.server.restCalls.filter(({ at, url }) => at >= from && url.includes("/depth"))
  return { count, events, fake, feed, go, picturesSince, startedAt, until }
})

const world = (markets: number) => <A, E, R>(test: Effect.Effect<A, E, R>) =>
  // Seldom, which is cheap, but within the time that a picture beside them waits for its change (`Turns.ts`).
  Effect.provide(test, FakeBinance.memory({ markets, changesEvery: 9_000 }))

describe("a start of 500 of Binance's books", () => {
  it.scoped(
    "is no storm: within the weight, histories first, quiet where that is asked, what nobody knows before what is doubtful",
    () =>
      Effect.gen(function*() {
        const { count, events, fake, feed, go, picturesSince, startedAt, until } = yield* begin(["trades", "books"])
        const { server } = fake
        const now = () => server.clock.wall()
        yield* until(() => count().live >= 60, 120)
        fake.trades(500)
        // Some that are whole already come to be doubtful.
        const doubtful = new Set(
          picturesSince(startedAt).slice(0, 3).map(({ url }) => marketOf(url))
        )
        fake.losing = doubtful
        yield* go(30)
        fake.losing = new Set()
        yield* until(() => count().doubtful === 3, 60)

        // Trades of 200 markets are lost on the way.
        const lose = (from: number, to: number) => {
          const missing = fake.tradable.slice(from, to).map(({ exchangeSymbol }) => exchangeSymbol)
          server.script.mute = "all"
          for (const symbol of missing) fake.trade(symbol)
          server.script.mute = new Set()
          for (const symbol of missing) fake.trade(symbol)
          return now()
        }
        const histories = () => server.restCalls.filter(({ url }) => url.includes("historicalTrades"))
        const areAsked = (count: number) => () => new Set(histories().map(({ url }) => marketOf(url))).size === count
        const lastHistory = () => Math.max(...histories().map(({ at }) => at))
        const lostAt = lose(0, 200)
        const filling = yield* until(areAsked(200), 300)
        // A hole is asked for a second after it was seen.
        assert.deepStrictEqual(picturesSince(lostAt + 1_500).filter(({ at }) => at <= lastHistory()), [])

        // Others on the address have used it up.
        yield* until(() => count().live >= 250, 300)
        server.script.rest = { status: 429, headers: { "retry-after": "90" }, body: "{}" }
        const asked = () => server.restCalls.length
        const sofar = asked()
        yield* until(() => asked() > sofar, 60)
        server.script.rest = undefined
        const refused = server.restCalls.slice(sofar)
        assert.lengthOf(refused, 1)
        const toldAt = refused[0]?.at ?? 0
        // When it is over nothing of the weight is used, and there is room for both.
        lose(200, 260)
        yield* go(89)
        assert.lengthOf(server.restCalls.slice(sofar), 1)
        yield* until(areAsked(260), 60)
        assert.deepStrictEqual(picturesSince(toldAt + 1).filter(({ at }) => at <= lastHistory()), [])

        yield* until(() => count().waiting === 0, 600)
        const took = (now() - startedAt) / 1_000
        yield* go(10)
        yield* until(() => count().live === 500, 60)

        // The order: no market twice before all had one, but for the one that was refused; those that were doubtful last.
        const pictures = picturesSince(startedAt).filter(({ at }) => at !== toldAt).map(({ url }) => marketOf(url))
        assert.strictEqual(new Set(pictures.slice(0, 500)).size, 500)
        assert.deepStrictEqual(new Set(pictures.slice(500)), doubtful)
        assert.lengthOf(pictures, 503)

        // 3 000 of the 6 000 are ours, in any minute, and so in each of the exchange's.
        assert.isAtMost(heaviest(server.restCalls), 3_000)
        assert.isAtMost(fake.heaviest, 3_000)
        assert.strictEqual(fake.refusals, 0)
        assert.deepStrictEqual(fake.closedFor, [])

        // What it asked, as the budget counts it: of 120 a minute (61.2 s) 108 are there for pictures.
        const units = 2 * 501 + 260
        const bound = 61.2 * (units / 108 + 1) + 90
        assert.isAtMost(took, bound)
        if (process.env["STORM"] !== undefined) console.log({ took, bound, filling, asked: asked() })

        const trades = events.filter((event): event is Trade => event.type === "trade")
        const { missing: lost, wrong } = Oracle.judge(fake.issued, trades)
        assert.deepStrictEqual({ lost, wrong }, { lost: [], wrong: [] })
        assert.deepInclude(feed.status().books.gaps, { sequence: 3 })
      }).pipe(world(500)),
    240_000
  )
})

describe("a start of Binance's books without trouble", () => {
  for (const [markets, minutes] of [[200, 4], [500, 10]] as const) {
    it.scoped(
      `has its last picture of ${markets} within ${minutes} minutes, by 3 000 of weight a minute`,
      () =>
        Effect.gen(function*() {
          const { count, fake, startedAt, until } = yield* begin(["books"])
          yield* until(() => count().live > 0, 10)
          yield* until(() => count().waiting === 0, 60 * minutes)
          const took = (fake.server.clock.wall() - startedAt) / 1_000
          if (process.env["STORM"] !== undefined) console.log({ markets, took, ...count().pictures })
          assert.deepInclude(count(), { live: markets, doubtful: 0 })
          assert.isAtMost(took, 60 * minutes)
          assert.isAtMost(heaviest(fake.server.restCalls), 3_000)
          // As the page has it: of 120 questions 108, two of them for each.
          const { perMinute, tookMs } = count().pictures
          assert.strictEqual(perMinute, 54)
          assert.isAtMost(tookMs ?? Infinity, took * 1_000)
          assert.isAtLeast(tookMs ?? 0, took * 1_000 - 10_000)
        }).pipe(world(markets)),
      240_000
    )
  }
})
