/** A book that changes keep, case by case: what follows, what is old, what is missing, and which picture fits what was heard since. */
import { assert, describe, it } from "@effect/vitest"
import type * as Levels from "../../../src/streams/books/Levels.ts"
import * as Sync from "../../../src/streams/books/Sync.ts"
import type { Books, Level } from "../../../src/streams/Exchange.ts"

const make = (books: Partial<Books>, pool = Sync.pool()) =>
  Sync.make({ books: { link: "exact", levels: undefined, numbers: "own", picture: undefined, ...books }, pool })

const whole = (sequence: number | undefined, bids: ReadonlyArray<Level>, asks: ReadonlyArray<Level>): Sync.Part => ({
  part: "whole",
  bids,
  asks,
  previous: undefined,
  sequence: sequence === undefined ? undefined : BigInt(sequence),
  timestamp: null
})

const delta = (
  previous: number | undefined,
  sequence: number | undefined,
  { asks = [], bids = [] }: { readonly bids?: ReadonlyArray<Level>; readonly asks?: ReadonlyArray<Level> } = {}
): Sync.Part => ({
  part: "delta",
  bids,
  asks,
  previous: previous === undefined ? undefined : BigInt(previous),
  sequence: sequence === undefined ? undefined : BigInt(sequence),
  timestamp: null
})

const bid = (price: string, amount = "1") => ({ bids: [[price, amount]] as const })

const all = (sync: Sync.State) => Sync.best(sync, "all")

const exact = (books: Partial<Books> = {}) => {
  const sync = make({ resync: "resubscribe", ...books })
  assert.strictEqual(Sync.take(sync, whole(10, [["5", "1"]], [["6", "1"]])), "whole")
  return sync
}

describe("By exact numbers", () => {
  it("a part that begins at ours follows, also one that changes nothing and one that goes on from a lower number", () => {
    const sync = exact()
    assert.strictEqual(Sync.take(sync, delta(10, 17, bid("4"))), "changed")
    // A sign of life.
    assert.strictEqual(Sync.take(sync, delta(17, 17)), "same")
    // The exchange counts anew.
    assert.strictEqual(Sync.take(sync, delta(17, 3, bid("4.5"))), "changed")
    assert.strictEqual(Sync.take(sync, delta(3, 4)), "changed")
    assert.deepStrictEqual(all(sync).bids, [["5", "1"], ["4.5", "1"], ["4", "1"]])
  })

  it("any other says that something is missing, however low its number: none comes of it until the next picture", () => {
    for (const [previous, sequence] of [[11, 12], [9, 10], [2, 3], [undefined, 11]] as const) {
      const sync = exact()
      assert.strictEqual(Sync.take(sync, delta(previous, sequence, bid("4"))), "sequence")
      assert.isFalse(sync.isLive)
      assert.strictEqual(Sync.take(sync, delta(sequence, sequence + 1, bid("3"))), "early")
      assert.strictEqual(Sync.take(sync, whole(20, [["2", "1"]], [])), "whole")
      // It stands for all that was before, and nothing of that is left.
      assert.deepStrictEqual(all(sync), { bids: [["2", "1"]], asks: [] })
    }
  })

  it("a picture replaces a book that is whole, whatever its number", () => {
    const sync = exact()
    assert.strictEqual(Sync.take(sync, whole(1, [["4", "1"]], [["7", "2"]])), "whole")
    assert.deepStrictEqual(all(sync), { bids: [["4", "1"]], asks: [["7", "2"]] })
    assert.strictEqual(Sync.take(sync, delta(1, 2, bid("4", "0"))), "changed")
    // Empty, and known.
    assert.deepStrictEqual(all(sync).bids, [])
  })
})

