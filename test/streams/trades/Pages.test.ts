/** Pages of a history: what is asked, and what an answer says. Each exchange's own way, and a collector that dies in the middle. */
import { assert, describe, it } from "@effect/vitest"
import * as Numbers from "../../../src/streams/trades/Numbers.ts"
import { judge } from "./Judge.ts"
import { play } from "./Story.ts"
import { endings } from "./Story/Endings.ts"
import { day, type Setup, type Step, type Told, whole } from "./Story/Model.ts"

const rows = (...numbers: ReadonlyArray<number>): ReadonlyArray<Numbers.Range> =>
  numbers.map((n) => ({ first: BigInt(n), last: BigInt(n) }))

const above = (n: number, reach: number, passed = 0): Numbers.Question => ({
  above: BigInt(n),
  at: null,
  reach,
  passed
})

describe("a page that has the oldest above a trade", () => {
  const paging: Numbers.Paging = { size: 3, holds: "oldest" }
  const asked = above(10, 3)

  it("says all up to its last row", () => {
    // Of a `since` that holds the trade itself, and of a `fromId` that does not.
    assert.deepStrictEqual(Numbers.coverageOf(rows(10, 12, 13), asked, paging), { after: 9n, upTo: 13n })
    const behind = { ...paging, empty: "end" } as const
    assert.deepStrictEqual(Numbers.coverageOf(rows(12, 13, 17), asked, behind), { after: 10n, upTo: 17n })
    assert.isNull(Numbers.coverageOf([], asked, paging))
  })

  it("that should hold the trade, and begins above the next number, says nothing of what is between", () => {
    assert.deepStrictEqual(Numbers.coverageOf(rows(11, 12, 13), asked, paging), { after: 10n, upTo: 13n })
    assert.deepStrictEqual(Numbers.coverageOf(rows(12, 13, 17), asked, paging), { after: 11n, upTo: 17n })
  })

  it("is the last one if it is not full; an empty one only where the exchange means that", () => {
    const isEnd = (found: ReadonlyArray<Numbers.Range>, count = found.length, over: Partial<Numbers.Paging> = {}) =>
      Numbers.isEnd(Numbers.coverageOf(found, asked, { ...paging, ...over }), count, asked, {
        ...paging,
        ...over
      })
    assert.isFalse(isEnd(rows(11, 12, 13)))
    assert.isTrue(isEnd(rows(11, 12)))
    // One of its rows was not understood.
    assert.isFalse(isEnd(rows(11, 12), 3))
    assert.isFalse(isEnd([]))
    assert.isTrue(isEnd([], 0, { empty: "end" }))
    assert.isFalse(isEnd([], 2, { empty: "end" }))
  })
})

describe("a page that has the newest below a number", () => {
  const paging: Numbers.Paging = { size: 100, holds: "newest" }
  const full = (last: number) => rows(...Array.from({ length: 100 }, (_, i) => last - 99 + i))

  it("reaches down to the trade: so many numbers are no more than a page has", () => {
    assert.deepStrictEqual(Numbers.coverageOf(full(110), above(10, 100), paging), { after: 10n, upTo: 110n })
    assert.deepStrictEqual(Numbers.coverageOf(rows(9, 10), above(10, 100), paging), { after: 8n, upTo: 10n })
  })

  it("that does not hold the trade, though it is not full, is of a history that does not reach back to it", () => {
    assert.deepStrictEqual(Numbers.coverageOf(rows(11, 12), above(10, 100), paging), { after: 10n, upTo: 12n })
    assert.deepStrictEqual(Numbers.coverageOf(rows(12, 13), above(10, 100), paging), { after: 11n, upTo: 13n })
  })

  it("is the last one if the next number is not in it", () => {
    const isEnd = (found: ReadonlyArray<Numbers.Range>) =>
      Numbers.isEnd(
        Numbers.coverageOf(found, above(10, 100), paging),
        found.length,
        above(10, 100),
        paging
      )
    assert.isFalse(isEnd(full(110)))
    assert.isTrue(isEnd(full(109)))
    assert.isTrue(isEnd(full(10)))
    assert.isFalse(isEnd([]))
  })

  it("that brings nothing new is followed by one twice as far, as far as the trade that is known behind", () => {
    const old = Numbers.coverageOf(full(10), above(10, 100), paging)
    const further = Numbers.further(above(10, 100), old, 1_000n, paging)
    assert.deepStrictEqual(further, above(10, 200, 100))
    assert.deepStrictEqual(Numbers.further(above(10, 800, 400), old, 1_000n, paging), above(10, 1_600, 800))
    assert.isNull(Numbers.further(above(10, 1_600, 800), old, 1_000n, paging))
    // Nobody knows of a later one.
    assert.isNull(Numbers.further(above(10, 100), old, null, paging))
    // An empty page says nothing at all.
    assert.isNull(Numbers.further(above(10, 100), null, 1_000n, paging))
  })

  it("of those that went too far, one that begins further up than is known says nothing of what is between", () => {
    const question = above(10, 400, 200)
    const far = Numbers.coverageOf(full(409), question, paging)
    assert.deepStrictEqual(far, { after: 309n, upTo: 409n })
    assert.deepStrictEqual(Numbers.further(question, far, 1_000n, paging), above(10, 300, 200))
    // No more than earlier pages did not have.
    assert.deepStrictEqual(Numbers.coverageOf(full(310), question, paging), { after: 10n, upTo: 310n })
  })

  it("whose lowest row was not understood is not asked for again at once", () => {
    const asked = above(10, 100)
    const cut = Numbers.coverageOf(full(110).slice(1), asked, paging)
    assert.deepStrictEqual(cut, { after: 11n, upTo: 110n })
    assert.isNull(Numbers.further(asked, cut, 1_000n, paging))
  })
})

