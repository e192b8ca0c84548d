import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck as fc } from "effect"
import * as Decimal from "../../../src/services/Decimal.ts"
import { timeOf } from "../../../src/services/ExchangeTime.ts"
import * as FeedStatus from "../../../src/services/FeedStatus.ts"
import * as Board from "../../../src/streams/Board.ts"
import type { BookPart, Level, Market, Message, TradeRow } from "../../../src/streams/Exchange.ts"
import { nobitex } from "../../../src/streams/exchanges/Nobitex.ts"
import * as Choice from "../../../src/streams/Markets/Choice.ts"
import * as Json from "../../../src/streams/protocols/Json.ts"
import * as Identity from "../../../src/streams/trades/Identity.ts"
import * as Trades from "../../../src/streams/trades/Trades.ts"
import { nobitexBook, nobitexTrade } from "../support/frames.ts"
import { mutated } from "../support/mutate.ts"
import { line, recording } from "../support/recordings.ts"

const topics = new Map([["2", "public:trades-BTCIRT"], ["3", "public:orderbook-BTCIRT"]])

const decode = (text: string): ReadonlyArray<Message> => nobitex.socket.decode(text, (id) => topics.get(id))

const reasonsOf = (messages: ReadonlyArray<Message>): ReadonlyArray<string> =>
  messages.flatMap((message) => message._tag === "failure" ? [message.failure.reason] : [])

const rowsOf = (messages: ReadonlyArray<Message>): ReadonlyArray<TradeRow> =>
  messages.flatMap((message) => message._tag === "trades" ? message.rows : [])

const booksOf = (messages: ReadonlyArray<Message>): ReadonlyArray<BookPart> =>
  messages.flatMap((message) => message._tag === "books" ? [message] : [])

const body = (text: string): unknown => Either.getOrThrow(Json.parse(text, Json.bodyLimits))

const refusedBy = (text: string, status = 200) => nobitex.rest.refused?.({ status, body: body(text) })

/** The markets that the list has, as the feed knows them. */
const listed = (text: string): Choice.Choice =>
  Choice.choose(
    Either.getOrThrow(nobitex.rest.markets.decode(body(text))),
    () => true,
    new Set(),
    nobitex.names
  )

const marketOf = (exchangeSymbol: string): Market => ({
  exchangeSymbol,
  symbol: exchangeSymbol.replace(/(IRT|USDT)$/, "/$1")
})

/** The trades that the feed would tell of rows, without the time of receipt. */
const tradesOf = (
  exchangeSymbol: string,
  rows: ReadonlyArray<TradeRow>,
  source: "ws" | "rest"
): ReadonlyArray<object> => {
  const board = Board.make(FeedStatus.make([nobitex.id]), nobitex.id)
  const identity = Identity.make(nobitex.id, new Map(), board, nobitex)
  const state = identity.market(marketOf(exchangeSymbol))
  const identified = state.identify(identity.views.open(), Trades.traded(rows))
  return Trades.toTrades(nobitex.id, state, identified, 0, source).map((trade) =>
    Object.fromEntries(Object.entries(trade).filter(([field]) => field !== "receivedAt"))
  )
}

const inUnit = (symbol: string, levels: ReadonlyArray<Level>): ReadonlyArray<Level> =>
  levels.map(([price, amount]) => [symbol.endsWith("/IRT") ? Decimal.shift(price, -1) ?? "" : price, amount])

