import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, TestClock } from "effect"
import * as BookReader from "../../../src/layers/testing/BookReader.ts"
import * as FakeBybit from "../../../src/layers/testing/FakeBybit.ts"
import * as Oracle from "../../../src/layers/testing/Oracle.ts"
import type { Book, BookDelta, MarketEvent, Status, Trade } from "../../../src/services/MarketEvent.ts"
import { bybit } from "../../../src/streams/exchanges/Bybit.ts"
import type * as Feed from "../../../src/streams/Feed.ts"
import { hurryClock, run, settle } from "../../streams/support/Harness.ts"
import { connect } from "./RawClient.ts"

const subscribe = (req_id: string, ...symbols: ReadonlyArray<string>) => ({
  req_id,
  op: "subscribe",
  args: symbols.map((symbol) => `publicTrade.${symbol}`)
})

it.scopedLive("answers a command as a whole, refuses one for the sake of one topic, and pushes many trades a frame", () =>
  Effect.gen(function*() {
    const fake = yield* FakeBybit.make({ markets: 3 })
    const client = yield* connect(fake.wsUrl)
    client.send(subscribe("1", "BTCUSDT", "NOUSDT", "ETHUSDC"))
    client.send(subscribe("2", "BTCUSDT"))
    client.send(subscribe("3", "BTCUSDT", "ETHUSDC"))
    client.send(subscribe("4", ...Array.from({ length: 11 }, () => "ETHUSDC")))
    client.send({ op: "unsubscribe", req_id: "5", args: ["publicTrade.BTCUSDT"] })
    client.send(subscribe("6", "BTCUSDT", "ETHUSDC"))
    yield* client.frameCount(6)
    assert.deepStrictEqual(client.documents.map(({ req_id, ret_msg, success }) => [req_id, success, ret_msg]), [
      ["1", false, "error:handler not found,topic:publicTrade.NOUSDT"],
      ["2", true, "subscribe"],
      ["3", false, "error:already subscribed,topic:publicTrade.BTCUSDT"],
      [undefined, false, "args size >10"],
      ["5", true, ""],
      ["6", true, "subscribe"]
    ])
    fake.trade("BTCUSDT", { price: "80413.3", amount: "0.06", side: "sell", time: 1789875217840 })
    fake.sweep("BTCUSDT", 1_500)
    yield* client.frameCount(9)
    const [one, many, others] = client.documents.slice(6)
    const row = one.data[0]
    assert.deepStrictEqual(row, {
      i: "2290000001211680903",
      T: 1789875217840,
      p: "80413.3",
      v: "0.06",
      S: "Sell",
      seq: row.seq,
      s: "BTCUSDT",
      BT: false,
      RPI: row.RPI
    })
    assert.deepStrictEqual([many.data.length, others.data.length], [1_024, 476])
    assert.strictEqual(new Set([...many.data, ...others.data].map(({ seq }: any) => seq)).size, 1)
    const ids = many.data.map(({ i }: any) => BigInt(i))
    const steps = ids.slice(1).map((id: bigint, n: number) => Number(id - ids[n]))
    assert.isTrue(steps.includes(1) && Math.max(...steps) > 10 && Math.min(...steps) > 0)
  }))

