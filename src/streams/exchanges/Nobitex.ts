/**
 * Nobitex (docs/design/exchanges/nobitex.md). Prices in Rial, ten to the Toman. Trades have no id and whole milliseconds, one trade a push: the
 * feed counts equal ones. A push of a book is the whole picture.
 */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { Side } from "../../services/MarketEvent.ts"
import * as DecodeFailure from "../DecodeFailure.ts"
import type { BookPart, Exchange, Listed, Market, Message, Refusal } from "../Exchange.ts"
import * as Centrifugo from "../protocols/Centrifugo.ts"
import { decoder, epochMillis, rowDecoder, tradeDecoder } from "../protocols/Fields.ts"
import * as Levels from "../protocols/Levels.ts"

/** By `btc-rls`. There may be a `global` beside it, which says nothing. */
const Stats = Schema.Struct({
  status: Schema.Literal("ok"),
  stats: Schema.Record({ key: Schema.String, value: Schema.Unknown })
})

const Stat = Schema.Struct({ isClosed: Schema.Boolean })

const Trade = Schema.Struct({ time: Schema.String, price: Schema.String, volume: Schema.String, type: Side })

const Trades = Schema.Struct({ status: Schema.Literal("ok"), trades: Schema.Array(Schema.Unknown) })

/** The same by socket and by REST. */
const Book = Schema.Struct({ bids: Levels.Side, asks: Levels.Side, lastUpdate: Schema.optional(Schema.Unknown) })

/** With status 200 or any other; `backOff`, seconds, comes with 429. */
const Failed = Schema.Struct({
  status: Schema.Literal("failed"),
  code: Schema.optional(Schema.Unknown),
  message: Schema.optional(Schema.Unknown),
  backOff: Schema.optional(Schema.Unknown)
})

const decodeStats = decoder(Stats)
const decodeStat = decoder(Stat)
const decodeTrades = decoder(Trades)
const decodeBook = rowDecoder(Book)
const decodeFailed = decoder(Failed)

const tradesPrefix = "public:trades-"
const booksPrefix = "public:orderbook-"

/** `topic`: left out where nothing is missing. */
const failed = (failure: DecodeFailure.DecodeFailure, topic?: string): Message => ({ _tag: "failure", failure, topic })

const rowOf = tradeDecoder(Trade, {
  price: "price",
  amount: "volume",
  side: ({ type }) => type,
  // Part of the id: without it the trade cannot be told from others.
  time: ["time", epochMillis]
})

const trade = (topic: string, exchangeSymbol: string, data: unknown): Message =>
  Either.match(rowOf(data), {
    onLeft: (failure) => failed(failure, topic),
    onRight: (row) => ({ _tag: "trades", exchangeSymbol, rows: [row] })
  })

type Row = ReturnType<typeof rowOf>

/** Listed newest first, but those of one millisecond as they happened (docs/design/exchanges/nobitex.md "Trades"). */
const oldestFirst = (rows: ReadonlyArray<Row>): ReadonlyArray<Row> => [...rows].sort((a, b) => timeOf(a) - timeOf(b))

/** Of one that cannot be read: before all others. */
const timeOf = (row: Row): number => Either.isRight(row) ? row.right.timestamp ?? 0 : 0

type Picture = Omit<BookPart, "_tag" | "exchangeSymbol" | "part">

/** `odd`: a time that is none, without which the picture is as true. */
const pictureOf = (
  body: unknown,
  sequence: bigint | undefined
): Either.Either<{ readonly picture: Picture; readonly odd: unknown }, DecodeFailure.DecodeFailure> =>
  Either.gen(function*() {
    const book = yield* decodeBook(body)
    const bids = yield* Levels.whole("bids", book.bids)
    const asks = yield* Levels.whole("asks", book.asks)
    const time = typeof book.lastUpdate === "string" ? epochMillis(book.lastUpdate) : undefined
    const picture = { bids, asks, previous: undefined, sequence, ...(time ?? { timestamp: null }) }
    return { picture, odd: time === undefined ? book.lastUpdate : undefined }
  })

