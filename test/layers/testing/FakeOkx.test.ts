import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, TestClock } from "effect"
import * as BookReader from "../../../src/layers/testing/BookReader.ts"
import * as FakeOkx from "../../../src/layers/testing/FakeOkx.ts"
import * as Oracle from "../../../src/layers/testing/Oracle.ts"
import type { Book, BookDelta, MarketEvent, Trade } from "../../../src/services/MarketEvent.ts"
import { okx } from "../../../src/streams/exchanges/Okx.ts"
import type * as Feed from "../../../src/streams/Feed.ts"
import { hurryClock, run, settle } from "../../streams/support/Harness.ts"
import { connect } from "./RawClient.ts"

const subscribe = (...names: ReadonlyArray<string>) => ({
  id: "7",
  op: "subscribe",
  args: names.map((instId) => ({ channel: "trades-all", instId }))
})

it.scopedLive("is heard behind its address alone, answers market by market, and pushes each match singly", () =>
  Effect.gen(function*() {
    const fake = yield* FakeOkx.make({ markets: 2 })
    assert.strictEqual((yield* Effect.exit(connect(fake.wsUrl)))._tag, "Failure")
    assert.deepStrictEqual(fake.server.dials.map(({ accepted }) => accepted), [false])
    const client = yield* connect(`${fake.wsUrl}/business`)
    client.send(subscribe("BTC-USDT", "NO-USDT", "ETH-USDC"))
    yield* client.frameCount(3)
    assert.deepStrictEqual(client.documents.map(({ arg, code, event, id }) => [event, id, arg?.instId ?? code]), [
      ["subscribe", "7", "BTC-USDT"],
      ["error", "7", "60018"],
      ["subscribe", "7", "ETH-USDC"]
    ])
    fake.trade("BTC-USDT", { price: "78808.8", amount: "0.5", side: "sell", time: 1788118931677 })
    yield* client.frameCount(4)
    assert.deepStrictEqual(client.documents[3], {
      arg: { channel: "trades-all", instId: "BTC-USDT" },
      data: [
        {
          instId: "BTC-USDT",
          tradeId: "1051102132",
          px: "78808.8",
          sz: "0.5",
          side: "sell",
          ts: "1788118931677",
          source: "0"
        }
      ]
    })
    client.ws.send("ping")
    yield* client.frameCount(5)
    assert.strictEqual(client.frames[4], "pong")
    fake.upgrade(10)
    yield* client.frameCount(6)
    assert.deepInclude(JSON.parse(client.frames[5] ?? ""), { event: "notice", code: "64008" })
    assert.strictEqual(yield* Effect.promise(() => client.closed), 1001)
  }))

it.scopedLive("is strict: a ping in JSON, ids it does not take, too many commands, clients that say nothing", () =>
  Effect.gen(function*() {
    const fake = yield* FakeOkx.make({ markets: 2, commands: 1, patience: 300 })
    const client = yield* connect(`${fake.wsUrl}/business`)
    client.ws.send(`{"op":"ping"}`)
    client.ws.send(JSON.stringify({ ...subscribe("BTC-USDT"), id: "a-b" }))
    client.ws.send(JSON.stringify(subscribe("BTC-USDT")))
    client.ws.send(JSON.stringify(subscribe("BTC-USDT")))
    yield* client.frameCount(4)
    assert.deepStrictEqual(client.documents.map(({ code, event }) => code ?? event), [
      "60012",
      "60012",
      "subscribe",
      "60014"
    ])
    assert.strictEqual(yield* Effect.promise(() => client.closed), 4004)
    assert.deepStrictEqual([fake.refusals, fake.hungUp], [1, 1])
  }))

