/**
 * Kraken, spot, by its WebSocket v2 (docs/design/exchanges/kraken.md). Numbers are bare JSON numbers whose digits count. Ids count up market
 * by market and leave none out. A subscription begins with the market's last 50 trades. Books are a picture of as many levels as were asked for
 * and changes, each with a checksum of the best ten; what falls out of them is not said.
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as ExchangeTime from "../../services/ExchangeTime.ts"
import { Side } from "../../services/MarketEvent.ts"
import type { BooksOptions } from "../books/Options.ts"
import * as DecodeFailure from "../DecodeFailure.ts"
import * as Defaults from "../Defaults.ts"
import type { Exchange, Level as BookLevel, Listed, Market, Message, PageEdge, Protocol, Refusal } from "../Exchange.ts"
import * as Checksum from "../protocols/Checksum.ts"
import { decoder, epochSeconds, isoTime, levels, rowDecoder, tradeDecoder } from "../protocols/Fields.ts"
import * as Json from "../protocols/Json.ts"
import * as Trades from "../protocols/Trades.ts"

const Id = Schema.String.pipe(Schema.pattern(/^\d{1,20}$/))

/** `wsname` is what its WebSocket v1 calls it. Dark pools have none, and no socket has their trades. */
const Pair = Schema.Struct({
  altname: Schema.String,
  wsname: Schema.optional(Schema.String),
  base: Schema.String,
  quote: Schema.String,
  status: Schema.String
})

/** Price, amount, epoch seconds, buy or sell, market or limit, whatever, id. */
const Row = Schema.Tuple([
  Schema.String,
  Schema.String,
  Schema.String,
  Schema.Literal("b", "s"),
  Schema.Unknown,
  Schema.Unknown,
  Id
], Schema.Unknown)

const Trade = Schema.Struct({
  symbol: Schema.String,
  side: Side,
  price: Schema.String,
  qty: Schema.String,
  trade_id: Id,
  timestamp: Schema.String
})

const Level = Schema.Struct({ price: Schema.String, qty: Schema.String })

/** Pictures of 2024 have no time. */
const Book = Schema.Struct({
  symbol: Schema.String,
  bids: Schema.Array(Level),
  asks: Schema.Array(Level),
  checksum: Schema.String.pipe(Schema.pattern(/^\d{1,10}$/)),
  timestamp: Schema.optional(Schema.String)
})

const Answer = Schema.Struct({
  method: Schema.Literal("subscribe", "unsubscribe"),
  success: Schema.Boolean,
  error: Schema.optional(Schema.String),
  req_id: Schema.optional(Schema.String),
  symbol: Schema.optional(Schema.String),
  result: Schema.optional(
    Schema.Struct({ channel: Schema.String, symbol: Schema.String, depth: Schema.optional(Schema.String) })
  )
})

const Result = Schema.Struct({ result: Schema.Record({ key: Schema.String, value: Schema.Unknown }) })

const decodeResult = decoder(Result)
const decodePair = decoder(Pair)
const decodePush = rowDecoder(Schema.Struct({ data: Schema.Array(Schema.Unknown) }))
const decodeBookPush = rowDecoder(
  Schema.Struct({ type: Schema.Literal("snapshot", "update"), data: Schema.Array(Schema.Unknown) })
)
const decodeBook = rowDecoder(Book)
const decodeSymbol = rowDecoder(Schema.Struct({ symbol: Schema.String }))
const isAnswer = Schema.is(Answer)
const isFailed = Schema.is(Schema.Struct({ error: Schema.Array(Schema.String) }))

const failed = (failure: DecodeFailure.DecodeFailure): Message => ({ _tag: "failure", failure })
const unknown = (text: string): Message => failed(DecodeFailure.make("unknown", text))

/** What its REST and the socket before call otherwise than v2 does, on either side of a market. */
const renamed = new Map([["XBT", "BTC"], ["XDG", "DOGE"]])

const listedOf = ({ altname, base, quote, status, wsname }: typeof Pair.Type): Listed => {
  const [first, second] = wsname?.split("/").map((name) => renamed.get(name) ?? name) ?? []
  return first === undefined || second === undefined
    ? { exchangeSymbol: altname, base, quote, tradable: false }
    : { exchangeSymbol: `${first}/${second}`, base: first, quote: second, tradable: status === "online" }
}

const tradeOf = tradeDecoder(Trade, {
  id: "trade_id",
  price: "price",
  amount: "qty",
  side: ({ side }) => side,
  time: ["timestamp", isoTime]
})

const rowOf = tradeDecoder(Row, {
  id: "6",
  price: "0",
  amount: "1",
  side: (row) => row[3] === "b" ? "buy" : "sell",
  time: ["2", epochSeconds]
})

const symbolOf = (row: unknown) => Either.map(decodeSymbol(row), ({ symbol }) => symbol)

const tradePrefix = "trade:"

