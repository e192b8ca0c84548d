/**
 * A process to be killed: holds the lock of a directory, appends, reads and acknowledges as fast as it can, and says on stdout what it
 * was promised (`a <seq> <n> <monotonic ns>`) and what it delivered (`d <seq> <n>`), each line before anything else happens.
 *
 * node --import tsx queue-child.ts <directory> <first n> [lock | read]
 *
 * `read`: says what is there (`r <seq> <n>`) and ends. QUEUE_FSYNC: `always` if not set.
 */
import { Effect, Layer, Logger } from "effect"
import { writeSync } from "node:fs"
import * as NodeDirectoryLock from "../../src/layers/node/DirectoryLock.ts"
import * as NodeFileOps from "../../src/layers/node/FileOps.ts"
import { DirectoryLock } from "../../src/services/DirectoryLock.ts"
import * as FileQueue from "../../src/services/FileQueue.ts"
import { drain, numberOf, record } from "../services/FileQueue/Harness.ts"

const [directory = "", first = "0", what] = process.argv.slice(2)

const mode = process.env["QUEUE_FSYNC"]

const pause = new Int32Array(new SharedArrayBuffer(4))

const isFull = (cause: unknown): boolean => cause instanceof Error && "code" in cause && cause.code === "EAGAIN"

/** The pipe does not block: some 280 lines that nobody has read yet fill it. Then this waits, and nothing else happens. */
const say = (line: string) =>
  Effect.sync(() => {
    for (let rest = Buffer.from(`${line}\n`); rest.length > 0;) {
      try {
        rest = rest.subarray(writeSync(1, rest))
      } catch (cause) {
        if (!isFull(cause)) throw cause
        Atomics.wait(pause, 0, 0, 1)
      }
    }
  })

const work = Effect.gen(function*() {
  yield* Effect.flatMap(DirectoryLock, (lock) => lock.acquire(directory))
  yield* say("locked")
  if (what === "lock") return yield* Effect.never
  const files = yield* FileQueue.FileQueue
  const queue = yield* files.open({
    topic: "t",
    dropOrder: 0,
    onLoss: (loss) => say(`lost ${loss.firstSeq} ${loss.lastSeq} ${loss.reason}`)
  })
  if (what === "read") {
    for (const one of yield* drain(queue)) yield* say(`r ${one.seq} ${numberOf(one)}`)
    return
  }
  let n = Number(first)
  for (;;) {
    const numbers = Array.from({ length: 1 + (n % 7) }, (_, i) => n + i)
    n += numbers.length
    const { firstSeq } = yield* queue.append(numbers.map((one) => record(one, 100)))
    const at = process.hrtime.bigint()
    yield* say(numbers.map((one, i) => `a ${firstSeq + i} ${one} ${at}`).join("\n"))
    if (n % 3 !== 0) continue
    const { ackedTo } = yield* queue.snapshot
    const some = yield* queue.read({ from: ackedTo, maxRecords: 5, maxBytes: 1e6 })
    const last = some.at(-1)
    if (last === undefined) continue
    yield* say(some.map((one) => `d ${one.seq} ${numberOf(one)}`).join("\n"))
    yield* queue.ack(last.seq + 1)
    yield* queue.persist
  }
})

const layer = FileQueue.layer({
  dir: directory,
  maxBytes: 1e9,
  fullPolicy: "drop_oldest",
  fsync: mode === "never" || mode === "interval" ? mode : "always",
  fsyncInterval: "1 second",
  segmentBytes: 4000
}).pipe(
  Layer.provideMerge(NodeFileOps.layer),
  Layer.merge(NodeDirectoryLock.layer),
  // stdout is for what it says: a death in the middle of a write leaves a torn record, of which the next life warns.
  Layer.merge(Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.logfmtLogger)))
)

Effect.runPromise(Effect.scoped(work).pipe(Effect.provide(layer))).catch((error: unknown) => {
  writeSync(1, `error ${String(error)}\n`)
  process.exitCode = 1
})
