/** Rows 18 and 20-22 of design/PREDECESSOR.md: its time limits and delays. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Random, Schedule, TestClock } from "effect"
import * as RetryPolicy from "../../src/services/RetryPolicy.ts"
import { bitpin } from "../../src/streams/exchanges/Bitpin.ts"
import * as FakeApi from "../streams/support/FakeApi.ts"
import { centrifugo, FakeSockets, layer as sockets } from "../streams/support/FakeSockets.ts"
import { breaker, retry, run } from "../streams/support/Harness.ts"

const listed = FakeApi.layer(() => Effect.succeed({ body: FakeApi.bitpinList("BTC_IRT") }))

/** When a feed dials that is refused each time, ms, until `passed`; the breaker stays out of it. */
const dialTimes = <E, R>(jitter: number, stagger: Duration.Duration, passed: Effect.Effect<unknown, E, R>) =>
  Effect.gen(function*() {
    const ws = yield* breaker("ws", { maxFailures: 1000 })
    yield* run(bitpin, { stagger, retry: { ...retry, jitter }, breakers: { api: yield* breaker("api"), ws } })
    const { accept, dials } = yield* FakeSockets
    // The list's body is read by promises, which know nothing of a test's clock: time begins with the first dial.
    const first = yield* accept
    yield* passed
    return dials.map(({ dialedAt }) => dialedAt - first.dialedAt)
  }).pipe(
    Effect.scoped,
    Effect.provide(Layer.fresh(Layer.mergeAll(sockets((socket) => socket.refuse("refused")), listed)))
  )

describe("Retry", () => {
  // The predecessor used `http.Get` without a time limit: one silent server, and it hung for ever.
  it.scoped("#18 an API that never answers is a failure after its time limit, opens the breaker, and recovers", () =>
    Effect.gen(function*() {
      const feed = yield* run(bitpin)
      const { calls, respond } = yield* FakeApi.FakeApi
      const { dials } = yield* FakeSockets
      yield* TestClock.adjust("9 seconds")
      assert.lengthOf(calls, 1)
      assert.strictEqual((yield* feed.breakers.api.snapshot).calls.failure, 0)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* feed.breakers.api.snapshot).calls.failure, 1)
      assert.include(feed.status().api?.message, "timeout")
      yield* TestClock.adjust("2 minutes")
      assert.isAtLeast((yield* feed.breakers.api.snapshot).calls.failure, 5)
      yield* respond(() => Effect.succeed({ body: FakeApi.bitpinList("BTC_IRT") }))
      yield* TestClock.adjust("2 minutes")
      assert.lengthOf(dials, 1)
    }).pipe(Effect.provide(Layer.mergeAll(sockets(centrifugo()), FakeApi.layer(() => Effect.never)))))

  // The predecessor doubled before the first wait (2 s) and logged the value from before.
  it.effect("#20 reconnects wait 1, 2, 4, 8 s", () =>
    Effect.gen(function*() {
      // Step by step: in one leap the clock may pass before a refusal has been noticed.
      const steps = Effect.repeatN(TestClock.adjust("500 millis"), 39)
      assert.deepStrictEqual(yield* dialTimes(0, Duration.seconds(1), steps), [0, 1000, 3000, 7000, 15_000])
    }))

  // The predecessor's reconnect had no jitter; elsewhere 49 % of the first delays were exactly the base.
  it.live("#21 collectors that lose their socket together do not dial together, and first delays go to both sides of the base", () =>
    Effect.gen(function*() {
      // On the real clock: the test's cannot tell nanoseconds at fractions of a millisecond.
      const thirds = yield* Effect.forEach(
        Array.from({ length: 20 }),
        () => Effect.map(dialTimes(0.1, Duration.zero, Effect.sleep("3600 millis")), (times) => times[2] ?? Number.NaN),
        { concurrency: "unbounded" }
      )
      assert.isAtLeast(Math.min(...thirds), 2_700, String(thirds))
      assert.isAtLeast(new Set(thirds).size, 12, String(thirds))
      assert.isAbove(Math.max(...thirds) - Math.min(...thirds), 150, String(thirds))
      const delays = RetryPolicy.forever(RetryPolicy.defaults).pipe(Schedule.delays, Schedule.map(Duration.toMillis))
      const first = yield* Effect.forEach(
        Array.from({ length: 1000 }),
        () => Effect.map(Schedule.run(delays, 0, [undefined]), (chunk) => Array.from(chunk)[0] ?? Number.NaN)
      ).pipe(Effect.withRandom(Random.make("first")))
      assert.isAtMost(first.filter((delay) => delay === 1000).length, 1)
      assert.isAbove(first.filter((delay) => delay < 1000).length, 400)
      assert.isAbove(first.filter((delay) => delay > 1000).length, 400)
    }))

  // Half of the predecessor's late delays were over the cap of 30 s, up to 33 s.
  it.effect("#22 no delay is over the cap, and at the cap they differ", () =>
    Effect.gen(function*() {
      const delays = RetryPolicy.forever(RetryPolicy.defaults).pipe(Schedule.delays, Schedule.map(Duration.toMillis))
      const all = Array.from(
        yield* Schedule.run(delays, 0, Array.from({ length: 20_000 })).pipe(Effect.withRandom(Random.make("cap")))
      )
      assert.lengthOf(all, 20_000)
      assert.isAtMost(Math.max(...all), 30_000)
      assert.isAtLeast(new Set(all.slice(5)).size, 19_990)
    }))
})
