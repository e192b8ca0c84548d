/**
 * OKX, spot (docs/design/exchanges/okx.md). Trades come each match singly (`trades-all`), on an address of their own. Ids count up market by
 * market and leave none out. Books are a picture of 400 levels and changes, each of which names the number after which it applies. It pings
 * nobody, and hangs up on whoever does not.
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { Side } from "../../services/MarketEvent.ts"
import * as DecodeFailure from "../DecodeFailure.ts"
import type { Endpoints, Exchange, Market, Message, Protocol, Refusal, TradeRow } from "../Exchange.ts"
import { decoder, epochMillis, levels, newestLast, rowDecoder, tradeDecoder } from "../protocols/Fields.ts"
import * as Json from "../protocols/Json.ts"
import * as Levels from "../protocols/Levels.ts"

const ListedMarket = Schema.Struct({
  instId: Schema.String,
  baseCcy: Schema.String,
  quoteCcy: Schema.String,
  state: Schema.String
})

/** The same by socket and by REST, `side` the taker's. */
const Trade = Schema.Struct({
  tradeId: Schema.String.pipe(Schema.pattern(/^\d{1,20}$/)),
  px: Schema.String,
  sz: Schema.String,
  side: Side,
  ts: Schema.String
})

/** The number after which a change applies, -1 of a picture; a number may be followed by itself, or by a lower one. */
const Sequence = Schema.String.pipe(Schema.pattern(/^-?\d{1,20}$/))

/** Rows of price, amount, a field that is not used any more, and how many orders. */
const Book = Schema.Struct({
  asks: Levels.Side,
  bids: Levels.Side,
  ts: Schema.String,
  prevSeqId: Sequence,
  seqId: Sequence
})

const Arg = Schema.Struct({ channel: Schema.String, instId: Schema.String })

const Event = Schema.Struct({
  event: Schema.String,
  id: Schema.optional(Schema.String),
  arg: Schema.optional(Arg),
  code: Schema.optional(Schema.String),
  msg: Schema.optional(Schema.String)
})

const List = Schema.Array(Schema.Unknown)

const decodeMarket = decoder(ListedMarket)
const decodeList = decoder(Schema.Struct({ data: List }))
const decodePush = rowDecoder(Schema.Struct({ arg: Arg, data: List }))
const decodeBook = rowDecoder(Book)
const isAction = Schema.is(Schema.Struct({ action: Schema.Literal("snapshot", "update") }))
const isEvent = Schema.is(Event)
const isCoded = Schema.is(Schema.Struct({ code: Schema.String, msg: Schema.optional(Schema.String) }))

const failed = (failure: DecodeFailure.DecodeFailure, topic?: string): Message => ({
  _tag: "failure",
  failure,
  ...topic === undefined ? {} : { topic }
})
const unknown = (text: string): Message => failed(DecodeFailure.make("unknown", text))

const tradeOf = tradeDecoder(Trade, {
  id: "tradeId",
  price: "px",
  amount: "sz",
  side: ({ side }) => side,
  time: ["ts", epochMillis]
})

const channels = { trades: "trades-all", books: "books" } as const
const topicOf = (channel: string, instId: string): string => `${channel}:${instId}`
const argOf = (topic: string): typeof Arg.Type => {
  const at = topic.indexOf(":")
  return { channel: topic.slice(0, at), instId: topic.slice(at + 1) }
}

const trades = (exchangeSymbol: string, data: ReadonlyArray<unknown>): ReadonlyArray<Message> => {
  const failures: Array<Message> = []
  const rows: Array<TradeRow> = []
  for (const item of data) {
    const row = tradeOf(item)
    if (Either.isLeft(row)) failures.push(failed(row.left))
    else rows.push(row.right)
  }
  return rows.length === 0 ? failures : [...failures, { _tag: "trades", exchangeSymbol, rows }]
}

/** Its `checksum` is always 0 since 2026, whatever the book. */
const bookOf = (exchangeSymbol: string, push: unknown, item: unknown): Message => {
  const topic = topicOf(channels.books, exchangeSymbol)
  if (!isAction(push)) return failed(DecodeFailure.make("schema", "a book that is neither snapshot nor update"), topic)
  return Either.match(
    Either.flatMap(
      decodeBook(item),
      ({ asks, bids, prevSeqId, seqId, ts }) =>
        Either.map(Either.all([levels("bids", bids), levels("asks", asks)]), ([bids, asks]): Message => ({
          _tag: "books",
          exchangeSymbol,
          part: push.action === "snapshot" ? "whole" : "delta",
          bids,
          asks,
          previous: push.action === "snapshot" ? undefined : BigInt(prevSeqId),
          sequence: BigInt(seqId),
          ...epochMillis(ts) ?? { timestamp: null }
        }))
    ),
    { onLeft: (failure) => failed(failure, topic), onRight: (message) => message }
  )
}

/** It upgrades its service, and ends this connection within a minute. */
const upgrade = "64008"
/** Too many requests: of the socket, and of REST, which counts two seconds at a time. */
const tooOften: ReadonlyArray<string> = ["60014", "50011"]
const unknownMarket = "51001"

const told = (
  { arg, code = "", event, id, msg: message = "" }: typeof Event.Type,
  text: string
): Message | undefined => {
  switch (event) {
    case "subscribe":
      return arg === undefined
        ? unknown(text)
        : { _tag: "subscribed", topic: topicOf(arg.channel, arg.instId), position: undefined, recovered: false }
    case "error":
      return id === undefined
        ? unknown(text)
        : { _tag: "denied", id, code, message, remedy: tooOften.includes(code) ? "slowly" : "later" }
    case "notice":
      return code === upgrade ? { _tag: "leaving" } : unknown(text)
    case "unsubscribe":
    case "channel-conn-count":
      return undefined
    default:
      return unknown(text)
  }
}

