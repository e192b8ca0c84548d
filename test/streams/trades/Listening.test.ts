/** Who hears a market, step by step, and the spans that come of it. */
import { assert, describe, it } from "@effect/vitest"
import * as Time from "../../../src/services/Time.ts"
import * as Holes from "../../../src/streams/trades/Holes.ts"
import * as Spans from "../../../src/streams/trades/Spans.ts"

const second = (n: number): Time.Instant => Time.instant(n * 1000)
const day = Date.parse("2026-06-11T00:00:00Z")
const stamp = (n: number): Holes.Stamp => Spans.stampOfMs(day + n * 1000)
const secondOf = (at: Holes.Stamp | null): number | null => at === null ? null : (at.ms - day) / 1000

const options: Holes.Options = { hold: 5_000, patience: 1_000, askAfter: 0, maxAge: Infinity, idPrefix: "gap:" }

/** A market of ids that has traded at second 10 and is heard by listener 1. */
const heard = () => {
  let state = Holes.initial<number>(options)
  let last = 10
  const told: Array<Holes.Command<number>> = []
  const edge = (): Holes.Edge => ({ last: stamp(last), known: [String(last)] })
  const step = (n: number, input: Holes.Input<number>) => {
    const [commands, next] = Holes.step(state, input, second(n))
    state = next
    told.push(...commands)
  }
  const market = {
    subscribed: (n: number, listener: number, by: number | null = null) =>
      step(n, { _tag: "Subscribed", listener, recovered: false, by: by === null ? null : stamp(by), edge: edge() }),
    lost: (n: number, id: number, brought: number | null = n) =>
      step(n, {
        _tag: "Lost",
        cause: "disconnected",
        edge: edge(),
        listener: { id, aliveAt: second(n), broughtAt: brought === null ? null : second(brought) }
      }),
    doubted: (n: number) => step(n, { _tag: "Doubted", cause: "stale", edge: edge(), by: null }),
    trade: (n: number, at: number | null = n) => {
      step(n, { _tag: "Arrived", trades: [{ id: String(n), stamp: at === null ? null : stamp(at), event: n }] })
      last = Math.max(last, at ?? last)
    },
    step,
    spans: () =>
      Holes.spans(state).map((
        { from, to, until }
      ) => [secondOf(from), secondOf(to), until === null ? "unheard" : "heard"]),
    askAt: () => Holes.askAt(state),
    told
  }
  // The first subscription of a market that nobody knew.
  market.step(10, { _tag: "Subscribed", listener: 1, recovered: false, by: null, edge: { last: null, known: [] } })
  return market
}

describe("what comes while nobody is subscribed", () => {
  it("a market that speaks before it is subscribed to again is not heard: what follows belongs to a hole", () => {
    const market = heard()
    market.lost(20, 1)
    market.doubted(21)
    market.trade(21)
    // Its subscription came to nothing, and a later one did not.
    market.subscribed(40, 1)
    assert.deepStrictEqual(market.spans(), [[10, 21, "heard"], [21, null, "heard"]])
    assert.deepStrictEqual(market.askAt(), second(40))
  })

  it("a hole that such a trade ended is asked for once the market is heard", () => {
    const market = heard()
    market.lost(20, 1)
    market.trade(21)
    assert.deepStrictEqual(market.spans(), [[10, 21, "unheard"]])
    assert.isUndefined(market.askAt())
    market.subscribed(22, 2)
    assert.deepStrictEqual(market.spans().map(([, , how]) => how), ["heard", "heard"])
    assert.deepStrictEqual(market.askAt(), second(22))
  })
})

describe("the end of a hole", () => {
  it("by trades that are older than its beginning, or have no time: where the market was heard again", () => {
    for (const at of [9, null]) {
      const market = heard()
      market.lost(20, 1)
      market.subscribed(30, 2, 30)
      market.trade(31, at)
      assert.deepStrictEqual(market.spans(), [[10, 30, "heard"]])
    }
  })

  it("by the same where nobody knows when that was: not known", () => {
    const market = heard()
    market.lost(20, 1)
    market.subscribed(30, 2)
    market.trade(31, 9)
    assert.deepStrictEqual(market.spans(), [[10, null, "heard"]])
  })
})

