/**
 * How long a queue takes to open and to give its first record, and what memory that and a drain of 200 000 records takes, for
 * backlogs of `GIB` gibibytes (1 and 4 if not given): neither may grow with the backlog. Each opening is a process of its own. The
 * page cache is as the writer left it. One JSON object a line.
 */
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import * as NodeFileOps from "../src/layers/node/FileOps.ts"
import * as FileQueue from "../src/services/FileQueue.ts"
import type { EventRecord } from "../src/services/MarketEvent.ts"

const [, file = "", role, directoryOfChild = ""] = process.argv

const record: EventRecord = {
  key: "bitpin:BTC/IRT",
  value: "x".repeat(300),
  headers: { id: "bitpin:BTC/IRT:t:73802972_73807087", schema: "trade/1", source: "ws" },
  timestamp: 1_780_000_000_000
}

const open = (directory: string) =>
  FileQueue.make({
    dir: directory,
    maxBytes: 8 * 2 ** 30,
    fullPolicy: "drop_oldest",
    // The backlog is built without waiting for the disk: what is measured is reading.
    fsync: "never",
    fsyncInterval: "1 second"
  }).pipe(
    Effect.flatMap((files) => files.open({ topic: "backlog", dropOrder: 0, onLoss: () => Effect.void })),
    Effect.provide(NodeFileOps.layer)
  )

const rss = () => Math.round(process.memoryUsage.rss() / 2 ** 20)

const measure = (directory: string) =>
  Effect.gen(function*() {
    const before = rss()
    const began = performance.now()
    const queue = yield* open(directory)
    const opened = performance.now() - began
    const { ackedTo, bytes, records } = yield* queue.snapshot
    yield* queue.read({ from: ackedTo, maxRecords: 1, maxBytes: 1 })
    const first = performance.now() - began
    let peak = 0
    for (let from = ackedTo, n = 0; n < 200_000;) {
      const some = yield* queue.read({ from, maxRecords: 1000, maxBytes: 512 * 1024 })
      const last = some.at(-1)
      if (last === undefined) break
      from = last.seq + 1
      n += some.length
      yield* queue.ack(from)
      peak = Math.max(peak, rss())
    }
    console.log(JSON.stringify({
      bench: "queue.recovery",
      gib: Number((bytes / 2 ** 30).toFixed(2)),
      records,
      openMs: Math.round(opened),
      firstRecordMs: Math.round(first),
      rssBeforeMiB: before,
      rssPeakMiB: peak
    }))
  }).pipe(Effect.scoped)

const build = (directory: string, gib: number) =>
  Effect.gen(function*() {
    const queue = yield* open(directory)
    const batch = Array.from({ length: 2000 }, () => record)
    while ((yield* queue.snapshot).bytes < gib * 2 ** 30) yield* queue.append(batch)
  }).pipe(Effect.scoped)

const main = async () => {
  if (role === "open") return Effect.runPromise(measure(directoryOfChild))
  for (const gib of (process.env["GIB"] ?? "1,4").split(",").map(Number)) {
    const directory = mkdtempSync(path.join(tmpdir(), "bench-recovery-"))
    try {
      await Effect.runPromise(build(directory, gib))
      const { status } = spawnSync(process.execPath, [file, "open", directory], { stdio: "inherit" })
      if (status !== 0) throw new Error(`opening ended with ${status}`)
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  }
}

await main()
