/**
 * What the parts of one open queue share: its settings, its state, its files, its locks, and what is said of a disk that refuses.
 *
 * Locks, always taken in this order: the writer's turn (one batch at a time), the budget of all lanes, `structure` (segments come,
 * grow and go), then `reading` or `cursor`.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Complaint } from "../Complaint.ts"
import { type File, type FileOps, type FileOpsError, isNoRoom } from "../FileOps.ts"
import type * as Instruments from "../Instruments.ts"
import type { Encoder } from "./Format.ts"
import { FileQueueError, type Loss } from "./Model.ts"
import type * as State from "./State.ts"

export interface Settings {
  /** The data directory: queues in `queue/<topic>`, damaged bytes in `quarantine`. */
  readonly dir: string
  readonly maxBytes: number
  readonly fullPolicy: FullPolicy
  readonly fsync: Fsync
  readonly fsyncIntervalMs: number
  /** Records so much older than the newest are dropped, ms; undefined: none. */
  readonly maxAgeMs: number | undefined
  readonly segmentBytes: number
  readonly segmentAgeMs: number
}

/**
 * `drop_newest` and `block` are the caller's to do: over the budget `append` fails with `refused`.
 *
 * @since 0.1.0
 * @category options
 */
export type FullPolicy = "drop_oldest" | "drop_newest" | "block"

/**
 * `always`: durable before `append` succeeds. `interval`: a power loss takes the last interval. `never`: whatever the system had not written.
 *
 * @since 0.1.0
 * @category options
 */
export type Fsync = "always" | "interval" | "never"

/** Losses that nobody downstream was told of yet (`Losses.ts`). */
export interface Pending {
  /** One write at a time. */
  readonly lock: Effect.Semaphore
  /** In the order in which they happened; those that were handed out already among them. */
  entries: ReadonlyArray<{ readonly loss: Loss; readonly isHandedOut: boolean }>
  /** The file says more than that: of ranges that are still here. Written before the cursor goes on: it may pass them. */
  stale: boolean
}

export interface QueueContext {
  readonly state: State.State
  readonly ops: FileOps["Type"]
  readonly settings: Settings
  /** How long syncs take, ms. */
  readonly syncs: Instruments.Histogram
  readonly onLoss: (loss: Loss) => Effect.Effect<void>
  readonly losses: Pending
  readonly queueId: Uint8Array
  /** The writer's alone. */
  readonly encoder: Encoder
  readonly structure: Effect.Semaphore
  readonly reading: Effect.Semaphore
  readonly cursor: Effect.Semaphore
  /** The segment that is appended to; none until something is. Guarded by `structure`. */
  active: { readonly segment: State.Segment; readonly file: File; dirty: boolean } | undefined
  readonly scope: Scope.Scope
  /** Epoch ms: the wall clock's when the queue was opened, monotonic since. Ages of records and segments are told by it. */
  readonly steady: () => number
  /** When `QUEUE_MAX_AGE` was last looked at. */
  expiredAt: number
  /** When the active segment's name was last looked at. */
  lookedAt: number
  /** A fiber watches the full disk. */
  healing: boolean
  /** Of what is done with each attempt to write, where nothing depends on it. */
  readonly complaint: Complaint
}

export const ioError = (error: FileOpsError, reason?: FileQueueError["reason"]): FileQueueError =>
  new FileQueueError({
    reason: reason ?? (isNoRoom(error) ? "full" : "io"),
    path: error.path,
    message: `${error.op}: ${error.message}`,
    cause: error
  })

/** What is done to leave things tidy, or as far as a broken disk lets us: logged, not raised. */
export const logged = (what: string, effect: Effect.Effect<void, FileOpsError>): Effect.Effect<void> =>
  effect.pipe(
    Effect.catchTag("FileOpsError", (error) =>
      Effect.logWarning("the disk refuses what the queue does to be safe").pipe(
        Effect.annotateLogs({ what, path: error.path, code: error.code })
      ))
  )

/** As `logged`, of what a disk that fails refuses each second. */
export const complained = (
  { complaint }: QueueContext,
  what: string,
  effect: Effect.Effect<void, FileOpsError>
): Effect.Effect<void> =>
  effect.pipe(
    Effect.catchTag("FileOpsError", ({ message, path }) =>
      complaint.tell("the disk refuses what the queue does to be safe", { what, path, error: message }))
  )

export const isThere = (ops: FileOps["Type"], path: string): Effect.Effect<boolean, FileOpsError> =>
  ops.stat(path).pipe(
    Effect.as(true),
    Effect.catchIf(({ code }) => code === "ENOENT", () => Effect.succeed(false))
  )
