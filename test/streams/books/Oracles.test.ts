/** Captured books against what the exchanges themselves say of them: checksums, counts, and pictures beside the changes. */
import { assert, describe, it } from "@effect/vitest"
import { Either, Schema } from "effect"
import * as Decimal from "../../../src/services/Decimal.ts"
import * as Levels from "../../../src/streams/books/Levels.ts"
import * as Sync from "../../../src/streams/books/Sync.ts"
import type { Books, Level } from "../../../src/streams/Exchange.ts"
import * as Checksum from "../../../src/streams/protocols/Checksum.ts"
import * as Json from "../../../src/streams/protocols/Json.ts"
import { recording } from "../support/recordings.ts"

const frames = (name: string): ReadonlyArray<unknown> =>
  recording("oracles", name).map((line) => Either.getOrThrow(Json.parse(line)))

/** Prices and amounts as the wire has them: numbers are text, with all zeros. */
const Row = Schema.Tuple([Schema.String, Schema.String], Schema.Unknown)
const Rows = Schema.Array(Row)

type Digits = (price: string, amount: string) => string

const level = ([price, amount]: typeof Row.Type, digits: Digits | undefined): Level => {
  const canonical = [
    Decimal.canonical(price) ?? assert.fail(price),
    Decimal.canonical(amount) ?? assert.fail(amount)
  ] as const
  return digits === undefined ? canonical : [...canonical, digits(price, amount)]
}

const partOf = (
  part: "whole" | "delta",
  bids: typeof Rows.Type,
  asks: typeof Rows.Type,
  rest: Partial<Sync.Part> = {},
  digits?: Digits
): Sync.Part => {
  const side = (name: Levels.Side, rows: typeof Rows.Type): ReadonlyArray<Level> => {
    const levels = rows.map((row) => level(row, digits))
    return (part === "whole" ? Levels.provenSideOf(name, levels, 0) : Levels.changesOf(levels, 0)) ?? assert.fail(name)
  }
  return {
    part,
    bids: side("bids", bids),
    asks: side("asks", asks),
    previous: undefined,
    sequence: undefined,
    timestamp: null,
    ...rest
  }
}

const make = (books: Partial<Books>) =>
  Sync.make({
    books: { link: "none", levels: undefined, numbers: "none", picture: undefined, ...books },
    pool: Sync.pool()
  })

const play = (sync: Sync.State, parts: ReadonlyArray<Sync.Part>): ReadonlyArray<Sync.Outcome> =>
  parts.map((part) => Sync.take(sync, part))

const changed = (length: number): ReadonlyArray<Sync.Outcome> => Array.from({ length }, () => "changed")

describe("Kraken's checksum", () => {
  const Frame = Schema.Struct({
    channel: Schema.Literal("book"),
    type: Schema.Literal("snapshot", "update"),
    data: Schema.Tuple(Schema.Struct({
      bids: Schema.Array(Schema.Struct({ price: Schema.String, qty: Schema.String })),
      asks: Schema.Array(Schema.Struct({ price: Schema.String, qty: Schema.String })),
      checksum: Schema.String
    }))
  })
  const parts = (name: string, digits: Digits = Checksum.listedDigits): ReadonlyArray<Sync.Part> =>
    frames(name).filter(Schema.is(Frame)).map(({ data: [{ asks, bids, checksum }], type }) => {
      const rows = (side: typeof asks) => side.map(({ price, qty }) => [price, qty] as const)
      return partOf(type === "snapshot" ? "whole" : "delta", rows(bids), rows(asks), { checksum }, digits)
    })
  const books = (cut: number): Partial<Books> => ({
    checksum: { levels: 10, of: Checksum.listed },
    cut,
    resync: "resubscribe"
  })

  it.each([["kraken-ws-book10-btcusd-20260824", 10, 4], ["kraken-ws-book25-minagbp-20260816", 25, 18]] as const)(
    "is that of the book after each frame of %s",
    (name, depth, count) => {
      const all = parts(name)
      assert.strictEqual(all.length, count)
      assert.deepStrictEqual(play(make(books(depth)), all), ["whole", ...changed(count - 1)])
    }
  )

  it("is not that of canonical decimals, nor of doubles: zeros of the wire are missing", () => {
    const faults = (digits?: Digits) =>
      play(make(books(10)), parts("kraken-ws-book10-btcusd-20260824", digits)).includes("checksum")
    assert.isFalse(faults())
    assert.isTrue(
      faults((price, amount) => Checksum.listedDigits(Decimal.canonical(price) ?? "", Decimal.canonical(amount) ?? ""))
    )
    assert.isTrue(faults((price, amount) => Checksum.listedDigits(String(Number(price)), String(Number(amount)))))
  })

  it("is CRC-32 as zlib has it", () => {
    assert.strictEqual(Checksum.crc32("123456789"), 0xcbf43926)
    assert.strictEqual(Checksum.crc32(""), 0)
    assert.strictEqual(Checksum.listedDigits("83744.3", "0.00044780"), "83744344780")
    assert.strictEqual(Checksum.listedDigits("0.0279", "0.00000000"), "279")
  })
})

