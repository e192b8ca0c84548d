import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc, Schema } from "effect"
import * as Decimal from "../../src/services/Decimal.ts"

/** An oracle of another kind: the value as an integer times ten to a power. */
const value = (text: string): readonly [bigint, number] => {
  const [mantissa = "", exponent = "0"] = text.toLowerCase().split("e")
  const [whole = "", fraction = ""] = mantissa.split(".")
  return [BigInt(`${whole}${fraction}`.replace("+", "")), Number(exponent) - fraction.length]
}

const same = (a: string, b: string): boolean => {
  const [x, ex] = value(a)
  const [y, ey] = value(b)
  const low = Math.min(ex, ey)
  return x * 10n ** BigInt(ex - low) === y * 10n ** BigInt(ey - low)
}

const digits = (max: number) =>
  fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: max }).map((d) => d.join(""))

describe("Decimal", () => {
  it("keeps the digits of real messages", () => {
    for (
      const [text, expected] of [
        ["6.400000", "6.4"],
        ["82131.0000000000000000", "82131"],
        ["0.01086870", "0.0108687"],
        ["11379465211", "11379465211"],
        ["1.6e-05", "0.000016"],
        ["1.4497553479999998", "1.4497553479999998"],
        ["1.087160998021016446803192218", "1.087160998021016446803192218"],
        ["12E3", "12000"],
        ["0.00", "0"],
        ["-0.0", "0"],
        ["007.5", "7.5"],
        ["+1", "1"],
        ["5.", "5"]
      ] as const
    ) assert.strictEqual(Decimal.canonical(text), expected, text)
  })

  it("refuses what is no decimal, or absurd", () => {
    for (
      const text of [
        "",
        " ",
        "Infinity",
        "-Infinity",
        "NaN",
        "0x10",
        "1e999",
        "1e400",
        "1e100000000",
        ".5",
        "1,5",
        "1 ",
        "١",
        "1e",
        "--1",
        "1".repeat(31),
        `0.${"1".repeat(31)}`,
        "9".repeat(200)
      ]
    ) assert.isUndefined(Decimal.canonical(text), text)
  })

  it("is canonical, equal in value, and stable for any literal", () => {
    const literal = fc.tuple(
      fc.constantFrom("", "-", "+"),
      digits(20),
      fc.option(digits(20)),
      fc.option(fc.integer({ min: -9, max: 9 }))
    )
      .map(([sign, whole, fraction, exponent]) =>
        `${sign}${whole}${fraction === null ? "" : `.${fraction}`}${exponent === null ? "" : `e${exponent}`}`
      )
    fc.assert(
      fc.property(literal, (text) => {
        const canonical = Decimal.canonical(text)
        assert.isDefined(canonical)
        assert.isTrue(same(canonical ?? "", text), `${text} became ${canonical}`)
        assert.isTrue(Schema.is(Decimal.DecimalString)(canonical), canonical)
        assert.strictEqual(Decimal.canonical(canonical ?? ""), canonical)
      }),
      { numRuns: 20_000 }
    )
  })

  it("never throws and never lets something else through", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.double().map(String), fc.bigInt().map(String)), (text) => {
        const canonical = Decimal.canonical(text)
        assert.isTrue(canonical === undefined || Schema.is(Decimal.DecimalString)(canonical))
      }),
      { numRuns: 20_000 }
    )
  })

  it("is shifted exactly: Rial to Toman, and back", () => {
    assert.strictEqual(Decimal.shift("138132630", -1), "13813263")
    assert.strictEqual(Decimal.shift("5", -1), "0.5")
    assert.strictEqual(Decimal.shift("0.25", -1), "0.025")
    assert.strictEqual(Decimal.shift("0.25", 3), "250")
    assert.strictEqual(Decimal.shift("0.25", 0), "0.25")
    assert.strictEqual(Decimal.shift(`0.${"1".repeat(30)}`, -1), undefined)
    fc.assert(
      fc.property(digits(20), digits(8), fc.integer({ min: -9, max: 9 }), (whole, fraction, places) => {
        const decimal = Decimal.canonical(`${whole}.${fraction}`) ?? ""
        const shifted = Decimal.shift(decimal, places) ?? ""
        assert.isTrue(same(`${shifted}e${-places}`, decimal))
        assert.strictEqual(Decimal.shift(shifted, -places), decimal)
      }),
      { numRuns: 5000 }
    )
  })

  it("divides to 18 decimals, half to even", () => {
    assert.strictEqual(Decimal.divide("432166", "67526"), "6.399994076355774072")
    assert.strictEqual(Decimal.divide("1", "3"), "0.333333333333333333")
    assert.strictEqual(Decimal.divide("2", "3"), "0.666666666666666667")
    assert.strictEqual(Decimal.divide("0.000000000000000001", "2"), "0", "half of the last digit: to even, down")
    assert.strictEqual(
      Decimal.divide("0.000000000000000003", "2"),
      "0.000000000000000002",
      "half of the last digit: to even, up"
    )
    assert.isUndefined(Decimal.divide("1", "0"))
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 15n }), fc.bigInt({ min: 1n, max: 10n ** 12n }), (n, d) => {
        const quotient = Decimal.divide(`${n}`, `${d}`) ?? ""
        const [digitsOf, exponent] = value(quotient)
        const scaled = digitsOf * 10n ** BigInt(18 + exponent)
        const twiceError = 2n * (n * 10n ** 18n - scaled * d)
        assert.isTrue((twiceError < 0n ? -twiceError : twiceError) <= d)
      }),
      { numRuns: 5000 }
    )
  })
})
