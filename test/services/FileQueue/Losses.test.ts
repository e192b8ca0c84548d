/** T18: what was lost is told of, once it can be, and not forgotten by a crash. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
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
