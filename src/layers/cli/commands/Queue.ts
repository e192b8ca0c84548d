/**
 * `exchange-feeds queue inspect | verify | export | replay | purge`: the files in `DATA_DIR`. The first three own nothing and change
 * nothing, and work beside a running service; the other two need the directory for themselves.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { DirectoryLock, type Locked } from "../../../services/DirectoryLock.ts"
import { FileOps, type FileOpsError } from "../../../services/FileOps.ts"
import * as FileQueue from "../../../services/FileQueue.ts"
import * as AppConfig from "../../AppConfig.ts"
import * as AppLayer from "../../AppLayer.ts"
import * as NodeDirectoryLock from "../../node/DirectoryLock.ts"
import * as NodeFileOps from "../../node/FileOps.ts"
import * as Observability from "../../Observability.ts"
import * as Output from "./Output.ts"

/** Damage was found, or the files cannot be read. */
export class QueueFailed extends Schema.TaggedError<QueueFailed>()("QueueFailed", {
  message: Schema.String
}) {}

interface Lane {
  readonly topic: string
  readonly directory: string
}

const failed = ({ message }: FileOpsError): QueueFailed => new QueueFailed({ message })

/** The lanes that the data directory has. */
const open = Effect.fnUntraced(function*(env: AppConfig.Environment) {
  const { settings } = yield* AppConfig.load(env)
  const ops = Context.get(yield* Layer.build(NodeFileOps.layer), FileOps)
  const root = `${settings.dataDir}/queue`
  const topics = yield* ops.readDirectory(root).pipe(
    Effect.catchIf(
      ({ code }) => code === "ENOENT",
      () => Effect.fail(new QueueFailed({ message: `${settings.dataDir} holds no queue` }))
    ),
    Effect.catchTag("FileOpsError", (error) => Effect.fail(failed(error)))
  )
  const lanes = [...topics].sort().map((topic): Lane => ({ topic, directory: `${root}/${topic}` }))
  return { settings, ops, lanes }
}, Effect.scoped)

type OpenError = AppConfig.ConfigInvalid | QueueFailed

interface Tally {
  records: number
  oldest: number | null
  undecodable: number
  missing: number
  damaged: number
  /** At the end of the last segment: torn by a crash, or being written right now. */
  tail: number
}

const tallyOf = (ops: FileOps["Type"], { directory }: Lane, last: FileQueue.Inspect.SegmentInfo | undefined) =>
  FileQueue.Inspect.items(ops, directory).pipe(
    Stream.runFold<Tally, FileQueue.Inspect.Item>(
      { records: 0, oldest: null, undecodable: 0, missing: 0, damaged: 0, tail: 0 },
      (tally, item) => {
        switch (item._tag) {
          case "Record":
            tally.records += 1
            tally.oldest ??= item.record.timestamp
            break
          case "Undecodable":
            tally.undecodable += 1
            break
          case "Missing":
            tally.missing += item.last - item.first + 1
            break
          case "Damage":
            if (item.path === last?.path && item.to >= last.bytes) tally.tail += item.to - item.from
            else tally.damaged += item.to - item.from
        }
        return tally
      }
    ),
    Effect.mapError(failed)
  )

const looked = (ops: FileOps["Type"], lane: Lane) =>
  Effect.gen(function*() {
    const overview = yield* Effect.mapError(FileQueue.Inspect.overview(ops, lane.directory), failed)
    return { lane, overview, tally: yield* tallyOf(ops, lane, overview.segments.at(-1)) }
  })

/** What is in the queue, a lane a paragraph. */
export const inspect = (env: AppConfig.Environment): Effect.Effect<void, OpenError, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const { lanes, ops } = yield* open(env)
    for (const one of lanes) {
      const { lane, overview: { bytes, cursor, cursorState, segments }, tally } = yield* looked(ops, one)
      yield* Console.log([
        lane.topic,
        `  records   ${tally.records}${
          tally.oldest === null ? "" : `, the oldest of ${new Date(tally.oldest).toISOString()}`
        }`,
        `  files     ${segments.length}, ${bytes} bytes, in ${lane.directory}`,
        `  cursor    ${cursor === null ? cursorState : `next ${cursor.nextSeq}, to be assigned ${cursor.nextAssign}`}`,
        ...(tally.missing > 0 ? [`  missing   ${tally.missing} records`] : []),
        ...(tally.damaged > 0 ? [`  damaged   ${tally.damaged} bytes`] : []),
        ...(tally.tail > 0 ? [`  tail      ${tally.tail} bytes that are no whole record: being written, or torn`] : [])
      ].join("\n"))
    }
  })