it.scopedLive("has books of many depths: a picture before the answer or behind it, changes counted topic by topic", () =>
  Effect.gen(function*() {
    const fake = yield* FakeBybit.make({ markets: 1 })
    const [first, second] = [yield* connect(fake.wsUrl), yield* connect(fake.wsUrl)]
    const listen = (depth: number) => ({ req_id: String(depth), op: "subscribe", args: [`orderbook.${depth}.BTCUSDT`] })
    first.send(listen(50))
    yield* first.frameCount(2)
    for (const depth of [1_000, 1, 500]) first.send(listen(depth))
    yield* first.frameCount(7)
    const kinds = first.documents.map(({ req_id, topic, type }) => topic === undefined ? req_id : [topic, type])
    const whole = (depth: number) => [`orderbook.${depth}.BTCUSDT`, "snapshot"]
    assert.deepStrictEqual(kinds, [whole(50), "50", "1000", whole(1_000), whole(1), "1", "500"])
    const pictures = first.documents.filter(({ topic }) => topic !== undefined)
    assert.deepStrictEqual(pictures.map(({ data: { a, b } }) => [b.length, a.length])[0], [50, 50])
    assert.isAbove(pictures[1].data.b.length, 60)
    assert.deepStrictEqual(
      pictures.map(({ data: { seq } }) => seq),
      Array.from({ length: 3 }, () => pictures[0].data.seq)
    )
    second.send(listen(50))
    yield* second.frameCount(2)
    for (let n = 0; n < 60; n++) fake.bookChanges(4)
    fake.repeat("BTCUSDT")
    fake.restart("BTCUSDT")
    yield* first.until("u of 1", () => first.documents.filter(({ data }) => data?.u === 1).length === 3)
    yield* second.until("u of 1", () => second.documents.some(({ data }) => data?.u === 1))
    const of = (client: typeof first, depth: number) =>
      client.documents.filter(({ topic }) => topic === `orderbook.${depth}.BTCUSDT`)
    // The same for both.
    assert.deepStrictEqual(of(second, 50).slice(1), of(first, 50).slice(1))
    for (const depth of [50, 1_000]) {
      const all = of(first, depth)
      const changes = all.slice(1, -1)
      assert.deepStrictEqual(
        changes.map(({ data: { u }, type }) => [type, u - all[0].data.u]),
        changes.map((_, n) => ["delta", n + 1])
      )
      assert.deepStrictEqual([all.at(-1).type, all.at(-1).data.u], ["snapshot", 1])
    }
    // What leaves the 50 best is taken away, and what comes into them is named.
    const sides = { b: new Map<string, string>(), a: new Map<string, string>() }
    for (const { data } of of(first, 50).slice(0, -1)) {
      for (const side of ["b", "a"] as const) {
        for (const [price, amount] of data[side]) {
          if (amount === "0") sides[side].delete(price)
          else sides[side].set(price, amount)
        }
        assert.strictEqual(sides[side].size, 50)
      }
    }
    const best = of(first, 1)
    assert.isTrue(best.every(({ type }) => type === "snapshot"))
    assert.strictEqual(best.at(-2).data.u, best.at(-3).data.u)
  }))

it.scopedLive("is strict: what is no JSON, commands that there are none of, clients that send no ping", () =>
  Effect.gen(function*() {
    const fake = yield* FakeBybit.make({ markets: 2, patience: 300 })
    const client = yield* connect(fake.wsUrl)
    client.ws.send("hello")
    client.send({ op: "nope", req_id: "1" })
    for (let n = 0; n < 2; n++) client.send({ op: "ping" })
    yield* client.frameCount(4)
    assert.deepStrictEqual(client.documents.map(({ op, ret_msg }) => [op, ret_msg]), [
      [undefined, "Failed to decode incoming data"],
      ["nope", "error:invalid op"],
      ["ping", "pong"],
      ["pong", "pong"]
    ])
    assert.strictEqual(yield* Effect.promise(() => client.closed), 1006)
    assert.strictEqual(fake.hungUp, 1)
  }))

it.scopedLive("lists its markets, gives the last 60 trades, refuses by code, and bans who asks too much", () =>
  Effect.gen(function*() {
    const fake = yield* FakeBybit.make({ markets: 2, questions: 7, perSecond: 3 })
    const get = (path: string) =>
      Effect.promise(async () => {
        const answer = await fetch(`${fake.apiUrl}/v5/market/${path}`)
        return { status: answer.status, body: JSON.parse(await answer.text()) }
      })
    const { body } = yield* get("instruments-info?category=spot")
    assert.deepStrictEqual(body.result.list.map((row: any) => [row.symbol, row.status]), [
      ["BTCUSDT", "Trading"],
      ["ETHUSDC", "Trading"],
      ["SOONUSDT", "PreLaunch"]
    ])
    fake.trades(200)
    const { body: { result } } = yield* get("recent-trade?category=spot&symbol=BTCUSDT&limit=60")
    assert.strictEqual(result.list.length, 60)
    const ids = result.list.map(({ execId }: any) => BigInt(execId))
    assert.deepStrictEqual(ids, ids.toSorted((a: bigint, b: bigint) => a > b ? -1 : 1))
    const codes = [
      yield* get("recent-trade?category=spot&symbol=NOUSDT"),
      yield* get("recent-trade?category=spot&symbol=BTCUSDT&limit=61"),
      yield* get("recent-trade?category=spot&symbol=BTCUSDT")
    ]
    assert.deepStrictEqual(codes.map(({ body: { retCode } }) => retCode), [10_001, 10_001, 10_006])
    yield* get("time")
    yield* get("time")
    assert.deepStrictEqual((yield* get("time")).status, 403)
    assert.strictEqual(fake.refusals, 2)
  }))

