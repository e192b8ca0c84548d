/** What the contract has for exchanges whose channels, addresses and numbers belong to the connection; and a second channel beside trades. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, TestClock } from "effect"
import * as FeedStatus from "../../../src/services/FeedStatus.ts"
import * as Ledger from "../../../src/services/Ledger.ts"
import type { MarketEvent } from "../../../src/services/MarketEvent.ts"
import * as Time from "../../../src/services/Time.ts"
import * as Board from "../../../src/streams/Board.ts"
import type * as Channel from "../../../src/streams/Channel.ts"
import type { Exchange, Message } from "../../../src/streams/Exchange.ts"
import { bitpin } from "../../../src/streams/exchanges/Bitpin.ts"
import * as Session from "../../../src/streams/Feed/Session.ts"
import * as Topics from "../../../src/streams/Feed/Topics.ts"
import * as Rhythm from "../../../src/streams/Rhythm.ts"
import * as StatusEvents from "../../../src/streams/StatusEvents.ts"
import * as TradesChannel from "../../../src/streams/trades/TradesChannel.ts"
import * as FakeApi from "../support/FakeApi.ts"
import { centrifugo, FakeSockets, layer as sockets } from "../support/FakeSockets.ts"
import { bitpinPush, type Row } from "../support/frames.ts"
import { run, settle } from "../support/Harness.ts"

/** Each frame has its number before what else it says: `<number> <BitPin's frame>`. Trades have an address of their own. */
const numbered: Exchange = {
  ...bitpin,
  socket: {
    ...bitpin.socket,
    connection: (channel) => ({ kind: channel, path: `/v2/${channel}` }),
    decode: (text, topicOf) => {
      const [, number, frame = text] = /^(\d+) (.*)$/.exec(text) ?? []
      const messages = bitpin.socket.decode(frame, topicOf)
      return number === undefined ? messages : [{ _tag: "counted", sequence: BigInt(number) }, ...messages]
    }
  }
}

const seconds = (n: number): number => 1781182785 + n

const trade = (n: number): Row => ({ id: String(n), time: seconds(n) })

const world = (history: ReadonlyArray<number>) =>
  Layer.mergeAll(
    sockets(centrifugo()),
    FakeApi.layer(({ path }) =>
      Effect.succeed({
        body: path.includes("/matches/")
          ? JSON.stringify(history.map((n) => ({
            price: "100",
            base_amount: "2.50",
            quote_amount: "250",
            side: "buy",
            ...trade(n)
          })))
          : FakeApi.bitpinList("BTC_IRT", "ETH_IRT")
      })
    )
  )

const gapsOf = (events: ReadonlyArray<MarketEvent>) =>
  events.flatMap((event) => event.type === "status" && event.event === "gap" ? [[event.symbol, event["cause"]]] : [])

describe("A connection of one channel", () => {
  it.scoped("is dialled at the address with the channel's path behind it", () =>
    Effect.gen(function*() {
      yield* run(numbered)
      const { dials } = yield* FakeSockets
      yield* settle
      assert.deepStrictEqual(dials.map(({ url }) => url), ["ws://socket.test/v2/trades"])
    }).pipe(Effect.provide(world([]))))
})

describe("Frames that are numbered by their connection", () => {
  it.scoped("a number that is missing is a hole of every topic: their histories are asked, and what they have comes", () =>
    Effect.gen(function*() {
      const feed = yield* run(numbered)
      const { accept } = yield* FakeSockets
      const socket = yield* accept
      yield* settle
      socket.push(`7 ${bitpinPush("BTC_IRT", [trade(1)])}`, `8 ${bitpinPush("ETH_IRT", [trade(1)])}`)
      yield* settle
      yield* feed.rest
      socket.push(`10 ${bitpinPush("BTC_IRT", [trade(3)])}`)
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* settle
      const events = yield* feed.rest
      assert.deepStrictEqual(
        events.flatMap((event) =>
          event.type === "trade" && event.symbol === "BTC/IRT" ? [[event.id, event.source]] : []
        ),
        [["bitpin:BTC/IRT:t:2", "rest"], ["bitpin:BTC/IRT:t:3", "ws"]]
      )
      const causes = gapsOf(events)
      assert.isTrue(causes.some(([symbol]) => symbol === "BTC/IRT"))
      for (const [, cause] of causes) assert.strictEqual(cause, "sequence")
      assert.isTrue(feed.status().gaps.filled >= 1)
    }).pipe(Effect.provide(world([1, 2, 3]))))

  it.scoped("one that comes twice or late is none that is missing, and one of a frame that is not read is missed once", () =>
    Effect.gen(function*() {
      const feed = yield* run(numbered)
      const { accept } = yield* FakeSockets
      const socket = yield* accept
      yield* settle
      for (const n of [7, 7, 8, 6, 9]) socket.push(`${n} ${bitpinPush("BTC_IRT", [trade(n)])}`)
      yield* settle
      assert.deepStrictEqual(feed.status().gaps, { open: 0, filled: 0, told: 0, recovered: 0 })
      yield* feed.rest
      socket.push(`10 ${"[".repeat(40)}`, `11 ${bitpinPush("BTC_IRT", [trade(11)])}`)
      yield* settle
      yield* TestClock.adjust("10 seconds")
      yield* settle
      assert.deepStrictEqual(gapsOf(yield* feed.rest).filter(([, cause]) => cause === "sequence"), [])
    }).pipe(Effect.provide(world([]))))

  it.scoped("numbers that follow each other, from whatever one, are none, and a new connection counts anew", () =>
    Effect.gen(function*() {
      const feed = yield* run(numbered)
      const { accept } = yield* FakeSockets
      const socket = yield* accept
      yield* settle
      socket.push(`7 ${bitpinPush("BTC_IRT", [trade(1)])}`, `8 ${bitpinPush("BTC_IRT", [trade(3)])}`)
      yield* settle
      assert.deepStrictEqual(feed.status().gaps, { open: 0, filled: 0, told: 0, recovered: 0 })
      socket.drop(1006)
      yield* settle
      yield* TestClock.adjust("2 seconds")
      const second = yield* accept
      yield* settle
      yield* TestClock.adjust("5 seconds")
      yield* settle
      const { filled } = feed.status().gaps
      second.push(`1 ${bitpinPush("BTC_IRT", [trade(4)])}`, `2 ${bitpinPush("BTC_IRT", [trade(5)])}`)
      yield* settle
      assert.deepStrictEqual(feed.status().gaps.open, 0)
      assert.strictEqual(feed.status().gaps.filled, filled)
    }).pipe(Effect.provide(world([1, 3]))))
})

