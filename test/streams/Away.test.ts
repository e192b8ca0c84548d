/** What a feed does while its exchange is away, for a moment or for an hour: when it dials and asks, and what holds it back. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, TestClock } from "effect"
import { bitpin } from "../../src/streams/exchanges/Bitpin.ts"
import { wallex } from "../../src/streams/exchanges/Wallex.ts"
import * as FakeApi from "./support/FakeApi.ts"
import { centrifugo, FakeSockets, layer as sockets } from "./support/FakeSockets.ts"
import { breaker, retry, run, settle } from "./support/Harness.ts"

const listed = FakeApi.layer(() => Effect.succeed({ body: FakeApi.bitpinList("BTC_IRT") }))

/** When a feed dials that is refused each time, ms, until `passed`; the breaker stays out of it. */
const dialTimes = <E, R>(jitter: number, stagger: Duration.Duration, passed: Effect.Effect<unknown, E, R>) =>
  Effect.gen(function*() {
    const ws = yield* breaker("ws", { maxFailures: 1000 })
    yield* run(bitpin, { stagger, retry: { ...retry, jitter }, breakers: { api: yield* breaker("api"), ws } })
    const { accept, dials } = yield* FakeSockets
    // The list's body is read by promises, which know nothing of a test's clock: time begins with the first dial.
    const first = yield* accept
    yield* passed
    return dials.map(({ dialedAt }) => dialedAt - first.dialedAt)
  }).pipe(
    Effect.scoped,
    Effect.provide(Layer.fresh(Layer.mergeAll(sockets((socket) => socket.refuse("refused")), listed)))
  )

/** However long they take on a busy machine. */
const twoMore = Effect.flatMap(FakeSockets, ({ accept }) => Effect.zipRight(accept, accept))

describe("an exchange that is away", () => {
  it.scoped("Wallex goes through the same breaker and retries as BitPin", () =>
    Effect.gen(function*() {
      const feed = yield* run(wallex)
      yield* Effect.flatMap(FakeSockets, ({ accept }) => accept)
      yield* settle
      assert.strictEqual((yield* feed.breakers.ws.snapshot).calls.failure, 1)
      assert.strictEqual((yield* feed.breakers.api.snapshot).calls.success, 1)
    }).pipe(Effect.provide(Layer.mergeAll(
      sockets((socket) => socket.refuse("refused")),
      FakeApi.layer(() => Effect.succeed({ body: FakeApi.wallexList(["BTC", "TMN"]) }))
    ))))

  it.effect("reconnects wait 1, 2, 4, 8 s", () =>
    Effect.gen(function*() {
      // Step by step: in one leap the clock may pass before a refusal has been noticed.
      const steps = Effect.repeatN(TestClock.adjust("500 millis"), 39)
      assert.deepStrictEqual(yield* dialTimes(0, Duration.seconds(1), steps), [0, 1000, 3000, 7000, 15_000])
    }))

  it.live("collectors that lose their socket together do not dial together", () =>
    Effect.gen(function*() {
      // On the real clock: the test's cannot tell nanoseconds at fractions of a millisecond.
      const thirds = yield* Effect.forEach(
        Array.from({ length: 20 }),
        () => Effect.map(dialTimes(0.1, Duration.zero, twoMore), (times) => times[2] ?? Number.NaN),
        { concurrency: "unbounded" }
      )
      assert.isAtLeast(Math.min(...thirds), 2_700, String(thirds))
      assert.isAtLeast(new Set(thirds).size, 12, String(thirds))
      assert.isAbove(Math.max(...thirds) - Math.min(...thirds), 150, String(thirds))
    }))

  it.scoped("an API that is down for an hour opens its breaker, ends nothing, and is asked again until it answers", () =>
    Effect.gen(function*() {
      const feed = yield* run(bitpin)
      const { calls, respond } = yield* FakeApi.FakeApi
      const { dials } = yield* FakeSockets
      yield* TestClock.adjust("1 hour")
      assert.notStrictEqual((yield* feed.breakers.api.snapshot).state, "closed")
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

  it.scoped("while the breaker is open no call goes out; the first goes when it lets one through, with no attempt used up", () =>
    Effect.gen(function*() {
      const api = yield* breaker("api", { maxFailures: 1, timeout: "1 minute", successThreshold: 1 })
      yield* api.trip
      yield* run(bitpin, { breakers: { api, ws: yield* breaker("ws") } })
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
