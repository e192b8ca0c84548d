import { assert, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, TestClock } from "effect"
import { FakeKafka, layer, requestTimeout } from "../../../src/layers/testing/FakeKafka.ts"
import type { EventRecord } from "../../../src/services/MarketEvent.ts"
import { Producer } from "../../../src/services/Producer.ts"

const record = (id: string, key = "bitpin:BTC/IRT"): EventRecord => ({
  key,
  value: `{"id":"${id}"}`,
  headers: { id },
  timestamp: 42
})

const setUp = Effect.gen(function*() {
  const fake = yield* FakeKafka
  const kafka = yield* Producer
  const timeouts: Array<number> = []
  const lane = yield* kafka.lane({
    topic: "t",
    onRequestTimeout: () =>
      Effect.map(TestClock.currentTimeMillis, (now) => {
        timeouts.push(now)
      })
  })
  const ids = Effect.map(fake.records("t"), (records) => records.map((stored) => stored.headers["id"]))
  return { fake, kafka, lane, timeouts, ids, send: (...records: ReadonlyArray<EventRecord>) => lane.send(records) }
})

it.scoped("stores what it is sent, by Java's murmur2", () =>
  Effect.gen(function*() {
    const { fake, lane, send } = yield* setUp
    yield* send(record("a"), { ...record("b"), value: new TextEncoder().encode("ت") }, record("c", "wallex:TRX/USDT"))
    const stored = yield* fake.records("t")
    assert.deepStrictEqual(
      stored.map(({ key, offset, partition, timestamp, value }) => [key, partition, offset, timestamp, value]),
      [
        ["bitpin:BTC/IRT", yield* lane.partitionOf("bitpin:BTC/IRT"), 0, 42, "{\"id\":\"a\"}"],
        ["bitpin:BTC/IRT", yield* lane.partitionOf("bitpin:BTC/IRT"), 1, 42, "ت"],
        ["wallex:TRX/USDT", yield* lane.partitionOf("wallex:TRX/USDT"), 0, 42, "{\"id\":\"c\"}"]
      ]
    )
    assert.deepStrictEqual(yield* fake.topics, ["t"])
  }).pipe(Effect.provide(layer)))

it.scoped("refuses while it is down", () =>
  Effect.gen(function*() {
    const { fake, ids, kafka, send } = yield* setUp
    yield* fake.down
    assert.deepInclude(yield* Effect.flip(send(record("a"))), { _tag: "ProducerUnavailable", reason: "connection" })
    assert.strictEqual((yield* Effect.flip(kafka.probe)).reason, "connection")
    yield* fake.up
    yield* send(record("b"))
    yield* kafka.probe
    assert.deepStrictEqual(yield* ids, ["b"])
  }).pipe(Effect.provide(layer)))

it.scoped("frozen, it tells after one timeout, fails after two, and executes the request when it thaws", () =>
  Effect.gen(function*() {
    const { fake, ids, send, timeouts } = yield* setUp
    yield* fake.freeze
    const fiber = yield* Effect.fork(send(record("a")))
    yield* TestClock.adjust(requestTimeout)
    assert.deepStrictEqual(timeouts, [5_000])
    assert.isNull(fiber.unsafePoll())
    yield* TestClock.adjust(requestTimeout)
    assert.deepInclude(yield* Effect.flip(Fiber.join(fiber)), { _tag: "ProducerUnavailable", reason: "timeout" })
    assert.deepStrictEqual(yield* ids, [])
    yield* fake.up
    assert.deepStrictEqual(yield* ids, ["a"])
  }).pipe(Effect.provide(layer)))

it.scoped("a thaw in time is a success; going down fails what was held", () =>
  Effect.gen(function*() {
    const { fake, ids, send } = yield* setUp
    yield* fake.freeze
    const thawed = yield* Effect.fork(send(record("a")))
    yield* TestClock.adjust("6 seconds")
    yield* fake.up
    yield* Fiber.join(thawed)
    yield* fake.freeze
    const cut = yield* Effect.fork(send(record("b")))
    yield* Effect.yieldNow()
    yield* fake.down
    assert.deepInclude(yield* Effect.flip(Fiber.join(cut)), { _tag: "ProducerUnavailable", reason: "connection" })
    assert.deepStrictEqual(yield* ids, ["a"])
  }).pipe(Effect.provide(layer)))

it.scoped("slow, it answers late, and writes also for a sender that has gone", () =>
  Effect.gen(function*() {
    const { fake, ids, send } = yield* setUp
    yield* fake.slow("3 seconds")
    const first = yield* Effect.fork(Effect.timed(send(record("a"))))
    yield* TestClock.adjust("3 seconds")
    assert.strictEqual(Duration.toMillis((yield* Fiber.join(first))[0]), 3_000)
    const gone = yield* Effect.fork(send(record("b")))
    yield* TestClock.adjust("1 second")
    assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(gone)))
    yield* TestClock.adjust("2 seconds")
    assert.deepStrictEqual(yield* ids, ["a", "b"])
  }).pipe(Effect.provide(layer)))

it.scoped("a rejected record takes its partition's batch with it and no other", () =>
  Effect.gen(function*() {
    const { fake, ids, send } = yield* setUp
    yield* fake.reject((candidate) => candidate.headers["id"] === "bad")
    const failure = yield* Effect.flip(send(record("a"), record("bad"), record("other", "wallex:TRX/USDT")))
    assert.deepInclude(failure, { _tag: "ProducerRejected", code: 10 })
    assert.deepStrictEqual(yield* ids, ["other"])
    yield* fake.reject(undefined)
    yield* send(record("bad"))
    assert.deepStrictEqual(yield* ids, ["other", "bad"])
  }).pipe(Effect.provide(layer)))

it.scoped("a lost answer is a written record and a timeout", () =>
  Effect.gen(function*() {
    const { fake, ids, send } = yield* setUp
    yield* fake.loseAnswers(1)
    const fiber = yield* Effect.fork(Effect.flip(send(record("a"))))
    yield* TestClock.adjust("10 seconds")
    assert.deepInclude(yield* Fiber.join(fiber), { _tag: "ProducerUnavailable", reason: "timeout" })
    yield* send(record("a"))
    assert.deepStrictEqual(yield* ids, ["a", "a"])
  }).pipe(Effect.provide(layer)))