const tradesOf = (events: ReadonlyArray<MarketEvent>) =>
  events.filter((event): event is Trade => event.type === "trade")

const gapEvents = (events: ReadonlyArray<MarketEvent>) =>
  events.filter((event): event is Status => event.type === "status" && event.event === "gap")

const gapsOf = (events: ReadonlyArray<MarketEvent>) =>
  gapEvents(events).map((event) =>
    `${event.symbol} ${event["cause"]} ${event["recovered"]} ${event["complete"] === true ? "filled" : "not filled"}`
  )

const clean = { missing: [], doubtful: [], unsent: [], foreign: [], wrong: [], duplicates: [], disordered: [] }

const begin = Effect.fnUntraced(function*(options: Partial<Feed.FeedOptions> = {}) {
  yield* hurryClock
  yield* TestClock.setTime(Date.parse("2026-09-20T03:33:37.840Z"))
  const fake = yield* FakeBybit.FakeBybit
  const feed = yield* run(bybit, { endpoints: fake, ...options })
  const events: Array<MarketEvent> = []
  const go = (seconds: number) =>
    TestClock.adjust(`${seconds} seconds`).pipe(
      Effect.andThen(settle),
      Effect.andThen(Effect.map(feed.rest, (more) => void events.push(...more)))
    )
  yield* go(3)
  return { fake, feed, events, go }
})

const subscriptions = ({ server }: FakeBybit.FakeBybitExchange) =>
  server.accepted.flatMap(({ received }) => received.filter((text) => text.includes("\"subscribe\""))).map((text) =>
    JSON.parse(text).args.length
  )

