/**
 * Where records go, seen as one producer per lane: the tag of any output. `producers/Kafkajs` is Kafka, `producers/File` are files in
 * its place; the engine (`Delivery`) knows only this.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { EventRecord } from "./MarketEvent.ts"

/**
 * The output cannot take records now: refused, timed out, not authorised, unknown topic, disk full, ... An outage, never a verdict on
 * a record: queue, and say so in one line (docs/design/delivery.md H5).
 *
 * @since 0.1.0
 * @category errors
 */
export class ProducerUnavailable extends Schema.TaggedError<ProducerUnavailable>()("ProducerUnavailable", {
  reason: Schema.Literal(
    "connection",
    "timeout",
    "authentication",
    "authorization",
    "tls",
    "topic",
    "incomplete",
    "cluster",
    "client"
  ),
  /** One line, at most 200 characters, no secrets: what `/health` shows. */
  message: Schema.String,
  cause: Schema.optional(Schema.Defect)
}) {}

/**
 * The output works, and refuses what was sent: for good with MESSAGE_TOO_LARGE (10), RECORD_LIST_TOO_LARGE (18), INVALID_RECORD (87),
 * or for its time with INVALID_TIMESTAMP (32). Says nothing of which record unless one was sent alone.
 *
 * @since 0.1.0
 * @category errors
 */
export class ProducerRejected extends Schema.TaggedError<ProducerRejected>()("ProducerRejected", {
  code: Schema.Literal(10, 18, 32, 87),
  reason: Schema.Literal("MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE", "INVALID_TIMESTAMP", "INVALID_RECORD"),
  message: Schema.String
}) {}

/**
 * The producer of one topic. At most one `send` at a time: its lane sees to that.
 *
 * @since 0.1.0
 * @category models
 */
export interface LaneProducer {
  readonly topic: string
  /**
   * Sends at most 1 000 records and succeeds only if every one of them was acknowledged (Kafka: acks = -1, by every partition). On any
   * failure nothing is known of which records were written. Interrupted, it leaves nothing behind that could still write.
   * `fit`: the most bytes of one partition that its topic takes in one request, as far as is known; more go in several.
   */
  readonly send: (
    records: ReadonlyArray<EventRecord>,
    fit?: number
  ) => Effect.Effect<void, ProducerUnavailable | ProducerRejected>
  /** Which partition records of this key go to now; undefined until the topic is known. Never stored (docs/design/delivery.md H9). */
  readonly partitionOf: (key: string) => Effect.Effect<number | undefined>
}

/**
 * What a lane asks a producer for.
 *
 * @since 0.1.0
 * @category models
 */
export interface LaneProducerOptions {
  readonly topic: string
  /**
   * Runs at once when a request to that broker (`host:port`) has timed out, long before `send` itself fails: opens the lane's breaker
   * (docs/design/delivery.md H3).
   */
  readonly onRequestTimeout: (broker: string) => Effect.Effect<void>
}

/**
 * An output: Kafka, or what is in its place.
 *
 * @since 0.1.0
 * @category tags
 */
export class Producer extends Context.Tag("effect-exchange-feeds/services/Producer")<Producer, {
  /** Never fails and does not connect: the first `send` does. Closed (time-limited) with its scope. */
  readonly lane: (options: LaneProducerOptions) => Effect.Effect<LaneProducer, never, Scope.Scope>
  /**
   * Whether the output is there, within eight seconds: the health check. A Kafka also sees by it when another cluster answers at the
   * addresses of the settings; lanes then leave the one they were on.
   */
  readonly probe: Effect.Effect<void, ProducerUnavailable>
  /** Of these topics, the ones that the output does not have, or does not show us. */
  readonly missing: (topics: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<string>, ProducerUnavailable>
}>() {}
