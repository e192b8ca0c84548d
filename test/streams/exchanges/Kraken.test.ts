import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck as fc, Schema } from "effect"
import { printed } from "../../../src/layers/testing/Oracle.ts"
import { isPositive } from "../../../src/services/Decimal.ts"
import { timeOf } from "../../../src/services/ExchangeTime.ts"
import { adviceOf } from "../../../src/streams/Advice.ts"
import { booksOf } from "../../../src/streams/books/Declared.ts"
import * as Defaults from "../../../src/streams/Defaults.ts"
import type { Message, TradeRow } from "../../../src/streams/Exchange.ts"
import { kraken } from "../../../src/streams/exchanges/Kraken.ts"
import * as Json from "../../../src/streams/protocols/Json.ts"
import { decimal } from "../support/decimals.ts"
import { krakenTrades } from "../support/frames.ts"
import { mutated } from "../support/mutate.ts"
import { line, recording } from "../support/recordings.ts"

const market = { symbol: "BTC/USD", exchangeSymbol: "BTC/USD" }

const decode = (text: string): ReadonlyArray<Message> => kraken.socket.decode(text, () => undefined)

const rowsOf = (messages: ReadonlyArray<Message>): ReadonlyArray<TradeRow> =>
  messages.flatMap((message) => message._tag === "trades" ? message.rows : [])

const reasonsOf = (messages: ReadonlyArray<Message>): ReadonlyArray<string> =>
  messages.flatMap((message) => message._tag === "failure" ? [message.failure.reason] : [])

const bodyOf = (text: string) => Json.parse(text, Json.bodyLimits)
const history = (text: string) => Either.flatMap(bodyOf(text), kraken.rest.history.decode)
const markets = (text: string) => Either.flatMap(bodyOf(text), kraken.rest.markets.decode)
const refused = (text: string, status = 200) =>
  kraken.rest.refused?.({ status, body: Either.getOrUndefined(bodyOf(text)) })

const eventOf = (symbol: string, source: string) => (row: TradeRow) => {
  const { amount, id, price, side } = row
  const names = { type: "trade", v: 1, exchange: "kraken", symbol, exchangeSymbol: symbol }
  return { ...names, id: `kraken:${symbol}:t:${id}`, price, amount, side, timestamp: timeOf(row), source }
}

const pushed = (text: string) =>
  decode(text).flatMap((message) =>
    message._tag === "trades" ? message.rows.map(eventOf(message.exchangeSymbol, "ws")) : []
  )

const asked = (symbol: string) => (text: string) =>
  refused(text) !== undefined
    ? []
    : Either.getOrThrow(history(text)).map(Either.getOrThrow).map(eventOf(symbol, "rest"))

describe("Kraken's recordings", () => {
  const ways: ReadonlyArray<readonly [name: string, way: (text: string) => ReadonlyArray<object>]> = [
    ["kraken-ws-control-2026", pushed],
    ["kraken-ws-trades-btcusd-20260925", pushed],
    ["kraken-rest-trades-btcusd-20260925-trimmed", asked("BTC/USD")],
    ["kraken-rest-trades-xbtusdt-20251110-trimmed", asked("BTC/USDT")]
  ]
  for (const [name, way] of ways) {
    it(`${name} has the trades that a person reads in it`, () => {
      const expected = recording("kraken", `expected/${name}`).map((text): unknown => JSON.parse(text))
      assert.deepStrictEqual<unknown>(recording("kraken", name).map(way), expected)
    })
  }

  it("of the connection itself say nothing of a market, and refusals are told by market", () => {
    const lines = recording("kraken", "kraken-ws-control-2026").map(decode)
    assert.deepStrictEqual([lines[0], lines[1], lines[6]], [[], [], []])
    assert.deepStrictEqual(lines[2], [
      { _tag: "subscribed", topic: "trade:BTC/USD", position: undefined, recovered: false }
    ])
    assert.deepInclude(lines[3]?.[0], { _tag: "rejected", topic: "trade:XBT/USD", remedy: "later" })
    // Without the id of a command, nobody can tell what they are about.
    assert.deepStrictEqual([lines[4], lines[5]].map((messages = []) => reasonsOf(messages)), [["unknown"], ["unknown"]])
  })
})

