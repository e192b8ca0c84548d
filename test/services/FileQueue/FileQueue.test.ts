import { FileSystem } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, TestClock } from "effect"
import * as NodeFileOps from "../../../src/layers/node/FileOps.ts"
import { FileOps } from "../../../src/services/FileOps.ts"
import type * as FileQueue from "../../../src/services/FileQueue.ts"
import { MemoryDisk } from "../../support/MemoryDisk.ts"
import { directory, drain, numberOf, open, record, recordsOf, topic } from "./Harness.ts"

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i)

const isSync = (op: string) => op === "sync" || op === "datasync"

const realDirectory = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  return yield* fs.makeTempDirectoryScoped()
}).pipe(Effect.provide(NodeContext.layer))

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

  it.scoped("two flushes, and two lives, within one second keep all 1010, on a real disk too", () =>
    Effect.gen(function*() {
      const real = yield* realDirectory
      const disks = [[new MemoryDisk(), "/data"], [{ layer: NodeFileOps.layer }, real]] as const
      for (const [disk, dir] of disks) {
        // TestClock: no time passes at all.
        yield* Effect.scoped(Effect.flatMap(open(disk, [], { dir }), (queue) => queue.append(recordsOf(0, 1000))))
        yield* Effect.scoped(Effect.flatMap(open(disk, [], { dir }), (queue) => queue.append(recordsOf(1000, 1010))))
        const after = yield* Effect.scoped(Effect.flatMap(open(disk, [], { dir }), (queue) => drain(queue)))
        assert.deepStrictEqual(after.map(numberOf), upTo(1010))
      }
    }))

  it.effect("age alone removes nothing; only what is acknowledged goes, and nobody else's file", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      yield* Effect.scoped(
        Effect.flatMap(
          open(disk, [], { segmentBytes: 200 }),
          (queue) => Effect.forEach(upTo(10), (n) => queue.append([record(n)]))
        )
      )
      disk.put(`${directory}/notes.txt`, Uint8Array.of(1))
      yield* TestClock.adjust("30 days")
      const segments = () => disk.paths().filter((path) => path.endsWith(".seg")).length
      const before = segments()
      assert.isAbove(before, 2)
      yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* open(disk, [], { segmentBytes: 200 })
        assert.deepStrictEqual((yield* drain(queue)).map(numberOf), upTo(10))
        assert.strictEqual(segments(), before)
        yield* queue.ack(11)
        yield* queue.persist
      }))
      assert.isAtMost(segments(), 1)
      assert.include(disk.paths(), `${directory}/notes.txt`)
    }))

  it.effect("size and syncing are what the options say", () =>
    Effect.gen(function*() {
      const syncsWith = (fsync: FileQueue.Fsync) =>
        Effect.scoped(Effect.gen(function*() {
          const disk = new MemoryDisk()
          const queue = yield* open(disk, [], { fsync })
          yield* queue.append([record(0)])
          const from = disk.trace.length
          for (const n of [1, 2, 3]) yield* queue.append([record(n)])
          return disk.trace.slice(from).filter(({ op }) => isSync(op)).length
        }))
      assert.strictEqual(yield* syncsWith("always"), 3)
      assert.strictEqual(yield* syncsWith("never"), 0)
      const bytesWith = (maxBytes: number) =>
        Effect.scoped(Effect.gen(function*() {
          const queue = yield* open(new MemoryDisk(), [], { maxBytes })
          for (let n = 0; n < 2000; n += 20) yield* queue.append(recordsOf(n, n + 20))
          return (yield* queue.snapshot).bytes
        }))
      const [small, large] = [yield* bytesWith(32 * 1024), yield* bytesWith(128 * 1024)]
      assert.isAtMost(small, 32 * 1024)
      assert.isAtMost(large, 128 * 1024)
      assert.isAbove(large, 2 * small)
    }))
})
