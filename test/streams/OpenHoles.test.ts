/**
 * Stories in which trades were once lost untold, or found and never told, each as small as it is: through the feed, over lives that
 * share a checkpoint. Times are seconds since the first trade.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, TestClock } from "effect"
import type { MarketEvent } from "../../src/services/MarketEvent.ts"
import { FakeSockets } from "./support/FakeSockets.ts"
import { settle } from "./support/Harness.ts"
import * as Lives from "./support/Lives.ts"
import { judge } from "./support/Verdict.ts"
import * as World from "./support/World.ts"

const start = Date.parse("2026-06-11T12:59:45.000Z")

/** A life that hears both markets, which have a past. */
const begin = Effect.fnUntraced(function*(name: World.Name) {
  yield* TestClock.setTime(start - 3_000)
  const world = yield* World.make(name, { ahead: 0, dated: true })
  const lives = yield* Lives.make(name, world)
  const { dials } = yield* FakeSockets
  const trade = (amount = "1") => Effect.andThen(lives.trade("AAA", amount), settle)
  const go = (seconds: number) => lives.pass(seconds * 1000)
  yield* lives.begin
  yield* trade("7")
  yield* go(3)
  return {
    world,
    lives,
    trade,
    go,
    drop: Effect.andThen(Effect.sync(() => dials.forEach((socket) => socket.drop(1006))), settle),
    told: Effect.map(lives.handedOver, tell)
  }
})

const secondsOf = (time: unknown): unknown => typeof time === "string" ? (Date.parse(time) - start) / 1000 : time

/** Trades as `seconds source`, with a number where they are equal; what gaps say; nothing else. */
const tell = (events: ReadonlyArray<MarketEvent>): ReadonlyArray<string> =>
  events.flatMap((event) => {
    if (event.type === "trade") {
      const n = event.exchange === "wallex" ? `:${event.id.split(":").at(-1)}` : ""
      return [`${secondsOf(event.timestamp)}${n} ${event.source}`]
    }
    if (event.type !== "status" || event.event !== "gap") return []
    const { complete, from, recovered, to } = event
    return [`gap ${secondsOf(from)} to ${secondsOf(to)}, ${recovered} found, ${complete === true ? "filled" : "open"}`]
  })

/** Those that arrived. */
const gapsOf = (words: ReadonlyArray<Lives.Word>) =>
  World.gapsOf(words.flatMap((word) => word._tag === "Delivered" ? [word.event] : []))

describe("Lost again while the history is asked for", () => {
  for (const [how, rows] of [["empty", 0], ["too short", 1]] as const) {
    it.scoped(`what was heard in between waits for its own time, and the hole before it is told first (the answer is ${how})`, () =>
      Effect.gen(function*() {
        const { drop, go, lives, told, trade, world } = yield* begin("wallex")
        yield* trade()
        yield* drop
        yield* Effect.repeatN(trade(), 4)
        // The question is sent 3.2 s after the first trade of the new connection, and takes long enough for the next loss.
        world.history = rows
        world.takes = 1_500
        yield* go(1)
        yield* trade()
        yield* go(4)
        assert.strictEqual(world.asking(), 1)
        yield* drop
        assert.deepStrictEqual((yield* told).slice(1), ["0:1 ws"])
        yield* go(3)
        const behind = yield* told
        assert.match(behind[0] ?? "", /^gap 0 to [01], 0 found, open$/)
        assert.deepStrictEqual(behind.slice(1), ["1:1 ws"])
        world.history = 50
        world.takes = 0
        yield* trade()
        yield* go(60)
        yield* lives.stop
        judge("wallex", lives.words, { isAllOwed: rows === 0 })
      }).pipe(Effect.provide(World.layer("wallex"))))
  }

  it.scoped("killed before that, the next life begins where the hole does", () =>
    Effect.gen(function*() {
      const { drop, go, lives, told, trade, world } = yield* begin("bitpin")
      yield* trade()
      yield* go(1.5)
      yield* drop
      yield* Effect.repeatN(trade(), 4)
      world.history = 0
      world.takes = 3_000
      yield* go(1)
      yield* trade()
      yield* drop
      yield* told
      yield* lives.kill
      world.history = 50
      world.takes = 0
      yield* lives.begin
      yield* go(2)
      assert.deepStrictEqual(yield* told, [
        ...Array.from({ length: 5 }, () => "1.5 rest"),
        "2.5 rest",
        // By the exchange's clock, which its `Date` has in whole seconds.
        "gap 0 to 3, 6 found, filled"
      ])
      yield* lives.stop
      judge("bitpin", lives.words, { isAllOwed: true })
    }).pipe(Effect.provide(World.layer("bitpin"))))
})

