/**
 * Spoilt frames (docs/design/laws.md "Input is hostile"): no throw, no hang, no pollution, memory flat, other markets go on, each failure
 * counted by its reason. `FUZZ_FRAMES` frames for each exchange.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Schema } from "effect"
import { readFileSync } from "node:fs"
import { setImmediate } from "node:timers/promises"
import { isDeepStrictEqual } from "node:util"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as BookReader from "../../src/layers/testing/BookReader.ts"
import * as FakeBinance from "../../src/layers/testing/FakeBinance.ts"
import * as FakeBitpin from "../../src/layers/testing/FakeBitpin.ts"
import * as FakeBybit from "../../src/layers/testing/FakeBybit.ts"
import * as FakeCoinbase from "../../src/layers/testing/FakeCoinbase.ts"
import type { FakeExchange } from "../../src/layers/testing/FakeExchange.ts"
import * as FakeKraken from "../../src/layers/testing/FakeKraken.ts"
import * as FakeNobitex from "../../src/layers/testing/FakeNobitex.ts"
import * as FakeOkx from "../../src/layers/testing/FakeOkx.ts"
import * as FakeRamzinex from "../../src/layers/testing/FakeRamzinex.ts"
import * as FakeTabdeal from "../../src/layers/testing/FakeTabdeal.ts"
import * as FakeWallex from "../../src/layers/testing/FakeWallex.ts"
import * as Oracle from "../../src/layers/testing/Oracle.ts"
import * as FeedStatus from "../../src/services/FeedStatus.ts"
import * as Ledger from "../../src/services/Ledger.ts"
import { MarketEvent } from "../../src/services/MarketEvent.ts"
import * as Time from "../../src/services/Time.ts"
import * as Board from "../../src/streams/Board.ts"
import * as BooksChannel from "../../src/streams/books/BooksChannel.ts"
import type { Name as ChannelName } from "../../src/streams/Channel.ts"
import * as Defaults from "../../src/streams/Defaults.ts"
import type { Exchange, Market, Protocol } from "../../src/streams/Exchange.ts"
import { exchanges } from "../../src/streams/exchanges/index.ts"
import * as Session from "../../src/streams/Feed/Session.ts"
import * as Topics from "../../src/streams/Feed/Topics.ts"
import * as Rhythm from "../../src/streams/Rhythm.ts"
import * as StatusEvents from "../../src/streams/StatusEvents.ts"
import * as TradesChannel from "../../src/streams/trades/TradesChannel.ts"
import type { World } from "./conformance/Behaviours.ts"
import { type Frame, source } from "./Mutations.ts"
import { layer, run, until } from "./Running.ts"

const moment = (ms: number): Time.Moment => ({ at: Time.instant(ms), wall: Time.wallTime(ms) })

const frames = Number(process.env["FUZZ_FRAMES"] ?? 20_000)

const recorded = (file: string): ReadonlyArray<string> =>
  readFileSync(new URL(`../recordings/${file}`, import.meta.url), "utf8").split("\n").filter((line) => line !== "")

const pushed = (channel: string, data: string): string => `{"push":{"channel":"${channel}","pub":{"data":${data}}}}`

const match = (id: number, price: string, amount: string) =>
  `{"id":"${id}_${
    id + 9
  }","price":"${price}","base_amount":"${amount}","quote_amount":"5000.5","side":"buy","time":1781182785.26}`

const window = (channel: string, id: number): string =>
  pushed(
    channel,
    `{"event":"matches_update","symbol":"${channel.slice("matches:".length)}","matches":[${
      [match(id, "11379465211", "0.0108"), match(id + 1, "1019000000.00", "0.00")].join(",")
    }]}`
  )

const wallexTrade = (symbol: string, i: number): string =>
  `["${symbol}@trade",{"isBuyOrder":${i % 2 === 0},"quantity":"${
    i + 1
  }.5000000000000000","price":"${i}82131.0000000000000000",` +
  `"timestamp":"2026-06-01T09:33:${10 + i % 50}Z"}]`

const nobitexTrade = (symbol: string, i: number): string =>
  pushed(
    `public:trades-${symbol}`,
    `{"price":"${i}200000000.5","time":${1_762_781_164_192 + i},"type":"${
      i % 2 === 0 ? "buy" : "sell"
    }","volume":"0.00${i}3"}`
  )

const ramzinexTrades = (symbol: string, i: number): string =>
  pushed(
    `last-trades:${symbol}`,
    `[[${i}1170867503,1.${i}497553479999998,"2025-10-01 11:51:26","buy",1759319486,"96c4e5930862fa92150961${i}"]]`
  )

const coinbaseTrade = (product: string, i: number): string =>
  `{"events":[{"trades":[{"product_id":"${product}","trade_id":"106972629${i}","price":"6331${i}.25","size":"0.0000004${i}",` +
  `"time":"2026-08-12T19:27:47.53265${i}Z","side":"BUY"}],"type":"update"}],"channel":"market_trades",` +
  `"timestamp":"2026-08-12T19:27:48.364886251Z","sequence_num":${i}}`

const coinbaseBook = (product: string, i: number, type = "update"): string =>
  `{"channel":"l2_data","sequence_num":${i},"timestamp":"2026-08-24T22:34:13.81336529${i}Z","events":[{"type":"${type}",` +
  `"product_id":"${product}","updates":[{"side":"bid","event_time":"","price_level":"3229${i}","new_quantity":"155.903075"},` +
  `{"side":"offer","event_time":"","price_level":"32311.5","new_quantity":"76.37807${i}"}]}]}`

/** Its price in quotes, where the table spoils it. */
const krakenTrade = (symbol: string, i: number): string =>
  `{"data":[{"symbol":"${symbol}","side":"buy","price":"8374${i}.3","qty":0.00044780,"ord_type":"limit",` +
  `"trade_id":10911669${i},"timestamp":"2026-09-25T17:48:26.84435${i}Z"}],"type":"update","channel":"trade"}`

