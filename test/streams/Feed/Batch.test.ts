/** An exchange whose frames subscribe to several topics, in a whole feed. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, TestClock } from "effect"
import type { Exchange, Message } from "../../../src/streams/Exchange.ts"
import { bitpin } from "../../../src/streams/exchanges/Bitpin.ts"
import * as FakeApi from "../support/FakeApi.ts"
import { type FakeSocket, FakeSockets, layer as sockets } from "../support/FakeSockets.ts"
import { bitpinPush } from "../support/frames.ts"
import { api, run, settle } from "../support/Harness.ts"

/** It answers a frame as a whole, by its id; pushes are BitPin's. */
const lists: Exchange = {
  ...bitpin,
  limits: { ...bitpin.limits, commandsPerSecond: 2 },
  socket: {
    ...bitpin.socket,
    hello: undefined,
    subscribe: (topic, id) => JSON.stringify({ subscribe: [topic], id }),
    batch: { size: 2, subscribe: (topics, id) => JSON.stringify({ subscribe: topics, id }) },
    decode: (text, topicOf): ReadonlyArray<Message> => {
      const frame: { readonly granted?: number; readonly denied?: number } = JSON.parse(text)
      if (frame.granted !== undefined) return [{ _tag: "granted", id: String(frame.granted) }]
      if (frame.denied === undefined) return bitpin.socket.decode(text, topicOf)
      return [{ _tag: "denied", id: String(frame.denied), code: "4", message: "unknown", remedy: "later" }]
    }
  }
}

/** A server that grants a frame only if it knows all in it. */
const knowing = (unknown: string) => (socket: FakeSocket): void => {
  socket.server = (text) => {
    const { id, subscribe }: { readonly id: number; readonly subscribe?: ReadonlyArray<string> } = JSON.parse(text)
    if (subscribe !== undefined) {
      socket.push(JSON.stringify(subscribe.includes(unknown) ? { denied: id } : { granted: id }))
    }
  }
  socket.open()
}

const subscribed = (socket: FakeSocket | undefined): ReadonlyArray<ReadonlyArray<string>> =>
  (socket?.sent ?? []).map((frame) =>
    JSON.parse(frame).subscribe.map((topic: string) => topic.slice("matches:".length))
  )

const layer = (unknown: string) =>
  Layer.merge(sockets(knowing(unknown)), api(FakeApi.bitpinList("A_IRT", "B_IRT", "C_IRT", "D_IRT", "E_IRT")))

describe("Several topics in a frame", () => {
  it.scoped("the budget counts frames; what they grant is heard", () =>
    Effect.gen(function*() {
      const feed = yield* run(lists)
      const { dials } = yield* FakeSockets
      yield* settle
      // Two frames a second.
      assert.deepStrictEqual(subscribed(dials[0]), [["A_IRT", "B_IRT"], ["C_IRT", "D_IRT"]])
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual(subscribed(dials[0]).slice(2), [["E_IRT"]])
      assert.deepStrictEqual(feed.status().connections.get(0)?.subscriptions, { requested: 5, active: 5, rejected: 0 })
      dials[0]?.push(bitpinPush("E_IRT", [{ id: "1" }]))
      assert.strictEqual((yield* feed.nextTrade).symbol, "E/IRT")
    }).pipe(Effect.provide(layer("none"))))

  it.scoped("a frame that is refused is asked for topic by topic: one bad name costs the others nothing", () =>
    Effect.gen(function*() {
      const feed = yield* run(lists)
      const { dials } = yield* FakeSockets
      yield* settle
      yield* TestClock.adjust("3 seconds")
      yield* settle
      assert.deepStrictEqual(subscribed(dials[0]), [
        ["A_IRT", "B_IRT"],
        ["C_IRT", "D_IRT"],
        ["E_IRT"],
        ["C_IRT"],
        ["D_IRT"]
      ])
      assert.deepStrictEqual(feed.status().connections.get(0)?.subscriptions, { requested: 5, active: 4, rejected: 1 })
    }).pipe(Effect.provide(layer("matches:C_IRT"))))
})
