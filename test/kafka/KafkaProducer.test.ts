import { assert, describe, it, layer } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Logger, Schedule, Scope } from "effect"
import { createHook } from "node:async_hooks"
import { randomBytes } from "node:crypto"
import * as net from "node:net"
import { inject } from "vitest"
import type { Options } from "../../src/services/producers/Kafkajs.ts"
import * as Contract from "../services/producers/Contract.ts"
import { createTopic, deleteTopic, growTopic, withAdmin } from "./Admin.ts"
import { kcat, readTopic } from "./Consumer.ts"
import { kafkaOf, laneOf, newTopic, optionsOf, recordOf, sendUntilAcknowledged, TestBroker } from "./TestBroker.ts"

const idsOf = (records: ReadonlyArray<{ readonly headers: Readonly<Record<string, string>> }>) =>
  records.map((record) => record.headers["id"])

describe("a broker that is well", () => {
  const options = (more: Partial<Options> = {}) => optionsOf(inject("kafkaBroker"), more)

  const existing = (partitions = 12) =>
    Effect.promise(async () => {
      const topic = newTopic()
      await createTopic(inject("kafkaBroker"), topic, { partitions })
      return topic
    })

  const read = (topic: string) => Effect.promise(() => readTopic(inject("kafkaBroker"), topic))

  const partitionsOf = (topic: string) =>
    Effect.promise(() =>
      withAdmin(inject("kafkaBroker"), async (admin) => {
        const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
        return topics[0]?.partitions.length
      })
    )

  for (const compression of ["gzip", "none"] as const) {
    it.scopedLive(`delivers key, value, headers and timestamp as they were (${compression})`, () =>
      Effect.gen(function*() {
        const topic = yield* existing()
        const lane = yield* laneOf(options({ compression }), topic)
        const bytes = new TextEncoder().encode("xx{\"id\":\"bytes\"}yy").subarray(2, -2)
        const records = [
          recordOf("bitpin:BTC/IRT", "a"),
          {
            ...recordOf("bitpin:BTC/IRT", "b", bytes),
            headers: { id: "b", schema: "trade/1", source: "rest", spooled: "1" },
            timestamp: 1_500_000_000_001
          },
          { ...recordOf("wallex:تومان/IRT", "c", "{\"id\":\"ت\"}"), timestamp: 1_600_000_000_002 }
        ]
        yield* lane.send(records)
        const got = yield* read(topic)
        const byId = new Map(got.map((record) => [record.headers["id"], record]))
        assert.strictEqual(got.length, 3)
        for (const { headers, key, timestamp } of records) {
          const found = byId.get(headers["id"])
          assert.deepStrictEqual([found?.key, found?.headers, found?.timestamp], [key, headers, timestamp])
        }
        assert.strictEqual(byId.get("b")?.value, "{\"id\":\"bytes\"}")
        assert.strictEqual(byId.get("c")?.value, "{\"id\":\"ت\"}")
        assert.strictEqual(byId.get("a")?.partition, byId.get("b")?.partition)
      }))
  }

  it.scopedLive("puts a key where librdkafka's murmur2 puts it, and keeps the order of each key", () =>
    Effect.gen(function*() {
      const topic = yield* existing()
      const reference = yield* existing()
      const keys = Array.from({ length: 250 }, (_, i) => i % 3 === 0 ? `نوبیتکس:ریال${i}/IRT` : `bitpin:C${i}/USDT`)
      const lane = yield* laneOf(options(), topic)
      assert.strictEqual(yield* lane.partitionOf("bitpin:C1/USDT"), undefined)
      yield* lane.send(Array.from({ length: 1_000 }, (_, i) => recordOf(keys[i % keys.length] ?? "", `${i}`)))
      const lines = keys.map((key) => `${key}\tx\n`).join("")
      yield* Effect.promise(() =>
        kcat(
          ["-P", "-b", inject("kafkaBroker"), "-t", reference, "-K", "\t", "-X", "partitioner=murmur2_random"],
          lines
        )
      )
      const expected = new Map((yield* read(reference)).map((record) => [record.key, record.partition]))
      assert.strictEqual(expected.size, 250)
      assert.strictEqual(new Set(expected.values()).size, 12)
      const got = yield* read(topic)
      assert.strictEqual(got.length, 1_000)
      for (const { key, partition } of got) assert.strictEqual(partition, expected.get(key), key)
      for (const key of keys) {
        assert.strictEqual(yield* lane.partitionOf(key), expected.get(key))
        const order = got.filter((record) => record.key === key).map((record) => Number(record.headers["id"]))
        assert.deepStrictEqual(order, [...order].sort((a, b) => a - b))
      }
    }))

  it.scopedLive("creates a missing topic at start, and leaves one that exists as it is", () =>
    Effect.gen(function*() {
      const missing = newTopic()
      const present = yield* existing(3)
      const creating = options({ createTopics: { partitions: 5 } })
      yield* laneOf(creating, missing)
      yield* laneOf(creating, present)
      const created = partitionsOf(missing).pipe(
        Effect.sandbox,
        Effect.retry({ schedule: Schedule.spaced("100 millis"), times: 50 })
      )
      assert.strictEqual(yield* created, 5)
      assert.strictEqual(yield* partitionsOf(present), 3)
    }))

  it.scopedLive("creates a missing topic when it sends", () =>
    Effect.gen(function*() {
      const topic = newTopic()
      const lane = yield* laneOf(options({ createTopics: { partitions: 4 } }), topic)
      yield* lane.send([recordOf("a", "1")])
      yield* Effect.promise(() => deleteTopic(inject("kafkaBroker"), topic))
      yield* lane.send([recordOf("a", "2")])
      assert.deepStrictEqual(idsOf(yield* read(topic)), ["2"])
      assert.strictEqual(yield* partitionsOf(topic), 4)
    }))

  it.scopedLive("waits for a missing or deleted topic, which harms no other lane", () =>
    Effect.gen(function*() {
      const topic = newTopic()
      const kafka = yield* kafkaOf(options())
      const lane = yield* kafka.lane({ topic, onRequestTimeout: () => Effect.void })
      const other = yield* kafka.lane({ topic: yield* existing(), onRequestTimeout: () => Effect.void })
      const create = Effect.promise(() => createTopic(inject("kafkaBroker"), topic))
      const sendFails = Effect.flip(lane.send([recordOf("a", "1")]))

      assert.deepInclude(yield* sendFails, { _tag: "ProducerUnavailable", reason: "topic" })
      yield* create
      yield* lane.send([recordOf("a", "1")])
      yield* Effect.promise(() => deleteTopic(inject("kafkaBroker"), topic))
      assert.deepInclude(yield* sendFails, { _tag: "ProducerUnavailable", reason: "topic" })
      yield* other.send([recordOf("a", "1")])
      yield* create
      yield* lane.send([recordOf("a", "2")])
      assert.deepStrictEqual(idsOf(yield* read(topic)), ["2"])
    }))

  it.scopedLive("rejects a record over the broker's limit, and goes on", () =>
    Effect.gen(function*() {
      const topic = yield* existing()
      const lane = yield* laneOf(options(), topic)
      const failure = yield* Effect.flip(lane.send([recordOf("a", "big", new Uint8Array(randomBytes(2 << 20)))]))
      assert.deepInclude(failure, { _tag: "ProducerRejected", code: 10, reason: "MESSAGE_TOO_LARGE" })
      yield* lane.send([recordOf("a", "small")])
      assert.deepStrictEqual(idsOf(yield* read(topic)), ["small"])
    }))

  it.scopedLive("delivers what fits only when it is compressed, though it is too small to be worth it", () =>
    Effect.gen(function*() {
      const topic = newTopic()
      yield* Effect.promise(() =>
        createTopic(inject("kafkaBroker"), topic, { config: { "max.message.bytes": "1000" } })
      )
      const lane = yield* laneOf(options(), topic)
      const packs = new TextEncoder().encode("x".repeat(1_500))
      yield* lane.send([recordOf("a", "1", packs)])
      yield* lane.send([recordOf("a", "2", packs)])
      assert.deepStrictEqual(idsOf(yield* read(topic)), ["1", "2"])
      const failure = yield* Effect.flip(lane.send([recordOf("a", "3", new Uint8Array(randomBytes(1_500)))]))
      assert.deepInclude(failure, { _tag: "ProducerRejected", code: 10, reason: "MESSAGE_TOO_LARGE" })
    }))

  it.scopedLive("warns once when the number of partitions has changed", () =>
    Effect.gen(function*() {
      const warnings: Array<unknown> = []
      const logger = Logger.make(({ annotations, logLevel }) => {
        if (logLevel._tag === "Warning") warnings.push(Object.fromEntries(annotations))
      })
      const topic = yield* existing(1)
      const lane = yield* laneOf(options(), topic)
      const send = lane.send([recordOf("a", "1")]).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
      yield* send
      yield* Effect.promise(() => growTopic(inject("kafkaBroker"), topic, 3))
      // An interrupted send gives its client up: the next asks for the metadata anew.
      yield* Effect.fork(lane.send([recordOf("a", "2")])).pipe(
        Effect.tap(Effect.yieldNow()),
        Effect.flatMap(Fiber.interrupt)
      )
      yield* send
      yield* send
      assert.deepStrictEqual(warnings, [{ topic, before: 1, now: 3 }])
    }))

  it.scopedLive("rests when there is nothing to do", () =>
    Effect.gen(function*() {
      const lane = yield* laneOf(options(), yield* existing())
      yield* lane.send([recordOf("a", "1")])
      let timers = 0
      const hook = createHook({
        init: (_, type) => {
          if (type === "Timeout") timers += 1
        }
      })
      hook.enable()
      yield* Effect.sleep("1 second")
      hook.disable()
      assert.isBelow(timers, 50) // thousands without the patch
    }))

  it.scopedLive("answers the health check", () => Effect.flatMap(kafkaOf(options()), (kafka) => kafka.probe))

  it.scopedLive("answers it behind one that takes connections and says nothing", () =>
    Effect.gen(function*() {
      const mute = yield* Effect.acquireRelease(
        Effect.async<net.Server>((resume) => {
          const server = net.createServer(() => {})
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const address = mute.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      const { timeouts: _, ...real } = options({ brokers: [`127.0.0.1:${port}`, inject("kafkaBroker")] })
      yield* Effect.flatMap(kafkaOf(real), (kafka) => kafka.probe)
      const alone = yield* Effect.flip(
        Effect.flatMap(kafkaOf({ ...real, brokers: [`127.0.0.1:${port}`] }), (kafka) => kafka.probe)
      )
      assert.include(alone.message, `127.0.0.1:${port}`)
    }))
})

layer(TestBroker.layer, { excludeTestServices: true, timeout: "2 minutes" })("a broker that fails", (it) => {
  /** A topic on the broker, a lane to it, and what is in it. */
  const setUp = (through: "broker" | "proxy", onRequestTimeout: Effect.Effect<void> = Effect.void) =>
    Effect.gen(function*() {
      const { broker, proxy } = yield* TestBroker
      const topic = newTopic()
      yield* Effect.promise(() => createTopic(broker.address, topic))
      const lane = yield* laneOf(
        optionsOf(through === "proxy" ? proxy.address : broker.address),
        topic,
        onRequestTimeout
      )
      return { broker, proxy, topic, lane, read: Effect.promise(() => readTopic(broker.address, topic)) }
    })

  const world = Effect.gen(function*() {
    const { broker, proxy } = yield* TestBroker
    const topic = newTopic()
    yield* Effect.promise(() => createTopic(broker.address, topic))
    yield* Effect.addFinalizer(() => Effect.promise(() => proxy.refuse(false)))
    return {
      producer: yield* kafkaOf(optionsOf(proxy.address)),
      topic,
      held: Effect.map(Effect.promise(() => readTopic(broker.address, topic)), (all) => all.map(({ value }) => value)),
      goAway: Effect.promise(() => proxy.refuse(true)).pipe(Effect.andThen(Effect.sync(() => proxy.reset()))),
      comeBack: Effect.promise(() => proxy.refuse(false)),
      probeSees: true
    } satisfies Contract.World
  })
  Contract.suite((what, test) => it.scoped(`as every output: ${what}`, () => Effect.flatMap(world, test)))

  const a = [recordOf("a", "a")]
  const b = [recordOf("a", "b")]
  const c = [recordOf("a", "c")]

  const elapsed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.timed(effect).pipe(Effect.map(([duration, value]) => [Duration.toMillis(duration), value] as const))

  it.scoped("killed and started again: fails soon, then delivers", () =>
    Effect.gen(function*() {
      const { broker, lane, read } = yield* setUp("broker")
      yield* lane.send(a)
      yield* Effect.promise(() => broker.kill())
      const [ms, failure] = yield* elapsed(Effect.flip(lane.send(b))).pipe(
        Effect.ensuring(Effect.promise(() => broker.start()))
      )
      assert.deepInclude(failure, { _tag: "ProducerUnavailable", reason: "connection" })
      assert.isBelow(ms, 2_000)
      yield* sendUntilAcknowledged(lane, b)
      yield* lane.send(c)
      assert.deepStrictEqual(idsOf(yield* read), ["a", "b", "c"])
    }))

  it.scoped("absent at start: the lane is made all the same, and delivers later", () =>
    Effect.gen(function*() {
      const { broker, lane, read } = yield* setUp("broker")
      yield* Effect.promise(() => broker.stop())
      const failures = yield* Effect.replicateEffect(Effect.flip(lane.send(a)), 4).pipe(
        Effect.ensuring(Effect.promise(() => broker.start()))
      )
      for (const failure of failures) assert.deepInclude(failure, { _tag: "ProducerUnavailable", reason: "connection" })
      yield* sendUntilAcknowledged(lane, a)
      assert.deepStrictEqual(idsOf(yield* read), ["a"])
    }))

  it.scoped("frozen: tells of the timeout at once, fails, and delivers after the thaw", () =>
    Effect.gen(function*() {
      let told = 0
      const { broker, lane, read } = yield* setUp(
        "broker",
        Effect.sync(() => {
          told ||= performance.now()
        })
      )
      yield* lane.send(a)
      yield* Effect.promise(broker.freeze)
      const start = performance.now()
      const [ms, failure] = yield* elapsed(Effect.flip(lane.send(b))).pipe(Effect.ensuring(Effect.sync(broker.thaw)))
      assert.deepInclude(failure, { _tag: "ProducerUnavailable", reason: "timeout" })
      assert.isAbove(told - start, 900)
      assert.isBelow(told - start, 1_600)
      assert.isBelow(ms, 5_000)
      yield* sendUntilAcknowledged(lane, b)
      // What was in the frozen broker's buffers may come as well, but only as a copy, and never behind something newer.
      assert.deepStrictEqual(Array.from(new Set(idsOf(yield* read))), ["a", "b"])
    }))

  it.scoped("frozen when the connection is born: the same lane delivers after the thaw", () =>
    Effect.gen(function*() {
      const { broker, lane, read } = yield* setUp("broker")
      yield* Effect.promise(broker.freeze)
      const failures = yield* Effect.replicateEffect(Effect.flip(lane.send(a)), 2).pipe(
        Effect.ensuring(Effect.sync(broker.thaw))
      )
      for (const failure of failures) assert.deepInclude(failure, { _tag: "ProducerUnavailable", reason: "timeout" })
      // A broker that stood still has to take its partitions up again.
      yield* sendUntilAcknowledged(lane, b)
      assert.deepStrictEqual(Array.from(new Set(idsOf(yield* read))), ["b"])
    }))

  it.scoped("half-open connections: one send fails, the next works", () =>
    Effect.gen(function*() {
      const { lane, proxy, read } = yield* setUp("proxy")
      yield* lane.send(a)
      assert.isAbove(proxy.blackholeEstablished(), 0)
      const failure = yield* Effect.flip(lane.send(b))
      assert.deepInclude(failure, { _tag: "ProducerUnavailable", reason: "timeout" })
      const [ms] = yield* elapsed(lane.send(b))
      assert.isBelow(ms, 900)
      assert.deepStrictEqual(idsOf(yield* read), ["a", "b"])
    }))

  it.scoped("answer lost: the send fails, and sending again makes a copy with the same id", () =>
    Effect.gen(function*() {
      const { lane, proxy, read } = yield* setUp("proxy")
      yield* lane.send(a)
      proxy.dropResponses(1)
      const failure = yield* Effect.flip(lane.send(b))
      assert.deepInclude(failure, { _tag: "ProducerUnavailable", reason: "timeout" })
      yield* lane.send(b)
      assert.deepStrictEqual(idsOf(yield* read), ["a", "b", "b"])
    }))

  it.scoped("connections reset, then slow: nothing is lost", () =>
    Effect.gen(function*() {
      const { lane, proxy, read } = yield* setUp("proxy")
      yield* lane.send(a)
      assert.isAbove(proxy.reset(), 0)
      yield* sendUntilAcknowledged(lane, b)
      proxy.delay(300)
      const [ms] = yield* elapsed(lane.send(c)).pipe(Effect.ensuring(Effect.sync(() => proxy.delay(0))))
      assert.isAtLeast(ms, 300)
      assert.deepStrictEqual(Array.from(new Set(idsOf(yield* read))), ["a", "b", "c"])
    }))

  it.scoped("refused: fails soon", () =>
    Effect.gen(function*() {
      const { lane, proxy, read } = yield* setUp("proxy")
      yield* Effect.promise(() => proxy.refuse(true))
      const [ms, failure] = yield* elapsed(Effect.flip(lane.send(a))).pipe(
        Effect.ensuring(Effect.promise(() => proxy.refuse(false)))
      )
      assert.deepInclude(failure, { _tag: "ProducerUnavailable", reason: "connection" })
      assert.isBelow(ms, 1_500)
      yield* lane.send(a)
      assert.deepStrictEqual(idsOf(yield* read), ["a"])
    }))

  it.scoped("an interrupted send returns at once, and nothing of it is written later", () =>
    Effect.gen(function*() {
      const { lane, proxy, read } = yield* setUp("proxy")
      // Not connected yet: kafkajs would send the records when the connection comes.
      proxy.blackholeNew(true)
      const sending = yield* Effect.fork(lane.send(a))
      yield* Effect.sleep("100 millis")
      const [ms, exit] = yield* elapsed(Fiber.interrupt(sending))
      proxy.blackholeNew(false)
      assert.isTrue(Exit.isInterrupted(exit))
      assert.isBelow(ms, 100)
      yield* lane.send(b)
      yield* Effect.sleep("1500 millis") // kafkajs's own retries of the first would be over
      assert.deepStrictEqual(idsOf(yield* read), ["b"])
    }))

  it.scoped("closes in time while the broker is frozen", () =>
    Effect.gen(function*() {
      const { broker } = yield* TestBroker
      const topic = newTopic()
      yield* Effect.promise(() => createTopic(broker.address, topic))
      const scope = yield* Scope.make()
      const { timeouts: _, ...real } = optionsOf(broker.address)
      const lane = yield* laneOf(real, topic).pipe(Scope.extend(scope))
      yield* lane.send(a)
      yield* Effect.promise(broker.freeze)
      const sending = yield* Effect.fork(lane.send(b))
      yield* Effect.sleep("100 millis")
      const [ms] = yield* elapsed(Scope.close(scope, Exit.void)).pipe(Effect.ensuring(Effect.sync(broker.thaw)))
      assert.isBelow(ms, 3_000)
      yield* Fiber.await(sending)
    }))

  it.scoped("the health check fails within two seconds, and heals", () =>
    Effect.gen(function*() {
      const { broker } = yield* TestBroker
      const { timeouts: _, ...real } = optionsOf(broker.address)
      const kafka = yield* kafkaOf(real)
      yield* kafka.probe
      yield* Effect.promise(broker.freeze)
      const [ms, failure] = yield* elapsed(Effect.flip(kafka.probe)).pipe(Effect.ensuring(Effect.sync(broker.thaw)))
      assert.deepInclude(failure, { _tag: "ProducerUnavailable", reason: "timeout" })
      assert.isBelow(ms, 2_300)
      yield* kafka.probe
    }))
})
