/**
 * Files in Kafka's place, for those who have none yet: each topic a directory of NDJSON, rotated and compressed. Behind the same tag,
 * so that queue, breaker, ledger and checkpoint work as they do with a broker, and a full disk is an outage as any other.
 *
 * A batch is acknowledged when it is on the disk. A crash between the two writes it again: at-least-once, with equal ids.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { closeQuietly, type File, FileOps, type FileOpsError, withFile, writeAll } from "../FileOps.ts"
import type { EventRecord } from "../MarketEvent.ts"
import { type LaneProducer, Producer, ProducerUnavailable } from "../Producer.ts"
import * as Time from "../Time.ts"

/**
 * Where the files are, when the next one begins, and how one that is done is compressed.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** One directory for each topic is made in it. */
  readonly directory: string
  /** A file that is so large, or so old, is followed by the next; 64 MiB and an hour by default. */
  readonly maxBytes?: number | undefined
  readonly maxAge?: Duration.DurationInput | undefined
  /** Makes `to` of `from`, whole and on the disk, or fails. */
  readonly compress: (from: string, to: string) => Effect.Effect<void, FileOpsError>
}

/**
 * Gives a `Producer` whose topics are directories of files. Needs `FileOps`. A full disk is a `ProducerUnavailable` of each send, not of
 * the layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Producer, never, FileOps> =>
  Layer.effect(
    Producer,
    Effect.map(FileOps, (files) => ({
      lane: ({ topic }) => makeLane(files, options, topic),
      probe: Effect.mapError(files.makeDirectory(options.directory), unavailable),
      missing: () => Effect.succeed([])
    }))
  )

const encoder = new TextEncoder()

const newline = 0x0a

/**
 * One record a line, its value as Kafka would have it.
 *
 * @since 0.1.0
 * @category conversions
 */
export const linesOf = (records: ReadonlyArray<EventRecord>): Uint8Array => {
  const values = records.map(({ value }) => typeof value === "string" ? encoder.encode(value) : value)
  const lines = new Uint8Array(values.reduce((total, { length }) => total + length + 1, 0))
  let at = 0
  for (const value of values) {
    lines.set(value, at)
    at += value.length
    lines[at++] = newline
  }
  return lines
}

// internal

const unavailable = (error: FileOpsError): ProducerUnavailable =>
  new ProducerUnavailable({ reason: "client", message: `${error.path}: ${error.code}`, cause: error })

interface Current {
  readonly file: File
  readonly openedAt: Time.Instant
  /** End of what was acknowledged. */
  position: number
}

const ending = ".ndjson"

/** `2026-06-11T12-00-00.000Z.ndjson`: sorted by name is sorted by time, on every file system. */
const nameOf = (millis: number): string => `${Time.iso(Time.wallTime(millis)).replaceAll(":", "-")}${ending}`

const millisOf = (name: string): number => {
  const [, date = "", hour = "", minute = "", rest = ""] =
    /^(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-([\d.]+Z)\.ndjson/.exec(name) ?? []
  const millis = Date.parse(`${date}T${hour}:${minute}:${rest}`)
  return Number.isNaN(millis) ? 0 : millis
}

const makeLane = Effect.fnUntraced(function*(
  files: FileOps["Type"],
  options: Options,
  topic: string
): Effect.fn.Return<LaneProducer, never, Scope.Scope> {
  const scope = yield* Effect.scope
  const directory = `${options.directory}/${topic}`
  const maxBytes = options.maxBytes ?? 64 * 1024 * 1024
  const maxAge = Duration.toMillis(options.maxAge ?? "1 hour")
  let current: Current | undefined
  /** What the newest file's name says, epoch ms; undefined until the directory was looked at. */
  let newest: number | undefined

  /** In the background: what cannot be compressed now is when the next life finds it. */
  const archive = (path: string) =>
    wholeLines(files, path).pipe(
      Effect.andThen(options.compress(path, `${path}.gz`)),
      Effect.andThen(files.unlink(path)),
      Effect.catchTag("FileOpsError", (error) =>
        Effect.logWarning("a file of events stays as it is").pipe(
          Effect.annotateLogs({ path: error.path, error: error.message })
        )),
      Effect.forkIn(scope)
    )

  /** What an earlier life has left, once. */
  const prepare = Effect.gen(function*() {
    yield* files.makeDirectory(directory)
    const names = yield* files.readDirectory(directory)
    yield* Effect.forEach(names.filter((name) => name.endsWith(".tmp")), (name) => files.unlink(`${directory}/${name}`))
    yield* Effect.forEach(names.filter((name) => name.endsWith(ending)), (name) => archive(`${directory}/${name}`))
    return Math.max(0, ...names.map(millisOf))
  })

  const open = Effect.gen(function*() {
    newest ??= yield* prepare
    const { at: openedAt, wall } = yield* Time.moment
    // After the newest, whatever the clock does: names are in the order of what is in the files.
    newest = Math.max(Time.epochMillis(wall), newest + 1)
    const file = yield* files.open(`${directory}/${nameOf(newest)}`, "create")
    yield* files.syncDirectory(directory).pipe(Effect.onError(() => closeQuietly(file)))
    current = { file, openedAt, position: 0 }
    return current
  })

  const leave = (old: Current) => {
    current = undefined
    return Effect.andThen(closeQuietly(old.file), archive(old.file.path))
  }

  const send = Effect.fnUntraced(function*(records: ReadonlyArray<EventRecord>) {
    const now = yield* Time.now
    if (
      current !== undefined && (current.position >= maxBytes || Time.between(current.openedAt, now) >= maxAge)
    ) {
      yield* leave(current)
    }
    const target = current ?? (yield* open)
    const bytes = linesOf(records)
    yield* writeAll(target.file, bytes, target.position).pipe(
      // Half a line must not stand before the next attempt.
      Effect.tapError(() => Effect.catchAll(target.file.truncate(target.position), () => leave(target)))
    )
    // A file that could not be synced once is never trusted again (docs/design/queue.md "When a write fails").
    yield* Effect.tapError(target.file.datasync, () => leave(target))
    target.position += bytes.length
  })

  yield* Effect.addFinalizer(() => current === undefined ? Effect.void : closeQuietly(current.file))
  return {
    topic,
    // Not to be cut in two: a call to the kernel goes on anyway.
    send: (records) => Effect.uninterruptible(Effect.mapError(send(records), unavailable)),
    partitionOf: () => Effect.succeed(0)
  }
})

const chunkBytes = 1024 * 1024

/**
 * Cuts what a crash has left of the last batch, from its first broken line on: one without an end, or zeros, which a power loss leaves
 * where nothing was synced. That batch was not acknowledged, and comes again.
 */
const wholeLines = (files: FileOps["Type"], path: string): Effect.Effect<void, FileOpsError> =>
  withFile(
    files,
    path,
    "write",
    Effect.fnUntraced(function*(file) {
      const size = yield* file.size
      const chunk = new Uint8Array(chunkBytes)
      let end = 0
      for (let at = 0; at < size;) {
        const read = chunk.subarray(0, yield* file.read(chunk, at))
        if (read.length === 0) break
        const zero = read.indexOf(0)
        const last = (zero === -1 ? read : read.subarray(0, zero)).lastIndexOf(newline)
        if (last !== -1) end = at + last + 1
        if (zero !== -1) break
        at += read.length
      }
      if (end < size) {
        yield* file.truncate(end)
        yield* file.sync
      }
    })
  )
