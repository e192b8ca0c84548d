/** The fake Binance is as strict as the exchange: what it lets pass is what a client may do. */
import { HttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, TestClock } from "effect"
import * as FakeBinance from "../../../src/layers/testing/FakeBinance.ts"
import { connect, getJson, type RawClient } from "./RawClient.ts"

const time = Date.parse("2026-10-02T17:03:50.913Z")

const subscriber = (fake: FakeBinance.FakeBinanceExchange, ...params: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const client = yield* connect(fake.wsUrl)
    client.send({ method: "SUBSCRIBE", params, id: 1 })
    yield* client.documentCount(1)
    return client
  })

const dataOf = (client: RawClient, stream: string): ReadonlyArray<any> =>
  client.documents.flatMap((document) => document.stream === stream ? [document.data] : [])

/** What a client that keeps a book by its changes has: by price, zero takes away. */
const apply = (side: Map<string, string>, levels: ReadonlyArray<readonly [string, string]>) => {
  for (const [price, amount] of levels) {
    if (Number(amount) === 0) side.delete(price)
    else side.set(price, amount)
  }
}

const best = (side: Map<string, string>, sign: number) =>
  [...side].sort(([a], [b]) => sign * (Number(a) - Number(b))).slice(0, 20)

describe("trades", () => {
  it.scopedLive("come one a frame, numbered without holes, by the stream's name in lower case", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBinance.make({ markets: 2 })
      const client = yield* subscriber(fake, "btcusdt@trade", "ETHUSDT@trade", "nosuch@trade")
      assert.deepStrictEqual(client.documents, [{ result: null, id: 1 }])
      fake.trade("BTCUSDT", { price: "84922.04", amount: "0.00023", side: "sell", time })
      fake.trade("ETHUSDT", { time })
      fake.trade("BTCUSDT", { price: "84922.05", amount: "1", side: "buy", time })
      yield* client.documentCount(3)
      const [first = 0] = fake.numbersOf("BTCUSDT")
      const rows = dataOf(client, "btcusdt@trade")
      assert.deepStrictEqual(rows.map(({ E: _E, ...row }) => row), [
        { e: "trade", s: "BTCUSDT", t: first, p: "84922.04000000", q: "0.00023000", T: time, m: true, M: true },
        { e: "trade", s: "BTCUSDT", t: first + 1, p: "84922.05000000", q: "1.00000000", T: time, m: false, M: true }
      ])
      assert.deepInclude(fake.issued[0]?.expected, { price: "84922.04", amount: "0.00023", side: "sell" })
      assert.strictEqual(fake.issued[0]?.id, `binance:BTC/USDT:t:${first}`)
      // Acknowledged, and mute: a name in upper case, and one that is none.
      assert.isFalse(fake.issued[1]?.sent)
    }))

  it.scopedLive("of any age are given by number, oldest first", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBinance.make({ markets: 1 })
      for (let n = 0; n < 2_500; n++) fake.trade("BTCUSDT", { time: time + n })
      const [first = 0] = fake.numbersOf("BTCUSDT")
      const idsOf = (path: string) =>
        Effect.map(getJson(`${fake.apiUrl}/api/v3/${path}`), ({ body }) => body.map(({ id }: any) => id - first))
      const page = yield* idsOf(`historicalTrades?symbol=BTCUSDT&fromId=${first + 10}&limit=1000`)
      assert.deepStrictEqual([page.length, page[0], page.at(-1)], [1_000, 10, 1_009])
      const last = yield* idsOf(`trades?symbol=BTCUSDT&limit=5000`)
      assert.deepStrictEqual([last.length, last[0], last.at(-1)], [1_000, 1_500, 2_499])
      assert.deepStrictEqual(yield* idsOf(`historicalTrades?symbol=BTCUSDT&fromId=${first + 2_500}&limit=10`), [])
      const { body: [row] } = yield* getJson(`${fake.apiUrl}/api/v3/historicalTrades?symbol=BTCUSDT&fromId=${first}`)
      assert.sameMembers(Object.keys(row), ["id", "price", "qty", "quoteQty", "time", "isBuyerMaker", "isBestMatch"])
    }))
})

