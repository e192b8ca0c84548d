import { assert, describe, it } from "@effect/vitest"
import { Duration, Either, FastCheck as fc } from "effect"
import { readFileSync } from "node:fs"
import * as path from "node:path"
import { isPositive } from "../../../src/services/Decimal.ts"
import { timeOf } from "../../../src/services/ExchangeTime.ts"
import { adviceOf } from "../../../src/streams/Advice.ts"
import { booksOf } from "../../../src/streams/books/Declared.ts"
import type { BooksOptions } from "../../../src/streams/books/Options.ts"
import * as Defaults from "../../../src/streams/Defaults.ts"
import type { BookPart, Endpoints, Level, Message, TradeRow } from "../../../src/streams/Exchange.ts"
import { binance } from "../../../src/streams/exchanges/Binance.ts"
import * as Choice from "../../../src/streams/Markets/Choice.ts"
import * as Json from "../../../src/streams/protocols/Json.ts"
import { decimal } from "../support/decimals.ts"
import { binanceBook, binanceTrade } from "../support/frames.ts"
import { mutated } from "../support/mutate.ts"
import { recording } from "../support/recordings.ts"

const market = { symbol: "BTC/USDT", exchangeSymbol: "BTCUSDT" }

const adviceAt = (asked: Endpoints) => adviceOf(binance, asked) ?? {}

const decode = (text: string): ReadonlyArray<Message> => binance.socket.decode(text, () => undefined)

const reasonsOf = (messages: ReadonlyArray<Message>): ReadonlyArray<string> =>
  messages.flatMap((message) => message._tag === "failure" ? [message.failure.reason] : [])

const rowsOf = (messages: ReadonlyArray<Message>): ReadonlyArray<TradeRow> =>
  messages.flatMap((message) => message._tag === "trades" ? message.rows : [])

const body = (text: string) => Json.parse(text, Json.bodyLimits)
const history = (text: string) => Either.flatMap(body(text), binance.rest.history.decode)
const markets = (text: string) => Either.flatMap(body(text), binance.rest.markets.decode)
const picture = (text: string) =>
  Either.flatMap(body(text), (value) => {
    const { picture } = binance.books ?? {}
    if (picture === undefined) throw new Error("no picture")
    return picture.decode(value)
  })
const refusal = (text: string, status: number) =>
  binance.rest.refused?.({ status, body: Either.getOrUndefined(body(text)) })

describe("Binance's recorded lines", () => {
  const symbols = new Map([
    ["BTCUSDT", "BTC/USDT"],
    ["ATOMEUR", "ATOM/EUR"],
    ["LRCBTC", "LRC/BTC"],
    ["BNBBTC", "BNB/BTC"]
  ])
  const common = (exchangeSymbol: string) => ({
    v: 1,
    exchange: binance.id,
    symbol: symbols.get(exchangeSymbol),
    exchangeSymbol
  })
  const book = (
    exchangeSymbol: string,
    { asks, bids, sequence, timestamp }: Pick<BookPart, "asks" | "bids" | "sequence" | "timestamp">,
    source: string
  ) => ({ type: "book", ...common(exchangeSymbol), sequence: String(sequence), bids, asks, timestamp, source })

  const told = (text: string): ReadonlyArray<object> =>
    decode(text).flatMap((message): ReadonlyArray<object> => {
      switch (message._tag) {
        case "trades":
          return message.rows.map(({ amount, id, price, side, ...time }) => ({
            type: "trade",
            ...common(message.exchangeSymbol),
            id: `binance:${symbols.get(message.exchangeSymbol)}:t:${id}`,
            price,
            amount,
            side,
            timestamp: timeOf(time),
            source: "ws"
          }))
        case "books":
          // What changes come to: test/streams/books/RecordedChanges.test.ts.
          return message.part === "whole" ? [book(message.exchangeSymbol, message, "ws")] : []
        case "leaving":
          return [{ leaving: true }]
        default:
          return []
      }
    })

  const pictureOf = (exchangeSymbol: string) => (text: string) => [
    book(exchangeSymbol, Either.getOrThrow(picture(text)), "rest")
  ]
  const listed = (text: string) =>
    Either.getOrThrow(markets(text)).map(Either.getOrThrow).map(({ base, quote, ...one }) => ({
      ...one,
      symbol: `${base}/${quote}`
    }))
  const refusedBy = (text: string): ReadonlyArray<object> => {
    const { isUnknownMarket, message, retryAfter } = refusal(text, 400) ?? {}
    return [{
      refused: message,
      ...retryAfter === undefined ? {} : { retryAfter },
      ...isUnknownMarket === true ? { isUnknownMarket } : {}
    }]
  }

  const files: ReadonlyArray<readonly [file: string, read: (text: string) => ReadonlyArray<object>]> = [
    ["binance-ws-trade-btcusdt-2024-2026", told],
    ["binance-ws-depth-atomeur-20260824", told],
    ["binance-ws-depth-lrcbtc-20211012", told],
    ["binance-ws-aggtrade-20211012", told],
    ["binance-ws-docs", told],
    ["binance-rest-depth-atomeur-20260824", pictureOf("ATOMEUR")],
    ["binance-rest-depth-lrcbtc-20211012", pictureOf("LRCBTC")],
    ["binance-rest-exchangeinfo-20211012-trimmed", listed],
    ["binance-rest-errors", refusedBy]
  ]
  for (const [file, read] of files) {
    it(`${file}: each line is what a person reads in it`, () => {
      const expected = readFileSync(
        path.resolve(import.meta.dirname, `../../recordings/binance/expected/${file}.ndjson`),
        "utf8"
      ).trimEnd().split("\n").map((line): unknown => JSON.parse(line))
      assert.deepStrictEqual<unknown>(recording("binance", file).map((line) => [...read(line)]), expected)
    })
  }
})

