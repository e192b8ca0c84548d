/**
 * The durable queue of one lane: append-only segments on disk, records acknowledged from the front
 * (docs/design/queue.md). One process owns the directory (`DirectoryLock`); one fiber, the lane, reads and acknowledges.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Complaint from "./Complaint.ts"
import { FileOps } from "./FileOps.ts"
import * as Active from "./FileQueue/Active.ts"
import {
  complained,
  type Fsync,
  type FullPolicy,
  ioError,
  type QueueContext,
  type Settings
} from "./FileQueue/Context.ts"
import * as Cursor from "./FileQueue/Cursor.ts"
import * as Format from "./FileQueue/Format.ts"
import * as Losses from "./FileQueue/Losses.ts"
import type { FileQueueError, OpenOptions, Queue } from "./FileQueue/Model.ts"
import * as Reader from "./FileQueue/Reader.ts"
import * as Recovery from "./FileQueue/Recovery.ts"
import * as Retention from "./FileQueue/Retention.ts"
import * as State from "./FileQueue/State.ts"
import * as Writer from "./FileQueue/Writer.ts"
import * as Instruments from "./Instruments.ts"
import * as Time from "./Time.ts"

export type { Fsync, FullPolicy } from "./FileQueue/Context.ts"
export * as Inspect from "./FileQueue/Inspect.ts"
export * from "./FileQueue/Model.ts"

/**
 * The queues of a program: one directory, one budget of bytes for all lanes.
 *
 * @since 0.1.0
 * @category tags
 */
export class FileQueue extends Context.Tag("effect-exchange-feeds/services/FileQueue")<FileQueue, {
  readonly open: (options: OpenOptions) => Effect.Effect<Queue, FileQueueError, Scope.Scope>
  /** What gives way when the budget is spent; `drop_newest` and `block` are for whoever appends to do. */
  readonly fullPolicy: FullPolicy
  /** Bytes of all lanes together, and what they may be: the shared `QUEUE_MAX_BYTES`. */
  readonly usage: Effect.Effect<{ readonly bytes: number; readonly maxBytes: number }>
}>() {}

/**
 * Where the queues are, and what they may hold.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** The data directory: queues go to `queue/<topic>` in it, damaged bytes to `quarantine`. */
  readonly dir: string
  /** Of the files of all lanes together. */
  readonly maxBytes: number
  readonly fullPolicy: FullPolicy
  readonly fsync: Fsync
  readonly fsyncInterval: Duration.DurationInput
  /** Records so much older than the newest in the queue are dropped; undefined: none. */
  readonly maxAge?: Duration.DurationInput | undefined
  /** A segment is closed when it reaches this, 16 MiB if not given; never more than an eighth of `maxBytes`, so that a drop is small. */
  readonly segmentBytes?: number | undefined
  /** A segment is closed when it is this old, 10 minutes if not given. */
  readonly segmentAge?: Duration.DurationInput | undefined
}

const defaultSegmentBytes = 16 * 1024 * 1024

