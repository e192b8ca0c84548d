import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, TestClock } from "effect"
import * as BookReader from "../../../src/layers/testing/BookReader.ts"
import * as FakeKraken from "../../../src/layers/testing/FakeKraken.ts"
import * as Oracle from "../../../src/layers/testing/Oracle.ts"
import type { Book, BookDelta, MarketEvent, Trade } from "../../../src/services/MarketEvent.ts"
import { kraken } from "../../../src/streams/exchanges/Kraken.ts"
import type * as Feed from "../../../src/streams/Feed.ts"
import { hurryClock, lifeOf, run, settle } from "../../streams/support/Harness.ts"
import { connect } from "./RawClient.ts"

const subscribe = (params: object, req_id = 7) => ({
  method: "subscribe",
  params: { channel: "trade", ...params },
  req_id
})

it.scopedLive("greets, answers market by market, begins with the last trades, and beats", () =>
  Effect.gen(function*() {
    const fake = yield* FakeKraken.make({ markets: 3, heartbeat: 20, snapshot: 2 })
    const [btc = "", eth = ""] = fake.tradable.map(({ exchangeSymbol }) => exchangeSymbol)
    for (let n = 0; n < 3; n++) fake.trade(btc, { price: "83744.3", amount: "0.0004478", time: Date.now() + n })
    const client = yield* connect(fake.wsUrl)
    yield* client.frameCount(1)
    assert.include(client.frames[0], `"connection_id":18125794168470749634`)
    client.send(subscribe({ symbol: [btc, eth, "XBT/USD"], snapshot: true }))
    yield* client.until("answers", () => client.documents.some(({ error }) => error !== undefined))
    const [, first, snapshot, second, refusal] = client.documents
    assert.deepInclude(first, { method: "subscribe", success: true, req_id: 7 })
    assert.deepStrictEqual(first.result, { channel: "trade", snapshot: true, symbol: btc })
    assert.deepStrictEqual([snapshot.type, snapshot.data.map((row: any) => row.trade_id)], [
      "snapshot",
      [109_116_694, 109_116_695]
    ])
    assert.include(client.frames[2], `"price":83744.3,"qty":0.00044780,`)
    assert.strictEqual(second.result.symbol, eth)
    assert.deepInclude(refusal, { error: "Currency pair not supported XBT/USD", success: false, symbol: "XBT/USD" })
    yield* client.until("heart", () => client.documents.some(({ channel }) => channel === "heartbeat"))
    fake.sweep(btc, 3)
    yield* client.until("trades", () => client.documents.some(({ type }) => type === "update"))
    client.send({ method: "ping" })
    yield* client.until("pong", () => client.documents.some(({ method }) => method === "pong"))
    assert.strictEqual(fake.pings, 1)
    client.send({ method: "unsubscribe", params: { channel: "trade", symbol: [btc] }, req_id: 8 })
    yield* client.until("left", () => client.documents.some(({ req_id }) => req_id === 8))
    assert.strictEqual(fake.subscribed, 1)
  }))

it.scopedLive("is strict: frames that come too fast, channels it has not, clients that say nothing", () =>
  Effect.gen(function*() {
    const fake = yield* FakeKraken.make({ markets: 2, perSecond: 3, patience: 300, nameless: true })
    const client = yield* connect(fake.wsUrl)
    client.ws.send(JSON.stringify(subscribe({ channel: "book", symbol: ["BTC/USD"], depth: 27 }, 3)))
    client.ws.send(JSON.stringify(subscribe({ symbol: ["BTC/USD", "NO/USD"] }, 4)))
    client.ws.send("nonsense")
    client.ws.send(JSON.stringify(subscribe({ symbol: ["BTC/USD"] }, 5)))
    yield* client.frameCount(5)
    assert.deepStrictEqual(client.documents.slice(1).map(({ error, req_id, symbol }) => [error, req_id, symbol]), [
      ["Subscription depth not supported", 3, undefined],
      ["Currency pair not supported NO/USD", 4, undefined],
      ["Unsupported method", undefined, undefined],
      ["Exceeded msg rate", undefined, undefined]
    ])
    assert.deepStrictEqual([fake.refusals, fake.subscribed], [1, 0])
    assert.strictEqual(yield* Effect.promise(() => client.closed), 1006)
    assert.strictEqual(fake.hungUp, 1)
  }))

