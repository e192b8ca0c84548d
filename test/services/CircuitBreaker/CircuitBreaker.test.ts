import { assert, describe, it } from "@effect/vitest"
import { Chunk, type Clock, Deferred, Duration, Effect, Exit, Fiber, Ref, Stream, TestClock } from "effect"
import * as fc from "fast-check"
import * as CircuitBreaker from "../../../src/services/CircuitBreaker.ts"
import * as Time from "../../../src/services/Time.ts"
import { Reference } from "./Reference.ts"

const options = (over: Partial<CircuitBreaker.Options> = {}): CircuitBreaker.Options => ({
  name: "test_api",
  group: "api",
  maxFailures: 3,
  timeout: "10 seconds",
  successThreshold: 2,
  ...over
})

const failing = Effect.fail("down" as const)

/** As many failures as it takes. */
const opened = Effect.fnUntraced(function*(over: Partial<CircuitBreaker.Options> = {}) {
  const breaker = yield* CircuitBreaker.make(options(over))
  for (let i = 0; i < (over.maxFailures ?? 3); i++) yield* Effect.exit(breaker.run(failing))
  assert.strictEqual((yield* breaker.snapshot).state, "open")
  return breaker
})

const halfOpened = Effect.fnUntraced(function*(over: Partial<CircuitBreaker.Options> = {}) {
  const breaker = yield* opened(over)
  yield* TestClock.adjust("10 seconds")
  return breaker
})

const stateOf = (breaker: CircuitBreaker.CircuitBreaker) => Effect.map(breaker.snapshot, ({ state }) => state)

const transitionsOf = (snapshot: CircuitBreaker.Snapshot) =>
  Object.fromEntries(snapshot.transitions.map(({ count, from, to }) => [`${from}-${to}`, count]))

/** A clock to set by hand: wall and monotonic time apart. Nothing here sleeps on it. */
const handClock = (real: Clock.Clock) => {
  const at = { wall: 0, monotonic: 0 }
  const clock: Clock.Clock = {
    ...real,
    unsafeCurrentTimeMillis: () => at.wall,
    unsafeCurrentTimeNanos: () => BigInt(at.monotonic) * 1_000_000n,
    currentTimeMillis: Effect.sync(() => at.wall),
    currentTimeNanos: Effect.sync(() => BigInt(at.monotonic) * 1_000_000n),
    sleep: () => Effect.never
  }
  return { at, clock }
}

type Outcome = CircuitBreaker.Outcome

type Command =
  | { readonly _tag: "admit" }
  | { readonly _tag: "settle"; readonly call: number; readonly outcome: Outcome }
  | { readonly _tag: "run"; readonly outcome: Outcome }
  | { readonly _tag: "wait"; readonly millis: number }
  | { readonly _tag: "trip" }

const outcome = fc.constantFrom<Outcome>("success", "failure", "ignored")

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Command>({ _tag: "admit" }) },
  {
    weight: 8,
    arbitrary: fc.tuple(fc.nat(6), outcome).map(([call, outcome]): Command => ({ _tag: "settle", call, outcome }))
  },
  { weight: 4, arbitrary: outcome.map((outcome): Command => ({ _tag: "run", outcome })) },
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 30 }).map((millis): Command => ({ _tag: "wait", millis })) },
  { weight: 1, arbitrary: fc.constant<Command>({ _tag: "trip" }) }
)

