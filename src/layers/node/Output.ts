/**
 * Where events go without Kafka: files of NDJSON, compressed by Node's zlib, or stdout.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { createReadStream, createWriteStream } from "node:fs"
import { rename } from "node:fs/promises"
import { pipeline } from "node:stream/promises"
import * as zlib from "node:zlib"
import { FileOpsError } from "../../services/FileOps.ts"
import { Producer, ProducerUnavailable } from "../../services/Producer.ts"
import * as FileOutput from "../../services/producers/File.ts"
import * as NodeFileOps from "./FileOps.ts"

/** In Node's threads. Atomic: a temporary file, synced, then renamed. */
const gzip = (from: string, to: string): Effect.Effect<void, FileOpsError> =>
  Effect.tryPromise({
    try: async (signal) => {
      const temporary = `${to}.tmp`
      // `flush`: fsync before it is closed.
      const target = createWriteStream(temporary, { mode: 0o600, flush: true })
      await pipeline(createReadStream(from), zlib.createGzip(), target, { signal })
      await rename(temporary, to)
    },
    catch: (cause) =>
      new FileOpsError({
        op: "compress",
        path: from,
        code: cause instanceof Error && "code" in cause ? String(cause.code) : "UNKNOWN",
        message: cause instanceof Error ? cause.message : String(cause),
        cause
      })
  })

/**
 * Gives a `Producer` that writes files: `<directory>/<topic>/<time>.ndjson`, and `.gz` when the next one has begun. Needs nothing.
 *
 * @since 0.1.0
 * @category layers
 */
export const files = (directory: string): Layer.Layer<Producer> =>
  Layer.provide(FileOutput.layer({ directory, compress: gzip }), NodeFileOps.layer)

const write = (bytes: Uint8Array): Effect.Effect<void, ProducerUnavailable> =>
  Effect.async((resume) => {
    process.stdout.write(bytes, (error) =>
      resume(
        error === null || error === undefined
          ? Effect.void
          : new ProducerUnavailable({ reason: "client", message: `stdout: ${error.message}`, cause: error })
      ))
  })

/**
 * Each event a line. A reader that does not read is a broker that does not answer: what comes meanwhile goes to the queue. One that is
 * gone ends the program (`Process.ts`). Needs nothing.
 *
 * @since 0.1.0
 * @category layers
 */
export const stdout: Layer.Layer<Producer> = Layer.succeed(Producer, {
  lane: ({ topic }) =>
    Effect.sync(() => {
      // What was given to the stream cannot be taken back: the next batch waits for it, that no more than one lies there.
      let last: Fiber.Fiber<void, ProducerUnavailable> | undefined
      return {
        topic,
        send: (records) =>
          Effect.gen(function*() {
            if (last !== undefined) yield* Fiber.await(last)
            last = yield* Effect.forkDaemon(write(FileOutput.linesOf(records)))
            yield* Fiber.join(last)
          }),
        partitionOf: () => Effect.succeed(0)
      }
    }),
  probe: Effect.void,
  missing: () => Effect.succeed([])
})
