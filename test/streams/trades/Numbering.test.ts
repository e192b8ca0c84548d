/** Numbers that are missing on a living connection: what opens, what is asked and told, and when. */
import { assert, describe, it } from "@effect/vitest"
import * as Time from "../../../src/services/Time.ts"
import type { TradeRow } from "../../../src/streams/Exchange.ts"
import * as Holes from "../../../src/streams/trades/Holes.ts"
import * as Numbers from "../../../src/streams/trades/Numbers.ts"
import * as Spans from "../../../src/streams/trades/Spans.ts"

const second = (n: number): Time.Instant => Time.instant(n * 1_000)
const day = Date.parse("2026-06-11T00:00:00Z")
const stamp = (n: number): Holes.Stamp => Spans.stampOfMs(day + n * 1_000)

const row = (n: number, first?: number): TradeRow => ({
  id: String(n),
  first: first === undefined ? undefined : String(first),
  price: "1",
  amount: "1",
  side: "buy",
  timestamp: day + n * 1_000
})

const trade = (n: number, first?: number): Holes.Fresh<number> => ({
  id: String(n),
  stamp: stamp(n),
  event: n,
  numbers: Numbers.rangeOf(row(n, first))
})

const options: Holes.Options = {
  hold: 5_000,
  patience: 1_000,
  askAfter: 0,
  maxAge: Infinity,
  tradeIds: "consecutive",
  pages: { size: 100, holds: "newest" },
  idPrefix: "gap:"
}

/** A market that is heard since trade 10, and its machine. */
const machine = (over: Partial<Holes.Options> = {}) => {
  let state = Holes.initial<number>({ ...options, ...over })
  const at = (n: number, ...inputs: ReadonlyArray<Holes.Input<number>>) =>
    inputs.flatMap((input) => {
      const [commands, next] = Holes.step(state, input, second(n))
      state = commands.some(({ _tag }) => _tag === "Publish" || _tag === "HandOver")
        ? Holes.step(next, { _tag: "Handed" }, second(n))[1]
        : next
      return commands.flatMap((command): ReadonlyArray<string> => {
        if (command._tag === "Publish") {
          const { complete, from, gapId, recovered, to } = command.gap
          const edge = (stamp: typeof from) => stamp === null ? "?" : (stamp.ms - day) / 1_000
          return [`${gapId} ${edge(from)}..${edge(to)} ${complete ? "filled" : "not filled"} ${recovered}`]
        }
        if (command._tag === "HandOver") return [command.events.join(" ")]
        return [command._tag]
      })
    })
  const answer = (n: number, ...rows: ReadonlyArray<TradeRow>) => {
    const asked = Holes.question(state)
    const first = rows[0]
    const answer: Holes.Answer = {
      rows,
      oldest: first === undefined ? null : Spans.stampOf(first),
      sound: true,
      sentAt: second(n),
      date: null,
      since: null,
      asked
    }
    at(n, { _tag: "Asked" })
    const fresh = Holes.candidates(state, answer).map((row) =>
      trade(Number(row.id), row.first === undefined ? undefined : Number(row.first))
    )
    return at(n, { _tag: "Answered", answer, fresh })
  }
  const edge = { last: stamp(10), known: [], mark: { id: 10n, stamp: stamp(10) } }
  at(10, { _tag: "Subscribed", listener: 1, recovered: true, by: null, edge })
  return {
    at,
    answer,
    passed: (n: number, ...trades: ReadonlyArray<Holes.Fresh<number>>) => {
      assert.isFalse(Holes.mustWait(state), "trades wait")
      return at(n, { _tag: "Passed", trades })
    },
    tick: (n: number) => at(n, { _tag: "Tick" }),
    askAt: () => {
      const at = Holes.askAt(state)
      return at === undefined ? undefined : Time.between(second(0), at) / 1_000
    },
    wakeAt: () => {
      const at = Holes.wakeAt(state)
      return at === undefined ? undefined : Time.between(second(0), at) / 1_000
    },
    open: () => Holes.spansToKeep(state).map(({ after, before }) => `${after?.id}..${before}`)
  }
}

