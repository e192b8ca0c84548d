/**
 * Tabdeal (docs/design/exchanges/tabdeal.md). Prices in Toman. No socket brings trades: their history is asked for again and again. Books
 * come by socket, a whole picture every two seconds.
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as Decimal from "../../services/Decimal.ts"
import type { ExchangeTime } from "../../services/ExchangeTime.ts"
import * as DecodeFailure from "../DecodeFailure.ts"
import type { Exchange, Level, Market, Message, Protocol, Refusal } from "../Exchange.ts"
import { decoder, epochMillis, newestLast, positive, rowDecoder, tradeDecoder } from "../protocols/Fields.ts"
import * as Json from "../protocols/Json.ts"

/** Clients have seen the list by itself and within an object. */
const Markets = Schema.Union(
  Schema.Array(Schema.Unknown),
  Schema.Struct({ symbols: Schema.Array(Schema.Unknown) })
)

const ListedMarket = Schema.Struct({
  symbol: Schema.String,
  status: Schema.String,
  baseAsset: Schema.String,
  quoteAsset: Schema.String,
  isSpotTradingAllowed: Schema.optional(Schema.Boolean)
})

/** `quoteQty` is what the taker got, in whichever of the two assets: it is not looked at. */
const Trade = Schema.Struct({
  id: Schema.String.pipe(Schema.pattern(/^\d{1,20}$/)),
  price: Schema.String,
  qty: Schema.String,
  time: Schema.String,
  isBuyerMaker: Schema.Boolean
})

const Side = Schema.Array(Schema.Tuple([Schema.String, Schema.String], Schema.Unknown))
const Picture = Schema.Struct({ bids: Side, asks: Side })

const Push = Schema.Struct({
  stream: Schema.String,
  data: Schema.Struct({ e: Schema.Literal("depthUpdate"), E: Schema.Unknown, s: Schema.String, b: Side, a: Side })
})

const Answer = Schema.Struct({ id: Schema.String, result: Schema.Null })
const Failed = Schema.Struct({ code: Schema.String, msg: Schema.optional(Schema.String) })
const Denied = Schema.Struct({ id: Schema.String, ...Failed.fields })

const decodeMarkets = decoder(Markets)
const decodeMarket = decoder(ListedMarket)
const decodeTrades = decoder(Schema.Array(Schema.Unknown))
const decodePicture = rowDecoder(Picture)
const decodePush = rowDecoder(Push)
const isAnswer = Schema.is(Answer)
const isFailed = Schema.is(Failed)
const isDenied = Schema.is(Denied)

const failed = (failure: DecodeFailure.DecodeFailure, topic?: string): Message => ({ _tag: "failure", failure, topic })

const failure = (reason: DecodeFailure.Reason, detail: string, topic?: string): Message =>
  failed(DecodeFailure.make(reason, detail), topic)

/** The buyer's order lay in the book: the taker sold. */
const side = ({ isBuyerMaker }: typeof Trade.Type): "buy" | "sell" => isBuyerMaker ? "sell" : "buy"

const rowOf = tradeDecoder(Trade, { id: "id", price: "price", amount: "qty", side, time: ["time", epochMillis] })

type Levels = Either.Either<ReadonlyArray<Level>, DecodeFailure.DecodeFailure>

/** A level without an amount is none. One that cannot be read spoils the picture: it would not be the true one. */
const levelsOf = (side: typeof Side.Type): Levels => {
  const levels: Array<Level> = []
  for (const [price, amount] of side) {
    const read = Either.all([positive("price", price), amountOf(amount)])
    if (Either.isLeft(read)) return Either.left(read.left)
    if (read.right[1] !== "0") levels.push(read.right)
  }
  return Either.right(levels)
}

const amountOf = (text: string): Either.Either<string, DecodeFailure.DecodeFailure> =>
  Decimal.canonical(text) === "0" ? Either.right("0") : positive("amount", text)

const topicSuffix = "@depth@2000ms"

const timeOf: (text: string) => ExchangeTime | undefined = epochMillis

const bookOf = ({ data: { E, a, b, s }, stream }: typeof Push.Type): Message => {
  if (!stream.endsWith(topicSuffix)) return failure("unknown", stream)
  if (stream.slice(0, -topicSuffix.length) !== s.toLowerCase()) return failure("symbol", `${s} on ${stream}`, stream)
  return Either.match(Either.all([levelsOf(b), levelsOf(a)]), {
    onLeft: (failure) => failed(failure, stream),
    onRight: ([bids, asks]) => ({
      _tag: "books",
      exchangeSymbol: s,
      part: "whole",
      bids,
      asks,
      previous: undefined,
      sequence: undefined,
      ...(typeof E === "string" ? timeOf(E) : undefined) ?? { timestamp: null }
    })
  })
}

