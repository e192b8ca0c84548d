/**
 * T10: `kill -9` at any moment. It tests the order of operations in a real file system, not fsync: the page cache survives a process
 * (T8 and T20 are about the loss of power).
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { appendFileSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import * as NodeFileOps from "../../../src/layers/node/FileOps.ts"
import * as FileQueue from "../../../src/services/FileQueue.ts"
import { start } from "../../support/child.ts"
import { defaults, drain, numberOf } from "./Harness.ts"

const cycles = Number(process.env["KILL_CYCLES"] ?? 6)

const newestSegment = (directory: string): string => {
  const queue = path.join(directory, "queue", "t")
  const name = readdirSync(queue).filter((one) => one.endsWith(".seg")).sort().at(-1)
  if (name === undefined) throw new Error("it died before it had written")
  return path.join(queue, name)
}

describe("T10: kill -9", () => {
  it.live(
    "what was promised is delivered or here, in order, once but for what the last cursor had not seen",
    () =>
      Effect.gen(function*() {
        const directory = mkdtempSync(path.join(tmpdir(), "queue-kill-"))
        yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(directory, { recursive: true, force: true })))
        const promised = new Map<number, number>()
        const delivered = new Map<number, number>()
        let repeated = 0
        let highest = 0
        for (let cycle = 0; cycle < cycles; cycle++) {
          const child = start("queue-child.ts", [directory, String(cycle * 1_000_000)])
          yield* Effect.promise(() => child.line("a "))
          yield* Effect.sleep(((cycle * 7919) % 500) + 1)
          child.process.kill("SIGKILL")
          yield* Effect.promise(() => child.exited)
          // What a death within a write leaves, which is too rare to wait for: the kernel stops between two pages.
          if (cycle % 2 === 1) appendFileSync(newestSegment(directory), Buffer.alloc(96, 1))
          let previous = 0
          for (const line of child.lines) {
            const [word, seqText, nText] = line.split(" ")
            const [seq, n] = [Number(seqText), Number(nText)]
            if (word === "a") {
              assert.isAbove(seq, highest, "a number given twice")
              highest = seq
              promised.set(seq, n)
            } else if (word === "d") {
              assert.isAbove(seq, previous, "out of order")
              previous = seq
              if (delivered.has(seq)) {
                repeated += 1
                assert.strictEqual(delivered.get(seq), n)
              }
              const want = promised.get(seq)
              // A batch may be on disk without its promise having been heard.
              if (want !== undefined) assert.strictEqual(n, want)
              delivered.set(seq, n)
            } else assert.strictEqual(line, "locked")
          }
        }
        const losses: Array<FileQueue.Loss> = []
        const rest = yield* FileQueue.make({ ...defaults, dir: directory }).pipe(
          Effect.flatMap((files) =>
            files.open({ topic: "t", dropOrder: 0, onLoss: (loss) => Effect.sync(() => void losses.push(loss)) })
          ),
          Effect.flatMap(drain),
          Effect.provide(NodeFileOps.layer)
        )
        assert.isEmpty(losses)
        const here = new Map(rest.map((one) => [one.seq, numberOf(one)]))
        for (const [seq, n] of promised) assert.strictEqual(here.get(seq) ?? delivered.get(seq), n, `${seq} is gone`)
        assert.isAbove(promised.size, cycles * 10)
        assert.isAbove(delivered.size, cycles)
        // Each death repeats at most the one batch of five whose cursor was not durable.
        assert.isAtMost(repeated, cycles * 5)
      }).pipe(Effect.scoped),
    300_000
  )
})
