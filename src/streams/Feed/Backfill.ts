/**
 * Fills the holes that lost connections and restarts leave, from the exchange's REST history, and tells of those it cannot fill
 * (DELIVERY.md section 4). While a market's history is awaited its live trades wait too, so that the older come first: at most five
 * seconds and ten thousand trades of the exchange (B1); then the hole is told, they go on, and late history follows in its own
 * order. A hole is told before any trade behind it is: a collector killed in between finds the hole again by what it remembers.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type * as Ledger from "../../services/Ledger.ts"
import type { MarketEvent } from "../../services/MarketEvent.ts"
import * as RetryPolicy from "../../services/RetryPolicy.ts"
import type { Exchange, TradeRow } from "../Exchange.ts"
import type { Rest } from "../Rest.ts"
import type { Board } from "./Board.ts"
import * as Gap from "./Gap.ts"
import type { Identity, MarketState } from "./Identity.ts"
import type { StatusEvents } from "./StatusEvents.ts"
import type { View } from "./TradeGroups.ts"
import { toTrades } from "./Trades.ts"

/** Why trades may be missing. */
export type Cause = "disconnected" | "restart" | "stale" | "unsubscribed" | "undecoded"

export interface Backfill {
  /** From here on the market is not heard. */
  readonly lost: (state: MarketState, cause: Cause) => void
  /** The market is subscribed to, so what comes from here on is heard. `recovered`: so was all since it was lost. */
  readonly subscribed: (state: MarketState, recovered: boolean) => void
  /** It is heard again after a silence that was strange: what it said meanwhile, nobody may have heard. */
  readonly doubted: (state: MarketState) => void
  /** True if the rows were taken to wait for the market's history; they are told of later, in order. */
  readonly hold: (state: MarketState, view: View, rows: ReadonlyArray<TradeRow>, at: number) => boolean
  /** Nothing comes any more: what waits is emitted, and the holes before it are told. */
  readonly flush: Effect.Effect<void>
}

export interface Options {
  readonly exchange: Exchange
  readonly rest: Rest
  readonly retry: RetryPolicy.Options
  readonly identity: Identity
  readonly ledger: Ledger.Shape
  readonly board: Board
  readonly statusEvents: StatusEvents
  readonly emit: (events: ReadonlyArray<MarketEvent>) => Effect.Effect<unknown>
}

/** For a session that stands alone: no holes, no waiting. */
export const none: Backfill = {
  lost: () => {},
  subscribed: () => {},
  doubted: () => {},
  hold: () => false,
  flush: Effect.void
}

interface Held {
  readonly view: View
  readonly rows: ReadonlyArray<TradeRow>
  readonly at: number
}

/** A hole and what is done about it. */
interface Filling {
  readonly hole: Gap.Hole
  readonly spans: Array<Gap.Span>
  state: MarketState
  /** Epoch ms; undefined until the market is subscribed to again. */
  confirmedAt: number | undefined
  /** Goes up when the connection is lost once more: an answer that was asked for before closes nothing. */
  round: number
  /** Live trades wait. */
  holding: boolean
  /** They have waited long enough. */
  late: boolean
  /** It was told of as not filled. */
  told: boolean
  held: Array<Held>
  /** Exchange time of the newest live trade, epoch ms. */
  newest: number | null
  /** One at a time emits what was held, or the history. */
  readonly lock: Effect.Semaphore
}

const holdFor = Duration.seconds(5)
const maxHeld = 10_000

/** Histories asked for at the same moment. */
const workers = 4

