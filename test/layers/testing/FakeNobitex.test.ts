import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as FakeNobitex from "../../../src/layers/testing/FakeNobitex.ts"
import { connect, getJson, type RawClient } from "./RawClient.ts"

/** Connected in the sense of Centrifugo, and subscribed to these channels of `public:`. */
const subscriber = (fake: FakeNobitex.FakeNobitexExchange, ...channels: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const client = yield* connect(fake.wsUrl)
    client.send(
      { id: 1, connect: {} },
      ...channels.map((channel, i) => ({ id: i + 2, subscribe: { channel: `public:${channel}` } }))
    )
    yield* client.documentCount(1 + channels.length)
    return client
  })

const pushes = (client: RawClient): ReadonlyArray<any> =>
  client.documents.flatMap(({ push }) => push === undefined ? [] : [push])

const time = Date.parse("2025-11-10T13:26:04.192Z")

describe("trades", () => {
  it.scopedLive("come one a push, in Rial, as the documents have them; the oracle knows them in Toman", () =>
    Effect.gen(function*() {
      const fake = yield* FakeNobitex.make()
      const client = yield* subscriber(fake, "trades-BTCIRT", "trades-USDTUSDT")
      fake.trade("BTCIRT", { price: "120000000007", amount: "0.000003", side: "sell", time })
      fake.trade("USDTUSDT", { price: "1.0005", amount: "2.5", side: "buy", time })
      fake.trade("ETHIRT", { time })
      yield* client.documentCount(5)
      assert.deepStrictEqual(pushes(client), [
        {
          channel: "public:trades-BTCIRT",
          pub: { data: { price: "120000000007", time, type: "sell", volume: "0.000003" }, offset: 1 }
        },
        {
          channel: "public:trades-USDTUSDT",
          pub: { data: { price: "1.0005", time, type: "buy", volume: "2.5" }, offset: 1 }
        }
      ])
      const [first, second, unseen] = fake.issued
      assert.deepStrictEqual(first?.expected, {
        exchange: "nobitex",
        symbol: "BTC/IRT",
        exchangeSymbol: "BTCIRT",
        price: "12000000000.7",
        amount: "0.000003",
        side: "sell",
        timestamp: "2025-11-10T13:26:04.192Z"
      })
      assert.strictEqual(first?.id, `nobitex:BTC/IRT:t:${time}:sell:12000000000.7:0.000003`)
      assert.strictEqual(second?.expected.price, "1.0005")
      assert.deepStrictEqual([first?.sent, second?.sent, unseen?.sent], [true, true, false])
    }))

  it.scopedLive("chance brings equal ones, and rows without a volume that are none", () =>
    Effect.gen(function*() {
      const fake = yield* FakeNobitex.make({ markets: 2 })
      const client = yield* subscriber(fake, "trades-BTCIRT", "trades-ETHIRT")
      fake.trades(220)
      yield* client.documentCount(3 + 240)
      const rows = pushes(client).map(({ pub }) => pub.data)
      assert.strictEqual(rows.filter(({ volume }) => volume === "0").length, 20)
      const counts = new Map<string, number>()
      for (const { id } of fake.issued) counts.set(id, (counts.get(id) ?? 0) + 1)
      assert.isAbove([...counts.values()].filter((count) => count > 1).length, 5)
      assert.lengthOf(fake.issued, 220)
    }))

  it.scopedLive("a connection has room for 300 channels, and 301 is refused by an answer", () =>
    Effect.gen(function*() {
      const fake = yield* FakeNobitex.make({ markets: 301 })
      const client = yield* subscriber(fake, ...fake.tradable.map(({ exchangeSymbol }) => `trades-${exchangeSymbol}`))
      assert.deepStrictEqual(client.documents.slice(-2), [
        { id: 301, subscribe: {} },
        { id: 302, error: { code: 106, message: "limit exceeded" } }
      ])
      assert.strictEqual(fake.subscribed, 300)
    }))
})

