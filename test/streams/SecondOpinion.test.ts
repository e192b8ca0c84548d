/** A connection that goes mute before its rhythm is known: pings come, data does not. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, TestClock } from "effect"
import { FakeSockets } from "./support/FakeSockets.ts"
import { run, settle } from "./support/Harness.ts"
import * as World from "./support/World.ts"

const begin = Effect.fnUntraced(function*(name: World.Name) {
  yield* TestClock.setTime(Date.parse("2026-06-11T12:59:45.100Z"))
  const world = yield* World.make(name)
  const stop = yield* Deferred.make<void>()
  const feed = yield* run(World.exchanges[name], { stop: Deferred.await(stop) })
  const { dials } = yield* FakeSockets
  yield* settle
  /** Seconds in which the server pings, as a living one does. */
  const go = (seconds: number) =>
    Effect.forEach(Array.from({ length: seconds }), () =>
      TestClock.adjust("1 second").pipe(
        Effect.andThen(Effect.sync(() => dials.at(-1)?.push(name === "bitpin" ? "{}" : "{\"ping\":1}"))),
        Effect.andThen(settle)
      ), { discard: true })
  return { world, feed, go, dials }
})

describe("A stream that goes mute young", () => {
  for (const name of ["bitpin", "wallex"] as const) {
    it.scoped(`${name}: after 30 s the history is asked; trades that the socket did not bring replace it`, () =>
      Effect.gen(function*() {
        const { dials, feed, go, world } = yield* begin(name)
        yield* world.trade("AAA", "1")
        yield* settle
        yield* go(5)
        const asked = world.histories()
        world.mute = true
        for (let n = 0; n < 3; n++) {
          yield* world.trade("AAA", "1")
          yield* go(5)
        }
        assert.strictEqual(dials.length, 1)
        // By then it has been silent for 30 s.
        yield* go(13)
        world.mute = false
        assert.isAbove(world.histories(), asked)
        yield* go(6)
        assert.isAtLeast(dials.length, 2)
        yield* world.trade("AAA", "2")
        yield* go(8)
        const delivered = World.tradesOf(yield* feed.rest).map(({ id }) => id)
        for (const { id } of world.issued) assert.include(delivered, id)
      }).pipe(Effect.provide(World.layer(name))))

    it.scoped(`${name}: a market that only does not trade costs one call a minute and no connection`, () =>
      Effect.gen(function*() {
        const { dials, go, world } = yield* begin(name)
        yield* world.trade("AAA", "1")
        yield* settle
        yield* go(10)
        const asked = world.histories()
        yield* go(190)
        // After 30, 90 and 150 s of silence; besides, the background check of the API asks by the same path each 10 to 14 s.
        assert.isAtMost(world.histories() - asked, 3 + 19)
        assert.strictEqual(dials.length, 1)
      }).pipe(Effect.provide(World.layer(name))))
  }
})
