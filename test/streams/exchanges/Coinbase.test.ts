import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck as fc, Schema } from "effect"
import { isPositive } from "../../../src/services/Decimal.ts"
import { timeOf } from "../../../src/services/ExchangeTime.ts"
import { adviceOf } from "../../../src/streams/Advice.ts"
import type { BookPart, Message, TradeRow } from "../../../src/streams/Exchange.ts"
import { coinbase } from "../../../src/streams/exchanges/Coinbase.ts"
import * as Json from "../../../src/streams/protocols/Json.ts"
import { coinbaseBook, coinbaseTrades } from "../support/frames.ts"
import { mutated } from "../support/mutate.ts"
import { line, recording } from "../support/recordings.ts"

const market = { symbol: "BTC/USD", exchangeSymbol: "BTC-USD" }
const topic = "market_trades:BTC-USD"

const decode = (text: string): ReadonlyArray<Message> => coinbase.socket.decode(text, () => undefined)

const rowsOf = (messages: ReadonlyArray<Message>): ReadonlyArray<TradeRow> =>
  messages.flatMap((message) => message._tag === "trades" ? message.rows : [])

const partsOf = (messages: ReadonlyArray<Message>): ReadonlyArray<BookPart> =>
  messages.filter((message): message is BookPart => message._tag === "books")

const reasonsOf = (messages: ReadonlyArray<Message>): ReadonlyArray<string> =>
  messages.flatMap((message) => message._tag === "failure" ? [message.failure.reason] : [])

const bodyOf = (text: string) => Json.parse(text, Json.bodyLimits)
const history = (text: string) => Either.flatMap(bodyOf(text), coinbase.rest.history.decode)
const refused = (text: string, status: number) =>
  coinbase.rest.refused?.({ status, body: Either.getOrUndefined(bodyOf(text)) })

const eventOf = (exchangeSymbol: string, source: string) => (row: TradeRow) => {
  const symbol = exchangeSymbol.replace("-", "/")
  const { amount, id, price, side } = row
  const names = { type: "trade", v: 1, exchange: "coinbase", symbol, exchangeSymbol }
  return { ...names, id: `coinbase:${symbol}:t:${id}`, price, amount, side, timestamp: timeOf(row), source }
}

const expected = (name: string) => recording("coinbase", `expected/${name}`).map((text): unknown => JSON.parse(text))

describe("Coinbase's recordings", () => {
  it("of the socket have the trades that a person reads in them, oldest first, by the taker's side", () => {
    const name = "coinbase-advanced-ws-trades-btcusd-20260812"
    const events = recording("coinbase", name).map((text) =>
      decode(text).flatMap((message) =>
        message._tag === "trades" ? message.rows.map(eventOf(message.exchangeSymbol, "ws")) : []
      )
    )
    assert.deepStrictEqual<unknown>(events, expected(name))
  })

  it("of REST, where rows have the fields that the socket of Coinbase Exchange has", () => {
    const name = "coinbase-exchange-ws-match-sklusd-20210417"
    const events = recording("coinbase", name).map((text) =>
      Either.getOrThrow(history(`[${text}]`)).map(Either.getOrThrow).map(eventOf("SKL-USD", "rest"))
    )
    assert.deepStrictEqual<unknown>(events, expected(name))
  })

  it("who took the best ask has bought, who hit the best bid has sold: on both paths the maker's side is turned", () => {
    // The last trade was at the best ask, which is still there a second later.
    const [last, book] = recording("coinbase", "coinbase-advanced-rest-btcusd-20260407").map((text) => JSON.parse(text))
    assert.strictEqual(last.trades[0].price, book.pricebook.asks[0].price)
    const [, , newest] = rowsOf(decode(coinbaseTrades(last.trades)))
    assert.deepInclude(newest, { price: "68923.67", side: "buy" })
    const [picture, , match] = recording("coinbase", "coinbase-exchange-ws-sklgbp-20210417")
    assert.strictEqual(JSON.parse(picture ?? "").asks[0][0], JSON.parse(match ?? "").price)
    const [row] = Either.getOrThrow(history(`[${match}]`)).map(Either.getOrThrow)
    assert.deepInclude(row, { price: "0.5762", side: "buy" })
  })

  it("each frame says its number first: of trades, of answers, of heartbeats; an error has none", () => {
    const numbers = [
      ...recording("coinbase", "coinbase-advanced-ws-trades-btcusd-20260812"),
      ...recording("coinbase", "coinbase-advanced-ws-control-20260907")
    ].map((text) => {
      const messages = decode(text)
      assert.isFalse(messages.slice(1).some(({ _tag }) => _tag === "counted"))
      return messages[0]?._tag === "counted" ? messages[0].sequence : undefined
    })
    assert.deepStrictEqual(numbers, [0n, 1n, 2n, 1n, 2n, 3n, undefined])
  })

  it("an answer names all that the connection has; it and a heartbeat are the greeting that is waited for", () => {
    const subscribed = (topic: string) => ({ _tag: "subscribed", topic, position: undefined, recovered: false })
    const [first, second, beat, error] = recording("coinbase", "coinbase-advanced-ws-control-20260907").map(decode)
    assert.deepStrictEqual<unknown>(first?.slice(1), [
      { _tag: "ready" },
      subscribed("level2:BTC-PERP-INTX"),
      subscribed("level2:ETH-PERP-INTX")
    ])
    assert.deepStrictEqual<unknown>(second?.slice(1, 3), [{ _tag: "ready" }, subscribed("heartbeats:heartbeats")])
    assert.deepStrictEqual<unknown>(beat?.slice(1), [{ _tag: "ready" }])
    assert.deepStrictEqual(reasonsOf(error ?? []), ["unknown"])
  })

  it("of the list of markets: both are traded", () => {
    const text = line("coinbase", "coinbase-exchange-rest-products-20210417-trimmed", 1)
    assert.deepStrictEqual(marketsOf(text), [
      { exchangeSymbol: "SKL-EUR", base: "SKL", quote: "EUR", tradable: true },
      { exchangeSymbol: "BTC-GBP", base: "BTC", quote: "GBP", tradable: true }
    ])
    for (
      const [from, to] of [["\"online\"", "\"delisted\""], ["\"trading_disabled\":false", "\"trading_disabled\":true"]]
    ) {
      assert.isFalse(marketsOf(text.replaceAll(from ?? "", to ?? "")).some(({ tradable }) => tradable), to)
    }
  })
})

