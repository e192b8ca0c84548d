import { FetchHttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, TestClock } from "effect"
import * as NodeWebSocket from "../../../src/layers/node/WebSocket.ts"
import * as BookReader from "../../../src/layers/testing/BookReader.ts"
import * as FakeCoinbase from "../../../src/layers/testing/FakeCoinbase.ts"
import * as Oracle from "../../../src/layers/testing/Oracle.ts"
import type { Book, MarketEvent, Trade } from "../../../src/services/MarketEvent.ts"
import type { BooksOptions } from "../../../src/streams/books/Options.ts"
import * as Defaults from "../../../src/streams/Defaults.ts"
import { coinbase } from "../../../src/streams/exchanges/Coinbase.ts"
import type * as Feed from "../../../src/streams/Feed.ts"
import { hurryClock, lifeOf, run, settle } from "../../streams/support/Harness.ts"
import { connect } from "./RawClient.ts"

const command = (type: string, ...products: ReadonlyArray<string>) => ({
  type,
  channel: "market_trades",
  product_ids: products
})
const heartbeats = { type: "subscribe", channel: "heartbeats" }

/** The channel of each frame with its number; of an error what it says. */
const numbersOf = (documents: ReadonlyArray<any>) =>
  documents.map(({ channel, message, sequence_num }) => `${channel ?? message} ${sequence_num ?? ""}`.trim())

it.scopedLive("begins with a picture, then answers with all that there is; counts each frame but errors; trades newest first", () =>
  Effect.gen(function*() {
    const fake = yield* FakeCoinbase.make({ markets: 2, heartbeat: 60_000, batch: 20 })
    fake.trade("BTC-USD", { price: "63310.25", amount: "0.5", side: "sell", time: 1786562867532, micros: 655 })
    const client = yield* connect(fake.wsUrl)
    client.send(heartbeats)
    client.send(command("subscribe", "BTC-USD", "NO-USD", "ETH-EUR"))
    yield* client.frameCount(4)
    assert.deepStrictEqual(numbersOf(client.documents), [
      "subscriptions 0",
      "market_trades 1",
      "authentication failure",
      "subscriptions 2"
    ])
    assert.deepStrictEqual(client.documents[1]?.events, [{
      type: "snapshot",
      trades: [{
        product_id: "BTC-USD",
        trade_id: "1069726290",
        price: "63310.25",
        size: "0.5",
        time: "2026-08-12T19:27:47.532655Z",
        // Whoever took it has sold, so what lay in the book was bought.
        side: "BUY"
      }]
    }])
    assert.deepStrictEqual(client.documents[3]?.events, [
      { subscriptions: { heartbeats: ["heartbeats"], market_trades: ["BTC-USD", "ETH-EUR"] } }
    ])
    fake.trade("ETH-EUR")
    fake.trade("BTC-USD")
    yield* client.frameCount(5)
    assert.strictEqual(client.documents[4]?.sequence_num, 3)
    assert.deepStrictEqual(client.documents[4]?.events[0].trades.map((row: any) => [row.product_id, row.trade_id]), [
      ["BTC-USD", "1069726291"],
      ["ETH-EUR", "1069726290"]
    ])
    client.send(command("unsubscribe", "BTC-USD"))
    yield* client.frameCount(6)
    // One that is lost has its number all the same.
    fake.lose()
    client.send(heartbeats)
    client.send(heartbeats)
    yield* client.frameCount(7)
    assert.deepStrictEqual(client.documents.slice(5).map(({ sequence_num }) => sequence_num), [4, 6])
    assert.deepStrictEqual(client.documents[5]?.events[0].subscriptions.market_trades, ["ETH-EUR"])
    assert.strictEqual(fake.errors, 1)
  }))

