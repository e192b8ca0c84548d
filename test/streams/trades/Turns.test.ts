/** Whose history is asked next. */
import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import * as Time from "../../../src/services/Time.ts"
import * as Turns from "../../../src/streams/trades/Backfill/Turns.ts"

const turn = (since: number, asked: number, trades: number): Turns.Turn => ({
  since: Time.instant(since),
  asked,
  trades
})

const at = Time.instant

describe("turns of histories", () => {
  it("of those that were asked as often, the one that trades most", () => {
    const [quiet, busy, again] = [turn(0, 0, 3), turn(0, 0, 9), turn(0, 1, 99)]
    assert.strictEqual(Turns.next([quiet, busy, again], 0, at(1)), busy)
    assert.strictEqual(Turns.next([quiet, busy, again], 1, at(1)), busy)
    assert.strictEqual(Turns.next([again], 0, at(1)), again)
    assert.isUndefined(Turns.next([], 0, at(1)))
  })

  it("every second question is that of the market which has waited longest, once that is half a minute", () => {
    const [old, busy] = [turn(0, 0, 1), turn(20_000, 0, 9)]
    assert.strictEqual(Turns.next([busy, old], 1, at(29_999)), busy)
    assert.strictEqual(Turns.next([busy, old], 1, at(30_000)), old)
    assert.strictEqual(Turns.next([busy, old], 2, at(30_000)), busy)
  })

  /** When each market was asked last, where a question leaves each second, and the connection of all is lost after so many. */
  const lastAsked = (markets: number, lost: number, questions: number, nthOf: (n: number) => number) => {
    const waiting = new Map<number, Turns.Turn & { readonly i: number }>()
    const last = Array.from({ length: markets }, () => -1)
    for (let n = 0; n < questions; n++) {
      if (n % lost === 0) {
        for (let i = 0; i < markets; i++) {
          if (!waiting.has(i)) waiting.set(i, { ...turn(n * 1_000, 0, markets - i), i })
        }
      }
      const next = Turns.next(waiting.values(), nthOf(n), at(n * 1_000))
      if (next === undefined) continue
      waiting.delete(next.i)
      last[next.i] = n
    }
    return last
  }

  it("connections that are lost faster than all of their markets can be asked for starve none", () => {
    const stories = fc.record({ markets: fc.integer({ min: 2, max: 30 }), lost: fc.integer({ min: 1, max: 9 }) })
    fc.assert(fc.property(stories, ({ lost, markets }) => {
      const questions = 10 * markets + 60
      const last = lastAsked(markets, lost, questions, (n) => n)
      assert.isAtLeast(Math.min(...last), questions - (2 * markets + 32 + lost))
    }))
  })

  it("control: without the questions of those that have waited longest, some are never asked", () => {
    assert.include(lastAsked(10, 4, 200, () => 0), -1)
  })
})