const proven = (
  name: string,
  rows: ReadonlyArray<typeof Level.Type>
): Either.Either<ReadonlyArray<BookLevel>, DecodeFailure.DecodeFailure> =>
  Either.map(
    levels(name, rows.map(({ price, qty }) => [price, qty] as const)),
    (read) =>
      read.map(([price, amount], at): BookLevel => {
        const row = rows[at]
        return row === undefined ? [price, amount] : [price, amount, Checksum.listedDigits(row.price, row.qty)]
      })
  )

const bookOf = (type: "snapshot" | "update", item: unknown): Message => {
  const book = Either.flatMap(
    decodeBook(item),
    (book) =>
      Either.map(Either.all([proven("bids", book.bids), proven("asks", book.asks)]), ([bids, asks]): Message => ({
        _tag: "books",
        exchangeSymbol: book.symbol,
        part: type === "snapshot" ? "whole" : "delta",
        bids,
        asks,
        previous: undefined,
        sequence: undefined,
        checksum: book.checksum,
        ...(book.timestamp === undefined ? undefined : isoTime(book.timestamp)) ?? { timestamp: null }
      }))
  )
  if (Either.isRight(book)) return book.right
  // Its depth is not said, and with it not which topic it was.
  return Either.match(decodeSymbol(item), {
    onLeft: () => failed(book.left),
    onRight: ({ symbol }): Message => ({
      _tag: "failure",
      failure: book.left,
      subject: { channel: "books", exchangeSymbol: symbol }
    })
  })
}

/** Levels a side that a book may be subscribed to with. */
const depths = [10, 25, 100, 500, 1_000]
const deepest = 1_000

const depthOf = ({ depth }: BooksOptions): number =>
  depths.find((levels) => depth !== "all" && levels >= depth) ?? deepest

/** `book@25:BTC/USD`: whoever leaves has to name the depth as well. */
const bookTopic = (depth: number | string, symbol: string): string => `book@${depth}:${symbol}`
const bookPattern = /^book@(\d+):/

/**
 * A refusal names the market or not, but never the channel: ids of commands for books are so many higher, by the place of their depth. They
 * stay below two to the power of 31.
 */
const apart = 10_000_000

const idOf = (id: number, depth: string | undefined): number => id + apart * (depths.indexOf(Number(depth)) + 1)

/** Which command it was, and what the topic of a market was called there. */
const commandOf = (reqId: string) => {
  const depth = depths[Math.floor(Number(reqId) / apart) - 1]
  return {
    id: String(Number(reqId) % apart),
    topicOf: (symbol: string) => depth === undefined ? tradePrefix + symbol : bookTopic(depth, symbol)
  }
}

const alreadySubscribed = /already subscribed/i

const answered = (answer: typeof Answer.Type, text: string): ReadonlyArray<Message> => {
  const { error: message = "", method, req_id: reqId, result, success, symbol } = answer
  if (method === "unsubscribe") return []
  if (success) {
    if (result === undefined) return [unknown(text)]
    const { channel, depth, symbol } = result
    const topic = depth === undefined ? `${channel}:${symbol}` : bookTopic(depth, symbol)
    return [{ _tag: "subscribed", topic, position: undefined, recovered: false }]
  }
  const { id, topicOf } = commandOf(reqId ?? "0")
  // Asked again because its answer came late: that is the answer.
  if (symbol !== undefined && alreadySubscribed.test(message)) {
    return [{ _tag: "subscribed", topic: topicOf(symbol), position: undefined, recovered: false }]
  }
  const refusal = { code: "error", message, remedy: /msg rate/i.test(message) ? "soon" : "later" } as const
  if (symbol !== undefined) return [{ _tag: "rejected", topic: topicOf(symbol), ...refusal }]
  // Not each refusal says which market it is about.
  return [reqId === undefined ? unknown(text) : { _tag: "denied", id, ...refusal }]
}

const decode: Protocol["decode"] = (text) => {
  const parsed = Json.parseFrame(text)
  if (Either.isLeft(parsed)) return [failed(parsed.left)]
  const value = parsed.right
  if (!Predicate.isRecord(value)) return [unknown(text)]
  switch (value["channel"]) {
    case "trade":
      return Either.match(decodePush(value), {
        onLeft: (failure) => [failed(failure)],
        onRight: ({ data }) => Trades.byMarket(data, symbolOf, tradeOf, value["type"] === "snapshot")
      })
    case "book":
      return Either.match(decodeBookPush(value), {
        onLeft: (failure) => [failed(failure)],
        onRight: ({ data, type }) => data.map((item) => bookOf(type, item))
      })
    // They say nothing of any market: a topic is silent all the same.
    case "heartbeat":
    case "status":
      return []
  }
  if (value["method"] === "pong") return []
  return isAnswer(value) ? answered(value, text) : [unknown(text)]
}

const command = (method: string, topics: ReadonlyArray<string>, id: number): string => {
  const depth = bookPattern.exec(topics[0] ?? "")?.[1]
  const symbol = topics.map((topic) => topic.slice(topic.indexOf(":") + 1))
  const params = depth === undefined
    ? { channel: "trade", symbol, snapshot: true }
    : { channel: "book", symbol, depth: Number(depth), snapshot: true }
  return JSON.stringify({ method, params, req_id: idOf(id, depth) })
}

