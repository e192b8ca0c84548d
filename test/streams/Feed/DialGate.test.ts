import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, TestClock } from "effect"
import * as DialGate from "../../../src/streams/Feed/DialGate.ts"
import { breaker, settle } from "../support/Harness.ts"

/** `count` sockets that want to dial at once; when they could. */
const dialAll = (gate: DialGate.DialGate, count: number, settled: "succeed" | "fail" | "release" = "succeed") =>
  Effect.gen(function*() {
    const at: Array<number> = []
    const fiber = yield* Effect.forEach(
      Array.from({ length: count }),
      () =>
        gate.pass.pipe(
          Effect.tap(() => Effect.map(Clock.currentTimeMillis, (now) => at.push(now))),
          Effect.flatMap((permit) => permit[settled])
        ),
      { concurrency: "unbounded", discard: true }
    ).pipe(Effect.fork)
    return { at, fiber }
  })

describe("DialGate", () => {
  it.effect("keeps dials apart", () =>
    Effect.gen(function*() {
      const gate = yield* DialGate.make({
        stagger: Duration.seconds(1),
        dialsPerMinute: 30,
        breaker: yield* breaker("ws")
      })
      const { at, fiber } = yield* dialAll(gate, 5)
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(at, [0, 1000, 2000, 3000, 4000])
    }))

  it.effect("spends no more than the budget of a minute", () =>
    Effect.gen(function*() {
      const gate = yield* DialGate.make({
        stagger: Duration.millis(10),
        dialsPerMinute: 3,
        breaker: yield* breaker("ws")
      })
      const { at, fiber } = yield* dialAll(gate, 7)
      yield* TestClock.adjust("3 minutes")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(at, [0, 10, 20, 60_000, 60_010, 60_020, 120_000])
    }))

  it.effect("lets nobody pass while the exchange asked to be left alone", () =>
    Effect.gen(function*() {
      const gate = yield* DialGate.make({
        stagger: Duration.seconds(1),
        dialsPerMinute: 30,
        breaker: yield* breaker("ws")
      })
      const { at, fiber } = yield* dialAll(gate, 4)
      yield* TestClock.adjust("500 millis")
      yield* gate.hold(Duration.seconds(10))
      yield* gate.hold(Duration.seconds(3))
      yield* TestClock.adjust("20 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(at, [0, 10_500, 11_500, 12_500])
    }))

  it.effect("lets nobody run on into an open breaker", () =>
    Effect.gen(function*() {
      const ws = yield* breaker("ws", { maxFailures: 2, timeout: "30 seconds" })
      const gate = yield* DialGate.make({ stagger: Duration.seconds(1), dialsPerMinute: 30, breaker: ws })
      const { at, fiber } = yield* dialAll(gate, 6, "fail")
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(at, [0, 1000])
      // Half-open: one probe at a time, whose failure opens it again.
      yield* TestClock.adjust("12 seconds")
      assert.deepStrictEqual(at, [0, 1000, 31_000])
      yield* Fiber.interrupt(fiber)
    }))

  it.effect("wastes no turn on those that a half-open breaker refuses", () =>
    Effect.gen(function*() {
      const ws = yield* breaker("ws", { maxFailures: 1, timeout: "30 seconds", successThreshold: 2 })
      const gate = yield* DialGate.make({ stagger: Duration.seconds(1), dialsPerMinute: 30, breaker: ws })
      yield* Effect.flatMap(gate.pass, (permit) => permit.fail)
      const { at, fiber } = yield* dialAll(gate, 4)
      yield* TestClock.adjust("30 seconds")
      yield* settle
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(at, [30_000, 31_000, 32_000, 33_000])
    }))
})