describe("REST", () => {
  // By the test's clock: a minute must not end meanwhile.
  it.scoped("weighs: beyond the minute's it refuses with the time to wait, and bans who goes on", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBinance.FakeBinance
      const ask = (path: string) =>
        Effect.flatMap(
          HttpClient.get(`${fake.apiUrl}/api/v3/${path}`),
          ({ headers, json, status }) => Effect.map(json, (body: any) => ({ headers, body, status }))
        )
      const weights: Array<number> = []
      for (
        const path of [
          "ping",
          "exchangeInfo",
          "trades?symbol=BTCUSDT",
          "historicalTrades?symbol=BTCUSDT",
          "depth?symbol=BTCUSDT",
          "depth?symbol=BTCUSDT&limit=500",
          "depth?symbol=BTCUSDT&limit=1000",
          "trades?symbol=NOSUCH",
          "depth?symbol=BTCUSDT&limit=5000"
        ]
      ) {
        const before = weights.reduce((sum, one) => sum + one, 0)
        const { headers, status } = yield* ask(path)
        weights.push(Number(headers["x-mbx-used-weight-1m"]) - before)
        if (path.includes("NOSUCH")) assert.strictEqual(status, 400)
      }
      assert.deepStrictEqual(weights, [1, 20, 25, 25, 5, 25, 50, 25, 250])
      assert.strictEqual(fake.refusals, 1)
      yield* TestClock.adjust("20 seconds")
      const refused = yield* ask("ping")
      assert.deepStrictEqual([refused.status, refused.body.code, refused.headers["retry-after"]], [429, -1003, "40"])
      for (let n = 0; n < 9; n++) yield* ask("ping")
      const banned = yield* ask("ping")
      assert.strictEqual(banned.status, 418)
      assert.match(banned.body.msg, /IP banned until \d+\./)
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual((yield* ask("ping")).status, 200)
    }).pipe(Effect.provide(FakeBinance.memory({ markets: 1, weightPerMinute: 300 }))))

  it.scopedLive("lists what is not traded too, each for a reason of its own, and what one asks for", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBinance.make({ markets: 1 })
      const listed = (query: string) =>
        Effect.map(
          getJson(`${fake.apiUrl}/api/v3/exchangeInfo${query}`),
          ({ body }) =>
            body.symbols.map(({ isSpotTradingAllowed, status, symbol }: any) => [symbol, status, isSpotTradingAllowed])
        )
      const trading = [
        ["BTCUSDT", "TRADING", true],
        ["MARGINUSDT", "TRADING", false],
        ["币安人生USDT", "TRADING", true]
      ]
      assert.sameDeepMembers(yield* listed(""), [
        ...trading,
        ["OLDUSDT", "BREAK", false],
        ["LEAVINGUSDT", "CANCEL_ONLY", false]
      ])
      assert.sameDeepMembers(yield* listed("?symbolStatus=TRADING"), trading)
    }))
})