describe("A part", () => {
  it("is applied level by level, and judged when it was applied wholly", () => {
    const sync = exact()
    // Between the two of them the book would cross.
    const part = delta(10, 11, { bids: [["6.5", "1"], ["4", "1"], ["4", "2"]], asks: [["6", "0"], ["7", "1"]] })
    assert.strictEqual(Sync.take(sync, part), "changed")
    assert.deepStrictEqual(all(sync), { bids: [["6.5", "1"], ["5", "1"], ["4", "2"]], asks: [["7", "1"]] })
  })

  it("that leaves the book crossed is a fault, unless a true book of the exchange may be", () => {
    const crossing = delta(10, 11, bid("6"))
    assert.strictEqual(Sync.take(exact(), crossing), "crossed")
    assert.strictEqual(Sync.take(exact({ mayCross: true }), crossing), "changed")
    assert.strictEqual(Sync.take(make({ resync: "redial" }), whole(1, [["6", "1"]], [["6", "1"]])), "crossed")
  })

  it("is followed by the cut, and only then by the checksum", () => {
    const of = (asks: ReadonlyArray<Level>, bids: ReadonlyArray<Level>) =>
      [...asks, ...bids].map(([, , digits]) => digits).join(" ")
    const sync = make({ link: "none", cut: 2, checksum: { levels: 3, of }, resync: "resubscribe" })
    const digits = (...prices: ReadonlyArray<string>) => prices.map((price): Level => [price, "1", `d${price}`])
    const first = { ...whole(undefined, digits("3", "2"), []), checksum: "d3 d2" }
    assert.strictEqual(Sync.take(sync, first), "whole")
    assert.strictEqual(
      Sync.take(sync, { ...delta(undefined, undefined, { bids: digits("4") }), checksum: "d4 d3" }),
      "changed"
    )
    assert.strictEqual(Sync.take(sync, delta(undefined, undefined, { bids: digits("1") })), "changed")
    assert.deepStrictEqual(all(sync).bids, [["4", "1"], ["3", "1"]])
    // What comes may stand before what goes: the worst stays.
    Sync.take(sync, delta(undefined, undefined, { bids: [["4.5", "1"], ["4", "0"]] }))
    assert.deepStrictEqual(all(sync).bids, [["4.5", "1"], ["3", "1"]])
    assert.strictEqual(
      Sync.take(sync, { ...delta(undefined, undefined, { bids: digits("5") }), checksum: "d5 d3" }),
      "checksum"
    )
  })
})

const overlap = (levels?: number, pool?: Sync.Pool) =>
  make({ link: "overlap", resync: "picture", picture: { path: () => "", decode: () => assert.fail(), levels } }, pool)

