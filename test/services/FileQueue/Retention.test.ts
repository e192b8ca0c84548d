/** T18: the budget of all lanes runs out, or records are too old: what goes, in which order, and what does not. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, TestClock } from "effect"
import * as FileQueue from "../../../src/services/FileQueue.ts"
import { MemoryDisk } from "../../support/MemoryDisk.ts"
import { countOf, defaults, directory, drain, lostOf, numberOf, open, quiet, record, recordsOf } from "./Harness.ts"

const upTo = (n: number, from = 0) => Array.from({ length: n - from }, (_, i) => from + i)

describe("T18: the budget", () => {
  it.effect("drop_oldest: offered = delivered + dropped + pending, exactly, by exchange and by origin", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      yield* Effect.scoped(Effect.flatMap(open(disk, []), (queue) => queue.append(recordsOf(0, 7, 100))))
      const losses: Array<FileQueue.Loss> = []
      yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* open(disk, losses, { maxBytes: 20_000 })
        assert.strictEqual((yield* queue.snapshot).recovered, 7)
        for (const n of upTo(60)) {
          yield* queue.append(recordsOf(7 + n * 5, 12 + n * 5, 100))
          const files = disk.paths().filter((one) => one.endsWith(".seg"))
          assert.isAtMost(files.reduce((sum, one) => sum + disk.get(one).length, 0), 20_000)
        }
        const pending = (yield* drain(queue)).map(numberOf)
        const lost = lostOf(losses).map((seq) => seq - 1)
        assert.deepStrictEqual([...lost, ...pending], upTo(307))
        assert.isAbove(pending.length, 50)
        assert.strictEqual((yield* queue.snapshot).records, pending.length)
        const byExchange = new Map<string, number>()
        for (const loss of losses) {
          assert.strictEqual(countOf(loss), loss.lastSeq - loss.firstSeq + 1)
          assert.strictEqual(loss.reason, "full")
          for (const [exchange, count] of loss.byExchange) {
            byExchange.set(exchange, (byExchange.get(exchange) ?? 0) + count)
          }
        }
        assert.strictEqual(losses.reduce((sum, { recovered }) => sum + recovered, 0), 7)
        const want = new Map<string, number>()
        for (const n of lost.filter((n) => n >= 7)) {
          const exchange = record(n).key.split(":")[0] ?? ""
          want.set(exchange, (want.get(exchange) ?? 0) + 1)
        }
        assert.deepStrictEqual(byExchange, want)
      }))
    }).pipe(quiet))

  it.effect("H6: the records of the unresolved send stay, the rest of their segment goes, for good", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      const losses: Array<FileQueue.Loss> = []
      yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* open(disk, losses, { maxBytes: 8000 })
        for (const n of upTo(3)) yield* queue.append(recordsOf(n * 5, n * 5 + 5, 100))
        yield* queue.ack(2)
        yield* queue.pin({ first: 2, last: 3 })
        for (const n of upTo(40, 3)) yield* queue.append(recordsOf(n * 5, n * 5 + 5, 100))
        assert.notInclude(lostOf(losses), 2)
        assert.notInclude(lostOf(losses), 3)
        assert.strictEqual(lostOf(losses)[0], 4)
        const here = (yield* drain(queue)).map(({ seq }) => seq)
        assert.deepStrictEqual(here.slice(0, 2), [2, 3])
        assert.deepStrictEqual([1, 2, 3, ...lostOf(losses), ...here.slice(2)], upTo(201, 1))
        // Persisted or not: what is dropped stays dropped.
      }))
      yield* Effect.scoped(Effect.gen(function*() {
        const again: Array<FileQueue.Loss> = []
        const queue = yield* open(disk, again, { maxBytes: 8000 })
        const here = (yield* drain(queue)).map(({ seq }) => seq)
        assert.deepStrictEqual([1, 2, 3, ...lostOf(losses), ...here.slice(2)], upTo(201, 1))
        assert.isEmpty(again)
        assert.strictEqual(queue.recovery.records, here.length)
      }))
    }).pipe(quiet))

  it.effect("H6: what a read has handed out is not dropped before the caller could pin it", () =>
    Effect.scoped(Effect.gen(function*() {
      const disk = new MemoryDisk()
      const losses: Array<FileQueue.Loss> = []
      const queue = yield* open(disk, losses, { maxBytes: 8000 })
      for (const n of upTo(3)) yield* queue.append(recordsOf(n * 5, n * 5 + 5, 100))
      const some = yield* queue.read({ from: 1, maxRecords: 3, maxBytes: 1e6 })
      for (const n of upTo(20, 3)) yield* queue.append(recordsOf(n * 5, n * 5 + 5, 100))
      assert.isAbove(losses.length, 2)
      for (const { seq } of some) assert.notInclude(lostOf(losses), seq)
    })))

  it.effect("H6: what was read ahead and is dropped before it is asked for is not handed out", () =>
    Effect.scoped(Effect.gen(function*() {
      const disk = new MemoryDisk()
      const losses: Array<FileQueue.Loss> = []
      const queue = yield* open(disk, losses, { maxBytes: 8000 })
      for (const n of upTo(3)) yield* queue.append(recordsOf(n * 5, n * 5 + 5, 100))
      yield* queue.pin({ first: 1, last: 2 })
      const options = { from: 1, maxRecords: 6, maxBytes: 1e6 }
      yield* queue.readAhead(options)
      for (const n of upTo(20, 3)) yield* queue.append(recordsOf(n * 5, n * 5 + 5, 100))
      const some = (yield* queue.read(options)).map(({ seq }) => seq)
      assert.deepStrictEqual(some.slice(0, 2), [1, 2])
      assert.isAbove(some[2] ?? 0, 6)
      for (const seq of some) assert.notInclude(lostOf(losses), seq)
    })))

  it.effect("books go before trades, whoever asks for room", () =>
    Effect.scoped(Effect.gen(function*() {
      const disk = new MemoryDisk()
      const told: Array<string> = []
      const files = yield* FileQueue.make({ ...defaults, maxBytes: 10_000 }).pipe(Effect.provide(disk.layer))
      const lane = (name: string, dropOrder: number) =>
        files.open({ topic: name, dropOrder, onLoss: () => Effect.sync(() => void told.push(name)) })
      const trades = yield* lane("trade", 1)
      const books = yield* lane("book", 0)
      for (const n of upTo(4)) {
        yield* trades.append(recordsOf(n * 5, n * 5 + 5, 100))
        yield* books.append(recordsOf(n * 5, n * 5 + 5, 100))
      }
      for (const n of upTo(8)) yield* trades.append(recordsOf(n * 5, n * 5 + 5, 100))
      const firstTrade = told.indexOf("trade")
      assert.isAbove(firstTrade, 1)
      assert.isEmpty(told.slice(firstTrade).filter((name) => name === "book"))
      assert.strictEqual((yield* books.snapshot).records, 0)
      const usage = yield* files.usage
      assert.strictEqual(usage.maxBytes, 10_000)
      assert.strictEqual(usage.bytes, (yield* trades.snapshot).bytes)
    })).pipe(quiet))

  it.effect("acknowledged records make room before anything is dropped", () =>
    Effect.scoped(Effect.gen(function*() {
      const disk = new MemoryDisk()
      const losses: Array<FileQueue.Loss> = []
      const queue = yield* open(disk, losses, { maxBytes: 8000 })
      for (const n of upTo(60)) {
        const { lastSeq } = yield* queue.append(recordsOf(n * 5, n * 5 + 5, 100))
        yield* queue.ack(lastSeq - 2)
      }
      assert.isEmpty(losses)
    })))

  it.effect("another policy: refused with a type, nothing dropped; a batch over the whole budget: full, nothing dropped", () =>
    Effect.scoped(Effect.gen(function*() {
      for (
        const [fullPolicy, reason] of [["block", "refused"], ["drop_newest", "refused"], [
          "drop_oldest",
          "full"
        ]] as const
      ) {
        const disk = new MemoryDisk()
        const losses: Array<FileQueue.Loss> = []
        const queue = yield* open(disk, losses, { maxBytes: 5000, fullPolicy })
        yield* queue.append(recordsOf(0, 10, 100))
        const size = fullPolicy === "drop_oldest" ? 6000 : 3500
        const error = yield* Effect.flip(queue.append([record(10, size)]))
        assert.strictEqual(error.reason, reason)
        assert.isEmpty(losses)
        assert.deepStrictEqual((yield* drain(queue)).map(numberOf), upTo(10))
      }
    })))
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
