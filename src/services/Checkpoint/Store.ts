/** Where the checkpoint lives. */
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/**
 * What is known of earlier lives cannot be read or written; `message` is one line.
 *
 * @since 0.1.0
 * @category errors
 */
export class CheckpointError extends Schema.TaggedError<CheckpointError>()("CheckpointError", {
  /**
   * `version`: a later version of this program wrote it; nothing of it was changed. `gone`: somebody has taken files of it away while
   * it was in use.
   */
  reason: Schema.Literal("io", "version", "gone"),
  path: Schema.String,
  /** Names the path too. */
  message: Schema.String,
  cause: Schema.optional(Schema.Defect)
}) {}

/**
 * What is in a file, and what tells it from another content of the same file.
 *
 * @since 0.1.0
 * @category models
 */
export interface OldContent {
  readonly text: string
  readonly mark: number
}

/**
 * A log in segments, each a file, numbered upwards; what a later one says holds. An entry is one line, whole or not there.
 *
 * @since 0.1.0
 * @category models
 */
export interface Store {
  /** The file of version 1: that version replaces it as a whole, this one only reads it. */
  readonly old: {
    readonly path: string
    readonly read: Effect.Effect<OldContent | undefined, CheckpointError>
  }
  /** For messages. */
  readonly pathOf: (segment: number) => string
  /** Rising. */
  readonly segments: Effect.Effect<ReadonlyArray<number>, CheckpointError>
  /** Its entries but those that are damaged; `damaged`: how many these are. */
  readonly read: (
    segment: number
  ) => Effect.Effect<{ readonly texts: ReadonlyArray<string>; readonly damaged: number }, CheckpointError>
  /** Durable when it succeeds. After a failure that segment is not written again. */
  readonly append: (segment: number, text: string) => Effect.Effect<void, CheckpointError>
  /** Those before `segment` go. One that cannot be removed is only logged. */
  readonly removeBefore: (segment: number) => Effect.Effect<void>
}
