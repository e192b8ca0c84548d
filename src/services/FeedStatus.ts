/**
 * What each exchange is doing right now: written by its feed, read by health, metrics and the status page.
 * Plain synchronous functions: called once a chunk on the hot path.
 */
import * as Context from "effect/Context"
import type { Instant, Moment, WallTime } from "./Time.ts"

/**
 * What a connection is doing: dialling or greeting (`connecting`), delivering (`open`), or waiting until it dials again (`backoff`).
 *
 * @since 0.1.0
 * @category models
 */
export type ConnectionState = "connecting" | "open" | "backoff"

/**
 * One WebSocket connection. Counts are of topics.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConnectionStatus {
  readonly state: ConnectionState
  readonly subscriptions: { readonly requested: number; readonly active: number; readonly rejected: number }
  /** Any frame, pings too. */
  readonly lastFrameAt: Moment | null
}

/**
 * One market: what came of it, and whether its trades are subscribed to. `trades` is a count since the start, `lastPrice` a decimal in
 * units of the quote.
 *
 * @since 0.1.0
 * @category models
 */
export interface MarketStatus {
  readonly symbol: string
  readonly trades: number
  readonly lastPrice: string | null
  /** Receive time of the last event, epoch ms. */
  readonly lastAt: number | null
  /** Of its trades; null while it has no connection. Where the exchange answers nothing, the first data makes it active. */
  readonly subscription: "wanted" | "pending" | "active" | "rejected" | null
  /** Silent for longer than is usual for it. */
  readonly stale: boolean
  /** Its order book; left out where books are not collected. */
  readonly book?: BookStatus | undefined
}

/**
 * Whether a market's book is known: not yet (`waiting`), as the exchange has it (`live`), or not any more (`doubtful`: nothing of it is
 * sent until it is whole again).
 *
 * @since 0.1.0
 * @category models
 */
export type BookState = "waiting" | "live" | "doubtful"

/**
 * A market's order book as it was last known.
 *
 * @since 0.1.0
 * @category models
 */
export interface BookStatus {
  readonly state: BookState
  /** Prices, decimals in units of the quote; null: no order on this side, or nothing known. */
  readonly bestBid: string | null
  readonly bestAsk: string | null
  /** When a part of it last came. */
  readonly at: Moment | null
}

/**
 * The order books of an exchange. Counts are since the start of the process.
 *
 * @since 0.1.0
 * @category models
 */
export interface BooksStatus {
  /** Markets by the state of their book. */
  readonly waiting: number
  readonly live: number
  readonly doubtful: number
  /**
   * Markets' first pictures: for how many in a minute the exchange's budget of questions has room, null where its sockets bring them; and the
   * milliseconds that the last start took until no market waited for one, null while one does.
   */
  readonly pictures: { readonly perMinute: number | null; readonly tookMs: number | null }
  /** Live books that became doubtful, by cause: `sequence`, `checksum`, `crossed`, `disconnected`, `overflow`. */
  readonly gaps: Readonly<Record<string, number>>
  /** Questions for a new picture, by action: `snapshot`, `resubscribe`, `redial`. */
  readonly resyncs: Readonly<Record<string, number>>
  /** Parts of books that came: `applied`; `early`, before the book was known; `old`, when something newer was. */
  readonly parts: { readonly applied: number; readonly early: number; readonly old: number }
  /**
   * Books that were compared with pictures of another way: `equal`; `different`, so that they became doubtful; `unproven`, where no picture was of
   * a number that the book had; `behind`, where the pictures went on and what keeps the book did not.
   */
  readonly audits: {
    readonly equal: number
    readonly different: number
    readonly unproven: number
    readonly behind: number
  }
}

/**
 * Holes in markets' trades (docs/design/delivery.md "Holes and histories").
 *
 * @since 0.1.0
 * @category models
 */
export interface Gaps {
  /** Neither filled nor given up. */
  readonly open: number
  /** Filled from the exchange's history, whole. */
  readonly filled: number
  /** Told as `gap` events with `complete: false`, for good. */
  readonly told: number
  /** Trades that histories brought. */
  readonly recovered: number
}

/**
 * A stretch of a market's time in which trades may be missing, and which is neither filled nor given up.
 *
 * @since 0.1.0
 * @category models
 */
export interface OpenHole {
  readonly symbol: string
  /** Why nobody listened: `disconnected`, `restart`, `stale`, `unsubscribed`, `undecoded`, `sequence`. */
  readonly cause: string
  /** Exchange times of the last trade before it and of the first behind it, ISO-8601; null where none is known. */
  readonly from: string | null
  readonly to: string | null
  /** `id` of the first `gap` event that told of it, perhaps of an earlier life; null: none did. */
  readonly gapId: string | null
  /** Trades that histories have brought. */
  readonly recovered: number
  /** This life has told of it, so trades behind it have gone on. Else they wait. */
  readonly published: boolean
  /** Trades in memory that wait for it. */
  readonly waiting: number
  /** Milliseconds since this life of the collector came to know of it, by the monotonic clock. */
  readonly ageMs: number
  /** What comes next, in plain words. */
  readonly awaits: string
}

/**
 * Trades by asking for them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Polling {
  /** How often each market is asked, milliseconds: by what the exchange wants, or as often as its budget allows. */
  readonly every: number
  /** No channel needs a socket: none is opened. */
  readonly isAlone: boolean
}

