import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, TestClock } from "effect"
import type { MarketEvent } from "../../src/services/MarketEvent.ts"
import { FakeSockets } from "./support/FakeSockets.ts"
import { run, settle } from "./support/Harness.ts"
import * as World from "./support/World.ts"

const start = Date.parse("2026-06-11T12:59:45.100Z")

/** A feed that hears both markets. */
const begin = Effect.fnUntraced(function*(name: World.Name, second = 0) {
  yield* TestClock.setTime(start + second * 1000)
  const world = yield* World.make(name)
  const stop = yield* Deferred.make<void>()
  const feed = yield* run(World.exchanges[name], { stop: Deferred.await(stop) })
  const { dials } = yield* FakeSockets
  yield* settle
  const go = (seconds: number) => TestClock.adjust(`${seconds} seconds`).pipe(Effect.andThen(settle))
  return {
    world,
    feed,
    go,
    stop: Effect.andThen(Deferred.succeed(stop, undefined), settle),
    drop: Effect.andThen(Effect.sync(() => dials.at(-1)?.drop(1006)), settle),
    drain: Effect.andThen(settle, feed.rest),
    trade: (amount = "1") => Effect.andThen(world.trade("AAA", amount), settle)
  }
})

/** `id source` of trades and what gaps say, in order. */
const told = (events: ReadonlyArray<MarketEvent>) =>
  events.flatMap((event) => {
    if (event.type === "trade") return [`${event.id.split(":t:")[1]} ${event.source}`]
    if (event.type !== "status" || event.event !== "gap") return []
    const seconds = (time: unknown) => typeof time === "string" ? (Date.parse(time) - start) / 1000 : time
    const { cause, complete, from, recovered, to } = event
    return [
      `gap ${seconds(from)} to ${seconds(to)} ${cause} ${recovered} ${complete === true ? "filled" : "not filled"}`
    ]
  })

