/** How long records wait for others: judged by the machine's own time, with a Kafka that answers when it is told to. */
import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Handover from "../../../src/services/Delivery/Handover.ts"
import * as Linger from "../../../src/services/Delivery/Handover/Linger.ts"
import * as Time from "../../../src/services/Time.ts"
import { record } from "./World.ts"

interface Sent {
  readonly at: number
  readonly records: number
  /** When its first record came. */
  readonly oldest: number
  /** Of each record: since it could have gone, as it was there and no send was out. */
  readonly waits: ReadonlyArray<number>
}

interface Setting {
  readonly linger: number
  /** Kafka answers so long after a send, ms. */
  readonly answers: number
  /** When records come, ms; ascending. */
  readonly arrivals: ReadonlyArray<number>
  readonly maxBatchRecords?: number
}

/** All sends. Ticks come when the machine wants them, as `Lane` does it. */
const run = ({ answers, arrivals, linger, maxBatchRecords = 1_000 }: Setting): ReadonlyArray<Sent> => {
  const options = { ...Handover.defaults, linger, maxBatchRecords }
  let state = Handover.initial(options, { next: 1, tail: 1 }, Time.instant(0))
  let acceptedAt: Array<number> = []
  let answerAt = Infinity
  let freeAt = 0
  let next = 0
  const sent: Array<Sent> = []
  const step = (input: Handover.Input, now: number): void => {
    const [commands, after] = Handover.step(state, input, Time.instant(now))
    state = after
    for (const command of commands) {
      if (command._tag === "Append") assert.fail("nothing is to be spilled here")
      if (command._tag !== "Send") continue
      const count = command.records.length
      sent.push({
        at: now,
        records: count,
        oldest: acceptedAt[0] ?? now,
        waits: acceptedAt.slice(0, count).map((at) => now - Math.max(at, freeAt))
      })
      acceptedAt = acceptedAt.slice(count)
      answerAt = now + answers
    }
  }
  for (let now = 0;;) {
    const wanted = Handover.deadline(state, Time.instant(now))
    const tickAt = wanted === undefined ? Infinity : now + Time.between(Time.instant(now), wanted)
    const due = Math.min(arrivals[next] ?? Infinity, answerAt, tickAt)
    if (due === Infinity) break
    now = due
    if (answerAt === now) {
      answerAt = Infinity
      freeAt = now
      step({ _tag: "Sent" }, now)
    } else if (arrivals[next] === now) {
      next += 1
      acceptedAt.push(now)
      step({ _tag: "Offer", records: [record(0)] }, now)
    } else step({ _tag: "Tick" }, now)
  }
  assert.isEmpty(acceptedAt)
  assert.strictEqual(sent.reduce((sum, { records }) => sum + records, 0), arrivals.length)
  return sent
}

/** One each `gap` ms. */
const regular = (gap: number, count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, n) => n * gap)

const longest = (sent: ReadonlyArray<Sent>): number => Math.max(...sent.flatMap(({ waits }) => waits))

const setting: fc.Arbitrary<Setting> = fc.record({
  linger: fc.constantFrom(0, 1, 5, 20),
  answers: fc.constantFrom(1, 2, 7, 40),
  arrivals: fc.array(fc.constantFrom(0, 0, 0, 1, 1, 3, 5, 9, 60), { minLength: 1, maxLength: 150 }).map((gaps) => {
    let at = 0
    return gaps.map((gap) => at += gap)
  }),
  maxBatchRecords: fc.constantFrom(3, 20, 1_000)
})

describe("linger", () => {
  it("any arrivals: no record waits longer for others, none waits that comes late, and sends are so far apart unless they are full", () =>
    fc.assert(
      fc.property(setting, (one) => {
        const sent = run(one)
        for (const { waits } of sent) for (const wait of waits) assert.isAtMost(wait, one.linger)
        let lastSendAt = -Infinity
        for (const { at, oldest, records, waits } of sent) {
          // Nothing was sent just now.
          if (oldest - lastSendAt >= one.linger) assert.strictEqual(waits[0], 0, `at ${at}`)
          const isFull = records === one.maxBatchRecords
          // It was there already when the send before was full.
          const hasWaited = at - oldest >= one.linger
          if (!isFull && !hasWaited) assert.isAtLeast(at - lastSendAt, one.linger, `at ${at}`)
          lastSendAt = at
        }
      }),
      { numRuns: 2_000 }
    ))

  it("each goes at once where they are farther apart than a linger", () => {
    const sent = run({ linger: 5, answers: 2, arrivals: regular(6, 100) })
    assert.strictEqual(sent.length, 100)
    assert.strictEqual(longest(sent), 0)
  })

  it("at a thousand a second one send a linger, whatever the size of the batches was before", () => {
    const burst = Array.from({ length: 500 }, () => 0)
    const sent = run({ linger: 5, answers: 2, arrivals: [...burst, ...regular(1, 1_000).map((at) => at + 100)] })
    // What came behind a batch of over twenty waited five times as long.
    assert.isAtMost(longest(sent), 5)
    const steady = sent.filter(({ at }) => at >= 100)
    assert.isAtLeast(steady.length, 180)
    assert.isAtMost(steady.length, 210)
  })

  it("batches are full where more comes than goes", () => {
    const arrivals = Array.from({ length: 50_000 }, (_, n) => Math.floor(n / 200))
    const sent = run({ linger: 5, answers: 6, arrivals })
    const inTheMiddle = sent.filter(({ at }) => at > 10 && at < 240)
    assert.isNotEmpty(inTheMiddle)
    for (const { records } of inTheMiddle) assert.strictEqual(records, 1_000)
  })

  it("0: nothing ever waits while no send is out", () => {
    const sent = run({ linger: 0, answers: 2, arrivals: regular(1, 1_000) })
    assert.strictEqual(longest(sent), 0)
  })

  it("is due at once where nothing was sent yet, or nothing is to wait", () => {
    const at = Time.instant(10)
    assert.isAtMost(Time.between(at, Linger.dueAt(at, Time.never, 5)), 0)
    assert.isAtMost(Time.between(at, Linger.dueAt(at, Time.instant(9), 0)), 0)
    assert.strictEqual(Time.between(at, Linger.dueAt(at, Time.instant(9), 5)), 4)
    assert.isBelow(Time.between(at, Linger.dueAt(at, Time.instant(2), 5)), 0)
  })
})
