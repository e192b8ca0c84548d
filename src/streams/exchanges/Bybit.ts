/**
 * Bybit, spot, by its version 5 (docs/design/exchanges/bybit.md). Trades have ids that jump, so none is missed by its number, and REST has the
 * last 60 alone. One topic that it does not like refuses the whole frame that names it. Books are a picture and changes, which it counts by one,
 * topic by topic; what names their states is the number of its engine.
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type { BooksOptions } from "../books/Options.ts"
import * as DecodeFailure from "../DecodeFailure.ts"
import * as Defaults from "../Defaults.ts"
import type { Exchange, Market, Message, Protocol, Refusal, TradeRow } from "../Exchange.ts"
import { decoder, epochMillis, levels, newestLast, rowDecoder, tradeDecoder } from "../protocols/Fields.ts"
import * as Json from "../protocols/Json.ts"
import * as Levels from "../protocols/Levels.ts"

const ListedMarket = Schema.Struct({
  symbol: Schema.String,
  baseCoin: Schema.String,
  quoteCoin: Schema.String,
  status: Schema.String
})

/** Digits on the spot market. */
const Id = Schema.String.pipe(Schema.pattern(/^[\w-]{1,40}$/))

/** The taker's. */
const Side = Schema.Literal("Buy", "Sell")

const Trade = Schema.Struct({
  s: Schema.String,
  i: Id,
  p: Schema.String,
  v: Schema.String,
  S: Side,
  T: Schema.String
})

const PastTrade = Schema.Struct({
  execId: Id,
  price: Schema.String,
  size: Schema.String,
  side: Side,
  time: Schema.String
})

const Whole = Schema.String.pipe(Schema.pattern(/^\d{1,19}$/))

/** `u` counts the frames of a topic, `seq` what the engine does; `cts` is its time, `ts` that of the sender. */
const Book = Schema.Struct({
  type: Schema.Literal("snapshot", "delta"),
  ts: Schema.String,
  cts: Schema.optional(Schema.String),
  data: Schema.Struct({ s: Schema.String, b: Levels.Side, a: Levels.Side, u: Whole, seq: Whole })
})

const List = Schema.Array(Schema.Unknown)

/** It says of no topic by itself what became of it. */
const Answer = Schema.Struct({
  op: Schema.String,
  success: Schema.optional(Schema.Boolean),
  ret_msg: Schema.optional(Schema.String),
  req_id: Schema.optional(Schema.String)
})

const decodeMarket = decoder(ListedMarket)
const decodeList = decoder(Schema.Struct({ result: Schema.Struct({ list: List }) }))
const decodeBook = rowDecoder(Book)
const decodePush = rowDecoder(Schema.Struct({ data: List }))
const decodeSymbol = rowDecoder(Schema.Struct({ s: Schema.String }))
const isAnswer = Schema.is(Answer)
const isCoded = Schema.is(Schema.Struct({ retCode: Schema.String, retMsg: Schema.optional(Schema.String) }))

/** `topic`: left out where nothing of it is missing. */
const failed = (failure: DecodeFailure.DecodeFailure, topic?: string): Message => ({ _tag: "failure", failure, topic })
const unknown = (text: string): Message => failed(DecodeFailure.make("unknown", text))

const sideOf = (side: typeof Side.Type): "buy" | "sell" => side === "Buy" ? "buy" : "sell"

const tradeOf = tradeDecoder(Trade, {
  id: "i",
  price: "p",
  amount: "v",
  side: ({ S }) => sideOf(S),
  time: ["T", epochMillis]
})

const pastTradeOf = tradeDecoder(PastTrade, {
  id: "execId",
  price: "price",
  amount: "size",
  side: ({ side }) => sideOf(side),
  time: ["time", epochMillis]
})

const tradePrefix = "publicTrade."