const book = (
  topic: string,
  exchangeSymbol: string,
  data: unknown,
  offset: bigint | undefined
): ReadonlyArray<Message> =>
  Either.match(pictureOf(data, offset), {
    onLeft: (failure) => [failed(failure, topic)],
    onRight: ({ odd, picture }) => [
      { _tag: "books", exchangeSymbol, part: "whole", ...picture },
      ...(odd === undefined ? [] : [failed(DecodeFailure.make("time", `lastUpdate: ${JSON.stringify(odd)}`))])
    ]
  })

/** The symbol is what is behind the prefix: bases may have `_` and begin with a digit (`1M_PEPEIRT`). */
const publication: Centrifugo.Options["publication"] = (topic, data, offset) => {
  if (topic.startsWith(tradesPrefix)) return [trade(topic, topic.slice(tradesPrefix.length), data)]
  if (topic.startsWith(booksPrefix)) return book(topic, topic.slice(booksPrefix.length), data, offset)
  return [failed(DecodeFailure.make("unknown", `channel ${topic}`))]
}

/** Keys are in lower case, and have `rls` where the rest of the API has `IRT`. */
const listed = ([key, stat]: readonly [string, unknown]): Either.Either<Listed, DecodeFailure.DecodeFailure> => {
  const name = key.toUpperCase()
  const end = name.lastIndexOf("-")
  if (end < 0) return Either.left(DecodeFailure.make("symbol", key))
  const [base, quote] = [name.slice(0, end), name.slice(end + 1)]
  return Either.map(decodeStat(stat), ({ isClosed }) => ({
    exchangeSymbol: base + (quote === "RLS" ? "IRT" : quote),
    base,
    quote,
    tradable: !isClosed
  }))
}

const text = (value: unknown): string | undefined => typeof value === "string" ? value : undefined

const refusal = ({ backOff, code, message }: typeof Failed.Type): Refusal => ({
  message: [text(code), text(message)].filter((part) => part !== undefined).join(": "),
  retryAfter: text(backOff)
})

const tradesPath = ({ exchangeSymbol }: Market): string => `/v2/trades/${encodeURIComponent(exchangeSymbol)}`

/** The unit of its trades' time, ms. */
const clockUnit = 1

export const nobitex: Exchange = {
  id: "nobitex",
  title: "Nobitex",
  byDefault: false,
  names: { RLS: "IRT" },
  units: { IRT: -1 },
  clockUnit,
  endpoints: { apiUrl: "https://apiv2.nobitex.ir", wsUrl: "wss://ws.nobitex.ir/connection/websocket" },
  limits: {
    subscriptionsPerConnection: 300,
    restPerMinute: 60,
    dialsPerMinute: 30,
    commandsPerSecond: 100,
    rotateAfter: undefined
  },
  rest: {
    markets: {
      path: "/market/stats",
      decode: (body) => Either.map(decodeStats(body), ({ stats }) => Object.entries(stats).map(listed))
    },
    history: {
      path: tradesPath,
      decode: (body) => Either.map(decodeTrades(body), ({ trades }) => oldestFirst(trades.map(rowOf))),
      // An answer may be as old as a second: what is asked twice within one comes from a cache.
      askAfter: clockUnit + 2_200
    },
    check: { path: tradesPath, decode: decodeTrades },
    refused: ({ body }) => Either.match(decodeFailed(body), { onLeft: () => undefined, onRight: refusal })
  },
  socket: Centrifugo.protocol({
    topics: (channel, { exchangeSymbol }) => [(channel === "trades" ? tradesPrefix : booksPrefix) + exchangeSymbol],
    publication
  }),
  books: {
    link: "replaced",
    levels: 24,
    numbers: "offset",
    picture: {
      path: ({ exchangeSymbol }) => `/v3/orderbook/${encodeURIComponent(exchangeSymbol)}`,
      decode: (body) => Either.map(pictureOf(body, undefined), ({ picture }) => picture)
    }
  }
}
