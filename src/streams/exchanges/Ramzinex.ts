/**
 * Ramzinex (docs/design/exchanges/ramzinex.md). Rial markets count in Rial, ten to the Toman. Markets are numbers on the wire. Each push of
 * trades is the window of a market's last 50, newest first; each push of a book is the whole book, sells from the worst to the best.
 */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { Side } from "../../services/MarketEvent.ts"
import * as DecodeFailure from "../DecodeFailure.ts"
import type { BookPart, Exchange, Market, Message, TradeRow } from "../Exchange.ts"
import * as Centrifugo from "../protocols/Centrifugo.ts"
import { decoder, epochSeconds, newestLast, rowDecoder, tradeDecoder } from "../protocols/Fields.ts"
import * as Levels from "../protocols/Levels.ts"
import * as Repeats from "../protocols/Repeats.ts"

/** Any answer: HTTP 200 alone says nothing. */
const answer = <A, I>(data: Schema.Schema<A, I>) => Schema.Struct({ status: Schema.Literal("0"), data })

const Asset = Schema.Struct({ en: Schema.String })

/** The flags were not there in 2024: without them a market is as good as any. */
const Flag = Schema.optional(Schema.Literal("0", "1"))

const ListedMarket = Schema.Struct({
  pair_id: Schema.String.pipe(Schema.pattern(/^\d{1,9}$/)),
  base_currency_symbol: Asset,
  quote_currency_symbol: Asset,
  is_delist: Flag,
  is_temporarily_suspended: Flag
})

/** Price, amount, the time as UTC text, side, the same time in epoch seconds, id. */
const Trade = Schema.Tuple(
  [
    Schema.String,
    Schema.String,
    Schema.Unknown,
    Side,
    Schema.String,
    Schema.String.pipe(Schema.pattern(/^[\w.-]{1,64}$/))
  ],
  Schema.Unknown
)

/** Behind price and amount a row has what they make together, with a double's noise, and more that nobody explains. */
const Book = Schema.Struct({ buys: Levels.Side, sells: Levels.Side })

const List = Schema.Array(Schema.Unknown)

const decodeRows = rowDecoder(List)
const decodeList = decoder(answer(List))
const decodeMarket = decoder(ListedMarket)
const decodeBook = rowDecoder(Book)
const decodeBookAnswer = decoder(answer(Book))
const decodeStatus = decoder(Schema.Struct({ status: Schema.String }))

/** Trades of a push, and levels a side of a book, at most. */
const windowRows = 50

const tradesPrefix = "last-trades:"
const bookPrefix = "orderbook:"

const failed = (failure: DecodeFailure.DecodeFailure, topic?: string): Message => ({ _tag: "failure", failure, topic })

const tradeOf = tradeDecoder(Trade, {
  id: "5",
  price: "0",
  amount: "1",
  side: (row) => row[3],
  time: ["4", epochSeconds]
})

const windows = Repeats.make(tradeOf)

const trades = (topic: string, exchangeSymbol: string, data: unknown): ReadonlyArray<Message> => {
  const list = decodeRows(data)
  if (Either.isLeft(list)) return [failed(list.left, topic)]
  const messages: Array<Message> = []
  const rows: Array<TradeRow> = []
  for (const row of newestLast(windows.map(list.right))) {
    if (Either.isLeft(row)) messages.push(failed(row.left, topic))
    else rows.push(row.right)
  }
  if (rows.length === 0) return messages
  return [...messages, { _tag: "trades", exchangeSymbol, rows, isFullWindow: list.right.length >= windowRows }]
}

const pictureOf = (
  { buys, sells }: typeof Book.Type,
  sequence: bigint | undefined
): Either.Either<Omit<BookPart, "_tag" | "exchangeSymbol" | "part">, DecodeFailure.DecodeFailure> =>
  Either.flatMap(
    Levels.whole("buys", buys),
    (bids) =>
      Either.map(
        Levels.whole("sells", sells),
        (asks) => ({ bids, asks, previous: undefined, sequence, timestamp: null })
      )
  )

const publication = (topic: string, data: unknown, offset: bigint | undefined): ReadonlyArray<Message> => {
  if (topic.startsWith(tradesPrefix)) return trades(topic, topic.slice(tradesPrefix.length), data)
  if (!topic.startsWith(bookPrefix)) return [failed(DecodeFailure.make("unknown", `channel ${topic}`))]
  const exchangeSymbol = topic.slice(bookPrefix.length)
  return [Either.match(Either.flatMap(decodeBook(data), (book) => pictureOf(book, offset)), {
    onLeft: (failure) => failed(failure, topic),
    onRight: (picture): Message => ({ _tag: "books", exchangeSymbol, part: "whole", ...picture })
  })]
}

const root = "/exchange/api/v1.0/exchange"

const pathOf = (what: string) => ({ exchangeSymbol }: Market): string =>
  `${root}/orderbooks/${encodeURIComponent(exchangeSymbol)}/${what}`

/** "Try later", with HTTP 200; a client that is known to live with it comes back after a minute. */
const tryLater = "-82"

export const ramzinex: Exchange = {
  id: "ramzinex",
  title: "Ramzinex",
  byDefault: false,
  names: { IRR: "IRT" },
  units: { IRT: -1 },
  endpoints: { apiUrl: "https://publicapi.ramzinex.com", wsUrl: "wss://websocket.ramzinex.com/websocket" },
  limits: {
    subscriptionsPerConnection: 100,
    restPerMinute: 60,
    dialsPerMinute: 30,
    commandsPerSecond: 100,
    rotateAfter: undefined
  },
  rest: {
    markets: {
      path: `${root}/pairs`,
      decode: (body) =>
        Either.map(decodeList(body), ({ data }) =>
          data.map((row) =>
            Either.map(decodeMarket(row), (market) => ({
              exchangeSymbol: market.pair_id,
              base: market.base_currency_symbol.en,
              quote: market.quote_currency_symbol.en,
              tradable: market.is_delist !== "1" && market.is_temporarily_suspended !== "1"
            }))
          ))
    },
    history: {
      path: pathOf("trades"),
      decode: (body) => Either.map(decodeList(body), ({ data }) => newestLast(data.map(tradeOf))),
      askAfter: 0
    },
    check: { path: pathOf("trades"), decode: decodeList },
    refused: ({ body }) =>
      Either.match(decodeStatus(body), {
        onLeft: () => undefined,
        onRight: ({ status }) =>
          status === "0"
            ? undefined
            : { message: `status ${status}`, retryAfter: status === tryLater ? "60" : undefined }
      })
  },
  socket: Centrifugo.protocol({
    topics: (channel, { exchangeSymbol }) => [(channel === "trades" ? tradesPrefix : bookPrefix) + exchangeSymbol],
    publication,
    repeats: (topic, text) => topic.startsWith(tradesPrefix) ? windows.rowsOf(topic, text) : undefined
  }),
  books: {
    link: "replaced",
    levels: windowRows,
    numbers: "offset",
    picture: {
      path: pathOf("buys_sells"),
      decode: (body) => Either.flatMap(decodeBookAnswer(body), ({ data }) => pictureOf(data, undefined))
    }
  }
}