const marketsOf = (body: string) =>
  Either.getOrThrow(Either.flatMap(bodyOf(body), coinbase.rest.markets.decode)).map(Either.getOrThrow)

describe("Coinbase's list of markets", () => {
  const row = (base: string, quote: string, fields: object = {}) => ({
    id: `${base}-${quote}`,
    base_currency: base,
    quote_currency: quote,
    status: "online",
    trading_disabled: false,
    ...fields
  })
  const traded = (rows: ReadonlyArray<object>) =>
    marketsOf(JSON.stringify(rows)).flatMap(({ exchangeSymbol, tradable }) => tradable ? [exchangeSymbol] : [])

  it("another name of a book is left out, wherever it stands, while the first one is traded", () => {
    assert.deepStrictEqual(traded([row("BTC", "USDC"), row("BTC", "USD"), row("BTC", "USDT")]), ["BTC-USD", "BTC-USDT"])
    assert.deepStrictEqual(traded([row("BTC", "USD"), row("ETH", "USDC")]), ["BTC-USD", "ETH-USDC"])
    for (const fields of [{ status: "delisted" }, { trading_disabled: true }]) {
      assert.deepStrictEqual(traded([row("BTC", "USD", fields), row("BTC", "USDC")]), ["BTC-USDC"])
    }
  })

  it("a bad row harms no other", () => {
    const read = Either.getOrThrow(coinbase.rest.markets.decode([row("A", "USD"), null, row("B", "USD", { id: null })]))
    assert.deepStrictEqual(read.map(Either.isRight), [true, false, false])
  })
})

