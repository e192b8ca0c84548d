/** An exchange that pushes the whole window of its last trades: one that shares none with what was seen leaves a hole on a living connection. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, TestClock } from "effect"
import type { MarketEvent } from "../../../src/services/MarketEvent.ts"
import { ramzinex } from "../../../src/streams/exchanges/Ramzinex.ts"
import * as FakeApi from "../support/FakeApi.ts"
import { centrifugo, type FakeSocket, FakeSockets, layer as sockets } from "../support/FakeSockets.ts"
import { ramzinexRow, ramzinexTrades } from "../support/frames.ts"
import { run, settle } from "../support/Harness.ts"

const first = 1_759_319_000

/** Trade n is of second n. */
const row = (n: number) => ({ id: n, seconds: String(first + n) })

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

/** Newest first, as it pushes them. */
const window = (newest: number, rows = 50) =>
  ramzinexTrades("2", range(Math.max(1, newest - rows + 1), newest).reverse().map(row))

const list = JSON.stringify({
  status: 0,
  data: [{ pair_id: 2, base_currency_symbol: { en: "btc" }, quote_currency_symbol: { en: "irr" } }]
})

/** `newest`: the last trade that the history knows; it has 50. */
const world = (newest: number, behave = centrifugo()) =>
  Layer.mergeAll(
    sockets(behave),
    FakeApi.layer(({ path }) =>
      Effect.succeed({
        body: path.endsWith("/pairs")
          ? list
          : JSON.stringify({ status: 0, data: range(newest - 49, newest).reverse().map(row).map(ramzinexRow) })
      })
    )
  )

const started = Effect.gen(function*() {
  const { dials } = yield* FakeSockets
  const feed = yield* run(ramzinex)
  yield* TestClock.adjust("1 second")
  yield* settle
  const push = (frame: string) => {
    dials.at(-1)?.push(frame)
    return settle
  }
  return { dials, feed, push }
})

const idsOf = (events: ReadonlyArray<MarketEvent>) =>
  events.flatMap((event) => event.type === "trade" ? [`${event.source} ${event.id.split(":t:")[1]}`] : [])

const gapsOf = (events: ReadonlyArray<MarketEvent>) =>
  events.flatMap((event) =>
    event.type === "status" && event.event === "gap"
      ? [[event["cause"], event["from"], event["to"], event["recovered"], event["complete"]]]
      : []
  )

const at = (n: number) => new Date((first + n) * 1000).toISOString()

