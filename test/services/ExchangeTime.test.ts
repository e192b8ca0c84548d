import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc, Schema } from "effect"
import * as ExchangeTime from "../../src/services/ExchangeTime.ts"
import { Timestamp } from "../../src/services/MarketEvent.ts"

/** A time in nanoseconds and how many of its nine decimals are given; what is not given is zero. */
const given = fc.record({
  ns: fc.bigInt({ min: 0n, max: 253_402_300_799_999_999_999n }),
  decimals: fc.nat(9)
}).map(({ decimals, ns }) => {
  const unit = 10n ** BigInt(9 - decimals)
  return { decimals, ns: ns / unit * unit }
})

const billion = 1_000_000_000n

const parts = ({ decimals, ns }: { readonly decimals: number; readonly ns: bigint }) => ({
  seconds: Number(ns / billion),
  fraction: String(ns % billion).padStart(9, "0").slice(0, decimals)
})

const textOf = (one: { readonly decimals: number; readonly ns: bigint }): string => {
  const { fraction, seconds } = parts(one)
  return ExchangeTime.timeOf(ExchangeTime.make(seconds, fraction) ?? { timestamp: null }) ?? "none"
}

/** Digit by digit, by nothing that the code under test has. */
const printed = ({ decimals, ns }: { readonly decimals: number; readonly ns: bigint }): string => {
  const filled = decimals <= 3 ? 3 : decimals <= 6 ? 6 : 9
  const second = new Date(Number(ns / billion) * 1000).toISOString().slice(0, 19)
  return `${second}.${String(ns % billion).padStart(9, "0").slice(0, filled)}Z`
}

const isTimestamp = Schema.is(Timestamp)

describe("The exchange's time", () => {
  it("keeps every digit, filled up to 3, 6 or 9", () => {
    fc.assert(
      fc.property(given, (one) => {
        assert.strictEqual(textOf(one), printed(one))
        assert.isTrue(isTimestamp(textOf(one)))
      }),
      { numRuns: 20_000 }
    )
  })

  it("has epoch ms, cut off, and so has its text", () => {
    fc.assert(
      fc.property(given, (one) => {
        const { fraction, seconds } = parts(one)
        const ms = Number(one.ns / 1_000_000n)
        assert.strictEqual(ExchangeTime.make(seconds, fraction)?.timestamp, ms)
        assert.strictEqual(ExchangeTime.epochMsOf(textOf(one)), ms)
      }),
      { numRuns: 20_000 }
    )
  })

  it("has the epoch ms that Date.parse makes of the text, also of one that is no time, whatever was asked before", () => {
    const base = "2026-06-11T12:59:45.263627Z"
    const spoilt = fc.tuple(fc.nat(base.length), fc.constantFrom("", "0", "7", ".", "-", " ", "x", "٣", "00")).map(
      ([at, text]) => base.slice(0, at) + text + base.slice(at + 1)
    )
    const near = fc.integer({ min: 0, max: 3000 }).map((ms) => new Date(1_781_182_785_000 + ms).toISOString())
    fc.assert(
      fc.property(fc.array(fc.oneof(spoilt, near, given.map(textOf)), { minLength: 1 }), (times) => {
        for (const time of times) {
          assert.deepStrictEqual(ExchangeTime.epochMsOf(time), Date.parse(`${time.slice(0, 23)}Z`), time)
        }
      }),
      { numRuns: 20_000 }
    )
  })

  it("is compared exactly, whatever the digits", () => {
    // Neighbours, which texts of different lengths and doubles alike would get wrong.
    const near = fc.tuple(given, fc.bigInt({ min: -2_000_000n, max: 2_000_000n }), fc.nat(9)).map((
      [one, distance, decimals]
    ) => {
      const unit = 10n ** BigInt(9 - decimals)
      const ns = (one.ns + distance < 0n ? 0n : one.ns + distance) / unit * unit
      return [one, { ns, decimals }] as const
    }).filter(([, { ns }]) => ns < 253_402_300_800n * billion)
    fc.assert(
      fc.property(near, ([a, b]) => {
        const wanted = a.ns < b.ns ? -1 : a.ns > b.ns ? 1 : 0
        assert.strictEqual(Math.sign(ExchangeTime.compare(textOf(a), textOf(b))), wanted)
      }),
      { numRuns: 20_000 }
    )
    assert.isBelow(ExchangeTime.compare("2026-06-11T12:59:45.263Z", "2026-06-11T12:59:45.263627Z"), 0)
    assert.strictEqual(ExchangeTime.compare("2026-06-11T12:59:45.263Z", "2026-06-11T12:59:45.263000Z"), 0)
  })

  it("is cut off beyond nine digits, never rounded", () => {
    assert.strictEqual(ExchangeTime.make(1_781_182_785, "2636279999999")?.time, "2026-06-11T12:59:45.263627999Z")
    assert.deepStrictEqual(ExchangeTime.make(1_781_182_785, "999"), { timestamp: 1_781_182_785_999 })
  })

  it("is none outside the years 1970 to 9999, and none of no number", () => {
    assert.isUndefined(ExchangeTime.make(-1, "5"))
    assert.isUndefined(ExchangeTime.make(253_402_300_800, ""))
    assert.isUndefined(ExchangeTime.make(Number.NaN, ""))
    for (const fraction of ["26x", "x", "\u0663\u0663\u0663", "26\u00e94567", "263xyz", " 26"]) {
      assert.isUndefined(ExchangeTime.make(1_781_182_785, fraction), fraction)
    }
    assert.isNaN(ExchangeTime.epochMsOf("yesterday"))
    assert.isNull(ExchangeTime.timeOf({ timestamp: null }))
  })

  it("has 3, 6 or 9 digits in an event, no others", () => {
    const timestamps = ["", ".2", ".263", ".2636", ".263627", ".2636270", ".263627001", ".2636270011"]
    assert.deepStrictEqual(
      timestamps.filter((digits) => isTimestamp(`2026-06-11T12:59:45${digits}Z`)),
      [".263", ".263627", ".263627001"]
    )
  })
})