describe("against the reference", () => {
  /** Random interleavings of calls, answers in any order (late and repeated ones too), interruption and time. */
  const play = Effect.fnUntraced(function*(
    limits: Reference["options"],
    commands: ReadonlyArray<Command>,
    time: { wall: number; monotonic: number }
  ) {
    const told: Array<CircuitBreaker.Transition> = []
    const breaker = yield* CircuitBreaker.make(
      options({
        maxFailures: limits.maxFailures,
        timeout: limits.openFor,
        successThreshold: limits.successThreshold,
        probeTimeout: limits.probeTimeout
      }),
      (transition) => Effect.sync(() => told.push(transition))
    )
    const reference = new Reference(limits)
    const permits: Array<{ readonly permit: CircuitBreaker.Permit; readonly call: number }> = []
    let now = 0
    let refused = 0
    for (const one of commands) {
      switch (one._tag) {
        case "admit":
        case "run": {
          const expected = reference.admit(now)
          const answer = yield* Effect.either(breaker.admit)
          if (answer._tag === "Left") {
            refused += 1
            assert.strictEqual(answer.left.reason, expected === "busy" ? "half_open_busy" : "open")
            assert.isAbove(Duration.toMillis(answer.left.retryAfter), 0)
            break
          }
          if (typeof expected === "string") return assert.fail(`let through, should be ${expected}`)
          permits.push({ permit: answer.right, call: expected })
          if (one._tag === "admit") break
          yield* settle(answer.right, one.outcome)
          reference.settle(expected, one.outcome, now)
          break
        }
        case "settle": {
          const chosen = permits[permits.length - 1 - one.call]
          if (chosen === undefined) break
          yield* settle(chosen.permit, one.outcome)
          reference.settle(chosen.call, one.outcome, now)
          break
        }
        case "wait":
          now += one.millis
          time.wall = now
          time.monotonic = now
          break
        case "trip":
          yield* breaker.trip
          reference.trip(now)
      }
      const snapshot = yield* breaker.snapshot
      assert.strictEqual(snapshot.state, reference.current.state)
      assert.strictEqual(
        snapshot.retryAt,
        reference.current.state === "open"
          ? Time.wallTime(Math.max(now, reference.current.since + limits.openFor))
          : null
      )
    }
    // Events and counters tell the same story as the states.
    const states = reference.states
    assert.deepStrictEqual(["closed", ...told.map(({ to }) => to)], states)
    const { calls, transitions } = yield* breaker.snapshot
    assert.strictEqual(transitions.reduce((sum, { count }) => sum + count, 0), told.length)
    assert.strictEqual(calls.rejected, refused)
    assert.strictEqual(
      calls.success + calls.failure + calls.ignored + calls.stale,
      reference.calls.filter(({ settled }) => settled !== undefined).length
    )
  })

  const settle = (permit: CircuitBreaker.Permit, outcome: Outcome) =>
    outcome === "success" ? permit.succeed : outcome === "failure" ? permit.fail : permit.release

  it.effect("does the same, whatever happens", () =>
    Effect.map(Effect.clock, (real) => {
      fc.assert(
        fc.property(
          fc.record({
            maxFailures: fc.integer({ min: 1, max: 4 }),
            openFor: fc.integer({ min: 1, max: 30 }),
            successThreshold: fc.integer({ min: 1, max: 3 }),
            probeTimeout: fc.integer({ min: 1, max: 60 })
          }),
          fc.array(command, { maxLength: 40 }),
          (limits, commands) => {
            const { at, clock } = handClock(real)
            Effect.runSync(Effect.withClock(play(limits, commands, at), clock))
          }
        ),
        { numRuns: 5000 }
      )
    }))
})

describe("closed", () => {
  it.effect("failures in a row open it, a success in between starts the count anew", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(options())
      yield* Effect.exit(breaker.run(failing))
      yield* Effect.exit(breaker.run(failing))
      yield* breaker.run(Effect.void)
      yield* Effect.exit(breaker.run(failing))
      yield* Effect.exit(breaker.run(failing))
      assert.strictEqual(yield* stateOf(breaker), "closed")
      yield* Effect.exit(breaker.run(failing))
      assert.strictEqual(yield* stateOf(breaker), "open")
    }))

  it.effect("a defect is a failure; the caller gets it as it was", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(options({ maxFailures: 1 }))
      const exit = yield* Effect.exit(breaker.run(Effect.die("bug")))
      assert.deepStrictEqual(exit, Exit.die("bug"))
      assert.strictEqual(yield* stateOf(breaker), "open")
    }))

  it.effect("what `classify` ignores is nobody's fault", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(options({
        maxFailures: 1,
        classify: (exit) => Exit.isSuccess(exit) ? "success" : "ignored"
      }))
      yield* Effect.exit(breaker.run(failing))
      const { calls, state } = yield* breaker.snapshot
      assert.strictEqual(state, "closed")
      assert.strictEqual(calls.ignored, 1)
    }))

  it.effect("a time-out inside `run` counts", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(options({ maxFailures: 1 }))
      const fiber = yield* Effect.fork(Effect.exit(breaker.run(Effect.timeout(Effect.never, "1 second"))))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.strictEqual(yield* stateOf(breaker), "open")
    }))

  it.effect("a hundred interruptions do not open it", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(options({ maxFailures: 1 }))
      for (let i = 0; i < 100; i++) {
        const fiber = yield* Effect.fork(breaker.run(Effect.never))
        yield* Effect.yieldNow()
        yield* Fiber.interrupt(fiber)
      }
      const { calls, state } = yield* breaker.snapshot
      assert.strictEqual(state, "closed")
      assert.strictEqual(calls.ignored, 100)
    }))
})

