/**
 * What this and earlier lives of the collector have delivered or made durable, per market, and the holes in it that are still open: so
 * that a restart neither repeats a trade nor takes a new one for an old, and asks for what it was asking for.
 *
 * It advances when a trade is acknowledged or durable in the queue, never when it was only handed over: what is in memory dies with the
 * process.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Awaited, Hole, MarketMemory, OpenHole } from "./Checkpoint/Model.ts"
import * as Reader from "./Checkpoint/Reader.ts"
import type { CheckpointError, Store } from "./Checkpoint/Store.ts"
import * as Writer from "./Checkpoint/Writer.ts"
import type { EventRecord } from "./MarketEvent.ts"

export * as Lines from "./Checkpoint/Lines.ts"
export * from "./Checkpoint/Model.ts"
export * from "./Checkpoint/Store.ts"

/**
 * What a feed does with the holes of its markets. Keys are `exchange:symbol`.
 *
 * @since 0.1.0
 * @category models
 */
export interface HoleStore {
  /** In place of what was kept as open of this market; durable with the next `write`. A market that was forgotten is known from here on. */
  readonly keepHoles: (key: string, exchangeSymbol: string, holes: ReadonlyArray<OpenHole>) => void
  /** The hole is filled or given up. It is kept until what is awaited is resolved: delivered, durable, dropped, or a dead letter. */
  readonly closeHole: (key: string, hole: Hole, awaited: Awaited) => void
  /** The market is gone for good: nothing is kept of it, nor of what is settled later, until `keepHoles` names it again. */
  readonly forget: (key: string) => void
  /** Durable when it succeeds; nothing is written if nothing changed. */
  readonly write: Effect.Effect<void, CheckpointError>
}

/**
 * The memory of a collector, over its restarts.
 *
 * @since 0.1.0
 * @category tags
 */
export class Checkpoint extends Context.Tag("effect-exchange-feeds/services/Checkpoint")<
  Checkpoint,
  HoleStore & {
    /** By record key, `exchange:symbol`: a copy of what is known, of each market at its own moment, since thousands of them take a while. */
    readonly markets: Effect.Effect<ReadonlyMap<string, MarketMemory>>
    /**
     * The trade lane tells what Kafka acknowledged or the queue made durable, never what is only in memory.
     * `seq`: highest sequence number of the queue included.
     */
    readonly settle: (records: ReadonlyArray<EventRecord>, seq?: number) => Effect.Effect<void>
    /** Records of any lane that cannot be lost any more, or are lost and counted: what awaits them is over. */
    readonly resolve: (records: ReadonlyArray<EventRecord>) => Effect.Effect<void>
    /** Highest sequence number of the trade lane covered: at open only records beyond it are read back and settled. */
    readonly coveredSeq: Effect.Effect<number>
    /** Why the last write failed, with the path; null if it did not. */
    readonly failure: Effect.Effect<string | null>
  }
>() {}

/**
 * A checkpoint over any store, with what it finds there. Fails only if that cannot be read, or a later release wrote it. `sizes`: for
 * tests, and for those who measured.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(
  store: Store,
  sizes: Writer.Sizes = Writer.defaults
): Effect.fn.Return<Checkpoint["Type"], CheckpointError> {
  const found = yield* Reader.read(store)
  const { memory } = found
  const { failure, write } = Writer.make(store, found, sizes)
  return {
    // One step for each: in a single one probes would wait for all of them.
    markets: Effect.suspend(() => {
      const copy = new Map<string, MarketMemory>()
      const copyOf = (key: string) =>
        Effect.sync(() => {
          const known = memory.memoryOf(key)
          if (known !== undefined) copy.set(key, known)
        })
      return Effect.as(Effect.forEach(memory.keys(), copyOf, { discard: true }), copy)
    }),
    coveredSeq: Effect.sync(memory.seq),
    settle: (records, seq) => Effect.sync(() => memory.settle(records, seq)),
    resolve: (records) => Effect.sync(() => memory.resolve(records)),
    keepHoles: memory.keepHoles,
    closeHole: memory.closeHole,
    forget: memory.forget,
    failure: Effect.sync(failure),
    write
  }
})
