/** Rows of trades that nobody can read, on a living connection: each is told as a hole, and filled where the history has it. On virtual time. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, TestClock } from "effect"
import * as FakeBitpin from "../../../src/layers/testing/FakeBitpin.ts"
import * as FakeNobitex from "../../../src/layers/testing/FakeNobitex.ts"
import * as FakeRamzinex from "../../../src/layers/testing/FakeRamzinex.ts"
import * as FakeWallex from "../../../src/layers/testing/FakeWallex.ts"
import * as Oracle from "../../../src/layers/testing/Oracle.ts"
import type { MarketEvent, Trade } from "../../../src/services/MarketEvent.ts"
import * as Time from "../../../src/services/Time.ts"
import * as DecodeFailure from "../../../src/streams/DecodeFailure.ts"
import * as Defaults from "../../../src/streams/Defaults.ts"
import type { Exchange, Market, Message } from "../../../src/streams/Exchange.ts"
import { bitpin } from "../../../src/streams/exchanges/Bitpin.ts"
import { nobitex } from "../../../src/streams/exchanges/Nobitex.ts"
import { ramzinex } from "../../../src/streams/exchanges/Ramzinex.ts"
import { wallex } from "../../../src/streams/exchanges/Wallex.ts"
import * as Holes from "../../../src/streams/trades/Holes.ts"
import * as Spans from "../../../src/streams/trades/Spans.ts"
import { hurryClock, run, settle } from "../support/Harness.ts"

interface Fake {
  readonly apiUrl: string
  readonly wsUrl: string
  readonly issued: ReadonlyArray<Oracle.Issued>
  readonly tradable: ReadonlyArray<Market>
  readonly trade: (exchangeSymbol: string) => unknown
}

/** Of trades of the market whose rows are told to be bad the newest cannot be read. `named`: the failure says of which market it is. */
const spoiling = (exchange: Exchange, bad: () => Market | undefined, named: boolean): Exchange => ({
  ...exchange,
  socket: {
    ...exchange.socket,
    decode: (text, topicOf) => {
      const market = bad()
      return exchange.socket.decode(text, topicOf).flatMap((message): ReadonlyArray<Message> => {
        if (message._tag !== "trades" || message.exchangeSymbol !== market?.exchangeSymbol) return [message]
        const [topic] = exchange.socket.topics("trades", market, Defaults.books)
        const failure = DecodeFailure.make("number", "price")
        const rows = message.rows.slice(0, -1)
        return [
          { _tag: "failure", failure, ...named ? { topic } : {} },
          ...rows.length === 0 ? [] : [{ ...message, rows }]
        ]
      })
    }
  }
})

const scene = Effect.fnUntraced(function*(exchange: Exchange, fake: Fake, named = true) {
  yield* hurryClock
  yield* TestClock.setTime(Date.parse("2026-10-02T17:03:55.250Z"))
  let bad: Market | undefined
  const endpoints = { apiUrl: fake.apiUrl, wsUrl: fake.wsUrl }
  const feed = yield* run(spoiling(exchange, () => bad, named), { endpoints })
  const events: Array<MarketEvent> = []
  const go = (millis: number) =>
    Effect.gen(function*() {
      yield* Effect.andThen(TestClock.adjust(millis), settle)
      events.push(...yield* feed.rest)
    })
  yield* settle
  yield* go(5_000)
  const [market] = fake.tradable
  if (market === undefined) return assert.fail("no market")
  /** Trades, one after the other. */
  const trade = (count: number) =>
    Effect.forEach(
      Array.from({ length: count }),
      () => Effect.andThen(Effect.sync(() => fake.trade(market.exchangeSymbol)), go(300)),
      { discard: true }
    )
  const spoil = (count: number) =>
    Effect.suspend(() => {
      bad = market
      return Effect.andThen(trade(count), Effect.sync(() => void (bad = undefined)))
    })
  const gaps = () =>
    events.flatMap((event) => {
      if (event.type !== "status" || event.event !== "gap") return []
      return [`${event["cause"]} ${event["recovered"]} ${event["complete"] === true ? "filled" : "not filled"}`]
    })
  const trades = () => events.filter((event): event is Trade => event.type === "trade")
  return { events, feed, fake, gaps, go, spoil, trade, trades }
})