describe("open", () => {
  it.effect("refuses at once, says for how long, and refusals are no failures", () =>
    Effect.gen(function*() {
      const breaker = yield* opened()
      yield* TestClock.adjust("4 seconds")
      const error = yield* Effect.flip(breaker.run(Effect.void))
      assert.strictEqual(error.reason, "open")
      assert.strictEqual(Duration.toMillis(error.retryAfter), 6000)
      assert.strictEqual(error.message, "test_api is open, next try in 6s")
      const { calls, retryAt } = yield* breaker.snapshot
      assert.strictEqual(retryAt, Time.wallTime(10_000))
      assert.strictEqual(calls.rejected, 1)
      assert.strictEqual(calls.failure, 3)
    }))

  it.effect("no jump of the wall clock shortens or lengthens it", () =>
    Effect.gen(function*() {
      const { at, clock } = handClock(yield* Effect.clock)
      yield* Effect.gen(function*() {
        const breaker = yield* opened()
        at.wall = 3_600_000
        assert.strictEqual(Duration.toMillis((yield* Effect.flip(breaker.admit)).retryAfter), 10_000)
        at.wall = -3_600_000
        at.monotonic = 10_000
        yield* breaker.run(Effect.void)
        assert.strictEqual(yield* stateOf(breaker), "half_open")
      }).pipe(Effect.withClock(clock))
    }))

  it.effect("what began before the trip changes nothing when it ends, well or badly", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(options())
      const good = yield* breaker.admit
      const bad = yield* breaker.admit
      for (let i = 0; i < 3; i++) yield* Effect.exit(breaker.run(failing))
      yield* good.succeed
      assert.strictEqual(yield* stateOf(breaker), "open")
      yield* TestClock.adjust("10 seconds")
      const probe = yield* breaker.admit
      yield* good.succeed
      yield* bad.fail
      assert.strictEqual(yield* stateOf(breaker), "half_open")
      assert.strictEqual((yield* Effect.flip(breaker.admit)).reason, "half_open_busy")
      yield* probe.succeed
      const { calls } = yield* breaker.snapshot
      assert.strictEqual(calls.stale, 2)
    }))

  it.effect("`trip` opens it whatever was counted, and an open one for as long again", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(options())
      yield* breaker.trip
      yield* TestClock.adjust("9 seconds")
      yield* breaker.trip
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual((yield* Effect.flip(breaker.admit)).reason, "open")
      assert.deepStrictEqual(transitionsOf(yield* breaker.snapshot), {
        "closed-open": 1,
        "open-half_open": 0,
        "half_open-open": 0,
        "half_open-closed": 0
      })
    }))
})

