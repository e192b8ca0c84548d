/**
 * BitPin (docs/design/exchanges/bitpin.md). Prices in Toman. Trades have ids; a push is a window of recent trades, newest first.
 */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as Decimal from "../../services/Decimal.ts"
import { Side } from "../../services/MarketEvent.ts"
import * as DecodeFailure from "../DecodeFailure.ts"
import type { BookPart, Exchange, Market, Message, TradeRow } from "../Exchange.ts"
import * as Centrifugo from "../protocols/Centrifugo.ts"
import {
  decoder,
  epochMillis,
  epochSeconds,
  isoTime,
  levels,
  newestLast,
  positive,
  rowDecoder
} from "../protocols/Fields.ts"
import * as Repeats from "../protocols/Repeats.ts"

const ListedMarket = Schema.Struct({
  symbol: Schema.String,
  base: Schema.String,
  quote: Schema.String,
  tradable: Schema.Boolean
})

const Window = Schema.Struct({
  symbol: Schema.optional(Schema.String),
  event_time: Schema.optional(Schema.Unknown),
  matches: Schema.optional(Schema.Array(Schema.Unknown))
})

const Match = Schema.Struct({
  id: Schema.String.pipe(Schema.pattern(/^[\w.-]{1,64}$/)),
  price: Schema.String,
  base_amount: Schema.String,
  quote_amount: Schema.optional(Schema.String),
  side: Side,
  time: Schema.optional(Schema.Unknown)
})

const Levels = Schema.Array(Schema.Tuple(Schema.String, Schema.String))

const OrderBook = Schema.Struct({
  symbol: Schema.optional(Schema.String),
  bids: Levels,
  asks: Levels,
  event_time: Schema.optional(Schema.Unknown)
})

const decodeList = decoder(Schema.Array(Schema.Unknown))
const decodeMarket = decoder(ListedMarket)
const decodeWindow = rowDecoder(Window)
const decodeMatch = rowDecoder(Match)

const decodeBook = rowDecoder(OrderBook)

const tradesPrefix = "matches:"
const booksPrefix = "orderbook:"

/** `topic`: left out where nothing is missing. */
const failed = (failure: DecodeFailure.DecodeFailure, topic?: string): Message => ({ _tag: "failure", failure, topic })

/** Tiny trades come with `base_amount` "0.00": then it is what the quote bought (docs/design/exchanges/bitpin.md "Tiny trades"). */
const amountOf = (
  match: typeof Match.Type,
  price: string
): Either.Either<string, DecodeFailure.DecodeFailure> => {
  const amount = positive("base_amount", match.base_amount)
  if (Either.isRight(amount) || Decimal.canonical(match.base_amount) !== "0") return amount
  const quote = match.quote_amount === undefined ? undefined : Decimal.canonical(match.quote_amount)
  return quote === undefined ? amount : positive("base_amount", Decimal.divide(quote, price) ?? "0")
}

type Time = Pick<TradeRow, "timestamp" | "time">

/** A row of a window or of the history. `said`: what it has for its own time. */
interface Read {
  readonly row: TradeRow
  readonly said: unknown
}

const read = (candidate: unknown): Either.Either<Read, DecodeFailure.DecodeFailure> => {
  const decoded = decodeMatch(candidate)
  if (Either.isLeft(decoded)) return Either.left(decoded.left)
  const match = decoded.right
  const price = positive("price", match.price)
  if (Either.isLeft(price)) return Either.left(price.left)
  return Either.map(amountOf(match, price.right), (amount) => ({
    row: { id: match.id, price: price.right, amount, side: match.side, ...timeOf(match.time) },
    said: match.time
  }))
}

const windows = Repeats.make(read)

const publication = (topic: string, data: unknown, offset: bigint | undefined): ReadonlyArray<Message> => {
  if (topic.startsWith(booksPrefix)) return book(topic, topic.slice(booksPrefix.length), data, offset)
  if (!topic.startsWith(tradesPrefix)) return [failed(DecodeFailure.make("unknown", `channel ${topic}`))]
  const exchangeSymbol = topic.slice(tradesPrefix.length)
  const window = decodeWindow(data)
  if (Either.isLeft(window)) return [failed(window.left, topic)]
  const { event_time, matches, symbol } = window.right
  if (matches === undefined) return [failed(DecodeFailure.make("unknown", "a publication without matches"), topic)]
  if (symbol !== undefined && symbol !== exchangeSymbol) {
    return [failed(DecodeFailure.make("symbol", `${symbol} on ${topic}`), topic)]
  }
  const messages: Array<Message> = []
  const rows: Array<TradeRow> = []
  for (const one of windows.map(matches)) {
    if (Either.isLeft(one)) {
      messages.push(failed(one.left, topic))
      continue
    }
    // Rows of the older form have no time of their own. An odd time is counted; the trade has its id and goes on without.
    const time = one.right.said ?? event_time
    const row = time === one.right.said ? one.right.row : { ...one.right.row, ...timeOf(time) }
    rows.push(row)
    if (row.timestamp === null && time !== undefined) {
      messages.push(failed(DecodeFailure.make("time", JSON.stringify(time))))
    }
  }
  if (rows.length > 0) messages.push({ _tag: "trades", exchangeSymbol, rows: oldestFirst(rows) })
  return messages
}