describe("an answer that was made before the trade which ends the hole", () => {
  /** Lost at 20, heard again at 30 and asked then; the answer comes at 31 and has what was traded at `seconds`. */
  const asked = (...seconds: ReadonlyArray<number>) => {
    const market = heard()
    market.lost(20, 1)
    market.subscribed(30, 2)
    market.step(30, { _tag: "Asked" })
    market.trade(30.5)
    const answer = (sentAt: number, ...seconds: ReadonlyArray<number>) =>
      market.step(sentAt + 1, {
        _tag: "Answered",
        answer: {
          rows: seconds.map((n) => ({
            id: String(n),
            price: "1",
            amount: "1",
            side: "buy",
            timestamp: stamp(n).ms
          })),
          oldest: stamp(seconds[0] ?? 0),
          sound: true,
          sentAt: second(sentAt),
          date: null,
          since: null
        },
        fresh: []
      })
    answer(30, ...seconds)
    return { ...market, answer }
  }
  const told = (market: ReturnType<typeof asked>) => market.told.filter(({ _tag }) => _tag === "Publish")

  it("the history is asked once more while its trades may wait, and nothing is told", () => {
    const market = asked(10)
    assert.deepStrictEqual(market.askAt(), second(33))
    market.step(33, { _tag: "Asked" })
    market.answer(33, 10, 30.5)
    assert.deepStrictEqual(market.spans(), [])
    assert.deepStrictEqual(told(market), [])
  })

  it("of a market that vanished the history is asked once", () => {
    const market = asked(10)
    market.step(32, { _tag: "Vanished" })
    market.step(32, { _tag: "Asked" })
    market.answer(32, 10)
    assert.isUndefined(market.askAt())
  })

  it("a history that stays behind is asked three times so soon, then after half a minute as every other", () => {
    const market = asked(10)
    const gone = [33, 36, 39].map((n) => {
      market.step(n, { _tag: "Tick" })
      market.step(n, { _tag: "Asked" })
      market.answer(n, 10)
      return Time.between(second(n + 1), market.askAt() ?? Time.never)
    })
    assert.deepStrictEqual(gone, [2_000, 2_000, 30_000])
    assert.lengthOf(told(market), 1)
  })
})

describe("of two listeners the elder goes", () => {
  it("and had brought what the younger did: nothing is missing", () => {
    const market = heard()
    market.subscribed(20, 2)
    market.step(21, { _tag: "Passed", trades: [{ id: "21", stamp: stamp(21) }] })
    market.lost(22, 1, 21)
    assert.deepStrictEqual(market.spans(), [])
  })

  it("and had brought other markets only, and pings: it may have been deaf before", () => {
    const market = heard()
    market.subscribed(20, 2)
    market.step(21, { _tag: "Passed", trades: [{ id: "21", stamp: stamp(21) }] })
    market.lost(22, 1, 10)
    assert.deepStrictEqual(market.spans(), [[10, 21, "heard"]])
  })
})

describe("a hole that an earlier life has filled, behind one that is open", () => {
  const found = {
    cause: "restart",
    by: null,
    until: Time.never,
    gapId: "gap:0",
    recovered: 1,
    lastTrade: null
  } as const
  const taken: Holes.Input<number> = {
    _tag: "TakenOver",
    known: [],
    spans: [
      { ...found, from: stamp(1), to: stamp(2), outcome: "open" },
      { ...found, gapId: "gap:1", from: stamp(3), to: stamp(4), outcome: "filled" }
    ]
  }
  it("stays filled, whatever becomes of the other", () => {
    const market = heard()
    market.step(20, taken)
    market.step(21, { _tag: "Asked" })
    market.step(22, { _tag: "Unanswered", isUnknown: true })
    assert.deepStrictEqual(
      market.told.flatMap((command) => command._tag === "Publish" ? [[command.gap.gapId, command.gap.complete]] : []),
      [["gap:0", false], ["gap:1", true]]
    )
  })
})