describe("Backfill: BitPin", () => {
  const provide = Effect.provide(World.layer("bitpin"))

  it.scoped("brings what happened while the connection was away, the older first, and tells of it", () =>
    Effect.gen(function*() {
      const { drain, drop, go, trade, world } = yield* begin("bitpin")
      yield* trade()
      yield* drop
      yield* Effect.repeatN(trade(), 3)
      yield* go(1)
      yield* trade()
      assert.deepStrictEqual(told(yield* drain), [
        "1 ws",
        "2 rest",
        "3 rest",
        "4 rest",
        "5 rest",
        "gap 0 to null disconnected 4 filled",
        "6 ws"
      ])
      // Each market was asked for once.
      assert.strictEqual(world.histories(), 2)
    }).pipe(provide))

  it.scoped("tells nothing of a hole in which nothing was", () =>
    Effect.gen(function*() {
      const { drain, drop, feed, go, trade } = yield* begin("bitpin")
      yield* trade()
      yield* drop
      yield* go(1)
      yield* trade()
      assert.deepStrictEqual(told(yield* drain), ["1 ws", "2 ws"])
      assert.deepStrictEqual(feed.status().gaps, { open: 0, filled: 2, told: 0, recovered: 0 })
    }).pipe(provide))

  it.scoped("tells what a history does not reach back to", () =>
    Effect.gen(function*() {
      const { drain, drop, feed, go, trade, world } = yield* begin("bitpin")
      yield* trade()
      yield* drop
      yield* Effect.repeatN(Effect.andThen(go(0.1), trade()), 4)
      world.history = 2
      yield* go(1)
      assert.deepStrictEqual(told(yield* drain), [
        "1 ws",
        // Narrowed: what the history brought is not missing. Told before it, since the trades behind it may be all that arrives.
        "gap 0 to 0.4 disconnected 2 not filled",
        "5 rest",
        "6 rest"
      ])
      assert.deepInclude(feed.status().gaps, { open: 0, told: 1, recovered: 2 })
    }).pipe(provide))

  it.scoped("holds live trades for 5 s; then tells the hole, lets them go, and brings the history when it comes", () =>
    Effect.gen(function*() {
      const { drain, drop, go, trade, world } = yield* begin("bitpin")
      yield* trade()
      yield* drop
      yield* trade()
      world.rest = false
      yield* go(1)
      yield* trade()
      yield* go(4.9)
      assert.deepStrictEqual(told(yield* drain), ["1 ws"])
      yield* go(0.2)
      // The push repeated the trade of the hole.
      assert.deepStrictEqual(told(yield* drain), ["gap 0 to 0 disconnected 0 not filled", "2 ws", "3 ws"])
      yield* trade()
      assert.deepStrictEqual(told(yield* drain), ["4 ws"])
      world.rest = true
      yield* go(120)
      assert.deepStrictEqual(told(yield* drain), ["gap 0 to 0 disconnected 0 filled"])
    }).pipe(provide))

  it.scoped("lets go at once what waits for a history that has nothing, and asks again half a minute later", () =>
    Effect.gen(function*() {
      const { drain, drop, go, trade, world } = yield* begin("bitpin")
      yield* trade()
      yield* drop
      yield* trade()
      const { history } = world
      world.history = 0
      yield* go(1)
      // Nothing is asked before the five seconds are over: waiting on would bring nothing, and a crash would take what waits.
      yield* trade()
      assert.deepStrictEqual(told(yield* drain), ["1 ws", "gap 0 to 0 disconnected 0 not filled", "2 ws", "3 ws"])
      world.history = history
      yield* go(32)
      assert.deepStrictEqual(told(yield* drain), ["gap 0 to 0 disconnected 0 filled"])
    }).pipe(provide))

  it.scoped("holds no more than 10 000 trades", () =>
    Effect.gen(function*() {
      const { drain, drop, go, trade, world } = yield* begin("bitpin")
      yield* trade()
      yield* drop
      world.rest = false
      yield* go(1)
      yield* trade()
      // Later than the hole's end: of trades within it no more than 4 096 are remembered.
      yield* go(0.01)
      for (let n = 0; n < 9_999; n++) yield* world.trade("AAA", "1")
      assert.lengthOf(World.tradesOf(yield* drain), 1)
      yield* trade()
      yield* settle
      const events = yield* drain
      assert.lengthOf(World.tradesOf(events), 10_001)
      assert.lengthOf(World.gapsOf(events), 1)
    }).pipe(provide))

  it.scoped("tells two holes of one market apart, and fills both from one history", () =>
    Effect.gen(function*() {
      const { drain, drop, go, trade, world } = yield* begin("bitpin")
      yield* trade()
      yield* drop
      world.rest = false
      yield* Effect.repeatN(trade(), 3)
      yield* go(1)
      yield* trade()
      yield* go(6)
      yield* drop
      yield* Effect.repeatN(trade(), 3)
      yield* go(2)
      yield* trade()
      yield* go(6)
      yield* drain
      world.rest = true
      yield* go(120)
      assert.deepStrictEqual(told(yield* drain), [
        "2 rest",
        "3 rest",
        "gap 0 to 0 disconnected 2 filled",
        "7 rest",
        "8 rest",
        "gap 1 to 7 disconnected 2 filled"
      ])
    }).pipe(provide))

  it.scoped("asks for what was missed since the last life, and for nothing in a first", () =>
    Effect.gen(function*() {
      const id = (n: number) => `bitpin:AAA/IRT:t:${n}`
      const memory = new Map([["bitpin:AAA/IRT", {
        ids: [id(0), id(1)],
        lastTimestamp: new Date(start).toISOString()
      }]])
      yield* TestClock.setTime(start)
      const world = yield* World.make("bitpin")
      yield* Effect.repeatN(world.trade("AAA", "1"), 2)
      yield* Effect.repeatN(world.trade("BBB", "1"), 2)
      const feed = yield* run(World.exchanges.bitpin, { memory })
      yield* settle
      assert.deepStrictEqual(told(yield* feed.rest), ["2 rest", "3 rest", "gap 0 to null restart 2 filled"])
      assert.strictEqual(world.histories(), 1)
    }).pipe(provide))

  it.scoped("lets go at a stop what was held, and tells the hole before it", () =>
    Effect.gen(function*() {
      const { drain, drop, feed, go, stop, trade, world } = yield* begin("bitpin")
      yield* trade()
      yield* drop
      world.rest = false
      yield* go(1)
      yield* trade()
      assert.deepStrictEqual(told(yield* drain), ["1 ws"])
      yield* stop
      yield* feed.ended
      assert.deepStrictEqual(told(yield* drain), ["gap 0 to 1 disconnected 0 not filled", "2 ws"])
    }).pipe(provide))
})

