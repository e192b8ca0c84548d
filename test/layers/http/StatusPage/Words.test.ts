import { assert, describe, it } from "@effect/vitest"
import * as Words from "../../../../src/layers/http/StatusPage/Words.ts"

describe("words of the status page", () => {
  it("sizes have three digits at most", () => {
    assert.deepStrictEqual(
      [0, 1, 999, 1000, 1024, 168_960, 1_048_064, 1_300_000, 2 ** 30, 2 ** 40 * 3000].map(Words.bytes),
      ["0 B", "1 B", "999 B", "1.0 KiB", "1 KiB", "165 KiB", "1.0 MiB", "1.2 MiB", "1 GiB", "3000 TiB"]
    )
  })

  it("counts are in groups of three, then in millions", () => {
    assert.deepStrictEqual(
      [0, 12, 3_450, 999_949, 999_950, 12_345_678, 2_500_000_000].map(Words.count),
      ["0", "12", "3\u202f450", "999\u202f949", "1.0 million", "12.3 million", "2.5 billion"]
    )
  })

  it("times are what passed, or what is left", () => {
    assert.deepStrictEqual(
      [0, 400, 4_000, 89_000, 90_000, 5_400_000, 86_400_000 * 3].map((ms) => Words.ago(0, ms)),
      ["now", "now", "4 s ago", "89 s ago", "2 min ago", "2 h ago", "3 d ago"]
    )
    assert.strictEqual(Words.ago(12_000, 0), "in 12 s")
  })

  it("one and many", () => {
    assert.deepStrictEqual([0, 1, 2].map((n) => Words.several(n, "hole")), ["0 holes", "1 hole", "2 holes"])
    assert.deepStrictEqual([0, 0.04, 3.25, 245.4].map(Words.rate), ["0 /s", "0.0 /s", "3.3 /s", "245 /s"])
  })
  it("books say how many have their first picture, and when the last will, or what that took", () => {
    const books = (live: number, doubtful: number, waiting: number, perMinute: number | null, tookMs: number | null) =>
      Words.books({ live, doubtful, waiting, pictures: { perMinute, tookMs } })
    assert.deepStrictEqual(
      [
        books(0, 0, 0, 54, null),
        books(0, 0, 500, 54, null),
        books(310, 2, 188, 54, null),
        books(499, 0, 1, 54, null),
        books(5, 0, 3, null, null),
        books(498, 2, 0, 54, 560_000),
        books(1, 0, 0, null, 400),
        books(3, 0, 0, null, null)
      ],
      [
        "",
        "0 of 500 have their first picture, the last in about 9 min",
        "312 of 500 have their first picture, the last in about 3 min",
        "499 of 500 have their first picture, the last in about 1 s",
        "5 of 8 have their first picture",
        "498 of 500 live, 2 doubtful; first pictures took 9 min",
        "1 of 1 live; first pictures took 0 s",
        "3 of 3 live"
      ]
    )
  })
})
