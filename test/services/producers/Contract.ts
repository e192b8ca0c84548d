/**
 * What the engine of delivery relies on, whatever the output: one suite for every `Producer`, the fake included. A world brings the
 * producer, an eye of its own on what the output holds, and the way to take the output away and give it back.
 */
import { assert } from "@effect/vitest"
import { type Context, Effect, Schedule, type Scope } from "effect"
import type { EventRecord } from "../../../src/services/MarketEvent.ts"
import { type LaneProducer, Producer, ProducerUnavailable } from "../../../src/services/Producer.ts"

export interface World {
  readonly producer: Context.Tag.Service<Producer>
  readonly topic: string
  /** Texts of the values that the output holds, in its order. */
  readonly held: Effect.Effect<ReadonlyArray<string>>
  readonly goAway: Effect.Effect<void>
  readonly comeBack: Effect.Effect<void>
  /** Whether `probe` sees that it is away. A full disk is not what the probe of files looks for: the check of the disk does. */
  readonly probeSees: boolean
}

export const recordOf = (n: number, key = "bitpin:BTC/IRT"): EventRecord => ({
  key,
  value: JSON.stringify({ n, key }),
  headers: { id: String(n), schema: "trade/1", source: "ws" },
  timestamp: 1_700_000_000_000 + n
})

const recordsOf = (from: number, to: number): ReadonlyArray<EventRecord> =>
  Array.from({ length: to - from }, (_, i) => recordOf(from + i, `bitpin:C${(from + i) % 7}/IRT`))

const textOf = ({ value }: EventRecord): string => typeof value === "string" ? value : new TextDecoder().decode(value)

/** Of one key, in the order held. */
const ofKey = (held: ReadonlyArray<string>, key: string) => held.filter((text) => text.includes(`"${key}"`))

const isUnavailable = (failure: unknown): failure is ProducerUnavailable => failure instanceof ProducerUnavailable

/** As a lane does it: the same records until they are taken. */
const sendUntilTaken = (lane: LaneProducer, records: ReadonlyArray<EventRecord>) =>
  lane.send(records).pipe(
    Effect.retry({ while: isUnavailable, schedule: Schedule.spaced("100 millis") }),
    Effect.timeout("40 seconds")
  )

/** `promise` registers one test, in a world of its own. */
export const suite = (
  promise: (what: string, test: (world: World) => Effect.Effect<void, unknown, Scope.Scope>) => void
): void => {
  const laneOf = ({ producer, topic }: World) => producer.lane({ topic, onRequestTimeout: () => Effect.void })

  promise("what was acknowledged is there, each key in order, bytes as text", (w) =>
    Effect.gen(function*() {
      const lane = yield* laneOf(w)
      assert.strictEqual(lane.topic, w.topic)
      const texts = recordsOf(0, 500)
      const bytes = recordsOf(500, 1000).map((record) => ({
        ...record,
        value: new TextEncoder().encode(textOf(record))
      }))
      yield* lane.send([...texts, ...bytes])
      yield* lane.send(recordsOf(1000, 1003))
      const held = yield* w.held
      const sent = recordsOf(0, 1003)
      assert.sameMembers([...held], sent.map(textOf))
      for (let n = 0; n < 7; n++) {
        const key = `bitpin:C${n}/IRT`
        assert.deepStrictEqual(ofKey(held, key), sent.filter((record) => record.key === key).map(textOf))
      }
    }))

  promise("a send of nothing is nothing", (w) =>
    Effect.gen(function*() {
      const lane = yield* laneOf(w)
      yield* lane.send([])
      yield* lane.send([recordOf(0)])
      yield* lane.send([])
      assert.lengthOf(yield* w.held, 1)
    }))

  promise("knows the partition of a key once it has sent, and that its topic is there", (w) =>
    Effect.gen(function*() {
      const lane = yield* laneOf(w)
      yield* lane.send(recordsOf(0, 20))
      const partition = yield* lane.partitionOf("bitpin:C0/IRT")
      assert.isTrue(Number.isInteger(partition))
      assert.strictEqual(yield* lane.partitionOf("bitpin:C0/IRT"), partition)
      assert.deepStrictEqual(yield* w.producer.missing([w.topic]), [])
    }))

  promise(
    "away it is made all the same, says so in one line, and takes everything once it is back",
    (w) =>
      Effect.gen(function*() {
        yield* w.goAway
        const lane = yield* laneOf(w)
        const failure = yield* Effect.flip(lane.send([recordOf(0)]))
        assert.isTrue(isUnavailable(failure), String(failure))
        assert.notInclude(failure.message, "\n")
        assert.isAtMost(failure.message.length, 200)
        if (w.probeSees) assert.isTrue(isUnavailable(yield* Effect.flip(w.producer.probe)))
        yield* w.comeBack
        yield* sendUntilTaken(lane, [recordOf(0)])
        yield* w.producer.probe
        assert.include(yield* w.held, textOf(recordOf(0)))
      })
  )

  promise(
    "taken away between two sends, nothing that was acknowledged is missing, and order holds",
    (w) =>
      Effect.gen(function*() {
        const lane = yield* laneOf(w)
        yield* lane.send(recordsOf(0, 100))
        yield* w.goAway
        assert.isTrue(isUnavailable(yield* Effect.flip(lane.send(recordsOf(100, 200)))))
        yield* w.comeBack
        yield* sendUntilTaken(lane, recordsOf(100, 200))
        const first = new Map((yield* w.held).map((text, at) => [text, at]))
        for (const record of recordsOf(0, 200)) assert.isTrue(first.has(textOf(record)), textOf(record))
        for (let n = 0; n < 7; n++) {
          const last = recordsOf(0, 200).filter(({ key }) => key === `bitpin:C${n}/IRT`).map((one) =>
            first.get(textOf(one))
          )
          assert.deepStrictEqual(last, [...last].sort((a, b) => Number(a) - Number(b)))
        }
      })
  )

  promise("a send that is interrupted leaves the lane fit for the next", (w) =>
    Effect.gen(function*() {
      const lane = yield* laneOf(w)
      yield* lane.send([recordOf(0)])
      yield* Effect.raceFirst(lane.send(recordsOf(1, 500)), Effect.yieldNow())
      yield* sendUntilTaken(lane, [recordOf(1000)])
      const held = yield* w.held
      assert.include(held, textOf(recordOf(0)))
      assert.include(held, textOf(recordOf(1000)))
    }))
}
