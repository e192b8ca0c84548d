/**
 * Trades of an exchange whose sockets bring none: each market's history is asked again and again (`Rest.polling`), and what is new in an
 * answer are the trades. An answer that holds a trade that is known follows without a hole; what else there is to holes is `Backfill`'s.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as RetryPolicy from "../../services/RetryPolicy.ts"
import * as Time from "../../services/Time.ts"
import type { DecodeFailure } from "../DecodeFailure.ts"
import type { Market, Rest as Way, TradeRow } from "../Exchange.ts"
import * as Rest from "../Rest.ts"
import * as Backfill from "./Backfill.ts"
import type { Identified, MarketState } from "./Identity.ts"
import * as Rounds from "./Polling/Rounds.ts"
import * as Recorded from "./Recorded.ts"
import { toTrades, traded } from "./Trades.ts"

export interface Options extends Backfill.Options {
  readonly polling: NonNullable<Way["polling"]>
  readonly backfill: Backfill.Backfill
  /** No socket is opened. */
  readonly isAlone: boolean
}

export interface Polling {
  /** From now on these markets are asked, no others. */
  readonly follow: (markets: ReadonlyArray<Market>) => Effect.Effect<void>
  /** Nobody is asked any more, and what was answered is handed over. */
  readonly stop: Effect.Effect<void>
}

/** Questions on their way at the same moment: an answer may take longer than the time between two questions. */
const workers = 4

/**
 * Of trades from before the market was followed so many are remembered. Any of them shows that an answer follows; those that an answer
 * holds before them are old.
 */
const remembered = 64

/** Times of the exchange are cut to the second in its `Date`: what bears that second may have come after it, ms. */
const cut = 1_000

interface Asked {
  state: MarketState
  /** When the list first had it. */
  readonly since: Time.Instant
  /** When the question of the last answer left; undefined: there was none. */
  sentAt: Time.Instant | undefined
  /** Why rows of the last answer were not understood: as long as they stay in the answers they are no new failures. */
  bad: ReadonlyArray<DecodeFailure>
  isFailing: boolean
}

