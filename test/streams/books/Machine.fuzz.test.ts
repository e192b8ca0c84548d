/** The machine of a book against a true book: only what was true is told, in order, at its pace, and each doubtful period by two gaps. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Time from "../../../src/services/Time.ts"
import type { Level } from "../../../src/streams/books/Levels.ts"
import type * as Machine from "../../../src/streams/books/Machine.ts"
import { type Action, type Setup, World } from "./World.ts"

const runs = Number(process.env["FUZZ_RUNS"] ?? 3_000)

const actions: fc.Arbitrary<ReadonlyArray<Action>> = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.record({ _tag: fc.constant("change" as const), place: fc.nat(11), amount: fc.nat(3) }) },
    {
      weight: 6,
      arbitrary: fc.record({
        _tag: fc.constant("push" as const),
        side: fc.constantFrom("bids" as const, "asks" as const)
      })
    },
    { weight: 2, arbitrary: fc.record({ _tag: fc.constant("connect" as const) }) },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constant("drop" as const), newest: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constant("restart" as const) }) },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constant("doubt" as const) }) },
    { weight: 2, arbitrary: fc.record({ _tag: fc.constant("answer" as const), fails: fc.boolean() }) },
    {
      weight: 5,
      arbitrary: fc.record({
        _tag: fc.constant("pass" as const),
        ms: fc.constantFrom(1, 100, 900, 1_000, 11_000, 61_000)
      })
    }
  ),
  { maxLength: 60, size: "max" }
)

const setup: fc.Arbitrary<Setup> = fc.record({
  bySides: fc.boolean(),
  numbered: fc.boolean(),
  deltas: fc.boolean(),
  depth: fc.constantFrom(1, 3, "all" as const),
  interval: fc.constantFrom(0, 1_000),
  refresh: fc.constantFrom(0, 60_000)
}).map((one) => ({
  ...one,
  numbered: one.numbered && !one.bySides,
  refresh: one.deltas ? 60_000 : one.refresh
}))

type Said = Machine.Command & { readonly at: number }

const cut = (levels: ReadonlyArray<Level>, depth: number | "all") => depth === "all" ? levels : levels.slice(0, depth)

const isSame = (a: ReadonlyArray<Level>, b: ReadonlyArray<Level>): boolean => JSON.stringify(a) === JSON.stringify(b)

const apply = (reader: Map<string, string>, levels: ReadonlyArray<Level>): void => {
  for (const [price, amount] of levels) {
    if (amount === "0") reader.delete(price)
    else reader.set(price, amount)
  }
}

const ordered = (side: "bids" | "asks", reader: Map<string, string>): ReadonlyArray<Level> =>
  [...reader].sort(([a], [b]) => side === "bids" ? Number(b) - Number(a) : Number(a) - Number(b))

/** The whole story is told, then judged. */
const judge = (world: World, { bySides, deltas, depth, interval }: Setup): void => {
  const limit = deltas ? "all" : depth
  const bids = new Map<string, string>()
  const asks = new Map<string, string>()
  let sequence: string | undefined
  let hole: Extract<Said, { readonly _tag: "Gap" }> | undefined
  /** Versions go forward only. */
  let [lastBids, lastAsks] = [0, 0]
  let last: { readonly at: number; readonly id: string } | undefined
  let isFree = true
  const find = (side: "bids" | "asks", levels: ReadonlyArray<Level>, from: number): number =>
    world.versions.findIndex((version, i) => i >= from && isSame(cut(version[side], limit), levels))
  for (const said of world.commands) {
    switch (said._tag) {
      case "Gap": {
        assert.strictEqual(said.complete, hole !== undefined)
        if (hole !== undefined) {
          assert.deepStrictEqual(
            [said.from, said.fromSequence, said.cause],
            [hole.from, hole.fromSequence, hole.cause]
          )
          assert.isNotNull(said.toSequence)
          isFree = true
        } else assert.isNull(said.toSequence)
        hole = said.complete ? undefined : said
        break
      }
      case "Book":
      case "Delta": {
        assert.isUndefined(hole, "a doubtful book is silent")
        if (said._tag === "Book") {
          bids.clear()
          asks.clear()
          // The first and the one after a hole go at once.
          if (last !== undefined && !isFree && !deltas) assert.isTrue(said.at - last.at >= interval, "too soon")
          last = isFree ? undefined : said
          isFree = false
        } else {
          assert.isTrue(deltas)
          assert.strictEqual(said.previous, sequence)
          assert.isTrue(said.bids.length + said.asks.length > 0)
        }
        sequence = said.sequence
        apply(bids, said.bids)
        apply(asks, said.asks)
        const [bidsNow, asksNow] = [ordered("bids", bids), ordered("asks", asks)]
        if (bySides) {
          ;[lastBids, lastAsks] = [find("bids", bidsNow, 0), find("asks", asksNow, 0)]
          assert.isTrue(lastBids >= 0 && lastAsks >= 0, "it was never so")
        } else {
          const at = world.versions.findIndex((version, i) =>
            i >= lastBids && isSame(cut(version.bids, limit), bidsNow) && isSame(cut(version.asks, limit), asksNow)
          )
          assert.isTrue(at >= 0, "it was never so, or was before")
          lastBids = at
        }
        break
      }
    }
  }
}

/** What must hold whenever nothing is due. */
const invariant = (world: World, { deltas, interval, refresh }: Setup): void => {
  const { changedAt, isUrgent, phase, toldAt } = world.state
  if (phase !== "live") return
  const { at } = world.moment
  assert.isFalse(isUrgent)
  if (refresh > 0) assert.isTrue(Time.between(toldAt, at) < refresh, "an unchanged book is told again")
  if (changedAt === undefined) return
  assert.isFalse(deltas, "a change is told at once")
  assert.isTrue(Time.between(changedAt, at) < interval, "a change is out after the interval")
}

describe("A book's machine", () => {
  it("tells only what was true, in order, at its pace, and each doubtful period by a pair of gaps", () => {
    let told = 0
    let holes = 0
    fc.assert(
      fc.property(setup, actions, (one, all) => {
        const world = new World(one)
        for (const action of all) {
          world.act(action)
          invariant(world, one)
        }
        judge(world, one)
        told += world.commands.filter(({ _tag }) => _tag === "Book" || _tag === "Delta").length
        holes += world.commands.filter(({ _tag }) => _tag === "Gap").length
      }),
      { numRuns: runs }
    )
    // It has said something.
    assert.isTrue(told > runs && holes > runs / 10, `${told} events, ${holes} gaps`)
  })

  it("that hears the exchange for long enough has the true book, whatever was before", () => {
    fc.assert(
      fc.property(setup, actions, (one, all) => {
        const world = new World(one)
        for (const action of all) world.act(action)
        world.act({ _tag: "restart" })
        world.act({ _tag: "connect" })
        world.act({ _tag: "push", side: "bids" })
        world.act({ _tag: "push", side: "asks" })
        world.act({ _tag: "pass", ms: 2_000 })
        const { kept, phase, told } = world.state
        assert.strictEqual(phase, "live")
        assert.deepStrictEqual({ bids: kept?.bids, asks: kept?.asks }, world.truth)
        const limit = one.deltas ? "all" : one.depth
        assert.deepStrictEqual(told?.bids, cut(world.truth.bids, limit))
        assert.deepStrictEqual(told?.asks, cut(world.truth.asks, limit))
      }),
      { numRuns: Math.ceil(runs / 2) }
    )
  })
})
