import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, TestClock } from "effect"
import * as Time from "../../src/services/Time.ts"
import { bitpin } from "../../src/streams/exchanges/Bitpin.ts"
import { wallex } from "../../src/streams/exchanges/Wallex.ts"
import * as Topics from "../../src/streams/Feed/Topics.ts"
import * as FakeApi from "./support/FakeApi.ts"
import { centrifugo, type FakeSocket, FakeSockets, layer as sockets, silent } from "./support/FakeSockets.ts"
import { bitpinPush, wallexTrade } from "./support/frames.ts"
import { api, retry, run, settle } from "./support/Harness.ts"

const bitpinWorld = (...symbols: ReadonlyArray<string>) =>
  Layer.mergeAll(sockets(centrifugo()), api(FakeApi.bitpinList(...symbols)))

const wallexWorld = (behave: (socket: FakeSocket) => void, ...bases: ReadonlyArray<string>) =>
  Layer.mergeAll(sockets(behave), api(FakeApi.wallexList(...bases.map((base) => [base, "TMN"] as const))))

const accept = Effect.flatMap(FakeSockets, ({ accept }) => accept)

const subscribed = (socket: FakeSocket): ReadonlyArray<string> =>
  socket.sent.flatMap((frame) => /"channel":"([^"]+)"/.exec(frame)?.[1] ?? [])

