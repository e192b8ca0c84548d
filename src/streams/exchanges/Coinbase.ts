/**
 * Coinbase, spot, by the WebSocket of Advanced Trade and the REST of Exchange, which have the same trades under the same ids
 * (docs/design/exchanges/coinbase.md). Both say the maker's side. Ids count up market by market and leave none out. The frames of a connection
 * are numbered, whatever they are about, and by that alone a book knows that nothing of it is missing.
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type { Side } from "../../services/MarketEvent.ts"
import * as DecodeFailure from "../DecodeFailure.ts"
import type { BookPart, Exchange, Level, Market, Message, Protocol, Refusal } from "../Exchange.ts"
import { decoder, isoTime, levels, newestLast, rowDecoder, tradeDecoder } from "../protocols/Fields.ts"
import * as Json from "../protocols/Json.ts"
import * as Trades from "../protocols/Trades.ts"

const Id = Schema.String.pipe(Schema.pattern(/^\d{1,20}$/))

const Product = Schema.Struct({
  id: Schema.String,
  base_currency: Schema.String,
  quote_currency: Schema.String,
  status: Schema.String,
  trading_disabled: Schema.optional(Schema.Boolean)
})

/** `side` is that of the order which lay in the book. */
const Trade = Schema.Struct({
  product_id: Schema.String,
  trade_id: Id,
  price: Schema.String,
  size: Schema.String,
  time: Schema.String,
  side: Schema.Literal("BUY", "SELL")
})

/** By REST; `side` is the maker's there too. */
const PastTrade = Schema.Struct({
  trade_id: Id,
  price: Schema.String,
  size: Schema.String,
  time: Schema.String,
  side: Schema.Literal("buy", "sell")
})

/** An amount is the level's new total. */
const Update = Schema.Struct({
  side: Schema.Literal("bid", "offer"),
  price_level: Schema.String,
  new_quantity: Schema.String
})

const List = Schema.Array(Schema.Unknown)

const decodeList = decoder(List)
const decodeProduct = decoder(Product)
const decodeTrades = rowDecoder(
  Schema.Struct({ events: Schema.Array(Schema.Struct({ type: Schema.optional(Schema.String), trades: List })) })
)
const decodeEvents = rowDecoder(Schema.Struct({ events: List }))
const decodeBook = rowDecoder(
  Schema.Struct({
    type: Schema.Literal("snapshot", "update"),
    product_id: Schema.String,
    updates: Schema.Array(Update)
  })
)
const isStamped = Schema.is(Schema.Struct({ timestamp: Schema.String }))
const decodeNamed = rowDecoder(Schema.Struct({ product_id: Schema.String }))
const decodeSubscriptions = decoder(
  Schema.Struct({
    events: Schema.Array(
      Schema.Struct({
        subscriptions: Schema.Record({ key: Schema.String, value: Schema.Array(Schema.String) })
      })
    )
  })
)
const isNumbered = Schema.is(Schema.Struct({ sequence_num: Id }))
const isRefusal = Schema.is(Schema.Struct({ message: Schema.String }))

const failed = (failure: DecodeFailure.DecodeFailure, topic?: string): Message => ({
  _tag: "failure",
  failure,
  ...topic === undefined ? {} : { topic }
})
const unknown = (text: string): Message => failed(DecodeFailure.make("unknown", text))

const takerOf = (maker: Side): Side => maker === "buy" ? "sell" : "buy"

const tradeOf = tradeDecoder(Trade, {
  id: "trade_id",
  price: "price",
  amount: "size",
  side: ({ side }) => takerOf(side === "BUY" ? "buy" : "sell"),
  time: ["time", isoTime]
})

const pastTradeOf = tradeDecoder(PastTrade, {
  id: "trade_id",
  price: "price",
  amount: "size",
  side: ({ side }) => takerOf(side),
  time: ["time", isoTime]
})

const symbolOf = (row: unknown) => Either.map(decodeNamed(row), ({ product_id }) => product_id)

const channels = { trades: "market_trades", books: "level2" } as const

/** Data of a book comes under another name than it is subscribed to by. */
const booksData = "l2_data"

