import { assert, it } from "@effect/vitest"
import { Effect, TestClock } from "effect"
import type { Book } from "../../../src/layers/testing/FakeBooks.ts"
import * as FakeRamzinex from "../../../src/layers/testing/FakeRamzinex.ts"
import * as Oracle from "../../../src/layers/testing/Oracle.ts"
import type { MarketEvent, Trade } from "../../../src/services/MarketEvent.ts"
import type { BookPart, Level } from "../../../src/streams/Exchange.ts"
import { ramzinex } from "../../../src/streams/exchanges/Ramzinex.ts"
import * as Json from "../../../src/streams/protocols/Json.ts"
import { hurryClock, run, settle } from "../../streams/support/Harness.ts"
import { connect, getJson } from "./RawClient.ts"

/** Connected in the sense of Centrifugo, and subscribed to these. */
const subscriber = (fake: FakeRamzinex.FakeRamzinexExchange, ...channels: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const client = yield* connect(fake.wsUrl)
    client.send({ id: 1, connect: {} }, ...channels.map((channel, i) => ({ id: i + 2, subscribe: { channel } })))
    yield* client.documentCount(1 + channels.length)
    return client
  })

const root = "/exchange/api/v1.0/exchange"

it.scopedLive("numbers its markets, and says which are delisted or suspended", () =>
  Effect.gen(function*() {
    const fake = yield* FakeRamzinex.make({ markets: 3 })
    const { body } = yield* getJson(`${fake.apiUrl}${root}/pairs`)
    assert.strictEqual(body.status, 0)
    assert.deepStrictEqual(
      body.data.map((row: any) => [
        row.pair_id,
        row.base_currency_symbol.en,
        row.quote_currency_symbol.en,
        row.is_delist,
        row.is_temporarily_suspended
      ]),
      [[2, "btc", "irr", 0, 0], [11, "eth", "irr", 0, 0], [20, "usdt", "usdt", 0, 0], [29, "old", "irr", 0, 1], [
        38,
        "halted",
        "usdt",
        1,
        0
      ]]
    )
    assert.deepStrictEqual(fake.tradable.map(({ symbol }) => symbol), ["BTC/IRT", "ETH/IRT", "USDT/USDT"])
    fake.server.script.rest = FakeRamzinex.tryLater
    const later = yield* getJson(`${fake.apiUrl}${root}/pairs`)
    assert.deepStrictEqual([later.status, later.body.status], [200, -82])
  }))

it.scopedLive("pushes the window of its last trades, newest first, in Rial; the history is the same", () =>
  Effect.gen(function*() {
    const fake = yield* FakeRamzinex.make({ markets: 2 })
    const client = yield* subscriber(fake, "last-trades:2")
    const time = Date.parse("2025-10-01T11:51:26.700Z")
    fake.trade("2", { price: "1170867503", amount: "0.00509", side: "buy", time })
    fake.trade("2", { price: "1170867500", amount: "0.00000016", side: "sell", time: time + 1000 })
    yield* client.documentCount(4)
    const { channel, pub } = client.documents[3].push
    assert.deepStrictEqual([channel, pub.offset], ["last-trades:2", 2])
    assert.deepStrictEqual(pub.data.map((row: ReadonlyArray<unknown>) => row.slice(0, 5)), [
      [1170867500, 0.00000016, "2025-10-01 11:51:27", "sell", 1759319487],
      [1170867503, 0.00509, "2025-10-01 11:51:26", "buy", 1759319486]
    ])
    assert.include(client.frames[3], "1.6e-7")
    const [newer, older] = pub.data.map((row: ReadonlyArray<unknown>) => row[5])
    assert.match(`${newer} ${older}`, /^[0-9a-f]{32} [0-9a-f]{32}$/)
    assert.deepStrictEqual(fake.issued.map(({ expected: { price, timestamp }, id }) => [id, price, timestamp]), [
      [`ramzinex:BTC/IRT:t:${older}`, "117086750.3", "2025-10-01T11:51:26.000Z"],
      [`ramzinex:BTC/IRT:t:${newer}`, "117086750", "2025-10-01T11:51:27.000Z"]
    ])
    fake.trades(200)
    yield* client.frameCount(104)
    assert.strictEqual(client.documents.at(-1).push.pub.data.length, 50)
    const { body } = yield* getJson(`${fake.apiUrl}${root}/orderbooks/2/trades`)
    assert.deepStrictEqual(body, { status: 0, data: client.documents.at(-1).push.pub.data })
    assert.strictEqual((yield* Effect.promise(() => fetch(`${fake.apiUrl}${root}/orderbooks/7/trades`))).status, 404)
  }))

