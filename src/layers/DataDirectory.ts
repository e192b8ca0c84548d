/**
 * What lies in `DATA_DIR` beside the queue: the checkpoint and the last good lists of markets (contract section 3).
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Checkpoint from "../services/Checkpoint.ts"
import { FileOps, type FileOpsError, readFile, replaceFile } from "../services/FileOps.ts"

const text = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : new TextDecoder().decode(bytes)

const toCheckpointError = (error: FileOpsError): Checkpoint.CheckpointError =>
  new Checkpoint.CheckpointError({ path: error.path, message: error.message, cause: error })

/** The checkpoint in `<directory>/checkpoint`. */
export const checkpoint = (
  directory: string
): Layer.Layer<Checkpoint.Checkpoint, Checkpoint.CheckpointError, FileOps> =>
  Layer.effect(
    Checkpoint.Checkpoint,
    Effect.flatMap(FileOps, (files) => {
      const path = `${directory}/checkpoint`
      return Checkpoint.make({
        load: Effect.map(readFile(files, path), text).pipe(Effect.mapError(toCheckpointError)),
        save: (content) =>
          replaceFile(files, path, new TextEncoder().encode(content)).pipe(Effect.mapError(toCheckpointError))
      })
    })
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
