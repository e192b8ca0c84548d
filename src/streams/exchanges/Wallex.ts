/**
 * Wallex (docs/design/exchanges/wallex.md). Prices in Toman, quote `TMN`. Trades have no id and whole seconds: the feed counts equal ones
 * (docs/design/delivery.md "Identity of trades without an id"). Nothing answers a subscription.
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as DecodeFailure from "../DecodeFailure.ts"
import type { Exchange, Market, Message, Protocol } from "../Exchange.ts"
import { decoder, isoTime, levels, newestLast, rowDecoder, tradeDecoder } from "../protocols/Fields.ts"
import * as Json from "../protocols/Json.ts"

/** `success: false` comes with HTTP 200. */
const Markets = Schema.Struct({
  success: Schema.Literal(true),
  result: Schema.Struct({ markets: Schema.Array(Schema.Unknown) })
})

/** `is_market_type_enable` is false for markets that trade heavily (capture of 2026-10-06): it says nothing. */
const ListedMarket = Schema.Struct({
  symbol: Schema.String,
  base_asset: Schema.String,
  quote_asset: Schema.String,
  is_spot: Schema.Boolean
})

const Trade = Schema.Struct({
  isBuyOrder: Schema.Boolean,
  quantity: Schema.String,
  price: Schema.String,
  timestamp: Schema.String
})

const Trades = Schema.Struct({
  success: Schema.Literal(true),
  result: Schema.Struct({ latestTrades: Schema.Array(Schema.Unknown) })
})

/** Numbers by the socket; by REST numbers, or text as in older answers. */
const Side = Schema.Array(Schema.Struct({ price: Schema.String, quantity: Schema.String }))

const Depth = Schema.Struct({ success: Schema.Literal(true), result: Schema.Struct({ bid: Side, ask: Side }) })

const decodeTrades = decoder(Trades)
const decodeMarkets = decoder(Markets)
const decodeMarket = decoder(ListedMarket)
const decodeSuccess = decoder(Schema.Struct({ success: Schema.Literal(true) }))

const decodeSide = rowDecoder(Side)
const decodeDepth = decoder(Depth)

const tradesSuffix = "@trade"
const sides = { "@buyDepth": "bids", "@sellDepth": "asks" } as const

const fail = (reason: DecodeFailure.Reason, detail: string): ReadonlyArray<Message> => [
  { _tag: "failure", failure: DecodeFailure.make(reason, detail) }
]

const unread = (topic: string) => (failure: DecodeFailure.DecodeFailure): Message => ({
  _tag: "failure",
  failure,
  topic
})

const rowOf = tradeDecoder(Trade, {
  price: "price",
  amount: "quantity",
  side: ({ isBuyOrder }) => isBuyOrder ? "buy" : "sell",
  // Part of the id: without it the trade cannot be told from others.
  time: ["timestamp", isoTime]
})

const trade = (topic: string, exchangeSymbol: string, data: unknown): Message =>
  Either.match(rowOf(data), {
    onLeft: unread(topic),
    onRight: (row) => ({ _tag: "trades", exchangeSymbol, rows: [row] })
  })

const sideOf = (name: string, rows: typeof Side.Type) =>
  levels(name, rows.map(({ price, quantity }) => [price, quantity]))

/** Each message is one whole side; the book has neither a number nor a time. */
const depth = (topic: string, exchangeSymbol: string, part: "bids" | "asks", data: unknown): Message =>
  Either.match(Either.flatMap(decodeSide(data), (rows) => sideOf(part, rows)), {
    onLeft: unread(topic),
    onRight: (side) => ({
      _tag: "books",
      exchangeSymbol,
      part,
      bids: part === "bids" ? side : [],
      asks: part === "asks" ? side : [],
      previous: undefined,
      sequence: undefined,
      timestamp: null
    })
  })

const picture = (body: unknown) =>
  Either.flatMap(
    decodeDepth(body),
    ({ result }) =>
      Either.flatMap(sideOf("bid", result.bid), (bids) =>
        Either.map(sideOf("ask", result.ask), (asks) => ({
          bids,
          asks,
          previous: undefined,
          sequence: undefined,
          timestamp: null
        })))
  )

