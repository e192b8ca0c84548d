import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as FakeBitpin from "../../../src/layers/testing/FakeBitpin.ts"
import { judge } from "../../../src/layers/testing/Oracle.ts"
import { bitpinHistory, bitpinTrades, connect, getJson, type RawClient } from "./RawClient.ts"

/** Connected in the sense of Centrifugo, and subscribed to these. */
const subscriber = (fake: FakeBitpin.FakeBitpinExchange, ...symbols: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const client = yield* connect(fake.wsUrl)
    client.send(
      { id: 1, connect: {} },
      ...symbols.map((symbol, i) => ({ id: i + 2, subscribe: { channel: `matches:${symbol}` } }))
    )
    yield* client.documentCount(1 + symbols.length)
    return client
  })

const pushes = (client: RawClient): ReadonlyArray<any> =>
  client.documents.flatMap(({ push }) => push === undefined ? [] : [push])

const rowsOf = (push: any): ReadonlyArray<any> => push.pub.data.matches

describe("what ends a connection", () => {
  const cases: ReadonlyArray<readonly [string, number, (client: RawClient) => void]> = [
    ["a command before connect", 3501, (client) => client.send({ id: 1, subscribe: { channel: "matches:BTC_IRT" } })],
    ["malformed JSON", 3501, (client) => client.send("{")],
    ["JSON that is no object", 3501, (client) => client.send("null")],
    ["an empty frame", 3501, (client) => client.send("")],
    ["an empty line", 3501, (client) => client.send({ id: 1, connect: {} }, "", { id: 2, connect: {} })],
    ["two newlines at the end", 3501, (client) => client.send({ id: 1, connect: {} }, "", "")],
    ["a second connect", 3501, (client) => client.send({ id: 1, connect: {} }, { id: 2, connect: {} })],
    ["an unknown command", 3501, (client) => client.send({ id: 1, connect: {} }, { id: 2, dance: {} })],
    ["a pong before connect", 3501, (client) => client.send({})],
    ["a pong nobody asked for", 3501, (client) => client.send({ id: 1, connect: {} }, {})],
    [
      "a command without id, taken for a pong",
      3501,
      (client) => client.send({ id: 1, connect: {} }, { subscribe: { channel: "matches:BTC_IRT" } })
    ],
    ["a frame above 64 KiB", 1009, (client) => client.send(`"${"x".repeat(65_536)}"`)]
  ]
  for (const [what, code, act] of cases) {
    it.scopedLive(`${what}: ${code}`, () =>
      Effect.gen(function*() {
        const fake = yield* FakeBitpin.make()
        const client = yield* connect(fake.wsUrl)
        act(client)
        assert.strictEqual(yield* client.closeCode, code)
      }))
  }

  it.scopedLive("no connect in time: 3502", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.make({ connectTimeout: 50 })
      const client = yield* connect(fake.wsUrl)
      assert.strictEqual(yield* client.closeCode, 3502)
    }))

  it.scopedLive("who has connected is not stale", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.make({ connectTimeout: 50 })
      const client = yield* subscriber(fake)
      const idle = yield* connect(fake.wsUrl)
      assert.strictEqual(yield* idle.closeCode, 3502)
      assert.strictEqual(client.ws.readyState, client.ws.OPEN)
    }))

  it.scopedLive("a ping not answered in time: 3012", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.make({ ping: 40, pongTimeout: 60 })
      const client = yield* subscriber(fake, "BTC_IRT")
      assert.strictEqual(yield* client.closeCode, 3012)
      assert.isTrue(client.frames.includes("{}"))
    }))

  it.scopedLive("a second pong: 3501", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.make()
      const client = yield* subscriber(fake)
      fake.centrifugo.ping()
      yield* client.documentCount(2)
      client.send({}, {})
      assert.strictEqual(yield* client.closeCode, 3501)
    }))
})

it.scopedLive("one newline at the end of a frame is allowed", () =>
  Effect.gen(function*() {
    const fake = yield* FakeBitpin.make()
    const client = yield* connect(fake.wsUrl)
    client.send({ id: 1, connect: {} }, "")
    client.send({ id: 2, subscribe: { channel: "matches:BTC_IRT" } })
    yield* client.documentCount(2)
    assert.deepStrictEqual(client.documents[1], { id: 2, subscribe: {} })
  }))

