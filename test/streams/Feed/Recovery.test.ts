/**
 * What a server calls recovered, and what is (docs/design/exchanges/centrifugo.md "Recovery"): a Centrifugo in cache mode says so of the last
 * publication alone. Then the history has to be asked, or what lies between is lost without a word.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Logger, LogLevel, Random, TestClock } from "effect"
import * as FakeNobitex from "../../../src/layers/testing/FakeNobitex.ts"
import * as Oracle from "../../../src/layers/testing/Oracle.ts"
import type { MarketEvent, Trade } from "../../../src/services/MarketEvent.ts"
import { nobitex } from "../../../src/streams/exchanges/Nobitex.ts"
import { hurryClock, run, settle } from "../support/Harness.ts"

/** A feed that loses its connection while three trades happen; what it delivered. */
const story = (mode: FakeNobitex.Options) =>
  Effect.gen(function*() {
    yield* hurryClock
    yield* TestClock.setTime(Date.parse("2026-03-01T00:00:00Z"))
    return yield* Effect.gen(function*() {
      const fake = yield* FakeNobitex.FakeNobitex
      const played = yield* Effect.gen(function*() {
        const feed = yield* run(nobitex, { endpoints: fake })
        yield* Effect.promise(() => fake.ready())
        const [market] = fake.tradable
        const trade = () => fake.trade(market?.exchangeSymbol ?? "")
        const trades = (count: number) =>
          Effect.forEach(Array.from({ length: count }), () =>
            Effect.andThen(Effect.sync(trade), Effect.sleep("1 second")))
        yield* trades(3)
        fake.server.drop(1006)
        fake.server.script.upgrade = { status: 503 }
        yield* trades(3)
        fake.server.heal()
        yield* Effect.promise(() =>
          fake.ready()
        )
        yield* Effect.sleep("10 seconds")
        yield* trades(2)
        yield* Effect.sleep("10 seconds")
        return { fake, events: yield* feed.rest }
      }).pipe(Effect.fork)
      while (played.unsafePoll() === null) yield* Effect.andThen(TestClock.adjust("1 second"), settle)
      return yield* Fiber.join(played)
    }).pipe(
      Effect.provide(FakeNobitex.memory({ markets: 1, ...mode })),
      Logger.withMinimumLogLevel(LogLevel.None),
      Effect.withRandom(Random.make(7))
    )
  })

const isTrade = (event: MarketEvent): event is Trade => event.type === "trade"

const modes = [
  ["nothing is recovered", {}, ["rest", "rest", "rest"]],
  ["a history of publications brings all", { recovery: true }, ["ws", "ws", "ws"]],
  ["in cache mode only the last one comes so", { recovery: true, cache: true }, ["rest", "rest", "ws"]]
] as const

describe("what happened while the connection was lost", () => {
  for (const [what, mode, sources] of modes) {
    it.scoped(`${what}: each trade arrives once`, () =>
      Effect.gen(function*() {
        const { events, fake } = yield* story(mode)
        const trades = events.filter(isTrade)
        const { disordered: _, ...verdict } = Oracle.judge(fake.issued, trades)
        assert.deepStrictEqual(verdict, {
          missing: [],
          doubtful: [],
          unsent: [],
          foreign: [],
          wrong: [],
          duplicates: []
        })
        const away = fake.issued.slice(3, 6).map(({ id }) => trades.find((trade) => trade.id === `${id}:1`)?.source)
        assert.deepStrictEqual(away, [...sources])
      }))
  }
})
