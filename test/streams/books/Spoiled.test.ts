/** A part of a book that cannot be read: what was kept is not known to be true any more, at each exchange, until there is a whole picture again. */
import { assert, describe, it } from "@effect/vitest"
import * as FeedStatus from "../../../src/services/FeedStatus.ts"
import * as Ledger from "../../../src/services/Ledger.ts"
import * as Time from "../../../src/services/Time.ts"
import * as Board from "../../../src/streams/Board.ts"
import * as BooksChannel from "../../../src/streams/books/BooksChannel.ts"
import { exchanges } from "../../../src/streams/exchanges/index.ts"
import * as Session from "../../../src/streams/Feed/Session.ts"
import * as Topics from "../../../src/streams/Feed/Topics.ts"
import * as Rhythm from "../../../src/streams/Rhythm.ts"
import * as StatusEvents from "../../../src/streams/StatusEvents.ts"

type Name = keyof typeof exchanges

/** One session that hears two markets' books. What is told of the first, by what of it stands out. */
const listening = (name: Name, first: string, second: string) => {
  const exchange = exchanges[name]
  const board = Board.make(FeedStatus.make([name]), name)
  const statusEvents = StatusEvents.make(name, "test")
  const moment = { at: Time.instant(0), wall: Time.wallTime(1_781_182_785_301) }
  const channel = BooksChannel.alone({
    exchange,
    board,
    ledger: Ledger.make(),
    statusEvents,
    collector: "me",
    depth: 20,
    deltas: false,
    now: () => moment
  })
  const markets = [{ symbol: "BTC/IRT", exchangeSymbol: first }, { symbol: "ETH/IRT", exchangeSymbol: second }]
  const topics = markets.flatMap((market) =>
    exchange.socket.topics("books", market).map((topic) => [topic, { channel: "books" as const, market }] as const)
  )
  const session = Session.make({
    shared: {
      exchange,
      board,
      channels: [channel],
      statusEvents,
      timing: Topics.defaultTiming,
      positions: new Map(),
      refused: new Set()
    },
    connection: 0,
    topics: new Map(topics),
    rhythm: Rhythm.make(),
    now: moment.at
  })
  const say = (text: string): ReadonlyArray<string> => {
    const { events } = session.handle([{ _tag: "text", text, ...moment }])
    return [...events, ...channel.left()].flatMap((event) => {
      if (event.type === "book") return [`book ${event.symbol} ${event.bids[0]?.[0]} ${event.asks[0]?.[0]}`]
      if (event.type !== "status" || event.event !== "gap") return []
      return [`${event["complete"] === true ? "whole" : event["cause"]} ${event.symbol}`]
    })
  }
  session.handle([{ _tag: "open", ...moment }])
  const answer = () => {
    for (let id = 2; session.hasCommands(); id++) {
      session.command(moment.at)
      say(
        name === "coinbase"
          ? JSON.stringify({ channel: "subscriptions", events: [{ subscriptions: { level2: [first, second] } }] })
          : name === "tabdeal" || name === "binance"
          ? `{"result":null,"id":${id}}`
          : JSON.stringify({ id, subscribe: { epoch: "e1" } })
      )
    }
  }
  if (exchange.socket.hello !== undefined) {
    say(name === "coinbase" ? `{"channel":"heartbeats"}` : `{"id":1,"connect":{}}`)
  }
  answer()
  return say
}

const publication = (channel: string, data: unknown, offset: unknown = undefined) =>
  JSON.stringify({ push: { channel, pub: { data, offset } } })

const tabdeal = (symbol: string, data: object) =>
  JSON.stringify({
    stream: `${symbol.toLowerCase()}@depth@2000ms`,
    data: { e: "depthUpdate", E: 1_781_182_785_301, s: symbol, ...data }
  })

interface Case {
  readonly name: Name
  readonly markets: readonly [string, string]
  readonly whole: (symbol: string, bid: string) => ReadonlyArray<string>
  /** None of them is the market's book. */
  readonly bad: ReadonlyArray<string>
}

const x = [["1", "x"]]
const offset = { not: "a number" }

let lastUpdateId = 100

const binance = (symbol: string, data: object) =>
  JSON.stringify({ stream: `${symbol.toLowerCase()}@depth20`, data: { lastUpdateId: lastUpdateId++, ...data } })

const level2 = (type: string, symbol: string, updates: unknown) =>
  JSON.stringify({ channel: "l2_data", events: [{ type, product_id: symbol, updates }] })
const level = (side: string, price_level: string, new_quantity = "1") => ({ side, price_level, new_quantity })

