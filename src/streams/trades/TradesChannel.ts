/** Trades as a channel: each market's rows get their ids, what was seen before is left out, and what is new waits where a hole is open. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Instruments from "../../services/Instruments.ts"
import type * as Ledger from "../../services/Ledger.ts"
import type { MarketEvent } from "../../services/MarketEvent.ts"
import * as Time from "../../services/Time.ts"
import type { Channel, Hearing, Member } from "../Channel.ts"
import type { Market, TradeRow, TradesData } from "../Exchange.ts"
import * as Backfill from "./Backfill.ts"
import * as Identity from "./Identity.ts"
import * as Polling from "./Polling.ts"
import * as SecondOpinion from "./SecondOpinion.ts"
import * as Trades from "./Trades.ts"

export interface Options extends Omit<Backfill.Options, "identity"> {
  /** Trades are asked for: whether no other channel needs a socket. Undefined: sockets bring them, or nobody wants them. */
  readonly polled: Pick<Polling.Options, "isAlone"> | undefined
  /** From the exchange's time to ours: how far its clock and ours are apart is in it. */
  readonly lag: Instruments.Histogram
}

export interface Parts {
  readonly exchange: string
  readonly identity: Identity.Identity
  readonly ledger: Ledger.Shape
  readonly backfill: Backfill.Backfill
  readonly secondOpinion: SecondOpinion.SecondOpinion
  readonly lag: Instruments.Histogram
}

export const make = (options: Options): Effect.Effect<Channel, never, Scope.Scope> => {
  const { board, exchange, lag, ledger, memory, rest } = options
  const identity = Identity.make(exchange.id, memory, board, exchange)
  const secondOpinion = SecondOpinion.make(exchange, rest)
  return Effect.gen(function*() {
    const backfill = yield* Backfill.make({ ...options, identity })
    const channel = of({ exchange: exchange.id, identity, ledger, backfill, secondOpinion, lag })
    const { polling } = exchange.rest
    if (polling === undefined || options.polled === undefined) return channel
    const { follow, stop } = yield* Polling.make({ ...options, ...options.polled, identity, backfill, polling })
    return { ...channel, follow, flush: Effect.andThen(stop, channel.flush) }
  })
}

/** A channel of what is played again. */
export interface Alone extends Channel {
  /** Rows of the history, oldest first, that were taken; `known`: as `RestAnswer.known`. */
  readonly answered: (
    market: Market,
    rows: ReadonlyArray<TradeRow>,
    known: ReadonlyArray<string>,
    at: Time.WallTime
  ) => ReadonlyArray<MarketEvent>
}

/** Without a history to ask: frames that are played again leave no hole, and nothing waits. */
export const alone = (
  options: Pick<Options, "exchange" | "board" | "ledger">
): Alone => {
  const { board, exchange, ledger } = options
  const identity = Identity.make(exchange.id, new Map(), board, exchange)
  const channel = of({
    exchange: exchange.id,
    identity,
    ledger,
    backfill: Backfill.none,
    secondOpinion: () => Effect.succeed(false),
    lag: { observe: () => {} }
  })
  const answered: Alone["answered"] = (market, rows, known, at) => {
    const state = identity.market(market)
    const identified = state.identifyHistory(Trades.traded(rows), known)
    return Trades.toTrades(exchange.id, state, identified, Time.epochMillis(at), "rest")
  }
  return { ...channel, answered }
}

const of = ({ backfill, exchange, identity, lag, ledger, secondOpinion }: Parts): Channel => {
  const entry = { exchange, lane: "trade" } as const

  const open = (): Hearing => {
    const view = identity.views.open()
    let received = 0
    let fresh = 0
    let strange = 0
    let zero = 0

    const take = (
      state: Identity.MarketState,
      { isFullWindow = false, rows }: TradesData,
      { wall }: Time.Moment
    ): ReadonlyArray<MarketEvent> => {
      // Before the rows get their ids: a hole is between them and what was known.
      backfill.arriving(state, view)
      if (isFullWindow && !state.isContinuedBy(rows)) backfill.doubted(state, "sequence")
      received += rows.length
      const receivedAt = Time.epochMillis(wall)
      const traded = Trades.traded(rows)
      zero += rows.length - traded.length
      const identified = state.identify(view, traded)
      for (const { row: { timestamp } } of identified) if (timestamp !== null) lag.observe(receivedAt - timestamp)
      fresh += identified.length
      const events = Trades.toTrades(exchange, state, identified, receivedAt, "ws")
      return backfill.take(state, identified, events) ? [] : events
    }

    const member = (market: Market): Member => {
      const state = identity.market(market)
      return {
        market,
        pulse: state.pulse,
        leads: true,
        activity: () => state.status.trades,
        heard: (recovered, listener) => backfill.subscribed(state, recovered, listener),
        lost: (cause, listener) => backfill.lost(state, cause, listener),
        doubted: (cause) => backfill.doubted(state, cause),
        spoiled: () => backfill.spoiled(state),
        missed: (cause) => backfill.missed(state, view, cause),
        take: (data, now) => data._tag === "trades" ? take(state, data, now) : [],
        isMissing: (silentSince, wasHeard) => secondOpinion({ market: state, silentSince, wasHeard }),
        showStatus: (status) => void (state.status.subscription = status),
        showSuspect: (suspect) => void (state.status.stale = suspect)
      }
    }

    return {
      member,
      foreign: (data) => {
        if (data._tag !== "trades") return
        received += data.rows.length
        strange += data.rows.length
      },
      account: () => {
        if (received === 0) return false
        ledger.received(entry, received)
        ledger.move(entry, "in_flight", "filtered", received - strange - zero - fresh, "duplicate")
        ledger.move(entry, "in_flight", "filtered", strange, "market")
        ledger.move(entry, "in_flight", "filtered", zero, "zero")
        received =
          fresh =
          strange =
          zero =
            0
        return true
      },
      close: () => identity.views.close(view)
    }
  }

  return { name: "trades", open, listed: backfill.listed, flush: backfill.flush }
}
