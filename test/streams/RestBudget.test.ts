/** How many questions leave within a minute, whatever is asked and whenever. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, FastCheck as fc, TestClock } from "effect"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"
import * as FeedStatus from "../../src/services/FeedStatus.ts"
import * as Time from "../../src/services/Time.ts"
import * as Board from "../../src/streams/Board.ts"
import * as Rest from "../../src/streams/Rest.ts"
import * as Budget from "../../src/streams/Rest/Budget.ts"
import * as FakeApi from "./support/FakeApi.ts"
import { settle } from "./support/Harness.ts"

/** The most of them within any 60 s. */
const mostInAMinute = (times: ReadonlyArray<number>): number =>
  Math.max(0, ...times.map((from) => times.filter((at) => at >= from && at < from + 60_000).length))

describe("a budget", () => {
  it("lets at most so many leave in any minute, and none wait that need not", () => {
    const bursts = fc.array(fc.record({ after: fc.nat(90_000), count: fc.integer({ min: 1, max: 40 }) }), {
      maxLength: 30
    })
    fc.assert(fc.property(fc.integer({ min: 1, max: 20 }), fc.boolean(), bursts, (perMinute, isSteady, bursts) => {
      const spacing = isSteady ? Budget.spacingOf(perMinute) : 0
      const budget = Budget.make(perMinute, spacing)
      const left: Array<number> = []
      let now = 0
      let asked = 0
      for (const { after, count } of bursts) {
        asked += after
        for (let n = 0; n < count; n++) {
          now = Math.max(now, asked)
          const wait = Budget.wait(budget, Time.instant(now))
          const isFree = left.filter((at) => now - at < 61_200).length < perMinute &&
            now - (left.at(-1) ?? -Infinity) >= spacing
          assert.strictEqual(wait === 0, isFree)
          now += wait
          Budget.left(budget, Time.instant(now))
          left.push(now)
        }
      }
      assert.isAtMost(mostInAMinute(left), perMinute)
    }))
  })
})

describe("a budget whose questions count for several", () => {
  it("lets no minute have more than it has, and none wait that need not", () => {
    const asked = fc.array(fc.record({ after: fc.nat(30_000), cost: fc.integer({ min: 1, max: 12 }) }), {
      maxLength: 40
    })
    fc.assert(fc.property(fc.integer({ min: 1, max: 20 }), asked, (perMinute, asked) => {
      const budget = Budget.make(perMinute, 0)
      const left: Array<{ readonly at: number; readonly cost: number }> = []
      let now = 0
      for (const { after, cost: wanted } of asked) {
        now += after
        // One that counts for more than there is goes alone.
        const cost = Math.min(wanted, perMinute)
        const used = left.filter(({ at }) => now - at < 61_200).reduce((sum, { cost }) => sum + cost, 0)
        const wait = Budget.wait(budget, Time.instant(now), wanted)
        assert.strictEqual(wait === 0, used + cost <= perMinute)
        now += wait
        Budget.left(budget, Time.instant(now), wanted)
        left.push({ at: now, cost })
        const lately = left.filter(({ at }) => now - at < 60_000).reduce((sum, { cost }) => sum + cost, 0)
        assert.isAtMost(lately, perMinute)
      }
    }))
  })
})