it.scopedLive("lists its markets, pages below a number, and refuses by code", () =>
  Effect.gen(function*() {
    const fake = yield* FakeOkx.make({ markets: 2, pages: 3 })
    const get = (path: string) =>
      Effect.promise(async () => {
        const answer = await fetch(`${fake.apiUrl}/api/v5/${path}`)
        return { status: answer.status, body: JSON.parse(await answer.text()) }
      })
    const { body } = yield* get("public/instruments?instType=SPOT")
    assert.deepStrictEqual(body.data.map((row: any) => [row.instId, row.state]), [
      ["BTC-USDT", "live"],
      ["ETH-USDC", "live"],
      ["SOON-USDT", "preopen"],
      ["OLD-USDT", "suspend"]
    ])
    // Older than its history goes back.
    fake.trade("BTC-USDT", { time: Date.now() - 91 * 24 * 3_600_000 })
    for (let n = 0; n < 4; n++) fake.trade("BTC-USDT")
    const ids = (answer: { readonly body: any }) =>
      answer.body.data.map((row: any) => Number(row.tradeId) - 1_051_102_132)
    assert.deepStrictEqual(ids(yield* get("market/trades?instId=BTC-USDT")), [4, 3, 2, 1])
    const path = "market/history-trades?instId=BTC-USDT&type=1"
    assert.deepStrictEqual(ids(yield* get(`${path}&after=1051102135&limit=2`)), [2, 1])
    assert.deepStrictEqual(ids(yield* get(`${path}&after=1051102135`)), [2, 1])
    assert.strictEqual((yield* get("market/history-trades?instId=NO-USDT&type=1")).body.code, "51001")
    const { body: refusal, status } = yield* get(path)
    assert.deepStrictEqual([status, refusal.code], [429, "50011"])
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

const begin = Effect.fnUntraced(function*(options: Partial<Feed.FeedOptions> = {}, exchange = okx) {
  yield* hurryClock
  yield* TestClock.setTime(Date.parse("2026-08-31T19:02:11.677Z"))
  const fake = yield* FakeOkx.FakeOkx
  const feed = yield* run(exchange, { endpoints: fake, ...options })
  const events: Array<MarketEvent> = []
  const go = (seconds: number) =>
    TestClock.adjust(`${seconds} seconds`).pipe(
      Effect.andThen(settle),
      Effect.andThen(Effect.map(feed.rest, (more) => void events.push(...more)))
    )
  yield* go(3)
  return { fake, feed, events, go }
})

const pagesOf = ({ server }: FakeOkx.FakeOkxExchange) =>
  server.restCalls.map(({ url }) => url).filter((url) => url.includes("after="))

describe("a feed of OKX's", () => {
  it.scoped("delivers each trade once, exact, in order, over drops of every kind, within all limits", () =>
    Effect.gen(function*() {
      const { events, fake, feed, go } = yield* begin()
      assert.strictEqual(fake.subscribed, fake.tradable.length)
      for (const how of [1006, 4004, 1001, "reset"] as const) {
        for (let n = 0; n < 8; n++) {
          fake.trades(40)
          yield* go(1)
        }
        fake.server.drop(how)
        fake.trades(900)
      }
      yield* go(60)
      fake.trades(40)
      yield* go(60)
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
      assert.deepStrictEqual([fake.refusals, fake.hungUp, feed.status().decodeFailures.size], [0, 0, 0])
      assert.lengthOf(fake.server.accepted[0]?.received.filter((text) => text.includes("subscribe")) ?? [], 1)
      assert.isAbove(fake.pings, 3)
    }).pipe(Effect.provide(FakeOkx.memory({ markets: 9 }))))

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
          fake.trades(28)
          yield* TestClock.adjust("1 second")
        }
        fake.server.heal()
        yield* go(120)
        fake.trades(1)
        yield* go(5)
        assert.strictEqual(fake.issued.length, 5_044)
        assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
        assert.deepStrictEqual(gapsOf(events).at(-1), "BTC/USDT disconnected 5040 filled")
        assert.strictEqual(fake.refusals, 0)
        assert.isAtMost(pagesOf(fake).length, 54)
      }).pipe(Effect.provide(FakeOkx.memory({ markets: 1 }))),
    { timeout: 20_000 }
  )

  it.scoped("a number that is missing on the living connection is a hole, filled a second later; one of no trade is none", () =>
    Effect.gen(function*() {
      const { events, fake, go } = yield* begin()
      fake.trades(2)
      fake.server.script.mute = "all"
      fake.trades(3)
      fake.server.heal()
      fake.trades(1)
      yield* go(0.5)
      assert.lengthOf(tradesOf(events), 3)
      yield* go(1)
      fake.skip("BTC-USDT", 7)
      fake.trades(2)
      yield* go(40)
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
      assert.deepStrictEqual(gapsOf(events), ["BTC/USDT sequence 3 filled"])
      assert.lengthOf(pagesOf(fake), 2)
    }).pipe(Effect.provide(FakeOkx.memory({ markets: 1 }))))

  it.scoped("a connection that is about to end is replaced before it does, and nothing is missed or asked for", () =>
    Effect.gen(function*() {
      const { events, fake, go } = yield* begin()
      fake.trades(12)
      yield* go(5)
      fake.upgrade(60_000)
      for (let n = 0; n < 80; n++) {
        fake.trades(6)
        yield* go(1)
      }
      assert.lengthOf(fake.server.dials, 2)
      // It had left before it was cut.
      assert.deepStrictEqual(fake.server.accepted.map(({ closeCode }) => closeCode), [1000, undefined])
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
      assert.deepStrictEqual([gapsOf(events), pagesOf(fake)], [[], []])
    }).pipe(Effect.provide(FakeOkx.memory({ markets: 3 }))))

  it.scoped("so is one that says it before it has taken the other's place", () =>
    Effect.gen(function*() {
      const { events, fake, go } = yield* begin()
      const live = Effect.fnUntraced(function*(seconds: number) {
        for (let n = 0; n < seconds; n++) {
          fake.trades(6)
          yield* go(1)
        }
      })
      yield* live(3)
      fake.server.script.ackDelay = 4_000
      fake.upgrade(60_000)
      yield* live(3)
      const [first, second] = fake.server.accepted
      assert.lengthOf(fake.server.dials, 2)
      fake.upgrade(60_000, (connection) => connection === second)
      yield* live(90)
      assert.lengthOf(fake.server.dials, 3)
      assert.deepStrictEqual([first?.closeCode, second?.closeCode], [1000, 1000])
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
      assert.deepStrictEqual([gapsOf(events), pagesOf(fake)], [[], []])
    }).pipe(Effect.provide(FakeOkx.memory({ markets: 3 }))))

  for (const nameless of [false, true]) {
    it.scoped(`one bad market of a frame spoils no other${nameless ? ", also where nobody says which frame it was" : ""}`, () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(Date.parse("2026-08-31T19:02:11.677Z"))
        const fake = yield* FakeOkx.FakeOkx
        fake.server.script.denied = new Set(["ETH-USDC"])
        const { events, go } = yield* begin()
        yield* go(40)
        assert.strictEqual(fake.subscribed, fake.tradable.length - 1)
        fake.trades(12)
        yield* go(1)
        assert.strictEqual(new Set(tradesOf(events).map(({ symbol }) => symbol)).size, fake.tradable.length - 1)
        assert.strictEqual(fake.refusals, 0)
      }).pipe(Effect.provide(FakeOkx.memory({ markets: 6, nameless }))))
  }

  it.scoped("a connection that may send no more commands in the hour is replaced before one is refused", () =>
    Effect.gen(function*() {
      const { events, fake, feed, go } = yield* begin({
        marketsRefresh: "10 seconds"
      }, { ...okx, limits: { ...okx.limits, commandsPerHour: 4 } })
      for (let n = 0; n < 12; n++) {
        fake.addMarket({ base: `NEW${n}`, quote: "USDT", price: "1.5" })
        for (let second = 0; second < 10; second++) {
          fake.trades(6)
          yield* go(1)
        }
      }
      yield* go(20)
      fake.trades(30)
      yield* go(20)
      assert.strictEqual(fake.refusals, 0)
      assert.strictEqual(fake.subscribed, fake.tradable.length)
      assert.isAbove(fake.server.dials.length, 2)
      assert.deepStrictEqual(feed.status().connections.size, 1)
      assert.deepStrictEqual(Oracle.untold(fake.issued, events), [])
    }).pipe(Effect.provide(FakeOkx.memory({ markets: 2, commands: 4 }))))

  it.scoped("where too many commands were sent, those that follow are few, and told once", () =>
    Effect.gen(function*() {
      const { events, fake, go } = yield* begin({ marketsRefresh: "10 seconds" })
      for (let n = 0; n < 5; n++) {
        fake.addMarket({ base: `NEW${n}`, quote: "USDT", price: "1.5" })
        yield* go(10)
      }
      yield* go(10)
      assert.strictEqual(fake.subscribed, fake.tradable.length - 2)
      const sent = () =>
        fake.server.accepted.flatMap(({ received }) => received).filter((text) => text !== "ping").length
      const before = sent()
      for (let minute = 0; minute < 20; minute++) {
        fake.trades(fake.tradable.length)
        yield* go(60)
      }
      assert.isAtMost(sent() - before, 4)
      assert.lengthOf(fake.server.dials, 1)
      const told = events.flatMap((event) =>
        event.type === "status" && event.event === "stale" ? [[event.symbol, event["reason"]]] : []
      )
      assert.deepStrictEqual(told, [
        ["NEW3/USDT", "refused: 60014 Requests too frequent"],
        ["NEW4/USDT", "refused: 60014 Requests too frequent"]
      ])
    }).pipe(Effect.provide(FakeOkx.memory({ markets: 2, commands: 4 }))))

  it.scoped("an address that is not served is told with what to do", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.parse("2026-08-31T19:02:11.677Z"))
      const fake = yield* FakeOkx.FakeOkx
      fake.server.script.rest = { status: 451, body: "<html>", headers: {} }
      const { feed } = yield* begin()
      assert.include(feed.status().api?.message, "status: HTTP 451: not served here; try OKX_API_URL")
      assert.include(feed.status().api?.message, "eea.okx.com")
    }).pipe(Effect.provide(FakeOkx.memory({ markets: 1 }))))
})

