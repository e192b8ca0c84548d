/**
 * The words of the queue: what goes in, what comes out, what may go wrong.
 */
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { EventRecord } from "../MarketEvent.ts"

/**
 * A call of the queue failed. `reason` says what to do about it; `path` names the file or directory.
 *
 * @since 0.1.0
 * @category errors
 */
export class FileQueueError extends Schema.TaggedError<FileQueueError>()("FileQueueError", {
  /**
   * `full`: no room by the operating system (ENOSPC, EDQUOT) or below the reserve; nothing of the batch was taken.
   * `failed`: the disk failed twice, the queue takes nothing more until it is mended. `too_large`: a record over the limit.
   * `io`: anything else. `unsupported`: a segment of a later format, left untouched. `refused`: over the budget, and by the policy
   * (`drop_newest`, `block`) nothing gives way.
   */
  reason: Schema.Literal("full", "failed", "too_large", "io", "unsupported", "refused"),
  path: Schema.String,
  message: Schema.String,
  cause: Schema.optional(Schema.Defect)
}) {}

/**
 * From here on the queue is nearly full: `degraded`, and books give way (docs/delivery-guarantees.md "What a full queue does").
 *
 * @since 0.1.0
 * @category predicates
 */
export const isNearlyFull = ({ bytes, maxBytes }: { readonly bytes: number; readonly maxBytes: number }): boolean =>
  bytes >= 0.8 * maxBytes

/**
 * A record that is in the queue, with its number.
 *
 * @since 0.1.0
 * @category models
 */
export interface QueuedRecord extends EventRecord {
  /** Strictly increasing within a lane, over all restarts. */
  readonly seq: number
}

/**
 * Records that left the queue without being delivered.
 *
 * @since 0.1.0
 * @category models
 */
export interface Loss {
  readonly reason: "full" | "corrupt" | "expired"
  readonly firstSeq: number
  readonly lastSeq: number
  /** How many: fewer than the numbers between, if others there were delivered. */
  readonly count: number
  /** By exchange, of records appended in this life. */
  readonly byExchange: ReadonlyMap<string, number>
  /** Of records inherited at open, whose exchange is not known. */
  readonly recovered: number
  /** They were appended between these times, epoch ms; null where it is not known. */
  readonly from: number | null
  readonly to: number | null
}

/**
 * What a queue holds at one moment.
 *
 * @since 0.1.0
 * @category models
 */
export interface QueueSnapshot {
  readonly records: number
  readonly bytes: number
  readonly segments: number
  /** Highest sequence number ever assigned + 1. */
  readonly nextSeq: number
  /** First sequence number not acknowledged, in memory. */
  readonly ackedTo: number
  /** The same on disk. */
  readonly durableAckedTo: number
  /** Records inherited at open that are still here. */
  readonly recovered: number
  readonly state: "ok" | "full" | "failed"
  /** `enqueued` time of the oldest record in epoch ms, null when empty. */
  readonly oldest: number | null
  /**
   * Its age, ms; 0 when empty. No step of the wall clock since the queue was opened changes it; of a record of an earlier life only the
   * wall clock tells.
   */
  readonly oldestAge: number
}

/**
 * What opening found.
 *
 * @since 0.1.0
 * @category models
 */
export interface Recovery {
  /** Records inherited: `nextSeq - ackedTo`, a subtraction, no scan. */
  readonly records: number
  readonly lost: number
  readonly quarantinedBytes: number
  readonly tornTail: boolean
  readonly cursorReset: boolean
}

/**
 * The open queue of one topic. Closed with its scope. One fiber reads and acknowledges; any may append.
 *
 * @since 0.1.0
 * @category models
 */
export interface Queue {
  readonly recovery: Recovery
  /** Durable once it succeeds (by `QUEUE_FSYNC`); all or nothing. Concurrent calls share one group commit. */
  readonly append: (
    records: ReadonlyArray<EventRecord>
  ) => Effect.Effect<{ readonly firstSeq: number; readonly lastSeq: number }, FileQueueError>
  /**
   * Durable records from sequence number `from` on (or the first after it that is still here), in order; at least one if there is one.
   * What is acknowledged is not. Bounded by both limits, sizes as `sizeOf` says; values are bytes. The caller's own, to be changed at will.
   * Empty: nothing durable at or after `from`.
   */
  readonly read: (options: {
    readonly from: number
    readonly maxRecords: number
    readonly maxBytes: number
  }) => Effect.Effect<ReadonlyArray<QueuedRecord>, FileQueueError>
  /**
   * Prepares the `read` of the same options, beside whatever else is going on, if that would be as long as it may. Pins nothing: what is
   * lost until then is not handed out.
   */
  readonly readAhead: (options: {
    readonly from: number
    readonly maxRecords: number
    readonly maxBytes: number
  }) => Effect.Effect<void>
  /** Everything below `nextSeq` is delivered (or dead-lettered). In memory; `persist` makes it durable. */
  readonly ack: (nextSeq: number) => Effect.Effect<void>
  /** The records of the unresolved send, `[first, last]`, or none: `drop_oldest` spares them (docs/design/delivery.md H6). */
  readonly pin: (range: { readonly first: number; readonly last: number } | undefined) => Effect.Effect<void>
  /** Cursor by temp file, fsync, rename, directory fsync; afterwards wholly acknowledged segments are removed. Succeeds with the position made durable. */
  readonly persist: Effect.Effect<number, FileQueueError>
  readonly snapshot: Effect.Effect<QueueSnapshot>
  /** 32 hex digits, of this queue alone. */
  readonly id: string
  /** Losses below sequence number `upTo` that were not handed out before, of earlier lives too: somebody is to be told. */
  readonly untold: (upTo: number) => Effect.Effect<ReadonlyArray<Loss>>
  /** Whatever `untold` handed out is safe: it will not be handed out again, not after a crash either. */
  readonly forgetTold: Effect.Effect<void, FileQueueError>
}

/**
 * Which queue is opened, and who is told of its losses.
 *
 * @since 0.1.0
 * @category options
 */
export interface OpenOptions {
  readonly topic: string
  /** Lower goes first when the shared budget runs out: books before trades. */
  readonly dropOrder: number
  /** Told of every loss, before `append` or `read` returns. */
  readonly onLoss: (loss: Loss) => Effect.Effect<void>
}
