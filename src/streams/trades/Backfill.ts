/**
 * Carries out what `Holes` decides for each market of an exchange: asks the history within the exchange's budget, in turns
 * (`Backfill/Turns.ts`); makes holes durable, many in one write; hands over what filled a hole or waited behind it, in order.
 *
 * All that leaves a hole goes through one queue and one fiber, so that what a step of the machine has let go first arrives first.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { HoleStore, MarketMemory } from "../../services/Checkpoint.ts"
import type * as Ledger from "../../services/Ledger.ts"
import type { MarketEvent } from "../../services/MarketEvent.ts"
import * as RetryPolicy from "../../services/RetryPolicy.ts"
import * as Time from "../../services/Time.ts"
import type { Board } from "../Board.ts"
import type * as Channel from "../Channel.ts"
import type { DecodeFailure } from "../DecodeFailure.ts"
import type { Exchange, Market as Listed, TradeRow } from "../Exchange.ts"
import type { Recorder } from "../Recorder.ts"
import * as Rest from "../Rest.ts"
import type { StatusEvents } from "../StatusEvents.ts"
import { spansOf, toHole } from "./Backfill/Kept.ts"
import * as Turns from "./Backfill/Turns.ts"
import * as Holes from "./Holes.ts"
import type { Identified, Identity, MarketState } from "./Identity.ts"
import * as Numbers from "./Numbers.ts"
import * as OpenHoles from "./OpenHoles.ts"
import * as Recorded from "./Recorded.ts"
import * as Spans from "./Spans.ts"
import type { View } from "./TradeGroups.ts"
import * as Trades from "./Trades.ts"

export interface Backfill {
  /** From here on that listener does not hear the market. */
  readonly lost: (state: MarketState, cause: Channel.Cause, listener: Channel.Listener) => void
  /** It is subscribed to, so what comes from here on is heard. `recovered`: so was all since it was lost. `listener`: its id. */
  readonly subscribed: (state: MarketState, recovered: boolean, listener: number) => void
  /**
   * Rows of a socket came that have no ids yet; `view`: of its session. An exchange may send trades before it answers the subscription: a hole that
   * nobody has begun yet begins before them, or what was missed in between would be taken for known. That is what an earlier life of the
   * collector left, what a market traded while it was gone, and what lies between two sessions of which the first one ended unanswered.
   */
  readonly arriving: (state: MarketState, view: View) => void
  /** It is heard, but what it said just before, nobody may have heard: its silence was strange, or a frame was not read. */
  readonly doubted: (state: MarketState, cause: Channel.Cause) => void
  /**
   * A frame of a session is missing that may have held trades of it. Where somebody is subscribed it is `doubted`; but a session may have brought
   * trades before its answer, and the hole before those does not reach to what is missing behind them.
   */
  readonly missed: (state: MarketState, view: View, cause: Channel.Cause) => void
  /** New trades of a socket with their events. True if they are handed over from here, later: they must not overtake what waits. */
  readonly take: (
    state: MarketState,
    identified: ReadonlyArray<Identified>,
    events: ReadonlyArray<MarketEvent>
  ) => boolean
  /**
   * What the history holds of a market that nobody hears but by asking for it (`Rest.polling`), before its new rows are taken: the machine asks
   * for itself only where a market is gone. An answer that holds no trade that is known leaves a hole. Undefined: the exchange does not know
   * the market.
   */
  readonly polled: (state: MarketState, answer: Polled | undefined) => void
  /** These are the markets that are subscribed to, or about to be. What others have open is asked for once. */
  readonly listed: (symbols: ReadonlySet<string>) => void
  /** Nothing comes any more: what waits is handed over, and the holes before it are told. */
  readonly flush: Effect.Effect<void>
}

/** An answer of the history, without what is known of the market. */
type Found = Omit<Holes.Answer, "oldest" | "since">

/** One to a question that is asked again and again. */
export interface Polled extends Omit<Found, "asked" | "count"> {
  /** Since when the market is asked for. */
  readonly heardSince: Time.Instant
}