const Okx = Schema.Struct({
  action: Schema.Literal("snapshot", "update"),
  data: Schema.Tuple(Schema.Struct({
    asks: Rows,
    bids: Rows,
    checksum: Schema.String,
    seqId: Schema.optional(Schema.String),
    prevSeqId: Schema.optional(Schema.String)
  }))
})

describe("OKX", () => {
  /** As it was until 2026-06: bid and ask in turn, of 25 levels, signed. A side that is shorter is skipped. */
  const interleaved = (asks: ReadonlyArray<Level>, bids: ReadonlyArray<Level>): string => {
    const texts: Array<string> = []
    for (let i = 0; i < 25; i++) {
      for (const [, , digits] of [bids[i] ?? [], asks[i] ?? []]) if (digits) texts.push(digits)
    }
    return String(Checksum.crc32(texts.join(":")) | 0)
  }

  it("had a checksum of decimals as they were sent, which each frame of 2022 has", () => {
    const all = frames("okx-ws-books-btcusdt-20220513").filter(Schema.is(Okx)).map(({ action, data: [frame] }) =>
      partOf(
        action === "snapshot" ? "whole" : "delta",
        frame.bids,
        frame.asks,
        { checksum: frame.checksum },
        (price, amount) => `${price}:${amount}`
      )
    )
    assert.strictEqual(all.length, 9)
    const sync = make({ checksum: { levels: 25, of: interleaved }, resync: "resubscribe" })
    assert.deepStrictEqual(play(sync, all), ["whole", ...changed(8)])
  })

  const chained = (): ReadonlyArray<Sync.Part> =>
    frames("okx-ws-books-btcusdt-20260824-trimmed").filter(Schema.is(Okx)).map(({ action, data: [frame] }) =>
      partOf(action === "snapshot" ? "whole" : "delta", frame.bids, frame.asks, {
        previous: BigInt(frame.prevSeqId ?? assert.fail("no prevSeqId")),
        sequence: BigInt(frame.seqId ?? assert.fail("no seqId"))
      })
    )
  const exact: Partial<Books> = { link: "exact", resync: "resubscribe" }

  it("chains its frames: each begins at the number at which the one before it ended", () => {
    const all = chained()
    assert.strictEqual(all.length, 5)
    // The picture was cut to 25 levels by its publisher; what is worse was taken away all the same.
    assert.deepStrictEqual(play(make(exact), all), ["whole", ...changed(4)])
    const [first, , ...others] = all
    assert.deepStrictEqual(play(make(exact), [first ?? assert.fail(), ...others]), [
      "whole",
      "sequence",
      "early",
      "early"
    ])
  })
})

describe("Bybit", () => {
  const Frame = Schema.Struct({
    type: Schema.Literal("snapshot", "delta"),
    data: Schema.Struct({ b: Rows, a: Rows, u: Schema.String, seq: Schema.String })
  })

  it("counts frames by one, and takes a level away for each that comes: 50 a side stay", () => {
    const sync = make({ link: "exact", resync: "resubscribe" })
    let count = 0
    for (
      const { data: { a, b, u, seq }, type } of frames("bybit-ws-orderbook50-btcusdt-20260824").filter(Schema.is(Frame))
    ) {
      const sequence = BigInt(u)
      const part = partOf(type === "snapshot" ? "whole" : "delta", b, a, {
        previous: sequence - 1n,
        sequence,
        number: BigInt(seq)
      })
      assert.strictEqual(Sync.take(sync, part), type === "snapshot" ? "whole" : "changed")
      const { asks, bids } = Sync.best(sync, "all")
      assert.deepStrictEqual([bids.length, asks.length], [50, 50])
      count += 1
    }
    assert.strictEqual(count, 9)
  })
})

