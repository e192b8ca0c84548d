import { FileSystem } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, FastCheck as fc, Layer } from "effect"
import * as Fake from "../../../src/layers/testing/FakeKafka.ts"
import * as RecordTime from "../../../src/services/Delivery/RecordTime.ts"
import type { EventRecord } from "../../../src/services/MarketEvent.ts"
import { Producer } from "../../../src/services/Producer.ts"
import * as Time from "../../../src/services/Time.ts"
import * as Sink from "../../support/Sink.ts"
import * as SteppedClock from "../../support/SteppedClock.ts"

const hour = 3_600_000
const minute = 60_000

const noon = Date.parse("2026-06-11T12:00:00Z")

const momentOf = (elapsed: number, offset = 0): Time.Moment => ({
  at: Time.instant(elapsed),
  wall: Time.wallTime(noon + elapsed + offset)
})

const recordOf = (timestamp: number): EventRecord => ({ key: "bitpin:M0/IRT", value: "{}", headers: {}, timestamp })

describe("RecordTime", () => {
  it("is that of the receipt, and never ahead of the present clock", () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: -10 * hour, max: 10 * hour })), (ages) => {
      const now = momentOf(0)
      const records = ages.map((age) => recordOf(noon - age))
      const stamped = RecordTime.make().stamp(records, now)
      assert.deepStrictEqual(stamped.map(({ timestamp }) => timestamp), ages.map((age) => noon - Math.max(0, age)))
      if (ages.every((age) => age >= 0)) assert.strictEqual(stamped, records)
    }))
  })

  it("of records as old as one that was refused, or nearly, is the present one; forgotten after ten minutes", () => {
    const times = RecordTime.make()
    const old = recordOf(noon - 2 * hour)
    times.learn(old, momentOf(0))
    const timesAt = (now: Time.Moment, ...ages: ReadonlyArray<number>) =>
      times.stamp(ages.map((age) => recordOf(Time.epochMillis(now.wall) - age)), now)
        .map((record, i) => RecordTime.isPresent(record, now) ? "present" : ages[i])
    assert.deepStrictEqual(timesAt(momentOf(1), 3 * hour, 2 * hour, 1.99 * hour, 1.9 * hour, minute), [
      "present",
      "present",
      "present",
      1.9 * hour,
      minute
    ])
    assert.deepStrictEqual(timesAt(momentOf(599_999), 2 * hour), ["present"])
    // The wall clock may be set as it likes.
    assert.deepStrictEqual(timesAt(momentOf(599_999, 5 * hour), 2 * hour), ["present"])
    assert.deepStrictEqual(timesAt(momentOf(600_000, -5 * hour), 2 * hour), [2 * hour])
  })

  it("learns nothing of a record that is not older than now", () => {
    const times = RecordTime.make()
    times.learn(recordOf(noon + hour), momentOf(0))
    const records = [recordOf(noon - hour), recordOf(noon)]
    assert.strictEqual(times.stamp(records, momentOf(0)), records)
  })
})

interface Limits {
  /** Of the broker, whose clock is right, ms. */
  readonly before?: number
  readonly after?: number
}

/** A sink whose wall clock can be stepped, and a broker whose clock is right. */
const stage = <A, E>(
  limits: Limits,
  play: (parts: {
    readonly life: Effect.Effect.Success<ReturnType<typeof Sink.begin>>
    readonly fake: Fake.FakeKafka["Type"]
    readonly wall: SteppedClock.Wall
    /** Each send, as it came. */
    readonly sends: ReadonlyArray<number>
  }) => Effect.Effect<A, E>
) =>
  SteppedClock.run((wall) =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped()
      const context = yield* Layer.build(Fake.layer)
      const fake = Context.get(context, Fake.FakeKafka)
      const kafka = Context.get(context, Producer)
      const sends: Array<number> = []
      yield* fake.reject(({ timestamp }) => {
        const age = Date.now() - timestamp
        return (age > (limits.before ?? Infinity) || -age > (limits.after ?? Infinity)) && "INVALID_TIMESTAMP"
      })
      const life = yield* Sink.begin(directory, "t", {
        ...kafka,
        lane: (options) =>
          Effect.map(kafka.lane(options), (lane) => ({
            ...lane,
            send: (records) => {
              if (options.topic === "t.trade.v1") sends.push(records.length)
              return lane.send(records)
            }
          }))
      })
      const result = yield* play({ life, fake, wall, sends })
      yield* life.end
      return result
    })
  ).pipe(Effect.scoped, Effect.provide(NodeContext.layer))

const stored = (fake: Fake.FakeKafka["Type"]) =>
  Effect.map(fake.records("t.trade.v1"), (records) => {
    const byKey = new Map<string, Array<number>>()
    for (const { headers, key } of records) byKey.set(key, [...(byKey.get(key) ?? []), Number(headers["id"]?.slice(2))])
    for (const [key, ids] of byKey) assert.deepStrictEqual(ids, [...ids].sort((a, b) => a - b), `order of ${key}`)
    return records
  })

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