const decode: Protocol["decode"] = (text) => {
  if (text === "pong") return []
  const parsed = Json.parseFrame(text)
  if (Either.isLeft(parsed)) return [failed(parsed.left)]
  if (isEvent(parsed.right)) {
    const message = told(parsed.right, text)
    return message === undefined ? [] : [message]
  }
  return Either.match(decodePush(parsed.right), {
    onLeft: (failure) => [failed(failure)],
    onRight: ({ arg, data }) => {
      switch (arg.channel) {
        case channels.trades:
          return trades(arg.instId, data)
        case channels.books:
          return data.map((item) => bookOf(arg.instId, parsed.right, item))
        default:
          return [unknown(text)]
      }
    }
  })
}

const command = (op: string, topics: ReadonlyArray<string>, id: number): string =>
  JSON.stringify({
    id: String(id),
    op,
    args: topics.map(argOf)
  })

/** Failures have a code, whatever the status is. */
const refused = ({ body }: { readonly body: unknown }): Refusal | undefined =>
  isCoded(body) && body.code !== "0"
    ? {
      message: `${body.code} ${body.msg ?? ""}`.trim(),
      retryAfter: tooOften.includes(body.code) ? "2" : undefined,
      isUnknownMarket: body.code === unknownMarket
    }
    : undefined

const endpoints = { apiUrl: "https://www.okx.com", wsUrl: "wss://ws.okx.com:8443/ws/v5" }

/** Hosts that are asked already are no way out: of Europe's the usual ones are named, of all others those. */
const elsewhere = ({ apiUrl, wsUrl }: Endpoints): string => {
  const hosts = `${apiUrl} ${wsUrl}`.includes("eea.okx.com") ? "www.okx.com, ws.okx.com" : "eea.okx.com, wseea.okx.com"
  return `OKX_API_URL, OKX_WS_URL where your account is (${hosts}), HTTPS_PROXY, another region`
}

const size = 100

const pathOf = (what: string) => ({ exchangeSymbol }: Market): string =>
  `/api/v5/market/${what}?instId=${encodeURIComponent(exchangeSymbol)}`

export const okx: Exchange = {
  id: "okx",
  title: "OKX",
  byDefault: false,
  advice: (asked) => ({
    403: `not served at this address; try ${elsewhere(asked)}`,
    451: `not served here; try ${elsewhere(asked)}`
  }),
  help: { wsUrl: "Address of its WebSocket, without `/public` or `/business` at its end" },
  clockUnit: 1,
  tradeIds: "consecutive",
  endpoints,
  limits: {
    subscriptionsPerConnection: 100,
    restPerMinute: 300,
    // Pages of history: 20 in two seconds.
    restApart: Duration.millis(120),
    dialsPerMinute: 60,
    commandsPerSecond: 2,
    // Of 480. Beyond them each is refused, and may count as well.
    commandsPerHour: 400,
    rotateAfter: undefined
  },
  rest: {
    markets: {
      path: "/api/v5/public/instruments?instType=SPOT",
      decode: (body) =>
        Either.map(
          decodeList(body),
          ({ data }) =>
            data.map((row) =>
              Either.map(decodeMarket(row), ({ baseCcy, instId, quoteCcy, state }) => ({
                exchangeSymbol: instId,
                base: baseCcy,
                quote: quoteCcy,
                tradable: state === "live"
              }))
            )
        )
    },
    history: {
      path: (market) => `${pathOf("trades")(market)}&limit=500`,
      pages: {
        size,
        holds: "newest",
        path: (market, { id }, reach) =>
          `${pathOf("history-trades")(market)}&type=1&after=${BigInt(id) + BigInt(reach) + 1n}&limit=${size}`
      },
      decode: (body) => Either.map(decodeList(body), ({ data }) => newestLast(data.map(tradeOf))),
      askAfter: 0
    },
    check: { path: () => "/api/v5/public/time", decode: decodeList },
    refused
  },
  socket: {
    hello: undefined,
    acknowledges: true,
    topics: (channel, { exchangeSymbol }) => [topicOf(channels[channel], exchangeSymbol)],
    connection: (channel) =>
      channel === "trades"
        ? { kind: "business", path: "/business" }
        // It advises to keep below 30 books.
        : { kind: "public", path: "/public", subscriptions: 25 },
    subscribe: (topic, id) => command("subscribe", [topic], id),
    // A frame is one command of the hour's, whatever it names.
    batch: {
      size: 50,
      subscribe: (topics, id) => command("subscribe", topics, id),
      unsubscribe: (topics, id) => command("unsubscribe", topics, id)
    },
    unsubscribe: (topic, id) => command("unsubscribe", [topic], id),
    // After 30 s without a frame it hangs up. JSON would be refused.
    keepAlive: { every: Duration.seconds(20), text: "ping" },
    isTerminal: () => false,
    decode
  },
  books: {
    link: "exact",
    resync: "resubscribe",
    // Each is two of the 480 commands that it takes in an hour.
    resubscriptions: 60,
    // Before a market opens, orders lie in its book that will be matched with one another.
    mayCross: true,
    ofNamedMarkets: true,
    levels: 400,
    numbers: "own",
    picture: undefined
  }
}