const topicOf = (channel: string, product: string): string => `${channel}:${product}`

/** Each answer names all that the connection has. */
const subscribed = (value: unknown): ReadonlyArray<Message> =>
  Either.match(decodeSubscriptions(value), {
    onLeft: (failure) => [failed(failure)],
    onRight: ({ events }) =>
      events.flatMap(({ subscriptions }) =>
        Object.entries(subscriptions).flatMap(([channel, products]) =>
          products.map((product): Message => ({
            _tag: "subscribed",
            topic: topicOf(channel, product),
            position: undefined,
            recovered: false
          }))
        )
      )
  })

/** Of one market; a frame may have several. The first one after a subscription has the whole book, in any order. */
const bookOf = (event: unknown, time: Pick<BookPart, "timestamp" | "time">): Message => {
  const named = symbolOf(event)
  if (Either.isLeft(named)) return failed(named.left)
  const read = Either.flatMap(decodeBook(event), ({ product_id: exchangeSymbol, type, updates }) => {
    const bids: Array<Level> = []
    const asks: Array<Level> = []
    for (const { new_quantity, price_level, side } of updates) {
      if (side === "bid") bids.push([price_level, new_quantity])
      else asks.push([price_level, new_quantity])
    }
    return Either.map(Either.all([levels("bids", bids), levels("asks", asks)]), ([bids, asks]): Message => ({
      _tag: "books",
      exchangeSymbol,
      part: type === "snapshot" ? "whole" : "delta",
      bids,
      asks,
      previous: undefined,
      sequence: undefined,
      ...time
    }))
  })
  return Either.getOrElse(read, (failure) => failed(failure, topicOf(channels.books, named.right)))
}

const booksOf = (value: unknown): ReadonlyArray<Message> => {
  // Frames have the time of their sending; that of each level is another.
  const time = (isStamped(value) ? isoTime(value.timestamp) : undefined) ?? { timestamp: null }
  return Either.match(decodeEvents(value), {
    onLeft: (failure) => [failed(failure)],
    onRight: ({ events }) => events.map((event) => bookOf(event, time))
  })
}

/** Something of a book could not be read, and nobody can tell of which. */
const isAnybodys = (message: Message): boolean => message._tag === "failure" && message.topic === undefined

const told = (value: Readonly<Record<PropertyKey, unknown>>, text: string): ReadonlyArray<Message> => {
  switch (value["channel"]) {
    case channels.trades:
      return Either.match(decodeTrades(value), {
        onLeft: (failure) => [failed(failure)],
        onRight: ({ events }) =>
          Trades.byMarket(
            events.flatMap(({ trades }) => trades),
            symbolOf,
            tradeOf,
            events.every(({ type }) => type === "snapshot")
          )
      })
    case booksData:
      return booksOf(value)
    case "subscriptions":
      return [{ _tag: "ready" }, ...subscribed(value)]
    // It says nothing of any market.
    case "heartbeats":
      return [{ _tag: "ready" }]
    default:
      return [unknown(text)]
  }
}

const decode: Protocol["decode"] = (text) => {
  const parsed = Json.parseFrame(text)
  if (Either.isLeft(parsed)) return [failed(parsed.left)]
  const value = parsed.right
  if (!Predicate.isRecord(value)) return [unknown(text)]
  const messages = told(value, text)
  // As a frame that did not come: the next one's number then tells that something of all books may be missing.
  if (value["channel"] === booksData && messages.some(isAnybodys)) return messages
  // Before all else, and of every frame: answers and heartbeats are numbered as data is.
  return isNumbered(value) ? [{ _tag: "counted", sequence: BigInt(value.sequence_num) }, ...messages] : messages
}

/** A frame has one channel. */
const command = (type: string, topics: ReadonlyArray<string>): string => {
  const [channel = ""] = topics[0]?.split(":") ?? []
  return JSON.stringify({ type, channel, product_ids: topics.map((topic) => topic.slice(channel.length + 1)) })
}

/** Its own documents: ten a second and address, for a moment fifteen. It names no time to wait. */
const usualRest = "5"

