import { FastCheck as fc } from "effect"
import { assert, describe, it } from "vitest"
import { offset, type Sample } from "../../../../src/layers/cli/commands/Check/ClockOffset.ts"

/** How each answer took its time, ms: there and back. */
const ways = fc.array(fc.record({ there: fc.nat(400), back: fc.nat(400) }), { minLength: 5, maxLength: 5 })

describe("how far a clock is off", () => {
  it("is found to half a second over any way, from answers that have whole seconds only", () => {
    fc.assert(fc.property(
      fc.integer({ min: -86_400_000, max: 86_400_000 }),
      fc.integer({ min: 0, max: 999 }),
      ways,
      (ahead, phase, ways) => {
        let theirs = 1_800_000_000_000 + phase
        const samples = ways.map(({ back, there }): Sample => {
          const answered = theirs + there
          const sample = {
            sent: theirs + ahead,
            received: answered + back + ahead,
            date: Math.floor(answered / 1_000) * 1_000
          }
          theirs = answered + back + 220
          return sample
        })
        const found = offset(samples)
        assert.isDefined(found)
        assert.isAtMost(Math.abs((found ?? Infinity) - ahead), 500 + 400)
      }
    ))
  })

  it("is not known of nothing, or of what contradicts itself", () => {
    assert.isUndefined(offset([]))
    // The clock was set between the two.
    assert.isUndefined(offset([
      { sent: 0, received: 10, date: 0 },
      { sent: 60_000, received: 60_010, date: 0 }
    ]))
  })
})
