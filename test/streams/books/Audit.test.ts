/** A book's states and pictures of it that come by another way: whichever comes first, at one number they are compared. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Audit from "../../../src/streams/books/Audit.ts"

const picture = (sequence: number, amount: string | number = sequence): Audit.Picture => ({
  bids: [["5", String(amount)]],
  asks: [["6", "1"]],
  sequence: BigInt(sequence)
})

const make = (isAsked = true) => Audit.make(1, isAsked, picture(1))

describe("A proof", () => {
  it("is of a state that the book has come to, had before, or had at the beginning; another number proves nothing", () => {
    const s = make()
    assert.strictEqual(Audit.pictured(s, picture(1)), "equal")
    assert.isUndefined(Audit.pictured(s, picture(3)))
    assert.isUndefined(Audit.changed(s, picture(2)))
    assert.strictEqual(Audit.changed(s, picture(3)), "equal")
    assert.strictEqual(Audit.pictured(s, picture(2)), "equal")
    assert.isUndefined(Audit.pictured(s, picture(5, "x")))
    assert.isUndefined(Audit.changed(s, picture(6)))
    assert.isUndefined(Audit.pictured(s, picture(5, "x")))
    assert.strictEqual(Audit.pictured(s, picture(6, "x")), "different")
    assert.strictEqual(s.equal, 3)
  })

  it("does not depend on which of the two comes first", () => {
    // Of each number: the book comes to it, a picture of it comes, and that is right.
    const step = fc.record({ isState: fc.boolean(), isPicture: fc.boolean(), isRight: fc.boolean() })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.array(fc.boolean(), { maxLength: 60 }), (steps, order) => {
        const numbered = steps.map((one, i) => ({ ...one, number: i + 2 }))
        const states = numbered.filter(({ isState }) => isState)
        const pictures = numbered.filter(({ isPicture }) => isPicture)
        const [s, found] = [make(), new Array<string>()]
        const takeState = () => {
          const state = states.shift()
          if (state !== undefined) found.push(Audit.changed(s, picture(state.number)) ?? "")
        }
        const takePicture = () => {
          const one = pictures.shift()
          if (one === undefined) return
          found.push(Audit.pictured(s, picture(one.number, one.isRight ? one.number : "x")) ?? "")
        }
        for (const isState of order) (isState ? takeState : takePicture)()
        while (states.length > 0) takeState()
        while (pictures.length > 0) takePicture()
        const expected = numbered.flatMap(({ isPicture, isRight, isState }) =>
          isPicture && isState ? [isRight ? "equal" : "different"] : []
        )
        assert.deepStrictEqual(found.filter((one) => one !== ""), expected)
      })
    )
  })

  it("is done after five, however many come then; none, and nothing is proved", () => {
    const s = make()
    assert.strictEqual(Audit.outcome(s, picture(1)), "unproven")
    for (let n = 0; n < 4; n++) Audit.pictured(s, picture(1))
    assert.isFalse(Audit.isDone(s))
    assert.strictEqual(Audit.outcome(s, picture(1)), "equal")
    Audit.pictured(s, picture(1))
    assert.isTrue(Audit.isDone(s))
    // They are on their way.
    Audit.pictured(s, picture(9))
    assert.strictEqual(Audit.outcome(s, picture(1)), "equal")
  })

  it("says that a book is behind whose pictures went on, but for numbers that changed nothing", () => {
    const s = make()
    Audit.pictured(s, picture(1))
    Audit.pictured(s, picture(7, "1"))
    assert.strictEqual(Audit.outcome(s, picture(1)), "equal")
    Audit.pictured(s, picture(8))
    Audit.ceased(s)
    assert.strictEqual(Audit.outcome(s, picture(1)), "behind")
    // It has come further by another way.
    assert.strictEqual(Audit.outcome(s, picture(9)), "equal")
    // It waits for a picture itself: that it is behind is known.
    assert.strictEqual(Audit.outcome(s, undefined), "equal")
    Audit.changed(s, picture(9))
    assert.strictEqual(Audit.outcome(s, picture(9)), "equal")
  })

  it("waits for none that comes when they are to be left: a topic may be left late, and the book be a moment behind what that brings", () => {
    const s = make()
    Audit.pictured(s, picture(2))
    Audit.ceased(s)
    Audit.changed(s, picture(2))
    Audit.pictured(s, picture(3))
    assert.strictEqual(Audit.outcome(s, picture(2)), "equal")
    // Wrong is wrong.
    assert.strictEqual(Audit.changed(s, picture(3, "x")), "different")
  })

  it("remembers so much and no more; what came unasked is over when nothing of it comes any more", () => {
    for (const isAsked of [true, false]) {
      const s = make(isAsked)
      for (let n = 2; n < 66; n++) Audit.changed(s, picture(n))
      assert.isFalse(Audit.isOver(s))
      Audit.changed(s, picture(66))
      assert.strictEqual(Audit.isOver(s), !isAsked)
      assert.lengthOf(s.states, 64)
      for (let n = 70; n < 200; n++) Audit.pictured(s, picture(n))
      assert.lengthOf(s.waiting, 64)
      assert.isFalse(Audit.isOver(s))
    }
  })
})