export interface Options {
  readonly exchange: Exchange
  readonly rest: Rest.Rest
  readonly retry: RetryPolicy.Options
  readonly identity: Identity
  /** By `exchange:symbol`, of earlier lives. */
  readonly memory: ReadonlyMap<string, MarketMemory>
  /** Undefined: holes die with the process. */
  readonly holes: HoleStore | undefined
  readonly hold: Duration.Duration
  readonly maxAge: Duration.Duration
  /** Unique to this life of the feed. */
  readonly collector: string
  readonly ledger: Ledger.Shape
  readonly board: Board
  readonly statusEvents: StatusEvents
  /** Is told of each answer that became events. */
  readonly recorder?: Recorder | undefined
  readonly emit: (events: ReadonlyArray<MarketEvent>) => Effect.Effect<unknown>
  /** Around each fiber: without it one that dies of a defect would leave holes that nobody asks for, and nobody would know. */
  readonly supervise: <R>(effect: Effect.Effect<void, never, R>) => Effect.Effect<void, never, R>
}

/** For a session that stands alone: no holes, no waiting. */
export const none: Backfill = {
  lost: () => {},
  subscribed: () => {},
  arriving: () => {},
  missed: () => {},
  doubted: () => {},
  polled: () => {},
  take: () => false,
  listed: () => {},
  flush: Effect.void
}

/** Events of all markets together that may wait for histories. */
const maxHeld = 10_000

/** What may be remembered of known trades within holes, by market and in all; beyond it the largest hole is given up. */
const maxKnown = { market: 4_096, all: 100_000 }

/** Open holes of a market; beyond it the largest is given up. Where numbers are missing all the time, there may be many. */
const maxOpen = 1_000

/** How long trades wait for their hole to become durable once their time is up, ms. */
const patience = 1_000

/** Histories asked for at the same moment. */
const workers = 4

/** Who hears a market that is polled: no session has that number. */
export const poller = -1

/** Chunks of the queue that are handed over as one. */
const batch = 256

/** By a page below a number nobody can tell whether there is more above, unless the next number would be in it. */
const isPaged = ({ rest, tradeIds }: Exchange): boolean =>
  tradeIds !== undefined && (tradeIds !== "increasing" || rest.history.pages?.holds === "oldest")

type State = Holes.State<MarketEvent>

type History = ReadonlyArray<Either.Either<TradeRow, DecodeFailure>>

interface Market {
  state: MarketState
  holes: State
  /** When it was first subscribed to in this life. */
  heardSince: Time.Instant | undefined
  /**
   * Session that brought trades of it last while nobody was subscribed: its end is told by nobody. Undefined: none did since somebody was.
   */
  speaker: View | undefined
  /** Since when its next question is due; undefined: none is. A hole that begins anew meanwhile leaves it. */
  dueSince: Time.Instant | undefined
}

interface Handing {
  /** Undefined: somebody wants to know when all before it is handed over. */
  readonly market: Market | undefined
  readonly events: ReadonlyArray<MarketEvent>
  readonly done?: Deferred.Deferred<void> | undefined
}

