/** From the environment to a feed: what BACKFILL_HOLD, BACKFILL_MAX_AGE and QUEUE_MODE do to trades behind a hole. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, TestClock } from "effect"
import * as AppConfig from "../../src/layers/AppConfig.ts"
import * as Collector from "../../src/layers/Collector.ts"
import type { Hole, HoleStore } from "../../src/services/Checkpoint.ts"
import type { MarketEvent } from "../../src/services/MarketEvent.ts"
import * as FakeApi from "../streams/support/FakeApi.ts"
import { FakeSockets } from "../streams/support/FakeSockets.ts"
import { run, settle } from "../streams/support/Harness.ts"
import * as World from "../streams/support/World.ts"

const start = Date.parse("2026-06-11T12:59:45.100Z")

/** A checkpoint whose writes wait for `disk`; holds what they wrote. */
const checkpoint = (disk: Effect.Latch) => {
  const kept = new Map<string, ReadonlyArray<Hole>>()
  const written = new Map<string, ReadonlyArray<Hole>>()
  const holes: HoleStore = {
    keepHoles: (key, _, holes) => void kept.set(key, holes),
    closeHole: () => {},
    forget: () => {},
    write: Effect.andThen(disk.await, Effect.sync(() => kept.forEach((holes, key) => written.set(key, holes))))
  }
  return { holes, written }
}

/** A feed as the service runs it with these settings. Its history is not to be had. */
const begin = Effect.fnUntraced(function*(name: World.Name, env: AppConfig.Environment) {
  yield* TestClock.setTime(start)
  const world = yield* World.make(name)
  const { settings } = yield* AppConfig.parse(env, () => Effect.die("no file"))
  const { endpoints: _, ...options } = Collector.feedSettings(yield* AppConfig.choose(settings, name), settings)
  const disk = yield* Effect.makeLatch(true)
  const { holes, written } = checkpoint(disk)
  const feed = yield* run(World.exchanges[name], { ...options, holes })
  const { dials } = yield* FakeSockets
  yield* settle
  return {
    feed,
    disk,
    written,
    told: Effect.andThen(settle, Effect.map(feed.rest, told)),
    go: (seconds: number) => TestClock.adjust(`${seconds} seconds`).pipe(Effect.andThen(settle)),
    drop: Effect.andThen(Effect.sync(() => dials.at(-1)?.drop(1006)), settle),
    trade: Effect.andThen(world.trade("AAA", "1"), settle)
  }
})

/** Of the one market that trades. */
const told = (events: ReadonlyArray<MarketEvent>) =>
  events.flatMap((event) => {
    if (!("symbol" in event) || event.symbol !== "AAA/IRT") return []
    if (event.type === "trade") return [`trade ${event.source}`]
    return event.type === "status" && event.event === "gap"
      ? [`gap ${event["complete"] === true ? "filled" : "not filled"}`]
      : []
  })

/** A hole, then two trades on the next connection; no time passes after them. */
const throughAHole = Effect.fnUntraced(function*(name: World.Name, env: AppConfig.Environment) {
  const stage = yield* begin(name, env)
  const { respond } = yield* FakeApi.FakeApi
  yield* stage.trade
  // Longer than the whole second of a timestamp.
  yield* stage.go(5)
  const date = Effect.map(Clock.currentTimeMillis, (now) => new Date(now).toUTCString())
  yield* respond(() => Effect.map(date, (date) => ({ status: 503, body: "", headers: { date } })))
  yield* stage.drop
  yield* stage.go(3)
  yield* stage.told
  yield* stage.trade
  yield* stage.trade
  const hole = Effect.sync(() => stage.feed.status().openHoles().filter(({ symbol }) => symbol === "AAA/IRT"))
  return { ...stage, hole }
})

const names: ReadonlyArray<World.Name> = ["bitpin", "wallex"]

describe.each(names)("%s", (name) => {
  const provide = Effect.provide(World.layer(name))

  it.scoped("QUEUE_MODE=journal: nothing waits in memory for a history, only for the hole to be durable", () =>
    Effect.gen(function*() {
      const { disk, drop, go, hole, told, trade, written } = yield* throughAHole(name, { QUEUE_MODE: "journal" })
      assert.deepStrictEqual(yield* told, ["gap not filled", "trade ws", "trade ws"])
      assert.deepStrictEqual(written.get(`${name}:AAA/IRT`)?.map(({ cause }) => cause), ["disconnected"])
      assert.deepInclude((yield* hole)[0], { published: true, waiting: 0 })
      // The same on a disk that takes its time.
      yield* disk.close
      yield* drop
      yield* go(3)
      yield* told
      yield* trade
      assert.deepStrictEqual(yield* told, [])
      assert.deepInclude((yield* hole)[1], { published: false, waiting: 1, awaits: "its write to the checkpoint" })
      yield* disk.open
      assert.deepStrictEqual(yield* told, ["gap not filled", "trade ws"])
    }).pipe(provide))

  it.scoped("QUEUE_MODE=fallback: they wait for BACKFILL_HOLD, and are seen to", () =>
    Effect.gen(function*() {
      const { go, hole, told } = yield* throughAHole(name, {})
      assert.deepStrictEqual(yield* told, [])
      const [one] = yield* hole
      assert.deepInclude(one, { published: false, waiting: 2, gapId: null })
      yield* go(5)
      assert.deepStrictEqual(yield* told, ["gap not filled", "trade ws", "trade ws"])
    }).pipe(provide))

  it.scoped("BACKFILL_HOLD=50s: as long as that", () =>
    Effect.gen(function*() {
      const { go, told } = yield* throughAHole(name, { BACKFILL_HOLD: "50s" })
      yield* go(45)
      assert.deepStrictEqual(yield* told, [])
      yield* go(5)
      assert.deepStrictEqual(yield* told, ["gap not filled", "trade ws", "trade ws"])
    }).pipe(provide))

  const ages: ReadonlyArray<readonly [age: string, open: number]> = [["20s", 0], ["24h", 1], ["0", 1]]
  it.scoped.each(ages)("BACKFILL_MAX_AGE=%s: a hole that ended 40 s ago", ([age, open]) =>
    Effect.gen(function*() {
      const { go, hole, told } = yield* throughAHole(name, { BACKFILL_MAX_AGE: age, RETRY_MAX_ATTEMPTS: "1" })
      yield* go(40)
      assert.lengthOf(yield* hole, open)
      assert.strictEqual((yield* told).filter((line) => line === "gap not filled").length, 2 - open)
    }).pipe(provide))
})
