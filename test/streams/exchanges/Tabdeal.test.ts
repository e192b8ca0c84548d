import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck as fc } from "effect"
import { readFileSync } from "node:fs"
import * as path from "node:path"
import { isPositive } from "../../../src/services/Decimal.ts"
import { timeOf } from "../../../src/services/ExchangeTime.ts"
import type { DecodeFailure } from "../../../src/streams/DecodeFailure.ts"
import type { Level, Message, TradeRow } from "../../../src/streams/Exchange.ts"
import { tabdeal } from "../../../src/streams/exchanges/Tabdeal.ts"
import * as Json from "../../../src/streams/protocols/Json.ts"
import { mutated } from "../support/mutate.ts"
import { line, recording } from "../support/recordings.ts"

const market = { symbol: "BTC/IRT", exchangeSymbol: "BTCIRT" }
const topic = "btcirt@depth@2000ms"

const decode = (text: string): ReadonlyArray<Message> => tabdeal.socket.decode(text, () => undefined)

const reasonsOf = (messages: ReadonlyArray<Message>): ReadonlyArray<string> =>
  messages.flatMap((message) => message._tag === "failure" ? [message.failure.reason] : [])

const answer = (body: string) => Json.parse(body, Json.bodyLimits)
const trades = (body: string) => Either.flatMap(answer(body), tabdeal.rest.history.decode)
const markets = (body: string) => Either.flatMap(answer(body), tabdeal.rest.markets.decode)
const picture = (body: string) =>
  Either.flatMap(answer(body), (value) => {
    const { picture } = tabdeal.books ?? {}
    if (picture === undefined) throw new Error("no picture")
    return picture.decode(value)
  })
const refusal = (body: string, status = 400) =>
  tabdeal.rest.refused?.({ status, body: Either.getOrUndefined(answer(body)) })

const good = (body: string): ReadonlyArray<TradeRow> =>
  Either.getOrThrow(trades(body)).map((row) => Either.getOrThrow(row))

/** As a person writes it down: what is undefined is left out, times are text. */
const written = (value: object): object => {
  const time = "timestamp" in value ? { timestamp: timeOf(value as Pick<TradeRow, "timestamp" | "time">) } : {}
  const { time: _time, failure: _failure, ...rest } = value as Record<string, unknown>
  return JSON.parse(JSON.stringify({ ...rest, ...time })) as object
}

interface Expected {
  readonly file: string
  readonly line: number
  readonly as: "trades" | "markets" | "check" | "refusal" | "socket"
  readonly is: unknown
}

const expected = JSON.parse(
  readFileSync(path.resolve(import.meta.dirname, "../../recordings/tabdeal/expected.json"), "utf8")
) as ReadonlyArray<Expected>

const reads: Record<Expected["as"], (text: string) => unknown> = {
  trades: (text) => good(text).map(written),
  markets: (text) => Either.getOrThrow(markets(text)).map((row) => Either.getOrThrow(row)),
  check: (text) => Either.getOrThrow(Either.flatMap(answer(text), tabdeal.rest.check.decode)),
  refusal: (text) => written(refusal(text) ?? {}),
  socket: (text) => decode(text).map(written)
}

describe("Tabdeal's recorded lines", () => {
  for (const one of expected) {
    it(`${one.file} ${one.line} is what a person reads in it`, () =>
      assert.deepStrictEqual(reads[one.as](line("tabdeal", one.file, one.line)), one.is))
  }
})

const row = (fields: object = {}) => ({
  id: 18,
  price: "8161.0000000000000000",
  qty: "7.35120000",
  quoteQty: "7.33061664",
  time: 1759075951117,
  isBuyerMaker: false,
  ...fields
})

describe("Tabdeal's trades", () => {
  it("are turned: a buyer whose order lay in the book was sold to; what the taker got is not looked at", () => {
    const sold = good(JSON.stringify([row({ isBuyerMaker: true, quoteQty: "59993.1432" })]))
    assert.deepStrictEqual(sold.map(({ amount, price, side }) => [side, price, amount]), [["sell", "8161", "7.3512"]])
    assert.deepStrictEqual(good(JSON.stringify([row({ quoteQty: null })])).map(({ side }) => side), ["buy"])
  })

  it("come oldest first, whichever way they are listed", () => {
    const rows = [3, 2, 1].map((n) => row({ id: n, time: 1759075951000 + n }))
    for (const list of [rows, [...rows].reverse()]) {
      assert.deepStrictEqual(good(JSON.stringify(list)).map(({ id }) => id), ["1", "2", "3"])
    }
  })

  it("a bad row harms no other", () => {
    const list = [
      row(),
      row({ price: "0" }),
      row({ qty: "NaN" }),
      row({ id: "a b" }),
      row({ time: "soon" }),
      row({ isBuyerMaker: 1 }),
      7
    ]
    const rows = Either.getOrThrow(trades(JSON.stringify(list)))
    assert.deepStrictEqual(rows.flatMap((one) => Either.isLeft(one) ? [one.left.reason] : []).sort(), [
      "number",
      "number",
      "schema",
      "schema",
      "schema",
      "time"
    ])
    assert.lengthOf(rows, 7)
  })

  it("are asked for as the documents say", () =>
    assert.strictEqual(tabdeal.rest.history.path(market), "/r/api/v1/trades?symbol=BTCIRT&limit=1000"))

  it("no socket brings them", () => assert.deepStrictEqual(tabdeal.socket.topics("trades", market), []))
})