describe("a connection", () => {
  it.scopedLive("that says more than five things in a second is closed with 1008", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBinance.make({ markets: 1 })
      const client = yield* connect(fake.wsUrl)
      for (let id = 1; id <= 5; id++) client.send({ method: "LIST_SUBSCRIPTIONS", id })
      yield* client.documentCount(5)
      client.ws.pong("unasked")
      assert.strictEqual(yield* client.closeCode, 1008)
      assert.deepStrictEqual(fake.closedFor, ["Too many requests"])
    }))

  it.scopedLive("holds 1 024 streams, and loses them all with one more; 437 in a frame do nothing", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBinance.make({ markets: 1 })
      const client = yield* connect(fake.wsUrl)
      const names = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => `x${from + n}usdt@trade`)
      client.send({ method: "SUBSCRIBE", params: [...names(0, 436), "btcusdt@trade"], id: 1 })
      yield* client.documentCount(1)
      assert.deepStrictEqual([client.documents[0], fake.subscribed], [{ result: null, id: 1 }, 0])
      for (const [i, n] of [0, 400, 800].entries()) {
        client.send({ method: "SUBSCRIBE", params: names(n, Math.min(n + 400, 1_024)), id: 2 + i })
      }
      yield* client.documentCount(4)
      client.send({ method: "SUBSCRIBE", params: ["btcusdt@trade"], id: 9 })
      assert.strictEqual(yield* client.closeCode, 1008)
      assert.deepStrictEqual(client.documents.at(-1), { error: { code: 4, msg: "Too many subscriptions" }, id: 9 })
    }))

  it.scopedLive("that does not bring the ping's payload back is cut", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBinance.make({ markets: 1, ping: 50, patience: 100 })
      const good = yield* connect(fake.wsUrl)
      const bad = yield* connect(fake.wsUrl)
      const mute = bad.ws as unknown as { pong: (payload: unknown, mask: unknown) => void }
      const { pong } = mute
      // `ws` answers by itself: here with something else.
      mute.pong = function(this: unknown, _payload, mask) {
        pong.call(this, "1", mask)
      }
      assert.strictEqual(yield* bad.closeCode, 1006)
      const pings = good.controlPings
      yield* good.until("pings", () => good.controlPings > pings)
      assert.strictEqual(good.ws.readyState, good.ws.OPEN)
    }))

  it.scopedLive("is told before it is ended, in the form of its address", () =>
    Effect.gen(function*() {
      for (const raw of [false, true]) {
        const fake = yield* FakeBinance.make({ markets: 1, raw })
        const client = yield* subscriber(fake, "btcusdt@trade")
        fake.shutdown(20)
        assert.strictEqual(yield* client.closeCode, 1001)
        const notice = client.documents.at(-1)
        assert.strictEqual(raw ? notice.e : notice.data.e, "serverShutdown")
        assert.strictEqual(notice.stream, raw ? undefined : "!serverShutdown")
      }
    }))

  it.scopedLive("whatever is no command is told so", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBinance.make({ markets: 1 })
      const client = yield* connect(fake.wsUrl)
      client.send("nonsense")
      client.send({ method: "SUBSCRIBE", params: ["btcusdt@trade"], id: -1 })
      client.send({ method: "SING", params: [], id: 3 })
      yield* client.documentCount(3)
      assert.deepStrictEqual(client.documents.map(({ code, id }) => [code, id]), [[3, undefined], [2, null], [2, 3]])
    }))
})

describe("books", () => {
  it.scopedLive("by changes, on a picture by REST, are those of the whole pictures at equal numbers", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBinance.make({ markets: 1 })
      fake.lastUpdateId("BTCUSDT")
      fake.bookChanges(10)
      const client = yield* subscriber(fake, "btcusdt@depth@100ms", "btcusdt@depth20@100ms")
      const changed = () => dataOf(client, "btcusdt@depth@100ms")
      fake.bookChanges(3)
      yield* client.until("a change", () => changed().length >= 1)
      fake.bookChanges(2)
      const ask = Effect.map(
        getJson(`${fake.apiUrl}/api/v3/depth?symbol=BTCUSDT&limit=1000`),
        ({ body }) => body
      )
      fake.staleDepths = 2
      const stale = [yield* ask, yield* ask]
      // Older than all that the stream has told: to be asked for again.
      for (const { lastUpdateId } of stale) assert.isBelow(lastUpdateId, changed()[0].U - 1)
      const picture = yield* ask
      for (let n = 0; n < 5; n++) {
        fake.bookChanges(20)
        const count = changed().length
        yield* client.until("more changes", () => changed().length > count)
      }
      yield* client.until(
        "the last picture",
        () => dataOf(client, "btcusdt@depth20@100ms").at(-1)?.lastUpdateId === changed().at(-1).u
      )
      const bids = new Map<string, string>(picture.bids)
      const asks = new Map<string, string>(picture.asks)
      let last = picture.lastUpdateId
      const pictures = new Map(dataOf(client, "btcusdt@depth20@100ms").map((one) => [one.lastUpdateId, one]))
      let compared = 0
      for (const { U, a, b, u } of changed()) {
        if (u <= last) continue
        assert.isAtMost(U, last + 1)
        apply(bids, b)
        apply(asks, a)
        last = u
        const whole = pictures.get(u)
        if (whole === undefined) continue
        compared += 1
        assert.deepStrictEqual([best(bids, -1), best(asks, 1)], [whole.bids, whole.asks])
      }
      assert.isAtLeast(compared, 1)
      // In the steady state each begins where the one before ended.
      changed().reduce((before, { U, u }) => {
        if (before !== undefined) assert.strictEqual(U, before + 1)
        return u
      }, undefined)
      assert.strictEqual(last, fake.lastUpdateId("BTCUSDT"))
    }))
})
