/**
 * Binance, spot (docs/design/exchanges/binance.md). Each trade has a number, without holes within its market, and any of them can be asked for.
 * Books are the best 20 levels, whole each time, by the number of the engine's last change; for more levels, or for changes as they happen, they
 * are changes that go on from a picture by REST.
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as ExchangeTime from "../../services/ExchangeTime.ts"
import type { BooksOptions } from "../books/Options.ts"
import * as DecodeFailure from "../DecodeFailure.ts"
import * as Defaults from "../Defaults.ts"
import type { BookPart, Books, Endpoints, Exchange, Market, Message, Protocol, Refusal } from "../Exchange.ts"
import { decoder, epochMillis, levels, rowDecoder, tradeDecoder } from "../protocols/Fields.ts"
import * as Json from "../protocols/Json.ts"
import * as Levels from "../protocols/Levels.ts"

const Markets = Schema.Struct({ symbols: Schema.Array(Schema.Unknown) })

const ListedMarket = Schema.Struct({
  symbol: Schema.String,
  status: Schema.String,
  baseAsset: Schema.String,
  quoteAsset: Schema.String,
  isSpotTradingAllowed: Schema.Boolean
})

const Whole = Schema.String.pipe(Schema.pattern(/^\d{1,19}$/))

/** `m`: the buyer's order lay in the book. */
const Trade = Schema.Struct({
  e: Schema.Literal("trade"),
  s: Schema.String,
  t: Whole,
  p: Schema.String,
  q: Schema.String,
  T: Schema.String,
  m: Schema.Boolean
})

const PastTrade = Schema.Struct({
  id: Whole,
  price: Schema.String,
  qty: Schema.String,
  time: Schema.String,
  isBuyerMaker: Schema.Boolean
})

/** `U`: number of the first change that it has, `u`: of the last. */
const Changes = Schema.Struct({
  e: Schema.Literal("depthUpdate"),
  E: Schema.String,
  s: Schema.String,
  U: Whole,
  u: Whole,
  b: Levels.Side,
  a: Levels.Side
})

/** The same by socket and by REST: neither names its market, nor a time. */
const Book = Schema.Struct({ lastUpdateId: Whole, bids: Levels.Side, asks: Levels.Side })

const Push = Schema.Struct({ stream: Schema.String, data: Schema.Unknown })
const Event = Schema.Struct({ e: Schema.String })
const Granted = Schema.Struct({ id: Schema.String, result: Schema.Null })
const Failed = Schema.Struct({ code: Schema.String, msg: Schema.optional(Schema.String) })
const Denied = Schema.Struct({ id: Schema.String, ...Failed.fields })

const decodeMarkets = decoder(Markets)
const decodeMarket = decoder(ListedMarket)
const decodeTrades = decoder(Schema.Array(Schema.Unknown))
const decodeBook = rowDecoder(Book)
const decodeChanges = rowDecoder(Changes)
const isPush = Schema.is(Push)
const isEvent = Schema.is(Event)
const isGranted = Schema.is(Granted)
const isFailed = Schema.is(Failed)
const isDenied = Schema.is(Denied)

const failed = (failure: DecodeFailure.DecodeFailure, topic?: string): Message => ({
  _tag: "failure",
  failure,
  ...topic === undefined ? {} : { topic }
})

const sideOf = (isBuyerMaker: boolean): "buy" | "sell" => isBuyerMaker ? "sell" : "buy"

/** Sixteen digits, until the year 2286, are microseconds: an address that ends in `?timeUnit=MICROSECOND` has them. */
const timeOf = (text: string): ExchangeTime.ExchangeTime | undefined =>
  /^\d{16}$/.test(text) ? ExchangeTime.make(Number(text.slice(0, -6)), text.slice(-6)) : epochMillis(text)

const rowOf = tradeDecoder(Trade, { id: "t", price: "p", amount: "q", side: ({ m }) => sideOf(m), time: ["T", timeOf] })

