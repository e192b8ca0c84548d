/** The books of an exchange's markets: each has its machine, and what that commands is carried out here, up to the events. */
import type { BookState } from "../../services/FeedStatus.ts"
import type * as Ledger from "../../services/Ledger.ts"
import type { MarketEvent } from "../../services/MarketEvent.ts"
import { partitionOf } from "../../services/Murmur2.ts"
import * as Time from "../../services/Time.ts"
import type * as Board from "../Board.ts"
import type { BookPart, Books, Exchange, Level, Market } from "../Exchange.ts"
import * as Rhythm from "../Rhythm.ts"
import type { StatusEvents } from "../StatusEvents.ts"
import { booksOf } from "./Declared.ts"
import * as Events from "./Events.ts"
import * as Levels from "./Levels.ts"
import * as Linked from "./Linked.ts"
import * as Machine from "./Machine.ts"
import type { BooksOptions } from "./Options.ts"
import * as Start from "./Start.ts"
import * as Sync from "./Sync.ts"

export interface Kept {
  readonly market: Market
  readonly state: Machine.State
  /** The book of each session, where changes keep it. */
  readonly linked: Linked.State | undefined
  readonly pulse: Rhythm.Pulse
  readonly status: Board.Market
  /** The power of ten that makes the canonical unit of its prices. */
  readonly places: number
  /** That tell of it, on one session. */
  readonly topics: number
  /** What a session that has no book of it is to do to get one; undefined: nothing, or it does it. */
  remedy: "resubscribe" | "redial" | undefined
  /** Of the first event of its hole. */
  gapId: string | undefined
  /** Since when no picture of it could be had. */
  wantedSince: Time.WallTime | undefined
  /** When it was last compared with pictures beside what keeps it; never at first. */
  auditedAt: Time.Instant
  isListed: boolean
}

export interface Options extends Pick<Machine.Options, "collector" | "depth" | "interval" | "refresh" | "deltas"> {
  readonly exchange: Exchange
  /** How books are asked of the exchange (`Books.by`). */
  readonly asked: BooksOptions
  readonly board: Board.Board
  readonly ledger: Ledger.Shape
  readonly statusEvents: StatusEvents
  /** Whether pictures are asked for; by default where the exchange has them. */
  readonly canAsk?: boolean | undefined
  readonly now: () => Time.Moment
  /** A picture is to be asked for. */
  readonly onAsk: (kept: Kept) => void
  /** The last that is told of a market that is not listed any more. */
  readonly onLeft: (events: ReadonlyArray<MarketEvent>) => void
}

export interface Markets {
  readonly of: (market: Market) => Kept
  readonly all: () => Iterable<Kept>
  /** What a machine says to an input, whose part is as exchanges have it, in any unit. One with a price that is none was not readable. */
  readonly tell: (kept: Kept, input: Linked.Input, now: Time.Moment) => ReadonlyArray<MarketEvent>
  readonly listed: (symbols: ReadonlySet<string>) => void
}

/** A market's turn comes at a multiple of so many ms: few turns are many markets'. */
const turn = 10

/** Turns are spread over so long, ms, whatever the interval: the machine takes what is left of them by its own. */
const longest = 60_000

/** The picture that a book goes on from is followed by a fresh one after about so long, ms, without cause. */
const freshEvery = 6 * 3_600_000

/** First pictures are asked for within so long, ms. */
const firstAsks = 500

