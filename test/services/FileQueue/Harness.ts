/**
 * One queue on a disk in memory, records that can be told apart, and the losses it told.
 */
import { Effect, Logger, LogLevel, type Scope } from "effect"
import * as FileQueue from "../../../src/services/FileQueue.ts"
import type { EventRecord } from "../../../src/services/MarketEvent.ts"
import type { MemoryDisk } from "../../support/MemoryDisk.ts"

export const topic = "marketdata.trade.v1"
export const directory = `/data/queue/${topic}`
export const cursorFile = `${directory}/cursor`

const exchanges = ["bitpin", "wallex", "nobitex"]

/** Deterministic: record n is always the same. */
export const record = (n: number, size = 40): EventRecord => ({
  key: `${exchanges[n % exchanges.length]}:BTC/IRT`,
  value: `{"n":${n},"x":"${"x".repeat(size)}"}`,
  headers: { id: `id-${n}`, schema: "trade/1", source: "ws" },
  timestamp: 1_780_000_000_000 + n
})

export const recordsOf = (from: number, to: number, size?: number): ReadonlyArray<EventRecord> =>
  Array.from({ length: to - from }, (_, i) => record(from + i, size))

export const numberOf = (one: EventRecord): number => {
  const text = typeof one.value === "string" ? one.value : new TextDecoder().decode(one.value)
  const n = Number(/"n":(\d+)/.exec(text)?.[1])
  const want = record(n, text.length - `{"n":${n},"x":""}`.length)
  if (text !== want.value || one.key !== want.key || one.timestamp !== want.timestamp) {
    throw new Error(`not as written: ${text}`)
  }
  if (JSON.stringify(one.headers) !== JSON.stringify(want.headers)) throw new Error("headers are not as written")
  return n
}

export const defaults: FileQueue.Options = {
  dir: "/data",
  maxBytes: 1024 * 1024,
  fullPolicy: "drop_oldest",
  fsync: "always",
  fsyncInterval: "500 millis"
}

export const open = (
  disk: Pick<MemoryDisk, "layer">,
  losses: Array<FileQueue.Loss>,
  options: Partial<FileQueue.Options> = {},
  lane: Partial<FileQueue.OpenOptions> = {}
): Effect.Effect<FileQueue.Queue, FileQueue.FileQueueError, Scope.Scope> =>
  FileQueue.make({ ...defaults, ...options }).pipe(
    Effect.flatMap((queue) =>
      queue.open({
        topic,
        dropOrder: 1,
        onLoss: (loss) => Effect.sync(() => void losses.push(loss)),
        ...lane
      })
    ),
    Effect.provide(disk.layer)
  )

/** All that is there, in order, in reads of `step`. */
export const drain = (
  queue: FileQueue.Queue,
  from?: number,
  step = 1000
): Effect.Effect<ReadonlyArray<FileQueue.QueuedRecord>, FileQueue.FileQueueError> =>
  Effect.gen(function*() {
    const out: Array<FileQueue.QueuedRecord> = []
    let next = from ?? (yield* queue.snapshot).ackedTo
    for (;;) {
      const some = yield* queue.read({ from: next, maxRecords: step, maxBytes: 8 * 1024 * 1024 })
      const last = some.at(-1)
      if (last === undefined) return out
      out.push(...some)
      next = last.seq + 1
    }
  })

export const lostOf = (losses: ReadonlyArray<FileQueue.Loss>): ReadonlyArray<number> =>
  losses.flatMap(({ firstSeq, lastSeq }) => Array.from({ length: lastSeq - firstSeq + 1 }, (_, i) => firstSeq + i))

export const countOf = (loss: FileQueue.Loss): number =>
  loss.recovered + Array.from(loss.byExchange.values()).reduce((sum, n) => sum + n, 0)

/** Damage is logged; here it is what is tested. */
export const quiet: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> = Logger.withMinimumLogLevel(
  LogLevel.None
)

/** Lets the event loop turn: thousands of runs on a disk in memory never wait for anything. */
export const breathe: Effect.Effect<void> = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
