/** Sides of books: order, equality and changes by exact decimals. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Decimal from "../../../src/services/Decimal.ts"
import * as Levels from "../../../src/streams/books/Levels.ts"

/** Canonical decimals, many of which are one and the same double. */
const decimal = fc.tuple(
  fc.constantFrom("0", "1", "9", "10", "123456789012345678901", "123456789012345678902"),
  fc.constantFrom("", "1", "10000000000000000000001", "10000000000000000000002", "05", "5")
).map(([whole, fraction]) => fraction === "" ? whole : `${whole}.${fraction}`)

const price = decimal.filter(Decimal.isPositive)
const level: fc.Arbitrary<Levels.Level> = fc.tuple(price, decimal)
const levels = fc.array(level, { maxLength: 12 })

/** By integers, as `Decimal.compare` has it by text. */
const units = (text: string): bigint => {
  const [whole = "", fraction = ""] = text.split(".")
  return BigInt(whole + fraction.padEnd(30, "0"))
}

const side = (name: Levels.Side, all: ReadonlyArray<Levels.Level>): Levels.Levels => {
  const found = Levels.sideOf(name, all, 0)
  if (found === undefined) throw new Error("no side")
  return found
}

describe("Decimals", () => {
  it("are compared by their digits, all of them", () => {
    fc.assert(
      fc.property(decimal, decimal, (a, b) => {
        const expected = units(a) < units(b) ? -1 : units(a) > units(b) ? 1 : 0
        assert.strictEqual(Math.sign(Decimal.compare(a, b)), expected)
      }),
      { numRuns: 2_000 }
    )
  })
})

describe("A side", () => {
  it("is best first, each price once, the later level standing for the earlier, none of amount zero, its digits as they were", () => {
    fc.assert(
      fc.property(levels, fc.constantFrom("bids" as const, "asks" as const), (all, name) => {
        const expected = new Map(all)
        for (const [one, amount] of expected) if (amount === "0") expected.delete(one)
        const found = side(name, all)
        assert.deepStrictEqual(new Map(found), expected)
        for (let i = 1; i < found.length; i++) {
          const [worse, better] = [units(found[i]?.[0] ?? "0"), units(found[i - 1]?.[0] ?? "0")]
          assert.isTrue(name === "bids" ? better > worse : better < worse)
        }
      }),
      { numRuns: 2_000 }
    )
  })

  it("that comes the wrong way round is turned", () => {
    assert.deepStrictEqual(side("asks", [["3", "1"], ["2", "1"], ["1", "1"]]), [["1", "1"], ["2", "1"], ["3", "1"]])
  })

  it("in Rial becomes one in Toman by its prices, and its amounts stay", () => {
    assert.deepStrictEqual(Levels.sideOf("bids", [["113794652115", "10"]], -1), [["11379465211.5", "10"]])
    assert.isUndefined(Levels.sideOf("bids", [[`0.${"1".repeat(30)}`, "1"]], -1))
  })

  it("crosses another by exact prices", () => {
    const book = (bid: string, ask: string) => ({ bids: [[bid, "1"]], asks: [[ask, "1"]] } as const)
    assert.isFalse(Levels.isCrossed(book("0.10000000000000000000001", "0.10000000000000000000002")))
    assert.isTrue(Levels.isCrossed(book("0.10000000000000000000002", "0.10000000000000000000001")))
    assert.isTrue(Levels.isCrossed(book("5", "5")))
    assert.isFalse(Levels.isCrossed({ bids: [], asks: [["5", "1"]] }))
  })

  it("leads to another by its changes, and by no more than these", () => {
    fc.assert(
      fc.property(levels, levels, fc.constantFrom("bids" as const, "asks" as const), (a, b, name) => {
        const [from, to] = [side(name, a), side(name, b)]
        const changes = Levels.changes(name, from, to)
        const reader = new Map(from)
        for (const [one, amount] of changes) {
          assert.notStrictEqual(reader.get(one) ?? "0", amount)
          if (amount === "0") reader.delete(one)
          else reader.set(one, amount)
        }
        assert.deepStrictEqual(side(name, [...reader]), to)
      }),
      { numRuns: 2_000 }
    )
  })
})
