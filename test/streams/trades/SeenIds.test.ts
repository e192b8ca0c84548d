import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as SeenIds from "../../../src/streams/trades/SeenIds.ts"

describe("SeenIds", () => {
  it("knows an id the second time, and those of an earlier life", () => {
    const seen = SeenIds.make([["1", null]])
    assert.deepStrictEqual(["1", "2", "2", "3"].map((id) => seen.add(id, null)), [false, true, false, true])
  })

  it("is bounded, oldest out first", () => {
    const seen = SeenIds.make(Array.from({ length: 256 }, (_, i) => [`m${i}`, null] as const))
    for (let i = 0; i < 10_000; i++) seen.add(String(i), null)
    // Two generations of 512.
    assert.isAtMost(seen.size(), 1024)
    assert.isFalse(seen.add("9999", null))
    assert.isFalse(seen.add(String(10_000 - 512), null))
    assert.isTrue(seen.add("m0", null))
  })

  it("grows with the windows that it sees", () => {
    const seen = SeenIds.make()
    const push = (from: number) => {
      const window = Array.from({ length: 2000 }, (_, i) => String(from + i))
      seen.window(window.length)
      return window.filter((id) => seen.add(id, null)).length
    }
    assert.deepStrictEqual([push(0), push(0), push(1500), push(3000)], [2000, 0, 1500, 1500])
  })

  it("tells every trade of sliding windows once, whatever their size", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1500 }),
        fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 60 }),
        (size, steps) => {
          const seen = SeenIds.make()
          const told: Array<number> = []
          let newest = 0
          for (const step of steps) {
            newest += Math.min(step, size)
            const window = Array.from({ length: Math.min(size, newest) }, (_, i) => newest - i).reverse()
            seen.window(window.length)
            for (const id of window) if (seen.add(String(id), null)) told.push(id)
          }
          assert.deepStrictEqual(told, Array.from({ length: newest }, (_, i) => i + 1))
        }
      ),
      { numRuns: 500 }
    )
  })
})
