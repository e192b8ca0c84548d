/**
 * What lies in `DATA_DIR` beside the queue: the checkpoint and the last good lists of markets (contract section 3).
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Checkpoint from "../services/Checkpoint.ts"
import { FileOps, type FileOpsError, readFile, replaceFile, withFile, writeAll } from "../services/FileOps.ts"

const text = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : new TextDecoder().decode(bytes)

const toCheckpointError = (error: FileOpsError): Checkpoint.CheckpointError =>
  new Checkpoint.CheckpointError({ path: error.path, message: error.message, cause: error })

const segmentName = /^checkpoint-2\.(\d{8,15})\.log$/

const segmentPath = (directory: string, segment: number): string =>
  `${directory}/checkpoint-2.${String(segment).padStart(8, "0")}.log`

const newline = 0x0a

/** Each line begins with the CRC-32 of what follows its blank: a line that a crash cut off is not read. */
const linesOf = (files: FileOps["Type"], bytes: Uint8Array) => {
  const entries: Array<string> = []
  let damaged = 0
  let start = 0
  while (start < bytes.length) {
    const found = bytes.indexOf(newline, start)
    const end = found === -1 ? bytes.length : found
    const crc = Number.parseInt(text(bytes.subarray(start, start + 8)) ?? "", 16)
    const entry = bytes.subarray(start + 9, end)
    if (found !== -1 && crc === files.crc32(entry, 0)) entries.push(text(entry) ?? "")
    // The last line of a file may be one that nobody was told is durable.
    else if (found !== -1) damaged += 1
    start = end + 1
  }
  return { entries, damaged }
}

/**
 * The checkpoint: `<directory>/checkpoint-2.<number>.log`, and of the version before `<directory>/checkpoint`, which is read and left
 * in place, so that a rollback begins where it was.
 */
export const checkpointStore = (files: FileOps["Type"], directory: string): Checkpoint.Store => {
  /** Bytes of the segment that is written. */
  let open: { readonly segment: number; length: number } | undefined

  const segments = files.readDirectory(directory).pipe(
    Effect.map((names) =>
      names.flatMap((name) => {
        const match = segmentName.exec(name)
        return match === null ? [] : [Number(match[1])]
      }).sort((a, b) => a - b)
    )
  )

  const append = Effect.fnUntraced(function*(segment: number, entry: string) {
    const body = new TextEncoder().encode(entry)
    const head = new TextEncoder().encode(`${files.crc32(body, 0).toString(16).padStart(8, "0")} `)
    const line = new Uint8Array(head.length + body.length + 1)
    line.set(head)
    line.set(body, head.length)
    line[line.length - 1] = newline
    const path = segmentPath(directory, segment)
    const isNew = open?.segment !== segment
    const length = isNew ? 0 : open?.length ?? 0
    yield* withFile(
      files,
      path,
      isNew ? "replace" : "write",
      (file) => Effect.andThen(writeAll(file, line, length), file.datasync)
    ).pipe(
      Effect.andThen(isNew ? files.syncDirectory(directory) : Effect.void),
      // Nothing of it was durable: a full disk must not collect a file each second.
      Effect.tapError(() => isNew ? Effect.ignore(files.unlink(path)) : Effect.void)
    )
    open = { segment, length: length + line.length }
  })

  return {
    old: Effect.map(readFile(files, `${directory}/checkpoint`), text).pipe(Effect.mapError(toCheckpointError)),
    load: Effect.gen(function*() {
      const found = yield* segments
      const entries: Array<string> = []
      let damaged = 0
      for (const segment of found) {
        const bytes = yield* readFile(files, segmentPath(directory, segment))
        const lines = linesOf(files, bytes ?? new Uint8Array())
        entries.push(...lines.entries)
        damaged += lines.damaged
      }
      return { entries, damaged, newest: found.at(-1) ?? 0 }
    }).pipe(Effect.mapError(toCheckpointError)),
    append: (segment, entry) => Effect.mapError(append(segment, entry), toCheckpointError),
    removeBefore: (segment) =>
      segments.pipe(
        Effect.flatMap((found) =>
          Effect.forEach(found.filter((one) => one < segment), (one) => files.unlink(segmentPath(directory, one)), {
            discard: true
          })
        ),
        Effect.catchTag("FileOpsError", (error) =>
          Effect.logWarning("an old part of the checkpoint cannot be removed").pipe(
            Effect.annotateLogs({ path: error.path, error: error.message })
          ))
      )
  }
}

/** `checkpointStore` over the `FileOps` at hand. */
export const checkpoint = (
  directory: string
): Layer.Layer<Checkpoint.Checkpoint, Checkpoint.CheckpointError, FileOps> =>
  Layer.effect(
    Checkpoint.Checkpoint,
    Effect.flatMap(FileOps, (files) => Checkpoint.make(checkpointStore(files, directory)))
  )

export interface MarketsCache {
  readonly load: Effect.Effect<string | undefined>
  readonly save: (json: string) => Effect.Effect<void>
}

/** The last good list of one exchange in `<directory>/markets/<exchange>.json`. A list that cannot be kept or read is only told. */
export const marketsCache = (files: FileOps["Type"], directory: string, exchange: string): MarketsCache => {
  const path = `${directory}/markets/${exchange}.json`
  const tell = (what: string) => (error: FileOpsError) =>
    Effect.logWarning(`the list of markets cannot be ${what}`).pipe(
      Effect.annotateLogs({ exchange, path: error.path, error: error.message })
    )
  return {
    load: readFile(files, path).pipe(
      Effect.map(text),
      Effect.catchTag("FileOpsError", (error) => Effect.as(tell("read")(error), undefined))
    ),
    save: (json) =>
      files.makeDirectory(`${directory}/markets`).pipe(
        Effect.andThen(replaceFile(files, path, new TextEncoder().encode(json))),
        Effect.catchTag("FileOpsError", tell("kept"))
      )
  }
}