const tooOften = /rate limit|too many requests/i
const throttled = /throttled: *(\d+)/i
const lockout = /temporary lockout/i

/** Seconds that it wants to be left alone, as far as is known; of a throttled client it names the end. */
const restOf = (message: string): string | undefined =>
  throttled.exec(message)?.[1] ?? (lockout.test(message) ? "900" : tooOften.test(message) ? "15" : undefined)

/** Its errors begin with E; what begins with W is a warning, and the result stands. */
const refused: Exchange["rest"]["refused"] = ({ body }): Refusal | undefined => {
  const errors = isFailed(body) ? body.error.filter((error) => error.startsWith("E")) : []
  if (errors.length > 0) {
    const message = errors.join(", ")
    return { message, retryAfter: restOf(message), isUnknownMarket: errors.includes("EQuery:Unknown asset pair") }
  }
  return undefined
}

const elsewhere = "another region, HTTPS_PROXY, or KRAKEN_API_URL and KRAKEN_WS_URL for a way there"

const size = 1_000

const historyPath = ({ exchangeSymbol }: Market, since = ""): string =>
  `/0/public/Trades?pair=${encodeURIComponent(exchangeSymbol)}&count=${size}${since}`

/** Nanoseconds by which a page begins before the known trade. */
const margin = 1_000n

/**
 * Below the known trade's own time: rows that share it may lie on both sides of a page's edge, `since` leaves out what is of exactly that
 * time, and REST prints its nanoseconds as a double does, up to 120 too late. Without the margin such rows would be lost, untold.
 */
const sinceOf = (edge: PageEdge): bigint => {
  const time = ExchangeTime.timeOf(edge)
  // Never: all its trades have a time. From the very first trade on nothing is taken for what it is not.
  if (time === null) return 0n
  const second = `${time.slice(0, 19)}Z`
  const nanos = BigInt(Date.parse(second)) * 1_000_000n + BigInt(time.slice(second.length, -1).padEnd(9, "0"))
  return nanos > margin ? nanos - margin : 0n
}

export const kraken: Exchange = {
  id: "kraken",
  title: "Kraken",
  byDefault: false,
  advice: {
    403: `this address is not served; try ${elsewhere}`,
    451: `not served in this region; try ${elsewhere}`
  },
  clockUnit: 1,
  tradeIds: "consecutive",
  endpoints: { apiUrl: "https://api.kraken.com", wsUrl: "wss://ws.kraken.com/v2" },
  limits: {
    subscriptionsPerConnection: 100,
    restPerMinute: 40,
    restApart: Duration.seconds(1),
    dialsPerMinute: 10,
    commandsPerSecond: 2,
    rotateAfter: undefined
  },
  rest: {
    markets: {
      path: "/0/public/AssetPairs",
      decode: (body) =>
        Either.map(
          decodeResult(body),
          ({ result }) => Object.values(result).map((pair) => Either.map(decodePair(pair), listedOf))
        )
    },
    history: {
      path: historyPath,
      pages: {
        size,
        holds: "oldest",
        path: (market, above) => historyPath(market, `&since=${sinceOf(above)}`)
      },
      // Besides the rows, under whatever name the market has there, the result has only `last`.
      decode: (body) =>
        Either.flatMap(decodeResult(body), ({ result }) => {
          const rows = Object.values(result).find(Array.isArray)
          return rows === undefined
            ? Either.left(DecodeFailure.make("schema", "a result without a list of trades"))
            : Either.right(rows.map(rowOf))
        }),
      askAfter: 0
    },
    check: { path: () => "/0/public/SystemStatus", decode: decodeResult },
    refused
  },
  socket: {
    hello: undefined,
    acknowledges: true,
    topics: (channel, { exchangeSymbol }, books = Defaults.books) => [
      channel === "trades" ? tradePrefix + exchangeSymbol : bookTopic(depthOf(books), exchangeSymbol)
    ],
    subscribe: (topic, id) => command("subscribe", [topic], id),
    // One frame a market would be refused at random.
    batch: {
      size: 50,
      subscribe: (topics, id) => command("subscribe", topics, id),
      unsubscribe: (topics, id) => command("unsubscribe", topics, id)
    },
    unsubscribe: (topic, id) => command("unsubscribe", [topic], id),
    // It hangs up on a connection that says nothing for a minute.
    keepAlive: { every: Duration.seconds(30), text: "{\"method\":\"ping\"}" },
    isTerminal: () => false,
    decode
  },
  books: {
    link: "none",
    checksum: { levels: 10, of: Checksum.listed },
    resync: "resubscribe",
    ofNamedMarkets: true,
    levels: deepest,
    numbers: "none",
    picture: undefined,
    by: (options) => ({ cut: depthOf(options), levels: depthOf(options) })
  }
}