const pastRowOf = tradeDecoder(PastTrade, {
  id: "id",
  price: "price",
  amount: "qty",
  side: ({ isBuyerMaker }) => sideOf(isBuyerMaker),
  time: ["time", timeOf]
})

const pastRows = (body: unknown) => Either.map(decodeTrades(body), (rows) => rows.map(pastRowOf))

type Picture = Omit<BookPart, "_tag" | "exchangeSymbol" | "part">

const pictureOf = (body: unknown): Either.Either<Picture, DecodeFailure.DecodeFailure> =>
  Either.flatMap(
    decodeBook(body),
    ({ asks, bids, lastUpdateId }) =>
      Either.map(Either.all([Levels.whole("bids", bids), Levels.whole("asks", asks)]), ([bids, asks]) => ({
        bids,
        asks,
        previous: undefined,
        sequence: BigInt(lastUpdateId),
        timestamp: null
      }))
  )

/** It begins behind the number before its first change. */
const changesOf = (data: unknown, symbol?: string): Either.Either<Message, DecodeFailure.DecodeFailure> =>
  Either.flatMap(decodeChanges(data), ({ E, U, a, b, s, u }) => {
    if (symbol !== undefined && symbol !== s) {
      return Either.left(DecodeFailure.make("symbol", `${s} on the stream of ${symbol}`))
    }
    return Either.map(Either.all([levels("bids", b), levels("asks", a)]), ([bids, asks]): Message => ({
      _tag: "books",
      exchangeSymbol: s,
      part: "delta",
      bids,
      asks,
      previous: BigInt(U) - 1n,
      sequence: BigInt(u),
      ...timeOf(E) ?? { timestamp: null }
    }))
  })

const tradeStream = "trade"
const changesStream = "depth@100ms"
const bookStream = /^depth(?:5|10|20)(?:@100ms)?$/

/** `symbol`: as the stream has it; undefined where only the event says it. */
const eventOf = (data: unknown, symbol?: string): Message => {
  if (!isEvent(data)) return failed(DecodeFailure.make("unknown", "a book without the name of its stream"))
  if (data.e === "serverShutdown") return { _tag: "leaving" }
  if (data.e === "depthUpdate" && symbol === undefined) {
    return Either.match(changesOf(data), { onLeft: failed, onRight: (message) => message })
  }
  if (data.e !== "trade") return failed(DecodeFailure.make("unknown", `event ${data.e}`))
  const row = rowOf(data)
  if (Either.isLeft(row)) return failed(row.left)
  const { s: exchangeSymbol } = data as typeof data & { readonly s: string }
  return symbol !== undefined && symbol !== exchangeSymbol
    ? failed(DecodeFailure.make("symbol", `${exchangeSymbol} on the stream of ${symbol}`))
    : { _tag: "trades", exchangeSymbol, rows: [row.right] }
}

const pushOf = ({ data, stream }: typeof Push.Type): Message => {
  const at = stream.indexOf("@")
  // Streams are in lower case, markets in upper.
  const exchangeSymbol = stream.slice(0, at).toUpperCase()
  const kind = stream.slice(at + 1)
  if (at > 0 && kind === tradeStream) return eventOf(data, exchangeSymbol)
  if (at > 0 && kind === changesStream) {
    return Either.match(changesOf(data, exchangeSymbol), {
      onLeft: (failure) => failed(failure, stream),
      onRight: (message) => message
    })
  }
  if (at > 0 && bookStream.test(kind)) {
    return Either.match(pictureOf(data), {
      onLeft: (failure) => failed(failure, stream),
      onRight: (picture): Message => ({ _tag: "books", exchangeSymbol, part: "whole", ...picture })
    })
  }
  return stream === "!serverShutdown"
    ? { _tag: "leaving" }
    : failed(DecodeFailure.make("unknown", `stream ${stream}`))
}

