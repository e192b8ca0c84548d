import * as fc from "fast-check"
import { expect, test } from "vitest"
import * as ClosedLoop from "../../bench/support/ClosedLoop.ts"

/** Sends `batches` as the exchange of the bench does, with Kafka's answers in between: the most that was ever on its way, and whether all went. */
const play = (room: number, batches: ReadonlyArray<number>, answers: ReadonlyArray<number>) => {
  let loop = ClosedLoop.make(room)
  let most = 0
  let asked = 0
  const waiting = [...batches]
  // Kafka takes some of what it has not, and in the end everything: as often as there is a batch to wait for.
  for (let turn = 0; waiting.length > 0 && turn < batches.length + answers.length + 1; turn++) {
    for (let next = waiting[0]; next !== undefined && ClosedLoop.hasRoom(loop, next); next = waiting[0]) {
      loop = ClosedLoop.sent(loop, next)
      waiting.shift()
      most = Math.max(most, ClosedLoop.inFlight(loop))
    }
    asked = turn < answers.length ? asked + Math.min(answers[turn] ?? 0, loop.sent - asked) : loop.sent
    loop = ClosedLoop.told(loop, asked)
  }
  return { most, sent: loop.sent, left: waiting.length }
}

test("never more than the room is on its way, but for a batch that is larger than all of it, and everything goes in the end", () => {
  const counts = fc.array(fc.integer({ min: 1, max: 1_000 }), { maxLength: 40 })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8_000 }), counts, counts, (room, batches, answers) => {
      const { left, most, sent } = play(room, batches, answers)
      expect(left).toBe(0)
      expect(sent).toBe(batches.reduce((a, b) => a + b, 0))
      expect(most).toBeLessThanOrEqual(Math.max(room, ...batches))
    })
  )
})

test("a late answer with fewer records takes no room away again", () => {
  const loop = ClosedLoop.told(ClosedLoop.told(ClosedLoop.sent(ClosedLoop.make(10), 10), 8), 3)
  expect(ClosedLoop.inFlight(loop)).toBe(2)
  expect(ClosedLoop.hasRoom(loop, 8)).toBe(true)
  expect(ClosedLoop.hasRoom(loop, 9)).toBe(false)
})

test("records that Kafka has twice are no room for more than there is", () => {
  const loop = ClosedLoop.told(ClosedLoop.sent(ClosedLoop.make(10), 5), 12)
  expect(ClosedLoop.inFlight(loop)).toBe(0)
  expect(ClosedLoop.inFlight(ClosedLoop.sent(loop, 10))).toBe(3)
})

test("without a bound everything goes at once", () => {
  expect(ClosedLoop.hasRoom(ClosedLoop.sent(ClosedLoop.make(Infinity), 1e9), 1e9)).toBe(true)
})
