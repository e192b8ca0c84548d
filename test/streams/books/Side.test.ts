/** A kept side against a plain map that is sorted each time. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Decimal from "../../../src/services/Decimal.ts"
import type * as Levels from "../../../src/streams/books/Levels.ts"
import * as Side from "../../../src/streams/books/Sync/Side.ts"

const runs = Math.min(Number(process.env["FUZZ_RUNS"] ?? 300), 20_000)

/** Canonical decimals, several of which are one and the same double. */
const price = fc.tuple(
  fc.constantFrom("0", "1", "9", "10", "123456789012345678901", "123456789012345678902"),
  fc.constantFrom("", "1", "10000000000000000000001", "10000000000000000000002", "05", "5")
).map(([whole, fraction]) => fraction === "" ? whole : `${whole}.${fraction}`).filter(Decimal.isPositive)

const amount = fc.constantFrom("0", "1", "2.5", "0.00000001")

const name = fc.constantFrom("bids" as const, "asks" as const)

type Action =
  | { readonly _tag: "put"; readonly level: Levels.Level }
  | { readonly _tag: "cut" | "bound"; readonly most: number }
  | { readonly _tag: "replace"; readonly levels: ReadonlyArray<Levels.Level>; readonly isWhole: boolean }

const level: fc.Arbitrary<Levels.Level> = fc.tuple(price, amount)

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ _tag: fc.constant("put" as const), level }) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constantFrom("cut" as const, "bound" as const), most: fc.nat(12) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      _tag: fc.constant("replace" as const),
      levels: fc.array(level, { maxLength: 20 }),
      isWhole: fc.boolean()
    })
  }
)

/** Nothing of the code under test: decimals as fractions of one large denominator. */
const places = 30
const units = (text: string): bigint => {
  const [whole = "", fraction = ""] = text.split(".")
  return BigInt(whole + fraction.padEnd(places, "0"))
}

const model = (side: Levels.Side) => {
  let levels = new Map<string, string>()
  let edge: bigint | undefined
  const isWorse = (a: bigint, b: bigint): boolean => side === "bids" ? a < b : a > b
  const sorted = (): ReadonlyArray<Levels.Level> => [...levels].sort(([a], [b]) => isWorse(units(a), units(b)) ? 1 : -1)
  const drawEdge = (): void => {
    const worst = sorted().at(-1)
    edge = worst === undefined ? undefined : units(worst[0])
  }
  return {
    sorted,
    act: (action: Action): void => {
      switch (action._tag) {
        case "put": {
          const [price, amount] = action.level
          if (edge !== undefined && isWorse(units(price), edge)) return
          if (amount === "0") levels.delete(price)
          else levels.set(price, amount)
          return
        }
        case "cut":
        case "bound": {
          if (levels.size <= action.most) return
          levels = new Map(sorted().slice(0, action.most))
          if (action._tag === "bound") drawEdge()
          return
        }
        case "replace": {
          levels = new Map(action.levels)
          for (const [price, amount] of action.levels) if (amount === "0") levels.delete(price)
          edge = undefined
          if (!action.isWhole) drawEdge()
        }
      }
    }
  }
}

const act = (side: Side.Side, action: Action, sorted: ReadonlyArray<Levels.Level>): void => {
  switch (action._tag) {
    case "put":
      Side.put(side, action.level)
      return
    case "cut":
      return Side.cut(side, action.most)
    case "bound":
      return Side.bound(side, action.most)
    case "replace":
      return Side.replace(side, sorted, action.isWhole)
  }
}

describe("A kept side", () => {
  it("has what a map has that is sorted each time, whatever is put, cut, bounded and replaced", () => {
    fc.assert(
      fc.property(name, fc.array(action, { maxLength: 80, size: "max" }), fc.nat(12), (name, actions, depth) => {
        const [side, plain] = [Side.make(name), model(name)]
        for (const one of actions) {
          plain.act(one)
          act(side, one, plain.sorted())
          assert.deepStrictEqual(Side.best(side, Infinity), plain.sorted())
        }
        assert.deepStrictEqual(Side.best(side, depth), plain.sorted().slice(0, depth))
        if (depth > 0) assert.deepStrictEqual(Side.top(side, depth), plain.sorted().slice(0, depth))
      }),
      { numRuns: runs }
    )
  })

  it("crosses another by exact prices", () => {
    fc.assert(
      fc.property(fc.array(price), fc.array(price), (high, low) => {
        const [bids, asks] = [Side.make("bids"), Side.make("asks")]
        for (const one of high) Side.put(bids, [one, "1"])
        for (const one of low) Side.put(asks, [one, "1"])
        const crosses = high.some((bid) => low.some((ask) => units(bid) >= units(ask)))
        assert.strictEqual(Side.isCrossed(bids, asks), crosses)
      }),
      { numRuns: runs }
    )
  })

  it("keeps the digits of checksums, and tells levels without them", () => {
    const side = Side.make("asks")
    Side.put(side, ["5.1", "1", "5110"])
    Side.put(side, ["5", "2", "502"])
    assert.deepStrictEqual(Side.top(side, 5), [["5", "2", "502"], ["5.1", "1", "5110"]])
    assert.deepStrictEqual(Side.best(side, 5), [["5", "2"], ["5.1", "1"]])
  })

  it("wears out when few levels are left, or the best price has come half of the way to the edge", () => {
    const seeded = (isWhole: boolean) => {
      const side = Side.make("bids")
      Side.replace(side, [["100", "1"], ["95", "1"], ["90", "1"]], isWhole)
      return side
    }
    const side = seeded(false)
    assert.isFalse(Side.isWorn(side, 3))
    assert.isTrue(Side.isWorn(side, 4))
    assert.isFalse(Side.isWorn(seeded(true), 4))
    Side.put(side, ["100", "0"])
    assert.isFalse(Side.isWorn(side, 1))
    Side.put(side, ["95", "0"])
    Side.put(side, ["94.9", "1"])
    assert.isTrue(Side.isWorn(side, 1))
    const whole = seeded(true)
    Side.put(whole, ["100", "0"])
    Side.put(whole, ["95", "0"])
    assert.isFalse(Side.isWorn(whole, 20))
  })
})
