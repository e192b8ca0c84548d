/** Numbers that count up for ever (`Books.numbers: "own"`): which picture has which is the exchange's word, and each collector's the same. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Time from "../../../src/services/Time.ts"
import * as Machine from "../../../src/streams/books/Machine.ts"

const wall = 1_790_960_630_000

/** The picture of that number: of a price and an amount that no other number has. */
const partOf = (n: number): Machine.Part => ({
  part: "whole",
  bids: [[String(100 + n), "1"]],
  asks: [[String(10_000 + n), "2"]],
  previous: undefined,
  sequence: BigInt(n),
  timestamp: null
})

const make = (collector = "me") => {
  const state = Machine.initial({
    key: "x:A/B",
    collector,
    depth: 20,
    interval: 0,
    refresh: 60_000,
    deltas: false,
    phase: 0,
    canAsk: true,
    hasOwnNumbers: true
  })
  let now = 0
  const step = (input: Machine.Input) =>
    Machine.step(state, input, { at: Time.instant(now), wall: Time.wallTime(wall + now) })
  const tell = (input: Machine.Input): ReadonlyArray<Machine.Command> => [...step(input), ...step({ _tag: "Due" })]
  return {
    state,
    tell,
    heard: (listener: number) => tell({ _tag: "Heard", listener, epoch: undefined, since: undefined }),
    lost: (listener: number) => tell({ _tag: "Lost", listener, cause: "disconnected", aliveAt: Time.instant(now) }),
    push: (listener: number, n: number) => tell({ _tag: "Part", listener, part: partOf(n) }),
    /** Gives true if a picture is asked for meanwhile. */
    pass: (ms: number) => {
      now += ms
      return step({ _tag: "Due" })
    },
    answer: (n: number) => tell({ _tag: "Answer", part: partOf(n), sentAt: Time.instant(now) })
  }
}

const told = (commands: ReadonlyArray<Machine.Command>) =>
  commands.flatMap((one) => one._tag === "Book" ? [[one.sequence, one.id, one.source].join(" ")] : [])

describe("numbers that count up for ever", () => {
  it("are sequence and id, by the socket and by REST", () => {
    const one = make()
    one.heard(0)
    assert.deepStrictEqual(told(one.push(0, 160)), ["160 x:A/B:b:160 ws"])
    one.lost(0)
    one.heard(1)
    one.pass(10_000)
    assert.isTrue(one.state.ask.isPending)
    assert.deepStrictEqual(told(one.answer(170)), ["170 x:A/B:b:170 rest"])
    // The socket of a server that is behind, and then one that is not.
    assert.deepStrictEqual(told(one.push(1, 169)), [])
    assert.deepStrictEqual(told(one.push(1, 171)), ["171 x:A/B:b:171 ws"])
  })

  it("a server that is behind after a reconnect is waited for, and no picture of before is told", () => {
    const one = make()
    one.heard(0)
    one.push(0, 160)
    one.lost(0)
    one.heard(1)
    for (const n of [157, 158, 159]) assert.deepStrictEqual(told(one.push(1, n)), [])
    assert.strictEqual(one.state.phase, "doubtful")
    // The same as before: whole again.
    assert.deepStrictEqual(told(one.push(1, 160)), ["160 x:A/B:b:160 ws"])
    assert.strictEqual(one.state.phase, "live")
  })

  it("that began again, as a picture that was asked for says, are the collector's from then on", () => {
    const one = make()
    one.heard(0)
    one.push(0, 160)
    one.lost(0)
    one.heard(1)
    assert.deepStrictEqual(told(one.push(1, 3)), [])
    one.pass(10_000)
    const [first = ""] = told(one.answer(4))
    assert.match(first, /^me\w+_0 x:A\/B:b:me:\d+:\d+ rest$/)
    const [second = ""] = told(one.push(1, 5))
    assert.match(second, /^me\w+_1 /)
    // What is lower is older still.
    assert.deepStrictEqual(told(one.push(1, 4)), [])
  })

  const action = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ _tag: fc.constant("push" as const), behind: fc.nat(4), newest: fc.boolean() })
    },
    { weight: 3, arbitrary: fc.record({ _tag: fc.constant("change" as const), by: fc.nat(5) }) },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constant("connect" as const) }) },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constant("drop" as const), newest: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constant("doubt" as const) }) },
    {
      weight: 2,
      arbitrary: fc.record({ _tag: fc.constant("pass" as const), ms: fc.constantFrom(100, 10_000, 60_000) })
    },
    { weight: 2, arbitrary: fc.record({ _tag: fc.constant("answer" as const), behind: fc.nat(4) }) }
  )

  it("any story of servers that are behind: each number has its own picture, and none comes before a higher one", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60, size: "max" }), (actions) => {
        const one = make()
        const sessions: Array<number> = []
        let [truth, ids, last] = [100, 0, 0]
        const judge = (commands: ReadonlyArray<Machine.Command>) => {
          for (const command of commands) {
            if (command._tag !== "Book") continue
            const n = Number(command.sequence)
            assert.deepStrictEqual<unknown>([command.bids, command.asks], [partOf(n).bids, partOf(n).asks])
            assert.strictEqual(command.id, `x:A/B:b:${n}`)
            assert.isAtLeast(n, last)
            last = n
          }
        }
        const pick = (newest: boolean) => sessions.at(newest ? -1 : 0)
        for (const step of actions) {
          switch (step._tag) {
            case "change":
              truth += step.by
              break
            case "push": {
              const id = pick(step.newest)
              if (id !== undefined) judge(one.push(id, truth - step.behind))
              break
            }
            case "connect":
              if (sessions.length < 2) {
                sessions.push(ids)
                judge(one.heard(ids++))
              }
              break
            case "drop": {
              const id = step.newest ? sessions.pop() : sessions.shift()
              if (id !== undefined) judge(one.lost(id))
              break
            }
            case "doubt": {
              const id = pick(true)
              if (id !== undefined) judge(one.tell({ _tag: "Doubted", listener: id, cause: "undecoded" }))
              break
            }
            case "pass":
              judge(one.pass(step.ms))
              break
            case "answer":
              // A lower one than was told would be of numbers that began again.
              if (one.state.ask.isPending) judge(one.answer(Math.max(last, truth - step.behind)))
          }
        }
        // What is true comes to be told.
        if (sessions.length > 0) {
          truth += 1
          for (const id of sessions) judge(one.push(id, truth))
          assert.strictEqual(last, truth)
        }
      }),
      { numRuns: 3_000 }
    )
  })
})
