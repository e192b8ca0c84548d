/** T12, T13, T15, T17: the disk fails, fills up, lies about time. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Layer, Option, Scheduler, Scope, TestClock } from "effect"
import { FileOps } from "../../../src/services/FileOps.ts"
import * as FileQueue from "../../../src/services/FileQueue.ts"
import { MemoryDisk, type Operation } from "../../support/MemoryDisk.ts"
import {
  breathe,
  cursorFile,
  directory,
  drain,
  lostOf,
  numberOf,
  open,
  quiet,
  record,
  recordsOf,
  topic
} from "./Harness.ts"

const upTo = (n: number, from = 0) => Array.from({ length: n - from }, (_, i) => from + i)

const isSync = ({ op }: Operation) => op === "sync" || op === "datasync"

/** The fault, at the n-th operation of this kind. */
const nth = (n: number, kind: (operation: Operation) => boolean, fault: string) => {
  let left = n
  return (operation: Operation) => {
    if (!kind(operation)) return undefined
    left -= 1
    return left === 0 ? fault : undefined
  }
}

/** Its syncs wait for this. */
const slowed = (disk: MemoryDisk, wait: Effect.Effect<void>): Layer.Layer<FileOps> =>
  Layer.succeed(FileOps, {
    ...disk.ops,
    open: (path, mode) =>
      Effect.map(disk.ops.open(path, mode), (file) => ({ ...file, datasync: Effect.andThen(wait, file.datasync) }))
  })

describe("files that somebody takes away", () => {
  it.effect("a segment that is whole: its records are told as lost, those before and behind it are read", () =>
    Effect.scoped(Effect.gen(function*() {
      const disk = new MemoryDisk()
      const losses: Array<FileQueue.Loss> = []
      const queue = yield* open(disk, losses, { segmentBytes: 500 })
      for (let n = 0; n < 10; n += 2) yield* queue.append(recordsOf(n, n + 2, 100))
      yield* Effect.orDie(disk.ops.unlink(`${directory}/00000000000000000005.seg`))
      const read = (yield* drain(queue)).map(numberOf)
      assert.deepStrictEqual(read, [...upTo(4), ...upTo(10, 8)])
      assert.deepStrictEqual(
        losses.map(({ firstSeq, lastSeq, reason }) => ({ firstSeq, lastSeq, reason })),
        [{ firstSeq: 5, lastSeq: 8, reason: "corrupt" }]
      )
    })))

  it.effect("the one that is written: it is read all the same, there again after a second, and read by the next life", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      const losses: Array<FileQueue.Loss> = []
      const file = `${directory}/00000000000000000001.seg`
      yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* open(disk, losses)
        yield* queue.append(recordsOf(0, 4))
        // The reader has it open too, or not.
        assert.lengthOf(yield* queue.read({ from: 1, maxRecords: 2, maxBytes: 1e6 }), 2)
        yield* Effect.orDie(disk.ops.unlink(file))
        assert.deepStrictEqual((yield* drain(queue)).map(numberOf), upTo(4))
        yield* TestClock.adjust("2 seconds")
        yield* queue.append(recordsOf(4, 6))
        assert.deepStrictEqual((yield* drain(queue)).map(numberOf), upTo(6))
        yield* Effect.orDie(disk.ops.unlink(cursorFile).pipe(Effect.ignore))
      }))
      yield* Effect.scoped(Effect.gen(function*() {
        assert.deepStrictEqual((yield* drain(yield* open(disk, losses))).map(numberOf), upTo(6))
      }))
      assert.deepStrictEqual(losses, [])
    }).pipe(quiet))
})

