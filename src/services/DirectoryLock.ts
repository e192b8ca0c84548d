/**
 * One process at a time works in a data directory. The lock ends with the process, however it ends.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"

/**
 * What the owner wrote about itself, for humans.
 *
 * @since 0.1.0
 * @category models
 */
export const Holder = Schema.Struct({
  pid: Schema.Number,
  host: Schema.String,
  /** Differs after a reboot; empty where the system has none. */
  bootId: Schema.String,
  /** ISO-8601; empty where it cannot be told. */
  startedAt: Schema.String
})
export type Holder = typeof Holder.Type

/**
 * Another process has the directory, or may have it: then `message` says what to remove if it does not.
 *
 * @since 0.1.0
 * @category errors
 */
export class Locked extends Schema.TaggedError<Locked>()("Locked", {
  path: Schema.String,
  /** Null if its note cannot be read (it may just be writing it). */
  holder: Schema.NullOr(Holder),
  /** The holder left `path` behind, and whether it still runs cannot be told from this process. */
  unsure: Schema.optional(Schema.Boolean)
}) {
  override get message(): string {
    const { holder, path, unsure } = this
    const by = holder === null ? "another process" : `process ${holder.pid} on ${holder.host}`
    if (unsure !== true) return `${path} is in use by ${by}`
    const since = holder === null ? "" : `, started ${holder.startedAt}`
    return `${path} was left by ${by}${since}, and whether that still runs cannot be told from here; ` +
      `if no other process works in the directory: rm ${quoted(path)}`
  }
}

/**
 * For messages that contain a command: the text as one word of a POSIX shell.
 *
 * @internal
 */
export const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

/**
 * The lock could not be tried at all: the directory cannot be made or written.
 *
 * @since 0.1.0
 * @category errors
 */
export class DirectoryLockError extends Schema.TaggedError<DirectoryLockError>()("DirectoryLockError", {
  path: Schema.String,
  code: Schema.String,
  message: Schema.String,
  cause: Schema.optional(Schema.Defect)
}) {}

/**
 * What holding a directory means: it is ours until the scope closes, or `lost` fails.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ownership {
  /**
   * Fails when another process owns the directory all the same: somebody took the marks away and it began before they were made again.
   * Whoever writes there has to stop at once. Never succeeds.
   */
  readonly lost: Effect.Effect<never, Locked>
}

/**
 * Sees to it that a directory has one process only. `NodeDirectoryLock.layer` gives the real one.
 *
 * @since 0.1.0
 * @category tags
 */
export class DirectoryLock extends Context.Tag("effect-exchange-feeds/services/DirectoryLock")<DirectoryLock, {
  /** Makes the directory if need be (0700) and holds `LOCK` in it until the scope closes. Does not wait. */
  readonly acquire: (directory: string) => Effect.Effect<Ownership, Locked | DirectoryLockError, Scope.Scope>
}>() {}