it.scopedLive("is strict: several channels a frame, too many frames, whoever subscribes to nothing, or to nothing that is said", () =>
  Effect.gen(function*() {
    const fake = yield* FakeCoinbase.make({ markets: 2, perSecond: 4, patience: 300, silence: 600 })
    const client = yield* connect(fake.wsUrl)
    client.send({ type: "subscribe", channels: ["market_trades"], product_ids: ["BTC-USD"] })
    client.send({ type: "subscribe", channel: "full", product_ids: ["BTC-USD"] })
    client.send(command("subscribe"))
    client.ws.send("ping")
    client.send(heartbeats)
    yield* client.frameCount(5)
    assert.deepStrictEqual(numbersOf(client.documents), [
      ...Array.from({ length: 4 }, () => "authentication failure"),
      "rate limit exceeded"
    ])
    assert.strictEqual(yield* Effect.promise(() => client.closed), 1006)
    assert.deepStrictEqual([fake.refusals, fake.hungUp], [1, 1])
    const other = yield* FakeCoinbase.make({ markets: 2, silence: 400 })
    const quiet = yield* connect(other.wsUrl)
    quiet.send(command("subscribe", "BTC-USD"))
    yield* quiet.frameCount(1)
    assert.strictEqual(yield* Effect.promise(() => quiet.closed), 1006)
    assert.strictEqual(other.hungUp, 1)
  }))

it.scopedLive("has another name for a book, whose trades come under the first one", () =>
  Effect.gen(function*() {
    const fake = yield* FakeCoinbase.make({ markets: 2, batch: 20, aliases: true })
    const client = yield* connect(fake.wsUrl)
    client.send(command("subscribe", "BTC-USDC"))
    yield* client.frameCount(1)
    assert.deepStrictEqual(client.documents[0]?.events[0].subscriptions.market_trades, ["BTC-USD"])
    fake.trade("BTC-USD")
    yield* client.frameCount(2)
    assert.strictEqual(client.documents[1]?.events[0].trades[0].product_id, "BTC-USD")
  }))