it.scopedLive("lists markets by their old names, pages from a time on, and refuses with status 200", () =>
  Effect.gen(function*() {
    const fake = yield* FakeKraken.make({ markets: 6, oddities: true, perMinute: 7 })
    const get = (path: string) =>
      Effect.promise(async () => {
        const answer = await fetch(`${fake.apiUrl}/0/public/${path}`)
        return { status: answer.status, text: await answer.text() }
      })
    const result = JSON.parse((yield* get("AssetPairs")).text).result
    assert.deepStrictEqual(
      Object.values(result).map(({ status, wsname }: any) => [wsname, status]),
      [
        [undefined, "online"],
        ["XBT/USD", "online"],
        ["ETH/EUR", "online"],
        ["USDT/XBT", "online"],
        ["TRX/USD", "online"],
        ["SOL/EUR", "online"],
        ["XDG/XBT", "online"],
        ["OLD/EUR", "cancel_only"],
        ["NEW/USD", "post_only"],
        ["AAPLx/USD", "online"]
      ]
    )
    const time = Date.parse("2026-09-25T18:10:40.939Z")
    for (const micros of [291, 291, 292]) fake.trade("BTC/USD", { price: "83930.3", time, micros })
    const { text } = yield* get("Trades?pair=BTC%2FUSD")
    const rows = JSON.parse(text).result["BTC/USD"]
    assert.deepStrictEqual(rows.map((row: any) => [row[0], row[6]]), [
      ["83930.30000", 109_116_693],
      ["83930.30000", 109_116_694],
      ["83930.30000", 109_116_695]
    ])
    const last = BigInt(JSON.parse(text).result.last)
    const ids = (page: { readonly text: string }) => JSON.parse(page.text).result["BTC/USD"].map((row: any) => row[6])
    assert.deepStrictEqual(ids(yield* get(`Trades?pair=BTC/USD&since=${last}`)), [])
    assert.deepStrictEqual(ids(yield* get(`Trades?pair=BTC/USD&since=${last - 1n}`)), [109_116_695])
    assert.deepStrictEqual(ids(yield* get("Trades?pair=BTC/USD&since=0&count=2")), [109_116_693, 109_116_694])
    assert.deepStrictEqual(yield* get("Trades?pair=XBT/USD"), {
      status: 200,
      text: `{"error":["EQuery:Unknown asset pair"]}`
    })
    yield* get("SystemStatus")
    assert.strictEqual((yield* get("SystemStatus")).text, `{"error":["EAPI:Rate limit exceeded"]}`)
  }))

const tradesOf = (events: ReadonlyArray<MarketEvent>) =>
  events.filter((event): event is Trade => event.type === "trade")

const gapsOf = (events: ReadonlyArray<MarketEvent>) =>
  events.flatMap((event) =>
    event.type === "status" && event.event === "gap"
      ? [
        `${event.symbol} ${event["cause"]} ${event["recovered"]} ${
          event["complete"] === true ? "filled" : "not filled"
        }`
      ]
      : []
  )

const clean = { missing: [], doubtful: [], unsent: [], foreign: [], wrong: [], duplicates: [], disordered: [] }

/** `before`: what happens before the collector starts, and what it remembers of an earlier life. */
const begin = Effect.fnUntraced(function*(
  options: Partial<Feed.FeedOptions> = {},
  before: (fake: FakeKraken.FakeKrakenExchange) => Feed.FeedOptions["memory"] = () => new Map()
) {
  yield* hurryClock
  yield* TestClock.setTime(Date.parse("2026-09-25T17:48:26.844Z"))
  const fake = yield* FakeKraken.FakeKraken
  const feed = yield* run(kraken, { endpoints: fake, memory: before(fake), ...options })
  const events: Array<MarketEvent> = []
  const go = (seconds: number) =>
    TestClock.adjust(`${seconds} seconds`).pipe(
      Effect.andThen(settle),
      Effect.andThen(Effect.map(feed.rest, (more) => void events.push(...more)))
    )
  yield* go(3)
  return { fake, feed, events, go }
})

