import { assert, describe, it } from "@effect/vitest"
import { Effect, TestClock } from "effect"
import * as Time from "../../src/services/Time.ts"
import * as SteppedClock from "../support/SteppedClock.ts"

describe("Time", () => {
  it("keeps the clocks apart: none of these lines compiles", () => {
    const at = Time.instant(5)
    const wall = Time.wallTime(5)
    const lines = [
      // @ts-expect-error a wall time is no instant
      () => Time.between(wall, wall),
      // @ts-expect-error nor the other way round
      () => Time.iso(at),
      // @ts-expect-error a plain number is neither
      () => Time.between(5, at),
      // @ts-expect-error a duration is not made of wall times
      () => wall - wall,
      // @ts-expect-error nor by hand of instants, which one might take for a wall time
      () => at - wall,
      // @ts-expect-error nor is one before the other
      () => at < wall,
      // @ts-expect-error an exchange's time is none of ours
      () => Time.between(Time.instant(0), Date.parse("2026-06-11T12:00:00Z"))
    ]
    assert.lengthOf(lines, 7)
  })

  it.effect("an instant goes on, whatever the wall clock does", () =>
    SteppedClock.run((wall) =>
      Effect.gen(function*() {
        const before = yield* Time.moment
        yield* wall.step("1 hour", "back")
        yield* TestClock.adjust("1500 millis")
        const after = yield* Time.moment
        assert.strictEqual(Time.between(before.at, after.at), 1_500)
        assert.strictEqual(Time.epochMillis(after.wall) - Time.epochMillis(before.wall), 1_500 - 3_600_000)
        assert.strictEqual(Time.iso(Time.wallAfter(after, -1_500)), "2026-06-11T11:00:00.000Z")
      })
    ))

  it.effect("is whole milliseconds, also between two of a TestClock", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("1.6 millis")
      assert.strictEqual(yield* Time.now, Time.instant(1))
    }))

  it("finds the earliest and the latest, or nothing", () => {
    const [one, two] = [Time.instant(1), Time.plus(Time.instant(1), 1)]
    assert.strictEqual(Time.earliest(two, undefined, one), one)
    assert.isUndefined(Time.earliest(undefined))
    assert.strictEqual(Time.latest(one, two), two)
    assert.strictEqual(Time.latest(), Time.never)
    assert.strictEqual(Time.between(Time.never, one), Infinity)
  })
})