describe("Coinbase's socket", () => {
  it("is asked first for heartbeats, then with one channel and many markets a frame", () => {
    const { batch, hello, subscribe, topics, unsubscribe } = coinbase.socket
    assert.deepStrictEqual(JSON.parse(hello ?? ""), { type: "subscribe", channel: "heartbeats" })
    assert.deepStrictEqual([topics("trades", market), topics("books", market)], [[topic], ["level2:BTC-USD"]])
    assert.deepStrictEqual(JSON.parse(subscribe("level2:BTC-USD", 7, undefined)), {
      type: "subscribe",
      channel: "level2",
      product_ids: ["BTC-USD"]
    })
    const frame = (type: string, ...products: ReadonlyArray<string>) => ({
      type,
      channel: "market_trades",
      product_ids: products
    })
    assert.deepStrictEqual(JSON.parse(subscribe(topic, 7, undefined)), frame("subscribe", "BTC-USD"))
    assert.deepStrictEqual(JSON.parse(unsubscribe?.(topic, 8) ?? ""), frame("unsubscribe", "BTC-USD"))
    const both = [topic, "market_trades:ETH-USD"]
    assert.deepStrictEqual(JSON.parse(batch?.subscribe(both, 9) ?? ""), frame("subscribe", "BTC-USD", "ETH-USD"))
    assert.deepStrictEqual(JSON.parse(batch?.unsubscribe?.(both, 9) ?? ""), frame("unsubscribe", "BTC-USD", "ETH-USD"))
  })

  it("several events and markets of one frame are each their own, in the order of their ids", () => {
    const one = JSON.parse(coinbaseTrades([{ trade_id: "9" }, { product_id: "ETH-USD", trade_id: "3" }])).events[0]
    const two = JSON.parse(coinbaseTrades([{ trade_id: "10" }])).events[0]
    const messages = decode(coinbaseTrades([], { events: [two, one, { type: "snapshot", trades: [] }] }))
    assert.deepStrictEqual(
      messages.flatMap((message) =>
        message._tag === "trades" ? [[message.exchangeSymbol, message.rows.map(({ id }) => id)]] : []
      ),
      [["BTC-USD", ["9", "10"]], ["ETH-USD", ["3"]]]
    )
  })

  it("a bad row harms no other, and its frame is counted all the same", () => {
    const bad = [
      { price: "0" },
      { size: "-1" },
      { trade_id: "x" },
      { time: "0001-01-01T00:00:00.000000Z" },
      { side: "buy" },
      { product_id: null }
    ]
    const messages = decode(coinbaseTrades([{ trade_id: "8" }, ...bad, { trade_id: "7" }], { sequence_num: 4 }))
    assert.deepStrictEqual(messages[0], { _tag: "counted", sequence: 4n })
    assert.deepStrictEqual(rowsOf(messages).map(({ id }) => id), ["7", "8"])
    assert.deepStrictEqual(reasonsOf(messages).toSorted(), ["number", "number", "schema", "schema", "schema", "time"])
    for (const strange of ["[]", "7", "{}", `{"channel":"ticker"}`]) {
      assert.deepStrictEqual(reasonsOf(decode(strange)), ["unknown"], strange)
    }
    for (const strange of [`{"channel":"market_trades"}`, `{"channel":"subscriptions","events":[7]}`]) {
      assert.deepStrictEqual(reasonsOf(decode(strange)), ["schema"], strange)
    }
  })

  it("times have the digits that were sent", () => {
    const times = ["2026-08-12T19:27:47Z", "2026-08-12T19:27:47.532655Z", "2026-08-12T19:27:47.532655123Z"]
    const rows = rowsOf(decode(coinbaseTrades(times.map((time, i) => ({ time, trade_id: String(i) })))))
    assert.deepStrictEqual(rows.map(timeOf), [
      "2026-08-12T19:27:47.000Z",
      "2026-08-12T19:27:47.532655Z",
      "2026-08-12T19:27:47.532655123Z"
    ])
  })

  const isDecimal = Schema.is(Schema.String.pipe(Schema.pattern(/^(0|[1-9]\d*)(\.\d*[1-9])?$/)))

  it("throws at nothing, and lets nothing through that is no trade", () => {
    const frames = [
      ...recording("coinbase", "coinbase-advanced-ws-control-20260907"),
      ...recording("coinbase", "coinbase-advanced-ws-trades-btcusd-20260812"),
      ...recording("coinbase", "coinbase-advanced-ws-docs"),
      ...recording("oracles", "coinbase-advanced-ws-l2-btcusd-20260824"),
      coinbaseTrades([{ size: "1.6e-05" }, { product_id: "ETH-EUR" }])
    ]
    fc.assert(
      fc.property(mutated(frames), (frame) => {
        const messages = decode(frame)
        for (const { asks, bids } of partsOf(messages)) {
          for (const [price, amount] of [...bids, ...asks]) {
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

describe("Coinbase's books", () => {
  const name = "coinbase-advanced-ws-l2-btcusd-20260824"

  it("of the capture: a whole one, then changes, each with its frame's number and time", () => {
    const frames = recording("oracles", name)
    const decoded = frames.map(decode)
    assert.deepStrictEqual(
      decoded.map(([first]) => first?._tag === "counted" ? Number(first.sequence) : undefined),
      frames.map((_, i) => i)
    )
    // Read out of the text in another way.
    const sideOf = (text: string, side: string) =>
      Array.from(
        text.matchAll(/\{"side":"(bid|offer)","event_time":"[^"]*","price_level":"([^"]*)","new_quantity":"([^"]*)"\}/g)
      ).flatMap(([, own, price, amount]) => own === side ? [[price, amount]] : [])
    const isAnswer = (text: string) => text.includes("\"subscriptions\"")
    decoded.forEach((messages, i) => {
      const text = frames[i] ?? ""
      const parts = partsOf(messages)
      assert.lengthOf(parts, isAnswer(text) ? 0 : 1)
      if (isAnswer(text)) return
      const [part] = parts
      assert.deepInclude(part, { exchangeSymbol: "BTC-USD", part: i === 0 ? "whole" : "delta", sequence: undefined })
      assert.deepStrictEqual<unknown>([part?.bids, part?.asks], [sideOf(text, "bid"), sideOf(text, "offer")])
      assert.strictEqual(
        part === undefined ? "" : timeOf(part),
        JSON.parse(text).timestamp.replace(/\.(\d*)Z/, (_: string, d: string) => `.${d.padEnd(9, "0")}Z`)
      )
    })
    assert.isAbove(partsOf(decoded[0] ?? [])[0]?.bids.length ?? 0, 10)
  })

  it("two markets of one frame are two parts behind one number; amount zero takes a level away; nothing may have changed", () => {
    const one = (product_id: string, updates: ReadonlyArray<object>) => ({ type: "update", product_id, updates })
    const [counted, ...parts] = decode(coinbaseBook([
      one("BTC-USD", [{ side: "bid", event_time: "", price_level: "5.10", new_quantity: "0" }]),
      one("ETH-USD", [])
    ], { sequence_num: 7 }))
    assert.deepStrictEqual(counted, { _tag: "counted", sequence: 7n })
    const named = parts.map((part) => part._tag === "books" ? [part.exchangeSymbol, part.bids, part.asks] : part)
    assert.deepStrictEqual<unknown>(named, [["BTC-USD", [["5.1", "0"]], []], ["ETH-USD", [], []]])
    const timeless = partsOf(decode(coinbaseBook([one("BTC-USD", [])], { timestamp: "soon" })))
    assert.deepInclude(timeless[0], { timestamp: null })
  })

  it("what cannot be read spoils its own market; where nobody knows whose it was, its frame is one that did not come", () => {
    const level = { side: "bid", event_time: "", price_level: "5", new_quantity: "1" }
    const good = { type: "update", product_id: "ETH-USD", updates: [level] }
    const bad = [{ price_level: "0" }, { new_quantity: "-1" }, { side: "buy" }, { price_level: null }]
    for (const fields of bad) {
      const event = { type: "update", product_id: "BTC-USD", updates: [level, { ...level, ...fields }] }
      const [counted, spoiled, other] = decode(coinbaseBook([event, good]))
      assert.deepInclude(counted, { _tag: "counted" })
      assert.deepInclude(spoiled, { _tag: "failure", topic: "level2:BTC-USD" })
      assert.deepInclude(other, { _tag: "books", exchangeSymbol: "ETH-USD" })
    }
    const strange = [{ type: "update", updates: [level] }, null, 7]
    for (const event of strange) {
      const messages = decode(coinbaseBook([event as never, good]))
      assert.deepStrictEqual(messages.map(({ _tag }) => _tag), ["failure", "books"])
    }
    assert.deepStrictEqual(decode(coinbaseBook([], { events: {} })).map(({ _tag }) => _tag), ["failure"])
  })

  it("have connections of their own, 20 on each, since a new one costs all of them", () => {
    const { connection } = coinbase.socket
    assert.deepInclude(connection?.("books"), { subscriptions: 20 })
    assert.notStrictEqual(connection?.("books").kind, connection?.("trades").kind)
    assert.deepInclude(coinbase.books, { link: "counted", resync: "redial", mayCross: true, ofNamedMarkets: true })
  })
})

describe("Coinbase's history", () => {
  it("comes newest first, and is handed over oldest first", () => {
    const row = JSON.parse(line("coinbase", "coinbase-exchange-ws-match-sklusd-20210417", 1))
    const rows = [3, 2, 1].map((trade_id) => ({ ...row, trade_id }))
    const read = Either.getOrThrow(history(JSON.stringify([...rows.slice(0, 2), null, rows[2]])))
    assert.deepStrictEqual(read.map((row) => Either.isRight(row) ? row.right.id : null), ["1", null, "2", "3"])
  })

  it("is asked for below a number: the thousand above a known one", () => {
    const { pages, path } = coinbase.rest.history
    assert.strictEqual(path(market), "/products/BTC-USD/trades?limit=1000")
    assert.strictEqual(
      pages?.path(market, { id: "9007199254740993", timestamp: null }, 1_000),
      "/products/BTC-USD/trades?limit=1000&after=9007199254741994"
    )
  })

  it("asked too often it is left alone for a moment; where it refuses an address it is said what to do", () => {
    assert.deepStrictEqual(refused(`{"message":"Public rate limit exceeded"}`, 429), {
      message: "Public rate limit exceeded",
      retryAfter: "5"
    })
    assert.deepInclude(refused("<html>", 429), { retryAfter: "5" })
    for (const status of [200, 403, 404, 500]) assert.isUndefined(refused(`{"message":"NotFound"}`, status))
    const advice = adviceOf(coinbase, coinbase.endpoints)
    for (const status of [403, 429, 451]) assert.isAtMost(advice?.[status]?.length ?? 999, 150)
    for (const status of [403, 451]) assert.include(advice?.[status], "COINBASE_API_URL")
  })
})
