/** From version 1 of the checkpoint and back: from a file that version 1 wrote. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import * as path from "node:path"
import type { MarketMemory } from "../../../src/services/Checkpoint.ts"
import * as Lines from "../../../src/services/Checkpoint/Lines.ts"
import type { EventRecord } from "../../../src/services/MarketEvent.ts"
import type { MemoryDisk } from "../../support/MemoryDisk.ts"
import * as Version1 from "./Version1.ts"
import { directory, diskOf, hole, keyOf, memoryOf, nextLife, open, trade, trades } from "./World.ts"

const oldPath = `${directory}/checkpoint`
const recorded = readFileSync(path.resolve(import.meta.dirname, "../../recordings/data-d731bbc/checkpoint"))
const symbols = ["BTC/IRT", "ETH/IRT", "USDT/USDT"]
/** Of the last trades in it. */
const lastTime = Date.parse("2026-11-29T23:06:47.354Z")

const encode = (text: string) => new TextEncoder().encode(text)

const upgraded = (bytes: Uint8Array = recorded): MemoryDisk => {
  const disk = diskOf()
  disk.put(oldPath, bytes)
  return disk
}

/** Of BitPin's BTC/IRT, each a millisecond after the one before, `n` milliseconds after the last recorded one. */
const after = (from: number, to: number): ReadonlyArray<EventRecord> =>
  Array.from({ length: to - from }, (_, i) => {
    const n = from + i
    return trade(n, "BTC/IRT", new Date(lastTime + n).toISOString())
  })

const idsOf = (records: ReadonlyArray<EventRecord>) => records.map(({ headers }) => headers["id"] ?? "")

const version1 = (disk: MemoryDisk) => Version1.open(disk.ops, directory)

const lifeOfVersion1 = (disk: MemoryDisk, records: ReadonlyArray<EventRecord>, seq: number) =>
  Effect.gen(function*() {
    const old = yield* version1(disk)
    yield* old.settle(records, seq)
    yield* old.write
  })