type Scene = Effect.Effect.Success<ReturnType<typeof scene>>

/** What is missing of what was issued, and of that what nobody was told of. */
const judged = ({ events, fake, trades }: Scene) => {
  const { missing, wrong } = Oracle.judge(fake.issued, trades())
  return { missing: missing.length, wrong: wrong.length, untold: Oracle.untold(fake.issued, events).length }
}

const story = Effect.fnUntraced(function*(exchange: Exchange, fake: Fake, named = true) {
  const now = yield* scene(exchange, fake, named)
  const { go, spoil, trade } = now
  // Of two seconds, so that the history reaches back beyond what was known.
  yield* Effect.andThen(trade(1), go(3_000))
  yield* Effect.andThen(trade(1), go(3_000))
  yield* spoil(1)
  yield* trade(5)
  yield* go(20_000)
  yield* trade(1)
  yield* go(60_000)
  return now
})

const none = { missing: 0, wrong: 0, untold: 0 }

describe("a row of trades that cannot be read", () => {
  const filled = (exchange: Exchange, fake: Fake) =>
    Effect.gen(function*() {
      const now = yield* story(exchange, fake)
      assert.deepStrictEqual(judged(now), none)
      assert.deepStrictEqual(now.gaps(), ["undecoded 1 filled"])
    })

  it.scoped("is a hole, which the history fills: Wallex, without ids", () =>
    Effect.flatMap(FakeWallex.FakeWallex, (fake) => filled(wallex, fake)).pipe(
      Effect.provide(FakeWallex.memory({ markets: 2 }))
    ))

  it.scoped("is a hole, which the history fills: Nobitex, without ids", () =>
    Effect.flatMap(FakeNobitex.FakeNobitex, (fake) => filled(nobitex, fake)).pipe(
      Effect.provide(FakeNobitex.memory({ markets: 2 }))
    ))

  /** The next windows bring it. */
  const broughtAgain = (exchange: Exchange, fake: Fake) =>
    Effect.gen(function*() {
      const now = yield* story(exchange, fake)
      assert.deepStrictEqual(judged(now), none)
      assert.deepStrictEqual(now.gaps(), [])
    })

  it.scoped("is asked for, and nobody is told of what came by itself meanwhile: BitPin's windows", () =>
    Effect.flatMap(FakeBitpin.FakeBitpin, (fake) => broughtAgain(bitpin, fake)).pipe(
      Effect.provide(FakeBitpin.memory({ markets: 2 }))
    ))

  it.scoped("is asked for, and nobody is told of what came by itself meanwhile: Ramzinex's windows", () =>
    Effect.flatMap(FakeRamzinex.FakeRamzinex, (fake) => broughtAgain(ramzinex, fake)).pipe(
      Effect.provide(FakeRamzinex.memory({ markets: 2 }))
    ))

  it.scoped("is told where no history has it: BitPin's single rows, whose history is short", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.FakeBitpin
      fake.server.script.history = 1
      const now = yield* story(bitpin, fake)
      assert.deepStrictEqual(judged(now), { missing: 1, wrong: 0, untold: 0 })
      assert.deepStrictEqual(now.gaps(), ["undecoded 0 not filled"])
    }).pipe(Effect.provide(FakeBitpin.memory({ markets: 2, window: 1 }))))

  it.scoped("control: where the failure does not say of which market it is, it is missing untold", () =>
    Effect.gen(function*() {
      const now = yield* story(wallex, yield* FakeWallex.FakeWallex, false)
      assert.deepStrictEqual(judged(now), { missing: 1, wrong: 0, untold: 1 })
    }).pipe(Effect.provide(FakeWallex.memory({ markets: 2 }))))

  it.scoped("again and again, with others between, is one hole in half a minute, and all of it is filled", () =>
    Effect.gen(function*() {
      const now = yield* scene(wallex, yield* FakeWallex.FakeWallex)
      const { gaps, go, spoil, trade } = now
      yield* Effect.andThen(trade(1), go(3_000))
      yield* Effect.andThen(trade(1), go(3_000))
      for (let n = 0; n < 20; n++) yield* Effect.andThen(spoil(1), trade(1))
      yield* go(20_000)
      yield* trade(1)
      yield* go(60_000)
      assert.deepStrictEqual(judged(now), none)
      assert.deepStrictEqual(gaps(), ["undecoded 20 filled"])
    }).pipe(Effect.provide(FakeWallex.memory({ markets: 2 }))))

  it.scoped("just before the connection is lost lies within the hole of that", () =>
    Effect.gen(function*() {
      const fake = yield* FakeWallex.FakeWallex
      const now = yield* scene(wallex, fake)
      const { go, spoil, trade } = now
      yield* trade(3)
      yield* go(3_000)
      yield* spoil(1)
      yield* trade(1)
      fake.server.drop(1006)
      yield* go(20_000)
      yield* trade(3)
      yield* go(60_000)
      assert.deepStrictEqual(judged(now), none)
    }).pipe(Effect.provide(FakeWallex.memory({ markets: 2 }))))
})

