import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Random, Ref, Schedule, Stream, TestClock } from "effect"
import * as fc from "fast-check"
import * as RetryPolicy from "../../src/services/RetryPolicy.ts"

const options = (over: Partial<RetryPolicy.Options> = {}): RetryPolicy.Options => ({ ...RetryPolicy.defaults, ...over })

/** The first `count` delays of a schedule, ms. */
const delaysOf = (schedule: Schedule.Schedule<number>, count: number) =>
  Schedule.delays(schedule).pipe(
    Schedule.map(Duration.toMillis),
    (delays) => Schedule.run(delays, 0, Array.from({ length: count }, () => undefined)),
    Effect.map((chunk) => Array.from(chunk))
  )

describe("delays", () => {
  it.effect("double from the base to the maximum, within the jitter", () =>
    Effect.gen(function*() {
      const delays = yield* delaysOf(RetryPolicy.forever(options()), 10)
      const middles = [1000, 2000, 4000, 8000, 16_000, ...Array.from({ length: 5 }, () => 30_000 / 1.1)]
      delays.forEach((delay, index) => {
        const middle = middles[index] ?? Number.NaN
        assert.isAtLeast(delay, Math.floor(middle * 0.9))
        assert.isAtMost(delay, Math.ceil(middle * 1.1))
      })
    }))

  it.effect("without jitter they are exact", () =>
    Effect.gen(function*() {
      const delays = yield* delaysOf(RetryPolicy.forever(options({ jitter: 0 })), 7)
      assert.deepStrictEqual(delays, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000])
    }))

  it.effect("the same seed gives the same delays, another seed others", () =>
    Effect.gen(function*() {
      const run = (seed: string) =>
        delaysOf(RetryPolicy.forever(options()), 8).pipe(Effect.withRandom(Random.make(seed)))
      assert.deepStrictEqual(yield* run("a"), yield* run("a"))
      assert.notDeepEqual(yield* run("a"), yield* run("b"))
    }))

  it.effect("of 100 000 none is above the maximum, and at the maximum they differ", () =>
    Effect.gen(function*() {
      const delays = yield* delaysOf(RetryPolicy.forever(options()), 100_000).pipe(
        Effect.withRandom(Random.make("cap"))
      )
      const capped = delays.slice(5)
      assert.isAtMost(Math.max(...delays), 30_000)
      // `Random` has 32 bits: of so many some two or three pairs are equal by chance, and none because of the cap.
      assert.isAtLeast(new Set(capped).size, capped.length - 10)
      // They are spread over all of the room, not heaped at its edge.
      assert.isBelow(Math.min(...capped), 24_600)
      assert.isAbove(Math.max(...capped), 29_900)
      assert.isBelow(capped.filter((delay) => delay > 29_700).length / capped.length, 0.1)
    }))

  it.effect("for any options: at least what the jitter leaves of the base, at most the maximum", () =>
    Effect.promise(() =>
      fc.assert(fc.asyncProperty(
        fc.integer({ min: 1, max: 60_000 }),
        fc.integer({ min: 1, max: 3_600_000 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (base, max, jitter) =>
          Effect.runPromise(
            Effect.map(
              delaysOf(
                RetryPolicy.forever(
                  options({ baseDelay: Duration.millis(base), maxDelay: Duration.millis(max), jitter })
                ),
                80
              ),
              (delays) => delays.every((delay) => Number.isFinite(delay) && delay >= 0 && delay <= max)
            )
          )
      ))
    ))
})

describe("bounded", () => {
  it.effect("five attempts are four retries", () =>
    Effect.gen(function*() {
      const attempts = yield* Ref.make<ReadonlyArray<number>>([])
      const fiber = yield* TestClock.currentTimeMillis.pipe(
        Effect.flatMap((now) => Ref.update(attempts, (all) => [...all, now])),
        Effect.andThen(Effect.fail("down" as const)),
        Effect.retry(RetryPolicy.bounded(options({ jitter: 0 }))),
        Effect.exit,
        Effect.fork
      )
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "Failure")
      assert.deepStrictEqual(yield* Ref.get(attempts), [0, 1000, 3000, 7000, 15_000])
    }))

  it.effect("one attempt is no retry", () =>
    Effect.gen(function*() {
      const attempts = yield* Ref.make(0)
      yield* Ref.update(attempts, (n) => n + 1).pipe(
        Effect.andThen(Effect.fail("down" as const)),
        Effect.retry(RetryPolicy.bounded(options({ maxAttempts: 1 }))),
        Effect.flip
      )
      assert.strictEqual(yield* Ref.get(attempts), 1)
    }))
})

