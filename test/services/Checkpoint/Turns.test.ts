/** A checkpoint of many markets holds nothing else up. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { setImmediate } from "node:timers/promises"
import * as FairScheduler from "../../../src/layers/cli/Process/FairScheduler.ts"
import { memoryOfMarket } from "../../../src/services/Checkpoint.ts"
import { diskOf, open, trade } from "./World.ts"

const markets = 600

it.live("what it knows of many markets is copied by turns: others have theirs between, as the answer to a probe", () =>
  Effect.gen(function*() {
    const checkpoint = yield* open(diskOf())
    for (let market = 0; market < markets; market++) {
      yield* checkpoint.settle(Array.from({ length: memoryOfMarket }, (_, n) => trade(n, `M${market}/IRT`)))
    }
    let turns = 0
    let isOver = false
    const others = (async () => {
      for (; !isOver; turns++) await setImmediate()
    })()
    yield* Effect.promise(() => setImmediate())
    const before = turns
    const copying = Effect.map(checkpoint.markets, (copy) => ({ size: copy.size, turns: turns - before }))
    // As the service does.
    const copied = yield* Effect.promise(() =>
      Effect.runPromise(Fiber.join(Effect.runFork(copying, { scheduler: FairScheduler.make() })))
    )
    isOver = true
    yield* Effect.promise(() => others)
    assert.strictEqual(copied.size, markets)
    assert.isAtLeast(copied.turns, 3)
  }))
