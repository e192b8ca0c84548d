/**
 * What earlier lives of the collector have delivered or made durable, per market: so that a restart neither repeats a trade
 * nor takes a new one for an old (DELIVERY.md section 2).
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { EventRecord } from "./MarketEvent.ts"

/** A market's last trades. */
export interface MarketMemory {
  /** Trade ids in order of delivery, oldest first, at most `memoryOfMarket`. */
  readonly ids: ReadonlyArray<string>
  /** Exchange time of the last trade, null if none or unknown. */
  readonly lastTimestamp: string | null
}

/** How many ids are kept for each market: more than any window of recent trades an exchange is known to send. */
export const memoryOfMarket = 256

export class CheckpointError extends Schema.TaggedError<CheckpointError>()("CheckpointError", {
  path: Schema.String,
  message: Schema.String,
  cause: Schema.optional(Schema.Defect)
}) {}

export class Checkpoint extends Context.Tag("effect-exchange-feeds/services/Checkpoint")<Checkpoint, {
  /** By record key, `exchange:symbol`, as found at open. */
  readonly markets: ReadonlyMap<string, MarketMemory>
  /** The trade lane tells what Kafka acknowledged or the queue made durable; `seq`: highest sequence number included. */
  readonly settle: (records: ReadonlyArray<EventRecord>, seq?: number) => Effect.Effect<void>
  /** Sequence number of the trade lane covered at open: only records beyond it are read back into `markets`. */
  readonly coveredSeq: number
  /** Temp file, fsync, rename, directory fsync; nothing if nothing changed. */
  readonly write: Effect.Effect<void, CheckpointError>
}>() {}
