import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { FileOps, whileOurs } from "../../src/services/FileOps.ts"
import { MemoryDisk } from "../support/MemoryDisk.ts"
import { directory, numberOf, open, record } from "./FileQueue/Harness.ts"

describe("files of a directory that is another process's by now", () => {
  it.effect("a queue that is closed then leaves the new owner's files as they are", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      let isOurs = true
      const layer = Layer.map(disk.layer, (context) =>
        Context.make(FileOps, whileOurs(Context.get(context, FileOps), () => isOurs)))
      yield* Effect.scoped(Effect.gen(function*() {
        const before = yield* open({ layer }, [])
        for (const n of [0, 1, 2]) {
          yield* before.append([record(n)])
        }
        // Its marks and files are taken away, and somebody else begins, delivers, and is done.
        for (const path of disk.paths()) {
          if (path.startsWith(directory)) {
            yield* disk.ops.unlink(path)
          }
        }
        isOurs = false
        yield* Effect.scoped(Effect.gen(function*() {
          const other = yield* open(disk, [])
          for (const n of [7, 8, 9, 10]) {
            yield* other.append([record(n)])
          }
          yield* other.ack(3)
          yield* other.persist
        }))
      }))
      yield* Effect.scoped(Effect.gen(function*() {
        const next = yield* open(disk, [])
        const left = yield* next.read({ from: 3, maxRecords: 10, maxBytes: 1e6 })
        assert.deepStrictEqual(left.map(numberOf), [9, 10])
        assert.deepInclude(next.recovery, { records: 2, lost: 0 })
      }))
    }))
})
