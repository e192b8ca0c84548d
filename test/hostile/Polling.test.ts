/**
 * What a feed does that asks for its trades when the API behaves in one of the ways that APIs are known for. The behaviours of
 * `conformance` are those of sockets, which such a feed does not open: these stand in their place. On the test's clock.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, LogLevel, TestClock } from "effect"
import * as FakeTabdeal from "../../src/layers/testing/FakeTabdeal.ts"
import * as Oracle from "../../src/layers/testing/Oracle.ts"
import * as Script from "../../src/layers/testing/Script.ts"
import type { MarketEvent, Trade } from "../../src/services/MarketEvent.ts"
import { tabdeal } from "../../src/streams/exchanges/Tabdeal.ts"
import { hurryClock, run, settle } from "../streams/support/Harness.ts"
import * as Mutations from "./Mutations.ts"

type Fake = FakeTabdeal.FakeTabdealExchange

interface Behaviour {
  readonly name: string
  readonly begin: (fake: Fake) => void
  /** Each second while it lasts. */
  readonly each?: (fake: Fake, second: number) => void
  /** Seconds. */
  readonly lasts?: number
  /** Trades are lost at the exchange: a hole has to be told. */
  readonly loses?: boolean
  /** A hole is told; where something is missing in any case. */
  readonly tells?: boolean
}

const answering = (name: string, rest: Script.Answer): Behaviour => ({
  name,
  begin: ({ server }) => void (server.script.rest = rest)
})

const json = (status: number, body: string): Script.Answer => ({
  status,
  body,
  headers: { "content-type": "application/json" }
})

const behaviours: ReadonlyArray<Behaviour> = [
  { name: "is well", begin: () => {} },
  answering("HTTP 502 with HTML", Script.html),
  answering("HTML with status 200", { status: 200, body: "<!DOCTYPE html><html><body>busy</body></html>" }),
  answering("HTTP 503", Script.unavailable),
  answering("HTTP 429 with Retry-After", Script.tooManyRequests(20)),
  answering("code 1216 with status 400", json(400, `{"code":1216,"msg":"Too many requests"}`)),
  answering("code 1001 with status 200", json(200, `{"code":1001,"msg":"Server error"}`)),
  answering("HTTP 404 of a gateway", { status: 404, body: "<html>not here</html>" }),
  answering("empty lists", json(200, "[]")),
  answering("an object where a list belongs", json(200, "{}")),
  answering("an empty body", { status: 200, body: "" }),
  answering("a redirect", Script.redirect("http://example.com/")),
  answering("hangs", "hang"),
  {
    name: "refuses connections, then is there again",
    begin: ({ server }) => void server.refuse(),
    each: ({ server }, second) => void (second === 40 && server.listen())
  },
  { name: "answers late, each time by 4 s", begin: ({ server }) => void (server.script.restDelay = 4_000) },
  { name: "answers later than is waited for", begin: ({ server }) => void (server.script.restDelay = 11_000) },
  {
    name: "a burst of more trades than an answer holds",
    begin: ({ server }) => void (server.script.history = 20),
    each: (fake, second) => {
      if (second === 20) {
        const now = fake.server.clock.wall()
        for (let n = 0; n < 100; n++) fake.trade("BTCIRT", { time: now + n })
      }
    },
    loses: true
  },
  {
    name: "an outage of more trades than an answer holds",
    begin: ({ server }) => {
      server.script.history = 20
      server.script.rest = Script.html
    },
    loses: true
  },
  {
    name: "rows that cannot be read",
    begin: (fake) => fake.bad("BTCIRT"),
    // What it was nobody knows.
    tells: true
  }
]

const markets = 3

const tradesOf = (events: ReadonlyArray<MarketEvent>) => events.filter((one): one is Trade => one.type === "trade")

const pass = (seconds: number, each: (second: number) => void = () => {}) =>
  Effect.forEach(Array.from({ length: seconds }), (_, second) =>
    Effect.sync(() => each(second)).pipe(
      Effect.andThen(TestClock.adjust("1 second")),
      Effect.andThen(settle)
    ), { discard: true })

const world = <A, E, R>(test: Effect.Effect<A, E, R>) =>
  TestClock.setTime(Date.parse("2026-06-11T12:59:45.100Z")).pipe(
    Effect.andThen(hurryClock),
    Effect.andThen(test),
    Effect.provide(FakeTabdeal.memory({ markets })),
    Logger.withMinimumLogLevel(LogLevel.None)
  )

/** A market that the exchange is said not to know is asked again with the next list. */
const marketsRefresh = "60 seconds"

const begun = Effect.gen(function*() {
  const fake = yield* FakeTabdeal.FakeTabdeal
  const feed = yield* run(tabdeal, { endpoints: { apiUrl: fake.apiUrl, wsUrl: fake.wsUrl }, marketsRefresh })
  yield* settle
  yield* pass(20, () => fake.trades(3))
  return { fake, feed }
})

describe("A feed that asks for its trades, while the API", () => {
  for (const { begin, each, lasts = 60, loses = false, name, tells = loses } of behaviours) {
    it.scoped(name, () =>
      Effect.gen(function*() {
        const { fake, feed } = yield* begun
        begin(fake)
        yield* pass(lasts, (second) => {
          fake.trades(3)
          each?.(fake, second)
        })
        const { history } = fake.server.script
        fake.server.heal()
        fake.server.script.history = history
        // The longest wait is the breaker's, then what the exchange asked for.
        yield* pass(150)
        fake.trades(3)
        yield* pass(15)
        const events = yield* feed.rest
        const trades = tradesOf(events)
        const { disordered, duplicates, foreign, unsent } = Oracle.judge(fake.issued, trades)
        assert.deepStrictEqual({ disordered, duplicates, foreign }, { disordered: [], duplicates: [], foreign: [] })
        assert.deepStrictEqual(Oracle.untold(fake.issued, events), [])
        const told = events.some((event) =>
          event.type === "status" && event.event === "gap" && event["complete"] === false
        )
        assert.strictEqual(told, tells)
        assert.strictEqual(unsent.length > 0, loses)
        // The last three came, so it is back.
        for (const { id } of fake.issued.slice(-3)) assert.include(trades.map((one) => one.id), id)
        assert.isAtMost(fake.mostInAMinute, 60)
        assert.lengthOf(fake.server.dials, 0)
      }).pipe(world))
  }

  it.scoped("answers with what was mutated: it goes on, and what is whole again is complete", () =>
    Effect.gen(function*() {
      const { fake, feed } = yield* begun
      const rows = JSON.stringify([{
        id: 1,
        price: "8161.0000000000000000",
        qty: "7.35120000",
        quoteQty: "7.33061664",
        time: 1759075951117,
        isBuyerMaker: false
      }])
      const mutated = Mutations.source([rows, `{"code":1216,"msg":"x"}`, `{"code":1206}`], 7)
      yield* pass(400, (second) => {
        fake.server.script.rest = { status: second % 3 === 0 ? 400 : 200, body: mutated() ?? "" }
      })
      assert.isUndefined(Reflect.get({}, "polluted"))
      fake.server.heal()
      yield* pass(150)
      const before = tradesOf(yield* feed.rest)
      assert.isAbove(before.length, 0)
      fake.trades(3)
      yield* pass(15)
      const after = tradesOf(yield* feed.rest).map(({ id }) => id)
      for (const { id } of fake.issued.slice(-3)) assert.include(after, id)
    }).pipe(world))
})