describe("a number that is missing on a living connection", () => {
  it("none is, and nobody is asked", () => {
    const market = machine()
    assert.deepStrictEqual(market.passed(11, trade(11), trade(12)), [])
    assert.deepStrictEqual(market.passed(13, trade(13)), [])
    assert.isUndefined(market.askAt())
  })

  it("holds nothing up; the history is asked after a second, and what it brings is handed over", () => {
    const market = machine()
    assert.deepStrictEqual(market.passed(13, trade(13)), ["Keep"])
    assert.deepStrictEqual(market.open(), ["10..13"])
    assert.strictEqual(market.askAt(), 14)
    assert.deepStrictEqual(market.passed(13.5, trade(14)), [])
    assert.deepStrictEqual(market.answer(14, row(10), row(11), row(12), row(13)), [
      "11 12",
      "gap:1 10..13 filled 2",
      "Close"
    ])
    assert.deepStrictEqual(market.open(), [])
    assert.isUndefined(market.askAt())
  })

  it("did not happen if an answer with a later one does not have it: nobody is told", () => {
    const market = machine()
    market.passed(12, trade(12))
    assert.deepStrictEqual(market.answer(13, row(9), row(10), row(12)), ["Close"])
    assert.isUndefined(market.wakeAt())
  })

  it("may have happened after an answer that is empty or ends below: asked again, told after 30 s, kept open", () => {
    const market = machine()
    market.passed(12, trade(12))
    assert.deepStrictEqual(market.answer(13), [])
    assert.strictEqual(market.askAt(), 43)
    assert.strictEqual(market.wakeAt(), 42)
    assert.deepStrictEqual(market.tick(41.9), [])
    assert.deepStrictEqual(market.tick(42), ["gap:1 10..12 not filled 0"])
    assert.isUndefined(market.wakeAt())
    assert.deepStrictEqual(market.answer(43, row(9), row(10)), [])
    assert.deepStrictEqual(market.open(), ["10..12"])
    assert.deepStrictEqual(market.answer(50, row(10), row(11), row(12)), ["11", "gap:1 10..12 filled 1", "Close"])
  })

  it("several that one answer has are settled by it", () => {
    const market = machine()
    market.passed(12, trade(12), trade(14))
    market.passed(17, trade(17))
    assert.deepStrictEqual(market.open(), ["10..12", "12..14", "14..17"])
    market.answer(18, ...[10, 11, 12, 13, 14, 16, 17].map((n) => row(n)))
    assert.deepStrictEqual(market.open(), [])
  })

  it("comes late by itself: asked for no more, and nobody is told", () => {
    const market = machine()
    market.passed(14, trade(14))
    assert.deepStrictEqual(market.passed(14.1, trade(12)), ["Keep"])
    assert.deepStrictEqual(market.open(), ["10..12", "12..14"])
    assert.deepStrictEqual(market.passed(14.2, trade(11)), ["Close", "Keep"])
    assert.deepStrictEqual(market.open(), ["12..14"])
    assert.deepStrictEqual(market.passed(14.3, trade(13)), ["Close", "Keep"])
    assert.isUndefined(market.askAt())
  })

  it("comes late, when it was told: it is told as filled", () => {
    const market = machine()
    market.passed(12, trade(12))
    market.tick(42)
    assert.deepStrictEqual(market.passed(43, trade(11)), ["gap:1 10..12 filled 0", "Close", "Keep"])
  })

  it("shows behind a lost connection by the first number: the next one says that there was nothing", () => {
    const edge = (n: number) => ({ last: stamp(n), known: [], mark: { id: BigInt(n), stamp: stamp(n) } })
    const again = (first: number) => {
      const market = machine()
      market.at(11, { _tag: "Lost", cause: "disconnected", listener: null, edge: edge(10) })
      market.at(12, { _tag: "Subscribed", listener: 2, recovered: false, by: null, edge: edge(10) })
      return { said: market.at(13, { _tag: "Arrived", trades: [trade(first), trade(first + 2)] }), market }
    }
    const next = again(11)
    assert.deepStrictEqual(next.said, ["Keep", "Close", "11 13"])
    assert.deepStrictEqual(next.market.open(), ["11..13"])
    const missing = again(12)
    // The trades wait for it, but not for the number that is missing behind it.
    assert.deepStrictEqual(missing.said, ["Keep"])
    assert.deepStrictEqual(missing.market.answer(13, row(10), row(11), row(12)), [
      "11",
      "gap:2 10..12 filled 1",
      "Close",
      "12 14"
    ])
  })

  it("an answer that does not have what is known says nothing of what came after it", () => {
    const market = machine()
    const edge = { last: stamp(10), known: [], mark: { id: 10n, stamp: stamp(10) } }
    market.at(11, { _tag: "Lost", cause: "disconnected", listener: null, edge })
    market.at(12, { _tag: "Subscribed", listener: 2, recovered: false, by: null, edge })
    assert.deepStrictEqual(market.answer(13, row(8), row(9)), [])
    assert.isDefined(market.askAt())
    assert.deepStrictEqual(market.answer(20, row(9), row(10)), ["Close"])
  })

  it("is none where numbers only increase", () => {
    const market = machine({ tradeIds: "increasing", pages: undefined })
    assert.deepStrictEqual(market.passed(13, trade(13)), [])
    assert.deepStrictEqual(market.open(), [])
  })
})

describe("a row that stands for several numbers", () => {
  it("has them all: its first follows, its last is the highest", () => {
    const market = machine({ tradeIds: "grouped" })
    assert.deepStrictEqual(market.passed(13, trade(13, 11)), [])
    assert.deepStrictEqual(market.passed(14, trade(14)), [])
    assert.deepStrictEqual(market.passed(18, trade(18, 17)), ["Keep"])
    assert.deepStrictEqual(market.open(), ["14..17"])
  })

  it("single rows of a history that lie within one that is known are copies", () => {
    const market = machine({ tradeIds: "grouped" })
    market.passed(13, trade(13, 11))
    market.passed(18, trade(18, 17))
    assert.deepStrictEqual(market.answer(19, ...[11, 12, 13, 14, 15, 16, 17, 18].map((n) => row(n))), [
      "14 15 16",
      "gap:1 13..18 filled 3",
      "Close"
    ])
  })

  it("one of a history fills all that it stands for", () => {
    const market = machine({ tradeIds: "grouped" })
    market.passed(14, trade(14))
    assert.deepStrictEqual(market.answer(15, row(10), row(13, 11), row(14)), ["13", "gap:1 10..14 filled 1", "Close"])
  })
})
