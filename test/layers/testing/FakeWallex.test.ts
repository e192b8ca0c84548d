import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as FakeWallex from "../../../src/layers/testing/FakeWallex.ts"
import { judge } from "../../../src/layers/testing/Oracle.ts"
import { connect, getJson, type RawClient, wallexTrades } from "./RawClient.ts"

/** Nothing is acknowledged: that the server has taken the frames in is seen at the server. */
const subscribe = (fake: FakeWallex.FakeWallexExchange, client: RawClient, ...symbols: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const before = fake.subscribed
    for (const symbol of symbols) client.send(["subscribe", { channel: `${symbol}@trade` }])
    while (fake.subscribed < before + symbols.length) yield* Effect.sleep("1 millis")
  })

it.scopedLive("greets, acknowledges nothing, and sends a frame for each trade", () =>
  Effect.gen(function*() {
    const fake = yield* FakeWallex.make()
    const client = yield* connect(fake.wsUrl)
    yield* client.frameCount(1)
    assert.isTrue(client.frames[0]?.startsWith("{\"sid\":"))
    yield* subscribe(fake, client, "BTCTMN", "USDTUSDT")
    const time = Date.parse("2025-06-01T09:33:41.900Z")
    fake.trade("BTCTMN", { price: "82131", amount: "255.75", side: "buy", time })
    fake.trade("ETHTMN", { side: "buy" })
    fake.trade("USDTUSDT", { price: "0.32875", amount: "1690.4", side: "sell", time })
    yield* client.frameCount(3)
    assert.deepStrictEqual(client.documents.slice(1), [
      ["BTCTMN@trade", {
        isBuyOrder: true,
        quantity: "255.7500000000000000",
        price: "82131.0000000000000000",
        timestamp: "2025-06-01T09:33:41Z"
      }],
      ["USDTUSDT@trade", {
        isBuyOrder: false,
        quantity: "1690.4000000000000000",
        price: "0.3287500000000000",
        timestamp: "2025-06-01T09:33:41Z"
      }]
    ])
    const [first, unseen, last] = fake.issued
    assert.deepStrictEqual(first?.expected, {
      exchange: "wallex",
      symbol: "BTC/IRT",
      exchangeSymbol: "BTCTMN",
      price: "82131",
      amount: "255.75",
      side: "buy",
      timestamp: "2025-06-01T09:33:41.000Z"
    })
    assert.strictEqual(first?.id, "wallex:BTC/IRT:t:1748770421000:buy:82131:255.75")
    assert.deepStrictEqual([first?.sent, unseen?.sent, last?.sent], [true, false, true])
    assert.strictEqual(last?.expected.symbol, "USDT/USDT")
  }))

it.scopedLive("equal trades are told one by one, and chance brings some", () =>
  Effect.gen(function*() {
    const fake = yield* FakeWallex.make({ markets: 2 })
    const client = yield* connect(fake.wsUrl)
    yield* subscribe(fake, client, "BTCTMN", "ETHTMN")
    const equal = { price: "5", amount: "1", side: "buy", time: Date.parse("2025-06-01T09:33:41Z") } as const
    fake.trade("BTCTMN", equal)
    fake.trade("BTCTMN", equal)
    fake.trades(200)
    yield* client.frameCount(203)
    const delivered = wallexTrades(client.documents)
    assert.deepStrictEqual(delivered.slice(0, 2).map(({ id }) => id.slice(-6)), [":5:1:1", ":5:1:2"])
    const verdict = judge(fake.issued, delivered)
    assert.deepStrictEqual([verdict.missing, verdict.foreign, verdict.duplicates, verdict.disordered], [[], [], [], []])
    assert.isAtLeast(delivered.slice(2).filter(({ id }) => id.endsWith(":2")).length, 20)
  }))

