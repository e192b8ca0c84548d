import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck as fc, Schema } from "effect"
import * as FeedStatus from "../../../src/services/FeedStatus.ts"
import * as Board from "../../../src/streams/Board.ts"
import type { Exchange, Market, TradeRow } from "../../../src/streams/Exchange.ts"
import { bitpin } from "../../../src/streams/exchanges/Bitpin.ts"
import { wallex } from "../../../src/streams/exchanges/Wallex.ts"
import { epochMillis, epochSeconds, isoTime, tradeDecoder } from "../../../src/streams/protocols/Fields.ts"
import * as Json from "../../../src/streams/protocols/Json.ts"
import * as Identity from "../../../src/streams/trades/Identity.ts"
import { toTrades } from "../../../src/streams/trades/Trades.ts"
import { bitpinPush, wallexTrade } from "../support/frames.ts"

const rowsOf = (exchange: Exchange, frame: string): ReadonlyArray<TradeRow> =>
  exchange.socket.decode(frame, () => undefined).flatMap((message) => message._tag === "trades" ? message.rows : [])

const historyOf = (exchange: Exchange, body: string): ReadonlyArray<TradeRow> =>
  Either.getOrThrow(Either.flatMap(Json.parse(body, Json.bodyLimits), exchange.rest.history.decode))
    .flatMap((row) => Either.isRight(row) ? [row.right] : [])

/** What Kafka gets of a market's rows. */
const printed = (exchange: Exchange, market: Market, ...views: ReadonlyArray<ReadonlyArray<TradeRow>>) => {
  const identity = Identity.make(exchange.id, new Map(), Board.make(FeedStatus.make(), exchange.id))
  const state = identity.market(market)
  return views.flatMap((rows) => toTrades(exchange.id, state, state.identify(identity.views.open(), rows), 0, "ws"))
}

const btc: Market = { symbol: "BTC/IRT", exchangeSymbol: "BTC_IRT" }

/** Whole seconds up to the year 2286, which have ten digits, and up to twelve decimals. */
const second = fc.integer({ min: 1_000_000_000, max: 9_999_999_999 })
const decimals = fc.stringMatching(/^\d{1,12}$/)

