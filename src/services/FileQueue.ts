/**
 * The durable queue of one lane: append-only segments on disk, records acknowledged from the front
 * (docs/design/queue.md). One process owns the directory (`DirectoryLock`); one fiber, the lane, reads and acknowledges.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { FileOps } from "./FileOps.ts"
import * as Budget from "./FileQueue/Budget.ts"
import type { FileQueueError, OpenOptions, Queue } from "./FileQueue/Model.ts"
import * as Open from "./FileQueue/Open.ts"
import type { Fsync, FullPolicy, Settings } from "./FileQueue/Shared.ts"
import * as State from "./FileQueue/State.ts"

export * as Inspect from "./FileQueue/Inspect.ts"
export * from "./FileQueue/Model.ts"
export type { Fsync, FullPolicy } from "./FileQueue/Shared.ts"

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
  const budget = Budget.make(ops, settings)
  return {
    fullPolicy: settings.fullPolicy,
    open: (lane) => Open.open(ops, settings, budget, lane),
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
