import { assert, describe, it } from "@effect/vitest"
import { Duration, Either, FastCheck as fc, Schema } from "effect"
import { isPositive } from "../../../src/services/Decimal.ts"
import { timeOf } from "../../../src/services/ExchangeTime.ts"
import { adviceOf } from "../../../src/streams/Advice.ts"
import type { Message, TradeRow } from "../../../src/streams/Exchange.ts"
import { bybit } from "../../../src/streams/exchanges/Bybit.ts"
import * as Json from "../../../src/streams/protocols/Json.ts"
import { bybitTrades } from "../support/frames.ts"
import { mutated } from "../support/mutate.ts"
import { line, recording } from "../support/recordings.ts"

const market = { symbol: "BTC/USDT", exchangeSymbol: "BTCUSDT" }
const topic = "publicTrade.BTCUSDT"

const decode = (text: string): ReadonlyArray<Message> => bybit.socket.decode(text, () => undefined)

const rowsOf = (messages: ReadonlyArray<Message>): ReadonlyArray<TradeRow> =>
  messages.flatMap((message) => message._tag === "trades" ? message.rows : [])

const reasonsOf = (messages: ReadonlyArray<Message>): ReadonlyArray<string> =>
  messages.flatMap((message) => message._tag === "failure" ? [message.failure.reason] : [])

const bodyOf = (text: string) => Json.parse(text, Json.bodyLimits)
const history = (text: string) => Either.flatMap(bodyOf(text), bybit.rest.history.decode)
const refused = (text: string, status = 200) =>
  bybit.rest.refused?.({ status, body: Either.getOrUndefined(bodyOf(text)), text })

const eventOf = (exchangeSymbol: string, source: "ws" | "rest") => (row: TradeRow): object => {
  const symbol = exchangeSymbol.replace(/USD[TC]$/, "/$&")
  const { amount, id, price, side } = row
  const names = { type: "trade", v: 1, exchange: "bybit", symbol, exchangeSymbol }
  return { ...names, id: `bybit:${symbol}:t:${id}`, price, amount, side, timestamp: timeOf(row), source }
}

const eventsOf = (text: string): ReadonlyArray<object> =>
  decode(text).flatMap((message) =>
    message._tag === "trades" ? message.rows.map(eventOf(message.exchangeSymbol, "ws")) : []
  )

const expected = (name: string): ReadonlyArray<unknown> =>
  recording("bybit", `expected/${name}`).map((text): unknown => JSON.parse(text))