const pagesOf = ({ server }: FakeKraken.FakeKrakenExchange) =>
  server.restCalls.map(({ url }) => url).filter((url) => url.includes("since="))

describe("a feed of Kraken's", () => {
  it.scoped("after a restart nothing is missing that was traded before the market's last trades, which come first", () =>
    Effect.gen(function*() {
      const { events, fake, go } = yield* begin({}, (fake) => {
        fake.trades(3)
        const memory = lifeOf(fake.issued)
        fake.trades(120)
        return memory
      })
      yield* go(10)
      fake.trades(1)
      yield* go(10)
      assert.deepStrictEqual(Oracle.judge(fake.issued.slice(3), tradesOf(events)), clean)
      assert.deepStrictEqual(gapsOf(events).map((gap) => gap.split(" ").slice(0, 2).join(" ")), ["BTC/USD restart"])
    }).pipe(Effect.provide(FakeKraken.memory({ markets: 1 }))))

  it.scoped("delivers each trade once, exact, in order, over drops of every kind, and is never too fast", () =>
    Effect.gen(function*() {
      const { events, fake, feed, go } = yield* begin()
      assert.strictEqual(fake.subscribed, fake.tradable.length)
      fake.maintenance()
      for (const how of [1006, 1001, 1013, "reset"] as const) {
        for (let n = 0; n < 8; n++) {
          fake.trades(40)
          fake.sweep("BTC/USD", 5)
          yield* go(1)
        }
        fake.server.drop(how)
        fake.trades(700)
      }
      yield* go(60)
      fake.trades(40)
      yield* go(60)
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
      assert.deepStrictEqual([fake.refusals, fake.hungUp, feed.status().decodeFailures.size], [0, 0, 0])
      // One frame for all markets of a connection.
      assert.lengthOf(fake.server.accepted[0]?.received.filter((text) => text.includes("subscribe")) ?? [], 1)
      assert.isAbove(fake.pings, 0)
    }).pipe(Effect.provide(FakeKraken.memory({ markets: 9, perMinute: 40, restPerSecond: 2 }))))

  it.scoped(
    "fills a hole of three minutes and 5 000 trades, upwards, within the budget, each trade once and in order",
    () =>
      Effect.gen(function*() {
        const { events, fake, go } = yield* begin()
        fake.trades(3)
        yield* go(1)
        fake.server.script.upgrade = { status: 503 }
        fake.server.drop(1006)
        for (let second = 0; second < 180; second++) {
          // Orders that fill many others share one time, also where a page ends.
          for (let n = 0; n < 28; n += 7) fake.sweep("BTC/USD", 7)
          yield* TestClock.adjust("1 second")
        }
        fake.server.heal()
        yield* go(120)
        fake.trades(1)
        yield* go(5)
        assert.strictEqual(fake.issued.length, 5_044)
        assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
        assert.deepStrictEqual(gapsOf(events).at(-1), "BTC/USD disconnected 4990 filled")
        assert.strictEqual(fake.refusals, 0)
        assert.isAtMost(pagesOf(fake).length, 8)
      }).pipe(Effect.provide(FakeKraken.memory({ markets: 1, perMinute: 40, restPerSecond: 2 }))),
    { timeout: 20_000 }
  )

  it.scoped("a number that is missing on the living connection is a hole, filled a second later, nothing held up", () =>
    Effect.gen(function*() {
      const { events, fake, go } = yield* begin()
      fake.trades(2)
      fake.server.script.mute = "all"
      // Of one order, whose time is known already: what was kept from us shares it.
      fake.sweep("BTC/USD", 3)
      fake.server.heal()
      fake.trades(1)
      yield* go(0.5)
      assert.lengthOf(tradesOf(events), 3)
      assert.lengthOf(pagesOf(fake), 0)
      yield* go(1)
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
      assert.deepStrictEqual(gapsOf(events), ["BTC/USD sequence 3 filled"])
      assert.lengthOf(pagesOf(fake), 1)
    }).pipe(Effect.provide(FakeKraken.memory({ markets: 1 }))))

  it.scoped("the last 50 of a subscription close a short hole without a question", () =>
    Effect.gen(function*() {
      const { events, fake, go } = yield* begin()
      fake.trades(2)
      yield* go(1)
      fake.server.drop(1006)
      fake.trades(48)
      yield* go(10)
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
      assert.deepStrictEqual(tradesOf(events).filter(({ source }) => source === "rest"), [])
      assert.deepStrictEqual(pagesOf(fake), [])
    }).pipe(Effect.provide(FakeKraken.memory({ markets: 1 }))))

  it.scoped(
    "a market that has become quiet is asked for anew ever less often, though each subscription begins with its last trades",
    () =>
      Effect.gen(function*() {
        const { events, fake, go } = yield* begin()
        for (let n = 0; n < 15; n++) {
          fake.trades(1)
          yield* go(2)
        }
        for (let minute = 0; minute < 15; minute++) yield* go(60)
        const stale = events.filter((event) => event.type === "status" && event.event === "stale")
        assert.isAtLeast(stale.length, 2)
        assert.isAtMost(stale.length, 5)
        assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
      }).pipe(Effect.provide(FakeKraken.memory({ markets: 1, heartbeat: 20_000 }))),
    { timeout: 20_000 }
  )

  it.scoped("a refusal that names no market spoils no other: each is asked for by itself, one is told", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.parse("2026-09-25T17:48:26.844Z"))
      const fake = yield* FakeKraken.FakeKraken
      fake.server.script.denied = new Set(["ETH/EUR"])
      const { events, go } = yield* begin()
      yield* go(20)
      assert.strictEqual(fake.subscribed, fake.tradable.length - 1)
      const told = events.flatMap((event) =>
        event.type === "status" && event.event === "stale" ? [[event.symbol, event["reason"]]] : []
      )
      assert.deepStrictEqual(told, [["ETH/EUR", "refused: error Currency pair not supported ETH/EUR"]])
      assert.deepStrictEqual([fake.refusals, fake.server.dials.length], [0, 1])
    }).pipe(Effect.provide(FakeKraken.memory({ markets: 6, nameless: true }))))

  it.scoped("leaves out a name that is no canonical one, and a dark pool; a refused budget is waited for", () =>
    Effect.gen(function*() {
      const { events, fake, go } = yield* begin()
      assert.strictEqual(fake.subscribed, 2)
      fake.trades(2)
      fake.server.script.rest = {
        status: 200,
        body: `{"error":["EAPI:Rate limit exceeded"]}`,
        headers: { "content-type": "application/json" }
      }
      fake.server.drop(1006)
      fake.trades(200)
      yield* go(10)
      const asked = fake.server.restCalls.length
      yield* go(4)
      assert.strictEqual(fake.server.restCalls.length, asked)
      fake.server.heal()
      yield* go(60)
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
    }).pipe(Effect.provide(FakeKraken.memory({ markets: 2, oddities: true }))))
})

