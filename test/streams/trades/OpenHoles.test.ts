import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Time from "../../../src/services/Time.ts"
import type * as Channel from "../../../src/streams/Channel.ts"
import type { TradeRow } from "../../../src/streams/Exchange.ts"
import * as Holes from "../../../src/streams/trades/Holes.ts"
import * as View from "../../../src/streams/trades/OpenHoles.ts"
import * as Spans from "../../../src/streams/trades/Spans.ts"

const second = (n: number): Time.Instant => Time.instant(n * 1000)
const day = Date.parse("2026-06-11T00:00:00Z")
const text = (n: number): string => new Date(day + n * 1000).toISOString()
const stamp = (n: number): Holes.Stamp => Spans.stampOfMs(day + n * 1000)
const row = (n: number): TradeRow => ({
  id: String(n),
  price: "1",
  amount: "1",
  side: "buy",
  timestamp: day + n * 1000
})

const options: Holes.Options = { hold: 5_000, patience: 1_000, askAfter: 3_200, maxAge: Infinity, idPrefix: "gap:" }

/** A market's machine, stepped at seconds of the monotonic clock. */
const machine = (over: Partial<Holes.Options> = {}) => {
  let state = Holes.initial<number>({ ...options, ...over })
  const at = (n: number, ...inputs: ReadonlyArray<Holes.Input<number>>) =>
    inputs.flatMap((input) => {
      const [commands, next] = Holes.step(state, input, second(n))
      state = next
      return commands
    })
  const seen = (n: number) => View.open("BTC/IRT", state, second(n))
  return { at, seen, awaits: (n: number) => seen(n).map(({ awaits }) => awaits), state: () => state }
}

const lost = (last: number, cause: Channel.Cause = "disconnected"): Holes.Input<number> => ({
  _tag: "Lost",
  cause,
  listener: { id: 1, aliveAt: second(0), broughtAt: null },
  edge: { last: stamp(last), known: [String(last)] }
})
const subscribed = {
  _tag: "Subscribed",
  listener: 1,
  recovered: false,
  by: null,
  edge: { last: null, known: [] }
} as const satisfies Holes.Input<number>
const arrived = (...ns: ReadonlyArray<number>): Holes.Input<number> => ({
  _tag: "Arrived",
  trades: ns.map((n) => ({ id: String(n), stamp: stamp(n), event: n }))
})
const tick: Holes.Input<number> = { _tag: "Tick" }
const persisted = (ok: boolean): Holes.Input<number> => ({ _tag: "Persisted", ok })
const asked: Holes.Input<number> = { _tag: "Asked" }
const answered = (sentAt: number, ...ns: ReadonlyArray<number>): Holes.Input<number> => ({
  _tag: "Answered",
  answer: {
    rows: ns.map(row),
    oldest: ns[0] === undefined ? null : stamp(ns[0]),
    sound: true,
    sentAt: second(sentAt),
    date: null,
    since: null
  },
  fresh: []
})
const unanswered: Holes.Input<number> = { _tag: "Unanswered", isUnknown: false }