it.scopedLive("pings are answered for as long as it takes, and it knows how often", () =>
  Effect.gen(function*() {
    const fake = yield* FakeBitpin.make({ ping: 20, pongTimeout: 5_000 })
    const client = yield* subscriber(fake)
    client.ws.on("message", (data) => {
      if (String(data) === "{}") client.send({})
    })
    yield* client.until("five pings", () => client.frames.filter((frame) => frame === "{}").length >= 5)
    const [connection] = fake.server.accepted
    assert.isAtLeast(connection?.pongs ?? 0, 3)
    assert.isTrue(connection?.alive)
  }))

it.scopedLive("two pings at once are two pongs", () =>
  Effect.gen(function*() {
    const fake = yield* FakeBitpin.make()
    const client = yield* subscriber(fake)
    fake.centrifugo.ping()
    fake.centrifugo.ping()
    yield* client.documentCount(3)
    client.send({})
    client.send({})
    client.send({ id: 5, subscribe: { channel: "matches:BTC_IRT" } })
    yield* client.documentCount(4)
    assert.deepStrictEqual(client.documents[3], { id: 5, subscribe: {} })
  }))

describe("replies", () => {
  it.scopedLive("by id, with Centrifugo's errors", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.make({ channelLimit: 2 })
      fake.server.script.denied = new Set(["ETH_IRT"])
      fake.server.script.ignored = new Set(["TRX_IRT"])
      const client = yield* connect(fake.wsUrl)
      const subscribe = (id: number, channel: string) => ({ id, subscribe: { channel } })
      client.send(
        { id: 7, connect: {} },
        subscribe(1, "matches:BTC_IRT"),
        subscribe(2, "matches:BTC_IRT"),
        subscribe(3, "matches:ETH_IRT"),
        subscribe(4, "matches:NO_SUCH"),
        subscribe(5, "matches:TRX_IRT"),
        subscribe(6, "orderbook:BTC_IRT"),
        subscribe(8, "matches:SOL_IRT"),
        { id: 9, unsubscribe: { channel: "orderbook:BTC_IRT" } },
        subscribe(10, "matches:SOL_IRT")
      )
      yield* client.documentCount(9)
      const [connected, ...replies] = client.documents
      assert.strictEqual(connected.id, 7)
      assert.strictEqual(connected.connect.ping, 25)
      assert.isTrue(connected.connect.pong)
      assert.deepStrictEqual(replies, [
        { id: 1, subscribe: {} },
        { id: 2, error: { code: 105, message: "already subscribed" } },
        { id: 3, error: { code: 103, message: "permission denied" } },
        { id: 4, error: { code: 102, message: "unknown channel" } },
        { id: 6, subscribe: {} },
        { id: 8, error: { code: 106, message: "limit exceeded" } },
        { id: 9, unsubscribe: {} },
        { id: 10, subscribe: {} }
      ])
      const [connection] = fake.server.accepted
      assert.deepStrictEqual([...connection?.subscriptions.keys() ?? []], ["matches:BTC_IRT", "matches:SOL_IRT"])
      assert.strictEqual(connection?.received.length, 1)
      assert.strictEqual(fake.subscribed, 2)
    }))

  it.scopedLive("128 channels by default", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.make({ markets: 130 })
      const client = yield* subscriber(fake, ...fake.tradable.map(({ exchangeSymbol }) => exchangeSymbol))
      const refused = client.documents.filter(({ error }) => error !== undefined)
      assert.deepStrictEqual(refused.map(({ error, id }) => [id, error.code]), [[130, 106], [131, 106]])
      assert.strictEqual(fake.subscribed, 128)
    }))

  it.scopedLive("late, and nothing is pushed before", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.make({ window: 1 })
      const client = yield* subscriber(fake)
      fake.server.script.ackDelay = 500
      client.send({ id: 2, subscribe: { channel: "matches:BTC_IRT" } })
      client.send({ id: 3, unsubscribe: { channel: "none" } })
      yield* client.documentCount(2)
      fake.trade("BTC_IRT")
      yield* client.documentCount(3)
      fake.trade("BTC_IRT")
      yield* client.documentCount(4)
      assert.deepStrictEqual(client.documents.slice(1, 3), [{ id: 3, unsubscribe: {} }, { id: 2, subscribe: {} }])
      assert.deepStrictEqual(fake.issued.map(({ sent }) => sent), [false, true])
      assert.strictEqual(rowsOf(pushes(client)[0]).length, 1)
    }))
})

