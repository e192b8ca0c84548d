/**
 * What a session brings late, behind another by some moments, and what is really new: of a hole nothing of before its cause makes an end, no book
 * goes back to what another session had brought before, and numbers that begin again hold nobody up.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Time from "../../../src/services/Time.ts"
import { ask, bid, epochMs, make, outcomes, tags, told } from "./OneMarket.ts"

type Market = ReturnType<typeof make>

/** `ms`: the exchange's time, since the beginning; left out: it gives none. */
const whole = (market: Market, price: string, how: {
  readonly listener?: number
  readonly sequence?: number
  readonly ms?: number
} = {}) =>
  market.part("whole", { ...bid(price), ...ask("9") }, {
    listener: how.listener ?? 0,
    ...how.sequence === undefined ? {} : { sequence: how.sequence },
    timestamp: how.ms === undefined ? null : epochMs + how.ms
  })

const spoil = (market: Market, listener = 0) => market.tell({ _tag: "Doubted", listener, cause: "undecoded" })

const answer = (market: Market, price: string, sentAt?: number) =>
  market.tell({
    _tag: "Answer",
    part: {
      part: "whole",
      ...bid(price),
      ...ask("9"),
      previous: undefined,
      sequence: undefined,
      timestamp: null
    },
    ...sentAt === undefined ? {} : { sentAt: Time.instant(sentAt) }
  })

/** Two sessions that hear a market whose parts are numbered within an epoch. */
const numbered = () => {
  const market = make({ interval: 0 })
  market.heard(0, "e1")
  market.heard(1, "e1")
  return market
}

describe("A hole that something unreadable left", () => {
  it("is not ended by another session's late copy of the picture before it, but by the next", () => {
    const market = numbered()
    whole(market, "1", { sequence: 10 })
    assert.deepStrictEqual(tags(spoil(market)), ["Gap"])
    const late = whole(market, "1", { sequence: 10, listener: 1 })
    assert.deepStrictEqual([outcomes(late), tags(late)], [["old"], []])
    assert.deepStrictEqual(tags(whole(market, "2", { sequence: 12, listener: 1 })), ["Gap", "Book"])
  })

  it("nor is one of a picture that crossed", () => {
    const market = numbered()
    whole(market, "1", { sequence: 10 })
    assert.deepStrictEqual(tags(whole(market, "9", { sequence: 11 })), ["Gap"])
    assert.deepStrictEqual(tags(whole(market, "1", { sequence: 10, listener: 1 })), [])
    assert.deepStrictEqual(tags(whole(market, "1", { sequence: 12, listener: 1 })), ["Gap", "Book"])
  })

  it("nor where the book was doubtful already when it came, and who could not read it is gone", () => {
    const market = numbered()
    whole(market, "1", { sequence: 10 })
    market.lost(1)
    assert.deepStrictEqual(tags(market.lost(0)), ["Gap"])
    market.heard(2, "e1")
    spoil(market, 2)
    market.lost(2)
    assert.deepStrictEqual(tags(market.heard(3, "e1", 10n)), [])
    assert.deepStrictEqual(tags(whole(market, "1", { sequence: 10, listener: 3 })), [])
    assert.deepStrictEqual(tags(whole(market, "2", { sequence: 12, listener: 3 })), ["Gap", "Book"])
  })

  it("where only times tell: by a later one", () => {
    const market = make({ interval: 0 })
    market.heard(0)
    market.heard(1)
    whole(market, "1", { ms: 500 })
    assert.deepStrictEqual(tags(spoil(market)), ["Gap"])
    for (const ms of [400, 500]) assert.deepStrictEqual(tags(whole(market, "1", { ms, listener: 1 })), [])
    assert.deepStrictEqual(tags(whole(market, "2", { ms: 501, listener: 1 })), ["Gap", "Book"])
  })

  it("where nothing tells: by who could not read it, or by another that has had time to come as far", () => {
    const hole = () => {
      const market = make({ interval: 0, canAsk: false })
      market.heard(0)
      market.heard(1)
      market.part("bids", bid("1"))
      market.part("asks", ask("9"))
      spoil(market)
      return market
    }
    const sides = (market: Market, listener: number) => [
      ...market.part("bids", bid("2"), { listener }),
      ...market.part("asks", ask("9"), { listener })
    ]
    const market = hole()
    assert.deepStrictEqual(tags(sides(market, 1)), [])
    assert.deepStrictEqual(tags(sides(market, 0)), ["Gap", "Book"])
    const other = hole()
    other.lost(0)
    assert.deepStrictEqual(tags(sides(other, 1)), [])
    other.pass(10_000)
    assert.deepStrictEqual(tags(other.part("bids", bid("2"), { listener: 1 })), ["Gap", "Book"])
  })

  it("is not ended by sides that were brought late, where a picture that was asked for stands before them", () => {
    const market = make({ interval: 0 })
    market.heard(0)
    market.heard(1)
    market.part("bids", bid("1"))
    market.part("asks", ask("9"))
    spoil(market)
    market.part("bids", bid("1"), { listener: 1 })
    market.part("asks", ask("9"), { listener: 1 })
    assert.deepStrictEqual(tags(market.pass(10_000)), ["Ask"])
    assert.deepStrictEqual(told(answer(market, "3")).map(({ bids }) => bids), [[["3", "1"]]])
  })

  it("is not ended by a picture from a cache that was made before it", () => {
    const market = make({ interval: 0 })
    market.heard(0)
    market.heard(1)
    whole(market, "1")
    market.pass(5_000)
    spoil(market)
    assert.deepStrictEqual(tags(market.pass(10_000)), ["Ask"])
    assert.deepStrictEqual(tags(answer(market, "1", 4_999)), [])
    assert.deepStrictEqual(tags(market.pass(30_000)), ["Ask"])
    assert.deepStrictEqual(tags(answer(market, "2", 45_000)), ["Gap", "Book"])
  })
})