/** In the order in which they happened. Block trades and those with hidden orders (RPI) are trades like any. */
const trades = (topic: string, push: unknown): ReadonlyArray<Message> => {
  const decoded = decodePush(push)
  if (Either.isLeft(decoded)) return [failed(decoded.left, topic)]
  const exchangeSymbol = topic.slice(tradePrefix.length)
  const failures: Array<Message> = []
  const rows: Array<TradeRow> = []
  for (const item of decoded.right.data) {
    const row = Either.all([decodeSymbol(item), tradeOf(item)])
    if (Either.isLeft(row)) {
      failures.push(failed(row.left, topic))
      continue
    }
    const [{ s }, trade] = row.right
    if (s === exchangeSymbol) rows.push(trade)
    else failures.push(failed(DecodeFailure.make("symbol", `${s} on ${topic}`), topic))
  }
  return rows.length === 0 ? failures : [...failures, { _tag: "trades", exchangeSymbol, rows }]
}

const bookTopic = /^orderbook\.\d+\.(.+)$/

/** Levels a side of the least stream that has as many as are wanted. */
const levelsOf = ({ depth }: Pick<BooksOptions, "depth">): number => depth === "all" || depth > 50 ? 1_000 : 50

/** What stands for the restart of its service, whatever the frame calls itself: all of the book is in it. */
const restarted = 1n

/** An odd time is counted, and the book goes on without. */
const book = (topic: string, exchangeSymbol: string, push: unknown): ReadonlyArray<Message> => {
  const decoded = decodeBook(push)
  if (Either.isLeft(decoded)) return [failed(decoded.left, topic)]
  const { cts, data: { a, b, s, seq, u }, ts, type } = decoded.right
  if (s !== exchangeSymbol) return [failed(DecodeFailure.make("symbol", `${s} on ${topic}`), topic)]
  const sides = Either.all({ bids: levels("bids", b), asks: levels("asks", a) })
  if (Either.isLeft(sides)) return [failed(sides.left, topic)]
  const sequence = BigInt(u)
  const isWhole = type === "snapshot" || sequence === restarted
  const time = epochMillis(cts ?? ts)
  const part: Message = {
    _tag: "books",
    exchangeSymbol,
    part: isWhole ? "whole" : "delta",
    ...sides.right,
    previous: isWhole ? undefined : sequence - 1n,
    sequence,
    number: BigInt(seq),
    ...time ?? { timestamp: null }
  }
  return time === undefined ? [part, failed(DecodeFailure.make("time", cts ?? ts))] : [part]
}

const alreadySubscribed = /already subscribed,topic:(.+)$/

/**
 * A refusal names the one topic that it is for, but refuses its whole frame: the others are to be asked for by themselves. One that is
 * subscribed already was asked for again because its answer came late, and that is the answer.
 */
const answered = (
  { op, req_id: id = "", ret_msg: words = "", success }: typeof Answer.Type,
  text: string
): ReadonlyArray<Message> => {
  switch (op) {
    case "ping":
    case "pong":
    case "unsubscribe":
      return []
    case "subscribe":
      break
    default:
      return [unknown(text)]
  }
  const topic = success === true ? undefined : alreadySubscribed.exec(words)?.[1]
  const granted: ReadonlyArray<Message> = topic === undefined
    ? []
    : [{ _tag: "subscribed", topic, position: undefined, recovered: false }]
  if (id === "") return granted.length === 0 ? [unknown(text)] : granted
  const message = words.replace(/^error:/, "")
  return success === true
    ? [{ _tag: "granted", id }]
    : [...granted, { _tag: "denied", id, code: "error", message, remedy: "later" }]
}

const decode: Protocol["decode"] = (text) => {
  const parsed = Json.parseFrame(text)
  if (Either.isLeft(parsed)) return [failed(parsed.left)]
  const value = parsed.right
  if (!Predicate.isRecord(value)) return [unknown(text)]
  const { topic } = value
  if (typeof topic !== "string") return isAnswer(value) ? answered(value, text) : [unknown(text)]
  if (topic.startsWith(tradePrefix)) return trades(topic, value)
  const symbol = bookTopic.exec(topic)?.[1]
  return symbol === undefined ? [unknown(text)] : book(topic, symbol, value)
}

const command = (op: string, args: ReadonlyArray<string>, id: number): string =>
  JSON.stringify({ req_id: String(id), op, args })

/** Seconds. A ban for asking too often is lifted after ten minutes; a limit of one question counts seconds. */
const ban = "600"
const aMoment = "5"

