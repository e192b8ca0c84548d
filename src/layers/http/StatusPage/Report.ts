/**
 * The body of `/api/status`, and all that the page shows.
 */
import type { Snapshot } from "../../../services/CircuitBreaker.ts"
import type { LaneStatus } from "../../../services/Delivery.ts"
import type {
  BooksStatus,
  BookState,
  ConnectionState,
  Gaps,
  MarketStatus,
  OpenHole,
  Polling
} from "../../../services/FeedStatus.ts"
import type { Answer } from "../../../services/Health.ts"
import type { Series } from "./History.ts"

export interface Events {
  readonly channel: "trades" | "books"
  readonly received: number
  readonly delivered: number
  readonly queued: number
  readonly inFlight: number
  /** By reason. */
  readonly dropped: Readonly<Record<string, number>>
  readonly deadLettered: Readonly<Record<string, number>>
  readonly filtered: Readonly<Record<string, number>>
}

/** Times are ISO-8601, null = never. */
export interface Exchange {
  readonly exchange: string
  readonly api: { readonly checkedAt: string | null; readonly ok: boolean | null; readonly message: string | null }
  readonly connections: ReadonlyArray<{
    readonly id: number
    readonly state: ConnectionState
    readonly subscriptions: { readonly requested: number; readonly active: number; readonly rejected: number }
    readonly lastFrameAt: string | null
  }>
  /** Trades by asking for them: how often each market is asked, ms, and whether no socket is used. Null where sockets bring them. */
  readonly polling: Polling | null
  /** Tradable markets that were chosen. */
  readonly listed: number
  /** Tradable markets that are not collected since their names do not fit, another has the same, or there are too many. */
  readonly leftOut: ReadonlyArray<string>
  readonly lastFrameAt: string | null
  readonly lastDataAt: string | null
  readonly dials: number
  readonly reconnects: number
  readonly lastError: string | null
  readonly decodeFailures: Readonly<Record<string, number>>
  /** Holes in trades: open, filled whole, told as not filled; and the trades that histories brought. */
  readonly gaps: Gaps
  /** All of them, oldest first. */
  readonly openHoles: ReadonlyArray<OpenHole>
  /** Silences longer than usual, by remedy. */
  readonly stale: Readonly<Record<string, number>>
  readonly events: ReadonlyArray<Events>
  readonly markets: ReadonlyArray<{
    readonly symbol: string
    readonly trades: number
    readonly lastPrice: string | null
    readonly lastAt: string | null
    readonly subscription: MarketStatus["subscription"]
    /** Silent for longer than is usual for it. */
    readonly stale: boolean
    /** Null where order books are not collected. */
    readonly book: Book | null
  }>
  /** Order books: markets by state; first pictures a minute, and what they took; gaps by cause, questions by action and parts by outcome since the start. */
  readonly books: BooksStatus
}

/** A market's order book as it was last known. */
export interface Book {
  readonly state: BookState
  /** Decimals in units of the quote; null: no order on that side, or nothing known. */
  readonly bestBid: string | null
  readonly bestAsk: string | null
  /** When a part of it last came; null: never. */
  readonly at: string | null
  /** How long ago that was, milliseconds, whatever the wall clock did since. */
  readonly ageMs: number | null
}

export interface Lane {
  readonly topic: string
  readonly mode: LaneStatus["mode"]
  readonly waitingRecords: number
  readonly sending: number
  readonly queued: number
  readonly queuedBytes: number
  readonly queueState: LaneStatus["queue"]["state"]
  readonly oldest: string | null
  readonly ackedAt: string | null
  /** Of the last failure; null after a success. */
  readonly message: string | null
}

/** The body of `/api/status`. */
export interface Report {
  readonly name: "effect-exchange-feeds"
  readonly version: string
  readonly timestamp: string
  readonly health: Answer
  readonly exchanges: ReadonlyArray<Exchange>
  /** Records inherited from an earlier life, whose exchange is not known. */
  readonly recovered: ReadonlyArray<Events>
  /** Empty while the queues are being recovered. */
  readonly lanes: ReadonlyArray<Lane>
  readonly queue: { readonly bytes: number; readonly maxBytes: number } | null
  readonly breakers: ReadonlyArray<{
    readonly name: string
    readonly state: Snapshot["state"]
    readonly retryAt: string | null
  }>
  /** The last half hour. */
  readonly history: Series
}