describe("Bybit's recordings", () => {
  for (const name of ["bybit-ws-trades-btcusdt-20260920", "bybit-ws-trades-btcusdc-20251026"]) {
    it(`${name} has the trades that a person reads in it`, () => {
      assert.deepStrictEqual<unknown>(recording("bybit", name).map(eventsOf), expected(name))
    })
  }

  it("of REST has trades under the ids that the socket goes on with, oldest first", () => {
    const name = "bybit-rest-recent-trade-btcusdc-20251026-trimmed"
    const rows = Either.getOrThrow(history(line("bybit", name, 1))).map(Either.getOrThrow)
    assert.deepStrictEqual<unknown>([rows.map(eventOf("BTCUSDC", "rest"))], expected(name))
    const [next] = rowsOf(recording("bybit", "bybit-ws-trades-btcusdc-20251026").flatMap(decode))
    const newest = rows.at(-1)
    assert.strictEqual(BigInt(next?.id ?? "") - BigInt(newest?.id ?? ""), 200n)
    assert.strictEqual((next?.timestamp ?? 0) - (newest?.timestamp ?? 0), 38_284)
  })

  it("of answers: by the id of the command alone; without one, of nothing that is known", () => {
    const [granted, pong, unknown, already] = recording("bybit", "bybit-ws-control-linear-20260923").map(decode)
    assert.deepStrictEqual(granted, [{ _tag: "granted", id: "probe-pp" }])
    assert.deepStrictEqual([pong, decode(line("bybit", "bybit-ws-trades-btcusdt-20260920", 5))], [[], []])
    const denied = { _tag: "denied", code: "error", remedy: "later" } as const
    assert.deepStrictEqual(unknown, [
      { ...denied, id: "e1", message: "handler not found,topic:orderbook.50.NOPEUSDT" }
    ])
    // That one has its answer, and the others of its frame were refused for its sake.
    assert.deepStrictEqual(already, [
      { _tag: "subscribed", topic: "orderbook.1.ETHUSDT", position: undefined, recovered: false },
      { ...denied, id: "e6", message: "already subscribed,topic:orderbook.1.ETHUSDT" }
    ])
    const docs = recording("bybit", "bybit-ws-docs").map(decode)
    assert.deepStrictEqual(docs.map(reasonsOf), [["unknown"], [], ["unknown"], []])
    // The whole book of a market, which has changes alone: it is not asked for.
    // Of a derivative: its ids are no digits there.
    assert.strictEqual(rowsOf(docs[1] ?? [])[0]?.id, "20f43950-d8dd-5b31-9112-a178eb6023af")
    assert.deepStrictEqual(reasonsOf(decode(line("bybit", "bybit-ws-trades-btcusdt-20260920", 1))), ["unknown"])
  })

  it("of the list of markets: what is trading", () => {
    const text = line("bybit", "bybit-rest-docs", 1)
    const states = (body: string) =>
      Either.getOrThrow(Either.flatMap(bodyOf(body), bybit.rest.markets.decode)).map(Either.getOrThrow)
    const listed = { exchangeSymbol: "BTCUSDT", base: "BTC", quote: "USDT" }
    assert.deepStrictEqual(states(text), [{ ...listed, tradable: true }])
    assert.deepStrictEqual(states(text.replace("Trading", "PreLaunch")), [{ ...listed, tradable: false }])
  })
})

describe("Bybit's socket", () => {
  it("is asked for ten topics a frame, with an id; the ping is a command", () => {
    const { batch, keepAlive, subscribe, topics, unsubscribe } = bybit.socket
    assert.deepStrictEqual(topics("trades", market), [topic])
    assert.deepStrictEqual(JSON.parse(subscribe(topic, 7, undefined)), { req_id: "7", op: "subscribe", args: [topic] })
    assert.deepStrictEqual(JSON.parse(unsubscribe?.(topic, 8) ?? ""), { req_id: "8", op: "unsubscribe", args: [topic] })
    assert.strictEqual(batch?.size, 10)
    const both = [topic, "publicTrade.ETHUSDT"]
    for (const many of [batch?.subscribe(both, 9), batch?.unsubscribe?.(both, 9)]) {
      assert.deepStrictEqual(JSON.parse(many ?? "").args, both)
    }
    assert.deepStrictEqual(JSON.parse(keepAlive?.text ?? ""), { op: "ping" })
    assert.deepStrictEqual(decode(`{"success":true,"ret_msg":"","req_id":"8","op":"unsubscribe"}`), [])
  })

  it("what nobody asked for is counted, whatever the order of its fields", () => {
    for (const strange of ["[]", "7", "{}", `{"op":"auth","success":true}`, `{"topic":"tickers.BTCUSDT","data":{}}`]) {
      assert.deepStrictEqual(reasonsOf(decode(strange)), ["unknown"], strange)
    }
    for (const strange of [`{"topic":"${topic}","data":{}}`, `{"topic":"${topic}"}`]) {
      assert.deepStrictEqual(reasonsOf(decode(strange)), ["schema"], strange)
    }
    const { data, ts, type } = JSON.parse(bybitTrades("BTCUSDT", [{ i: "1" }]))
    assert.deepStrictEqual(rowsOf(decode(JSON.stringify({ data, type, ts, topic }))).map(({ id }) => id), ["1"])
  })

  it("a frame has many trades, in their order; block trades and hidden orders are some", () => {
    const many = Array.from({ length: 1_024 }, (_, i) => ({ i: String(2290000001211680903n + BigInt(i * 3)) }))
    const rows = rowsOf(decode(bybitTrades("BTCUSDT", many)))
    assert.deepStrictEqual(rows.map(({ id }) => id), many.map(({ i }) => i))
    const odd = rowsOf(decode(bybitTrades("BTCUSDT", [{ i: "1", BT: true, S: "Buy" }, { i: "2", RPI: true }])))
    assert.deepStrictEqual(odd.map(({ id, side }) => [id, side]), [["1", "buy"], ["2", "sell"]])
  })

  it("a bad row harms no other", () => {
    const odd = [{ p: "0" }, { v: "-1" }, { i: "a b" }, { T: "soon" }, { S: "buy" }, { s: "ETHUSDT" }, { i: "7" }]
    const messages = decode(bybitTrades("BTCUSDT", [{}, ...odd]))
    assert.deepStrictEqual(rowsOf(messages).map(({ id }) => id), ["2290000001211680903", "7"])
    assert.deepStrictEqual(reasonsOf(messages).toSorted(), ["number", "number", "schema", "schema", "symbol", "time"])
  })

  const isDecimal = Schema.is(Schema.String.pipe(Schema.pattern(/^(0|[1-9]\d*)(\.\d*[1-9])?$/)))

  it("throws at nothing, and lets nothing through that is no trade", () => {
    const frames = [
      ...recording("bybit", "bybit-ws-docs"),
      ...recording("bybit", "bybit-ws-control-linear-20260923"),
      ...recording("bybit", "bybit-ws-trades-btcusdc-20251026"),
      ...recording("oracles", "bybit-ws-orderbook50-btcusdt-20260824"),
      bybitTrades("BTCUSDT", [{ v: "1.6e-05" }, { i: "2" }])
    ]
    fc.assert(
      fc.property(mutated(frames), (frame) => {
        for (const { amount, id, price, side, timestamp } of rowsOf(decode(frame))) {
          assert.isTrue(isDecimal(price) && isPositive(price) && isDecimal(amount) && !amount.startsWith("-"))
          assert.isTrue(side === "buy" || side === "sell")
          assert.match(id ?? "", /^[\w-]{1,40}$/)
          assert.strictEqual(new Date(timestamp ?? NaN).toISOString().length, 24)
        }
        assert.isUndefined(Reflect.get({}, "polluted"))
      }),
      { numRuns: 20_000 }
    )
  })
})

