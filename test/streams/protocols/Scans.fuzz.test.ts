/** Decimals and times by scan against the regular expressions that went before: the same of `FUZZ_RUNS` texts, well-formed and not. */
import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { canonical } from "../../../src/services/Decimal.ts"
import * as Iso from "../../../src/services/Iso.ts"
import { epochSeconds, isoTime } from "../../../src/streams/protocols/Fields.ts"
import * as Earlier from "../../support/EarlierFields.ts"

const numRuns = Number(process.env["FUZZ_RUNS"] ?? 20_000)

/** A text with a character or two put in, taken out or made another. */
const spoilt = (text: fc.Arbitrary<string>, alphabet: string): fc.Arbitrary<string> =>
  fc.tuple(text, fc.array(fc.tuple(fc.nat(40), fc.nat(2), fc.constantFrom("", ...alphabet)), { maxLength: 2 }))
    .map(([whole, cuts]) =>
      cuts.reduce((before, [at, length, piece]) => {
        const where = at % (before.length + 1)
        return before.slice(0, where) + piece + before.slice(where + length)
      }, whole)
    )

const digits = (min: number, max: number) => fc.stringMatching(new RegExp(`^[0-9]{${min},${max}}$`))
const zeros = fc.constantFrom("", "", "0", "00", "0".repeat(31))

const exponent = fc.constantFrom("", "", "", "e0", "E-6", "e+6", "e-1")

const decimal = fc.tuple(zeros, digits(0, 33), fc.constantFrom("", "."), zeros, digits(0, 33), zeros, exponent).map((
  parts
) => parts.join(""))

const seconds = fc.tuple(digits(0, 16), fc.constantFrom("", "."), digits(0, 14), exponent).map((parts) =>
  parts.join("")
)

const iso = fc.tuple(
  fc.date({ min: new Date(-1e12), max: new Date(253_402_300_799_999), noInvalidDate: true }),
  fc.constantFrom("", "."),
  digits(0, 12),
  fc.constantFrom("Z", "Z", "Z", "+03:30", "-11:00", ""),
  fc.constantFrom("", "-02-28T", "-02-29T", "-02-30T", "-06-31T", "-12-31T", "T24:00:00", "-13-01T")
).map(([date, point, fraction, zone, edge]) => {
  const text = date.toISOString().slice(0, 19)
  const edged = edge.startsWith("-")
    ? text.slice(0, 4) + edge + text.slice(11)
    : edge === ""
    ? text
    : text.slice(0, 10) + edge
  return edged + point + fraction + zone
})

describe("scans", () => {
  it("make the same decimals", () => {
    fc.assert(
      fc.property(spoilt(decimal, "0123456789.-+eEx ٣"), (text) => {
        assert.strictEqual(canonical(text), Earlier.canonical(text), text)
      }),
      { numRuns }
    )
  })

  it("make the same of epoch seconds", () => {
    fc.assert(
      fc.property(spoilt(seconds, "0123456789.-+eEx ٣"), (text) => {
        assert.deepStrictEqual(epochSeconds(text), Earlier.epochSeconds(text), text)
      }),
      { numRuns }
    )
  })

  it("make the same of ISO-8601", () => {
    fc.assert(
      fc.property(spoilt(iso, "0123456789.:-+TZtz ٣"), (text) => {
        assert.deepStrictEqual(isoTime(text), Earlier.isoTime(text), text)
      }),
      { numRuns }
    )
  })

  it("print times as Date does, whichever day was printed before", () => {
    const day = fc.integer({ min: -2, max: 2_932_900 })
    const inDay = fc.oneof(fc.constantFrom(-1, 0, 1, 86_399_999, 0.5), fc.integer({ min: 0, max: 86_399_999 }))
    fc.assert(
      fc.property(fc.array(fc.tuple(day, inDay), { maxLength: 5 }), (days) => {
        for (const [of, ms] of [...days, ...days]) {
          const at = of * 86_400_000 + ms
          const text = new Date(at).toISOString()
          assert.strictEqual(Iso.ofMillis(at), text)
          if (at >= 0 && at <= Iso.maxTime) assert.strictEqual(Iso.ofSecond(Math.floor(at / 1000)), text.slice(0, 20))
        }
      }),
      { numRuns: numRuns / 4 }
    )
    for (const none of [NaN, Infinity, 8_640_000_000_000_001]) assert.throws(() => Iso.ofMillis(none), RangeError)
  })
})
