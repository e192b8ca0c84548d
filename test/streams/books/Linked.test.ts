/**
 * Books that changes keep against a true book, for each way in which changes follow one another: only what was true is told, in order, and
 * each doubtful period by two gaps and with one action. `BOOK_SEEDS=10000` is the long run.
 */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Time from "../../../src/services/Time.ts"
import * as Audit from "../../../src/streams/books/Audit.ts"
import type { Level } from "../../../src/streams/books/Levels.ts"
import * as Linked from "../../../src/streams/books/Linked.ts"
import * as Sync from "../../../src/streams/books/Sync.ts"
import * as Turns from "../../../src/streams/books/Turns.ts"
import { type Action, type Link, LinkedWorld, type Said, type Setup } from "./LinkedWorld.ts"

const runs = Number(process.env["BOOK_SEEDS"] ?? 300)

const actions: fc.Arbitrary<ReadonlyArray<Action>> = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({ _tag: fc.constant("change" as const), place: fc.nat(15), amount: fc.nat(3) })
    },
    { weight: 6, arbitrary: fc.record({ _tag: fc.constant("push" as const) }) },
    { weight: 8, arbitrary: fc.record({ _tag: fc.constant("deliver" as const), frames: fc.constantFrom(1, 2, 10) }) },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constantFrom("beat" as const, "reset" as const) }) },
    {
      weight: 2,
      arbitrary: fc.record({ _tag: fc.constantFrom("drop" as const, "double" as const, "delay" as const) })
    },
    { weight: 2, arbitrary: fc.record({ _tag: fc.constant("connect" as const) }) },
    { weight: 4, arbitrary: fc.record({ _tag: fc.constant("beside" as const) }) },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constant("besideOver" as const) }) },
    {
      weight: 1,
      arbitrary: fc.record({ _tag: fc.constant("cut" as const), newest: fc.boolean(), isSilent: fc.boolean() })
    },
    {
      weight: 3,
      arbitrary: fc.record({
        _tag: fc.constant("answer" as const),
        fails: fc.boolean(),
        lag: fc.constantFrom(0, 0, 1, 2, 5)
      })
    },
    {
      weight: 3,
      arbitrary: fc.record({ _tag: fc.constant("pass" as const), ms: fc.constantFrom(1, 500, 1_000, 11_000, 31_000) })
    }
  ),
  { minLength: 10, maxLength: 120, size: "max" }
)

const setup = (link: Link): fc.Arbitrary<Setup> =>
  fc.record({
    link: fc.constant(link),
    deltas: fc.boolean(),
    depth: fc.constantFrom(1, 3),
    interval: fc.constantFrom(0, 1_000),
    window: fc.constantFrom(5, 8)
  })

/** A session from the beginning, so that most of a story is about a book that was known. */
const begin = (world: LinkedWorld): void => {
  world.act({ _tag: "connect" })
  world.act({ _tag: "pass", ms: 1 })
  world.act({ _tag: "deliver", frames: 1 })
  world.act({ _tag: "answer", fails: false, lag: 0 })
}

const isSame = (a: ReadonlyArray<Level>, b: ReadonlyArray<Level>): boolean => JSON.stringify(a) === JSON.stringify(b)

const put = (reader: Map<string, string>, levels: ReadonlyArray<Level>): void => {
  for (const [price, amount] of levels) {
    if (amount === "0") reader.delete(price)
    else reader.set(price, amount)
  }
}

const ordered = (side: "bids" | "asks", reader: Map<string, string>): ReadonlyArray<Level> =>
  [...reader].sort(([a], [b]) => side === "bids" ? Number(b) - Number(a) : Number(a) - Number(b))

