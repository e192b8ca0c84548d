/** The machine of a book against a true book: only what was true is told, in order, at its pace, and each doubtful period by two gaps. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as BookReader from "../../../src/layers/testing/BookReader.ts"
import * as Conflation from "../../../src/services/Delivery/Conflation.ts"
import type { Book, BookDelta } from "../../../src/services/MarketEvent.ts"
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
    { weight: 2, arbitrary: fc.record({ _tag: fc.constant("connect" as const), recovers: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constant("drop" as const), newest: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constant("restart" as const) }) },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constant("silence" as const) }) },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constant("mute" as const), newest: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constant("doubt" as const) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        _tag: fc.constant("spoil" as const),
        side: fc.constantFrom("bids" as const, "asks" as const)
      })
    },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constant("block" as const) }) },
    { weight: 4, arbitrary: fc.record({ _tag: fc.constant("unblock" as const) }) },
    { weight: 2, arbitrary: fc.record({ _tag: fc.constant("answer" as const), fails: fc.boolean() }) },
    {
      weight: 5,
      arbitrary: fc.record({
        _tag: fc.constant("pass" as const),
        ms: fc.constantFrom(1, 100, 900, 1_000, 11_000, 61_000)
      })
    }
  ),
  { maxLength: 80, size: "max" }
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

/** Numbers that began again have something behind them. */
const epochOf = (sequence: string): string => sequence.replace(/_\d+/, "")

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
  /** The one before. */
  let earlier: typeof last
  let isFree = true
  /** A change has led to a new picture. */
  let isNew = false
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
        if (isNew) {
          assert.deepStrictEqual([said._tag, said.sequence], ["Book", sequence], "an anchor of the new picture")
        }
        isNew = said._tag === "Delta" && epochOf(said.sequence) !== epochOf(said.previous)
        if (said._tag === "Book") {
          bids.clear()
          asks.clear()
          // The first and the one after a hole go at once.
          // One that waited for room has had its turn all the same: of any three two are an interval apart.
          const since = world.wasBlocked ? earlier : last
          if (since !== undefined && !isFree && !deltas) assert.isTrue(said.at - since.at >= interval, "too soon")
          earlier = isFree ? undefined : last
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
  if (phase !== "live" || world.isBlocked) return
  const { at } = world.moment
  assert.isFalse(isUrgent)
  if (refresh > 0) assert.isTrue(Time.between(toldAt, at) < refresh, "an unchanged book is told again")
  if (changedAt === undefined) return
  assert.isFalse(deltas, "a change is told at once")
  assert.isTrue(Time.between(changedAt, at) < interval, "a change is out after the interval")
}

/** As they are in the topic. */
const eventsOf = (commands: ReadonlyArray<Said>) =>
  commands.flatMap((said) => {
    if (said._tag !== "Book" && said._tag !== "Delta") return []
    const common = { v: 1, exchange: "x", symbol: "A/B", exchangeSymbol: "AB", timestamp: said.timestamp } as const
    const receivedAt = new Date(said.receivedAt).toISOString()
    const { asks, at, bids, id, previous, sequence, source } = said
    const levels = { id, sequence, bids, asks, receivedAt, source } as const
    const event: Book | BookDelta = said._tag === "Book"
      ? { type: "book", ...common, ...levels, sentAt: receivedAt }
      : { type: "book_delta", ...common, ...levels, previous }
    return [{ at, event }]
  })

/** As they are in the topic when the queue is nearly full. */
const conflated = (told: ReturnType<typeof eventsOf>): ReadonlyArray<Book | BookDelta> => {
  const conflation = Conflation.make()
  return [
    ...told.flatMap(({ at, event }) => conflation.offer([event], Time.instant(at)).pass),
    ...conflation.release()
  ].flatMap((event) => event.type === "book" || event.type === "book_delta" ? [event] : [])
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
          world.checkKept()
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

  it("is followed from the topic alone, whatever segments of it are dropped: the next anchor mends the chain", () => {
    let read = 0
    const segments = fc.array(fc.record({ from: fc.nat(40), length: fc.integer({ min: 1, max: 6 }) }), {
      maxLength: 4
    })
    fc.assert(
      fc.property(setup, actions, segments, fc.boolean(), (one, all, dropped, isConflated) => {
        const world = new World({ ...one, deltas: true, refresh: 60_000 })
        for (const action of all) world.act(action)
        world.act({ _tag: "unblock" })
        const told = eventsOf(world.commands)
        const whole = BookReader.make()
        const pictures = new Map(told.map(({ at, event }) => {
          whole.read([event])
          return [event.sequence, { at, book: whole.book("x:A/B") }]
        }))
        assert.strictEqual(whole.distrusts(), 0)
        const topic = (isConflated ? conflated(told) : told.map(({ event }) => event))
          .filter((_, i) => !dropped.some(({ from, length }) => i >= from && i < from + length))
        const reader = BookReader.make()
        for (const event of topic) {
          reader.read([event])
          const book = reader.book("x:A/B")
          if (event.type === "book") assert.isDefined(book, "an anchor is enough")
          if (book === undefined) continue
          read += 1
          assert.deepStrictEqual(book, pictures.get(event.sequence)?.book)
        }
      }),
      { numRuns: Math.ceil(runs / 6) }
    )
    assert.isTrue(read > runs / 12, `${read} times it had a book`)
  })

  it("that hears the exchange for long enough has the true book, whatever was before", () => {
    fc.assert(
      fc.property(setup, actions, (one, all) => {
        const world = new World(one)
        for (const action of all) world.act(action)
        world.act({ _tag: "unblock" })
        world.act({ _tag: "restart" })
        world.act({ _tag: "connect", recovers: false })
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
