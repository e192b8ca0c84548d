/** Sessions that are told the same one side at a time, each by its own connection, one later than the other: no book goes back. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Time from "../../../src/services/Time.ts"
import type { Level } from "../../../src/streams/books/Levels.ts"
import * as Machine from "../../../src/streams/books/Machine.ts"

const sides = ["bids", "asks"] as const
type Side = (typeof sides)[number]

type Action =
  | { readonly _tag: "say"; readonly side: Side }
  | { readonly _tag: "connect" }
  /** One of the sessions has the next of what it was told. */
  | { readonly _tag: "bring"; readonly newest: boolean }
  | { readonly _tag: "drop"; readonly newest: boolean; readonly cause: "disconnected" | "stale" }

const actions: fc.Arbitrary<ReadonlyArray<Action>> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ _tag: fc.constant("say" as const), side: fc.constantFrom(...sides) }) },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constant("connect" as const) }) },
    { weight: 7, arbitrary: fc.record({ _tag: fc.constant("bring" as const), newest: fc.boolean() }) },
    {
      weight: 1,
      arbitrary: fc.record({
        _tag: fc.constant("drop" as const),
        newest: fc.boolean(),
        cause: fc.constantFrom("disconnected" as const, "stale" as const)
      })
    }
  ),
  { maxLength: 60, size: "max" }
)

/** So far a session may be behind. */
const most = 12

/** Each state of a side has an amount of its own, which counts. */
const levelsOf = (side: Side, n: number): ReadonlyArray<Level> => [[side === "bids" ? "10" : "20", String(n)]]

const story = (all: ReadonlyArray<Action>) => {
  const state = Machine.initial({
    key: "x:A/B",
    collector: "me",
    depth: "all",
    interval: 0,
    refresh: 0,
    deltas: false,
    phase: 0,
    canAsk: false
  })
  const told: Array<Readonly<Record<Side, number>>> = []
  const said: Array<Side> = []
  let sessions: ReadonlyArray<{ readonly id: number; next: number }> = []
  let [now, ids] = [0, 0]

  const step = (input: Machine.Input): void => {
    for (const one of [input, { _tag: "Due" } as const]) {
      const moment = { at: Time.instant(now), wall: Time.wallTime(1_800_000_000_000 + now) }
      for (const command of Machine.step(state, one, moment)) {
        if (command._tag !== "Book") continue
        told.push({ bids: Number(command.bids[0]?.[1]), asks: Number(command.asks[0]?.[1]) })
      }
    }
  }

  const bring = (session: { readonly id: number; next: number } | undefined): void => {
    const side = session === undefined ? undefined : said[session.next]
    if (session === undefined || side === undefined) return
    const levels = levelsOf(side, session.next++)
    const part = {
      part: side,
      bids: [],
      asks: [],
      previous: undefined,
      sequence: undefined,
      timestamp: null,
      [side]: levels
    }
    step({ _tag: "Part", listener: session.id, part })
  }

  const act = (action: Action): void => {
    now += 1
    switch (action._tag) {
      case "say":
        said.push(action.side)
        for (const one of sessions) if (said.length - one.next > most) bring(one)
        return
      case "connect": {
        if (sessions.length > 1) return
        // What was said before another session heard the market that one cannot have brought: nobody could tell that this one is behind.
        for (const one of sessions) while (one.next < said.length) bring(one)
        const session = { id: ids++, next: said.length }
        sessions = [...sessions, session]
        return step({ _tag: "Heard", listener: session.id, since: undefined, epoch: undefined })
      }
      case "bring":
        return bring(sessions.at(action.newest ? -1 : 0))
      case "drop": {
        const gone = sessions.at(action.newest ? -1 : 0)
        sessions = sessions.filter((one) => one !== gone)
        if (gone === undefined) return
        return step({ _tag: "Lost", listener: gone.id, cause: action.cause, aliveAt: Time.instant(now) })
      }
    }
  }

  for (const action of all) act(action)
  // All is brought in the end, and both sides once more.
  act({ _tag: "connect" })
  for (const side of sides) act({ _tag: "say", side })
  for (let n = 0; n <= most; n++) for (const one of sessions) bring(one)
  return { told, said, state }
}

describe("Sessions of an exchange that sends one side at a time, without numbers", () => {
  it("that are later than each other move no side back, and end with the true book", () => {
    let count = 0
    fc.assert(
      fc.property(actions, (all) => {
        const { said, state: { kept, phase }, told } = story(all)
        told.forEach((one, i) => {
          for (const side of sides) assert.isAtLeast(one[side], told[i - 1]?.[side] ?? 0, `${side} of book ${i}`)
        })
        assert.strictEqual(phase, "live")
        for (const side of sides) assert.deepStrictEqual(kept?.[side], levelsOf(side, said.lastIndexOf(side)))
        count += told.length
      }),
      { numRuns: 2_000 }
    )
    assert.isAbove(count, 2_000)
  })
})
