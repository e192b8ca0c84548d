/**
 * What this and earlier lives of the collector have delivered or made durable, per market, and the holes in it that are still open: so
 * that a restart neither repeats a trade nor takes a new one for an old, and asks for what it was asking for.
 *
 * It advances when a trade is acknowledged or durable in the queue, never when it was only handed over: what is in memory dies with the
 * process.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { applyEntry, Entry, OldFile } from "./Checkpoint/Format.ts"
import * as Memory from "./Checkpoint/Memory.ts"
import type { EventRecord } from "./MarketEvent.ts"

export type { Awaited, Hole, MarketMemory } from "./Checkpoint/Memory.ts"

/** How many ids are kept for each market: more than any window of recent trades an exchange is known to send. */
export const memoryOfMarket = Memory.memoryOfMarket

export class CheckpointError extends Schema.TaggedError<CheckpointError>()("CheckpointError", {
  /** `version`: a later version of this program wrote it; nothing of it was changed. */
  reason: Schema.optionalWith(Schema.Literal("io", "version"), { default: () => "io" as const }),
  path: Schema.String,
  message: Schema.String,
  cause: Schema.optional(Schema.Defect)
}) {}

/** What a feed does with the holes of its markets. Keys are `exchange:symbol`. */
export interface HoleStore {
  /** In place of what was kept as open of this market; durable with the next `write`. */
  readonly keepHoles: (key: string, exchangeSymbol: string, holes: ReadonlyArray<Memory.Hole>) => void
  /** The hole is filled or given up. It is kept until what is awaited is resolved: delivered, durable, dropped, or a dead letter. */
  readonly closeHole: (key: string, hole: Memory.Hole, awaited: Memory.Awaited) => void
  /** The market is gone for good: nothing is kept of it. */
  readonly forget: (key: string) => void
  /** Durable when it succeeds; nothing is written if nothing changed. */
  readonly write: Effect.Effect<void, CheckpointError>
}

export class Checkpoint extends Context.Tag("effect-exchange-feeds/services/Checkpoint")<
  Checkpoint,
  HoleStore & {
    /** By record key, `exchange:symbol`: as found at open, plus what was settled since. */
    readonly markets: Effect.Effect<ReadonlyMap<string, Memory.MarketMemory>>
    /**
     * The trade lane tells what Kafka acknowledged or the queue made durable, never what is only in memory.
     * `seq`: highest sequence number of the queue included.
     */
    readonly settle: (records: ReadonlyArray<EventRecord>, seq?: number) => Effect.Effect<void>
    /** Records of any lane that cannot be lost any more, or are lost and counted: what awaits them is over. */
    readonly resolve: (records: ReadonlyArray<EventRecord>) => Effect.Effect<void>
    /** Highest sequence number of the trade lane covered: at open only records beyond it are read back and settled. */
    readonly coveredSeq: Effect.Effect<number>
    /** Why the last write failed; null if it did not. */
    readonly failure: Effect.Effect<string | null>
  }
>() {}

/**
 * Where it lives: a log in segments, each a file. An entry is one line, whole or not there. Segments are numbered upwards; what a later
 * one says holds.
 */
export interface Store {
  /** Of version 1: one file, replaced as a whole; only read. */
  readonly old: Effect.Effect<string | undefined, CheckpointError>
  /** In order, without lines that are damaged; `damaged`: how many of them. */
  readonly load: Effect.Effect<
    { readonly entries: ReadonlyArray<string>; readonly damaged: number; readonly newest: number },
    CheckpointError
  >
  /** Durable when it succeeds. After a failure that segment is not written again. */
  readonly append: (segment: number, entry: string) => Effect.Effect<void, CheckpointError>
  /** Segments before this one say nothing that later ones do not. A segment that cannot be removed is only logged. */
  readonly removeBefore: (segment: number) => Effect.Effect<void>
}

/** Bytes of unchanged markets that a write may add, so that old segments can go: a part of what it had to write anyway. */
const copyShare = 2
const copyAtLeast = 4 * 1024
const copyAtMost = 128 * 1024

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Tells one text from another (FNV-1a): no more depends on it than whether a file is read again. */
const markOf = (text: string): number => {
  let mark = 0x811c9dc5
  for (let i = 0; i < text.length; i++) mark = Math.imul(mark ^ text.charCodeAt(i), 0x01000193) >>> 0
  return mark
}

