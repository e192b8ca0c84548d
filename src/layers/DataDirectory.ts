/**
 * What lies in `DATA_DIR` beside the queue: the checkpoint, the collector's name, and the last good lists of markets (docs/design/contract.md "The data directory").
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Checkpoint from "../services/Checkpoint.ts"
import * as Complaint from "../services/Complaint.ts"
import { quoted } from "../services/DirectoryLock.ts"
import {
  type File,
  FileOps,
  type FileOpsError,
  inDirectory,
  readFile,
  replaceFile,
  withFile,
  writeAll
} from "../services/FileOps.ts"

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

const toCheckpointError = (error: FileOpsError): Checkpoint.CheckpointError =>
  new Checkpoint.CheckpointError({
    reason: "io",
    path: error.path,
    message: error.message.includes(error.path) ? error.message : `${error.path}: ${error.message}`,
    cause: error
  })

/** Without it a line would stand behind zeros in a new file, and what was in front of it be lost unnoticed. */
const gone = (path: string): Checkpoint.CheckpointError =>
  new Checkpoint.CheckpointError({
    reason: "gone",
    path,
    message: `${path}: somebody has taken it away, or written to it`
  })

const isMissing = (error: FileOpsError | Checkpoint.CheckpointError): boolean =>
  error._tag === "FileOpsError" && error.code === "ENOENT"

const segmentName = /^checkpoint-2\.(\d{8,15})\.log$/

/**
 * The checkpoint: `<directory>/checkpoint-2.<number>.log`, and of the version before `<directory>/checkpoint`, which is left in place, so
 * that a rollback begins where it was.
 *
 * @since 0.1.0
 * @category constructors
 */
export const checkpointStore = (files: FileOps["Type"], directory: string): Checkpoint.Store => {
  const oldPath = `${directory}/checkpoint`
  const pathOf = (segment: number): string => `${directory}/checkpoint-2.${String(segment).padStart(8, "0")}.log`
  /** The segment that is written, and its bytes. */
  let open = { segment: -1, length: 0 }

  const segments = files.readDirectory(directory).pipe(
    Effect.catchIf(({ code }) => code === "ENOENT", () => Effect.succeed([])),
    Effect.map((names) =>
      names.flatMap((name) => {
        const number = segmentName.exec(name)?.[1]
        return number === undefined ? [] : [Number(number)]
      }).sort((a, b) => a - b)
    )
  )

  const complaint = Complaint.make()

  const remove = (path: string) =>
    files.unlink(path).pipe(Effect.catchIf(({ code }) => code === "ENOENT", () => Effect.void))

  /** Where nothing depends on it: at worst a file is left that says nothing new. */
  const unlink = (path: string) =>
    remove(path).pipe(
      Effect.catchTag("FileOpsError", (error) =>
        complaint.tell("an old part of the checkpoint cannot be removed", { path, error: error.message }))
    )

  /** A file of another length is another file: perhaps one that was made by opening it. */
  const goOn = Effect.fnUntraced(function*(file: File, length: number, write: Effect.Effect<void, FileOpsError>) {
    const size = yield* file.size
    if (size === length) return yield* write
    if (size === 0) yield* unlink(file.path)
    return yield* gone(file.path)
  })

  const append = Effect.fnUntraced(function*(segment: number, entry: string) {
    const line = Checkpoint.Lines.print(files.crc32, entry)
    const path = pathOf(segment)
    const isNew = open.segment !== segment
    const length = isNew ? 0 : open.length
    const write = (file: File) => Effect.andThen(writeAll(file, line, length), file.datasync)
    const begin = Effect.andThen(withFile(files, path, "replace", write), files.syncDirectory(directory))
    yield* isNew
      ? inDirectory(files, directory, begin).pipe(
        // Nobody was told of anything in it, and a full disk must not get a file each second.
        Effect.tapError(() => unlink(path))
      )
      : Effect.catchIf(
        withFile(files, path, "write", (file) => goOn(file, length, write(file))),
        isMissing,
        () => gone(path)
      )
    open = { segment, length: length + line.length }
  })

  return {
    old: {
      path: oldPath,
      read: readFile(files, oldPath).pipe(
        Effect.map((bytes) => bytes === undefined ? undefined : { text: text(bytes), mark: files.crc32(bytes, 0) }),
        Effect.mapError(toCheckpointError)
      )
    },
    pathOf,
    segments: Effect.mapError(segments, toCheckpointError),
    read: (segment) =>
      readFile(files, pathOf(segment)).pipe(
        Effect.map((bytes = new Uint8Array()) => Checkpoint.Lines.parse(files.crc32, bytes)),
        Effect.mapError(toCheckpointError)
      ),
    append: (segment, entry) =>
      Effect.mapError(
        append(segment, entry),
        (error) => error._tag === "FileOpsError" ? toCheckpointError(error) : error
      ),
    removeBefore: (segment) =>
      segments.pipe(
        Effect.flatMap((found) =>
          // In order, and no further than where one cannot be removed: what says that a market is gone must not go before what says
          // that there is one.
          Effect.forEach(found.filter((one) => one < segment), (one) => remove(pathOf(one)), { discard: true })
        ),
        Effect.catchTag("FileOpsError", (error) =>
          complaint.tell("old parts of the checkpoint cannot be removed", { path: error.path, error: error.message }))
      )
  }
}

