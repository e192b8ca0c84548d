/** What is known of a market from one life of the collector to the next. */

/**
 * How many ids are kept for each market: more than any window of recent trades an exchange is known to send.
 *
 * @since 0.1.0
 * @category constants
 */
export const memoryOfMarket = 256

/**
 * A trade at the edge of a hole, of a market whose ids are numbers that count up.
 *
 * @since 0.1.0
 * @category models
 */
export interface Edge {
  /** The number, in decimals. */
  readonly id: string
  /** Exchange time, ISO-8601; null where it is not known. */
  readonly time: string | null
}

/**
 * A stretch of a market's time in which trades may be missing.
 *
 * @since 0.1.0
 * @category models
 */
export interface Hole {
  /** Why nobody listened, as a `gap` event says it. */
  readonly cause: string
  /** `id` of the first `gap` event that told of it; null if none did. */
  readonly gapId: string | null
  /** Exchange times of the last trade before it, and of the first behind it, ISO-8601; null where none is known. */
  readonly from: string | null
  readonly to: string | null
  /** Trades that histories have brought. */
  readonly recovered: number
  /** What it came to. The last event about it may be lost still. Null while it is open. */
  readonly over: "filled" | "given up" | null
  /**
   * Where ids count up: nothing is missing up to this trade. At first the one that `from` is the time of; it moves up with what a history
   * brings, once that is delivered or durable.
   */
  readonly after?: Edge | undefined
  /** Where ids count up: the number of the trade that `to` is the time of, in decimals. */
  readonly before?: string | undefined
  /** Something that a history brought of it was not understood: it will not be called filled. */
  readonly isUnsound?: boolean | undefined
}

/**
 * A hole as a feed has it now.
 *
 * @since 0.1.0
 * @category models
 */
export interface OpenHole extends Hole {
  /** How far it is filled when the trade with that id (`exchange:symbol:t:...`) and all before it are resolved. */
  readonly filled?: { readonly after: Edge; readonly trade: string } | undefined
}

/**
 * Ids of a trade and of a status event of one market: until both are resolved they may be lost. Null: there is none.
 *
 * @since 0.1.0
 * @category models
 */
export interface Awaited {
  readonly trade: string | null
  readonly event: string | null
}

/**
 * A market's last trades, and its open holes.
 *
 * @since 0.1.0
 * @category models
 */
export interface MarketMemory {
  /** Trade ids, oldest first, at most `memoryOfMarket`: those of the newest times, whenever they were delivered. */
  readonly ids: ReadonlyArray<string>
  /** Exchange time of the newest trade, ISO-8601; null if none or unknown. */
  readonly lastTimestamp: string | null
  /**
   * Of each of `ids` the exchange time, epoch ms. Where the exchange gave none, or version 1 of the checkpoint kept none: that of the
   * newest trade known by then; null if none was.
   */
  readonly times?: ReadonlyArray<number | null> | undefined
  /** Its name at the exchange, if known. */
  readonly exchangeSymbol?: string | undefined
  /** Oldest first. */
  readonly holes?: ReadonlyArray<Hole> | undefined
  /** Ids of trades that lie within `holes`, edges included, whether they are among `ids` or older. */
  readonly kept?: ReadonlyArray<string> | undefined
}