describe("books", () => {
  const byPrice = ([a]: readonly [string, string], [b]: readonly [string, string]) => Number(a) - Number(b)

  it.scopedLive("come as whole pictures of at most 24 levels a side, and the last one is the true book", () =>
    Effect.gen(function*() {
      const fake = yield* FakeNobitex.make()
      const client = yield* subscriber(fake, "orderbook-BTCIRT", "orderbook-USDTUSDT")
      for (let n = 0; n < 200; n++) {
        fake.moveBook("BTCIRT")
        fake.moveBook("USDTUSDT")
        fake.trades(1)
      }
      yield* client.until("the last pictures", () => pushes(client).length >= 400)
      const told = pushes(client).filter(({ channel }) => channel === "public:orderbook-BTCIRT")
      for (const { pub: { data } } of told) {
        assert.isAtMost(Math.max(data.asks.length, data.bids.length), 24)
        assert.deepStrictEqual(data.asks, [...data.asks].sort(byPrice))
        assert.deepStrictEqual(data.bids, [...data.bids].sort(byPrice).reverse())
        assert.isTrue(data.bids.length === 0 || data.asks.length === 0 || byPrice(data.bids[0], data.asks[0]) < 0)
      }
      assert.deepStrictEqual(told.map(({ pub }) => pub.offset), told.map((_, i) => i + 1))
      const { asks, bids, lastUpdate } = told.at(-1).pub.data
      const truth = fake.book("BTCIRT")
      assert.lengthOf(truth.asks, 24)
      const rial = (side: typeof truth.asks) =>
        side.map(([price, amount]) => [String(Math.round(Number(price) * 10)), amount])
      assert.deepStrictEqual([rial(truth.bids), rial(truth.asks), truth.time], [bids, asks, lastUpdate])
      const usdt = pushes(client).filter(({ channel }) => channel === "public:orderbook-USDTUSDT").at(-1).pub.data
      assert.deepStrictEqual(fake.book("USDTUSDT").bids, usdt.bids)
    }))
})

describe("REST", () => {
  it.scopedLive("lists markets by keys in lower case, with rls, and a global beside them", () =>
    Effect.gen(function*() {
      const fake = yield* FakeNobitex.make({ markets: 4 })
      const { body } = yield* getJson(`${fake.apiUrl}/market/stats`)
      assert.strictEqual(body.status, "ok")
      assert.property(body, "global")
      assert.deepStrictEqual(
        Object.entries(body.stats).map(([key, { isClosed }]: [string, any]) => [key, isClosed]),
        [["btc-rls", false], ["eth-rls", false], ["usdt-usdt", false], ["1m_trx-rls", false], ["old-rls", true]]
      )
    }))

  it.scopedLive("gives the last trades, newest first but for those of one millisecond, and the book", () =>
    Effect.gen(function*() {
      const fake = yield* FakeNobitex.make({ history: 3 })
      for (const [price, ms] of [["9", 0], ["5", 1], ["4", 1], ["3", 2]] as const) {
        fake.trade("BTCIRT", { price, amount: "1", side: "sell", time: time + ms })
      }
      const { body } = yield* getJson(`${fake.apiUrl}/v2/trades/BTCIRT`)
      assert.deepStrictEqual(body.trades.map(({ price, volume }: any) => [price, volume]), [
        ["3", "0"],
        ["3", "1"],
        ["5", "1"],
        ["4", "1"]
      ])
      fake.moveBook("BTCIRT")
      const book = (yield* getJson(`${fake.apiUrl}/v3/orderbook/BTCIRT`)).body
      assert.deepStrictEqual([book.status, book.bids.length, book.asks.length], ["ok", 2, 2])
      const unknown = yield* getJson(`${fake.apiUrl}/v2/trades/NOSUCH`)
      assert.deepStrictEqual([unknown.status, unknown.body.status], [200, "failed"])
    }))
})

describe("recovery in cache mode", () => {
  const recover = (fake: FakeNobitex.FakeNobitexExchange, position: object) =>
    Effect.gen(function*() {
      const client = yield* connect(fake.wsUrl)
      client.send({ id: 1, connect: {} }, {
        id: 2,
        subscribe: { channel: "public:trades-BTCIRT", recover: true, ...position }
      })
      yield* client.documentCount(2)
      const { epoch, offset, publications = [], recovered = false } = client.documents[1].subscribe
      return { epoch, offset, recovered, offsets: publications.map((one: any) => one.offset) }
    })

  it.scopedLive("gives the last publication alone, and calls it all", () =>
    Effect.gen(function*() {
      const fake = yield* FakeNobitex.make({ recovery: true, cache: true })
      const nothing = yield* recover(fake, { epoch: "e0", offset: 0 })
      assert.deepStrictEqual(nothing, { epoch: "e0", offset: undefined, recovered: false, offsets: [] })
      for (let n = 0; n < 5; n++) fake.trade("BTCIRT")
      const at = { epoch: "e0", offset: 5, recovered: true }
      assert.deepStrictEqual(yield* recover(fake, { epoch: "e0", offset: 2 }), { ...at, offsets: [5] })
      assert.deepStrictEqual(yield* recover(fake, { epoch: "e0", offset: 5 }), { ...at, offsets: [] })
      assert.deepStrictEqual(yield* recover(fake, { epoch: "0", offset: 0 }), { ...at, offsets: [5] })
    }))
})
