/**
 * How Kafka fails, seen from a lane: for now, or for good.
 */
import * as Schema from "effect/Schema"

/**
 * Kafka cannot take records now: refused, timed out, not authorised, unknown topic, ... An outage, never a verdict on a
 * record: queue, and say so in one line (docs/design/delivery.md H5).
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

/**
 * Kafka works, and refuses what was sent: for good with MESSAGE_TOO_LARGE (10), RECORD_LIST_TOO_LARGE (18), INVALID_RECORD (87), or for
 * its time with INVALID_TIMESTAMP (32). Says nothing of which record unless one was sent alone.
 */
export class KafkaRejected extends Schema.TaggedError<KafkaRejected>()("KafkaRejected", {
  code: Schema.Literal(10, 18, 32, 87),
  reason: Schema.Literal("MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE", "INVALID_TIMESTAMP", "INVALID_RECORD"),
  message: Schema.String
}) {}
