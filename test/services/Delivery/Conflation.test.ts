import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Conflation from "../../../src/services/Delivery/Conflation.ts"
import type { BookDelta, MarketEvent } from "../../../src/services/MarketEvent.ts"
import * as Time from "../../../src/services/Time.ts"
import { book, delta } from "./events.ts"

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

  const change = fc.record({
    side: fc.constantFrom("bids" as const, "asks" as const),
    price: fc.integer({ min: 1, max: 4 }).map(String),
    amount: fc.integer({ min: 0, max: 3 }).map(String)
  })
  const chain = fc.array(
    fc.oneof(
      fc.record({ _tag: fc.constant("Change" as const), changes: fc.array(change, { minLength: 1, maxLength: 3 }) }),
      fc.record({ _tag: fc.constant("Anchor" as const) }),
      fc.record({ _tag: fc.constant("Due" as const) }),
      fc.record({ _tag: fc.constant("Wait" as const), ms: fc.integer({ min: 0, max: 1_500 }) })
    ),
    { maxLength: 60 }
  )

  it("a chain of changes stays whole: who reads it has the same book, and every number is that of a true state", () => {
    fc.assert(fc.property(chain, (steps) => {
      const conflation = Conflation.make()
      const own: Sides = { bids: new Map(), asks: new Map() }
      const states = new Map<string, string>()
      let now = 1_000_000
      let n = 0
      const offered: Array<MarketEvent> = []
      const passed: Array<MarketEvent> = []
      const replaced: Array<MarketEvent> = []
      const offer = (event: MarketEvent) => {
        offered.push(event)
        const result = conflation.offer([event], Time.instant(now))
        passed.push(...result.pass)
        replaced.push(...result.replaced)
      }
      const anchor = () => offer({ ...book(0, n), bids: levels(own.bids), asks: levels(own.asks) })
      states.set("e_0", textOf(own))
      anchor()
      for (const step of steps) {
        switch (step._tag) {
          case "Change": {
            const sides = { bids: new Map<string, string>(), asks: new Map<string, string>() }
            for (const { amount, price, side } of step.changes) sides[side].set(price, amount)
            const event = delta(0, n, n + 1, { bids: levels(sides.bids), asks: levels(sides.asks) })
            n += 1
            apply(own, event)
            states.set(event.sequence, textOf(own))
            offer(event)
            break
          }
          case "Anchor":
            anchor()
            break
          case "Due":
            passed.push(...conflation.due(Time.instant(now)))
            break
          case "Wait":
            now += step.ms
        }
      }
      passed.push(...conflation.release())

      const reader: Sides = { bids: new Map(), asks: new Map() }
      let sequence = ""
      for (const event of passed) {
        if (event.type === "book") {
          reader.bids = new Map(event.bids)
          reader.asks = new Map(event.asks)
        } else if (event.type === "book_delta") {
          assert.strictEqual(event.previous, sequence, "the chain is broken")
          apply(reader, event)
        } else continue
        sequence = event.sequence
        assert.strictEqual(textOf(reader), states.get(sequence), sequence)
      }
      assert.strictEqual(sequence, `e_${n}`)
      // Each has one place in the ledger.
      assert.strictEqual(passed.length + replaced.length, offered.length)
    }))
  })
})

interface Sides {
  bids: Map<string, string>
  asks: Map<string, string>
}

const levels = (side: ReadonlyMap<string, string>): ReadonlyArray<readonly [string, string]> => Array.from(side)

const textOf = ({ asks, bids }: Sides): string => JSON.stringify([levels(bids).toSorted(), levels(asks).toSorted()])

const apply = (sides: Sides, change: Pick<BookDelta, "bids" | "asks">): void => {
  for (const side of ["bids", "asks"] as const) {
    for (const [price, amount] of change[side]) {
      if (amount === "0") sides[side].delete(price)
      else sides[side].set(price, amount)
    }
  }
}
