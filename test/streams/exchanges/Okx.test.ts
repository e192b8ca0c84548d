import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck as fc, Schema } from "effect"
import { isPositive } from "../../../src/services/Decimal.ts"
import { timeOf } from "../../../src/services/ExchangeTime.ts"
import { adviceOf } from "../../../src/streams/Advice.ts"
import type { Message, TradeRow } from "../../../src/streams/Exchange.ts"
import { okx } from "../../../src/streams/exchanges/Okx.ts"
import * as Json from "../../../src/streams/protocols/Json.ts"
import { decimal } from "../support/decimals.ts"
import { okxTrade } from "../support/frames.ts"
import { mutated } from "../support/mutate.ts"
import { line, recording } from "../support/recordings.ts"

const market = { symbol: "BTC/USDT", exchangeSymbol: "BTC-USDT" }
const topic = "trades-all:BTC-USDT"

const decode = (text: string): ReadonlyArray<Message> => okx.socket.decode(text, () => undefined)

const rowsOf = (messages: ReadonlyArray<Message>): ReadonlyArray<TradeRow> =>
  messages.flatMap((message) => message._tag === "trades" ? message.rows : [])

const reasonsOf = (messages: ReadonlyArray<Message>): ReadonlyArray<string> =>
  messages.flatMap((message) => message._tag === "failure" ? [message.failure.reason] : [])

const bodyOf = (text: string) => Json.parse(text, Json.bodyLimits)
const history = (text: string) => Either.flatMap(bodyOf(text), okx.rest.history.decode)
const refused = (text: string, status = 200) =>
  okx.rest.refused?.({ status, body: Either.getOrUndefined(bodyOf(text)) })

/** A line of the channel `trades` as the other channel would have it. */
const singly = (text: string): string => text.replaceAll("\"channel\":\"trades\"", "\"channel\":\"trades-all\"")

const eventsOf = (text: string): ReadonlyArray<object> =>
  decode(text).flatMap((message) => {
    if (message._tag !== "trades") return []
    const { exchangeSymbol, rows } = message
    const symbol = exchangeSymbol.replace("-", "/")
    return rows.map((row) => {
      const { amount, id, price, side } = row
      const names = { type: "trade", v: 1, exchange: "okx", symbol, exchangeSymbol }
      return { ...names, id: `okx:${symbol}:t:${id}`, price, amount, side, timestamp: timeOf(row), source: "ws" }
    })
  })

describe("OKX's recordings", () => {
  for (const name of ["okx-ws-trades-btcusdt-20220513", "okx-ws-trades-btcusdt-20260831"]) {
    it(`${name} has the trades that a person reads in it`, () => {
      const expected = recording("okx", `expected/${name}`).map((text): unknown => JSON.parse(text))
      assert.deepStrictEqual<unknown>(recording("okx", name).map((text) => eventsOf(singly(text))), expected)
    })
  }

  it("of the documents: answers by market or by command, the notice, what nobody asked for", () => {
    const lines = recording("okx", "okx-ws-docs").map(decode)
    assert.deepStrictEqual(lines[1], [
      { _tag: "subscribed", topic: "books:BTC-USDT", position: undefined, recovered: false }
    ])
    assert.deepInclude(lines[2]?.[0], { _tag: "denied", id: "1512", code: "60012", remedy: "later" })
    // Aggregated: one row stands for three matches, which come singly on the other channel.
    assert.deepStrictEqual(reasonsOf(lines[3] ?? []), ["unknown"])
    assert.deepStrictEqual([lines[4], lines[5]], [[{ _tag: "leaving" }], []])
    assert.deepStrictEqual(reasonsOf(lines[6] ?? []), ["unknown"])
  })

  it("of the list of markets: live ones are traded", () => {
    const text = line("okx", "okx-rest-instruments-spot-20220513-trimmed", 1)
    const statesOf = (body: string) =>
      Either.getOrThrow(Either.flatMap(bodyOf(body), okx.rest.markets.decode)).map(Either.getOrThrow)
    assert.deepStrictEqual(statesOf(text), [
      { exchangeSymbol: "BTC-USDT", base: "BTC", quote: "USDT", tradable: true },
      { exchangeSymbol: "ETH-USDT", base: "ETH", quote: "USDT", tradable: true }
    ])
    for (const state of ["preopen", "suspend", "test"]) {
      assert.isFalse(statesOf(text.replaceAll("\"live\"", `"${state}"`)).some(({ tradable }) => tradable))
    }
  })
})