describe("Feed: from frames to events", () => {
  it.scoped("finds markets, subscribes, and normalises trades", () =>
    Effect.gen(function*() {
      const feed = yield* run(bitpin)
      const socket = yield* accept
      const connected = yield* feed.next
      assert.isTrue(connected.type === "status" && connected.event === "connected")
      socket.push(bitpinPush("BTC_IRT", [{ id: "2_2" }, { id: "1_1", side: "sell", base_amount: "0.00" }]))
      assert.deepStrictEqual(yield* feed.nextTrade, {
        type: "trade",
        v: 1,
        exchange: "bitpin",
        symbol: "BTC/IRT",
        exchangeSymbol: "BTC_IRT",
        id: "bitpin:BTC/IRT:t:1_1",
        price: "100",
        amount: "2.5",
        side: "sell",
        timestamp: "2026-06-11T12:59:45.263627Z",
        receivedAt: "1970-01-01T00:00:00.000Z",
        source: "ws"
      })
      assert.strictEqual((yield* feed.nextTrade).id, "bitpin:BTC/IRT:t:2_2")
      assert.deepStrictEqual(socket.sent, [
        `{"id":1,"connect":{}}`,
        `{"id":2,"subscribe":{"channel":"matches:BTC_IRT"}}`,
        `{"id":3,"subscribe":{"channel":"matches:ETH_IRT"}}`
      ])
    }).pipe(Effect.provide(bitpinWorld("BTC_IRT", "ETH_IRT"))))

  it.scoped("tells each trade of overlapping windows once, and accounts for the rest", () =>
    Effect.gen(function*() {
      const memory = new Map([["bitpin:BTC/IRT", { ids: ["bitpin:BTC/IRT:t:1"], lastTimestamp: null }]])
      const feed = yield* run(bitpin, { memory })
      const socket = yield* accept
      socket.push(
        bitpinPush("BTC_IRT", [{ id: "2" }, { id: "1" }]),
        bitpinPush("BTC_IRT", [{ id: "4" }, { id: "3" }, { id: "2" }]),
        bitpinPush("DOGE_IRT", [{ id: "9" }])
      )
      yield* settle
      const trades = (yield* feed.rest).filter(({ type }) => type === "trade")
      assert.deepStrictEqual(trades.map(({ id }) => id), ["2", "3", "4"].map((id) => `bitpin:BTC/IRT:t:${id}`))
      const [account] = feed.ledger.accounts()
      assert.deepInclude(account, { exchange: "bitpin", channel: "trades", received: 6, inFlight: 3 })
      assert.deepStrictEqual(account?.filtered, new Map([["duplicate", 2], ["market", 1]]))
    }).pipe(Effect.provide(bitpinWorld("BTC_IRT"))))

  it.scoped("counts equal trades of Wallex, over a reconnect and from an earlier life", () =>
    Effect.gen(function*() {
      const ms = Date.parse("2026-06-11T12:59:45Z")
      const id = (n: number) => `wallex:BTC/IRT:t:${ms}:buy:100:2.5:${n}`
      const feed = yield* run(wallex, { memory: new Map([["wallex:BTC/IRT", { ids: [id(1)], lastTimestamp: null }]]) })
      const first = yield* accept
      first.push(wallexTrade("BTCTMN"), wallexTrade("BTCTMN"))
      // They wait for the history, which nobody has.
      yield* TestClock.adjust("6 seconds")
      assert.deepStrictEqual([(yield* feed.nextTrade).id, (yield* feed.nextTrade).id], [id(2), id(3)])
      first.drop(1006)
      yield* settle
      yield* TestClock.adjust("1 second")
      const second = yield* accept
      second.push(wallexTrade("BTCTMN"))
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual((yield* feed.nextTrade).id, id(4))
    }).pipe(Effect.provide(wallexWorld(silent, "BTC"))))

  it.scoped("keeps going on frames it does not understand, and hands them over", () =>
    Effect.gen(function*() {
      const dead: Array<{ readonly reason: string; readonly text: string }> = []
      const feed = yield* run(bitpin, { onUndecodable: (frame) => Effect.sync(() => dead.push(frame)) })
      const socket = yield* accept
      const long = `nonsense ${"x".repeat(10_000)}`
      // What came before the answer to the subscription would be a hole's.
      yield* settle
      socket.push("nonsense", long, "nonsense", bitpinPush("BTC_IRT", [{ id: "2", price: "0" }, { id: "1" }]))
      socket.push(new Uint8Array(3))
      assert.strictEqual((yield* feed.nextTrade).id, "bitpin:BTC/IRT:t:1")
      yield* settle
      assert.deepStrictEqual(dead.map(({ reason }) => reason), ["json", "json", "json", "number", "binary"])
      assert.strictEqual(dead[1]?.text, long.slice(0, 4096))
      assert.deepStrictEqual(feed.status().decodeFailures, new Map([["json", 3], ["number", 1], ["binary", 1]]))
    }).pipe(Effect.provide(bitpinWorld("BTC_IRT"))))

  it.scoped("shows what it does", () =>
    Effect.gen(function*() {
      const feed = yield* run(bitpin)
      const socket = yield* accept
      yield* TestClock.adjust("5 seconds")
      socket.push(bitpinPush("BTC_IRT", [{ id: "1", price: "7.50" }]))
      yield* feed.nextTrade
      const status = feed.status()
      const at5 = { at: Time.instant(5000), wall: Time.wallTime(5000) }
      assert.deepInclude(status, {
        listed: 3,
        dials: 1,
        reconnects: 0,
        lastFrameAt: at5,
        lastDataAt: at5
      })
      assert.deepStrictEqual(status.connections.get(0), {
        state: "open",
        subscriptions: { requested: 3, active: 2, rejected: 1 },
        lastFrameAt: at5
      })
      assert.deepStrictEqual(status.markets.get("BTC/IRT"), {
        symbol: "BTC/IRT",
        trades: 1,
        lastPrice: "7.5",
        lastAt: 5000,
        subscription: "active",
        stale: false
      })
      assert.deepInclude(status.api, { ok: true, checkedAt: Time.wallTime(0) })
    }).pipe(Effect.provide(Layer.mergeAll(
      sockets(centrifugo(new Map([["matches:ETH_IRT", 103]]))),
      api(FakeApi.bitpinList("BTC_IRT", "ETH_IRT", "USDT_IRT"))
    ))))
})

