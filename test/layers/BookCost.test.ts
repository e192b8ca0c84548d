import { assert, describe, it } from "@effect/vitest"
import { Duration, FastCheck as fc } from "effect"
import type { Settings } from "../../src/layers/AppConfig.ts"
import * as BookCost from "../../src/layers/BookCost.ts"
import type { Books, Exchange } from "../../src/streams/Exchange.ts"
import { bitpin } from "../../src/streams/exchanges/Bitpin.ts"

const usual: Settings["books"] = {
  depth: 20,
  interval: Duration.seconds(1),
  refresh: Duration.seconds(60),
  deltas: false
}

const settingsOf = (books: Partial<Settings["books"]> = {}, maxBytes = 1024 ** 3) =>
  ({
    books: { ...usual, ...books },
    queue: { maxBytes } as Settings["queue"],
    channels: ["books"],
    exchanges: ["bitpin", "other", "third"],
    kafka: { compression: "gzip" } as Settings["kafka"],
    markets: [],
    marketsOf: {},
    sink: "kafka"
  }) satisfies Parameters<typeof BookCost.lines>[0]

const pictures: Books = { link: "replaced", levels: 50, numbers: "none", picture: undefined }
const list: ReadonlyArray<Exchange> = [
  { ...bitpin, books: pictures },
  { ...bitpin, id: "other", books: { ...pictures, levels: undefined } },
  { ...bitpin, id: "third", books: undefined },
  { ...bitpin, id: "unchosen", books: pictures }
]

const one = (markets: number, levels: number | undefined = 50) => [{ exchange: "bitpin", markets, levels }]

describe("what order books cost", () => {
  it("the levels that are named are those that were counted, not those that were asked for", () => {
    const said = (books: Partial<Settings["books"]>, listed = new Map([["bitpin", 1], ["other", 1]])) =>
      BookCost.lines(settingsOf(books), list, listed)[1]
    for (const depth of ["all", 5_000] as const) {
      assert.include(said({ depth }), "in every 1s (levels a side: 50 of bitpin; 5000 of other)")
      assert.include(said({ depth }, new Map([["bitpin", 1], ["other", 0]])), "in every 1s (50 levels a side)")
    }
    assert.include(said({ depth: 2_000 }), "(levels a side: 50 of bitpin; 2000 of other)")
    // An anchor has all that are kept, whatever the depth.
    assert.include(
      said({ depth: 5, deltas: true }),
      "a book of each every 1m (levels a side: 50 of bitpin; 5000 of other)"
    )
  })

  it("200 markets of 20 levels a second: 200 records/s, near 27 GB a day, an hour of outage in a GiB", () => {
    const { bytesPerSecond, minutes, recordsPerSecond } = BookCost.of(settingsOf(), one(200))
    assert.strictEqual(recordsPerSecond, 200)
    assert.strictEqual(bytesPerSecond, 200 * (450 + 40 * 28))
    assert.approximately(minutes, 57, 1)
  })

  it("an interval of 0 is a record for each change; deltas have anchors with all that is kept", () => {
    assert.strictEqual(BookCost.of(settingsOf({ interval: Duration.zero }), one(3)).recordsPerSecond, 3)
    const { bytesPerSecond, recordsPerSecond } = BookCost.of(settingsOf({ deltas: true, depth: 5 }), one(60))
    assert.strictEqual(recordsPerSecond, 61)
    assert.strictEqual(bytesPerSecond, 60 * (450 + 6 * 28) + (450 + 100 * 28))
  })

  it("no level is counted that the exchange does not give; a depth of all is what is kept", () => {
    const of = (depth: number | "all", levels: number | undefined) =>
      BookCost.of(settingsOf({ depth }), one(1, levels)).bytesPerSecond
    assert.strictEqual(of(100, 50), of(50, 50))
    assert.strictEqual(of("all", 50), of(50, undefined))
    assert.strictEqual(of("all", undefined), of(5_000, undefined))
  })

  it("more markets, more levels, a shorter interval never cost less, and hold no longer an outage", () => {
    const asked = fc.record({
      markets: fc.integer({ min: 1, max: 5_000 }),
      depth: fc.integer({ min: 1, max: 5_000 }),
      interval: fc.integer({ min: 1, max: 60_000 })
    })
    fc.assert(fc.property(asked, asked, (a, b) => {
      const [less, more] = [
        {
          markets: Math.min(a.markets, b.markets),
          depth: Math.min(a.depth, b.depth),
          interval: Math.max(a.interval, b.interval)
        },
        {
          markets: Math.max(a.markets, b.markets),
          depth: Math.max(a.depth, b.depth),
          interval: Math.min(a.interval, b.interval)
        }
      ].map(({ depth, interval, markets }) =>
        BookCost.of(settingsOf({ depth, interval: Duration.millis(interval) }), one(markets, undefined))
      )
      assert.isAtMost(less?.recordsPerSecond ?? Infinity, more?.recordsPerSecond ?? 0)
      assert.isAtMost(less?.bytesPerSecond ?? Infinity, more?.bytesPerSecond ?? 0)
      assert.isAtLeast(less?.minutes ?? 0, more?.minutes ?? Infinity)
    }))
  })

  it("counts the markets found, else those named, else guesses and says so; an exchange without books costs nothing", () => {
    const guess = BookCost.expected(settingsOf(), list)
    assert.deepStrictEqual(guess, {
      books: [{ exchange: "bitpin", markets: 300, levels: 50 }, { exchange: "other", markets: 300, levels: undefined }],
      guessed: ["bitpin", "other"]
    })
    const named = BookCost.expected({ ...settingsOf(), markets: ["BTC/IRT"], marketsOf: { other: ["*"] } }, list)
    assert.deepStrictEqual(named.books.map(({ markets }) => markets), [1, 300])
    assert.deepStrictEqual(named.guessed, ["other"])
    const found = BookCost.expected(settingsOf(), list, new Map([["bitpin", 7], ["other", 0]]))
    assert.deepStrictEqual(found.books.map(({ markets }) => markets), [7, 0])
    assert.deepStrictEqual(found.guessed, [])
    assert.deepStrictEqual(BookCost.expected({ ...settingsOf(), channels: ["trades"] }, list).books, [])
    const deep = [{ ...bitpin, books: { ...pictures, by: () => ({ levels: 1_000 }) } }]
    assert.deepStrictEqual(BookCost.expected(settingsOf(), deep).books.map(({ levels }) => levels), [1_000])
  })

  it("in words, with what was assumed", () => {
    assert.deepStrictEqual(BookCost.lines(settingsOf(), list, new Map([["bitpin", 200], ["other", 0]])), [
      "books: 200 records/s, 27 GB a day, about 5.4 GB a day in Kafka by gzip; QUEUE_MAX_BYTES holds 57 minutes of them while Kafka is away",
      "books, as assumed: 200 markets, a change of each in every 1s (20 levels a side), 28 bytes a level; trades are not counted"
    ])
    assert.include(
      BookCost.lines(settingsOf({ interval: Duration.zero, depth: 5 }), list)[1],
      "1 change of each a second (5 levels a side)"
    )
    assert.include(
      BookCost.lines({ ...settingsOf(), sink: "file" }, list)[1],
      "600 markets, 300 of each of bitpin, other (MARKETS does not name them one by one)"
    )
    assert.deepStrictEqual(BookCost.lines({ ...settingsOf(), channels: ["trades"] }, list), [])
  })
})
