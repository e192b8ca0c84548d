/**
 * What the program delivers: normalised trades, order books and status events, and the Kafka record that carries one
 * (docs/design/contract.md "Events").
 */
import * as Schema from "effect/Schema"
import { DecimalString } from "./Decimal.ts"
import * as TradeBytes from "./MarketEvent/TradeBytes.ts"
import * as Time from "./Time.ts"

/**
 * The taker's side, `"buy"` or `"sell"`: whether the one who hit a standing order bought or sold.
 *
 * @since 0.1.0
 * @category models
 */
export const Side = Schema.Literal("buy", "sell")
export type Side = typeof Side.Type

/**
 * `ws` for all that came through the socket, a subscribe reply included; `rest` for history.
 *
 * @since 0.1.0
 * @category models
 */
export const Source = Schema.Literal("ws", "rest")
export type Source = typeof Source.Type

/**
 * A time of the exchange's, with the digits that it gave, filled up to 3, 6 or 9: ISO-8601 UTC (`ExchangeTime`).
 *
 * @since 0.1.0
 * @category models
 */
export const Timestamp = Schema.String.pipe(
  Schema.pattern(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.(?:\d{3}){1,3}Z$/)
)

/**
 * A time of ours: ISO-8601 UTC with milliseconds, as `Date.prototype.toISOString` prints it.
 *
 * @since 0.1.0
 * @category models
 */
export const ReceivedAt = Schema.String.pipe(Schema.pattern(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/))

/**
 * `BASE/QUOTE`, upper case; the Iranian quote is always `IRT`, in Toman.
 *
 * @since 0.1.0
 * @category models
 */
export const CanonicalSymbol = Schema.String.pipe(Schema.pattern(/^[A-Z0-9_]{1,30}\/[A-Z0-9]{2,10}$/))

/**
 * One trade. Prices and amounts are exact decimals as text (`Decimal`): the price in units of the quote, the amount in units of the base.
 * `id` is the same whenever and by whatever way the trade is delivered again.
 *
 * @since 0.1.0
 * @category models
 */
export const Trade = Schema.Struct({
  type: Schema.Literal("trade"),
  v: Schema.Literal(1),
  exchange: Schema.NonEmptyString,
  symbol: CanonicalSymbol,
  exchangeSymbol: Schema.NonEmptyString,
  id: Schema.NonEmptyString,
  price: DecimalString,
  amount: DecimalString,
  side: Side,
  /** The exchange's time, null where it gives none. */
  timestamp: Schema.NullOr(Timestamp),
  /** When the frame (or the REST answer) reached this process. */
  receivedAt: ReceivedAt,
  source: Source
})
export type Trade = typeof Trade.Type

/** `[price, amount]`. */
const Level = Schema.Tuple(DecimalString, DecimalString)

/**
 * The best levels of an order book, true at its `sequence`: each level a price in units of the quote and an amount in units of the base,
 * exact decimals as text.
 *
 * @since 0.1.0
 * @category models
 */
export const Book = Schema.Struct({
  type: Schema.Literal("book"),
  v: Schema.Literal(1),
  exchange: Schema.NonEmptyString,
  symbol: CanonicalSymbol,
  exchangeSymbol: Schema.NonEmptyString,
  id: Schema.NonEmptyString,
  /** The place of the picture in its chain: compared as text, never computed. */
  sequence: Schema.NonEmptyString,
  /** `[price, amount]`, best first: descending. */
  bids: Schema.Array(Level),
  /** `[price, amount]`, best first: ascending. */
  asks: Schema.Array(Level),
  timestamp: Schema.NullOr(Timestamp),
  receivedAt: ReceivedAt,
  /** When it was handed over: in any stretch of k intervals there are at most k + 1 pictures of a market, holes apart. */
  sentAt: ReceivedAt,
  source: Source
})
export type Book = typeof Book.Type

/**
 * What changed in an order book since the picture or the change whose `sequence` is its `previous`. An amount is the level's new total;
 * `"0"` takes the level away.
 *
 * @since 0.1.0
 * @category models
 */