describe("Feed: connections", () => {
  it.scoped("shards over connections, dials apart", () =>
    Effect.gen(function*() {
      const feed = yield* run(bitpin, { subscriptionsPerConnection: 2 })
      const { dials } = yield* FakeSockets
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(dials.map(({ dialedAt }) => dialedAt), [0, 1000, 2000])
      assert.deepStrictEqual(dials.map(subscribed), [
        ["matches:A_IRT", "matches:B_IRT"],
        ["matches:C_IRT", "matches:D_IRT"],
        ["matches:E_IRT"]
      ])
      // All at once, by a restart of the exchange: they come back one by one.
      for (const socket of dials) socket.drop(3001)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(dials.slice(3).map(({ dialedAt }) => dialedAt), [11_000, 12_000, 13_000])
      assert.strictEqual(feed.status().reconnects, 3)
    }).pipe(Effect.provide(bitpinWorld("A_IRT", "B_IRT", "C_IRT", "D_IRT", "E_IRT"))))

  it.scoped("backs off while the exchange drops it, and starts anew only after 30 s with data", () =>
    Effect.gen(function*() {
      const feed = yield* run(bitpin)
      const { dials } = yield* FakeSockets
      const last = () => dials[dials.length - 1]
      // Accepted, one trade, dropped: the delay grows all the same.
      for (const wait of [1, 2, 4, 8]) {
        yield* settle
        last()?.push(bitpinPush("BTC_IRT", [{ id: String(wait) }]))
        last()?.drop(1006)
        yield* settle
        yield* TestClock.adjust(wait * 1000 - 1)
        const before = dials.length
        yield* TestClock.adjust(1)
        assert.strictEqual(dials.length, before + 1, `after ${wait} s`)
      }
      // 30 s without data count for nothing, data alone neither.
      yield* TestClock.adjust("29 seconds")
      last()?.push(bitpinPush("BTC_IRT", [{ id: "x" }]))
      yield* settle
      last()?.drop(1006)
      yield* settle
      yield* TestClock.adjust("15 seconds")
      const before = dials.length
      yield* TestClock.adjust("1 second")
      assert.strictEqual(dials.length, before + 1)
      // Both.
      last()?.push(bitpinPush("BTC_IRT", [{ id: "y" }]))
      yield* TestClock.adjust("30 seconds")
      last()?.drop(1006)
      yield* settle
      yield* TestClock.adjust("1 second")
      assert.strictEqual(dials.length, before + 2)
      assert.strictEqual(feed.status().connections.get(0)?.state, "open")
    }).pipe(Effect.provide(bitpinWorld("BTC_IRT"))))

  it.scoped("tells of connections in the stream", () =>
    Effect.gen(function*() {
      const feed = yield* run(bitpin)
      const socket = yield* accept
      const connected = yield* feed.nextStatus
      socket.drop(3012, "no pong")
      const disconnected = yield* feed.nextStatus
      yield* TestClock.adjust("1 second")
      const again = yield* feed.nextStatus
      assert.deepInclude(connected, { event: "connected", exchange: "bitpin", connection: 0, subscriptions: 1 })
      assert.deepInclude(disconnected, { event: "disconnected", cause: "closed", code: 3012 })
      assert.match(connected.id, /^bitpin:status:[0-9a-z]+:0:1$/)
      assert.strictEqual(again.id, connected.id.replace(/0:1$/, "1000:3"))
      assert.strictEqual(feed.status().lastError, "closed: no pong")
    }).pipe(Effect.provide(bitpinWorld("BTC_IRT"))))

  it.scoped("comes back late after a terminal close", () =>
    Effect.gen(function*() {
      yield* run(bitpin)
      const { dials } = yield* FakeSockets
      yield* settle
      dials[0]?.drop(3501, "bad request")
      yield* settle
      yield* TestClock.adjust("29 seconds")
      assert.strictEqual(dials.length, 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(dials.length, 2)
    }).pipe(Effect.provide(bitpinWorld("BTC_IRT"))))

  it.scoped("gives up on silence, but not while pings come", () =>
    Effect.gen(function*() {
      yield* run(wallex)
      const { dials } = yield* FakeSockets
      yield* settle
      for (let i = 0; i < 6; i++) {
        yield* TestClock.adjust("20 seconds")
        dials[0]?.pingClient()
      }
      yield* TestClock.adjust("59 seconds")
      assert.isFalse(dials[0]?.terminated)
      yield* TestClock.adjust("1 second")
      assert.isTrue(dials[0]?.terminated)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(dials.length, 2)
    }).pipe(Effect.provide(wallexWorld(silent, "BTC"))))

  it.scoped("gives up on a server that does not greet, or refuses", () =>
    Effect.gen(function*() {
      const feed = yield* run(bitpin)
      const { dials } = yield* FakeSockets
      yield* settle
      dials[0]?.open()
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(dials[0]?.closedWith, 1000)
      assert.match(feed.status().lastError ?? "", /^handshake: /)
      yield* TestClock.adjust("1 second")
      dials[1]?.open()
      dials[1]?.push(`{"id":1,"error":{"code":101,"message":"unauthorized"}}`)
      yield* settle
      assert.strictEqual(feed.status().lastError, "refused with 101 unauthorized")
      yield* TestClock.adjust("2 seconds")
      // One that never opens.
      yield* TestClock.adjust("15 seconds")
      assert.match(feed.status().lastError ?? "", /^dial: not open/)
      assert.deepStrictEqual(yield* feed.rest, [])
    }).pipe(Effect.provide(Layer.mergeAll(sockets(), api(FakeApi.bitpinList("BTC_IRT"))))))

  it.scoped("opens the breaker on dials refused, waits for it, and closes it by staying up", () =>
    Effect.gen(function*() {
      const feed = yield* run(bitpin)
      const { dials } = yield* FakeSockets
      const refuse = Effect.sync(() => dials[dials.length - 1]?.refuse("Unexpected server response: 503"))
      yield* settle
      yield* refuse
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* refuse
      yield* settle
      yield* TestClock.adjust("2 seconds")
      yield* refuse
      yield* settle
      assert.strictEqual((yield* feed.breakers.ws.snapshot).state, "open")
      assert.strictEqual(feed.status().lastError, "dial: Unexpected server response: 503")
      yield* TestClock.adjust("29 seconds")
      assert.strictEqual(dials.length, 3)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(dials.length, 4)
      const [, , , socket] = dials
      if (socket !== undefined) centrifugo()(socket)
      yield* settle
      assert.strictEqual((yield* feed.breakers.ws.snapshot).state, "half_open")
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* feed.breakers.ws.snapshot).state, "half_open")
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* feed.breakers.ws.snapshot).state, "closed")
    }).pipe(Effect.provide(Layer.mergeAll(sockets(), api(FakeApi.bitpinList("BTC_IRT"))))))

  it.scoped("takes a first trade for a success at once", () =>
    Effect.gen(function*() {
      const feed = yield* run(wallex)
      const { dials } = yield* FakeSockets
      yield* feed.breakers.ws.trip
      yield* TestClock.adjust("30 seconds")
      yield* settle
      dials[0]?.push(wallexTrade("BTCTMN"))
      yield* feed.nextTrade
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual((yield* feed.breakers.ws.snapshot).state, "half_open")
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* feed.breakers.ws.snapshot).state, "closed")
    }).pipe(Effect.provide(Layer.mergeAll(
      sockets(silent),
      FakeApi.layer(() => Effect.delay(Effect.succeed({ body: FakeApi.wallexList(["BTC", "TMN"]) }), "5 seconds"))
    ))))

  it.scoped("answers a ping once, and never unasked", () =>
    Effect.gen(function*() {
      yield* run(bitpin)
      const socket = yield* accept
      yield* settle
      const before = socket.sent.length
      socket.push(`${bitpinPush("BTC_IRT", [{ id: "1" }])}\n{}\n${bitpinPush("BTC_IRT", [{ id: "2" }])}`)
      yield* settle
      yield* TestClock.adjust("50 seconds")
      assert.deepStrictEqual(socket.sent.slice(before), ["{}"])
    }).pipe(Effect.provide(bitpinWorld("BTC_IRT"))))

  it.scoped("subscribes again what the server took back, if that helps", () =>
    Effect.gen(function*() {
      const feed = yield* run(bitpin)
      const socket = yield* accept
      yield* settle
      socket.push(`{"push":{"channel":"matches:BTC_IRT","unsubscribe":{"code":2500,"reason":"state"}}}`)
      yield* settle
      assert.strictEqual(socket.sent[socket.sent.length - 1], `{"id":3,"subscribe":{"channel":"matches:BTC_IRT"}}`)
      socket.push(`{"push":{"channel":"matches:BTC_IRT","unsubscribe":{"code":2000,"reason":"server"}}}`)
      yield* settle
      assert.strictEqual(socket.sent.length, 3)
      assert.deepStrictEqual(feed.status().connections.get(0)?.subscriptions, { requested: 1, active: 0, rejected: 1 })
    }).pipe(Effect.provide(bitpinWorld("BTC_IRT"))))

  it.scoped("takes the answer to a subscription that came later than it was waited for, and needs none to the repetition", () =>
    Effect.gen(function*() {
      const feed = yield* run(bitpin)
      const socket = yield* accept
      socket.push(`{"id":1,"connect":{"client":"c","ping":25,"pong":true}}`)
      yield* settle
      yield* TestClock.adjust("11 seconds")
      yield* settle
      const asked = (id: number) => `{"id":${id},"subscribe":{"channel":"matches:BTC_IRT"}}`
      assert.deepStrictEqual(socket.sent.slice(1), [asked(2), asked(3)])
      socket.push(`{"id":2,"subscribe":{}}`, bitpinPush("BTC_IRT", [{ id: "1" }]))
      assert.strictEqual((yield* feed.nextTrade).id, "bitpin:BTC/IRT:t:1")
      assert.deepInclude(feed.status().connections.get(0)?.subscriptions, { active: 1 })
      socket.push(`{"id":3,"error":{"code":105,"message":"already subscribed"}}`)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(feed.status().decodeFailures, new Map())
      assert.deepStrictEqual((yield* feed.rest).filter((event) => event.type === "status" && event.event === "gap"), [])
    }).pipe(Effect.provide(Layer.mergeAll(sockets(silent), api(FakeApi.bitpinList("BTC_IRT"))))))

  it.scoped("a refusal of an earlier command does not undo what a later one was granted", () =>
    Effect.gen(function*() {
      const feed = yield* run(bitpin)
      const socket = yield* accept
      socket.push(`{"id":1,"connect":{"client":"c","ping":25,"pong":true}}`)
      yield* settle
      yield* TestClock.adjust("11 seconds")
      yield* settle
      socket.push(`{"id":3,"subscribe":{}}`, `{"id":2,"error":{"code":103,"message":"permission denied"}}`)
      socket.push(bitpinPush("BTC_IRT", [{ id: "1" }]))
      assert.strictEqual((yield* feed.nextTrade).id, "bitpin:BTC/IRT:t:1")
      assert.deepInclude(feed.status().connections.get(0)?.subscriptions, { active: 1, rejected: 0 })
    }).pipe(Effect.provide(Layer.mergeAll(sockets(silent), api(FakeApi.bitpinList("BTC_IRT"))))))
})

