/** The judge of a record's bytes is `JSON.stringify`, and of a record, what a lane and the checkpoint make of it. */
import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc, Schema } from "effect"
import {
  encode,
  type EventRecord,
  makeEncoder,
  type MarketEvent,
  sizeOf,
  Trade
} from "../../src/services/MarketEvent.ts"

const utf8 = new TextEncoder()

const bytesOf = ({ value }: EventRecord): Uint8Array => typeof value === "string" ? utf8.encode(value) : value

const trade = (changes: Partial<Trade> = {}): Trade => ({
  type: "trade",
  v: 1,
  exchange: "x",
  symbol: "BTC/IRT",
  exchangeSymbol: "BTC_IRT",
  id: "x:BTC/IRT:t:1",
  price: "11379465211",
  amount: "0.00012",
  side: "buy",
  timestamp: "2026-06-11T12:59:45.263627Z",
  receivedAt: "2026-06-11T12:59:45.301Z",
  source: "ws",
  ...changes
})

/** Whatever an adapter may make of an exchange's text: quotes, control characters, Persian, emoji and halves of them. */
const oddText = fc.oneof(
  fc.string({ minLength: 1 }),
  fc.fullUnicodeString({ minLength: 1 }),
  fc.string16bits({ minLength: 1 }),
  fc.constantFrom(
    "\"",
    "\\",
    "\u0000",
    "\n",
    "\u007f",
    "\u0080",
    "\u2028",
    "تومان",
    "\ud83d\ude00",
    "\ud83d",
    "\ude00",
    "a\udfffb"
  )
)
const plainText = fc.stringMatching(/^[A-Za-z0-9_:.]{1,40}$/)
const text = fc.oneof({ weight: 3, arbitrary: plainText }, { weight: 1, arbitrary: oddText })
const time = fc.date({ min: new Date(0), max: new Date(253_402_300_799_999), noInvalidDate: true })

const valid: fc.Arbitrary<Trade> = fc.record({
  type: fc.constant("trade" as const),
  v: fc.constant(1 as const),
  exchange: fc.oneof(fc.constantFrom("bitpin", "wallex"), text),
  symbol: fc.constantFrom("BTC/IRT", "ETH/IRT", "1_A/USDT"),
  exchangeSymbol: fc.oneof(fc.constantFrom("BTC_IRT", "BTCTMN"), text),
  // Now and then one that no slab has room for.
  id: fc.oneof({ weight: 50, arbitrary: text }, {
    weight: 1,
    arbitrary: fc.integer({ min: 1, max: 70_000 }).map((n) => "i".repeat(n))
  }),
  price: fc.bigUint(2n ** 90n).map(String),
  amount: fc.tuple(fc.nat(), fc.integer({ min: 1, max: 999 })).map(([a, b]) => `${a}.${b}1`),
  side: fc.constantFrom("buy" as const, "sell" as const),
  timestamp: fc.option(
    fc.tuple(time, fc.constantFrom("", "123", "123456")).map(([at, digits]) =>
      at.toISOString().replace("Z", `${digits}Z`)
    )
  ),
  receivedAt: fc.oneof(fc.constant("2026-06-11T12:59:45.301Z"), time.map((at) => at.toISOString())),
  source: fc.constantFrom("ws" as const, "rest" as const)
})

/** The same fields in another order, as an adapter outside this repository may have them. */
const shuffled = (event: Trade): fc.Arbitrary<Trade> =>
  fc.shuffledSubarray(Object.entries(event), { minLength: 12, maxLength: 12 }).map((fields) =>
    // Nothing was added or left out.
    Object.fromEntries(fields) as unknown as Trade
  )

const anyOrder = fc.oneof({ weight: 3, arbitrary: valid }, { weight: 1, arbitrary: valid.chain(shuffled) })

describe("an event as a record", () => {
  it("has the very bytes that JSON.stringify makes of it, and of all before it", () =>
    fc.assert(
      fc.property(fc.array(anyOrder, { minLength: 1, maxLength: 30 }), (events) => {
        const encoder = makeEncoder()
        const records = events.map((event) => encoder(event))
        // After the last one is written: none may lie on top of another.
        events.forEach((event, i) => {
          assert.isTrue(Schema.is(Trade)(event))
          const record = records[i]
          assert.isDefined(record)
          assert.deepStrictEqual(
            Buffer.from(bytesOf(record)).toString("latin1"),
            Buffer.from(JSON.stringify(event)).toString("latin1")
          )
          assert.deepStrictEqual(record.trade, { exchangeSymbol: event.exchangeSymbol, timestamp: event.timestamp })
          assert.deepStrictEqual(record.headers, { id: event.id, schema: "trade/1", source: event.source })
          assert.strictEqual(record.key, `${event.exchange}:${event.symbol}`)
          assert.strictEqual(record.timestamp, Date.parse(event.receivedAt))
        })
      }),
      { numRuns: 500 }
    ), 120_000)

  it("is what JSON.stringify makes of events that no schema takes", () => {
    const odd: ReadonlyArray<object> = [
      { ...trade(), extra: 1 },
      { ...trade(), price: 12 },
      { ...trade(), id: undefined },
      { ...trade(), timestamp: undefined },
      { ...trade(), source: undefined },
      { ...trade(), v: 2 }
    ]
    for (const event of odd) {
      assert.strictEqual(Buffer.from(bytesOf(encode(event as MarketEvent))).toString(), JSON.stringify(event))
    }
  })

  it("lies with a hundred others in a slab of 64 KiB, and its size is counted in bytes", () => {
    const encoder = makeEncoder()
    const records = Array.from({ length: 1_000 }, (_, i) => encoder(trade({ id: `x:BTC/IRT:t:${i}` })))
    const slabs = new Set(records.map(({ value }) => typeof value === "string" ? value : value.buffer))
    const bytes = records.reduce((sum, record) => sum + bytesOf(record).length, 0)
    assert.isAtMost(slabs.size, Math.ceil(bytes / (64 * 1024 - 512)))
    for (const slab of slabs) assert.strictEqual(typeof slab === "string" ? 0 : slab.byteLength, 64 * 1024)
    for (const record of records) assert.strictEqual(sizeOf(record), bytesOf(record).length + record.key.length + 128)
  })

  it("goes into one slab whatever markets take turns", () => {
    const encoder = makeEncoder()
    const records = ["BTC_IRT", "BTCTMN", "BTC_IRT"].map((exchangeSymbol) => encoder(trade({ exchangeSymbol })))
    assert.deepStrictEqual(
      records.map((record) => JSON.parse(Buffer.from(bytesOf(record)).toString()).exchangeSymbol),
      ["BTC_IRT", "BTCTMN", "BTC_IRT"]
    )
    assert.strictEqual(new Set(records.map(({ value }) => typeof value === "string" ? value : value.buffer)).size, 1)
  })
})
