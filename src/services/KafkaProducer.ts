/**
 * Kafka, seen as one producer per lane. The only file that imports kafkajs.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { EventRecord } from "./MarketEvent.ts"

/**
 * Kafka cannot take records now: refused, timed out, not authorised, unknown topic, ... An outage, never a verdict on a
 * record: queue, and say so in one line (DELIVERY.md H5).
 */
export class KafkaUnavailable extends Schema.TaggedError<KafkaUnavailable>()("KafkaUnavailable", {
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

/** Kafka refused for good: MESSAGE_TOO_LARGE (10), RECORD_LIST_TOO_LARGE (18), INVALID_RECORD (87). Says nothing of which record unless one was sent alone. */
export class KafkaRejected extends Schema.TaggedError<KafkaRejected>()("KafkaRejected", {
  code: Schema.Literal(10, 18, 87),
  reason: Schema.Literal("MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE", "INVALID_RECORD"),
  message: Schema.String
}) {}

/** The producer of one topic. At most one `send` at a time: its lane sees to that. */
export interface LaneProducer {
  readonly topic: string
  /**
   * Sends at most 1 000 records and succeeds only if every partition answered for all of its records (acks = -1). On any
   * failure nothing is known of which records were written.
   */
  readonly send: (records: ReadonlyArray<EventRecord>) => Effect.Effect<void, KafkaUnavailable | KafkaRejected>
  /** Murmur2 as Java's default partitioner, from current metadata; undefined until the topic is known. Never stored (DELIVERY.md H9). */
  readonly partitionOf: (key: string) => Effect.Effect<number | undefined>
}

export interface LaneProducerOptions {
  readonly topic: string
  /** Runs at once when a request has timed out, long before `send` itself fails: opens the lane's breaker (DELIVERY.md H3). */
  readonly onRequestTimeout: Effect.Effect<void>
}

export class KafkaProducer extends Context.Tag("effect-exchange-feeds/services/KafkaProducer")<KafkaProducer, {
  /** Never fails and does not connect: the first `send` does. Closed (time-limited) with its scope. */
  readonly lane: (options: LaneProducerOptions) => Effect.Effect<LaneProducer, never, Scope.Scope>
  /** Asks the cluster for itself, within two seconds: the health check. */
  readonly probe: Effect.Effect<void, KafkaUnavailable>
}>() {}