describe("Binance's trades", () => {
  it("have the taker's side: a buyer whose order lay in the book was sold to", () => {
    assert.deepStrictEqual(
      [true, false].map((m) => rowsOf(decode(binanceTrade("BTCUSDT", { m })))[0]?.side),
      ["sell", "buy"]
    )
    const row = (isBuyerMaker: boolean) => ({
      id: 28457,
      price: "4.00000100",
      qty: "12.00000000",
      quoteQty: "48.000012",
      time: 1499865549590,
      isBuyerMaker,
      isBestMatch: true
    })
    const rows = Either.getOrThrow(history(JSON.stringify([row(true), row(false)]))).map(Either.getOrThrow)
    assert.deepStrictEqual(rows.map(({ side }) => side), ["sell", "buy"])
    assert.deepStrictEqual(rows[0], {
      id: "28457",
      price: "4.000001",
      amount: "12",
      side: "sell",
      timestamp: 1499865549590
    })
  })

  it("have microseconds where they were asked for, and the same id", () => {
    const [coarse] = rowsOf(decode(binanceTrade("BTCUSDT", { T: 1790960630913 })))
    const [fine] = rowsOf(decode(binanceTrade("BTCUSDT", { T: 1790960630913042 })))
    assert.deepStrictEqual([coarse, fine].map((row) => row === undefined ? null : timeOf(row)), [
      "2026-10-02T17:03:50.913Z",
      "2026-10-02T17:03:50.913042Z"
    ])
    assert.strictEqual(coarse?.id, fine?.id)
    assert.strictEqual(coarse?.timestamp, fine?.timestamp)
  })

  it("are those of the stream they came by", () => {
    assert.deepStrictEqual(reasonsOf(decode(binanceTrade("BTCUSDT", {}, "ethusdt@trade"))), ["symbol"])
    assert.deepStrictEqual(reasonsOf(decode(binanceTrade("BTCUSDT", { e: "aggTrade" }))), ["unknown"])
    assert.deepStrictEqual(reasonsOf(decode(binanceTrade("BTCUSDT", { e: "blockTrade" }))), ["unknown"])
    assert.deepStrictEqual(reasonsOf(decode(binanceTrade("BTCUSDT", { t: "x" }))), ["schema"])
    assert.deepStrictEqual(reasonsOf(decode(binanceTrade("BTCUSDT", { p: "-1" }))), ["number"])
    assert.deepStrictEqual(reasonsOf(decode(binanceTrade("BTCUSDT", { T: "soon" }))), ["time"])
  })

  it("from before are asked for by number, without a key, in pages that hold the trade that is known", () => {
    const { pages, path } = binance.rest.history
    assert.strictEqual(path(market), "/api/v3/trades?symbol=BTCUSDT&limit=1000")
    assert.strictEqual(
      pages?.path(market, { id: "28457", timestamp: 0 }, 1_000),
      "/api/v3/historicalTrades?symbol=BTCUSDT&limit=1000&fromId=28457"
    )
    assert.deepInclude(pages, { size: 1_000, holds: "oldest" })
  })

  it("a bad row harms no other", () => {
    const rows = Either.getOrThrow(history(`[{"id":1},{"id":2,"price":"1","qty":"2","time":3,"isBuyerMaker":true}]`))
    assert.deepStrictEqual(rows.map(Either.isRight), [false, true])
  })
})