const decode: Protocol["decode"] = (text) => {
  const parsed = Json.parseFrame(text)
  if (Either.isLeft(parsed)) return [failed(parsed.left)]
  const value = parsed.right
  if (typeof value !== "object" || value === null) return [failure("unknown", text)]
  if ("stream" in value) {
    const push = decodePush(value)
    const { stream } = value
    return [
      Either.isLeft(push) ? failed(push.left, typeof stream === "string" ? stream : undefined) : bookOf(push.right)
    ]
  }
  if (isAnswer(value)) return [{ _tag: "granted", id: value.id }]
  // What a refused subscription looks like is not documented: this is how its REST refuses, and how Binance's socket does.
  const denied = "error" in value && typeof value.error === "object" ? { ...value, ...value.error } : value
  if (!isDenied(denied)) return [failure("unknown", text)]
  const { code, id, msg: message = "" } = denied
  return [{ _tag: "denied", id, code, message, remedy: "later" }]
}

/** Codes of the documents. How long a client that asked too often has to stay away they do not say. */
const unknownMarket = ["1206", "1211"]
const tooOften = "1216"
const usualRest = "60"

const refused = ({ body }: { readonly body: unknown }): Refusal | undefined =>
  isFailed(body)
    ? {
      message: `${body.code} ${body.msg ?? ""}`.trim(),
      retryAfter: body.code === tooOften ? usualRest : undefined,
      isUnknownMarket: unknownMarket.includes(body.code)
    }
    : undefined

const pathOf = (what: string, limit: number) => ({ exchangeSymbol }: Market): string =>
  `/r/api/v1/${what}?symbol=${encodeURIComponent(exchangeSymbol)}&limit=${limit}`

export const tabdeal: Exchange = {
  id: "tabdeal",
  title: "Tabdeal",
  byDefault: false,
  clockUnit: 1,
  endpoints: { apiUrl: "https://api1.tabdeal.org", wsUrl: "wss://api1.tabdeal.org/stream/" },
  limits: {
    subscriptionsPerConnection: 50,
    restPerMinute: 60,
    dialsPerMinute: 30,
    commandsPerSecond: 5,
    rotateAfter: undefined
  },
  rest: {
    markets: {
      // Without a limit it may give 50.
      path: "/r/api/v1/exchangeInfo?limit=1000",
      decode: (body) =>
        Either.map(
          decodeMarkets(body),
          (list) =>
            ("symbols" in list ? list.symbols : list).map((row) =>
              Either.map(decodeMarket(row), ({ baseAsset, isSpotTradingAllowed, quoteAsset, status, symbol }) => ({
                exchangeSymbol: symbol,
                base: baseAsset,
                quote: quoteAsset,
                tradable: status === "TRADING" && isSpotTradingAllowed !== false
              }))
            )
        )
    },
    history: {
      path: pathOf("trades", 1000),
      decode: (body) => Either.map(decodeTrades(body), (rows) => newestLast(rows.map(rowOf))),
      askAfter: 0
    },
    polling: { every: Duration.seconds(10) },
    check: { path: () => "/r/api/v1/ping", decode: Either.right },
    refused
  },
  socket: {
    hello: undefined,
    acknowledges: true,
    topics: (channel, { exchangeSymbol }) => channel === "books" ? [exchangeSymbol.toLowerCase() + topicSuffix] : [],
    subscribe: (topic, id) => JSON.stringify({ method: "SUBSCRIBE", params: [topic], id }),
    batch: { size: 20, subscribe: (params, id) => JSON.stringify({ method: "SUBSCRIBE", params, id }) },
    unsubscribe: undefined,
    // Its own client pings so often.
    keepAlive: { every: Duration.seconds(30) },
    isTerminal: () => false,
    decode
  },
  books: {
    link: "replaced",
    levels: undefined,
    numbers: "none",
    picture: {
      path: pathOf("depth", 50),
      decode: (body) =>
        Either.flatMap(
          decodePicture(body),
          ({ asks, bids }) =>
            Either.map(Either.all([levelsOf(bids), levelsOf(asks)]), ([bids, asks]) => ({
              bids,
              asks,
              previous: undefined,
              sequence: undefined,
              timestamp: null
            }))
        )
    }
  }
}
