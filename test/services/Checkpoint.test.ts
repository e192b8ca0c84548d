import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Checkpoint from "../../src/services/Checkpoint.ts"
import { encode, type EventRecord } from "../../src/services/MarketEvent.ts"

const trade = (n: number, symbol = "BTC/IRT"): EventRecord =>
  encode({
    type: "trade",
    v: 1,
    exchange: "bitpin",
    symbol,
    exchangeSymbol: "BTC_IRT",
    id: `bitpin:${symbol}:t:${n}`,
    price: "1",
    amount: "1",
    side: "buy",
    timestamp: `2026-06-11T12:59:45.${String(n % 1000).padStart(3, "0")}Z`,
    receivedAt: "2026-06-11T12:59:45.301Z",
    source: "ws"
  })

/** Segments in memory; `old`: the file of version 1. */
const storeOf = (old?: string) => {
  const segments = new Map<number, Array<string>>()
  const state = { writes: 0, isBroken: false }
  const store: Checkpoint.Store = {
    old: Effect.sync(() => old),
    load: Effect.sync(() => ({
      entries: Array.from(segments).sort(([a], [b]) => a - b).flatMap(([, entries]) => entries),
      damaged: 0,
      newest: Math.max(0, ...segments.keys())
    })),
    append: (segment, entry) =>
      Effect.suspend(() => {
        if (state.isBroken) return new Checkpoint.CheckpointError({ path: "checkpoint", message: "disk" })
        state.writes += 1
        segments.set(segment, [...segments.get(segment) ?? [], entry])
        return Effect.void
      }),
    removeBefore: (segment) =>
      Effect.sync(() => {
        for (const one of segments.keys()) if (one < segment) segments.delete(one)
      })
  }
  return { store, segments, state }
}

describe("Checkpoint", () => {
  it.effect("a second life knows the last trades of the first, bounded, and the queue position covered", () =>
    Effect.gen(function*() {
      const { store } = storeOf()
      const first = yield* Checkpoint.make(store)
      yield* first.settle(Array.from({ length: 700 }, (_, i) => trade(i)), 41)
      yield* first.settle([trade(900, "ETH/IRT")], 42)
      yield* first.write
      const second = yield* Checkpoint.make(store)
      const markets = yield* second.markets
      const btc = markets.get("bitpin:BTC/IRT")
      assert.lengthOf(btc?.ids ?? [], Checkpoint.memoryOfMarket)
      assert.strictEqual(btc?.ids.at(-1), "bitpin:BTC/IRT:t:699")
      assert.strictEqual(btc?.lastTimestamp, "2026-06-11T12:59:45.699Z")
      assert.deepStrictEqual(markets.get("bitpin:ETH/IRT")?.ids, ["bitpin:ETH/IRT:t:900"])
      assert.strictEqual(yield* second.coveredSeq, 42)
    }))

  it.effect("writes nothing if nothing changed, and tries again after a failure", () =>
    Effect.gen(function*() {
      const { state, store } = storeOf()
      const checkpoint = yield* Checkpoint.make(store)
      yield* checkpoint.write
      assert.strictEqual(state.writes, 0)
      yield* checkpoint.settle([trade(1)])
      state.isBroken = true
      yield* Effect.flip(checkpoint.write)
      assert.strictEqual(yield* checkpoint.failure, "disk")
      state.isBroken = false
      yield* checkpoint.write
      yield* checkpoint.write
      assert.strictEqual(state.writes, 1)
      assert.isNull(yield* checkpoint.failure)
      const second = yield* Checkpoint.make(store)
      assert.deepStrictEqual((yield* second.markets).get("bitpin:BTC/IRT")?.ids, ["bitpin:BTC/IRT:t:1"])
    }))

  it.effect("a damaged file means that nothing is known, not that nothing starts", () =>
    Effect.gen(function*() {
      for (
        const text of ["", "{", "{\"v\":1}", "[1,2]", "{\"v\":1,\"seq\":1,\"markets\":[[\"__proto__\",null,[\"1\"]]]}"]
      ) {
        const checkpoint = yield* Checkpoint.make(storeOf(text).store)
        yield* checkpoint.settle([trade(1)])
        assert.isTrue((yield* checkpoint.markets).has("bitpin:BTC/IRT"))
        assert.isUndefined(({} as { readonly ids?: unknown }).ids)
      }
    }))
})