describe("a connection", () => {
  it.scopedLive("may send fifty messages, and not one more", () =>
    Effect.gen(function*() {
      const fake = yield* FakeWallex.make({ markets: 60 })
      const symbols = fake.tradable.map(({ exchangeSymbol }) => exchangeSymbol)
      const client = yield* connect(fake.wsUrl)
      yield* subscribe(fake, client, ...symbols.slice(0, 50))
      assert.isTrue(fake.server.accepted[0]?.alive)
      client.send(["subscribe", { channel: `${symbols[50]}@trade` }])
      assert.strictEqual(yield* client.closeCode, 1008)
      assert.strictEqual(fake.subscribed, 0)
    }))

  it.scopedLive("is pinged by control frames, and lives so long and no longer", () =>
    Effect.gen(function*() {
      const fake = yield* FakeWallex.make({ ping: 20, maxAge: 400 })
      const client = yield* connect(fake.wsUrl)
      const opened = performance.now()
      yield* client.until("three pings", () => client.controlPings >= 3)
      assert.strictEqual(yield* client.closeCode, 1000)
      assert.isAtLeast(performance.now() - opened, 350)
      assert.isAtLeast(fake.server.accepted[0]?.pongs ?? 0, 2)
    }))

  it.scopedLive("passes over what it does not understand, and what it is told to", () =>
    Effect.gen(function*() {
      const fake = yield* FakeWallex.make()
      fake.server.script.ignored = new Set(["ETHTMN"])
      fake.server.script.denied = new Set(["SOLTMN"])
      const client = yield* connect(fake.wsUrl)
      for (
        const text of [
          "{",
          "null",
          "[]",
          "[\"subscribe\"]",
          "[\"subscribe\",null]",
          "[\"dance\",{\"channel\":\"TRXTMN@trade\"}]"
        ]
      ) {
        client.send(text)
      }
      for (const channel of ["ETHTMN@trade", "SOLTMN@trade", "NOSUCH@trade", "all@price", "TRXTMN@buyDepth"]) {
        client.send(["subscribe", { channel }])
      }
      yield* subscribe(fake, client, "BTCTMN")
      const [connection] = fake.server.accepted
      assert.deepStrictEqual([...connection?.subscriptions.keys() ?? []], ["TRXTMN@buyDepth", "BTCTMN@trade"])
      for (const symbol of ["ETHTMN", "SOLTMN", "TRXTMN", "BTCTMN"]) fake.trade(symbol)
      yield* client.frameCount(2)
      assert.strictEqual(client.documents[1][0], "BTCTMN@trade")
      client.send(["unsubscribe", { channel: "BTCTMN@trade" }])
      while (fake.subscribed > 0) yield* Effect.sleep("1 millis")
      fake.trade("BTCTMN")
      assert.isFalse(fake.issued.at(-1)?.sent)
    }))

  it.scopedLive("counts one subscription when it subscribes twice", () =>
    Effect.gen(function*() {
      const fake = yield* FakeWallex.make()
      const client = yield* connect(fake.wsUrl)
      yield* subscribe(fake, client, "BTCTMN")
      yield* subscribe(fake, client, "ETHTMN")
      client.send(["subscribe", { channel: "BTCTMN@trade" }])
      yield* subscribe(fake, client, "SOLTMN")
      fake.trade("BTCTMN")
      fake.trade("SOLTMN")
      yield* client.frameCount(3)
      assert.deepStrictEqual(client.documents.slice(1).map(([channel]) => channel), ["BTCTMN@trade", "SOLTMN@trade"])
    }))
})

describe("REST", () => {
  it.scopedLive("lists markets with their oddities", () =>
    Effect.gen(function*() {
      const fake = yield* FakeWallex.make({ markets: 8 })
      const added = fake.addMarket({ base: "1BBABYDOGE", quote: "TMN", price: "0.5", tradable: false })
      assert.strictEqual(added, "1BBABYDOGETMN")
      const { body } = yield* getJson(`${fake.apiUrl}/hector/web/v1/markets`)
      assert.isTrue(body.success)
      const { markets } = body.result
      assert.strictEqual(markets.length, 10)
      assert.deepStrictEqual(markets.filter(({ is_spot }: any) => !is_spot).map(({ symbol }: any) => symbol), [
        "OTCTMN",
        added
      ])
      assert.isTrue(markets.some((market: any) => market.is_spot && !market.is_market_type_enable))
      const odd = markets.find(({ price }: any) => price === "")
      assert.deepStrictEqual([odd.volume_24h, odd.categories, odd.leverage_step, odd.is_spot], [null, null, null, true])
      assert.strictEqual(markets[0].price, "852231322")
      assert.strictEqual(Object.keys(markets[0]).length, 36)
    }))

  it.scopedLive("gives the last trades, newest first", () =>
    Effect.gen(function*() {
      const fake = yield* FakeWallex.make({ history: 3 })
      const time = Date.parse("2021-06-28T00:02:15.500Z")
      const equal = { price: "852231321", amount: "0.00177", side: "sell", time } as const
      fake.trade("BTCTMN", { ...equal, amount: "9" })
      fake.trade("BTCTMN", equal)
      fake.trade("BTCTMN", equal)
      fake.trade("BTCTMN", { ...equal, side: "buy" })
      const { body } = yield* getJson(`${fake.apiUrl}/v1/trades?symbol=BTCTMN`)
      const { latestTrades } = body.result
      assert.deepStrictEqual(latestTrades.map(({ isBuyOrder }: any) => isBuyOrder), [true, false, false])
      assert.deepStrictEqual(latestTrades[1], {
        symbol: "BTCTMN",
        quantity: "0.0017700000000000",
        price: "852231321.0000000000000000",
        sum: "1508449.4381700000000000",
        isBuyOrder: false,
        timestamp: "2021-06-28T00:02:15Z"
      })
      const rows = [...latestTrades].reverse().map((row: any) => [`${row.symbol}@trade`, row])
      const verdict = judge(fake.issued, wallexTrades(rows, "rest"))
      assert.deepStrictEqual([verdict.missing, verdict.foreign, verdict.disordered], [[], [], []])
      assert.deepStrictEqual(verdict.unsent, ["wallex:BTC/IRT:t:1624838535000:sell:852231321:9:1"])
      const unknown = yield* getJson(`${fake.apiUrl}/v1/trades?symbol=NOSUCH`)
      assert.deepStrictEqual([unknown.status, unknown.body.success], [200, false])
      assert.strictEqual(fake.server.restCalls[0]?.url, "/v1/trades?symbol=BTCTMN")
    }))
})