describe("order of operations", () => {
  it.effect("nothing is acknowledged before its bytes, its file's name and what was before are synced", () =>
    Effect.scoped(Effect.gen(function*() {
      const disk = new MemoryDisk()
      const queue = yield* open(disk, [], { segmentBytes: 500 })
      yield* queue.append(recordsOf(0, 2, 100))
      yield* queue.append(recordsOf(2, 4, 100))
      const from = disk.trace.length
      yield* queue.append(recordsOf(4, 5, 100))
      const [first, second] = [`${directory}/00000000000000000001.seg`, `${directory}/00000000000000000005.seg`]
      assert.deepStrictEqual(
        disk.trace.slice(from).map(({ op, path }) => `${op} ${path.split("/").at(-1)}`),
        [
          // Is it still there?
          `stat ${first.split("/").at(-1)}`,
          `close ${first.split("/").at(-1)}`,
          "open:create 00000000000000000005.seg",
          "write 00000000000000000005.seg",
          "sync 00000000000000000005.seg",
          `syncDirectory ${topic}`,
          // Should the files before it be removed, they will be missed.
          "open:replace cursor.tmp",
          "write cursor.tmp",
          "sync cursor.tmp",
          "close cursor.tmp",
          "rename cursor",
          `syncDirectory ${topic}`,
          "write 00000000000000000005.seg",
          "datasync 00000000000000000005.seg"
        ]
      )
      const before = disk.trace.filter(({ path }) => path === first).map(({ op }) => op)
      assert.strictEqual(before.lastIndexOf("datasync"), before.lastIndexOf("write") + 1)
      assert.include(disk.paths(), second)
    })))

  it.effect("the cursor is durable before a file goes", () =>
    Effect.scoped(Effect.gen(function*() {
      const disk = new MemoryDisk()
      const queue = yield* open(disk, [], { segmentBytes: 100 })
      yield* queue.append(recordsOf(0, 2))
      yield* queue.append(recordsOf(2, 4))
      yield* queue.ack(3)
      const from = disk.trace.length
      yield* queue.persist
      assert.deepStrictEqual(
        disk.trace.slice(from).map(({ op, path }) => `${op} ${path.split("/").at(-1)}`),
        [
          "open:replace cursor.tmp",
          "write cursor.tmp",
          "sync cursor.tmp",
          "close cursor.tmp",
          "rename cursor",
          `syncDirectory ${topic}`,
          "unlink 00000000000000000001.seg"
        ]
      )
    })))

  it.effect("calls that come together share one sync, each with its own numbers", () =>
    Effect.scoped(Effect.gen(function*() {
      const disk = new MemoryDisk()
      const queue = yield* open({ layer: slowed(disk, Effect.yieldNow()) }, [])
      yield* queue.append([record(0)])
      const from = disk.trace.length
      const ranges = yield* Effect.forEach(upTo(50, 1), (n) => queue.append([record(n)]), { concurrency: "unbounded" })
      assert.deepStrictEqual(ranges.map(({ firstSeq }) => firstSeq), upTo(51, 2))
      assert.isAtMost(disk.trace.slice(from).filter(isSync).length, 2)
      assert.deepStrictEqual((yield* drain(queue)).map(numberOf), upTo(50))
    })))
})