describe("Feed: the consumer's pace and the end", () => {
  it.scoped("pauses the socket while its consumer is slow, and loses nothing", () =>
    Effect.gen(function*() {
      const gate = yield* Effect.makeLatch(false)
      const feed = yield* run(wallex, { onUndecodable: () => gate.await })
      const socket = yield* accept
      yield* settle
      socket.push("nonsense")
      yield* settle
      const prices = Array.from({ length: 3000 }, (_, i) => String(i + 1))
      socket.push(...prices.map((price) => wallexTrade("BTCTMN", { price })))
      assert.isTrue(socket.paused)
      // Nobody reads, so silence says nothing; nor is the close noticed before all is read.
      socket.drop(1006)
      yield* TestClock.adjust("5 minutes")
      assert.isFalse(socket.terminated)
      yield* gate.open
      const got: Array<string> = []
      for (let i = 0; i < 3000; i++) got.push((yield* feed.nextTrade).price)
      assert.deepStrictEqual(got, prices)
      assert.deepInclude(yield* feed.nextStatus, { event: "disconnected" })
    }).pipe(Effect.provide(wallexWorld(silent, "BTC"))))

  it.scoped("stops: closes, hands over what had arrived, ends", () =>
    Effect.gen(function*() {
      const stop = yield* Deferred.make<void>()
      const feed = yield* run(wallex, { stop: Deferred.await(stop), subscriptionsPerConnection: 1 })
      const { dials } = yield* FakeSockets
      yield* TestClock.adjust("1 second")
      yield* settle
      yield* feed.rest
      const [polite, stubborn] = dials
      if (stubborn !== undefined) stubborn.stubborn = true
      polite?.push(wallexTrade("ATMN", { price: "1" }), wallexTrade("ATMN", { price: "2" }))
      stubborn?.push(wallexTrade("BTMN", { price: "3" }))
      yield* Deferred.succeed(stop, undefined)
      yield* settle
      // On its way when the socket was closed, here before the answer.
      stubborn?.push(wallexTrade("BTMN", { price: "4" }))
      yield* TestClock.adjust("2 seconds")
      yield* feed.ended
      const rest = yield* feed.rest
      assert.deepStrictEqual(rest.flatMap((event) => event.type === "trade" ? [event.price] : []).sort(), [
        "1",
        "2",
        "3",
        "4"
      ])
      assert.deepStrictEqual(
        rest.flatMap((event) => event.type === "status" ? [`${event.event} ${String(event["cause"])}`] : []),
        ["disconnected left", "disconnected left"]
      )
      assert.deepStrictEqual(dials.map(({ closedWith }) => closedWith), [1000, 1000])
      assert.deepStrictEqual(dials.map(({ terminated }) => terminated), [false, true])
    }).pipe(Effect.provide(wallexWorld(silent, "A", "B"))))

  it.scoped("stops while it waits to dial again", () =>
    Effect.gen(function*() {
      const stop = yield* Deferred.make<void>()
      const feed = yield* run(bitpin, { stop: Deferred.await(stop), retry: { ...retry, baseDelay: retry.maxDelay } })
      const socket = yield* accept
      yield* settle
      socket.drop(1006)
      yield* settle
      yield* Deferred.succeed(stop, undefined)
      yield* feed.ended
      const status = (yield* feed.rest).flatMap((event) => event.type === "status" ? [event.event] : [])
      assert.deepStrictEqual(status, ["connected", "disconnected"])
    }).pipe(Effect.provide(bitpinWorld("BTC_IRT"))))

  it.scoped("stops while a breaker keeps it from dialling, and while it has no list", () =>
    Effect.gen(function*() {
      const stop = yield* Deferred.make<void>()
      const { respond } = yield* FakeApi.FakeApi
      const feed = yield* run(bitpin, { stop: Deferred.await(stop) })
      yield* feed.breakers.ws.trip
      yield* settle
      const { dials } = yield* FakeSockets
      assert.strictEqual(dials.length, 0)
      yield* respond(() => Effect.never)
      const other = yield* run(bitpin, { stop: Deferred.await(stop) })
      yield* settle
      yield* Deferred.succeed(stop, undefined)
      yield* feed.ended
      yield* other.ended
    }).pipe(Effect.provide(Layer.mergeAll(
      sockets(centrifugo()),
      FakeApi.layer(() => Effect.delay(Effect.succeed({ body: FakeApi.bitpinList("BTC_IRT") }), 0))
    ))))

  it.scoped("lets its consumer leave while a breaker keeps it from dialling", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        const feed = yield* run(bitpin)
        yield* feed.breakers.ws.trip
        yield* settle
        assert.strictEqual(feed.status().connections.get(0)?.state, "connecting")
      }))
      assert.strictEqual((yield* FakeSockets).dials.length, 0)
    }).pipe(Effect.provide(Layer.mergeAll(
      sockets(centrifugo()),
      FakeApi.layer(() => Effect.delay(Effect.succeed({ body: FakeApi.bitpinList("BTC_IRT") }), 0))
    ))))

  it.scoped("closes its sockets when its consumer leaves", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        yield* run(bitpin)
        yield* accept
        yield* settle
      }))
      const { dials } = yield* FakeSockets
      assert.deepStrictEqual(dials.map(({ closedWith }) => closedWith), [1000])
    }).pipe(Effect.provide(bitpinWorld("BTC_IRT"))))
})

