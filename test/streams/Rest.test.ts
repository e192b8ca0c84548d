/** Questions that can wait take nothing from those that cannot: neither their breaker nor what is said of the API, nor memory. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, Fiber, TestClock } from "effect"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"
import * as FeedStatus from "../../src/services/FeedStatus.ts"
import * as Time from "../../src/services/Time.ts"
import * as Board from "../../src/streams/Board.ts"
import * as DecodeFailure from "../../src/streams/DecodeFailure.ts"
import * as Rest from "../../src/streams/Rest.ts"
import * as Budget from "../../src/streams/Rest/Budget.ts"
import * as FakeApi from "./support/FakeApi.ts"
import { settle } from "./support/Harness.ts"

const start = Effect.gen(function*() {
  const status = FeedStatus.make(["bitpin"])
  const breaker = yield* CircuitBreaker.make({
    name: "api",
    group: "api",
    maxFailures: 3,
    timeout: "1 minute",
    successThreshold: 2
  })
  const told: Array<boolean> = []
  const rest = yield* Rest.make({
    exchange: "bitpin",
    apiUrl: "http://api.test",
    restPerMinute: 60,
    breaker,
    board: Board.make(status, "bitpin"),
    instead: (path) => path.startsWith("/pages?") ? { path: "/last", advice: "try another address" } : undefined,
    onChange: (answers) => Effect.sync(() => void told.push(answers))
  })
  const { calls } = yield* FakeApi.FakeApi
  return {
    breaker,
    /** What was said of whether the API answers. */
    told,
    api: () => status.exchanges()[0]?.api,
    asked: () => calls.map(({ path }) => path),
    get: Effect.either(rest.get("/history", () => Either.right("rows"))),
    page: Effect.either(Effect.map(rest.ask("/pages?from=1", Either.right), ({ value }) => value)),
    aside: Effect.either(
      rest.aside(
        "/picture",
        (body) => body === "bad" ? Either.left(DecodeFailure.make("schema", "no picture")) : Either.right(body)
      )
    )
  }
})

const world = (of: (path: string) => FakeApi.Answer) => FakeApi.layer(({ path }) => Effect.succeed(of(path)))

describe("a question that can wait", () => {
  const bad: ReadonlyArray<readonly [string, FakeApi.Answer]> = [
    ["is refused", { status: 404, body: "{}" }],
    ["has an answer that nobody understands", { body: "\"bad\"" }]
  ]
  for (const [how, answer] of bad) {
    it.scoped(`and ${how} says nothing of the API, however often`, () =>
      Effect.gen(function*() {
        const { api, aside, asked, breaker, get, told } = yield* start
        assert.isTrue(Either.isRight(yield* get))
        const before = api()
        for (let n = 0; n < 10; n++) assert.isTrue(Either.isLeft(yield* aside))
        assert.strictEqual(asked().filter((path) => path === "/picture").length, 10)
        assert.deepInclude(yield* breaker.snapshot, { state: "closed" })
        assert.deepStrictEqual((yield* breaker.snapshot).calls, {
          success: 1,
          failure: 0,
          ignored: 0,
          rejected: 0,
          stale: 0
        })
        assert.deepStrictEqual(told, [])
        assert.deepStrictEqual(api(), before)
      }).pipe(Effect.provide(world((path) => path === "/picture" ? answer : { body: "{}" }))))
  }

  it.scoped("waits while the breaker is not closed, is no probe of it, and then goes", () => {
    let isUp = false
    return Effect.gen(function*() {
      const { aside, asked, breaker, get } = yield* start
      for (let n = 0; n < 3; n++) yield* get
      assert.deepInclude(yield* breaker.snapshot, { state: "open" })
      const waiting = yield* Effect.fork(aside)
      isUp = true
      // Long after a probe may go.
      for (let n = 0; n < 120; n++) yield* Effect.zipRight(TestClock.adjust("1 second"), settle)
      assert.notInclude(asked(), "/picture")
      assert.isTrue(Either.isRight(yield* get))
      assert.deepInclude(yield* breaker.snapshot, { state: "half_open" })
      for (let n = 0; n < 5; n++) yield* Effect.zipRight(TestClock.adjust("1 second"), settle)
      assert.notInclude(asked(), "/picture")
      assert.isTrue(Either.isRight(yield* get))
      assert.deepInclude(yield* breaker.snapshot, { state: "closed" })
      for (let n = 0; n < 2; n++) yield* Effect.zipRight(TestClock.adjust("1 second"), settle)
      assert.strictEqual(asked().at(-1), "/picture")
      assert.isTrue(Either.isRight(yield* Fiber.join(waiting)))
    }).pipe(Effect.provide(world(() => isUp ? { body: "{}" } : { status: 500, body: "{}" })))
  })
})

describe("a path that has another in its place", () => {
  const pages = (status: number, last: FakeApi.Answer = { body: "7" }) =>
    world((path) => path === "/last" ? last : path.startsWith("/pages") ? { status, body: "{}" } : { body: "{}" })

  it.scoped("is asked for again an hour after it was refused; that it is says nothing of the API", () =>
    Effect.gen(function*() {
      const { api, asked, breaker, page, told } = yield* start
      for (let n = 0; n < 5; n++) assert.deepStrictEqual(yield* page, Either.right("7"))
      assert.deepStrictEqual(asked(), ["/pages?from=1", ...Array.from({ length: 5 }, () => "/last")])
      assert.deepStrictEqual(told, [])
      assert.isNull(api()?.message)
      assert.deepInclude((yield* breaker.snapshot).calls, { success: 5, failure: 0 })
      yield* TestClock.adjust("1 hour")
      yield* page
      assert.deepStrictEqual(asked().slice(-2), ["/pages?from=1", "/last"])
    }).pipe(Effect.provide(pages(401))))

  it.scoped("is not given up where that is refused as well: then it is the address, which the breaker is told once", () =>
    Effect.gen(function*() {
      const { api, asked, breaker, page } = yield* start
      for (let n = 0; n < 2; n++) assert.isTrue(Either.isLeft(yield* page))
      assert.deepStrictEqual(asked(), ["/pages?from=1", "/last", "/pages?from=1", "/last"])
      assert.deepStrictEqual((yield* breaker.snapshot).calls.failure, 2)
      assert.strictEqual(api()?.message, "status: HTTP 403")
    }).pipe(Effect.provide(pages(403, { status: 403, body: "{}" }))))

  it.scoped("is asked for alone where it is refused for another reason", () =>
    Effect.gen(function*() {
      const { asked, page } = yield* start
      assert.isTrue(Either.isLeft(yield* page))
      assert.deepStrictEqual(asked(), ["/pages?from=1"])
    }).pipe(Effect.provide(pages(500))))
})

describe("the questions of the last minute", () => {
  it("are remembered as far as they matter, however many there were", () => {
    const half = Budget.make(30, 0)
    const day = 86_400
    let most = 0
    const wrong: Array<number> = []
    for (let n = 0; n < day; n++) {
      const now = Time.instant(n * 1_000)
      Budget.left(half, now)
      most = Math.max(most, half.times.length)
      if ((Budget.wait(half, now) > 0) !== (n >= 29)) wrong.push(n)
    }
    assert.strictEqual(most, 30)
    assert.deepStrictEqual(wrong, [])
    // The oldest of the last 30 left 29 s before the last.
    const oldest = (day - 30) * 1_000
    assert.strictEqual(Budget.wait(half, Time.instant(oldest + 61_199)), 1)
    assert.strictEqual(Budget.wait(half, Time.instant(oldest + 61_200)), 0)
  })
})