describe("T13: a sync that fails", () => {
  it.effect("each k-th: never again on that file, nothing acknowledged without one that succeeded", () =>
    Effect.gen(function*() {
      for (const k of upTo(14, 1)) {
        const disk = new MemoryDisk()
        const failed: Array<Operation> = []
        let left = k
        yield* Effect.scoped(Effect.gen(function*() {
          const queue = yield* open(disk, [], { segmentBytes: 400 })
          disk.fault = (operation) => {
            if (!isSync(operation) || !operation.path.endsWith(".seg")) return undefined
            left -= 1
            if (left !== 0) return undefined
            failed.push(operation)
            return "EIO"
          }
          for (const n of upTo(8)) {
            const range = yield* queue.append([record(n, 80)])
            assert.strictEqual(range.firstSeq, n + 1)
          }
          assert.strictEqual((yield* queue.snapshot).state, "ok")
          assert.deepStrictEqual((yield* drain(queue)).map(numberOf), upTo(8))
        }))
        for (const { n, path } of failed) {
          const unlinked = disk.trace.findIndex((one) => one.n > n && one.op === "unlink" && one.path === path)
          const later = disk.trace.slice(n + 1, unlinked === -1 ? undefined : unlinked)
          assert.isEmpty(later.filter((one) => one.path === path && (isSync(one) || one.op === "write")), `k = ${k}`)
        }
        // What was acknowledged survives the worst that a loss of power may do.
        disk.fault = () => undefined
        disk.crashPower(() => 0)
        const after = yield* Effect.scoped(Effect.flatMap(open(disk, []), drain))
        assert.deepStrictEqual(after.map(numberOf), upTo(8))
      }
    }).pipe(quiet))

  it.effect("what the failed file still holds of a batch that was written again never surfaces, not even after a restart", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* open(disk, [])
        yield* queue.append(recordsOf(0, 2))
        const fault = nth(1, isSync, "EIO")
        // Nor can it be cut.
        disk.fault = (operation) => operation.op === "truncate" ? "EIO" : fault(operation)
        assert.strictEqual((yield* queue.append(recordsOf(2, 5))).firstSeq, 3)
        disk.fault = () => undefined
        assert.deepStrictEqual((yield* drain(queue)).map(numberOf), upTo(5))
      }))
      const [first = "", second = ""] = disk.paths().filter((one) => one.endsWith(".seg"))
      assert.isAbove(disk.get(first).length, disk.get(second).length)
      yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* open(disk, [])
        const records = yield* drain(queue)
        assert.deepStrictEqual(records.map(numberOf), upTo(5))
        assert.deepStrictEqual(records.map(({ seq }) => seq), upTo(6, 1))
      }))
    }).pipe(quiet))

  it.effect("twice: failed, refused with a type; the next that succeeds, in a new file, mends it", () =>
    Effect.scoped(Effect.gen(function*() {
      const disk = new MemoryDisk()
      const queue = yield* open(disk, [])
      yield* queue.append(recordsOf(0, 2))
      disk.fault = (operation) => isSync(operation) ? "EIO" : undefined
      const error = yield* Effect.flip(queue.append(recordsOf(2, 4)))
      assert.strictEqual(error.reason, "failed")
      assert.strictEqual((yield* queue.snapshot).state, "failed")
      assert.strictEqual((yield* Effect.flip(queue.append(recordsOf(2, 4)))).reason, "failed")
      // What was taken before can be read meanwhile.
      assert.deepStrictEqual((yield* drain(queue)).map(numberOf), [0, 1])
      disk.fault = () => undefined
      assert.deepStrictEqual(yield* queue.append(recordsOf(10, 12)), { firstSeq: 3, lastSeq: 4 })
      assert.strictEqual((yield* queue.snapshot).state, "ok")
      assert.deepStrictEqual((yield* drain(queue)).map(numberOf), [0, 1, 10, 11])
    })).pipe(quiet))
})