describe("Feed: the list of markets", () => {
  it.scoped("follows listings: new ones join, others leave", () =>
    Effect.gen(function*() {
      const { respond } = yield* FakeApi.FakeApi
      // Nobody trades.
      const timing = { ...Topics.defaultTiming, connection: Topics.defaultTiming.market }
      const feed = yield* run(bitpin, { subscriptionsPerConnection: 2, timing })
      const { dials } = yield* FakeSockets
      yield* TestClock.adjust("50 seconds")
      dials.forEach((socket) => socket.push("{}"))
      yield* respond(() => Effect.succeed({ body: FakeApi.bitpinList("B_IRT", "C_IRT", "D_IRT", "E_IRT") }))
      for (let i = 0; i < 19; i++) {
        yield* TestClock.adjust("30 seconds")
        dials.forEach((socket) => socket.push("{}"))
      }
      yield* settle
      assert.deepStrictEqual(dials.map(subscribed), [
        ["matches:A_IRT", "matches:B_IRT", "matches:A_IRT"],
        ["matches:C_IRT", "matches:D_IRT"],
        ["matches:E_IRT"]
      ])
      assert.include(dials[0]?.sent ?? [], `{"id":4,"unsubscribe":{"channel":"matches:A_IRT"}}`)
      dials[1]?.push(bitpinPush("D_IRT", [{ id: "1" }]))
      assert.strictEqual((yield* feed.nextTrade).symbol, "D/IRT")
      assert.strictEqual(feed.status().listed, 4)
      // A connection without a market is closed.
      yield* respond(() => Effect.succeed({ body: FakeApi.bitpinList("C_IRT", "D_IRT", "E_IRT") }))
      for (let i = 0; i < 20; i++) {
        yield* TestClock.adjust("30 seconds")
        dials.forEach((socket) => socket.push("{}"))
      }
      yield* settle
      assert.deepStrictEqual(dials.map(({ closedWith }) => closedWith), [1000, undefined, undefined])
      assert.deepStrictEqual([...feed.status().connections.keys()].sort(), [1, 2])
    }).pipe(Effect.provide(bitpinWorld("A_IRT", "B_IRT", "C_IRT"))))

  it.scoped("remembers a market that comes back", () =>
    Effect.gen(function*() {
      const { respond } = yield* FakeApi.FakeApi
      const feed = yield* run(bitpin, { marketsRefresh: "20 seconds" })
      const socket = yield* accept
      yield* settle
      socket.push(bitpinPush("A_IRT", [{ id: "1" }]))
      yield* feed.nextTrade
      yield* respond(() => Effect.succeed({ body: FakeApi.bitpinList("B_IRT") }))
      yield* TestClock.adjust("20 seconds")
      yield* settle
      assert.isUndefined(feed.status().markets.get("A/IRT"))
      yield* respond(() => Effect.succeed({ body: FakeApi.bitpinList("A_IRT", "B_IRT") }))
      yield* TestClock.adjust("20 seconds")
      yield* settle
      socket.push(bitpinPush("A_IRT", [{ id: "2" }, { id: "1" }]))
      // Nobody heard it meanwhile, and this API has no history.
      yield* TestClock.adjust("5 seconds")
      yield* settle
      const events = yield* feed.rest
      assert.deepStrictEqual(events.map((event) => event.type === "status" ? event.event : event.id), [
        "gap",
        "bitpin:A/IRT:t:2"
      ])
      assert.deepInclude(feed.status().markets.get("A/IRT"), { trades: 1 })
    }).pipe(Effect.provide(bitpinWorld("A_IRT", "B_IRT"))))

  it.scoped("tells once that the API is away, why, and that it is back", () =>
    Effect.gen(function*() {
      const feed = yield* run(bitpin, { marketsRefresh: "10 seconds" })
      const { respond } = yield* FakeApi.FakeApi
      yield* settle
      yield* respond(() => Effect.succeed({ status: 503, body: "" }))
      yield* TestClock.adjust("25 seconds")
      yield* settle
      yield* respond(() => Effect.succeed({ body: FakeApi.bitpinList("A_IRT", "B_IRT") }))
      yield* TestClock.adjust("2 minutes")
      yield* settle
      const told = (yield* feed.rest).flatMap((event) =>
        event.type === "status" && event.event === "api" ? [[event["state"], event["reason"]]] : []
      )
      assert.deepStrictEqual(told, [["unhealthy", "status: HTTP 503"], ["healthy", null]])
    }).pipe(Effect.provide(bitpinWorld("A_IRT", "B_IRT"))))

  it.scoped("asks again at the next list for what was rejected", () =>
    Effect.gen(function*() {
      const errors = new Map([["matches:A_IRT", 111]])
      yield* Effect.gen(function*() {
        const feed = yield* run(bitpin, { marketsRefresh: "10 seconds" })
        yield* settle
        assert.deepInclude(feed.status().connections.get(0)?.subscriptions, { active: 1, rejected: 1 })
        yield* TestClock.adjust("21 seconds")
        yield* settle
        errors.clear()
        yield* TestClock.adjust("11 seconds")
        yield* settle
        assert.deepInclude(feed.status().connections.get(0)?.subscriptions, { active: 2, rejected: 0 })
        // Refused three times, and told once.
        const told = (yield* feed.rest).filter((event) => event.type === "status" && event.event === "stale")
        assert.lengthOf(told, 1)
        assert.deepInclude(told[0], {
          channel: "trades",
          symbol: "A/IRT",
          since: "1970-01-01T00:00:00.000Z",
          reason: "refused: 111 no"
        })
      }).pipe(Effect.provide(Layer.mergeAll(sockets(centrifugo(errors)), api(FakeApi.bitpinList("A_IRT", "B_IRT")))))
    }))
})