describe("Kraken's trades", () => {
  it("keep the digits of bare numbers, whatever their size", () => {
    const frame = krakenTrades([{ trade_id: "9007199254740993", price: "0.0000001230", qty: "1e-8" }])
    assert.deepStrictEqual(rowsOf(decode(frame)).map(({ amount, id, price }) => [id, price, amount]), [
      ["9007199254740993", "0.000000123", "0.00000001"]
    ])
  })

  it("of one frame are ordered by their ids, market by market, and a bad one harms no other", () => {
    const messages = decode(krakenTrades([
      { trade_id: "100", symbol: "BTC/USD" },
      { trade_id: "7", symbol: "ETH/USD" },
      { trade_id: "98", symbol: "BTC/USD" },
      { trade_id: "99", symbol: "BTC/USD", price: "-1" },
      { trade_id: "9", symbol: "BTC/USD" },
      { trade_id: "101", symbol: "BTC/USD", side: "bought" },
      { trade_id: "102", symbol: "BTC/USD", timestamp: "soon" }
    ]))
    assert.deepStrictEqual(
      messages.flatMap((message) =>
        message._tag === "trades" ? [[message.exchangeSymbol, ...message.rows.map(({ id }) => id)]] : []
      ),
      [["BTC/USD", "9", "98", "100"], ["ETH/USD", "7"]]
    )
    assert.deepStrictEqual(reasonsOf(messages).toSorted(), ["number", "schema", "time"])
  })

  it("of the history have the same ids; the list is the member that is not `last`, under whatever name", () => {
    const [first, ...others] = Either.getOrThrow(
      history(`{"error":[],"result":{"last":"1","XXBTZUSD":[["1.50","2.0",1790359840.9392912,"s","l","",18],[]]}}`)
    )
    assert.deepStrictEqual(
      first,
      Either.right({
        id: "18",
        price: "1.5",
        amount: "2",
        side: "sell",
        timestamp: 1790359840939,
        time: "2026-09-25T18:10:40.939291200Z"
      })
    )
    assert.deepStrictEqual(others.map(Either.isLeft), [true])
    assert.isTrue(Either.isLeft(history(`{"error":[],"result":{"last":"1"}}`)))
  })

  it("are asked for in pages that begin before the known one's time, however that was printed", () => {
    const { pages, path } = kraken.rest.history
    assert.strictEqual(path(market), "/0/public/Trades?pair=BTC%2FUSD&count=1000")
    const since = (timestamp: number | null, time?: string) =>
      pages?.path(market, { id: "1", timestamp, time }, 1_000).split("&since=")[1]
    assert.strictEqual(since(1790359840939, "2026-09-25T18:10:40.939291200Z"), "1790359840939290200")
    assert.strictEqual(since(1790359840939, "2026-09-25T18:10:40.939291Z"), "1790359840939290000")
    assert.strictEqual(since(1790359840939), "1790359840938999000")
    assert.strictEqual(since(null), "0")
    // As a double prints it, and as microseconds rounded up would: never behind the trade itself.
    fc.assert(
      fc.property(fc.bigInt({ min: 1_600_000_000n * 10n ** 9n, max: 2_000_000_000n * 10n ** 9n }), (nanos) => {
        const text = String(Number(printed({ units: nanos, scale: 9 })))
        const [row] = Either.getOrThrow(history(`{"error":[],"result":{"x":[["1","1",${text},"b","l","",1]]}}`))
          .map(Either.getOrThrow)
        const asked = BigInt(since(row?.timestamp ?? null, row?.time) ?? "")
        assert.isTrue(asked < nanos && nanos - asked < 2_000_000n, `${text} ${asked}`)
      }),
      { numRuns: 2_000 }
    )
  })
})