describe("a hole of rows that could not be read", () => {
  const machineOptions: Holes.Options = {
    hold: 5_000,
    patience: 1_000,
    askAfter: 0,
    maxAge: Infinity,
    idPrefix: "gap:"
  }
  const [from, to] = [Spans.stampOfMs(1_000), Spans.stampOfMs(9_000)]

  /** A life that knows the trade `1`, and has handed over `2`, which came with the bad row, when it tells its machine of that. */
  const spoiled = (tag: "Spoiled" | "Doubted") => {
    const edge = { last: from, known: ["1", "2"], mark: null }
    const [, heard] = Holes.step(
      Holes.initial<number>(machineOptions),
      { _tag: "Subscribed", listener: 1, recovered: false, by: null, edge: { ...edge, last: null, known: [] } },
      Time.instant(0)
    )
    return Holes.step(heard, { _tag: tag, cause: "undecoded", edge, by: null }, Time.instant(2_000))
  }

  it("is in the next write of the checkpoint, though nothing waits behind it: trades behind its beginning were handed over", () => {
    const [commands, state] = spoiled("Spoiled")
    assert.deepStrictEqual(commands, [{ _tag: "Keep" }])
    assert.deepInclude(Holes.spansToKeep(state)[0], { cause: "undecoded", from, to: null, gapId: "gap:1" })
    // Without being kept it would be found by the last trade known, as one behind which nothing has come.
    assert.deepStrictEqual(Holes.spansToKeep(spoiled("Doubted")[1]), [])
  })

  it("is told under the name that the checkpoint has, before what comes behind it", () => {
    const trade: Holes.Fresh<number> = { id: "3", stamp: to, event: 3, numbers: undefined }
    const [, state] = spoiled("Spoiled")
    // Its time is over.
    const [persist, asked] = Holes.step(state, { _tag: "Arrived", trades: [trade] }, Time.instant(9_000))
    assert.deepStrictEqual(persist, [{ _tag: "Persist" }])
    const [told] = Holes.step(asked, { _tag: "Persisted", ok: true }, Time.instant(9_002))
    assert.deepInclude(told[0], { _tag: "Publish" })
    assert.deepStrictEqual(told.map((one) => one._tag === "Publish" ? one.gap.gapId : one._tag), [
      "gap:1",
      "Keep",
      "HandOver"
    ])
  })
})