describe("Binance", () => {
  const Picture = Schema.Struct({ lastUpdateId: Schema.String, bids: Rows, asks: Rows })
  const Diff = Schema.Struct({
    data: Schema.Struct({ e: Schema.Literal("depthUpdate"), U: Schema.String, u: Schema.String, b: Rows, a: Rows })
  })
  const Top = Schema.Struct({ data: Picture })

  const whole = ({ asks, bids, lastUpdateId }: typeof Picture.Type): Sync.Part =>
    partOf("whole", bids, asks, { sequence: BigInt(lastUpdateId) })
  const delta = ({ data: { U, a, b, u } }: typeof Diff.Type): Sync.Part =>
    partOf("delta", b, a, { previous: BigInt(U) - 1n, sequence: BigInt(u) })
  const picture = (name: string): Sync.Part => whole(frames(name).find(Schema.is(Picture)) ?? assert.fail("no picture"))

  const books = (levels: number): Partial<Books> => ({
    link: "overlap",
    resync: "picture",
    picture: { path: () => "", decode: () => assert.fail("not asked"), levels }
  })

  it("has in its changes what its pictures of 20 levels have at the same numbers", () => {
    const sync = make(books(100))
    let compared = 0
    const [first, ...others] = frames("binance-ws-depth-atomeur-20260824")
    assert.strictEqual(Schema.is(Diff)(first) ? Sync.take(sync, delta(first)) : "none", "early")
    assert.strictEqual(Sync.fit(sync, picture("binance-rest-depth-atomeur-20260824")), "whole")
    for (const frame of others) {
      if (Schema.is(Diff)(frame)) assert.strictEqual(Sync.take(sync, delta(frame)), "changed")
      if (!Schema.is(Top)(frame)) continue
      const { asks, bids, sequence } = whole(frame.data)
      assert.strictEqual(sync.sequence, sequence)
      assert.deepStrictEqual<unknown>(Sync.best(sync, 20), { bids, asks })
      compared += 1
    }
    assert.strictEqual(compared, 3)
  })

  it("has changes that begin right behind a picture's number, and none that holds it", () => {
    const sync = make(books(1_000))
    const diffs = frames("binance-ws-depth-lrcbtc-20211012").filter(Schema.is(Diff)).map(delta)
    assert.strictEqual(diffs.length, 15)
    const found = picture("binance-rest-depth-lrcbtc-20211012")
    assert.isFalse(diffs.some(({ previous = 0n, sequence = 0n }) => {
      const number = found.sequence ?? 0n
      return previous < number && number < sequence
    }))
    assert.deepStrictEqual(play(sync, diffs.slice(0, 6)), Array.from({ length: 6 }, () => "early"))
    assert.strictEqual(Sync.fit(sync, found), "whole")
    assert.strictEqual(sync.sequence, diffs[5]?.sequence)
    assert.deepStrictEqual(play(sync, diffs.slice(6)), changed(9))
  })

  it("has pictures that are too old for the changes that were heard: nothing comes of them, and a newer one fits", () => {
    const sync = make(books(100))
    const diffs = frames("binance-ws-depth-atomeur-20260824").filter(Schema.is(Diff)).map(delta)
    play(sync, diffs.slice(1))
    assert.isUndefined(Sync.fit(sync, picture("binance-rest-depth-atomeur-20260824")))
    assert.isFalse(sync.isLive)
    const tops = frames("binance-ws-depth-atomeur-20260824").filter(Schema.is(Top)).map(({ data }) => whole(data))
    assert.strictEqual(Sync.fit(sync, tops[1] ?? assert.fail()), "whole")
    assert.deepStrictEqual<unknown>(Sync.best(sync, 10), {
      bids: tops[2]?.bids.slice(0, 10),
      asks: tops[2]?.asks.slice(0, 10)
    })
  })
})

describe("Coinbase", () => {
  const Frame = Schema.Struct({ channel: Schema.String, sequence_num: Schema.String })
  const Update = Schema.Struct({
    channel: Schema.Literal("l2_data"),
    events: Schema.Array(Schema.Struct({
      type: Schema.Literal("snapshot", "update"),
      updates: Schema.Array(
        Schema.Struct({ side: Schema.String, price_level: Schema.String, new_quantity: Schema.String })
      )
    }))
  })

  it("counts every frame of a connection by one, the answers and heartbeats too", () => {
    const numbers = (name: string) =>
      frames(name).filter(Schema.is(Frame)).map(({ sequence_num }) => Number(sequence_num))
    assert.deepStrictEqual(numbers("coinbase-advanced-ws-l2-btcusd-20260824"), Array.from({ length: 12 }, (_, i) => i))
    assert.strictEqual(frames("coinbase-advanced-ws-l2-btcusd-20260824").filter(Schema.is(Update)).length, 11)
    assert.deepStrictEqual(numbers("coinbase-advanced-ws-control-20260907"), [1, 2, 3])
  })

  it("sends a whole book in any order, then changes, of which some take away what was never there", () => {
    const sync = make({ link: "counted", resync: "redial" })
    for (const { events } of frames("coinbase-advanced-ws-l2-btcusd-20260824").filter(Schema.is(Update))) {
      for (const { type, updates } of events) {
        const rows = (name: string) =>
          updates.filter(({ side }) => side === name).map((one) => [one.price_level, one.new_quantity] as const)
        const part = partOf(type === "snapshot" ? "whole" : "delta", rows("bid"), rows("offer"))
        const expected = type === "snapshot" ? "whole" : updates.length === 0 ? "same" : "changed"
        assert.strictEqual(Sync.take(sync, part), expected)
      }
    }
    const { asks, bids } = Sync.best(sync, 1)
    assert.deepStrictEqual([bids[0]?.[0], asks[0]?.[0]], ["78856.05", "78856.06"])
  })
})
