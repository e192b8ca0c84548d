/** What a feed does while the wall clock is stepped: the same, at the same moments, as without the step. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Either, Layer, Logger, TestClock } from "effect"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"
import * as FeedStatus from "../../src/services/FeedStatus.ts"
import type { MarketEvent } from "../../src/services/MarketEvent.ts"
import * as Time from "../../src/services/Time.ts"
import * as Board from "../../src/streams/Board.ts"
import { bitpin } from "../../src/streams/exchanges/Bitpin.ts"
import { wallex } from "../../src/streams/exchanges/Wallex.ts"
import * as DialGate from "../../src/streams/Feed/DialGate.ts"
import type * as Topics from "../../src/streams/Feed/Topics.ts"
import * as Rest from "../../src/streams/Rest.ts"
import * as SteppedClock from "../support/SteppedClock.ts"
import * as FakeApi from "./support/FakeApi.ts"
import { centrifugo, type FakeSocket, FakeSockets, layer as sockets, silent } from "./support/FakeSockets.ts"
import { bitpinPush, wallexTrade } from "./support/frames.ts"
import { api, run, type Running, settle } from "./support/Harness.ts"

/** Seconds since the start, and what was seen then. */
type Story = ReadonlyArray<readonly [second: number, what: string]>

/** Tells a story: second by second, with the wall's step in one of them. */
const play = (
  seconds: number,
  look: (second: number) => Effect.Effect<ReadonlyArray<string>>,
  stepAt: number,
  step: Effect.Effect<void>
): Effect.Effect<Story> =>
  Effect.gen(function*() {
    const story: Array<readonly [number, string]> = []
    for (let second = 0; second < seconds; second++) {
      if (second === stepAt) yield* step
      for (const what of yield* look(second)) story.push([second, what])
      yield* TestClock.adjust("1 second")
      yield* settle
    }
    return story
  })

const kindOf = (event: MarketEvent): string => {
  if (event.type !== "status") return event.id
  const since = event["since"]
  const silence = typeof since === "string" ? `:${Date.parse(event.receivedAt) - Date.parse(since)}` : ""
  return `${event.event}:${event.symbol ?? ""}:${String(event["cause"] ?? event["remedy"] ?? "")}${silence}`
}

/** `tell` under a clock that is not stepped, and under each that is. */
const alike = <E>(name: string, tell: (step: Effect.Effect<void>) => Effect.Effect<Story, E>, expected: Story) => {
  const quietly = <A>(effect: Effect.Effect<A, E>) => Effect.provide(effect, Logger.remove(Logger.defaultLogger))
  it.effect(`${name}: as it should be`, () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* SteppedClock.run(() => quietly(tell(Effect.void))), expected)
    }))
  for (const [what, by, direction] of SteppedClock.steps) {
    it.effect(`${name}: ${what}`, () =>
      SteppedClock.run((wall) =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* quietly(tell(wall.step(by, direction))), expected)
        })
      ))
  }
}

/** Five trades, each in a frame of its own: a stream whose usual gap is a fifth of a second. */
const burst = (symbol: string, second: number): ReadonlyArray<string> =>
  [0, 1, 2, 3, 4].map((n) => bitpinPush(symbol, [{ id: `${second}_${n}` }]))

/** Trades and holes are another matter. */
const isOfTheStream = (told: string): boolean => !told.startsWith("bitpin:") && !told.startsWith("gap:")

/** Of each second: dials, closed sockets, and all events. */
const watch = (feed: Running, dials: ReadonlyArray<FakeSocket>) => {
  let dialed = 0
  let ended = 0
  return Effect.map(feed.rest, (events) => {
    const told = events.map(kindOf).filter(isOfTheStream)
    const open = dials.filter(({ ended }) => ended).length
    if (dials.length > dialed) told.push(`dials ${dials.length}`)
    if (open > ended) told.push(`ended ${open}`)
    dialed = dials.length
    ended = open
    return told
  })
}

const timing: Topics.Timing = {
  answer: 10_000,
  market: { floor: 10_000, unknown: 3_600_000, cap: 3_600_000 },
  connection: { floor: 8_000, unknown: 300_000, cap: 3_600_000 }
}

