import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { maxShards, share, whole } from "../../src/services/Assignment.ts"

const symbols = Array.from({ length: 200 }, (_, i) => `C${i}/${i % 2 === 0 ? "IRT" : "USDT"}`)

const indexes = (count: number) => Array.from({ length: count }, (_, i) => i + 1)

describe("Assignment", () => {
  it("each market is in exactly one of them", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.integer({ min: 1, max: maxShards }),
        FastCheck.constantFrom("bitpin", "wallex"),
        FastCheck.stringMatching(/^[A-Z0-9_]{1,30}\/[A-Z0-9]{2,10}$/),
        (count, exchange, symbol) =>
          indexes(count).filter((index) => share({ index, count }, exchange)(symbol)).length === 1
      ),
      { numRuns: 50 }
    )
  })

  it("the whole is everything", () => {
    assert.deepStrictEqual(symbols.filter(share(whole, "bitpin")), symbols)
  })

  it("none is left empty, none has nearly all", () => {
    for (const count of [2, 3, 4]) {
      for (const index of indexes(count)) {
        const part = symbols.filter(share({ index, count }, "wallex")).length / symbols.length
        assert.isAbove(part, 0.6 / count)
        assert.isBelow(part, 1.4 / count)
      }
    }
  })

  it("goes by Kafka's murmur2 of the record key", () => {
    // By the algorithm of Kafka's Utils.murmur2, written anew in Python and checked with the figure of its own test for "foobar".
    const known: ReadonlyArray<readonly [exchange: string, symbol: string, of2: number, of3: number, of10: number]> = [
      ["bitpin", "BTC/IRT", 1, 2, 1],
      ["bitpin", "ETH/IRT", 1, 1, 7],
      ["bitpin", "USDT/IRT", 2, 1, 6],
      ["wallex", "BTC/IRT", 2, 3, 6],
      ["wallex", "BTC/USDT", 1, 3, 3],
      ["wallex", "1INCH/IRT", 1, 3, 5]
    ]
    for (const [exchange, symbol, of2, of3, of10] of known) {
      for (const [count, index] of [[2, of2], [3, of3], [10, of10]] as const) {
        assert.isTrue(share({ index, count }, exchange)(symbol), `${exchange}:${symbol} of ${count}`)
      }
    }
  })
})
