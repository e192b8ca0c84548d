/**
 * What a silent connection may have kept from us: the history of one of its markets is asked. A stream that went mute while pings go on
 * is found within half a minute, whatever is known of its rhythm.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Time from "../../services/Time.ts"
import type { Exchange } from "../Exchange.ts"
import type { Rest } from "../Rest.ts"
import type { MarketState } from "./Identity.ts"

export interface Question {
  readonly market: MarketState
  /** Since then the connection has brought no data. */
  readonly silentSince: Time.Instant
  /** It brought data of this market before. */
  readonly wasHeard: boolean
}

/** True if the history has trades that the socket should have brought. */
export type SecondOpinion = (question: Question) => Effect.Effect<boolean>

/**
 * One call, no retry: a connection that is silent for longer is asked about again. A trade counts if it is younger than all that is
 * known of its market, and than the beginning of the silence by the exchange's own clock; where that clock is not known, only a market
 * that was heard on this connection can tell.
 */
export const make = (exchange: Exchange, rest: Rest): SecondOpinion => {
  const { history } = exchange.rest
  return ({ market, silentSince, wasHeard }) =>
    rest.ask(history.path(market.market), history.decode).pipe(
      Effect.map(({ value }) => {
        const last = market.edge().last?.ms ?? null
        const began = rest.clock.latest(silentSince) ?? (wasHeard ? last : null)
        if (began === null) return false
        const bound = Math.max(began, last ?? began)
        return value.some((row) => Either.isRight(row) && (row.right.timestamp ?? -Infinity) > bound)
      }),
      Effect.catchTag("RestError", (error) =>
        Effect.as(
          Effect.logDebug("no second opinion on a silent connection", `${error.reason}: ${error.message}`).pipe(
            Effect.annotateLogs({ exchange: exchange.id, symbol: market.market.symbol })
          ),
          false
        ))
    )
}
