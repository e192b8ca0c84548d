/** What a start took, as the page has it. */
import { assert, describe, it } from "@effect/vitest"
import * as Time from "../../../src/services/Time.ts"
import * as Start from "../../../src/streams/books/Start.ts"

describe("a start of order books", () => {
  it("lasts from the first market that waits until none does; those of the next connection belong to it, later ones begin anew", () => {
    const start = Start.make()
    const at = (ms: number, waiting: number) => Start.waiting(start, waiting, Time.instant(ms))
    assert.deepStrictEqual(
      [at(0, 0), at(1_000, 1), at(2_000, 2), at(3_000, 1), at(4_000, 0), at(9_000, 0)],
      [null, null, null, null, 3_000, 3_000]
    )
    // The next connection's.
    assert.deepStrictEqual([at(10_000, 1), at(61_000, 0)], [null, 60_000])
    // A market that is listed an hour later.
    assert.deepStrictEqual([at(3_600_000, 1), at(3_600_200, 0)], [null, 200])
  })
})
