import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { bitpin } from "../../src/streams/exchanges/Bitpin.ts"
import * as FakeApi from "./support/FakeApi.ts"
import { centrifugo, FakeSockets, layer as sockets } from "./support/FakeSockets.ts"
import { bitpinPush } from "./support/frames.ts"
import { api, run } from "./support/Harness.ts"

const bitpinWorld = (...symbols: ReadonlyArray<string>) =>
  Layer.mergeAll(sockets(centrifugo()), api(FakeApi.bitpinList(...symbols)))

describe("Feed", () => {
  it.scoped("finds markets, subscribes, and normalises trades", () =>
    Effect.gen(function*() {
      const feed = yield* run(bitpin)
      const socket = yield* (yield* FakeSockets).accept
      const connected = yield* feed.next
      assert.strictEqual(connected.type === "status" && connected.event, "connected")
      socket.push(bitpinPush("BTC_IRT", [{ id: "2_2" }, { id: "1_1", side: "sell", base_amount: "0.00" }]))
      const first = yield* feed.nextTrade
      const second = yield* feed.nextTrade
      assert.deepStrictEqual(first, {
        type: "trade",
        v: 1,
        exchange: "bitpin",
        symbol: "BTC/IRT",
        exchangeSymbol: "BTC_IRT",
        id: "bitpin:BTC/IRT:t:1_1",
        price: "100",
        amount: "2.5",
        side: "sell",
        timestamp: "2026-06-11T12:59:45.263Z",
        receivedAt: "1970-01-01T00:00:00.000Z",
        source: "ws"
      })
      assert.strictEqual(second.id, "bitpin:BTC/IRT:t:2_2")
      assert.deepStrictEqual(socket.sent, [
        `{"id":1,"connect":{}}`,
        `{"id":2,"subscribe":{"channel":"matches:BTC_IRT"}}`,
        `{"id":3,"subscribe":{"channel":"matches:ETH_IRT"}}`
      ])
    }).pipe(Effect.provide(bitpinWorld("BTC_IRT", "ETH_IRT"))))
})