describe("a feed of Bybit's", () => {
  it.scoped("delivers each trade once, exact, in order, over drops of every kind, within all limits", () =>
    Effect.gen(function*() {
      const { events, fake, feed, go } = yield* begin()
      assert.strictEqual(fake.subscribed, fake.tradable.length)
      // Ten a frame.
      assert.deepStrictEqual(subscriptions(fake), [10, 2])
      for (const how of [1006, 1001, 1013, "reset"] as const) {
        for (let n = 0; n < 4; n++) {
          fake.trades(12)
          fake.sweep("BTCUSDT", 2)
          yield* go(1)
        }
        fake.server.drop(how)
        // All until it is back are among the last 60 of their markets.
        fake.trades(12 * 20)
      }
      yield* go(60)
      fake.trades(40)
      yield* go(60)
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
      assert.deepStrictEqual([...new Set(gapEvents(events).map((event) => event["complete"]))], [true])
      assert.deepStrictEqual([fake.refusals, fake.hungUp, feed.status().decodeFailures.size], [0, 0, 0])
      assert.deepStrictEqual(fake.refusedFor, [])
      assert.isAbove(fake.pings, 3)
    }).pipe(Effect.provide(FakeBybit.memory({ markets: 12, patience: 30_000 }))))

  it.scoped(
    "tells a hole of three minutes and 5 000 trades, of which it has the last 60, in order",
    () =>
      Effect.gen(function*() {
        const { events, fake, go } = yield* begin()
        fake.trades(3)
        yield* go(1)
        const before = fake.issued.at(-1)?.expected.timestamp ?? ""
        fake.server.script.upgrade = { status: 503 }
        fake.server.drop(1006)
        for (let second = 0; second < 180; second++) {
          fake.trades(28)
          yield* TestClock.adjust("1 second")
        }
        fake.server.heal()
        yield* go(60)
        fake.trades(2)
        yield* go(60)
        assert.strictEqual(fake.issued.length, 3 + 180 * 28 + 2)
        const { unsent, ...others } = Oracle.judge(fake.issued, tradesOf(events))
        assert.deepStrictEqual({ ...others, unsent: [] }, clean)
        assert.strictEqual(unsent.length, 180 * 28 - 60)
        // Nothing that is missing lies outside what is told.
        assert.deepStrictEqual(Oracle.untold(fake.issued, events), [])
        assert.deepStrictEqual(gapsOf(events), ["BTC/USDT disconnected 60 not filled"])
        const [gap] = gapEvents(events)
        const [first] = tradesOf(events).filter(({ source }) => source === "rest")
        assert.deepStrictEqual([gap?.["from"], gap?.["to"]], [before, first?.timestamp])
        // The hole is told before what follows it, and that comes in the order of its ids.
        const ids = tradesOf(events).map(({ id }) => BigInt(id.split(":").at(-1) ?? ""))
        assert.deepStrictEqual(ids, ids.toSorted((a, b) => a < b ? -1 : 1))
        assert.strictEqual(fake.refusals, 0)
      }).pipe(Effect.provide(FakeBybit.memory({ markets: 1 }))),
    { timeout: 20_000 }
  )

  it.scoped("one bad topic of ten refuses its neighbours once: each is asked for by itself, and that one is told", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.parse("2026-09-20T03:33:37.840Z"))
      const fake = yield* FakeBybit.FakeBybit
      fake.server.script.denied = new Set(["USDTEUR"])
      const { events, go } = yield* begin({ marketsRefresh: "2 minutes" })
      yield* go(40)
      assert.strictEqual(fake.subscribed, fake.tradable.length - 1)
      // The frame of ten, the frame of two, then each of the ten.
      assert.deepStrictEqual(subscriptions(fake), [10, 2, ...Array.from({ length: 10 }, () => 1)])
      fake.trades(24)
      yield* go(1)
      assert.strictEqual(new Set(tradesOf(events).map(({ symbol }) => symbol)).size, fake.tradable.length - 1)
      const stale = events.flatMap((event) =>
        event.type === "status" && event.event === "stale" ? [[event.symbol, event["reason"]]] : []
      )
      assert.deepStrictEqual(stale, [
        ["USDT/EUR", "refused: error handler not found,topic:publicTrade.USDTEUR"]
      ])
      // Asked for again with the next list, by itself: the others go on.
      // A connection that is silent would be replaced.
      const trading = Effect.forEach(
        Array.from({ length: 7 }),
        () => Effect.zipRight(Effect.sync(() => fake.trades(12)), go(20))
      )
      yield* trading
      assert.deepStrictEqual(subscriptions(fake).slice(12), [1])
      assert.lengthOf(fake.refusedFor, 3)
      fake.server.heal()
      yield* trading
      assert.strictEqual(fake.subscribed, fake.tradable.length)
      assert.deepStrictEqual([fake.server.accepted.length, Oracle.judge(fake.issued, tradesOf(events)).missing], [
        1,
        []
      ])
    }).pipe(Effect.provide(FakeBybit.memory({ markets: 12 }))))

  it.scoped("an answer that is late leaves topics asked for twice: that they are subscribed already is no refusal", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.parse("2026-09-20T03:33:37.840Z"))
      const fake = yield* FakeBybit.FakeBybit
      fake.server.script.ackDelay = 12_000
      const { events, feed, go } = yield* begin()
      yield* go(60)
      assert.strictEqual(fake.subscribed, fake.tradable.length)
      assert.isAbove(fake.refusedFor.length, 0)
      assert.isTrue(fake.refusedFor.every((words) => words.includes("already subscribed")))
      fake.trades(24)
      yield* go(1)
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
      assert.deepInclude([...feed.status().connections.values()][0]?.subscriptions, { active: 12, rejected: 0 })
      assert.isFalse(events.some((event) => event.type === "status" && event.event === "stale"))
    }).pipe(Effect.provide(FakeBybit.memory({ markets: 12 }))))

  it.scoped("where answers name no command, each topic is found to be subscribed already when it is asked for again", () =>
    Effect.gen(function*() {
      const { events, fake, feed, go } = yield* begin()
      // Nobody trades, so that no data can stand for the answer.
      yield* go(40)
      assert.isTrue(fake.refusedFor.every((words) => words.includes("already subscribed")))
      assert.deepInclude([...feed.status().connections.values()][0]?.subscriptions, { active: 12, rejected: 0 })
      assert.lengthOf(fake.server.accepted, 1)
      fake.trades(24)
      yield* go(1)
      assert.deepStrictEqual(Oracle.judge(fake.issued, tradesOf(events)), clean)
      assert.deepStrictEqual(gapsOf(events), [])
    }).pipe(Effect.provide(FakeBybit.memory({ markets: 12, nameless: true }))))

  it.scoped("connections that bring trades and end before they answer hide nothing that was traded between them", () =>
    Effect.gen(function*() {
      const { events, fake, go } = yield* begin()
      // It was asked for again, and so is heard.
      yield* go(40)
      fake.trades(3)
      yield* go(1)
      for (let n = 0; n < 2; n++) {
        fake.server.drop(1006)
        fake.trades(100)
        yield* go(4)
        fake.trades(2)
        yield* go(1)
      }
      yield* go(60)
      fake.trades(2)
      yield* go(60)
      assert.deepStrictEqual(Oracle.untold(fake.issued, events), [])
      // One for each connection that was lost, whichever way it is told again.
      assert.strictEqual(new Set(gapEvents(events).map((event) => event["gapId"])).size, 2)
    }).pipe(Effect.provide(FakeBybit.memory({ markets: 1, nameless: true }))))

  it.scoped("a frame that no decoder takes hides nothing, also on a connection that has not answered yet", () =>
    Effect.gen(function*() {
      const { events, fake, go } = yield* begin()
      yield* go(40)
      fake.trades(3)
      yield* go(1)
      fake.server.drop(1006)
      yield* go(3)
      fake.trades(2)
      yield* go(0.5)
      // What it held: more than the last 60, so that it can only be told.
      fake.server.script.mute = "all"
      fake.trades(70)
      fake.server.frame("[".repeat(500) + "]".repeat(500))
      yield* go(0.1)
      fake.server.heal()
      fake.trades(2)
      yield* go(120)
      assert.deepStrictEqual(Oracle.untold(fake.issued, events), [])
      assert.include(gapEvents(events).map((event) => event["cause"]), "undecoded")
    }).pipe(Effect.provide(FakeBybit.memory({ markets: 1, nameless: true }))))

  it.scoped("a region that is not served, and an address that asked too often, are told apart and with what to do", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.parse("2026-09-20T03:33:37.840Z"))
      const fake = yield* FakeBybit.FakeBybit
      fake.server.script.rest = FakeBybit.blocked
      const { feed, go } = yield* begin()
      const message = () => feed.status().api?.message ?? ""
      assert.include(message(), "status: HTTP 403: not served in this region, or asked too often; try BYBIT_API_URL")
      assert.match(message(), /\(its region\)$/)
      // Whichever it is, it is left alone for ten minutes.
      const asked = fake.server.restCalls.length
      yield* go(590)
      assert.strictEqual(fake.server.restCalls.length, asked)
      fake.server.script.rest = FakeBybit.tooFrequent
      yield* go(20)
      assert.match(message(), /\(10018 403, access too frequent\)$/)
      fake.server.heal()
      fake.server.script.upgrade = FakeBybit.blocked
      yield* go(700)
      assert.include(feed.status().lastError ?? "", "not served in this region")
    }).pipe(Effect.provide(FakeBybit.memory({ markets: 1 }))))
})