describe("A session that is behind", () => {
  it("by some numbers, without times, has no numbers that began again: it is waited for", () => {
    const market = numbered()
    whole(market, "1", { sequence: 9 })
    whole(market, "1", { sequence: 9, listener: 1 })
    for (const sequence of [10, 11, 12]) whole(market, "1", { sequence })
    assert.deepStrictEqual(tags(market.lost(0)), ["Gap"])
    for (const sequence of [10, 11]) {
      const late = whole(market, "5", { sequence, listener: 1 })
      assert.deepStrictEqual([outcomes(late), tags(late)], [["old"], []])
    }
    const [book] = told(whole(market, "1", { sequence: 12, listener: 1 }))
    assert.strictEqual(book?.sequence, "e1_12")
  })

  it("is waited for too where it subscribed behind a lost connection", () => {
    const market = make({ interval: 0 })
    market.heard(0, "e1")
    whole(market, "1", { sequence: 12 })
    market.lost(0)
    market.heard(1, "e1")
    assert.deepStrictEqual(tags(whole(market, "5", { sequence: 11, listener: 1 })), [])
    assert.strictEqual(told(whole(market, "2", { sequence: 13, listener: 1 }))[0]?.sequence, "e1_13")
  })

  it("by its time, where there are no numbers, moves no book back", () => {
    const market = make({ interval: 0 })
    market.heard(0)
    whole(market, "1", { ms: 0 })
    whole(market, "2", { ms: 2_000 })
    // It came later, and leads where nobody can tell.
    market.heard(1)
    const late = whole(market, "1", { ms: 0, listener: 1 })
    assert.deepStrictEqual([outcomes(late), tags(late)], [["old"], []])
    assert.deepStrictEqual(tags(whole(market, "3", { ms: 4_000 })), ["Book"])
    // It has not come as far: what it brings next may be older.
    assert.deepStrictEqual(tags(market.lost(0)), ["Gap"])
    assert.deepStrictEqual(tags(whole(market, "2", { ms: 2_000, listener: 1 })), [])
    assert.deepStrictEqual(tags(whole(market, "3", { ms: 4_000, listener: 1 })), ["Gap", "Book"])
  })

  it("goes on for another that it has come as far as: no hole", () => {
    const market = make({ interval: 0 })
    market.heard(0)
    market.heard(1)
    whole(market, "1", { ms: 0 })
    assert.deepStrictEqual(outcomes(whole(market, "1", { ms: 0, listener: 1 })), ["old"])
    assert.deepStrictEqual(tags(market.lost(0)), [])
    assert.deepStrictEqual(tags(whole(market, "2", { ms: 1, listener: 1 })), ["Book"])
  })

  it("by the exchange's clock for long, that clock was set back", () => {
    const market = make({ interval: 0, canAsk: false })
    market.heard(0)
    whole(market, "1", { ms: 3_600_000 })
    market.lost(0)
    market.heard(1)
    assert.deepStrictEqual(tags(whole(market, "2", { ms: 0, listener: 1 })), [])
    market.pass(9_999)
    assert.deepStrictEqual(tags(whole(market, "2", { ms: 9_999, listener: 1 })), [])
    market.pass(1)
    assert.deepStrictEqual(tags(whole(market, "2", { ms: 10_000, listener: 1 })), ["Gap", "Book"])
    assert.deepStrictEqual(tags(whole(market, "3", { ms: 11_000, listener: 1 })), ["Book"])
  })
})

