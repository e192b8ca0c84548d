import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Conflation from "../../../src/services/Delivery/Conflation.ts"
import type { MarketEvent } from "../../../src/services/MarketEvent.ts"
import * as Time from "../../../src/services/Time.ts"
import { book } from "./events.ts"

const step = fc.oneof(
  fc.record({ _tag: fc.constant("Offer" as const), markets: fc.array(fc.nat(2), { maxLength: 6 }) }),
  fc.record({ _tag: fc.constant("Due" as const) }),
  fc.record({ _tag: fc.constant("Wait" as const), ms: fc.integer({ min: 0, max: 3_000 }) })
)

describe("Conflation", () => {
  it("one a second and market, the newest, in order; each book goes on or is replaced by a newer one", () => {
    fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const conflation = Conflation.make()
      let now = 1_000_000
      let n = 0
      const offered: Array<MarketEvent> = []
      const passed: Array<{ readonly event: MarketEvent; readonly at: number }> = []
      const replaced: Array<MarketEvent> = []
      const pass = (events: ReadonlyArray<MarketEvent>) => passed.push(...events.map((event) => ({ event, at: now })))
      for (const one of steps) {
        switch (one._tag) {
          case "Offer": {
            const books = one.markets.map((market) => book(market, n++))
            offered.push(...books)
            const result = conflation.offer(books, Time.instant(now))
            pass(result.pass)
            replaced.push(...result.replaced)
            break
          }
          case "Due":
            pass(conflation.due(Time.instant(now)))
            break
          case "Wait":
            now += one.ms
        }
      }
      // No two of a market within a second.
      for (const [i, { at, event }] of passed.entries()) {
        const before = passed.slice(0, i).findLast((other) => other.event.symbol === event.symbol)
        if (before !== undefined) assert.isAtLeast(at - before.at, 1_000)
      }
      pass(conflation.release())
      const all = [...passed.map(({ event }) => event), ...replaced]
      assert.sameMembers(all.map(({ id }) => id), offered.map(({ id }) => id))
      for (const symbol of ["M0/IRT", "M1/IRT", "M2/IRT"]) {
        const mine = offered.filter((event) => event.symbol === symbol).map(({ id }) => id)
        const out = passed.filter(({ event }) => event.symbol === symbol).map(({ event }) => event.id)
        assert.deepStrictEqual(out, mine.filter((id) => out.includes(id)), "order")
        assert.strictEqual(out.at(-1), mine.at(-1), "the newest is the last")
      }
    }))
  })

  it("an eager one: what is alone is not held", () => {
    const conflation = Conflation.make()
    assert.lengthOf(conflation.offer([book(0, 0)], Time.instant(0)).pass, 1)
    assert.lengthOf(conflation.offer([book(0, 1)], Time.instant(999)).pass, 0)
    assert.lengthOf(conflation.due(Time.instant(999)), 0)
    assert.lengthOf(conflation.due(Time.instant(1_000)), 1)
    assert.lengthOf(conflation.offer([book(0, 2)], Time.instant(2_000)).pass, 1)
  })
})
