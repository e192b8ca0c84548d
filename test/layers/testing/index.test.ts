import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Testing from "../../../src/layers/testing/index.ts"
import { connect } from "./RawClient.ts"

const exchanges = Layer.mergeAll(Testing.FakeBitpin.layer({ markets: 2 }), Testing.FakeWallex.layer({ markets: 3 }))

layer(exchanges, { excludeTestServices: true })("as layers in a user's test", (it) => {
  it.scoped("both exchanges listen", () =>
    Effect.gen(function*() {
      const bitpin = yield* Testing.FakeBitpin.FakeBitpin
      const wallex = yield* Testing.FakeWallex.FakeWallex
      assert.match(bitpin.wsUrl, /^ws:\/\/127\.0\.0\.1:\d+\/connection\/websocket$/)
      assert.match(wallex.wsUrl, /^ws:\/\/127\.0\.0\.1:\d+\/ws$/)
      assert.deepStrictEqual([bitpin.tradable.length, wallex.tradable.length], [2, 3])
      const client = yield* connect(wallex.wsUrl)
      yield* client.frameCount(1)
      assert.strictEqual(wallex.server.connections.size, 1)
    }))

  it.scoped("which last for all tests of the layer", () =>
    Effect.gen(function*() {
      const wallex = yield* Testing.FakeWallex.FakeWallex
      yield* connect(wallex.wsUrl)
      const late = yield* Effect.either(Effect.tryPromise(() => wallex.ready(50)))
      assert.strictEqual(late._tag, "Left")
    }))
})