/** The state of a version that may be told: so many levels, or where that is the window of a picture, any that begin a side. */
const isOf = (true_: ReadonlyArray<Level>, told: ReadonlyArray<Level>, { deltas, depth, link }: Setup): boolean => {
  const least = link === "none" ? Math.min(4, true_.length) : link === "overlap" ? 0 : true_.length
  const isWhole = told.length >= Math.min(least, deltas ? least : depth, true_.length)
  return isWhole && isSame(true_.slice(0, told.length), told)
}

interface Told {
  readonly events: number
  readonly gaps: number
}

const judge = (world: LinkedWorld, setup: Setup): Told => {
  const bids = new Map<string, string>()
  const asks = new Map<string, string>()
  let sequence: string | undefined
  let hole: Extract<Said, { readonly _tag: "Gap" }> | undefined
  let last = 0
  /** When a picture was asked for, since the book was last whole. */
  let asks_: Array<number> = []
  let events = 0
  let gaps = 0
  for (const said of world.commands) {
    switch (said._tag) {
      // Dials are bounded by themselves, and who hears anew needs a picture of its own.
      case "Connected":
        asks_ = []
        break
      case "Ask": {
        const before = asks_.at(-1)
        const wait = Math.min(600_000, 30_000 * 2 ** (asks_.length - 1))
        if (before !== undefined) {
          assert.isTrue(said.at - before >= wait, `asked ${asks_.length} times, again after ${said.at - before}`)
        }
        asks_.push(said.at)
        break
      }
      case "Gap": {
        assert.strictEqual(said.complete, hole !== undefined, "one pair for each doubtful period")
        if (hole === undefined) {
          gaps += 1
          asks_ = []
        } else {assert.deepStrictEqual([said.from, said.fromSequence, said.cause], [
            hole.from,
            hole.fromSequence,
            hole.cause
          ])}
        hole = said.complete ? undefined : said
        break
      }
      case "Book":
      case "Delta": {
        assert.isUndefined(hole, "a doubtful book is silent")
        events += 1
        asks_ = []
        if (said._tag === "Book") {
          bids.clear()
          asks.clear()
        } else assert.strictEqual(said.previous, sequence)
        sequence = said.sequence
        put(bids, said.bids)
        put(asks, said.asks)
        const [bidsNow, asksNow] = [ordered("bids", bids), ordered("asks", asks)]
        const at = world.versions.findIndex((version, i) =>
          i >= last && isOf(version.bids, bidsNow, setup) && isOf(version.asks, asksNow, setup)
        )
        assert.isTrue(at >= 0, `it was never so, or was before: ${JSON.stringify([bidsNow, asksNow])}`)
        last = at
        if (said._tag === "Book") {
          const told = said.sequence
          const { link } = setup
          if (link === "exact" || link === "overlap") assert.match(told, /^\d+(\.\d+)?$/)
        }
        break
      }
    }
  }
  return { events, gaps }
}

describe.each(["exact", "overlap", "counted", "none"] as const)("Books by the link %s", (link) => {
  it("tell only what was true, in order, and each doubtful period by a pair of gaps and one action", () => {
    let [events, gaps, proofs] = [0, 0, 0]
    fc.assert(
      fc.property(setup(link), actions, (one, all) => {
        const world = new LinkedWorld(one)
        begin(world)
        for (const action of all) world.act(action)
        const told = judge(world, one)
        // Whatever the wire does, no true book is taken for a wrong one.
        const audits = world.commands.flatMap((said) => said._tag === "Audited" ? [said.outcome] : [])
        assert.notInclude(audits, "different")
        proofs += audits.filter((outcome) => outcome === "equal").length
        events += told.events
        gaps += told.gaps
      }),
      { numRuns: runs }
    )
    // It has said something.
    assert.isTrue(events > runs && gaps > runs / 4, `${events} events, ${gaps} gaps`)
    if (link === "overlap") assert.isAbove(proofs, runs / 4)
  })

  it("are true in the end, whatever was before", () => {
    fc.assert(
      fc.property(setup(link), actions, (one, all) => {
        const world = new LinkedWorld(one)
        for (const action of all) world.act(action)
        // Longer than any back-off.
        for (let n = 0; n < 3; n++) {
          if (world.sessions.length === 0) world.act({ _tag: "connect" })
          // What is missing is seen with what follows.
          world.act({ _tag: "change", place: 1, amount: n + 4 })
          world.act({ _tag: "push" })
          world.act({ _tag: "deliver", frames: 1_000 })
          world.act({ _tag: "pass", ms: 601_000 })
          world.act({ _tag: "deliver", frames: 1_000 })
          world.act({ _tag: "answer", fails: false, lag: 0 })
        }
        world.act({ _tag: "change", place: 0, amount: 7 })
        world.act({ _tag: "push" })
        world.act({ _tag: "deliver", frames: 1_000 })
        world.act({ _tag: "pass", ms: 2_000 })
        const { phase, told } = world.state
        assert.strictEqual(phase, "live")
        assert.isTrue(isOf(world.truth.bids, told?.bids ?? [], one), "bids")
        assert.isTrue(isOf(world.truth.asks, told?.asks ?? [], one), "asks")
        assert.strictEqual(told?.bids[0]?.[1], "7")
      }),
      { numRuns: Math.ceil(runs / 3) }
    )
  })
})