describe("Bybit's books", () => {
  const frame = (fields: object = {}, data: object = {}): string =>
    JSON.stringify({
      topic: "orderbook.50.BTCUSDT",
      ts: 1787612486116,
      type: "delta",
      data: {
        s: "BTCUSDT",
        b: [],
        a: [["78716.80", "0.027559"], ["78748.5", "0"]],
        u: 217107085,
        seq: 113099229629,
        ...data
      },
      cts: 1787612486108,
      ...fields
    })
  const [name, part] = ["orderbook.50.BTCUSDT", {
    _tag: "books",
    exchangeSymbol: "BTCUSDT",
    part: "delta",
    bids: [],
    asks: [["78716.8", "0.027559"], ["78748.5", "0"]],
    previous: 217107084n,
    sequence: 217107085n,
    number: 113099229629n,
    timestamp: 1787612486108
  }] as const

  it("follow one another by the number of their topic, and are named by the engine's", () => {
    assert.deepStrictEqual<unknown>(decode(frame()), [part])
    const whole = { ...part, part: "whole", previous: undefined }
    assert.deepStrictEqual<unknown>(decode(frame({ type: "snapshot" })), [whole])
    // Its service was restarted: that is all of the book, whatever it calls itself.
    for (const type of ["snapshot", "delta"]) {
      assert.deepStrictEqual<unknown>(decode(frame({ type }, { u: 1 })), [{ ...whole, sequence: 1n }])
    }
    assert.deepStrictEqual<unknown>(decode(frame({}, { u: 2 })), [{ ...part, previous: 1n, sequence: 2n }])
  })

  it("have the engine's time, or the sender's; an odd one is counted, and the book goes on", () => {
    assert.deepStrictEqual<unknown>(decode(frame({ cts: undefined })), [{ ...part, timestamp: 1787612486116 }])
    const [odd, failure] = decode(frame({ cts: "soon" }))
    assert.deepStrictEqual<unknown>(odd, { ...part, timestamp: null })
    assert.deepInclude(failure, { _tag: "failure", topic: undefined })
  })

  it("are spoilt by a level that cannot be read, and say whose they are", () => {
    for (
      const [data, reason] of [
        [{ a: [["78716.8", "-1"]] }, "number"],
        [{ b: [["0", "1"]] }, "number"],
        [{ b: [["1"]] }, "schema"],
        [{ u: "x" }, "schema"],
        [{ seq: undefined }, "schema"],
        [{ s: "ETHUSDT" }, "symbol"]
      ] as const
    ) {
      const messages = decode(frame({}, data))
      assert.deepStrictEqual(reasonsOf(messages), [reason])
      assert.deepInclude(messages[0], { topic: name })
    }
    assert.deepStrictEqual(reasonsOf(decode(frame({ type: "odd" }))), ["schema"])
  })

  it("are asked for in the least depth that has as many levels as are told", () => {
    const topicsOf = (depth: number | "all") =>
      bybit.socket.topics("books", market, {
        depth,
        deltas: false,
        interval: Duration.seconds(1),
        refresh: Duration.seconds(60)
      })
    const [usual, deep] = ["orderbook.50.BTCUSDT", "orderbook.1000.BTCUSDT"]
    assert.deepStrictEqual([1, 20, 50, 51, 5_000, "all" as const].map(topicsOf), [
      [usual],
      [usual],
      [usual],
      [deep],
      [deep],
      [deep]
    ])
    assert.deepStrictEqual(bybit.socket.topics("books", market), [usual])
    // A picture by REST has the numbers of another topic.
    assert.isUndefined(bybit.books?.picture)
  })
})