/**
 * One exchange. Counts are since the start of the process; moments are null until there was one.
 *
 * @since 0.1.0
 * @category models
 */
export interface ExchangeStatus {
  readonly exchange: string
  /** Last REST exchange with the API: markets list or the background check. */
  readonly api: {
    /** To know what is newer. */
    readonly at: Instant | null
    readonly checkedAt: WallTime | null
    readonly ok: boolean | null
    readonly durationMs: number | null
    readonly message: string | null
  }
  readonly connections: ReadonlyMap<number, ConnectionStatus>
  /** Null where sockets bring the trades. */
  readonly polling: Polling | null
  /** Tradable markets chosen by `MARKETS` and `SHARD`; null until there is a list. */
  readonly listed: number | null
  /** Tradable markets that are not collected, though nobody chose so: as the exchange names them, one line each. */
  readonly leftOut: ReadonlyArray<string>
  readonly markets: ReadonlyMap<string, MarketStatus>
  readonly lastFrameAt: Moment | null
  /** Last decoded event. */
  readonly lastDataAt: Moment | null
  readonly dials: number
  readonly reconnects: number
  /** Why the last session ended, one line. */
  readonly lastError: string | null
  /** By reason, one of `decodeReasons`. */
  readonly decodeFailures: ReadonlyMap<string, number>
  readonly gaps: Gaps
  /** As they are when it is called, oldest first. */
  readonly openHoles: () => ReadonlyArray<OpenHole>
  /** Silences longer than a stream's usual ones, by remedy: `resubscribe`, `reconnect`. */
  readonly stale: ReadonlyMap<string, number>
  /** All zero where books are not collected. */
  readonly books: BooksStatus
}

/**
 * Why something that an exchange sent was not understood.
 *
 * @since 0.1.0
 * @category constants
 */
export const decodeReasons = [
  /** Not JSON. */
  "json",
  /** JSON of another shape than documented. */
  "schema",
  /** Nested deeper than 32. */
  "too_deep",
  /** A frame, a string or a list beyond its bound. */
  "too_large",
  /** A price or an amount that is no positive decimal of sane length. */
  "number",
  /** A time that cannot be one; the trade is delivered all the same where its identity does not need it. */
  "time",
  /** A symbol outside the allow-list, or one that contradicts its channel. */
  "symbol",
  /** A WebSocket frame that is not text. */
  "binary",
  /** Against RFC 6455: invalid UTF-8, compressed though that was not agreed on, an unknown opcode. */
  "protocol",
  /** Well-formed, but nothing we know. */
  "unknown"
] as const

/**
 * Why a live book became doubtful.
 *
 * @since 0.1.0
 * @category constants
 */
export const bookGapCauses = ["sequence", "checksum", "crossed", "disconnected", "overflow"] as const

/**
 * How a new picture of a book is asked for.
 *
 * @since 0.1.0
 * @category constants
 */
export const bookResyncActions = ["snapshot", "resubscribe", "redial"] as const

/**
 * Where feeds report: `update` makes the next status of the one before, `exchanges` are all there are. Neither waits nor fails.
 *
 * @since 0.1.0
 * @category models
 */
export interface Shape {
  readonly update: (exchange: string, change: (status: ExchangeStatus) => ExchangeStatus) => void
  readonly exchanges: () => ReadonlyArray<ExchangeStatus>
}

const noBooks: BooksStatus = {
  waiting: 0,
  live: 0,
  doubtful: 0,
  pictures: { perMinute: null, tookMs: null },
  gaps: {},
  resyncs: {},
  parts: { applied: 0, early: 0, old: 0 },
  audits: { equal: 0, different: 0, unproven: 0, behind: 0 }
}

const noHoles = (): ReadonlyArray<OpenHole> => []

/**
 * An exchange of which nothing is known yet.
 *
 * @since 0.1.0
 * @category constructors
 */
export const empty = (exchange: string): ExchangeStatus => ({
  exchange,
  api: { at: null, checkedAt: null, ok: null, durationMs: null, message: null },
  connections: new Map(),
  polling: null,
  listed: null,
  leftOut: [],
  markets: new Map(),
  lastFrameAt: null,
  lastDataAt: null,
  dials: 0,
  reconnects: 0,
  lastError: null,
  decodeFailures: new Map(),
  gaps: { open: 0, filled: 0, told: 0, recovered: 0 },
  openHoles: noHoles,
  stale: new Map(),
  books: noBooks
})

/**
 * A place to report to that is nobody else's; the exchanges given are there from the beginning, without anything known of them.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (exchanges: ReadonlyArray<string> = []): Shape => {
  const all = new Map(exchanges.map((name) => [name, empty(name)]))
  return {
    update: (exchange, change) => {
      all.set(exchange, change(all.get(exchange) ?? empty(exchange)))
    },
    exchanges: () => Array.from(all.values())
  }
}

/**
 * A reference, not a requirement: a feed used as a plain `Stream` reports to nobody by default.
 *
 * @since 0.1.0
 * @category tags
 */
export class FeedStatus extends Context.Reference<FeedStatus>()("effect-exchange-feeds/services/FeedStatus", {
  defaultValue: (): Shape => ({ update: () => {}, exchanges: () => [] })
}) {}