describe("matches", () => {
  it.scopedLive("are overlapping windows, newest first, with padded decimals", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.make({ window: 3 })
      const client = yield* subscriber(fake, "BTC_IRT")
      const time = Date.parse("2026-06-11T12:59:45.263Z")
      for (const price of ["101", "102", "103", "104.5"]) {
        fake.trade("BTC_IRT", { price, amount: "0.0108687", side: "sell", time, micros: 627 })
      }
      yield* client.documentCount(6)
      assert.deepStrictEqual(
        pushes(client).map((push) => rowsOf(push).map(({ price }) => price)),
        [["101.00"], ["102.00", "101.00"], ["103.00", "102.00", "101.00"], ["104.500", "103.00", "102.00"]]
      )
      const [push] = pushes(client)
      assert.strictEqual(push.channel, "matches:BTC_IRT")
      assert.deepStrictEqual(push.pub, {
        data: {
          event: "matches_update",
          symbol: "BTC_IRT",
          matches: [{
            id: "73802972_73807087",
            price: "101.00",
            base_amount: "0.01086870",
            quote_amount: "1.09773870",
            side: "sell",
            time: 1_781_182_785.263627
          }]
        },
        offset: 1
      })
      assert.deepStrictEqual(fake.issued[0]?.expected, {
        exchange: "bitpin",
        symbol: "BTC/IRT",
        exchangeSymbol: "BTC_IRT",
        price: "101",
        amount: "0.0108687",
        side: "sell",
        timestamp: "2026-06-11T12:59:45.263627Z"
      })
      assert.strictEqual(fake.issued[0]?.id, "bitpin:BTC/IRT:t:73802972_73807087")
    }))

  it.scopedLive("hide a tiny amount behind 0.00: it is quote over price, 18 decimals, half even", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.make()
      const client = yield* subscriber(fake, "BTC_IRT")
      fake.trade("BTC_IRT", { price: "7", amount: "0.0000009" })
      fake.trade("BTC_IRT", { price: "7", amount: "0.000001" })
      yield* client.documentCount(4)
      const [tiny, small] = pushes(client).map((push) => rowsOf(push)[0])
      assert.deepStrictEqual([tiny.base_amount, tiny.quote_amount], ["0.00", "0.000006"])
      assert.deepStrictEqual([small.base_amount, small.quote_amount], ["0.00000100", "0.00000700"])
      // 0.000006 / 7 = 0.000000857142857142857...
      assert.deepStrictEqual(fake.issued.map(({ expected }) => expected.amount), ["0.000000857142857143", "0.000001"])
    }))

  it.scopedLive("come as strings, or without times of their own", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.make({ dataAsString: true, withoutRowTime: true })
      const client = yield* subscriber(fake, "BTC_IRT")
      const time = Date.parse("2024-10-29T03:50:21.814Z")
      fake.trade("BTC_IRT", { time, micros: 434 })
      fake.trade("BTC_IRT", { time: time + 5, micros: 434 })
      yield* client.documentCount(4)
      const bodies = pushes(client).map(({ pub }) => JSON.parse(pub.data))
      assert.deepStrictEqual(bodies.map(({ event_time }) => event_time), [
        "2024-10-29T03:50:21.814434Z",
        "2024-10-29T03:50:21.819434Z"
      ])
      assert.deepStrictEqual(bodies.map(({ matches }) => [matches.length, matches[0].time]), [[1, undefined], [
        1,
        undefined
      ]])
      assert.deepStrictEqual(judge(fake.issued, bitpinTrades(client.documents)).missing, [])
    }))

  it.scopedLive("share frames with replies and pings, in order, at most 16 in one", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.make({ batch: 40, window: 1 })
      const client = yield* subscriber(fake, "BTC_IRT", "ETH_IRT")
      fake.trades(12)
      fake.centrifugo.ping()
      for (let i = 0; i < 20; i++) fake.trade(i % 2 === 0 ? "BTC_IRT" : "ETH_IRT")
      yield* client.until("all pushes", () => pushes(client).length === 24)
      const frames = client.frames.slice(1).map((frame) => frame.split("\n"))
      assert.deepStrictEqual(frames.map(({ length }) => length), [16, 9])
      assert.strictEqual(frames[0]?.[4], "{}")
      assert.isFalse(client.frames.some((frame) => frame.endsWith("\n")))
      assert.deepStrictEqual(
        pushes(client).filter(({ channel }) => channel === "matches:BTC_IRT").map(({ pub }) => pub.offset),
        Array.from({ length: 12 }, (_, i) => i + 1)
      )
      const verdict = judge(fake.issued, bitpinTrades(client.documents))
      assert.deepStrictEqual([verdict.missing, verdict.foreign, verdict.disordered], [[], [], []])
      // Four markets had no subscriber.
      assert.strictEqual(verdict.unsent.length, 8)
    }))

  it.scopedLive("of a mute market do not come, of others they do, and pings go on", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.make({ window: 1 })
      const client = yield* subscriber(fake, "BTC_IRT", "ETH_IRT")
      fake.server.script.mute = new Set(["BTC_IRT"])
      fake.trade("BTC_IRT")
      fake.trade("ETH_IRT")
      fake.server.script.mute = "all"
      fake.trade("ETH_IRT")
      fake.centrifugo.ping()
      yield* client.documentCount(5)
      assert.deepStrictEqual(client.documents.slice(3).map(({ push }) => push?.channel), ["matches:ETH_IRT", undefined])
      assert.deepStrictEqual(fake.issued.map(({ sent }) => sent), [false, true, false])
    }))

  it.scopedLive("go only to who subscribed to matches", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.make({ window: 1 })
      const books = yield* subscriber(fake)
      books.send({ id: 2, subscribe: { channel: "orderbook:BTC_IRT" } })
      yield* books.documentCount(2)
      assert.strictEqual(fake.subscribed, 0)
      fake.trade("BTC_IRT")
      fake.centrifugo.ping()
      yield* books.documentCount(3)
      assert.deepStrictEqual(books.documents[2], {})
      assert.isFalse(fake.issued[0]?.sent)
    }))
})