describe("Numbers that begin again on a living connection", () => {
  it("are known by the time of their own: no hole, and the time is put behind them", () => {
    const market = make({ interval: 0 })
    market.heard(0, "e1")
    whole(market, "1", { sequence: 100, ms: 0 })
    const [book] = told(whole(market, "2", { sequence: 1, ms: 5_000 }))
    assert.strictEqual(book?.sequence, "e1_1.1781182790")
    assert.strictEqual(told(whole(market, "3", { sequence: 2, ms: 6_000 }))[0]?.sequence, "e1_2.1781182790")
    assert.strictEqual(told(whole(market, "3.5", { sequence: 1, ms: 9_000 }))[0]?.sequence, "e1_1.1781182794")
  })

  it("are not taken for those of before that another session still brings", () => {
    const market = numbered()
    whole(market, "1", { sequence: 100, ms: 0 })
    whole(market, "1", { sequence: 100, ms: 0, listener: 1 })
    assert.strictEqual(told(whole(market, "2", { sequence: 1, ms: 5_000 }))[0]?.sequence, "e1_1.1781182790")
    const late = whole(market, "5", { sequence: 101, ms: 1_000, listener: 1 })
    assert.deepStrictEqual([outcomes(late), tags(late)], [["old"], []])
    // It is none that could go on, before it has come as far.
    assert.deepStrictEqual(tags(market.lost(0)), ["Gap"])
    assert.deepStrictEqual(tags(whole(market, "2", { sequence: 1, ms: 5_000, listener: 1 })), ["Gap", "Book"])
    assert.strictEqual(
      told(whole(market, "3", { sequence: 2, ms: 6_000, listener: 1 }))[0]?.sequence,
      "e1_2.1781182790"
    )
  })

  it("without a time are a hole, which a picture that is asked for ends", () => {
    const market = make({ interval: 0 })
    market.heard(0, "e1")
    whole(market, "1", { sequence: 100 })
    const [gap, ...others] = whole(market, "2", { sequence: 1 }).filter(({ _tag }) => _tag !== "Count")
    assert.deepStrictEqual(others, [])
    assert.deepInclude(gap, { _tag: "Gap", cause: "sequence", complete: false })
    assert.deepStrictEqual(tags(market.pass(10_000)), ["Ask"])
    assert.deepStrictEqual(told(answer(market, "3")).map(({ bids }) => bids), [[["3", "1"]]])
    // From then on they count.
    const [book] = told(whole(market, "4", { sequence: 2 }))
    assert.deepStrictEqual(book?.bids, [["4", "1"]])
    assert.match(book?.sequence ?? "", /^k3f9/)
  })

  it("without a time are believed when nothing else has come for ten seconds", () => {
    const market = make({ interval: 0, canAsk: false })
    market.heard(0, "e1")
    whole(market, "1", { sequence: 100 })
    assert.deepStrictEqual(tags(whole(market, "2", { sequence: 1 })), ["Gap"])
    market.pass(9_999)
    assert.deepStrictEqual(tags(whole(market, "2", { sequence: 2 })), [])
    market.pass(1)
    const said = whole(market, "3", { sequence: 3 })
    assert.deepStrictEqual(tags(said), ["Gap", "Book"])
    assert.match(told(said)[0]?.sequence ?? "", /^k3f9/)
    assert.deepStrictEqual(tags(whole(market, "4", { sequence: 4 })), ["Book"])
  })

  it("without a time: one that only came twice ends its own hole with the next", () => {
    const market = make({ interval: 0 })
    market.heard(0, "e1")
    for (const sequence of [10, 11]) whole(market, "1", { sequence })
    assert.deepStrictEqual(tags(whole(market, "1", { sequence: 10 })), ["Gap"])
    const said = whole(market, "2", { sequence: 12 })
    assert.deepStrictEqual(tags(said), ["Gap", "Book"])
    assert.strictEqual(told(said)[0]?.sequence, "e1_12")
  })

  it("where they count for ever: a hole, and the picture that is asked for says that they began again", () => {
    const market = make({ interval: 0, hasOwnNumbers: true })
    market.heard(0)
    whole(market, "1", { sequence: 100 })
    assert.deepStrictEqual(tags(whole(market, "2", { sequence: 1 })), ["Gap"])
    market.pass(5_000)
    assert.deepStrictEqual(tags(whole(market, "2", { sequence: 2 })), [])
    assert.deepStrictEqual(tags(market.pass(5_000)), ["Ask"])
    const part = {
      part: "whole",
      ...bid("3"),
      ...ask("9"),
      previous: undefined,
      sequence: 3n,
      timestamp: null
    } as const
    assert.deepStrictEqual(tags(market.tell({ _tag: "Answer", part })), ["Gap", "Book"])
    assert.deepStrictEqual(told(whole(market, "4", { sequence: 4 })).map(({ bids }) => bids), [[["4", "1"]]])
  })
})