describe("Tabdeal's refusals", () => {
  it("are told from answers by their code", () => {
    assert.deepInclude(refusal(`{"code":1216,"msg":"Too many","detail":"x"}`, 429), {
      message: "1216 Too many",
      retryAfter: "60",
      isUnknownMarket: false
    })
    assert.deepInclude(refusal(`{"code":1211}`), { message: "1211", isUnknownMarket: true })
    assert.deepInclude(refusal(`{"code":1001,"msg":"x"}`), { retryAfter: undefined, isUnknownMarket: false })
    for (const body of ["[]", "{}", `{"serverTime":1}`, `{"symbols":[]}`, `{"bids":[],"asks":[]}`, "<html>"]) {
      assert.isUndefined(refusal(body, 200), body)
    }
  })

  it("a page of HTML is no answer", () => {
    const page = "<!DOCTYPE html><html></html>"
    const reasonOf = <A>(read: Either.Either<A, DecodeFailure>) => Either.isLeft(read) ? read.left.reason : undefined
    const reasons = [reasonOf(trades(page)), reasonOf(markets(page)), reasonOf(picture(page))]
    assert.deepStrictEqual(reasons, ["json", "json", "json"])
  })
})

describe("Tabdeal's list of markets", () => {
  const one = (fields: object = {}) => ({
    symbol: "BTCIRT",
    tabdealSymbol: "BTC_IRT",
    status: "TRADING",
    baseAsset: "BTC",
    quoteAsset: "IRT",
    ...fields
  })

  it("comes by itself or within an object; tradable is what trades on the spot market", () => {
    const list = [
      one(),
      one({ isSpotTradingAllowed: true }),
      one({ isSpotTradingAllowed: false }),
      one({ status: "BREAK", isSpotTradingAllowed: true })
    ]
    for (const body of [list, { symbols: list }]) {
      const rows = Either.getOrThrow(markets(JSON.stringify(body)))
      assert.deepStrictEqual(rows.map((row) => Either.getOrThrow(row).tradable), [true, true, false, false])
    }
  })

  it("is asked for whole", () => assert.strictEqual(tabdeal.rest.markets.path, "/r/api/v1/exchangeInfo?limit=1000"))
})

const push = (data: object = {}, stream = topic) =>
  JSON.stringify({
    stream,
    data: {
      e: "depthUpdate",
      E: 1657530675579,
      s: "BTCIRT",
      b: [["32290", "155.903075"], ["32289.5000000000000000", "1e-8"]],
      a: [["32311", "76.378076"]],
      ...data
    }
  })

describe("Tabdeal's books", () => {
  it("are subscribed to as documented, in lower case, several in a frame", () => {
    assert.deepStrictEqual(tabdeal.socket.topics("books", market), [topic])
    assert.strictEqual(
      tabdeal.socket.subscribe("usdtirt@depth@2000ms", 1, undefined),
      line("tabdeal", "tabdeal-ws-docs", 1)
    )
    assert.strictEqual(
      tabdeal.socket.batch?.subscribe(["a@depth@2000ms", "b@depth@2000ms"], 7),
      `{"method":"SUBSCRIBE","params":["a@depth@2000ms","b@depth@2000ms"],"id":7}`
    )
  })

  it("are whole pictures with the exchange's time", () => {
    assert.deepStrictEqual(decode(push()), [{
      _tag: "books",
      exchangeSymbol: "BTCIRT",
      part: "whole",
      bids: [["32290", "155.903075"], ["32289.5", "0.00000001"]],
      asks: [["32311", "76.378076"]],
      previous: undefined,
      sequence: undefined,
      timestamp: 1657530675579
    }])
    assert.deepInclude(decode(push({ b: [], a: [] }))[0], { bids: [], asks: [] })
    assert.deepInclude(decode(push({ E: "today" }))[0], { _tag: "books", timestamp: null })
    // A level that is gone.
    assert.deepInclude(decode(push({ b: [["1", "0.0000"], ["2", "3"]] }))[0], { bids: [["2", "3"]] })
  })

  it("one that cannot be read whole is none", () => {
    assert.deepStrictEqual(reasonsOf(decode(push({ b: [["0", "1"]] }))), ["number"])
    assert.deepStrictEqual(reasonsOf(decode(push({ a: [["1", "-1"]] }))), ["number"])
    assert.deepStrictEqual(reasonsOf(decode(push({ a: [["1"]] }))), ["schema"])
    assert.deepStrictEqual(reasonsOf(decode(push({ a: null }))), ["schema"])
    assert.deepStrictEqual(reasonsOf(decode(push({ s: "ETHIRT" }))), ["symbol"])
    assert.deepStrictEqual(reasonsOf(decode(push({}, "btcirt@depth@100ms"))), ["unknown"])
    assert.deepStrictEqual(reasonsOf(decode("[]")), ["unknown"])
    assert.deepStrictEqual(reasonsOf(decode("null")), ["unknown"])
    assert.deepStrictEqual(reasonsOf(decode("<html>")), ["json"])
  })

  it("answers to a command are told apart", () => {
    assert.deepStrictEqual(decode(`{"result":null,"id":12}`), [{ _tag: "granted", id: "12" }])
    const denied = { _tag: "denied", id: "12", code: "1211", message: "Invalid symbol", remedy: "later" } as const
    assert.deepStrictEqual(decode(`{"id":12,"code":1211,"msg":"Invalid symbol"}`), [denied])
    assert.deepStrictEqual(decode(`{"id":12,"error":{"code":1211,"msg":"Invalid symbol"}}`), [denied])
    assert.deepStrictEqual(reasonsOf(decode(`{"id":12}`)), ["unknown"])
    assert.deepStrictEqual(reasonsOf(decode(`{"id":12,"error":null}`)), ["unknown"])
  })

  it("by REST are the same without a time", () => {
    const found = Either.getOrThrow(picture(`{"bids":[["1.50","2"]],"asks":[["2",3.0],["4","0"]]}`))
    assert.deepInclude(found, { bids: [["1.5", "2"]], asks: [["2", "3"]], timestamp: null })
    assert.strictEqual(tabdeal.books?.picture?.path(market), "/r/api/v1/depth?symbol=BTCIRT&limit=50")
  })
})

