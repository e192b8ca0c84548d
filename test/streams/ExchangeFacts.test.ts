/** What the engine has to know of an exchange stands in its value: units and names, a refusal's words, the unit of its clock, a keep-alive. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, TestClock } from "effect"
import type { Exchange } from "../../src/streams/Exchange.ts"
import { bitpin } from "../../src/streams/exchanges/Bitpin.ts"
import { wallex } from "../../src/streams/exchanges/Wallex.ts"
import * as Spans from "../../src/streams/trades/Spans.ts"
import * as FakeApi from "./support/FakeApi.ts"
import { centrifugo, FakeSockets, layer as sockets, silent } from "./support/FakeSockets.ts"
import { run, settle } from "./support/Harness.ts"

const world = (respond: FakeApi.Respond, behave = centrifugo()) =>
  Layer.mergeAll(sockets(behave), FakeApi.layer(respond))

const push = (channel: string, matches: ReadonlyArray<object>): string =>
  JSON.stringify({ push: { channel, pub: { data: { event_time: "2026-06-11T12:00:00Z", matches } } } })

const match = (id: string, price: string) => ({ id, price, base_amount: "2", quote_amount: "1", side: "buy" })

describe("units", () => {
  /** As BitPin, but it counts in Rial. */
  const rial: Exchange = { ...bitpin, id: "rial", names: { RLS: "IRT" }, units: { IRT: -1 } }

  const list = JSON.stringify([
    { symbol: "BTC_RLS", base: "BTC", quote: "RLS", tradable: true },
    { symbol: "BTC_USDT", base: "BTC", quote: "USDT", tradable: true }
  ])

  it.scoped("are those of the canonical quote, live and from the history, exactly", () =>
    Effect.gen(function*() {
      const { dials } = yield* FakeSockets
      const feed = yield* run(rial)
      yield* TestClock.adjust("1 second")
      yield* settle
      dials[0]?.push(
        push("matches:BTC_RLS", [match("1", "113794652111")]),
        push("matches:BTC_USDT", [match("2", "67526.5")])
      )
      const live = [yield* feed.nextTrade, yield* feed.nextTrade]
      assert.deepStrictEqual(live.map(({ price, symbol }) => [symbol, price]), [
        ["BTC/IRT", "11379465211.1"],
        ["BTC/USDT", "67526.5"]
      ])
      dials[0]?.drop(1006)
      yield* TestClock.adjust("1 minute")
      yield* settle
      const events = yield* feed.rest
      assert.deepStrictEqual(
        events.flatMap((event) => event.type === "trade" ? [[event.symbol, event.price, event.source]] : []),
        [["BTC/IRT", "0.5", "rest"]]
      )
    }).pipe(Effect.provide(world(({ path }) =>
      Effect.succeed({
        body: path.includes("markets")
          ? list
          : path.includes("BTC_RLS")
          ? JSON.stringify([match("3", "5"), match("1", "113794652111")])
          : "[]"
      })
    ))))

  it.scoped("leave a price out, counted, that they make too long", () =>
    Effect.gen(function*() {
      const { dials } = yield* FakeSockets
      const feed = yield* run(rial)
      yield* TestClock.adjust("1 second")
      yield* settle
      dials[0]?.push(push("matches:BTC_RLS", [match("2", "10"), match("1", `0.${"1".repeat(30)}`)]))
      assert.strictEqual((yield* feed.nextTrade).price, "1")
      assert.strictEqual(feed.status().decodeFailures.get("number"), 1)
    }).pipe(Effect.provide(world(({ path }) => Effect.succeed({ body: path.includes("markets") ? list : "[]" })))))
})

