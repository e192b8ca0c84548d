/** What an answer of an exchange's REST API says of its own time. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, Fiber, TestClock } from "effect"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"
import * as FeedStatus from "../../src/services/FeedStatus.ts"
import * as Time from "../../src/services/Time.ts"
import * as Board from "../../src/streams/Board.ts"
import * as Rest from "../../src/streams/Rest.ts"
import * as FakeApi from "./support/FakeApi.ts"

const date = "Thu, 11 Jun 2026 12:00:10 GMT"

/** The last of so many questions, of which each but that is answered with the true time. */
const asked = (headers: Readonly<Record<string, string>>, before = 0) =>
  Effect.gen(function*() {
    const breaker = yield* CircuitBreaker.make({
      name: "api",
      group: "api",
      maxFailures: 3,
      timeout: "1 minute",
      successThreshold: 1
    })
    const rest = yield* Rest.make({
      exchange: "wallex",
      apiUrl: "http://api.test",
      restPerMinute: 60,
      breaker,
      board: Board.make(FeedStatus.make(["wallex"]), "wallex")
    })
    const ask = Effect.gen(function*() {
      const answer = yield* Effect.fork(rest.ask("/x", () => Either.right("rows")))
      yield* TestClock.adjust("10 seconds")
      return yield* Fiber.join(answer)
    })
    return yield* Effect.zipRight(Effect.repeatN(ask, before - 1).pipe(Effect.when(() => before > 0)), ask)
  }).pipe(
    Effect.scoped,
    Effect.provide(
      FakeApi.layer(({ at }, n) => {
        const truth = { date: new Date(Date.parse(date) + at).toUTCString() }
        return Effect.delay(Effect.succeed({ headers: n < before ? truth : { ...headers }, body: "{}" }), "4 seconds")
      })
    )
  )

describe("an answer", () => {
  it.effect("that took 4 s may have been made at their beginning: what came meanwhile it need not know", () =>
    Effect.gen(function*() {
      assert.deepInclude(yield* asked({ date }), { value: "rows", date: Date.parse("2026-06-11T12:00:06Z") })
    }))

  it.effect("without a date says nothing of it", () =>
    Effect.gen(function*() {
      assert.deepInclude(yield* asked({}), { value: "rows", date: null })
    }))

  it.effect("that a cache had kept, by its Age, knows nothing of the time since", () =>
    Effect.gen(function*() {
      assert.deepInclude(yield* asked({ age: "7" }), { sentAt: Time.instant(-7_000) })
    }))

  it.effect("and by a Date that is older than the exchange's clock then was", () =>
    Effect.gen(function*() {
      // Asked at 20 s. By the answers before, the exchange's clock then showed 16 s more than `date` at the least; 3 s are allowed.
      assert.deepInclude(yield* asked({ date }, 2), { sentAt: Time.instant(20_000 - 13_000) })
    }))

  it.effect("a fresh one is as old as its question", () =>
    Effect.gen(function*() {
      const now = new Date(Date.parse(date) + 20_000).toUTCString()
      assert.deepInclude(yield* asked({ date: now }, 2), { sentAt: Time.instant(20_000) })
    }))
})
