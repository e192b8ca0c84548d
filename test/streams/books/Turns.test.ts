/** Whose book is compared with pictures beside it, and for how long. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Time from "../../../src/services/Time.ts"
import * as Turns from "../../../src/streams/books/Turns.ts"

interface Kept {
  readonly name: string
  auditedAt: Time.Instant
  isListed: boolean
  readonly state: { leader: number | undefined }
}

const kept = (name: string): Kept => ({ name, auditedAt: Time.never, isListed: true, state: { leader: 1 } })

/** Each second from 0 on; `isDone` of the market whose turn it is. */
const play = (
  markets: ReadonlyArray<Kept>,
  seconds: number,
  isDone: (kept: Kept, at: number) => boolean | undefined
) => {
  const s: Turns.State<Kept> = Turns.initial()
  const told: Array<string> = []
  for (let at = 0; at < seconds; at++) {
    const command = Turns.step(s, markets, (one) => isDone(one, at), Time.instant(at * 1_000))
    if (command !== undefined) told.push(`${at} ${command._tag} ${command.kept.name}`)
  }
  return { told, turn: s.turn }
}

describe("The turns of books", () => {
  it("come one after the other, whose was longest ago first; one that is proved makes room after a rest", () => {
    const { told } = play([kept("a"), kept("b")], 20, () => true)
    assert.deepStrictEqual(told, [
      "0 Audit a",
      "1 AuditOver a",
      "6 Audit b",
      "7 AuditOver b",
      "12 Audit a",
      "13 AuditOver a",
      "18 Audit b",
      "19 AuditOver b"
    ])
  })

  it("hear pictures for 30 s, and wait 10 s more for what the last of them were of", () => {
    assert.isTrue(play([kept("a")], 30, () => false).turn?.isHeard)
    assert.isFalse(play([kept("a")], 31, () => false).turn?.isHeard)
    assert.deepStrictEqual(play([kept("a")], 46, () => false).told, [
      "0 Audit a",
      "30 AuditCeased a",
      "40 AuditOver a",
      "45 Audit a"
    ])
  })

  it("end at once where nothing can be compared any more: another session leads, the market has left, the book was wrong", () => {
    const over = ["0 Audit a", "9 AuditCut a"]
    const from9 = (then: (one: Kept) => void) => {
      const one = kept("a")
      return play([one], 10, (_, at) => (at === 9 ? then(one) : undefined, false)).told
    }
    assert.deepStrictEqual(from9(() => {}), ["0 Audit a"])
    assert.deepStrictEqual(from9((one) => void (one.state.leader = 2)), over)
    assert.deepStrictEqual(from9((one) => void (one.isListed = false)), over)
    assert.deepStrictEqual(play([kept("a")], 10, (_, at) => at === 9 ? undefined : false).told, over)
  })

  it("pass over books that nobody hears, and wait while there is none", () => {
    const [a, b] = [kept("a"), kept("b")]
    a.state.leader = undefined
    assert.deepStrictEqual(play([a, b], 1, () => false).told, ["0 Audit b"])
    b.isListed = false
    assert.deepStrictEqual(play([a, b], 5, () => false).told, [])
  })

  it("leave nobody out, whatever becomes of them", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(true, false, undefined), { minLength: 1, maxLength: 50 }), (answers) => {
        const markets = ["a", "b", "c", "d"].map(kept)
        const { told } = play(markets, 8 * 46, (_, at) => answers[at % answers.length])
        const turns = told.filter((one) => one.includes("Audit ")).map((one) => one.split(" ")[2])
        turns.forEach((name, i) => assert.strictEqual(name, markets[i % 4]?.name))
        assert.isAtLeast(turns.length, 8)
      })
    )
  })
})