describe("half open", () => {
  it.effect("of five hundred callers one goes out", () =>
    Effect.gen(function*() {
      const breaker = yield* halfOpened()
      const running = yield* Ref.make(0)
      const most = yield* Ref.make(0)
      const call = Effect.acquireUseRelease(
        Effect.tap(Ref.updateAndGet(running, (n) => n + 1), (n) => Ref.update(most, (m) => Math.max(m, n))),
        () => Effect.sleep("1 second"),
        () => Ref.update(running, (n) => n - 1)
      )
      const fiber = yield* Effect.fork(
        Effect.forEach(Array.from({ length: 500 }), () => Effect.exit(breaker.run(call)), { concurrency: "unbounded" })
      )
      yield* TestClock.adjust("1 second")
      const exits = yield* Fiber.join(fiber)
      assert.strictEqual(yield* Ref.get(most), 1)
      assert.strictEqual(exits.filter(Exit.isSuccess).length, 1)
      assert.strictEqual((yield* breaker.snapshot).calls.rejected, 499)
    }))

  it.effect("as many successes as asked close it", () =>
    Effect.gen(function*() {
      const breaker = yield* halfOpened({ successThreshold: 3 })
      yield* breaker.run(Effect.void)
      yield* breaker.run(Effect.void)
      assert.strictEqual(yield* stateOf(breaker), "half_open")
      yield* breaker.run(Effect.void)
      assert.strictEqual(yield* stateOf(breaker), "closed")
    }))

  it.effect("one failure opens it again, for the whole time", () =>
    Effect.gen(function*() {
      const breaker = yield* halfOpened()
      yield* breaker.run(Effect.void)
      yield* Effect.exit(breaker.run(failing))
      const { retryAt, state } = yield* breaker.snapshot
      assert.strictEqual(state, "open")
      assert.strictEqual(retryAt, Time.wallTime(20_000))
    }))

  it.effect("a probe interrupted a hundred times gives its place back each time", () =>
    Effect.gen(function*() {
      const breaker = yield* halfOpened()
      for (let i = 0; i < 100; i++) {
        const inside = yield* Deferred.make<void>()
        const fiber = yield* Effect.fork(
          breaker.run(Effect.andThen(Deferred.succeed(inside, undefined), Effect.never))
        )
        yield* Deferred.await(inside)
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(yield* stateOf(breaker), "half_open")
      }
      yield* breaker.run(Effect.void)
      yield* breaker.run(Effect.void)
      assert.strictEqual(yield* stateOf(breaker), "closed")
    }))

  it.effect("a probe that hangs keeps others out for the probe time, not for ever", () =>
    Effect.gen(function*() {
      const breaker = yield* halfOpened({ probeTimeout: "30 seconds" })
      const hung = yield* breaker.admit
      yield* TestClock.adjust("29 seconds")
      const refusal = yield* Effect.flip(breaker.admit)
      assert.strictEqual(refusal.reason, "half_open_busy")
      assert.strictEqual(Duration.toMillis(refusal.retryAfter), 1000)
      yield* TestClock.adjust("1 second")
      const next = yield* breaker.admit
      // The hung one does not give away the place that is no longer its own.
      yield* hung.release
      assert.strictEqual((yield* Effect.flip(breaker.admit)).reason, "half_open_busy")
      yield* next.succeed
      yield* (yield* breaker.admit).succeed
      assert.strictEqual(yield* stateOf(breaker), "closed")
    }))

  it.effect("one long session closes it by staying up (docs/design/breaker-and-retry.md 'What counts as a call')", () =>
    Effect.gen(function*() {
      const breaker = yield* halfOpened()
      const session = yield* breaker.admit
      yield* session.succeed
      assert.strictEqual(yield* stateOf(breaker), "half_open")
      yield* session.succeed
      assert.strictEqual(yield* stateOf(breaker), "closed")
      assert.strictEqual((yield* breaker.snapshot).calls.success, 1)
    }))

  it.effect("a session of an earlier epoch does not close it, however long it succeeds", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(options())
      const session = yield* breaker.admit
      yield* session.succeed
      yield* breaker.trip
      yield* TestClock.adjust("10 seconds")
      const probe = yield* breaker.admit
      for (let i = 0; i < 10; i++) yield* session.succeed
      assert.strictEqual(yield* stateOf(breaker), "half_open")
      yield* probe.release
    }))

  it.effect("the first word about a call counts", () =>
    Effect.gen(function*() {
      const breaker = yield* halfOpened()
      const probe = yield* breaker.admit
      yield* probe.succeed
      yield* probe.fail
      yield* probe.release
      assert.strictEqual(yield* stateOf(breaker), "half_open")
    }))
})