describe("Open at the end", () => {
  for (const death of ["stop", "kill"] as const) {
    it.scoped(`the next life brings what was missed before the ${death}, and tells the hole again under its id`, () =>
      Effect.gen(function*() {
        const { drop, go, lives, told, trade } = yield* begin("wallex")
        yield* trade()
        yield* go(1.2)
        yield* drop
        // Nobody hears it; it is equal to none.
        yield* trade("2")
        yield* go(1)
        yield* trade()
        yield* go(0.8)
        yield* lives[death]
        const before = yield* told
        assert.deepStrictEqual(
          before.slice(1),
          death === "stop" ? ["0:1 ws", "gap 0 to 2, 0 found, open", "2:1 ws"] : ["0:1 ws"]
        )
        yield* go(3)
        yield* lives.begin
        yield* trade()
        yield* go(8)
        assert.deepStrictEqual(yield* told, [
          "1:1 rest",
          ...death === "stop" ? ["gap 0 to 2, 1 found, filled"] : ["2:1 rest", "gap 0 to 6, 2 found, filled"],
          "6:1 ws"
        ])
        yield* lives.stop
        assert.strictEqual(new Set(gapsOf(lives.words).map((gap) => gap["gapId"])).size, 1)
        judge("wallex", lives.words, { isAllOwed: true })
      }).pipe(Effect.provide(World.layer("wallex"))))
  }
})

describe("Late history", () => {
  it.scoped("REST is away for four minutes, one trade each ten seconds: each comes once, as what brought it", () =>
    Effect.gen(function*() {
      const { drop, go, lives, trade, world } = yield* begin("wallex")
      yield* trade()
      world.rest = false
      yield* drop
      yield* trade()
      for (let n = 0; n < 24; n++) {
        yield* go(10)
        yield* trade()
      }
      world.rest = true
      yield* go(300)
      const events = yield* lives.handedOver
      const trades = World.tradesOf(events)
      assert.strictEqual(new Set(trades.map(({ id }) => id)).size, trades.length)
      // The one that nobody heard.
      assert.lengthOf(trades.filter(({ source }) => source === "rest"), 1)
      yield* lives.stop
      judge("wallex", lives.words, { isAllOwed: true })
    }).pipe(Effect.provide(World.layer("wallex"))))
})

describe("Told and never closed", () => {
  for (const name of ["bitpin", "wallex"] as const) {
    it.scoped(`${name}: filled, but the life ended before its last word arrived: the next one says it`, () =>
      Effect.gen(function*() {
        const { drop, go, lives, trade, world } = yield* begin(name)
        yield* trade()
        yield* go(1.5)
        yield* drop
        world.rest = false
        yield* Effect.repeatN(trade(), 4)
        yield* go(1)
        yield* trade()
        yield* go(6)
        // Trades arrive, and what is told does not any more.
        lives.late.told = 600_000
        world.rest = true
        yield* go(90)
        assert.strictEqual(World.gapsOf(yield* lives.handedOver).at(-1)?.["complete"], true)
        assert.deepStrictEqual(gapsOf(lives.words).map(({ complete }) => complete), [false])
        yield* lives.kill
        lives.late.told = 0
        yield* lives.begin
        yield* trade()
        yield* go(10)
        yield* lives.stop
        const gaps = gapsOf(lives.words).filter((gap) => gap["gapId"] === gapsOf(lives.words)[0]?.["gapId"])
        assert.deepStrictEqual(gaps.map(({ complete }) => complete), [false, true])
        judge(name, lives.words, { isAllOwed: true })
      }).pipe(Effect.provide(World.layer(name))))
  }
})