export const BookDelta = Schema.Struct({
  type: Schema.Literal("book_delta"),
  v: Schema.Literal(1),
  exchange: Schema.NonEmptyString,
  symbol: CanonicalSymbol,
  exchangeSymbol: Schema.NonEmptyString,
  id: Schema.NonEmptyString,
  previous: Schema.NonEmptyString,
  sequence: Schema.NonEmptyString,
  bids: Schema.Array(Level),
  asks: Schema.Array(Level),
  timestamp: Schema.NullOr(Timestamp),
  receivedAt: ReceivedAt,
  source: Source
})
export type BookDelta = typeof BookDelta.Type

/**
 * What a status event tells of: a connection, silence or a topic that the exchange refuses (`stale`), a hole in a market's trades or a
 * stretch without a whole order book (`gap`), records dropped by a queue, a breaker, an exchange's REST API, or the list of markets.
 *
 * @since 0.1.0
 * @category models
 */
export const StatusKind = Schema.Literal(
  "connected",
  "disconnected",
  "stale",
  "gap",
  "dropped",
  "breaker",
  "api",
  "markets"
)
export type StatusKind = typeof StatusKind.Type

/**
 * A status event has further fields by its kind (`from`, `to`, `cause`, `count`, ...), all plain JSON values.
 *
 * @since 0.1.0
 * @category models
 */
export const Status = Schema.Struct({
  type: Schema.Literal("status"),
  v: Schema.Literal(1),
  /** An exchange, or `collector` for Kafka's own. */
  exchange: Schema.NonEmptyString,
  event: StatusKind,
  id: Schema.NonEmptyString,
  channel: Schema.optional(Schema.String),
  symbol: Schema.optional(CanonicalSymbol),
  receivedAt: ReceivedAt
}, Schema.Record({ key: Schema.String, value: Schema.Unknown }))
export type Status = typeof Status.Type

/**
 * Whatever a feed emits and a sink takes, told apart by `type`: `"trade"`, `"book"`, `"book_delta"`, `"status"`.
 *
 * @since 0.1.0
 * @category models
 */
export const MarketEvent = Schema.Union(Trade, Book, BookDelta, Status)
export type MarketEvent = typeof MarketEvent.Type

/**
 * The channels of the configuration: what a feed subscribes to.
 *
 * @since 0.1.0
 * @category models
 */
export const Channel = Schema.Literal("trades", "books")
export type Channel = typeof Channel.Type

/**
 * A lane is a topic: one for trades, one for books and what changes in them, one for status events.
 *
 * @since 0.1.0
 * @category models
 */
export type LaneName = "trade" | "book" | "status"

/**
 * The lane of an event.
 *
 * @since 0.1.0
 * @category accessors
 */
export const laneOf = ({ type }: MarketEvent): LaneName => type === "book_delta" ? "book" : type

/**
 * One Kafka record before it has a topic or a partition: the lane gives the one, the producer the other.
 *
 * @since 0.1.0
 * @category models
 */
export interface EventRecord {
  /** `exchange:symbol`; a status without symbol: `exchange`. */
  readonly key: string
  /** UTF-8 JSON: of a trade, and of what was read back from the queue, as bytes; of the others as text. */
  readonly value: string | Uint8Array
  /**
   * `id`, `schema`, `source`; `collector` of books, of what changes in them and of their holes: whose they are; `spooled` if it was read back
   * from the queue before Kafka had acknowledged it.
   */
  readonly headers: Readonly<Record<string, string>>
  /**
   * Record timestamp in epoch milliseconds = `receivedAt`, also after a replay; sent with the present time where Kafka would not take it
   * (`Delivery/RecordTime`).
   */
  readonly timestamp: number
  /** Of the receipt, to know its age by; undefined of one that was read back from a queue. */
  readonly since?: Time.Instant | undefined
  /** Of a trade, for the checkpoint; undefined of one that was read back from a queue: they are in its value. */
  readonly trade?: Pick<Trade, "exchangeSymbol" | "timestamp"> | undefined
}