describe("awaitAdmittance", () => {
  it.effect("waits for the open time to be up, and sleeps once for it", () =>
    Effect.gen(function*() {
      const breaker = yield* opened()
      const fiber = yield* Effect.fork(breaker.awaitAdmittance)
      yield* TestClock.adjust("9999 millis")
      assert.isNull(fiber.unsafePoll())
      assert.strictEqual(Chunk.size(yield* TestClock.sleeps()), 1)
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(fiber)
    }))

  it.effect("wakes when the probe gives its place back, or closes it", () =>
    Effect.gen(function*() {
      for (const end of ["release", "succeed"] as const) {
        const breaker = yield* halfOpened({ successThreshold: 1 })
        const probe = yield* breaker.admit
        const fiber = yield* Effect.fork(breaker.awaitAdmittance)
        yield* TestClock.adjust("1 second")
        assert.isNull(fiber.unsafePoll())
        yield* probe[end]
        yield* Fiber.join(fiber)
      }
    }))

  it.effect("a trip while waiting makes it wait on", () =>
    Effect.gen(function*() {
      const breaker = yield* opened()
      const fiber = yield* Effect.fork(breaker.awaitAdmittance)
      yield* TestClock.adjust("9 seconds")
      yield* breaker.trip
      yield* TestClock.adjust("9 seconds")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
    }))

  it.effect("returns at once when closed", () =>
    Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make(options())
      yield* breaker.awaitAdmittance
    }))
})

describe("the registry", () => {
  it.effect("knows all breakers and tells their transitions in order", () =>
    Effect.gen(function*() {
      const breakers = yield* CircuitBreaker.CircuitBreakers
      const api = yield* breakers.make(options({ name: "a_api", maxFailures: 1, successThreshold: 1 }))
      const ws = yield* breakers.make(options({ name: "a_ws", group: "ws", maxFailures: 1 }))
      const fiber = yield* breakers.transitions.pipe(Stream.take(5), Stream.runCollect, Effect.fork)
      // Returns when every fiber waits: the subscription stands.
      yield* TestClock.adjust(0)
      yield* Effect.exit(api.run(failing))
      yield* TestClock.adjust("10 seconds")
      yield* api.run(Effect.void)
      yield* Effect.exit(ws.run(failing))
      yield* TestClock.adjust("10 seconds")
      yield* Effect.exit(ws.run(failing))
      const told = Chunk.toReadonlyArray(yield* Fiber.join(fiber))
      assert.deepStrictEqual(told, [
        { name: "a_api", group: "api", from: "closed", to: "open", at: Time.wallTime(0) },
        { name: "a_api", group: "api", from: "open", to: "half_open", at: Time.wallTime(10_000) },
        { name: "a_api", group: "api", from: "half_open", to: "closed", at: Time.wallTime(10_000) },
        { name: "a_ws", group: "ws", from: "closed", to: "open", at: Time.wallTime(10_000) },
        { name: "a_ws", group: "ws", from: "open", to: "half_open", at: Time.wallTime(20_000) }
      ])
      assert.deepStrictEqual((yield* breakers.snapshots).map(({ name, state }) => [name, state]), [
        ["a_api", "closed"],
        ["a_ws", "open"]
      ])
    }).pipe(Effect.provide(CircuitBreaker.layer)))

  it.effect("tells in the order of the states, however fibers are set aside", () =>
    Effect.gen(function*() {
      const told: Array<CircuitBreaker.Transition> = []
      let seen = 0
      const breaker = yield* CircuitBreaker.make(
        options({ maxFailures: 1, successThreshold: 1, timeout: 0 }),
        // Every other one takes its time: the next must not overtake it.
        (transition) =>
          Effect.yieldNow().pipe(
            Effect.repeatN(seen++ % 2 === 0 ? 20 : 0),
            Effect.andThen(Effect.sync(() => told.push(transition)))
          )
      )
      const work = (n: number) =>
        Effect.forEach(Array.from({ length: 50 }), (_, i) =>
          Effect.andThen(Effect.exit(breaker.run((i + n) % 2 === 0 ? failing : Effect.void)), Effect.yieldNow()))
      yield* Effect.all(
        Array.from({ length: 8 }, (_, n) =>
          work(n)),
        { concurrency: "unbounded" }
      )
      assert.isAbove(told.length, 10)
      told.slice(1).forEach((transition, index) => assert.strictEqual(transition.from, told[index]?.to))
    }))
})