describe("By overlapping numbers", () => {
  it("a part follows that begins at ours or before and leads on; one that does not lead on is old", () => {
    const sync = overlap()
    assert.strictEqual(Sync.fit(sync, whole(10, [["5", "1"]], [])), "whole")
    assert.strictEqual(Sync.take(sync, delta(7, 10, bid("5", "9"))), "old")
    assert.strictEqual(Sync.take(sync, delta(8, 12, bid("5", "2"))), "changed")
    assert.strictEqual(Sync.take(sync, delta(12, 13, bid("4"))), "changed")
    assert.strictEqual(Sync.take(sync, delta(14, 15)), "sequence")
  })

  it("a picture fits what begins at its number, before or right behind it, and is too old for what begins later", () => {
    for (const [number, fits] of [[8, false], [9, true], [10, true], [11, true], [12, true], [20, true]] as const) {
      const sync = overlap()
      assert.strictEqual(Sync.take(sync, delta(9, 11, bid("5", "11"))), "early")
      assert.strictEqual(Sync.take(sync, delta(11, 12, bid("4", "12"))), "early")
      const outcome = Sync.fit(sync, whole(number, [["5", "x"], ["4", "x"]], []))
      assert.strictEqual(outcome, fits ? "whole" : undefined, String(number))
      assert.strictEqual(sync.isLive, fits)
      const amounts = all(sync).bids.map(([, amount]) => amount)
      assert.deepStrictEqual(amounts, !fits ? [] : number < 11 ? ["11", "12"] : number < 12 ? ["x", "12"] : ["x", "x"])
      // What was heard is kept for a newer picture.
      if (!fits) assert.strictEqual(Sync.fit(sync, whole(10, [], [])), "whole")
    }
  })

  it("a hole in what waits makes the part before it useless, not the one behind", () => {
    const sync = overlap()
    for (const part of [delta(1, 2), delta(2, 3), delta(5, 6, bid("1")), delta(6, 7)]) {
      assert.strictEqual(Sync.take(sync, part), "early")
    }
    assert.isUndefined(Sync.fit(sync, whole(2, [], [])))
    assert.strictEqual(Sync.fit(sync, whole(5, [], [])), "whole")
    assert.strictEqual(sync.sequence, 7n)
    assert.deepStrictEqual(all(sync).bids, [["1", "1"]])
  })

  it("the part that told of a hole waits for the picture as the others do", () => {
    const sync = overlap()
    assert.strictEqual(Sync.fit(sync, whole(10, [], [])), "whole")
    assert.strictEqual(Sync.take(sync, delta(11, 12, bid("3"))), "sequence")
    assert.strictEqual(Sync.take(sync, delta(12, 13)), "early")
    assert.strictEqual(Sync.fit(sync, whole(11, [], [])), "whole")
    assert.deepStrictEqual([all(sync).bids, sync.sequence], [[["3", "1"]], 13n])
  })

  it("what waits is bounded by parts, by bytes and by the bytes of all markets; the oldest goes", () => {
    const pool = Sync.pool()
    const many = overlap(undefined, pool)
    for (let n = 0; n < 2_500; n++) Sync.take(many, delta(n, n + 1))
    assert.strictEqual(many.buffer?.parts.length, 2_000)
    assert.strictEqual(many.buffer?.parts[0]?.previous, 500n)
    const large = overlap(undefined, pool)
    const levels = Array.from({ length: 1_000 }, (_, i): Level => [String(i + 1), "1"])
    for (let n = 0; n < 200; n++) Sync.take(large, delta(n, n + 1, { bids: levels }))
    assert.isTrue((large.buffer?.bytes ?? Infinity) <= 4 * 1024 * 1024)
    assert.isTrue((large.buffer?.parts.length ?? 0) > 10)
    assert.strictEqual(pool.bytes, (many.buffer?.bytes ?? 0) + (large.buffer?.bytes ?? 0))
    const others = Array.from({ length: 20 }, () => overlap(undefined, pool))
    for (let n = 0; n < 50; n++) for (const one of others) Sync.take(one, delta(n, n + 1, { bids: levels }))
    assert.isTrue(pool.bytes <= 64 * 1024 * 1024)
    for (const one of [many, large, ...others]) Sync.close(one)
    assert.strictEqual(pool.bytes, 0)
  })

  it("what went of it is known to no picture of before, also where all of it went", () => {
    const sync = overlap()
    const levels = Array.from({ length: 50_000 }, (_, i): Level => [String(i + 1), "1"])
    assert.strictEqual(Sync.take(sync, delta(10, 12, { bids: levels })), "early")
    assert.strictEqual(sync.buffer?.parts.length, 0)
    assert.isUndefined(Sync.fit(sync, whole(11, [["5", "1"]], [])))
    assert.strictEqual(Sync.fit(sync, whole(12, [["5", "1"]], [])), "whole")
  })
})