describe("books of Kraken's", () => {
  const booksOf = (events: ReadonlyArray<MarketEvent>) =>
    events.filter((event): event is Book | BookDelta => event.type === "book" || event.type === "book_delta")
  const holesOf = (events: ReadonlyArray<MarketEvent>) =>
    events.flatMap((event) =>
      event.type === "status" && event.event === "gap" && event["channel"] === "books"
        ? [[event.symbol, event["cause"], event["complete"]]]
        : []
    )
  const listen = (depth: number) =>
    begin({
      channels: ["books"],
      books: { depth, interval: Duration.zero, refresh: Duration.zero, deltas: true }
    })
  const commandsOf = (fake: FakeKraken.FakeKrakenExchange) =>
    fake.server.accepted.flatMap(({ received }) =>
      received.map((text) => JSON.parse(text)).filter(({ method }) => method !== "ping").map(({ method, params }) => [
        method,
        params.depth,
        ...params.symbol
      ])
    )
  const [btc, eth] = ["BTC/USD", "ETH/EUR"] as const
  const read = (events: ReadonlyArray<MarketEvent>) => {
    const reader = BookReader.make()
    reader.read(events)
    return reader
  }

  it.scoped("are cut to the depth that holds what is wanted: nobody says what falls out of it, and it comes back", () =>
    Effect.gen(function*() {
      const { events, fake, feed, go } = yield* listen(8)
      assert.deepStrictEqual(commandsOf(fake), [["subscribe", 10, btc, eth]])
      for (let n = 0; n < 20; n++) {
        fake.bookChanges(20)
        yield* go(1)
      }
      assert.deepStrictEqual(holesOf(events), [])
      for (const symbol of [btc, eth]) {
        assert.isAbove(fake.book(symbol).asks.length, 12)
        assert.deepStrictEqual(read(events).book(`kraken:${symbol}`), fake.book(symbol, 10))
      }
      assert.strictEqual(feed.status().decodeFailures.size, 0)
    }).pipe(Effect.provide(FakeKraken.memory({ markets: 2 }))))

  it.scoped("a checksum that is not the book's makes it doubtful, and one new subscription whole again", () =>
    Effect.gen(function*() {
      const { events, fake, go } = yield* listen(25)
      fake.bookChanges(10)
      yield* go(1)
      const before = booksOf(events).length
      fake.spoil(btc, 3)
      for (let n = 0; n < 3; n++) fake.changeBook(btc)
      // Nothing is told while it is doubtful, and the others go on.
      fake.changeBook(eth)
      yield* go(0)
      assert.isTrue(booksOf(events).slice(before).every(({ symbol }) => symbol === eth))
      for (let n = 0; n < 20; n++) {
        fake.bookChanges(4)
        yield* go(1)
      }
      assert.deepStrictEqual(holesOf(events), [[btc, "checksum", false], [btc, "checksum", true]])
      assert.deepStrictEqual(commandsOf(fake), [
        ["subscribe", 25, btc, eth],
        ["unsubscribe", 25, btc],
        ["subscribe", 25, btc]
      ])
      for (const symbol of [btc, eth]) {
        assert.deepStrictEqual(read(events).book(`kraken:${symbol}`), fake.book(symbol, 25))
      }
    }).pipe(Effect.provide(FakeKraken.memory({ markets: 2 }))))

  it.scoped("one that stays wrong is asked for once in 10 s at most, then ever less often; when it is right again, so is the book", () =>
    Effect.gen(function*() {
      const { events, fake, go } = yield* listen(10)
      fake.spoil(btc, Infinity)
      const askedAt: Array<number> = []
      for (let second = 0; second < 320; second++) {
        for (let n = 0; n < 4; n++) fake.changeBook(btc)
        const before = commandsOf(fake).length
        yield* go(1)
        if (commandsOf(fake).length > before) askedAt.push(second)
      }
      const apart = askedAt.slice(1).map((at, i) => at - (askedAt[i] ?? 0))
      assert.deepStrictEqual(apart.map((seconds) => Math.round(seconds / 10)), [1, 2, 4, 8, 16])
      assert.isTrue(apart.every((seconds) => seconds >= 10))
      fake.spoil(btc, 0)
      for (let second = 0; second < 340; second++) {
        fake.bookChanges(2)
        yield* go(1)
      }
      assert.deepStrictEqual(holesOf(events).at(-1), [btc, "checksum", true])
      assert.deepStrictEqual(read(events).book(`kraken:${btc}`), fake.book(btc, 10))
    }).pipe(Effect.provide(FakeKraken.memory({ markets: 2 }))))
})