const okxTrade = (instId: string, i: number): string =>
  `{"data":[{"instId":"${instId}","tradeId":"105110213${i}","px":"7880${i}.8","sz":"0.00504905","side":"sell",` +
  `"ts":"1788118931677"}],"arg":{"channel":"trades-all","instId":"${instId}"}}`

/** Ask, with a checksum that is right for none but the first. */
const krakenBook = (symbol: string, i: number): string =>
  `{"channel":"book","type":"${i < 5 ? "snapshot" : "update"}","data":[{"symbol":"${symbol}",` +
  `"bids":[],"asks":[{"price":83744.3,"qty":0.0${i}044780}],"checksum":${i},"timestamp":"2026-09-25T17:48:26.84435${i}Z"}]}`

const okxBook = (instId: string, i: number): string =>
  `{"arg":{"channel":"books","instId":"${instId}"},"action":"${i < 5 ? "snapshot" : "update"}","data":[{` +
  `"asks":[["7880${i}.8","0.1${i}","0","1"]],"bids":[],"ts":"1788118931677","seqId":${i},"prevSeqId":${i - 1}}]}`

const bybitTrades = (symbol: string, i: number): string =>
  `{"topic":"publicTrade.${symbol}","ts":1789875217841,"type":"snapshot","data":[{"i":"229000000121168090${i}",` +
  `"T":178987521784${i},"p":"8041${i}.3","v":"0.06","S":"${i % 2 === 0 ? "Sell" : "Buy"}","seq":114263055846,` +
  `"s":"${symbol}","BT":false,"RPI":false}]}`

const bybitBook = (symbol: string, i: number): string =>
  `{"topic":"orderbook.50.${symbol}","ts":1787612486096,"type":"${
    i === 0 ? "snapshot" : "delta"
  }","data":{"s":"${symbol}",` +
  `"b":[["3229${i}","155.903075"],["32280","${i === 0 ? 1 : 0}"]],"a":[["32311.5","76.37807${i}"]],"u":${7 + i},` +
  `"seq":11309922962${i}},"cts":178761248609${i}}`

const sides = (i: number) => `"bids":[["3229${i}","155.903075"],["32280","1"]],"asks":[["32311.5","76.37807${i}"]]`

const wallexSide = (symbol: string, i: number): string =>
  i % 2 === 0
    ? `["${symbol}@buyDepth",[{"price":3229${i},"quantity":155.903075,"sum":1.5}]]`
    : `["${symbol}@sellDepth",[{"price":32311.${i},"quantity":76.378076,"sum":1.5}]]`

const tabdealBook = (symbol: string, i: number): string =>
  `{"stream":"${symbol.toLowerCase()}@depth@2000ms","data":{"e":"depthUpdate","E":${
    1_657_530_675_579 + i
  },"s":"${symbol}",` +
  `"b":[["3229${i}","155.903075"],["32280","1"]],"a":[["32311.5","76.37807${i}"]]}}`
const binanceTrade = (symbol: string, i: number): string =>
  `{"stream":"${symbol.toLowerCase()}@trade","data":{"e":"trade","E":1790960630914,"s":"${symbol}","t":${
    6_732_650_448 + i
  },"p":"8492${i}.04000000","q":"0.00${i}23000","T":${1_790_960_630_913 + i},"m":${i % 2 === 0},"M":true}}`