describe("T12: no space", () => {
  it.effect("a write cut short is seen; nothing of the batch stays; what was there stays; it heals without a restart", () =>
    Effect.scoped(Effect.gen(function*() {
      const disk = new MemoryDisk()
      const queue = yield* open(disk, [])
      yield* queue.append(recordsOf(0, 5))
      disk.capacity = disk.used() + 300
      // The system's word is not to be had: the write itself tells.
      disk.fault = (operation) => operation.op === "statfs" ? "ENOSYS" : undefined
      yield* TestClock.adjust("2 seconds")
      for (const _ of upTo(3)) {
        const error = yield* Effect.flip(queue.append(recordsOf(5, 15)))
        assert.strictEqual(error.reason, "full")
      }
      assert.strictEqual((yield* queue.snapshot).state, "full")
      assert.deepStrictEqual((yield* drain(queue)).map(numberOf), upTo(5))
      // The cursor can still be written, or the backlog would never go.
      yield* queue.ack(3)
      assert.strictEqual(yield* queue.persist, 3)
      disk.capacity = Infinity
      assert.strictEqual((yield* queue.append(recordsOf(5, 15))).firstSeq, 6)
      assert.strictEqual((yield* queue.snapshot).state, "ok")
      assert.deepStrictEqual((yield* drain(queue)).map(numberOf), upTo(15, 2))
    })).pipe(quiet))

  it.effect("keeps a reserve for the cursor, and sees by itself that there is room again", () =>
    Effect.scoped(Effect.gen(function*() {
      const disk = new MemoryDisk()
      disk.capacity = 400 * 1024
      const queue = yield* open(disk, [])
      let taken = 0
      for (;;) {
        const exit = yield* Effect.exit(queue.append(recordsOf(taken, taken + 20, 500)))
        if (exit._tag === "Failure") break
        taken += 20
      }
      assert.isAbove(taken, 100)
      assert.isAbove(disk.capacity - disk.used(), 250 * 1024)
      assert.strictEqual((yield* queue.snapshot).state, "full")
      disk.capacity *= 2
      yield* TestClock.adjust("1100 millis")
      assert.strictEqual((yield* queue.snapshot).state, "ok")
      assert.deepStrictEqual((yield* drain(queue)).map(numberOf), upTo(taken))
    })).pipe(quiet))

  it.effect("when a new segment begins, and when the cursor is written", () =>
    Effect.scoped(Effect.gen(function*() {
      const disk = new MemoryDisk()
      const queue = yield* open(disk, [], { segmentBytes: 100 })
      yield* queue.append(recordsOf(0, 2))
      disk.fault = nth(1, ({ op }) => op === "open:create", "ENOSPC")
      assert.strictEqual((yield* Effect.flip(queue.append(recordsOf(2, 4)))).reason, "full")
      assert.strictEqual((yield* queue.append(recordsOf(2, 4))).firstSeq, 3)
      yield* queue.ack(3)
      disk.fault = nth(1, ({ path }) => path.endsWith("cursor.tmp"), "ENOSPC")
      assert.strictEqual((yield* Effect.flip(queue.persist)).reason, "full")
      assert.strictEqual((yield* queue.snapshot).durableAckedTo, 1)
      assert.include(disk.paths(), `${directory}/00000000000000000001.seg`)
      assert.strictEqual(yield* queue.persist, 3)
      assert.notInclude(disk.paths(), `${directory}/00000000000000000001.seg`)
    })).pipe(quiet))
})

describe("T15: reads that fail", () => {
  it.effect("a passing fault is not seen; one that stays is an error, not a loss", () =>
    Effect.scoped(Effect.gen(function*() {
      const disk = new MemoryDisk()
      const losses: Array<FileQueue.Loss> = []
      const queue = yield* open(disk, losses)
      yield* queue.append(recordsOf(0, 5))
      disk.fault = nth(1, ({ op }) => op === "read", "EIO")
      assert.deepStrictEqual((yield* drain(queue)).map(numberOf), upTo(5))
      disk.fault = ({ op }) => op === "read" ? "EIO" : undefined
      yield* queue.append(recordsOf(5, 6))
      assert.strictEqual((yield* Effect.flip(queue.read({ from: 6, maxRecords: 9, maxBytes: 1e6 }))).reason, "io")
      disk.fault = () => undefined
      assert.deepStrictEqual((yield* drain(queue)).map(numberOf), upTo(6))
      assert.isEmpty(losses)
    })))

  it.effect("a block that cannot be read for good is given up after a while: told, and only what it held", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      const losses: Array<FileQueue.Loss> = []
      yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* open(disk, losses)
        yield* queue.append(recordsOf(0, 100, 200))
        const bad = { from: 8192, to: 12_288 }
        disk.fault = ({ bytes, op, path, position }) =>
          op === "read" && path.endsWith(".seg") && position < bad.to && position + bytes > bad.from ? "EIO" : undefined
        let failures = 0
        for (;;) {
          const exit = yield* Effect.exit(queue.read({ from: 1, maxRecords: 100, maxBytes: 1e6 }))
          if (exit._tag === "Failure") {
            failures += 1
            assert.isEmpty(losses)
            continue
          }
          const numbers = exit.value.map(numberOf)
          const lost = lostOf(losses).map((seq) => seq - 1)
          assert.deepStrictEqual([...numbers, ...lost].sort((a, b) => a - b), upTo(100))
          // 4096 bytes hold at most so many of these, the two at its edges included.
          assert.isAtMost(lost.length, 4096 / 300 + 2)
          assert.isAbove(lost.length, 5)
          break
        }
        assert.isAtLeast(failures, 5)
        assert.strictEqual(losses[0]?.recovered, 0)
        assert.strictEqual(
          Array.from(losses[0]?.byExchange.values() ?? []).reduce((sum, n) => sum + n, 0),
          lostOf(losses).length
        )
      }))
    }).pipe(quiet))
})