describe("Kraken's socket", () => {
  it("tells the last trades that a subscription begins with from those of now", () => {
    const [update = ""] = recording("kraken", "kraken-ws-trades-btcusd-20260925").filter((text) =>
      text.includes(`"trade"`)
    )
    assert.notProperty(decode(update)[0], "isPast")
    assert.deepInclude(decode(update.replace(`"update"`, `"snapshot"`))[0], { _tag: "trades", isPast: true })
  })

  it("is subscribed to with many markets a frame, by their names in v2, the last trades included", () => {
    const { batch, keepAlive, subscribe, topics, unsubscribe } = kraken.socket
    assert.deepStrictEqual([topics("trades", market), topics("books", market)], [
      ["trade:BTC/USD"],
      ["book@25:BTC/USD"]
    ])
    const params = { channel: "trade", symbol: ["BTC/USD"], snapshot: true }
    assert.deepStrictEqual(JSON.parse(subscribe("trade:BTC/USD", 7, undefined)), {
      method: "subscribe",
      params,
      req_id: 7
    })
    assert.deepStrictEqual(JSON.parse(unsubscribe?.("trade:BTC/USD", 8) ?? ""), {
      method: "unsubscribe",
      params,
      req_id: 8
    })
    assert.deepStrictEqual(
      JSON.parse(batch?.subscribe(["trade:BTC/USD", "trade:ETH/BTC"], 9) ?? "").params.symbol,
      ["BTC/USD", "ETH/BTC"]
    )
    assert.strictEqual(keepAlive?.text, `{"method":"ping"}`)
  })

  it("answers by market or by command; of what was left nothing is said", () => {
    assert.deepStrictEqual(
      decode(
        `{"method":"subscribe","result":{"channel":"trade","symbol":"ETH/BTC","warnings":["x"]},"success":true,"req_id":3}`
      ),
      [{ _tag: "subscribed", topic: "trade:ETH/BTC", position: undefined, recovered: false }]
    )
    const denied = (error: string) => decode(`{"error":"${error}","method":"subscribe","success":false,"req_id":3}`)
    assert.deepStrictEqual(denied("No"), [
      { _tag: "denied", id: "3", code: "error", message: "No", remedy: "later" }
    ])
    assert.deepInclude(denied("Exceeded msg rate")[0], { id: "3", remedy: "soon" })
    // Seen on the wire 2025-12-20: what was asked for again, as its answer was late, is refused and goes on.
    assert.deepStrictEqual(
      decode(`{"error":"Already subscribed","method":"subscribe","req_id":2,"success":false,"symbol":"BTC/USD"}`),
      [{ _tag: "subscribed", topic: "trade:BTC/USD", position: undefined, recovered: false }]
    )
    assert.deepStrictEqual(reasonsOf(decode(`{"error":"Exceeded msg rate"}`)), ["unknown"])
    for (
      const quiet of [
        `{"method":"pong","req_id":1,"time_in":"x"}`,
        `{"method":"unsubscribe","result":{"channel":"trade","symbol":"A/B"},"success":true,"req_id":4}`,
        `{"channel":"heartbeat"}`
      ]
    ) assert.deepStrictEqual(decode(quiet), [])
    for (const strange of ["[]", "7", "{}", `{"channel":"ohlc","data":[]}`, `{"method":"subscribe","success":true}`]) {
      assert.deepStrictEqual(reasonsOf(decode(strange)), ["unknown"], strange)
    }
    assert.deepStrictEqual(reasonsOf(decode(`{"channel":"trade","data":{}}`)), ["schema"])
  })

  it("is asked for books with the least depth that holds what is wanted, and answers are those of books", () => {
    const { batch, subscribe, topics, unsubscribe } = kraken.socket
    const wanted = (depth: number | "all") => {
      const options = { ...Defaults.books, depth }
      const { cut, levels } = booksOf(kraken, options) ?? {}
      assert.strictEqual(cut, levels)
      return [topics("books", market, options), cut]
    }
    for (
      const [depth, levels] of [[1, 10], [10, 10], [11, 25], [26, 100], [101, 500], [501, 1000], [5000, 1000], [
        "all",
        1000
      ]] as const
    ) assert.deepStrictEqual(wanted(depth), [[`book@${levels}:BTC/USD`], levels])
    const [topic, other] = ["book@100:BTC/USD", "book@100:ETH/BTC"] as const
    const params = { channel: "book", symbol: ["BTC/USD"], depth: 100, snapshot: true }
    const command = JSON.parse(subscribe(topic, 7, undefined))
    assert.deepInclude(command, { method: "subscribe", params })
    // Whoever leaves has to name the depth too.
    assert.deepInclude(JSON.parse(unsubscribe?.(topic, 8) ?? ""), { method: "unsubscribe", params })
    const both = JSON.parse(batch?.subscribe([topic, other], 9) ?? "")
    assert.deepStrictEqual(both.params, { ...params, symbol: ["BTC/USD", "ETH/BTC"] })
    const id = command.req_id
    assert.isBelow(JSON.parse(subscribe("book@1000:BTC/USD", 9_999_999, undefined)).req_id, 2 ** 31)
    const said = (fields: object) => decode(JSON.stringify({ method: "subscribe", req_id: id, ...fields }))
    assert.deepInclude(said({ success: true, result: { channel: "book", depth: 100, symbol: "BTC/USD" } })[0], {
      _tag: "subscribed",
      topic
    })
    const error = "Currency pair not supported BTC/USD"
    assert.deepInclude(said({ success: false, error, symbol: "BTC/USD" })[0], { _tag: "rejected", topic })
    assert.deepInclude(said({ success: false, error: "Already subscribed", symbol: "BTC/USD" })[0], { topic })
    // Which market it was is not said: it is matched with its command.
    assert.deepInclude(said({ success: false, error: "Subscription depth not supported" })[0], {
      _tag: "denied",
      id: "7"
    })
  })

  const isDecimal = Schema.is(Schema.String.pipe(Schema.pattern(/^(0|[1-9]\d*)(\.\d*[1-9])?$/)))

  it("throws at nothing, and lets nothing through that is no trade", () => {
    const frames = [
      ...recording("kraken", "kraken-ws-control-2026"),
      ...recording("kraken", "kraken-ws-trades-btcusd-20260925"),
      krakenTrades([{ trade_id: "1" }, { trade_id: "2", qty: "1.6e-05", side: "sell" }, { trade_id: "3", qty: "0" }])
    ]
    frames.push(...recording("oracles", "kraken-ws-book10-btcusd-20260824").slice(2))
    fc.assert(
      fc.property(mutated(frames), (frame) => {
        const messages = decode(frame)
        for (const message of messages) {
          if (message._tag !== "books") continue
          for (const [price, amount, digits = "-"] of [...message.bids, ...message.asks]) {
            assert.isTrue(isDecimal(price) && isPositive(price) && isDecimal(amount) && digits !== "-")
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

describe("Kraken's books", () => {
  const push = (row: string, type = "update", checksum = "2416540570") =>
    `{"channel":"book","type":"${type}","data":[{"symbol":"BTC/USD","bids":[${row}],"asks":[],"checksum":${checksum},` +
    `"timestamp":"2026-08-24T22:21:58.343688Z"}]}`

  it("no digit of theirs changes, and the checksum has them as they stand in the frame", () => {
    fc.assert(
      fc.property(decimal, decimal, (p, q) => {
        const [message] = decode(push(`{"price":${p.text},"qty":${q.text}}`))
        const digits = [p, q].map(({ text }) => text.replace(".", "").replace(/^0*/, "")).join("")
        assert.deepInclude<unknown>(message ?? {}, { bids: [[p.canonical, q.canonical, digits]] })
      }),
      { numRuns: 2_000 }
    )
  })

  it("are pictures and changes; one that cannot be read is of its market's book, whatever its depth", () => {
    const row = `{"price":78858.8,"qty":0.00000000}`
    const common = { exchangeSymbol: "BTC/USD", bids: [["78858.8", "0", "788588"]], asks: [], checksum: "2416540570" }
    assert.deepInclude<unknown>(decode(push(row))[0] ?? {}, {
      ...common,
      part: "delta",
      time: "2026-08-24T22:21:58.343688Z"
    })
    assert.deepInclude<unknown>(decode(push(row, "snapshot"))[0] ?? {}, { ...common, part: "whole" })
    const timeless = push(row, "snapshot").replace(/,"timestamp":"[^"]*"/, "")
    assert.deepInclude<unknown>(decode(timeless)[0] ?? {}, { ...common, timestamp: null })
    for (
      const bad of [push("{}"), push(`{"price":0,"qty":1}`), push(`{"price":1,"qty":-1}`), push(row, "update", "-7")]
    ) {
      const [message, ...others] = decode(bad)
      assert.deepStrictEqual(others, [])
      assert.deepInclude<unknown>(message ?? {}, {
        _tag: "failure",
        subject: { channel: "books", exchangeSymbol: "BTC/USD" }
      })
    }
    assert.deepStrictEqual(reasonsOf(decode(`{"channel":"book","type":"other","data":[]}`)), ["schema"])
  })
})

describe("Kraken's list of markets", () => {
  const listed = (text: string) => Either.getOrThrow(markets(text)).map(Either.getOrThrow)

  it("has the names of v2 on both sides of a market", () => {
    assert.deepStrictEqual(
      listed(line("kraken", "kraken-rest-assetpairs-20260925-trimmed", 1)).map((
        { base, exchangeSymbol, quote, tradable }
      ) => [exchangeSymbol, base, quote, tradable]),
      [
        ["BTC/USD", "BTC", "USD", true],
        ["DOGE/USD", "DOGE", "USD", true],
        ["ETH/BTC", "ETH", "BTC", true],
        ["SOL/USD", "SOL", "USD", true],
        ["ACA/EUR", "ACA", "EUR", false]
      ]
    )
    assert.deepStrictEqual(
      listed(line("kraken", "kraken-rest-assetpairs-xbtusdt-202511", 1)).map(({ exchangeSymbol }) => exchangeSymbol),
      ["BTC/USDT"]
    )
  })

  it("has dark pools, of which no socket has trades, and a bad row that harms no other", () => {
    const body =
      `{"error":[],"result":{"a":{},"b":{"altname":"XBTUSD.d","base":"XXBT","quote":"ZUSD","status":"online"}}}`
    const rows = Either.getOrThrow(markets(body))
    assert.deepStrictEqual(rows.map(Either.isRight), [false, true])
    assert.deepInclude(rows.slice(1).map(Either.getOrThrow)[0], { exchangeSymbol: "XBTUSD.d", tradable: false })
  })
})

describe("Kraken's refusals", () => {
  it("come with status 200, and say how long to stay away", () => {
    const errors = (...list: ReadonlyArray<string>) => refused(JSON.stringify({ error: list, result: {} }))
    assert.deepStrictEqual(refused(line("kraken", "kraken-rest-trades-btcusd-20260925-trimmed", 2)), {
      message: "EQuery:Unknown asset pair",
      retryAfter: undefined,
      isUnknownMarket: true
    })
    assert.deepInclude(errors("EAPI:Rate limit exceeded"), { retryAfter: "15", isUnknownMarket: false })
    assert.deepInclude(errors("EGeneral:Too many requests"), { retryAfter: "15" })
    assert.deepInclude(errors("EGeneral:Temporary lockout"), { retryAfter: "900" })
    assert.deepInclude(errors("EService: Throttled: 1790359900"), { retryAfter: "1790359900" })
    assert.deepInclude(errors("WDatabase:No change", "EService:Unavailable"), { message: "EService:Unavailable" })
    assert.isUndefined(errors("WDatabase:No change"))
    assert.isUndefined(errors())
    for (const body of ["null", "[]", "7", "{}", `{"error":{}}`, "<html>"]) assert.isUndefined(refused(body), body)
  })

  it("of a whole address say what to do", () => {
    const advice = adviceOf(kraken, kraken.endpoints)
    for (const status of [403, 451]) assert.include(advice?.[status], "KRAKEN_API_URL")
    assert.isUndefined(refused("<html>", 502))
  })
})