const cases: ReadonlyArray<Case> = [
  {
    name: "coinbase",
    markets: ["BTC-IRT", "ETH-IRT"],
    whole: (symbol, bid) => [level2("snapshot", symbol, [level("bid", bid), level("offer", "90")])],
    bad: [
      level2("update", "BTC-IRT", [level("bid", "1", "x")]),
      level2("update", "BTC-IRT", [level("buy", "1")]),
      level2("snapshot", "BTC-IRT", [level("bid", "0")]),
      level2("update", "BTC-IRT", null),
      level2("delta", "BTC-IRT", [])
    ]
  },
  {
    name: "binance",
    markets: ["BTCIRT", "ETHIRT"],
    whole: (symbol, bid) => [binance(symbol, { bids: [[bid, "1"]], asks: [["90", "1"]] })],
    bad: [
      binance("BTCIRT", { bids: x, asks: [["90", "1"]] }),
      binance("BTCIRT", { bids: [] }),
      binance("BTCIRT", { bids: [], asks: [], lastUpdateId: "x" })
    ]
  },
  {
    name: "bitpin",
    markets: ["BTC_IRT", "ETH_IRT"],
    whole: (symbol, bid) => [publication(`orderbook:${symbol}`, { bids: [[bid, "1"]], asks: [["90", "1"]] })],
    bad: [
      publication("orderbook:BTC_IRT", { bids: x, asks: [["90", "1"]] }),
      publication("orderbook:BTC_IRT", { bids: 5, asks: [] }),
      publication("orderbook:BTC_IRT", { bids: [], asks: [], symbol: "ETH_IRT" }),
      publication("orderbook:BTC_IRT", "{nonsense"),
      publication("orderbook:BTC_IRT", { bids: [], asks: [] }, offset)
    ]
  },
  {
    name: "nobitex",
    markets: ["BTCIRT", "ETHIRT"],
    whole: (symbol, bid) => [
      publication(`public:orderbook-${symbol}`, { bids: [[`${bid}0`, "1"]], asks: [["900", "1"]] })
    ],
    bad: [
      publication("public:orderbook-BTCIRT", { bids: x, asks: [["900", "1"]] }),
      publication("public:orderbook-BTCIRT", { asks: [["900", "1"]] }),
      publication("public:orderbook-BTCIRT", "{nonsense"),
      publication("public:orderbook-BTCIRT", { bids: [], asks: [] }, offset),
      // Each of its digits fits; in Toman it has one more.
      publication("public:orderbook-BTCIRT", { bids: [[`1.${"1".repeat(30)}`, "1"]], asks: [["900", "1"]] })
    ]
  },
  {
    name: "ramzinex",
    markets: ["2", "3"],
    whole: (symbol, bid) => [publication(`orderbook:${symbol}`, { buys: [[`${bid}0`, "1"]], sells: [["900", "1"]] })],
    bad: [
      publication("orderbook:2", { buys: x, sells: [["900", "1"]] }),
      publication("orderbook:2", []),
      publication("orderbook:2", "{nonsense"),
      publication("orderbook:2", { buys: [], sells: [] }, offset)
    ]
  },
  {
    name: "tabdeal",
    markets: ["BTCIRT", "ETHIRT"],
    whole: (symbol, bid) => [tabdeal(symbol, { b: [[bid, "1"]], a: [["90", "1"]] })],
    bad: [
      tabdeal("BTCIRT", { b: x, a: [] }),
      tabdeal("BTCIRT", { b: [] }),
      tabdeal("BTCIRT", { b: [], a: [], s: "ETHIRT" })
    ]
  },
  {
    name: "wallex",
    markets: ["BTCTMN", "ETHTMN"],
    whole: (symbol, bid) => [
      `["${symbol}@buyDepth",[{"price":${bid},"quantity":1}]]`,
      `["${symbol}@sellDepth",[{"price":90,"quantity":1}]]`
    ],
    bad: [
      `["BTCTMN@buyDepth",[{"price":0,"quantity":1}]]`,
      `["BTCTMN@sellDepth",[{"quantity":1}]]`,
      `["BTCTMN@sellDepth",null]`
    ]
  }
]

describe("A part of a book that cannot be read", () => {
  for (const { bad, markets: [first, second], name, whole } of cases) {
    it(`of ${name} is a hole of that market, until all of it is known again`, () => {
      for (const frame of bad) {
        const say = listening(name, first, second)
        const all = (frames: ReadonlyArray<string>) => frames.flatMap(say)
        assert.deepStrictEqual(all(whole(second, "7")), ["book ETH/IRT 7 90"])
        assert.deepStrictEqual(all(whole(first, "10")), ["book BTC/IRT 10 90"])
        assert.deepStrictEqual(say(frame), ["overflow BTC/IRT"], frame)
        assert.deepStrictEqual(all(whole(second, "8")), ["book ETH/IRT 8 90"])
        // Where one side comes at a time, one alone says nothing.
        assert.deepStrictEqual(all(whole(first, "11").slice(0, -1)), [])
        assert.deepStrictEqual(all(whole(first, "11").slice(-1)), ["whole BTC/IRT", "book BTC/IRT 11 90"])
      }
    })
  }

  it("is none where only its time is odd", () => {
    const frames = [
      ["bitpin", "BTC_IRT", publication("orderbook:BTC_IRT", { bids: [["1", "1"]], asks: [], event_time: "soon" })],
      ["nobitex", "BTCIRT", publication("public:orderbook-BTCIRT", { bids: [["10", "1"]], asks: [], lastUpdate: "x" })]
    ] as const
    for (const [name, symbol, frame] of frames) {
      const say = listening(name, symbol, "other")
      assert.deepStrictEqual(say(frame), ["book BTC/IRT 1 undefined"])
      assert.deepStrictEqual(say(frame), [])
    }
  })
})