describe("books of Bybit's", () => {
  const booksOf = (events: ReadonlyArray<MarketEvent>) =>
    events.filter((event): event is Book | BookDelta => event.type === "book" || event.type === "book_delta")
  const holesOf = (events: ReadonlyArray<MarketEvent>) =>
    gapEvents(events).flatMap((event) =>
      event["channel"] === "books" ? [[event.symbol, event["cause"], event["complete"]]] : []
    )
  const listen = (depth: number) =>
    begin({
      channels: ["books"],
      books: { depth, interval: Duration.zero, refresh: Duration.minutes(10), deltas: true }
    })
  const commandsOf = ({ server }: FakeBybit.FakeBybitExchange) =>
    server.accepted.flatMap(({ received }) =>
      received.map((text) => JSON.parse(text)).flatMap(({ args, op }) => op === "ping" ? [] : [[op, ...args]])
    )
  const [btc, eth] = ["orderbook.50.BTCUSDT", "orderbook.50.ETHUSDC"]
  const assertSame = (fake: FakeBybit.FakeBybitExchange, events: ReadonlyArray<MarketEvent>, levels = 50) => {
    const reader = BookReader.make()
    reader.read(events)
    assert.strictEqual(reader.distrusts(), 0)
    for (const { exchangeSymbol, symbol } of fake.tradable) {
      assert.deepStrictEqual(reader.book(`bybit:${symbol}`), fake.book(exchangeSymbol, levels))
    }
  }

  for (const [depth, levels] of [[50, 50], [51, 1_000]] as const) {
    it.scoped(`of ${depth} levels are those of the stream of ${levels}, named by the engine's numbers`, () =>
      Effect.gen(function*() {
        const { events, fake, feed, go } = yield* listen(depth)
        for (let n = 0; n < 30; n++) {
          fake.bookChanges(7)
          yield* go(0.1)
        }
        assert.deepStrictEqual(commandsOf(fake), [
          ["subscribe", `orderbook.${levels}.BTCUSDT`, `orderbook.${levels}.ETHUSDC`]
        ])
        assert.deepStrictEqual([holesOf(events), feed.status().decodeFailures.size], [[], 0])
        assertSame(fake, events, levels)
        const own = booksOf(events).filter(({ symbol }) => symbol === "BTC/USDT")
        assert.isAbove(own.length, 15)
        // No number of the topic's, which begins again: ids would come twice.
        assert.isTrue(
          own.every(({ id, sequence, type }) =>
            id === `bybit:BTC/USDT:${type === "book" ? "b" : "d"}:${sequence}` && /^1142\d{8}$/.test(sequence)
          )
        )
        assert.strictEqual(own[0]?.timestamp, "2026-09-20T03:33:37.838Z")
      }).pipe(Effect.provide(FakeBybit.memory({ markets: 2, oddities: true }))))
  }

  it.scoped("a number that is left out makes its market's book doubtful, and one new subscription whole again", () =>
    Effect.gen(function*() {
      const { events, fake, go } = yield* listen(50)
      fake.bookChanges(6)
      yield* go(1)
      fake.loseChanges("BTCUSDT")
      // What follows does not: one hole, one question.
      fake.server.script.ackDelay = 500
      for (let n = 0; n < 3; n++) {
        fake.bookChanges(8)
        yield* go(0.1)
      }
      fake.server.heal()
      for (let n = 0; n < 40; n++) {
        fake.bookChanges(2)
        yield* go(1)
      }
      assert.deepStrictEqual(holesOf(events), [["BTC/USDT", "sequence", false], ["BTC/USDT", "sequence", true]])
      assert.deepStrictEqual(commandsOf(fake), [["subscribe", btc, eth], ["unsubscribe", btc], ["subscribe", btc]])
      assertSame(fake, events)
    }).pipe(Effect.provide(FakeBybit.memory({ markets: 2 }))))

  for (const type of ["snapshot", "delta"] as const) {
    it.scoped(`a restart of the service is a picture, also where the frame calls itself ${type}: no hole`, () =>
      Effect.gen(function*() {
        const { events, fake, go } = yield* listen(50)
        for (let n = 0; n < 3; n++) {
          fake.bookChanges(8)
          yield* go(1)
          // What it did meanwhile nobody was told.
          fake.loseChanges("BTCUSDT")
          fake.restart("BTCUSDT", type)
          yield* go(1)
        }
        fake.bookChanges(8)
        fake.resend("ETHUSDC")
        fake.bookChanges(8)
        yield* go(1)
        assert.deepStrictEqual(holesOf(events), [])
        assert.lengthOf(commandsOf(fake), 1)
        assertSame(fake, events)
        // The engine goes on counting: no state is named twice, none begins again.
        const sequences = booksOf(events).filter(({ symbol }) => symbol === "BTC/USDT").map(({ sequence }) => sequence)
        assert.deepStrictEqual(sequences, sequences.toSorted())
        assert.isTrue(sequences.every((sequence) => /^\d+$/.test(sequence)))
      }).pipe(Effect.provide(FakeBybit.memory({ markets: 2 }))))
  }
})
