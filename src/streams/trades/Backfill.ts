/**
 * Carries out what `Holes` decides for each market of an exchange. Its parts: histories that are asked for (`Backfill/Histories.ts`), holes in the
 * checkpoint (`Durable.ts`), what earlier lives left (`Lives.ts`), and the one way out of all holes (`HandOver.ts`).
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import type * as Scope from "effect/Scope"
import type { MarketEvent } from "../../services/MarketEvent.ts"
import * as Time from "../../services/Time.ts"
import type * as Channel from "../Channel.ts"
import type { Exchange } from "../Exchange.ts"
import * as Durable from "./Backfill/Durable.ts"
import * as HandOver from "./Backfill/HandOver.ts"
import * as Histories from "./Backfill/Histories.ts"
import * as Lives from "./Backfill/Lives.ts"
import { freshOf, type Market } from "./Backfill/Market.ts"
import type { Options } from "./Backfill/Options.ts"
import * as Spoilt from "./Backfill/Spoilt.ts"
import * as Holes from "./Holes.ts"
import type { Identified, MarketState } from "./Identity.ts"
import * as OpenHoles from "./OpenHoles.ts"
import * as Spans from "./Spans.ts"
import type { View } from "./TradeGroups.ts"

export type { Options } from "./Backfill/Options.ts"

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
  /**
   * A row about it could not be read: a trade that nobody knows. What comes after it goes on until the hole is made (`Backfill/Spoilt.ts`). Where no
   * number is left out, the missing number tells as much, and better.
   */
  readonly spoiled: (state: MarketState) => void
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

/** One to a question that is asked again and again. */
export interface Polled extends Omit<Histories.Found, "asked" | "count"> {
  /** Since when the market is asked for. */
  readonly heardSince: Time.Instant
}