const ten = Array.from({ length: 10 }, (_, i) => i)

const pools = {
  bitpin: [
    ...recorded("bitpin/reconstructed-bitpin-ws.ndjson"),
    ...recorded("bitpin/bitpin-orderbook.ndjson"),
    ...recorded("bitpin/bitpin-docs.ndjson").map((data) => pushed("matches:BTC_IRT", data)),
    ...recorded("bitpin/bitpin-legacy-ws-matches-20241029.ndjson").map((data) => pushed("matches:USDT_IRT", data)),
    ...ten.map((i) => window("matches:BTC_IRT", 80_000_000 + i)),
    ...ten.map((i) => pushed("orderbook:USDT_IRT", `{"symbol":"USDT_IRT","event":"market_data",${sides(i)}}`)),
    pushed("matches:BTC_IRT", JSON.stringify(`{"matches":[${match(7, "1", "2")}]}`)),
    "{\"push\":{\"channel\":\"matches:BTC_IRT\",\"unsubscribe\":{\"code\":2500}}}",
    "{\"push\":{\"disconnect\":{\"code\":3001,\"reason\":\"shutdown\"}}}",
    "{\"id\":2,\"subscribe\":{\"publications\":[{\"data\":{\"matches\":[]}}]}}",
    "{}"
  ],
  wallex: [
    ...recorded("wallex/reconstructed-wallex-ws.ndjson"),
    ...recorded("wallex/wallex-ws-docs.ndjson"),
    ...recorded("wallex/wallex-depth.ndjson"),
    ...ten.map((i) => wallexTrade("TRXTMN", i)),
    ...ten.map((i) => wallexSide("TRXTMN", i)),
    "[\"ping\",1]",
    "{\"ping\":1}",
    "ping"
  ],
  nobitex: [
    ...recorded("nobitex/reconstructed-nobitex-ws.ndjson"),
    ...recorded("nobitex/nobitex-orderbook.ndjson"),
    ...recorded("nobitex/nobitex-ws-docs.ndjson"),
    recorded("nobitex/nobitex-orderbook-batched.ndjson").join("\n"),
    ...ten.map((i) => nobitexTrade("BTCIRT", i)),
    ...ten.map((i) => pushed("public:orderbook-BTCIRT", `{"lastUpdate":${1_762_781_164_192 + i},${sides(i)}}`)),
    ...ten.map((i) => nobitexTrade("1M_PEPEIRT", i)),
    "{\"id\":2,\"subscribe\":{\"recoverable\":true,\"epoch\":\"e\",\"recovered\":true,\"publications\":[{\"data\":{},\"offset\":7}]}}",
    "{\"push\":{\"channel\":\"public:trades-BTCIRT\",\"unsubscribe\":{\"code\":2500}}}",
    "{}"
  ],
  coinbase: [
    ...recorded("coinbase/coinbase-advanced-ws-control-20260907.ndjson"),
    ...recorded("coinbase/coinbase-advanced-ws-trades-btcusd-20260812.ndjson"),
    ...ten.map((i) => coinbaseTrade("BTC-USD", i)),
    ...ten.map((i) => coinbaseTrade("ETH-EUR", i)),
    ...ten.map((i) => coinbaseBook("BTC-USD", i)),
    ...ten.map((i) => coinbaseBook("BTC-USD", i, "snapshot"))
  ],
  kraken: [
    ...recorded("kraken/kraken-ws-control-2026.ndjson"),
    ...recorded("kraken/kraken-ws-trades-btcusd-20260925.ndjson"),
    ...ten.map((i) => krakenTrade("BTC/USD", i)),
    ...ten.map((i) => krakenTrade("ETH/BTC", i)),
    ...ten.map((i) => krakenBook("BTC/USD", i)),
    ...recorded("oracles/kraken-ws-book10-btcusd-20260824.ndjson"),
    "{\"error\":\"No\",\"method\":\"subscribe\",\"success\":false,\"req_id\":2}"
  ],
  okx: [
    ...recorded("okx/okx-ws-docs.ndjson"),
    ...ten.map((i) => okxTrade("BTC-USDT", i)),
    ...ten.map((i) => okxTrade("ETH-BTC", i)),
    ...ten.map((i) => okxBook("BTC-USDT", i)),
    "{\"id\":\"2\",\"event\":\"error\",\"code\":\"60018\",\"msg\":\"No\"}",
    "pong"
  ],
  bybit: [
    ...recorded("bybit/bybit-ws-docs.ndjson"),
    ...recorded("bybit/bybit-ws-control-linear-20260923.ndjson"),
    ...recorded("bybit/bybit-ws-trades-btcusdt-20260920.ndjson"),
    ...recorded("oracles/bybit-ws-orderbook50-btcusdt-20260824.ndjson"),
    ...ten.map((i) => bybitBook("ETHUSDC", i)),
    ...ten.map((i) => bybitTrades("BTCUSDT", i)),
    ...ten.map((i) => bybitTrades("ETHUSDC", i)),
    ...["2", "3"].map((id) => `{"success":true,"ret_msg":"subscribe","conn_id":"c","req_id":"${id}","op":"subscribe"}`),
    "{\"success\":false,\"ret_msg\":\"error:handler not found,topic:publicTrade.BTCUSDT\",\"req_id\":\"2\",\"op\":\"subscribe\"}"
  ],
  ramzinex: [
    ...recorded("ramzinex/reconstructed-ramzinex-ws.ndjson"),
    ...recorded("ramzinex/ramzinex-orderbook.ndjson"),
    ...recorded("ramzinex/ramzinex-ws-docs.ndjson"),
    ...recorded("ramzinex/ramzinex-ws-docs.ndjson").map((data) => pushed("orderbook:11", data)),
    ...ten.map((i) => ramzinexTrades("2", i)),
    ...ten.map((i) => ramzinexTrades("11", i)),
    ...ten.map((i) =>
      pushed("orderbook:2", `{"buys":[[3229${i},1.5,1,false,null,5,1]],"sells":[[32311.${i},7.${i},1,false,null,5,1]]}`)
    ),
    "{\"push\":{\"channel\":\"last-trades:2\",\"unsubscribe\":{\"code\":2500}}}",
    "{}"
  ],
  tabdeal: [
    ...recorded("tabdeal/tabdeal-ws-docs.ndjson"),
    ...ten.map((i) => tabdealBook("BTCIRT", i)),
    ...ten.map((i) => tabdealBook("USDTIRT", i)),
    "{\"result\":null,\"id\":1}",
    "{\"id\":1,\"code\":1211,\"msg\":\"Invalid symbol\"}",
    "{\"error\":{\"code\":1201,\"msg\":\"Invalid parameters\"},\"id\":1}"
  ],
  binance: [
    ...recorded("binance/binance-ws-trade-btcusdt-2024-2026.ndjson"),
    ...recorded("binance/binance-ws-depth-atomeur-20260824.ndjson"),
    ...recorded("binance/binance-ws-docs.ndjson"),
    ...ten.map((i) => binanceTrade("BTCUSDT", i)),
    ...ten.map((i) => binanceTrade("ETHUSDT", i)),
    "{\"stream\":\"btcusdt@depth20\",\"data\":{\"lastUpdateId\":160,\"bids\":[[\"0.0024\",\"10\"]],\"asks\":[]}}"
  ]
} as const