/** The book that a picture is, in Toman, as an event has it; the epoch of its number is the connection's. */
const bookOf = (
  exchangeSymbol: string,
  picture: Pick<BookPart, "asks" | "bids" | "sequence" | "timestamp" | "time">,
  source: "ws" | "rest"
): object => {
  const { symbol } = marketOf(exchangeSymbol)
  /** To compare prices of any digits as texts. */
  const comparable = ([price]: Level) => {
    const [whole = "", fraction = ""] = price.split(".")
    return `${whole.padStart(30, "0")}.${fraction.padEnd(30, "0")}`
  }
  const sorted = (levels: ReadonlyArray<Level>) =>
    [...inUnit(symbol, levels)].sort((a, b) => comparable(a) < comparable(b) ? -1 : 1)
  return {
    type: "book",
    v: 1,
    exchange: nobitex.id,
    symbol,
    exchangeSymbol,
    offset: picture.sequence === undefined ? null : String(picture.sequence),
    bids: sorted(picture.bids).reverse(),
    asks: sorted(picture.asks),
    timestamp: timeOf(picture),
    source
  }
}

const told = (text: string): ReadonlyArray<object> =>
  decode(text).flatMap((message) =>
    message._tag === "trades"
      ? tradesOf(message.exchangeSymbol, message.rows, "ws")
      : message._tag === "books"
      ? [bookOf(message.exchangeSymbol, message, "ws")]
      : []
  )

const pushed = (channel: string) => (data: string): string => `{"push":{"channel":"${channel}","pub":{"data":${data}}}}`

const picture = (exchangeSymbol: string) => (text: string): ReadonlyArray<object> => {
  const decoded = nobitex.books?.picture?.decode(body(text))
  return decoded === undefined ? [] : [bookOf(exchangeSymbol, Either.getOrThrow(decoded), "rest")]
}

const history = (exchangeSymbol: string) => (text: string): ReadonlyArray<object> =>
  tradesOf(
    exchangeSymbol,
    Either.getOrThrow(nobitex.rest.history.decode(body(text))).map(Either.getOrThrow),
    "rest"
  )

const markets = (text: string): ReadonlyArray<object> =>
  listed(text).markets.map(({ exchangeSymbol, symbol }) => ({ exchangeSymbol, symbol, tradable: true }))

const refusals = (text: string): ReadonlyArray<object> => {
  const { message, retryAfter } = refusedBy(text) ?? { message: "" }
  return [retryAfter === undefined ? { refused: message } : { refused: message, retryAfter }]
}

const nothing = (): ReadonlyArray<object> => []

type Read = (text: string) => ReadonlyArray<object>

/** How each line is to be read: a frame, what a channel carries, or an answer of REST. */
const readings: Readonly<Record<string, Read | ReadonlyArray<Read>>> = {
  "nobitex-orderbook": told,
  "nobitex-orderbook-batched": told,
  "nobitex-ws-orderbook-btcirt-20261004": (data) => told(pushed("public:orderbook-BTCIRT")(data)),
  "nobitex-rest-orderbook": picture("BTCUSDT"),
  "nobitex-rest-trades": history("BCHIRT"),
  "nobitex-rest-stats-20260923": markets,
  "nobitex-ws-docs": [
    told,
    told,
    (data) => told(pushed("public:orderbook-BTCIRT")(data)),
    told,
    told,
    (data) => told(pushed("public:candle-BTCIRT-15")(data)),
    told,
    (data) => told(pushed("public:trades-BTCIRT")(data)),
    (data) => told(pushed("public:market-stats-BTCIRT")(data)),
    (data) => told(pushed("public:market-stats-all")(data))
  ],
  "nobitex-rest-docs": [
    picture("BTCIRT"),
    nothing,
    picture("BTCIRT"),
    history("BTCIRT"),
    markets,
    nothing,
    nothing,
    nothing,
    nothing,
    refusals,
    refusals
  ],
  "reconstructed-nobitex-ws": told
}

describe("Nobitex's recordings", () => {
  for (const [name, read] of Object.entries(readings)) {
    it(`${name}: each line is what stands beside it`, () => {
      const lines = recording("nobitex", name)
      const expected = recording("nobitex", `expected/${name}`).map((text) => JSON.parse(text))
      assert.strictEqual(lines.length, expected.length)
      lines.forEach((text, i) => {
        const one = typeof read === "function" ? read : read[i]
        assert.deepStrictEqual(one?.(text), expected[i], `line ${i + 1}`)
      })
    })
  }

  it("two pictures of one frame, as it was captured", () => {
    const [first = "", second = ""] = recording("nobitex", "nobitex-orderbook-batched")
    assert.deepStrictEqual(told(`${first}\n${second}`), [...told(first), ...told(second)])
    assert.deepStrictEqual(decode(`${first}\n{}\n${second}`).map(({ _tag }) => _tag), [
      "books",
      "moved",
      "ping",
      "books",
      "moved"
    ])
  })
})