/** "Too many subscriptions": another connection has room. */
const tooMany = "4"

const answerOf = (value: object): Message => {
  if (isGranted(value)) return { _tag: "granted", id: value.id }
  const denied = "error" in value && typeof value.error === "object" ? { ...value, ...value.error } : value
  if (!isDenied(denied)) return failed(DecodeFailure.make("unknown", JSON.stringify(value)))
  const { code, id, msg: message = "" } = denied
  return { _tag: "denied", id, code, message, remedy: code === tooMany ? "elsewhere" : "later" }
}

const decode: Protocol["decode"] = (text) => {
  const parsed = Json.parseFrame(text)
  if (Either.isLeft(parsed)) return [failed(parsed.left)]
  const value = parsed.right
  if (typeof value !== "object" || value === null) return [failed(DecodeFailure.make("unknown", text))]
  return [isPush(value) ? pushOf(value) : "id" in value || "error" in value ? answerOf(value) : eventOf(value)]
}

/** Asked too often; it may have banned the address until then. */
const untilPattern = /banned until (\d{13})/
/** Seconds, where it names no end: the weight is that of a minute, and a ban is of two at least. */
const usualRest: Readonly<Record<number, string>> = { 403: "60", 418: "120", 429: "60" }
const unknownMarket = "-1121"

const refused = ({ body, status }: { readonly status: number; readonly body: unknown }): Refusal | undefined => {
  if (status >= 200 && status <= 299) return undefined
  const { code = "", msg = "" } = isFailed(body) ? body : {}
  const retryAfter = untilPattern.exec(msg)?.[1] ?? usualRest[status]
  if (code === "" && retryAfter === undefined) return undefined
  return { message: `${code} ${msg}`.trim(), retryAfter, isUnknownMarket: code === unknownMarket }
}

/** The hosts for market data alone, which serve most regions. */
const endpoints = { apiUrl: "https://data-api.binance.vision", wsUrl: "wss://data-stream.binance.vision/stream" }

/** What may help: those hosts only where others are asked. */
const elsewhere = ({ apiUrl, wsUrl }: Endpoints): string =>
  [
    ...(apiUrl.startsWith(endpoints.apiUrl) ? [] : [`BINANCE_API_URL=${endpoints.apiUrl}`]),
    ...(wsUrl.startsWith(endpoints.wsUrl) ? [] : [`BINANCE_WS_URL=${endpoints.wsUrl}`]),
    "HTTPS_PROXY or another region"
  ].join(", ")

/** Rows of a page. */
const pageSize = 1_000

const withPages =
  `holes that begin before a market's last ${pageSize} trades stay open; BINANCE_API_URL=https://api.binance.com can fill them`

/** Their rows are the same, of which the second has the last ones alone. */
const [pagesPath, lastPath] = ["historicalTrades", "trades"] as const

const askedOf = (what: string, limit: number, more = "") => ({ exchangeSymbol }: Market): string =>
  `/api/v3/${what}?symbol=${encodeURIComponent(exchangeSymbol)}&limit=${limit}${more}`

/** Levels a side of the pictures that streams have. */
const shown = 20

/** Whether a picture of 20 levels says all that is wanted. */
const isShallow = ({ deltas, depth }: BooksOptions): boolean => !deltas && depth !== "all" && depth <= shown

/** How deep a picture by REST is that changes go on from, and what it takes of the budget, whose questions weigh 25. */
const deep = { levels: 1_000, cost: 2 }
const deepest = { levels: 5_000, cost: 10 }

const pictureFor = (levels: number, cost = 1): NonNullable<Books["picture"]> => ({
  path: askedOf("depth", levels),
  levels,
  cost,
  decode: pictureOf
})

const byChanges = ({ depth }: BooksOptions): Partial<Books> => {
  const { cost, levels } = depth === "all" ? deepest : deep
  return {
    link: "overlap",
    resync: "picture",
    levels,
    picture: pictureFor(levels, cost),
    beside: { topic: ({ exchangeSymbol }) => `${exchangeSymbol.toLowerCase()}@depth20@100ms`, levels: shown }
  }
}