/** Reads everything; fails if something is wrong with it. */
export const verify = (env: AppConfig.Environment): Effect.Effect<void, OpenError, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const { lanes, ops } = yield* open(env)
    const problems: Array<string> = []
    for (const one of lanes) {
      const { lane, overview: { cursorState, segments }, tally } = yield* looked(ops, one)
      const found = [
        ...(cursorState === "damaged" || cursorState === "unsupported" ? [`the cursor is ${cursorState}`] : []),
        ...segments.flatMap(({ header, path }) => header === "sound" ? [] : [`${path}: header ${header}`]),
        ...(tally.damaged > 0 ? [`${tally.damaged} bytes damaged`] : []),
        ...(tally.missing > 0 ? [`${tally.missing} records missing`] : []),
        ...(tally.undecodable > 0 ? [`${tally.undecodable} records cannot be decoded`] : [])
      ]
      yield* Console.log(`${lane.topic}: ${tally.records} records, ${found.length === 0 ? "sound" : found.join(", ")}`)
      problems.push(...found)
    }
    if (problems.length > 0) return yield* new QueueFailed({ message: "the queue is damaged; see above" })
  })

const utf8 = new TextDecoder()

/** The records, one JSON object a line: topic, sequence number, key, headers, timestamp, value. */
export const export_ = (env: AppConfig.Environment): Effect.Effect<void, OpenError, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const { lanes, ops } = yield* open(env)
    for (const { directory, topic } of lanes) {
      yield* FileQueue.Inspect.items(ops, directory).pipe(
        Stream.mapConcat((item) => {
          if (item._tag !== "Record") return []
          const { record: { headers, key, timestamp, value }, seq } = item
          const text = typeof value === "string" ? value : utf8.decode(value)
          return [JSON.stringify({ topic, seq, key, headers, timestamp, value: text })]
        }),
        Stream.runForEachChunk(Output.lines),
        Effect.mapError(failed)
      )
    }
  })

type OwnError = OpenError | Locked

/** The directory for as long as the scope lasts. */
const owned = (directory: string) =>
  Effect.gen(function*() {
    const lock = Context.get(yield* Layer.build(NodeDirectoryLock.layer), DirectoryLock)
    yield* lock.acquire(directory).pipe(
      Effect.catchTag("DirectoryLockError", ({ message }) => new QueueFailed({ message }))
    )
  })

/** Throws every record away, for good. Sequence numbers go on from where they were. */
export const purge = (env: AppConfig.Environment): Effect.Effect<void, OwnError, FileSystem.FileSystem> =>
  Effect.scoped(Effect.gen(function*() {
    const { lanes, ops, settings } = yield* open(env)
    yield* owned(settings.dataDir)
    const queues = yield* FileQueue.make({
      dir: settings.dataDir,
      maxBytes: settings.queue.maxBytes,
      fullPolicy: "drop_oldest",
      fsync: "always",
      fsyncInterval: 0
    }).pipe(Effect.provideService(FileOps, ops))
    for (const { topic } of lanes) {
      const records = yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* queues.open({ topic, dropOrder: 0, onLoss: () => Effect.void })
        const { nextSeq, records } = yield* queue.snapshot
        yield* queue.ack(nextSeq)
        yield* queue.persist
        return records
      })).pipe(Effect.catchTag("FileQueueError", ({ message }) => new QueueFailed({ message })))
      yield* Console.log(`${topic}: ${records} records thrown away`)
    }
  }))

/** Delivers what is in the queue, and ends. Exchanges are left alone. */
export const replay = Effect.fnUntraced(
  function*(env: AppConfig.Environment, terminal: Observability.Terminal) {
    const { settings } = yield* AppConfig.load(env)
    const app = yield* AppLayer.deliverOnly(settings)
    const left = Effect.map(
      app.lanes,
      (lanes) =>
        lanes.reduce((sum, { queue, sending, waitingRecords }) => sum + queue.records + sending + waitingRecords, 0)
    )
    const total = yield* left
    const tell = (remaining: number) =>
      terminal.isTTY
        ? Effect.sync(() => process.stderr.write(`\r${total - remaining} of ${total} delivered `))
        : Effect.void
    yield* left.pipe(
      Effect.tap(tell),
      Effect.repeat({ schedule: Schedule.spaced("200 millis"), until: (remaining) => remaining === 0 }),
      Effect.raceFirst(app.ended)
    )
    const durable = yield* app.stop
    yield* Console.log(`${total} records delivered`)
    if (!durable) return yield* new AppLayer.ShutdownIncomplete({ message: "not everything could be made durable" })
  },
  (effect, env, terminal) =>
    Effect.flatMap(AppConfig.loadLog(env), (log) => Effect.provide(effect, Observability.layer(log, terminal))),
  Effect.scoped
)