describe("Nobitex's WebSocket", () => {
  it("subscribes as documented, at most 300 on a connection", () => {
    const market = marketOf("BTCIRT")
    const frames = (["trades", "books"] as const).flatMap((channel) =>
      nobitex.socket.topics(channel, market).map((topic) => nobitex.socket.subscribe(topic, 2, undefined))
    )
    assert.deepStrictEqual(frames, [
      line("nobitex", "reconstructed-nobitex-ws", 3),
      line("nobitex", "nobitex-ws-docs", 2)
    ])
    assert.strictEqual(nobitex.limits.subscriptionsPerConnection, 300)
    assert.deepStrictEqual(decode(line("nobitex", "reconstructed-nobitex-ws", 2)), [{ _tag: "ready" }])
  })

  it("a symbol is what is behind the channel's prefix, whatever it begins with or has in it", () => {
    for (const symbol of ["1M_PEPEIRT", "100K_FLOKIIRT", "1B_BABYDOGEIRT", "A-BUSDT", "X_Y-ZIRT"]) {
      const messages = [...decode(nobitexTrade(symbol)), ...decode(nobitexBook(symbol))]
      assert.deepStrictEqual(
        messages.flatMap((message) => "exchangeSymbol" in message ? [message.exchangeSymbol] : []),
        [symbol, symbol]
      )
    }
  })

  it("data may be a string of JSON, and carries the offset all the same", () => {
    for (const frame of [nobitexTrade("BTCIRT"), nobitexBook("BTCIRT", {}, 989153)]) {
      const { push } = JSON.parse(frame)
      const text = JSON.stringify({
        push: { ...push, pub: { ...push.pub, data: JSON.stringify(push.pub.data) } }
      })
      assert.deepStrictEqual(decode(text), decode(frame))
    }
    assert.strictEqual(booksOf(decode(nobitexBook("BTCIRT", {}, 989153)))[0]?.sequence, 989153n)
    assert.isUndefined(booksOf(decode(nobitexBook("BTCIRT").replace(`,"offset":1`, "")))[0]?.sequence)
  })

  it("publications may come in the answer to a subscription", () => {
    const of = (frame: string) => JSON.parse(frame).push.pub
    const publications = [of(nobitexTrade("BTCIRT", {}, 6)), of(nobitexTrade("BTCIRT", {}, 7))]
    const reply = { recoverable: true, epoch: "e", offset: 7, publications }
    const position = { epoch: "e", offset: 7 }
    const decoded = decode(JSON.stringify({ id: 2, subscribe: { ...reply, recovered: true } }))
    assert.deepStrictEqual(decoded.map(({ _tag }) => _tag), ["subscribed", "trades", "moved", "trades", "moved"])
    const [subscribed] = decoded
    assert.deepStrictEqual(subscribed, {
      _tag: "subscribed",
      topic: "public:trades-BTCIRT",
      position,
      recovered: true,
      after: 5,
      epoch: "e"
    })
    const afterOf = (rest: object) => {
      const [first] = decode(JSON.stringify({ id: 2, subscribe: { ...reply, recovered: true, ...rest } }))
      return first?._tag === "subscribed" ? first.after : undefined
    }
    // A hole among them, an end that is not there, none at all: what is before is not said to follow.
    assert.strictEqual(afterOf({ publications: [of(nobitexTrade("BTCIRT", {}, 5)), publications[1]] }), 6)
    assert.strictEqual(afterOf({ offset: 8 }), 8)
    assert.strictEqual(afterOf({ publications: [] }), 7)
    assert.strictEqual(afterOf({ publications: undefined }), 7)
  })

  it("a book is the whole picture; a level without an amount is none", () => {
    assert.deepStrictEqual(
      decode(nobitexBook("BTCIRT", { bids: [["1000.50", "0.500"], ["990", "0.00"]], asks: [] }, 7))[0],
      {
        _tag: "books",
        exchangeSymbol: "BTCIRT",
        part: "whole",
        bids: [["1000.5", "0.5"]],
        asks: [],
        previous: undefined,
        sequence: 7n,
        timestamp: 1762781164192
      }
    )
  })

  it("a book of which a level cannot be read is not told: without that level it would not be true", () => {
    const spoilt = [
      [{ bids: [["1000", "1"], ["1e999", "1"]] }, "number"],
      [{ asks: [["0", "1"]] }, "number"],
      [{ asks: [["1", "-1"]] }, "number"],
      [{ asks: [["1"]] }, "schema"],
      [{ asks: undefined }, "schema"],
      [{ bids: {} }, "schema"]
    ] as const
    for (const [fields, reason] of spoilt) {
      const messages = decode(nobitexBook("BTCIRT", fields))
      assert.deepStrictEqual([booksOf(messages), reasonsOf(messages)], [[], [reason]])
    }
  })

  it("the time of a book may be text, or none: a picture is true without", () => {
    const at = (lastUpdate: unknown) => {
      const messages = decode(nobitexBook("BTCIRT", { lastUpdate }))
      return [booksOf(messages).map(({ timestamp }) => timestamp), reasonsOf(messages)]
    }
    assert.deepStrictEqual(at("1658565992195"), [[1658565992195], []])
    assert.deepStrictEqual(at(undefined), [[null], []])
    for (const odd of ["yesterday", { toString: 1 }, null, [], -1]) {
      assert.deepStrictEqual(at(odd), [[null], ["time"]], JSON.stringify(odd))
    }
  })

  it("counts what is no trade", () => {
    assert.deepStrictEqual(reasonsOf(decode(line("nobitex", "nobitex-ws-docs", 7))), ["unknown"])
    assert.deepStrictEqual(reasonsOf(decode(line("nobitex", "reconstructed-nobitex-ws", 7))), ["unknown"])
    assert.deepStrictEqual(reasonsOf(decode(nobitexTrade("X", { price: "0" }))), ["number"])
    assert.deepStrictEqual(reasonsOf(decode(nobitexTrade("X", { volume: "-1" }))), ["number"])
    assert.deepStrictEqual(reasonsOf(decode(nobitexTrade("X", { volume: "Infinity" }))), ["number"])
    assert.deepStrictEqual(reasonsOf(decode(nobitexTrade("X", { type: "bought" }))), ["schema"])
    // It is part of the id.
    assert.deepStrictEqual(reasonsOf(decode(nobitexTrade("X", { time: "soon" }))), ["time"])
    assert.deepStrictEqual(reasonsOf(decode("<html>")), ["json"])
  })

  it("a full connection and a server's pings are answered as Centrifugo wants it", () => {
    assert.deepStrictEqual(decode("{}"), [{ _tag: "ping", reply: "{}" }])
    assert.deepStrictEqual(decode(`{"id":3,"error":{"code":106,"message":"limit exceeded"}}`), [
      { _tag: "denied", id: "3", code: "106", message: "limit exceeded", remedy: "elsewhere" }
    ])
  })

  it("throws at nothing, and lets nothing through that is no trade and no level", () => {
    const frames = [
      ...recording("nobitex", "reconstructed-nobitex-ws"),
      ...recording("nobitex", "nobitex-orderbook"),
      line("nobitex", "nobitex-ws-docs", 4),
      nobitexTrade("BTCIRT"),
      `${nobitexTrade("1M_PEPEIRT")}\n{}\n${nobitexBook("BTCIRT")}`
    ]
    const isDecimal = (text: string) => /^\d+(\.\d*[1-9])?$/.test(text)
    fc.assert(
      fc.property(mutated(frames), (frame) => {
        const messages = decode(frame)
        for (const row of rowsOf(messages)) {
          assert.isTrue(isDecimal(row.price) && Decimal.isPositive(row.price) && isDecimal(row.amount))
          assert.isTrue(row.side === "buy" || row.side === "sell")
          assert.isNotNull(row.timestamp)
        }
        for (const { asks, bids } of booksOf(messages)) {
          for (const decimal of [...asks, ...bids].flatMap(([price, amount]) => [price, amount])) {
            assert.isTrue(isDecimal(decimal) && Decimal.isPositive(decimal))
          }
        }
        assert.isUndefined(Reflect.get({}, "polluted"))
      }),
      { numRuns: 20_000 }
    )
  })
})

