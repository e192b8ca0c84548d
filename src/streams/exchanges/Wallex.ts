/**
 * Wallex (DOSSIER.md section 3). Prices in Toman, quote `TMN`. Trades have no id and whole seconds: the feed counts equal ones
 * (DELIVERY.md section 3). Nothing answers a subscription.
 */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as DecodeFailure from "../DecodeFailure.ts"
import type { Exchange, Message, Protocol } from "../Exchange.ts"
import { decoder, isoTime, positive } from "../protocols/Fields.ts"
import * as Json from "../protocols/Json.ts"

/** `success: false` comes with HTTP 200. */
const Markets = Schema.Struct({
  success: Schema.Literal(true),
  result: Schema.Struct({ markets: Schema.Array(Schema.Unknown) })
})

/** `is_market_type_enable` is false for markets that trade heavily (capture of 2026-10-06): it says nothing. */
const Market = Schema.Struct({
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

const decodeMarkets = decoder(Markets)
const decodeMarket = decoder(Market)
const decodeSuccess = decoder(Schema.Struct({ success: Schema.Literal(true) }))
const decodeTrade = decoder(Trade)

const tradesSuffix = "@trade"

const fail = (reason: DecodeFailure.Reason, detail: string): ReadonlyArray<Message> => [
  { _tag: "failure", failure: DecodeFailure.make(reason, detail) }
]

const trade = (exchangeSymbol: string, data: unknown): ReadonlyArray<Message> => {
  const row = decodeTrade(data)
  if (Either.isLeft(row)) return [{ _tag: "failure", failure: row.left }]
  const price = positive("price", row.right.price)
  if (Either.isLeft(price)) return [{ _tag: "failure", failure: price.left }]
  const amount = positive("quantity", row.right.quantity)
  if (Either.isLeft(amount)) return [{ _tag: "failure", failure: amount.left }]
  // Part of the id: without it the trade cannot be told from others.
  const timestamp = isoTime(row.right.timestamp)
  if (timestamp === undefined) return fail("time", `timestamp: ${row.right.timestamp}`)
  const side = row.right.isBuyOrder ? "buy" : "sell"
  return [{
    _tag: "trades",
    exchangeSymbol,
    rows: [{ id: undefined, price: price.right, amount: amount.right, side, timestamp }]
  }]
}

/** In which form Wallex pings is disputed: the answer is the question with its word changed (DOSSIER.md 3.2). */
const maxPing = 256
const ping = /^(?:\s*ping\s*|\s*"ping"\s*|\s*\[\s*"ping".*|\s*\{\s*"ping"\s*:.*)$/is

const pongTo = (text: string): string => text.replace(/ping/i, (word) => word === word.toUpperCase() ? "PONG" : "pong")

const isGreeting = (value: unknown): boolean => typeof value === "object" && value !== null && "sid" in value

const decode: Protocol["decode"] = (text) => {
  if (text.length <= maxPing && ping.test(text)) return [{ _tag: "ping", reply: pongTo(text) }]
  const parsed = Json.parse(text)
  if (Either.isLeft(parsed)) return [{ _tag: "failure", failure: parsed.left }]
  const value = parsed.right
  if (!Array.isArray(value)) return isGreeting(value) ? [] : fail("unknown", text)
  const [channel, data]: ReadonlyArray<unknown> = value
  return typeof channel === "string" && channel.endsWith(tradesSuffix)
    ? trade(channel.slice(0, -tradesSuffix.length), data)
    : fail("unknown", text)
}

export const wallex: Exchange = {
  id: "wallex",
  endpoints: { apiUrl: "https://api.wallex.ir", wsUrl: "wss://api.wallex.ir/ws" },
  limits: { subscriptionsPerConnection: 50, restPerMinute: 60, dialsPerMinute: 30 },
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
    check: {
      path: (market) => `/v1/trades?symbol=${encodeURIComponent(market.exchangeSymbol)}`,
      decode: decodeSuccess
    }
  },
  socket: {
    hello: undefined,
    acknowledges: false,
    topics: (channel, market) => channel === "trades" ? [market.exchangeSymbol + tradesSuffix] : [],
    subscribe: (channel) => JSON.stringify(["subscribe", { channel }]),
    // A connection may send 50 messages in its life, and those are its subscriptions.
    unsubscribe: undefined,
    isTerminal: () => false,
    decode
  }
}
