/**
 * The file queue: appending at several batch sizes beside a bare write + fdatasync of the same bytes, alternating in one run; one at a
 * time, or by several callers (`inFlight`), whose batches share a sync, while the bare loop has one for each. And draining what was
 * appended. Ratios, not absolutes: the disk is shared. One JSON object a line. `SECONDS` for each figure.
 */
import { Effect, Runtime } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import * as fs from "node:fs/promises"
import { tmpdir } from "node:os"
import * as path from "node:path"
import * as NodeFileOps from "../src/layers/node/FileOps.ts"
import * as FileQueue from "../src/services/FileQueue.ts"
import type { EventRecord } from "../src/services/MarketEvent.ts"
import { alternate } from "./support/alternate.ts"

const seconds = Number(process.env["SECONDS"] ?? 2)
const valueBytes = 300

const record: EventRecord = {
  key: "bitpin:BTC/IRT",
  value: "x".repeat(valueBytes),
  headers: { id: "bitpin:BTC/IRT:t:73802972_73807087", schema: "trade/1", source: "ws" },
  timestamp: 1_780_000_000_000
}

const print = (result: Readonly<Record<string, string | number>>) => console.log(JSON.stringify(result))

/** What any durable append costs at least: the same bytes, one write and one fdatasync a batch. */
const bareFile = async (directory: string, bytes: number) => {
  const handle = await fs.open(path.join(directory, "bare"), "w")
  const buffer = Buffer.alloc(bytes, 1)
  let position = 0
  return {
    append: async () => {
      await handle.write(buffer, 0, bytes, position)
      position += bytes
      await handle.datasync()
    },
    close: () => handle.close()
  }
}

const main = Effect.gen(function*() {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(path.join(tmpdir(), "bench-queue-"))),
    (one) => Effect.sync(() => rmSync(one, { recursive: true, force: true }))
  )
  const files = yield* FileQueue.FileQueue.pipe(Effect.provide(
    FileQueue.layer({
      dir: directory,
      maxBytes: 8 * 2 ** 30,
      segmentBytes: 16 * 2 ** 20,
      fullPolicy: "drop_oldest",
      fsync: "always",
      fsyncInterval: "1 second"
    })
  ))
  const runtime = yield* Effect.runtime()
  for (const [batch, inFlight] of [[1, 1], [16, 1], [128, 1], [128, 4], [1024, 1]] as const) {
    const records = Array.from({ length: batch }, () => record)
    yield* Effect.scoped(Effect.gen(function*() {
      const queue = yield* files.open({ topic: `batch-${batch}-${inFlight}`, dropOrder: 0, onLoss: () => Effect.void })
      yield* queue.append(records)
      const bytes = (yield* queue.snapshot).bytes - 64
      const bare = yield* Effect.promise(() => bareFile(directory, bytes))
      const [ours, theirs] = yield* Effect.promise(() =>
        alternate(
          seconds,
          (until) =>
            Runtime.runPromise(runtime)(Effect.gen(function*() {
              let count = 0
              const caller = Effect.gen(function*() {
                for (; performance.now() < until; count++) yield* queue.append(records)
              })
              yield* Effect.replicateEffect(caller, inFlight, { concurrency: "unbounded", discard: true })
              return count
            })),
          async (until) => {
            let count = 0
            for (; performance.now() < until; count++) await bare.append()
            return count
          }
        )
      )
      yield* Effect.promise(bare.close)
      print({
        bench: "queue.append",
        batch,
        inFlight,
        valueBytes,
        recordsPerSecond: Math.round(ours * batch),
        bareRecordsPerSecond: Math.round(theirs * batch),
        ratio: Number((ours / theirs).toFixed(3))
      })
      if (batch < 128) return
      const total = (yield* queue.snapshot).records
      const began = performance.now()
      for (let from = (yield* queue.snapshot).ackedTo;;) {
        const some = yield* queue.read({ from, maxRecords: 1000, maxBytes: 8 * 2 ** 20 })
        const last = some.at(-1)
        if (last === undefined) break
        from = last.seq + 1
        yield* queue.ack(from)
        yield* queue.persist
      }
      const drained = Math.round(total / ((performance.now() - began) / 1000))
      print({ bench: "queue.drain", records: total, cursorEvery: 1000, recordsPerSecond: drained })
    }))
  }
})

await Effect.runPromise(Effect.scoped(main).pipe(Effect.provide(NodeFileOps.layer)))
