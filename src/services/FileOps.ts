/**
 * Files as the queue, the cursor, the checkpoint and the dead letters need them: short writes visible, each kind of sync a call
 * of its own, directories syncable. `FileSystem` of @effect/platform has none of these. `NodeFileOps` is the real one; tests
 * have a disk that loses power.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/**
 * A call to the operating system failed. Branch on `code`; `message` is one line for people.
 *
 * @since 0.1.0
 * @category errors
 */
export class FileOpsError extends Schema.TaggedError<FileOpsError>()("FileOpsError", {
  /** The call that failed: `open`, `write`, `datasync`, ... */
  op: Schema.String,
  path: Schema.String,
  /** As the operating system names it: `ENOSPC`, `EIO`, `ENOENT`, ... */
  code: Schema.String,
  message: Schema.String,
  cause: Schema.optional(Schema.Defect)
}) {}

/** Codes that mean: no room, as yet. */
const noRoom = new Set(["ENOSPC", "EDQUOT", "EFBIG"])

/**
 * Whether a call failed because the disk, the quota or the largest size of a file is used up: it may succeed later.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isNoRoom = ({ code }: Pick<FileOpsError, "code">): boolean => noRoom.has(code)

/**
 * `read`: must exist. `create`: must not exist. `replace`: emptied if it exists. `write`: made if need be, else left as it is.
 * All but `read` give a file that can be read and written.
 *
 * @since 0.1.0
 * @category models
 */
export type OpenMode = "read" | "create" | "replace" | "write"

/**
 * An open file. All positions and lengths are bytes. No call can be interrupted: the kernel does not know how.
 *
 * @since 0.1.0
 * @category models
 */
export interface File {
  readonly path: string
  /** One call to the kernel. Says how much was written, which may be less than asked (a disk that fills up). */
  readonly write: (bytes: Uint8Array, position: number) => Effect.Effect<number, FileOpsError>
  /** One call to the kernel. 0 at the end of the file. */
  readonly read: (into: Uint8Array, position: number) => Effect.Effect<number, FileOpsError>
  /** Data, and what is needed to find it again. After a failure the file must not be synced again (docs/design/queue.md "When a write fails"). */
  readonly datasync: Effect.Effect<void, FileOpsError>
  readonly sync: Effect.Effect<void, FileOpsError>
  readonly truncate: (length: number) => Effect.Effect<void, FileOpsError>
  readonly size: Effect.Effect<number, FileOpsError>
  readonly close: Effect.Effect<void, FileOpsError>
}

/**
 * The file system as the queue needs it. `NodeFileOps.layer` gives the real one.
 *
 * @since 0.1.0
 * @category tags
 */
export class FileOps extends Context.Tag("effect-exchange-feeds/services/FileOps")<FileOps, {
  /** New files are for the owner alone (0600). Never follows a symbolic link. The caller closes it. */
  readonly open: (path: string, mode: OpenMode) => Effect.Effect<File, FileOpsError>
  /** With its parents, for the owner alone (0700). Not an error if it exists. */
  readonly makeDirectory: (path: string) => Effect.Effect<void, FileOpsError>
  /** Names of the entries, sorted. */
  readonly readDirectory: (path: string) => Effect.Effect<ReadonlyArray<string>, FileOpsError>
  /** Makes creations, renames and removals in it durable. */
  readonly syncDirectory: (path: string) => Effect.Effect<void, FileOpsError>
  readonly rename: (from: string, to: string) => Effect.Effect<void, FileOpsError>
  readonly unlink: (path: string) => Effect.Effect<void, FileOpsError>
  readonly stat: (path: string) => Effect.Effect<{ readonly size: number; readonly isFile: boolean }, FileOpsError>
  /** Of the file system that holds `path`: what a process without privileges may still take. */
  readonly freeBytes: (path: string) => Effect.Effect<number, FileOpsError>
  /** CRC-32 (IEEE) of `data`, going on from `seed`. */
  readonly crc32: (data: Uint8Array, seed: number) => number
}>() {}