describe("Tabdeal's numbers", () => {
  /** Digits as an exchange prints them, and as they are to arrive. */
  const decimal = fc.tuple(fc.bigInt({ min: 1n, max: 10n ** 18n }), fc.integer({ min: 0, max: 16 })).map(
    ([units, places]) => {
      const digits = units.toString().padStart(places + 1, "0")
      const whole = digits.slice(0, digits.length - places)
      const fraction = places === 0 ? "" : digits.slice(-places)
      const stripped = fraction.replace(/0+$/, "")
      return {
        text: places === 0 ? whole : `${whole}.${fraction}`,
        canonical: stripped === "" ? whole : `${whole}.${stripped}`
      }
    }
  )

  it("no digit changes on any way, be it text or a number on the wire", () => {
    fc.assert(
      fc.property(decimal, decimal, fc.boolean(), (price, amount, isText) => {
        const quote = (text: string) => isText ? `"${text}"` : text
        const [p, a] = [quote(price.text), quote(amount.text)]
        const body = `[{"id":9007199254740993,"price":${p},"qty":${a},"time":1759075951117,"isBuyerMaker":true}]`
        assert.deepInclude(good(body)[0], {
          id: "9007199254740993",
          price: price.canonical,
          amount: amount.canonical
        })
        const level = [[price.canonical, amount.canonical]] as const
        const { asks, bids } = Either.getOrThrow(picture(`{"bids":[[${p},${a}]],"asks":[[${p},${a}]]}`))
        assert.deepStrictEqual<unknown>([bids, asks], [level, level])
        const frame = `{"stream":"${topic}","data":{"e":"depthUpdate","E":1,"s":"BTCIRT","b":[[${p},${a}]],"a":[]}}`
        const [message] = decode(frame)
        assert.deepStrictEqual<unknown>(message?._tag === "books" ? message.bids : undefined, level)
      }),
      { numRuns: 2_000 }
    )
  })

  it("throws at nothing, and lets nothing through that is no number", () => {
    const isDecimal = (text: string) => isPositive(text) && /^\d+(\.\d*[1-9])?$/.test(text)
    const texts = [
      push(),
      JSON.stringify([row(), row({ id: 19 })]),
      `{"id":1,"error":{"code":1}}`,
      `{"bids":[["1","2"]],"asks":[["3","4"]]}`,
      ...["tabdeal-ws-docs", "tabdeal-rest-docs", "reconstructed-tabdeal-rest", "tabdeal-futures-trade"].flatMap((
        name
      ) => recording("tabdeal", name))
    ]
    fc.assert(
      fc.property(mutated(texts), (text) => {
        const levels = (side: ReadonlyArray<Level>) =>
          assert.isTrue(side.every(([price, amount]) => isDecimal(price) && isDecimal(amount)))
        for (const message of decode(text)) {
          if (message._tag !== "books") continue
          levels(message.bids)
          levels(message.asks)
        }
        const found = picture(text)
        if (Either.isRight(found)) levels([...found.right.bids, ...found.right.asks])
        const rows = trades(text)
        for (const one of Either.isRight(rows) ? rows.right : []) {
          if (Either.isLeft(one)) continue
          // A row without an amount is filtered by the feed.
          assert.isTrue(isDecimal(one.right.price) && (isDecimal(one.right.amount) || one.right.amount === "0"))
        }
        markets(text)
        refusal(text)
        assert.isUndefined(Reflect.get({}, "polluted"))
      }),
      { numRuns: 20_000 }
    )
  })
})
