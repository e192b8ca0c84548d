/** T18: what was lost is told of, once it can be, and not forgotten by a crash; QUEUE_MAX_AGE. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, TestClock } from "effect"
import type * as FileQueue from "../../../src/services/FileQueue.ts"
import { MemoryDisk } from "../../support/MemoryDisk.ts"
import { cursorFile, directory, drain, lostOf, open, quiet, recordsOf } from "./Harness.ts"

/** Appends until something went. */
const overflow = Effect.fnUntraced(function*(queue: FileQueue.Queue, losses: ReadonlyArray<FileQueue.Loss>) {
  let n = 0
  while (losses.length === 0) {
    yield* queue.append(recordsOf(n, n + 5, 100))
    n += 5
  }
  return n
})

const small = { maxBytes: 8000 }

describe("losses that are to be told", () => {
  it.effect("are handed out once, as one where they follow each other, and add up", () =>
    Effect.scoped(Effect.gen(function*() {
      const losses: Array<FileQueue.Loss> = []
      const queue = yield* open(new MemoryDisk(), losses, small)
      let n = 0
      while (losses.length < 3) {
        yield* queue.append(recordsOf(n, n + 5, 100))
        n += 5
      }
      assert.isEmpty(yield* queue.untold(1))
      const [told, ...more] = yield* queue.untold((yield* queue.snapshot).ackedTo)
      assert.isEmpty(more)
      assert.isDefined(told)
      assert.deepStrictEqual(lostOf([told]), lostOf(losses))
      assert.strictEqual(told.count, lostOf(losses).length)
      assert.strictEqual([...told.byExchange.values()].reduce((a, b) => a + b, 0), told.count)
      assert.isEmpty(yield* queue.untold(Infinity))
    })))

  it.effect("outlive a crash, until they are safe elsewhere", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      const losses: Array<FileQueue.Loss> = []
      yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* open(disk, losses, small)
        yield* overflow(queue, losses)
        // Handed out, but nobody said that it is safe.
        assert.lengthOf(yield* queue.untold(Infinity), 1)
      }))
      yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* open(disk, [], small)
        const again = yield* queue.untold(Infinity)
        assert.deepStrictEqual(lostOf(again), lostOf(losses))
        yield* queue.forgetTold
      }))
      yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* open(disk, [], small)
        assert.isEmpty(yield* queue.untold(Infinity))
      }))
    }))

  /** They are noted, but the cursor is not written. Says how many records there are. */
  const noted = Effect.fnUntraced(function*(disk: MemoryDisk) {
    const losses: Array<FileQueue.Loss> = []
    let appended = 0
    yield* Effect.scoped(Effect.gen(function*() {
      const queue = yield* open(disk, losses, small)
      for (let tries = 0; !disk.paths().includes(`${directory}/drops`); tries++) {
        assert.isBelow(tries, 100, "nothing is noted")
        yield* queue.append(recordsOf(appended, appended + 5, 100)).pipe(Effect.ignore)
        if (!disk.paths().includes(`${directory}/drops`)) appended += 5
        disk.fault = ({ op, path }) => op === "rename" && path === cursorFile ? "EIO" : undefined
      }
    }))
    assert.isEmpty(losses)
    disk.fault = () => undefined
    return appended
  })

  it.effect("a full disk keeps no queue from opening, and makes no loss of what it cannot strike off", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      const appended = yield* noted(disk)
      yield* Effect.scoped(Effect.gen(function*() {
        disk.fault = ({ op, path }) => op === "write" && path.includes("drops") ? "ENOSPC" : undefined
        const queue = yield* open(disk, [], { maxBytes: 1024 * 1024 })
        assert.lengthOf(yield* drain(queue), appended)
        yield* queue.ack((yield* queue.snapshot).nextSeq)
        // Else the next life would find it noted as lost, and gone.
        assert.strictEqual((yield* Effect.flip(queue.persist)).reason, "full")
      }))
      disk.fault = () => undefined
      for (const life of [1, 2]) {
        yield* Effect.scoped(Effect.gen(function*() {
          const queue = yield* open(disk, [], { maxBytes: 1024 * 1024 })
          assert.isEmpty(yield* queue.untold(Infinity), `life ${life}`)
          assert.lengthOf(yield* drain(queue), life === 1 ? appended : 0)
          yield* queue.ack((yield* queue.snapshot).nextSeq)
          yield* queue.persist
        }))
      }
    }).pipe(quiet))

  it.effect("are none, if the life that noted them died before its cursor said so", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      const appended = yield* noted(disk)
      for (const life of [1, 2]) {
        yield* Effect.scoped(Effect.gen(function*() {
          const queue = yield* open(disk, [], { maxBytes: 1024 * 1024 })
          const here = yield* drain(queue)
          if (life === 1) {
            assert.lengthOf(here, appended)
            yield* queue.ack((yield* queue.snapshot).nextSeq)
            yield* queue.persist
          }
          // Delivered by the first of them: the second must not take it for lost.
          assert.isEmpty(yield* queue.untold(Infinity), `life ${life}`)
        }))
      }
    }).pipe(quiet))

  it.effect("damage is one of them", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      yield* Effect.scoped(Effect.flatMap(open(disk, []), (queue) => queue.append(recordsOf(0, 10))))
      const path = disk.paths().find((one) => one.endsWith(".seg")) ?? ""
      const bytes = disk.get(path)
      bytes[300] = (bytes[300] ?? 0) ^ 1
      yield* Effect.scoped(Effect.gen(function*() {
        const losses: Array<FileQueue.Loss> = []
        const queue = yield* open(disk, losses)
        yield* drain(queue)
        const told = yield* queue.untold(Infinity)
        assert.deepStrictEqual(told.map(({ reason }) => reason), ["corrupt"])
        assert.deepStrictEqual(lostOf(told), lostOf(losses))
      }))
    }).pipe(quiet))

  it.effect("a damaged list of them does not keep the queue from opening", () =>
    Effect.gen(function*() {
      for (const text of ["", "{", "{\"v\":1,\"drops\":[{\"reason\":\"whim\"}]}", "\u0000\u0000"]) {
        const disk = new MemoryDisk()
        yield* Effect.scoped(Effect.flatMap(open(disk, []), (queue) => queue.append(recordsOf(0, 3))))
        disk.put(`${directory}/drops`, new TextEncoder().encode(text))
        yield* Effect.scoped(Effect.gen(function*() {
          const queue = yield* open(disk, [])
          assert.lengthOf(yield* drain(queue), 3)
          assert.isEmpty(yield* queue.untold(Infinity))
        }))
      }
    }).pipe(quiet))
})