describe("a refusal by body", () => {
  /** As BitPin, with a refusal of its own words. */
  const refusing: Exchange = {
    ...bitpin,
    rest: {
      ...bitpin.rest,
      refused: ({ body }) =>
        typeof body === "object" && body !== null && "wait" in body
          ? { message: "slow down", retryAfter: String(body.wait) }
          : undefined
    }
  }

  for (const status of [200, 429, 503]) {
    it.scoped(`with status ${status} keeps everybody quiet for as long as it says`, () =>
      Effect.gen(function*() {
        const { calls, respond } = yield* FakeApi.FakeApi
        const feed = yield* run(refusing)
        yield* TestClock.adjust("1 second")
        yield* settle
        assert.strictEqual(calls.length, 1)
        assert.strictEqual(
          feed.status().api.message,
          status === 200 ? "body: refused: slow down" : `status: HTTP ${status}: slow down`
        )
        yield* respond(() => Effect.succeed({ body: FakeApi.bitpinList("A_IRT") }))
        yield* TestClock.adjust("39 seconds")
        yield* settle
        assert.strictEqual(calls.length, 1)
        yield* TestClock.adjust("2 seconds")
        yield* settle
        assert.isAbove(calls.length, 1)
      }).pipe(Effect.provide(world(() => Effect.succeed({ status, body: `{"wait":40}` })))))
  }

  it.scoped("is not looked for where the exchange has none: a wait in a body means nothing", () =>
    Effect.gen(function*() {
      const { calls } = yield* FakeApi.FakeApi
      yield* run(bitpin)
      yield* TestClock.adjust("10 seconds")
      yield* settle
      assert.isAbove(calls.length, 1)
    }).pipe(Effect.provide(world(() => Effect.succeed({ status: 429, body: `{"wait":40,"backOff":40}` })))))
})

describe("the unit of its clock", () => {
  it("says when a timestamp is over, a second for the servers' differences included", () => {
    assert.strictEqual(Spans.settledAfter(wallex), 2_000)
    assert.strictEqual(Spans.settledAfter(bitpin), 2_000)
    assert.strictEqual(Spans.settledAfter({ clockUnit: 1 }), 1_001)
  })
})

describe("a keep-alive", () => {
  const pinging: Exchange = {
    ...wallex,
    id: "pinging",
    socket: { ...wallex.socket, keepAlive: { every: Duration.seconds(20), text: "keep" } }
  }

  it.scoped("is sent every so often while the connection is open, and on the next one too", () =>
    Effect.gen(function*() {
      const { dials } = yield* FakeSockets
      yield* run(pinging)
      yield* TestClock.adjust("1 second")
      yield* settle
      const sent = (n: number) => dials[n]?.sent.filter((frame) => frame === "keep").length
      assert.strictEqual(sent(0), 0)
      yield* TestClock.adjust("19 seconds")
      assert.strictEqual(sent(0), 1)
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(sent(0), 2)
      dials[0]?.drop(1006)
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(sent(0), 2)
      assert.strictEqual(sent(1), 1)
    }).pipe(Effect.provide(
      world(() => Effect.succeed({ body: FakeApi.wallexList(["BTC", "TMN"]) }), silent)
    )))

  for (const isAble of [true, false]) {
    it.scoped(`without a text is a ping of the protocol${isAble ? "" : "; a socket that can send none sends nothing"}`, () =>
      Effect.gen(function*() {
        const { dials } = yield* FakeSockets
        const { keepAlive, ...socket } = pinging.socket
        yield* run({
          ...pinging,
          socket: { ...socket, keepAlive: { every: keepAlive?.every ?? Duration.seconds(20) } }
        })
        yield* TestClock.adjust("1 second")
        yield* settle
        let pings = 0
        const [dial] = dials
        if (dial !== undefined) {
          dial.onPing = () => void pings++
          if (!isAble) Reflect.set(dial, "ping", undefined)
        }
        const before = dial?.sent.length
        yield* TestClock.adjust("39 seconds")
        assert.strictEqual(pings, isAble ? 2 : 0)
        assert.strictEqual(dial?.sent.length, before)
        assert.isFalse(dial?.ended)
      }).pipe(Effect.provide(
        world(() => Effect.succeed({ body: FakeApi.wallexList(["BTC", "TMN"]) }), silent)
      )))
  }

  it("is none of BitPin's or Wallex's: they ping by themselves", () => {
    assert.isTrue([bitpin, wallex].every(({ socket }) => socket.keepAlive === undefined))
  })
})