describe("version 1", () => {
  it.effect("is taken over: what it knows is known, and what comes is newer", () =>
    Effect.gen(function*() {
      const disk = upgraded()
      const old = yield* version1(disk).pipe(Effect.flatMap((life) => life.markets))
      const checkpoint = yield* open(disk)
      const markets = yield* checkpoint.markets
      assert.sameMembers([...markets.keys()], symbols.flatMap((symbol) => [`bitpin:${symbol}`, `wallex:${symbol}`]))
      for (const [key, { ids, lastTimestamp, times }] of markets) {
        assert.sameMembers([...ids], old.get(key)?.ids ?? [])
        assert.strictEqual(lastTimestamp, old.get(key)?.lastTimestamp)
        // Of equal trades the id says it; of others it may be as late as the last.
        assert.deepStrictEqual(
          times,
          ids.map((id) => key.startsWith("wallex") ? Number(id.split(":")[3]) : Date.parse(lastTimestamp ?? ""))
        )
      }

      yield* checkpoint.settle(after(1, 101), 5)
      yield* checkpoint.write
      const known = yield* nextLife(disk)
      assert.deepStrictEqual(known?.ids.slice(-100), idsOf(after(1, 101)))
      assert.deepStrictEqual(known?.ids.slice(0, 156), old.get(keyOf("BTC/IRT"))?.ids.slice(100))
      yield* checkpoint.settle(after(101, 401))
      yield* checkpoint.write
      assert.deepStrictEqual((yield* nextLife(disk))?.ids, idsOf(after(145, 401)))
    }))

  it.effect("is left in place: a rollback begins where it was", () =>
    Effect.gen(function*() {
      const disk = upgraded()
      const before = yield* version1(disk).pipe(Effect.flatMap((life) => life.markets))
      const checkpoint = yield* open(disk)
      yield* checkpoint.settle(after(1, 1_000), 700)
      checkpoint.keepHoles(keyOf("BTC/IRT"), "BTC_IRT", [hole(0, 1)])
      yield* checkpoint.write
      assert.deepStrictEqual(disk.get(oldPath), new Uint8Array(recorded))
      const again = yield* version1(disk)
      assert.deepStrictEqual(yield* again.markets, before)
      assert.strictEqual(yield* again.coveredSeq, 0)
    }))

  it.effect("knows more when it ran again: that is taken over too, nothing older wins, and holes are kept", () =>
    Effect.gen(function*() {
      const disk = upgraded()
      const first = yield* open(disk)
      yield* first.settle(after(1, 1_000), 700)
      first.keepHoles(keyOf("BTC/IRT"), "BTC_IRT", [hole(0, 1)])
      yield* first.write
      // Rolled back: it asks the history for what it missed, and goes on; one market it had not seen before.
      yield* lifeOfVersion1(disk, [...after(980, 1_000), ...after(2_000, 2_005), ...trades(0, 3, "NEW/IRT")], 720)

      const second = yield* open(disk)
      const known = yield* memoryOf(second)
      assert.strictEqual(known?.lastTimestamp, new Date(lastTime + 2_004).toISOString())
      assert.deepStrictEqual(known?.ids.slice(-5), idsOf(after(2_000, 2_005)))
      assert.sameMembers([...known?.ids ?? []], idsOf([...after(749, 1_000), ...after(2_000, 2_005)]))
      assert.deepStrictEqual(known?.holes, [hole(0, 1)])
      assert.strictEqual(yield* second.coveredSeq, 720)
      assert.lengthOf((yield* memoryOf(second, "NEW/IRT"))?.ids ?? [], 3)
      // Where it delivered nothing, nothing changes.
      assert.deepStrictEqual(yield* memoryOf(second, "ETH/IRT"), yield* memoryOf(first, "ETH/IRT"))

      yield* second.write
      assert.deepStrictEqual((yield* nextLife(disk))?.ids, known?.ids)
    }))

  it.effect("ran again and delivered only what is older than what is known here: nothing of it wins", () =>
    Effect.gen(function*() {
      const disk = upgraded()
      const first = yield* open(disk)
      yield* first.settle(after(1_000, 2_000))
      yield* first.write
      const before = yield* memoryOf(first)
      yield* lifeOfVersion1(disk, after(1, 20), 0)
      const known = yield* nextLife(disk)
      assert.deepStrictEqual(known, before)
    }))

  it.effect("is read once: what was forgotten since does not come back", () =>
    Effect.gen(function*() {
      const disk = upgraded()
      const first = yield* open(disk)
      first.forget(keyOf("BTC/IRT"))
      yield* first.write
      assert.isUndefined(yield* nextLife(disk))
      const second = yield* open(disk)
      yield* second.write
      assert.isUndefined(yield* nextLife(disk))
    }))

  it.effect("that cannot be read costs what it knew, no more, and is left as it is", () =>
    Effect.gen(function*() {
      for (
        const text of [
          "",
          "{",
          "{\"v\":1}",
          "[1,2]",
          "{\"v\":1,\"seq\":1,\"markets\":[[\"__proto__\",\"never\",[\"1\"]]]}"
        ]
      ) {
        const disk = upgraded(encode(text))
        const checkpoint = yield* open(disk)
        yield* checkpoint.settle([trade(1)])
        yield* checkpoint.write
        assert.isDefined(yield* nextLife(disk))
        assert.isUndefined(({} as { readonly ids?: unknown }).ids)
        assert.deepStrictEqual(disk.get(oldPath), encode(text))
      }
    }))

  it.effect("whose take-over was cut short is taken over by the next life", () =>
    Effect.gen(function*() {
      const big = (markets: number): string =>
        JSON.stringify({
          v: 1,
          seq: 9,
          markets: Array.from({ length: markets }, (_, i) => [
            `bitpin:M${i}/IRT`,
            "2026-06-11T12:59:45.263Z",
            Array.from({ length: 256 }, (_, n) => `${n}_`.padEnd(20, "7"))
          ])
        })
      const disk = upgraded(encode(big(300)))
      // Of some 2 MB the first entries become durable.
      let writes = 0
      disk.fault = ({ op }) => op === "write" && ++writes > 2 ? "EIO" : undefined
      const first = yield* open(disk)
      yield* Effect.flip(first.write)
      disk.fault = () => undefined
      const second: ReadonlyMap<string, MarketMemory> = yield* open(disk).pipe(Effect.flatMap((life) => life.markets))
      assert.strictEqual(second.size, 300)
      for (const { ids } of second.values()) assert.lengthOf(ids, 256)
    }))
})

describe("a version that is not known", () => {
  const untouched = (disk: MemoryDisk) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(open(disk))
      assert.strictEqual(error.reason, "version")
      assert.include(error.message, error.path)
      assert.isFalse(disk.trace.some(({ op }) => !/^(open:read|read|readdir|stat|close|mkdir)$/.test(op)))
      return error.path
    })

  it.effect("in version 1's file is no first start", () =>
    Effect.gen(function*() {
      for (const text of ["{\"v\":3,\"seq\":0,\"markets\":[]}", "{\"v\":2}"]) {
        assert.strictEqual(yield* untouched(upgraded(encode(text))), oldPath)
      }
    }))

  it.effect("in a segment neither, whatever stands beside it", () =>
    Effect.gen(function*() {
      const disk = upgraded()
      const checkpoint = yield* open(disk)
      yield* checkpoint.write
      const later = diskOf()
      for (const file of disk.paths()) later.put(file, disk.get(file))
      const file = `${directory}/checkpoint-2.00000002.log`
      later.put(file, Lines.print(disk.ops.crc32, "{\"v\":3,\"whatever\":[]}"))
      assert.strictEqual(yield* untouched(later), file)
    }))
})
