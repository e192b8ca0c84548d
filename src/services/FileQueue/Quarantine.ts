/**
 * Copies of damaged ranges, for whoever wants to look: `<dir>/quarantine/<topic>.<segment>.<from>-<to>.bad`. Bounded.
 */
import * as Effect from "effect/Effect"
import { type File, type FileOps, type FileOpsError, readFully, withFile, writeAll } from "../FileOps.ts"
import { isZero } from "./Format.ts"

/** All copies of all topics together. */
const maxTotalBytes = 64 * 1024 * 1024

const chunkBytes = 1024 * 1024

/**
 * Says how many bytes were kept: none if there was nothing but zeros, no room, or a failure, which is told and holds up nothing:
 * the copy is a courtesy, going on is a duty (docs/design/queue.md "Reading").
 */
export const keep = (
  ops: FileOps["Type"],
  dir: string,
  name: string,
  file: File,
  from: number,
  to: number
): Effect.Effect<number> => told(copy(ops, `${dir}/quarantine`, name, file, from, to))

const told = (copied: Effect.Effect<number, FileOpsError>): Effect.Effect<number> =>
  copied.pipe(Effect.catchTag("FileOpsError", (error) =>
    Effect.logWarning("damaged bytes cannot be kept").pipe(
      Effect.annotateLogs({ path: error.path, code: error.code }),
      Effect.as(0)
    )))

/** As `keep`, a small file as a whole. */
export const keepFile = (ops: FileOps["Type"], dir: string, path: string, name: string): Effect.Effect<number> =>
  withFile(
    ops,
    path,
    "read",
    (file) => Effect.flatMap(file.size, (size) => keep(ops, dir, name, file, 0, size))
  ).pipe(told)

const copy = Effect.fnUntraced(function*(
  ops: FileOps["Type"],
  directory: string,
  name: string,
  file: File,
  from: number,
  to: number
): Effect.fn.Return<number, FileOpsError> {
  const chunk = new Uint8Array(Math.min(chunkBytes, to - from))
  const read = (at: number) =>
    Effect.map(
      readFully(file, chunk.subarray(0, Math.min(chunk.length, to - at)), at),
      (count) => chunk.subarray(0, count)
    )
  let zero = true
  for (let at = from; zero && at < to; at += chunk.length) zero = isZero(yield* read(at))
  if (zero) return 0
  yield* ops.makeDirectory(directory)
  const room = maxTotalBytes - (yield* total(ops, directory))
  if (to - from > room) {
    yield* Effect.logWarning("quarantine is full; damaged bytes are not kept").pipe(Effect.annotateLogs({ name }))
    return 0
  }
  return yield* withFile(
    ops,
    `${directory}/${name}.${from}-${to}.bad`,
    "replace",
    Effect.fnUntraced(function*(target) {
      for (let at = from; at < to; at += chunk.length) yield* writeAll(target, yield* read(at), at - from)
      return to - from
    })
  )
})

const total = Effect.fnUntraced(function*(
  ops: FileOps["Type"],
  directory: string
): Effect.fn.Return<number, FileOpsError> {
  let sum = 0
  for (const name of yield* ops.readDirectory(directory)) sum += (yield* ops.stat(`${directory}/${name}`)).size
  return sum
})
