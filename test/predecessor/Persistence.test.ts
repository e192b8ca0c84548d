/** Rows 4-12 of design/PREDECESSOR.md: its persistence. */
import { FileSystem } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, TestClock } from "effect"
import * as NodeDirectoryLock from "../../src/layers/node/DirectoryLock.ts"
import * as NodeFileOps from "../../src/layers/node/FileOps.ts"
import { DirectoryLock } from "../../src/services/DirectoryLock.ts"
import type * as FileQueue from "../../src/services/FileQueue.ts"
import { evaluate } from "../../src/services/Health/Evaluate.ts"
import { directory, drain, numberOf, open, quiet, record, recordsOf } from "../services/FileQueue/Harness.ts"
import { fine, lane, now } from "../services/Health/inputs.ts"
import { MemoryDisk } from "../support/MemoryDisk.ts"

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i)

const isSync = (op: string) => op === "sync" || op === "datasync"

/** What a new life finds. */
const found = (disk: MemoryDisk, options: Partial<FileQueue.Options> = {}) =>
  Effect.scoped(Effect.flatMap(open(disk, [], options), (queue) => drain(queue)))

const realDirectory = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  return yield* fs.makeTempDirectoryScoped()
}).pipe(Effect.provide(NodeContext.layer))

describe("Persistence", () => {
  // The predecessor named a file by its second and truncated it: 1010 stored, 10 recovered.
  it.scoped("#4 two flushes, and two lives, within one second keep all 1010, on a real disk too", () =>
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

  // The predecessor never synced anything, and kept up to 10 s in memory only.
  it.effect("#5 what was taken survives the worst loss of power in the very next moment", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* open(disk, [], { segmentBytes: 500 })
        for (const n of upTo(20)) yield* queue.append([record(n)])
        disk.crashPower(() => 0)
      })).pipe(quiet)
      assert.deepStrictEqual((yield* found(disk)).map(numberOf), upTo(20))
    }))

  // The predecessor ignored write errors and dropped its copy: 1 MiB of disk, 20 000 stored, 15 755 lost without a word.
  it.effect("#6 a full disk is an error of the append, nothing that was taken is lost, and room makes it work again", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      disk.capacity = 1024 * 1024
      const taken: Array<number> = []
      const refusals: Array<string> = []
      yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* open(disk, [], { maxBytes: 64 * 1024 * 1024, fullPolicy: "drop_newest" })
        for (let n = 0; n < 20_000; n += 100) {
          const answer = yield* Effect.either(queue.append(recordsOf(n, n + 100)))
          if (answer._tag === "Right") taken.push(...recordsOf(n, n + 100).map(numberOf))
          else refusals.push(answer.left.reason)
        }
        assert.isAbove(taken.length, 1000)
        assert.strictEqual(taken.length + refusals.length * 100, 20_000)
        assert.deepStrictEqual([...new Set(refusals)], ["full"])
        disk.capacity = Infinity
        yield* TestClock.adjust("1 minute")
        yield* queue.append(recordsOf(20_000, 20_001))
        taken.push(20_000)
      })).pipe(quiet)
      assert.deepStrictEqual((yield* found(disk)).map(numberOf), taken)
    }))

  // The predecessor's scanner gave a whole file up for one line over 64 KiB: 3 stored, 0 recovered.
  it.effect("#7 a record of 70 KB comes back, and so do its neighbours", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      const records = [record(0), record(1, 70_000), record(2)]
      yield* Effect.scoped(Effect.flatMap(open(disk, []), (queue) => queue.append(records)))
      const after = yield* found(disk)
      assert.deepStrictEqual(after.map(numberOf), [0, 1, 2])
      assert.isAbove(after[1]?.value.length ?? 0, 70_000)
    }))

  // The predecessor stored payloads as JSON strings: ff fe 00 80 61 came back as ef bf bd ef bf bd 00 ef bf bd 61.
  it.effect("#8 bytes that are no text come back as they were", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      const value = Uint8Array.of(0xff, 0xfe, 0x00, 0x80, 0x61, 0x0a, 0x0d)
      yield* Effect.scoped(Effect.flatMap(open(disk, []), (queue) => queue.append([{ ...record(0), value }])))
      const [after] = yield* found(disk)
      if (after === undefined || typeof after.value === "string") return assert.fail("no bytes")
      assert.deepStrictEqual(Array.from(after.value), Array.from(value))
    }))

  // The predecessor never forgot what it had recovered, kept neither key, topic nor headers, took no lock, and read any file.
  it.scoped("#9 what is acknowledged never comes back; keys, headers and time do; foreign files do not; one owner", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* open(disk, [])
        yield* queue.append(recordsOf(0, 10))
        yield* queue.ack(8)
        yield* queue.persist
      }))
      disk.put(`${directory}/notes.txt`, new TextEncoder().encode("{\"n\":99}\n"))
      for (let life = 0; life < 2; life++) {
        const after = yield* found(disk)
        // `numberOf` compares key, headers and timestamp with what was written.
        assert.deepStrictEqual(after.map(numberOf), [7, 8, 9])
        assert.deepStrictEqual(after.map(({ seq }) => seq), [8, 9, 10])
      }
      const lock = yield* DirectoryLock
      const real = yield* realDirectory
      yield* lock.acquire(real)
      const second = yield* Effect.exit(Effect.scoped(lock.acquire(real)))
      assert.isTrue(Exit.isFailure(second))
    }).pipe(Effect.provide(NodeDirectoryLock.layer)))

  // The predecessor deleted by age whether or not it was replayed, any file name, and ignored what was older than a day.
  it.effect("#10 age alone removes nothing; only what is acknowledged goes, and nobody else's file", () =>
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

  // The predecessor had 1000 messages and 10 s written into the code.
  it.effect("#11 size and syncing are what the options say", () =>
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

  // The predecessor's buffer had no bound, and being nearly full changed nothing.
  it.effect("#12 nearly full is told from 80 % on, and full is bounded by the policy, every loss counted (books: Delivery.test.ts)", () =>
    Effect.gen(function*() {
      const statusAt = (bytes: number) =>
        evaluate(fine({ sink: { lanes: [lane()], usage: { bytes, maxBytes: 1000 } } }), now).status
      assert.deepStrictEqual([statusAt(799), statusAt(800)], ["healthy", "degraded"])
      const losses: Array<FileQueue.Loss> = []
      yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* open(new MemoryDisk(), losses, { maxBytes: 32 * 1024 })
        for (let n = 0; n < 2000; n += 20) {
          yield* queue.append(recordsOf(n, n + 20))
          assert.isAtMost((yield* queue.snapshot).bytes, 32 * 1024)
        }
        const kept = (yield* drain(queue, 1)).map(numberOf)
        const lost = losses.reduce((sum, { firstSeq, lastSeq }) => sum + lastSeq - firstSeq + 1, 0)
        assert.isAbove(lost, 0)
        assert.strictEqual(kept.length + lost, 2000)
        assert.deepStrictEqual(kept, upTo(2000).slice(lost))
      }))
    }))
})
