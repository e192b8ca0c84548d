/**
 * Record times that a broker refuses: `message.timestamp.after.max.ms` (an hour unless set, since Kafka 4) and
 * `message.timestamp.before.max.ms`, error 32. The collector's wall clock is stepped, the broker's is right.
 */
import { FileSystem } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { inject } from "vitest"
import * as Time from "../../src/services/Time.ts"
import * as Sink from "../support/Sink.ts"
import * as SteppedClock from "../support/SteppedClock.ts"
import { createTopic } from "./Admin.ts"
import { readTopic } from "./Consumer.ts"
import { kafkaOf, newTopic, optionsOf } from "./TestBroker.ts"

const hour = 3_600_000

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

const numberOf = ({ headers }: { readonly headers: Readonly<Record<string, string>> }) =>
  Number(headers["id"]?.slice(2))

const stage = <A, E>(
  config: Readonly<Record<string, string>>,
  play: (parts: {
    readonly life: Effect.Effect.Success<ReturnType<typeof Sink.begin>>
    readonly read: Effect.Effect<Awaited<ReturnType<typeof readTopic>>>
    readonly wall: SteppedClock.Wall
  }) => Effect.Effect<A, E>
) =>
  SteppedClock.run((wall) =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped()
      const prefix = newTopic()
      yield* Effect.promise(() => createTopic(inject("kafkaBroker"), `${prefix}.trade.v1`, { partitions: 2, config }))
      yield* Effect.promise(() => createTopic(inject("kafkaBroker"), `${prefix}.status.v1`, { partitions: 1 }))
      const kafka = yield* kafkaOf(optionsOf(inject("kafkaBroker")))
      const life = yield* Sink.begin(directory, prefix, kafka)
      const result = yield* play({
        life,
        wall,
        read: Effect.map(
          Effect.promise(() => readTopic(inject("kafkaBroker"), `${prefix}.trade.v1`)),
          (records) => {
            const byKey = new Map<string, Array<number>>()
            for (const record of records) byKey.set(record.key, [...(byKey.get(record.key) ?? []), numberOf(record)])
            for (const [key, ids] of byKey) {
              assert.deepStrictEqual(ids, [...ids].sort((a, b) => a - b), `order of ${key}`)
            }
            return records
          }
        )
      })
      yield* life.end
      return result
    })
  ).pipe(Effect.scoped, Effect.provide(NodeContext.layer))

describe("record times on a real broker", () => {
  it.scopedLive("a clock that is two hours fast holds the topic up for as long as it is, no longer", () =>
    stage({ "message.timestamp.after.max.ms": `${hour}` }, ({ life, read, wall }) =>
      Effect.gen(function*() {
        yield* wall.step("2 hours", "forward")
        const fast = yield* Time.wall
        yield* life.offer(range(0, 100).map((n) => Sink.trade(n, fast)))
        const { kafka } = yield* life.reach(({ kafka, queue }) => kafka.message !== null && queue.records === 100)
        assert.match(kafka.message ?? "", /INVALID_TIMESTAMP/)
        yield* wall.step("2 hours", "back")
        const right = yield* Time.wall
        yield* life.offer(range(100, 110).map((n) => Sink.trade(n, right)))
        yield* life.delivered
        const now = Date.now()
        const records = yield* read
        assert.lengthOf(records, 110)
        for (const record of records) {
          const wasFast = numberOf(record) < 100
          assert.isAtMost(record.timestamp, now)
          assert.strictEqual(JSON.parse(record.value).receivedAt, Time.iso(wasFast ? fast : right))
          if (!wasFast) assert.strictEqual(record.timestamp, Time.epochMillis(right))
        }
        assert.lengthOf(life.deadLetters(), 0)
      })))

  it.scopedLive("what alone is too old goes out with the present time, the rest with its own", () =>
    stage({ "message.timestamp.before.max.ms": `${hour}` }, ({ life, read }) =>
      Effect.gen(function*() {
        const now = Date.now()
        const aged = (n: number) => Time.wallTime(now - (n < 300 ? 3 * hour - n : hour / 6 - n))
        yield* life.offer(range(0, 400).map((n) => Sink.trade(n, aged(n))))
        yield* life.delivered
        const records = yield* read
        assert.lengthOf(records, 400)
        for (const record of records) {
          const n = numberOf(record)
          if (n < 300) assert.isAtLeast(record.timestamp, now)
          else assert.strictEqual(record.timestamp, Time.epochMillis(aged(n)))
        }
        assert.lengthOf(life.deadLetters(), 0)
      })))
})