describe("A picture that was asked for", () => {
  const levels = (...prices: ReadonlyArray<number>) => prices.map((price): Levels.Level => [String(price), "1"])

  it("is known as far as it goes: what is worse than its worst level is not kept, unless it had them all", () => {
    const sync = overlap(3)
    assert.strictEqual(Sync.fit(sync, whole(10, levels(9, 8, 7), levels(10, 11))), "whole")
    Sync.take(sync, delta(10, 11, { bids: levels(6, 7.5), asks: levels(50) }))
    assert.deepStrictEqual(all(sync), { bids: levels(9, 8, 7.5, 7), asks: levels(10, 11, 50) })
  })

  it("is followed by another while the book is whole, when its window wears out", () => {
    const sync = overlap(3)
    Sync.fit(sync, whole(10, levels(9, 8, 7), levels(10, 11)))
    assert.isFalse(Sync.isWorn(sync, 3))
    Sync.take(sync, delta(10, 11, bid("9", "0")))
    assert.isTrue(Sync.isWorn(sync, 3))
    // Nobody has asked for one.
    assert.isUndefined(Sync.fit(sync, whole(11, levels(8, 7, 6), [])))
    Sync.expect(sync)
    assert.strictEqual(Sync.take(sync, delta(11, 12, bid("8.5"))), "changed")
    // Of before what was heard since it was asked for: it is not known what lies between.
    assert.isUndefined(Sync.fit(sync, whole(10, levels(8, 7, 6), [])))
    assert.isTrue(sync.isLive)
    assert.strictEqual(Sync.fit(sync, whole(11, levels(8, 7, 6), levels(12))), "whole")
    assert.deepStrictEqual([all(sync), sync.sequence], [{ bids: levels(8.5, 8, 7, 6), asks: levels(12) }, 12n])
    assert.isUndefined(sync.buffer)
  })

  it("that is older than the book does not take it back", () => {
    const sync = overlap()
    Sync.fit(sync, whole(10, levels(9), []))
    Sync.take(sync, delta(10, 15, bid("8")))
    Sync.expect(sync)
    assert.isUndefined(Sync.fit(sync, whole(12, levels(9), []), 15n))
    assert.deepStrictEqual([all(sync).bids, sync.sequence], [levels(9, 8), 15n])
  })

  it("that is wrong is a fault, and another is waited for", () => {
    const sync = overlap()
    assert.strictEqual(Sync.fit(sync, whole(10, levels(9), levels(8))), "crossed")
    assert.isFalse(sync.isLive)
    assert.strictEqual(Sync.fit(sync, whole(10, levels(7), levels(8))), "whole")
  })

  it("keeps 5 000 levels a side: what is worse than these is not known", () => {
    const sync = overlap(6_000)
    const prices = Array.from({ length: 6_000 }, (_, i) => 10_000 - i)
    assert.strictEqual(Sync.fit(sync, whole(10, levels(...prices), [])), "whole")
    assert.strictEqual(all(sync).bids.length, 5_000)
    Sync.take(sync, delta(10, 11, { bids: [["10000", "0"], ["4999", "2"], ["4000", "2"]] }))
    assert.strictEqual(all(sync).bids.length, 4_999)
    assert.deepStrictEqual(all(sync).bids.at(-1), ["5001", "1"])
  })

  it("that only a new connection gives has no edge where a book may come: the best 5 000 of all that there are are told", () => {
    const sync = make({ link: "counted", resync: "redial" })
    const prices = Array.from({ length: 6_000 }, (_, i) => 10_000 - i)
    Sync.take(sync, whole(undefined, levels(...prices), []))
    assert.strictEqual(all(sync).bids.length, 5_000)
    Sync.take(sync, delta(undefined, undefined, { bids: [["10000", "0"]] }))
    assert.strictEqual(all(sync).bids.length, 5_000)
    assert.deepStrictEqual(all(sync).bids.at(-1), ["5000", "1"])
    assert.isFalse(Sync.isSpent(sync, "all"))
    // Of a book that is larger than any the edge is a limit of what may be told.
    const many = Array.from({ length: 50_010 }, (_, i) => 100_000 - i)
    Sync.take(sync, whole(undefined, levels(...many), []))
    const gone = many.slice(0, 45_001).map((price): Level => [String(price), "0"])
    Sync.take(sync, delta(undefined, undefined, { bids: gone }))
    assert.isTrue(Sync.isSpent(sync, "all"))
    assert.isFalse(Sync.isSpent(sync, 20))
  })

  it("where only a new connection has another, more are kept than the 5 000 that are told, and come up when better ones go", () => {
    const sync = make({ link: "counted", resync: "redial" })
    const prices = Array.from({ length: 6_000 }, (_, i) => 10_000 - i)
    Sync.take(sync, whole(undefined, levels(...prices), []))
    assert.deepStrictEqual([all(sync).bids.length, all(sync).bids.at(-1)], [5_000, ["5001", "1"]])
    Sync.take(sync, delta(undefined, undefined, { bids: [["10000", "0"], ["5000", "2"], ["4000", "2"]] }))
    assert.deepStrictEqual(all(sync).bids.slice(-2), [["5001", "1"], ["5000", "2"]])
    assert.deepStrictEqual(Sync.best(sync, 2).bids, [["9999", "1"], ["9998", "1"]])
    // A price that falls by half comes to no end.
    Sync.take(sync, delta(undefined, undefined, { bids: prices.slice(0, 5_500).map((price) => [String(price), "0"]) }))
    assert.lengthOf(all(sync).bids, 501)
    assert.deepStrictEqual(all(sync).bids.at(-1), ["4000", "2"])
  })
})
