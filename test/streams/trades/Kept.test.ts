/** What a life takes over from an earlier one, where trades have numbers. */
import { assert, describe, it } from "@effect/vitest"
import type { Hole, MarketMemory } from "../../../src/services/Checkpoint.ts"
import * as Time from "../../../src/services/Time.ts"
import { spansOf, toHole } from "../../../src/streams/trades/Backfill/Kept.ts"
import * as Spans from "../../../src/streams/trades/Spans.ts"

const day = Date.parse("2026-06-11T00:00:00Z")
const stamp = (n: number) => Spans.stampOfMs(day + n * 1_000)
const prefix = "madeup:BTC/IRT:t:"

const hole = (after: number, before: number | undefined): Hole => ({
  cause: "disconnected",
  gapId: `gap:${after}`,
  from: stamp(after).text,
  to: before === undefined ? null : stamp(before).text,
  recovered: 0,
  over: null,
  after: { id: String(after), time: stamp(after).text },
  ...before === undefined ? {} : { before: String(before) }
})

const left = (ids: ReadonlyArray<number>, ...holes: ReadonlyArray<Hole>) => {
  const last = Math.max(...ids)
  const memory: MarketMemory = {
    ids: ids.map((n) => prefix + n),
    times: ids.map((n) => stamp(n).ms),
    lastTimestamp: stamp(last).text,
    holes
  }
  return spansOf(memory, { last: stamp(last), mark: { id: BigInt(last), stamp: stamp(last) } }, "consecutive", prefix)
    .map((
      { after, before, cause, from, to }
    ) =>
      `${cause} ${after?.id}..${before} (${from === null ? "?" : (from.ms - day) / 1_000}..${
        to === null ? "?" : (to.ms - day) / 1_000
      })`
    )
}

describe("what is taken over", () => {
  // The checkpoint has whole milliseconds: the end is the next one.
  it("a number that is missing among the newest is a hole, though it was not written down", () => {
    assert.deepStrictEqual(left([7, 8, 11, 12]), ["sequence 8..11 (8..11.001)"])
    assert.deepStrictEqual(left([12, 11, 8, 7, 10, 9]), [])
  })

  it("what lies in a hole that was written down is no other one", () => {
    assert.deepStrictEqual(left([8, 20, 21], hole(8, 20)), ["disconnected 8..20 (8..20)"])
    assert.deepStrictEqual(left([8, 20, 21], hole(10, 15)), [
      "sequence 8..11 (8..20.001)",
      "disconnected 10..15 (10..15)",
      "sequence 14..20 (8..20.001)"
    ])
  })

  it("where the trades at its edges died with that life, it begins and ends with those that are known", () => {
    // The trade behind it was on its way, and so was the one before.
    assert.deepStrictEqual(left([8], hole(8, 20)), ["disconnected 8..null (8..?)"])
    assert.deepStrictEqual(left([7, 8], hole(10, 20)), ["disconnected 8..null (10..?)"])
    // Of two holes, with trades between them that were on their way.
    assert.deepStrictEqual(left([7, 8], hole(10, 20), hole(30, 40)), [
      "disconnected 8..20 (10..20)",
      "disconnected 19..null (30..?)"
    ])
  })

  it("without numbers, what lies between the last trade that is known and a hole without an end was on its way", () => {
    const untold: Hole = {
      cause: "disconnected",
      gapId: "gap:9",
      from: stamp(9).text,
      to: null,
      recovered: 0,
      over: null
    }
    const taken = (last: number | null, hole: Hole) =>
      spansOf(
        { ids: [], lastTimestamp: null, holes: [hole] },
        { last: last === null ? null : stamp(last) },
        undefined,
        prefix
      )
        .map(({ cause, from, gapId, to }) => `${cause} ${from?.text ?? "?"} ${to?.text ?? "?"} ${gapId}`)
    const own = `disconnected ${stamp(9).text} ? gap:9`
    assert.deepStrictEqual(taken(7, untold), [`restart ${stamp(7).text} ${stamp(9).text} null`, own])
    assert.deepStrictEqual(taken(null, untold), [`restart ? ${stamp(9).text} null`, own])
    assert.deepStrictEqual(taken(9, untold), [own])
    // A restart begins anew behind one that has an end.
    assert.lengthOf(taken(7, { ...untold, to: stamp(12).text }), 1)
    assert.lengthOf(taken(7, { ...untold, over: "filled" }), 1)
  })

  it("how far a page has filled it is told apart from how far it was filled before", () => {
    const mark = (n: number) => ({ id: BigInt(n), stamp: stamp(n) })
    const span = { ...Spans.make("disconnected", stamp(8), Time.instant(0), mark(8)), before: 20n, to: stamp(20) }
    assert.deepStrictEqual(toHole({ ...span, gapId: "gap:8" }, null, prefix), hole(8, 20))
    assert.deepStrictEqual(toHole({ ...span, gapId: "gap:8", after: mark(12), lastTrade: "11" }, null, prefix), {
      ...hole(8, 20),
      filled: { after: { id: "12", time: stamp(12).text }, trade: `${prefix}11` }
    })
  })
})