const expected = (seconds: number, given: string): string => {
  const filled = given.length <= 3 ? 3 : given.length <= 6 ? 6 : 9
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${given.slice(0, 9).padEnd(filled, "0")}Z`
}

describe("Times", () => {
  it("of BitPin's JSON numbers keep every digit on their way into an event, by socket and history", () => {
    fc.assert(
      fc.property(second, decimals, (seconds, given) => {
        const literal = `"time":${seconds}.${given}`
        const frame = bitpinPush("BTC_IRT", [{ id: "1", time: 0 }]).replace(`"time":0`, literal)
        const row = `{"id":"1","price":"1","base_amount":"1","quote_amount":"1","side":"buy",${literal}}`
        for (const rows of [rowsOf(bitpin, frame), historyOf(bitpin, `[${row}]`)]) {
          assert.deepStrictEqual(printed(bitpin, btc, rows).map(({ timestamp }) => timestamp), [
            expected(seconds, given)
          ])
        }
      }),
      { numRuns: 2_000 }
    )
  })

  it("in ISO-8601 keep theirs, whatever the zone", () => {
    fc.assert(
      fc.property(second, decimals, fc.integer({ min: -14 * 60, max: 14 * 60 }), (seconds, given, offset) => {
        const local = new Date((seconds + offset * 60) * 1000).toISOString().slice(0, 19)
        const [hours, minutes] = [Math.floor(Math.abs(offset) / 60), Math.abs(offset) % 60]
          .map((n) => String(n).padStart(2, "0"))
        const zone = offset === 0 ? "Z" : `${offset < 0 ? "-" : "+"}${hours}:${minutes}`
        const frame = wallexTrade("BTCTMN", { timestamp: `${local}.${given}${zone}` })
        assert.deepStrictEqual(
          printed(wallex, { ...btc, exchangeSymbol: "BTCTMN" }, rowsOf(wallex, frame)).map(({ timestamp }) =>
            timestamp
          ),
          [expected(seconds, given)]
        )
      }),
      { numRuns: 2_000 }
    )
  })

  it("have the milliseconds that ids were made of before their digits were kept", () => {
    fc.assert(
      fc.property(second, fc.stringMatching(/^\d{1,9}$/), (seconds, given) => {
        const iso = `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${given}Z`
        const ms = Date.parse(iso)
        assert.strictEqual(isoTime(iso)?.timestamp, ms)
        assert.strictEqual(epochSeconds(`${seconds}.${given}`)?.timestamp, ms)
      }),
      { numRuns: 5_000 }
    )
  })

  it("make no other id with other digits, where there is no id but the trade itself", () => {
    const socket = rowsOf(wallex, wallexTrade("BTCTMN", { timestamp: "2026-06-11T12:59:45.263627Z" }))
    const history = rowsOf(wallex, wallexTrade("BTCTMN", { timestamp: "2026-06-11T12:59:45.2636271Z" }))
    assert.deepStrictEqual(printed(wallex, btc, socket).map(({ id }) => id), [
      "wallex:BTC/IRT:t:1781182785263:buy:100:2.5:1"
    ])
    assert.strictEqual(printed(wallex, btc, socket, history).length, 1)
  })

  it("are remembered by their milliseconds, whichever version wrote them down", () => {
    for (
      const lastTimestamp of [
        "2026-06-11T12:59:45.263Z",
        "2026-06-11T12:59:45.263627Z",
        "2026-06-11T12:59:45.263627001Z"
      ]
    ) {
      const memory = new Map([["bitpin:BTC/IRT", { ids: [], lastTimestamp }]])
      const identity = Identity.make("bitpin", memory, Board.make(FeedStatus.make(), "bitpin"))
      assert.deepStrictEqual(identity.market(btc).edge().last, { ms: 1_781_182_785_263, text: lastTimestamp })
    }
  })

  it("of a whole second have three digits", () => {
    assert.deepStrictEqual(epochSeconds("1781182786"), { timestamp: 1_781_182_786_000 })
    assert.deepStrictEqual(epochSeconds("1781182786.0"), { timestamp: 1_781_182_786_000 })
    assert.strictEqual(epochSeconds("1.781182785263627e9")?.time, "2026-06-11T12:59:45.263627Z")
    assert.strictEqual(isoTime("2026-06-11T12:59:46.000000Z")?.time, "2026-06-11T12:59:46.000000Z")
  })

  it("that do not exist are none", () => {
    for (
      const text of [
        "2026-06-11T12:59:60Z",
        "2026-13-01T00:00:00Z",
        "2026-06-11T12:59:45",
        `2026-06-11T12:59:45.${"1".repeat(31)}Z`,
        "1969-12-31T23:59:59Z",
        "0085-06-11T12:59:45Z"
      ]
    ) {
      assert.isUndefined(isoTime(text), text)
    }
    for (const text of ["-1", "", "1e300", "9999999999999", "0x10", "1.", ".5"]) {
      assert.isUndefined(epochSeconds(text), text)
    }
  })
})

describe("Rows of trades", () => {
  const Side = Schema.Literal("buy", "sell")
  const read = (decode: ReturnType<typeof tradeDecoder>, json: string) => Either.flatMap(Json.parseFrame(json), decode)
  const failureOf = (decode: ReturnType<typeof tradeDecoder>, json: string) => {
    const result = read(decode, json)
    return Either.isLeft(result) ? [result.left.reason, result.left.detail] : undefined
  }
  const named = tradeDecoder(
    Schema.Struct({
      trade_id: Schema.String,
      price: Schema.String,
      qty: Schema.String,
      side: Side,
      timestamp: Schema.String
    }),
    { id: "trade_id", price: "price", amount: "qty", side: ({ side }) => side, time: ["timestamp", isoTime] }
  )
  const listed = tradeDecoder(
    Schema.Tuple(Schema.String, Schema.String, Schema.String, Side, Schema.String, Schema.String),
    { id: "5", price: "0", amount: "1", side: (row) => row[3], time: ["4", epochSeconds] }
  )
  const kraken =
    `{"symbol":"BTC/USD","side":"buy","price":83744.3,"qty":0.00044780,"ord_type":"limit","trade_id":109116693,` +
    `"timestamp":"2026-09-25T17:48:26.844359Z"}`

  it("are read by the names of their fields, numbers as the text that they are", () => {
    assert.deepStrictEqual(
      read(named, kraken),
      Either.right({
        id: "109116693",
        price: "83744.3",
        amount: "0.0004478",
        side: "buy",
        timestamp: Date.parse("2026-09-25T17:48:26.844Z"),
        time: "2026-09-25T17:48:26.844359Z"
      })
    )
  })

  it("are read by the places of their fields, where a row is a list", () => {
    const row =
      `[11379465211.50,1.4497553479999998,"2025-10-01 11:51:26","sell",1759319486,"96c4e5930862fa921509614da298147c"]`
    assert.deepStrictEqual(
      read(listed, row),
      Either.right({
        id: "96c4e5930862fa921509614da298147c",
        price: "11379465211.5",
        amount: "1.4497553479999998",
        side: "sell",
        timestamp: 1_759_319_486_000
      })
    )
    assert.strictEqual(failureOf(listed, `[1,2,"2025-10-01 11:51:26","sell"]`)?.[0], "schema")
  })

  it("have no id where none is named, and a side that their own words say", () => {
    const decode = tradeDecoder(
      Schema.Struct({ p: Schema.String, q: Schema.String, T: Schema.String, m: Schema.Boolean }),
      { price: "p", amount: "q", side: ({ m }) => m ? "sell" : "buy", time: ["T", epochMillis] }
    )
    assert.deepStrictEqual(
      read(decode, `{"p":"84922.04000000","q":"0.00023000","T":1790960630913,"m":true}`),
      Either.right({ id: undefined, price: "84922.04", amount: "0.00023", side: "sell", timestamp: 1_790_960_630_913 })
    )
  })

  it("that are none are refused with the field and what stands in it", () => {
    const spoilt = (from: string, to: string) => failureOf(named, kraken.replace(from, to))
    assert.deepStrictEqual(spoilt("83744.3", "0.0"), ["number", "price: 0.0"])
    assert.deepStrictEqual(spoilt("0.00044780", "-1"), ["number", "qty: -1"])
    assert.deepStrictEqual(spoilt("2026-09-25T", "yesterday "), ["time", "timestamp: yesterday 17:48:26.844359Z"])
    assert.strictEqual(spoilt("buy", "bought")?.[0], "schema")
    assert.include(spoilt("buy", "bought")?.[1] ?? "", `Expected "buy", actual "bought"`)
  })

  it("have whole milliseconds where an exchange counts so", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 253_402_300_799_999 }), (timestamp) => {
        assert.deepStrictEqual(epochMillis(String(timestamp)), { timestamp })
      })
    )
    for (const none of ["", "-1", "1.5", "1e3", " 1", "253402300800000", "9".repeat(16)]) {
      assert.isUndefined(epochMillis(none), none)
    }
  })
})
