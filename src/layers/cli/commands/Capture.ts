/**
 * `exchange-feeds capture record | replay`: raw frames, and REST answers that became events, with the time of their receipt into a file, and
 * through the decoder again.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as fs from "node:fs"
import { createInterface } from "node:readline"
import { createGunzip, gzipSync } from "node:zlib"
import * as Capture from "../../../streams/Capture.ts"
import { Exchanges } from "../../../streams/Exchanges.ts"
import * as AppConfig from "../../AppConfig.ts"
import * as Observability from "../../Observability.ts"
import * as Alone from "./Alone.ts"
import * as Output from "./Output.ts"
import type * as Tap from "./Tap.ts"

/** A file that cannot be read, written, or understood. */
export class CaptureFailed extends Schema.TaggedError<CaptureFailed>()("CaptureFailed", {
  message: Schema.String
}) {}

const failed = (cause: unknown): CaptureFailed =>
  new CaptureFailed({ message: cause instanceof Error ? cause.message : String(cause) })

/** Frames are written so often, and at once beyond this many characters. */
const flushEvery = "250 millis"
const flushAt = 256 * 1024

/** Whole lines at a time, so that a kill leaves at most the last of them cut. A gzip file is a row of members. */
const writer = (file: string) =>
  Effect.acquireRelease(
    Effect.try({
      try: () => {
        const fd = fs.openSync(file, "w", 0o644)
        const isZipped = file.endsWith(".gz")
        let text = ""
        const flush = (): void => {
          const bytes = isZipped ? gzipSync(text) : Buffer.from(text)
          text = ""
          for (let at = 0; at < bytes.length;) at += fs.writeSync(fd, bytes, at)
        }
        return {
          line: (line: string) => {
            text += `${line}\n`
          },
          flush: Effect.try({ try: () => text === "" || flush(), catch: failed }),
          isFull: () => text.length >= flushAt,
          close: () => fs.closeSync(fd)
        }
      },
      catch: failed
    }),
    // What is left has been flushed, or could not be: the file is closed in either case.
    ({ close }) => Effect.sync(close)
  )

/** However it ends, the last frames are written; if they cannot be, it has failed, also where somebody stopped it. */
const flushedAtLast = <E>(flush: Effect.Effect<unknown, E>) => <A, E2, R>(self: Effect.Effect<A, E2, R>) =>
  Effect.uninterruptibleMask((restore) => Effect.exit(restore(self)).pipe(Effect.zipLeft(flush), Effect.flatten))

export interface RecordOptions extends Tap.Options {
  /** `.gz` at its end compresses it. */
  readonly out: string
}

export const record = Effect.fnUntraced(
  function*(
    env: AppConfig.Environment,
    terminal: Observability.Terminal,
    { channel, exchange, markets, out, seconds }: RecordOptions
  ): Effect.fn.Return<
    void,
    AppConfig.ConfigInvalid | CaptureFailed | Alone.Unreached,
    FileSystem.FileSystem | Scope.Scope
  > {
    const { settings } = yield* AppConfig.load(Alone.chosen(env, { channel, exchange, markets }))
    const chosen = yield* AppConfig.choose(settings, exchange)
    const { flush, isFull, line } = yield* writer(out)
    line(Capture.header(exchange, settings.channels.includes("books") ? settings.books : undefined))
    const events = Alone.eventsFor(seconds, settings, chosen, Capture.recorder(line))
    const run = Stream.runForEachChunk(events, () => isFull() ? flush : Effect.void)
    const flushing = Effect.forever(Effect.andThen(Effect.sleep(flushEvery), flush))
    yield* Effect.raceFirst(run, flushing).pipe(
      Effect.provide(Observability.layer(settings.log, terminal)),
      flushedAtLast(flush)
    )
  },
  Effect.scoped
)

/** A last line without its end was cut by a kill; it says nothing. */
const linesOf = async function*(file: string): AsyncGenerator<string> {
  const raw = fs.createReadStream(file)
  const input = file.endsWith(".gz") ? raw.pipe(createGunzip()) : raw
  raw.on("error", (error) => input.destroy(error))
  yield* createInterface({ input, crlfDelay: Infinity })
}

/** BOOK_DEPTH and BOOK_DELTAS say how books are told; no other setting is looked at. */
export const replay = Effect.fnUntraced(function*(
  env: AppConfig.Environment,
  file: string
): Effect.fn.Return<void, AppConfig.ConfigInvalid | CaptureFailed, FileSystem.FileSystem> {
  const exchanges = yield* Exchanges
  const books = yield* AppConfig.loadBookLevels(env)
  const player = Capture.replay((name) => exchanges.find(({ id }) => id === name), books)
  const at = (line: number, message: string) => new CaptureFailed({ message: `${file}:${line}: ${message}` })
  let cut: CaptureFailed | undefined
  yield* Stream.fromAsyncIterable(linesOf(file), failed).pipe(
    Stream.mapEffect((text) => {
      // Only the last line may be wrong: then it was cut off.
      if (cut !== undefined) return Effect.fail(cut)
      const events = player.line(text)
      if (Either.isRight(events)) return Effect.succeed(events.right)
      cut = at(events.left.line, events.left.message)
      return events.left.line === 1 ? Effect.fail(cut) : Effect.succeed([])
    }),
    Stream.map((events) => Chunk.unsafeFromArray(events.map((event) => JSON.stringify(event)))),
    Stream.runForEach(Output.lines)
  )
  const { events, exchange, failures, frames } = player.summary()
  const reasons = Array.from(failures, ([reason, count]) => `${reason} ${count}`).join(", ")
  process.stderr.write(
    `${exchange}: ${frames} frames, ${events} events, not understood: ${reasons === "" ? "none" : reasons}` +
      `${cut === undefined ? "" : `; the last line is cut off (${cut.message})`}\n`
  )
})