export const make = Effect.fnUntraced(function*(options: Options): Effect.fn.Return<Backfill, never, Scope.Scope> {
  const { board, emit, exchange, identity, ledger, rest, statusEvents } = options
  const { history } = exchange.rest
  const clock = yield* Effect.clock
  const entry = { exchange: exchange.id, lane: "trade" } as const
  const fillings = new Map<string, Filling>()
  /** When each market was first subscribed to, epoch ms. */
  const heardSince = new Map<string, number>()
  /** Sessions that hear a market: two while one is replaced by the other. */
  const listeners = new Map<string, number>()
  const pending = new Set<Filling>()
  const tokens = yield* Queue.unbounded<void>()
  const deadlines = yield* Queue.unbounded<{ readonly filling: Filling; readonly at: number }>()
  const overdue = yield* Queue.unbounded<Filling>()
  let held = 0

  const open = (state: MarketState, cause: Cause): Filling => {
    const edge = state.edge()
    const filling: Filling = {
      hole: { edge, heardSince: heardSince.get(state.market.symbol) ?? clock.unsafeCurrentTimeMillis() },
      spans: [{ cause, from: edge.last, to: null, recovered: 0 }],
      state,
      confirmedAt: undefined,
      round: 0,
      holding: false,
      late: false,
      told: false,
      held: [],
      newest: null,
      lock: Effect.unsafeMakeSemaphore(1)
    }
    fillings.set(state.market.symbol, filling)
    board.gaps.open = fillings.size
    return filling
  }

  const duplicates = (count: number): void => ledger.move(entry, "in_flight", "filtered", count, "duplicate")

  const iso = (time: number | null | undefined): string | null =>
    time === null || time === undefined ? null : new Date(time).toISOString()

  const gapEvents = (
    { confirmedAt, spans, state }: Filling,
    at: number,
    complete: boolean
  ): ReadonlyArray<MarketEvent> =>
    // Lost again and nothing came since: it is told when it is over, or found by the next life.
    spans.filter(({ to }) => to !== null || confirmedAt !== undefined).map(({ cause, from, recovered, to }) =>
      statusEvents.make("gap", at, {
        channel: "trades",
        symbol: state.market.symbol,
        from: iso(from),
        to: iso(to ?? confirmedAt ?? at),
        cause,
        recovered,
        complete
      })
    )

  /** Emits what was held, and holds until all is emitted: what comes meanwhile must not overtake it. */
  const release = (filling: Filling): Effect.Effect<void> =>
    Effect.suspend(() => {
      const batch = filling.held.splice(0)
      if (batch.length === 0) {
        filling.holding = false
        return Effect.void
      }
      const events = batch.flatMap(({ at, rows, view }) => {
        held -= rows.length
        const fresh = filling.state.identify(view, rows, at)
        duplicates(rows.length - fresh.length)
        return toTrades(exchange.id, filling.state, fresh, at, "ws")
      })
      return (events.length === 0 ? Effect.void : emit(events)).pipe(Effect.andThen(release(filling)))
    })

  /** The history has not come in time: the hole is told, then its live trades go on. */
  const giveWay = (filling: Filling): Effect.Effect<void> =>
    filling.lock.withPermits(1)(Effect.suspend(() => {
      if (!filling.holding || filling.held.length === 0) return Effect.void
      filling.told = true
      return Effect.andThen(
        emit(gapEvents(filling, clock.unsafeCurrentTimeMillis(), false)),
        release(filling)
      )
    }))

  const ask = (filling: Filling) =>
    rest.get(history.path(filling.state.market), history.decode).pipe(
      Effect.retry(RetryPolicy.bounded(options.retry)),
      Effect.tapError((error) =>
        Effect.logWarning("a market's history cannot be had", `${error.reason}: ${error.message}`).pipe(
          Effect.annotateLogs({ exchange: exchange.id, symbol: filling.state.market.symbol })
        )
      ),
      Effect.either
    )

  /** An answer, and whether it can be relied on to the last row. */
  const rowsOf = (answer: Effect.Effect.Success<ReturnType<typeof ask>>) => {
    if (Either.isLeft(answer)) return { rows: [], sound: false }
    const rows: Array<TradeRow> = []
    for (const row of answer.right) {
      if (Either.isRight(row)) rows.push(row.right)
      else board.failure(row.left.reason)
    }
    return { rows, sound: rows.length === answer.right.length }
  }

  const fill = Effect.fnUntraced(function*(filling: Filling) {
    const { confirmedAt, round } = filling
    if (confirmedAt === undefined) return
    const firstLive = () => filling.spans[filling.spans.length - 1]?.to ?? null
    const wait = confirmedAt + history.askAfter - clock.unsafeCurrentTimeMillis()
    if (wait > 0) yield* Effect.sleep(wait)
    let answer = rowsOf(yield* ask(filling))
    const again = answer.sound ? Gap.untilMet(answer.rows, firstLive(), yield* Clock.currentTimeMillis) : 0
    if (again > 0) {
      // A trade of just now, and none since from the socket: when its second is over, the history has all of it.
      yield* Effect.sleep(again)
      answer = rowsOf(yield* ask(filling))
    }
    const { rows, sound } = answer
    const now = yield* Clock.currentTimeMillis
    yield* filling.lock.withPermits(1)(Effect.suspend(() => {
      const candidates = Gap.covered(filling.hole, rows, now)
      ledger.received(entry, candidates.length)
      const fresh = filling.state.settle(candidates, filling.hole.edge)
      duplicates(candidates.length - fresh.length)
      for (const { row } of fresh) {
        const span = Gap.spanOf(filling.spans, row.timestamp)
        if (span !== undefined) span.recovered += 1
      }
      board.gaps.recovered += fresh.length
      const events: Array<MarketEvent> = [...toTrades(exchange.id, filling.state, fresh, now, "rest")]
      const closes = filling.round === round
      if (closes) {
        const complete = sound && Gap.reaches(filling.hole, rows) && Gap.untilMet(rows, firstLive(), now) === 0
        const recovered = filling.spans.some((span) => span.recovered > 0)
        if (!complete || recovered || filling.told) events.push(...gapEvents(filling, now, complete))
        board.gaps[complete ? "filled" : "told"] += filling.spans.length
      }
      board.show()
      return (events.length === 0 ? Effect.void : emit(events)).pipe(
        Effect.andThen(release(filling)),
        // Not before: what was held must not be overtaken. Lost once more meanwhile, it stays open from where it began.
        Effect.andThen(Effect.sync(() => {
          if (filling.round !== round) return
          fillings.delete(filling.state.market.symbol)
          board.gaps.open = fillings.size
        }))
      )
    }))
  })

  /** The market that trades most first (B1). */
  const next = (): Filling | undefined => {
    let best: Filling | undefined
    for (const one of pending) if (best === undefined || one.state.status.trades > best.state.status.trades) best = one
    if (best !== undefined) pending.delete(best)
    return best
  }

  const worker = Queue.take(tokens).pipe(
    Effect.andThen(Effect.suspend(() => {
      const filling = next()
      return filling === undefined ? Effect.void : fill(filling)
    })),
    Effect.forever
  )
  yield* Effect.forkScoped(Effect.all(Array.from({ length: workers }, () => worker), { concurrency: "unbounded" }))
  yield* Effect.forkScoped(Effect.forever(Effect.gen(function*() {
    const { at, filling } = yield* Queue.take(deadlines)
    const wait = at - (yield* Clock.currentTimeMillis)
    if (wait > 0) yield* Effect.sleep(wait)
    filling.late = true
    yield* giveWay(filling)
  })))
  yield* Effect.forkScoped(Effect.forever(Effect.flatMap(Queue.take(overdue), giveWay)))

  const deafen = (state: MarketState, cause: Cause): void => {
    const filling = fillings.get(state.market.symbol)
    if (filling === undefined) {
      open(state, cause)
      return
    }
    // Trades came in between: what is missing is before them, or behind.
    if (filling.spans[filling.spans.length - 1]?.to !== null) {
      filling.spans.push({ cause, from: filling.newest, to: null, recovered: 0 })
    }
    filling.state = state
    filling.round += 1
    filling.confirmedAt = undefined
    pending.delete(filling)
  }

  /** The server itself brings what was missed (B1); not what was missed before the connection that it goes on from. */
  const closed = (state: MarketState): boolean => {
    const { symbol } = state.market
    const filling = fillings.get(symbol)
    if (filling === undefined) return true
    if (filling.spans.length > 1 || filling.spans[0]?.cause !== "disconnected" || filling.told || filling.holding) {
      return false
    }
    fillings.delete(symbol)
    board.gaps.open = fillings.size
    board.gaps.filled += 1
    return true
  }

  const confirm = (state: MarketState): void => {
    const filling = fillings.get(state.market.symbol)
    if (filling === undefined || filling.confirmedAt !== undefined) return
    const now = clock.unsafeCurrentTimeMillis()
    filling.state = state
    filling.confirmedAt = now
    filling.holding = true
    filling.late = false
    pending.add(filling)
    tokens.unsafeOffer(undefined)
    deadlines.unsafeOffer({ filling, at: now + Duration.toMillis(holdFor) })
  }

  return {
    lost: (state, cause) => {
      const { symbol } = state.market
      const left = (listeners.get(symbol) ?? 1) - 1
      listeners.set(symbol, left)
      if (left === 0) deafen(state, cause)
    },
    subscribed: (state, recovered) => {
      const { symbol } = state.market
      listeners.set(symbol, (listeners.get(symbol) ?? 0) + 1)
      const isFirst = !heardSince.has(symbol)
      if (isFirst) heardSince.set(symbol, clock.unsafeCurrentTimeMillis())
      // B2: what was never known has no hole.
      if (isFirst && identity.isRemembered(symbol)) open(state, "restart")
      if (!recovered || !closed(state)) confirm(state)
    },
    doubted: (state) => {
      deafen(state, "stale")
      confirm(state)
    },
    hold: (state, view, rows, at) => {
      const filling = fillings.get(state.market.symbol)
      if (filling === undefined) return false
      const span = filling.spans[filling.spans.length - 1]
      for (const { id, timestamp } of rows) {
        // A window of recent trades begins with what was known before.
        if (timestamp === null || timestamp < (span?.from ?? -Infinity) || filling.hole.edge.ids.has(id ?? "")) continue
        if (span !== undefined) span.to ??= timestamp
        if (filling.newest === null || timestamp > filling.newest) filling.newest = timestamp
      }
      if (!filling.holding) return false
      filling.held.push({ view, rows, at })
      held += rows.length
      if (held > maxHeld) {
        for (const one of fillings.values()) {
          if (one.late) continue
          one.late = true
          overdue.unsafeOffer(one)
        }
      }
      if (filling.late) overdue.unsafeOffer(filling)
      return true
    },
    flush: Effect.suspend(() => Effect.forEach(fillings.values(), giveWay, { discard: true }))
  }
})