describe("Nobitex's numbers", () => {
  /** Plain digits, up to 25 before and 25 behind the point; the last is no zero, nor is the first. */
  const decimal = fc.tuple(
    fc.bigInt({ min: 1n, max: 10n ** 25n }),
    fc.option(fc.bigInt({ min: 0n, max: 10n ** 24n }).map((n) => `${n}1`), { nil: undefined })
  ).map(([whole, fraction]) => fraction === undefined ? String(whole) : `${whole}.${fraction}`)

  /** By ten, by hand: the point goes one place to the left. */
  const tenth = (text: string): string => {
    const [whole = "", fraction = ""] = text.split(".")
    const digits = `${whole.padStart(2, "0").slice(0, -1)}.${whole.slice(-1)}${fraction}`
    return digits.replace(/\.?0+$/, "")
  }

  const quote = fc.constantFrom("IRT", "USDT")

  /** As a string, as all that was seen; as a number, with zeros at its end, as any exchange may print it some day. */
  const printed = (text: string, form: number): string =>
    form === 0 ? `"${text}"` : form === 1 ? text : `"${text}${text.includes(".") ? "00" : ".00"}"`

  const form = fc.nat(2)

  it("of trades keep each digit: Rial become Toman by moving the point, amounts stay", () => {
    fc.assert(fc.property(decimal, decimal, quote, form, (price, volume, quote, form) => {
      const frame = nobitexTrade(`BTC${quote}`, { price: "P", volume: "V" })
        .replace(`"P"`, printed(price, form)).replace(`"V"`, printed(volume, form))
      assert.deepInclude(told(frame)[0], { price: quote === "IRT" ? tenth(price) : price, amount: volume })
    }))
  })

  it("of histories too", () => {
    fc.assert(fc.property(decimal, decimal, quote, form, (price, volume, quote, form) => {
      const row = `{"time":1,"price":${printed(price, form)},"volume":${printed(volume, form)},"type":"sell"}`
      assert.deepInclude(history(`BTC${quote}`)(`{"status":"ok","trades":[${row}]}`)[0], {
        price: quote === "IRT" ? tenth(price) : price,
        amount: volume
      })
    }))
  })

  it("of both sides of books too, by socket and by REST", () => {
    fc.assert(fc.property(decimal, decimal, decimal, decimal, quote, form, (bid, ask, bought, sold, quote, form) => {
      const side = (price: string, amount: string) => `[[${printed(price, form)},${printed(amount, form)}]]`
      const data = `{"status":"ok","lastUpdate":1,"bids":${side(bid, bought)},"asks":${side(ask, sold)}}`
      const price = (text: string) => quote === "IRT" ? tenth(text) : text
      const levels = { bids: [[price(bid), bought]], asks: [[price(ask), sold]] }
      assert.deepInclude(told(pushed(`public:orderbook-BTC${quote}`)(data))[0], levels)
      assert.deepInclude(picture(`BTC${quote}`)(data)[0], levels)
    }))
  })
})