describe("QUEUE_MAX_AGE", () => {
  it.effect("drops what is older than the newest record by more, not what the wall clock says, and spares the unresolved send", () =>
    Effect.scoped(Effect.gen(function*() {
      const losses: Array<FileQueue.Loss> = []
      const queue = yield* open(new MemoryDisk(), losses, { maxAge: "1 minute" })
      yield* queue.append(recordsOf(0, 10))
      yield* queue.pin({ first: 1, last: 4 })
      yield* TestClock.adjust("10 minutes")
      // Time alone drops nothing: it is measured against the newest record.
      assert.lengthOf(yield* drain(queue), 10)
      yield* queue.pin({ first: 1, last: 4 })
      yield* queue.append(recordsOf(10, 12))
      assert.deepStrictEqual(lostOf(losses), [5, 6, 7, 8, 9, 10])
      assert.deepStrictEqual(losses.map(({ reason }) => reason), ["expired"])
      assert.deepStrictEqual((yield* drain(queue)).map(({ seq }) => seq), [1, 2, 3, 4, 11, 12])
      yield* queue.ack(5)
      assert.strictEqual((yield* queue.snapshot).ackedTo, 11)
      yield* TestClock.adjust("30 seconds")
      yield* queue.append(recordsOf(12, 13))
      assert.lengthOf(lostOf(losses), 6)
    })))

  it.effect("counts across a restart, and lets files go", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      for (const n of [0, 1, 2]) {
        yield* Effect.scoped(Effect.flatMap(
          open(disk, [], { maxAge: "1 minute" }),
          (queue) => queue.append(recordsOf(n * 5, n * 5 + 5))
        ))
        yield* TestClock.adjust("50 seconds")
      }
      yield* Effect.scoped(Effect.gen(function*() {
        const losses: Array<FileQueue.Loss> = []
        const queue = yield* open(disk, losses, { maxAge: "1 minute" })
        yield* queue.append(recordsOf(15, 16))
        // 150 s, 100 s and 50 s old: of the second file is only known that the third began 50 s ago.
        assert.deepStrictEqual(lostOf(losses), [1, 2, 3, 4, 5])
        assert.strictEqual(losses[0]?.recovered, 5)
        assert.notInclude(disk.paths(), `${directory}/00000000000000000001.seg`)
      }))
    }))

  it.effect("T17: a wall clock that jumps expires nothing", () =>
    Effect.scoped(Effect.gen(function*() {
      const losses: Array<FileQueue.Loss> = []
      const clock = yield* Effect.clock
      let jump = 0
      // Its own nanoseconds are made of its milliseconds; those of a real one are monotonic.
      const jumpy: Clock.Clock = Object.create(clock, {
        unsafeCurrentTimeNanos: { value: () => clock.unsafeCurrentTimeNanos() },
        unsafeCurrentTimeMillis: { value: () => clock.unsafeCurrentTimeMillis() + jump },
        currentTimeMillis: { value: Effect.sync(() => clock.unsafeCurrentTimeMillis() + jump) }
      })
      yield* Effect.withClock(
        Effect.gen(function*() {
          const queue = yield* open(new MemoryDisk(), losses, { maxAge: "1 minute" })
          yield* queue.append(recordsOf(0, 5))
          for (const one of [Duration.days(3650), Duration.hours(-1), Duration.zero]) {
            jump = one === Duration.zero ? -1_780_000_000_000 : Duration.toMillis(one)
            yield* TestClock.adjust("2 seconds")
            yield* queue.append(recordsOf(5, 6))
          }
          assert.lengthOf(yield* drain(queue), 8)
        }),
        jumpy
      )
      assert.isEmpty(losses)
    })))
})