const refused: Exchange["rest"]["refused"] = ({ body, status }): Refusal | undefined =>
  status === 429
    ? { message: isRefusal(body) ? body.message : "too many requests", retryAfter: usualRest }
    : undefined

const elsewhere = "try another network or region, HTTPS_PROXY, or COINBASE_API_URL and COINBASE_WS_URL for a way there"

/** Rows of a page. */
const size = 1_000

const historyPath = ({ exchangeSymbol }: Market, limit = size): string =>
  `/products/${encodeURIComponent(exchangeSymbol)}/trades?limit=${limit}`

export const coinbase: Exchange = {
  id: "coinbase",
  title: "Coinbase",
  byDefault: false,
  help: {
    apiUrl: "Base address of the REST API of Coinbase Exchange",
    wsUrl: "Address of the WebSocket of Coinbase Advanced Trade"
  },
  advice: {
    403: `its firewall refuses this address; ${elsewhere}`,
    429: "this address asks too often, we or others on it: it is left alone for a while",
    451: `not served in this region; ${elsewhere}`
  },
  clockUnit: 1,
  tradeIds: "consecutive",
  endpoints: { apiUrl: "https://api.exchange.coinbase.com", wsUrl: "wss://advanced-trade-ws.coinbase.com" },
  limits: {
    subscriptionsPerConnection: 200,
    restPerMinute: 300,
    // It counts by the second.
    restApart: Duration.millis(150),
    dialsPerMinute: 30,
    commandsPerSecond: 4,
    rotateAfter: undefined,
    // The whole book of a large market is a frame of 4.8 MB.
    maxPayload: 16 * 1024 * 1024
  },
  rest: {
    markets: {
      path: "/products",
      decode: (body) =>
        Either.map(decodeList(body), (list) => {
          const products = list.map(decodeProduct)
          const isTraded = ({ status, trading_disabled }: typeof Product.Type) =>
            status === "online" && trading_disabled !== true
          const traded = new Set(
            products.filter(Either.isRight).map(({ right }) => right).filter(isTraded).map(({ id }) => id)
          )
          // Another name of one and the same book, whose trades would be told twice; and what comes of it has the other name.
          const isAlias = ({ base_currency: base, quote_currency: quote }: typeof Product.Type) =>
            quote === "USDC" && traded.has(`${base}-USD`)
          return products.map((product) =>
            Either.map(product, (row) => ({
              exchangeSymbol: row.id,
              base: row.base_currency,
              quote: row.quote_currency,
              tradable: isTraded(row) && !isAlias(row)
            }))
          )
        })
    },
    history: {
      path: historyPath,
      pages: {
        size,
        holds: "newest",
        path: (market, { id }, reach) => `${historyPath(market)}&after=${BigInt(id) + BigInt(reach) + 1n}`
      },
      decode: (body) => Either.map(decodeList(body), (rows) => newestLast(rows.map(pastTradeOf))),
      askAfter: 0
    },
    check: { path: (market) => historyPath(market, 1), decode: decodeList },
    refused
  },
  socket: {
    // A connection of which nothing is heard is ended; and one that subscribed to nothing within five seconds.
    hello: `{"type":"subscribe","channel":"heartbeats"}`,
    acknowledges: true,
    topics: (channel, { exchangeSymbol }) => [topicOf(channels[channel], exchangeSymbol)],
    // A hole of one book is one of all that its connection carries, and only a new one mends it, which begins with whole books.
    connection: (channel) => channel === "books" ? { kind: "books", subscriptions: 20 } : { kind: "trades" },
    subscribe: (topic) => command("subscribe", [topic]),
    batch: {
      size: 50,
      subscribe: (topics) => command("subscribe", topics),
      unsubscribe: (topics) => command("unsubscribe", topics)
    },
    unsubscribe: (topic) => command("unsubscribe", [topic]),
    isTerminal: () => false,
    decode
  },
  books: {
    link: "counted",
    resync: "redial",
    // In an auction.
    mayCross: true,
    ofNamedMarkets: true,
    levels: 5_000,
    numbers: "none",
    picture: undefined
  }
}
