import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { memoryOfMarket } from "../../../src/services/Checkpoint.ts"
import { at, diskOf, epochMs, event, hole, idOf, keyOf, memoryOf, nextLife, open, trade, trades } from "./World.ts"

const key = keyOf("BTC/IRT")
const awaiting = { trade: idOf(5), event: "told" }

describe("trades", () => {
  it.effect("the next life knows the last ones, bounded, with their times, and the position in the queue", () =>
    Effect.gen(function*() {
      const disk = diskOf()
      const first = yield* open(disk)
      yield* first.settle(trades(0, 700), 41)
      yield* first.settle([trade(900, "ETH/IRT")], 42)
      yield* first.write
      const second = yield* open(disk)
      assert.deepStrictEqual(yield* memoryOf(second), {
        ids: Array.from({ length: memoryOfMarket }, (_, i) => idOf(444 + i)),
        times: Array.from({ length: memoryOfMarket }, (_, i) => epochMs(444 + i)),
        lastTimestamp: at(699),
        exchangeSymbol: "BTC_IRT",
        holes: [],
        kept: []
      })
      assert.deepStrictEqual((yield* memoryOf(second, "ETH/IRT"))?.ids, [idOf(900, "ETH/IRT")])
      assert.strictEqual(yield* second.coveredSeq, 42)
    }))

  it.effect("a page of history neither pushes out those that are newer nor moves the last time back", () =>
    Effect.gen(function*() {
      const disk = diskOf()
      const checkpoint = yield* open(disk)
      yield* checkpoint.settle(trades(10_000, 10_256))
      yield* checkpoint.write
      yield* checkpoint.settle(trades(0, 1_000))
      const before = yield* memoryOf(checkpoint)
      assert.strictEqual(before?.ids[0], idOf(10_000))
      assert.strictEqual(before?.lastTimestamp, at(10_255))
      yield* checkpoint.write
      assert.deepStrictEqual(yield* nextLife(disk), before)
    }))

  it.effect("the last time is compared with all its digits", () =>
    Effect.gen(function*() {
      const checkpoint = yield* open(diskOf())
      yield* checkpoint.settle(
        ["2026-06-11T12:59:45.263627Z", "2026-06-11T12:59:45.263100Z", "2026-06-11T12:59:45.263Z"].map((time, i) =>
          trade(i, "BTC/IRT", time)
        )
      )
      assert.strictEqual((yield* memoryOf(checkpoint))?.lastTimestamp, "2026-06-11T12:59:45.263627Z")
    }))

  it.effect("those without a time go by the time at which they came", () =>
    Effect.gen(function*() {
      const disk = diskOf()
      const checkpoint = yield* open(disk)
      yield* checkpoint.settle([trade(1), trade(2, "BTC/IRT", null), ...trades(3, 1_000)])
      yield* checkpoint.settle([trade(1_000, "BTC/IRT", null)])
      const known = yield* memoryOf(checkpoint)
      assert.strictEqual(known?.ids.at(-1), idOf(1_000))
      assert.strictEqual(known?.times?.at(-1), epochMs(999))
      assert.notInclude(known?.ids ?? [], idOf(2))
      yield* checkpoint.write
      assert.deepStrictEqual(yield* nextLife(disk), known)
    }))

  it.effect("one that is settled twice is known once", () =>
    Effect.gen(function*() {
      const disk = diskOf()
      const checkpoint = yield* open(disk)
      yield* checkpoint.settle(trades(0, 200))
      yield* checkpoint.settle(trades(0, 200))
      assert.lengthOf((yield* memoryOf(checkpoint))?.ids ?? [], 200)
      yield* checkpoint.write
      assert.lengthOf((yield* nextLife(disk))?.ids ?? [], 200)
    }))

  it.effect("equal trades begin with their time; ids of an embedding program are kept as they are", () =>
    Effect.gen(function*() {
      const disk = diskOf()
      const checkpoint = yield* open(disk)
      const equal = { ...trade(7), headers: { id: `${key}:t:${epochMs(7)}:buy:1:1:1` } }
      yield* checkpoint.settle([equal, { ...trade(8), headers: { id: "its own" } }, { ...trade(9), headers: {} }])
      yield* checkpoint.write
      const known = yield* nextLife(disk)
      assert.deepStrictEqual(known?.ids, [equal.headers.id, "its own"])
      assert.deepStrictEqual(known?.times, [epochMs(7), epochMs(8)])
    }))

  it.effect("what was read is a copy, which stays as it was", () =>
    Effect.gen(function*() {
      const checkpoint = yield* open(diskOf())
      yield* checkpoint.settle([trade(1)])
      const markets = yield* checkpoint.markets
      yield* checkpoint.settle([trade(2)])
      assert.deepStrictEqual(markets.get(key)?.ids, [idOf(1)])
    }))
})