type Name = keyof typeof pools

/** A frame that holds a trade, or where trades come by asking, a book. */
const ones: Readonly<Record<Name, (symbol: string, i: number) => string>> = {
  bitpin: (symbol, i) => window(`matches:${symbol}`, i),
  wallex: wallexTrade,
  nobitex: nobitexTrade,
  ramzinex: ramzinexTrades,
  tabdeal: tabdealBook,
  binance: binanceTrade,
  coinbase: coinbaseTrade,
  kraken: krakenTrade,
  okx: okxTrade,
  bybit: bybitTrades
}

const fakes: Readonly<Record<Name, (options: { markets: number; seed: number }) => ReturnType<World>>> = {
  bitpin: FakeBitpin.make,
  wallex: FakeWallex.make,
  nobitex: FakeNobitex.make,
  ramzinex: FakeRamzinex.make,
  tabdeal: FakeTabdeal.make,
  binance: FakeBinance.make,
  coinbase: FakeCoinbase.make,
  kraken: FakeKraken.make,
  okx: FakeOkx.make,
  bybit: FakeBybit.make
}

const names = [
  "bitpin",
  "wallex",
  "nobitex",
  "ramzinex",
  "tabdeal",
  "binance",
  "coinbase",
  "kraken",
  "okx",
  "bybit"
] as const

