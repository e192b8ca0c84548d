/**
 * Whatever happens to connections, histories and the collector: every trade is delivered once, or lies within a hole that was told,
 * and no hole is told wider than what was seen around it (DELIVERY.md B4).
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, FastCheck as fc, Logger, TestClock, TestContext } from "effect"
import { type MarketMemory, memoryOfMarket } from "../../src/services/Checkpoint.ts"
import type { MarketEvent } from "../../src/services/MarketEvent.ts"
import { FakeSockets } from "./support/FakeSockets.ts"
import { breaker, retry, run, type Running, settle } from "./support/Harness.ts"
import * as World from "./support/World.ts"

type Step =
  | { readonly what: "trade"; readonly base: World.Base; readonly amount: string; readonly count: number }
  | { readonly what: "wait"; readonly ms: number }
  /** `mute`: the next sockets bring nothing until they are heard again; where an exchange answers subscriptions, they do. */
  | { readonly what: "drop"; readonly mute: boolean }
  | { readonly what: "heard" }
  | { readonly what: "restart" }
  | { readonly what: "rest"; readonly up: boolean }
  | { readonly what: "history"; readonly rows: number }

const base = fc.constantFrom(...World.bases)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      what: fc.constant("trade" as const),
      base,
      amount: fc.constantFrom("1", "2"),
      count: fc.integer({ min: 1, max: 4 })
    })
  },
  {
    weight: 5,
    arbitrary: fc.record({ what: fc.constant("wait" as const), ms: fc.constantFrom(50, 300, 900, 1_000, 2_500, 6_000) })
  },
  { weight: 3, arbitrary: fc.record({ what: fc.constant("drop" as const), mute: fc.boolean() }) },
  { weight: 3, arbitrary: fc.constant<Step>({ what: "heard" }) },
  { weight: 1, arbitrary: fc.constant<Step>({ what: "restart" }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("rest" as const), up: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("history" as const), rows: fc.constantFrom(0, 2, 5, 50) }) }
)

/** What a checkpoint would hold of these deliveries. */
const remember = (events: ReadonlyArray<MarketEvent>): ReadonlyMap<string, MarketMemory> => {
  const memory = new Map<string, MarketMemory>()
  for (const { id, symbol, exchange, timestamp } of World.tradesOf(events)) {
    const key = `${exchange}:${symbol}`
    const before = memory.get(key)
    const last = before?.lastTimestamp ?? null
    memory.set(key, {
      ids: [...before?.ids ?? [], id].slice(-memoryOfMarket),
      lastTimestamp: timestamp !== null && (last === null || timestamp > last) ? timestamp : last
    })
  }
  return memory
}

const play = (name: World.Name, steps: ReadonlyArray<Step>) =>
  Effect.gen(function*() {
    yield* TestClock.setTime(Date.parse("2026-06-11T12:59:45.000Z"))
    const world = yield* World.make(name)
    const { dials } = yield* FakeSockets
    const events: Array<MarketEvent> = []
    let feed: Running | undefined
    let stop = yield* Deferred.make<void>()
    const drain = Effect.suspend(() =>
      feed === undefined ? Effect.void : Effect.map(feed.rest, (all) => events.push(...all))
    )
    const begin = Effect.gen(function*() {
      stop = yield* Deferred.make<void>()
      feed = yield* run(World.exchanges[name], {
        stop: Deferred.await(stop),
        memory: remember(events),
        retry: { ...retry, maxDelay: Duration.seconds(4) },
        breakers: {
          api: yield* breaker("api", { maxFailures: 5, timeout: "5 seconds" }),
          ws: yield* breaker("ws", { timeout: "5 seconds" })
        }
      })
      yield* settle
    })
    const end = Effect.gen(function*() {
      yield* Deferred.succeed(stop, undefined)
      yield* settle
      yield* TestClock.adjust("3 seconds")
      if (feed !== undefined) yield* feed.ended
      yield* drain
    })
    const pass = (ms: number) => Effect.andThen(TestClock.adjust(ms), settle)

    yield* begin
    // Each market has a known past, older than anything that follows.
    for (const one of World.bases) yield* world.trade(one, "7")
    yield* pass(3_000)
    for (const one of World.bases) yield* world.trade(one, "8")
    yield* pass(3_000)
    for (const one of steps) {
      switch (one.what) {
        case "trade":
          for (let n = 0; n < one.count; n++) yield* world.trade(one.base, one.amount)
          yield* settle
          break
        case "wait":
          yield* pass(one.ms)
          break
        case "drop":
          world.mute ||= one.mute && name === "wallex"
          for (const socket of dials) socket.drop(1006)
          yield* settle
          break
        case "heard":
          world.mute = false
          break
        case "restart":
          yield* end
          yield* begin
          break
        case "rest":
          world.rest = one.up
          break
        case "history":
          world.history = one.rows
          break
      }
    }
    // All is well again: what is still open is closed.
    world.rest = true
    world.mute = false
    yield* pass(15_000)
    for (const one of World.bases) yield* world.trade(one, "9")
    yield* pass(30_000)
    yield* end
    return { events, issued: world.issued }
  }).pipe(Effect.scoped, Effect.provide([World.layer(name), Logger.remove(Logger.defaultLogger)]))

const judge = (name: World.Name, { events, issued }: Effect.Effect.Success<ReturnType<typeof play>>) => {
  const trades = World.tradesOf(events)
  const ids = trades.map(({ id }) => id)
  const delivered = new Set(ids)
  assert.deepStrictEqual(ids.filter((id, i) => ids.indexOf(id) !== i), [], "duplicates")
  const known = new Set(issued.map(({ id }) => id))
  assert.deepStrictEqual(ids.filter((id) => !known.has(id)), [], "never issued")
  const gaps = World.gapsOf(events)
  const at = (time: unknown): number => typeof time === "string" ? Date.parse(time) : NaN
  for (const { id, symbol, timestamp } of issued) {
    if (delivered.has(id)) continue
    assert.isTrue(
      gaps.some((gap) =>
        gap["complete"] === false && gap.symbol === symbol && at(gap["from"]) <= timestamp && timestamp <= at(gap["to"])
      ),
      `${id} is missing, and no hole was told around it: ${JSON.stringify(gaps)}`
    )
  }
  // Nothing that the socket brought, and no history had to, lies inside a hole.
  const unit = name === "wallex" ? 1_000 : 0
  for (const gap of gaps) {
    // A window of recent trades may bring some of a hole that was told before it came.
    const before = World.tradesOf(events.slice(0, events.indexOf(gap)))
    const inside = before.filter(({ source, symbol, timestamp }) =>
      source === "ws" && symbol === gap["symbol"] && at(timestamp) > at(gap["from"]) + unit &&
      at(timestamp) + unit < at(gap["to"])
    )
    assert.deepStrictEqual(inside.map(({ id }) => id), [], `inside ${JSON.stringify(gap)}`)
  }
}

const runs = Math.ceil(Number(process.env["FUZZ_RUNS"] ?? 15_000) / 1_000)

describe("Nothing is missing untold", () => {
  for (const name of ["bitpin", "wallex"] as const) {
    it.live(`${name}: any interleaving of trades, drops, restarts and histories`, () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
            judge(name, await Effect.runPromise(Effect.provide(play(name, steps), TestContext.TestContext)))
          }),
          { numRuns: runs }
        )
      ), 3_600_000)
  }
})