/**
 * As `ops` for as long as the directory is ours. From then on whatever would make, replace, rename or remove a file fails with the code
 * `ENOTOWNER`: another process writes there by now, and what this one still has to say would go over it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const whileOurs = (ops: FileOps["Type"], isOurs: () => boolean): FileOps["Type"] => {
  const ours = <A>(op: string, path: string, call: Effect.Effect<A, FileOpsError>): Effect.Effect<A, FileOpsError> =>
    Effect.suspend(() =>
      isOurs()
        ? call
        : new FileOpsError({
          op,
          path,
          code: "ENOTOWNER",
          message: `${path}: another process owns the directory by now`
        })
    )
  return {
    ...ops,
    open: (path, mode) => mode === "read" ? ops.open(path, mode) : ours("open", path, ops.open(path, mode)),
    makeDirectory: (path) => ours("makeDirectory", path, ops.makeDirectory(path)),
    rename: (from, to) => ours("rename", to, ops.rename(from, to)),
    unlink: (path) => ours("unlink", path, ops.unlink(path))
  }
}

/**
 * Writes all of it, however short the single writes are. A failure leaves an unknown part written.
 *
 * @since 0.1.0
 * @category operations
 */
export const writeAll = Effect.fnUntraced(function*(
  file: File,
  bytes: Uint8Array,
  position: number
): Effect.fn.Return<void, FileOpsError> {
  let done = 0
  while (done < bytes.length) {
    const written = yield* file.write(done === 0 ? bytes : bytes.subarray(done), position + done)
    if (written === 0) {
      return yield* new FileOpsError({ op: "write", path: file.path, code: "EIO", message: "nothing was written" })
    }
    done += written
  }
})

/**
 * Reads until `into` is full or the file ends; says how many bytes.
 *
 * @since 0.1.0
 * @category operations
 */
export const readFully = Effect.fnUntraced(function*(
  file: File,
  into: Uint8Array,
  position: number
): Effect.fn.Return<number, FileOpsError> {
  let done = 0
  while (done < into.length) {
    const count = yield* file.read(done === 0 ? into : into.subarray(done), position + done)
    if (count === 0) break
    done += count
  }
  return done
})

/**
 * Opens, uses, closes, whatever happens.
 *
 * @since 0.1.0
 * @category operations
 */
export const withFile = <A, E, R>(
  ops: FileOps["Type"],
  path: string,
  mode: OpenMode,
  use: (file: File) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | FileOpsError, R> =>
  Effect.acquireUseRelease(ops.open(path, mode), use, (file) => closeQuietly(file))

/**
 * Of what makes a file in `directory`: once more in a new one, if somebody has taken that away.
 *
 * @since 0.1.0
 * @category operations
 */
export const inDirectory = <A>(
  ops: FileOps["Type"],
  directory: string,
  effect: Effect.Effect<A, FileOpsError>
): Effect.Effect<A, FileOpsError> =>
  Effect.catchIf(effect, ({ code }) => code === "ENOENT", () => Effect.andThen(ops.makeDirectory(directory), effect))

/**
 * Closes a file of which nothing depends any more: what had to be durable was synced before. A failure is a line of the debug log.
 *
 * @since 0.1.0
 * @category operations
 */
export const closeQuietly = (file: File): Effect.Effect<void> =>
  file.close.pipe(
    Effect.catchTag("FileOpsError", (error) =>
      Effect.logDebug("a file cannot be closed").pipe(Effect.annotateLogs({ path: error.path, code: error.code })))
  )

/**
 * The whole file, or undefined if there is none. For small files.
 *
 * @since 0.1.0
 * @category operations
 */
export const readFile = (ops: FileOps["Type"], path: string): Effect.Effect<Uint8Array | undefined, FileOpsError> =>
  withFile(
    ops,
    path,
    "read",
    Effect.fnUntraced(function*(file) {
      const bytes = new Uint8Array(yield* file.size)
      const count = yield* readFully(file, bytes, 0)
      return count === bytes.length ? bytes : bytes.subarray(0, count)
    })
  ).pipe(
    Effect.catchIf((error) => error.code === "ENOENT", () => Effect.succeed(undefined))
  )

/**
 * The directory a path is in.
 *
 * @since 0.1.0
 * @category accessors
 */
export const directoryOf = (path: string): string => {
  const slash = path.lastIndexOf("/")
  return slash === -1 ? "." : slash === 0 ? "/" : path.slice(0, slash)
}

/**
 * Replaces a small file so that a crash at any moment leaves the old or the new content, whole: temp file, fsync, rename,
 * directory fsync (docs/design/queue.md "The cursor"). Not for concurrent use on one path.
 *
 * @since 0.1.0
 * @category operations
 */
export const replaceFile = Effect.fnUntraced(function*(
  ops: FileOps["Type"],
  path: string,
  bytes: Uint8Array
): Effect.fn.Return<void, FileOpsError> {
  const temporary = `${path}.tmp`
  yield* withFile(ops, temporary, "replace", (file) => Effect.andThen(writeAll(file, bytes, 0), file.sync))
  yield* ops.rename(temporary, path)
  yield* ops.syncDirectory(directoryOf(path))
})
