import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { FileOps } from "../../../src/services/FileOps.ts"
import type * as FileQueue from "../../../src/services/FileQueue.ts"
import { MemoryDisk } from "../../support/MemoryDisk.ts"
import { directory, drain, numberOf, open, record, recordsOf, topic } from "./Harness.ts"

describe("FileQueue", () => {
  it.effect("what is appended is read in order, acknowledged, and gone after persist", () =>
    Effect.scoped(Effect.gen(function*() {
      const disk = new MemoryDisk()
      const queue = yield* open(disk, [])
      assert.deepStrictEqual(yield* queue.append(recordsOf(0, 10)), { firstSeq: 1, lastSeq: 10 })
      assert.deepStrictEqual(yield* queue.append([record(10)]), { firstSeq: 11, lastSeq: 11 })
      const some = yield* queue.read({ from: 1, maxRecords: 4, maxBytes: 1e6 })
      assert.deepStrictEqual(some.map(numberOf), [0, 1, 2, 3])
      assert.deepStrictEqual(some.map(({ seq }) => seq), [1, 2, 3, 4])
      assert.deepStrictEqual((yield* drain(queue)).map(numberOf), Array.from({ length: 11 }, (_, i) => i))
      yield* queue.ack(5)
      assert.strictEqual((yield* queue.snapshot).durableAckedTo, 1)
      assert.strictEqual(yield* queue.persist, 5)
      const snapshot = yield* queue.snapshot
      assert.strictEqual(snapshot.records, 7)
      assert.strictEqual(snapshot.durableAckedTo, 5)
      yield* queue.ack(12)
      yield* queue.persist
      assert.deepInclude(yield* queue.snapshot, { records: 0, bytes: 0, oldest: null, nextSeq: 12, ackedTo: 12 })
    })))

  it.effect("what is appended while a read is under way is not missing: the next read has it", () =>
    Effect.scoped(Effect.gen(function*() {
      const disk = new MemoryDisk()
      let meanwhile: Effect.Effect<unknown> = Effect.void
      /** Between the call for bytes and their arrival. */
      const layer = Layer.map(disk.layer, (context) => {
        const ops = Context.get(context, FileOps)
        return Context.make(FileOps, {
          ...ops,
          open: (path, mode) =>
            Effect.map(ops.open(path, mode), (file) => ({
              ...file,
              read: (into, position) =>
                Effect.suspend(() => {
                  const now = meanwhile
                  meanwhile = Effect.void
                  return now
                }).pipe(Effect.andThen(file.read(into, position)))
            }))
        })
      })
      const losses: Array<FileQueue.Loss> = []
      const queue = yield* open({ layer }, losses)
      yield* queue.append(recordsOf(0, 10))
      meanwhile = Effect.orDie(queue.append(recordsOf(10, 12)))
      const first = yield* queue.read({ from: 1, maxRecords: 1000, maxBytes: 1e6 })
      const rest = yield* queue.read({ from: (first.at(-1)?.seq ?? 0) + 1, maxRecords: 1000, maxBytes: 1e6 })
      assert.deepStrictEqual([...first, ...rest].map(numberOf), Array.from({ length: 12 }, (_, i) => i))
      assert.deepStrictEqual(losses, [])
    })))

  it.effect("a second life goes on where the first stopped", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* open(disk, [])
        yield* queue.append(recordsOf(0, 10))
        yield* queue.ack(4)
        yield* queue.persist
      }))
      assert.strictEqual(disk.open, 0)
      yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* open(disk, [])
        assert.deepStrictEqual(queue.recovery, {
          records: 7,
          lost: 0,
          quarantinedBytes: 0,
          tornTail: false,
          cursorReset: false
        })
        assert.strictEqual((yield* queue.snapshot).recovered, 7)
        assert.deepStrictEqual(yield* queue.append([record(10)]), { firstSeq: 11, lastSeq: 11 })
        assert.deepStrictEqual((yield* drain(queue)).map(numberOf), [3, 4, 5, 6, 7, 8, 9, 10])
        assert.strictEqual(disk.paths().filter((path) => path.startsWith(directory) && path.endsWith(".seg")).length, 2)
      }))
      assert.strictEqual(topic, "marketdata.trade.v1")
    }))
})
