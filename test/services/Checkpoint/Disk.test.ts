/** What the checkpoint does to the disk: how much, how often, in which files, and when it fails. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger } from "effect"
import { memoryOfMarket } from "../../../src/services/Checkpoint.ts"
import * as Lines from "../../../src/services/Checkpoint/Lines.ts"
import type { MemoryDisk, Operation } from "../../support/MemoryDisk.ts"
import { breathe } from "../FileQueue/Harness.ts"
import { directory, diskOf, hole, idOf, keyOf, memoryOf, nextLife, open, segments, trade, trades } from "./World.ts"

const key = keyOf("BTC/IRT")

const written = (operations: ReadonlyArray<Operation>): number =>
  operations.reduce((sum, { bytes, op }) => op === "write" ? sum + bytes : sum, 0)

/** What `run` has the disk do. */
const traced = <E>(disk: MemoryDisk, run: Effect.Effect<unknown, E>) =>
  Effect.suspend(() => {
    const before = disk.trace.length
    return Effect.map(run, () => disk.trace.slice(before))
  })

/** The messages that `run` logs as errors. */
const errorsOf = <A, E>(run: Effect.Effect<A, E>) =>
  Effect.suspend(() => {
    const errors: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => {
      if (logLevel._tag === "Error") errors.push(String(message))
    })
    return Effect.as(Effect.provide(run, Logger.replace(Logger.defaultLogger, logger)), errors)
  })