describe("Feed under a stepped wall clock", () => {
  alike(
    "a socket that falls silent ends by its idle timeout",
    (step) =>
      Effect.gen(function*() {
        const feed = yield* run(bitpin, { idleTimeout: Duration.seconds(15) })
        const { dials } = yield* FakeSockets
        yield* settle
        const look = watch(feed, dials)
        return yield* play(20, () => look, 10, step)
      }).pipe(
        Effect.scoped,
        Effect.provide(Layer.mergeAll(sockets(centrifugo()), api(FakeApi.bitpinList("BTC_IRT"))))
      ),
    [
      [0, "connected::"],
      [0, "dials 1"],
      [15, "disconnected::idle"],
      [15, "ended 1"],
      [16, "connected::"],
      [16, "dials 2"]
    ]
  )

  alike(
    "a mute stream that pings is replaced by its own rhythm",
    (step) =>
      Effect.gen(function*() {
        const feed = yield* run(bitpin, { idleTimeout: Duration.seconds(600), timing })
        const { dials } = yield* FakeSockets
        yield* settle
        const look = watch(feed, dials)
        return yield* play(
          24,
          (second) =>
            Effect.suspend(() => {
              const [first] = dials
              // Trades each second; the clock is stepped amidst them, and then they stop. Pings go on.
              if (second <= 12) first?.push(...burst("BTC_IRT", second))
              else first?.pingClient()
              return Effect.andThen(settle, look)
            }),
          8,
          step
        )
      }).pipe(
        Effect.scoped,
        Effect.provide(Layer.mergeAll(sockets(centrifugo()), api(FakeApi.bitpinList("BTC_IRT"))))
      ),
    [
      [0, "connected::"],
      [0, "dials 1"],
      // Far more than this stream's usual second.
      [20, "disconnected::stale"],
      [20, "ended 1"],
      [21, "connected::"],
      [21, "dials 2"]
    ]
  )

  alike(
    "a market whose data stays away is subscribed to anew, and told of with the length of its silence",
    (step) =>
      Effect.gen(function*() {
        const feed = yield* run(bitpin, { idleTimeout: Duration.seconds(600), timing })
        const { dials } = yield* FakeSockets
        yield* settle
        const look = watch(feed, dials)
        return yield* play(
          24,
          (second) =>
            Effect.suspend(() => {
              const [first] = dials
              first?.push(...burst("BTC_IRT", second))
              if (second < 12) first?.push(...burst("ETH_IRT", second))
              return Effect.andThen(settle, look)
            }),
          15,
          step
        )
      }).pipe(
        Effect.scoped,
        Effect.provide(Layer.mergeAll(sockets(centrifugo()), api(FakeApi.bitpinList("BTC_IRT", "ETH_IRT"))))
      ),
    [
      [0, "connected::"],
      [0, "dials 1"],
      [21, "stale:ETH/IRT:resubscribe:10000"]
    ]
  )

  alike(
    "where nothing is answered, a subscription counts as heard from the first data on",
    (step) =>
      Effect.gen(function*() {
        const feed = yield* run(wallex, { idleTimeout: Duration.seconds(600) })
        const { dials } = yield* FakeSockets
        yield* settle
        return yield* play(
          12,
          (second) =>
            Effect.gen(function*() {
              if (second === 8) dials[0]?.push(wallexTrade("BTCTMN"))
              yield* settle
              yield* feed.rest
              return [...feed.status().markets.values()].map(({ subscription, symbol }) => `${symbol} ${subscription}`)
            }),
          3,
          step
        ).pipe(Effect.map((story) => story.filter(([second]) => second >= 7 && second <= 8)))
      }).pipe(
        Effect.scoped,
        Effect.provide(Layer.mergeAll(sockets(silent), api(FakeApi.wallexList(["BTC", "TMN"], ["ETH", "TMN"]))))
      ),
    [
      [7, "BTC/IRT pending"],
      [7, "ETH/IRT pending"],
      [8, "BTC/IRT active"],
      [8, "ETH/IRT pending"]
    ]
  )
})

/** Of the exchange, which is years ahead of us. */
const date = "Thu, 11 Jun 2099 12:00:00 GMT"

const restOf = Effect.gen(function*() {
  const breaker = yield* CircuitBreaker.make({
    name: "api",
    group: "api",
    maxFailures: 100,
    timeout: "1 minute",
    successThreshold: 1
  })
  return yield* Rest.make({
    exchange: "bitpin",
    apiUrl: "http://api.test",
    restPerMinute: 6_000,
    breaker,
    board: Board.make(FeedStatus.make(["bitpin"]), "bitpin")
  })
})

describe("an exchange that asks to be left alone", () => {
  const asked = [
    ["seconds", "8"],
    ["a date of its own clock", "Thu, 11 Jun 2099 12:00:08 GMT"],
    ["epoch seconds of its own clock", String(Date.parse("2099-06-11T12:00:08Z") / 1000)],
    ["epoch milliseconds of its own clock", String(Date.parse("2099-06-11T12:00:08Z"))]
  ] as const
  for (const [what, header] of asked) {
    alike(
      `by ${what} is left alone for so long, by whoever asks`,
      (step) =>
        Effect.gen(function*() {
          const { calls } = yield* FakeApi.FakeApi
          const rest = yield* restOf
          const get = Effect.either(rest.get("/x", () => Either.right(undefined)))
          yield* get
          yield* Effect.forkScoped(get)
          let seen = 0
          return yield* play(
            12,
            () =>
              Effect.sync(() => {
                const fresh = calls.length - seen
                seen = calls.length
                return fresh === 0 ? [] : [`${fresh} calls`]
              }),
            5,
            step
          )
        }).pipe(
          Effect.scoped,
          Effect.provide(
            FakeApi.layer((_, n) =>
              Effect.succeed(
                n === 0
                  ? { status: 429, headers: { "retry-after": header, date }, body: "" }
                  : { body: "{}" }
              )
            )
          )
        ),
      [[0, "1 calls"], [8, "1 calls"]]
    )
  }
})

describe("DialGate under a stepped wall clock", () => {
  alike(
    "keeps its distances, its budget, and what it was asked to hold",
    (step) =>
      Effect.gen(function*() {
        const breaker = yield* CircuitBreaker.make({
          name: "ws",
          group: "ws",
          maxFailures: 3,
          timeout: "1 minute",
          successThreshold: 1
        })
        const gate = yield* DialGate.make({ stagger: Duration.seconds(2), dialsPerMinute: 4, breaker })
        const started = yield* Time.now
        const passed: Array<string> = []
        yield* gate.pass.pipe(
          Effect.andThen(Effect.map(Time.now, (now) => passed.push(`after ${Time.between(started, now)}`))),
          Effect.forever,
          Effect.forkScoped
        )
        return yield* play(
          64,
          (second) =>
            Effect.andThen(
              second === 3 ? gate.hold(Duration.seconds(10)) : Effect.void,
              Effect.andThen(settle, Effect.sync(() => passed.splice(0)))
            ),
          5,
          step
        )
      }).pipe(Effect.scoped),
    [
      [0, "after 0"],
      [2, "after 2000"],
      [13, "after 13000"],
      [15, "after 15000"],
      [60, "after 60000"],
      [62, "after 62000"]
    ]
  )
})