/** Its codes, which come with status 200. */
const waits: Readonly<Record<string, string>> = { "10006": aMoment, "10009": ban, "10018": ban }
const notServed = "10024"
/** Parameters that it does not take, and a market that is not for everybody. */
const [badParameter, notForYou] = ["10001", "10029"]

const elsewhere = "BYBIT_API_URL and BYBIT_WS_URL of your account's site, HTTPS_PROXY, another region"

const tooFrequent = /too frequent|too many/i

/**
 * 403 has two reasons, of which its text says which: too many questions, or a region that is not served (a page of CloudFront's). Both are left
 * alone for as long as a ban lasts.
 */
const refused: Exchange["rest"]["refused"] = ({ body, status, text = "" }): Refusal | undefined => {
  if (isCoded(body) && body.retCode !== "0") {
    const { retCode, retMsg = "" } = body
    const words = `${retCode} ${retMsg}`.trim()
    return {
      message: retCode === notServed ? `not served in this region; try ${elsewhere} (${words})` : words,
      retryAfter: status === 403 ? ban : waits[retCode],
      isUnknownMarket: retCode === notForYou || (retCode === badParameter && /symbol/i.test(retMsg))
    }
  }
  switch (status) {
    case 403:
      return { message: tooFrequent.test(text) ? "asked too often" : "its region", retryAfter: ban }
    case 429:
      return { message: "asked too often", retryAfter: aMoment }
    default:
      return undefined
  }
}

const marketPath = (what: string) => ({ exchangeSymbol }: Market): string =>
  `/v5/market/${what}?category=spot&symbol=${encodeURIComponent(exchangeSymbol)}`

/** All that it has of a market. */
const lastTrades = 60

export const bybit: Exchange = {
  id: "bybit",
  title: "Bybit",
  byDefault: false,
  advice: { 403: `not served in this region, or asked too often; try ${elsewhere}` },
  clockUnit: 1,
  endpoints: { apiUrl: "https://api.bybit.com", wsUrl: "wss://stream.bybit.com/v5/public/spot" },
  limits: {
    subscriptionsPerConnection: 100,
    // An address has 600 in five seconds, of all that it asks.
    restPerMinute: 600,
    restApart: Duration.millis(100),
    dialsPerMinute: 50,
    commandsPerSecond: 5,
    rotateAfter: undefined
  },
  rest: {
    markets: {
      path: "/v5/market/instruments-info?category=spot",
      decode: (body) =>
        Either.map(
          decodeList(body),
          ({ result: { list } }) =>
            list.map((row) =>
              Either.map(decodeMarket(row), ({ baseCoin, quoteCoin, status, symbol }) => ({
                exchangeSymbol: symbol,
                base: baseCoin,
                quote: quoteCoin,
                tradable: status === "Trading"
              }))
            )
        )
    },
    history: {
      path: (market) => `${marketPath("recent-trade")(market)}&limit=${lastTrades}`,
      decode: (body) => Either.map(decodeList(body), ({ result: { list } }) => newestLast(list.map(pastTradeOf))),
      askAfter: 0
    },
    check: { path: () => "/v5/market/time", decode: Either.right },
    refused
  },
  socket: {
    hello: undefined,
    acknowledges: true,
    topics: (channel, { exchangeSymbol }, books = Defaults.books) => [
      channel === "trades" ? tradePrefix + exchangeSymbol : `orderbook.${levelsOf(books)}.${exchangeSymbol}`
    ],
    subscribe: (topic, id) => command("subscribe", [topic], id),
    // An eleventh topic refuses the frame.
    batch: {
      size: 10,
      subscribe: (topics, id) => command("subscribe", topics, id),
      unsubscribe: (topics, id) => command("unsubscribe", topics, id)
    },
    unsubscribe: (topic, id) => command("unsubscribe", [topic], id),
    // After ten minutes without it hangs up.
    keepAlive: { every: Duration.seconds(20), text: "{\"op\":\"ping\"}" },
    isTerminal: () => false,
    decode
  },
  books: {
    link: "exact",
    resync: "resubscribe",
    ofNamedMarkets: true,
    levels: 1_000,
    numbers: "own",
    // What REST has is numbered as the stream of 1 000 levels is, and would follow from no other.
    picture: undefined,
    by: (options) => ({ levels: levelsOf(options) })
  }
}