const markets: Readonly<Record<Name, ReadonlyArray<Market>>> = {
  tabdeal: [{ symbol: "BTC/IRT", exchangeSymbol: "BTCIRT" }, { symbol: "USDT/IRT", exchangeSymbol: "USDTIRT" }],
  nobitex: [
    { symbol: "BTC/IRT", exchangeSymbol: "BTCIRT" },
    { symbol: "1M_PEPE/IRT", exchangeSymbol: "1M_PEPEIRT" }
  ],
  bybit: [{ symbol: "BTC/USDT", exchangeSymbol: "BTCUSDT" }, { symbol: "ETH/USDC", exchangeSymbol: "ETHUSDC" }],
  okx: [{ symbol: "BTC/USDT", exchangeSymbol: "BTC-USDT" }, { symbol: "ETH/BTC", exchangeSymbol: "ETH-BTC" }],
  coinbase: [{ symbol: "BTC/USD", exchangeSymbol: "BTC-USD" }, { symbol: "ETH/EUR", exchangeSymbol: "ETH-EUR" }],
  kraken: [{ symbol: "BTC/USD", exchangeSymbol: "BTC/USD" }, { symbol: "ETH/BTC", exchangeSymbol: "ETH/BTC" }],
  ramzinex: [{ symbol: "BTC/IRT", exchangeSymbol: "2" }, { symbol: "USDT/IRT", exchangeSymbol: "11" }],
  binance: [{ symbol: "BTC/USDT", exchangeSymbol: "BTCUSDT" }, { symbol: "ETH/USDT", exchangeSymbol: "ETHUSDT" }],
  bitpin: [{ symbol: "BTC/IRT", exchangeSymbol: "BTC_IRT" }, { symbol: "USDT/IRT", exchangeSymbol: "USDT_IRT" }],
  wallex: [{ symbol: "TRX/IRT", exchangeSymbol: "TRXTMN" }, { symbol: "USDT/IRT", exchangeSymbol: "USDTTMN" }]
}

/** Of exchanges that answer by name: what their books are told with. */
const granted: Readonly<Record<string, ReadonlyArray<string>>> = {
  okx: [`{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"}}`],
  kraken: [`{"method":"subscribe","success":true,"result":{"channel":"book","depth":1000,"symbol":"BTC/USD"}}`]
}

const reasons = ["json", "schema", "too_deep", "too_large", "number", "time", "symbol", "binary", "unknown"]

/** What a socket of the exchange brings. */
const brought = ({ rest }: Exchange): ReadonlyArray<ChannelName> => rest.polling === undefined ? ["trades"] : ["books"]

/** What a server says to it. */
const answerOf = ({ id: name, socket }: Exchange, command: string): string | undefined => {
  if (name === "coinbase") {
    const { channel, product_ids } = JSON.parse(command)
    return JSON.stringify({ channel: "subscriptions", events: [{ subscriptions: { [channel]: product_ids } }] })
  }
  const id = /"id":(\d+)/.exec(command)?.[1]
  if (id === undefined) return undefined
  return socket.hello === undefined ? `{"result":null,"id":${id}}` : `{"id":${id},"subscribe":{}}`
}

/** A session without a socket, all of its topics granted where there are books, and what is counted about it. */
const session = (
  exchange: Exchange,
  listed: ReadonlyArray<Market>,
  channels: ReadonlyArray<ChannelName> = brought(exchange)
) => {
  const seen = { failures: 0, messages: 0 }
  const decode: Protocol["decode"] = (text, topicOf) => {
    const messages = exchange.socket.decode(text, topicOf)
    // Each message takes at least a character of the frame: the work is bounded by what was received.
    assert.isAtMost(messages.length, text.length + 1)
    seen.messages += messages.length
    for (const { _tag } of messages) if (_tag === "failure") seen.failures += 1
    return messages
  }
  const status = FeedStatus.make([exchange.id])
  const board = Board.make(status, exchange.id)
  const ledger = Ledger.make()
  const statusEvents = StatusEvents.make(exchange.id, "fuzz")
  // Of Binance by pictures, the only books that a session alone has: one of changes waits for a picture by REST. Changes are decoded all the same.
  const told = exchange.id === "binance"
    ? { depth: 20, deltas: false } as const
    : { depth: "all", deltas: true } as const
  const asked = { ...Defaults.books, ...told }
  const made = { exchange, board, ledger, statusEvents, collector: "fuzz", ...asked, asked }
  const all = { trades: TradesChannel.alone(made), books: BooksChannel.alone(made) }
  const shared: Session.Shared = {
    exchange: { ...exchange, socket: { ...exchange.socket, decode } },
    board,
    channels: channels.map((name) => all[name]),
    statusEvents,
    timing: Topics.defaultTiming,
    positions: new Map(),
    refused: new Set()
  }
  const topics = new Map(
    channels.flatMap((channel) =>
      listed.flatMap((market) =>
        exchange.socket.topics(channel, market, asked).map((topic) => [topic, { channel, market }] as const)
      )
    )
  )
  const one = Session.make({ shared, connection: 0, topics, rhythm: Rhythm.make(), now: moment(0).at })
  one.handle([{ _tag: "open", ...moment(0) }])
  if (exchange.socket.hello !== undefined) {
    const greeting = exchange.id === "coinbase" ? "{\"channel\":\"heartbeats\"}" : "{\"id\":1,\"connect\":{}}"
    one.handle([{ _tag: "text", text: greeting, ...moment(0) }])
  }
  while (one.hasCommands()) {
    const command = one.command(moment(0).at) ?? ""
    const answer = answerOf(exchange, command)
    if (answer !== undefined && channels.includes("books")) {
      one.handle([{ _tag: "text", text: answer, ...moment(0) }])
    }
  }
  for (const text of channels.includes("books") ? granted[exchange.id] ?? [] : []) {
    one.handle([{ _tag: "text", text, ...moment(0) }])
  }
  assert.isTrue(one.isReady())
  const counted = (): ReadonlyMap<string, number> => new Map(status.exchanges()[0]?.decodeFailures)
  return { session: one, seen, ledger, counted }
}