describe("OKX's socket", () => {
  it("is asked with many markets a frame, with an id, behind the address of business; the ping is no JSON", () => {
    const { batch, connection, keepAlive, subscribe, topics, unsubscribe } = okx.socket
    assert.deepStrictEqual([topics("trades", market), topics("books", market)], [[topic], ["books:BTC-USDT"]])
    assert.deepInclude(connection?.("trades"), { path: "/business" })
    assert.deepInclude(connection?.("books"), { path: "/public" })
    assert.deepInclude(JSON.parse(subscribe("books:BTC-USDT", 7, undefined)), {
      args: [{ channel: "books", instId: "BTC-USDT" }]
    })
    const arg = (instId: string) => ({ channel: "trades-all", instId })
    assert.deepStrictEqual(JSON.parse(subscribe(topic, 7, undefined)), {
      id: "7",
      op: "subscribe",
      args: [arg("BTC-USDT")]
    })
    assert.deepStrictEqual(JSON.parse(unsubscribe?.(topic, 8) ?? ""), {
      id: "8",
      op: "unsubscribe",
      args: [arg("BTC-USDT")]
    })
    const both = [topic, "trades-all:ETH-BTC"]
    for (const many of [batch?.subscribe(both, 9), batch?.unsubscribe?.(both, 9)]) {
      assert.deepStrictEqual(JSON.parse(many ?? "").args, [arg("BTC-USDT"), arg("ETH-BTC")])
    }
    assert.deepStrictEqual([keepAlive?.text, decode("pong")], ["ping", []])
  })

  it("refusals that pass are tried again, slowly; without an id nobody knows what they are about", () => {
    const denied = (code: string) => decode(`{"id":"3","event":"error","code":"${code}","msg":"No","connId":"a"}`)
    assert.deepStrictEqual(denied("60018"), [
      { _tag: "denied", id: "3", code: "60018", message: "No", remedy: "later" }
    ])
    assert.deepInclude(denied("60014")[0], { remedy: "slowly" })
    assert.deepStrictEqual(reasonsOf(decode(`{"event":"error","code":"60012","msg":"No"}`)), ["unknown"])
    assert.deepStrictEqual(decode(`{"id":"4","event":"unsubscribe","arg":{"channel":"trades-all","instId":"A-B"}}`), [])
    for (const strange of [`{"event":"notice","code":"1"}`, `{"event":"login"}`, `{"event":"subscribe"}`]) {
      assert.deepStrictEqual(reasonsOf(decode(strange)), ["unknown"], strange)
    }
    for (const strange of ["[]", "7", "{}", `{"arg":{"channel":"trades-all"},"data":[]}`]) {
      assert.deepStrictEqual(reasonsOf(decode(strange)), ["schema"], strange)
    }
  })

  it("a bad row harms no other", () => {
    const row = (fields: object) => JSON.parse(okxTrade("BTC-USDT", fields)).data[0]
    const data = [{}, { px: "0" }, { sz: "-1" }, { tradeId: "x" }, { ts: "soon" }, { side: "b" }, { tradeId: "7" }].map(
      row
    )
    const messages = decode(JSON.stringify({ arg: { channel: "trades-all", instId: "BTC-USDT" }, data }))
    assert.deepStrictEqual(rowsOf(messages).map(({ id }) => id), ["1051102132", "7"])
    assert.deepStrictEqual(reasonsOf(messages).toSorted(), ["number", "number", "schema", "schema", "time"])
  })

  const isDecimal = Schema.is(Schema.String.pipe(Schema.pattern(/^(0|[1-9]\d*)(\.\d*[1-9])?$/)))

  it("throws at nothing, and lets nothing through that is no trade", () => {
    const frames = [
      ...recording("okx", "okx-ws-docs"),
      ...recording("okx", "okx-ws-trades-btcusdt-20220513").map(singly),
      okxTrade("BTC-USDT", { sz: "1.6e-05" }),
      ...recording("oracles", "okx-ws-books-btcusdt-20260824-trimmed").slice(2),
      "pong"
    ]
    fc.assert(
      fc.property(mutated(frames), (frame) => {
        const messages = decode(frame)
        for (const message of messages) {
          if (message._tag !== "books") continue
          for (const [price, amount] of [...message.bids, ...message.asks]) {
            assert.isTrue(isDecimal(price) && isPositive(price) && isDecimal(amount))
          }
        }
        for (const { amount, id, price, side, timestamp } of rowsOf(messages)) {
          assert.isTrue(isDecimal(price) && isPositive(price) && isDecimal(amount) && !amount.startsWith("-"))
          assert.isTrue(side === "buy" || side === "sell")
          assert.match(id ?? "", /^\d{1,20}$/)
          assert.strictEqual(new Date(timestamp ?? NaN).toISOString().length, 24)
        }
        assert.isUndefined(Reflect.get({}, "polluted"))
      }),
      { numRuns: 20_000 }
    )
  })
})