it.scopedLive("pushes whole books, sells from the worst to the best, and keeps the true one", () =>
  Effect.gen(function*() {
    const fake = yield* FakeRamzinex.make({ markets: 3 })
    const client = yield* subscriber(fake, "orderbook:2", "orderbook:20")
    assert.deepStrictEqual(fake.book("2"), { bids: [], asks: [] })
    fake.bookChanges(600)
    yield* client.frameCount(3 + 400)
    const { body } = yield* getJson(`${fake.apiUrl}${root}/orderbooks/20/buys_sells`)
    const picture = client.documents.findLast(({ push }) => push?.channel === "orderbook:20").push.pub.data
    assert.deepStrictEqual(body, { status: 0, data: picture })
    for (const [side, best] of [[picture.buys, 0], [picture.sells, picture.sells.length - 1]]) {
      const prices = side.map(([price]: ReadonlyArray<number>) => price)
      assert.isAbove(prices.length, 20)
      assert.isAtMost(prices.length, 50)
      assert.deepStrictEqual(prices, prices.toSorted((a: number, b: number) => b - a))
      const truth = fake.book("20")
      assert.strictEqual(String(prices[best]), side === picture.buys ? truth.bids[0]?.[0] : truth.asks[0]?.[0])
    }
    assert.isBelow(picture.buys[0][0], picture.sells.at(-1)[0])
    // What a double makes of price and amount together is what the exchange sends.
    assert.match(JSON.stringify(picture), /\.\d{9,}/)
  }))

it.scopedLive("a decoder finds the true book in each picture, by either way", () =>
  Effect.gen(function*() {
    const fake = yield* FakeRamzinex.make({ markets: 3 })
    const client = yield* subscriber(fake, "orderbook:2", "orderbook:11", "orderbook:20")
    const levels = (symbol: string, { asks, bids }: Pick<BookPart, "asks" | "bids">): Book => {
      const inRial = symbol !== "20"
      const canonical = ([price, amount]: Level): readonly [string, string] => {
        const { scale, units } = Oracle.parsed(price)
        return [Oracle.printed({ units, scale: inRial ? scale + 1 : scale }), amount]
      }
      return { bids: bids.map(canonical), asks: asks.toReversed().map(canonical) }
    }
    for (let n = 0; n < 300; n++) {
      fake.bookChanges(1)
      const symbol = ["2", "11", "20"][n % 3] ?? ""
      yield* client.frameCount(4 + n + 1)
      const [part] = ramzinex.socket.decode(client.frames.at(-1) ?? "", () => undefined)
      assert.deepStrictEqual<unknown>(part?._tag === "books" ? levels(symbol, part) : part, fake.book(symbol))
    }
    const { body } = yield* getJson(`${fake.apiUrl}${root}/orderbooks/11/buys_sells`)
    const parsed = Json.parse(JSON.stringify(body))
    const decode = ramzinex.books?.picture?.decode
    assert.strictEqual(parsed._tag, "Right")
    const picture = parsed._tag === "Right" ? decode?.(parsed.right) : undefined
    assert.deepStrictEqual<unknown>(picture?._tag === "Right" ? levels("11", picture.right) : picture, fake.book("11"))
  }))

it.scopedLive("its numbers have exponents and a double's noise", () =>
  Effect.gen(function*() {
    const fake = yield* FakeRamzinex.make()
    fake.trades(200)
    const amounts = fake.issued.map(({ expected }) => expected.amount)
    assert.isAbove(amounts.filter((amount) => amount.startsWith("0.000000")).length, 10)
    assert.isAbove(amounts.filter((amount) => amount.replace(".", "").length > 14).length, 10)
  }))

const tradesOf = (events: ReadonlyArray<MarketEvent>) =>
  events.filter((event): event is Trade => event.type === "trade")