const stretch = fc.array(
  fc.record({ _tag: fc.constant("change" as const), place: fc.nat(15), amount: fc.nat(3) }),
  { minLength: 1, maxLength: 6 }
)

const gapsOf = ({ commands }: LinkedWorld) =>
  commands.flatMap((said) => said._tag === "Gap" ? [[said.cause, said.complete]] : [])

describe.each(["exact", "overlap", "counted", "none"] as const)(
  "A silence that was strange, by the link %s",
  (link) => {
    it("is a hole if something has changed meanwhile, which nobody heard, and none if nothing has", () => {
      let [holes, none] = [0, 0]
      fc.assert(
        fc.property(stretch, fc.option(stretch, { nil: [] }), (before, meanwhile) => {
          const world = new LinkedWorld({ link, deltas: false, depth: 3, interval: 0, window: 8 })
          begin(world)
          for (const action of before) world.act(action)
          world.act({ _tag: "push" })
          world.act({ _tag: "deliver", frames: 1_000 })
          const { asks, bids } = world.truth
          world.act({ _tag: "cut", newest: true, isSilent: true })
          for (const action of meanwhile) world.act(action)
          world.act({ _tag: "connect" })
          world.act({ _tag: "deliver", frames: 1_000 })
          world.act({ _tag: "pass", ms: 25_000 })
          world.act({ _tag: "answer", fails: false, lag: 0 })
          world.act({ _tag: "pass", ms: 1 })
          assert.strictEqual(world.state.phase, "live")

          const seen = (levels: ReadonlyArray<Level>) => levels.slice(0, 3)
          const isAsBefore = isSame(seen(asks), seen(world.truth.asks)) && isSame(seen(bids), seen(world.truth.bids))
          const isNumbered = link === "exact" || link === "overlap"
          if (isAsBefore && (!isNumbered || meanwhile.length === 0)) {
            none += 1
            assert.deepStrictEqual(gapsOf(world), [])
          } else if (!isAsBefore) {
            holes += 1
            assert.deepStrictEqual(gapsOf(world), [["disconnected", false], ["disconnected", true]])
          }
        }),
        { numRuns: runs }
      )
      assert.isTrue(holes > runs / 10 && none > runs / 10, `${holes} holes, ${none} without`)
    })
  }
)

