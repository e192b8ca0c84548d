import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Ranges from "../../../src/services/FileQueue/Ranges.ts"

describe("ranges", () => {
  it("behave as sets of numbers do", () => {
    const range = fc.tuple(fc.nat(40), fc.nat(12)).map(([first, more]) => ({ first, last: first + more }))
    fc.assert(
      fc.property(fc.array(range, { maxLength: 8 }), range, fc.nat(60), (adds, probe, cut) => {
        const set = new Set<number>()
        let ranges = Ranges.empty
        for (const one of adds) {
          ranges = Ranges.add(ranges, one)
          for (let n = one.first; n <= one.last; n++) set.add(n)
        }
        const numbers = (some: Ranges.Ranges) =>
          some.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i))
        const sorted = Array.from(set).sort((a, b) => a - b)
        assert.deepStrictEqual(numbers(ranges), sorted)
        ranges.forEach((one, i) => {
          const before = ranges[i - 1]
          if (before !== undefined) assert.isAbove(one.first, before.last + 1)
        })
        const inside = numbers([probe])
        assert.deepStrictEqual(numbers(Ranges.missing(ranges, probe)), inside.filter((n) => !set.has(n)))
        assert.strictEqual(Ranges.count(ranges), set.size)
        assert.strictEqual(Ranges.covers(ranges, probe), inside.every((n) => set.has(n)))
        assert.deepStrictEqual(numbers(Ranges.from(ranges, cut)), sorted.filter((n) => n >= cut))
        let next = cut
        while (set.has(next)) next += 1
        assert.strictEqual(Ranges.skip(ranges, cut), next)
      }),
      { numRuns: 20_000 }
    )
  })
})