describe("Bybit's history", () => {
  it("is the last 60, and there are no others to be asked for", () => {
    const { pages, path } = bybit.rest.history
    assert.strictEqual(path(market), "/v5/market/recent-trade?category=spot&symbol=BTCUSDT&limit=60")
    assert.isUndefined(pages)
    // A number that is missing is no trade that is missing.
    assert.isUndefined(bybit.tradeIds)
    const rows = Either.getOrThrow(history(line("bybit", "bybit-rest-docs", 2))).map(Either.getOrThrow)
    assert.deepStrictEqual(rows.map(({ id, side }) => [id, side]), [["2100000000007764263", "buy"]])
  })

  it("is refused by code with status 200, and by status with a reason in its text", () => {
    const code = (retCode: number, retMsg = "No") => refused(JSON.stringify({ retCode, retMsg, result: {} }))
    assert.isUndefined(code(0, "OK"))
    assert.deepStrictEqual(code(10006), { message: "10006 No", retryAfter: "5", isUnknownMarket: false })
    assert.deepStrictEqual(code(10018), { message: "10018 No", retryAfter: "600", isUnknownMarket: false })
    assert.deepInclude(code(10001, "Not supported symbols"), { isUnknownMarket: true, retryAfter: undefined })
    assert.deepInclude(code(10001, "Params Error"), { isUnknownMarket: false })
    assert.include(code(10024)?.message, "BYBIT_API_URL")
    assert.deepStrictEqual(refused("403, access too frequent", 403), { message: "asked too often", retryAfter: "600" })
    assert.deepInclude(refused(JSON.stringify({ retCode: 403, retMsg: "access too frequent" }), 403), {
      message: "403 access too frequent",
      retryAfter: "600"
    })
    const page =
      "<HTML><H1>403 ERROR</H1>The Amazon CloudFront distribution is configured to block access from your country."
    assert.deepStrictEqual(refused(page, 403), { message: "its region", retryAfter: "600" })
    assert.deepInclude(refused("{}", 429), { retryAfter: "5" })
    for (const body of ["null", "[]", "{}", "<html>"]) assert.isUndefined(refused(body, 502), body)
    const advice = adviceOf(bybit, bybit.endpoints)?.[403] ?? ""
    assert.include(advice, "region")
    assert.isAtMost(advice.length, 150)
  })
})