it.scopedLive("by REST lists its markets, pages below a number, has a first page that is late, and refuses too many", () =>
  Effect.gen(function*() {
    const fake = yield* FakeCoinbase.make({ markets: 2, restPerSecond: 8 })
    const get = (path: string) =>
      Effect.promise(async () => {
        const answer = await fetch(`${fake.apiUrl}/products${path}`)
        return { status: answer.status, cursor: answer.headers.get("cb-after"), body: JSON.parse(await answer.text()) }
      })
    const { body } = yield* get("")
    assert.deepStrictEqual(body.map((row: any) => [row.id, row.status, row.trading_disabled]), [
      ["BTC-USD", "online", false],
      ["ETH-EUR", "online", false],
      ["OLD-USD", "delisted", true],
      ["HALTED-USD", "online", true]
    ])
    fake.trade("BTC-USD", { time: Date.now() - 60_000, side: "buy" })
    for (let n = 0; n < 5; n++) fake.trade("BTC-USD")
    const ids = (answer: { readonly body: any }) => answer.body.map((row: any) => row.trade_id - 1_069_726_290)
    const first = yield* get("/BTC-USD/trades?limit=1000")
    assert.deepStrictEqual(ids(first), [0])
    assert.strictEqual(first.body[0].side, "sell")
    const page = yield* get("/BTC-USD/trades?limit=2&after=1069726294")
    assert.deepStrictEqual([ids(page), page.cursor], [[3, 2], "1069726292"])
    assert.deepStrictEqual(ids(yield* get("/BTC-USD/trades?limit=2&after=9999999999")), [5, 4])
    // Not the two just above it.
    assert.deepStrictEqual(ids(yield* get("/BTC-USD/trades?limit=2&before=1069726290")), [5, 4])
    assert.deepStrictEqual((yield* get("/NO-USD/trades")).body, { message: "NotFound" })
    yield* get("")
    yield* get("")
    assert.strictEqual((yield* get("")).status, 429)
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
  before: (fake: FakeCoinbase.FakeCoinbaseExchange) => Feed.FeedOptions["memory"] = () => new Map()
) {
  yield* hurryClock
  yield* TestClock.setTime(Date.parse("2026-08-31T19:02:11.677Z"))
  const fake = yield* FakeCoinbase.FakeCoinbase
  const feed = yield* run(coinbase, { endpoints: fake, memory: before(fake), ...options })
  const events: Array<MarketEvent> = []
  const go = (seconds: number) =>
    TestClock.adjust(`${seconds} seconds`).pipe(
      Effect.andThen(settle),
      Effect.andThen(Effect.map(feed.rest, (more) => void events.push(...more)))
    )
  yield* go(3)
  return { fake, feed, events, go }
})

const pagesOf = ({ server }: FakeCoinbase.FakeCoinbaseExchange) =>
  server.restCalls.map(({ url }) => url).filter((url) => url.includes("after="))

describe("a feed of Coinbase's", () => {
  it.scoped("after a restart nothing is missing that was traded before the market's last trades, which come before the answer", () =>
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
    }).pipe(Effect.provide(FakeCoinbase.memory({ markets: 1 }))))

  it.scoped("a market that was gone and comes back begins with its last trades: what it traded between is not missing untold", () =>
    Effect.gen(function*() {
      const { events, fake, go } = yield* begin({ marketsRefresh: "30 seconds", backfillMaxAge: Duration.minutes(1) })
      const trade = (count: number) => Array.from({ length: count }, () => fake.trade("ETH-EUR"))
      const list = (tradable: boolean) => fake.addMarket({ base: "ETH", quote: "EUR", price: "2100.5", tradable })
      trade(3)
      yield* go(5)
      list(false)
      yield* go(200)
      trade(120)
      list(true)
      yield* go(80)
      trade(1)
      yield* go(60)
      assert.deepStrictEqual(Oracle.untold(fake.issued, events), [])
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
    }).pipe(Effect.provide(FakeCoinbase.memory({ markets: 2 }))))

  it.scoped("connections that end before they answer hide nothing that was traded between them", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.parse("2026-08-31T19:02:11.677Z"))
      const fake = yield* FakeCoinbase.FakeCoinbase
      // The greeting's answer, and the market's last trades.
      fake.server.script.closeAfterFrames = { frames: 2, how: 1006 }
      fake.trades(3)
      const { events, go } = yield* begin()
      assert.lengthOf(tradesOf(events), 3)
      fake.trades(120)
      fake.server.heal()
      yield* go(60)
      fake.trades(1)
      yield* go(60)
      assert.deepStrictEqual(Oracle.untold(fake.issued, events), [])
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
    }).pipe(Effect.provide(FakeCoinbase.memory({ markets: 1 }))))

  it.scoped("delivers each trade once, exact, in order, over drops of every kind, within all limits", () =>
    Effect.gen(function*() {
      const { events, fake, feed, go } = yield* begin()
      assert.strictEqual(fake.subscribed, fake.tradable.length)
      for (const how of [1006, 1000, 1001, "reset"] as const) {
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
      assert.deepStrictEqual([fake.refusals, fake.errors, fake.hungUp, feed.status().decodeFailures.size], [0, 0, 0, 0])
      const [first] = fake.server.accepted
      assert.deepStrictEqual(first?.received.map((text) => JSON.parse(text).channel), ["heartbeats", "market_trades"])
    }).pipe(Effect.provide(FakeCoinbase.memory({ markets: 9 }))))

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
        assert.deepStrictEqual(gapsOf(events).at(-1), "BTC/USD disconnected 5035 filled")
        assert.strictEqual(fake.refusals, 0)
        assert.isAtMost(pagesOf(fake).length, 7)
      }).pipe(Effect.provide(FakeCoinbase.memory({ markets: 1 }))),
    { timeout: 20_000 }
  )

  it.scoped("a frame that is missing by its number is a hole, filled by REST; heartbeats and answers are no holes", () =>
    Effect.gen(function*() {
      const { events, fake, go } = yield* begin()
      fake.trades(4)
      yield* go(20)
      assert.deepStrictEqual(gapsOf(events), [])
      assert.deepStrictEqual(pagesOf(fake), [])
      fake.lose()
      fake.trades(6)
      yield* go(40)
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
      assert.deepStrictEqual(gapsOf(events).toSorted(), ["BTC/USD sequence 3 filled", "ETH/EUR sequence 3 filled"])
    }).pipe(Effect.provide(FakeCoinbase.memory({ markets: 2 }))))

  it.scoped("a number that is missing among ids is a hole, filled from a page that is fresh", () =>
    Effect.gen(function*() {
      const { events, fake, go } = yield* begin()
      fake.trades(2)
      yield* go(1)
      fake.server.script.mute = "all"
      fake.trades(3)
      fake.server.heal()
      fake.trades(1)
      yield* go(5)
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
      assert.deepStrictEqual(gapsOf(events), ["BTC/USD sequence 3 filled"])
      assert.lengthOf(pagesOf(fake), 1)
    }).pipe(Effect.provide(FakeCoinbase.memory({ markets: 1 }))))

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
      }).pipe(Effect.provide(FakeCoinbase.memory({ markets: 1, heartbeat: 20_000 }))),
    { timeout: 20_000 }
  )

  it.scoped("a quiet connection is kept by its heartbeats", () =>
    Effect.gen(function*() {
      const { fake, go } = yield* begin()
      yield* go(240)
      assert.lengthOf(fake.server.dials, 1)
      assert.strictEqual(fake.hungUp, 0)
    }).pipe(Effect.provide(FakeCoinbase.memory({ markets: 2 }))))

  it.scoped("120 markets are asked for with a few frames, and each is heard", () =>
    Effect.gen(function*() {
      const { fake } = yield* begin()
      assert.strictEqual(fake.subscribed, 120)
      assert.lengthOf(fake.server.accepted, 1)
      assert.lengthOf(fake.server.accepted[0]?.received ?? [], 4)
      assert.strictEqual(fake.refusals, 0)
    }).pipe(Effect.provide(FakeCoinbase.memory({ markets: 120 }))))

  it.scoped("another name of a book is not asked for", () =>
    Effect.gen(function*() {
      const { events, fake, go } = yield* begin()
      fake.trades(2)
      yield* go(1)
      assert.isFalse(fake.server.accepted.some(({ received }) => received.some((text) => text.includes("USDC"))))
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
    }).pipe(Effect.provide(FakeCoinbase.memory({ markets: 2, aliases: true }))))

  for (const spoils of [false, true]) {
    it.scoped(`one bad market of a frame spoils no other${spoils ? ", also where it spoils its frame" : ""}`, () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(Date.parse("2026-08-31T19:02:11.677Z"))
        const fake = yield* FakeCoinbase.FakeCoinbase
        fake.server.script.denied = new Set(["ETH-EUR"])
        const { events, go } = yield* begin()
        yield* go(60)
        assert.strictEqual(fake.subscribed, fake.tradable.length - 1)
        fake.trades(12)
        yield* go(1)
        assert.strictEqual(new Set(tradesOf(events).map(({ symbol }) => symbol)).size, fake.tradable.length - 1)
        assert.strictEqual(fake.refusals, 0)
        yield* go(120)
        // Once, however often it is asked for.
        assert.deepStrictEqual(
          events.flatMap((event) =>
            event.type === "status" && event.event === "stale" && event["reason"] !== undefined
              ? [[event.symbol, event["reason"]]]
              : []
          ),
          [["ETH/EUR", "its subscription is not answered"]]
        )
        fake.server.heal()
        yield* go(70)
        assert.strictEqual(fake.subscribed, fake.tradable.length)
      }).pipe(Effect.provide(FakeCoinbase.memory({ markets: 6, spoils }))))
  }

  it.scoped("an address that is not served is told with what to do", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.parse("2026-08-31T19:02:11.677Z"))
      const fake = yield* FakeCoinbase.FakeCoinbase
      fake.server.script.rest = { status: 451, body: "<html>", headers: {} }
      const { feed } = yield* begin()
      assert.include(feed.status().api?.message, "not served in this region")
      assert.include(feed.status().api?.message, "COINBASE_WS_URL")
    }).pipe(Effect.provide(FakeCoinbase.memory({ markets: 1 }))))
})