/** For a session that stands alone: no holes, no waiting. */
export const none: Backfill = {
  lost: () => {},
  subscribed: () => {},
  arriving: () => {},
  missed: () => {},
  doubted: () => {},
  spoiled: () => {},
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

/** Who hears a market that is polled: no session has that number. */
export const poller = -1

/** By a page below a number nobody can tell whether there is more above, unless the next number would be in it. */
const isPaged = ({ rest, tradeIds }: Exchange): boolean =>
  tradeIds !== undefined && (tradeIds !== "increasing" || rest.history.pages?.holds === "oldest")

export const make = Effect.fnUntraced(function*(options: Options): Effect.fn.Return<Backfill, never, Scope.Scope> {
  const { board, exchange, identity, rest, statusEvents } = options
  const { history, polling } = exchange.rest
  const clock = yield* Effect.clock
  const hold = Duration.toMillis(options.hold)
  const maxAge = Duration.toMillis(options.maxAge)
  const markets = new Map<string, Market>()
  /** Of markets that were forgotten: no two `gap` events of a life have one id. */
  const nextIds = new Map<string, number>()
  const changed = yield* Effect.makeLatch(false)
  let flushed: Deferred.Deferred<void> | undefined
  /** Trades in line, of all markets. */
  let held = 0
  /** Ids remembered, of all markets. */
  let known = 0

  const now = () => Time.instantOf(clock)
  const wall = () => Time.wallOf(clock)

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
      spoilt: undefined,
      dueSince: undefined
    }
    markets.set(symbol, market)
    return market
  }

  // -------------------------------------------------------------------------------------------------------------------
  // the machine's commands

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
    // What could not be read is older than what is told of the market now, which may be without an end.
    if (input._tag === "Lost" || input._tag === "Doubted" || input._tag === "Vanished") settle(market)
    const { holes: before, state } = market
    const [commands, after] = Holes.step(before, input, now())
    market.holes = after
    const events: Array<MarketEvent> = []
    for (const command of commands) {
      switch (command._tag) {
        case "Persist":
          durable.persist(market)
          break
        case "Keep":
          durable.keep(market)
          break
        case "Publish":
          events.push(gapEvent(state, command.gap))
          break
        case "HandOver":
          events.push(...command.events)
          break
        case "Close":
          board.gaps[command.complete ? "filled" : "told"] += 1
          if (command.isKept) durable.close(market, command)
          break
      }
    }
    held += Holes.waiting(after) - Holes.waiting(before)
    known += after.known.length - before.known.length
    board.gaps.open += Holes.spans(after).length - Holes.spans(before).length
    if (after.handing > before.handing) handOver.give(market, events)
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

  const by = (): Holes.Stamp | null => {
    const latest = rest.clock.latest(now())
    return latest === null ? null : Spans.stampOfMs(latest)
  }

  /** What rows that nobody could read said is missing from here on. */
  const settle = (market: Market): void => {
    const { spoilt } = market
    if (spoilt === undefined) return
    market.spoilt = undefined
    step(market, { _tag: "Spoiled", edge: Spoilt.edgeOf(spoilt), by: by() })
  }

  const forgetIfGone = (market: Market): void => {
    const { holes, state: { market: { symbol } } } = market
    if (!holes.vanished || !Holes.isIdle(holes)) return
    lives.forget(market)
    nextIds.set(symbol, holes.nextId)
    markets.delete(symbol)
  }

  const handOver = yield* HandOver.make({
    ...options,
    handed: (market) => {
      step(market, { _tag: "Handed" })
      forgetIfGone(market)
    }
  })
  const durable = yield* Durable.make({ ...options, step })
  const histories = yield* Histories.make({ ...options, step, sent: handOver.sent })
  const lives = Lives.make({ ...options, step })

  /** Steps what is due; then waits for the next of all deadlines, or for a change. */
  const clockwork = Effect.gen(function*() {
    changed.unsafeClose()
    const at = now()
    bound()
    let due: Time.Instant | undefined
    for (const market of markets.values()) {
      if (market.spoilt !== undefined) {
        if (Time.between(market.spoilt.until, at) >= 0) settle(market)
        else due = Time.earliest(due, market.spoilt.until)
      }
      const { holes } = market
      const wake = Holes.wakeAt(holes)
      if (wake !== undefined && Time.between(wake, at) >= 0) step(market, { _tag: "Tick" })
      else due = Time.earliest(due, wake)
      // A market that is polled is asked all the time, but not when it is gone.
      const askAt = polling === undefined || holes.vanished ? Holes.askAt(market.holes) : undefined
      if (askAt !== undefined) {
        if (Time.between(askAt, at) >= 0) histories.wanted(market, at)
        else due = Time.earliest(due, askAt)
      }
    }
    yield* due === undefined
      ? changed.await
      : Effect.raceFirst(changed.await, Effect.sleep(Math.max(1, Time.between(now(), due))))
  })

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
    ...Array.from({ length: Histories.workers }, () => histories.worker),
    Effect.forever(handOver.next),
    Effect.forever(durable.write),
    Effect.forever(clockwork)
  ]
  yield* Effect.forEach(fibers, (fiber) => Effect.forkScoped(options.supervise(fiber)), { discard: true })

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
      lives.inherit(market)
      if (lives.isBack(market)) durable.keep(market)
      step(market, { _tag: "Subscribed", listener, recovered, by: by(), edge: state.edge() })
    },
    arriving: (state, view) => {
      const { symbol } = state.market
      const found = markets.get(symbol)
      if (found !== undefined && (found.holes.heardSince !== null || found.speaker === view)) return
      const market = found ?? marketOf(state)
      const isAnother = market.speaker !== undefined
      market.speaker = view
      if (lives.inherit(market)) return
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
    spoiled: (state) => {
      const { last, mark } = state.edge()
      // Of a market of which nothing is known nothing is missing.
      if (Holes.isCounted(exchange) || (last === null && mark === null)) return
      const market = marketOf(state)
      market.spoilt = Spoilt.spoilt(market.spoilt, state.edge, now())
      changed.unsafeOpen()
    },
    polled: (state, answer) => {
      const market = marketOf(state)
      market.heardSince ??= answer?.heardSince
      lives.inherit(market)
      if (lives.isBack(market)) durable.keep(market)
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
      else histories.fill(market, { ...answer, sentAt: now(), asked: null, count: answer.rows.length })
    },
    take: (state, identified, events) => {
      if (events.length === 0) return false
      const market = markets.get(state.market.symbol)
      if (market === undefined) return false
      market.spoilt?.known.push(...freshOf(exchange, state, identified, events).map(({ id }) => id))
      if (Holes.mustWait(market.holes)) {
        step(market, { _tag: "Arrived", trades: freshOf(exchange, state, identified, events) })
        return true
      }
      if (Holes.isCurious(market.holes)) {
        const trades = freshOf(exchange, state, identified, events)
        const followed = Holes.followed(market.holes, trades)
        // Most of them: nothing is to be done.
        if (followed !== undefined) market.holes = followed
        else step(market, { _tag: "Passed", trades })
      }
      return false
    },
    listed: (symbols) => {
      for (const market of markets.values()) {
        if (symbols.has(market.state.market.symbol)) continue
        if (market.spoilt !== undefined || !Holes.isIdle(market.holes)) step(market, { _tag: "Vanished" })
      }
      for (const { exchangeSymbol, symbol } of lives.unmet()) {
        if (symbols.has(symbol) || markets.has(symbol)) continue
        const market = marketOf(identity.market({ symbol, exchangeSymbol }))
        if (lives.inherit(market)) step(market, { _tag: "Vanished" })
      }
      const exchangeNow = rest.clock.earliest(now())
      for (const market of markets.values()) if (market.holes.vanished) step(market, { _tag: "Aged", exchangeNow })
    },
    flush: Effect.suspend(() => {
      for (const market of markets.values()) settle(market)
      for (const market of markets.values()) if (Holes.waiting(market.holes) > 0) step(market, { _tag: "Hurry" })
      if (isQuiet()) return Effect.void
      flushed = Deferred.unsafeMake(FiberId.none)
      return Deferred.await(flushed)
    })
  }
})
