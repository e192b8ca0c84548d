/**
 * The lines of a capture, in the order in which things happened:
 *
 *     {"type":"capture","v":1,"exchange":"bitpin","books":{"depth":20,"interval":1000,"deltas":false}}
 *     {"type":"open","connection":0,"receivedAt":"2026-06-11T12:59:45.100Z","channels":["trades","books"],"markets":[["BTC/IRT","BTC_IRT"]]}
 *     {"type":"frame","connection":0,"receivedAt":"2026-06-11T12:59:45.301Z","text":"{\"id\":1,\"connect\":{}}"}
 *     {"type":"rest","receivedAt":"2026-06-11T12:59:46.001Z","channel":"trades","market":["BTC/IRT","BTC_IRT"],"path":"/..","text":"[]","rows":[0]}
 *
 * `open` is a new session of that connection, with what it listens to; `markets` is what it listens to from there on. A market with other
 * channels than the line names its own in third place. Older captures name no channels: they are of trades. `books` is how books were asked of the exchange, which
 * may have a stream for each way; `interval` is in ms. Left out, as in older captures: in the usual way.
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { Channel } from "../../services/MarketEvent.ts"
import * as Time from "../../services/Time.ts"
import type { BooksOptions } from "../books/Options.ts"
import * as Defaults from "../Defaults.ts"
import type { Heard, Recorder } from "../Recorder.ts"

const Header = Schema.Struct({
  type: Schema.Literal("capture"),
  v: Schema.Literal(1),
  exchange: Schema.String,
  books: Schema.optional(Schema.Struct({
    depth: Schema.Union(Schema.Positive.pipe(Schema.int()), Schema.Literal("all")),
    interval: Schema.NonNegative,
    deltas: Schema.Boolean
  }))
})

export type Header = typeof Header.Type

const ReceivedAt = Schema.DateFromString.pipe(Schema.validDate())
const Channels = Schema.Array(Channel)

const onConnection = { connection: Schema.NonNegativeInt, receivedAt: ReceivedAt }

const listening = {
  ...onConnection,
  channels: Schema.optional(Channels),
  markets: Schema.Array(
    Schema.Union(
      Schema.Tuple(Schema.String, Schema.String),
      Schema.Tuple(Schema.String, Schema.String, Channels)
    )
  )
}

const Open = Schema.Struct({ type: Schema.Literal("open"), ...listening })

const Markets = Schema.Struct({ type: Schema.Literal("markets"), ...listening })

const Frame = Schema.Struct({
  type: Schema.Literal("frame"),
  ...onConnection,
  text: Schema.String,
  /** Topics that its answers are about, by the ids of the commands that had asked. */
  answers: Schema.optional(Schema.Record({ key: Schema.String, value: Schema.Array(Schema.String) }))
})

const Rest = Schema.Struct({
  type: Schema.Literal("rest"),
  path: Schema.String,
  text: Schema.String,
  /** Left out: when the line before was received. */
  receivedAt: Schema.optional(ReceivedAt),
  /** These two left out: the market and the channel for which that path is asked. */
  channel: Schema.optional(Channel),
  market: Schema.optional(Schema.Tuple(Schema.String, Schema.String)),
  rows: Schema.optional(Schema.Array(Schema.NonNegativeInt)),
  known: Schema.optional(Schema.Array(Schema.String))
})

const Line = Schema.Union(Open, Markets, Frame, Rest)

export type Line = typeof Line.Type

export type RestLine = typeof Rest.Type

/** A line that is none of a capture's. */
export class CaptureInvalid extends Schema.TaggedError<CaptureInvalid>()("CaptureInvalid", {
  /** From 1. */
  line: Schema.Int,
  message: Schema.String
}) {}

export const decodeHeader = Schema.decodeUnknownEither(Schema.parseJson(Header))

const parse = Schema.decodeUnknownEither(Schema.parseJson(Line))

export const decode = (text: string): Either.Either<Line, string> =>
  Either.mapLeft(
    parse(text),
    () =>
      "expected an open or a frame with connection, receivedAt and text, or an answer (rest) with path and text, " +
      "channels of trades and books"
  )

/** `books`: how they are asked of the exchange. */
export const header = (exchange: string, books?: Pick<BooksOptions, "depth" | "interval" | "deltas">): string => {
  const { deltas, depth, interval } = books ?? {}
  return JSON.stringify({
    type: "capture",
    v: 1,
    exchange,
    ...interval === undefined ? {} : { books: { depth, interval: Duration.toMillis(interval), deltas } }
  })
}

/** As they were asked when it was recorded. */
export const askedOf = ({ books }: Header): BooksOptions =>
  books === undefined ? Defaults.books : { ...Defaults.books, ...books, interval: Duration.millis(books.interval) }

const isSame = (a: ReadonlyArray<Channel>, b: ReadonlyArray<Channel>): boolean => a.join() === b.join()

const written = (heard: ReadonlyArray<Heard>): object => {
  const channels = Array.from(new Set(heard.flatMap(({ channels = ["trades"] }) => channels)))
  const markets = heard.map(({ channels: own = ["trades"], exchangeSymbol, symbol }) =>
    isSame(own, channels) ? [symbol, exchangeSymbol] : [symbol, exchangeSymbol, own]
  )
  return { channels, markets }
}

/** What an `open` or `markets` line says. */
export const heardOf = (
  { channels = ["trades"], markets }: Extract<Line, { readonly markets: unknown }>
): ReadonlyArray<Required<Heard>> =>
  markets.map(([symbol, exchangeSymbol, own]) => ({ symbol, exchangeSymbol, channels: own ?? channels }))

/** Gives each line, without its end, to `write`. */
export const recorder = (write: (line: string) => void): Required<Recorder> => {
  /** By connection: what it was said to listen to. */
  const told = new Map<number, string>()
  const line = (type: string, connection: number, at: Time.WallTime, rest: object) =>
    write(JSON.stringify({ type, connection, receivedAt: Time.iso(at), ...rest }))
  return {
    opened: (connection, markets, at) => {
      const rest = written(Array.from(markets))
      told.set(connection, JSON.stringify(rest))
      line("open", connection, at, rest)
    },
    changed: (connection, markets, at) => {
      const rest = written(Array.from(markets))
      const text = JSON.stringify(rest)
      const before = told.get(connection)
      if (before === undefined || before === text) return
      told.set(connection, text)
      line("markets", connection, at, rest)
    },
    frame: (connection, text, at, answers) =>
      line("frame", connection, at, {
        text,
        ...answers === undefined || answers.size === 0 ? {} : { answers: Object.fromEntries(answers) }
      }),
    answered: ({ at, channel, known, market: { exchangeSymbol, symbol }, path, rows, text }) =>
      write(JSON.stringify({
        type: "rest",
        receivedAt: Time.iso(at),
        channel,
        market: [symbol, exchangeSymbol],
        path,
        text,
        rows,
        known
      }))
  }
}