describe("spoilt frames: a frame of pings", () => {
  it("is answered within bounds, the rest counted", () => {
    const { counted, session: made } = session(exchanges.bitpin, markets.bitpin)
    const { send } = made.handle([{ _tag: "text", text: "{}\n".repeat(5_000), ...moment(1) }])
    assert.strictEqual(send.length, 1024)
    assert.deepStrictEqual([...counted()], [["too_large", 1]])
  })
})

describe("spoilt frames: a server that takes back all that it grants", () => {
  it("is asked again each time, and fills no memory", () => {
    const asked: Array<ReadonlyArray<string | undefined>> = []
    const ids = ["2", "3", "4", "5000", "9999", "10000", "10001", "10002", "10003"]
    const decode: Protocol["decode"] = (text, topicOf) => {
      asked.push(ids.map(topicOf))
      return exchanges.bitpin.socket.decode(text, topicOf)
    }
    const { session: made } = session(
      { ...exchanges.bitpin, socket: { ...exchanges.bitpin.socket, decode } },
      markets.bitpin.slice(0, 1)
    )
    const text = "{\"push\":{\"channel\":\"matches:BTC_IRT\",\"unsubscribe\":{\"code\":2500}}}"
    for (let i = 0; i < 10_000; i++) {
      made.handle([{ _tag: "text", text, ...moment(i) }])
      assert.isString(made.command(moment(i).at))
    }
    made.handle([{ _tag: "text", text, ...moment(1) }])
    // Of all the commands the last three are remembered: a late answer to one of them still counts.
    const remembered = ids.filter((_, i) => asked.at(-1)?.[i] === "matches:BTC_IRT")
    assert.deepStrictEqual(remembered, ["10000", "10001", "10002"])
  })
})

const isEvent = Schema.is(MarketEvent)

const prototypes = () =>
  [Object.prototype, Array.prototype, String.prototype, Map.prototype, Function.prototype].map((one) =>
    Reflect.ownKeys(one).map(String)
  )

const isClean = () => !("polluted" in {}) && !("polluted" in []) && !("polluted" in (() => 0))

setFlagsFromString("--expose-gc")
const collectGarbage: () => void = runInNewContext("gc")