describe("Binance's books", () => {
  const quick = { depth: 20, interval: Duration.millis(100), refresh: Duration.zero, deltas: false } as const

  it("are subscribed to by name in lower case, many to a frame, and quick where a second is too long", () => {
    assert.deepStrictEqual(binance.socket.topics("trades", market), ["btcusdt@trade"])
    assert.deepStrictEqual(binance.socket.topics("books", market), ["btcusdt@depth20"])
    assert.deepStrictEqual(binance.socket.topics("books", market, quick), ["btcusdt@depth20@100ms"])
    assert.deepStrictEqual(
      binance.socket.topics("books", market, { ...quick, interval: Duration.seconds(1) }),
      ["btcusdt@depth20"]
    )
    assert.deepStrictEqual(
      [
        binance.socket.subscribe("btcusdt@depth20", 1, undefined),
        binance.socket.batch?.subscribe(["btcusdt@aggTrade", "btcusdt@depth"], 1),
        binance.socket.unsubscribe?.("btcusdt@depth", 312)
      ],
      [
        `{"method":"SUBSCRIBE","params":["btcusdt@depth20"],"id":1}`,
        ...[1, 3].map((n) => recording("binance", "binance-ws-docs")[n - 1])
      ]
    )
  })

  it("are whole pictures of 5, 10 or 20 levels; only their stream says whose", () => {
    for (const kind of ["depth5", "depth10@100ms", "depth20", "depth20@100ms"]) {
      assert.deepStrictEqual(decode(binanceBook(`btcusdt@${kind}`)), [{
        _tag: "books",
        exchangeSymbol: "BTCUSDT",
        part: "whole",
        bids: [["0.0024", "10"]],
        asks: [["0.0026", "100"], ["0.0027", "0.5"]],
        previous: undefined,
        sequence: 160n,
        timestamp: null
      }])
    }
    assert.deepStrictEqual(reasonsOf(decode(JSON.stringify({ lastUpdateId: 1, bids: [], asks: [] }))), ["unknown"])
    assert.deepStrictEqual(reasonsOf(decode(binanceBook("btcusdt@depth50"))), ["unknown"])
    assert.deepStrictEqual(reasonsOf(decode(binanceBook("@depth20"))), ["unknown"])
  })

  it("are changes that go on from a picture by REST where more levels are wanted, or each change", () => {
    const of = (over: Partial<BooksOptions>) => {
      const options = { ...Defaults.books, ...over }
      const { levels, link, picture } = booksOf(binance, options) ?? {}
      const path = picture?.path(market).replace(/.*&limit=/, "")
      return [binance.socket.topics("books", market, options)[0]?.split("@depth")[1], link, levels, path, picture?.cost]
    }
    assert.deepStrictEqual(of({}), ["20", "replaced", 20, "20", 1])
    for (const over of [{ deltas: true }, { depth: 21 }, { depth: 5_000, interval: Duration.zero }] as const) {
      assert.deepStrictEqual(of(over), ["@100ms", "overlap", 1_000, "1000", 2])
    }
    assert.deepStrictEqual(of({ depth: "all" }), ["@100ms", "overlap", 5_000, "5000", 10])
    const data = (fields: object = {}) => ({
      e: "depthUpdate",
      E: 1787602966191,
      s: "BTCUSDT",
      U: 157,
      u: 160,
      b: [["0.0024", "0.00000000"]],
      a: [["0.0026", "100"]],
      ...fields
    })
    const push = (fields?: object) => JSON.stringify({ stream: "btcusdt@depth@100ms", data: data(fields) })
    const expected = {
      _tag: "books",
      exchangeSymbol: "BTCUSDT",
      part: "delta",
      bids: [["0.0024", "0"]],
      asks: [["0.0026", "100"]],
      previous: 156n,
      sequence: 160n,
      timestamp: 1787602966191
    }
    assert.deepStrictEqual<unknown>(decode(push()), [expected])
    assert.deepStrictEqual<unknown>(decode(JSON.stringify(data())), [expected])
    for (const bad of [{ U: "x" }, { b: [["0", "1"]] }, { a: [["1", "-1"]] }, { s: "ETHUSDT" }]) {
      assert.deepInclude<unknown>(decode(push(bad))[0] ?? {}, { _tag: "failure", topic: "btcusdt@depth@100ms" })
    }
  })

  it("one that cannot be read whole is none", () => {
    assert.deepStrictEqual(reasonsOf(decode(binanceBook("btcusdt@depth20", { bids: [["0", "1"]] }))), ["number"])
    assert.deepStrictEqual(reasonsOf(decode(binanceBook("btcusdt@depth20", { asks: null }))), ["schema"])
    assert.deepStrictEqual(reasonsOf(decode(binanceBook("btcusdt@depth20", { lastUpdateId: "-1" }))), ["schema"])
  })
})