describe("books of Coinbase's", () => {
  const books: BooksOptions = { depth: "all", interval: Duration.zero, refresh: Duration.zero, deltas: false }

  const holesOf = (events: ReadonlyArray<MarketEvent>) =>
    events.flatMap((event) =>
      event.type === "status" && event.event === "gap" && event["channel"] === "books"
        ? [`${event.symbol} ${event["cause"]} ${event["complete"] === true ? "whole" : "doubtful"}`]
        : []
    )

  const told = (events: ReadonlyArray<MarketEvent>, symbol: string) =>
    events.filter((event): event is Book => event.type === "book" && event.symbol === symbol)

  /** What a reader of the topic ends with is what the exchange has. */
  const assertTrue = (fake: FakeCoinbase.FakeCoinbaseExchange, events: ReadonlyArray<MarketEvent>) => {
    const reader = BookReader.make()
    reader.read(events)
    for (const { exchangeSymbol, symbol } of fake.tradable) {
      assert.deepStrictEqual(reader.book(`coinbase:${symbol}`), fake.book(exchangeSymbol), symbol)
    }
    assert.strictEqual(reader.distrusts(), 0)
  }

  /** What a connection was asked for but heartbeats, by channel. */
  const askedOf = ({ server }: FakeCoinbase.FakeCoinbaseExchange) =>
    server.accepted.map(({ received }) =>
      received.map((text) => JSON.parse(text)).flatMap(({ channel, product_ids }) =>
        product_ids === undefined ? [] : [`${channel} ${product_ids.length}`]
      ).join()
    )

  for (const deltas of [false, true]) {
    it.scoped(`are true in each state, over heartbeats, orphans and drops${deltas ? ", by their changes" : ""}`, () =>
      Effect.gen(function*() {
        const { events, fake, feed, go } = yield* begin({
          channels: ["trades", "books"],
          books: { ...books, deltas, refresh: Duration.seconds(60) }
        })
        for (let n = 0; n < 30; n++) {
          fake.bookChanges(5)
          fake.trades(2)
          yield* go(1)
        }
        assertTrue(fake, events)
        assert.deepStrictEqual(holesOf(events), [])
        fake.server.drop(1006)
        for (let n = 0; n < 10; n++) {
          fake.bookChanges(5)
          yield* go(1)
        }
        assertTrue(fake, events)
        assert.deepStrictEqual(
          holesOf(events).toSorted(),
          fake.tradable.flatMap(({ symbol }) => [`${symbol} disconnected doubtful`, `${symbol} disconnected whole`])
            .toSorted()
        )
        assert.strictEqual(feed.status().decodeFailures.size, 0)
      }).pipe(Effect.provide(FakeCoinbase.memory({ markets: 3 }))))
  }

  it.scoped("a lost frame, whatever was in it, is a hole of all books of its connection and of no other; one new connection mends it", () =>
    Effect.gen(function*() {
      const { events, fake, feed, go } = yield* begin({ channels: ["trades", "books"], books })
      assert.deepStrictEqual(askedOf(fake).toSorted(), ["level2 20", "level2 5", "market_trades 25"])
      const [small] = fake.server.accepted.filter(({ subscriptions }) =>
        [...subscriptions.keys()].filter((key) => key.startsWith("level2")).length === 5
      )
      assert.isDefined(small)
      yield* go(10)
      // A heartbeat.
      fake.lose(1, (one) => one === small)
      yield* go(2.5)
      const doubtful = holesOf(events)
      assert.lengthOf(doubtful, 5)
      assert.isTrue(doubtful.every((text) => text.endsWith("sequence doubtful")))
      yield* go(5)
      assert.deepStrictEqual(askedOf(fake).slice(3), ["level2 5"])
      assert.lengthOf(holesOf(events), 10)
      fake.bookChanges(50)
      yield* go(1)
      assertTrue(fake, events)
      assert.deepStrictEqual(feed.status().books.resyncs, { redial: 5 })
      // Trades were not dialled anew for it.
      assert.lengthOf(askedOf(fake).filter((text) => text.startsWith("market_trades")), 1)
    }).pipe(Effect.provide(FakeCoinbase.memory({ markets: 25 }))))

  it.scoped("holes without end cost a new connection a minute, then one in two, and trades nothing", () =>
    Effect.gen(function*() {
      const { events, fake, go } = yield* begin({ channels: ["trades", "books"], books })
      const isBooks = (one: { readonly subscriptions: ReadonlyMap<string, number> }) =>
        [...one.subscriptions.keys()].some((key) => key.startsWith("level2"))
      for (let n = 0; n < 125; n++) {
        fake.lose(1, isBooks)
        fake.trades(1)
        yield* go(2)
      }
      // The first is for the first hole; then at least a minute passes, and then two, in four.
      const [, , ...again] = fake.server.dials.map(({ at }) => at)
      assert.lengthOf(again, 2)
      assert.isAtLeast((again[1] ?? 0) - (again[0] ?? 0), 60_000)
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
      assert.isFalse(events.some((event) => event.type === "status" && event["channel"] === "trades"))
      yield* go(240)
      assertTrue(fake, events)
    }).pipe(Effect.provide(FakeCoinbase.memory({ markets: 2, heartbeat: 800, bookEvery: 1_000 }))))

  it.scoped("may be crossed, as in an auction", () =>
    Effect.gen(function*() {
      const { events, fake, go } = yield* begin({ channels: ["books"], books })
      const level = (side: string, price_level: string) => ({ side, event_time: "", price_level, new_quantity: "1" })
      fake.server.frame(JSON.stringify({
        channel: "l2_data",
        events: [{ type: "snapshot", product_id: "BTC-USD", updates: [level("bid", "7"), level("offer", "6")] }]
      }))
      yield* go(1)
      assert.deepInclude(told(events, "BTC/USD").at(-1), { bids: [["7", "1"]], asks: [["6", "1"]] })
      assert.deepStrictEqual(holesOf(events), [])
    }).pipe(Effect.provide(FakeCoinbase.memory({ markets: 1 }))))

  it.scopedLive("of a large market are taken, whose picture is a frame of five megabytes", () =>
    Effect.gen(function*() {
      const fake = yield* FakeCoinbase.make({ markets: 1, bookEvery: 60_000 })
      const feed = yield* run(coinbase, { endpoints: fake, channels: ["books"], books: { ...books, depth: 20 } })
      const nextBook = Effect.repeat(feed.next, { until: (event) => event.type === "book" })
      yield* nextBook
      const updates = Array.from({ length: 22_000 }, (_, i) => 70_000 - i).flatMap((price, i) => [
        {
          side: "bid",
          event_time: "2026-08-24T22:34:13.483122Z",
          price_level: `${price}.25`,
          new_quantity: "0.0476177"
        },
        { side: "offer", event_time: "2026-08-24T22:34:13.483122Z", price_level: `${70_001 + i}.5`, new_quantity: "1" }
      ])
      const frame = JSON.stringify({
        channel: "l2_data",
        events: [{ type: "snapshot", product_id: "BTC-USD", updates }]
      })
      assert.isAbove(frame.length, 4.5e6)
      fake.server.frame(frame)
      const book = yield* nextBook
      const { asks, bids } = book.type === "book" ? book : { asks: [], bids: [] }
      assert.deepStrictEqual([bids.length, bids[0], asks[0]], [20, ["70000.25", "0.0476177"], ["70001.5", "1"]])
      assert.lengthOf(fake.server.dials, 1)
    }).pipe(Effect.provide(
      Layer.merge(NodeWebSocket.layer({ maxPayload: Defaults.maxPayload(coinbase) }), FetchHttpClient.layer)
    )))
})
