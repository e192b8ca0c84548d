/** What is due when, of many markets. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Time from "../../../src/services/Time.ts"
import * as Wheel from "../../../src/streams/books/Wheel.ts"

const step = fc.oneof(
  fc.record({ _tag: fc.constant("set" as const), at: fc.nat(30), item: fc.nat(9) }),
  fc.record({ _tag: fc.constant("take" as const), now: fc.nat(30) })
)

describe("The wheel", () => {
  it("has an item once, however often it is set", () => {
    const wheel = Wheel.make<string>()
    for (let n = 0; n < 1_000; n++) {
      wheel.set(Time.instant(60_000 + n), "a")
      wheel.set(Time.instant(n), "a")
    }
    assert.strictEqual(wheel.size(), 1)
    assert.strictEqual(wheel.take(Time.instant(999)), "a")
    assert.isUndefined(wheel.take(Time.instant(1_000_000)))
  })

  it("gives the earliest that is due, by when each was set to last", () => {
    fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const wheel = Wheel.make<number>()
      const due = new Map<number, number>()
      for (const one of steps) {
        if (one._tag === "set") {
          wheel.set(Time.instant(one.at), one.item)
          due.set(one.item, one.at)
        } else {
          const taken = wheel.take(Time.instant(one.now))
          const first = Math.min(...due.values())
          if (first > one.now) assert.isUndefined(taken)
          else {
            assert.strictEqual(taken === undefined ? undefined : due.get(taken), first)
            if (taken !== undefined) due.delete(taken)
          }
        }
        assert.strictEqual(wheel.size(), due.size)
        assert.strictEqual(wheel.next(), due.size === 0 ? undefined : Time.instant(Math.min(...due.values())))
      }
    }))
  })
})
