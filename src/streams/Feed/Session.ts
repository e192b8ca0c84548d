/**
 * What one session on a socket knows and does: the handshake, the frames, who a trade is, what is answered. Its subscriptions are in
 * `Topics.ts`. Synchronous; the fiber that owns the socket carries it out (`Connection.ts`).
 */
import type * as Instruments from "../../services/Instruments.ts"
import type * as Ledger from "../../services/Ledger.ts"
import type { MarketEvent } from "../../services/MarketEvent.ts"
import * as Time from "../../services/Time.ts"
import * as DecodeFailure from "../DecodeFailure.ts"
import type { Exchange, Market, Message, Position, TradeRow } from "../Exchange.ts"
import { FeedError, line } from "../FeedError.ts"
import type { Backfill, Cause } from "../trades/Backfill.ts"
import type { Arrival } from "../WebSocketFeed.ts"
import type { Board } from "./Board.ts"
import type { Identity } from "./Identity.ts"
import type * as Rhythm from "./Rhythm.ts"
import type { Question } from "./SecondOpinion.ts"
import type { StatusEvents } from "./StatusEvents.ts"
import * as Topics from "./Topics.ts"
import { toTrades } from "./Trades.ts"

/** What all sessions of one exchange share. */
export interface Shared {
  readonly exchange: Exchange
  readonly board: Board
  readonly identity: Identity
  readonly ledger: Ledger.Shape
  readonly statusEvents: StatusEvents
  readonly backfill: Backfill
  readonly timing: Topics.Timing
  /** By topic: where its history has come to, at exchanges that keep one. */
  readonly positions: Map<string, Position>
  /** From the exchange's time to ours: how far its clock and ours are apart is in it. */
  readonly lag: Instruments.Histogram
}

export interface DeadFrame {
  readonly failure: DecodeFailure.DecodeFailure
  readonly text: string
  readonly receivedAt: Time.WallTime
}

/** What a run over arrivals, or over the time that has passed, has come to. */
export interface Outcome {
  readonly events: ReadonlyArray<MarketEvent>
  /** Frames to be sent, in order. */
  readonly send: ReadonlyArray<string>
  readonly dead: ReadonlyArray<DeadFrame>
  /** Topics that this connection has no room for. */
  readonly displaced: ReadonlyArray<string>
  /** At least one trade was understood. */
  readonly decoded: boolean
  /** The connection is to be replaced; it is not all dead. */
  readonly replace: boolean
  /** The session is over. */
  readonly error: FeedError | undefined
  /** Whether its silence is one, a history is to say. */
  readonly question: Question | undefined
}

export interface Session {
  readonly handle: (arrivals: ReadonlyArray<Arrival>) => Outcome
  /** Looks for what has not come. `deaf`: arrivals wait that were not handled yet. */
  readonly check: (now: Time.Moment, deaf: boolean) => Outcome
  /** Brings the subscriptions in line with the connection's topics; `command` has the frames. */
  readonly sync: (now: Time.Instant) => void
  readonly hasCommands: () => boolean
  /** The next command that is to be sent, within the exchange's budget; undefined if there is none for now. */
  readonly command: (now: Time.Instant) => string | undefined
  /** The greeting has come. */
  readonly isReady: () => boolean
  /** Every topic was answered, or where nothing is answered, data has come. */
  readonly isSettled: () => boolean
  /** No data since that instant. */
  readonly isSilentSince: (at: Time.Instant) => boolean
  /** Places taken on the connection: topics that left may hold theirs. */
  readonly taken: () => number
  /** Only the first end counts. `cause`: of the holes that it leaves; a lost connection by default. */
  readonly end: (cause?: Cause) => void
}

export interface Options {
  readonly shared: Shared
  readonly connection: number
  /** The connection's living map: it changes when markets join or leave. */
  readonly topics: ReadonlyMap<string, Market>
  readonly rhythm: Rhythm.Rhythm
  readonly now: Time.Instant
}