it.scopedLive("pushes of any kind, and a subscription that the server ends", () =>
  Effect.gen(function*() {
    const fake = yield* FakeBitpin.make()
    const client = yield* subscriber(fake, "BTC_IRT")
    fake.centrifugo.push({ channel: "matches:BTC_IRT", nova: { x: 1 } })
    fake.centrifugo.unsubscribe("matches:BTC_IRT", 2500, "insufficient state")
    fake.trade("BTC_IRT")
    fake.centrifugo.ping()
    yield* client.documentCount(5)
    assert.deepStrictEqual(client.documents.slice(2), [
      { push: { channel: "matches:BTC_IRT", nova: { x: 1 } } },
      { push: { channel: "matches:BTC_IRT", unsubscribe: { code: 2500, reason: "insufficient state" } } },
      {}
    ])
  }))

describe("recovery", () => {
  const recover = (fake: FakeBitpin.FakeBitpinExchange, position: object) =>
    Effect.gen(function*() {
      const client = yield* connect(fake.wsUrl)
      client.send({ id: 1, connect: {} }, {
        id: 2,
        subscribe: { channel: "matches:BTC_IRT", recover: true, ...position }
      })
      yield* client.documentCount(2)
      return client
    })

  it.scopedLive("gives what was missed, or nothing; and after a restart nothing", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.make({ recovery: true, window: 1 })
      const first = yield* subscriber(fake, "BTC_IRT")
      assert.deepStrictEqual(first.documents[1], { id: 2, subscribe: { recoverable: true, epoch: "e0" } })
      fake.trade("BTC_IRT")
      yield* first.documentCount(3)
      fake.server.drop(3001)
      assert.strictEqual(yield* first.closeCode, 3001)
      fake.trade("BTC_IRT")
      fake.trade("BTC_IRT")
      const second = yield* recover(fake, { epoch: "e0", offset: 1 })
      const { publications, ...rest } = second.documents[1].subscribe
      assert.deepStrictEqual(rest, { recoverable: true, epoch: "e0", recovered: true, offset: 3, was_recovering: true })
      assert.deepStrictEqual(publications.map(({ offset }: any) => offset), [2, 3])
      const seen = bitpinTrades([...first.documents, ...second.documents])
      assert.strictEqual(seen.length, 3)
      assert.deepStrictEqual(judge(fake.issued, seen).missing, [])
      for (const position of [{ epoch: "other", offset: 1 }, { epoch: "e0", offset: 9 }]) {
        const lost = yield* recover(fake, position)
        assert.deepStrictEqual(lost.documents[1].subscribe, {
          recoverable: true,
          epoch: "e0",
          offset: 3,
          was_recovering: true
        })
      }
      yield* Effect.promise(() => fake.server.refuse())
      yield* Effect.promise(() => fake.server.listen())
      const third = yield* recover(fake, { epoch: "e0", offset: 3 })
      assert.deepStrictEqual(third.documents[1].subscribe, { recoverable: true, epoch: "e1", was_recovering: true })
      fake.trade("BTC_IRT")
      yield* third.documentCount(3)
      assert.strictEqual(third.documents[2].push.pub.offset, 1)
    }))

  it.scopedLive("recovers nothing that history no longer holds", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.make({ recovery: true, window: 1 })
      for (let i = 0; i < 102; i++) fake.trade("BTC_IRT")
      const late = yield* recover(fake, { epoch: "e0", offset: 1 })
      assert.isUndefined(late.documents[1].subscribe.recovered)
      const inTime = yield* recover(fake, { epoch: "e0", offset: 2 })
      assert.strictEqual(inTime.documents[1].subscribe.publications.length, 100)
    }))

  it.scopedLive("the last window comes inside the reply if so wanted", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.make({ publicationsInReply: true, window: 2 })
      for (let i = 0; i < 3; i++) fake.trade("BTC_IRT")
      assert.deepStrictEqual(fake.issued.map(({ sent }) => sent), [false, false, false])
      const client = yield* subscriber(fake, "BTC_IRT")
      const [publication] = client.documents[1].subscribe.publications
      assert.strictEqual(publication.offset, 3)
      assert.strictEqual(publication.data.matches.length, 2)
      assert.deepStrictEqual(fake.issued.map(({ sent }) => sent), [false, true, true])
    }))
})