export const make = Effect.fnUntraced(function*(options: Options): Effect.fn.Return<Backfill, never, Scope.Scope> {
  const { board, emit, exchange, identity, ledger, memory, rest, statusEvents } = options
  const { history, polling } = exchange.rest
  const clock = yield* Effect.clock
  const entry = { exchange: exchange.id, lane: "trade" } as const
  const hold = Duration.toMillis(options.hold)
  const maxAge = Duration.toMillis(options.maxAge)
  const markets = new Map<string, Market>()
  /** Of markets that were forgotten: no two `gap` events of a life have one id. */
  const nextIds = new Map<string, number>()
  const pending = new Set<Market>()
  const tokens = yield* Queue.unbounded<void>()
  const handings = yield* Queue.unbounded<Handing>()
  const unwritten = new Set<Market>()
  const toWrite = yield* Effect.makeLatch(false)
  const changed = yield* Effect.makeLatch(false)
  let flushed: Deferred.Deferred<void> | undefined
  /** Trades in line, of all markets. */
  let held = 0
  /** Ids remembered, of all markets. */
  let known = 0

  const now = () => Time.instantOf(clock)
  const wall = () => Time.wallOf(clock)
  const keyOf = (symbol: string): string => `${exchange.id}:${symbol}`
  const prefixLength = (symbol: string): number => keyOf(symbol).length + ":t:".length

  const marketOf = (state: MarketState): Market => {
    const { symbol } = state.market
    const found = markets.get(symbol)
    if (found !== undefined) {
      found.state = state
      return found
    }
    const market: Market = {
      state,
      holes: Holes.initial({
        hold,
        patience,
        askAfter: history.askAfter,
        clockUnit: exchange.clockUnit,
        maxAge,
        tradeIds: exchange.tradeIds,
        pages: isPaged(exchange) ? history.pages : undefined,
        idPrefix: `${exchange.id}:status:${options.collector}:gap:${symbol}:`
      }, nextIds.get(symbol)),
      heardSince: undefined,
      speaker: undefined,
      dueSince: undefined
    }
    markets.set(symbol, market)
    return market
  }

  // -------------------------------------------------------------------------------------------------------------------
  // the machine's commands

  const keep = ({ holes, state: { market } }: Market): void =>
    options.holes?.keepHoles(
      keyOf(market.symbol),
      market.exchangeSymbol,
      Holes.spansToKeep(holes).map((span) => toHole(span, null, `${keyOf(market.symbol)}:t:`))
    )

  const gapEvent = ({ market }: MarketState, { cause, complete, from, gapId, id, recovered, to }: Holes.Gap) =>
    statusEvents.gap(id, wall(), {
      gapId,
      channel: "trades",
      symbol: market.symbol,
      from: from?.text ?? null,
      to: to?.text ?? null,
      cause,
      recovered,
      complete
    })

  const step = (market: Market, input: Holes.Input<MarketEvent>): void => {
    const { holes: before, state } = market
    const [commands, after] = Holes.step(before, input, now())
    market.holes = after
    const events: Array<MarketEvent> = []
    for (const command of commands) {
      switch (command._tag) {
        case "Persist":
          persist(market)
          break
        case "Keep":
          keep(market)
          break
        case "Publish":
          events.push(gapEvent(state, command.gap))
          break
        case "HandOver":
          events.push(...command.events)
          break
        case "Close": {
          const { complete, isKept, lastEvent, span } = command
          board.gaps[complete ? "filled" : "told"] += 1
          if (!isKept) break
          const key = keyOf(state.market.symbol)
          keep(market)
          options.holes?.closeHole(key, toHole(span, complete ? "filled" : "given up", `${key}:t:`), {
            trade: span.lastTrade === null ? null : `${key}:t:${span.lastTrade}`,
            event: lastEvent
          })
          break
        }
      }
    }
    held += Holes.waiting(after) - Holes.waiting(before)
    known += after.known.length - before.known.length
    board.gaps.open += Holes.spans(after).length - Holes.spans(before).length
    if (after.handing > before.handing) handings.unsafeOffer({ market, events })
    if (flushed !== undefined && isQuiet()) Deferred.unsafeDone(flushed, Exit.void)
    changed.unsafeOpen()
  }

  const isQuiet = (): boolean => {
    for (const { holes } of markets.values()) if (Holes.waiting(holes) > 0 || holes.handing > 0) return false
    return true
  }

  /** What waits, and what is remembered, has its bounds. */
  const bound = (): void => {
    if (held > maxHeld) {
      for (const market of markets.values()) if (Holes.waiting(market.holes) > 0) step(market, { _tag: "Hurry" })
    }
    const isOpen = ({ holes }: Market) => holes.open.length > 0
    for (const market of markets.values()) {
      const { known, open } = market.holes
      if (open.length > maxOpen || (isOpen(market) && known.length > maxKnown.market)) {
        step(market, { _tag: "GiveUpLargest" })
      }
    }
    if (known <= maxKnown.all) return
    let most: Market | undefined
    for (const market of markets.values()) {
      if (isOpen(market) && market.holes.known.length > (most?.holes.known.length ?? 0)) most = market
    }
    if (most !== undefined) step(most, { _tag: "GiveUpLargest" })
  }

  const handOver = Queue.takeBetween(handings, 1, batch).pipe(
    Effect.flatMap((chunk) => {
      const all = Array.from(chunk)
      const events = all.flatMap(({ events }) => events)
      return (events.length === 0 ? Effect.void : emit(events)).pipe(
        Effect.andThen(Effect.sync(() => {
          for (const { done, market } of all) {
            if (done !== undefined) Deferred.unsafeDone(done, Exit.void)
            if (market === undefined) continue
            step(market, { _tag: "Handed" })
            forgetIfGone(market)
          }
        }))
      )
    })
  )

  /** All that was made so far is handed over. */
  const sent = Effect.suspend(() => {
    const done = Deferred.unsafeMake<void>(FiberId.none)
    handings.unsafeOffer({ market: undefined, events: [], done })
    return Deferred.await(done)
  })

  // -------------------------------------------------------------------------------------------------------------------
  // the checkpoint

  const persist = (market: Market): void => {
    unwritten.add(market)
    toWrite.unsafeOpen()
  }

  const writeHoles = toWrite.await.pipe(
    Effect.andThen(Effect.suspend(() => {
      toWrite.unsafeClose()
      const all = Array.from(unwritten)
      unwritten.clear()
      for (const market of all) keep(market)
      const done = (ok: boolean) => Effect.sync(() => all.forEach((market) => step(market, { _tag: "Persisted", ok })))
      const { holes } = options
      if (holes === undefined) return done(false)
      return holes.write.pipe(
        Effect.matchEffect({
          onSuccess: () => done(true),
          onFailure: (error) =>
            Effect.logWarning("holes cannot be kept for the next life; they are told, and what is behind them goes on")
              .pipe(
                Effect.annotateLogs({ exchange: exchange.id, markets: all.length, error: error.message }),
                Effect.andThen(done(false))
              )
        })
      )
    }))
  )

  // -------------------------------------------------------------------------------------------------------------------
  // the history

  const isUnknown = ({ isUnknownMarket, status }: Rest.RestError): boolean =>
    isUnknownMarket === true || status === 404 || status === 410

  const pathOf = (market: Listed, asked: Numbers.Question | null): string => {
    const { pages, path } = history
    if (asked === null || pages === undefined) return path(market)
    const { above, at, reach } = asked
    return pages.path(market, { id: String(above), timestamp: at?.ms ?? null, time: at?.text }, reach)
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

  const fill = (
    market: Market,
    found: Found
  ): { readonly candidates: ReadonlyArray<TradeRow>; readonly identified: ReadonlyArray<Identified> } => {
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
    step(market, { _tag: "Answered", answer, fresh: freshOf(state, identified, events) })
    return { candidates: traded, identified }
  }

  const freshOf = (
    { market }: MarketState,
    identified: ReadonlyArray<Identified>,
    events: ReadonlyArray<MarketEvent>
  ): ReadonlyArray<Holes.Fresh<MarketEvent>> => {
    const cut = prefixLength(market.symbol)
    return identified.flatMap(({ id, row }, i) => {
      const event = events[i]
      if (event === undefined) return []
      const numbers = exchange.tradeIds === undefined ? undefined : Numbers.rangeOf(row)
      return [{ id: id.slice(cut), stamp: Spans.stampOf(row), event, numbers }]
    })
  }

  let questions = 0
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

  const worker = Queue.take(tokens).pipe(
    Effect.andThen(Effect.suspend(() => {
      const market = next()
      return market === undefined ? Effect.void : ask(market)
    })),
    Effect.forever
  )

  // -------------------------------------------------------------------------------------------------------------------
  // time

  /** Steps what is due; then waits for the next of all deadlines, or for a change. */
  const clockwork = Effect.gen(function*() {
    changed.unsafeClose()
    const at = now()
    bound()
    let due: Time.Instant | undefined
    for (const market of markets.values()) {
      const { holes } = market
      const wake = Holes.wakeAt(holes)
      if (wake !== undefined && Time.between(wake, at) >= 0) step(market, { _tag: "Tick" })
      else due = Time.earliest(due, wake)
      // A market that is polled is asked all the time, but not when it is gone.
      const askAt = polling === undefined || holes.vanished ? Holes.askAt(market.holes) : undefined
      if (askAt !== undefined && !pending.has(market)) {
        if (Time.between(askAt, at) >= 0) {
          market.dueSince ??= at
          pending.add(market)
          tokens.unsafeOffer(undefined)
        } else due = Time.earliest(due, askAt)
      }
    }
    yield* due === undefined
      ? changed.await
      : Effect.raceFirst(changed.await, Effect.sleep(Math.max(1, Time.between(now(), due))))
  })

  // -------------------------------------------------------------------------------------------------------------------
  // earlier lives

  /** Markets whose memory of earlier lives was taken over: once each. */
  const inherited = new Set<string>()
  /** Markets of which the checkpoint is to know nothing until they are heard again. */
  const forgotten = new Set<string>()
  const inherit = (market: Market): boolean => {
    const { symbol } = market.state.market
    if (inherited.has(symbol)) return false
    inherited.add(symbol)
    const found = memory.get(keyOf(symbol))
    if (found === undefined) return false
    const cut = prefixLength(symbol)
    const edge = market.state.edge()
    const spans = spansOf(found, edge, exchange.tradeIds, `${keyOf(symbol)}:t:`)
    if (spans.length > 0) {
      step(market, {
        _tag: "TakenOver",
        spans,
        known: [...edge.known, ...(found.kept ?? []).map((id) => id.slice(cut))]
      })
    }
    if (!identity.isRemembered(symbol) && spans.length === 0) return false
    // What that life knew of may be no more than the trade behind its hole, which died with it.
    step(market, {
      _tag: "Lost",
      listener: null,
      cause: "restart",
      edge: { ...edge, last: edge.last ?? spans.at(-1)?.to ?? null }
    })
    return true
  }

  const forgetIfGone = ({ holes, state: { market } }: Market): void => {
    if (!holes.vanished || !Holes.isIdle(holes)) return
    options.holes?.forget(keyOf(market.symbol))
    forgotten.add(market.symbol)
    nextIds.set(market.symbol, holes.nextId)
    markets.delete(market.symbol)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // to be seen

  board.holes(() => {
    if (board.gaps.open === 0) return []
    const at = now()
    return Array.from(markets.values())
      .flatMap(({ holes, state: { market } }) => OpenHoles.open(market.symbol, holes, at))
      .sort((a, b) => b.ageMs - a.ageMs)
  })

  const fibers = [
    ...Array.from({ length: workers }, () => worker),
    Effect.forever(handOver),
    Effect.forever(writeHoles),
    Effect.forever(clockwork)
  ]
  yield* Effect.forEach(fibers, (fiber) => Effect.forkScoped(options.supervise(fiber)), { discard: true })

  const by = (): Holes.Stamp | null => {
    const latest = rest.clock.latest(now())
    return latest === null ? null : Spans.stampOfMs(latest)
  }

  return {
    lost: (state, cause, listener) => {
      const market = marketOf(state)
      market.speaker = undefined
      step(market, { _tag: "Lost", cause, edge: state.edge(), listener })
    },
    subscribed: (state, recovered, listener) => {
      const market = marketOf(state)
      market.heardSince ??= now()
      market.speaker = undefined
      inherit(market)
      if (forgotten.delete(state.market.symbol)) keep(market)
      step(market, { _tag: "Subscribed", listener, recovered, by: by(), edge: state.edge() })
    },
    arriving: (state, view) => {
      const { symbol } = state.market
      const found = markets.get(symbol)
      if (found !== undefined && (found.holes.heardSince !== null || found.speaker === view)) return
      const market = found ?? marketOf(state)
      const isAnother = market.speaker !== undefined
      market.speaker = view
      if (inherit(market)) return
      // While one session speaks, nothing is missing; and where somebody was subscribed before, the hole has begun.
      if (found !== undefined && !isAnother) return
      const edge = state.edge()
      // Of a market of which nothing is known nothing is missing.
      if (edge.last === null && edge.mark === null) return
      step(market, { _tag: "Lost", listener: null, cause: isAnother ? "disconnected" : "unsubscribed", edge })
    },
    missed: (state, view, cause) => {
      const market = markets.get(state.market.symbol)
      if (market === undefined || market.holes.heardSince !== null || market.speaker !== view) return
      step(market, { _tag: "Lost", listener: null, cause, edge: state.edge() })
    },
    doubted: (state, cause) => step(marketOf(state), { _tag: "Doubted", cause, edge: state.edge(), by: by() }),
    polled: (state, answer) => {
      const market = marketOf(state)
      market.heardSince ??= answer?.heardSince
      inherit(market)
      if (forgotten.delete(state.market.symbol)) keep(market)
      step(market, { _tag: "Aged", exchangeNow: rest.clock.earliest(now()) })
      // An empty answer says nothing.
      if (answer?.rows.length === 0) return
      const edge = state.edge()
      const isLost = market.holes.heardSince !== null && edge.last !== null && answer?.rows.some(state.knows) === false
      if (isLost) {
        const listener = { id: poller, aliveAt: answer.sentAt, broughtAt: null }
        step(market, { _tag: "Lost", listener, cause: "disconnected", edge })
      }
      if (market.holes.heardSince === null) {
        step(market, { _tag: "Subscribed", listener: poller, recovered: false, by: by(), edge })
      }
      if (Holes.askAt(market.holes) === undefined) return
      step(market, { _tag: "Asked" })
      if (answer === undefined) step(market, { _tag: "Unanswered", isUnknown: true })
      // By the answer the market is heard: no question could be younger than that.
      else fill(market, { ...answer, sentAt: now(), asked: null, count: answer.rows.length })
    },
    take: (state, identified, events) => {
      if (events.length === 0) return false
      const market = markets.get(state.market.symbol)
      if (market === undefined) return false
      if (Holes.mustWait(market.holes)) {
        step(market, { _tag: "Arrived", trades: freshOf(state, identified, events) })
        return true
      }
      if (Holes.isCurious(market.holes)) {
        const trades = freshOf(state, identified, events)
        const followed = Holes.followed(market.holes, trades)
        // Most of them: nothing is to be done.
        if (followed !== undefined) market.holes = followed
        else step(market, { _tag: "Passed", trades })
      }
      return false
    },
    listed: (symbols) => {
      for (const market of markets.values()) {
        if (!symbols.has(market.state.market.symbol) && !Holes.isIdle(market.holes)) step(market, { _tag: "Vanished" })
      }
      for (const [key, { exchangeSymbol }] of memory) {
        if (!key.startsWith(`${exchange.id}:`)) continue
        const symbol = key.slice(exchange.id.length + 1)
        if (symbols.has(symbol) || markets.has(symbol) || inherited.has(symbol) || exchangeSymbol === undefined) {
          continue
        }
        const market = marketOf(identity.market({ symbol, exchangeSymbol }))
        if (inherit(market)) step(market, { _tag: "Vanished" })
      }
      const exchangeNow = rest.clock.earliest(now())
      for (const market of markets.values()) if (market.holes.vanished) step(market, { _tag: "Aged", exchangeNow })
    },
    flush: Effect.suspend(() => {
      for (const market of markets.values()) if (Holes.waiting(market.holes) > 0) step(market, { _tag: "Hurry" })
      if (isQuiet()) return Effect.void
      flushed = Deferred.unsafeMake(FiberId.none)
      return Deferred.await(flushed)
    })
  }
})