const heap = (): number => {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

const sum = (counts: ReadonlyMap<string, number>): number => Array.from(counts.values()).reduce((a, b) => a + b, 0)

/** Frames of a hostile connection, at most. */
const rounds = Math.min(2_000, frames)

/** Without Centrifugo's pings: the answer to one that the server does not know of is a bad request, and ends the connection (3501). */
const unpinged = (frame: Frame): Frame => frame?.replaceAll(/^\s*\{\s*\}\s*$/gm, "null")

/** Sends them to all, between true trades. Gives how many of them were binary. */
const feed = (fake: FakeExchange, next: () => Frame): Effect.Effect<number> =>
  Effect.gen(function*() {
    let binary = 0
    for (let i = 0; i < rounds; i++) {
      const frame = unpinged(next())
      // Beyond the cap of the socket it is another matter: Payloads.test.ts.
      if (frame === undefined) {
        fake.server.frame(new Uint8Array([1, 2, 3]))
        binary += 1
      } else if (Buffer.byteLength(frame) < 1024 * 1024) fake.server.frame(frame)
      fake.trades(2)
      if (i % 50 === 0) yield* Effect.sleep("1 millis")
    }
    return binary
  })

for (const name of names) {
  describe(`spoilt frames: ${name}`, () => {
    it(`${frames} of them do no harm and are all accounted for`, async () => {
      const before = prototypes()
      const { counted, ledger, seen, session: made } = session(
        exchanges[name],
        markets[name],
        name === "tabdeal" ? ["books"] : ["trades", "books"]
      )
      const next = source(pools[name], 4)
      let binary = 0
      let trades = 0
      let books = 0
      let start = 0
      for (let i = 0; i < frames; i++) {
        const frame = next()
        const at = 1_781_182_785_000 + i
        const { dead, events, send } = made.handle([
          frame === undefined ? { _tag: "binary", ...moment(at) } : { _tag: "text", text: frame, ...moment(at) }
        ])
        if (frame === undefined) binary += 1
        assert.isAtMost(dead.length, 1)
        // What one frame can make us say is bounded (Centrifugo.ts, `maxDocuments`).
        assert.isAtMost(send.length, 1024)
        for (const event of events) {
          assert.isTrue(isEvent(event), JSON.stringify(event))
          if (event.type === "trade") trades += 1
          else if (event.type !== "status") books += 1
        }
        if (i === Math.floor(frames / 4)) start = heap()
        if (i % 1000 === 0) {
          assert.isTrue(isClean())
          // A million take minutes, and vitest gives up on a worker that does not answer for one.
          await setImmediate()
        }
      }
      assert.isTrue(isClean())
      assert.deepStrictEqual(prototypes(), before)
      // Three quarters of the frames left nothing behind.
      assert.isBelow(heap() - start, 24 * 1024 * 1024)
      // The fuzz reaches both what is understood and what is not.
      // Many of those understood repeat an id: they are received, and no trade.
      const account = (of: string) => ledger.accounts().find(({ channel }) => channel === of)
      if (brought(exchanges[name]).includes("trades")) {
        assert.isAbove(trades, 0)
        assert.isAbove(account("trades")?.received ?? 0, frames / 100)
      }
      if ("books" in exchanges[name]) assert.isAbove(books, frames / 10_000)
      assert.isAbove(seen.failures, frames / 10)
      assert.strictEqual(sum(counted()), seen.failures + binary)
      for (const reason of counted().keys()) assert.include(reasons, reason)
      for (const { filtered, inFlight, received } of ledger.accounts()) {
        assert.strictEqual(received, inFlight + sum(filtered))
      }
      assert.strictEqual(account("trades")?.inFlight ?? 0, trades)
      assert.strictEqual(account("books")?.inFlight ?? 0, books)
      const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(1)
      if (frames >= 1_000_000) {
        console.log(
          `${name}: ${frames} frames, ${trades} trades, ${books} events of books, ${seen.failures} failures, ` +
            `heap ${mib(start)} MiB after a quarter, ${mib(heap())} at the end`
        )
      }
    })

    const one = ones[name](markets[name][0]?.exchangeSymbol ?? "", 1)
    const spoilt = (from: string | RegExp, to: string): string => {
      const text = one.replace(from, to)
      assert.notStrictEqual(text, one)
      return text
    }
    /** By its name, or the first of a row. */
    const priced = (price: string) => spoilt(/(?<="(?:price|px|p)":)"[^"]*"|(?<=\[\[)"?[\d.]+"?/, price)
    const nested = (depth: number) => spoilt(":", `:${"[".repeat(depth)}${"]".repeat(depth)},"x":`)
    const table: ReadonlyArray<readonly [string, () => string, string]> = [
      ["nesting of 33", () => "[".repeat(33) + "]".repeat(33), "too_deep"],
      ["nesting of 1e3", () => nested(1e3), "too_deep"],
      ["nesting of 1e4", () => nested(1e4), "too_deep"],
      ["nesting of 1e5", () => nested(1e5), "too_deep"],
      // Only the socket says how long it may be: some exchanges put JSON into a string.
      // The first name is that of the stream at Tabdeal, Binance and Bybit: of one that nobody knows.
      [
        "a string of 1 MB",
        () => spoilt(":", `:"${"x".repeat(1e6)}","x":`),
        ["tabdeal", "binance", "bybit"].includes(name) ? "unknown" : "schema"
      ],
      ["a number of 100 000 digits", () => spoilt(":", `:${"9".repeat(1e5)},"x":`), "too_large"],
      ["a list of 10 001", () => spoilt(":", `:[${"1,".repeat(10_000)}1],"x":`), "too_large"],
      ["a byte order mark", () => `\ufeff${one}`, "json"],
      ["a truncated frame", () => one.slice(0, -1), "json"],
      ["a price of 1e999", () => priced("1e999"), "number"],
      ["a price of 1e100000000", () => priced("1e100000000"), "number"],
      ["a price of Infinity", () => priced("\"Infinity\""), "number"],
      ["a price of 0x10", () => priced("\"0x10\""), "number"],
      ["a price below zero", () => priced("\"-1\""), "number"],
      ["no price", () => priced("null"), "schema"],
      ["a list for a price", () => priced("[1]"), "schema"]
    ]
    for (const [what, frame, reason] of table) {
      it(`${what} is counted as ${reason}`, () => {
        const { counted, session: made } = session(exchanges[name], markets[name])
        const { dead } = made.handle([{ _tag: "text", text: frame(), ...moment(1) }])
        assert.deepStrictEqual([...counted().keys()], [reason])
        assert.strictEqual(dead[0]?.failure.reason, reason)
        assert.isAtMost(dead[0]?.failure.detail.length ?? 0, 512)
      })
    }

    it("a hostile key at any level changes no prototype, and no trade", () => {
      const places = Array.from(one.matchAll(/\{/g), ({ index }) => index + 1)
      for (const at of places) {
        for (const key of ["__proto__", "constructor", "prototype"]) {
          for (const bad of ["{\"polluted\":1}", "{\"prototype\":{\"polluted\":1}}", "null", "[]"]) {
            const text = `${one.slice(0, at)}"${key}":${bad},${one.slice(at)}`
            const plain = session(exchanges[name], markets[name]).session.handle([{
              _tag: "text",
              text: one,
              ...moment(1)
            }])
            const made = session(exchanges[name], markets[name]).session.handle([{ _tag: "text", text, ...moment(1) }])
            assert.deepStrictEqual(made.events, plain.events)
            for (const event of made.events) {
              assert.strictEqual(Object.getPrototypeOf(event), Object.prototype)
              assert.isFalse("polluted" in event)
            }
            assert.isTrue(isClean())
          }
        }
      }
    })

    if (name === "tabdeal") {
      it.scopedLive("the books of others go on while a connection is fed with them", () =>
        Effect.gen(function*() {
          const fake = yield* FakeTabdeal.make({ markets: 4, seed: 5, picture: 100 })
          const running = yield* run(exchanges[name], {
            endpoints: { apiUrl: fake.apiUrl, wsUrl: fake.wsUrl },
            channels: ["books"],
            books: { depth: "all", interval: Duration.zero, refresh: Duration.zero, deltas: false }
          })
          const told = () =>
            new Set(running.events.flatMap((event) => event.type === "book" ? [event.symbol] : [])).size
          yield* until("all books", () => told() === 4, 10_000)
          yield* feed(fake, source(ten.map((i) => tabdealBook("HOSTILE", i)), 6))
          const reader = BookReader.make()
          reader.read(running.events)
          let read = running.events.length
          const areTrue = () => {
            reader.read(running.events.slice(read))
            read = running.events.length
            return fake.tradable.every(({ exchangeSymbol, symbol }) =>
              isDeepStrictEqual(reader.book(`tabdeal:${symbol}`), fake.book(exchangeSymbol))
            )
          }
          yield* until("each book as it truly is", areTrue, 10_000)
          assert.strictEqual(fake.server.dials.length, 1)
          assert.isAbove(sum(running.status().decodeFailures), rounds / 10)
        }).pipe(Effect.provide(layer)))
      return
    }

    it.scopedLive("other markets go on while a connection is fed with them", () =>
      Effect.gen(function*() {
        const fake = yield* fakes[name]({ markets: 4, seed: 5 })
        const running = yield* run(exchanges[name], { endpoints: { apiUrl: fake.apiUrl, wsUrl: fake.wsUrl } })
        yield* Effect.promise(() => fake.ready())
        // Of a market that nobody subscribed to: whatever becomes of its trades, none of the others' may be missing.
        const binary = yield* feed(fake, source(ten.map((i) => ones[name]("HOSTILE", i)), 6))
        // The history may have the last trades before their frames are read.
        yield* until("all frames", () => running.status().decodeFailures.get("binary") === binary, 20_000)
        yield* until("all trades", () => running.trades().length >= fake.issued.length, 20_000)
        assert.deepInclude(Oracle.judge(fake.issued, running.trades()), {
          missing: [],
          doubtful: [],
          unsent: [],
          foreign: [],
          wrong: [],
          duplicates: [],
          disordered: []
        })
        assert.strictEqual(fake.server.dials.length, 1)
        const { decodeFailures } = running.status()
        assert.isAtLeast(binary, Math.floor(rounds / 500))
        assert.isAbove(sum(decodeFailures), rounds / 10)
      }).pipe(Effect.provide(layer)))
  })
}