describe("a window of trades", () => {
  it.scoped("that shares one with what was seen leaves no hole", () =>
    Effect.gen(function*() {
      const { feed, push } = yield* started
      yield* push(window(50))
      yield* push(window(99))
      yield* TestClock.adjust("1 minute")
      yield* settle
      const events = yield* feed.rest
      assert.deepStrictEqual(idsOf(events), range(1, 99).map((n) => `ws ${n}`))
      assert.deepStrictEqual(gapsOf(events), [])
    }).pipe(Effect.provide(world(99))))

  it.scoped("that shares none is a hole, of which the history fills what it has, in order", () =>
    Effect.gen(function*() {
      const { feed, push } = yield* started
      yield* push(window(50))
      // 51 to 60 were never in a window; by now the history has 41 to 90.
      yield* push(window(110))
      yield* TestClock.adjust("1 minute")
      yield* settle
      const events = yield* feed.rest
      assert.deepStrictEqual(idsOf(events), [
        ...range(1, 50).map((n) => `ws ${n}`),
        ...range(51, 60).map((n) => `rest ${n}`),
        ...range(61, 110).map((n) => `ws ${n}`)
      ])
      assert.deepStrictEqual(gapsOf(events), [["sequence", at(50), at(61), 10, true]])
    }).pipe(Effect.provide(world(90))))

  it.scoped("that shares none is told where the history does not reach back so far", () =>
    Effect.gen(function*() {
      const { feed, push } = yield* started
      yield* push(window(50))
      yield* push(window(200))
      yield* TestClock.adjust("1 minute")
      yield* settle
      const events = yield* feed.rest
      assert.deepStrictEqual(idsOf(events), [
        ...range(1, 50).map((n) => `ws ${n}`),
        ...range(151, 200).map((n) => `ws ${n}`)
      ])
      const gaps = gapsOf(events)
      assert.deepStrictEqual(gaps.at(-1), ["sequence", at(50), at(151), 0, false])
    }).pipe(Effect.provide(world(200))))

  it.scoped("that is not full says nothing of what came before", () =>
    Effect.gen(function*() {
      const { feed, push } = yield* started
      yield* push(window(50))
      yield* push(window(110, 49))
      yield* TestClock.adjust("1 minute")
      yield* settle
      assert.deepStrictEqual(gapsOf(yield* feed.rest), [])
    }).pipe(Effect.provide(world(110))))

  it.scoped("that is the first of a new connection makes no second hole of the one that the lost one left", () =>
    Effect.gen(function*() {
      const { dials, feed, push } = yield* started
      yield* push(window(50))
      dials[0]?.drop(1006)
      yield* TestClock.adjust("10 seconds")
      yield* settle
      yield* push(window(200))
      yield* TestClock.adjust("1 minute")
      yield* settle
      const gaps = gapsOf(yield* feed.rest)
      assert.deepStrictEqual(new Set(gaps.map(([cause]) => cause)), new Set(["disconnected"]))
      // The history was asked when the new connection stood, and had the last 50.
      assert.deepStrictEqual(gaps.at(-1), ["disconnected", at(50), at(151), 50, false])
    }).pipe(Effect.provide(world(200))))

  it.scoped("that is the first of a new connection is not taken for what followed the history's answer", () =>
    Effect.gen(function*() {
      const { dials, feed, push } = yield* started
      yield* push(window(50))
      dials[0]?.drop(1006)
      yield* TestClock.adjust("10 seconds")
      yield* settle
      // The history had 51 to 100; then came 101 to 200, of which the first 50 were never in a window.
      yield* push(window(200))
      yield* TestClock.adjust("1 minute")
      yield* settle
      const events = yield* feed.rest
      const untold = gapsOf(events).filter(([, from, to, , complete]) =>
        complete === false && String(from) <= at(101) && String(to) >= at(150)
      )
      assert.isAbove(untold.length, 0, JSON.stringify(gapsOf(events)))
      assert.isFalse(idsOf(events).includes("ws 150"))
    }).pipe(Effect.provide(world(100))))

  it.scoped("that follows what a server calls recovered is judged as any other", () =>
    Effect.gen(function*() {
      const { dials, feed, push } = yield* started
      yield* push(window(50))
      dials[0]?.drop(1006)
      yield* TestClock.adjust("10 seconds")
      yield* settle
      yield* push(window(200))
      yield* TestClock.adjust("1 minute")
      yield* settle
      const gaps = gapsOf(yield* feed.rest)
      assert.deepStrictEqual(gaps.map(([cause]) => cause), ["sequence"])
      assert.deepStrictEqual(gaps.at(-1), ["sequence", at(50), at(151), 0, false])
    }).pipe(Effect.provide(world(200, recovering))))
})

/** It calls all recovered. */
const recovering = (socket: FakeSocket): void => {
  socket.server = (frame) => {
    const { connect, id, subscribe }: {
      readonly id: number
      readonly connect?: object
      readonly subscribe?: { readonly recover?: boolean }
    } = JSON.parse(frame)
    if (connect !== undefined) socket.push(JSON.stringify({ id, connect: { client: "c", ping: 25, pong: true } }))
    if (subscribe === undefined) return
    const recovered = subscribe.recover === true ? { recovered: true, was_recovering: true } : {}
    socket.push(JSON.stringify({ id, subscribe: { recoverable: true, epoch: "e", offset: 1, ...recovered } }))
  }
  socket.open()
}