describe("an open hole", () => {
  it("there is none in a market that is heard", () => {
    const market = machine()
    assert.deepStrictEqual(market.seen(1), [])
    market.at(1, lost(0), { ...subscribed, recovered: true })
    assert.deepStrictEqual(market.seen(2), [])
  })

  it("says what it waits for on its way: a connection, its history, its write, an answer", () => {
    const market = machine()
    market.at(1, lost(0))
    assert.deepStrictEqual(market.seen(4), [{
      symbol: "BTC/IRT",
      cause: "disconnected",
      from: text(0),
      to: null,
      gapId: null,
      recovered: 0,
      published: false,
      waiting: 0,
      ageMs: 3_000,
      awaits: "a connection that hears the market"
    }])
    market.at(10, subscribed)
    assert.deepStrictEqual(market.awaits(10), ["its history: to be asked in 4 s"])
    assert.deepStrictEqual(market.awaits(13.3), ["its history: to be asked in its turn"])
    market.at(11, arrived(11, 12))
    market.at(14, asked)
    assert.deepInclude(market.seen(14)[0], { to: text(11), waiting: 2, awaits: "its history: asked now" })
    market.at(15, tick)
    assert.deepInclude(market.seen(15)[0], { published: false, awaits: "its write to the checkpoint" })
    market.at(15, persisted(true))
    assert.deepInclude(market.seen(15)[0], {
      published: true,
      gapId: "gap:1",
      waiting: 0,
      ageMs: 14_000,
      awaits: "its history: asked now"
    })
    market.at(20, unanswered)
    assert.deepStrictEqual(market.awaits(20), ["its history: to be asked in 30 s"])
    market.at(50, asked, answered(50, 0, 11))
    assert.deepStrictEqual(market.seen(50), [])
  })

  it("one that cannot be written is told all the same, and waits for its history", () => {
    const market = machine({ hold: 0 })
    market.at(1, lost(0))
    market.at(2, subscribed, arrived(2))
    assert.deepStrictEqual(market.awaits(2), ["its write to the checkpoint"])
    market.at(2, persisted(false))
    assert.deepInclude(market.seen(2)[0], { published: true, awaits: "its history: to be asked in 4 s" })
  })

  it("each has its own age and counts what waits behind it, whatever else is open", () => {
    const market = machine()
    market.at(0, lost(0))
    market.at(10, subscribed, arrived(10))
    market.at(15, tick, persisted(true), { _tag: "Handed" })
    market.at(100, lost(90))
    market.at(101, subscribed, arrived(101, 102))
    market.at(102, lost(102))
    const seen = market.seen(103)
    assert.deepStrictEqual(
      seen.map(({ ageMs, from, published, waiting }) => ({ from, published, waiting, ageMs })),
      [
        { from: text(0), published: true, waiting: 0, ageMs: 103_000 },
        { from: text(90), published: false, waiting: 2, ageMs: 3_000 },
        { from: text(102), published: false, waiting: 0, ageMs: 1_000 }
      ]
    )
    // The old one is filled: the others are no older for it.
    market.at(104, asked, answered(104, 0, 10))
    assert.deepStrictEqual(market.seen(104).map(({ ageMs }) => ageMs), [4_000, 2_000])
    assert.deepStrictEqual(market.awaits(104)[1], "a connection that hears the market")
  })

  it("one that an answer has filled behind one that is open waits for it", () => {
    const market = machine()
    market.at(0, lost(0))
    market.at(1, subscribed, arrived(10))
    market.at(1.5, lost(10))
    market.at(2, subscribed, arrived(20))
    market.at(4, asked, answered(4, 10, 20))
    const [first, second] = market.seen(4)
    assert.deepStrictEqual([first?.awaits, second?.awaits], [
      "its write to the checkpoint",
      "an older hole of this market"
    ])
  })

  it("one of an earlier life keeps its gapId, and its trades wait until this life has told it", () => {
    const market = machine()
    market.at(7, {
      _tag: "TakenOver",
      spans: [{
        cause: "disconnected",
        from: stamp(0),
        to: stamp(1),
        by: null,
        until: Time.never,
        gapId: "gap:of:before",
        recovered: 3,
        lastTrade: null,
        outcome: "open"
      }],
      known: []
    })
    assert.deepInclude(market.seen(8)[0], { gapId: "gap:of:before", published: false, recovered: 3, ageMs: 1_000 })
  })

  it("of a market that is gone nothing more is asked", () => {
    const market = machine()
    market.at(0, lost(0), { _tag: "Vanished" })
    assert.deepStrictEqual(market.awaits(0), ["its history: to be asked in its turn"])
    market.at(1, asked, unanswered)
    assert.deepStrictEqual(market.awaits(1), ["its write to the checkpoint"])
    market.at(1, persisted(true))
    assert.deepStrictEqual(market.awaits(1), ["nothing: its market is gone; it is given up when it is too old"])
  })

  // Any order of what may happen.
  const inputs = fc.array(
    fc.oneof(
      fc.nat(30).map((n) => lost(n)),
      fc.constant(subscribed),
      fc.nat(30).map((n) => arrived(n)),
      fc.constantFrom(tick, asked, unanswered, persisted(true), persisted(false), { _tag: "Handed" } as const),
      fc.nat(30).map((n) => answered(n, 0, n)),
      fc.constant<Holes.Input<number>>({ _tag: "Vanished" })
    ),
    { maxLength: 40 }
  )

  it("all of them are there, in order, with all that waits, and none is younger than nothing", () => {
    fc.assert(fc.property(inputs, (story) => {
      const market = machine()
      story.forEach((input, i) => market.at(i, input))
      const seen = market.seen(story.length)
      const spans = Holes.spans(market.state())
      assert.deepStrictEqual(seen.map(({ from }) => from), spans.map(({ from }) => from?.text ?? null))
      assert.strictEqual(
        seen.find(({ published }) => !published)?.waiting ?? 0,
        seen.some(({ published }) => !published) ? Holes.waiting(market.state()) : 0
      )
      for (const { ageMs, awaits } of seen) {
        assert.isAtLeast(ageMs, 0)
        assert.isNotEmpty(awaits)
      }
    }))
  })
})

describe("a market that is gone", () => {
  it("keeps its holes for a day where BACKFILL_MAX_AGE sets no bound, a market that is heard for ever", () => {
    const gone = machine()
    gone.at(0, lost(0), { _tag: "Vanished" }, asked, unanswered, persisted(true))
    gone.at(1, { _tag: "Aged", exchangeNow: day + 86_400_000 })
    assert.lengthOf(gone.seen(1), 1)
    const told = gone.at(2, { _tag: "Aged", exchangeNow: day + 86_400_001 })
    assert.deepStrictEqual(told.map(({ _tag }) => _tag), ["Publish", "Close"])
    assert.deepStrictEqual(gone.seen(2), [])

    const heard = machine()
    heard.at(0, lost(0), subscribed, arrived(10))
    heard.at(5, tick, persisted(true))
    heard.at(6, { _tag: "Aged", exchangeNow: day + 10 * 365 * 86_400_000 })
    assert.lengthOf(heard.seen(6), 1)
  })
})