describe("REST", () => {
  it.scopedLive("lists markets as an array, not tradable ones too", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.make({ markets: 3 })
      fake.addMarket({ base: "1INCH", quote: "USDT", price: "0.1550" })
      fake.removeMarket("ETH_IRT")
      const { body, status } = yield* getJson(`${fake.apiUrl}/api/v1/mkt/markets/`)
      assert.strictEqual(status, 200)
      assert.deepStrictEqual(body.map(({ symbol, tradable }: any) => [symbol, tradable]), [
        ["BTC_IRT", true],
        ["USDT_USDT", true],
        ["OLD_IRT", false],
        ["1INCH_USDT", true]
      ])
      assert.deepStrictEqual(body[0], {
        symbol: "BTC_IRT",
        name: "BTC/Toman",
        base: "BTC",
        quote: "IRT",
        tradable: true,
        price_precision: "0",
        base_amount_precision: "8",
        quote_amount_precision: "0"
      })
      assert.throws(() => fake.trade("ETH_IRT"), "no market ETH_IRT")
      fake.trade("1INCH_USDT")
      const row = (yield* getJson(`${fake.apiUrl}/api/v1/mth/matches/1INCH_USDT/`)).body[0]
      assert.match(row.price, /^\d+\.\d{6}$/)
    }))

  it.scopedLive("gives the last trades, newest first, and the oracle knows which", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.make({ history: 4 })
      for (let i = 0; i < 6; i++) fake.trade("BTC_IRT", { amount: "2" })
      const { body } = yield* getJson(`${fake.apiUrl}/api/v1/mth/matches/BTC_IRT/`)
      const delivered = bitpinHistory("BTC_IRT", body)
      assert.deepStrictEqual(delivered.map(({ id }) => id), fake.issued.slice(2).map(({ id }) => id))
      const verdict = judge(fake.issued, delivered)
      assert.deepStrictEqual([verdict.foreign, verdict.missing, verdict.unsent.length], [[], [], 2])
      assert.deepStrictEqual(judge(fake.issued, [...delivered].reverse()).disordered.length, 3)
      assert.strictEqual((yield* getJson(`${fake.apiUrl}/api/v1/mth/matches/NO_SUCH/`)).status, 404)
      assert.strictEqual((yield* getJson(`${fake.apiUrl}/api/v1/mth/matches/BTC_IRT`)).status, 404)
      assert.deepStrictEqual(fake.server.restCalls.map(({ url }) => url), [
        "/api/v1/mth/matches/BTC_IRT/",
        "/api/v1/mth/matches/NO_SUCH/",
        "/api/v1/mth/matches/BTC_IRT"
      ])
    }))
})

it.scopedLive("the same seed makes the same trades, tiny ones among them", () =>
  Effect.gen(function*() {
    const [a, b, c] = [1, 1, 2].map((seed) => new FakeBitpin.FakeBitpinExchange({ seed }))
    for (const fake of [a, b, c]) fake?.trades(100)
    const contents = [a, b, c].map((fake) => fake?.issued.map(({ expected }) => ({ ...expected, timestamp: "" })))
    assert.deepStrictEqual(contents[0], contents[1])
    assert.notDeepEqual(contents[0], contents[2])
    assert.strictEqual(contents[0]?.filter(({ amount }) => Number(amount) < 1e-6).length, 7)
  }))
