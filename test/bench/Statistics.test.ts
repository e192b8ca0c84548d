import * as fc from "fast-check"
import { expect, test } from "vitest"
import { quantiles, rounded, spread } from "../../bench/support/Statistics.ts"

test("the median is the one in the middle, or the mean of two", () => {
  expect(spread([])).toBeUndefined()
  expect(spread([7])).toEqual({ median: 7, min: 7, max: 7, n: 1 })
  expect(spread([10, 9, 100])).toEqual({ median: 10, min: 9, max: 100, n: 3 })
  expect(spread([4, 1, 3, 2])).toEqual({ median: 2.5, min: 1, max: 4, n: 4 })
})

test("a quantile is a measured value that so many are not above", () => {
  expect(quantiles([], [0.5])).toEqual([undefined])
  expect(quantiles(Array.from({ length: 100 }, (_, i) => 100 - i), [0, 0.5, 0.99, 1])).toEqual([1, 50, 99, 100])
  fc.assert(
    fc.property(
      fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { minLength: 1 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (values, part) => {
        const [found = NaN] = quantiles(values, [part])
        expect(values).toContain(found)
        expect(values.filter((value) => value <= found).length).toBeGreaterThanOrEqual(part * values.length - 1e-6)
        expect(values.filter((value) => value < found).length).toBeLessThan(part * values.length + 1e-6 + 1)
      }
    )
  )
})

test("figures have three digits, whole ones from a hundred on", () => {
  expect([19.68, 0.4321, 100.4, 48_213.7, 0].map(rounded)).toEqual([19.7, 0.432, 100, 48_214, 0])
})