describe("A fresh picture of a book that goes on", () => {
  it("hides no hole: if it is ahead, what leads to it has to come yet", () => {
    let [lost, late] = [0, 0]
    fc.assert(
      fc.property(stretch, fc.boolean(), (all, isDropped) => {
        const world = new LinkedWorld({ link: "overlap", deltas: false, depth: 3, interval: 0, window: 8 })
        begin(world)
        world.act({ _tag: "pass", ms: 151_000 })
        for (const action of all) world.act(action)
        world.act({ _tag: "push" })
        if (isDropped) world.act({ _tag: "drop" })
        world.act({ _tag: "answer", fails: false, lag: 0 })
        assert.strictEqual(world.state.phase, "live")
        world.act({ _tag: "deliver", frames: 1_000 })
        world.act({ _tag: "change", place: 0, amount: 7 })
        world.act({ _tag: "push" })
        world.act({ _tag: "deliver", frames: 1_000 })
        if (isDropped) lost += 1
        else late += 1
        assert.strictEqual(world.state.phase, isDropped ? "doubtful" : "live")
        assert.deepStrictEqual(gapsOf(world), isDropped ? [["sequence", false]] : [])
      }),
      { numRuns: runs }
    )
    assert.isTrue(lost > runs / 5 && late > runs / 5)
  })
})