describe("Backfill: Wallex, whose trades have no ids", () => {
  const provide = Effect.provide(World.layer("wallex"))
  const at = (second: number) => Math.floor(start / 1000) * 1000 + second * 1000
  const equal = (second: number, n: number) => `${at(second)}:buy:100:1:${n}`

  it.scoped("counts equal trades over a hole by the history, each once", () =>
    Effect.gen(function*() {
      const { drain, drop, go, trade } = yield* begin("wallex", -2)
      yield* trade()
      yield* go(2)
      yield* trade()
      yield* trade()
      yield* drop
      yield* trade()
      yield* trade()
      yield* go(1)
      yield* trade()
      // A new second, of which the socket hears all.
      yield* go(1)
      yield* trade()
      yield* go(8)
      assert.deepStrictEqual(told(yield* drain), [
        `${equal(-2, 1)} ws`,
        `${equal(0, 1)} ws`,
        `${equal(0, 2)} ws`,
        `${equal(0, 3)} rest`,
        `${equal(0, 4)} rest`,
        "gap -0.1 to 0.9 disconnected 2 filled",
        // The socket brought these; that the history has them as well makes them no recovered ones.
        `${equal(1, 1)} ws`,
        `${equal(2, 1)} ws`
      ])
    }).pipe(provide))

  it.scoped("asks once more when the newest second is not over, and no trade of the socket is older", () =>
    Effect.gen(function*() {
      const { drain, drop, go, trade } = yield* begin("wallex", -2)
      yield* trade()
      yield* go(2)
      yield* trade()
      yield* drop
      yield* trade()
      yield* go(3.5)
      yield* trade()
      yield* go(10)
      const events = told(yield* drain)
      assert.deepStrictEqual(events, [
        `${equal(-2, 1)} ws`,
        `${equal(0, 1)} ws`,
        `${equal(0, 2)} rest`,
        "gap -0.1 to 2.9 disconnected 1 filled",
        `${equal(3, 1)} ws`
      ])
    }).pipe(provide))

  it.scoped("takes no new socket for heard before it brings data: what is missed on a mute one belongs to the hole", () =>
    Effect.gen(function*() {
      const { drain, drop, go, trade, world } = yield* begin("wallex", -2)
      yield* trade()
      yield* go(2)
      yield* trade()
      world.mute = true
      yield* drop
      // Longer than the time after which a history would be asked for.
      yield* go(6)
      yield* trade()
      yield* go(2)
      assert.strictEqual(world.histories(), 0)
      yield* trade()
      world.mute = false
      yield* go(1)
      yield* trade()
      yield* go(8)
      assert.deepStrictEqual(told(yield* drain), [
        `${equal(-2, 1)} ws`,
        `${equal(0, 1)} ws`,
        `${equal(6, 1)} rest`,
        `${equal(8, 1)} rest`,
        "gap -0.1 to 8.9 disconnected 2 filled",
        `${equal(9, 1)} ws`
      ])
    }).pipe(provide))

  it.scoped("does not call filled what reaches no older second", () =>
    Effect.gen(function*() {
      const { drain, drop, go, trade, world } = yield* begin("wallex")
      yield* trade()
      yield* drop
      yield* trade()
      yield* go(1)
      yield* trade()
      world.history = 2
      yield* go(8)
      const events = told(yield* drain)
      // The second at the end of the history may be cut in two: of it nothing is taken.
      assert.deepStrictEqual(events, [
        `${equal(0, 1)} ws`,
        "gap -0.1 to -0.1 disconnected 0 not filled",
        `${equal(1, 1)} ws`
      ])
    }).pipe(provide))
})