const command = (method: string, params: ReadonlyArray<string>, id: number) => JSON.stringify({ method, params, id })

export const binance: Exchange = {
  id: "binance",
  title: "Binance",
  byDefault: false,
  help: { wsUrl: "Address of its WebSocket, with `/stream` at its end" },
  advice: (asked) => ({
    403: `its firewall refuses this address; try ${elsewhere(asked)}`,
    418: "this address is banned for a while, for asking too often: it is left alone until then",
    429: "this address asks too often, we or others on it: it is left alone for a while",
    451: `not served in this region; try ${elsewhere(asked)}`
  }),
  clockUnit: 1,
  tradeIds: "consecutive",
  endpoints,
  limits: {
    // Of 1 024; the one beyond ends the connection with all of them.
    subscriptionsPerConnection: 400,
    // A history weighs 25, and nothing else that is asked more: 3 000 of the 6 000 that an address has in a minute.
    restPerMinute: 120,
    dialsPerMinute: 20,
    // Of the 5 frames that a connection may send in a second, pongs among them.
    commandsPerSecond: 2,
    // It cuts a connection that is 24 hours old.
    rotateAfter: Duration.hours(23)
  },
  rest: {
    markets: {
      path: "/api/v3/exchangeInfo?symbolStatus=TRADING&showPermissionSets=false",
      decode: (body) =>
        Either.map(
          decodeMarkets(body),
          ({ symbols }) =>
            symbols.map((row) =>
              Either.map(decodeMarket(row), ({ baseAsset, isSpotTradingAllowed, quoteAsset, status, symbol }) => ({
                exchangeSymbol: symbol,
                base: baseAsset,
                quote: quoteAsset,
                tradable: status === "TRADING" && isSpotTradingAllowed
              }))
            )
        )
    },
    history: {
      path: askedOf(lastPath, pageSize),
      pages: {
        size: pageSize,
        holds: "oldest",
        path: (market, { id }) => askedOf(pagesPath, pageSize, `&fromId=${id}`)(market)
      },
      decode: pastRows,
      askAfter: 0
    },
    // The list of paths that hosts for market data alone have is without pages. So a hole is filled that reaches no further than the last trades.
    instead: (path) =>
      path.startsWith(`/api/v3/${pagesPath}?`)
        ? { path: path.replace(pagesPath, lastPath).replace(/&fromId=\d+/, ""), advice: withPages }
        : undefined,
    check: { path: () => "/api/v3/ping", decode: Either.right },
    refused
  },
  socket: {
    hello: undefined,
    acknowledges: true,
    topics: (channel, { exchangeSymbol }, books = Defaults.books) => {
      const pictures = Duration.lessThan(books.interval, Duration.seconds(1)) ? "depth20@100ms" : "depth20"
      const stream = channel === "trades" ? tradeStream : isShallow(books) ? pictures : changesStream
      return [`${exchangeSymbol.toLowerCase()}@${stream}`]
    },
    subscribe: (topic, id) => command("SUBSCRIBE", [topic], id),
    // A frame of 437 and more was once taken, and did nothing.
    batch: {
      size: 200,
      subscribe: (topics, id) => command("SUBSCRIBE", topics, id),
      unsubscribe: (topics, id) => command("UNSUBSCRIBE", topics, id)
    },
    unsubscribe: (topic, id) => command("UNSUBSCRIBE", [topic], id),
    // Too many frames, or too many topics: whoever goes on is banned.
    isTerminal: (code) => code === 1008,
    decode
  },
  books: {
    link: "replaced",
    ofNamedMarkets: true,
    levels: shown,
    numbers: "own",
    picture: pictureFor(shown),
    by: (options) => isShallow(options) ? {} : byChanges(options)
  }
}