describe("Binance's answers", () => {
  it("to a command are told apart; too many streams have room elsewhere", () => {
    assert.deepStrictEqual(decode(`{"result":null,"id":12}`), [{ _tag: "granted", id: "12" }])
    const denied = { _tag: "denied", id: "12", code: "2", message: "no", remedy: "later" } as const
    assert.deepStrictEqual(decode(`{"code":2,"msg":"no","id":12}`), [denied])
    assert.deepStrictEqual(decode(`{"error":{"code":4,"msg":"no"},"id":12}`), [{
      ...denied,
      code: "4",
      remedy: "elsewhere"
    }])
    // Nobody knows which command that was about; the connection is closed behind it.
    assert.deepStrictEqual(reasonsOf(decode(recording("binance", "binance-ws-docs")[14] ?? "")), ["unknown"])
    assert.isTrue(binance.socket.isTerminal(1008))
    assert.isFalse(binance.socket.isTerminal(1006))
    for (const text of ["[]", "null", "1", `{"id":1,"error":null}`, `{"stream":"x"}`, `{"stream":"x","data":{}}`]) {
      assert.deepStrictEqual(reasonsOf(decode(text)), ["unknown"], text)
    }
    assert.deepStrictEqual(reasonsOf(decode("<html>")), ["json"])
  })

  it("that refuse say how long to stay away, and which market is not known", () => {
    const [banned = "", region = "", unknown = ""] = recording("binance", "binance-rest-errors")
    assert.deepInclude(refusal(banned, 418), { retryAfter: "1785050129644", isUnknownMarket: false })
    assert.deepInclude(refusal(region, 451), { retryAfter: undefined, isUnknownMarket: false })
    assert.deepInclude(refusal(unknown, 400), { message: "-1121 Invalid symbol.", isUnknownMarket: true })
    assert.deepInclude(refusal("<html>", 403), { retryAfter: "60" })
    assert.deepInclude(refusal("", 429), { retryAfter: "60" })
    assert.deepInclude(refusal(`{"code":-1003,"msg":"Too much"}`, 418), { retryAfter: "120" })
    assert.isUndefined(refusal("", 500))
    assert.isUndefined(refusal(`{"code":0,"msg":"x"}`, 200))
  })

  it("each status that one can do something about has an advice that leaves room for the exchange's words", () => {
    const others = { apiUrl: "https://api.binance.com", wsUrl: "wss://stream.binance.com:9443/stream" }
    const advice = adviceAt(others)
    for (const [status, text] of Object.entries(advice)) assert.isAtMost(text.length, 180, status)
    for (const status of [403, 451]) {
      assert.include(advice[status], "BINANCE_API_URL=https://data-api.binance.vision")
      assert.include(advice[status], "BINANCE_WS_URL=wss://data-stream.binance.vision/stream")
    }
  })

  it("an advice names no host that is asked already", () => {
    const { apiUrl, wsUrl } = binance.endpoints
    for (const stream of [wsUrl, `${wsUrl}?timeUnit=MICROSECOND`]) {
      for (const text of Object.values(adviceAt({ apiUrl, wsUrl: stream }))) assert.notInclude(text, "vision")
    }
    assert.strictEqual(
      adviceAt(binance.endpoints)[451],
      "not served in this region; try HTTPS_PROXY or another region"
    )
    const half = adviceAt({ apiUrl: "https://api.binance.com", wsUrl })[451] ?? ""
    assert.include(half, "BINANCE_API_URL=https://data-api.binance.vision")
    assert.notInclude(half, "BINANCE_WS_URL")
  })
})

