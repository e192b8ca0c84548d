import { assert, describe, it } from "@effect/vitest"
import * as Time from "../../../src/services/Time.ts"
import * as Spans from "../../../src/streams/trades/Holes/Spans.ts"

const at = (text: string) => Spans.parsed(`2026-06-11T12:59:45.${text}Z`)

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