describe("A book beside pictures", () => {
  const overlap: Setup = { link: "overlap", deltas: false, depth: 3, interval: 0, window: 8 }
  const isRight = ({ linked, truth }: LinkedWorld) =>
    [...linked.sessions.values()].every((sync) => {
      const { asks, bids } = Sync.best(sync, 3)
      return isSame(bids, truth.bids.slice(0, 3)) && isSame(asks, truth.asks.slice(0, 3))
    })
  const outcomes = ({ commands }: LinkedWorld) =>
    commands.flatMap((said) => said._tag === "Audited" ? [said.outcome] : [])

  it("that lost a level is found by the first picture at its number, if that shows it, and mended; else it goes on", () => {
    let found = 0
    fc.assert(
      fc.property(
        stretch,
        stretch,
        fc.nat(8),
        fc.boolean(),
        fc.boolean(),
        (before, all, place, isPictureFirst, areTwo) => {
          const world = new LinkedWorld(overlap)
          begin(world)
          // It has the book of the first.
          if (areTwo) world.act({ _tag: "connect" })
          world.act({ _tag: "beside" })
          for (const action of before) world.act(action)
          world.act({ _tag: "push" })
          for (const action of all) world.act(action)
          // A picture may come before the change that leads to it.
          if (isPictureFirst) world.act({ _tag: "beside" })
          world.act({ _tag: "omit", place })
          if (!isPictureFirst) world.act({ _tag: "beside" })
          const { commands } = world
          const known = commands.length
          world.act({ _tag: "deliver", frames: 1_000 })
          const isWrong = outcomes(world).includes("different")
          if (!isWrong) {
            assert.isTrue(isRight(world))
            return assert.isFalse(commands.slice(known).some(({ _tag }) => _tag === "Gap"))
          }
          found += 1
          assert.strictEqual(world.state.phase, "doubtful")
          world.act({ _tag: "pass", ms: 31_000 })
          world.act({ _tag: "answer", fails: false, lag: 0 })
          assert.isTrue(isRight(world))
          const gaps = commands.flatMap((said) => said._tag === "Gap" ? [[said.cause, said.complete]] : [])
          assert.deepStrictEqual(gaps, [["checksum", false], ["checksum", true]])
        }
      ),
      { numRuns: runs }
    )
    assert.isAbove(found, runs / 30)
  })

  it("is compared as a whole with a fresh picture, once in a period without cause: what is wrong is a hole, and mended at once", () => {
    let found = 0
    fc.assert(
      fc.property(stretch, fc.nat(8), (all, place) => {
        // All levels are known: none is ever asked for since it wears out.
        const world = new LinkedWorld({ ...overlap, deltas: true, window: 9 })
        begin(world)
        for (const action of all) world.act(action)
        world.act({ _tag: "omit", place })
        world.act({ _tag: "deliver", frames: 1_000 })
        const { commands, truth } = world
        const asks = () => commands.filter(({ _tag }) => _tag === "Ask").length
        const before = asks()
        world.act({ _tag: "pass", ms: 49_000 })
        assert.strictEqual(asks(), before)
        world.act({ _tag: "pass", ms: 101_000 })
        assert.strictEqual(asks(), before + 1)
        assert.strictEqual(world.state.phase, "live")
        const kept = world.state.kept ?? assert.fail("nothing is kept")
        const wasRight = isSame(kept.bids, truth.bids) && isSame(kept.asks, truth.asks)
        world.act({ _tag: "answer", fails: false, lag: 0 })
        world.act({ _tag: "pass", ms: 1 })
        const gaps = commands.flatMap((said) => said._tag === "Gap" ? [[said.cause, said.complete]] : [])
        assert.deepStrictEqual(gaps, wasRight ? [] : [["checksum", false], ["checksum", true]])
        assert.deepStrictEqual(outcomes(world), [wasRight ? "equal" : "different"])
        assert.isTrue(
          isSame(world.state.told?.bids ?? [], truth.bids) && isSame(world.state.told?.asks ?? [], truth.asks)
        )
        // As long as nothing is wrong the next one is asked for when its time comes, also where nothing has changed.
        world.act({ _tag: "pass", ms: 48_000 })
        assert.strictEqual(asks(), before + 1)
        assert.isFalse(commands.some(({ _tag }) => _tag === "Stale"))
        if (!wasRight) found += 1
      }),
      { numRuns: runs }
    )
    assert.isAbove(found, runs / 30)
  })

  it("is given the fresh picture also where another session goes on with it before that comes: it is not asked for in vain", () => {
    const world = new LinkedWorld({ ...overlap, deltas: true, window: 9 })
    begin(world)
    const change = (amount: number) => {
      world.act({ _tag: "change", place: 1, amount })
      world.act({ _tag: "push" })
      world.act({ _tag: "deliver", frames: 10 })
    }
    change(3)
    world.act({ _tag: "pass", ms: 150_000 })
    assert.isTrue(world.state.ask.isPending)
    // It has its book of the first, which leaves.
    world.act({ _tag: "connect" })
    change(5)
    world.act({ _tag: "cut", newest: false })
    change(7)
    world.act({ _tag: "answer", fails: false, lag: 0 })
    assert.isFalse(world.state.ask.isWorn)
    world.act({ _tag: "pass", ms: 40_000 })
    assert.isFalse(world.state.ask.isPending)
    assert.isFalse(world.commands.some(({ _tag }) => _tag === "Gap" || _tag === "Stale"))
  })

  it("is not behind when another session leads before its own has come to what the last picture was of: nothing is said of that turn", () => {
    const world = new LinkedWorld(overlap)
    begin(world)
    world.act({ _tag: "connect" })
    const kept = { auditedAt: Time.never, isListed: true, state: world.state }
    const turns: Turns.State<typeof kept> = Turns.initial()
    /** What the machine is told of the turn; undefined: nothing is done. */
    const turn = () => {
      const isDone = () => world.linked.audit === undefined ? undefined : Audit.isDone(world.linked.audit)
      const command = Turns.step(turns, [kept], isDone, world.moment.at)
      return command === undefined ? undefined : Linked.toMachine(world.linked, command)
    }
    assert.deepStrictEqual(turn(), [])
    const before = world.state.leader
    // The picture of it comes to both, the change that leads to it to the second alone.
    world.act({ _tag: "change", place: 1, amount: 7 })
    world.act({ _tag: "beside" })
    world.act({ _tag: "deliver", frames: 1 })
    world.act({ _tag: "push" })
    world.act({ _tag: "drop" })
    world.act({ _tag: "deliver", frames: 1 })
    assert.notStrictEqual(world.state.leader, before)
    world.act({ _tag: "pass", ms: 1_000 })
    assert.deepStrictEqual(turn(), [])
    assert.isUndefined(turns.turn)
    assert.isUndefined(world.linked.audit)
  })
})
