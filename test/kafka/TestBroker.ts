/**
 * A broker that a test file may break, and a fault proxy in front of its second listener.
 */
import { Context, Duration, Effect, Layer, Schedule } from "effect"
import * as NodeKafka from "../../src/layers/node/Kafka.ts"
import type { EventRecord } from "../../src/services/MarketEvent.ts"
import { type LaneProducer, Producer } from "../../src/services/Producer.ts"
import { type Options } from "../../src/services/producers/Kafkajs.ts"
import * as Broker from "./Broker.ts"
import * as FaultProxy from "./FaultProxy.ts"

export class TestBroker extends Context.Tag("test/kafka/TestBroker")<TestBroker, {
  readonly broker: Broker.Broker
  readonly proxy: FaultProxy.FaultProxy
}>() {
  static readonly layer: Layer.Layer<TestBroker> = Layer.scoped(
    TestBroker,
    Effect.gen(function*() {
      const proxy = yield* Effect.acquireRelease(
        Effect.promise(() => FaultProxy.make()),
        (proxy) => Effect.promise(() => proxy.close())
      )
      const broker = yield* Effect.acquireRelease(
        Effect.promise(() => Broker.make({ behindProxy: proxy.port })),
        (broker) => Effect.promise(() => broker.stop().then(() => broker.remove()))
      )
      proxy.to(broker.proxiedPort)
      yield* Effect.promise(() => broker.start())
      return { broker, proxy }
    })
  )
}

/** A fifth of the real ones: as sure on loopback, and tests take a fifth of the time. */
export const timeouts = {
  connection: Duration.millis(1_000),
  authentication: Duration.millis(1_000),
  request: Duration.millis(1_000),
  ack: Duration.millis(800)
}

export const optionsOf = (address: string, options: Partial<Options> = {}): Options => ({
  brokers: [address],
  clientId: "test",
  compression: "gzip",
  createTopics: undefined,
  security: { protocol: "PLAINTEXT" },
  timeouts,
  ...options
})

export const kafkaOf = (options: Options) =>
  Effect.map(Layer.build(NodeKafka.layer(options)), (context) => Context.get(context, Producer))

/** The lane of a producer of its own. */
export const laneOf = (options: Options, topic: string, onRequestTimeout: Effect.Effect<void> = Effect.void) =>
  Effect.flatMap(kafkaOf(options), (kafka) => kafka.lane({ topic, onRequestTimeout: () => onRequestTimeout }))

let topics = 0

/** No two tests share a topic, also on a broker that outlives a run. */
export const newTopic = (): string => `test.${process.pid}.${Date.now()}.${topics++}`

export const recordOf = (
  key: string,
  id: string,
  value: string | Uint8Array = JSON.stringify({ id })
): EventRecord => ({
  key,
  value,
  headers: { id, schema: "trade/1", source: "ws" },
  timestamp: 1_700_000_000_000
})

/** As the lane does it: the same records again until Kafka has them. */
export const sendUntilAcknowledged = (lane: LaneProducer, records: ReadonlyArray<EventRecord>) =>
  lane.send(records).pipe(
    Effect.retry({
      while: (failure) => failure._tag === "ProducerUnavailable",
      schedule: Schedule.spaced("200 millis")
    }),
    Effect.timeout("30 seconds")
  )
