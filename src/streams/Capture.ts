/**
 * Raw frames as they came, one JSON object a line, and their way through the same decoder again: what an exchange really sent can be
 * looked at, kept as a test, and decoded by a later version.
 *
 *     {"type":"capture","v":1,"exchange":"bitpin"}
 *     {"type":"open","connection":0,"receivedAt":"2026-06-11T12:59:45.100Z","markets":[["BTC/IRT","BTC_IRT"]]}
 *     {"type":"frame","connection":0,"receivedAt":"2026-06-11T12:59:45.301Z","text":"{\"id\":1,\"connect\":{}}"}
 *
 * `open` is a new session of that connection, with the markets that it asks for.
 */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as FeedStatus from "../services/FeedStatus.ts"
import * as Ledger from "../services/Ledger.ts"
import type { MarketEvent } from "../services/MarketEvent.ts"
import * as Time from "../services/Time.ts"
import * as Board from "./Board.ts"
import type { Subject } from "./Channel.ts"
import type { Exchange, Market } from "./Exchange.ts"
import * as Session from "./Feed/Session.ts"
import * as Topics from "./Feed/Topics.ts"
import * as Rhythm from "./Rhythm.ts"
import * as StatusEvents from "./StatusEvents.ts"
import * as TradesChannel from "./trades/TradesChannel.ts"

const Header = Schema.Struct({
  type: Schema.Literal("capture"),
  v: Schema.Literal(1),
  exchange: Schema.String
})

const Open = Schema.Struct({
  type: Schema.Literal("open"),
  connection: Schema.NonNegativeInt,
  receivedAt: Schema.DateFromString.pipe(Schema.validDate()),
  markets: Schema.Array(Schema.Tuple(Schema.String, Schema.String))
})

const Frame = Schema.Struct({
  type: Schema.Literal("frame"),
  connection: Schema.NonNegativeInt,
  receivedAt: Schema.DateFromString.pipe(Schema.validDate()),
  text: Schema.String
})

const decodeHeader = Schema.decodeUnknownEither(Schema.parseJson(Header))
const decodeLine = Schema.decodeUnknownEither(Schema.parseJson(Schema.Union(Open, Frame)))

/** A line that is none of a capture's. */
export class CaptureInvalid extends Schema.TaggedError<CaptureInvalid>()("CaptureInvalid", {
  /** From 1. */
  line: Schema.Int,
  message: Schema.String
}) {}

/** What a recorder is told of, in order. */
export interface Recorder {
  readonly opened: (connection: number, markets: Iterable<Market>, at: Time.WallTime) => void
  readonly frame: (connection: number, text: string, at: Time.WallTime) => void
}

export const header = (exchange: string): string => JSON.stringify({ type: "capture", v: 1, exchange })

/** Gives each line, without its end, to `write`. */
export const recorder = (write: (line: string) => void): Recorder => {
  const line = (type: string, connection: number, at: Time.WallTime, rest: object) =>
    write(JSON.stringify({ type, connection, receivedAt: Time.iso(at), ...rest }))
  return {
    opened: (connection, markets, at) =>
      line("open", connection, at, {
        markets: Array.from(markets, ({ exchangeSymbol, symbol }) => [symbol, exchangeSymbol])
      }),
    frame: (connection, text, at) => line("frame", connection, at, { text })
  }
}

export interface Replay {
  /** The events of one more line, in order. */
  readonly line: (text: string) => Either.Either<ReadonlyArray<MarketEvent>, CaptureInvalid>
  readonly summary: () => {
    readonly exchange: string
    readonly frames: number
    readonly events: number
    /** Frames that were not understood, by reason. */
    readonly failures: ReadonlyMap<string, number>
  }
}

/** `exchangeOf`: the adapter by its name. The same lines give the same events. */
export const replay = (exchangeOf: (name: string) => Exchange | undefined): Replay => {
  let number = 0
  let frames = 0
  let events = 0
  let player: ReturnType<typeof play> | undefined
  const invalid = (message: string) => Either.left(new CaptureInvalid({ line: number, message }))
  return {
    line: (text) => {
      number += 1
      if (player === undefined) {
        const parsed = decodeHeader(text)
        if (Either.isLeft(parsed)) return invalid(`expected {"type":"capture","v":1,"exchange":...}`)
        const exchange = exchangeOf(parsed.right.exchange)
        if (exchange === undefined) return invalid(`exchange ${JSON.stringify(parsed.right.exchange)} is not known`)
        player = play(exchange)
        return Either.right([])
      }
      const parsed = decodeLine(text)
      if (Either.isLeft(parsed)) return invalid("expected an open or a frame with connection, receivedAt and text")
      const entry = parsed.right
      const at = Time.wallTime(entry.receivedAt.getTime())
      const outcome = entry.type === "open"
        ? player.open(entry.connection, entry.markets, at)
        : player.frame(entry.connection, entry.text, at)
      if (outcome === undefined) return invalid(`connection ${entry.connection} was never opened`)
      if (entry.type === "frame") frames += 1
      events += outcome.length
      return Either.right(outcome)
    },
    summary: () => ({
      exchange: player?.exchange ?? "",
      frames,
      events,
      failures: player?.failures() ?? new Map()
    })
  }
}

/** The decoder and all that knows trades, without a socket. */
const play = (exchange: Exchange) => {
  const status = FeedStatus.make([exchange.id])
  const board = Board.make(status, exchange.id)
  const shared: Session.Shared = {
    exchange,
    board,
    channels: [TradesChannel.alone({ exchange, board, ledger: Ledger.make() })],
    statusEvents: StatusEvents.make(exchange.id, "replay"),
    timing: Topics.defaultTiming,
    positions: new Map(),
    refused: new Set()
  }
  const sessions = new Map<number, Session.Session>()
  let last = Time.never

  /** A capture tells one clock only, the wall's. One that was set back while it was recorded stands still here. */
  const momentOf = (wall: Time.WallTime): Time.Moment => {
    last = Time.latest(last, Time.instant(Time.epochMillis(wall)))
    return { at: last, wall }
  }

  const take = (session: Session.Session, arrival: Parameters<Session.Session["handle"]>[0][number]) => {
    const { events } = session.handle([arrival])
    // Sent long ago: the answers refer to these ids.
    while (session.hasCommands()) session.command(arrival.at)
    return events
  }

  return {
    exchange: exchange.id,
    failures: (): ReadonlyMap<string, number> => status.exchanges()[0]?.decodeFailures ?? new Map(),
    open: (connection: number, markets: ReadonlyArray<readonly [string, string]>, wall: Time.WallTime) => {
      sessions.get(connection)?.end()
      const topics = new Map<string, Subject>()
      for (const [symbol, exchangeSymbol] of markets) {
        const market = { symbol, exchangeSymbol }
        for (const { name } of shared.channels) {
          for (const topic of exchange.socket.topics(name, market)) topics.set(topic, { channel: name, market })
        }
      }
      const moment = momentOf(wall)
      const session = Session.make({ shared, connection, topics, rhythm: Rhythm.make(), now: moment.at })
      sessions.set(connection, session)
      return take(session, { _tag: "open", ...moment })
    },
    frame: (connection: number, text: string, wall: Time.WallTime) => {
      const session = sessions.get(connection)
      return session === undefined ? undefined : take(session, { _tag: "text", text, ...momentOf(wall) })
    }
  }
}
