/** What an answer of an exchange's REST API says of its own time. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, Fiber, TestClock } from "effect"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"
import * as FeedStatus from "../../src/services/FeedStatus.ts"
import * as Board from "../../src/streams/Feed/Board.ts"
import * as Rest from "../../src/streams/Rest.ts"
import * as FakeApi from "./support/FakeApi.ts"

const date = "Thu, 11 Jun 2026 12:00:10 GMT"

const asked = (headers: Readonly<Record<string, string>>) =>
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
    const answer = yield* Effect.fork(rest.ask("/x", () => Either.right("rows")))
    yield* TestClock.adjust("10 seconds")
    return yield* Fiber.join(answer)
  }).pipe(
    Effect.scoped,
    Effect.provide(
      FakeApi.layer(() => Effect.delay(Effect.succeed({ headers: { ...headers }, body: "{}" }), "4 seconds"))
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
})
