/** Histories are asked for in turns (`Turns.ts`), some at a time, within the exchange's budget; and what they hold is named and told the machine. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Queue from "effect/Queue"
import * as RetryPolicy from "../../../services/RetryPolicy.ts"
import * as Time from "../../../services/Time.ts"
import type { DecodeFailure } from "../../DecodeFailure.ts"
import type { Market as Listed, TradeRow } from "../../Exchange.ts"
import * as Rest from "../../Rest.ts"
import * as Holes from "../Holes.ts"
import type { Identified } from "../Identity.ts"
import type * as Numbers from "../Numbers.ts"
import * as Recorded from "../Recorded.ts"
import * as Spans from "../Spans.ts"
import * as Trades from "../Trades.ts"
import { freshOf, type Market, type Step } from "./Market.ts"
import type { Options } from "./Options.ts"
import * as Turns from "./Turns.ts"

export interface Histories {
  /** It is asked for when its turn comes; once, however often that is said before. */
  readonly wanted: (market: Market, at: Time.Instant) => void
  /** Tells the machine of an answer. */
  readonly fill: (market: Market, found: Found) => Filled
  /** Asks for one history after the other. So many of them run at the same moment (`workers`). */
  readonly worker: Effect.Effect<never>
}

/** An answer of the history, without what is known of the market. */
export type Found = Omit<Holes.Answer, "oldest" | "since">

interface Filled {
  readonly candidates: ReadonlyArray<TradeRow>
  readonly identified: ReadonlyArray<Identified>
}

type History = ReadonlyArray<Either.Either<TradeRow, DecodeFailure>>

/** Histories asked for at the same moment. */
export const workers = 4

const isUnknown = ({ isUnknownMarket, status }: Rest.RestError): boolean =>
  isUnknownMarket === true || status === 404 || status === 410

/** `sent`: all that was let go so far is handed over. */
export const make = Effect.fnUntraced(function*(
  options:
    & Pick<Options, "board" | "exchange" | "ledger" | "recorder" | "rest" | "retry">
    & { readonly step: Step; readonly sent: Effect.Effect<void> }
): Effect.fn.Return<Histories> {
  const { board, exchange, ledger, rest, sent, step } = options
  const { history } = exchange.rest
  const clock = yield* Effect.clock
  const entry = { exchange: exchange.id, lane: "trade" } as const
  const pending = new Set<Market>()
  const tokens = yield* Queue.unbounded<void>()
  let questions = 0

  const now = () => Time.instantOf(clock)
  const wall = () => Time.wallOf(clock)

  const pathOf = (market: Listed, asked: Numbers.Question | null): string => {
    const { pages, path } = history
    if (asked === null || pages === undefined) return path(market)
    const { above, at, reach } = asked
    return pages.path(market, { id: String(above), timestamp: at?.ms ?? null, time: at?.text }, reach)
  }

  const fill = (market: Market, found: Found): Filled => {
    const { heardSince, state } = market
    const first = found.rows[0]
    const since = heardSince === undefined ? null : rest.clock.earliest(heardSince)
    const answer: Holes.Answer = {
      ...found,
      oldest: first === undefined ? null : Spans.stampOf(first),
      // What has that second's timestamp may have come after it.
      since: since === null ? null : since - 1_000
    }
    const candidates = Holes.candidates(market.holes, answer)
    ledger.received(entry, candidates.length)
    // Those without an amount show how far back the answer reaches, as any row does.
    const traded = Trades.traded(candidates)
    ledger.move(entry, "in_flight", "filtered", candidates.length - traded.length, "zero")
    const identified = state.identifyHistory(traded, market.holes.known)
    ledger.move(entry, "in_flight", "filtered", traded.length - identified.length, "duplicate")
    const events = Trades.toTrades(exchange.id, state, identified, Time.epochMillis(wall()), "rest")
    board.gaps.recovered += identified.length
    step(market, { _tag: "Answered", answer, fresh: freshOf(exchange, state, identified, events) })
    return { candidates: traded, identified }
  }

  const receive = (
    market: Market,
    asked: Numbers.Question | null,
    path: string,
    { date, sentAt, text, value }: Rest.Answer<History>
  ): void => {
    const rows = value.flatMap((row) => {
      if (Either.isRight(row)) return [row.right]
      board.failure(row.left.reason)
      return []
    })
    const known = market.holes.known
    const { candidates, identified } = fill(market, {
      rows,
      sound: rows.length === value.length,
      sentAt,
      date,
      asked,
      count: value.length
    })
    if (options.recorder?.answered === undefined || identified.length === 0) return
    const taken = Recorded.taken(value, candidates, identified, known)
    const answer = { channel: "trades", market: market.state.market, path, text, at: wall() } as const
    options.recorder.answered({ ...answer, ...taken })
  }

  const ask = Effect.fnUntraced(function*(market: Market) {
    const { state } = market
    step(market, { _tag: "Aged", exchangeNow: rest.clock.earliest(now()) })
    if (Holes.isIdle(market.holes)) market.dueSince = undefined
    if (Holes.askAt(market.holes) === undefined) return
    questions += 1
    market.dueSince = undefined
    const asked = Holes.question(market.holes)
    step(market, { _tag: "Asked" })
    const path = pathOf(state.market, asked)
    const answer = yield* rest.ask(path, history.decode).pipe(
      Effect.retry({
        schedule: RetryPolicy.bounded(options.retry),
        // Of a market that is gone an answer is not to be expected: it is asked for once.
        while: (error) => !Rest.isOfMarket(error) && !market.holes.vanished
      }),
      Effect.tapError((error) =>
        Effect.logWarning("a market's history cannot be had", `${error.reason}: ${error.message}`).pipe(
          Effect.annotateLogs({ exchange: exchange.id, symbol: state.market.symbol })
        )
      ),
      Effect.either
    )
    if (Either.isLeft(answer)) {
      step(market, { _tag: "Unanswered", isUnknown: isUnknown(answer.left) })
      board.show()
      return
    }
    receive(market, asked, path, answer.right)
    board.show()
    // What it brought is on its way out: a worker has no more than one page in memory.
    if (asked !== null) yield* sent
  })

  const next = (): Market | undefined => {
    const at = now()
    const waiting = Array.from(pending, (market) => ({
      market,
      since: market.dueSince ?? at,
      asked: Holes.timesAsked(market.holes),
      trades: market.state.status.trades
    }))
    const market = Turns.next(waiting, questions, at)?.market
    if (market !== undefined) pending.delete(market)
    return market
  }

  return {
    fill,
    wanted: (market, at) => {
      if (pending.has(market)) return
      market.dueSince ??= at
      pending.add(market)
      tokens.unsafeOffer(undefined)
    },
    worker: Queue.take(tokens).pipe(
      Effect.andThen(Effect.suspend(() => {
        const market = next()
        return market === undefined ? Effect.void : ask(market)
      })),
      Effect.forever
    )
  }
})