describe("Nobitex's REST", () => {
  const stats = (rows: Readonly<Record<string, unknown>>, extra: object = {}) =>
    JSON.stringify({ status: "ok", stats: rows, ...extra })

  it("lists markets in lower case, Rial as rls: one closed, one strange, one that cannot be read", () => {
    const open = { isClosed: false, latest: "1" }
    const { failures, leftOut, markets } = listed(stats({
      "btc-rls": open,
      "btc-usdt": open,
      "1m_pepe-rls": open,
      "old-rls": { isClosed: true },
      "h100-ai-usdt": open,
      "eth-irt": open,
      "xrp-rls": {},
      nodash: open
    }, { global: { binance: { btc: 1 } } }))
    assert.deepStrictEqual(markets, [
      { symbol: "BTC/IRT", exchangeSymbol: "BTCIRT" },
      { symbol: "BTC/USDT", exchangeSymbol: "BTCUSDT" },
      { symbol: "1M_PEPE/IRT", exchangeSymbol: "1M_PEPEIRT" },
      { symbol: "ETH/IRT", exchangeSymbol: "ETHIRT" }
    ])
    assert.deepStrictEqual(leftOut.map(({ name, reason }) => [name, reason]), [["H100-AIUSDT", "name"]])
    assert.deepStrictEqual(failures.map(({ reason }) => reason).sort(), ["schema", "symbol", "symbol"])
  })

  it("asks for one market's trades and book by its symbol in capitals", () => {
    const market = { symbol: "1M_PEPE/IRT", exchangeSymbol: "1M_PEPEIRT" }
    assert.strictEqual(nobitex.rest.history.path(market), "/v2/trades/1M_PEPEIRT")
    assert.strictEqual(nobitex.books?.picture?.path(market), "/v3/orderbook/1M_PEPEIRT")
  })

  it("refuses by body with any status; 429 has its wait there", () => {
    const failed = line("nobitex", "nobitex-rest-docs", 10)
    const busy = line("nobitex", "nobitex-rest-docs", 11)
    for (const status of [200, 400, 429, 503]) {
      assert.deepStrictEqual(refusedBy(failed, status), {
        message: "ErrorCode: Human-readable error message",
        retryAfter: undefined
      })
      assert.strictEqual(refusedBy(busy, status)?.retryAfter, "12")
    }
    for (
      const none of [line("nobitex", "nobitex-rest-docs", 4), "[]", "null", `"failed"`, `{"status":"ok","code":"x"}`]
    ) {
      assert.isUndefined(refusedBy(none))
    }
    assert.isUndefined(nobitex.rest.refused?.({ status: 502, body: undefined }))
    const odd = refusedBy(`{"status":"failed","code":{"toString":1},"message":["x"],"backOff":{"a":1}}`)
    assert.deepStrictEqual(odd, { message: "", retryAfter: undefined })
    // And what is refused is no list, no history, no book.
    assert.isTrue(Either.isLeft(nobitex.rest.markets.decode(body(failed))))
    assert.isTrue(Either.isLeft(nobitex.rest.history.decode(body(failed))))
    assert.isTrue(Either.isLeft(nobitex.rest.check.decode(body(failed))))
  })

  it("a history is handed over oldest first, those of one millisecond as they are listed, and a bad row harms no other", () => {
    const [first, second, ...others] = JSON.parse(line("nobitex", "nobitex-rest-trades", 1)).trades
    const rows = Either.getOrThrow(nobitex.rest.history.decode(body(JSON.stringify({
      status: "ok",
      trades: [first, second, { ...first, price: "x" }, ...others]
    }))))
    const times = rows.flatMap((row) => Either.isRight(row) ? [row.right.timestamp ?? 0] : [])
    assert.deepStrictEqual(times, [...times].sort((a, b) => a - b))
    assert.deepStrictEqual(rows.slice(-2).map((row) => Either.isRight(row) ? row.right.price : ""), [
      "672000010",
      "672000000"
    ])
    assert.lengthOf(rows.filter(Either.isLeft), 1)
  })
})