describe("books of OKX's", () => {
  const booksOf = (events: ReadonlyArray<MarketEvent>) =>
    events.filter((event): event is Book | BookDelta => event.type === "book" || event.type === "book_delta")
  const holesOf = (events: ReadonlyArray<MarketEvent>) =>
    events.flatMap((event) =>
      event.type === "status" && event.event === "gap" && event["channel"] === "books"
        ? [[event.symbol, event["cause"], event["complete"]]]
        : []
    )
  const listen = begin({
    channels: ["books"],
    books: { depth: "all", interval: Duration.zero, refresh: Duration.zero, deltas: true }
  })
  const commandsOf = (fake: FakeOkx.FakeOkxExchange) =>
    fake.server.accepted.flatMap(({ received }) =>
      received.filter((text) => text !== "ping").map((text) => JSON.parse(text)).map(({ args, op }) => [
        op,
        args.map(({ channel, instId }: { channel: string; instId: string }) => `${channel}:${instId}`)
      ])
    )
  const [btc, eth] = ["books:BTC-USDT", "books:ETH-USDC"]

  it.scoped("a number that does not follow makes its market's book doubtful, and one new subscription whole again", () =>
    Effect.gen(function*() {
      const { events, fake, feed, go } = yield* listen
      fake.bookChanges(6)
      yield* go(1)
      assert.isTrue(booksOf(events).some(({ type }) => type === "book_delta"))
      fake.loseChanges("BTC-USDT")
      // The next three changes do not follow: one hole, one question.
      for (let n = 0; n < 3; n++) {
        fake.bookChanges(2)
        yield* TestClock.adjust("150 millis")
      }
      for (let n = 0; n < 40; n++) {
        fake.bookChanges(2)
        yield* go(1)
      }
      assert.deepStrictEqual(holesOf(events), [["BTC/USDT", "sequence", false], ["BTC/USDT", "sequence", true]])
      assert.deepStrictEqual(commandsOf(fake), [
        ["subscribe", [btc, eth]],
        ["unsubscribe", [btc]],
        ["subscribe", [btc]]
      ])
      const reader = BookReader.make()
      reader.read(events)
      for (const { exchangeSymbol, symbol } of fake.tradable) {
        assert.deepStrictEqual(reader.book(`okx:${symbol}`), fake.book(exchangeSymbol))
      }
      assert.strictEqual(feed.status().decodeFailures.size, 0)
    }).pipe(Effect.provide(FakeOkx.memory({ markets: 2 }))))

  it.scoped("that nothing has changed for a minute is no hole, nor are numbers that begin again", () =>
    Effect.gen(function*() {
      const { events, fake, feed, go } = yield* listen
      const { applied } = feed.status().books.parts
      for (let n = 0; n < 65; n++) yield* go(1)
      assert.lengthOf(booksOf(events), 2)
      // The exchange has said so, of each.
      assert.strictEqual(fake.keptAlive, 2)
      fake.bookChanges(2)
      yield* go(1)
      fake.renumber("BTC-USDT")
      fake.bookChanges(2)
      yield* go(1)
      fake.bookChanges(2)
      yield* go(1)
      assert.deepStrictEqual(holesOf(events), [])
      assert.isAbove(feed.status().books.parts.applied, applied)
      const reader = BookReader.make()
      reader.read(events)
      assert.strictEqual(reader.distrusts(), 0)
      assert.deepStrictEqual(reader.book("okx:BTC/USDT"), fake.book("BTC-USDT"))
      // What began again is not what was there before under the same number.
      const sequences = booksOf(events).filter(({ symbol }) => symbol === "BTC/USDT").map(({ sequence }) => sequence)
      assert.match(sequences.at(-1) ?? "", /^\d{4}\.\d{10}$/)
      assert.lengthOf(commandsOf(fake), 1)
    }).pipe(Effect.provide(FakeOkx.memory({ markets: 2 }))))
})