describe("reconnecting", () => {
  it.effect("goes on counting over sessions that delivered something, until it is told to start anew", () =>
    Effect.gen(function*() {
      const { reset, schedule, toMaximum } = yield* RetryPolicy.reconnecting(options({ jitter: 0 }))
      const starts = yield* Ref.make<ReadonlyArray<number>>([])
      const started = Effect.flatMap(
        TestClock.currentTimeMillis,
        (now) => Ref.updateAndGet(starts, (all) => [...all, now])
      )
      // Each session delivers one element, which would set a plain schedule back.
      const fiber = yield* Stream.fromEffect(started).pipe(
        Stream.tap((all) => all.length === 4 ? reset : all.length === 6 ? toMaximum : Effect.void),
        Stream.concat(Stream.fail("closed")),
        Stream.retry(schedule),
        Stream.take(9),
        Stream.runDrain,
        Effect.fork
      )
      yield* TestClock.adjust("10 minutes")
      yield* Fiber.join(fiber)
      const all = yield* Ref.get(starts)
      const gaps = all.slice(1).map((at, index) => at - (all[index] ?? 0))
      assert.deepStrictEqual(gaps, [1000, 2000, 4000, 1000, 2000, 30_000, 30_000, 30_000])
    }))
})

describe("Retry-After", () => {
  /** Of the answer, by the other side's clock: ours is years off, and is not asked. */
  const date = "Thu, 11 Jun 2026 12:00:00 GMT"
  const millis = (header: string, answered: string | undefined = date) => {
    const duration = RetryPolicy.retryAfter(header, answered)
    return duration === undefined ? undefined : Duration.toMillis(duration)
  }

  it("is seconds or a date, and nothing else", () => {
    assert.strictEqual(millis("120"), 120_000)
    assert.strictEqual(millis(" 0 "), 0)
    assert.strictEqual(millis("Thu, 11 Jun 2026 12:01:30 GMT"), 90_000)
    assert.strictEqual(millis("Thursday, 11-Jun-26 12:01:30 GMT"), 90_000)
    assert.strictEqual(millis("Thu, 11 Jun 2026 11:00:00 GMT"), 0)
    for (const bad of ["", "soon", "-5", "1.5", "1e3", "0x10", "2026-06-11T12:01:30Z", "Thu, nonsense GMT"]) {
      assert.isUndefined(millis(bad), bad)
    }
  })

  it("is a moment in epoch seconds or milliseconds too", () => {
    const epoch = Date.parse("2026-06-11T12:01:30Z")
    assert.strictEqual(millis(String(epoch / 1000)), 90_000)
    assert.strictEqual(millis(String(epoch)), 90_000)
    assert.strictEqual(millis(String(epoch - 600_000)), 0)
  })

  it("is a minute where the answer names a moment and not what time it is itself", () => {
    for (const answered of [undefined, "", "yesterday"]) {
      const duration = RetryPolicy.retryAfter("Thu, 11 Jun 2026 12:01:30 GMT", answered)
      assert.strictEqual(duration === undefined ? undefined : Duration.toMillis(duration), 60_000)
      assert.strictEqual(RetryPolicy.retryAfter("120", answered)?.pipe(Duration.toMillis), 120_000)
    }
  })

  it("does not let anybody ask for years", () => {
    assert.strictEqual(millis("99999999999999999999"), 600_000)
    assert.strictEqual(millis("999999999"), 600_000)
    assert.strictEqual(millis("Thu, 11 Jun 2099 12:00:00 GMT"), 600_000)
  })
})