/** In which form Wallex pings is disputed: the answer is the question with its word changed (docs/design/exchanges/wallex.md "Pings"). */
const maxPing = 256
const ping = /^(?:\s*ping\s*|\s*"ping"\s*|\s*\[\s*"ping".*|\s*\{\s*"ping"\s*:.*)$/is

const pongTo = (text: string): string => text.replace(/ping/i, (word) => word === word.toUpperCase() ? "PONG" : "pong")

const isGreeting = (value: unknown): boolean => typeof value === "object" && value !== null && "sid" in value

const decode: Protocol["decode"] = (text) => {
  if (text.length <= maxPing && ping.test(text)) return [{ _tag: "ping", reply: pongTo(text) }]
  const parsed = Json.parseFrame(text)
  if (Either.isLeft(parsed)) return [{ _tag: "failure", failure: parsed.left }]
  const value = parsed.right
  if (!Array.isArray(value)) return isGreeting(value) ? [] : fail("unknown", text)
  const [channel, data]: ReadonlyArray<unknown> = value
  if (typeof channel !== "string") return fail("unknown", text)
  if (channel.endsWith(tradesSuffix)) return [trade(channel, channel.slice(0, -tradesSuffix.length), data)]
  for (const [suffix, part] of Object.entries(sides)) {
    if (channel.endsWith(suffix)) return [depth(channel, channel.slice(0, -suffix.length), part, data)]
  }
  return fail("unknown", text)
}

const tradesPath = ({ exchangeSymbol }: Market): string => `/v1/trades?symbol=${encodeURIComponent(exchangeSymbol)}`

/** The finest unit of its trades' time, ms. */
const second = 1_000

export const wallex: Exchange = {
  id: "wallex",
  title: "Wallex",
  names: { TMN: "IRT" },
  clockUnit: second,
  endpoints: { apiUrl: "https://api.wallex.ir", wsUrl: "wss://api.wallex.ir/ws" },
  limits: {
    subscriptionsPerConnection: 50,
    restPerMinute: 60,
    dialsPerMinute: 30,
    commandsPerSecond: 50,
    // It cuts connections after 30 to 80 minutes (docs/design/exchanges/wallex.md "Limits").
    rotateAfter: Duration.minutes(25)
  },
  rest: {
    markets: {
      path: "/hector/web/v1/markets",
      decode: (body) =>
        Either.map(
          decodeMarkets(body),
          ({ result }) =>
            result.markets.map((row) =>
              Either.map(decodeMarket(row), (market) => ({
                exchangeSymbol: market.symbol,
                base: market.base_asset,
                quote: market.quote_asset,
                tradable: market.is_spot
              }))
            )
        )
    },
    history: {
      path: tradesPath,
      decode: (body) => Either.map(decodeTrades(body), ({ result }) => newestLast(result.latestTrades.map(rowOf))),
      // A whole second counts as over two seconds after it began.
      askAfter: second + 2_200
    },
    check: { path: tradesPath, decode: decodeSuccess }
  },
  socket: {
    hello: undefined,
    acknowledges: false,
    topics: (channel, { exchangeSymbol }) =>
      (channel === "trades" ? [tradesSuffix] : Object.keys(sides)).map((suffix) => exchangeSymbol + suffix),
    subscribe: (channel) => JSON.stringify(["subscribe", { channel }]),
    // No topic can be left: a book that is silent is mended by a new connection, which must not be that of trades.
    connection: (channel) => ({ kind: channel }),
    // A connection may send 50 messages in its life, and those are its subscriptions.
    unsubscribe: undefined,
    isTerminal: () => false,
    decode
  },
  books: {
    link: "replaced",
    levels: 50,
    numbers: "none",
    picture: {
      path: ({ exchangeSymbol }) => `/v1/depth?symbol=${encodeURIComponent(exchangeSymbol)}`,
      decode: picture
    }
  }
}