describe("a write", () => {
  it.effect("is nothing if nothing changed, and else a line at the end of a file, durable", () =>
    Effect.gen(function*() {
      const disk = diskOf()
      const checkpoint = yield* open(disk)
      assert.lengthOf(yield* traced(disk, checkpoint.write), 0)
      yield* checkpoint.settle([trade(1)])
      assert.deepStrictEqual((yield* traced(disk, checkpoint.write)).map(({ op }) => op), [
        "open:replace",
        "write",
        "datasync",
        "close",
        "syncDirectory"
      ])
      yield* checkpoint.settle([trade(2)])
      assert.deepStrictEqual((yield* traced(disk, checkpoint.write)).map(({ op }) => op), [
        "open:write",
        // Whether it is still the file that was written before.
        "stat",
        "write",
        "datasync",
        "close"
      ])
      assert.deepStrictEqual(segments(disk), [`${directory}/checkpoint-2.00000001.log`])
      assert.lengthOf(yield* traced(disk, checkpoint.write), 0)
    }))

  it.effect("has nothing of what is settled while it is written; the next one has", () =>
    Effect.gen(function*() {
      for (const fails of [false, true]) {
        const disk = diskOf()
        const checkpoint = yield* open(disk)
        yield* checkpoint.settle([trade(1)], 1)
        disk.aside = { op: "datasync", before: checkpoint.settle([trade(2)], 2), after: Effect.void }
        disk.fault = ({ op }) => fails && op === "datasync" ? "EIO" : undefined
        yield* Effect.exit(checkpoint.write)
        disk.fault = () => undefined
        assert.deepStrictEqual((yield* nextLife(disk))?.ids, fails ? undefined : [idOf(1)])
        yield* checkpoint.write
        const next = yield* open(disk)
        assert.deepStrictEqual((yield* memoryOf(next))?.ids, [idOf(1), idOf(2)])
        assert.strictEqual(yield* next.coveredSeq, 2)
      }
    }))

  it.effect("that fails has taken nothing with the markets that it says besides", () =>
    Effect.gen(function*() {
      const disk = diskOf()
      const first = yield* open(disk)
      yield* first.settle([...trades(0, 200, "OLD/IRT"), ...trades(0, 20)])
      yield* first.write
      // Without it the next life would write all of them anew.
      yield* first.settle([trade(0, "ETH/IRT")])
      yield* first.write
      // A market an entry; besides, what was said the longest ago, twice as much as there is that is new.
      const second = yield* open(disk, { entry: 1, copy: [1, 65_536] })
      yield* second.settle([trade(1, "ETH/IRT"), ...trades(0, 200, "XRP/IRT")])
      disk.aside = { op: "datasync", before: second.settle([trade(20)]), after: Effect.void }
      let syncs = 0
      disk.fault = ({ op }) => op === "datasync" && ++syncs === 2 ? "EIO" : undefined
      yield* Effect.flip(second.write)
      disk.fault = () => undefined
      // The last entry is a small one: of the rest, only the oldest comes with it.
      yield* second.settle([trade(1, "USDT/IRT")])
      yield* second.write
      disk.crashPower(() => 0)
      assert.lengthOf((yield* nextLife(disk))?.ids ?? [], 21)
    }))

  it.effect("that is interrupted is done all the same: whoever waits for the next one gets everything", () =>
    Effect.gen(function*() {
      const disk = diskOf()
      const checkpoint = yield* open(disk)
      yield* checkpoint.settle([trade(1)])
      const latch = yield* Effect.makeLatch(false)
      disk.aside = { op: "write", before: latch.await, after: Effect.void }
      const writing = yield* Effect.fork(checkpoint.write)
      yield* Effect.yieldNow()
      const interrupting = yield* Effect.fork(writing.interruptAsFork(writing.id()))
      yield* latch.open
      yield* interrupting.await
      yield* checkpoint.write
      assert.deepStrictEqual((yield* nextLife(disk))?.ids, [idOf(1)])
    }))

  it.effect("that fails says why and where; the next one has everything, in another file", () =>
    Effect.gen(function*() {
      for (const op of ["open:write", "write", "datasync"]) {
        const disk = diskOf()
        const checkpoint = yield* open(disk)
        yield* checkpoint.settle(trades(0, 10))
        yield* checkpoint.write
        const [file = ""] = segments(disk)
        yield* checkpoint.settle(trades(10, 20))
        checkpoint.keepHoles(key, "BTC_IRT", [hole(3, 5)])
        disk.fault = (operation) => operation.op === op ? "EIO" : undefined
        const error = yield* Effect.flip(checkpoint.write)
        assert.include(error, { reason: "io", path: file })
        assert.strictEqual(yield* checkpoint.failure, error.message)
        assert.include(error.message, file)
        disk.fault = () => undefined
        const operations = yield* traced(disk, checkpoint.write)
        assert.deepStrictEqual(operations.filter(({ op, path }) => path === file && op !== "unlink"), [])
        assert.isNull(yield* checkpoint.failure)
        assert.deepStrictEqual(yield* nextLife(disk), yield* memoryOf(checkpoint))
      }
    }))

  it.effect("whose files somebody has taken away fails once, and says all there is anew", () =>
    Effect.gen(function*() {
      const disk = diskOf()
      const checkpoint = yield* open(disk)
      yield* checkpoint.settle(trades(0, 10))
      yield* checkpoint.settle(trades(0, 10, "ETH/IRT"))
      yield* checkpoint.write
      for (const file of segments(disk)) yield* disk.ops.unlink(file)
      yield* checkpoint.settle(trades(10, 20))
      assert.include(yield* Effect.flip(checkpoint.write), { reason: "gone" })
      yield* checkpoint.write
      disk.crashPower(() => 0)
      const errors = yield* errorsOf(Effect.gen(function*() {
        for (const symbol of ["BTC/IRT", "ETH/IRT"]) {
          assert.deepStrictEqual((yield* nextLife(disk, symbol))?.ids, (yield* memoryOf(checkpoint, symbol))?.ids)
        }
      }))
      assert.deepStrictEqual(errors, [])
    }))

  it.effect("on a full disk leaves no file behind each second, and goes on when there is room", () =>
    Effect.gen(function*() {
      const disk = diskOf()
      const checkpoint = yield* open(disk)
      yield* checkpoint.settle(trades(0, 10))
      yield* checkpoint.write
      disk.capacity = disk.used() + 20
      for (let n = 10; n < 30; n++) {
        yield* checkpoint.settle([trade(n)])
        yield* Effect.flip(checkpoint.write)
        assert.lengthOf(segments(disk), 1)
      }
      disk.capacity = Infinity
      yield* checkpoint.write
      disk.crashPower(() => 0)
      assert.lengthOf((yield* nextLife(disk))?.ids ?? [], 30)
    }))

  it.effect("syncs no file whose sync has failed", () =>
    Effect.gen(function*() {
      const disk = diskOf()
      const checkpoint = yield* open(disk)
      const failed = new Set<string>()
      let syncs = 0
      disk.fault = ({ op, path }) => {
        if (op !== "datasync") return undefined
        assert.isFalse(failed.has(path), `${path} is synced again`)
        syncs += 1
        if (syncs % 3 === 0) return undefined
        failed.add(path)
        return "EIO"
      }
      for (let n = 0; n < 30; n++) {
        yield* checkpoint.settle([trade(n)])
        yield* Effect.exit(checkpoint.write)
      }
      assert.isAbove(failed.size, 10)
      assert.lengthOf((yield* nextLife(disk))?.ids ?? [], 30)
    }))
})

describe("a life that ended in the middle of a write", () => {
  it.effect("leaves a line that is cut off: it is passed over without a word, and all before it is there", () =>
    Effect.gen(function*() {
      const disk = diskOf()
      const checkpoint = yield* open(disk)
      yield* checkpoint.settle(trades(0, 3))
      yield* checkpoint.write
      const [file = ""] = segments(disk)
      const whole = disk.get(file)
      yield* checkpoint.settle(trades(3, 6))
      yield* checkpoint.write
      const both = disk.get(file)
      for (let length = whole.length; length < both.length; length++) {
        disk.put(file, both.subarray(0, length))
        assert.deepStrictEqual(yield* errorsOf(open(disk)), [])
        assert.lengthOf((yield* nextLife(disk))?.ids ?? [], 3)
      }
    }))

  it.effect("leaves a line that may not be durable: the next life writes once more what it says", () =>
    Effect.gen(function*() {
      const disk = diskOf()
      const first = yield* open(disk)
      yield* first.settle(trades(0, 3), 3)
      yield* first.write
      yield* first.settle(trades(3, 6), 6)
      disk.fault = ({ op }) => {
        if (op === "datasync") disk.dead = true
        return undefined
      }
      yield* Effect.exit(first.write)
      disk.crashProcess()
      disk.fault = () => undefined
      const second = yield* open(disk, { copy: [0, 0] })
      assert.lengthOf((yield* memoryOf(second))?.ids ?? [], 6)
      yield* second.write
      disk.crashPower(() => 0)
      const third = yield* open(disk)
      assert.lengthOf((yield* memoryOf(third))?.ids ?? [], 6)
      assert.strictEqual(yield* third.coveredSeq, 6)
    }))
})