/**
 * Queues over the `FileOps` at hand. Touches nothing on the disk; `open` does.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<FileQueue["Type"], never, FileOps> {
  const ops = yield* FileOps
  const settings: Settings = {
    dir: options.dir,
    maxBytes: options.maxBytes,
    fullPolicy: options.fullPolicy,
    fsync: options.fsync,
    fsyncIntervalMs: Duration.toMillis(options.fsyncInterval),
    maxAgeMs: options.maxAge === undefined ? undefined : Duration.toMillis(options.maxAge),
    segmentBytes: Math.min(options.segmentBytes ?? defaultSegmentBytes, Math.ceil(options.maxBytes / 8)),
    segmentAgeMs: Duration.toMillis(options.segmentAge ?? "10 minutes")
  }
  const budget = Retention.makeBudget(ops, settings)
  return {
    fullPolicy: settings.fullPolicy,
    open: (lane) => open(ops, settings, budget, lane),
    usage: Effect.sync(() => {
      let bytes = 0
      for (const { state } of budget.lanes) bytes += State.bytes(state)
      return { bytes, maxBytes: settings.maxBytes }
    })
  }
})

/**
 * Needs `FileOps`, and gives the queues. Touches nothing on the disk; `open` does.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<FileQueue, never, FileOps> =>
  Layer.effect(FileQueue, make(options))

/** One open queue: recovered, then its parts put together. */
const open = Effect.fnUntraced(function*(
  ops: FileOps["Type"],
  settings: Settings,
  budget: Retention.Budget,
  options: OpenOptions
): Effect.fn.Return<Queue, FileQueueError, Scope.Scope> {
  const { dir } = settings
  const { dropOrder, topic } = options
  const opened = yield* Recovery.open({ ops, dir, directory: `${dir}/queue/${topic}`, topic, dropOrder })
  const { recovery, state } = opened
  if (recovery.lost > 0 || recovery.cursorReset || recovery.tornTail) {
    yield* Effect.logWarning("the queue was damaged").pipe(Effect.annotateLogs({ topic, ...recovery }))
  }
  const queueId = opened.queueId ?? (yield* randomId)
  const shared: QueueContext = {
    state,
    ops,
    settings,
    onLoss: options.onLoss,
    losses: yield* Effect.mapError(Losses.open(ops, state), (error) => ioError(error)),
    queueId,
    encoder: Format.makeEncoder(),
    structure: yield* Effect.makeSemaphore(1),
    reading: yield* Effect.makeSemaphore(1),
    cursor: yield* Effect.makeSemaphore(1),
    active: undefined,
    scope: yield* Effect.scope,
    steady: yield* steadyClock,
    expiredAt: -Infinity,
    lookedAt: -Infinity,
    healing: false,
    complaint: Complaint.make(),
    syncs: Instruments.queueSync(yield* Instruments.Instruments)
  }
  const reader = Reader.make(shared)
  const append = Writer.make(shared, budget)

  yield* Effect.acquireRelease(
    Effect.sync(() => budget.lanes.add(shared)),
    () =>
      Effect.sync(() => budget.lanes.delete(shared)).pipe(
        // An append of nothing: whoever called before is done then, and was told how it ended.
        Effect.andThen(Effect.exit(append([]))),
        Effect.andThen(shared.structure.withPermits(1)(Active.seal(shared))),
        Effect.andThen(complained(shared, "write the cursor", Cursor.writeEndAfterLosses(shared))),
        Effect.andThen(shared.reading.withPermits(1)(reader.close))
      )
  )
  // Of a life that was killed, its last segment knows more.
  yield* complained(shared, "write the cursor", Cursor.writeEndAfterLosses(shared))
  yield* watch(shared).pipe(Effect.delay(watchEvery), Effect.forever, Effect.forkScoped)
  if (settings.fsync === "interval") {
    yield* Active.syncActive(shared).pipe(
      Effect.delay(Duration.millis(settings.fsyncIntervalMs)),
      Effect.forever,
      Effect.forkScoped
    )
  }

  return {
    recovery,
    append,
    read: reader.read,
    readAhead: reader.readAhead,
    ack: (nextSeq) => Effect.sync(() => State.acknowledge(state, nextSeq)),
    pin: (range) =>
      Effect.sync(() => {
        state.pinned = range
        state.readPin = undefined
      }),
    persist: Cursor.persist(shared),
    snapshot: Effect.sync(() => State.snapshot(state, shared.steady())),
    id: Array.from(queueId, (byte) => byte.toString(16).padStart(2, "0")).join(""),
    untold: (upTo) => Effect.sync(() => Losses.take(shared.losses, upTo)),
    forgetTold: Effect.mapError(Losses.forget(shared), (error) => ioError(error))
  }
})

const watchEvery = "1 second"

/**
 * Somebody may take files away, such as a cleaner of temporary files. What only this process still knows is written again: the records
 * of the active segment, where the queue begins and ends, the losses to be told of. So whatever else is gone will be told as lost, by
 * the next life too. Appends do not wait for it, but for the active segment.
 */
const watch = (shared: QueueContext): Effect.Effect<void> =>
  Effect.suspend(() =>
    complained(
      shared,
      "write again what was taken away",
      shared.structure.withPermits(1)(Active.restore(shared, shared.steady()))
    )
  ).pipe(
    Effect.andThen(complained(shared, "write the cursor", Cursor.writeEndAfterLosses(shared))),
    Effect.andThen(complained(shared, "remember a loss", Losses.restore(shared))),
    Effect.uninterruptible
  )

const steadyClock = Effect.map(Effect.clock, (clock) => {
  const opened = Time.momentOf(clock)
  return () => Time.epochMillis(Time.wallAfter(opened, Time.between(opened.at, Time.instantOf(clock))))
})

const randomId = Effect.map(
  Effect.replicateEffect(Random.nextIntBetween(0, 256), 16),
  (bytes) => Uint8Array.from(bytes)
)
