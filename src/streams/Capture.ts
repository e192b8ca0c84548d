/**
 * Raw frames as they came, one JSON object a line, and their way through the same decoder again: what an exchange really sent can be
 * looked at, kept as a test, and decoded by a later version (docs/captures.md). The lines are in `Capture/Lines.ts`.
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as FeedStatus from "../services/FeedStatus.ts"
import * as Ledger from "../services/Ledger.ts"
import type { MarketEvent } from "../services/MarketEvent.ts"
import * as Time from "../services/Time.ts"
import * as Board from "./Board.ts"
import * as BooksChannel from "./books/BooksChannel.ts"
import type { BooksOptions } from "./books/Options.ts"
import * as Answers from "./Capture/Answers.ts"
import * as Lines from "./Capture/Lines.ts"
import type { Subject } from "./Channel.ts"
import * as Defaults from "./Defaults.ts"
import type { Exchange } from "./Exchange.ts"
import * as Session from "./Feed/Session.ts"
import * as Topics from "./Feed/Topics.ts"
import * as Rhythm from "./Rhythm.ts"
import * as StatusEvents from "./StatusEvents.ts"
import * as TradesChannel from "./trades/TradesChannel.ts"

export { header, recorder } from "./Capture/Lines.ts"

export interface Replay {
  /** The events of one more line, in order. */
  readonly line: (text: string) => Either.Either<ReadonlyArray<MarketEvent>, Lines.CaptureInvalid>
  readonly summary: () => {
    readonly exchange: string
    readonly frames: number
    readonly events: number
    /** Frames that were not understood, by reason. */
    readonly failures: ReadonlyMap<string, number>
  }
}

/**
 * `exchangeOf`: the adapter by its name. The same lines give the same events: of books each state, none twice, by as many levels as `books`
 * says, and changes where it says so.
 */
export const replay = (
  exchangeOf: (name: string) => Exchange | undefined,
  books: Pick<BooksOptions, "depth" | "deltas"> = Defaults.books
): Replay => {
  let number = 0
  let frames = 0
  let events = 0
  let player: ReturnType<typeof play> | undefined
  const invalid = (message: string) => Either.left(new Lines.CaptureInvalid({ line: number, message }))
  return {
    line: (text) => {
      number += 1
      if (player === undefined) {
        const parsed = Lines.decodeHeader(text)
        if (Either.isLeft(parsed)) return invalid(`expected {"type":"capture","v":1,"exchange":...}`)
        const exchange = exchangeOf(parsed.right.exchange)
        if (exchange === undefined) return invalid(`exchange ${JSON.stringify(parsed.right.exchange)} is not known`)
        player = play(exchange, books, Lines.askedOf(parsed.right))
        return Either.right([])
      }
      const parsed = Lines.decode(text)
      if (Either.isLeft(parsed)) return invalid(parsed.left)
      const outcome = player.line(parsed.right)
      if (typeof outcome === "string") return invalid(outcome)
      if (parsed.right.type === "frame") frames += 1
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

/** The decoder and all that knows trades and books, without a socket. */
const play = (exchange: Exchange, options: Pick<BooksOptions, "depth" | "deltas">, asked: BooksOptions) => {
  const status = FeedStatus.make([exchange.id])
  const board = Board.make(status, exchange.id)
  const statusEvents = StatusEvents.make(exchange.id, collector)
  const parts = { exchange, board, ledger: Ledger.make() }
  let now: Time.Moment = { at: Time.never, wall: Time.wallTime(0) }
  const trades = TradesChannel.alone(parts)
  const books = BooksChannel.alone({ ...parts, ...options, statusEvents, collector, asked, now: () => now })
  const answers = Answers.make({ exchange, asked, board, trades, books })
  const shared: Session.Shared = {
    exchange,
    board,
    channels: [trades, books],
    statusEvents,
    timing: Topics.defaultTiming,
    positions: new Map(),
    refused: new Set()
  }
  /** What a topic is called here, where it was asked for in another way. */
  const aliases = new Map<string, string>()
  const sessions = new Map<number, { readonly session: Session.Session; readonly topics: Map<string, Subject> }>()

  /** A capture tells one clock only, the wall's. One that was set back while it was recorded stands still here. */
  const pass = (wall: Time.WallTime): void => {
    now = { at: Time.latest(now.at, Time.instant(Time.epochMillis(wall))), wall }
  }

  /** In the order in which the connection had them: the ids of its commands follow from it. */
  const listen = (topics: Map<string, Subject>, markets: ReturnType<typeof Lines.heardOf>): void => {
    topics.clear()
    for (const { channels, exchangeSymbol, symbol } of markets) {
      const market = { symbol, exchangeSymbol }
      answers.learn(market)
      for (const channel of channels) {
        const own = exchange.socket.topics(channel, market, asked)
        for (const topic of own) topics.set(topic, { channel, market })
        for (const way of ways) {
          exchange.socket.topics(channel, market, way).forEach((topic, at) => {
            const found = own[at]
            if (found !== undefined && topic !== found) aliases.set(topic, found)
          })
        }
      }
    }
  }

  /** Sent long ago: the answers refer to these ids. */
  const send = (session: Session.Session): void => {
    while (session.hasCommands()) session.command(now.at)
  }

  const events = (line: Lines.Line): ReadonlyArray<MarketEvent> | string => {
    if (line.type === "rest") return answers.take(line, now)
    const known = sessions.get(line.connection)
    if (line.type === "open") {
      known?.session.end()
      const topics = new Map<string, Subject>()
      listen(topics, Lines.heardOf(line))
      const session = Session.make({ shared, connection: line.connection, topics, rhythm: Rhythm.make(), now: now.at })
      sessions.set(line.connection, { session, topics })
      const outcome = session.handle([{ _tag: "open", ...now }])
      send(session)
      return outcome.events
    }
    if (known === undefined) return `connection ${line.connection} was never opened`
    const { session, topics } = known
    if (line.type === "markets") {
      listen(topics, Lines.heardOf(line))
      if (session.isReady()) session.sync(now.at)
      send(session)
      return []
    }
    const asked = Object.entries(line.answers ?? {}).map(([id, names]) =>
      [id, names.map((name) => aliases.get(name) ?? name)] as const
    )
    session.recall(asked, now.at)
    const outcome = session.handle([{ _tag: "text", text: line.text, ...now }])
    send(session)
    return outcome.events
  }

  return {
    exchange: exchange.id,
    failures: (): ReadonlyMap<string, number> => status.exchanges()[0]?.decodeFailures ?? new Map(),
    /** Its events; or what is wrong with it. */
    line: (line: Lines.Line): ReadonlyArray<MarketEvent> | string => {
      if (line.receivedAt !== undefined) pass(Time.wallTime(line.receivedAt.getTime()))
      const some = events(line)
      return typeof some === "string" ? some : [...some, ...books.left()]
    }
  }
}

/** How books may have been asked for when it was recorded, which no line of an older capture says: an exchange may have a stream for each. */
const ways: ReadonlyArray<BooksOptions> = [Duration.zero, Defaults.books.interval].flatMap((interval) =>
  ([20, "all"] as const).flatMap((depth) =>
    [false, true].map((deltas) => ({ ...Defaults.books, interval, depth, deltas }))
  )
)

/** In whose name what is played is told. */
const collector = "replay"
