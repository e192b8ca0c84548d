/**
 * Where records go that Kafka will never take, and frames that do not decode (docs/design/contract.md "Dead letters"): NDJSON files under
 * `DATA_DIR/dead`, capped and rotated.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { FileOps, type FileOpsError, writeAll } from "./FileOps.ts"
import type { EventRecord } from "./MarketEvent.ts"
import type { WallTime } from "./Time.ts"

/**
 * A dead letter could not be written; `path` is the file.
 *
 * @since 0.1.0
 * @category errors
 */
export class DeadLetterError extends Schema.TaggedError<DeadLetterError>()("DeadLetterError", {
  path: Schema.String,
  message: Schema.String,
  cause: Schema.optional(Schema.Defect)
}) {}

/**
 * A record that no output takes, and why.
 *
 * @since 0.1.0
 * @category models
 */
export interface DeadRecord {
  readonly topic: string
  /** `MESSAGE_TOO_LARGE`, `RECORD_LIST_TOO_LARGE`, `INVALID_RECORD`, or `too_large` for what no queue takes. */
  readonly reason: string
  /** Sequence number in its lane's queue, if it was there. */
  readonly seq?: number
  readonly record: EventRecord
}

/**
 * A frame of an exchange that was not understood, and why.
 *
 * @since 0.1.0
 * @category models
 */
export interface DeadFrame {
  readonly exchange: string
  /** One of `FeedStatus.decodeReasons`. */
  readonly reason: string
  readonly detail: string
  /** The raw frame, cut by the feed. */
  readonly text: string
  readonly receivedAt: WallTime
}

/**
 * Where records and frames go of which nothing can be made.
 *
 * @since 0.1.0
 * @category tags
 */
export class DeadLetters extends Context.Tag("effect-exchange-feeds/services/DeadLetters")<DeadLetters, {
  /** Durable (fdatasync) when it succeeds: only then may the cursor move past the record (docs/design/delivery.md H5). */
  readonly record: (letter: DeadRecord) => Effect.Effect<void, DeadLetterError>
  /** Not fsynced: a frame is kept for the curious, it was counted already. */
  readonly frame: (frame: DeadFrame) => Effect.Effect<void, DeadLetterError>
}>() {}

/** Each file may grow to this; then it becomes `<name>.1` and a new one begins (docs/design/contract.md "The data directory"). */
const maxFileBytes = 64 * 1024 * 1024

const textOf = (value: string | Uint8Array): string =>
  typeof value === "string" ? value : new TextDecoder().decode(value)

const toError = (error: FileOpsError): DeadLetterError =>
  new DeadLetterError({ path: error.path, message: error.message, cause: error })

/** Appends lines to one file, one writer at a time. */
const makeFile = Effect.fnUntraced(function*(files: FileOps["Type"], directory: string, name: string) {
  const path = `${directory}/${name}`
  const writing = yield* Effect.makeSemaphore(1)
  return (line: string, durable: boolean): Effect.Effect<void, DeadLetterError> =>
    writing.withPermits(1)(Effect.acquireUseRelease(
      files.makeDirectory(directory).pipe(Effect.andThen(files.open(path, "write"))),
      (file) =>
        Effect.gen(function*() {
          const size = yield* file.size
          yield* writeAll(file, new TextEncoder().encode(line), size)
          if (durable) yield* file.datasync
          if (durable && size === 0) yield* files.syncDirectory(directory)
          if (size + line.length >= maxFileBytes) yield* files.rename(path, `${path}.1`)
        }),
      (file) =>
        file.close.pipe(Effect.catchTag("FileOpsError", (error) => Effect.logDebug("close failed", error.message)))
    )).pipe(Effect.mapError(toError))
})

/**
 * Dead letters under `<directory>/dead`, of which files and directory are made when the first one dies. Needs `FileOps`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (directory: string): Layer.Layer<DeadLetters, never, FileOps> =>
  Layer.effect(
    DeadLetters,
    Effect.gen(function*() {
      const files = yield* FileOps
      const records = yield* makeFile(files, `${directory}/dead`, "records.ndjson")
      const frames = yield* makeFile(files, `${directory}/dead`, "frames.ndjson")
      return {
        record: ({ record: { headers, key, timestamp, value }, ...letter }) =>
          records(`${JSON.stringify({ ...letter, key, value: textOf(value), headers, timestamp })}\n`, true),
        frame: (frame) => frames(`${JSON.stringify(frame)}\n`, false)
      }
    })
  )

/**
 * Keeps nothing: for sinks of callers who want none.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNoop: Layer.Layer<DeadLetters> = Layer.succeed(DeadLetters, {
  record: () => Effect.void,
  frame: () => Effect.void
})
