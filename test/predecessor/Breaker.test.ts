/** Rows 13-17 and 19 of design/PREDECESSOR.md: its circuit breakers. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, TestClock } from "effect"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"
import { bitpin } from "../../src/streams/exchanges/Bitpin.ts"
import * as FakeApi from "../streams/support/FakeApi.ts"
import { centrifugo, FakeSockets, layer as sockets } from "../streams/support/FakeSockets.ts"
import { breaker as named, run, settle } from "../streams/support/Harness.ts"

const make = CircuitBreaker.make({
  name: "x",
  group: "api",
  maxFailures: 3,
  timeout: "10 seconds",
  successThreshold: 2
})

const failing = Effect.fail("down" as const)

const opened = Effect.tap(make, (breaker) => Effect.repeatN(Effect.exit(breaker.run(failing)), 2))

const stateOf = (breaker: CircuitBreaker.CircuitBreaker) => Effect.map(breaker.snapshot, ({ state }) => state)

describe("Breaker", () => {
  // The predecessor built the WebSocket breaker and never ran anything through it.
  it.scoped("#13 failed dials open the WebSocket breaker, it holds dials back, and closes on data", () =>
    Effect.gen(function*() {
      let down = true
      const world = Layer.mergeAll(
        sockets((socket) => down ? socket.refuse("refused") : centrifugo()(socket)),
        FakeApi.layer(() => Effect.succeed({ body: FakeApi.bitpinList("BTC_IRT") }))
      )
      yield* Effect.gen(function*() {
        const feed = yield* run(bitpin)
        const { dials } = yield* FakeSockets
        yield* TestClock.adjust("4 seconds")
        assert.deepStrictEqual(dials.map(({ dialedAt }) => dialedAt), [0, 1000, 3000])
        assert.strictEqual(yield* stateOf(feed.breakers.ws), "open")
        yield* TestClock.adjust("28 seconds")
        assert.lengthOf(dials, 3)
        down = false
        yield* TestClock.adjust("1 minute")
        assert.lengthOf(dials, 4)
        assert.strictEqual(yield* stateOf(feed.breakers.ws), "closed")
      }).pipe(Effect.provide(world))
    }))

  // The predecessor's HALF_OPEN let 500 of 500 concurrent callers through.
  it.effect("#14 half open, one of 500 concurrent callers goes through, the others are told it is busy", () =>
    Effect.gen(function*() {
      const breaker = yield* opened
      yield* TestClock.adjust("10 seconds")
      const gate = yield* Deferred.make<void>()
      let calls = 0
      const call = breaker.run(Effect.suspend(() => {
        calls += 1
        return Deferred.await(gate)
      }))
      const all = yield* Effect.fork(
        Effect.forEach(Array.from({ length: 500 }), () => Effect.either(call), { concurrency: "unbounded" })
      )
      yield* settle
      assert.strictEqual(calls, 1)
      yield* Deferred.succeed(gate, undefined)
      const refused = (yield* Fiber.join(all)).flatMap((one) => one._tag === "Left" ? [one.left.reason] : [])
      assert.deepStrictEqual(refused, Array.from({ length: 499 }, () => "half_open_busy" as const))
    }))

  // The predecessor's results had no epoch: late successes closed it, late failures kept it open for longer.
  it.effect("#15 answers to calls from before the trip neither close it nor keep it open", () =>
    Effect.gen(function*() {
      const breaker = yield* make
      const early = yield* Effect.all([breaker.admit, breaker.admit, breaker.admit])
      yield* Effect.repeatN(Effect.exit(breaker.run(failing)), 2)
      const { retryAt } = yield* breaker.snapshot
      yield* TestClock.adjust("9 seconds")
      yield* early[2].fail
      assert.strictEqual((yield* breaker.snapshot).retryAt, retryAt)
      yield* TestClock.adjust("1 second")
      const probe = yield* breaker.admit
      yield* early[0].succeed
      yield* early[1].succeed
      assert.strictEqual(yield* stateOf(breaker), "half_open")
      assert.strictEqual((yield* breaker.snapshot).calls.stale, 3)
      yield* probe.succeed
      yield* breaker.run(Effect.void)
      assert.strictEqual(yield* stateOf(breaker), "closed")
    }))

  // The predecessor counted no panic (10 panics, 0 failures) and ignored its context.
  it.effect("#16 a defect is a failure; a cancelled call gives its place back", () =>
    Effect.gen(function*() {
      const breaker = yield* make
      yield* Effect.repeatN(Effect.exit(breaker.run(Effect.die("panic"))), 2)
      assert.deepInclude((yield* breaker.snapshot).calls, { failure: 3 })
      assert.strictEqual(yield* stateOf(breaker), "open")
      yield* TestClock.adjust("10 seconds")
      const probe = yield* Effect.fork(breaker.run(Effect.never))
      yield* settle
      assert.isTrue(Exit.isFailure(yield* Effect.exit(breaker.run(Effect.void))))
      yield* Fiber.interrupt(probe)
      yield* breaker.run(Effect.void)
      assert.strictEqual(yield* stateOf(breaker), "half_open")
    }))

  // The predecessor asked for markets once, at start: after three attempts the process ended, below the five failures of the breaker.
  it.scoped("#17 an API that is down for an hour opens its breaker, ends nothing, and is asked again until it answers", () =>
    Effect.gen(function*() {
      const feed = yield* run(bitpin)
      const { calls, respond } = yield* FakeApi.FakeApi
      const { dials } = yield* FakeSockets
      yield* TestClock.adjust("1 hour")
      assert.notStrictEqual(yield* stateOf(feed.breakers.api), "closed")
      assert.isAbove(calls.length, 5)
      assert.isBelow(calls.length, 100)
      assert.lengthOf(dials, 0)
      yield* respond(() => Effect.succeed({ body: FakeApi.bitpinList("BTC_IRT") }))
      yield* TestClock.adjust("95 seconds")
      // Nobody pings here, so that the idle timeout may dial again: the first is what counts.
      assert.isAtMost(dials[0]?.dialedAt ?? Number.POSITIVE_INFINITY, 3_600_000 + 65_000)
    }).pipe(
      Effect.provide(Layer.mergeAll(
        sockets(centrifugo()),
        FakeApi.layer(() => Effect.succeed({ status: 503, body: "down" }))
      ))
    ))

  // The predecessor's retryer retried "circuit breaker open": no call went out, and the back-offs were waited for all the same.
  it.scoped("#19 while the breaker is open no call goes out; the first goes when it lets one through, with no attempt used up", () =>
    Effect.gen(function*() {
      const api = yield* named("api", { maxFailures: 1, timeout: "1 minute", successThreshold: 1 })
      yield* api.trip
      yield* run(bitpin, { breakers: { api, ws: yield* named("ws") } })
      const { calls } = yield* FakeApi.FakeApi
      const { dials } = yield* FakeSockets
      yield* TestClock.adjust("59 seconds")
      assert.lengthOf(calls, 0)
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual(calls.map(({ at }) => at), [60_000])
      assert.lengthOf(dials, 1)
    }).pipe(
      Effect.provide(Layer.mergeAll(
        sockets(centrifugo()),
        FakeApi.layer(() => Effect.succeed({ body: FakeApi.bitpinList("BTC_IRT") }))
      ))
    ))
})
