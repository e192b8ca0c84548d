/**
 * An exchange that nobody runs: one value, with all that may differ from one exchange to the next. Its frames are JSON of its own kind, it
 * calls Bitcoin XBT and counts in Rial, its trades have no ids and whole milliseconds, it hangs up on whoever does not ping, sends large
 * frames, and refuses with status 200.
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as ExchangeTime from "../../src/services/ExchangeTime.ts"
import { Side } from "../../src/services/MarketEvent.ts"
import * as DecodeFailure from "../../src/streams/DecodeFailure.ts"
import type { Exchange, Market, Message, TradeRow } from "../../src/streams/Exchange.ts"
import { decoder, newestLast, positive } from "../../src/streams/protocols/Fields.ts"
import * as Json from "../../src/streams/protocols/Json.ts"

const decodeMarkets = decoder(
  Schema.Struct({ markets: Schema.Array(Schema.Unknown) })
)
const decodeMarket = decoder(
  Schema.Struct({ name: Schema.String, buys: Schema.String, with: Schema.String, open: Schema.Boolean })
)
const decodeRow = decoder(
  Schema.Struct({
    n: Schema.optional(Schema.String),
    p: Schema.String,
    q: Schema.String,
    side: Side,
    ms: Schema.String.pipe(Schema.pattern(/^\d{1,15}$/))
  })
)
const decodeTrades = decoder(Schema.Struct({ trades: Schema.Array(Schema.Unknown) }))
const decodeFrame = decoder(Schema.Union(
  Schema.Struct({ op: Schema.Literal("pong") }),
  Schema.Struct({ op: Schema.Literal("ok", "no"), n: Schema.String }),
  Schema.Struct({ op: Schema.Literal("trades"), name: Schema.String, trades: Schema.Array(Schema.Unknown) })
))
const decodeRefusal = decoder(Schema.Struct({ refused: Schema.String, seconds: Schema.String }))

const rowOf = (candidate: unknown): Either.Either<TradeRow, DecodeFailure.DecodeFailure> =>
  Either.gen(function*() {
    const row = yield* decodeRow(candidate)
    const price = yield* positive("p", row.p)
    const amount = yield* positive("q", row.q)
    const time = ExchangeTime.make(Math.floor(Number(row.ms) / 1000), row.ms.slice(-3))
    if (time === undefined) return yield* Either.left(DecodeFailure.make("time", row.ms))
    return { id: row.n, price, amount, side: row.side, ...time }
  })

const failure = (failure: DecodeFailure.DecodeFailure): Message => ({ _tag: "failure", failure })

const tradesPath = ({ exchangeSymbol }: Market): string => `/history/${encodeURIComponent(exchangeSymbol)}`

/** The finest unit of its trades' time, ms. */
const millisecond = 1

/** Rows of a page, where it is `numbered`. */
export const pageSize = 100

export const madeUp: Exchange = {
  id: "madeup",
  title: "Made Up",
  help: { wsUrl: "Address of its WebSocket, without the channel at its end" },
  names: { XBT: "BTC", RIAL: "IRT" },
  units: { IRT: -1 },
  clockUnit: millisecond,
  endpoints: { apiUrl: "https://api.madeup.example", wsUrl: "wss://ws.madeup.example/v7" },
  limits: {
    subscriptionsPerConnection: 7,
    restPerMinute: 600,
    dialsPerMinute: 600,
    commandsPerSecond: 50,
    rotateAfter: undefined,
    maxPayload: 4 * 1024 ** 2
  },
  rest: {
    markets: {
      path: "/list",
      decode: (body) =>
        Either.map(
          decodeMarkets(body),
          ({ markets }) =>
            markets.map((market) =>
              Either.map(decodeMarket(market), ({ buys, name, open, with: quote }) => ({
                exchangeSymbol: name,
                base: buys,
                quote,
                tradable: open
              }))
            )
        )
    },
    history: {
      path: tradesPath,
      decode: (body) => Either.map(decodeTrades(body), ({ trades }) => newestLast(trades.map(rowOf))),
      askAfter: millisecond + 2_200
    },
    check: { path: tradesPath, decode: decodeTrades },
    refused: ({ body }) => {
      const refusal = decodeRefusal(body)
      return Either.isLeft(refusal)
        ? undefined
        : { message: refusal.right.refused, retryAfter: refusal.right.seconds }
    }
  },
  socket: {
    hello: undefined,
    acknowledges: true,
    keepAlive: { every: Duration.millis(300), text: `{"op":"ping"}` },
    topics: (channel, { exchangeSymbol }) => channel === "trades" ? [exchangeSymbol] : [],
    subscribe: (name, n) => JSON.stringify({ op: "listen", name, n }),
    unsubscribe: (name, n) => JSON.stringify({ op: "forget", name, n }),
    isTerminal: () => false,
    decode: (text, topicOf) => {
      const frame = Either.flatMap(Json.parse(text), decodeFrame)
      if (Either.isLeft(frame)) return [failure(frame.left)]
      switch (frame.right.op) {
        case "pong":
          return []
        case "ok":
        case "no": {
          const topic = topicOf(frame.right.n)
          if (topic === undefined) return []
          return frame.right.op === "ok"
            ? [{ _tag: "subscribed", topic, position: undefined, recovered: false }]
            : [{ _tag: "rejected", topic, code: "no", message: "no", remedy: "later" }]
        }
        case "trades": {
          const rows = frame.right.trades.map(rowOf)
          const trades = rows.flatMap((row) => Either.isRight(row) ? [row.right] : [])
          return [
            ...rows.flatMap((row) => Either.isLeft(row) ? [failure(row.left)] : []),
            { _tag: "trades", exchangeSymbol: frame.right.name, rows: trades }
          ]
        }
      }
    }
  }
}

/** It counts its trades, market by market, and gives its history in pages that end below a number. */
export const numbered: Exchange = {
  ...madeUp,
  tradeIds: "consecutive",
  rest: {
    ...madeUp.rest,
    history: {
      ...madeUp.rest.history,
      askAfter: 0,
      pages: {
        size: pageSize,
        holds: "newest",
        path: (market, { id }, reach) => `${tradesPath(market)}?below=${BigInt(id) + BigInt(reach) + 1n}`
      }
    }
  }
}