describe("holes", () => {
  it.effect("trades within one are kept beside the newest, edges included, until it is gone", () =>
    Effect.gen(function*() {
      const disk = diskOf()
      const checkpoint = yield* open(disk)
      yield* checkpoint.settle(trades(0, 101))
      checkpoint.keepHoles(key, "BTC_IRT", [hole(100, 200)])
      // The history's, then 1 000 of the socket's.
      yield* checkpoint.settle(trades(150, 160))
      yield* checkpoint.settle(trades(200, 1_200))
      yield* checkpoint.write
      const inside = [100, ...Array.from({ length: 10 }, (_, i) => 150 + i), 200].map((n) => idOf(n))
      for (const known of [yield* memoryOf(checkpoint), yield* nextLife(disk)]) {
        assert.deepStrictEqual(known?.kept, inside)
        assert.strictEqual(known?.ids[0], idOf(1_200 - memoryOfMarket))
      }
      checkpoint.keepHoles(key, "BTC_IRT", [])
      yield* checkpoint.write
      assert.deepStrictEqual((yield* nextLife(disk))?.kept, [])
    }))

  it.effect("those of the newest trades that lie within one are named too", () =>
    Effect.gen(function*() {
      const checkpoint = yield* open(diskOf())
      yield* checkpoint.settle(trades(0, 10))
      checkpoint.keepHoles(key, "BTC_IRT", [hole(8, null)])
      yield* checkpoint.settle(trades(10, 12))
      assert.deepStrictEqual((yield* memoryOf(checkpoint))?.kept, [8, 9, 10, 11].map((n) => idOf(n)))
    }))

  it.effect("one that is over leaves when the trade that fills it and the event that tells of it are resolved", () =>
    Effect.gen(function*() {
      const disk = diskOf()
      const checkpoint = yield* open(disk)
      const filled = hole(0, 10, "gap", "filled")
      checkpoint.keepHoles(key, "BTC_IRT", [hole(0, 10)])
      checkpoint.closeHole(key, filled, awaiting)
      yield* checkpoint.write
      // The trade may be lost: then it is not filled.
      assert.deepStrictEqual((yield* nextLife(disk))?.holes, [hole(0, 10)])
      yield* checkpoint.settle([trade(5)])
      yield* checkpoint.write
      assert.deepStrictEqual((yield* nextLife(disk))?.holes, [filled])
      yield* checkpoint.resolve([event("another's"), event("told")])
      yield* checkpoint.write
      assert.deepStrictEqual((yield* nextLife(disk))?.holes, [])
    }))

  it.effect("the event may be resolved first, and a trade that is dropped is resolved too", () =>
    Effect.gen(function*() {
      const checkpoint = yield* open(diskOf())
      checkpoint.closeHole(key, hole(0, 10, "gap", "given up"), awaiting)
      yield* checkpoint.resolve([event("told")])
      assert.deepStrictEqual((yield* memoryOf(checkpoint))?.holes, [hole(0, 10)])
      yield* checkpoint.resolve([trade(5)])
      assert.deepStrictEqual((yield* memoryOf(checkpoint))?.holes, [])
    }))

  it.effect("one of which nobody was told stays while it closes, whatever other holes are kept", () =>
    Effect.gen(function*() {
      const checkpoint = yield* open(diskOf())
      const quiet = hole(0, 10, null, "filled")
      checkpoint.closeHole(key, quiet, { trade: null, event: "told" })
      checkpoint.keepHoles(key, "BTC_IRT", [hole(20, 30, null)])
      assert.deepStrictEqual((yield* memoryOf(checkpoint))?.holes, [quiet, hole(20, 30, null)])
      // Open again, as this life took it over from an earlier one.
      checkpoint.keepHoles(key, "BTC_IRT", [hole(0, 10, null)])
      assert.deepStrictEqual((yield* memoryOf(checkpoint))?.holes, [hole(0, 10, null)])
    }))

  it.effect("one that closed untold in an earlier life, and is told of in this one, is one hole", () =>
    Effect.gen(function*() {
      const disk = diskOf()
      const first = yield* open(disk)
      first.closeHole(key, hole(0, 10, null, "filled"), awaiting)
      yield* first.write
      const second = yield* open(disk)
      assert.deepStrictEqual((yield* memoryOf(second))?.holes, [hole(0, 10, null)])
      second.keepHoles(key, "BTC_IRT", [hole(0, 12, "gap")])
      assert.deepStrictEqual((yield* memoryOf(second))?.holes, [hole(0, 12, "gap")])
      second.closeHole(key, hole(0, 12, "gap", "filled"), { trade: null, event: null })
      assert.deepStrictEqual((yield* memoryOf(second))?.holes, [])
      // Another one, which ends sooner, is not.
      second.closeHole(key, hole(0, 10, null, "filled"), awaiting)
      second.keepHoles(key, "BTC_IRT", [hole(0, 5, "gap")])
      assert.lengthOf((yield* memoryOf(second))?.holes ?? [], 2)
    }))

  it.effect("one does not wait for a trade that an earlier answer brought, and that is delivered, or lost and counted", () =>
    Effect.gen(function*() {
      const disk = diskOf()
      const checkpoint = yield* open(disk)
      for (const isLost of [false, true]) {
        checkpoint.keepHoles(key, "BTC_IRT", [hole(0, 10)])
        if (isLost) yield* checkpoint.resolve([trade(7)])
        else yield* checkpoint.settle([trade(5)])
        checkpoint.keepHoles(key, "BTC_IRT", [])
        checkpoint.closeHole(key, hole(0, 10, "gap", "filled"), { trade: idOf(isLost ? 7 : 5), event: "told" })
        assert.lengthOf((yield* memoryOf(checkpoint))?.holes ?? [], 1)
        yield* checkpoint.resolve([event("told")])
        assert.deepStrictEqual((yield* memoryOf(checkpoint))?.holes, [])
      }
    }))

  it.effect("a market that is gone is forgotten with all that is known, but not before the last word is resolved", () =>
    Effect.gen(function*() {
      const disk = diskOf()
      const checkpoint = yield* open(disk)
      yield* checkpoint.settle(trades(0, 4))
      yield* checkpoint.settle(trades(0, 10, "ETH/IRT"))
      yield* checkpoint.write
      checkpoint.closeHole(key, hole(0, 10, "gap", "given up"), awaiting)
      checkpoint.forget(key)
      checkpoint.forget(keyOf("ETH/IRT"))
      // On its way when the market was forgotten.
      yield* checkpoint.settle([trade(4)])
      yield* checkpoint.write
      const second = yield* open(disk)
      assert.deepInclude(yield* memoryOf(second), { ids: [], exchangeSymbol: "BTC_IRT", holes: [hole(0, 10)] })
      assert.isUndefined(yield* memoryOf(second, "ETH/IRT"))
      yield* checkpoint.settle([trade(5), trade(6), trade(6, "ETH/IRT")])
      yield* checkpoint.resolve([event("told")])
      yield* checkpoint.settle([trade(7)])
      yield* checkpoint.write
      for (const symbol of ["BTC/IRT", "ETH/IRT"]) assert.isUndefined(yield* nextLife(disk, symbol))
    }))

  it.effect("a market that comes back is not forgotten with what is resolved of its earlier time", () =>
    Effect.gen(function*() {
      const checkpoint = yield* open(diskOf())
      checkpoint.closeHole(key, hole(0, 10, "gap", "given up"), { trade: null, event: "told" })
      checkpoint.forget(key)
      checkpoint.keepHoles(key, "BTC_IRT", [])
      yield* checkpoint.settle([trade(50)])
      yield* checkpoint.resolve([event("told")])
      assert.deepStrictEqual((yield* memoryOf(checkpoint))?.ids, [idOf(50)])
    }))
})
