/**
 * Where records go that Kafka will never take, and frames that do not decode (contract 5.6): NDJSON files under
 * `DATA_DIR/dead`, capped and rotated.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { EventRecord } from "./MarketEvent.ts"

export class DeadLetterError extends Schema.TaggedError<DeadLetterError>()("DeadLetterError", {
  path: Schema.String,
  message: Schema.String,
  cause: Schema.optional(Schema.Defect)
}) {}

export interface DeadRecord {
  readonly topic: string
  /** `MESSAGE_TOO_LARGE`, `RECORD_LIST_TOO_LARGE`, `INVALID_RECORD`, or `too_large` for what no queue takes. */
  readonly reason: string
  /** Sequence number in its lane's queue, if it was there. */
  readonly seq?: number
  readonly record: EventRecord
}

export interface DeadFrame {
  readonly exchange: string
  readonly reason: string
  readonly detail: string
  /** The raw frame, cut by the feed. */
  readonly text: string
  /** Epoch ms. */
  readonly receivedAt: number
}

export class DeadLetters extends Context.Tag("effect-exchange-feeds/services/DeadLetters")<DeadLetters, {
  /** Durable (fdatasync) when it succeeds: only then may the cursor move past the record (DELIVERY.md H5). */
  readonly record: (letter: DeadRecord) => Effect.Effect<void, DeadLetterError>
  /** Not fsynced: a frame is kept for the curious, it was counted already. */
  readonly frame: (frame: DeadFrame) => Effect.Effect<void, DeadLetterError>
}>() {}