describe("Binance's list of markets", () => {
  const one = (fields: object = {}) => ({
    symbol: "BTCUSDT",
    status: "TRADING",
    baseAsset: "BTC",
    quoteAsset: "USDT",
    isSpotTradingAllowed: true,
    ...fields
  })

  it("tradable is what trades on the spot market; a name in other letters is left out, and named", () => {
    const list = [
      one(),
      ...["END_OF_DAY", "HALT", "BREAK", "CANCEL_ONLY"].map((status) => one({ status })),
      one({ isSpotTradingAllowed: false }),
      one({ symbol: "币安人生USDT", baseAsset: "币安人生" })
    ]
    const rows = Either.getOrThrow(markets(JSON.stringify({ symbols: list })))
    assert.deepStrictEqual(rows.map((row) => Either.getOrThrow(row).tradable), [
      true,
      false,
      false,
      false,
      false,
      false,
      true
    ])
    const { leftOut, markets: chosen } = Choice.choose(rows, () => true)
    assert.deepStrictEqual(chosen, [market])
    assert.deepStrictEqual(leftOut.map(({ name, reason }) => [name, reason]), [["币安人生USDT", "name"]])
  })
})

describe("Binance's numbers", () => {
  it("no digit changes on any way", () => {
    fc.assert(
      fc.property(decimal, decimal, fc.bigInt({ min: 1n, max: 10n ** 18n }), (p, q, n) => {
        const trade =
          `{"e":"trade","E":1,"s":"BTCUSDT","t":${n},"p":"${p.text}","q":"${q.text}","T":1790960630913,"m":true,"M":true}`
        const expected = { id: String(n), price: p.canonical, amount: q.canonical }
        assert.deepInclude(rowsOf(decode(`{"stream":"btcusdt@trade","data":${trade}}`))[0], expected)
        // As an address that ends in `/ws` has it.
        assert.deepInclude(rowsOf(decode(trade))[0], expected)
        const [row] = Either.getOrThrow(
          history(`[{"id":${n},"price":"${p.text}","qty":"${q.text}","time":1790960630913,"isBuyerMaker":true}]`)
        )
        assert.deepInclude(row === undefined ? {} : Either.getOrThrow(row), expected)
        const level: Level = [p.canonical, q.canonical]
        const book = `{"lastUpdateId":${n},"bids":[["${p.text}","${q.text}"]],"asks":[]}`
        assert.deepInclude(decode(`{"stream":"btcusdt@depth20","data":${book}}`)[0], { bids: [level], sequence: n })
        assert.deepInclude(Either.getOrThrow(picture(book)), { bids: [level], asks: [], sequence: n })
        const changes = `{"e":"depthUpdate","E":1,"s":"A","U":${n},"u":${n},"b":[["${p.text}","${q.text}"]],"a":[]}`
        assert.deepInclude(decode(`{"stream":"a@depth@100ms","data":${changes}}`)[0], {
          bids: [level],
          previous: n - 1n,
          sequence: n
        })
      }),
      { numRuns: 2_000 }
    )
  })

  it("throws at nothing, and lets nothing through that is no number", () => {
    const isDecimal = (text: string) => isPositive(text) && /^\d+(\.\d*[1-9])?$/.test(text)
    const texts = [
      binanceTrade("BTCUSDT"),
      binanceBook("btcusdt@depth20"),
      `{"id":1,"error":{"code":1}}`,
      `[{"id":1,"price":"1","qty":"2","time":3,"isBuyerMaker":true}]`,
      ...["binance-ws-docs", "binance-rest-errors", "binance-ws-trade-btcusdt-2024-2026"].flatMap((name) =>
        recording("binance", name)
      )
    ]
    const levels = (side: ReadonlyArray<Level>) =>
      assert.isTrue(side.every(([price, amount]) => isDecimal(price) && isDecimal(amount)))
    const trade = ({ amount, id, price }: TradeRow) => {
      // A row without an amount is filtered by the feed.
      assert.isTrue(isDecimal(price) && (isDecimal(amount) || amount === "0"))
      assert.match(id ?? "", /^\d{1,19}$/)
    }
    fc.assert(
      fc.property(mutated(texts), (text) => {
        for (const message of decode(text)) {
          if (message._tag === "books") levels([...message.bids, ...message.asks])
          if (message._tag === "trades") message.rows.forEach(trade)
        }
        const found = picture(text)
        if (Either.isRight(found)) levels([...found.right.bids, ...found.right.asks])
        const rows = history(text)
        if (Either.isRight(rows)) { for (const row of rows.right) if (Either.isRight(row)) trade(row.right) }
        markets(text)
        refusal(text, 400)
        assert.isUndefined(Reflect.get({}, "polluted"))
      }),
      { numRuns: 20_000 }
    )
  })
})
