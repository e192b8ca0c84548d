import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck as fc, Schema } from "effect"
import { isPositive } from "../../../src/services/Decimal.ts"
import { epochMsOf } from "../../../src/services/ExchangeTime.ts"
import type { Message, TradeRow } from "../../../src/streams/Exchange.ts"
import { bitpin } from "../../../src/streams/exchanges/Bitpin.ts"
import * as Json from "../../../src/streams/protocols/Json.ts"
import { bitpinPush } from "../support/frames.ts"
import { mutated } from "../support/mutate.ts"
import { line, recording } from "../support/recordings.ts"

const topics = new Map([["2", "matches:BTC_IRT"], ["3", "matches:USDT_IRT"]])
const decode = (text: string): ReadonlyArray<Message> => bitpin.socket.decode(text, (id) => topics.get(id))

const rowsOf = (messages: ReadonlyArray<Message>): ReadonlyArray<TradeRow> =>
  messages.flatMap((message) => message._tag === "trades" ? message.rows : [])

const reasonsOf = (messages: ReadonlyArray<Message>): ReadonlyArray<string> =>
  messages.flatMap((message) => message._tag === "failure" ? [message.failure.reason] : [])

const trade: TradeRow = {
  id: "73802972_73807087",
  price: "11379465211",
  amount: "0.0108687",
  side: "sell",
  timestamp: Date.parse("2026-06-11T12:59:45.263Z"),
  time: "2026-06-11T12:59:45.263627Z"
}

const isDecimal = Schema.is(Schema.String.pipe(Schema.pattern(/^(0|[1-9]\d*)(\.\d*[1-9])?$/)))