const versionOf = (value: unknown): number | undefined =>
  typeof value === "object" && value !== null && "v" in value && typeof value.v === "number" ? value.v : undefined

const later = (path: string, version: number) =>
  new CheckpointError({
    reason: "version",
    path,
    message:
      `${path} has version ${version}, which this program does not know: a later one wrote it. Run that one, or move the file away`
  })

/**
 * A checkpoint over any store. A file that cannot be understood is no reason not to start: it means that less is known, which costs
 * duplicates. A version that is not known is one: it would be taken for a first run.
 */
export const make = Effect.fnUntraced(function*(
  store: Store
): Effect.fn.Return<Checkpoint["Type"], CheckpointError> {
  const memory = Memory.make()
  const old = yield* store.old
  const { damaged, entries, newest } = yield* store.load
  let takenOver: number | undefined
  for (const text of entries) {
    const value = parse(text)
    const version = versionOf(value)
    if (version !== undefined && version !== 2) return yield* later("checkpoint-2", version)
    const entry = Entry(value)
    if (entry === undefined) continue
    applyEntry(memory, entry)
    takenOver = entry.old ?? takenOver
  }
  if (damaged > 0) {
    yield* Effect.logError(
      "the checkpoint is damaged in part; trades may be repeated, and holes of those lines are forgotten"
    ).pipe(
      Effect.annotateLogs({ damaged })
    )
  }
  if (old !== undefined) {
    const value = parse(old)
    const version = versionOf(value)
    if (version !== undefined && version !== 1) return yield* later("checkpoint", version)
    const file = OldFile(value)
    if (file === undefined) {
      if (entries.length === 0) {
        yield* Effect.logWarning("the checkpoint cannot be read; trades of the last moments may be repeated")
      }
    } else if (takenOver !== markOf(old)) {
      // It was not read yet, or the version before ran again since, and knows more.
      memory.takeOver(file)
      takenOver = markOf(old)
    }
  }

  let segment = newest + 1
  /** Unchanged markets still to be copied into the segments from `copyFrom` on. */
  let copying = memory.keys()
  let copyFrom = segment
  let isFirst = true
  let failure: string | null = null
  const writing = yield* Effect.makeSemaphore(1)

  const write = writing.withPermits(1)(Effect.suspend(() => {
    const changes = memory.changes()
    if (changes === undefined) return Effect.void
    const header = isFirst ? `"v":2,"old":${takenOver ?? 0},` : ""
    const parts = changes.markets.slice()
    let size = parts.reduce((sum, part) => sum + part.length, 0)
    const limit = size + Math.min(copyAtMost, Math.max(copyAtLeast, size * copyShare))
    let isCopied = false
    while (size < limit) {
      const next = copying.next()
      if (next.done === true) {
        isCopied = true
        break
      }
      const whole = memory.whole(next.value)
      if (whole === undefined) continue
      parts.push(whole)
      size += whole.length
    }
    const into = segment
    return store.append(into, `{${header}"seq":${memory.seq()},"markets":[${parts.join(",")}]}`).pipe(
      Effect.matchEffect({
        onFailure: (error) =>
          Effect.suspend(() => {
            failure = error.message
            memory.restore(changes)
            // What that segment holds is not known: all is written once more, into others.
            segment = into + 1
            copying = memory.keys()
            copyFrom = segment
            isFirst = true
            return Effect.fail(error)
          }),
        onSuccess: () =>
          Effect.suspend(() => {
            failure = null
            isFirst = false
            if (!isCopied) return Effect.void
            // All that is known stands in the segments from `copyFrom` on.
            const before = copyFrom
            segment = into + 1
            copying = memory.keys()
            copyFrom = segment
            isFirst = true
            return store.removeBefore(before)
          })
      })
    )
  }))

  return {
    markets: Effect.sync(() => memory.markets()),
    coveredSeq: Effect.sync(() => memory.seq()),
    settle: (records, seq) => Effect.sync(() => memory.settle(records, seq)),
    resolve: (records) => Effect.sync(() => memory.resolve(records)),
    keepHoles: memory.keepHoles,
    closeHole: memory.closeHole,
    forget: memory.forget,
    failure: Effect.sync(() => failure),
    write
  }
})