it.scoped("a feed delivers each of its trades once, exact, in order, over drops of every kind", () =>
  Effect.gen(function*() {
    yield* hurryClock
    const fake = yield* FakeRamzinex.FakeRamzinex
    const feed = yield* run(ramzinex, { endpoints: fake })
    yield* TestClock.adjust("3 seconds")
    yield* settle
    assert.strictEqual(fake.subscribed, fake.tradable.length)
    const trading = Effect.gen(function*() {
      fake.trades(40)
      yield* TestClock.adjust("1 second")
    })
    for (const how of [1006, 3001, 3008, "reset"] as const) {
      yield* Effect.repeatN(trading, 7)
      fake.server.drop(how)
    }
    yield* Effect.repeatN(trading, 14)
    yield* TestClock.adjust("20 seconds")
    yield* settle
    const events = yield* feed.rest
    const { disordered, duplicates, foreign, wrong } = Oracle.judge(fake.issued, tradesOf(events))
    assert.deepStrictEqual({ disordered, duplicates, foreign, wrong }, {
      disordered: [],
      duplicates: [],
      foreign: [],
      wrong: []
    })
    assert.deepStrictEqual(Oracle.untold(fake.issued, events), [])
    assert.isAbove(tradesOf(events).length, 1_500)
    assert.strictEqual(feed.status().decodeFailures.size, 0)
  }).pipe(Effect.provide(FakeRamzinex.memory({ markets: 9, recovery: true }))))

it.scoped("a feed ends with its true books, over drops", () =>
  Effect.gen(function*() {
    yield* hurryClock
    const fake = yield* FakeRamzinex.FakeRamzinex
    const feed = yield* run(ramzinex, { endpoints: fake, channels: ["books"] })
    yield* TestClock.adjust("3 seconds")
    yield* settle
    for (let n = 0; n < 40; n++) {
      fake.bookChanges(6)
      if (n === 20) fake.server.drop(3001)
      yield* TestClock.adjust("500 millis")
    }
    yield* TestClock.adjust("15 seconds")
    // Each is sent again after a while, whatever became of it before.
    fake.bookChanges(6)
    yield* TestClock.adjust("5 seconds")
    yield* settle
    const last = new Map<string, Book>()
    for (const event of yield* feed.rest) {
      if (event.type === "book") last.set(event.exchangeSymbol, { bids: event.bids, asks: event.asks })
    }
    assert.strictEqual(last.size, fake.tradable.length)
    for (const { exchangeSymbol } of fake.tradable) {
      const { asks, bids } = fake.book(exchangeSymbol)
      assert.deepStrictEqual(last.get(exchangeSymbol), { bids: bids.slice(0, 20), asks: asks.slice(0, 20) })
    }
  }).pipe(Effect.provide(FakeRamzinex.memory({ markets: 6 }))))

it.scoped("trades that no window had are a hole, of which the history fills what it has", () =>
  Effect.gen(function*() {
    yield* hurryClock
    const fake = yield* FakeRamzinex.FakeRamzinex
    const feed = yield* run(ramzinex, { endpoints: fake })
    yield* TestClock.adjust("3 seconds")
    yield* settle
    const [one = "", other = ""] = fake.tradable.map(({ exchangeSymbol }) => exchangeSymbol)
    fake.trades(120)
    yield* TestClock.adjust("10 seconds")
    fake.server.script.mute = new Set([one])
    for (let n = 0; n < 70; n++) fake.trade(one)
    for (let n = 0; n < 40; n++) fake.trade(other)
    fake.server.heal()
    yield* TestClock.adjust("5 seconds")
    fake.trades(2)
    yield* TestClock.adjust("1 minute")
    yield* settle
    const events = yield* feed.rest
    const gaps = events.filter((event) => event.type === "status" && event.event === "gap")
    assert.isAbove(gaps.length, 0)
    for (const gap of gaps) assert.deepInclude(gap, { cause: "sequence", symbol: "BTC/IRT" })
    assert.deepStrictEqual(Oracle.untold(fake.issued, events), [])
    assert.strictEqual(Oracle.judge(fake.issued, tradesOf(events)).unsent.length, 21)
  }).pipe(Effect.provide(FakeRamzinex.memory({ markets: 2, history: 50 }))))

it.scoped("try later is taken at its word", () =>
  Effect.gen(function*() {
    yield* hurryClock
    const fake = yield* FakeRamzinex.FakeRamzinex
    fake.server.script.rest = FakeRamzinex.tryLater
    const feed = yield* run(ramzinex, { endpoints: fake })
    yield* TestClock.adjust("1 second")
    yield* settle
    assert.strictEqual(feed.status().api.message, "body: refused: status -82")
    fake.server.heal()
    yield* TestClock.adjust("57 seconds")
    yield* settle
    assert.strictEqual(fake.subscribed, 0)
    yield* TestClock.adjust("20 seconds")
    yield* settle
    assert.strictEqual(fake.subscribed, 6)
  }).pipe(Effect.provide(FakeRamzinex.memory())))
