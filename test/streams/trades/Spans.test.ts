import { assert, describe, it } from "@effect/vitest"
import * as Time from "../../../src/services/Time.ts"
import type { TradeRow } from "../../../src/streams/Exchange.ts"
import * as Spans from "../../../src/streams/trades/Spans.ts"

/** A time within one millisecond, by its six decimals. */
const at = (decimals: string): Spans.Stamp => Spans.parsed(`2026-06-11T12:59:45.${decimals}Z`)
const row = (decimals: string): TradeRow => {
  const { ms, text } = at(decimals)
  return { id: decimals, price: "1", amount: "1", side: "buy", timestamp: ms, time: text }
}
const span = (from: Spans.Stamp): Spans.Span => Spans.make("disconnected", from, Time.instant(0))

describe("Spans: times within one millisecond", () => {
  it("a span does not end before it begins, wherever its end comes from", () => {
    const from = at("263627")
    assert.deepInclude(Spans.gapOf({ ...span(from), by: Spans.stampOfMs(from.ms) }, false, "gap"), { from, to: from })
    const trades = ["263100", "263700"].map((decimals) => ({ id: decimals, stamp: at(decimals) }))
    assert.deepStrictEqual(Spans.endedBy(span(from), trades).to, at("263700"))
  })

  it("an answer that ends before the first trade behind a span does not cover it", () => {
    const ended = { ...span(at("100000")), to: at("263700") }
    assert.isFalse(Spans.isEndCovered(ended, [row("100000"), row("263627")], null))
    assert.isTrue(Spans.isEndCovered(ended, [row("100000"), row("263627"), row("263700")], null))
  })

  it("an answer that begins behind a span does not widen it", () => {
    const ended = { ...span(at("100000")), to: at("263100") }
    assert.deepStrictEqual(Spans.narrowed(ended, at("263700")).to, at("263100"))
    assert.deepStrictEqual(Spans.narrowed(ended, at("263050")).to, at("263050"))
  })

  it("one time in three and in six digits is one time", () => {
    assert.isFalse(Spans.isBefore(at("263"), at("263000")))
    assert.isFalse(Spans.isBefore(at("263000"), at("263")))
  })
})

describe("narrowed", () => {
  const span = { ...Spans.make("disconnected", at("000001"), Time.instant(0)), to: at("263002") }

  it("ends where the answer begins", () => {
    assert.deepStrictEqual(Spans.narrowed(span, at("100")).to, at("100"))
    assert.deepStrictEqual(Spans.narrowed(span, at("263001")).to, at("263001"))
  })

  it("is never widened by a row that is later within the same millisecond", () => {
    assert.deepStrictEqual(Spans.narrowed(span, at("263003")), span)
  })
})