describe("the market's last trades", () => {
  it("say all from the first to the last", () => {
    assert.deepStrictEqual(Numbers.coverageOf(rows(5, 9, 12), null, undefined), { after: 4n, upTo: 12n })
  })
})

it("a row that stands for several ids has them all", () => {
  assert.deepStrictEqual(Numbers.rangeOf({ id: "12", first: "10" }), { first: 10n, last: 12n })
  assert.deepStrictEqual(Numbers.rangeOf({ id: "12", first: "13" }), { first: 12n, last: 12n })
  assert.isUndefined(Numbers.rangeOf({ id: "12a", first: "10" }))
  assert.isUndefined(Numbers.rangeOf({ id: undefined }))
})

describe("a history that does not reach back to what is missing", () => {
  for (const holds of ["oldest", "newest"] as const) {
    it(`the page holds the ${holds}: what it lacks is not taken for what never was`, () => {
      const setup: Setup = {
        ids: "consecutive",
        pages: { size: 100, holds },
        hold: 5_000,
        maxAge: day,
        date: true,
        window: 1,
        slow: 0,
        before: 3
      }
      const short = { ...whole, rows: 2 }
      const steps: ReadonlyArray<Step> = [
        { what: "connect", after: 0, recovers: false, mute: false },
        { what: "trade", amount: "1", count: 3 },
        { what: "wait", ms: 100 },
        { what: "drop", newest: false },
        { what: "wait", ms: 10 },
        { what: "trade", amount: "1", count: 4 },
        { what: "wait", ms: 10 },
        { what: "rest", rest: short },
        { what: "connect", after: 0, recovers: false, mute: false },
        { what: "wait", ms: 20_000 }
      ]
      judge(play(setup, [...steps, { what: "trade", amount: "1", count: 1 }, ...endings.silent]), "silent")
      const told = play(setup, [...steps, { what: "rest", rest: whole }, ...endings.healed])
      judge(told, "healed")
    })
  }
})

describe("a collector that dies in the middle of a page", () => {
  const paged: Setup = {
    ids: "consecutive",
    pages: { size: 4, holds: "newest" },
    hold: 0,
    maxAge: day,
    date: true,
    window: 1,
    slow: 0,
    before: 1
  }
  const connect: Step = { what: "connect", after: 0, recovers: false, mute: false }
  const wait = (ms: number): Step => ({ what: "wait", ms })
  const trades = (count: number): Step => ({ what: "trade", amount: "1", count })
  /** A hole of 40 trades that is told; a page each 1 100 ms. Trades are delivered each 350 ms: a page takes longer than that. */
  const steps: ReadonlyArray<Step> = [
    connect,
    trades(1),
    wait(100),
    { what: "drop", newest: false },
    wait(10),
    trades(40),
    wait(10),
    { what: "rest", rest: { ...whole, takes: 1_000 } },
    connect,
    { what: "sink", trades: 350, told: 0 },
    trades(2)
  ]

  const askedBy = ({ words }: Told, life: number) =>
    words.flatMap((word) =>
      word._tag === "Asked" && word.life === life && word.asked !== null ? [word.asked.above] : []
    )
  const deliveredBy = ({ words }: Told, life: number) =>
    words.flatMap((word) =>
      word._tag === "Delivered" && word.life === life && word.event.type === "trade"
        ? [BigInt(word.event.id.split(":t:")[1] ?? "")]
        : []
    )

  it("its successor asks for that page again, and for none before", () => {
    for (const ms of [6_000, 8_000, 10_000]) {
      const next: ReadonlyArray<Step> = [wait(ms), { what: "kill" }, { what: "start" }, connect, wait(5)]
      const told = play(paged, [...steps, ...next])
      judge(play(paged, [...steps, ...next, ...endings.healed]), "healed")
      const asked = askedBy(told, 1)
      const delivered = Math.max(...deliveredBy(told, 1).filter((n) => n < 1_040n).map(Number))
      const [first = 0n] = askedBy(told, 2)
      // Pages were asked for far ahead of what was delivered.
      assert.isAbove(Number(asked.at(-1)), delivered)
      assert.isAtMost(Number(first), delivered)
      // It is written once a second.
      assert.isAtMost(delivered - Number(first), 2 * 4)
      assert.isAbove(Number(first), Number(asked[0]))
    }
  })
})