export const make = Effect.fnUntraced(function*(options: Options): Effect.fn.Return<Polling, never, Scope.Scope> {
  const { backfill, board, emit, exchange, identity, ledger, polling, rest } = options
  const { history } = exchange.rest
  const { restPerMinute } = exchange.limits
  const every = Duration.toMillis(polling.every)
  const entry = { exchange: exchange.id, lane: "trade" } as const
  const view = identity.views.open()
  const markets = new Map<string, Asked>()
  const turns = new Map<string, Rounds.Turn>()
  const changed = yield* Effect.makeLatch(false)
  const stopping = yield* Deferred.make<void>()
  const clock = yield* Effect.clock
  let isStopped = false
  /** What was said of how often markets are asked, ms. */
  let told = every

  board.polling({ every, isAlone: options.isAlone })

  const activity = (symbol: string): number => markets.get(symbol)?.state.status.trades ?? 0

  // -------------------------------------------------------------------------------------------------------------------
  // an answer

  /** How many of the rows, oldest first, are older than all that may be new. */
  const oldRows = ({ since, state }: Asked, rows: ReadonlyArray<TradeRow>): number => {
    const known = rows.findIndex(state.knows)
    if (known >= 0) return known
    const { last } = state.edge()
    const began = last?.ms ?? rest.clock.earliest(since)
    if (began === null) return 0
    const bound = last === null ? began - cut : began
    const first = rows.findIndex(({ timestamp }) => timestamp === null || timestamp >= bound)
    return first < 0 ? rows.length : first
  }

  const failuresOf = (asked: Asked, bad: ReadonlyArray<DecodeFailure>): void => {
    const before = new Map<string, number>()
    for (const { detail } of asked.bad) before.set(detail, (before.get(detail) ?? 0) + 1)
    asked.bad = bad
    for (const { detail, reason } of bad) {
      const left = before.get(detail) ?? 0
      before.set(detail, left - 1)
      if (left > 0) continue
      board.failure(reason)
      backfill.spoiled(asked.state)
    }
  }

  const take = (
    asked: Asked,
    path: string,
    { date, sentAt, text, value }: Rest.Answer<Answer>
  ): Effect.Effect<unknown> => {
    const { since, state } = asked
    const moment = Time.momentOf(clock)
    const rows = value.flatMap((row) => Either.isRight(row) ? [row.right] : [])
    failuresOf(asked, value.flatMap((row) => Either.isLeft(row) ? [row.left] : []))
    const old = oldRows(asked, rows)
    const isNew = state.edge().last === null
    const young = rows.slice(old).map((row) => ({ row, isKnown: state.knows(row) }))
    const strange = options.recorder === undefined ? [] : rows.filter((row) => !state.knows(row))
    backfill.polled(state, { rows, sound: rows.length === value.length, sentAt, date, heardSince: since })
    const filling = strange.filter(state.knows)
    // Of a market of which nothing was known: what happened before it was followed is nobody's loss, but shows where to go on from.
    if (isNew) state.identify(view, rows.slice(Math.max(0, old - remembered), old))
    // Without those that have just filled a hole.
    const left = young.flatMap(({ isKnown, row }) => isKnown || !state.knows(row) ? [row] : [])
    const identified = identify(state, left)
    if (options.recorder?.answered !== undefined && filling.length + identified.length > 0) {
      const taken = Recorded.taken(
        value,
        [...filling, ...left],
        [...filling.map((row) => ({ row })), ...identified],
        []
      )
      const { market } = state
      options.recorder.answered({ channel: "trades", market, path, text, at: moment.wall, ...taken })
    }
    asked.sentAt = sentAt
    asked.isFailing = false
    state.status.subscription = "active"
    board.data(moment)
    board.show()
    const events = toTrades(exchange.id, state, identified, Time.epochMillis(moment.wall), "rest")
    return events.length === 0 || backfill.take(state, identified, events) ? Effect.void : emit(events)
  }

  const identify = (state: MarketState, rows: ReadonlyArray<TradeRow>): ReadonlyArray<Identified> => {
    const some = traded(rows)
    const identified = state.identify(view, some)
    ledger.received(entry, rows.length)
    ledger.move(entry, "in_flight", "filtered", rows.length - some.length, "zero")
    ledger.move(entry, "in_flight", "filtered", some.length - identified.length, "duplicate")
    return identified
  }

  // -------------------------------------------------------------------------------------------------------------------
  // a question

  const failed = (asked: Asked, error: Rest.RestError): Effect.Effect<void> => {
    const { state } = asked
    // By its own word, whatever its list says: it is not asked before there is another list. A bare 404 may be a gateway's.
    if (error.isUnknownMarket === true) {
      turns.delete(state.market.symbol)
      state.status.subscription = "rejected"
      backfill.polled(state, undefined)
      board.show()
    }
    if (asked.isFailing) return Effect.void
    asked.isFailing = true
    return Effect.logWarning("a market's trades cannot be had", `${error.reason}: ${error.message}`).pipe(
      Effect.annotateLogs({ exchange: exchange.id, symbol: state.market.symbol })
    )
  }

  const ask = (asked: Asked): Effect.Effect<unknown> => {
    const path = history.path(asked.state.market)
    return rest.ask(path, history.decode).pipe(
      Effect.retry({
        schedule: RetryPolicy.bounded(options.retry),
        // It is asked again in the next round.
        while: (error) => !Rest.isOfMarket(error) && markets.get(asked.state.market.symbol) === asked
      }),
      Effect.either,
      // Cut short by a stop; but what was answered is handed over.
      Effect.raceFirst(Effect.as(Deferred.await(stopping), undefined)),
      Effect.flatMap((answer) => {
        // It may have left the list meanwhile: its hole is asked for.
        if (answer === undefined || markets.get(asked.state.market.symbol) !== asked) return Effect.void
        return Either.isRight(answer) ? take(asked, path, answer.right) : failed(asked, answer.left)
      })
    )
  }

  const work = Effect.suspend(() => {
    const now = Time.instantOf(clock)
    const { at, turn } = Rounds.next(turns.values(), activity, every, now)
    const asked = turn === undefined ? undefined : markets.get(turn.symbol)
    if (turn === undefined || asked === undefined) {
      changed.unsafeClose()
      return at === undefined
        ? changed.await
        : Effect.raceFirst(changed.await, Effect.sleep(Math.max(1, Time.between(now, at))))
    }
    turns.set(turn.symbol, Rounds.asked(turn, now))
    return Effect.map(ask(asked), () => {
      const own = turns.get(turn.symbol)
      if (own !== undefined) turns.set(turn.symbol, Rounds.answered(own, asked.sentAt))
      changed.unsafeOpen()
    })
  })

  const fibers = yield* Effect.forEach(
    Array.from({ length: workers }, () => Effect.repeat(work, { until: () => isStopped })),
    (worker) => Effect.forkScoped(options.supervise(Effect.asVoid(worker)))
  )

  // -------------------------------------------------------------------------------------------------------------------
  // the markets

  /** How often each of so many is asked, ms; said where the budget allows no more. */
  const pace = (count: number): Effect.Effect<void> => {
    const usual = Math.max(every, count * Rest.spacingOf(restPerMinute))
    board.polling({ every: usual, isAlone: options.isAlone })
    if (Math.abs(usual - told) <= told / 10) return Effect.void
    told = usual
    const seconds = Duration.format(Duration.seconds(Math.round(usual / 1_000)))
    return Effect.logWarning(`trades of each market are asked for every ${seconds}: more the budget does not allow`)
      .pipe(
        Effect.annotateLogs({ exchange: exchange.id, markets: count, restPerMinute })
      )
  }

  return {
    follow: (listed) =>
      Effect.suspend(() => {
        const now = Time.instantOf(clock)
        const symbols = new Set(listed.map(({ symbol }) => symbol))
        for (const [symbol, { sentAt, state }] of markets) {
          if (symbols.has(symbol)) continue
          markets.delete(symbol)
          turns.delete(symbol)
          if (sentAt !== undefined) {
            backfill.lost(state, "unsubscribed", { id: Backfill.poller, aliveAt: now, broughtAt: null })
          }
        }
        for (const market of listed) {
          const state = identity.market(market)
          const found = markets.get(market.symbol)
          if (found === undefined) {
            state.status.subscription = "wanted"
            markets.set(market.symbol, {
              state,
              since: now,
              sentAt: undefined,
              bad: [],
              isFailing: false
            })
          } else {
            state.status.subscription = found.state.status.subscription
            found.state = state
          }
          if (!turns.has(market.symbol)) {
            turns.set(market.symbol, Rounds.joined(market.symbol, turns.values()))
          }
        }
        changed.unsafeOpen()
        return pace(markets.size)
      }),
    stop: Effect.suspend(() => {
      isStopped = true
      changed.unsafeOpen()
      return Effect.andThen(
        Deferred.succeed(stopping, undefined),
        Effect.forEach(fibers, Fiber.await, { discard: true })
      )
    })
  }
})

type Answer = ReadonlyArray<Either.Either<TradeRow, DecodeFailure>>