describe("damage", () => {
  it.effect("in the middle costs its line, and is logged as an error with the file and how many lines it hit", () =>
    Effect.gen(function*() {
      const disk = diskOf()
      const checkpoint = yield* open(disk)
      for (const symbol of ["BTC/IRT", "ETH/IRT", "XRP/IRT"]) {
        yield* checkpoint.settle([trade(1, symbol)])
        yield* checkpoint.write
      }
      const [file = ""] = segments(disk)
      const bytes = disk.get(file).slice()
      const at = new TextDecoder().decode(bytes).indexOf("ETH/IRT")
      // One bit: it is JSON still.
      bytes[at] = (bytes[at] ?? 0) ^ 1
      disk.put(file, bytes)
      assert.lengthOf(yield* errorsOf(open(disk)), 1)
      for (const symbol of ["ETH/IRT", "DTH/IRT"]) assert.isUndefined(yield* nextLife(disk, symbol))
      for (const symbol of ["BTC/IRT", "XRP/IRT"]) assert.isDefined(yield* nextLife(disk, symbol))
    }))

  it.effect("a line that is whole and says nothing that could be understood counts as such", () =>
    Effect.gen(function*() {
      const disk = diskOf()
      const line = (text: string) => Lines.print(disk.ops.crc32, text)
      disk.put(
        `${directory}/checkpoint-2.00000001.log`,
        Uint8Array.from([
          ...line("{\"v\":2,\"seq\":\"many\",\"markets\":[]}"),
          ...line("no JSON"),
          ...line("{\"v\":2,\"seq\":7,\"markets\":[]}")
        ])
      )
      assert.lengthOf(yield* errorsOf(open(disk)), 1)
      assert.strictEqual(yield* Effect.flatMap(open(disk), ({ coveredSeq }) => coveredSeq), 7)
    }))
})

describe("what is written goes with what happens", () => {
  const markets = 6_000

  it.effect(
    "6 000 markets, 500 trades a second: a small part of a MiB a second, in files that come and go",
    () =>
      Effect.gen(function*() {
        const disk = diskOf()
        const checkpoint = yield* open(disk)
        const symbols = Array.from({ length: markets }, (_, i) => `M${i}/IRT`)
        for (const symbol of symbols) yield* checkpoint.settle(trades(0, 16, symbol))
        yield* checkpoint.write
        const all = written(disk.trace)

        let second = 0
        let total = 0
        const most = { inSecond: 0, atOnce: 0, onDisk: 0 }
        // Until all has been said anew, more than twice.
        while (total < 6 * all) {
          second += 1
          disk.trace.length = 0
          yield* checkpoint.settle(
            Array.from({ length: 500 }, (_, i) => trade(1_000 + second, symbols[(second * 500 + i * 7) % markets])),
            second
          )
          yield* checkpoint.write
          const bytes = written(disk.trace)
          total += bytes
          most.inSecond = Math.max(most.inSecond, bytes)
          most.atOnce = Math.max(most.atOnce, ...disk.trace.map((operation) => operation.bytes))
          most.onDisk = Math.max(most.onDisk, disk.used())
          yield* breathe
        }
        assert.isBelow(most.inSecond, 256 * 1024, "bytes in a second")
        assert.isBelow(most.atOnce, 512 * 1024, "bytes printed in one step")
        assert.isBelow(most.onDisk, 4 * all, "bytes on the disk")
        assert.isAbove(
          Number(/(\d{8})\.log/.exec(segments(disk)[0] ?? "")?.[1]),
          3 * all / 1024 / 1024,
          "the first are gone"
        )
      }),
    120_000
  )

  it.effect("lives that end soon do not let it grow either", () =>
    Effect.gen(function*() {
      const disk = diskOf()
      const symbols = Array.from({ length: 4 }, (_, i) => `M${i}/IRT`)
      let n = 0
      let peak = 0
      for (let life = 0; life < 300; life++) {
        const checkpoint = yield* open(disk)
        yield* checkpoint.settle(symbols.map((symbol) => trade(n++, symbol)))
        yield* checkpoint.write
        peak = Math.max(peak, segments(disk).length)
        yield* breathe
      }
      assert.isBelow(peak, 10)
      for (const symbol of symbols) assert.lengthOf((yield* nextLife(disk, symbol))?.ids ?? [], memoryOfMarket)
    }))
})
