/** A market that the exchange's API refuses is that market's trouble: others keep their pace, and the API is there. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, LogLevel, TestClock } from "effect"
import type { MarketMemory } from "../../../src/services/Checkpoint.ts"
import type { Status } from "../../../src/services/MarketEvent.ts"
import { tabdeal } from "../../../src/streams/exchanges/Tabdeal.ts"
import * as FakeApi from "../support/FakeApi.ts"
import { centrifugo, layer as sockets } from "../support/FakeSockets.ts"
import { hurryClock, run, settle } from "../support/Harness.ts"

const start = Date.parse("2026-06-11T12:00:00Z")

const listOf = (symbols: ReadonlyArray<string>): string =>
  JSON.stringify(symbols.map((symbol) => ({
    symbol: `${symbol}IRT`,
    status: "TRADING",
    baseAsset: symbol,
    quoteAsset: "IRT",
    isSpotTradingAllowed: true
  })))

/** A trade each ten seconds. */
const rowsAt = (at: number): string => {
  const n = Math.floor((at - start) / 10_000)
  return JSON.stringify(Array.from({ length: 5 }, (_, i) => ({
    id: 1_000 + n - i,
    price: "1",
    qty: "1",
    time: start + (n - i) * 10_000,
    isBuyerMaker: true
  })))
}

const symbolOf = (path: string): string | undefined => /\/trades\?symbol=(\w+)IRT&/.exec(path)?.[1]

const pass = (seconds: number) =>
  Effect.forEach(
    Array.from({ length: seconds }),
    () => Effect.andThen(TestClock.adjust("1 second"), settle),
    { discard: true }
  )

const world =
  (symbols: ReadonlyArray<string>, refusal: (symbol: string, at: number) => FakeApi.Answer | undefined) =>
  <A, E, R>(test: Effect.Effect<A, E, R>) =>
    TestClock.setTime(start).pipe(
      Effect.andThen(hurryClock),
      Effect.andThen(test),
      Effect.provide(Layer.merge(
        sockets(centrifugo()),
        FakeApi.layer(({ at, path }) => {
          const symbol = symbolOf(path)
          const headers = { date: new Date(at).toUTCString() }
          if (symbol === undefined) return Effect.succeed({ headers, body: listOf(symbols) })
          return Effect.succeed({ headers, ...(refusal(symbol, at) ?? { body: rowsAt(at) }) })
        })
      )),
      Logger.withMinimumLogLevel(LogLevel.None)
    )

const refusals: Readonly<Record<string, FakeApi.Answer>> = {
  "code 1201 with status 400": { status: 400, body: `{"code":1201,"msg":"Invalid parameter"}` },
  "code 1206 with status 400": { status: 400, body: `{"code":1206,"msg":"Market not found"}` },
  "a bare 404": { status: 404, body: "<html>not here</html>" }
}

const good = Array.from({ length: 30 }, (_, n) => `G${n}`)
const bad = Array.from({ length: 10 }, (_, n) => `B${n}`)

describe("ten of forty polled markets that are refused", () => {
  for (const [name, answer] of Object.entries(refusals)) {
    it.scoped(`take no more than their turns: ${name}`, () =>
      Effect.gen(function*() {
        const { calls } = yield* FakeApi.FakeApi
        const feed = yield* run(tabdeal, { marketsRefresh: "2 minutes" })
        yield* pass(600)
        for (const symbol of good) {
          const own = calls.filter(({ path }) => symbolOf(path) === symbol).map(({ at }) => at)
          assert.isAtLeast(own.length, 13, symbol)
          // First in one round of forty questions 1.02 s apart, last in the next, and a list or two between.
          for (let n = 1; n < own.length; n++) assert.isAtMost((own[n] ?? 0) - (own[n - 1] ?? 0), 84_000, symbol)
        }
        const again = calls.filter(({ path }) => bad.includes(symbolOf(path) ?? "")).length
        assert.isAtMost(again, 10 * 16)
        assert.deepInclude(feed.status().api, { ok: true, message: null })
        const told = (yield* feed.rest).filter((one): one is Status => one.type === "status" && one.event === "api")
        assert.deepStrictEqual(told, [])
      }).pipe(world([...good, ...bad], (symbol) => bad.includes(symbol) ? answer : undefined)))
  }
})

describe("a polled market whose first answer after a start is a bare 404", () => {
  it.scoped("keeps its holes, and the next round fills them", () => {
    const memory: ReadonlyMap<string, MarketMemory> = new Map([["tabdeal:G0/IRT", {
      ids: ["tabdeal:G0/IRT:t:998"],
      times: [start - 20_000],
      lastTimestamp: new Date(start - 20_000).toISOString(),
      exchangeSymbol: "G0IRT"
    }]])
    return Effect.gen(function*() {
      const feed = yield* run(tabdeal, { memory })
      yield* pass(30)
      const events = yield* feed.rest
      const gaps = events.filter((one): one is Status => one.type === "status" && one.event === "gap")
      assert.lengthOf(gaps, 1)
      assert.deepInclude(gaps[0], { cause: "restart", complete: true })
      const ids = events.flatMap((one) => one.type === "trade" ? [one.id] : [])
      assert.deepStrictEqual(ids.slice(0, 2), ["tabdeal:G0/IRT:t:999", "tabdeal:G0/IRT:t:1000"])
    }).pipe(world(["G0"], (_, at) => at < start + 5_000 ? { status: 404, body: "<html>busy</html>" } : undefined))
  })
})
