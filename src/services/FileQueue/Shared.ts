/**
 * What the parts of one open queue share: its state, its files, its locks.
 *
 * Locks, always taken in this order: the writer's turn (one batch at a time), the budget of all lanes, `structure` (segments come,
 * grow and go), then `reading` or `cursor`.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Complaint } from "../Complaint.ts"
import { type File, type FileOps, type FileOpsError, inDirectory, isNoRoom, replaceFile } from "../FileOps.ts"
import type * as Instruments from "../Instruments.ts"
import type { Encoder } from "./Body.ts"
import * as Cursor from "./Cursor.ts"
import { FileQueueError, type Loss } from "./Model.ts"
import * as Ranges from "./Ranges.ts"
import * as State from "./State.ts"

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

/** Losses that nobody downstream was told of yet (`Drops.ts`). */
export interface Drops {
  /** One write at a time. */
  readonly lock: Effect.Semaphore
  /** In the order in which they happened; `told`: handed out already. */
  entries: ReadonlyArray<{ readonly loss: Loss; readonly told: boolean }>
  /** The file says more than that: of ranges that are still here. Written before the cursor goes on: it may pass them. */
  stale: boolean
}

export interface Shared {
  readonly state: State.State
  readonly ops: FileOps["Type"]
  readonly settings: Settings
  /** How long syncs take, ms. */
  readonly syncs: Instruments.Histogram
  readonly onLoss: (loss: Loss) => Effect.Effect<void>
  readonly drops: Drops
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

/** What is done to leave things tidy, or as far as a broken disk lets us: told, not raised. */
export const told = (what: string, effect: Effect.Effect<void, FileOpsError>): Effect.Effect<void> =>
  effect.pipe(
    Effect.catchTag("FileOpsError", (error) =>
      Effect.logWarning("the disk refuses what the queue does to be safe").pipe(
        Effect.annotateLogs({ what, path: error.path, code: error.code })
      ))
  )

/** As `told`, of what a disk that fails refuses each second. */
export const complained = (
  { complaint }: Shared,
  what: string,
  effect: Effect.Effect<void, FileOpsError>
): Effect.Effect<void> =>
  effect.pipe(
    Effect.catchTag("FileOpsError", ({ message, path }) =>
      complaint.tell("the disk refuses what the queue does to be safe", { what, path, error: message }))
  )

export const cursorPath = (directory: string): string => `${directory}/cursor`

/**
 * Makes the position durable: temp file, fsync, rename, directory fsync. Says which. Nothing is written if nothing changed.
 * `gone`: records that leave with it; the state learns of them only when the cursor is durable.
 */
export const writeCursor = (
  shared: Shared,
  gone: Ranges.Ranges = Ranges.empty
): Effect.Effect<number, FileQueueError> =>
  shared.cursor.withPermits(1)(
    Effect.suspend(() =>
      gone.length === 0 && State.isCursorDurable(shared.state)
        ? Effect.succeed(shared.state.durableAckedTo)
        : replaceCursor(shared, gone)
    )
  ).pipe(Effect.mapError((error) => ioError(error)), Effect.uninterruptible)

/** As it is now: what changes while it is written is the next one's. Guarded by `cursor`. */
const replaceCursor = ({ ops, state }: Shared, gone: Ranges.Ranges): Effect.Effect<number, FileOpsError> =>
  Effect.suspend(() => {
    const cursor = State.cursorOf(state, gone)
    const replace = replaceFile(ops, cursorPath(state.directory), Cursor.encode(cursor, ops.crc32))
    return Effect.map(inDirectory(ops, state.directory, replace), () => {
      State.cursorWritten(state, cursor)
      return cursor.nextSeq
    })
  })

/**
 * The cursor knows the last number that was given, and is there: else records whose files are removed would be missed by nobody, and
 * their numbers given again. Not with each append, whose syncs it would double.
 */
export const writeEnd = (shared: Shared): Effect.Effect<void, FileOpsError> =>
  shared.cursor.withPermits(1)(Effect.gen(function*() {
    const { ops, state } = shared
    // Nothing was ever given.
    if (state.nextSeq === 1) return
    if (State.isEndDurable(state) && (yield* isThere(ops, cursorPath(state.directory)))) return
    yield* replaceCursor(shared, Ranges.empty)
  })).pipe(Effect.uninterruptible)

export const isThere = (ops: FileOps["Type"], path: string): Effect.Effect<boolean, FileOpsError> =>
  ops.stat(path).pipe(
    Effect.as(true),
    Effect.catchIf(({ code }) => code === "ENOENT", () => Effect.succeed(false))
  )

/** Of records that are gone: how many of each exchange, and of an earlier life. */
export const lossesOf = (shared: Shared, reason: Loss["reason"], ranges: Ranges.Ranges): ReadonlyArray<Loss> =>
  ranges.map((range): Loss => ({
    reason,
    firstSeq: range.first,
    lastSeq: range.last,
    count: range.last - range.first + 1,
    ...State.originsOf(shared.state, range),
    ...State.timesOf(shared.state, range)
  }))

export const tellLosses = (shared: Shared, losses: ReadonlyArray<Loss>): Effect.Effect<void> =>
  Effect.forEach(losses, shared.onLoss, { discard: true })