/**
 * The checkpoint in `directory` (`checkpointStore`). Needs `FileOps`. Fails if it cannot be read, or a later release wrote it.
 *
 * @since 0.1.0
 * @category layers
 */
export const checkpoint = (
  directory: string
): Layer.Layer<Checkpoint.Checkpoint, Checkpoint.CheckpointError, FileOps> =>
  Layer.effect(
    Checkpoint.Checkpoint,
    Effect.flatMap(FileOps, (files) => Checkpoint.make(checkpointStore(files, directory)))
  )

/**
 * For the message of an error: why `directory` cannot be worked in; where it is a matter of rights, with what gives them.
 *
 * @internal
 */
export const refusal = (directory: string, why: string, user: { readonly uid: number; readonly gid: number }): string =>
  /\b(EACCES|EPERM)\b/.test(why)
    ? `${why}; this process is user ${user.uid}, group ${user.gid}, and needs all of the directory: ` +
      `chown -R ${user.uid}:${user.gid} ${quoted(directory)}`
    : why

/**
 * Where the last good list of an exchange's markets is kept, for when its API is away: JSON, undefined if there is none. Neither fails.
 *
 * @since 0.1.0
 * @category models
 */
export interface MarketsCache {
  readonly load: Effect.Effect<string | undefined>
  readonly save: (json: string) => Effect.Effect<void>
}

/**
 * The last good list of one exchange in `<directory>/markets/<exchange>.json`. A list that cannot be kept or read is only told.
 *
 * @since 0.1.0
 * @category constructors
 */
export const marketsCache = (files: FileOps["Type"], directory: string, exchange: string): MarketsCache => {
  const path = `${directory}/markets/${exchange}.json`
  const tell = (what: string) => (error: FileOpsError) =>
    Effect.logWarning(`the list of markets cannot be ${what}`).pipe(
      Effect.annotateLogs({ exchange, path: error.path, error: error.message })
    )
  return {
    load: readFile(files, path).pipe(
      Effect.map((bytes) => bytes === undefined ? undefined : text(bytes)),
      Effect.catchTag("FileOpsError", (error) => Effect.as(tell("read")(error), undefined))
    ),
    save: (json) =>
      files.makeDirectory(`${directory}/markets`).pipe(
        Effect.andThen(replaceFile(files, path, new TextEncoder().encode(json))),
        Effect.catchTag("FileOpsError", tell("kept"))
      )
  }
}

/**
 * `<DATA_DIR>/collector` says something else than a name.
 *
 * @since 0.1.0
 * @category errors
 */
export class CollectorNameInvalid extends Schema.TaggedError<CollectorNameInvalid>()("CollectorNameInvalid", {
  path: Schema.String,
  message: Schema.String
}) {}

/** It is a part of ids and sequence numbers, between colons and underscores. */
const collectorName = /^[a-z0-9]{1,32}$/

/**
 * The name of the collector whose directory it is, in `<directory>/collector`: made once, by chance, and kept, so that after a restart the
 * chains of its order books go on under the same name. A name that cannot be kept is told, and is a new one after the next start. Fails if
 * the file cannot be read, or says something else.
 *
 * @since 0.1.0
 * @category constructors
 */
export const collector = Effect.fnUntraced(function*(
  files: FileOps["Type"],
  directory: string
): Effect.fn.Return<string, CollectorNameInvalid | FileOpsError> {
  const path = `${directory}/collector`
  const found = yield* readFile(files, path)
  if (found !== undefined) {
    const kept = text(found).trim()
    if (collectorName.test(kept)) return kept
    return yield* new CollectorNameInvalid({
      path,
      message:
        `${path}: expected a name of at most 32 lower case letters and digits; without the file a new name is made`
    })
  }
  const name = (yield* Random.nextIntBetween(36 ** 8, 36 ** 9)).toString(36)
  yield* inDirectory(files, directory, replaceFile(files, path, new TextEncoder().encode(`${name}\n`))).pipe(
    Effect.catchTag(
      "FileOpsError",
      (error) =>
        Effect.logWarning("the name of this collector cannot be kept: after the next start it has another").pipe(
          Effect.annotateLogs({ path: error.path, error: error.message })
        )
    )
  )
  return name
})