describe("OKX's books", () => {
  const push = (data: object, action = "update") =>
    `{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"${action}","data":[${JSON.stringify(data)}]}`
  const data = { asks: [["2", "1", "0", "1"]], bids: [["1", "0", "0", "0"]], ts: "1787612486307", checksum: 0 }
  const book = { _tag: "books", exchangeSymbol: "BTC-USDT", bids: [["1", "0"]], asks: [["2", "1"]] }

  it("are pictures and changes, each with the number after which it applies", () => {
    const time = { timestamp: 1787612486307 }
    assert.deepStrictEqual<unknown>(decode(push({ ...data, seqId: 12, prevSeqId: -1 }, "snapshot")), [
      { ...book, part: "whole", previous: undefined, sequence: 12n, ...time }
    ])
    assert.deepStrictEqual<unknown>(decode(push({ ...data, seqId: 15, prevSeqId: 12 })), [
      { ...book, part: "delta", previous: 12n, sequence: 15n, ...time }
    ])
    // Nothing has changed for a minute; and numbers begin again.
    for (const seqId of [15, 3]) {
      assert.deepInclude(decode(push({ ...data, asks: [], bids: [], seqId, prevSeqId: 15 }))[0], {
        part: "delta",
        previous: 15n,
        sequence: BigInt(seqId)
      })
    }
    assert.deepInclude(decode(push({ ...data, ts: "soon", seqId: 15, prevSeqId: 12 }))[0], { timestamp: null })
  })

  it("of which something cannot be read are missing a part, and which book it was is said", () => {
    const bad = [
      push({ ...data, seqId: 15 }),
      push({ ...data, seqId: "1.5", prevSeqId: 12 }),
      push({ ...data, seqId: 15, prevSeqId: 12 }, "partial"),
      push({ ...data, asks: [["2"]], seqId: 15, prevSeqId: 12 }),
      ...[["0", "1"], ["-1", "1"], ["2", "-1"], ["2", "x"]].map((level) =>
        push({ ...data, asks: [level], seqId: 15, prevSeqId: 12 })
      )
    ]
    for (const text of bad) {
      const [message, ...others] = decode(text)
      assert.deepStrictEqual(others, [])
      assert.deepInclude(message, { _tag: "failure", topic: "books:BTC-USDT" }, text)
    }
  })

  it("no digit of theirs changes", () => {
    fc.assert(
      fc.property(decimal, decimal, fc.bigInt({ min: 1n, max: 10n ** 18n }), (p, q, n) => {
        const row = `["${p.text}","${q.text}","0","1"]`
        const text =
          `{"arg":{"channel":"books","instId":"A-B"},"action":"update","data":[{"asks":[${row}],"bids":[${row}],` +
          `"ts":"1787612486307","checksum":0,"seqId":${n},"prevSeqId":${n - 1n}}]}`
        const levels = [[p.canonical, q.canonical]]
        assert.deepInclude<unknown>(decode(text)[0] ?? {}, {
          bids: levels,
          asks: levels,
          sequence: n,
          previous: n - 1n
        })
      }),
      { numRuns: 2_000 }
    )
  })
})

describe("OKX's history", () => {
  it("comes newest first, also where all share a millisecond, and is handed over oldest first", () => {
    const rows = ["3", "2", "1"].map((tradeId) => JSON.parse(okxTrade("BTC-USDT", { tradeId })).data[0])
    const body = JSON.stringify({ code: "0", msg: "", data: [...rows.slice(0, 2), null, rows[2]] })
    const read = Either.getOrThrow(history(body))
    assert.deepStrictEqual(read.map((row) => Either.isRight(row) ? row.right.id : null), ["1", null, "2", "3"])
  })

  it("is asked for below a number", () => {
    const { pages, path } = okx.rest.history
    assert.strictEqual(path(market), "/api/v5/market/trades?instId=BTC-USDT&limit=500")
    assert.strictEqual(
      pages?.path(market, { id: "9007199254740993", timestamp: null }, 100),
      "/api/v5/market/history-trades?instId=BTC-USDT&type=1&after=9007199254741094&limit=100"
    )
  })

  it("is refused by code, whatever the status", () => {
    const code = (code: string) => refused(JSON.stringify({ code, msg: "No", data: [] }))
    assert.isUndefined(code("0"))
    assert.deepStrictEqual(code("51001"), { message: "51001 No", retryAfter: undefined, isUnknownMarket: true })
    assert.deepStrictEqual(code("50011"), { message: "50011 No", retryAfter: "2", isUnknownMarket: false })
    for (const body of ["null", "[]", "{}", "<html>"]) assert.isUndefined(refused(body, 502), body)
    for (const status of [403, 451]) {
      const message = adviceOf(okx, okx.endpoints)?.[status] ?? ""
      assert.include(message, "OKX_API_URL")
      assert.include(message, "(eea.okx.com, wseea.okx.com)")
      assert.isAtMost(message.length, 150)
    }
    // They are asked already, and are no way out.
    const europe = { apiUrl: "https://eea.okx.com", wsUrl: "wss://wseea.okx.com:8443/ws/v5" }
    assert.include(adviceOf(okx, europe)?.[451], "(www.okx.com, ws.okx.com)")
  })
})