/** Of a channel that nobody runs: it writes down what a session asks of it. */
const diary = () => {
  const lines: Array<string> = []
  const channel: Channel.Channel = {
    name: "books",
    listed: () => {},
    flush: Effect.void,
    open: () => ({
      member: (market) => ({
        market,
        pulse: Rhythm.pulse(),
        leads: true,
        activity: () => 0,
        heard: () => void lines.push(`heard ${market.symbol}`),
        lost: (cause) => void lines.push(`lost ${market.symbol} ${cause}`),
        doubted: (cause) => void lines.push(`doubted ${market.symbol} ${cause}`),
        take: ({ exchangeSymbol }) => {
          lines.push(`took ${exchangeSymbol}`)
          return []
        },
        showStatus: () => {},
        showSuspect: () => {}
      }),
      foreign: ({ exchangeSymbol }) => void lines.push(`foreign ${exchangeSymbol}`),
      account: () => false,
      close: () => void lines.push("closed")
    })
  }
  return { channel, lines }
}

describe("A second channel", () => {
  it("has its messages, its subscriptions and its holes by the same session, and trades know nothing of it", () => {
    const exchange: Exchange = {
      ...bitpin,
      socket: {
        ...bitpin.socket,
        hello: undefined,
        decode: (text): ReadonlyArray<Message> => JSON.parse(text)
      }
    }
    const board = Board.make(FeedStatus.make(["bitpin"]), "bitpin")
    const { channel, lines } = diary()
    const market = { symbol: "BTC/IRT", exchangeSymbol: "BTC_IRT" }
    const moment = (n: number): Time.Moment => ({ at: Time.instant(n), wall: Time.wallTime(n) })
    const session = Session.make({
      shared: {
        exchange,
        board,
        channels: [TradesChannel.alone({ exchange, board, ledger: Ledger.make() }), channel],
        statusEvents: StatusEvents.make("bitpin", "test"),
        timing: Topics.defaultTiming,
        positions: new Map(),
        refused: new Set()
      },
      connection: 0,
      topics: new Map([
        ["matches:BTC_IRT", { channel: "trades", market }],
        ["orderbook:BTC_IRT", { channel: "books", market }]
      ]),
      rhythm: Rhythm.make(),
      now: moment(0).at
    })
    const say = (...messages: ReadonlyArray<object>) =>
      session.handle([{ _tag: "text", text: JSON.stringify(messages), ...moment(1) }]).events
    session.handle([{ _tag: "open", ...moment(0) }])
    while (session.hasCommands()) session.command(moment(0).at)
    say({ _tag: "subscribed", topic: "orderbook:BTC_IRT", recovered: false })
    const row = { id: "1", price: "1", amount: "1", side: "buy", timestamp: null }
    const events = say(
      { _tag: "books", exchangeSymbol: "BTC_IRT" },
      { _tag: "trades", exchangeSymbol: "BTC_IRT", rows: [row] },
      { _tag: "books", exchangeSymbol: "ETH_IRT" },
      { _tag: "unsubscribed", topic: "orderbook:BTC_IRT", resubscribe: true }
    )
    session.end()
    assert.deepStrictEqual(events.map(({ type }) => type), ["trade"])
    assert.deepStrictEqual(lines, [
      "heard BTC/IRT",
      "took BTC_IRT",
      "foreign ETH_IRT",
      "lost BTC/IRT unsubscribed",
      "closed"
    ])
  })
})