describe("the questions to an API", () => {
  const burst = (isDown: boolean) =>
    Effect.gen(function*() {
      const { calls, respond } = yield* FakeApi.FakeApi
      const breaker = yield* CircuitBreaker.make({
        name: "api",
        group: "api",
        maxFailures: 5,
        timeout: "1 minute",
        successThreshold: 1
      })
      const rest = yield* Rest.make({
        exchange: "wallex",
        apiUrl: "http://api.test",
        restPerMinute: 60,
        breaker,
        board: Board.make(FeedStatus.make(["wallex"]), "wallex")
      })
      if (isDown) yield* respond(() => Effect.succeed({ status: 503, body: "" }))
      const ask = Effect.forkScoped(Effect.ignore(rest.ask("/x", () => Either.right("rows"))))
      yield* Effect.replicateEffect(ask, isDown ? 10 : 300)
      yield* settle
      if (isDown) {
        yield* respond(() => Effect.succeed({ body: "{}" }))
        // While the breaker is open they wait, and others come.
        yield* Effect.forEach(
          Array.from({ length: 80 }),
          () => Effect.zipRight(Effect.replicateEffect(ask, 3), TestClock.adjust("1 second")),
          { discard: true }
        )
      }
      for (let second = 0; second < 330; second++) {
        yield* TestClock.adjust("1 second")
        yield* settle
      }
      return calls.map(({ at }) => at)
    }).pipe(Effect.scoped, Effect.provide(FakeApi.layer(() => Effect.succeed({ body: "{}" }))))

  it.effect("are at most 60 in any minute, after a burst as ever: the allowance is used, not used twice", () =>
    Effect.gen(function*() {
      const times = yield* burst(false)
      assert.strictEqual(mostInAMinute(times), 60)
      assert.lengthOf(times, 300)
    }))

  it.effect("are at most 60 in any minute also when those leave that have waited for the breaker", () =>
    Effect.gen(function*() {
      const times = yield* burst(true)
      assert.isAtMost(mostInAMinute(times), 60)
      assert.isAtLeast(times.length, 200)
    }))
})

describe("questions that can wait", () => {
  /** `seconds` of them, one after the other, without end; and at the end of that 20 that cannot wait, all at once. */
  const story = (isPatient: boolean, seconds: number) =>
    Effect.gen(function*() {
      const { calls } = yield* FakeApi.FakeApi
      const breaker = yield* CircuitBreaker.make({
        name: "api",
        group: "api",
        maxFailures: 5,
        timeout: "1 minute",
        successThreshold: 1
      })
      const rest = yield* Rest.make({
        exchange: "binance",
        apiUrl: "http://api.test",
        restPerMinute: 60,
        isPatient,
        breaker,
        board: Board.make(FeedStatus.make(["binance"]), "binance")
      })
      const go = (count: number) => Effect.repeatN(Effect.zipRight(TestClock.adjust("1 second"), settle), count - 1)
      yield* Effect.forkScoped(Effect.forever(Effect.ignore(rest.aside("/picture", () => Either.right("picture")))))
      yield* go(seconds)
      const ask = Effect.forkScoped(Effect.ignore(rest.ask("/history", () => Either.right("rows"))))
      yield* Effect.replicateEffect(ask, 20)
      yield* go(30)
      const timesOf = (what: string) => calls.flatMap(({ at, path }) => path === what ? [at] : [])
      return { all: calls.map(({ at }) => at), pictures: timesOf("/picture"), histories: timesOf("/history") }
    }).pipe(Effect.scoped, Effect.provide(FakeApi.layer(() => Effect.succeed({ body: "{}" }))))

  it.effect("take half of a minute where what goes first must not be late", () =>
    Effect.gen(function*() {
      const { all, histories, pictures } = yield* story(false, 200)
      assert.strictEqual(mostInAMinute(pictures), 30)
      assert.isAtMost(mostInAMinute(all), 60)
      // All at once.
      assert.deepStrictEqual(histories.map((at) => at - (histories[0] ?? 0)), Array.from({ length: 20 }, () => 0))
    }))

  it.effect("take more of it where that can be late, half at once, the rest one by one: what goes first waits a second for each", () =>
    Effect.gen(function*() {
      const { all, histories, pictures } = yield* story(true, 200)
      const begin = pictures[0] ?? 0
      assert.lengthOf(pictures.filter((at) => at === begin), 30)
      assert.isAtMost(mostInAMinute(pictures), 54)
      assert.isAbove(mostInAMinute(pictures.slice(60)), 50)
      assert.isAtMost(mostInAMinute(all), 60)
      const [first = 0] = histories
      assert.lengthOf(histories.filter((at) => at === first), 6)
      assert.lengthOf(histories, 20)
      histories.forEach((at, n) => assert.isAtMost(at - first, Math.max(0, n - 5) * 1_100))
      // None between them.
      assert.deepStrictEqual(pictures.filter((at) => at > first && at < (histories.at(-1) ?? 0) + 1_000), [])
    }))
})