const timeOf = (time: unknown): Time =>
  (typeof time === "string" ? epochSeconds(time) ?? isoTime(time) : undefined) ?? { timestamp: null }

/** Newest first is inferred from BitPin's own page, not documented: the rows' own times decide where they can. */
const oldestFirst = (rows: Array<TradeRow>): ReadonlyArray<TradeRow> => {
  const first = rows[0]?.timestamp ?? 0
  const last = rows[rows.length - 1]?.timestamp ?? 0
  return first < last ? rows : rows.reverse()
}

type Sides = Pick<BookPart, "bids" | "asks">

const sidesOf = ({ asks, bids }: typeof OrderBook.Type): Either.Either<Sides, DecodeFailure.DecodeFailure> =>
  Either.flatMap(levels("bids", bids), (bids) => Either.map(levels("asks", asks), (asks) => ({ bids, asks })))

/** Each publication is the whole book. An odd time is counted, and the book goes on without. */
const book = (
  topic: string,
  exchangeSymbol: string,
  data: unknown,
  sequence: bigint | undefined
): ReadonlyArray<Message> => {
  const found = decodeBook(data)
  if (Either.isLeft(found)) return [failed(found.left, topic)]
  const { event_time, symbol } = found.right
  if (symbol !== undefined && symbol !== exchangeSymbol) {
    return [failed(DecodeFailure.make("symbol", `${symbol} on ${topic}`), topic)]
  }
  const sides = sidesOf(found.right)
  if (Either.isLeft(sides)) return [failed(sides.left, topic)]
  const time = (typeof event_time === "string" ? isoTime(event_time) : undefined) ?? { timestamp: null }
  const part: Message = {
    _tag: "books",
    exchangeSymbol,
    part: "whole",
    ...sides.right,
    previous: undefined,
    sequence,
    ...time
  }
  return event_time === undefined || time.timestamp !== null
    ? [part]
    : [part, failed(DecodeFailure.make("time", JSON.stringify(event_time)))]
}

/** Its time is in milliseconds, unlike that of the socket. */
const picture = (body: unknown) =>
  Either.flatMap(decodeBook(body), (found) =>
    Either.map(sidesOf(found), (sides) => {
      const time = typeof found.event_time === "string" ? epochMillis(found.event_time) : undefined
      return { ...sides, previous: undefined, sequence: undefined, ...(time ?? { timestamp: null }) }
    }))

const matchesPath = ({ exchangeSymbol }: Market): string => `/api/v1/mth/matches/${encodeURIComponent(exchangeSymbol)}/`

const historyRow = (candidate: unknown): Either.Either<TradeRow, DecodeFailure.DecodeFailure> =>
  Either.map(read(candidate), ({ row }) => row)

export const bitpin: Exchange = {
  id: "bitpin",
  title: "BitPin",
  endpoints: {
    apiUrl: "https://api.bitpin.ir",
    wsUrl: "wss://centrifugo.bitpin.ir/connection/websocket"
  },
  limits: {
    subscriptionsPerConnection: 100,
    restPerMinute: 60,
    dialsPerMinute: 30,
    commandsPerSecond: 100,
    rotateAfter: undefined
  },
  rest: {
    markets: {
      path: "/api/v1/mkt/markets/",
      decode: (body) =>
        Either.map(
          decodeList(body),
          (rows) =>
            rows.map((row) =>
              Either.map(decodeMarket(row), ({ symbol, ...market }) => ({ exchangeSymbol: symbol, ...market }))
            )
        )
    },
    history: {
      path: matchesPath,
      decode: (body) => Either.map(decodeList(body), (rows) => newestLast(rows.map(historyRow))),
      askAfter: 0
    },
    check: { path: matchesPath, decode: decodeList }
  },
  socket: Centrifugo.protocol({
    topics: (channel, { exchangeSymbol }) => [(channel === "trades" ? tradesPrefix : booksPrefix) + exchangeSymbol],
    publication,
    repeats: (topic, text) => topic.startsWith(tradesPrefix) ? windows.rowsOf(topic, text) : undefined
  }),
  books: {
    link: "replaced",
    levels: 50,
    numbers: "offset",
    picture: {
      path: ({ exchangeSymbol }) => `/api/v1/mth/orderbook/${encodeURIComponent(exchangeSymbol)}/`,
      decode: picture
    }
  }
}
