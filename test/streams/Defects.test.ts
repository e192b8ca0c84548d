/** An adapter that throws, against its contract: the stream ends with what it threw, and is not half deaf for ever. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, TestClock } from "effect"
import type { Exchange } from "../../src/streams/Exchange.ts"
import { bitpin } from "../../src/streams/exchanges/Bitpin.ts"
import * as FakeApi from "./support/FakeApi.ts"
import { centrifugo, FakeSockets, layer as sockets } from "./support/FakeSockets.ts"
import { bitpinPush } from "./support/frames.ts"
import { api, run, settle } from "./support/Harness.ts"

const defect = new Error("a bug in the adapter")

const bug = (): never => {
  throw defect
}

const world = Layer.merge(sockets(centrifugo()), api(FakeApi.bitpinList("BTC_IRT")))

const ends = (name: string, exchange: Exchange) =>
  it.scoped(name, () =>
    Effect.gen(function*() {
      const feed = yield* run(exchange)
      const ended = yield* Effect.fork(Effect.exit(feed.ended))
      yield* settle
      const { dials } = yield* FakeSockets
      dials[0]?.push(bitpinPush("BTC_IRT", [{ id: "1" }]))
      yield* settle
      // Its history is asked for after a lost connection.
      dials[0]?.drop(1006)
      yield* TestClock.adjust("10 seconds")
      yield* settle
      const exit = yield* ended
      assert.isTrue(Exit.isFailure(exit))
      if (Exit.isFailure(exit)) assert.include([...Cause.defects(exit.cause)], defect)
    }).pipe(Effect.provide(world)))

describe("an adapter that throws ends the stream", () => {
  ends("in the list of markets", {
    ...bitpin,
    rest: { ...bitpin.rest, markets: { ...bitpin.rest.markets, decode: bug } }
  })
  ends("in a history", { ...bitpin, rest: { ...bitpin.rest, history: { ...bitpin.rest.history, decode: bug } } })
  ends("in a frame", { ...bitpin, socket: { ...bitpin.socket, decode: bug } })
})