/** By key: it is asked several times of each record, and there are as many keys as markets. */
const exchanges = new Map<string, string>()
const maxKeys = 4096

/**
 * The exchange a record belongs to, for the ledger: the key up to its first colon.
 *
 * @since 0.1.0
 * @category accessors
 */
export const exchangeOf = ({ key }: EventRecord): string => {
  const found = exchanges.get(key)
  if (found !== undefined) return found
  const colon = key.indexOf(":")
  const exchange = colon === -1 ? key : key.slice(0, colon)
  if (exchanges.size >= maxKeys) exchanges.clear()
  exchanges.set(key, exchange)
  return exchange
}

/**
 * Bytes a record takes, near enough for bounds on memory and on a send: a value that is text is counted by its UTF-16 length.
 *
 * @since 0.1.0
 * @category accessors
 */
export const sizeOf = (record: EventRecord): number => record.key.length + record.value.length + 128

/** What an event may have waited for its market's history, ms; beyond it the wall clock was stepped since its receipt. */
const longestWait = 10_000

/** Two collectors tell of the same books, each in a chain of its own. */
const isOfBooks = (event: MarketEvent): boolean =>
  event.type === "status" ? event.event === "gap" && event.channel === "books" : laneOf(event) === "book"

/**
 * Makes records of events. `now`: when they are handed over, to know their age by; left out, a record has no age.
 *
 * @since 0.1.0
 * @category models
 */
export interface Encoder {
  (event: MarketEvent, now?: Time.Moment): EventRecord
}

/**
 * One for each lane of trades: the values of its records share slabs of 64 KiB, of which each keeps its own in memory. So it costs two
 * slabs beyond what waits where records go in the order in which they came. `collector`: whose books these are; left out, no record says so.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeEncoder = (collector?: string): Encoder => {
  const bytes = TradeBytes.make()
  /** A chunk shares one receipt. */
  let last = { receivedAt: "", timestamp: NaN }

  const timestampOf = ({ receivedAt }: MarketEvent): number => {
    if (receivedAt !== last.receivedAt) last = { receivedAt, timestamp: Date.parse(receivedAt) }
    return last.timestamp
  }

  const sinceOf = (timestamp: number, now: Time.Moment | undefined): Time.Instant | undefined => {
    if (now === undefined) return undefined
    const waited = Time.epochMillis(now.wall) - timestamp
    return Time.plus(now.at, waited >= 0 && waited <= longestWait ? -waited : 0)
  }

  const ofTrade = (trade: Trade, now: Time.Moment | undefined): EventRecord => {
    const timestamp = timestampOf(trade)
    return {
      key: bytes.marketOf(trade).key,
      value: bytes.write(trade) ?? JSON.stringify(trade),
      headers: { id: trade.id, schema: "trade/1", source: trade.source },
      timestamp,
      since: sinceOf(timestamp, now),
      trade: { exchangeSymbol: trade.exchangeSymbol, timestamp: trade.timestamp }
    }
  }

  return (event, now) => {
    if (event.type === "trade") return ofTrade(event, now)
    const timestamp = timestampOf(event)
    const headers: Record<string, string> = {
      id: event.id,
      schema: `${event.type}/${event.v}`,
      source: event.type === "status" ? "collector" : event.source
    }
    if (collector !== undefined && isOfBooks(event)) headers["collector"] = collector
    return {
      key: event.symbol === undefined ? event.exchange : `${event.exchange}:${event.symbol}`,
      value: JSON.stringify(event),
      headers,
      timestamp,
      since: sinceOf(timestamp, now)
    }
  }
}

/**
 * An event as the record that Kafka gets, by an encoder of this module's own. A trade's value is bytes that it shares with others of its
 * time (64 KiB): whoever keeps a record for long takes a copy (`value.slice()`).
 *
 * @since 0.1.0
 * @category conversions
 */
export const encode: Encoder = makeEncoder()