describe("T17: the clock jumps", () => {
  it.effect("an hour back, to 1970, ten years on: order, names and deletion do not care", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      let n = 0
      for (const at of [1_780_000_000_000, 1_779_996_400_000, 0, 2_095_000_000_000, 5]) {
        yield* TestClock.setTime(at)
        yield* Effect.scoped(Effect.gen(function*() {
          const queue = yield* open(disk, [], { segmentAge: "10 seconds" })
          yield* queue.append(recordsOf(n, n + 3))
          yield* TestClock.setTime(at + 15_000)
          yield* queue.append(recordsOf(n + 3, n + 5))
          n += 5
          assert.deepStrictEqual((yield* drain(queue)).map(numberOf), upTo(n, Math.max(0, n - 8)))
          yield* queue.ack(n - 2)
          yield* queue.persist
          assert.strictEqual((yield* queue.snapshot).records, 3)
        }))
      }
    }))
})

describe("what append promises", () => {
  it.effect("T14: a slow disk: calls wait, nothing is acknowledged early, reads go on", () =>
    Effect.scoped(Effect.gen(function*() {
      const disk = new MemoryDisk()
      const gate = yield* Deferred.make<void>()
      const slow = slowed(disk, Effect.suspend(() => stuck ? Deferred.await(gate) : Effect.void))
      let stuck = false
      const queue = yield* open({ layer: slow }, [])
      yield* queue.append(recordsOf(0, 3))
      stuck = true
      const fiber = yield* Effect.fork(queue.append(recordsOf(3, 6)))
      yield* TestClock.adjust(Duration.seconds(30))
      assert.isNull(fiber.unsafePoll())
      assert.strictEqual((yield* queue.snapshot).nextSeq, 4)
      assert.deepStrictEqual((yield* drain(queue)).map(numberOf), upTo(3))
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(yield* Fiber.join(fiber), { firstSeq: 4, lastSeq: 6 })
      assert.deepStrictEqual((yield* drain(queue)).map(numberOf), upTo(6))
    })))

  it.effect("who was written for is told at once, however busy another keeps the queue", () =>
    Effect.scoped(Effect.gen(function*() {
      const queue = yield* open({ layer: slowed(new MemoryDisk(), breathe) }, [])
      const told: Array<string> = []
      const append = (who: string, n: number) =>
        Effect.map(queue.append([record(n)]), ({ firstSeq }) => void told.push(`${who} ${firstSeq}`))
      const busy = Effect.forEach(upTo(5), (n) => append("busy", n))
      yield* Effect.all([busy, append("other", 5)], { concurrency: "unbounded" })
      // It waits for the sync that is under way, then for its own.
      assert.include(told.slice(0, 3), "other 2")
      assert.lengthOf(yield* drain(queue), 6)
    })))

  it.effect("a call that comes while another ends is told, wherever its fiber gives way", () =>
    Effect.gen(function*() {
      // Not closed, and forked as daemons: a call that is never told would hold up the end of the test.
      const scope = yield* Scope.make()
      for (const at of upTo(20, 1)) {
        const gate = yield* Deferred.make<void>()
        const queue = yield* Scope.extend(open({ layer: slowed(new MemoryDisk(), Deferred.await(gate)) }, []), scope)
        const first = yield* Effect.forkDaemon(queue.append([record(0)]))
        yield* breathe
        // Gives way once, before its operation of that number, and goes on only when the other call is over.
        const held: Array<() => void> = []
        let operation = 0
        const scheduler = Scheduler.make(
          (task) => operation === at ? void held.push(task) : queueMicrotask(task),
          () => ++operation === at ? 0 : false
        )
        const second = yield* Effect.forkDaemon(Effect.withScheduler(queue.append([record(1)]), scheduler))
        yield* breathe
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(first)
        operation = Infinity
        for (const task of held) task()
        for (let turn = 0; turn < 5; turn++) yield* breathe
        assert.isTrue(Option.isSome(yield* Fiber.poll(second)), `gave way before operation ${at}`)
      }
    }))

  it.effect("a record over the limit is refused alone, others of the same commit are taken", () =>
    Effect.scoped(Effect.gen(function*() {
      const disk = new MemoryDisk()
      const queue = yield* open(disk, [], { maxBytes: 1e9 })
      const results = yield* Effect.all([
        Effect.exit(queue.append([record(0)])),
        Effect.exit(queue.append([record(1), record(2, 5 * 1024 * 1024)])),
        Effect.exit(queue.append([record(3)]))
      ], { concurrency: "unbounded" })
      assert.deepStrictEqual(results.map((exit) => exit._tag), ["Success", "Failure", "Success"])
      assert.deepStrictEqual((yield* drain(queue)).map(numberOf), [0, 3])
    })))

  it.effect("interval: acknowledged before the sync, synced within the interval; a failure of that sync is no secret", () =>
    Effect.scoped(Effect.gen(function*() {
      const disk = new MemoryDisk()
      const queue = yield* open(disk, [], { fsync: "interval", fsyncInterval: "500 millis" })
      yield* queue.append(recordsOf(0, 3))
      const syncs = () => disk.trace.filter(({ op }) => op === "datasync").length
      assert.strictEqual(syncs(), 0)
      yield* TestClock.adjust("600 millis")
      assert.strictEqual(syncs(), 1)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(syncs(), 1)
      yield* queue.append(recordsOf(3, 4))
      disk.fault = (operation) => isSync(operation) ? "EIO" : undefined
      yield* TestClock.adjust("600 millis")
      assert.strictEqual((yield* queue.snapshot).state, "failed")
      disk.fault = () => undefined
      yield* queue.append(recordsOf(4, 5))
      assert.strictEqual((yield* queue.snapshot).state, "ok")
      assert.deepStrictEqual((yield* drain(queue)).map(numberOf), upTo(5))
    })).pipe(quiet))

  it.effect("closing syncs what the interval left", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      yield* Effect.scoped(
        Effect.flatMap(open(disk, [], { fsync: "interval" }), (queue) => queue.append(recordsOf(0, 3)))
      )
      disk.crashPower(() => 0)
      assert.deepStrictEqual((yield* Effect.scoped(Effect.flatMap(open(disk, []), drain))).map(numberOf), upTo(3))
    }))

  it.effect("what a life found unsynced and counted as its own is durable then", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* open(disk, [])
        disk.fault = ({ op }) => {
          disk.dead = op === "datasync"
          return undefined
        }
        yield* Effect.flip(queue.append(recordsOf(0, 3)))
      }))
      disk.fault = () => undefined
      disk.crashProcess()
      const found = Effect.scoped(Effect.map(Effect.flatMap(open(disk, []), drain), (records) => records.map(numberOf)))
      assert.deepStrictEqual(yield* found, upTo(3))
      disk.crashPower(() => 0)
      assert.deepStrictEqual(yield* found, upTo(3))
    }).pipe(quiet))

  it.effect("what is acknowledged is gone, though its file is still there", () =>
    Effect.scoped(Effect.gen(function*() {
      const disk = new MemoryDisk()
      const queue = yield* open(disk, [])
      yield* queue.append(recordsOf(0, 5))
      yield* queue.ack(4)
      assert.deepStrictEqual((yield* drain(queue, 1)).map(({ seq }) => seq), [4, 5])
    })))

  it.effect("the age of the oldest record follows the cursor", () =>
    Effect.scoped(Effect.gen(function*() {
      const disk = new MemoryDisk()
      const queue = yield* open(disk, [])
      for (const n of upTo(5)) {
        yield* TestClock.setTime(n * 10_000)
        yield* queue.append([record(n)])
      }
      assert.strictEqual((yield* queue.snapshot).oldest, 0)
      yield* queue.ack(4)
      assert.strictEqual((yield* queue.snapshot).oldest, 30_000)
      yield* queue.ack(6)
      assert.isNull((yield* queue.snapshot).oldest)
      // In memory only.
      assert.strictEqual((yield* queue.snapshot).durableAckedTo, 1)
    })))
})