export const make = ({ connection, now, rhythm, shared, topics: wanted }: Options): Session => {
  const { backfill, board, exchange, identity, lag, ledger, positions, statusEvents, timing } = shared
  const { socket } = exchange
  const status = board.connection(connection)
  const view = identity.views.open()
  const entry = { exchange: exchange.id, lane: "trade" } as const
  let aliveAt = now
  const topics = Topics.make({
    listener: connection,
    aliveAt: () => aliveAt,
    exchange,
    topics: wanted,
    stateOf: identity.market,
    backfill,
    rhythm,
    timing,
    positions,
    now
  })
  let ready = false
  let ended = false

  /** What one run gathers. */
  interface Gathering {
    readonly events: Array<MarketEvent>
    readonly send: Array<string>
    readonly dead: Array<DeadFrame>
    readonly displaced: Array<string>
    received: number
    foreign: number
    fresh: number
    replace: boolean
    error: FeedError | undefined
    question: Question | undefined
  }

  const gathering = (): Gathering => ({
    events: [],
    send: [],
    dead: [],
    displaced: [],
    received: 0,
    foreign: 0,
    fresh: 0,
    replace: false,
    error: undefined,
    question: undefined
  })

  const outcome = (
    { dead, displaced, error, events, question, received, replace, send }: Gathering
  ): Outcome => {
    status.subscriptions = topics.counts()
    board.show()
    return { events, send, dead, displaced, decoded: received > 0, replace, error, question }
  }

  const trades = (
    into: Gathering,
    exchangeSymbol: string,
    rows: ReadonlyArray<TradeRow>,
    { at, wall }: Time.Moment
  ): void => {
    into.received += rows.length
    topics.heard(exchangeSymbol, at)
    const receivedAt = Time.epochMillis(wall)
    const state = topics.market(exchangeSymbol)
    if (state === undefined) {
      into.foreign += rows.length
      return
    }
    const identified = state.identify(view, rows)
    for (const { row: { timestamp } } of identified) if (timestamp !== null) lag.observe(receivedAt - timestamp)
    into.fresh += identified.length
    const events = toTrades(exchange.id, state, identified, receivedAt, "ws")
    if (!backfill.take(state, identified, events)) into.events.push(...events)
  }

  const becomeReady = (into: Gathering, { at, wall }: Time.Moment): void => {
    if (ready) return
    ready = true
    status.state = "open"
    topics.sync(at)
    into.events.push(statusEvents.make("connected", wall, { connection, subscriptions: wanted.size }))
  }

  const apply = (into: Gathering, message: Message, now: Time.Moment): void => {
    switch (message._tag) {
      case "trades":
        return trades(into, message.exchangeSymbol, message.rows, now)
      case "ping":
        into.send.push(message.reply)
        return
      case "ready":
        return becomeReady(into, now)
      case "subscribed":
        return topics.subscribed(message.topic, message.position, message.recovered, now.at)
      case "moved":
        return topics.moved(message.topic, message.offset)
      case "rejected":
        if (topics.rejected(message.topic, message.remedy, now.at)) into.displaced.push(message.topic)
        return
      case "unsubscribed":
        return topics.unsubscribed(message.topic, message.resubscribe)
      case "refused":
        into.error = new FeedError({
          reason: "refused",
          message: line(`refused with ${message.code} ${message.message}`),
          code: message.code
        })
        return
      case "failure":
        board.failure(message.failure.reason)
        return
    }
  }

  const text = (into: Gathering, frame: string, now: Time.Moment): void => {
    let failure: DecodeFailure.DecodeFailure | undefined
    for (const message of socket.decode(frame, topics.topicOf)) {
      if (message._tag === "failure") {
        failure ??= message.failure
        // Refused by a bound of ours, it may have held trades: older than those that follow.
        if (message.failure.reason === "too_deep" || message.failure.reason === "too_large") topics.unread()
      }
      apply(into, message, now)
    }
    if (failure === undefined) return
    // One entry for each frame, however many of its rows were bad.
    into.dead.push({ failure, text: frame, receivedAt: now.wall })
  }

  const binary = (into: Gathering, receivedAt: Time.WallTime): void => {
    const failure = DecodeFailure.make("binary", "a binary frame")
    board.failure(failure.reason)
    into.dead.push({ failure, text: "", receivedAt })
  }

  return {
    sync: topics.sync,
    hasCommands: () => ready && topics.hasCommands(),
    command: topics.command,
    isReady: () => ready,
    isSettled: () => ready && topics.isSettled(),
    isSilentSince: topics.isSilentSince,
    taken: topics.taken,
    end: (cause = "disconnected") => {
      if (ended) return
      ended = true
      identity.views.close(view)
      topics.end(cause)
    },
    check: (now, deaf) => {
      const into = gathering()
      if (!ready) return outcome(into)
      const { error, question, replace, stale } = topics.check(now.at, deaf)
      for (const { remedy, silence, symbol } of stale) {
        board.stale(remedy)
        const since = Time.iso(Time.wallAfter(now, -silence))
        into.events.push(statusEvents.make("stale", now.wall, { channel: "trades", symbol, since, remedy }))
      }
      into.replace = replace
      into.error = error
      into.question = question
      return outcome(into)
    },
    handle: (arrivals) => {
      const into = gathering()
      aliveAt = arrivals.at(-1)?.at ?? aliveAt
      for (const arrival of arrivals) {
        if (arrival._tag === "text") text(into, arrival.text, arrival)
        else if (arrival._tag === "binary") binary(into, arrival.wall)
        else if (socket.hello === undefined) becomeReady(into, arrival)
        else into.send.push(socket.hello)
      }
      const { foreign, fresh, received } = into
      if (received > 0) {
        ledger.received(entry, received)
        ledger.move(entry, "in_flight", "filtered", received - foreign - fresh, "duplicate")
        ledger.move(entry, "in_flight", "filtered", foreign, "market")
      }
      const last = arrivals[arrivals.length - 1]
      if (last !== undefined) {
        const moment = { at: last.at, wall: last.wall }
        status.lastFrameAt = moment
        board.frame(moment)
        if (received > 0) board.data(moment)
      }
      return outcome(into)
    }
  }
}
