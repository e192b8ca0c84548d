import { assert, describe, it } from "@effect/vitest"
import { Effect, Ref } from "effect"
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

const storeOf = (text: Ref.Ref<string | undefined>, saves?: Ref.Ref<number>): Checkpoint.Store => ({
  load: Ref.get(text),
  save: (next) =>
    Ref.set(text, next).pipe(Effect.andThen(saves === undefined ? Effect.void : Ref.update(saves, (n) => n + 1)))
})

describe("Checkpoint", () => {
  it.effect("a second life knows the last trades of the first, bounded, and the queue position covered", () =>
    Effect.gen(function*() {
      const text = yield* Ref.make<string | undefined>(undefined)
      const first = yield* Checkpoint.make(storeOf(text))
      yield* first.settle(Array.from({ length: 700 }, (_, i) => trade(i)), 41)
      yield* first.settle([trade(900, "ETH/IRT")], 42)
      yield* first.write
      const second = yield* Checkpoint.make(storeOf(text))
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
      const text = yield* Ref.make<string | undefined>(undefined)
      const saves = yield* Ref.make(0)
      const broken = yield* Ref.make(true)
      const store = storeOf(text, saves)
      const checkpoint = yield* Checkpoint.make({
        load: store.load,
        save: (next) =>
          Effect.flatMap(Ref.get(broken), (yes) =>
            yes ? new Checkpoint.CheckpointError({ path: "checkpoint", message: "disk" }) : store.save(next))
      })
      yield* checkpoint.write
      assert.strictEqual(yield* Ref.get(saves), 0)
      yield* checkpoint.settle([trade(1)])
      yield* Effect.flip(checkpoint.write)
      yield* Ref.set(broken, false)
      yield* checkpoint.write
      yield* checkpoint.write
      assert.strictEqual(yield* Ref.get(saves), 1)
    }))

  it.effect("a damaged file means that nothing is known, not that nothing starts", () =>
    Effect.gen(function*() {
      for (
        const text of ["", "{", "{\"v\":2}", "[1,2]", "{\"v\":1,\"seq\":1,\"markets\":[[\"__proto__\",null,[\"1\"]]]}"]
      ) {
        const checkpoint = yield* Checkpoint.make(storeOf(yield* Ref.make<string | undefined>(text)))
        yield* checkpoint.settle([trade(1)])
        assert.isTrue((yield* checkpoint.markets).has("bitpin:BTC/IRT"))
        assert.isUndefined(({} as { readonly ids?: unknown }).ids)
      }
    }))
})