export const make = (options: Options): Markets => {
  const { board, exchange, ledger, statusEvents } = options
  const { books: counts } = board
  const entry = { exchange: exchange.id, lane: "book" } as const
  const markets = new Map<string, Kept>()
  const start = Start.make()

  const declared = booksOf(exchange, options.asked)
  const books = declared?.link === "replaced" ? undefined : declared
  const pool = Sync.pool()
  const action = books?.resync === undefined || books.resync === "picture" ? "snapshot" : books.resync

  /** Markets that nobody brings a first picture of are not asked for all at once. */
  const patienceOf = (books: Books, phase: number): Machine.Patience => {
    const { heard, ...others } = Linked.patience(books)
    return { ...others, heard: heard + phase % firstAsks }
  }

  const placesOf = ({ symbol }: Market): number => {
    const quote = symbol.slice(symbol.indexOf("/") + 1)
    return exchange.units !== undefined && Object.hasOwn(exchange.units, quote) ? exchange.units[quote] ?? 0 : 0
  }

  /** A book is in that state, or is not any more. */
  const counted = (phase: BookState, by: 1 | -1, now: Time.Moment): void => {
    counts[phase] += by
    counts.pictures.tookMs = Start.waiting(start, counts.waiting, now.at)
  }

  const phaseOf = (symbol: string): number => {
    const { interval } = options
    const span = interval === 0 ? longest : interval
    return span < turn ? 0 : partitionOf(symbol, Math.floor(span / turn)) * turn
  }

  const show = ({ state: { kept, phase }, status }: Kept, at: Time.Moment | null): void => {
    status.book = {
      state: phase,
      bestBid: kept?.bids[0]?.[0] ?? null,
      bestAsk: kept?.asks[0]?.[0] ?? null,
      at: at ?? status.book?.at ?? null
    }
  }

  const toEvent = (kept: Kept, command: Machine.Command, now: Time.Moment): MarketEvent | undefined => {
    const { market } = kept
    switch (command._tag) {
      case "Book":
      case "Delta":
        ledger.received(entry, 1)
        return Events.told(exchange.id, market, command, now)
      case "Gap": {
        if (!command.isLast) counts.gaps[command.cause] = (counts.gaps[command.cause] ?? 0) + 1
        const event = Events.gap(statusEvents, market, command, kept.gapId, now)
        kept.gapId = command.isLast ? undefined : event.id
        return event
      }
      case "Ask":
        counts.resyncs[action] = (counts.resyncs[action] ?? 0) + 1
        kept.wantedSince ??= now.wall
        options.onAsk(kept)
        return undefined
      case "Stale": {
        const since = Time.iso(kept.wantedSince ?? now.wall)
        const reason = "three questions for a picture of the book were not answered"
        return statusEvents.make("stale", now.wall, { channel: "books", symbol: market.symbol, since, reason })
      }
      case "Count":
        counts.parts[command.outcome] += 1
        return undefined
      case "Audited":
        counts.audits[command.outcome] += 1
        return undefined
      // Its sessions are told (`tell`).
      case "Refresh":
        return undefined
    }
  }

  const inputsOf = ({ linked, places }: Kept, input: Linked.Input): ReadonlyArray<Machine.Input> => {
    if (input._tag !== "Part" && input._tag !== "Answer") {
      if (linked !== undefined) return Linked.toMachine(linked, input)
      switch (input._tag) {
        // Of books that changes keep.
        case "Fresh":
        case "Audit":
        case "AuditCeased":
        case "AuditOver":
        case "AuditCut":
          return []
        default:
          return [input]
      }
    }
    const { part } = input
    if (linked === undefined) {
      const sides = part === undefined
        ? undefined
        : sidesOf(part, (name, levels) => Levels.sideOf(name, levels, places))
      if (input._tag === "Answer") {
        return [{ ...input, part: part === undefined || sides === undefined ? undefined : { ...part, ...sides } }]
      }
      return sides === undefined ? [unreadable(input.listener)] : [{ ...input, part: { ...input.part, ...sides } }]
    }
    const sides = part === undefined ?
      undefined :
      sidesOf(
        part,
        (name, levels) =>
          part.part === "delta" ? Levels.changesOf(levels, places) : Levels.provenSideOf(name, levels, places)
      )
    if (input._tag === "Answer") {
      const picture = part === undefined || sides === undefined ? undefined : { ...part, ...sides }
      return Linked.toMachine(linked, { ...input, part: picture })
    }
    // It says nothing of what keeps the book.
    if (sides === undefined && books?.beside !== undefined && input.part.part === "whole") return []
    return Linked.toMachine(
      linked,
      sides === undefined ? unreadable(input.listener) : { ...input, part: { ...input.part, ...sides } }
    )
  }

  const unreadable = (listener: number): Extract<Machine.Input, { readonly _tag: "Doubted" }> => ({
    _tag: "Doubted",
    listener,
    cause: "undecoded"
  })

  /** Undefined if one of its prices is none in the canonical unit. */
  const sidesOf = <L extends Level>(
    { asks, bids }: Pick<BookPart, "asks" | "bids">,
    sideOf: (name: Levels.Side, levels: ReadonlyArray<Level>) => ReadonlyArray<L> | undefined
  ): { readonly bids: ReadonlyArray<L>; readonly asks: ReadonlyArray<L> } | undefined => {
    const [high, low] = [sideOf("bids", bids), sideOf("asks", asks)]
    if (high !== undefined && low !== undefined) return { bids: high, asks: low }
    board.failure("number")
    return undefined
  }

  const tell: Markets["tell"] = (kept, input, now) => {
    if (!kept.isListed) return []
    const { phase } = kept.state
    const events: Array<MarketEvent> = []
    let inputs = inputsOf(kept, input)
    for (let i = 0; i < inputs.length; i++) {
      const one = inputs[i]
      for (const command of one === undefined ? [] : Machine.step(kept.state, one, now)) {
        const event = toEvent(kept, command, now)
        if (event !== undefined) events.push(event)
        if (command._tag === "Refresh") inputs = [...inputs, ...inputsOf(kept, { _tag: "Fresh" })]
      }
    }
    if (kept.state.phase !== phase) {
      counted(phase, -1, now)
      counted(kept.state.phase, 1, now)
    }
    if (kept.state.phase === "live") kept.wantedSince = undefined
    if (input._tag !== "Due" || kept.state.phase !== phase) {
      show(kept, input._tag === "Part" || input._tag === "Answer" ? now : null)
    }
    return events
  }

  const leave = (kept: Kept): void => {
    const now = options.now()
    const events = tell(kept, { _tag: "Left" }, now)
    kept.isListed = false
    counted(kept.state.phase, -1, now)
    if (events.length > 0) options.onLeft(events)
  }

  return {
    all: () => markets.values(),
    of: (market) => {
      const found = markets.get(market.symbol)
      if (found !== undefined && found.market.exchangeSymbol === market.exchangeSymbol) return found
      if (found !== undefined) leave(found)
      const phase = phaseOf(market.symbol)
      const kept: Kept = {
        market,
        state: Machine.initial({
          key: `${exchange.id}:${market.symbol}`,
          collector: options.collector,
          depth: options.depth,
          interval: options.interval,
          refresh: options.refresh,
          deltas: options.deltas,
          phase,
          canAsk: options.canAsk ?? (declared?.picture !== undefined || books !== undefined),
          hasOwnNumbers: declared?.numbers === "own",
          linked: books === undefined ? undefined : patienceOf(books, phase),
          fresh: books?.resync !== "picture" || options.canAsk === false
            ? undefined
            : { every: freshEvery, offset: partitionOf(market.symbol, freshEvery) }
        }),
        linked: books === undefined ? undefined : Linked.make({
          books,
          depth: options.depth,
          pool,
          isPlayed: options.canAsk === false
        }),
        pulse: Rhythm.pulse(),
        status: board.market(market.symbol),
        places: placesOf(market),
        topics: exchange.socket.topics("books", market, options.asked).length,
        remedy: undefined,
        gapId: undefined,
        wantedSince: undefined,
        auditedAt: Time.never,
        isListed: true
      }
      markets.set(market.symbol, kept)
      counted("waiting", 1, options.now())
      show(kept, null)
      return kept
    },
    tell,
    listed: (symbols) => {
      for (const [symbol, kept] of markets) {
        if (symbols.has(symbol)) continue
        leave(kept)
        markets.delete(symbol)
      }
    }
  }
}

/** What of a frame's part is kept. */
export const toPart = (
  { asks, bids, checksum, number, part, previous, sequence, time, timestamp }: BookPart
): Sync.Part => ({
  part,
  bids,
  asks,
  previous,
  sequence,
  timestamp,
  ...number === undefined ? {} : { number },
  ...checksum === undefined ? {} : { checksum },
  ...time === undefined ? {} : { time }
})
