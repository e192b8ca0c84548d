/** What the program's parts do while the wall clock is stepped: the same as without the step. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Ref, TestClock } from "effect"
import * as Lag from "../../src/services/Delivery/Lag.ts"
import * as Exposition from "../../src/services/Exposition.ts"
import * as Health from "../../src/services/Health.ts"
import * as Instruments from "../../src/services/Instruments.ts"
import { encode } from "../../src/services/MarketEvent.ts"
import { Producer } from "../../src/services/Producer.ts"
import * as FileOutput from "../../src/services/producers/File.ts"
import * as Time from "../../src/services/Time.ts"
import { MemoryDisk } from "../support/MemoryDisk.ts"
import * as Sink from "../support/Sink.ts"
import * as SteppedClock from "../support/SteppedClock.ts"
import { open, recordsOf } from "./FileQueue/Harness.ts"
import { fine, sink } from "./Health/inputs.ts"

const each = (name: string, play: (wall: Effect.Effect<void>) => Effect.Effect<void, unknown>) => {
  for (const [what, by, direction] of SteppedClock.steps) {
    it.effect(`${name}: ${what}`, () => SteppedClock.run((wall) => play(wall.step(by, direction))))
  }
}

/** Behind the instants that `inputs.ts` speaks of, ms. */
const later = 6_000_000

const topic = "marketdata.trade.v1"

describe("under a stepped wall clock", () => {
  each(
    "a file of events is as old as it is, and files keep their order",
    (step) =>
      Effect.scoped(Effect.gen(function*() {
        const disk = new MemoryDisk()
        const lane = yield* Effect.flatMap(
          Producer,
          (producer) => producer.lane({ topic, onRequestTimeout: () => Effect.void })
        ).pipe(
          Effect.provide(
            FileOutput.layer({ directory: "/data/out", maxAge: "10 minutes", compress: () => Effect.void }).pipe(
              Layer.provide(disk.layer)
            )
          )
        )
        const begun: Array<string> = []
        const look = () => {
          for (const path of disk.paths()) {
            if (path.startsWith(`/data/out/${topic}/`) && !begun.includes(path)) begun.push(path)
          }
          return begun.length
        }
        yield* lane.send(recordsOf(0, 1))
        assert.strictEqual(look(), 1)
        yield* TestClock.adjust("9 minutes")
        yield* step
        yield* lane.send(recordsOf(1, 2))
        assert.strictEqual(look(), 1)
        yield* TestClock.adjust("1 minute")
        yield* lane.send(recordsOf(2, 3))
        assert.strictEqual(look(), 2)
        assert.deepStrictEqual(begun, [...begun].sort())
      }))
  )

  each("the oldest record of a queue is as old as it is", (step) =>
    Effect.scoped(Effect.gen(function*() {
      const queue = yield* open(new MemoryDisk(), [])
      yield* queue.append(recordsOf(0, 1))
      yield* TestClock.adjust("1 minute")
      yield* step
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* queue.snapshot).oldestAge, 120_000)
    })))

  each(
    "what Kafka acknowledged after a failed check counts more than the check",
    (step) =>
      Effect.scoped(Effect.gen(function*() {
        yield* TestClock.setTime(later)
        const report = yield* Ref.make(sink())
        const { exchanges } = fine()
        const health = yield* Health.make({
          startupGrace: "1 minute",
          kafka: Effect.fail({ message: "ECONNREFUSED" }),
          disk: Effect.succeed(1),
          exchanges: Effect.succeed(exchanges),
          breakers: Effect.succeed([]),
          sink: Ref.get(report)
        })
        yield* TestClock.adjust("1 second")
        const kafka = Effect.map(health.answer, ({ checks }) => checks["kafka"]?.status)
        assert.strictEqual(yield* kafka, "unhealthy")
        yield* step
        const ackedAt = yield* Time.moment
        yield* Ref.set(report, sink({ kafka: { ackedAt, failedAt: null, message: null } }))
        assert.strictEqual(yield* kafka, "healthy")
      }))
  )

  each("what was refused counts for a minute", (step) =>
    Effect.scoped(Effect.gen(function*() {
      yield* TestClock.setTime(later)
      const refusedAt = yield* Time.now
      const { exchanges } = fine()
      const health = yield* Health.make({
        startupGrace: "1 second",
        kafka: Effect.fail({ message: "ECONNREFUSED" }),
        disk: Effect.succeed(1),
        exchanges: Effect.succeed(exchanges),
        breakers: Effect.succeed([]),
        sink: Effect.succeed(sink({ refusedAt }))
      })
      const status = Effect.map(health.answer, (answer) => answer.status)
      yield* TestClock.adjust("10 seconds")
      yield* step
      assert.strictEqual(yield* status, "unhealthy")
      yield* TestClock.adjust("50 seconds")
      assert.strictEqual(yield* status, "unhealthy")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* status, "degraded")
    })))

  let exchanges = 0
  each(
    "how far behind Kafka's acknowledgement is, is measured by the other clock",
    (step) =>
      Effect.scoped(Effect.gen(function*() {
        const lags = Lag.make(yield* Instruments.Instruments)
        const key = `lag${exchanges++}`
        const received = yield* Time.moment
        // It waited for its market's history.
        yield* TestClock.adjust("3 seconds")
        const record = { ...encode(Sink.trade(0, received.wall), yield* Time.moment), key: `${key}:M0/IRT` }
        yield* step
        yield* TestClock.adjust("2 seconds")
        lags.acknowledged([record], yield* Time.moment)
        const metrics = yield* Exposition.make
        const { body } = yield* metrics.expose(undefined)
        assert.include(body, `feeds_lag_seconds_sum{exchange="${key}",path="live",stage="receive_to_ack"} 5\n`)
      }))
  )

  it("a record that was received before a step, and handed over after it, is no hour old", () => {
    const handedOver: Time.Moment = {
      at: Time.instant(10_000),
      wall: Time.wallTime(Date.parse("2026-06-11T12:00:00Z"))
    }
    for (const by of [3_600_000, -3_600_000]) {
      const { since } = encode(Sink.trade(0, Time.wallAfter(handedOver, by)), handedOver)
      assert.strictEqual(since, handedOver.at)
    }
  })
})