describe("a lane whose record times Kafka refuses", () => {
  it.scopedLive("a clock that was two hours fast for a moment holds the topic up for that moment", () =>
    stage({ after: hour }, ({ fake, life, wall }) =>
      Effect.gen(function*() {
        yield* wall.step("2 hours", "forward")
        const fast = yield* Time.wall
        yield* life.offer(range(0, 200).map((n) => Sink.trade(n, fast)))
        const { kafka } = yield* life.reach(({ kafka, queue }) => kafka.message !== null && queue.records === 200)
        assert.match(kafka.message ?? "", /present time is refused too.*INVALID_TIMESTAMP/)
        assert.lengthOf(yield* fake.records("t.trade.v1"), 0)
        yield* wall.step("2 hours", "back")
        const right = yield* Time.wall
        yield* life.offer(range(200, 210).map((n) => Sink.trade(n, right)))
        yield* life.delivered
        const records = yield* stored(fake)
        assert.lengthOf(records, 210)
        for (const { headers, storedAt, timestamp, value } of records) {
          const wasFast = Number(headers["id"]?.slice(2)) < 200
          // Never ahead of the clock that sends it; what it was received at, by whichever clock, stays in the value.
          assert.isAtMost(timestamp, storedAt)
          assert.strictEqual(JSON.parse(value).receivedAt, Time.iso(wasFast ? fast : right))
          if (!wasFast) assert.strictEqual(timestamp, Time.epochMillis(right))
        }
        assert.lengthOf(life.deadLetters(), 0)
      })))

  it.scopedLive("what was queued while the clock was fast goes out with the present time, though nobody would refuse it", () =>
    stage({}, ({ fake, life, wall }) =>
      Effect.gen(function*() {
        yield* fake.down
        yield* wall.step("10 minutes", "forward")
        const fast = yield* Time.wall
        yield* life.offer(range(0, 20).map((n) => Sink.trade(n, fast)))
        yield* life.reach(({ queue }) => queue.records === 20)
        yield* wall.step("10 minutes", "back")
        yield* fake.up
        yield* life.delivered
        const records = yield* stored(fake)
        assert.lengthOf(records, 20)
        for (const { storedAt, timestamp } of records) assert.isAtMost(timestamp, storedAt)
      })))

  it.scopedLive("what is too old for the topic goes out with the present time, the rest with its own, in order", () =>
    stage({ before: hour }, ({ fake, life, sends }) =>
      Effect.gen(function*() {
        const now = Date.now()
        const aged = (n: number) => Time.wallTime(now - (n < 3_000 ? 3 * hour - n : 10 * minute - n))
        // Away, so that all of it is queued and comes in full batches.
        yield* fake.down
        yield* life.offer(range(0, 3_500).map((n) => Sink.trade(n, aged(n))))
        yield* life.reach(({ queue }) => queue.records === 3_500)
        yield* fake.up
        yield* life.delivered
        const records = yield* stored(fake)
        assert.lengthOf(records, 3_500)
        for (const { headers, timestamp } of records) {
          const n = Number(headers["id"]?.slice(2))
          if (n < 3_000) assert.isAtLeast(timestamp, now)
          else assert.strictEqual(timestamp, Time.epochMillis(aged(n)))
        }
        assert.lengthOf(life.deadLetters(), 0)
        // Found by halving once, then known: not record by record.
        assert.isBelow(sends.length, 100)
      })))

  it.scopedLive("a clock two hours slow is an outage until it is right, and what was received meanwhile is not lost", () =>
    stage({ before: hour }, ({ fake, life, wall }) =>
      Effect.gen(function*() {
        yield* wall.step("2 hours", "back")
        const slow = yield* Time.wall
        yield* life.offer(range(0, 50).map((n) => Sink.trade(n, slow)))
        yield* life.reach(({ kafka, queue }) => kafka.message !== null && queue.records === 50)
        yield* wall.step("2 hours", "forward")
        yield* life.delivered
        const records = yield* stored(fake)
        assert.lengthOf(records, 50)
        for (const { storedAt, timestamp } of records) {
          assert.isAtMost(timestamp, storedAt)
          assert.isAtLeast(timestamp, storedAt - hour)
        }
        assert.lengthOf(life.deadLetters(), 0)
      })))

  it.scopedLive("a record that is too old is no poison, and hides none", () =>
    stage({}, ({ fake, life }) =>
      Effect.gen(function*() {
        const now = Date.now()
        const isOld = (n: number) => n % 5 === 0
        yield* fake.reject(({ headers, timestamp }) =>
          headers["id"] === "x:33" || (Date.now() - timestamp > hour && "INVALID_TIMESTAMP")
        )
        yield* life.offer(range(0, 60).map((n) => Sink.trade(n, Time.wallTime(now - (isOld(n) ? 2 * hour : 0)))))
        yield* life.reach(({ queue }) => queue.records === 0)
        yield* Effect.repeat(Effect.delay(Effect.sync(life.deadLetters), "20 millis"), {
          until: (letters) => letters.length > 0
        })
        const [letter, ...others] = life.deadLetters()
        const { headers: { id }, reason } = JSON.parse(letter ?? "")
        assert.deepStrictEqual([id, reason], ["x:33", "MESSAGE_TOO_LARGE"])
        assert.lengthOf(others, 0)
        yield* life.reach(({ kafka, mode, queue }) =>
          queue.records === 0 && kafka.message === null && mode === "straight"
        )
        const records = yield* stored(fake)
        assert.lengthOf(records, 59)
        for (const { headers, timestamp } of records) {
          if (isOld(Number(headers["id"]?.slice(2)))) assert.isAtLeast(timestamp, now)
          else assert.strictEqual(timestamp, now)
        }
      })))
})
