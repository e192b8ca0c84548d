/** The sink by its known name, whole: real sockets, a real broker, a real disk. */
import { FileSystem } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Duration, Effect, Layer, Schedule } from "effect"
import { inject } from "vitest"
import * as DataDirectory from "../../src/layers/DataDirectory.ts"
import * as NodeFileOps from "../../src/layers/node/FileOps.ts"
import * as NodeKafka from "../../src/layers/node/Kafka.ts"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"
import * as DeadLetters from "../../src/services/DeadLetters.ts"
import { EventSink } from "../../src/services/EventSink.ts"
import * as KafkaSink from "../../src/services/KafkaSink.ts"
import * as RetryPolicy from "../../src/services/RetryPolicy.ts"
import * as Time from "../../src/services/Time.ts"
import * as Sink from "../support/Sink.ts"
import { createTopic } from "./Admin.ts"
import { readTopic } from "./Consumer.ts"
import { newTopic, optionsOf } from "./TestBroker.ts"

it.scopedLive("delivers over kafkajs, and what it could not send before it stopped is delivered by the next life", () =>
  Effect.gen(function*() {
    const dir = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()
    const topicPrefix = newTopic()
    const topic = `${topicPrefix}.trade.v1`
    yield* Effect.promise(() => createTopic(inject("kafkaBroker"), topic))
    const trades = (from: number, to: number) =>
      Effect.map(Time.wall, (now) => Array.from({ length: to - from }, (_, i) => Sink.trade(from + i, now)))
    const read = Effect.promise(() => readTopic(inject("kafkaBroker"), topic))
    const laneOf = Effect.map(
      Effect.flatMap(KafkaSink.KafkaSink, ({ lanes }) => lanes),
      ([lane]) => lane ?? assert.fail("no lane")
    )
    const life = (
      broker: string,
      from: number,
      to: number,
      isOver: Effect.Effect<boolean, never, KafkaSink.KafkaSink>
    ) =>
      Effect.gen(function*() {
        yield* Effect.flatMap(trades(from, to), (yield* EventSink).offer)
        yield* isOver.pipe(
          Effect.repeat({ until: (yes) => yes, schedule: Schedule.spaced("20 millis") }),
          Effect.timeout("30 seconds")
        )
        assert.isTrue(yield* Effect.flatMap(KafkaSink.KafkaSink, ({ stop }) => stop(Duration.seconds(5))))
      }).pipe(
        Effect.provide(
          KafkaSink.layerKafkajs({
            delivery: {
              topicPrefix,
              lanes: ["trade"],
              mode: "fallback",
              linger: Duration.millis(1),
              breaker: { maxFailures: 3, timeout: Duration.millis(100), successThreshold: 1 },
              retry: { ...RetryPolicy.defaults, baseDelay: Duration.millis(10), maxDelay: Duration.millis(50) }
            },
            kafka: optionsOf(broker),
            queue: {
              dir,
              maxBytes: 64 * 1024 * 1024,
              fsync: "always",
              fsyncInterval: "1 second",
              fullPolicy: "drop_oldest"
            }
          }, NodeKafka.transport).pipe(
            Layer.provide(Layer.mergeAll(CircuitBreaker.layer, DeadLetters.layer(dir), DataDirectory.checkpoint(dir))),
            Layer.provide(NodeFileOps.layer)
          )
        )
      )
    yield* life(inject("kafkaBroker"), 0, 10, Effect.map(laneOf, ({ kafka }) => kafka.ackedAt !== null))
    // Nobody listens on port 1.
    yield* life("127.0.0.1:1", 10, 20, Effect.map(laneOf, ({ kafka }) => kafka.message !== null))
    yield* life(inject("kafkaBroker"), 20, 30, Effect.map(read, ({ length }) => length >= 30))
    const all = yield* read
    // Partitions are read one after the other: a market is in one of them, in its order.
    for (const market of [0, 1, 2]) {
      assert.deepStrictEqual(
        all.filter(({ key }) => key === `bitpin:M${market}/IRT`).map(({ headers }) => headers["id"]),
        Array.from({ length: 10 }, (_, i) => `x:${3 * i + market}`)
      )
    }
    assert.lengthOf(all, 30)
  }).pipe(Effect.provide(NodeContext.layer)))