describe("BitPin's WebSocket", () => {
  it("reads a trade", () => {
    assert.deepStrictEqual(decode(line("bitpin", "reconstructed-bitpin-ws", 5)), [
      { _tag: "trades", exchangeSymbol: "BTC_IRT", rows: [trade] },
      { _tag: "moved", topic: "matches:BTC_IRT", offset: 1 }
    ])
  })

  it("divides what a tiny trade paid by its price", () => {
    const [row] = rowsOf(decode(line("bitpin", "reconstructed-bitpin-ws", 6)))
    assert.strictEqual(row?.amount, "0.000000439387959565")
  })

  it("reads the captured row of the older form: event_time, zero-padded", () => {
    const data = line("bitpin", "bitpin-legacy-ws-matches-20241029", 1)
    assert.deepStrictEqual(decode(`{"push":{"channel":"matches:USDT_IRT","pub":{"data":${data},"offset":9}}}`), [{
      _tag: "trades",
      exchangeSymbol: "USDT_IRT",
      rows: [{
        id: "726252762_726252802",
        price: "67526",
        amount: "6.4",
        side: "sell",
        timestamp: Date.parse("2024-10-29T03:50:21.814Z"),
        time: "2024-10-29T03:50:21.814436Z"
      }]
    }, { _tag: "moved", topic: "matches:USDT_IRT", offset: 9 }])
  })

  it("hands a window over oldest first", () => {
    const ids = (frame: string) => rowsOf(decode(frame)).map(({ id }) => id)
    assert.deepStrictEqual(ids(bitpinPush("BTC_IRT", [{ id: "3" }, { id: "2" }, { id: "1" }])), ["1", "2", "3"])
    const ascending = [{ id: "1", time: 1 }, { id: "2", time: 2 }]
    assert.deepStrictEqual(ids(bitpinPush("BTC_IRT", ascending)), ["1", "2"])
    assert.deepStrictEqual(ids(bitpinPush("BTC_IRT", [...ascending].reverse())), ["1", "2"])
  })

  it("lets a bad row harm no other", () => {
    const messages = decode(bitpinPush("BTC_IRT", [
      { id: "5", price: "1e999" },
      { id: "4" },
      { id: "3", side: "bought" },
      { id: "a:b\n" },
      { id: "2", base_amount: "-1" },
      { id: "1" }
    ]))
    assert.deepStrictEqual(rowsOf(messages).map(({ id }) => id), ["1", "4"])
    assert.deepStrictEqual(reasonsOf(messages), ["number", "schema", "schema", "number"])
  })

  it("takes numbers as it takes strings, without a double", () => {
    const frame = bitpinPush("BTC_IRT", [{ id: "1" }]).replace(`"price":"100"`, `"price":30834.000000000000010`)
    assert.strictEqual(rowsOf(decode(frame))[0]?.price, "30834.00000000000001")
  })

  it("counts an odd time and delivers the trade without", () => {
    const messages = decode(bitpinPush("BTC_IRT", [{ id: "1", time: 1e300 }, { id: "2", time: "yesterday" }]))
    assert.deepStrictEqual(rowsOf(messages).map(({ timestamp }) => timestamp), [null, null])
    assert.deepStrictEqual(reasonsOf(messages), ["time", "time"])
  })

  it("delivers the trade without a time that is an object, whatever its fields are called", () => {
    const frame = bitpinPush("BTC_IRT", [{ id: "1" }])
    for (
      const time of [`{"toString":1}`, `{"toString":null,"valueOf":[]}`, `{"toJSON":1}`, `{"__proto__":null}`, "[{}]"]
    ) {
      const messages = decode(frame.replace("1781182785.263627", time))
      assert.deepStrictEqual(rowsOf(messages).map(({ timestamp }) => timestamp), [null], time)
      assert.deepStrictEqual(reasonsOf(messages), ["time"], time)
    }
  })

  it("takes data as a string of JSON", () => {
    const data = JSON.stringify({ event: "matches_update", matches: [{ ...trade, base_amount: "1", time: 1.5 }] })
    const messages = decode(JSON.stringify({ push: { channel: "matches:BTC_IRT", pub: { data } } }))
    assert.strictEqual(rowsOf(messages)[0]?.timestamp, 1500)
  })

  it("answers a ping once, also between pushes of one frame", () => {
    const push = bitpinPush("BTC_IRT", [{ id: "1" }])
    const tags = (frame: string) => decode(frame).map(({ _tag }) => _tag)
    assert.deepStrictEqual(decode("{}"), [{ _tag: "ping", reply: "{}" }])
    assert.deepStrictEqual(decode(" { } "), [{ _tag: "ping", reply: "{}" }])
    assert.deepStrictEqual(tags(`${push}\n{}\n${push}`), ["trades", "moved", "ping", "trades", "moved"])
    assert.deepStrictEqual(tags(`${push}\nnonsense\n${push}`), ["trades", "moved", "failure", "trades", "moved"])
    assert.isAtMost(decode("{}\n".repeat(100_000)).length, 1025)
  })

  it("understands replies: greeting, acknowledgement, publications in it, errors", () => {
    assert.deepStrictEqual(decode(line("bitpin", "reconstructed-bitpin-ws", 2)), [{ _tag: "ready" }])
    assert.deepStrictEqual(decode(`{"id":2,"subscribe":{}}`), [
      { _tag: "subscribed", topic: "matches:BTC_IRT", position: undefined, recovered: false }
    ])
    const data = { event: "other", matches: [{ ...trade, base_amount: "1" }] }
    assert.deepStrictEqual(
      decode(JSON.stringify({ id: 3, subscribe: { recoverable: true, publications: [{ data, offset: 1 }] } }))
        .map(({ _tag }) => _tag),
      ["subscribed", "trades", "moved"]
    )
    const reply = { recoverable: true, epoch: "e1", recovered: true, was_recovering: true }
    const position = { epoch: "e1", offset: 7 }
    assert.deepStrictEqual(decode(JSON.stringify({ id: 2, subscribe: { ...reply, offset: 7 } })), [
      { _tag: "subscribed", topic: "matches:BTC_IRT", position, recovered: true, after: 7, epoch: "e1" }
    ])
    // Nothing is there to compare with: it is not believed.
    for (const unplaced of [{ recoverable: false }, { epoch: undefined }, { offset: -1 }, { offset: "x" }]) {
      const [answer] = decode(JSON.stringify({ id: 2, subscribe: { ...reply, ...unplaced } }))
      assert.deepInclude(answer, { _tag: "subscribed", position: undefined, recovered: false })
    }
    assert.deepStrictEqual(decode(JSON.stringify({ id: 2, subscribe: { ...reply, recovered: false } })), [
      {
        _tag: "subscribed",
        topic: "matches:BTC_IRT",
        position: { epoch: "e1", offset: 0 },
        recovered: false,
        epoch: "e1"
      }
    ])
    assert.strictEqual(
      bitpin.socket.subscribe("matches:BTC_IRT", 3, position),
      `{"id":3,"subscribe":{"channel":"matches:BTC_IRT","recover":true,"epoch":"e1","offset":7}}`
    )
    assert.deepStrictEqual(decode(line("bitpin", "reconstructed-bitpin-ws", 8)), [
      { _tag: "subscribed", topic: "matches:USDT_IRT", position: undefined, recovered: false }
    ])
    const refusal = (code: number, temporary: boolean) => {
      const [message] = decode(JSON.stringify({ id: 2, error: { code, message: "no", temporary } }))
      return message?._tag === "denied" ? message.remedy : message?._tag
    }
    assert.deepStrictEqual(
      [refusal(103, false), refusal(106, false), refusal(100, true), refusal(111, true), refusal(77, true)],
      ["later", "elsewhere", "soon", "soon", "soon"]
    )
    assert.deepStrictEqual(decode(`{"id":1,"error":{"code":101,"message":"unauthorized"}}`), [
      { _tag: "refused", code: 101, message: "unauthorized" }
    ])
    assert.deepStrictEqual(reasonsOf(decode(`{"id":77,"subscribe":{}}`)), ["unknown"])
  })

  it("understands other pushes: unsubscribe, disconnect, kinds unknown", () => {
    const unsubscribed = (code: number) =>
      decode(JSON.stringify({ push: { channel: "matches:X", unsubscribe: { code } } }))
    assert.deepStrictEqual(unsubscribed(2500), [{ _tag: "unsubscribed", topic: "matches:X", resubscribe: true }])
    assert.deepStrictEqual(unsubscribed(2000), [{ _tag: "unsubscribed", topic: "matches:X", resubscribe: false }])
    assert.deepStrictEqual(decode(`{"push":{"disconnect":{"code":3011,"reason":"go"}}}`), [
      { _tag: "refused", code: 3011, message: "go" }
    ])
    assert.deepStrictEqual(decode(`{"push":{"channel":"matches:X","join":{"info":{}}}}`), [])
  })

  it("counts what is no trade", () => {
    assert.deepStrictEqual(reasonsOf(decode(`{"push":{"channel":"market:X","pub":{"data":{}}}}`)), ["unknown"])
    assert.deepStrictEqual(reasonsOf(decode(bitpinPush("BTC_IRT", [{ id: "1" }], { symbol: "ETH_IRT" }))), ["symbol"])
    assert.deepStrictEqual(reasonsOf(decode(`{"push":{"channel":"matches:X","pub":{"data":{"event":"e"}}}}`)), [
      "unknown"
    ])
    assert.deepStrictEqual(reasonsOf(decode(`{"push":{"channel":"matches:X","pub":{"data":[]}}}`)), ["schema"])
    assert.deepStrictEqual(reasonsOf(decode("[]")), ["schema"])
    assert.deepStrictEqual(reasonsOf(decode("null")), ["schema"])
    assert.deepStrictEqual(reasonsOf(decode("")), ["json"])
  })

  it("keeps the detail of a failure short", () => {
    const [message] = decode(
      JSON.stringify({ push: { channel: "matches:X", pub: { data: { matches: "x".repeat(60_000) } } } })
    )
    assert.isTrue(message?._tag === "failure" && message.failure.detail.length <= 512)
  })

  it("throws at nothing, and lets nothing through that is no trade", () => {
    const frames = [
      ...recording("bitpin", "reconstructed-bitpin-ws").slice(0, 6),
      bitpinPush("BTC_IRT", [{ id: "1" }, { id: "2", time: "2026-06-11T12:59:45Z" }, { id: "3", base_amount: "0" }]),
      `${bitpinPush("BTC_IRT", [{ id: "1" }])}\n{}\n{"id":2,"subscribe":{"publications":[]}}`
    ]
    fc.assert(
      fc.property(mutated(frames), (frame) => {
        for (const row of rowsOf(decode(frame))) {
          assert.isTrue(
            isDecimal(row.price) && isPositive(row.price) && isDecimal(row.amount) &&
              (isPositive(row.amount) || row.amount === "0")
          )
          assert.isTrue(row.side === "buy" || row.side === "sell")
          assert.match(row.id ?? "", /^[\w.-]{1,64}$/)
          if (row.timestamp !== null) assert.strictEqual(new Date(row.timestamp).toISOString().length, 24)
          if (row.time !== undefined) assert.strictEqual(epochMsOf(row.time), row.timestamp)
        }
        assert.isUndefined(Reflect.get({}, "polluted"))
      }),
      { numRuns: 20_000 }
    )
  })
})

describe("BitPin's list of markets", () => {
  const list = (body: string) => Either.flatMap(Json.parse(body, Json.bodyLimits), bitpin.rest.markets.decode)

  it("reads the documented row, and lets a bad one harm no other", () => {
    const documented = line("bitpin", "bitpin-docs", 2)
    const rows = Either.getOrThrow(list(`[${documented},{"symbol":"X_IRT"},${documented.replace("true", "false")}]`))
    assert.deepStrictEqual(rows.map(Either.isRight), [true, false, true])
    assert.deepStrictEqual(
      rows[0],
      Either.right({ exchangeSymbol: "BTC_IRT", base: "BTC", quote: "IRT", tradable: true })
    )
    assert.deepStrictEqual(rows.map((row) => Either.isRight(row) && row.right.tradable), [true, false, false])
  })

  it("refuses pages and objects", () => {
    assert.isTrue(Either.isLeft(list("<html>busy</html>")))
    assert.isTrue(Either.isLeft(list(`{"detail":"Not found."}`)))
  })
})
